"""``python -m _acontextlib``: a program runs as under plain ``python``; alone it checks and measures."""

import json
import os
import re
import signal
import subprocess
import sys
import zipfile

import pytest
from processes import accelerated, environment, python, without_runpy

# Prints what a program can see of how it was started.
SEEN = """
import sys
print(sys.argv, sys.path[0], __name__, __package__, __doc__, vars().get("__file__"))
print(sorted((name, type(value).__name__) for name, value in globals().items()))
print(getattr(__loader__, "name", None), getattr(__loader__, "path", None), __spec__ and __spec__.name)
print(sys.modules["__main__"].__dict__ is globals(), sys.excepthook is sys.__excepthook__)
"""
FAILS = """
import sys
def inner():
    return 1 / 0
def outer():
    try:
        inner()
    except ZeroDivisionError as error:
        raise ValueError("outer") from error
print("before")
outer()
"""


def same(*arguments, cwd, options=(), **changes):
    """Run both ways, check that they do the same, and return what that is."""
    plain = without_runpy(python(*arguments, cwd=cwd, options=options, **changes))
    ours = accelerated(*arguments, cwd=cwd, options=options, **changes)
    assert ours == plain
    return ours


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


# Running a program


def test_script_sees_what_it_sees_under_python(tmp_path):
    write(tmp_path / "sub" / "program.py", SEEN)
    outcome = same(os.path.join("sub", "program.py"), "a b", "-m", "--json", cwd=tmp_path)
    assert outcome.status == 0
    assert "'a b', '-m', '--json'" in outcome.stdout


def test_script_through_a_link_has_the_place_of_its_target_on_the_path(tmp_path):
    script = write(tmp_path / "real" / "program.py", "import neighbour; print(neighbour.NAME)")
    write(tmp_path / "real" / "neighbour.py", "NAME = 'found'")
    try:
        (tmp_path / "link.py").symlink_to(script)
    except OSError:
        pytest.skip("this system makes no links")
    assert same("link.py", cwd=tmp_path).stdout == "found\n"


@pytest.mark.parametrize("options", [("-P",), ("-O",), ("-W", "error"), ("-X", "utf8")], ids=" ".join)
def test_interpreter_options_count_for_the_program(tmp_path, options):
    write(tmp_path / "program.py", SEEN.replace("sys.path[0]", "sys.path[0] == sys.path[-1], sys.flags"))
    same("program.py", cwd=tmp_path, options=options)


def test_module_sees_what_it_sees_under_python(tmp_path):
    write(tmp_path / "package" / "__init__.py", "import sys; print('package', sys.argv)")
    write(tmp_path / "package" / "module.py", SEEN)
    outcome = same("-m", "package.module", "x", cwd=tmp_path)
    assert outcome.stdout.startswith("package ['-m', 'x']\n")


def test_package_runs_its_main(tmp_path):
    write(tmp_path / "package" / "__init__.py", "")
    write(tmp_path / "package" / "__main__.py", SEEN + "from . import __name__ as name; print(name)")
    outcome = same("-m", "package", cwd=tmp_path)
    assert outcome.stdout.endswith("package\n")


def test_command_sees_what_it_sees_under_python(tmp_path):
    assert same("-c", SEEN, "x", cwd=tmp_path).stdout.startswith("['-c', 'x']")


def test_directory_and_zip_file_run_their_main(tmp_path):
    source = SEEN + "import neighbour"
    write(tmp_path / "directory" / "__main__.py", source)
    write(tmp_path / "directory" / "neighbour.py", "print('neighbour')")
    with zipfile.ZipFile(tmp_path / "program.zip", "w") as archive:
        archive.writestr("__main__.py", source)
        archive.writestr("neighbour.py", "print('neighbour')")
    for name in ("directory", "program.zip"):
        for options in ((), ("-P",)):
            outcome = same(name, "x", cwd=tmp_path, options=options)
            assert (outcome.status, outcome.stdout.endswith("neighbour\n")) == (0, True)


