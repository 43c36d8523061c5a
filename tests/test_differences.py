"""Each difference from the stdlib that is meant or cannot be helped, with the stdlib's behaviour beside ours.

docs/differences.md describes them. What is not here is the same, and the other tests say so.
"""

import asyncio
import collections.abc
import dataclasses
import inspect
import io
import re
import sys
import traceback
import types

import pytest
from helpers import (
    PLAIN,
    VERSION,
    Pause,
    broken,
    catch,
    catch_run,
    chain,
    frame_names,
    is_library_frame,
    leave,
    left_marked,
    run,
)
from waiting import PHASES, prepare


@pytest.fixture
def is_ours(lib):
    return lib.name != "stdlib"


# Awaitables are not of the interpreter's coroutine type, and pass for coroutines everywhere else


def test_awaitable_is_no_native_coroutine(lib, is_ours):
    _, awaitable, _ = prepare(lib, "enter")
    assert inspect.iscoroutine(awaitable) is not is_ours
    assert isinstance(awaitable, types.CoroutineType) is not is_ours
    assert isinstance(awaitable, collections.abc.Coroutine)
    assert asyncio.iscoroutine(awaitable)
    assert inspect.isawaitable(awaitable)
    awaitable.close()


def test_methods_are_marked_as_coroutine_functions(lib, is_ours):
    """Before 3.12 only asyncio knows a mark for functions that are none of the interpreter's."""
    cm, awaitable, _ = prepare(lib, "enter")
    awaitable.close()
    stack = lib.AsyncExitStack()
    known = not is_ours or VERSION >= (3, 12)
    for method in (cm.__aenter__, type(cm).__aexit__, stack.aclose, stack.enter_async_context):
        assert inspect.iscoroutinefunction(method) is known
        if VERSION < (3, 14):
            assert asyncio.iscoroutinefunction(method)
    for method in (stack.push, stack.pop_all, stack.push_async_callback):
        assert not inspect.iscoroutinefunction(method)


# Tracebacks have no frames of the library


def all_frames(exc):
    return [entry for entry, _ in traceback.walk_tb(exc.__traceback__)]


@pytest.mark.parametrize("where", ["entering", "leaving", "replacing", "not yielding", "not stopping"])
def test_traceback_has_no_frames_of_the_library(lib, is_ours, where):
    @lib.asynccontextmanager
    async def manager():
        if where == "entering":
            raise LookupError
        if where == "not yielding":
            return
        try:
            yield
        except ValueError:
            raise LookupError
        if where == "leaving":
            raise LookupError
        if where == "not stopping":
            yield

    async def main():
        async with manager():
            if where == "replacing":
                raise ValueError

    caught = catch_run(main())
    assert any(is_library_frame(frame) for frame in all_frames(caught)) is not is_ours
    expected = ["main"] if where.startswith("not ") else ["main", "manager"]
    assert frame_names(caught) == expected


def test_traceback_of_the_decorator_form_has_the_stdlibs_frame(lib):
    # The wrapper is the stdlib's own there: a real coroutine function.
    @lib.asynccontextmanager
    async def manager():
        yield

    @manager()
    async def function():
        raise ValueError

    async def main():
        await function()

    caught = catch_run(main())
    library_frames = [frame.f_code.co_name for frame in all_frames(caught) if is_library_frame(frame)]
    assert library_frames == (["async_inner"] if VERSION >= (3, 15) else ["inner"])
    assert frame_names(caught) == ["main", "function"]


# Closing


@pytest.mark.parametrize("phase", PHASES)
def test_closing_reaches_the_generator_on_every_version(lib, is_ours, phase):
    cm, awaitable, log = prepare(lib, phase)
    awaitable.send(None)
    assert awaitable.close() is None
    if is_ours or VERSION >= (3, 13):
        assert cm.gen.ag_frame is None
        assert cm.gen.ag_running is left_marked(phase)
        assert log == ["closed"]
    else:
        assert cm.gen.ag_frame is not None
        assert cm.gen.ag_running is True
        caught = catch_run(cm.gen.aclose())
        assert caught.args == ("aclose(): asynchronous generator is already running",)


# Exceptions whose attributes cannot be set


@dataclasses.dataclass(frozen=True)
class Frozen(Exception):
    number: int = 1


class Locked(Exception):
    def __setattr__(self, name, value):
        raise LookupError(name)


class WithProperty(Exception):
    @property
    def __traceback__(self):
        return None


