"""Managers, callbacks and generators that do what they should not, and what comes of it.

Each scenario returns whatever can be observed, which is compared with what it returns for the stdlib's objects.
"""

import sys
import types

import pytest
from helpers import Pause, run
from misuse import agen, awaited, opened, simple, told

SCENARIOS = []


def scenario(function):
    SCENARIOS.append(function)
    return function


# -- what managers and callables return --


class Nonsense:
    """Awaitable, but what its __await__() returns is not what it should be."""

    def __init__(self, iterator):
        self.iterator = iterator

    def __await__(self):
        if isinstance(self.iterator, BaseException):
            raise self.iterator
        return self.iterator


class Endless:
    def __iter__(self):
        return self

    def __next__(self):
        raise KeyError("next")


async def coroutine():
    return "coroutine"


def generator():
    yield "generator"


@types.coroutine
def flagged():
    yield "flagged"


def nonsense():
    """Fresh results that are, or are not, awaitable, in many ways."""
    yield from (None, 5, "text", (), object(), coroutine, int)
    yield from map(Nonsense, (None, 5, [], iter([]), iter([1]), Endless(), ValueError("await"), generator()))
    bare = coroutine()
    yield Nonsense(bare)
    bare.close()
    yield flagged()
    yield generator()


@scenario
def methods_that_return_nonsense(lib):
    found = []
    for method in ("__aenter__", "__aexit__"):
        for value in nonsense():
            methods = {"__aenter__": lambda self: Pause(), "__aexit__": lambda self, *details: Pause()}
            methods[method] = lambda *args, value=value: value
            stack = lib.AsyncExitStack()
            found.append(awaited(stack.enter_async_context, type("Manager", (), methods)()))
            found.append(awaited(stack.aclose))
    return found


@scenario
def callbacks_that_return_nonsense(lib):
    found = []
    for push in ("push_async_callback", "push_async_exit", "callback", "push"):
        for value in nonsense():
            stack = lib.AsyncExitStack()
            getattr(stack, push)(lambda *args, value=value: value)
            found.append(awaited(stack.__aexit__, KeyError, KeyError("body"), None))
    return found


@scenario
def functions_that_return_nonsense(lib):
    found = []
    for value in nonsense():
        manager = lib.asynccontextmanager(lambda value=value: value)()
        found += [awaited(manager.__aenter__), awaited(manager.__aexit__, None, None, None)]
        found += [awaited(manager.__aexit__, ValueError, ValueError("body"), None)]
        if isinstance(value, types.CoroutineType):
            value.close()
    return found


@scenario
def iterators_that_return_nonsense(lib):
    """A generator's place is taken by an object whose methods return nonsense."""
    found = []
    for value in nonsense():
        methods = {name: lambda *args, value=value: value for name in ("__anext__", "athrow", "aclose")}
        methods["__aiter__"] = lambda self: self
        iterator = type("Iterator", (), methods)()
        manager = simple(lib)()
        manager.gen = iterator
        found += [awaited(manager.__aenter__), awaited(manager.__aexit__, None, None, None)]
        found += [awaited(manager.__aexit__, ValueError, ValueError("body"), None)]
        found += [awaited(lib.aclosing(iterator).__aexit__, None, None, None)]
    return found


@scenario
def truth_that_raises(lib):
    class Truth:
        def __bool__(self):
            raise KeyError("truth")

    async def details(*args):
        return Truth()

    found = []
    for push, value in (("push", lambda *args: Truth()), ("push_async_exit", details)):
        stack = lib.AsyncExitStack()
        getattr(stack, push)(value)
        found.append(awaited(stack.__aexit__, ValueError, ValueError("body"), None))
    return found


class Lacking:
    """A StopIteration without its value, as no class of the interpreter would raise it."""

    def __init__(self, stop):
        self.stop = stop

    def __await__(self):
        return self

    def __iter__(self):
        return self

    def __next__(self):
        return "token"

    def throw(self, *args):
        raise self.stop


def test_stop_iteration_without_a_value_gives_none(ours):
    """The stdlib's coroutines crash there."""
    deleted = StopIteration("value")
    del deleted.value
    for stop in (deleted, StopIteration.__new__(StopIteration)):
        stack = ours.AsyncExitStack()
        stack.push_async_callback(Lacking, stop)
        leaving = stack.aclose()
        leaving.send(None)
        assert told(leaving.throw, KeyError("thrown")) == ("raised", StopIteration, "")


@pytest.mark.parametrize("change", ["value", "args", "__suppress_context__", "__context__", "note"])
def test_stop_iteration_that_was_changed_is_not_raised_again(ours, change):
    for _ in range(3):
        leaving = opened(ours).__aexit__(None, None, None)
        with pytest.raises(StopIteration) as caught:
            next(leaving)
        stop = caught.value
        caught = None
        assert (stop.value, stop.args, stop.__suppress_context__, stop.__context__) == (False, (), False, None)
        assert not hasattr(stop, "__notes__")
        if change == "note":
            stop.add_note("note")
        else:
            new = {"value": True, "args": (True,), "__suppress_context__": True, "__context__": KeyError()}[change]
            setattr(stop, change, new)
        stop.__traceback__ = None
        del stop


# -- generators that somebody else runs --


