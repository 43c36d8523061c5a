"""`@cm()`: managers as decorators, on every kind of function that the running stdlib accepts."""

import asyncio
import contextlib
import inspect
import sys

import pytest
from helpers import VERSION, Pause, by_hand, catch, catch_run, chain, frame_names, outcome, run

DISPATCHES = VERSION >= (3, 15)


def tracked(lib, log, swallow=()):
    @lib.asynccontextmanager
    async def manager(name="m"):
        log.append(f"+{name}")
        try:
            yield name
        except swallow as exc:
            log.append(f"swallowed {exc}")
        finally:
            log.append(f"-{name}")

    return manager


# Coroutine functions


@by_hand
async def test_coroutine_function_runs_inside_the_manager(lib):
    log = []

    @tracked(lib, log)()
    async def function(a, *, b):
        log.append((a, b))
        return "result"

    assert await function(1, b=2) == "result"
    assert log == ["+m", (1, 2), "-m"]


@by_hand
async def test_coroutine_function_gets_a_fresh_manager_for_each_call(lib):
    log = []

    @tracked(lib, log)("n")
    async def function():
        log.append("body")

    await function()
    await function()
    assert log == ["+n", "body", "-n"] * 2


def test_coroutine_function_decorated_is_one(lib):
    @tracked(lib, [])()
    async def function(a: int) -> str:
        """Documentation."""

    assert inspect.iscoroutinefunction(function)
    assert inspect.isfunction(function)
    assert function.__name__ == "function"
    assert function.__doc__ == "Documentation."
    assert str(inspect.signature(function)) == "(a: int) -> str"
    assert function.__wrapped__.__name__ == "function"
    coroutine = function(1)
    assert inspect.iscoroutine(coroutine)
    assert coroutine.__name__ == "function" if VERSION >= (3, 12) else True
    coroutine.close()


def test_calls_may_overlap(lib):
    log = []

    @tracked(lib, log)()
    async def function(number):
        log.append(await Pause(number))

    one, two = function(1), function(2)
    assert one.send(None) == 1
    assert two.send(None) == 2
    catch(one.send, "first")
    catch(two.send, "second")
    assert log == ["+m", "+m", "first", "-m", "second", "-m"]


@by_hand
async def test_recursive_decorated_function(lib):
    log = []

    @tracked(lib, log)()
    async def function(depth):
        if depth:
            await function(depth - 1)
        log.append(depth)

    await function(2)
    assert log == ["+m", "+m", "+m", 0, "-m", 1, "-m", 2, "-m"]


@by_hand
async def test_several_decorators_nest(lib):
    log = []
    manager = tracked(lib, log)

    @manager("outer")
    @manager("inner")
    async def function():
        log.append("body")

    await function()
    assert log == ["+outer", "+inner", "body", "-inner", "-outer"]


@by_hand
async def test_one_manager_decorates_several_functions(lib):
    log = []
    cm = tracked(lib, log)()

    @cm
    async def one():
        return 1

    @cm
    async def two():
        return 2

    assert (await one(), await two()) == (1, 2)
    assert log == ["+m", "-m"] * 2


def test_manager_used_only_as_decorator_never_runs_its_own_generator(lib):
    log = []
    cm = tracked(lib, log)()

    @cm
    async def function():
        pass

    run(function())
    assert inspect.isasyncgen(cm.gen)
    assert cm.gen.ag_frame.f_lineno == cm.gen.ag_code.co_firstlineno or cm.gen.ag_frame.f_lasti <= 8
    assert cm.args == ()


@by_hand
async def test_manager_entered_before_no_longer_decorates(lib):
    cm = tracked(lib, [])()

    @cm
    async def function():
        return "never"

    async with cm:
        pass
    with pytest.raises(AttributeError, match="'_AsyncGeneratorContextManager' object has no attribute 'func'"):
        await function()


@by_hand
async def test_manager_can_be_entered_after_decorating(lib):
    log = []
    cm = tracked(lib, log)()

    @cm
    async def function():
        pass

    await function()
    async with cm:
        log.append("body")
    assert log == ["+m", "-m", "+m", "body", "-m"]


