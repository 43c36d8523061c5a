"""Load what the tests compare: the running interpreter's contextlib, and `_acontextlib._core` once per drive.

`_core` keeps its state per module and so can be loaded twice in one process. A second copy, made while
ACONTEXTLIB_DRIVE says "public", never enters `sys.modules`.
"""

import contextlib
import functools
import importlib
import importlib.util
import os
import sys
from types import SimpleNamespace

OURS = ("c-direct", "c-public") if sys.implementation.name == "cpython" else ()
NAMES = ("stdlib", *OURS)

PUBLIC = (
    "asynccontextmanager",
    "_AsyncGeneratorContextManager",
    "AsyncExitStack",
    "aclosing",
    "nullcontext",
    "AbstractAsyncContextManager",
    "AsyncContextDecorator",
)
REQUIRED = ("asynccontextmanager", "_AsyncGeneratorContextManager")


def _load_core(drive):
    core = importlib.import_module("_acontextlib._core")
    if drive == "public":
        spec = importlib.util.spec_from_file_location(core.__name__, core.__file__)
        before = os.environ.get("ACONTEXTLIB_DRIVE")
        os.environ["ACONTEXTLIB_DRIVE"] = "public"
        try:
            core = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(core)
        finally:
            if before is None:
                del os.environ["ACONTEXTLIB_DRIVE"]
            else:
                os.environ["ACONTEXTLIB_DRIVE"] = before
    if core.drive != drive:
        raise RuntimeError(f"_acontextlib._core uses the {core.drive} drive where the tests need {drive}")
    return core


@functools.cache
def load(name):
    """Return the namespace called `name`; names that are not yet in C are the stdlib's."""
    if name == "stdlib":
        return SimpleNamespace(name=name, core=None, **{key: getattr(contextlib, key) for key in PUBLIC})
    core = _load_core(name.removeprefix("c-"))
    missing = [key for key in REQUIRED if not hasattr(core, key)]
    if missing:
        raise RuntimeError(f"_acontextlib._core lacks {', '.join(missing)}")
    found = {key: getattr(core, key, getattr(contextlib, key)) for key in PUBLIC}
    return SimpleNamespace(name=name, core=core, **found)
