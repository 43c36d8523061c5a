"""What `__aenter__` and `__aexit__` return, driven by hand with send, throw and close at every await point."""

import asyncio
import sys
import warnings

import pytest
from helpers import (
    DEBUG,
    VERSION,
    Pause,
    catch,
    close_reaches_generator,
    frame_names,
    fresh,
    left_marked,
    outcome,
    play,
    run,
)
from waiting import PHASES, begin, prepare

REUSED = ("cannot reuse already awaited coroutine",)

SCRIPTS = {
    "through": [("send", None), ("send", "answer")],
    "through and again": [("send", None), ("send", "answer"), ("send", None), ("throw", ValueError("late"))],
    "value sent first": [("send", "early"), ("send", None), ("send", "answer")],
    "thrown first": [("throw", KeyError("early")), ("send", None)],
    "class thrown first": [("throw", KeyError), ("send", None)],
    "exit thrown first": [("throw", GeneratorExit()), ("send", None)],
    "stop thrown first": [("throw", StopIteration("early")), ("send", None)],
    "async stop thrown first": [("throw", StopAsyncIteration("early")), ("send", None)],
    "three thrown first": [("throw", KeyError, KeyError("early"), None), ("send", None)],
    "nonsense thrown first": [("throw", 5), ("send", None), ("send", "answer")],
    "nothing thrown first": [("throw",), ("send", None), ("send", "answer")],
    "too much thrown": [("throw", 1, 2, 3, 4), ("send", None), ("throw", 1, 2, 3, 4), ("send", "answer")],
    "thrown and caught": [("send", None), ("throw", LookupError("caught")), ("send", "answer")],
    "class thrown and caught": [("send", None), ("throw", LookupError), ("send", "answer")],
    "three thrown and caught": [("send", None), ("throw", LookupError, LookupError("x"), None), ("send", "answer")],
    "class and value thrown": [("send", None), ("throw", LookupError, "text"), ("send", "answer")],
    "thrown and not caught": [("send", None), ("throw", TypeError("through")), ("send", None)],
    "thrown while caught": [("send", None), ("throw", LookupError("caught")), ("throw", TypeError("second"))],
    "stop thrown": [("send", None), ("throw", StopIteration("stop")), ("send", None)],
    "async stop thrown": [("send", None), ("throw", StopAsyncIteration("stop")), ("send", None)],
    "runtime error thrown": [("send", None), ("throw", RuntimeError("rt")), ("send", None)],
    "cancelled": [("send", None), ("throw", asyncio.CancelledError("cancel")), ("send", None)],
    "nothing thrown": [("send", None), ("throw",), ("send", "answer")],
    "instance with value thrown": [("send", None), ("throw", TypeError("x"), "value"), ("send", "answer")],
    "bad traceback thrown": [("send", None), ("throw", TypeError, None, "tb"), ("send", "answer")],
    "closed first": [("close",), ("close",), ("send", None), ("throw", KeyError("late")), ("throw", 5)],
    "closed after the end": [("send", None), ("send", "answer"), ("close",), ("send", None)],
    "iterated": [("send", None), ("send", None)],
}
ABORTING = pytest.mark.skipif(DEBUG, reason="a debug interpreter aborts in the stdlib's coroutine, see helpers.py")
COMPARED = [pytest.param(name, marks=[ABORTING] * (name == "stop thrown first")) for name in SCRIPTS]
# By a mark, for all threads that run the test: the process has but one set of filters.
DEPRECATED = pytest.mark.filterwarnings("ignore:the .type, exc, tb. signature of throw:DeprecationWarning")
CLOSING_SCRIPTS = {
    "closed": [("send", None), ("close",), ("close",), ("send", None)],
    "closed while caught": [("send", None), ("throw", LookupError("caught")), ("close",), ("send", None)],
    "exit thrown": [("send", None), ("throw", GeneratorExit("thrown")), ("send", None)],
    "exit class thrown": [("send", None), ("throw", GeneratorExit), ("send", None)],
}


def fresh_script(script):
    """The same script with new exceptions, so that one run leaves no traceback or context to the next."""
    return [(action, *map(fresh, arguments)) for action, *arguments in script]


def perform(lib, phase, script, *, handling=False):
    cm, awaitable, log = prepare(lib, phase)
    if handling:
        try:
            raise IndexError("the driver's own")
        except IndexError:
            outcomes = play(awaitable, *fresh_script(script))
    else:
        outcomes = play(awaitable, *fresh_script(script))
    state = cm.gen.ag_running, cm.gen.ag_frame is None
    del awaitable
    return outcomes, log, state


