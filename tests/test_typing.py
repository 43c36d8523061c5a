"""The types: programs with right and wrong uses of each name, and the stub against the module as it is.

In `typing/` a wrong use carries one comment per checker that says which error it is; a comment that is not needed is an
error itself.  So each program fails if a checker accepts too much, as well as if it accepts too little.  The package
under test is the installed one: the programs and the stub are copied to where no checkout is in sight.
"""

import importlib.metadata
import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent / "typing"
PROGRAMS = sorted(HERE.glob("use_*.py"))
# `nox -s typing` has the checkers stand in for every supported version.
VERSIONS = os.environ.get("ACONTEXTLIB_TYPING_VERSIONS", "{}.{}".format(*sys.version_info)).split()


def run(*arguments, cwd, **env):
    """Run a module of this interpreter; return its exit status and all it said."""
    done = subprocess.run(
        [sys.executable, "-m", *arguments],
        cwd=cwd,
        env={**os.environ, **env},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    return done.returncode, done.stdout


def need(checker):
    """Skip without it; older ones give other codes to the same errors, and describe an older stdlib."""
    least = {"mypy": (2, 0), "basedpyright": (1, 40)}[checker]
    try:
        found = importlib.metadata.version(checker)
    except importlib.metadata.PackageNotFoundError:
        pytest.skip(f"{checker} is not installed")
    if tuple(map(int, found.split(".")[:2])) < least:
        pytest.skip(f"{checker} {found} is too old")


@pytest.fixture(scope="module")
def programs(tmp_path_factory):
    """A folder with the programs and the checkers' settings, away from the checkout."""
    folder = tmp_path_factory.mktemp("typing") / "programs"
    shutil.copytree(HERE, folder, ignore=shutil.ignore_patterns("__pycache__", ".mypy_cache"))
    return folder


def mypy(folder, version):
    return run("mypy", "--config-file", "mypy.ini", "--python-version", version, ".", cwd=folder)


def basedpyright(folder, version):
    options = ("--pythonpath", sys.executable, "--pythonversion", version)
    return run("basedpyright", "--project", ".", *options, cwd=folder)


CHECKERS = {"mypy": mypy, "basedpyright": basedpyright}


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("checker", CHECKERS)
def test_programs_have_exactly_the_marked_errors(checker, version, programs):
    need(checker)
    status, said = CHECKERS[checker](programs, version)
    assert status == 0, said


@pytest.mark.parametrize("checker", CHECKERS)
@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        # A type that is not what is asserted: the names must not be `Any`, as those of an unresolved import are.
        ("assert_type(connection, Connection)", "assert_type(connection, int)"),
        # A mark without an error.
        ('connect(host="db")', 'connect("db")'),
        # An error without a mark.
        ("connect()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]", "connect()"),
    ],
)
def test_programs_fail_if_a_type_is_wrong(checker, right, wrong, programs, tmp_path):
    need(checker)
    folder = tmp_path / "programs"
    shutil.copytree(programs, folder, ignore=shutil.ignore_patterns("__pycache__", ".mypy_cache"))
    program = folder / "use_asynccontextmanager.py"
    text = program.read_text(encoding="utf-8")
    assert right in text
    program.write_text(text.replace(right, wrong, 1), encoding="utf-8")
    line = text[: text.index(right)].count("\n") + 1
    status, said = CHECKERS[checker](folder, VERSIONS[-1])
    assert status == 1, said
    assert f"{program.name}:{line}:" in said


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.stem)
def test_programs_are_marked_for_both_checkers(program):
    """Each program has wrong uses, and what one checker finds the other finds too, but for exceptions that say why."""
    marked = [line for line in program.read_text(encoding="utf-8").splitlines() if "ignore[" in line]
    assert marked
    for line in marked:
        assert "# type: ignore[" in line
        assert "# pyright: ignore[" in line or "which pyright does not check" in line


def test_stub_describes_the_module(tmp_path):
    need("mypy")
    package = tmp_path / "_acontextlib"
    package.mkdir()
    installed = Path(importlib.util.find_spec("_acontextlib").origin).parent
    shutil.copy(installed / "__init__.pyi", package)
    # Only the stub is there to be found: mypy would check the sources of modules without one.
    options = ("--allowlist", str(HERE / "stubtest_allowlist.txt"), "--mypy-config-file", str(HERE / "mypy.ini"))
    status, said = run("mypy.stubtest", "_acontextlib", *options, cwd=tmp_path, MYPYPATH=str(tmp_path))
    assert status == 0, said


def test_types_are_installed():
    files = {file.as_posix() for file in importlib.metadata.files("acontextlib")}
    assert {"_acontextlib/py.typed", "_acontextlib/__init__.pyi"} <= files