def test_compiled_script_runs(tmp_path):
    import py_compile

    script = write(tmp_path / "program.py", SEEN)
    py_compile.compile(str(script), cfile=str(tmp_path / "compiled.pyc"), dfile="program.py", doraise=True)
    script.unlink()
    assert same("compiled.pyc", cwd=tmp_path).status == 0


def test_source_encoding_and_future_statements_are_the_programs_own(tmp_path):
    source = "# -*- coding: latin-1 -*-\nprint('\u00e9')\ndef f(x: undefined): pass\nprint('annotated')\n"
    (tmp_path / "program.py").write_bytes(source.encode("latin-1"))
    same("program.py", cwd=tmp_path)
    (tmp_path / "marked.py").write_bytes(b"\xef\xbb\xbfprint('marked')")
    assert same("marked.py", cwd=tmp_path).stdout == "marked\n"


@pytest.mark.parametrize("source", [" print(1)", "\n  if 1:\n    print(2)\n", "\tprint(3)\n\tprint(4)"])
def test_indented_command_is_treated_as_this_version_treats_it(tmp_path, source):
    same("-c", source, cwd=tmp_path)


# What is installed


def test_program_gets_our_objects_before_its_first_line(tmp_path):
    write(
        tmp_path / "program.py",
        "from contextlib import asynccontextmanager\nimport _acontextlib\n"
        "print(asynccontextmanager is _acontextlib.asynccontextmanager)",
    )
    for arguments in (["program.py"], ["-m", "program"], ["-c", (tmp_path / "program.py").read_text()]):
        outcome = accelerated(*arguments, cwd=tmp_path)
        assert outcome == (0, "True\n", "")
    if sys.implementation.name == "cpython":
        assert python("program.py", cwd=tmp_path).stdout == "False\n"


# How it ends


def test_uncaught_exception_shows_only_the_programs_frames(tmp_path):
    write(tmp_path / "program.py", FAILS)
    outcome = same("program.py", cwd=tmp_path)
    assert (outcome.status, outcome.stdout) == (1, "before\n")
    assert outcome.stderr.count("Traceback (most recent call last)") == 2
    assert same("-m", "program", cwd=tmp_path).stderr == outcome.stderr
    command = same("-c", FAILS, cwd=tmp_path)
    assert "in outer" in command.stderr
    for text in (outcome.stderr, command.stderr):
        assert "runpy" not in text
        assert "_acontextlib" not in text


def test_syntax_error_is_reported_without_a_traceback(tmp_path):
    write(tmp_path / "program.py", "x = (\n")
    outcome = same("program.py", cwd=tmp_path)
    assert outcome.status == 1
    assert "Traceback" not in outcome.stderr
    assert same("-m", "program", cwd=tmp_path).status == 1
    assert same("-c", "x = (", cwd=tmp_path).status == 1


@pytest.mark.parametrize("argument", ["", "0", "3", "'a message'", "None", "[1]", "True", "-1"])
def test_system_exit_gives_its_status(tmp_path, argument):
    write(tmp_path / "program.py", f"import sys\nsys.exit({argument})")
    same("program.py", cwd=tmp_path)


def test_os_exit_and_abnormal_ends_are_the_programs_own(tmp_path):
    assert same("-c", "import os; os._exit(7)", cwd=tmp_path).status == 7
    assert same("-c", "raise GeneratorExit", cwd=tmp_path).status == 1
    assert same("-c", "raise BaseException('bare')", cwd=tmp_path).status == 1


@pytest.mark.skipif(sys.platform == "win32", reason="signals are POSIX's")
def test_keyboard_interrupt_dies_of_the_signal_as_shells_expect(tmp_path):
    source = "import os, signal, time\nprint('started', flush=True)\nos.kill(os.getpid(), signal.SIGINT)\ntime.sleep(9)"
    write(tmp_path / "program.py", source)
    for arguments in (["program.py"], ["-c", source], ["-m", "program"]):
        outcome = same(*arguments, cwd=tmp_path)
        assert outcome.status == -signal.SIGINT
        assert outcome.stderr.rstrip().endswith("KeyboardInterrupt")


