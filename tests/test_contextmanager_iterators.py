"""Functions that return something other than an async generator."""

import gc
import types
import warnings

import pytest
from helpers import Pause, broken, by_hand, catch_run, closes_on_misuse, consume, fresh, leave, outcome, run
from waiting import begin


class Steps:
    """An async iterator with what a manager uses of an async generator; it logs, and does what it was told."""

    def __init__(self, *, first="value", second=StopAsyncIteration, thrown=None, closing=None):
        self.log = []
        self.answers = [first, second]
        self.thrown = thrown
        self.closing = closing

    def __aiter__(self):
        return self

    async def __anext__(self):
        self.log.append("anext")
        await Pause()
        answer = self.answers.pop(0)
        if isinstance(answer, type):
            raise answer
        return answer

    async def athrow(self, *args):
        self.log.append(("athrow", args))
        await Pause()
        if self.thrown == "same":
            raise args[-2] if len(args) == 3 else args[0]
        if isinstance(self.thrown, BaseException):
            raise self.thrown
        return self.thrown

    async def aclose(self):
        self.log.append("aclose")
        await Pause()
        if self.closing is not None:
            raise self.closing


def manager_of(lib, iterator):
    @lib.asynccontextmanager
    def manager():
        return iterator

    return manager()


# Async iterators of one's own


@by_hand
async def test_own_iterator_is_stepped_twice(lib):
    steps = Steps()
    assert await consume(manager_of(lib, steps)) == ("value", True)
    assert steps.log == ["anext", "anext"]


@by_hand
async def test_own_iterator_that_stops_at_once_did_not_yield(lib):
    steps = Steps(first=StopAsyncIteration)
    caught = await broken(manager_of(lib, steps))
    assert type(caught) is RuntimeError
    assert caught.args == ("generator didn't yield",)
    assert type(caught.__context__) is StopAsyncIteration
    assert caught.__suppress_context__


@closes_on_misuse
@by_hand
async def test_own_iterator_that_goes_on_did_not_stop_and_is_closed(lib):
    steps = Steps(second="more")
    caught = await broken(manager_of(lib, steps))
    assert caught.args == ("generator didn't stop",)
    assert steps.log == ["anext", "anext", "aclose"]


@closes_on_misuse
@by_hand
async def test_own_iterator_that_fails_to_close_raises_that(lib):
    closing = LookupError("closing")
    steps = Steps(second="more", closing=closing)
    caught = await broken(manager_of(lib, steps))
    assert caught is closing
    assert caught.__context__.args == ("generator didn't stop",)


@by_hand
async def test_own_iterator_gets_the_error_as_the_version_hands_it_over(lib, stdlib):
    def thrown_into(which):
        steps = Steps(thrown="same")
        error = ValueError("body")
        caught = run(broken(manager_of(which, steps), error))
        assert caught is error
        return [len(entry[1]) for entry in steps.log if entry[0] == "athrow"]

    assert thrown_into(lib) == thrown_into(stdlib)


@closes_on_misuse
@by_hand
async def test_own_iterator_that_returns_from_athrow_did_not_stop(lib):
    steps = Steps(thrown="value")
    error = ValueError("body")
    caught = await broken(manager_of(lib, steps), error)
    assert caught.args == ("generator didn't stop after athrow()",)
    assert caught.__context__ is error
    assert steps.log[-1] == "aclose"


@by_hand
async def test_own_iterator_that_stops_in_athrow_suppresses(lib):
    assert await leave(manager_of(lib, Steps(thrown=StopAsyncIteration())), ValueError("body")) is True


@by_hand
async def test_own_iterator_that_raises_the_same_stop_in_athrow_does_not_suppress(lib):
    error = StopAsyncIteration("body")
    assert await leave(manager_of(lib, Steps(thrown=error)), error) is False
    assert await leave(manager_of(lib, Steps(thrown=StopAsyncIteration())), error) is True


@by_hand
async def test_own_iterator_whose_stop_is_the_same_keeps_its_traceback(lib, stdlib):
    def traceback_after(which):
        error = StopAsyncIteration("body")

        async def main():
            cm = manager_of(which, Steps(thrown=error))
            await cm.__aenter__()
            await cm.__aexit__(StopAsyncIteration, error, None)

        run(main())
        return error.__traceback__ is None

    assert traceback_after(lib) == traceback_after(stdlib)


@by_hand
async def test_own_iterator_that_raises_another_error_in_athrow_replaces(lib):
    error, other = ValueError("body"), LookupError("other")
    caught = await broken(manager_of(lib, Steps(thrown=other)), error)
    assert caught is other
    assert caught.__context__ is error


