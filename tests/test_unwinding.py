"""AsyncExitStack while it unwinds: order, suppression, replacement, contexts, tracebacks, results, depth."""

import asyncio
import sys

import pytest
from helpers import VERSION, Pause, by_hand, catch, catch_run, chain, describe, frame_names, fresh, outcome, run

NO_DETAILS = (None, None, None)
TRACEBACK_REFRESHED = VERSION >= (3, 13)


def details_of(error):
    return type(error), error, error.__traceback__


def raised(error):
    """The details of an exception that was raised and caught."""
    return details_of(catch(throw, error))


def throw(error):
    raise error


async def wait_and_throw(error):
    await Pause("before")
    raise error


def make(lib, *exits):
    """A stack with synchronous exit functions, the last of which runs first."""
    stack = lib.AsyncExitStack()
    for exit in exits:
        stack.push(exit)
    return stack


# Order, suppression, replacement


@by_hand
async def test_entries_run_last_in_first_out_whatever_their_kind(lib):
    log = []

    async def wait(name, *details):
        log.append(name)

    class Manager:
        async def __aenter__(self):
            log.append("enter")

        async def __aexit__(self, *details):
            log.append("manager")

    async with lib.AsyncExitStack() as stack:
        stack.callback(log.append, "callback")
        stack.push_async_callback(wait, "async callback")
        stack.push(lambda *details: log.append("exit"))
        stack.push_async_exit(lambda *details: wait("async exit", *details))
        await stack.enter_async_context(Manager())
        stack.push_async_exit(Manager())
    assert log == ["enter", "manager", "manager", "async exit", "exit", "async callback", "callback"]


@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
@pytest.mark.parametrize("result", [True, 1, "yes", object], ids=repr)
def test_true_result_suppresses_for_the_body_and_later_callbacks(lib, result, asynchronous):
    seen = []

    async def wait(*details):
        return result

    async def use():
        async with lib.AsyncExitStack() as stack:
            stack.push(lambda *details: seen.append(details))
            stack.push_async_exit(wait) if asynchronous else stack.push(lambda *details: result)
            raise ValueError
        return "reached"

    assert run(use()) == "reached"
    assert seen == [NO_DETAILS]


@pytest.mark.parametrize("name", ["callback", "push_async_callback"])
def test_true_result_of_a_callback_does_not_suppress(lib, name):
    async def wait():
        return True

    async def use():
        async with lib.AsyncExitStack() as stack:
            getattr(stack, name)(wait if name == "push_async_callback" else lambda: True)
            raise ValueError("body")

    assert str(catch_run(use())) == "body"


@pytest.mark.parametrize("result", [False, None, 0, "", []], ids=repr)
def test_false_result_lets_the_exception_through(lib, result):
    error = ValueError()
    assert run(make(lib, lambda *details: result).__aexit__(*raised(error))) is False


def test_result_whose_truth_fails_replaces_the_exception(lib):
    class Undecided:
        def __bool__(self):
            raise KeyError("undecided")

    seen = []
    stack = make(lib, lambda *details: seen.append(details[1]), lambda *details: Undecided())
    error = catch_run(stack.__aexit__(*raised(ValueError())))
    assert type(error) is KeyError
    assert seen == [error]


@pytest.mark.parametrize("kind", [ValueError, KeyboardInterrupt, SystemExit, GeneratorExit, asyncio.CancelledError])
def test_replacing_exception_is_what_later_callbacks_and_the_caller_see(lib, kind):
    seen = []
    new = kind("new")
    stack = make(lib, lambda *details: seen.append(details), lambda *details: throw(new))
    assert catch_run(stack.__aexit__(*raised(KeyError()))) is new
    assert [(typ, value) for typ, value, _ in seen] == [(kind, new)]
    assert seen[0][2] is not None


def test_same_exception_raised_again_by_an_exit_is_raised(lib):
    """An exit function that raises what it was given: the stack raises it, where a with statement would re-raise."""
    error = ValueError()
    stack = make(lib, lambda *details: throw(details[1]))
    assert catch_run(stack.__aexit__(*raised(error))) is error
    assert error.__context__ is None


def test_exception_then_suppression_then_exception(lib):
    seen = []
    stack = make(
        lib,
        lambda *details: seen.append(details[1]),
        lambda *details: throw(KeyError("last")),
        lambda *details: True,
        lambda *details: throw(ValueError("first")),
    )
    error = catch_run(stack.__aexit__(*NO_DETAILS))
    assert repr(error) == "KeyError('last')"
    assert seen == [error]
    assert error.__context__ is None


# Results of the methods


def test_result_is_exactly_what_the_stdlib_gives(lib, stdlib):
    def scenario(namespace):
        found = []
        for received in (False, True):
            for results in ([], [None], [True], [1], [False, True], [True, False], ["raise", True], [True, "raise"]):

                def exit(result):
                    return lambda *details: throw(KeyError()) if result == "raise" else result

                stack = make(namespace, *map(exit, results))
                found.append(outcome(run, stack.__aexit__(*(raised(ValueError()) if received else NO_DETAILS))))
                stack = make(namespace, *map(exit, results))
                found.append(outcome(run, stack.aclose()))
        return found

    assert scenario(lib) == scenario(stdlib)


