"""Allocations that fail: see isolated/nomemory.py for the scenarios; `nox -s nomemory` runs them all.

Here are those of one allocation that fails, with full freelists; the import of the module on one drive only.
"""

import re
from pathlib import Path

import implementations
import pytest
from helpers import DEBUG, FREE_THREADED, VERSION
from processes import python

SCRIPT = Path(__file__).parent / "isolated" / "nomemory.py"
GROUPS = ("calls", "manager", "misuse", "suspended", "decorator form", "objects", "stack", "unwind", "simple")

pytest.importorskip("_testcapi", reason="needs _testcapi, which has the allocations fail")
pytestmark = [
    pytest.mark.skipif(VERSION in ((3, 12), (3, 13)), reason="the interpreter itself crashes where memory is short"),
    pytest.mark.skipif(FREE_THREADED, reason="without the GIL there are no freelists, and nothing is kept in reserve"),
    pytest.mark.skipif(DEBUG, reason="the interpreter's own assertions fail where memory is short"),
]


def play(*arguments, cwd):
    done = python(SCRIPT, *arguments, cwd=cwd)
    if done.status == 77:
        pytest.skip(done.stdout.strip().removeprefix("skipped: "))
    return done


@pytest.mark.parametrize("drive", implementations.OURS)
@pytest.mark.parametrize("group", GROUPS)
def test_nothing_worse_than_memory_error(group, drive, tmp_path):
    done = play("--group", group, "--drive", drive, "--mode", "one", cwd=tmp_path)
    assert done.status == 0, f"{done.stdout}\n{done.stderr[-2000:]}"
    assert re.search(r"(\d+) scenarios, (\d+) attempts, 0 problems", done.stdout), done.stdout


def test_import_raises_nothing_worse_than_memory_error(tmp_path):
    done = play("--group", "module", "--drive", implementations.OURS[0], "--mode", "one", cwd=tmp_path)
    assert done.status == 0, f"{done.stdout}\n{done.stderr[-2000:]}"


def test_defects_are_found(tmp_path):
    done = play("--group", "defects", "--drive", implementations.OURS[0], "--mode", "one", cwd=tmp_path)
    assert done.status == 1
    for name, said in {
        "loses_a_resource": "lost what the stdlib does not lose: ['resource 0']",
        "releases_twice": "resource 0 acquired 1, released 2 times",
        "takes_the_error_for_another": "raised: LookupError",
        "leaves_the_object_useless": "used again: IndexError",
        "crashes": "crashed at allocation",
    }.items():
        lines = [line for line in done.stdout.splitlines() if line.startswith(f"defect_{name} ")]
        assert [line for line in lines if said in line], f"{name}: {done.stdout}"


def test_no_group_is_left_out(tmp_path):
    groups = [line.split(": ") for line in play("--list", cwd=tmp_path).stdout.splitlines()]
    assert {group for group, _ in groups} == {*GROUPS, "module", "defects"}
    assert len([name for group, name in groups if group != "defects"]) >= 100
