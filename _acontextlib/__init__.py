"""The async half of contextlib, several times faster and otherwise the same.

The names below replace those of :mod:`contextlib`.  On CPython they are written in C; on any other implementation they
are the running interpreter's own.  ``implementation`` says which ("c" or "stdlib"), ``drive`` how async generators are
run ("direct" or "public").
"""

import sys
from contextlib import AbstractAsyncContextManager, AsyncContextDecorator

if sys.implementation.name == "cpython":
    from _acontextlib._core import (
        AsyncExitStack,
        _AsyncGeneratorContextManager,
        aclosing,
        asynccontextmanager,
        drive,
        nullcontext,
    )

    implementation = "c"
else:
    from contextlib import AsyncExitStack, _AsyncGeneratorContextManager, aclosing, asynccontextmanager, nullcontext

    implementation = "stdlib"
    drive = "public"

from _acontextlib._install import install, uninstall

__all__ = [
    "AbstractAsyncContextManager",
    "AsyncContextDecorator",
    "AsyncExitStack",
    "aclosing",
    "asynccontextmanager",
    "drive",
    "implementation",
    "install",
    "nullcontext",
    "uninstall",
]
__version__ = "0.1.0"
