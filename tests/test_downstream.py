"""What compares other projects' test suites on both implementations; `nox -s downstream` runs it on the real ones."""

from collections import Counter

import pytest
from downstream import compare
from processes import environment

CONFIGURATION = """
[tool.pytest.ini_options]
addopts = "-p early -p no:anyio -p no:asyncio -p no:hypothesispytest --strict-markers"
xfail_strict = true
filterwarnings = ["error"]
"""

# A plugin of the project's own that has the project's managers; ours must be there before it.
EARLY = """
from contextlib import AsyncExitStack, asynccontextmanager

@asynccontextmanager
async def manager():
    yield
"""

TESTS = """
import inspect, sys, types

import pytest
from early import AsyncExitStack, manager

def test_passes():
    pass

@pytest.mark.parametrize("number", [1, 2])
def test_fails(number):
    raise OSError("no network")

@pytest.mark.skip
def test_skipped():
    pass

@pytest.mark.xfail
def test_expected():
    assert False

@pytest.fixture
def broken():
    yield
    raise KeyError

def test_fails_twice(broken):
    assert False

def native(method):
    awaitable = method()
    awaitable.close()
    return isinstance(awaitable, types.CoroutineType)

def test_stdlib_only():
    assert native(AsyncExitStack().aclose)

def test_ours_only():
    assert not native(manager().__aexit__)

def test_other_exception():
    raise KeyError if native(AsyncExitStack().aclose) else ValueError

def test_skipped_on_ours():
    if not native(manager().__aexit__):
        pytest.skip("it says")
""".replace("native(manager().__aexit__)", "native(lambda: manager().__aexit__(None, None, None))")

SAME = {
    "test_passes": "passed",
    "test_fails[1]": "failed (OSError)",
    "test_fails[2]": "failed (OSError)",
    "test_skipped": "skipped",
    "test_expected": "xfailed (AssertionError)",
    "test_fails_twice": "failed (AssertionError), error (KeyError)",
}
DIFFERENT = {
    "test_stdlib_only": ("passed", "failed (AssertionError)"),
    "test_ours_only": ("failed (AssertionError)", "passed"),
    "test_other_exception": ("failed (KeyError)", "failed (ValueError)"),
    "test_skipped_on_ours": ("passed", "skipped"),
}


@pytest.fixture
def project(tmp_path, monkeypatch):
    """What runs the tests of a small project, whose files can be changed."""
    monkeypatch.setenv("PYTHONPATH", environment()["PYTHONPATH"])
    monkeypatch.setattr(compare, "LEAST_ROUNDS", 1)
    monkeypatch.setattr(compare, "MOST_ROUNDS", 1)
    folder = tmp_path / "project"
    (folder / "src").mkdir(parents=True)
    (folder / "tests").mkdir()
    (folder / "pyproject.toml").write_text(CONFIGURATION)
    (folder / "src" / "early.py").write_text(EARLY)
    (folder / "tests" / "test_project.py").write_text(TESTS)
    return compare.Runner(folder, ("-v",), tmp_path)


def test_tests_that_end_otherwise_are_found(project, capsys):
    (project.folder / "tests" / "test_broken.py").write_text("import nothing_of_that_name")
    runs, suspects = compare.compare(project, ["tests"])
    prefix = "tests/test_project.py::"
    assert {test: run["collecting tests/test_broken.py"][1] for test, run in runs.items()} == {
        "stdlib": "error",
        "ours": "error",
    }
    for name, position in (("stdlib", 0), ("ours", 1)):
        found = {test.removeprefix(prefix): outcome for test, (_, outcome) in runs[name].items() if prefix in test}
        assert found == SAME | {test: outcomes[position] for test, outcomes in DIFFERENT.items()}
    assert {test: suspect.first for test, suspect in suspects.items()} == {
        prefix + test: {"stdlib": stdlib, "ours": ours} for test, (stdlib, ours) in DIFFERENT.items()
    }
    for suspect in suspects.values():
        assert suspect.rounds == {name: Counter([outcome]) for name, outcome in suspect.first.items()}
        assert suspect.differs()
    compare.tell(f"{prefix}test_ours_only", suspects[f"{prefix}test_ours_only"])
    assert capsys.readouterr().out.splitlines() == [
        f"DIFFERENCE: {prefix}test_ours_only",
        "    stdlib: failed (AssertionError); then 1 x failed (AssertionError)",
        "    ours: passed; then 1 x passed",
    ]
    counts = "3 / 2 | 5 / 5 | 1 / 1 | 1 / 2 | 1 / 1"
    assert compare.row("project", runs, suspects).split(" | ", 2)[2] == f"{counts} | 4 | none |"