@pytest.mark.parametrize("wrapped", [RuntimeError, ValueError])
@by_hand
async def test_own_iterator_that_wraps_a_stop_in_athrow(lib, wrapped):
    error = StopIteration("body")
    wrapper = wrapped("wrapper")
    wrapper.__cause__ = error
    cm = manager_of(lib, Steps(thrown=wrapper))
    await cm.__aenter__()
    if wrapped is RuntimeError:
        assert await cm.__aexit__(StopIteration, error, None) is False
    else:
        with pytest.raises(ValueError, match="wrapper"):
            await cm.__aexit__(StopIteration, error, None)


def test_step_that_is_no_coroutine_but_awaitable_works(lib):
    class Iterator:
        def __aiter__(self):
            return self

        def __anext__(self):
            return Pause("token")

    cm = manager_of(lib, Iterator())
    entering = cm.__aenter__()
    assert entering.send(None) == "token"
    with pytest.raises(StopIteration) as stop:
        entering.send("answer")
    assert stop.value.value == "answer"


def test_step_that_is_a_generator_marked_as_coroutine_works(lib):
    class Iterator:
        def __aiter__(self):
            return self

        @types.coroutine
        def __anext__(self):
            answer = yield "token"
            return [answer]

    cm = manager_of(lib, Iterator())
    entering = cm.__aenter__()
    assert entering.send(None) == "token"
    with pytest.raises(StopIteration) as stop:
        entering.send("answer")
    assert stop.value.value == ["answer"]


class PlainGenerator:
    """Not awaitable: a generator that is no coroutine."""

    def __call__(self):
        return (number for number in (1,))


class AwaitGives:
    def __init__(self, result):
        self.result = result

    def __await__(self):
        if isinstance(self.result, BaseException):
            raise self.result
        return self.result


def finished_coroutine():
    async def nothing():
        return None

    coroutine = nothing()
    run(coroutine)
    return coroutine


def awaited_coroutine():
    async def pausing():
        await Pause()

    coroutine = pausing()
    waiting = coroutine.__await__()
    waiting.send(None)
    return coroutine


STEP_RESULTS = {
    "int": lambda: 5,
    "none": lambda: None,
    "list": lambda: [1],
    "class": lambda: AwaitGives,
    "plain generator": PlainGenerator(),
    "await gives int": lambda: AwaitGives(5),
    "await gives none": lambda: AwaitGives(None),
    "await gives iterator": lambda: AwaitGives(iter([])),
    "await gives list": lambda: AwaitGives([1, 2]),
    "await gives generator": lambda: AwaitGives(number for number in ()),
    "await gives coroutine": lambda: AwaitGives(finished_coroutine()),
    "await raises": lambda: AwaitGives(LookupError("in __await__")),
    "await raises stop": lambda: AwaitGives(StopIteration("in __await__")),
    "await raises async stop": lambda: AwaitGives(StopAsyncIteration("in __await__")),
    "finished coroutine": finished_coroutine,
}


def outcome_with(lib, method, function):
    """What comes of the use of a manager that comes to that method of its iterator, which is this function."""

    class Iterator(Steps):
        pass

    setattr(Iterator, method, function)
    cm = manager_of(lib, Iterator(second="more"))
    coroutine = begin(cm, {"__anext__": "enter", "athrow": "exit with error", "aclose": "exit"}[method])
    try:
        return ("returned", run(coroutine))
    except BaseException as exc:
        return type(exc), str(exc), type(exc.__context__), type(exc.__cause__)


@pytest.mark.parametrize("method", ["__anext__", "athrow", "aclose"])
@pytest.mark.parametrize("result", STEP_RESULTS)
def test_step_that_gives_something_else_to_await(lib, stdlib, method, result):
    def step(self, *args):
        return STEP_RESULTS[result]()

    assert outcome_with(lib, method, step) == outcome_with(stdlib, method, step)


@pytest.mark.parametrize("method", ["__anext__", "athrow", "aclose"])
@pytest.mark.parametrize("kind", [LookupError, StopIteration, StopAsyncIteration, RuntimeError, KeyboardInterrupt])
def test_step_that_raises_before_there_is_anything_to_await(lib, stdlib, method, kind):
    def step(self, *args):
        raise kind("at once")

    assert outcome_with(lib, method, step) == outcome_with(stdlib, method, step)


@pytest.mark.parametrize("value", [1, (1, 2), (), None, StopIteration(5), ValueError(6), ValueError])
@by_hand
async def test_own_iterator_may_give_any_value(lib, value):
    class Iterator:
        def __aiter__(self):
            return self

        async def __anext__(self):
            return value

    assert await manager_of(lib, Iterator()).__aenter__() is value


