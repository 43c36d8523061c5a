"""What random programs are given beside the library: awaitables, odd callbacks, subclasses, generator hooks.

Nothing of this is compared; each reports to the ``observer.Observer`` of its run.
"""

import asyncio
import atexit
import contextlib
import functools
import sys
import types
from types import TracebackType

__all__ = ["FILE", "PAUSES", "TracebackType", "Undecided", "hooks", "manager_class", "odd", "stack_class"]

FILE = "<program>"


# Awaitables that suspend once.


class GeneratorPause:
    """An awaitable that yields its label once and returns what is sent back."""

    def __init__(self, observer, label):
        self.observer = observer
        self.label = label

    def __await__(self):
        self.observer.note_place(sys._getframe(1))
        return (yield self.label)


class IteratorPause:
    """The same as an iterator that knows neither send() nor throw() nor close()."""

    def __init__(self, observer, label):
        self.observer = observer
        self.label = label
        self.done = False

    def __await__(self):
        return self

    def __iter__(self):
        return self

    def __next__(self):
        self.observer.note_place(sys._getframe(1))
        if self.done:
            raise StopIteration("iterated")
        self.done = True
        return self.label


class ThrowingPause(IteratorPause):
    """One that knows all three: throw() ends it with a value, close() fails."""

    def send(self, value):
        self.observer.log(self.label, "is sent", value)
        return self.__next__()

    def throw(self, kind, *_):
        # Not how many arguments there are: see differences.md.
        kind = kind if isinstance(kind, type) else type(kind)
        self.observer.log(self.label, "is thrown", kind.__name__)
        if kind is KeyError:
            raise self.observer.new(KeyError)
        raise StopIteration("thrown")

    def close(self):
        self.observer.log(self.label, "is closed")
        raise self.observer.new(RuntimeError)


@types.coroutine
def flagged_pause(observer, label):
    observer.note_place(sys._getframe(1))
    return (yield label)


PAUSES = {
    "generator": GeneratorPause,
    "iterator": IteratorPause,
    "throwing": ThrowingPause,
    "flagged": flagged_pause,
}


class Undecided:
    """Neither true nor false."""

    def __init__(self, observer):
        self.observer = observer

    def __bool__(self):
        raise self.observer.new(ValueError)


# Asynchronous exit callbacks whose result is unusual to await.


class Bad:
    def __await__(self):
        return 5


class Failing:
    def __init__(self, observer):
        self.observer = observer

    def __await__(self):
        raise self.observer.new(ValueError)


@types.coroutine
def decorated_exit(observer):
    observer.note_place(sys._getframe(1))
    yield "decorated generator"
    return True


async def twice(observer):
    await GeneratorPause(observer, "twice")


async def logged_wait(observer, *details):
    observer.seen("coroutine", *details)
    await GeneratorPause(observer, "odd coroutine")


def odd(observer, kind):
    if kind == "coroutine":
        return functools.partial(logged_wait, observer)
    if kind == "generator":
        return lambda *details: decorated_exit(observer)
    result = {"number": 5, "not_an_iterator": Bad(), "fails": Failing(observer)}.get(kind)
    if kind == "iterator":
        result = IteratorPause(observer, "odd iterator")
    elif kind == "awaited_twice":
        result = twice(observer)
        result.send(None)
        observer.keep(result)

    def exit(*details):
        observer.seen(kind, *details)
        return result

    return exit


# Subclasses.


def manager_class(observer, kind):
    class Managed(observer.lib._AsyncGeneratorContextManager):
        pass

    def override(method):
        setattr(Managed, method.__name__, method)

    if kind == "enter":

        @override
        async def __aenter__(self):
            observer.log("enters")
            value = await super(Managed, self).__aenter__()
            observer.log("entered", value)
            return value

    if kind in ("exit", "exit_twice", "quiet"):

        @override
        async def __aexit__(self, *details):
            observer.seen("subclass", *details)
            result = await super(Managed, self).__aexit__(*details)
            observer.log("left", result)
            if kind == "exit_twice":
                return await super(Managed, self).__aexit__(*details)
            return kind == "quiet" or result

    if kind == "recreate":

        @override
        def _recreate_cm(self):
            observer.log("made anew")
            return observer.keep(super(Managed, self)._recreate_cm())

    return Managed


def stack_class(observer, kind):
    class Stacked(observer.lib.AsyncExitStack):
        pass

    def override(method):
        setattr(Stacked, method.__name__, method)

    if kind == "push":

        @override
        def _push_exit_callback(self, callback, is_sync=True):
            observer.log("pushes", is_sync)
            super(Stacked, self)._push_exit_callback(callback, is_sync)

    if kind == "enter":

        @override
        async def __aenter__(self):
            observer.log("enters")
            return await super(Stacked, self).__aenter__()

    if kind == "exit":

        @override
        async def __aexit__(self, *details):
            observer.seen("subclass", *details)
            result = await super(Stacked, self).__aexit__(*details)
            observer.log("left", result)
            return result

    if kind == "async_exit":

        @override
        def _push_async_cm_exit(self, manager, manager_exit):
            observer.log("pushes", manager)
            super(Stacked, self)._push_async_cm_exit(manager, manager_exit)

    if kind == "pop_all":

        @override
        def pop_all(self):
            observer.log("pops all")
            return super(Stacked, self).pop_all()

    return Stacked


# Hooks.


@functools.cache
def event_loop():
    loop = asyncio.new_event_loop()
    atexit.register(loop.close)
    return loop


def known_to_loop(gen):
    return gen in event_loop()._asyncgens


@contextlib.contextmanager
def hooks(observer, kind):
    """Set the interpreter's async generator hooks for a run."""
    before = sys.get_asyncgen_hooks()
    loop = None
    calls = [0]

    def first(gen):
        observer.log(f"first iteration of {gen.__name__}")
        calls[0] += 1
        if kind == "first_raises" and calls[0] % 2:
            raise observer.new(ValueError)
        if kind == "driving" and calls[0] < 4:
            observer.drive("hook", gen.asend(None))

    def last(gen):
        observer.log(f"finaliser of {gen.__name__}")
        if kind == "last_raises":
            raise observer.new(ValueError)

    if kind.startswith("asyncio"):
        loop = event_loop()
        loop._asyncgens_shutdown_called = kind != "asyncio"
        first = loop._asyncgen_firstiter_hook
    sys.set_asyncgen_hooks(*((None, None) if kind == "none" else (first, last)))
    try:
        yield
    finally:
        sys.set_asyncgen_hooks(*before)
        if loop is not None:
            loop._asyncgens.clear()