def test_process_that_dies_tells_nothing_but_where(project):
    dies = "import os\n\ndef test_before():\n    pass\n\ndef test_dies():\n    os.abort()\n"
    (project.folder / "tests" / "test_project.py").write_text(dies)
    with pytest.raises(compare.Meaningless, match="within tests/test_project.py::test_dies"):
        project.run("ours", "tests", name="dies")


HEADER = "platform linux\nacontextlib: c, direct drive\nacontextlib rebound: {}\nrootdir: /\n"


def test_run_in_which_ours_are_missing_or_late_tells_nothing(project):
    project.check_header(HEADER.format("ast:nullcontext, triotools:aclosing"))
    with pytest.raises(compare.Meaningless, match="trio.testing:aclosing"):
        project.check_header(HEADER.format("ast:nullcontext, trio.testing:aclosing"))
    with pytest.raises(compare.Meaningless, match="not installed"):
        project.check_header("platform linux\nacontextlib: stdlib, none drive\n")


class Prepared:
    """Has the outcomes of one test ready, by implementation, and those where only its file runs; the last goes on."""

    def __init__(self, alone=None, **outcomes):
        self.outcomes = outcomes
        self.alone = alone or outcomes
        self.targets = []

    def run(self, implementation, *targets, name):
        self.targets.append(targets)
        left = (self.outcomes if targets == ("tests",) else self.alone)[implementation]
        outcome = left.pop(0) if len(left) > 1 else left[0]
        return {"test": ("file", outcome), "other": ("other file", "passed")} if outcome else {}


@pytest.mark.parametrize(
    ("stdlib", "ours", "rounds", "again", "different"),
    [
        (["passed"], ["passed"], 0, 0, None),
        (["failed", "passed"], ["passed"], 3, 1, False),
        (["passed"], ["failed", "passed"], 3, 1, False),
        (["passed"], ["failed"], 10, 0, True),
        (["passed"], ["failed", "passed", "passed", "failed", "passed"], 10, 0, True),
        (["failed", *["passed"] * 4, "failed", "passed"], ["passed", "failed", "passed"], 5, 1, False),
        (["passed", None], ["failed", None], 10, 0, True),
    ],
)
def test_fickle_tests_are_told_from_differences(stdlib, ours, rounds, again, different):
    runner = Prepared(stdlib=list(stdlib), ours=list(ours))
    _, suspects = compare.compare(runner, ["tests"])
    assert runner.targets == [("tests",)] * 2 + [("file",)] * 2 * rounds + [("tests",)] * 2 * again
    assert [suspect.differs() for suspect in suspects.values()] == ([] if different is None else [different])


@pytest.mark.parametrize(
    ("ours", "again", "different"),
    [
        (["failed"], 2, True),
        (["failed", "passed"], 1, False),
        (["failed", "failed", "passed"], 2, False),
        (["failed", "error"], 1, False),
    ],
)
def test_what_only_all_tests_together_show_is_a_difference_if_they_always_do(ours, again, different, capsys):
    runner = Prepared({"stdlib": ["passed"], "ours": ["passed"]}, stdlib=["passed"], ours=ours)
    _, suspects = compare.compare(runner, ["tests"])
    assert runner.targets == [("tests",)] * 2 + [("file",)] * 6 + [("tests",)] * 2 * again
    assert suspects["test"].differs() is different
    compare.tell("test", suspects["test"])
    assert ("the same whenever all tests run" in capsys.readouterr().out) is different
