"""One fixture over the stdlib's objects and ours on both drives, so that each behaviour test runs on all of them.

The loading itself is in `implementations.py`, for tests that cannot use a fixture (the fuzzer, subprocesses).
"""

import gc
import os

import implementations
import pytest

# `nox -s gc`: 1 has the collector run at nearly every allocation.
if "ACONTEXTLIB_GC_THRESHOLD" in os.environ:
    gc.set_threshold(int(os.environ["ACONTEXTLIB_GC_THRESHOLD"]))


@pytest.fixture(params=implementations.NAMES, scope="session")
def lib(request):
    """A namespace with the async half of contextlib: `lib.asynccontextmanager`, ..., and `lib.name`."""
    return implementations.load(request.param)


@pytest.fixture(params=implementations.OURS, scope="session")
def ours(request):
    """Like `lib`, without the stdlib."""
    return implementations.load(request.param)


@pytest.fixture(scope="session")
def stdlib():
    """Like `lib`, the stdlib only."""
    return implementations.load("stdlib")


@pytest.fixture(autouse=True, scope="module")
def _others_frozen():
    """Leave what earlier files have left out of the tests' own collections, which then take no time to speak of."""
    gc.freeze()
    yield
    gc.unfreeze()
