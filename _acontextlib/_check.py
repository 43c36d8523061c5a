"""A quick check that our objects behave on this interpreter as its own contextlib's do.

Each behaviour is a small program that takes the library to use and returns what it observed; it runs once on each
library, and the two observations must be equal. The test-suite checks far more; this is for the machine at hand,
where the test-suite is not installed.
"""

import inspect
import sys

from _acontextlib._measure import drive

BEHAVIOURS = {}


def behaviour(name):
    def register(function):
        BEHAVIOURS[name] = function
        return function

    return register


def differences(ours, stdlib):
    """Run every behaviour on both; yields its name and, where they differ, what each did (else None)."""
    for name, function in BEHAVIOURS.items():
        got, expected = observe(function, ours), observe(function, stdlib)
        yield name, None if got == expected else (got, expected)


def observe(function, library):
    """What `function` observed, comparable; an exception that escapes is an observation as well."""
    try:
        result = function(library)
        return drive(result) if inspect.iscoroutine(result) else result
    except Exception as error:
        return describe(error)


def describe(error):
    """An exception and those behind it, by type and arguments."""
    if error is None:
        return None
    return type(error).__name__, error.args, describe(error.__cause__), describe(error.__context__)


class Pause:
    """Suspend once, so that whoever drives the coroutine sees `token`; returns what is sent back."""

    def __init__(self, token):
        self.token = token

    def __await__(self):
        return (yield self.token)


@behaviour("enter, body, clean-up in this order, the yielded value bound")
async def order(library):
    events = []

    @library.asynccontextmanager
    async def manager(*args, **kwds):
        events.append((args, kwds))
        yield "value"
        events.append("clean-up")

    async with manager(1, b=2) as value:
        events.append(value)
    return events


@behaviour("an exception passes through as itself")
async def passes_through(library):
    events = []
    raised = ValueError("body")

    @library.asynccontextmanager
    async def manager():
        try:
            yield
        except ValueError as error:
            events.append((error is raised, sys.exc_info()[1] is raised))
            raise

    try:
        async with manager():
            raise raised
    except ValueError as error:
        events.append((error is raised, lines(error)))
    return events


def lines(error):
    """The lines of this file that an exception's traceback names; contextlib's own are allowed to differ."""
    found = []
    traceback = error.__traceback__
    while traceback is not None:
        if traceback.tb_frame.f_code.co_filename == __file__:
            found.append(traceback.tb_lineno)
        traceback = traceback.tb_next
    return found


@behaviour("a caught exception is suppressed")
async def suppresses(library):
    @library.asynccontextmanager
    async def manager():
        try:
            yield
        except ValueError:
            pass

    async with manager():
        raise ValueError
    entered = manager()
    await entered.__aenter__()
    error = ValueError()
    return await entered.__aexit__(ValueError, error, None)


@behaviour("an exception raised in its place has it as context")
async def replaces(library):
    @library.asynccontextmanager
    async def manager():
        try:
            yield
        except ValueError:
            raise KeyError("second") from None

    try:
        async with manager():
            raise ValueError("first")
    except KeyError as error:
        return describe(error), error.__suppress_context__


@behaviour("StopIteration and StopAsyncIteration from the body are not swallowed")
async def stop_iterations(library):
    @library.asynccontextmanager
    async def manager():
        yield

    seen = []
    for kind in (StopIteration, StopAsyncIteration):
        raised = kind("body")
        try:
            async with manager():
                raise raised
        except kind as error:
            seen.append(error is raised)
    return seen


@behaviour("generator didn't yield")
async def no_yield(library):
    @library.asynccontextmanager
    async def manager():
        if False:
            yield

    async with manager():
        pass


@behaviour("generator didn't stop, and is closed")
async def no_stop(library):
    events = []

    @library.asynccontextmanager
    async def manager():
        try:
            yield
            yield
        except BaseException as error:
            events.append(describe(error))
            raise

    for body_raises in (False, True):
        held = manager()  # where it is not closed, contextlib's frame would hold it for longer than ours does
        try:
            async with held:
                if body_raises:
                    raise GeneratorExit
        except (RuntimeError, GeneratorExit) as error:
            events.append(describe(error))
    return events