def test_own_iterator_steps_are_looked_up_on_its_class(lib):
    class Iterator:
        def __aiter__(self):
            return self

        async def __anext__(self):
            return "class"

    iterator = Iterator()
    iterator.__anext__ = None
    assert run(manager_of(lib, iterator).__aenter__()) == "class"


@closes_on_misuse
def test_own_iterator_methods_for_errors_are_looked_up_on_the_instance(lib):
    steps = Steps(second="more")
    closed = []

    async def aclose():
        closed.append(True)

    steps.aclose = aclose
    cm = manager_of(lib, steps)
    run(cm.__aenter__())
    assert catch_run(cm.__aexit__(None, None, None)).args == ("generator didn't stop",)
    assert closed == [True]


def test_iterator_without_aiter_is_accepted_as_anext_accepts_it(lib, stdlib):
    class Iterator:
        async def __anext__(self):
            return "value"

    assert outcome(lambda: run(manager_of(lib, Iterator()).__aenter__())) == outcome(
        lambda: run(manager_of(stdlib, Iterator()).__aenter__())
    )


# Things that are no async iterators


@pytest.mark.parametrize(
    "make",
    [lambda: 42, lambda: None, lambda: iter([1]), lambda: (number for number in [1]), lambda: [1], object, lambda: int],
    ids=["int", "None", "iterator", "generator", "list", "object", "class"],
)
def test_result_that_is_no_async_iterator_fails_when_entering(lib, make):
    thing = make()
    kind = type(thing).__name__
    cm = manager_of(lib, thing)
    caught = catch_run(cm.__aenter__())
    assert type(caught) is TypeError
    assert str(caught) == f"{kind!r} object is not an async iterator"
    assert not hasattr(cm, "args")
    caught = catch_run(cm.__aexit__(None, None, None))
    assert str(caught) == f"{kind!r} object is not an async iterator"


def test_result_without_athrow_fails_when_leaving_with_an_error(lib, stdlib):
    def attempt(which):
        return outcome(run, manager_of(which, 42).__aexit__(ValueError, ValueError(), None))

    assert attempt(lib) == attempt(stdlib)
    assert attempt(lib) == ("raised", AttributeError, "'int' object has no attribute 'athrow'")


@closes_on_misuse
def test_result_without_aclose_fails_while_raising_that_it_did_not_stop(lib):
    class Iterator:
        def __aiter__(self):
            return self

        async def __anext__(self):
            return 1

    caught = catch_run(manager_of(lib, Iterator()).__aexit__(None, None, None))
    assert str(caught) == "'Iterator' object has no attribute 'aclose'"
    assert caught.__context__.args == ("generator didn't stop",)


def test_coroutine_function_decorated_by_mistake_fails_when_entering(lib):
    @lib.asynccontextmanager
    async def manager():
        return 1

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        cm = manager()
        assert str(catch_run(cm.__aenter__())) == "'coroutine' object is not an async iterator"
        del cm
        gc.collect()
    assert [str(each.message) for each in caught] == [f"coroutine '{manager.__qualname__}' was never awaited"]


def test_sync_generator_decorated_by_mistake_fails_when_entering(lib):
    @lib.asynccontextmanager
    def manager():
        yield 1

    assert str(catch_run(manager().__aenter__())) == "'generator' object is not an async iterator"


def test_gen_replaced_between_enter_and_exit_is_the_one_left(lib):
    @lib.asynccontextmanager
    async def manager():
        yield "own"

    cm = manager()
    run(cm.__aenter__())
    steps = Steps(second=StopAsyncIteration)
    steps.answers.pop(0)
    cm.gen = steps
    assert run(cm.__aexit__(None, None, None)) is False
    assert steps.log == ["anext"]


class SubGenerator:
    """Delegates to an async generator and adds nothing."""

    def __init__(self, generator):
        self.generator = generator

    def __aiter__(self):
        return self

    def __anext__(self):
        return self.generator.__anext__()

    def __getattr__(self, name):
        return getattr(self.generator, name)


@pytest.mark.parametrize("error", [None, KeyError("body")], ids=["no error", "error"])
def test_wrapped_async_generator_behaves_as_the_generator(lib, error):
    log = []

    async def generator():
        await Pause("in")
        try:
            yield "value"
        except KeyError:
            log.append("caught")
        await Pause("out")
        log.append("left")

    value, passed = run(consume(manager_of(lib, SubGenerator(generator())), fresh(error)))
    assert (value, passed) == ("value", error is None)
    assert log == (["caught", "left"] if error else ["left"])
