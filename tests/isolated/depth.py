"""Nest everything as deep as it goes: RecursionError where a program asks for it, and never the end of the C stack.

    python tests/isolated/depth.py [IMPLEMENTATION [SITUATION...]]

Prints a line for each situation as it is over: "NAME: OUTCOME". The situations of `ENDLESS` recurse without a Python
frame that would count the levels; those of `LONG` make chains of objects that hold each other, and drop them.
"""

import sys
import threading
import warnings
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import implementations
from helpers import Pause, run

DEPTH = 60_000  # a C stack of 8 MB has room for less than 140 bytes of each level
# From 3.14 on the interpreter watches the stack itself, so a small one shows the same in less time.
SMALL_STACK = 1 << 20 if sys.version_info >= (3, 14) else 0
ENDLESS, LONG = {}, {}


def endless(function):
    ENDLESS[function.__name__] = function
    return function


def long(function):
    LONG[function.__name__] = function
    return function


# -- endless --


@endless
def entering_enters_itself(lib):
    stack = lib.AsyncExitStack()

    class Manager:
        def __aenter__(self):
            return stack.enter_async_context(self)

        async def __aexit__(self, *details):
            pass

    run(stack.enter_async_context(Manager()))


@endless
def managers_in_managers(lib):
    @lib.asynccontextmanager
    async def function():
        async with function():
            yield

    run(function().__aenter__())


@endless
def managers_in_stacks_in_managers(lib):
    @lib.asynccontextmanager
    async def function():
        async with lib.AsyncExitStack() as stack:
            yield await stack.enter_async_context(function())

    run(function().__aenter__())


@endless
def closing_closes_itself(lib):
    class Thing:
        def aclose(self):
            return lib.aclosing(self).__aexit__(None, None, None)

    run(lib.aclosing(Thing()).__aexit__(None, None, None))


@endless
def leaving_leaves_itself(lib):
    stack = lib.AsyncExitStack()

    def again():
        stack.push_async_callback(again)
        return stack.aclose()

    run(again())


@endless
def stacks_in_stacks(lib):
    outer = lib.AsyncExitStack()
    for _ in range(DEPTH):
        inner, outer = outer, lib.AsyncExitStack()
        outer.push_async_exit(inner)
    try:
        run(outer.aclose())
    finally:
        del inner, outer


def manager_of(lib, generator):
    @lib.asynccontextmanager
    async def function():
        yield

    manager = function()
    manager.gen = generator
    return manager


class Iterator:
    """Stands for a generator in a manager, which it leaves again."""

    def __aiter__(self):
        return self

    def __anext__(self):
        return self.manager.__aexit__(None, None, None)

    def athrow(self, *args):
        return self.manager.__aexit__(ValueError, ValueError(), None)

    aclose = athrow


class OneTooMany(Iterator):
    async def __anext__(self):
        return "too many"

    aclose = Iterator.__anext__


def leave_own_manager(lib, iterator, *details):
    iterator.manager = manager_of(lib, iterator)
    try:
        run(iterator.manager.__aexit__(*details))
    finally:
        del iterator.manager


@endless
def next_of_a_manager_leaves_it(lib):
    leave_own_manager(lib, Iterator(), None, None, None)


@endless
def throw_of_a_manager_leaves_it(lib):
    leave_own_manager(lib, Iterator(), ValueError, ValueError(), None)


@endless
def clean_up_of_a_manager_leaves_it(lib):
    from helpers import CLOSES_ON_MISUSE

    if not CLOSES_ON_MISUSE:
        raise RecursionError
    leave_own_manager(lib, OneTooMany(), None, None, None)


class Wrapped:
    """Awaits what an awaitable that is suspended goes on with."""

    def __init__(self, awaitable):
        self.awaitable = awaitable

    def __await__(self):
        return self.awaitable.__await__()


class Forever:
    def __await__(self):
        while True:
            yield


def suspended(lib, awaitable):
    stack = lib.AsyncExitStack()
    stack.push_async_callback(lambda: awaitable)
    leaving = stack.aclose()
    leaving.send(None)
    return leaving


@endless
def awaitables_that_await_awaitables(lib):
    """Each is begun over those that are suspended, so that all of them are resumed each time."""
    awaitable = suspended(lib, Forever())
    for _ in range(DEPTH):
        awaitable = suspended(lib, Wrapped(awaitable))


# -- long --


