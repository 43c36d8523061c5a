"""Processes that a program under ``python -m _acontextlib`` starts, and pytest with the plugin."""

import os
import re
import signal
import subprocess
import sys

import pytest
from processes import accelerated, environment, python

pytestmark = [
    pytest.mark.skipif(sys.implementation.name != "cpython", reason="elsewhere there is nothing to install"),
    pytest.mark.skipif(sys.platform == "win32", reason="compares the start methods of POSIX"),
]

# Prints which objects a worker has: by contextlib, by a name that the main module imported, in a worker's worker.
POOLS = """
import contextlib, multiprocessing, sys
from concurrent.futures import ProcessPoolExecutor
from contextlib import AsyncExitStack

class Thing:
    def __init__(self, number):
        self.number = number

def kinds(thing):
    classes = contextlib.AsyncExitStack, AsyncExitStack
    return thing.number, __name__, *(type(each.push).__name__ for each in classes)

def nested(method):
    with multiprocessing.get_context(method).Pool(1) as pool:
        return pool.map(kinds, [Thing(2)])[0]

if __name__ == "__main__":
    print("multiprocessing.spawn" in sys.modules)
    for method in sys.argv[1:]:
        with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context(method)) as pool:
            print(method, *pool.submit(kinds, Thing(1)).result(), flush=True)
            print(method, *pool.submit(nested, method).result(), flush=True)
    spawn = sys.modules["multiprocessing.spawn"]
    print(type(spawn.__loader__).__name__, spawn.__spec__.loader is spawn.__loader__)
    print(spawn.get_preparation_data.__name__)
    print(*(type(finder).__module__ for finder in sys.meta_path))
"""
KEEP_FORK_QUIET = ("-W", "ignore::DeprecationWarning")


@pytest.fixture
def pools(tmp_path):
    (tmp_path / "program.py").write_text(POOLS)
    return tmp_path


@pytest.mark.parametrize(
    "arguments", [["program.py", "fork", "spawn", "forkserver"], ["-m", "program", "forkserver"]], ids=" ".join
)
def test_workers_of_multiprocessing_have_ours_by_each_start_method(pools, arguments):
    """The same as under python, but for the type of a method, by which the classes differ."""
    plain = python(*arguments, cwd=pools, options=KEEP_FORK_QUIET)
    assert (plain.status, plain.stderr) == (0, "")
    assert plain.stdout.count("function function") == 2 * sum("program" not in each for each in arguments[1:])
    expected = plain.stdout.replace(" function function", " method method")
    assert accelerated(*arguments, cwd=pools, options=KEEP_FORK_QUIET) == (0, expected, "")


def test_preparation_of_workers_can_be_seen(tmp_path):
    source = """
import sys
before = [type(finder).__module__ for finder in sys.meta_path]
import multiprocessing.spawn
after = [type(finder).__module__ for finder in sys.meta_path]
print(before[:len(before) - len(after)], list(multiprocessing.spawn.get_preparation_data("name"))[-1])
"""
    (tmp_path / "program.py").write_text(source)
    assert accelerated("program.py", cwd=tmp_path) == (0, "['_acontextlib._workers'] _acontextlib\n", "")
    assert python("program.py", cwd=tmp_path) == (0, "[] init_main_from_path\n", "")