@by_hand
async def test_decorated_methods_get_their_instance(lib):
    log = []
    manager = tracked(lib, log)

    class Holder:
        @manager()
        async def method(self, a):
            return self, a

        @classmethod
        @manager()
        async def class_method(cls, a):
            return cls, a

        @staticmethod
        @manager()
        async def static_method(a):
            return a

    holder = Holder()
    assert await holder.method(1) == (holder, 1)
    assert await Holder.class_method(2) == (Holder, 2)
    assert await holder.static_method(3) == 3
    assert log == ["+m", "-m"] * 3


@by_hand
async def test_class_deriving_from_the_mixin_decorates(lib):
    log = []

    class Own(lib.AsyncContextDecorator, lib.AbstractAsyncContextManager):
        async def __aexit__(self, *details):
            log.append(details[0])

    @Own()
    async def function():
        return "result"

    assert await function() == "result"
    assert log == [None]


# Errors through the decorator form


@by_hand
async def test_error_of_the_function_passes_through(lib):
    log = []
    error = ValueError("body")

    @tracked(lib, log)()
    async def function():
        raise error

    with pytest.raises(ValueError) as caught:
        await function()
    assert caught.value is error
    assert caught.value.__context__ is None
    assert log == ["+m", "-m"]


def test_error_of_the_function_shows_only_frames_of_the_user(lib):
    @tracked(lib, [])()
    async def function():
        raise ValueError

    async def main():
        await function()

    assert frame_names(catch_run(main())) == ["main", "function"]


@by_hand
async def test_error_swallowed_by_the_manager_gives_none(lib):
    log = []

    @tracked(lib, log, swallow=ValueError)()
    async def function():
        raise ValueError("body")

    assert await function() is None
    assert log == ["+m", "swallowed body", "-m"]


@by_hand
async def test_error_replaced_by_the_manager_chains(lib):
    @lib.asynccontextmanager
    async def manager():
        try:
            yield
        except ValueError as exc:
            raise LookupError("new") from exc

    error = ValueError("body")

    @manager()
    async def function():
        raise error

    with pytest.raises(LookupError) as caught:
        await function()
    assert caught.value.__cause__ is error
    assert caught.value.__context__ is error


@pytest.mark.parametrize("kind", [StopIteration, StopAsyncIteration, GeneratorExit, KeyboardInterrupt, RuntimeError])
def test_any_error_in_the_decorated_function(lib, stdlib, kind):
    def attempt(which):
        log = []

        @tracked(which, log)()
        async def function():
            raise kind("body")

        caught = catch_run(function())
        return [(type(each), each.args) for each in chain(caught)], type(caught.__cause__), log

    assert attempt(lib) == attempt(stdlib)


@by_hand
async def test_manager_that_does_not_yield_or_stop_fails_the_call(lib):
    @lib.asynccontextmanager
    async def never():
        if False:
            yield

    @lib.asynccontextmanager
    async def twice():
        yield
        yield

    called = []

    async def function():
        called.append(True)

    with pytest.raises(RuntimeError, match="(?m)^generator didn't yield$"):
        await never()(function)()
    assert called == []
    with pytest.raises(RuntimeError, match="(?m)^generator didn't stop$"):
        await twice()(function)()
    assert called == [True]


@by_hand
async def test_generator_sees_the_error_being_handled(lib):
    seen = []

    @lib.asynccontextmanager
    async def manager():
        seen.append(sys.exc_info()[1])
        try:
            yield
        finally:
            seen.append(sys.exc_info()[1])

    error, outer = ValueError("body"), KeyError("outer")

    @manager()
    async def function():
        seen.append(sys.exc_info()[1])
        raise error

    try:
        raise outer
    except KeyError:
        with pytest.raises(ValueError):
            await function()
    assert seen == [outer, outer, error]
    assert error.__context__ is outer


# Under a loop


def test_decorated_function_as_a_task(lib):
    log = []

    @tracked(lib, log)()
    async def function():
        await asyncio.sleep(0)
        return "result"

    async def main():
        return await asyncio.gather(function(), asyncio.create_task(function()))

    assert asyncio.run(main()) == ["result", "result"]
    assert log == ["+m", "+m", "-m", "-m"]


# Other kinds of functions: 3.15 gives each its own wrapper, the others take all for coroutine functions


