"""Load what the tests compare: the running interpreter's contextlib, and `_acontextlib._core` once per drive.

`_core` keeps its state per module and so can be loaded twice in one process. A second copy, made while
ACONTEXTLIB_DRIVE says "public", never enters `sys.modules`. Where the self-test at import was made to fail, for the
whole process, there is the public drive only.
"""

import contextlib
import functools
import importlib
import importlib.util
import os
import sys
from types import SimpleNamespace

_DRIVES = ("c-fallback",) if os.environ.get("ACONTEXTLIB_SELF_TEST_FAILS") else ("c-direct", "c-public")
OURS = _DRIVES if sys.implementation.name == "cpython" else ()
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


def _imported():
    return importlib.import_module("_acontextlib._core")


def copy_of_core(**environment):
    """The extension once more, as it is when imported in that environment; it never enters `sys.modules`."""
    core = _imported()
    spec = importlib.util.spec_from_file_location(core.__name__, core.__file__)
    before = {name: os.environ.get(name) for name in environment}
    os.environ.update(environment)
    try:
        copy = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(copy)
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
    return copy


def _load_core(name):
    core = copy_of_core(ACONTEXTLIB_DRIVE="public") if name == "c-public" else _imported()
    wanted = "direct" if name == "c-direct" else "public"
    if core.drive != wanted:
        raise RuntimeError(f"_acontextlib._core uses the {core.drive} drive where the tests need {wanted}")
    return core


@functools.cache
def load(name):
    """Return the namespace called `name`; names that are not yet in C are the stdlib's."""
    if name == "stdlib":
        return SimpleNamespace(name=name, core=None, **{key: getattr(contextlib, key) for key in PUBLIC})
    core = _load_core(name)
    missing = [key for key in REQUIRED if not hasattr(core, key)]
    if missing:
        raise RuntimeError(f"_acontextlib._core lacks {', '.join(missing)}")
    found = {key: getattr(core, key, getattr(contextlib, key)) for key in PUBLIC}
    return SimpleNamespace(name=name, core=core, **found)