UNSETTABLE = {
    Frozen: (dataclasses.FrozenInstanceError, "cannot assign to field '__traceback__'"),
    Locked: (LookupError, "__traceback__"),
    WithProperty: (AttributeError, None),
}


@pytest.mark.parametrize("kind", UNSETTABLE)
def test_exception_that_forbids_setting_comes_through_as_itself(lib, is_ours, kind):
    @lib.asynccontextmanager
    async def manager():
        yield

    error = kind()
    caught = run(broken(manager(), error))
    if is_ours:
        assert caught is error
        assert caught.__context__ is None
        assert frame_names(caught) == [] if kind is not WithProperty else True
    else:
        expected, text = UNSETTABLE[kind]
        assert type(caught) is expected
        assert text is None or str(caught) == text
        assert error in chain(caught)


@pytest.mark.parametrize("kind", UNSETTABLE)
def test_exception_that_forbids_setting_gets_the_traceback_given_to_exit(ours, kind):
    @ours.asynccontextmanager
    async def manager():
        try:
            yield
        finally:
            await Pause()

    def fails():
        raise error

    error = kind()

    async def main():
        async with manager():
            fails()

    caught = catch_run(main())
    assert caught is error
    shown = BaseException.__dict__["__traceback__"].__get__(caught)
    names = [frame.f_code.co_name for frame, _ in traceback.walk_tb(shown) if frame.f_code.co_filename == __file__]
    assert names == ["main", "fails"]


@pytest.mark.parametrize("kind", [StopIteration, StopAsyncIteration])
def test_stop_that_forbids_setting_comes_through_as_itself(lib, is_ours, kind):
    class FrozenStop(kind):
        def __setattr__(self, name, value):
            raise LookupError(name)

    @lib.asynccontextmanager
    async def manager():
        yield

    cm, error = manager(), FrozenStop()
    run(cm.__aenter__())
    leaving = cm.__aexit__(FrozenStop, error, None)
    if is_ours:
        assert run(leaving) is False
    else:
        assert type(catch_run(leaving)) is LookupError


def test_exception_that_forbids_setting_can_be_suppressed_and_replaced(lib):
    @lib.asynccontextmanager
    async def manager(replace):
        try:
            yield
        except Frozen:
            if replace:
                raise ValueError("replaced")

    assert run(leave(manager(False), Frozen())) is True
    error = Frozen()
    caught = run(broken(manager(True), error))
    assert caught.args == ("replaced",)
    assert caught.__context__ is error


# Sizes


@pytest.mark.skipif(not PLAIN, reason="objects of debug and free-threaded builds are larger")
def test_open_manager_is_small(lib, is_ours):
    @lib.asynccontextmanager
    async def manager():
        yield

    cm = manager()
    run(cm.__aenter__())
    if is_ours:
        assert sys.getsizeof(cm) <= 130
    else:
        assert sys.getsizeof(cm) + sys.getsizeof(vars(cm)) > 130
    run(cm.__aexit__(None, None, None))


def test_own_attributes_only_are_in_the_dict(lib, is_ours):
    @lib.asynccontextmanager
    async def manager():
        yield

    cm = manager()
    cm.extra = 1
    assert vars(cm)["extra"] == 1
    if is_ours:
        assert vars(cm) == {"extra": 1}
    else:
        assert set(vars(cm)) == {"gen", "func", "args", "kwds", "__doc__", "extra"}


# The chain of what is awaited passes through


async def awaited(future):
    await future  # awaited here


def waiting_manager(lib):
    @lib.asynccontextmanager
    async def manager(future):
        await awaited(future)  # inside the generator
        yield

    return manager


def test_awaitable_shows_the_generators_frame_and_what_it_awaits(ours):
    pause = Pause()
    cm = waiting_manager(ours)(pause)
    awaitable = cm.__aenter__()
    awaitable.send(None)
    assert awaitable.cr_frame is cm.gen.ag_frame
    assert awaitable.cr_code is cm.gen.ag_code
    assert awaitable.cr_await is cm.gen.ag_await
    assert awaitable.cr_await.cr_code is awaited.__code__
    assert awaitable.cr_running is False
    awaitable.close()
    assert awaitable.cr_frame is None
    assert awaitable.cr_await is None


def test_awaitable_of_the_stdlib_shows_its_own_frame_and_an_opaque_step(stdlib):
    cm = waiting_manager(stdlib)(Pause())
    awaitable = cm.__aenter__()
    awaitable.send(None)
    assert awaitable.cr_frame.f_code.co_name == "__aenter__"
    assert type(awaitable.cr_await).__name__ == "async_generator_asend"
    assert not hasattr(awaitable.cr_await, "cr_await")
    awaitable.close()


