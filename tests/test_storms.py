"""Short storms: stress/storms.py has what they are, `nox -s storms` the long ones."""

import importlib.util
import sys
from pathlib import Path

import implementations
import pytest
from processes import python
from stress import storms

SCRIPT = Path(storms.__file__)
SHORT = ("--seconds", "0", "--tasks", "600", "--seed", "1")


def needs(loop):
    if loop != "asyncio" and importlib.util.find_spec(loop) is None:
        pytest.skip(f"{loop} is not installed")
    if sys.platform == "win32":
        pytest.skip("timers that send signals are POSIX's")


@pytest.mark.parametrize("name", implementations.OURS)
@pytest.mark.parametrize("loop", storms.LOOPS)
def test_short_storm_leaves_nothing_behind(loop, name, tmp_path):
    needs(loop)
    done = python(SCRIPT, "--loop", loop, "--implementation", name, *SHORT, cwd=tmp_path, options=("-X", "dev"))
    assert done.status == 0, done.stdout + done.stderr


LOSES = """
import sys
sys.path.insert(0, {folder!r})
import storms
release = storms.Ledger.release
storms.Ledger.release = lambda ledger, number: {instead}
faults, line = storms.storm("stdlib", tasks=300, seconds=0, seed=1)
print(*faults[:3], sep="\\n")
"""


@pytest.mark.parametrize(
    ("instead", "said"),
    [
        ("number % 5 and release(ledger, number)", "resources are still held"),
        ("(release(ledger, number), number % 5 or release(ledger, number))", "was released twice"),
        (
            "(release(ledger, number), setattr(sys, 'kept', storms.contextlib.AsyncExitStack()))",
            "are alive",
        ),
    ],
)
def test_storm_finds_what_is_lost(instead, said, tmp_path):
    needs("asyncio")
    program = LOSES.format(folder=str(SCRIPT.parent), instead=instead)
    assert said in python("-c", program, cwd=tmp_path).stdout