@behaviour("what the generator awaits reaches whoever drives it")
def suspends(library):
    events = []

    @library.asynccontextmanager
    async def manager():
        events.append(await Pause("entering"))
        yield
        events.append(await Pause("leaving"))

    async def body():
        async with manager():
            events.append(await Pause("inside"))

    coroutine = body()
    sent = None
    try:
        for sent in (None, 1, 2, 3):
            events.append(coroutine.send(sent))
    except StopIteration:
        events.append(("done", sent))
    return events


@behaviour("an exception thrown in while entering reaches the generator's await")
def thrown_in(library):
    events = []

    @library.asynccontextmanager
    async def manager():
        try:
            await Pause("entering")
        except KeyError as error:
            events.append(describe(error))
            await Pause("cleaning")
            raise
        yield

    async def body():
        async with manager():
            events.append("never")

    coroutine = body()
    events.append(coroutine.send(None))
    events.append(coroutine.throw(KeyError("cancel")))
    try:
        coroutine.send(None)
    except KeyError as error:
        events.append(describe(error))
    return events


@behaviour("closing a suspended body runs the clean-up")
def closed(library):
    events = []

    @library.asynccontextmanager
    async def manager():
        try:
            yield
        except GeneratorExit as error:
            events.append(describe(error))
            raise
        finally:
            events.append("clean-up")

    async def body():
        async with manager():
            await Pause("inside")

    coroutine = body()
    coroutine.send(None)
    coroutine.close()
    return events


@behaviour("as a decorator, a new manager for each call")
async def decorates(library):
    events = []

    @library.asynccontextmanager
    async def manager(name):
        events.append(f"enter {name}")
        yield
        events.append(f"exit {name}")

    @manager("a")
    async def function(argument, *, keyword):
        """Doc."""
        events.append((argument, keyword))
        return argument + keyword

    results = [await function(1, keyword=2), await function(3, keyword=4)]
    return events, results, function.__name__, function.__doc__, inspect.iscoroutinefunction(function)


@behaviour("a decorated function keeps its name, documentation and signature")
def metadata(library):
    async def manager(a, /, b: int = 2, *, c=None):
        """Doc."""
        yield

    wrapper = library.asynccontextmanager(manager)
    return (
        inspect.isfunction(wrapper),
        wrapper.__name__,
        wrapper.__qualname__,
        wrapper.__doc__,
        wrapper.__module__,
        wrapper.__wrapped__ is manager,
        str(inspect.signature(wrapper)),
        wrapper(1).__doc__,
    )


@behaviour("a stack unwinds in reverse order, with the arguments given")
async def unwinds(library):
    events = []

    async def later(*args, **kwds):
        events.append((args, kwds))

    @library.asynccontextmanager
    async def manager(name):
        yield name
        events.append(name)

    async with library.AsyncExitStack() as stack:
        events.append(await stack.enter_async_context(manager("first")))
        stack.push_async_callback(later, 1, a=2)
        stack.callback(events.append, "sync")
        moved = stack.pop_all()
        stack.callback(events.append, "kept")
    await moved.aclose()
    return events


@behaviour("a stack chains what its callbacks raise, and suppresses")
async def unwinds_raising(library):
    events = []

    async def fails(message):
        raise KeyError(message)

    async def suppress(kind, value, traceback):
        events.append(describe(value))
        return True

    async with library.AsyncExitStack() as stack:
        stack.push_async_exit(suppress)
        stack.push_async_callback(fails, "second")
        stack.push_async_callback(fails, "first")
        raise ValueError("body")
    return events


@behaviour("aclosing closes, nullcontext does nothing, both in both protocols")
async def small_ones(library):
    events = []

    async def numbers():
        try:
            yield 1
            yield 2
        finally:
            events.append("closed")

    async with library.aclosing(numbers()) as generator:
        async for number in generator:
            events.append(number)
            break
    async with library.nullcontext(3) as value:
        events.append(value)
    with library.nullcontext(4) as value:
        events.append(value)
    return events
