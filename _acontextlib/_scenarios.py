"""What is measured: each scenario once, for every implementation.

A scenario is built for a library (`contextlib` or `_acontextlib`, or anything with the same names) or from
hand-written classes, and gives a coroutine function `run(n)` that does the operation n times in a loop and never
suspends. What takes no part in the difference (exceptions, callbacks, loops) is the same code for each.
"""

import sys
from functools import partial
from typing import NamedTuple


class Scenario(NamedTuple):
    title: str
    build: object  # library -> run
    by_hand: object = None  # () -> run, with a hand-written class, or the code one writes without an exit stack
    driven: object = None  # () -> run, the bare generator driven with __anext__() and athrow()
    short: str = ""  # the title in a narrow table; only scenarios with one are shown there


async def empty_loop(n):
    """What the loop itself costs: to be subtracted."""
    for _ in range(n):
        pass


# What users write with the library.


async def bare():
    yield


async def valued():
    yield 42


async def guarded(a, b, *, c):
    try:
        yield a
    finally:
        del b, c


async def suppressing():
    try:
        yield
    except ValueError:
        pass


async def numbers():
    for number in range(3):
        yield number


async def async_callback(argument):
    pass


def callback(argument):
    pass


# The same by hand.


class Manager:
    async def __aenter__(self):
        return None

    async def __aexit__(self, kind, value, traceback):
        return False


class ValueManager(Manager):
    async def __aenter__(self):
        return 42


class GuardedManager(Manager):
    def __init__(self, a, b, *, c):
        self.a = a
        self.b = b
        self.c = c

    async def __aenter__(self):
        return self.a

    async def __aexit__(self, kind, value, traceback):
        self.b = self.c
        return False


class SuppressingManager(Manager):
    async def __aexit__(self, kind, value, traceback):
        return kind is not None and issubclass(kind, ValueError)


class OwnedManager(Manager):
    def __init__(self, owner):
        self.owner = owner


def decorator_by_hand(function):
    async def wrapper(*args, **kwds):
        async with Manager():
            return await function(*args, **kwds)

    return wrapper


# The loops; `run` is what gets measured.


def plain(manager):
    async def run(n):
        for _ in range(n):
            async with manager():
                pass

    return run


def with_value(manager):
    async def run(n):
        for _ in range(n):
            async with manager() as value:
                value  # noqa: B018

    return run


def with_arguments(manager):
    async def run(n):
        for _ in range(n):
            async with manager(1, 2, c=3):
                pass

    return run


def on_method(owner):
    async def run(n):
        for _ in range(n):
            async with owner.session():
                pass

    return run


def method(library):
    class Owner:
        @library.asynccontextmanager
        async def session(self):
            yield

    return on_method(Owner())


def method_by_hand():
    class Owner:
        def session(self):
            return OwnedManager(self)

    return on_method(Owner())


def raising(manager):
    async def run(n):
        for _ in range(n):
            try:
                async with manager():
                    raise ValueError
            except ValueError:
                pass

    return run


def calling(function):
    async def run(n):
        for _ in range(n):
            await function(None)

    return run


def decorating(library):
    decorator = library.asynccontextmanager

    async def run(n):
        for _ in range(n):
            decorator(bare)

    return run


def stack_of(stack, manager, count):
    """Stacks of `count` managers, entered without a loop: a loop would cost as much as what is measured."""
    if count == 1:

        async def run(n):
            for _ in range(n):
                async with stack() as entered:
                    await entered.enter_async_context(manager())

    elif count == 3:

        async def run(n):
            for _ in range(n):
                async with stack() as entered:
                    await entered.enter_async_context(manager())
                    await entered.enter_async_context(manager())
                    await entered.enter_async_context(manager())

    else:

        async def run(n):
            for _ in range(n):
                async with stack() as entered:
                    await entered.enter_async_context(manager())
                    await entered.enter_async_context(manager())
                    await entered.enter_async_context(manager())
                    await entered.enter_async_context(manager())
                    await entered.enter_async_context(manager())

    return run


def three_by_hand():
    async def run(n):
        for _ in range(n):
            async with Manager(), Manager(), Manager():
                pass

    return run


def five_by_hand():
    async def run(n):
        for _ in range(n):
            async with Manager(), Manager(), Manager(), Manager(), Manager():
                pass

    return run


def callbacks(library):
    stack = library.AsyncExitStack

    async def run(n):
        for _ in range(n):
            async with stack() as entered:
                entered.push_async_callback(async_callback, 1)
                entered.callback(callback, 2)

    return run


def callbacks_by_hand():
    async def run(n):
        for _ in range(n):
            try:
                try:
                    pass
                finally:
                    callback(2)
            finally:
                await async_callback(1)

    return run


def raising_through_stack(library):
    stack, manager = library.AsyncExitStack, library.asynccontextmanager(bare)

    async def run(n):
        for _ in range(n):
            try:
                async with stack() as entered:
                    await entered.enter_async_context(manager())
                    await entered.enter_async_context(manager())
                    raise ValueError
            except ValueError:
                pass

    return run


