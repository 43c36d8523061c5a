"""What the tests of asyncio's hook for async generators have in common."""

import asyncio
import contextlib
import sys
import threading

from helpers import VERSION

DEFERS_REMOVALS = VERSION < (3, 14)  # the loop's set does, while somebody iterates over it


@contextlib.contextmanager
def hooks_of(loop):
    """The hooks as a running loop sets them, around coroutines that are driven by hand."""
    before = sys.get_asyncgen_hooks()
    sys.set_asyncgen_hooks(loop._asyncgen_firstiter_hook, loop._asyncgen_finalizer_hook)
    try:
        yield
    finally:
        sys.set_asyncgen_hooks(*before)


def manager_of(lib, log=None):
    @lib.asynccontextmanager
    async def manager():
        try:
            yield "value"
        finally:
            if log is not None:
                log.append((asyncio.get_running_loop(), threading.get_ident()))

    return manager