def test_results_by_path(lib):
    assert run(make(lib).__aexit__(*NO_DETAILS)) is False
    assert run(make(lib, lambda *details: True).__aexit__(*NO_DETAILS)) is False
    assert run(make(lib).__aexit__(*raised(ValueError()))) is False
    assert run(make(lib, lambda *details: 1).__aexit__(*raised(ValueError()))) is True
    assert run(make(lib, lambda *details: True).aclose()) is None
    stack = lib.AsyncExitStack()
    assert run(stack.__aenter__()) is stack


@pytest.mark.parametrize("count", [0, 1, 2, 3, 4, 5])
def test_number_of_details_counts_as_on_the_stdlib(lib, stdlib, count):
    """The stdlib takes *exc_details and looks at the second (3.13) or the first; too few fail inside the coroutine."""
    error = ValueError()
    details = (ValueError, error, None, 4, 5)[:count]

    def scenario(namespace):
        seen = []
        stack = make(namespace, lambda *given: seen.append(given))
        return outcome(run, stack.__aexit__(*details)), seen

    assert scenario(lib) == scenario(stdlib)


def test_details_by_keyword_raise_type_error(lib):
    error = catch(lib.AsyncExitStack().__aexit__, typ=None, value=None, traceback=None)
    assert type(error) is TypeError
    assert "got an unexpected keyword argument 'typ'" in str(error)


@pytest.mark.parametrize(
    "details",
    [(ValueError, None, None), (None, ValueError("v"), None), (KeyError, ValueError("v"), None), ("no", "no", "no")],
    ids=repr,
)
def test_inconsistent_details_are_taken_as_on_the_stdlib(lib, stdlib, details):
    details = tuple(map(fresh, details))

    def scenario(namespace):
        seen = []

        def exit(*given):
            seen.append(given)
            return True

        results = [outcome(run, make(namespace, lambda *given: seen.append(given)).__aexit__(*details))]
        results.append(outcome(run, make(namespace, exit).__aexit__(*details)))
        results.append(outcome(run, make(namespace).__aexit__(*details)))
        return results, seen

    assert scenario(lib) == scenario(stdlib)


# Chains of exceptions


async def body_raises(stack_type, exits, body_error, outer=None):
    async def use():
        async with stack_type() as stack:
            for exit in exits:
                stack.push(exit)
            if body_error is not None:
                raise body_error

    if outer is None:
        return await use()
    try:
        raise outer
    except BaseException:
        return await use()


@pytest.mark.parametrize("with_outer", [False, True], ids=["nothing handled", "another handled"])
@pytest.mark.parametrize("body", [False, True], ids=["body ends", "body raises"])
def test_contexts_are_those_of_the_stdlib(lib, stdlib, body, with_outer):
    def scenario(namespace):
        def fresh():
            throw(ValueError("fresh"))

        def chained():
            try:
                throw(ValueError("inner"))
            except ValueError:
                throw(KeyError("chained"))

        def from_none():
            raise LookupError("from none") from None

        def from_cause():
            raise LookupError("from cause") from KeyError("cause")

        def in_finally():
            try:
                throw(ValueError("inner"))
            finally:
                throw(KeyError("in finally"))

        def handled():
            try:
                throw(ValueError("handled"))
            except ValueError:
                pass

        exits = [
            lambda *details, call=call: call() for call in (fresh, chained, from_none, from_cause, in_finally, handled)
        ]
        found = []
        for first in range(len(exits)):
            for second in range(len(exits)):
                errors = ValueError("body") if body else None, KeyError("outer") if with_outer else None
                coroutine = body_raises(namespace.AsyncExitStack, [exits[first], exits[second], exits[first]], *errors)
                found.append(describe(catch_run_or_none(coroutine)))
        return found

    assert scenario(lib) == scenario(stdlib)


def catch_run_or_none(coroutine):
    try:
        run(coroutine)
    except BaseException as error:
        return error
    return None


def test_contexts_equal_those_of_nested_statements(lib):
    class Raising:
        def __init__(self, number):
            self.number = number

        async def __aenter__(self):
            return self

        async def __aexit__(self, *details):
            raise ValueError(self.number)

    async def nested():
        async with Raising(1), Raising(2), Raising(3):
            raise KeyError

    async def stacked():
        async with lib.AsyncExitStack() as stack:
            for number in (1, 2, 3):
                await stack.enter_async_context(Raising(number))
            raise KeyError

    def texts(coroutine):
        return [repr(error) for error in chain(catch_run(coroutine))]

    assert texts(stacked()) == texts(nested()) == ["ValueError(1)", "ValueError(2)", "ValueError(3)", "KeyError()"]


