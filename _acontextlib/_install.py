"""Put our objects into the ``contextlib`` module, and take them out again.

``install()`` changes what ``contextlib.asynccontextmanager`` and its siblings are from now on. A name that a module
already imported with ``from contextlib import ...`` keeps the object it had, so install before the program's own
imports; running it with ``python -m _acontextlib`` does that.

contextlib's own code looks some of these names up in its globals when it runs, and so finds ours while they are
installed: functions decorated with the stdlib's ``asynccontextmanager`` make our managers, and the decorator form of
3.15 closes async generators with our ``aclosing``. Both behave as the stdlib's, which is what makes replacing them
sound.
"""

import _thread
import contextlib
import sys

NAMES = ("asynccontextmanager", "_AsyncGeneratorContextManager", "AsyncExitStack", "aclosing", "nullcontext")

if sys.implementation.name == "cpython":
    from _acontextlib import _core

    # A name without an object of ours is the stdlib's own already.
    _ours = {name: getattr(_core, name) for name in NAMES if hasattr(_core, name)}
else:
    _ours = {}

_lock = _thread.allocate_lock()
_replaced = {}


def install():
    """Replace the names in contextlib by ours.

    Returns a dict of the objects they replaced, by name: the stdlib's, also when everything was installed before and
    this call had nothing left to do. On other implementations than CPython nothing is replaced and the dict is empty.
    """
    with _lock:
        for name, ours in _ours.items():
            current = getattr(contextlib, name)
            if current is not ours:
                _replaced.setdefault(name, current)
                setattr(contextlib, name, ours)
        return dict(_replaced)


def uninstall():
    """Put back what install() replaced; without an install() before it, do nothing.

    A name that somebody else has set since then is theirs and stays as it is.
    """
    with _lock:
        for name, original in _replaced.items():
            if getattr(contextlib, name, None) is _ours[name]:
                setattr(contextlib, name, original)
        _replaced.clear()
