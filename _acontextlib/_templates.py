"""Python that the C code makes its objects from, or learns from, when it is imported.

What must be a real function or a real class of the interpreter is written here: the functions that users get, the
classes with abstract bases, and the signatures that wrong calls are measured against.  Names with an underscore that
are not defined here belong to the C module, whose names are the functions' globals.
"""

import contextlib
import sys
from contextlib import AbstractAsyncContextManager, AbstractContextManager, AsyncContextDecorator

# -- asynccontextmanager and the code of what it returns --


def asynccontextmanager(func):
    return _decorate(func)  # noqa: F821


def helper_template(func):
    def helper(*args, **kwds):
        return _new_manager(func, args, kwds)  # noqa: F821

    return helper.__code__.replace(co_qualname="asynccontextmanager.<locals>.helper")


helper_code = helper_template(None)
asynccontextmanager.__doc__ = contextlib.asynccontextmanager.__doc__
asynccontextmanager.__module__ = "contextlib"

# -- classes --


class InstanceDoc(property):
    """``__doc__`` of a class whose instances may have another."""

    def __get__(self, instance, owner=None):
        if instance is not None:
            with contextlib.suppress(AttributeError):
                return super().__get__(instance, owner)
        return self.class_doc


def manager_class(base, aenter, aexit, recreate_cm):
    """The class of managers: its layout comes from ``base``, its abstract bases are those of the stdlib's."""
    twin = contextlib._AsyncGeneratorContextManager

    class _AsyncGeneratorContextManager(base, AbstractAsyncContextManager, AsyncContextDecorator):
        __slots__ = ()
        __doc__ = InstanceDoc(base._doc.__get__, base._doc.__set__, base._doc.__delete__)
        __doc__.class_doc = twin.__doc__
        __aenter__ = aenter
        __aexit__ = aexit
        __getstate__ = manager_getstate
        __setstate__ = manager_setstate
        __reduce_ex__ = manager_reduce_ex

    base._recreate_cm = recreate_cm
    adopt(_AsyncGeneratorContextManager, twin)
    return _AsyncGeneratorContextManager


def manager_getstate(self):
    """What the stdlib's manager has in its dictionary; copies are made from it."""
    attributes = {
        name: getattr(self, name) for name in ("gen", "func", "args", "kwds", "__doc__") if hasattr(self, name)
    }
    return attributes | vars(self)


def manager_setstate(self, state):
    for name in state:  # not of items(), whose iterator CPython cannot give up before it is whole, for want of memory
        setattr(self, name, state[name])


def manager_reduce_ex(self, protocol):
    """Copies share the generator; pickling and deep copies fail on it, hence it comes first."""
    return restore_manager, (getattr(self, "gen", None), type(self), self.__getstate__())


def restore_manager(gen, cls, state):
    self = cls.__new__(cls)
    self.__setstate__(state)
    return self


def adopt(cls, twin):
    """Give ``cls`` the names of the stdlib's ``twin``, whose instances those of ``cls`` are to be taken for."""
    del cls.__slots__
    cls.__module__ = twin.__module__
    cls.__qualname__ = twin.__qualname__
    if hasattr(twin, "__firstlineno__"):  # 3.13 and later, where inspect.getsource() goes by it
        cls.__firstlineno__ = twin.__firstlineno__
    twin.register(cls)


def twin_of(name):
    return getattr(contextlib, name)


def class_like(twin, base, methods):
    """A class that looks like the stdlib's ``twin``: its layout comes from ``base``, its methods from C."""
    abstract = tuple(cls for cls in (AbstractContextManager, AbstractAsyncContextManager) if cls in twin.__mro__)
    stored = tuple(name for name in ("_exit_callbacks", "thing", "enter_result") if hasattr(base, name))
    # What the stdlib's methods call on a stack, and what subclasses may override.
    helpers = {
        name: value
        for cls in reversed(twin.__mro__)
        for name, value in vars(cls).items()
        if name.startswith(("_create_", "_push_"))
    }
    state = {"__getstate__": getstate_of(stored), "__setstate__": setstate, "__reduce_ex__": reduce_ex}
    namespace = {"__slots__": (), "__doc__": twin.__doc__, **helpers, **state, **methods}
    cls = type(twin)(twin.__name__, (base, *abstract), namespace)
    adopt(cls, twin)
    return cls


def getstate_of(stored):
    def __getstate__(self):
        """The attributes, which the stdlib has all in the dictionary of the instance."""
        state = object.__getstate__(self)
        attributes, slots = state if isinstance(state, tuple) else (state, None)
        held = {name: getattr(self, name) for name in stored if hasattr(self, name)}
        return ({**held, **(attributes or {})}, slots) if slots else {**held, **(attributes or {})}

    return __getstate__