def test_pending_exception_keeps_its_context_when_raised_at_the_end(lib):
    old, new, handled = KeyError("old"), ValueError("new"), LookupError("handled")
    stack = make(lib, lambda *details: throw(new))

    async def use():
        try:
            raise handled
        except LookupError:
            await stack.__aexit__(KeyError, old, None)

    assert catch_run(use()) is new
    assert new.__context__ is old
    assert old.__context__ is None


def test_suppressed_context_flag_is_kept(lib):
    def exit(*details):
        raise ValueError("new") from None

    error = catch_run(make(lib, exit).__aexit__(*raised(KeyError("old"))))
    assert error.__suppress_context__
    assert error.__cause__ is None


def test_cycle_of_contexts_comes_to_an_end(ours):
    """The stdlib would look for the end of this chain for ever."""
    if not ours.core or not hasattr(ours.core, "AsyncExitStack"):
        pytest.skip("the stack is not in C yet")

    def cycle(*details):
        one, two = ValueError("one"), ValueError("two")
        one.__context__, two.__context__ = two, one
        try:
            raise one
        finally:
            one.__context__, two.__context__ = two, one

    seen = []
    stack = make(ours, lambda *details: seen.append(details[1]), cycle)
    error = catch_run(stack.__aexit__(*raised(KeyError())))
    assert repr(error) == "ValueError('one')"
    assert seen == [error]


def test_handled_exception_at_entry_ends_the_search_for_a_context(lib):
    """What was being handled when the unwinding began is not part of the callbacks' chain."""
    outer, body, new = LookupError("outer"), KeyError("body"), ValueError("new")

    async def use():
        try:
            raise outer
        except LookupError:
            await make(lib, lambda *details: throw(new)).__aexit__(KeyError, body, None)

    assert catch_run(use()) is new
    assert chain(new) == [new, body]


def test_handled_exception_inside_callbacks_is_that_of_the_caller(lib):
    handled, seen = KeyError("handled"), []

    async def wait():
        seen.append(sys.exc_info()[1])
        await Pause()
        seen.append(sys.exc_info()[1])

    stack = lib.AsyncExitStack()
    stack.push_async_callback(wait)
    stack.callback(lambda: seen.append(sys.exc_info()[1]))
    stack.push(lambda *details: throw(ValueError()))
    stack.push(lambda *details: True)

    async def use():
        try:
            raise handled
        except KeyError:
            await stack.__aexit__(*NO_DETAILS)

    assert type(catch_run(use())) is ValueError
    assert seen == [handled] * 3


# Tracebacks


def test_traceback_given_to_each_callback_is_as_on_the_stdlib(lib, stdlib):
    def scenario(namespace):
        seen = []

        def look(*details):
            names = []
            traceback = details[2]
            while traceback is not None:
                if traceback.tb_frame.f_code.co_filename == __file__:
                    names.append(traceback.tb_frame.f_code.co_name)
                traceback = traceback.tb_next
            seen.append(names)

        def deepen(*details):
            look(*details)
            try:
                raise details[1]
            except BaseException:
                pass

        error = ValueError()
        run(make(namespace, look, deepen, deepen).__aexit__(*raised(error)))
        return seen, frame_names(error)

    seen, _ = scenario(lib)
    assert scenario(lib) == scenario(stdlib)
    assert (seen[0] == seen[2]) is not TRACEBACK_REFRESHED


def test_traceback_of_what_leaves_the_stack_shows_the_users_frames(lib, stdlib):
    def inner(*details):
        raise ValueError

    def scenario(namespace):
        async def use():
            async with namespace.AsyncExitStack() as stack:
                stack.push(inner)

        return catch_run(use())

    error = scenario(lib)
    assert describe(error) == describe(scenario(stdlib))
    assert frame_names(error) == ["use", "inner"]


# StopIteration and its kin


@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
@pytest.mark.parametrize("kind", [StopIteration, StopAsyncIteration, GeneratorExit])
def test_iteration_exception_from_a_callback_is_as_on_the_stdlib(lib, stdlib, kind, asynchronous):
    def scenario(namespace):
        async def wait(*details):
            raise kind("from the callback")

        stack = namespace.AsyncExitStack()
        seen = []
        stack.push(lambda *details: seen.append(repr(details[1])))
        stack.push_async_exit(wait) if asynchronous else stack.push(lambda *details: throw(kind("from the callback")))
        return describe(catch_run(stack.aclose())), seen

    assert scenario(lib) == scenario(stdlib)


def test_stop_iteration_that_leaves_the_stack_becomes_runtime_error(lib):
    stop = StopIteration(1)
    error = catch_run(make(lib, lambda *details: throw(stop)).aclose())
    assert repr(error) == "RuntimeError('coroutine raised StopIteration')"
    assert error.__cause__ is stop


@pytest.mark.parametrize("kind", [StopIteration, StopAsyncIteration])
def test_iteration_exception_of_the_body_passes_through(lib, kind):
    error = kind()
    assert run(make(lib, lambda *details: None).__aexit__(*raised(error))) is False