def test_plain_function_decorated(lib, stdlib):
    def attempt(which):
        log = []

        @tracked(which, log)()
        def function(a):
            log.append(a)
            return a

        return inspect.iscoroutinefunction(function), outcome(run, function(1)), log

    assert attempt(lib) == attempt(stdlib)
    if DISPATCHES:
        assert attempt(lib) == (True, ("returned", 1), ["+m", 1, "-m"])
    else:
        assert attempt(lib)[1][1] is TypeError


def test_plain_function_that_returns_an_awaitable_decorated(lib, stdlib):
    def attempt(which):
        log = []

        async def inner():
            log.append("inner")
            return "result"

        @tracked(which, log)()
        def function():
            return inner()

        result = run(function())
        return run(result) if inspect.iscoroutine(result) else result, log

    assert attempt(lib) == attempt(stdlib)


async def collect(iterable):
    if hasattr(iterable, "__aiter__"):
        return [each async for each in iterable]
    return list(iterable)


def test_generator_function_decorated(lib, stdlib):
    def attempt(which):
        log = []

        @tracked(which, log)()
        def function(n):
            for number in range(n):
                log.append(number)
                yield number

        kinds = inspect.isasyncgenfunction(function), inspect.iscoroutinefunction(function)
        result = function(2)
        if inspect.iscoroutine(result):
            got = outcome(run, result)
        else:
            got = outcome(run, collect(result))
        return kinds, got, log

    assert attempt(lib) == attempt(stdlib)
    if DISPATCHES:
        assert attempt(lib) == ((True, False), ("returned", [0, 1]), ["+m", 0, 1, "-m"])


def test_async_generator_function_decorated(lib, stdlib):
    def attempt(which):
        log = []

        @tracked(which, log)()
        async def function(n):
            for number in range(n):
                log.append(number)
                yield number

        kinds = inspect.isasyncgenfunction(function), inspect.iscoroutinefunction(function)
        result = function(2)
        got = outcome(run, result) if inspect.iscoroutine(result) else outcome(run, collect(result))
        return kinds, got, log

    assert attempt(lib) == attempt(stdlib)
    if DISPATCHES:
        assert attempt(lib) == ((True, False), ("returned", [0, 1]), ["+m", 0, 1, "-m"])


@pytest.mark.skipif(not DISPATCHES, reason="the decorator form takes async generators from 3.15 on")
@by_hand
async def test_async_generator_function_left_early_leaves_the_manager(lib):
    log = []

    @tracked(lib, log)()
    async def function():
        try:
            yield 1
            yield 2
        finally:
            log.append("closed")

    async with contextlib.aclosing(function()) as items:
        async for item in items:
            log.append(item)
            break
    assert log == ["+m", 1, "closed", "-m"]


@pytest.mark.skipif(not DISPATCHES, reason="the decorator form takes async generators from 3.15 on")
@by_hand
async def test_async_generator_function_that_raises_passes_the_manager(lib):
    log = []

    @tracked(lib, log, swallow=KeyError)()
    async def function(error):
        yield 1
        raise error

    assert [each async for each in function(KeyError("swallowed"))] == [1]
    error = ValueError("passes")
    with pytest.raises(ValueError) as caught:
        [each async for each in function(error)]
    assert caught.value is error
    assert log == ["+m", "swallowed 'swallowed'", "-m", "+m", "-m"]


@pytest.mark.skipif(not DISPATCHES, reason="the decorator form takes decorated functions of every kind from 3.15 on")
def test_manager_function_decorated_by_a_manager(lib, stdlib):
    def attempt(which):
        log = []

        @which.asynccontextmanager
        @tracked(which, log)("outer")
        async def manager():
            log.append("enter")
            yield "value"
            log.append("exit")

        async def main():
            async with manager() as value:
                log.append(value)

        run(main())
        return log

    assert attempt(lib) == attempt(stdlib)
    assert attempt(lib) == ["+outer", "enter", "value", "exit", "-outer"]


@pytest.mark.parametrize("thing", [5, None, "text", len, object()], ids=["int", "None", "text", "builtin", "object"])
def test_odd_thing_decorated(lib, stdlib, thing):
    def attempt(which):
        cm = tracked(which, [])()
        result = outcome(cm, thing)
        if result[0] == "returned":
            return type(result[1]), result[1].__name__, outcome(run, result[1]())
        return result

    assert attempt(lib) == attempt(stdlib)