def test_missing_programs_are_refused_in_pythons_words(tmp_path):
    assert same("missing.py", cwd=tmp_path).status == 2
    assert same("-m", "missing", cwd=tmp_path).status == 1
    write(tmp_path / "package" / "__init__.py", "")
    assert "cannot be directly executed" in same("-m", "package", cwd=tmp_path).stderr
    write(tmp_path / "empty" / "file.txt", "")
    assert "can't find '__main__' module" in same("empty", cwd=tmp_path).stderr


def test_import_error_of_a_parent_package_shows_only_its_frames(tmp_path):
    write(tmp_path / "package" / "__init__.py", "raise LookupError('broken package')")
    write(tmp_path / "package" / "module.py", "")
    outcome = accelerated("-m", "package.module", cwd=tmp_path)
    assert outcome.status == 1
    assert "broken package" in outcome.stderr
    assert re.findall(r'File "([^"]+)"', outcome.stderr)[-1] == str(tmp_path / "package" / "__init__.py")
    assert "_acontextlib" not in outcome.stderr


def test_programs_own_excepthook_gets_the_programs_traceback(tmp_path):
    source = """
import sys, traceback
def hook(kind, value, tb):
    print(kind, value, [frame.name for frame in traceback.extract_tb(tb)])
    print(value.__traceback__ is tb, sys.last_traceback is tb, sys.excepthook is hook)
sys.excepthook = hook
def fail():
    raise KeyError(1)
fail()
"""
    write(tmp_path / "program.py", source)
    outcome = same("program.py", cwd=tmp_path)
    assert "['<module>', 'fail']\nTrue True True\n" in outcome.stdout


def test_exit_handlers_and_threads_run_as_after_any_program(tmp_path):
    source = """
import atexit, sys, threading, time
atexit.register(lambda: print("exit", sys.excepthook is sys.__excepthook__, sys.modules["__main__"].MARK))
MARK = "mark"
def work():
    time.sleep(0.2)
    print("thread", sys.modules["__main__"].MARK, flush=True)
threading.Thread(target=work).start()
raise RuntimeError("main")
"""
    write(tmp_path / "program.py", source)
    outcome = same("program.py", cwd=tmp_path)
    assert outcome.stdout == "thread mark\nexit True mark\n"
    assert outcome.status == 1


def test_classes_of_the_program_can_be_pickled_and_sent_to_spawned_processes(tmp_path):
    source = """
import multiprocessing, pickle, sys
class Thing:
    def __init__(self, number):
        self.number = number
def double(thing):
    return Thing(thing.number * 2)
if __name__ == "__main__":
    print(pickle.loads(pickle.dumps(Thing(1))).number, Thing.__module__)
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        print(pool.map(double, [Thing(21)])[0].number)
"""
    write(tmp_path / "program.py", source)
    for arguments in (["program.py"], ["-m", "program"]):
        assert same(*arguments, cwd=tmp_path) == (0, "1 __main__\n42\n", "")


# The command line


def test_help_and_wrong_use(tmp_path):
    helped = accelerated("--help", cwd=tmp_path)
    assert (helped.status, helped.stderr) == (0, "")
    assert "-m MODULE" in helped.stdout
    for arguments in (["--wrong"], ["-m"], ["-c"], ["--json", "x"]):
        assert accelerated(*arguments, cwd=tmp_path) == (2, "", helped.stdout)


# Alone: the check and the table

REPORT = "import _acontextlib._report as report; report.report"