def make_manager(lib):
    @lib.asynccontextmanager
    async def function(*args, **kwargs):
        yield

    return function


@long
def managers_as_arguments(lib):
    function, held = make_manager(lib), None
    for _ in range(DEPTH):
        held = function(held)


@long
def managers_as_one_of_many_arguments(lib):
    function, held = make_manager(lib), None
    for _ in range(DEPTH):
        held = function(held, 1, 2, 3, key=4)


@long
def open_managers_as_arguments(lib):
    function, held = make_manager(lib), None
    for _ in range(DEPTH):
        held = function(held)
        run(held.__aenter__())


@long
def managers_as_documentation(lib):
    held = None
    for _ in range(DEPTH):

        def function():
            pass

        function.__doc__ = held
        held = lib.asynccontextmanager(function)()


@long
def bound_methods_as_arguments(lib):
    function, held = make_manager(lib), None
    for _ in range(DEPTH):
        held = function(held).__aenter__


@long
def unstarted_awaitables_as_arguments(lib):
    manager, held = make_manager(lib)(), None
    for _ in range(DEPTH):
        held = manager.__aexit__(ValueError, held, None)


@long
def unstarted_awaitables_of_managers(lib):
    function, held = make_manager(lib), None
    for _ in range(DEPTH):
        held = function(held).__aenter__()


@long
def awaitables_as_names_of_awaitables(lib):
    class Name(str):
        __slots__ = ("held",)

    manager, held = make_manager(lib)(), None
    for _ in range(DEPTH):
        name = Name()
        name.held, held = held, manager.__aenter__()
        held.__name__ = name
    del name


@long
def stacks_in_callbacks_of_stacks(lib):
    held = None
    for _ in range(DEPTH):
        stack = lib.AsyncExitStack()
        stack.callback(print, held)
        held = stack
    del stack


@long
def values_in_values(lib):
    held = None
    for _ in range(DEPTH):
        held = lib.nullcontext(lib.aclosing(held))


# -- at the limit --


def program(lib, log):
    """Uses everything, and returns when all of it was left again."""

    @lib.asynccontextmanager
    async def function(name, **kwds):
        log.append(f"+{name}")
        await Pause()
        try:
            yield name
        except LookupError:
            await Pause()
        finally:
            log.append(f"-{name}")

    @lib.asynccontextmanager
    async def twice():
        yield
        yield

    async def numbers():
        yield 1

    async def main():
        async with lib.AsyncExitStack() as stack:
            await stack.enter_async_context(function(1))
            other = stack.pop_all()
            inner = await stack.enter_async_context(lib.AsyncExitStack())
            inner.push_async_callback(other.aclose)
            stack.callback(log.append, "callback")
            len(stack._exit_callbacks)
            async with function(2, key=3), lib.nullcontext(), lib.aclosing(numbers()) as found:
                async for _ in found:
                    pass
                await function(4)(stack.__aenter__)()
                raise KeyError
        try:
            async with twice():
                pass
        except RuntimeError as exc:
            log.append(str(exc))

    run(main())
    return log


@long
def at_each_distance_from_the_limit(lib):
    """However few frames are left: done or RecursionError, and the next time it is done as ever."""
    expected, limit = program(lib, []), sys.getrecursionlimit()
    frame, depth = sys._getframe(), 0
    while frame is not None:
        frame, depth = frame.f_back, depth + 1
    done = 0
    for left in range(3, 60):
        try:
            sys.setrecursionlimit(depth + left)
            done += program(lib, []) == expected
        except RecursionError:
            pass
        finally:
            sys.setrecursionlimit(limit)
        assert program(lib, []) == expected, left
    assert done > 40


def play(function, lib):
    try:
        function(lib)
    except RecursionError:
        outcome = "RecursionError"
    except BaseException as exc:
        outcome = repr(exc)
    else:
        outcome = "done"
    print(f"{function.__name__}: {outcome}", flush=True)


def main(name="c-direct", *situations):
    warnings.simplefilter("ignore")  # about awaitables that are never awaited
    lib = implementations.load(name)
    known = ENDLESS | LONG
    threading.stack_size(SMALL_STACK)
    for situation in situations or known:
        if SMALL_STACK:
            thread = threading.Thread(target=play, args=(known[situation], lib))
            thread.start()
            thread.join()
        else:
            play(known[situation], lib)


if __name__ == "__main__":
    main(*sys.argv[1:])
