"""Threads that share objects: a short run of tests/stress/sharing.py in a process of its own, on both drives."""

from pathlib import Path

import pytest
from helpers import FREE_THREADED
from processes import python

SHARING = Path(__file__).parent / "stress" / "sharing.py"

core = pytest.importorskip("_acontextlib._core")


@pytest.mark.parametrize("drive", ["direct", "public"])
def test_shared_objects_stay_whole(drive, tmp_path):
    options = ("-X", "faulthandler", *(("-X", "gil=0") if FREE_THREADED else ()))
    arguments = ("--seconds", "0.03", "--threads", "4", "--seed", "1")
    ended = python(*options, SHARING, *arguments, cwd=tmp_path, ACONTEXTLIB_DRIVE=drive)
    assert ended.status == 0, ended.stdout[-500:] + ended.stderr
    assert f"{drive} drive" in ended.stdout
    assert ended.stdout.splitlines()[-1].startswith("installed-and-uninstalled: ")


@pytest.mark.skipif(not FREE_THREADED, reason="only builds that can do without a GIL have a choice")
def test_import_leaves_the_gil_off(tmp_path):
    program = "import sys, _acontextlib; print(sys._is_gil_enabled())"
    ended = python("-W", "error", "-c", program, cwd=tmp_path, PYTHON_GIL="")
    assert (ended.status, ended.stdout) == (0, "False\n"), ended.stderr