@DEPRECATED
@pytest.mark.parametrize("script", COMPARED)
@pytest.mark.parametrize("phase", PHASES)
def test_script_plays_as_on_the_stdlib(ours, stdlib, phase, script):
    assert perform(ours, phase, SCRIPTS[script]) == perform(stdlib, phase, SCRIPTS[script])


@DEPRECATED
@pytest.mark.parametrize("script", COMPARED)
@pytest.mark.parametrize("phase", PHASES)
def test_script_plays_as_on_the_stdlib_while_the_driver_handles_an_error(ours, stdlib, phase, script):
    expected = perform(stdlib, phase, SCRIPTS[script], handling=True)
    assert perform(ours, phase, SCRIPTS[script], handling=True) == expected


@pytest.mark.skipif(VERSION < (3, 13), reason="the stdlib leaves the generator suspended here, see test_differences.py")
@pytest.mark.parametrize("script", CLOSING_SCRIPTS)
@pytest.mark.parametrize("phase", PHASES)
def test_closing_script_plays_as_on_the_stdlib(ours, stdlib, phase, script):
    assert perform(ours, phase, CLOSING_SCRIPTS[script]) == perform(stdlib, phase, CLOSING_SCRIPTS[script])


@pytest.mark.parametrize("phase", PHASES)
def test_results_and_tokens_pass_through(lib, phase):
    _, awaitable, log = prepare(lib, phase)
    name = phase.split()[0]
    outcomes = play(awaitable, ("send", None), ("send", "answer"))
    assert outcomes[0] == ("yielded", f"{name} 1")
    assert log[0] == "answer"
    if phase == "enter":
        assert outcomes[1] == ("returned", "value")
    elif phase == "exit":
        assert outcomes[1] == ("returned", False)
    elif phase == "exit with error":
        assert outcomes[1] == ("returned", True)
    else:
        assert outcomes[1][0] == "raised"
        assert outcomes[1][1][:2] == (
            "RuntimeError",
            (f"generator didn't stop{' after athrow()' if phase.endswith('error') else ''}",),
        )


@pytest.mark.parametrize("phase", PHASES)
def test_closing_a_suspended_awaitable_closes_the_generator(lib, phase):
    cm, awaitable, log = prepare(lib, phase)
    awaitable.send(None)
    assert awaitable.close() is None
    assert catch(awaitable.send, None).args == REUSED
    if close_reaches_generator(lib):
        assert log == ["closed"]
        assert cm.gen.ag_frame is None
        assert cm.gen.ag_running is left_marked(phase)


@pytest.mark.parametrize("phase", ["enter", "exit", "exit with error"])
def test_closing_an_awaitable_that_ignores_it_raises(lib, phase):
    if not close_reaches_generator(lib):
        pytest.skip("the stdlib of this version leaves the generator suspended")

    async def stubborn():
        try:
            await Pause("first")
        except GeneratorExit:
            await Pause("ignored")

    @lib.asynccontextmanager
    async def manager():
        if phase == "enter":
            await stubborn()
        try:
            yield
        except ValueError:
            await stubborn()
        if phase == "exit":
            await stubborn()

    awaitable = begin(manager(), phase)
    assert awaitable.send(None) == "first"
    caught = catch(awaitable.close)
    assert type(caught) is RuntimeError
    assert caught.args == ("coroutine ignored GeneratorExit",)
    assert catch(awaitable.send, None).args == REUSED


@pytest.mark.parametrize("phase", ["enter", "exit", "exit with error"])
def test_closing_a_generator_that_yields_when_closed_plays_as_on_the_stdlib(lib, stdlib, phase):
    if VERSION < (3, 13):
        pytest.skip("the stdlib of this version leaves the generator suspended")

    def attempt(which):
        @which.asynccontextmanager
        async def manager():
            if phase == "enter":
                try:
                    await Pause("first")
                except GeneratorExit:
                    yield "odd"
            try:
                yield "value"
            except ValueError:
                pass
            try:
                await Pause("first")
            except GeneratorExit:
                yield "odd"

        cm = manager()
        outcomes = play(begin(cm, phase), ("send", None), ("close",), ("send", None))
        return outcomes, cm.gen.ag_running, cm.gen.ag_frame is None

    assert attempt(lib) == attempt(stdlib)


# Starting, waiting twice, running already


@pytest.mark.parametrize("phase", ["enter", "exit"])
def test_value_sent_first_is_refused_and_the_awaitable_still_usable(lib, phase):
    _, awaitable, _ = prepare(lib, phase)
    caught = catch(awaitable.send, 1)
    assert type(caught) is TypeError
    assert caught.args == ("can't send non-None value to a just-started coroutine",)
    assert awaitable.send(None) == f"{phase} 1"
    awaitable.close()


