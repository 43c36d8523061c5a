"""However deep things nest, the C stack is not used up: see isolated/depth.py for the situations."""

from pathlib import Path

import implementations
import pytest
from isolated import depth
from processes import python

SCRIPT = Path(__file__).parent / "isolated" / "depth.py"


@pytest.mark.parametrize("name", implementations.NAMES)
def test_endless_recursion_is_an_error(name, tmp_path):
    done = python(SCRIPT, name, *depth.ENDLESS, cwd=tmp_path)
    expected = [f"{situation}: RecursionError" for situation in depth.ENDLESS]
    assert (done.stdout.splitlines(), done.status) == (expected, 0), done.stderr[-2000:]


# Not the stdlib's: the interpreter's own coroutines do not survive all of this before 3.14.
@pytest.mark.parametrize("name", implementations.OURS)
def test_long_chain_of_objects_can_be_dropped(name, tmp_path):
    done = python(SCRIPT, name, *depth.LONG, cwd=tmp_path)
    assert (done.stdout.splitlines(), done.status) == ([f"{situation}: done" for situation in depth.LONG], 0), (
        done.stderr
    )
