"""Put our objects into the ``contextlib`` module, and take them out again.

``install()`` changes what ``contextlib.asynccontextmanager`` and its siblings are from now on. A name that a module
already imported with ``from contextlib import ...`` keeps the object it had, so install before the program's own
imports; running it with ``python -m _acontextlib`` does that.  ``install(rebind=True)`` looks for such names, too.

contextlib's own code looks some of these names up in its globals when it runs, and so finds ours while they are
installed: functions decorated with the stdlib's ``asynccontextmanager`` make our managers, and the decorator form of
3.15 closes async generators with our ``aclosing``. Both behave as the stdlib's, which is what makes replacing them
sound.
"""

import _thread
import contextlib
import sys
from _weakref import ref
from types import FunctionType, ModuleType

NAMES = ("asynccontextmanager", "_AsyncGeneratorContextManager", "AsyncExitStack", "aclosing", "nullcontext")

if sys.implementation.name == "cpython":
    from _acontextlib import _core

    # A name without an object of ours is the stdlib's own already.
    _ours = {name: getattr(_core, name) for name in NAMES if hasattr(_core, name)}
else:
    _ours = {}

_lock = _thread.allocate_lock()
_replaced = {}
# For each global name that was rebound: a weak reference to the module or function whose globals have it, the module's
# name, the global name, and which of NAMES it was.
_rebound = []


def install(*, rebind=False):
    """Replace the names in contextlib by ours; with `rebind`, also where modules have imported them already.

    `rebind` looks at the globals of each module in `sys.modules`, whatever name the objects have there. What is in
    classes, closures, defaults or containers stays, and so does what was made of them before: instances, subclasses.

    Returns a dict of the objects they replaced: by name those of contextlib, such as "AsyncExitStack", and by module
    and name, such as "app.database:asynccontextmanager" (what `pkgutil.resolve_name()` takes), those that were rebound.
    It has what earlier calls replaced, too. On other implementations than CPython nothing is replaced and the dict is
    empty.
    """
    _lock.acquire()
    try:
        return _install(rebind)
    finally:
        _lock.release()


def uninstall():
    """Put back what install() replaced; without an install() before it, do nothing.

    A name that somebody else has set since then is theirs and stays as it is.
    """
    _lock.acquire()
    try:
        _uninstall()
    finally:
        _lock.release()


# The work is in functions of its own, and no `with` is used, because of what happens where there is no memory left:
# the lock's __exit__() could not be called, and 3.11 tries for ever to enter an exception handler far from the start of
# its function.


def _install(rebind):
    for name, ours in _ours.items():
        current = getattr(contextlib, name)
        if current is not ours:
            _replaced.setdefault(name, current)
            setattr(contextlib, name, ours)
    if rebind:
        _rebind_modules()
    return {**_replaced, **{f"{module}:{name}": _replaced[what] for _, module, name, what in _rebound}}


def _uninstall():
    for name, original in _replaced.items():
        if getattr(contextlib, name, None) is _ours[name]:
            setattr(contextlib, name, original)
    for reference, _, name, what in _rebound:
        namespace = _globals_of(reference())
        if namespace.get(name) is _ours[what]:
            namespace[name] = _replaced[what]
    _rebound.clear()
    _replaced.clear()


def _rebind_modules():
    """Give ours to the global names that hold what install() has replaced."""
    wanted = {id(original): name for name, original in _replaced.items()}
    done = {id(vars(contextlib)): vars(contextlib)}
    for name, module in _modules():
        if name.partition(".")[0] == "_acontextlib":
            # Here the stdlib's objects are wanted as such, to compare and measure with.
            done[id(_globals_of(module))] = _globals_of(module)
    for module_name, holder in _holders_of_globals():
        namespace = _globals_of(holder)
        if type(namespace) is not dict or id(namespace) in done:
            continue
        done[id(namespace)] = namespace
        for name, value in namespace.copy().items():
            what = wanted.get(id(value))
            if what is not None and type(name) is str and namespace.get(name) is value:
                _rebound.append((ref(holder), module_name, name, what))
                namespace[name] = _ours[what]


def _holders_of_globals():
    """Each module, and its functions: those of a program that runpy ran have globals that are no module's any more."""
    for name, module in _modules():
        yield name, module
        for value in _globals_of(module).copy().values():
            if type(value) is FunctionType:
                yield name, value


def _modules():
    """What is in `sys.modules` and really a module, by its type: there may be anything, which must not be asked."""
    return [
        (name, module)
        for name, module in sys.modules.copy().items()
        if type(name) is str and issubclass(type(module), ModuleType)
    ]


def _globals_of(holder):
    if type(holder) is FunctionType:
        return holder.__globals__
    # Not vars(), which asks a lazy module for `__dict__` and so loads it. A module that is gone or cleared has none.
    return (holder is not None and ModuleType.__dict__["__dict__"].__get__(holder)) or {}
