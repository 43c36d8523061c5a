"""Entering and leaving: every form of `async with`, values, order of steps, attributes."""

import sys

import pytest
from helpers import Pause, by_hand, catch, consume, outcome, run

ATTRIBUTE_MISSING = "'_AsyncGeneratorContextManager' object has no attribute {!r}"


# Forms and values


@by_hand
async def test_bare_yield_gives_none(lib):
    @lib.asynccontextmanager
    async def manager():
        yield

    async with manager() as value:
        assert value is None


@pytest.mark.parametrize("value", [None, 0, 1, (), (1, 2), [], ValueError("a value"), StopIteration(3), ValueError])
def test_yielded_value_is_the_entered_value(lib, value):
    @lib.asynccontextmanager
    async def manager():
        yield value

    entered, passed = run(consume(manager()))
    assert entered is value
    assert passed


@by_hand
async def test_without_as_clause_runs_both_halves(lib):
    log = []

    @lib.asynccontextmanager
    async def manager():
        log.append("enter")
        yield
        log.append("exit")

    async with manager():
        log.append("body")
    assert log == ["enter", "body", "exit"]


@by_hand
async def test_value_unpacked_into_a_tuple_target(lib):
    @lib.asynccontextmanager
    async def manager():
        yield 1, 2

    async with manager() as (one, two):
        assert (one, two) == (1, 2)


@by_hand
async def test_several_managers_in_one_statement_leave_in_reverse(lib):
    log = []

    @lib.asynccontextmanager
    async def manager(name):
        log.append(f"+{name}")
        try:
            yield name
        finally:
            log.append(f"-{name}")

    async with manager("a") as a, manager("b") as b, manager("c"):
        log.append(a + b)
    assert log == ["+a", "+b", "+c", "ab", "-c", "-b", "-a"]


@by_hand
async def test_nested_statements_see_inner_error_first(lib):
    log = []

    @lib.asynccontextmanager
    async def manager(name):
        try:
            yield
        except ValueError as exc:
            log.append((name, str(exc)))
            raise

    error = ValueError("inner")
    with pytest.raises(ValueError, match="inner") as caught:
        async with manager("outer"):
            async with manager("inner"):
                raise error
    assert caught.value is error
    assert log == [("inner", "inner"), ("outer", "inner")]


@pytest.mark.parametrize("jump", ["return", "break", "continue"])
@by_hand
async def test_leaving_the_block_by_a_jump_runs_the_exit(lib, jump):
    log = []

    @lib.asynccontextmanager
    async def manager():
        yield
        log.append("exit")

    async def body():
        for number in range(2):
            async with manager():
                if jump == "return":
                    return number
                if jump == "break":
                    break
                if jump == "continue":
                    continue
        return "after"

    assert await body() == (0 if jump == "return" else "after")
    assert log == ["exit"] * (2 if jump == "continue" else 1)


@by_hand
async def test_manager_inside_an_async_generator_closes_with_it(lib):
    log = []

    @lib.asynccontextmanager
    async def manager():
        try:
            yield
        except GeneratorExit:
            log.append("closed")
            raise

    async def numbers():
        async with manager():
            yield 1
            yield 2

    async with lib.aclosing(numbers()) as items:
        async for item in items:
            assert item == 1
            break
    assert log == ["closed"]


@by_hand
async def test_recursive_use_of_one_function_keeps_managers_apart(lib):
    @lib.asynccontextmanager
    async def manager(depth):
        if depth:
            async with manager(depth - 1) as below:
                yield [depth, *below]
        else:
            yield [0]

    async with manager(5) as depths:
        assert depths == [5, 4, 3, 2, 1, 0]


@by_hand
async def test_manager_within_generator_of_a_manager_gets_the_error(lib):
    seen = []

    @lib.asynccontextmanager
    async def inner():
        try:
            yield "inner"
        except KeyError as exc:
            seen.append(exc)

    @lib.asynccontextmanager
    async def outer():
        async with inner() as value:
            yield value
        yield_after = "nothing more to yield"
        seen.append(yield_after)

    error = KeyError("k")
    assert await consume(outer(), error) == ("inner", False)
    assert seen == [error, "nothing more to yield"]


@by_hand
async def test_enter_and_exit_by_hand_return_value_and_false(lib):
    @lib.asynccontextmanager
    async def manager():
        yield "value"

    cm = manager()
    assert await cm.__aenter__() == "value"
    assert await cm.__aexit__(None, None, None) is False


@by_hand
async def test_exit_takes_its_arguments_by_name(lib):
    @lib.asynccontextmanager
    async def manager():
        try:
            yield
        except ValueError:
            pass

    cm = manager()
    await cm.__aenter__()
    assert await cm.__aexit__(typ=None, value=None, traceback=None) is False
    cm = manager()
    await cm.__aenter__()
    assert await cm.__aexit__(traceback=None, value=ValueError(), typ=ValueError) is True


@by_hand
async def test_sync_with_statement_is_refused(lib, stdlib):
    def attempt(which):
        @which.asynccontextmanager
        async def manager():
            yield

        with manager():
            pass

    assert outcome(attempt, lib) == outcome(attempt, stdlib)
    assert outcome(attempt, lib)[1] is TypeError


