"""Awaitables resumed from where they should not be, and programs that are watched.

Each scenario returns whatever can be observed, which is compared with what it returns for the stdlib's objects.
"""

import asyncio
import sys
import threading

import pytest
from helpers import VERSION, Pause, run
from misuse import agen, opened, simple, told

SCENARIOS = []


def scenario(function):
    SCENARIOS.append(function)
    return function


@scenario
def awaitable_resumed_from_inside_itself(lib):
    found = []

    def enters(found):
        inner = awaitables[-1]
        found.append([told(inner.send, None), told(inner.throw, ValueError("inside")), told(inner.close)])
        found.append([told(inner.send, 5), told(lambda: inner.cr_running)])

    @lib.asynccontextmanager
    async def function():
        enters(found)
        await Pause()
        enters(found)
        try:
            yield
        finally:
            enters(found)

    awaitables = []
    manager = function()
    for step in (manager.__aenter__, lambda: manager.__aexit__(ValueError, ValueError("body"), None)):
        awaitables.append(step())
        found.append(told(run, awaitables[-1]))
    stack = lib.AsyncExitStack()
    stack.callback(enters, found)
    awaitables.append(stack.__aexit__(None, None, None))
    return [*found, told(run, awaitables[-1])]


@scenario
def awaitable_resumed_from_another_thread(lib):
    found = []

    def elsewhere():
        found.append([told(awaitables[-1].send, None), told(awaitables[-1].throw, KeyError("other"))])

    @lib.asynccontextmanager
    async def function():
        thread = threading.Thread(target=elsewhere)
        thread.start()
        thread.join()
        await Pause("token")
        yield "value"

    awaitables = [function().__aenter__()]
    found.append(told(awaitables[0].send, None))
    thread = threading.Thread(target=elsewhere)  # and go on there
    thread.start()
    thread.join()
    return found


@scenario
def awaitable_that_another_loop_resumes(lib):
    async def begin():
        @lib.asynccontextmanager
        async def function():
            await asyncio.get_running_loop().create_future()
            yield

        entering = function().__aenter__()
        entering.send(None)
        return entering

    async def resume():
        await entering

    entering = asyncio.run(begin())
    return told(asyncio.run, resume())[:2]


@scenario
def exception_class_that_cannot_be_made(lib):
    class Raises(Exception):
        def __init__(self, *args):
            raise KeyError("init")

    class Other(Exception):
        def __new__(cls, *args):
            return "other"

    found = []
    for cls in (Raises, Other):
        for make in (
            lambda: simple(lib)().__aenter__(),
            lambda: opened(lib).__aexit__(cls, None, None),  # noqa: B023
            lambda: lib.AsyncExitStack().aclose(),
        ):
            awaitable = make()
            found += [told(awaitable.throw, cls)[:2], told(awaitable.send, None)]
    return found


# -- programs that are watched --


def traced(work):
    before = sys.gettrace(), sys.getprofile()
    sys.settrace(lambda *args: None)
    sys.setprofile(lambda *args: None)
    try:
        return work()
    finally:
        sys.setprofile(before[1])
        sys.settrace(before[0])


def monitored(work):
    monitoring = sys.monitoring
    tool = 4
    monitoring.use_tool_id(tool, "hostile")
    events = monitoring.events
    everything = [event for name, event in vars(events).items() if name.isupper() and event]
    try:
        for event in everything:
            monitoring.register_callback(tool, event, lambda *args: None)
        monitoring.set_events(tool, sum(everything))
        return work()
    finally:
        monitoring.set_events(tool, 0)
        for event in everything:
            monitoring.register_callback(tool, event, None)
        monitoring.free_tool_id(tool)


def trace_that_raises(work):
    """A trace function that raises at the third line in a generator."""
    left = [3]

    def trace(frame, event, arg):
        if frame.f_code.co_flags & 0x200 and event == "line":
            left[0] -= 1
            if left[0] == 0:
                raise KeyError("trace")
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        return work()
    finally:
        sys.settrace(before)


def everything_there_is(lib):
    @lib.asynccontextmanager
    async def function(log):
        log.append("enter")
        await Pause()
        try:
            yield "value"
        except ValueError:
            log.append("suppressed")
        finally:
            log.append("exit")

    async def main(log):
        async with lib.AsyncExitStack() as stack:
            await stack.enter_async_context(function(log))
            stack.callback(log.append, "callback")
            async with function(log), lib.nullcontext(), lib.aclosing(agen()):
                raise ValueError
        return "done"

    log = []
    return told(run, main(log)), log


@pytest.mark.parametrize(
    "watch",
    [
        traced,
        pytest.param(monitored, marks=pytest.mark.skipif(VERSION < (3, 12), reason="no sys.monitoring")),
        trace_that_raises,
    ],
)
def test_program_that_is_watched_does_the_same(lib, stdlib, watch):
    expected = watch(lambda: everything_there_is(stdlib))
    assert watch(lambda: everything_there_is(lib)) == expected


@pytest.mark.parametrize("function", SCENARIOS, ids=lambda function: function.__name__)
@pytest.mark.filterwarnings("ignore")
def test_misuse_comes_to_the_same(ours, stdlib, function):
    assert function(ours) == function(stdlib)
