"""Threads that share objects: a short run of tests/stress/sharing.py in a process of its own, on both drives."""

import sys
import threading
from pathlib import Path

import pytest
from helpers import FREE_THREADED, Pause, run
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


def test_throw_that_meets_another_threads_send_leaves_it_alone(lib):
    """The other thread has it suspended by the time that the exception is made."""
    begun, go_on = threading.Event(), threading.Event()

    @lib.asynccontextmanager
    async def function():
        begun.set()
        assert go_on.wait(60)
        await Pause("token")
        yield "value"

    cm = function()
    entering = cm.__aenter__()
    sent = []
    thread = threading.Thread(target=lambda: sent.append(entering.send(None)))

    class Late(Exception):
        def __init__(self):
            go_on.set()
            thread.join()

    thread.start()
    assert begun.wait(60)
    with pytest.raises(Exception) as caught:
        entering.throw(Late)
    go_on.set()
    thread.join()
    assert sent == ["token"]
    if lib.name == "stdlib" and sys.version_info < (3, 15):  # it was raised past the generator, which is lost
        assert caught.type is Late
        with pytest.raises(RuntimeError, match="already running"):
            run(cm.gen.aclose())
        return
    assert (caught.type, str(caught.value)) == (ValueError, "coroutine already executing")
    with pytest.raises(StopIteration) as caught:
        entering.send(None)
    assert caught.value.value == "value"
    run(cm.gen.aclose())