def test_awaits_in_both_halves_pass_tokens_and_answers(lib):
    log = []

    @lib.asynccontextmanager
    async def manager():
        log.append(await Pause("enter"))
        yield "value"
        log.append(await Pause("exit"))

    async def main():
        async with manager() as value:
            log.append(await Pause("body"))
            return value

    coroutine = main()
    assert coroutine.send(None) == "enter"
    assert coroutine.send(1) == "body"
    assert coroutine.send(2) == "exit"
    with pytest.raises(StopIteration) as stop:
        coroutine.send(3)
    assert stop.value.value == "value"
    assert log == [1, 2, 3]


# Attributes before and after entering


@by_hand
async def test_attributes_before_entering_hold_the_call(lib):
    async def function(a, b, *, c):
        yield

    manager = lib.asynccontextmanager(function)
    cm = manager(1, b=2, c=3)
    assert cm.func is function
    assert cm.args == (1,) and type(cm.args) is tuple
    assert cm.kwds == {"b": 2, "c": 3} and type(cm.kwds) is dict
    assert cm.gen.__name__ == "function"
    assert cm.gen.ag_frame.f_locals == {"a": 1, "b": 2, "c": 3}
    assert cm.args is cm.args and cm.kwds is cm.kwds and cm.gen is cm.gen


def test_attributes_without_arguments_are_empty(lib):
    @lib.asynccontextmanager
    async def manager():
        yield

    cm = manager()
    assert cm.args == ()
    assert cm.kwds == {}


@by_hand
async def test_attributes_go_away_when_entering(lib):
    @lib.asynccontextmanager
    async def manager(a, *, b):
        yield

    cm = manager(1, b=2)
    generator = cm.gen
    await cm.__aenter__()
    for name in ("func", "args", "kwds"):
        assert str(catch(getattr, cm, name)) == ATTRIBUTE_MISSING.format(name)
        assert not hasattr(cm, name)
    assert cm.gen is generator
    await cm.__aexit__(None, None, None)
    assert cm.gen is generator


def test_attributes_go_away_at_the_first_resume_of_enter(lib):
    @lib.asynccontextmanager
    async def manager():
        await Pause()
        yield

    cm = manager()
    entering = cm.__aenter__()
    assert cm.args == ()
    entering.send(None)
    assert not hasattr(cm, "args") and not hasattr(cm, "kwds") and not hasattr(cm, "func")
    entering.close()


def test_arguments_are_released_when_entering(lib):
    class Argument:
        pass

    @lib.asynccontextmanager
    async def manager(argument):
        del argument
        yield

    argument = Argument()
    before = sys.getrefcount(argument)
    cm = manager(argument)
    assert sys.getrefcount(argument) > before
    run(cm.__aenter__())
    assert sys.getrefcount(argument) == before
    run(cm.__aexit__(None, None, None))


@by_hand
async def test_attributes_can_be_assigned(lib):
    @lib.asynccontextmanager
    async def manager():
        yield "own"

    async def other():
        yield "other"

    cm = manager()
    original = cm.gen
    cm.args, cm.kwds, cm.func, cm.extra = (1,), {"x": 2}, other, "extra"
    assert (cm.args, cm.kwds, cm.func, cm.extra) == ((1,), {"x": 2}, other, "extra")
    cm.gen = other()
    assert await cm.__aenter__() == "other"
    assert await cm.__aexit__(None, None, None) is False
    assert not hasattr(cm, "args")
    assert cm.extra == "extra"
    await original.aclose()


@pytest.mark.parametrize("name", ["args", "kwds", "func"])
@by_hand
async def test_entering_after_deleting_an_attribute_fails(lib, name):
    @lib.asynccontextmanager
    async def manager():
        yield

    cm = manager()
    delattr(cm, name)
    assert not hasattr(cm, name)
    with pytest.raises(AttributeError) as caught:
        await cm.__aenter__()
    assert str(caught.value) == ATTRIBUTE_MISSING.format(name)
    assert caught.value.__context__ is None
    order = ["args", "kwds", "func"]
    assert [hasattr(cm, each) for each in order] == [order.index(each) > order.index(name) for each in order]


@by_hand
async def test_entering_or_leaving_after_deleting_gen_fails(lib):
    @lib.asynccontextmanager
    async def manager():
        yield

    for enter in (True, False):
        cm = manager()
        del cm.gen
        with pytest.raises(AttributeError) as caught:
            await (cm.__aenter__() if enter else cm.__aexit__(None, None, None))
        assert str(caught.value) == ATTRIBUTE_MISSING.format("gen")
        with pytest.raises(AttributeError):
            del cm.gen


@by_hand
async def test_entering_again_after_restoring_the_attributes_runs_the_generator_on(lib):
    @lib.asynccontextmanager
    async def manager():
        yield 1
        yield 2

    cm = manager()
    assert await cm.__aenter__() == 1
    cm.args, cm.kwds, cm.func = (), {}, None
    assert await cm.__aenter__() == 2
    assert await cm.__aexit__(None, None, None) is False