@scenario
def generator_run_by_somebody_else(lib):
    found = []
    for before in (
        lambda gen: run(gen.aclose()),
        lambda gen: run(gen.__anext__()),
        lambda gen: run(gen.asend("sent")),
        lambda gen: run(gen.athrow(ValueError("foreign"))),
        lambda gen: gen.__anext__().close(),
        lambda gen: gen.aclose().close(),
    ):
        for enter in (False, True):
            for exc in (None, ValueError("body"), GeneratorExit()):
                manager = simple(lib)()
                if enter:
                    run(manager.__aenter__())
                found.append(told(before, manager.gen)[1])
                if not enter:
                    found.append(awaited(manager.__aenter__))
                found.append(awaited(manager.__aexit__, exc and type(exc), exc, None))
                found.append(awaited(manager.__aexit__, None, None, None))
    return found


@scenario
def generator_suspended_by_somebody_else(lib):
    @lib.asynccontextmanager
    async def function():
        await Pause("before")
        try:
            yield
        finally:
            await Pause("after")

    found = []
    for enter in (False, True):
        for exc in (None, ValueError("body")):
            manager = function()
            if enter:
                run(manager.__aenter__())
            foreign = manager.gen.__anext__()
            foreign.send(None)
            if not enter:
                found.append(awaited(manager.__aenter__))
            found.append(awaited(manager.__aexit__, exc and type(exc), exc, None))
            found += [told(foreign.send, None)[:2], told(foreign.close)[:2]]
    return found


@scenario
def generator_that_leaves_its_own_manager(lib):
    found = []

    @lib.asynccontextmanager
    async def function():
        found.append(awaited(managers[-1].__aexit__, None, None, None))
        found.append(awaited(managers[-1].__aexit__, ValueError, ValueError("inside"), None))
        yield
        found.append(awaited(managers[-1].__aexit__, None, None, None))
        found.append(awaited(managers[-1].__aexit__, ValueError, ValueError("inside"), None))

    managers = [function()]
    found += [awaited(managers[0].__aenter__), awaited(managers[0].__aexit__, None, None, None)]
    return found


@scenario
def frame_of_the_generator_cleared(lib):
    found = []
    for enter in (False, True):
        manager = simple(lib)()
        frame = manager.gen.ag_frame
        if enter:
            run(manager.__aenter__())
        found += [told(frame.clear), told(frame.clear)]
        if not enter:
            found.append(awaited(manager.__aenter__))
        found.append(awaited(manager.__aexit__, None, None, None))
    return found


@scenario
def line_of_the_generators_frame_set(lib):
    manager = simple(lib)()
    frame = manager.gen.ag_frame
    found = [told(setattr, frame, "f_lineno", frame.f_lineno + 1)]
    lines = []

    def trace(frame, event, arg):
        if event == "line" and frame.f_code.co_name == "jumps" and not lines:
            lines.append(frame.f_lineno)
            frame.f_lineno += 1
        return trace

    @lib.asynccontextmanager
    async def jumps():
        raise KeyError("skipped")
        yield "jumped"

    manager = jumps()
    before = sys.gettrace()
    sys.settrace(trace)
    try:
        entered = awaited(manager.__aenter__)
    finally:
        sys.settrace(before)
    return [*found, entered, len(lines), awaited(manager.__aexit__, None, None, None)]


@scenario
def code_of_the_function_replaced(lib):
    async def function(argument="first"):
        yield argument

    async def other(argument="second"):
        yield "other"

    async def no_generator(argument="third"):
        return argument

    found = []
    wrapper = lib.asynccontextmanager(function)
    for replacement in (other, no_generator):
        function.__code__ = replacement.__code__
        manager = wrapper()
        found += [awaited(manager.__aenter__), awaited(manager.__aexit__, None, None, None)]
        if isinstance(manager.gen, types.CoroutineType):
            manager.gen.close()
    return found


@scenario
def code_of_the_wrapper_replaced(lib):
    def free():
        cell = None

        def replaced(*args):
            return cell, args

        return replaced

    wrapper = simple(lib)
    found = [told(setattr, wrapper, "__code__", agen.__code__)[:2]]
    wrapper.__code__ = free().__code__
    value = wrapper(1)
    found += [type(value[0]).__name__, value[1]]
    wrapper = simple(lib)
    del wrapper.__closure__[0].cell_contents
    found.append(told(wrapper)[1])
    wrapper.__closure__[0].cell_contents = agen
    wrapper.__defaults__, wrapper.__kwdefaults__ = (1, 2), {"key": 3}
    found.append(awaited(wrapper().__aenter__))
    return found


@scenario
def signature_changed_while_called(lib):
    """What is called is changed by the call itself."""
    found = []

    class Changes:
        def __call__(self, *args):
            wrapper.__closure__[0].cell_contents = agen
            wrapper.__dict__.clear()
            return agen()

        def __getattr__(self, name):
            raise AttributeError(name)

    wrapper = lib.asynccontextmanager(Changes())
    manager = wrapper(1)
    found += [type(manager.func).__name__, manager.args, awaited(manager.__aenter__)]
    found += [type(wrapper().func).__name__]
    return found


@pytest.mark.parametrize("function", SCENARIOS, ids=lambda function: function.__name__)
@pytest.mark.filterwarnings("ignore")
def test_misuse_comes_to_the_same(ours, stdlib, function):
    assert function(ours) == function(stdlib)