def test_alone_checks_and_measures(tmp_path):
    import _acontextlib

    outcome = accelerated(cwd=tmp_path)
    assert (outcome.status, outcome.stderr) == (0, "")
    assert all(len(line) <= 80 for line in outcome.stdout.splitlines())
    assert f"implementation: {_acontextlib.implementation}" in outcome.stdout
    assert f"drive: {_acontextlib.drive}" in outcome.stdout
    assert len(re.findall(r"^  ok     \w", outcome.stdout, re.MULTILINE)) >= 12
    assert "FAILED" not in outcome.stdout
    rows = re.findall(r"^(\S.*?) +\d+ +\d+ +(?:\d+|-) +\d+\.\d\dx  \S+$", outcome.stdout, re.MULTILINE)
    assert {"bare yield", "suppressing", "decorating", "empty stack", "nullcontext", "aclosing"} <= set(rows)
    assert len(rows) == 14


def test_alone_prints_plain_characters_where_the_terminal_has_no_others(tmp_path):
    outcome = python("-c", f"{REPORT}(rounds=1)", cwd=tmp_path, PYTHONIOENCODING="ascii")
    assert outcome.status == 0
    assert re.search(r"x  #+\.*$", outcome.stdout, re.MULTILINE)


def test_json_holds_the_same(tmp_path):
    outcome = accelerated("--json", cwd=tmp_path)
    assert (outcome.status, outcome.stderr) == (0, "")
    result = json.loads(outcome.stdout)
    assert all(check["ok"] for check in result["checks"])
    assert len(result["checks"]) >= 12
    rows = {row["key"]: row for row in result["rows"]}
    assert len(rows) == 14
    assert all(row["ours"] > 0 and row["stdlib"] > 0 for row in rows.values())
    assert rows["bare"]["gain"] == pytest.approx(rows["bare"]["stdlib"] / rows["bare"]["ours"], rel=0.05)


BREAK = """
import contextlib, sys
import _acontextlib, _acontextlib._report as report
from functools import wraps

class Swallowing(contextlib._AsyncGeneratorContextManager):
    async def __aexit__(self, kind, value, traceback):
        await super().__aexit__(kind, value, traceback)
        return True

def broken(function):
    return wraps(function)(lambda *args, **kwds: Swallowing(function, args, kwds))

_acontextlib.asynccontextmanager = broken
sys.exit(report.report(as_json="--json" in sys.argv, rounds=1))
"""


def test_behaviour_that_differs_is_named_and_gives_status_1(tmp_path):
    outcome = python("-c", BREAK, cwd=tmp_path)
    assert outcome.status == 1
    assert "FAILED an exception passes through as itself\n" in outcome.stdout
    assert "ok     what the generator awaits reaches whoever drives it\n" in outcome.stdout
    assert "of the behaviours above differ" in outcome.stderr


def test_behaviour_that_differs_is_in_the_json_and_gives_status_1(tmp_path):
    outcome = python("-c", BREAK, "--json", cwd=tmp_path)
    assert outcome.status == 1
    failed = [check for check in json.loads(outcome.stdout)["checks"] if not check["ok"]]
    assert "an exception passes through as itself" in [check["name"] for check in failed]
    assert all(check["ours"] != check["stdlib"] for check in failed)


def test_installed_at_start_up_it_still_compares_with_the_stdlib(tmp_path):
    program = """
import _acontextlib, contextlib
original = contextlib.asynccontextmanager
_acontextlib.install()
import _acontextlib._report as report
report.report(as_json=True, rounds=1)
print(contextlib.asynccontextmanager is original)
"""
    outcome = python("-c", program, cwd=tmp_path)
    assert outcome.status == 0
    assert outcome.stdout.endswith("}\nTrue\n")


@pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")
def test_progress_is_drawn_on_a_terminal_and_wiped(tmp_path):
    import pty

    reader, writer = pty.openpty()
    command = [sys.executable, "-c", f"{REPORT}(rounds=4)"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=writer, cwd=tmp_path, env=environment()):
        pass
    os.close(writer)
    drawn = os.read(reader, 100_000).decode()
    os.close(reader)
    assert [share.strip() for share in re.findall(r"\] ([ \d]+)%", drawn)] == ["0", "25", "50", "75"]
    *_, last, blank, end = drawn.split("\r")
    assert (blank, end) == (" " * len(last), "")