def test_awaiting_twice_one_after_the_other_is_refused(lib):
    _, awaitable, _ = prepare(lib, "enter")
    assert run(awaitable, ["answer"]) == "value"
    for again in (lambda: run(awaitable), lambda: awaitable.send(None), lambda: awaitable.throw(ValueError())):
        caught = catch(again)
        assert type(caught) is RuntimeError
        assert caught.args == REUSED
    assert awaitable.close() is None


def test_awaiting_twice_at_once_is_refused(lib):
    cm, awaitable, _ = prepare(lib, "enter")

    async def waiting():
        return await awaitable

    one, two = waiting(), waiting()
    assert one.send(None) == "enter 1"
    caught = catch(two.send, None)
    assert type(caught) is RuntimeError
    assert caught.args == ("coroutine is being awaited already",)
    with pytest.raises(StopIteration) as stop:
        one.send("answer")
    assert stop.value.value == "value"
    assert cm.gen.ag_running is False


def test_awaiting_one_that_was_started_by_hand_goes_on(lib, stdlib):
    def attempt(which):
        _, awaitable, _ = prepare(which, "enter")
        awaitable.send(None)

        async def waiting():
            return await awaitable

        return play(waiting(), ("send", None), ("send", None), ("send", None))

    assert attempt(lib) == attempt(stdlib)


def test_awaiting_one_that_another_function_waits_for_by_hand(lib, stdlib):
    def attempt(which):
        _, awaitable, _ = prepare(which, "enter")
        iterator = awaitable.__await__()
        first = iterator.send(None)

        async def waiting():
            return await awaitable

        return first, play(waiting(), ("send", None)), play(iterator, ("send", "answer"), ("send", None))

    assert attempt(lib) == attempt(stdlib)


@pytest.mark.parametrize("action", ["send", "throw", "close"])
@pytest.mark.parametrize("phase", ["enter", "exit", "exit with error"])
def test_awaitable_that_runs_is_refused(lib, phase, action):
    refused = []

    def reenter():
        if action == "send":
            refused.append(catch(holder[0].send, None))
        elif action == "throw":
            refused.append(catch(holder[0].throw, ValueError()))
        else:
            refused.append(catch(holder[0].close))

    @lib.asynccontextmanager
    async def manager():
        if phase == "enter":
            reenter()
        try:
            yield "value"
        except ValueError:
            reenter()
        if phase == "exit":
            reenter()

    holder = [begin(manager(), phase)]
    run(holder[0])
    assert [(type(each), each.args) for each in refused] == [(ValueError, ("coroutine already executing",))]


# Arguments of throw


@pytest.mark.skipif(VERSION < (3, 12), reason="deprecated from 3.12 on")
@pytest.mark.parametrize("started", [False, True])
def test_throw_with_three_arguments_warns_at_the_callers_line(lib, started):
    _, awaitable, _ = prepare(lib, "enter")
    if started:
        awaitable.send(None)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        line = sys._getframe().f_lineno + 2
        with pytest.raises(TypeError):
            awaitable.throw(TypeError, TypeError("thrown"), None)
    assert caught[0].category is DeprecationWarning
    assert str(caught[0].message) == (
        "the (type, exc, tb) signature of throw() is deprecated, use the single-arg signature instead."
    )
    assert (caught[0].filename, caught[0].lineno) == (__file__, line)


@pytest.mark.skipif(VERSION < (3, 12), reason="deprecated from 3.12 on")
def test_throw_with_three_arguments_while_warnings_are_errors_raises_the_warning(lib, stdlib):
    def attempt(which):
        _, awaitable, _ = prepare(which, "enter")
        awaitable.send(None)
        with warnings.catch_warnings():
            warnings.simplefilter("error", DeprecationWarning)
            first = outcome(awaitable.throw, TypeError, TypeError("thrown"), None)
        return first, outcome(awaitable.send, None)

    assert attempt(lib) == attempt(stdlib)


def test_throw_takes_a_traceback(lib):
    def make_traceback():
        raise LookupError

    traceback = catch(make_traceback).__traceback__
    for started in (False, True):
        _, awaitable, _ = prepare(lib, "enter")
        if started:
            awaitable.send(None)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            caught = catch(awaitable.throw, TypeError, TypeError("thrown"), traceback)
        assert type(caught) is TypeError
        # Innermost last: the frames of the traceback that was given end it.
        assert frame_names(caught)[-1] == "make_traceback"
