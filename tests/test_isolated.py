"""The leak scripts of isolated/, each in a process of its own and for a short time; `nox -s leaks` runs them for long.

Each of the scripts must also find a leak that is put in its way.
"""

import os
import sys
from pathlib import Path

import processes
import pytest
from helpers import DEBUG, FREE_THREADED, VERSION

SCRIPTS = Path(__file__).with_name("isolated")
SKIPPED = 77
# Has the function that all scripts call lose a list each time, through the C API as a C file would.
LOSE_A_LIST = "ctypes.pythonapi.Py_IncRef(ctypes.py_object([]))"

pytestmark = [
    pytest.mark.skipif(sys.implementation.name != "cpython", reason="there is nothing in C here"),
    pytest.mark.filterwarnings("default"),
]
counts_blocks = pytest.mark.skipif(
    sys.getallocatedblocks() == 0, reason="without its own allocator it counts no blocks"
)
counts_references = pytest.mark.skipif(not DEBUG, reason="needs a debug build of the interpreter, which counts them")


def run(script, *arguments, cwd, leaking=False, **environment):
    """Run a script of isolated/, or the same with a leak in it."""
    path = SCRIPTS / script
    if not leaking:
        outcome = processes.python(path, *arguments, cwd=cwd, **environment)
    else:
        program = f"""
import ctypes, runpy, sys
sys.path.insert(0, {str(SCRIPTS)!r})
import usage
used = usage.use_awaitables
def leak(lib):
    {LOSE_A_LIST}
    used(lib)
usage.use_awaitables = leak
sys.argv = {[str(path), *map(str, arguments)]!r}
runpy.run_path({str(path)!r}, run_name="__main__")
"""
        (cwd / "leaking.py").write_text(program, encoding="utf-8")
        outcome = processes.python(cwd / "leaking.py", cwd=cwd, **environment)
    if outcome.status == SKIPPED:
        pytest.skip(outcome.stdout.strip().removeprefix("skipped: "))
    return outcome


def said(outcome):
    return f"{outcome.stdout}\n{outcome.stderr[-4000:]}"


def test_copies_of_the_module_leave_nothing(tmp_path):
    outcome = run("imports.py", 200 if DEBUG else 1000, cwd=tmp_path)
    assert outcome.status == 0, said(outcome)


@counts_blocks
def test_copies_that_leak_are_found(tmp_path):
    outcome = run("imports.py", 40, cwd=tmp_path, leaking=True)
    assert (outcome.status, outcome.stdout[:9]) == (1, "40 copies"), said(outcome)


def test_heap_is_steady(tmp_path):
    outcome = run("heap.py", 100 if DEBUG else 300, cwd=tmp_path)
    assert outcome.status == 0, said(outcome)


def test_heap_that_grows_is_found(tmp_path):
    # The script starts itself anew, hence its settings here already.
    environment = {"PYTHONMALLOC": "malloc", "GLIBC_TUNABLES": "glibc.malloc.tcache_count=0"}
    if FREE_THREADED:
        environment = {}
    outcome = run("heap.py", 100, cwd=tmp_path, leaking=True, **environment)
    assert (outcome.status, outcome.stdout[:8]) == (1, "managers"), said(outcome)


def test_interpreter_is_initialised_and_finalised_again_and_again(tmp_path):
    outcome = run("embed.py", 14, cwd=tmp_path)  # the first few are noisy
    assert outcome.status == 0, said(outcome)
    assert "14 interpreters with _acontextlib" in outcome.stdout


@pytest.mark.skipif(VERSION < (3, 12), reason="3.12 is the first to have interpreters with a GIL of their own")
def test_subinterpreters_in_threads_share_nothing_and_leave_nothing(tmp_path):
    outcome = run("subinterpreters.py", 1, cwd=tmp_path)
    assert outcome.status == 0, said(outcome)


@counts_references
@pytest.mark.parametrize("drive", ["direct", "public"])
def test_interpreters_own_hunter_finds_no_leaked_reference(drive, tmp_path):
    outcome = run("cpython_leaks.py", 3, cwd=tmp_path, ACONTEXTLIB_DRIVE=drive)
    assert outcome.status == 0, said(outcome)
    assert f"drive: {drive}" in outcome.stdout
    assert "beginning 6 repetitions" in outcome.stdout + outcome.stderr


@counts_references
def test_interpreters_own_hunter_would_find_one(tmp_path):
    """With functions that keep a list from every call, it does: so it is our names that it runs with."""
    program = f"""
import sys
sys.path.insert(0, {str(SCRIPTS)!r})
import _acontextlib, cpython_leaks
kept = []
decorate = _acontextlib._install._ours["asynccontextmanager"]
def asynccontextmanager(func):
    kept.append([])
    return decorate(func)
_acontextlib._install._ours["asynccontextmanager"] = asynccontextmanager
_acontextlib.asynccontextmanager = asynccontextmanager
cpython_leaks.main(3)
"""
    (tmp_path / "leaking.py").write_text(program, encoding="utf-8")
    outcome = processes.python(tmp_path / "leaking.py", cwd=tmp_path)
    assert outcome.status != 0
    assert "leaked" in outcome.stdout + outcome.stderr, said(outcome)


@counts_blocks
def test_plugin_finds_tests_that_leak(tmp_path):
    (tmp_path / "test_leaking.py").write_text(
        """
import os, tempfile
kept = []

def test_memory():
    kept.append([[] for _ in range(10)])

def test_file():
    kept.append(tempfile.TemporaryFile())

def test_nothing():
    pass

def test_cycle():
    cycle = []
    cycle.append(cycle)
"""
    )
    (tmp_path / "pytest.ini").touch()  # so that none is looked for in the folders above
    path = str(Path(__file__).parent)
    outcome = processes.python(
        *("-m", "pytest", "-q", "-p", "leaks", "-p", "no:cacheprovider", "-W", "default", "--noconftest"),
        "test_leaking.py",
        cwd=tmp_path,
        PYTEST_DISABLE_PLUGIN_AUTOLOAD="1",
        PYTHONPATH=os.pathsep.join([path, processes.environment()["PYTHONPATH"]]),
    )
    assert "2 failed, 2 passed" in outcome.stdout, said(outcome)
    assert "test_memory" in outcome.stdout
    assert "blocks +" in outcome.stdout
    assert "file descriptors +1" in outcome.stdout
