"""docs/debugging.md: its programs are run by its commands, and print what stands there."""

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import time
from pathlib import Path

import pytest
from helpers import FREE_THREADED
from processes import environment, python

DOCUMENT = Path(__file__).parent.parent / "docs" / "debugging.md"
TEXT = DOCUMENT.read_text(encoding="utf-8") if DOCUMENT.exists() else ""
PROGRAMS = dict(re.findall(r"`(\w+\.py)`(?:(?!```).)*\n\n```python\n(.*?)```", TEXT, re.DOTALL))
# (the command, what it prints)
BLOCKS = re.findall(r"```console\n\$ (.*?)\n(.*?)```", TEXT, re.DOTALL)
# The standard library's files have other lines in other versions, and some other frames.
VERSION = re.search(r"The output is that of ([\d.]+)", TEXT)[1] if TEXT else ""
DEADLINE = 60

pytestmark = [
    pytest.mark.skipif(not DOCUMENT.exists(), reason="needs the project's checkout or sdist"),
    pytest.mark.skipif(sys.platform == "win32", reason="the document shows the paths of POSIX"),
    pytest.mark.skipif(sys.implementation.name != "cpython", reason="elsewhere there is nothing to compare with"),
]


@pytest.fixture
def folder(tmp_path):
    for name, source in PROGRAMS.items():
        (tmp_path / name).write_text(source, encoding="utf-8")
    return tmp_path


def normalised(text, folder=None):
    """Without what differs from run to run, machine to machine, and between the releases of a version."""
    places = [sysconfig.get_path(name) for name in ("purelib", "platlib", "stdlib")]
    places = {str(place) for place in (folder, *places) if place}
    # The longest first, for one may be within another, or be its end, if that has links in it.
    for place in sorted({*places, *map(os.path.realpath, places)}, key=len, reverse=True):
        text = text.replace(f"{place}{os.sep}", "")
    text = re.sub(r"0x[0-9a-f]+", "0x...", text)
    # Lines in files that are none of the programs.
    text = re.sub(r"(?<!orders)(?<!orders_trio)(\.py['\"]?(?::|, line ))\d+", r"\1N", text)
    text = re.sub(r"^(?:Process|Python v).*\n|^ +[~^]+\n|^.*trio/_core/.*\n", "", text, flags=re.MULTILINE)
    return re.sub(r"^Thread \d+ \(\w+\)", "Thread", text, flags=re.MULTILINE).strip()


def need(command):
    if " -m _acontextlib " not in command and not sys.version.startswith(f"{VERSION}."):
        pytest.skip(f"the document shows the standard library's files of {VERSION}")
    if ("graph" in command or "pstree" in command) and sys.version_info < (3, 14):
        pytest.skip("asyncio has it from 3.14 on")
    if "trio" in command:
        pytest.importorskip("trio")
    if "py-spy" in command and FREE_THREADED:
        pytest.skip("py-spy does not know free-threaded builds")
    if "py-spy" in command and shutil.which("py-spy", path=tool_path()) is None:
        pytest.skip("py-spy is not installed")


def tool_path():
    """Where tools are looked for: those of another environment may be too old, or not run."""
    return os.path.dirname(sys.executable)


def look_from_outside(program, tool, expected, folder):
    """What the tool says of the program, as soon as it is what is expected, or else at the end."""
    finder = [sys.executable if word == "python" else shutil.which(word, path=tool_path()) or word for word in tool[:1]]
    deadline = time.monotonic() + DEADLINE
    with subprocess.Popen([sys.executable, *program], cwd=folder, env=environment()) as process:
        try:
            while True:
                command = [*finder, *tool[1:], str(process.pid)]
                done = subprocess.run(
                    command, cwd=folder, capture_output=True, text=True, encoding="utf-8", env=environment()
                )
                if re.search("ermission|not permitted|ptrace", done.stderr):
                    pytest.skip(f"no process may look into another here: {done.stderr.strip().splitlines()[-1]}")
                said = normalised(done.stdout, folder)
                if said.startswith(expected) or process.poll() is not None or time.monotonic() > deadline:
                    return said or done.stderr
                time.sleep(0.2)
        finally:
            process.kill()


@pytest.mark.parametrize(("command", "expected"), BLOCKS, ids=[command for command, _ in BLOCKS])
def test_command_prints_what_the_document_says(command, expected, folder):
    need(command)
    program, _, tool = command.removesuffix(" $!").partition(" & sleep 1; ")
    # Where the document leaves out what follows, anything may.
    expected, left_out, _ = normalised(expected).partition("\n    ...")
    if tool:
        said = look_from_outside(program.split()[1:], tool.split(), expected, folder)
    else:
        outcome = python(*program.split()[1:], cwd=folder)
        assert (outcome.status, outcome.stderr) == (0, "")
        said = normalised(outcome.stdout, folder)
    assert said[: len(expected)] == expected
    assert left_out or said == expected


def test_document_shows_each_tool_with_both():
    assert set(PROGRAMS) == {"orders.py", "orders_trio.py"}
    commands = [command for command, _ in BLOCKS]
    stdlib = [command for command in commands if " -m _acontextlib " not in command]
    assert len(stdlib) == 5
    assert commands == [
        each for command in stdlib for each in (command, command.replace("python ", "python -m _acontextlib ", 1))
    ]