def setstate(self, state):
    for part in state if isinstance(state, tuple) else (state,):
        for name in part or {}:
            setattr(self, name, part[name])


def reduce_ex(self, protocol):
    """As of any object; but until install() puts our classes into contextlib, pickles have to find them with us."""
    import _acontextlib

    cls = type(self)
    if getattr(_acontextlib, cls.__name__, None) is cls is not getattr(contextlib, cls.__name__):
        return new_instance, (cls.__name__,), self.__getstate__()
    return object.__reduce_ex__(self, protocol)


def new_instance(name):
    import _acontextlib

    cls = getattr(_acontextlib, name)
    return cls.__new__(cls)


def unpack_entry(entry):
    is_sync, callback = entry
    return is_sync, callback


# -- signatures: called with the arguments of a call that C does not take at once --


def signature_of(qualname):
    """Have the interpreter's error about wrong arguments name ``qualname``."""

    def name(function):
        function.__qualname__ = qualname
        return function

    return name


@signature_of("_GeneratorContextManagerBase.__init__")
def bind_init(self, func, args, kwds):
    return func, args, kwds


@signature_of("_AsyncGeneratorContextManager.__aenter__")
def bind_aenter(self):
    return ()


@signature_of("_AsyncGeneratorContextManager.__aexit__")
def bind_aexit(self, typ, value, traceback):
    return typ, value, traceback


@signature_of("_GeneratorContextManagerBase._recreate_cm")
def bind_recreate(self):
    return ()


def call(func, args, kwds):
    return func(*args, **kwds)


def coroutine_mark(name):
    """What a function has as its attribute ``name`` to be taken for a coroutine function."""
    if name == "_is_coroutine":
        from asyncio.coroutines import _is_coroutine

        return _is_coroutine
    import inspect

    if not hasattr(inspect, "markcoroutinefunction"):  # before 3.12
        raise AttributeError(name)
    return getattr(inspect.markcoroutinefunction(lambda: None), name)


# -- what asyncio does for each async generator --

# What the code that C stands in for looks up; and what it does, too, where nothing is removed while a set is iterated.
HOOK_NAMES = {"_asyncgens_shutdown_called", "warnings", "warn", "ResourceWarning", "_asyncgens", "add"}
ADD_NAMES, ADD_DEFERRING_NAMES = {"data", "add", "ref", "_remove"}, {"_pending_removals", "_commit_removals"}
REMOVE_NAMES, REMOVE_DEFERRING_NAMES = {"data", "discard"}, {"_iterating", "_pending_removals", "append"}


def asyncio_hook(function):
    """Whether ``function`` is the firstiter hook of asyncio's loops, and what C does in its stead is as C knows it.

    If so, ``WeakSet``, its ``add``, the code of its callback and whether it defers removals (up to 3.13), else None.
    Nothing is imported: where there is a loop of asyncio's, that was.
    """
    events, weakrefset = sys.modules.get("asyncio.base_events"), sys.modules.get("_weakrefset")
    try:
        if function is not vars(events.BaseEventLoop)["_asyncgen_firstiter_hook"]:
            return None
        weakset = weakrefset.WeakSet
        add, init = weakset.add, weakset.__init__
        [remove] = (each for each in init.__code__.co_consts if getattr(each, "co_name", None) == "_remove")
        names = [set(code.co_names) for code in (function.__code__, add.__code__, remove)]
        defers = "_pending_removals" in names[1]
        original = (
            function.__globals__ is vars(events)
            and add.__globals__ is init.__globals__ is vars(weakrefset)
            and names[0] == HOOK_NAMES
            and names[1] == (ADD_NAMES | ADD_DEFERRING_NAMES if defers else ADD_NAMES)
            and names[2] == (REMOVE_NAMES | REMOVE_DEFERRING_NAMES if defers else REMOVE_NAMES)
        )
    except (AttributeError, KeyError, TypeError, ValueError):
        return None
    return (weakset, add, remove, defers) if original else None


# -- how this interpreter runs async generators --


class Pause:
    """Suspends whoever awaits it; also a finalizer hook that counts its calls and leaves the generators alone."""

    finalized = 0

    def __await__(self):
        yield self

    def __call__(self, generator):
        self.finalized += 1


async def probe(pause, token):
    """Suspend at an await, at a yield and at an await again, for the C code to see how each is marked."""
    try:
        await pause
        yield token
    finally:
        await pause


# Whether this contextlib closes a generator that did not stop (from 3.11.7 and 3.12.1 on; earlier ones only raise).
closes_on_misuse = "aclose" in contextlib._AsyncGeneratorContextManager.__aexit__.__code__.co_names