def raising_through_two_by_hand():
    async def run(n):
        for _ in range(n):
            try:
                async with Manager(), Manager():
                    raise ValueError
            except ValueError:
                pass

    return run


def closing(library):
    aclosing = library.aclosing

    async def run(n):
        for _ in range(n):
            async with aclosing(numbers()) as generator:
                async for _number in generator:
                    pass

    return run


def closing_by_hand():
    async def run(n):
        for _ in range(n):
            generator = numbers()
            try:
                async for _number in generator:
                    pass
            finally:
                await generator.aclose()

    return run


def driven_plain(function):
    async def run(n):
        for _ in range(n):
            generator = function()
            await generator.__anext__()
            try:
                await generator.__anext__()
            except StopAsyncIteration:
                pass

    return run


def driven_raising(function):
    async def run(n):
        for _ in range(n):
            generator = function()
            await generator.__anext__()
            try:
                raise ValueError
            except ValueError as error:
                try:
                    await generator.athrow(error)
                except (ValueError, StopAsyncIteration):
                    pass

    return run


def under_asyncio(run):
    """`run` with the hooks in place that an asyncio loop has while it runs.

    They are all that such a loop adds to what never suspends. The loop is closed at once, for nobody would do it later;
    its hooks do not mind.
    """
    import asyncio

    loop = asyncio.new_event_loop()
    loop.close()

    async def hooked(n):
        before = sys.get_asyncgen_hooks()
        sys.set_asyncgen_hooks(loop._asyncgen_firstiter_hook, loop._asyncgen_finalizer_hook)
        try:
            await run(n)
        finally:
            sys.set_asyncgen_hooks(*before)

    return hooked


def over(loop, function):
    """A scenario's `build`: the loop over the function, decorated by the library."""
    return lambda library: loop(library.asynccontextmanager(function))


SCENARIOS = {
    "bare": Scenario(
        "`async with`, bare yield",
        over(plain, bare),
        partial(plain, Manager),
        partial(driven_plain, bare),
        "bare yield",
    ),
    "asyncio": Scenario(
        "bare yield under asyncio",
        lambda library: under_asyncio(plain(library.asynccontextmanager(bare))),
        partial(plain, Manager),
        lambda: under_asyncio(driven_plain(bare)),
        "under asyncio",
    ),
    "value": Scenario(
        "yielding a value",
        over(with_value, valued),
        partial(with_value, ValueManager),
        partial(driven_plain, valued),
        "yielding a value",
    ),
    "arguments": Scenario(
        "two positional + one keyword argument, try/finally",
        over(with_arguments, guarded),
        partial(with_arguments, GuardedManager),
        short="args + try/finally",
    ),
    "method": Scenario("decorated method", method, method_by_hand, short="decorated method"),
    "raises": Scenario(
        "body raises, passes through",
        over(raising, bare),
        partial(raising, Manager),
        partial(driven_raising, bare),
        "raising through",
    ),
    "suppresses": Scenario(
        "body raises, generator suppresses",
        over(raising, suppressing),
        partial(raising, SuppressingManager),
        partial(driven_raising, suppressing),
        "suppressing",
    ),
    "decorated": Scenario(
        "call of a `@cm()` decorated coroutine function",
        lambda library: calling(library.asynccontextmanager(bare)()(async_callback)),
        lambda: calling(decorator_by_hand(async_callback)),
        short="decorated coroutine",
    ),
    "decorating": Scenario("decorating a plain async generator function", decorating, short="decorating"),
    "stack-empty": Scenario(
        "empty stack",
        lambda library: plain(library.AsyncExitStack),
        partial(plain, Manager),
        short="empty stack",
    ),
    "stack-one": Scenario(
        "one decorated generator entered",
        lambda library: stack_of(library.AsyncExitStack, library.asynccontextmanager(bare), 1),
        partial(plain, Manager),
        short="stack, 1 generator",
    ),
    "stack-five": Scenario(
        "five decorated generators",
        lambda library: stack_of(library.AsyncExitStack, library.asynccontextmanager(bare), 5),
        five_by_hand,
    ),
    "stack-classes": Scenario(
        "three hand-written classes",
        lambda library: stack_of(library.AsyncExitStack, Manager, 3),
        three_by_hand,
    ),
    "stack-callbacks": Scenario(
        "one async and one sync callback",
        callbacks,
        callbacks_by_hand,
        short="stack, 2 callbacks",
    ),
    "stack-raises": Scenario(
        "raising through two entered generators",
        raising_through_stack,
        raising_through_two_by_hand,
    ),
    "nullcontext": Scenario(
        "nullcontext",
        lambda library: plain(library.nullcontext),
        partial(plain, Manager),
        short="nullcontext",
    ),
    "aclosing": Scenario("aclosing over an async for", closing, closing_by_hand, short="aclosing"),
}
