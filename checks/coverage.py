"""Measure which lines and branches of the C files the tests run: gcov over the suite, several interpreters together.

    python checks/coverage.py count FOLDER NAME [PYTEST ARGUMENT...]
    python checks/coverage.py report FOLDER

The first builds the extension for this interpreter in FOLDER/NAME, runs the tests and writes what was counted to
FOLDER/NAME.json. The second puts all that was counted together, prints it, writes FOLDER/index.html, and demands the
figures below. gcovr is on PATH.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
LINES, BRANCHES = 98, 90  # per cent
# As it is written, without the assertions, whose branches are not meant to be taken; threads count together.
FLAGS = "--coverage -O0 -g -DNDEBUG -fprofile-update=atomic -fprofile-abs-path"
# Tests that start programs, which do nothing new to the C code; depth goes to the end of stacks, again and again.
PROGRAMS = ("benchmarks", "debugging", "depth", "examples", "main", "package", "source", "typing", "workers")
LEFT_OUT = [f"--ignore=tests/test_{name}.py" for name in PROGRAMS]
# Macros with branches that are the interpreter's: whether there is something to release, whether the collector wants to
# stop, whether deallocators are nested too deeply.
MACROS = r".*\b(Py_CLEAR|Py_VISIT|Py_SETREF|Py_XSETREF|STATE_REFERENCES|Py_TRASHCAN_BEGIN)\("


def build(copy):
    shutil.rmtree(copy, ignore_errors=True)
    left_out = shutil.ignore_patterns(".*", "*.egg-info", "__pycache__", "*.so", "build", "dist", "wheelhouse")
    shutil.copytree(ROOT, copy, ignore=left_out)
    env = {**os.environ, "CC": "gcc", "CFLAGS": FLAGS, "LDFLAGS": "--coverage"}
    command = [sys.executable, "setup.py", "-q", "build_ext", "--inplace", "--build-temp", "objects"]
    subprocess.run(command, cwd=copy, env=env, check=True)


def count(folder, name, *arguments):
    copy = folder / name
    build(copy)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *LEFT_OUT, *arguments]
    path = os.pathsep.join(filter(None, [str(copy), os.environ.get("PYTHONPATH")]))
    env = {**os.environ, "PYTHONPATH": path}
    status = subprocess.run(command, cwd=copy, env=env).returncode
    if sys.version_info[:2] not in ((3, 12), (3, 13)):  # they crash by themselves where memory is short
        nomemory = [sys.executable, copy / "tests" / "isolated" / "nomemory.py", "--mode", "one-drained"]
        status = subprocess.run(nomemory, cwd=copy, env=env).returncode or status
    gcovr = ["gcovr", "--root", copy, "--filter", "_acontextlib/csrc/", "--exclude-branches-by-pattern", MACROS]
    subprocess.run([*gcovr, "--json", folder / f"{name}.json", copy / "objects"], cwd=copy, check=True)
    return status


def report(folder):
    counted = sorted(folder.glob("*.json"))
    print("counted by:", *(path.stem for path in counted))
    # A function may stand at one line for one version and at another for the next.
    command = ["gcovr", "--root", ROOT, "--filter", "_acontextlib/csrc/", "--merge-mode-functions", "separate"]
    for path in counted:
        command += ["--add-tracefile", path]
    command += ["--txt", "-", "--txt-summary", "--html-details", folder / "index.html", "--json", folder / "all.json"]
    command += ["--fail-under-line", str(LINES), "--fail-under-branch", str(BRANCHES)]
    return subprocess.run(command, cwd=ROOT).returncode


if __name__ == "__main__":
    action, folder, *rest = sys.argv[1:]
    folder = Path(folder).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    sys.exit({"count": count, "report": report}[action](folder, *rest))