@pytest.mark.parametrize("phase", PHASES[1:])
def test_awaitable_shows_the_generator_wherever_it_waits(ours, phase):
    cm, awaitable, _ = prepare(ours, phase)
    awaitable.send(None)
    assert awaitable.cr_frame is cm.gen.ag_frame
    assert awaitable.cr_await.cr_code.co_name == "pauses"
    awaitable.close()


def walk(coroutine):
    """The names of the functions in the chain of awaits, as debuggers and asyncio walk it."""
    names = []
    while coroutine is not None:
        for prefix in ("cr", "ag", "gi"):
            frame = getattr(coroutine, f"{prefix}_frame", None)
            if frame is not None:
                names.append(frame.f_code.co_name)
                coroutine = getattr(coroutine, f"{prefix}_await", None) or getattr(coroutine, "gi_yieldfrom", None)
                break
        else:
            return names
    return names


def test_chain_of_awaits_reaches_the_innermost_function(lib, is_ours):
    manager = waiting_manager(lib)

    async def main():
        async with manager(Pause()):
            pass

    coroutine = main()
    coroutine.send(None)
    if is_ours:
        assert walk(coroutine) == ["main", "manager", "awaited", "__await__"]
    else:
        assert walk(coroutine) == ["main", "__aenter__"]
    if VERSION >= (3, 13) or is_ours:
        coroutine.close()
    else:
        catch(coroutine.throw, ValueError)


def test_chain_of_awaits_goes_through_nested_managers(ours):
    inner = waiting_manager(ours)

    @ours.asynccontextmanager
    async def outer():
        async with inner(Pause()) as value:
            yield value

    async def main():
        async with outer():
            pass

    coroutine = main()
    coroutine.send(None)
    assert walk(coroutine) == ["main", "outer", "manager", "awaited", "__await__"]
    coroutine.close()


def call_graph(lib):
    """What asyncio shows of a task that waits inside a manager: captured, and printed."""
    manager = waiting_manager(lib)

    async def user(future):
        async with manager(future):
            pass

    async def main():
        future = asyncio.get_running_loop().create_future()
        task = asyncio.create_task(user(future), name="waiting")
        await asyncio.sleep(0)
        graph = asyncio.capture_call_graph(task)
        printed = io.StringIO()
        asyncio.print_call_graph(task, file=printed)
        future.set_result(None)
        await task
        return [entry.frame.f_code.co_name for entry in graph.call_stack], printed.getvalue()

    return asyncio.run(main())


@pytest.mark.skipif(VERSION < (3, 14), reason="asyncio shows call graphs from 3.14 on")
def test_call_graph_names_the_line_in_the_generator_and_what_it_awaits(lib, is_ours):
    names, printed = call_graph(lib)
    source = inspect.getsourcelines(waiting_manager)
    line = source[1] + next(n for n, text in enumerate(source[0]) if "inside the generator" in text)
    line_of_await = awaited.__code__.co_firstlineno + 1
    assert {"user"} <= set(names)
    if is_ours:
        assert set(names) >= {"user", "manager", "awaited"}
        assert re.search(rf"line {line}, in async .*manager\(\)", printed)
        assert re.search(rf"line {line_of_await}, in async .*awaited\(\)", printed)
    else:
        assert "manager" not in names and "awaited" not in names
        assert "awaited" not in printed


# What the interpreter tells its tools about results


@pytest.mark.skipif(VERSION < (3, 12), reason="sys.monitoring came with 3.12")
def test_result_of_the_awaitable_shows_to_monitoring_as_the_interpreter_pleases(lib, is_ours):
    events = sys.monitoring.events
    seen = []

    @lib.asynccontextmanager
    async def manager():
        yield

    async def user():
        async with manager():
            pass

    sys.monitoring.use_tool_id(3, "test")
    try:
        for name in ("RAISE", "STOP_ITERATION"):
            sys.monitoring.register_callback(
                3, getattr(events, name), lambda code, offset, exc, name=name: seen.append((name, code.co_name))
            )
        sys.monitoring.set_events(3, events.RAISE | events.STOP_ITERATION)
        run(user())
    finally:
        sys.monitoring.set_events(3, 0)
        sys.monitoring.free_tool_id(3)
    found = {name for name, function in seen if function == "user"}
    if not is_ours:
        assert found == {"STOP_ITERATION"}
    elif VERSION < (3, 15):
        assert found <= {"RAISE", "STOP_ITERATION"}
    else:
        assert found == set()