def test_workers_find_the_package_wherever_the_program_has_gone(tmp_path):
    """It was found by the folder in which the program was started, and that is not the current one any more."""
    import _acontextlib

    place = os.path.dirname(os.path.dirname(_acontextlib.__file__))
    script = tmp_path / "program.py"
    script.write_text("import os\nos.chdir(os.path.dirname(__file__))\n" + POOLS)
    command = [sys.executable, "-m", "_acontextlib", script, "spawn"]
    without = {name: value for name, value in environment().items() if name != "PYTHONPATH"}
    done = subprocess.run(command, cwd=place, env=without, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count(" method method") == 2


def test_workers_have_the_stdlibs_objects_after_uninstall(pools):
    source = "import _acontextlib; _acontextlib.uninstall()\n"
    (pools / "program.py").write_text(POOLS.replace("    print(", f"    {source}    print(", 1))
    outcome = accelerated("program.py", "spawn", cwd=pools)
    assert (outcome.status, outcome.stderr) == (0, "")
    assert outcome.stdout.count(" function function") == 2


def test_install_alone_leaves_workers_as_they_are(pools):
    """There the program decides: what it calls at the top of the main module is called in workers as well."""
    start = "import _acontextlib; _acontextlib.install()\n"
    (pools / "program.py").write_text(start + POOLS)
    assert python("program.py", "spawn", cwd=pools).stdout.count(" method method") == 2
    (pools / "program.py").write_text(POOLS.replace("    print(", f"    {start}    print(", 1))
    assert python("program.py", "spawn", cwd=pools).stdout.count(" function function") == 2


def test_looking_for_the_module_without_importing_it_is_harmless(tmp_path):
    source = (
        """
import importlib.util, sys
spec = importlib.util.find_spec("multiprocessing.spawn")
print(spec.name, spec.loader.name, spec.loader.get_source(spec.name)[:1], "multiprocessing.spawn" in sys.modules)
"""
        + POOLS
    )
    (tmp_path / "program.py").write_text(source)
    outcome = accelerated("program.py", "spawn", cwd=tmp_path)
    assert (outcome.status, outcome.stderr) == (0, "")
    assert outcome.stdout.startswith("multiprocessing.spawn multiprocessing.spawn # False\n")
    assert outcome.stdout.count(" method method") == 2


@pytest.mark.skipif(sys.version_info < (3, 14), reason="concurrent.interpreters is new in 3.14")
def test_further_interpreters_have_the_stdlibs_objects(tmp_path):
    source = """
from concurrent import interpreters
say = "import contextlib; print(type(contextlib.AsyncExitStack.push).__name__, flush=True)"
exec(say)
interpreters.create().exec(say)
"""
    (tmp_path / "program.py").write_text(source)
    assert accelerated("program.py", cwd=tmp_path) == (0, "method\nfunction\n", "")


def test_program_that_starts_itself_anew_as_it_was_started_has_ours(tmp_path):
    """That is how reloaders do it which go by `sys.orig_argv`."""
    source = """
import contextlib, os, sys
print(type(contextlib.AsyncExitStack.push).__name__, sys.argv[1:], flush=True)
if "again" not in sys.argv:
    os.execv(sys.executable, [*sys.orig_argv, "again"])
"""
    (tmp_path / "program.py").write_text(source)
    for arguments in (["program.py"], ["-m", "program"]):
        outcome = accelerated(*arguments, "first", cwd=tmp_path)
        assert outcome == (0, "method ['first']\nmethod ['first', 'again']\n", "")
        outcome = python(*arguments, "first", cwd=tmp_path)
        assert outcome == (0, "function ['first']\nfunction ['first', 'again']\n", "")


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT", "SIGHUP"])
def test_signals_reach_the_program(tmp_path, name):
    """Its handler runs; without one the process dies of the signal."""
    source = """
import os, signal, sys, time
number = getattr(signal, sys.argv[1])
signal.signal(number, lambda number, frame: print("handled", frame.f_code.co_name))
os.kill(os.getpid(), number)
signal.signal(number, signal.SIG_DFL)
print("still here", flush=True)
os.kill(os.getpid(), number)
time.sleep(60)
"""
    (tmp_path / "program.py").write_text(source)
    outcome = accelerated("program.py", name, cwd=tmp_path)
    assert outcome == (-getattr(signal, name), "handled <module>\nstill here\n", "")
    assert outcome == python("program.py", name, cwd=tmp_path)


# pytest

# Two pass if they have ours.
TESTS = """
import contextlib
from contextlib import AsyncExitStack
import early

def test_objects():
    assert type(contextlib.AsyncExitStack.push).__name__ == type(AsyncExitStack.push).__name__ == "method"

def test_what_was_imported_early():
    assert type(early.AsyncExitStack.push).__name__ == type(early.inner()).__name__ == "method"

def test_that_fails():
    assert AsyncExitStack is None
"""
PLUGIN = """
from contextlib import AsyncExitStack

def inner():
    return AsyncExitStack.push
"""


@pytest.fixture
def run_pytest(tmp_path):
    """A function that runs the tests above, with two plugins to name if wanted; returns status and output."""
    (tmp_path / "pytest.ini").touch()  # so that none is looked for in the folders above
    (tmp_path / "conftest.py").write_text("from contextlib import AsyncExitStack")
    (tmp_path / "test_it.py").write_text(TESTS)
    for name in ("early", "late"):
        (tmp_path / f"{name}.py").write_text(PLUGIN)

    def run_pytest(run, *arguments):
        # The plugins of this environment have nothing to do with it, and take a second each time.
        outcome = run(
            *arguments, cwd=tmp_path, PYTEST_DISABLE_PLUGIN_AUTOLOAD="1", PYTEST_ADDOPTS="-p no:cacheprovider"
        )
        assert outcome.stderr == ""
        return outcome.status, outcome.stdout

    return run_pytest


def test_pytest_runs_as_a_program(run_pytest):
    status, said = run_pytest(accelerated, "-m", "pytest")
    assert status == 1
    assert re.search(r"=+ 1 failed, 2 passed in", said)
    assert "acontextlib" not in said


def test_plugin_installs_before_collection_and_says_what_it_found(run_pytest):
    status, said = run_pytest(python, "-m", "pytest", "-p", "early", "-p", "_acontextlib.pytest", "-p", "late")
    assert status == 1
    assert re.search(r"=+ 1 failed, 2 passed in", said)
    what, found = re.findall(r"^acontextlib.*", said, re.MULTILINE)
    assert re.fullmatch(r"acontextlib: c, (?:direct|public) drive", what)
    # pytest itself has imported something, too; what depends on its version.
    assert re.search(r"[: ]early:AsyncExitStack", found)
    assert "late:" not in found


def test_plugin_takes_ours_out_at_the_end_unless_they_were_there_before(run_pytest):
    program = """
import contextlib, _acontextlib, pytest
for installed_before in (False, True, False):
    if installed_before:
        _acontextlib.install()
    print(pytest.main(["-p", "_acontextlib.pytest", "-k", "objects"]) == 0)
    print(contextlib.AsyncExitStack is _acontextlib.AsyncExitStack)
    _acontextlib.uninstall()
"""
    _, said = run_pytest(python, "-c", program)
    assert re.findall("^(?:True|False)$", said, re.MULTILINE) == ["True", "False", "True", "True", "True", "False"]
