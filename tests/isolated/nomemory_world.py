"""What the scenarios of nomemory.py are made with: how they are named, and the resources that they acquire and release.

Each is a function that makes what is needed while there is memory, and returns what to play without: a function, or a
coroutine function whose coroutine is driven to its end. A second function that is returned is called afterwards, with
memory: it must work on the objects that were used. Counting must not allocate, hence the lists of small numbers.
"""

import functools
from typing import NamedTuple


class Scenario(NamedTuple):
    name: str
    group: str
    prepare: object
    is_async: bool
    is_apart: bool = False  # each attempt in a process of its own


SCENARIOS = {}


def scenario(group, *, is_async=True, is_apart=False):
    def register(prepare):
        SCENARIOS[prepare.__name__] = Scenario(prepare.__name__, group, prepare, is_async, is_apart)
        return prepare

    return register


def each(**variants):
    """Make a scenario of each variant: its keyword is added to the name, its value is the third argument."""

    def register_each(group, *, is_async=True):
        def register(prepare):
            for key, value in variants.items():
                name = f"{prepare.__name__}_{key}"
                made = functools.partial(prepare, variant=value)
                SCENARIOS[name] = Scenario(name, group, made, is_async)
            return prepare

        return register

    return register_each


def drive(coroutine):
    """Run a coroutine to its end with as few allocations as can be."""
    send = coroutine.send
    try:
        while True:
            send(None)
    except StopIteration as stop:
        return stop.value


class Pause:
    """Suspends once; may be awaited again and again."""

    def __await__(self):
        yield "paused"


PAUSE = Pause()
SIZE = 32


class World:
    """The resources of one play: how often each was acquired, released, and released only because it was dropped."""

    def __init__(self, lib):
        self.acquired, self.released, self.dropped = acquired, released, dropped = [0] * SIZE, [0] * SIZE, [0] * SIZE
        self.same = []  # objects to be looked at afterwards

        async def resource(k=0, *rest, name=None, other=None, third=None):
            """A resource."""
            acquired[k] += 1
            try:
                yield k
            except GeneratorExit:
                dropped[k] += 1
                raise
            finally:
                released[k] += 1

        async def suppressing(k=0):
            acquired[k] += 1
            try:
                yield k
            except ValueError:
                pass
            except GeneratorExit:
                dropped[k] += 1
                raise
            finally:
                released[k] += 1

        async def raising(k=0):
            acquired[k] += 1
            try:
                yield k
            except GeneratorExit:
                dropped[k] += 1
                raise
            finally:
                released[k] += 1
                raise LookupError("clean-up")

        async def pausing(k=0):
            await PAUSE
            acquired[k] += 1
            try:
                yield k
            except GeneratorExit:
                dropped[k] += 1
                raise
            finally:
                released[k] += 1
                await PAUSE

        async def yielding_twice(k=0):
            acquired[k] += 1
            try:
                yield k
                yield "too many"
            finally:
                released[k] += 1

        async def yielding_after_error(k=0):
            acquired[k] += 1
            try:
                try:
                    yield k
                except ValueError:
                    yield "too many"
            finally:
                released[k] += 1
                await PAUSE

        async def failing(k=0):
            raise LookupError("enter")
            yield

        async def not_yielding(k=0):
            if k is None:
                yield

        class Plain:
            def __init__(self, k=0):
                self.k = k

            async def __aenter__(self):
                acquired[self.k] += 1
                return self.k

            async def __aexit__(self, *details):
                released[self.k] += 1

        class Sync:
            def __init__(self, k=0):
                self.k = k

            def __enter__(self):
                acquired[self.k] += 1
                return self.k

            def __exit__(self, typ, value, traceback):
                released[self.k] += 1

        made = [resource, suppressing, raising, pausing, yielding_twice, yielding_after_error, failing, not_yielding]
        self.functions = {function.__name__: function for function in made}
        for name, function in self.functions.items():
            setattr(self, name, lib.asynccontextmanager(function))
        self.Plain, self.Sync = Plain, Sync

    def keep(self, thing):
        self.same.append(thing)
        return thing

    def release(self, *_):
        self.released[0] += 1
