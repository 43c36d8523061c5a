"""Wherever a reference is released, arbitrary code may run and come back: see isolated/releases.py for the places."""

from pathlib import Path

import implementations
import pytest
from isolated import releases
from processes import python

SCRIPT = Path(__file__).parent / "isolated" / "releases.py"


@pytest.mark.parametrize("name", implementations.NAMES)
def test_object_stays_whole_whatever_a_released_reference_does(name, tmp_path):
    done = python(SCRIPT, name, cwd=tmp_path, options=("-X", "dev"))
    expected = [f"{place}: ok" for place in releases.PLACES]
    assert (done.stdout.splitlines(), done.status) == (expected, 0), done.stderr[-2000:]
