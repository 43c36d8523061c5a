"""Managers entered twice, left without entering, or whose generator somebody else runs."""

import pytest
from helpers import VERSION, Pause, by_hand, catch_run, closes_on_misuse, consume, outcome, run

ATTRIBUTE_MISSING = "'_AsyncGeneratorContextManager' object has no attribute {!r}"


@by_hand
async def test_second_enter_raises_attribute_error(lib):
    log = []

    @lib.asynccontextmanager
    async def manager():
        yield
        log.append("left")

    cm = manager()
    async with cm:
        pass
    with pytest.raises(AttributeError) as caught:
        async with cm:
            log.append("never")
    assert str(caught.value) == ATTRIBUTE_MISSING.format("args")
    assert caught.value.args == (ATTRIBUTE_MISSING.format("args"),)
    assert (caught.value.name, caught.value.obj) == (("args", cm) if VERSION >= (3, 15) else (None, None))
    assert log == ["left"]


@by_hand
async def test_second_enter_while_open_leaves_the_first_usable(lib):
    @lib.asynccontextmanager
    async def manager():
        yield

    cm = manager()
    async with cm:
        with pytest.raises(AttributeError, match="'args'"):
            await cm.__aenter__()


def test_second_enter_while_first_is_suspended_raises_attribute_error(lib):
    @lib.asynccontextmanager
    async def manager():
        await Pause("entering")
        yield "value"

    cm = manager()
    first = cm.__aenter__()
    assert first.send(None) == "entering"
    assert str(catch_run(cm.__aenter__())) == ATTRIBUTE_MISSING.format("args")
    with pytest.raises(StopIteration) as stop:
        first.send(None)
    assert stop.value.value == "value"


def test_two_enters_made_before_either_runs_let_the_first_win(lib):
    @lib.asynccontextmanager
    async def manager():
        yield "value"

    cm = manager()
    first, second = cm.__aenter__(), cm.__aenter__()
    assert run(second) == "value"
    assert isinstance(catch_run(first), AttributeError)


@closes_on_misuse
@by_hand
async def test_exit_without_enter_runs_to_the_first_yield_and_complains(lib):
    log = []

    @lib.asynccontextmanager
    async def manager():
        log.append("started")
        try:
            yield
        finally:
            log.append("closed")

    cm = manager()
    with pytest.raises(RuntimeError, match="(?m)^generator didn't stop$"):
        await cm.__aexit__(None, None, None)
    assert log == ["started", "closed"]
    assert cm.args == ()


@by_hand
async def test_exit_without_enter_with_an_error_passes_it_by(lib):
    log = []

    @lib.asynccontextmanager
    async def manager():
        log.append("never")
        yield

    cm = manager()
    error = ValueError()
    assert await cm.__aexit__(ValueError, error, None) is False
    assert log == []
    assert await cm.__aexit__(None, None, None) is False


@by_hand
async def test_leaving_twice_is_quiet_without_an_error_and_complains_with_one(lib):
    @lib.asynccontextmanager
    async def manager():
        yield

    cm = manager()
    await cm.__aenter__()
    assert await cm.__aexit__(None, None, None) is False
    assert await cm.__aexit__(None, None, None) is False
    error = ValueError()
    with pytest.raises(RuntimeError, match=r"(?m)^generator didn't stop after athrow\(\)$") as caught:
        await cm.__aexit__(ValueError, error, None)
    assert caught.value.__context__ is None


@by_hand
async def test_leaving_after_an_error_left_is_quiet_or_complains(lib):
    @lib.asynccontextmanager
    async def manager():
        yield

    cm = manager()
    await cm.__aenter__()
    assert await cm.__aexit__(ValueError, ValueError(), None) is False
    assert await cm.__aexit__(None, None, None) is False
    with pytest.raises(RuntimeError, match=r"(?m)^generator didn't stop after athrow\(\)$"):
        await cm.__aexit__(ValueError, ValueError(), None)


@by_hand
async def test_generator_closed_before_entering_did_not_yield(lib):
    @lib.asynccontextmanager
    async def manager():
        yield

    cm = manager()
    await cm.gen.aclose()
    with pytest.raises(RuntimeError, match="(?m)^generator didn't yield$"):
        await cm.__aenter__()


@by_hand
async def test_generator_closed_while_open_leaves_quietly_or_complains(lib):
    @lib.asynccontextmanager
    async def manager():
        yield

    cm = manager()
    await cm.__aenter__()
    await cm.gen.aclose()
    assert await cm.__aexit__(None, None, None) is False
    cm = manager()
    await cm.__aenter__()
    await cm.gen.aclose()
    with pytest.raises(RuntimeError, match=r"(?m)^generator didn't stop after athrow\(\)$"):
        await cm.__aexit__(ValueError, ValueError(), None)


@by_hand
async def test_generator_advanced_by_hand_before_entering_gives_its_second_value(lib):
    @lib.asynccontextmanager
    async def manager():
        yield 1
        yield 2

    cm = manager()
    assert await anext(cm.gen) == 1
    assert await cm.__aenter__() == 2


@by_hand
async def test_generator_advanced_by_hand_to_its_end_leaves_quietly(lib):
    @lib.asynccontextmanager
    async def manager():
        yield 1

    async with manager() as value, lib.AsyncExitStack():
        assert value == 1
    cm = manager()
    await cm.__aenter__()
    with pytest.raises(StopAsyncIteration):
        await anext(cm.gen)
    assert await cm.__aexit__(None, None, None) is False


@pytest.mark.parametrize("operation", ["enter", "exit", "exit with error"])
def test_generator_running_elsewhere_is_refused(lib, stdlib, operation):
    def attempt(which):
        @which.asynccontextmanager
        async def manager():
            await Pause()
            yield

        cm = manager()
        step = anext(cm.gen)
        step.send(None)
        if operation == "enter":
            error = catch_run(cm.__aenter__())
        elif operation == "exit":
            error = catch_run(cm.__aexit__(None, None, None))
        else:
            error = catch_run(cm.__aexit__(ValueError, ValueError("lost"), None))
        with pytest.raises(StopIteration):
            step.send(None)
        return type(error), error.args, type(error.__context__), type(error.__cause__), cm.gen.ag_running

    assert attempt(lib) == attempt(stdlib)
    assert attempt(lib)[0] is RuntimeError


@pytest.mark.parametrize("operation", ["enter", "exit", "exit with error"])
def test_generator_that_uses_its_own_manager_is_refused(lib, stdlib, operation):
    def attempt(which):
        seen = []

        @which.asynccontextmanager
        async def manager():
            if operation != "enter":
                yield
            if operation == "exit with error":
                coroutine = cm.__aexit__(ValueError, ValueError(), None)
            else:
                coroutine = cm.__aexit__(None, None, None) if operation == "exit" else cm.__aenter__()
            seen.append(catch_run(coroutine))
            if operation == "enter":
                yield

        cm = manager()
        run(consume(cm))
        return [(type(error), str(error)) for error in seen]

    assert attempt(lib) == attempt(stdlib)


def test_exit_while_enter_is_suspended_is_refused(lib, stdlib):
    def attempt(which):
        @which.asynccontextmanager
        async def manager():
            await Pause()
            yield "value"

        cm = manager()
        entering = cm.__aenter__()
        entering.send(None)
        refused = outcome(run, cm.__aexit__(None, None, None))
        return refused, outcome(run, entering)

    assert attempt(lib) == attempt(stdlib)
    assert attempt(lib)[0] == (
        "raised",
        RuntimeError,
        "anext(): asynchronous generator is already running",
    )
