"""What leaves a manager when the body raised: the exit path to the letter."""

import asyncio
import sys
from types import TracebackType

import pytest
from helpers import VERSION, Pause, broken, by_hand, catch_run, consume, describe, frame_names, leave, outcome, run


class OwnBaseException(BaseException):
    pass


class OwnRuntimeError(RuntimeError):
    pass


class OwnStop(StopIteration):
    pass


class OwnStopAsync(StopAsyncIteration):
    pass


PLAIN = [
    ValueError("v"),
    Exception(),
    RuntimeError("r"),
    OwnRuntimeError("own"),
    RecursionError("deep"),
    KeyboardInterrupt(),
    SystemExit(3),
    GeneratorExit(),
    OwnBaseException("b"),
    asyncio.CancelledError("c"),
    ExceptionGroup("g", [ValueError(1)]),
    BaseExceptionGroup("bg", [KeyboardInterrupt()]),
]
STOPS = [StopIteration("s"), StopAsyncIteration("sa"), OwnStop("os"), OwnStopAsync("osa")]
EVERY = PLAIN + STOPS


def fresh(exc):
    """A new exception like the one of the parameter list: those are shared by all tests."""
    if isinstance(exc, BaseExceptionGroup):
        return type(exc)(exc.message, exc.exceptions)
    return type(exc)(*exc.args)


def names(exc):
    return f"{type(exc).__name__}"


every_exception = pytest.mark.parametrize("template", EVERY, ids=names)
plain_exception = pytest.mark.parametrize("template", PLAIN, ids=names)
stop_exception = pytest.mark.parametrize("template", STOPS, ids=names)


# Passing through


@every_exception
def test_error_the_generator_does_not_catch_comes_through_as_itself(lib, template):
    @lib.asynccontextmanager
    async def manager():
        yield

    error = fresh(template)
    assert run(leave(manager(), error)) is False


@every_exception
def test_error_passing_through_keeps_the_body_traceback_only(lib, template):
    @lib.asynccontextmanager
    async def manager():
        yield

    error = fresh(template)

    async def main():
        try:
            async with manager():
                raise error
        except BaseException as caught:
            assert caught is error
            assert frame_names(caught) == ["main"]
            assert caught.__traceback__.tb_next is None
            assert caught.__context__ is None
            assert caught.__cause__ is None
            assert caught.__suppress_context__ is False

    run(main())


@every_exception
def test_error_reraised_by_a_bare_raise_comes_through_as_itself(lib, template):
    seen = []

    @lib.asynccontextmanager
    async def manager():
        try:
            yield
        except BaseException as exc:
            seen.append(exc)
            raise

    error = fresh(template)
    assert run(leave(manager(), error)) is False
    assert seen == [error]
    assert seen[0] is error


@every_exception
def test_error_reraised_after_finally_comes_through_as_itself(lib, template):
    log = []

    @lib.asynccontextmanager
    async def manager():
        try:
            yield
        finally:
            await Pause()
            log.append("clean")

    error = fresh(template)
    assert run(leave(manager(), error)) is False
    assert log == ["clean"]


@every_exception
def test_error_raised_again_by_name_comes_through_as_itself(lib, template):
    @lib.asynccontextmanager
    async def manager():
        try:
            yield
        except BaseException as exc:
            raise exc

    error = fresh(template)

    caught = run(broken(manager(), error))
    assert caught is error
    assert frame_names(caught) == []
    assert caught.__traceback__.tb_next is None


@plain_exception
def test_error_raised_again_from_another_keeps_the_new_cause(lib, template):
    cause = LookupError("cause")

    @lib.asynccontextmanager
    async def manager():
        try:
            yield
        except BaseException as exc:
            raise exc from cause

    error = fresh(template)
    caught = run(broken(manager(), error))
    assert caught is error
    assert caught.__cause__ is cause
    assert caught.__suppress_context__ is True


def test_error_passing_through_gets_back_the_traceback_given_to_exit(lib):
    @lib.asynccontextmanager
    async def manager():
        yield

    def make_traceback():
        try:
            raise LookupError
        except LookupError as exc:
            return exc.__traceback__

    given = make_traceback()
    error = ValueError()
    error.__traceback__ = make_traceback()
    cm = manager()
    run(cm.__aenter__())
    assert run(cm.__aexit__(ValueError, error, given)) is False
    assert error.__traceback__ is given


def test_error_passing_through_without_traceback_loses_its_own(lib):
    @lib.asynccontextmanager
    async def manager():
        yield

    error = ValueError()
    try:
        raise error
    except ValueError:
        pass
    cm = manager()
    run(cm.__aenter__())
    assert run(cm.__aexit__(ValueError, error, None)) is False
    assert error.__traceback__ is None


@pytest.mark.parametrize("kind", [StopIteration, StopAsyncIteration])
def test_stop_wrapped_by_the_generator_gets_back_the_traceback_given_to_exit(lib, kind):
    @lib.asynccontextmanager
    async def manager():
        yield

    error = kind()
    cm = manager()
    run(cm.__aenter__())
    try:
        raise error
    except kind as exc:
        given = exc.__traceback__
        assert run(cm.__aexit__(kind, error, given)) is False
    assert error.__traceback__ is given
    # The interpreter wrapped the error while it was being handled; that leaves no mark on the error itself.
    assert error.__context__ is None


def test_error_of_a_nested_call_keeps_frames_of_the_body(lib):
    @lib.asynccontextmanager
    async def manager():
        yield

    def fails():
        raise ValueError

    async def main():
        async with manager(), manager():
            fails()

    assert frame_names(catch_run(main())) == ["main", "fails"]


# Suppressing


@every_exception
def test_error_the_generator_swallows_is_suppressed(lib, template):
    @lib.asynccontextmanager
    async def manager():
        try:
            yield "value"
        except BaseException:
            await Pause()

    assert run(leave(manager(), fresh(template))) is True
    assert run(consume(manager(), fresh(template))) == ("value", False)


@every_exception
def test_error_swallowed_by_return_is_suppressed(lib, template):
    @lib.asynccontextmanager
    async def manager():
        try:
            yield
        except BaseException:
            return

    assert run(leave(manager(), fresh(template))) is True


@by_hand
async def test_suppressing_only_some_errors(lib):
    @lib.asynccontextmanager
    async def manager():
        try:
            yield
        except (KeyError, TypeError):
            pass

    assert await leave(manager(), KeyError()) is True
    assert await leave(manager(), TypeError()) is True
    assert await leave(manager(), ValueError()) is False


# Replacing


@every_exception
def test_error_replaced_by_another_has_the_body_error_as_context(lib, template):
    @lib.asynccontextmanager
    async def manager():
        try:
            yield
        except BaseException:
            raise LookupError("new")

    error = fresh(template)
    caught = run(broken(manager(), error))
    assert type(caught) is LookupError
    assert caught.__context__ is error
    assert caught.__cause__ is None
    assert frame_names(caught) == ["manager"]


@plain_exception
def test_error_replaced_from_the_body_error_has_it_as_cause(lib, template):
    @lib.asynccontextmanager
    async def manager():
        try:
            yield
        except BaseException as exc:
            raise LookupError("new") from exc

    error = fresh(template)
    caught = run(broken(manager(), error))
    assert type(caught) is LookupError
    assert caught.__cause__ is error
    assert caught.__context__ is error


@plain_exception
def test_error_replaced_by_an_equal_one_is_the_new_one(lib, template):
    new = fresh(template)

    @lib.asynccontextmanager
    async def manager():
        try:
            yield
        except BaseException:
            raise new

    error = fresh(template)
    caught = run(broken(manager(), error))
    assert caught is new
    assert caught.__context__ is error


@plain_exception
def test_error_replaced_from_none_hides_the_body_error(lib, template):
    @lib.asynccontextmanager
    async def manager():
        try:
            yield
        except BaseException:
            raise OwnBaseException("new") from None

    error = fresh(template)
    caught = run(broken(manager(), error))
    assert type(caught) is OwnBaseException
    assert caught.__context__ is error
    assert caught.__suppress_context__ is True


@every_exception
def test_error_raised_after_swallowing_has_the_handled_one_as_context(lib, template):
    @lib.asynccontextmanager
    async def manager():
        try:
            yield
        except BaseException:
            pass
        raise LookupError("after")

    error = fresh(template)
    caught = run(broken(manager(), error))
    assert type(caught) is LookupError
    # The `async with` statement of the caller is still handling it.
    assert caught.__context__ is error


@pytest.mark.parametrize("late", [False, True])
def test_error_of_the_clean_up_without_an_error_in_the_body_comes_out(lib, late):
    @lib.asynccontextmanager
    async def manager():
        yield
        if late:
            await Pause()
        raise LookupError("clean-up")

    caught = run(broken(manager()))
    assert type(caught) is LookupError
    assert caught.__context__ is None
    assert frame_names(caught) == ["manager"]


def test_exception_group_split_in_the_generator_leaves_the_rest(lib):
    @lib.asynccontextmanager
    async def manager():
        try:
            yield
        except* ValueError:
            pass

    group = ExceptionGroup("both", [ValueError(1), KeyError(2)])
    caught = run(broken(manager(), group))
    assert type(caught) is ExceptionGroup
    assert [type(each) for each in caught.exceptions] == [KeyError]
    assert run(leave(manager(), ExceptionGroup("one", [ValueError(1)]))) is True


# StopIteration, StopAsyncIteration and the RuntimeError the interpreter wraps them in


@stop_exception
def test_stop_raised_by_the_clean_up_comes_out_wrapped(lib, template):
    stop = fresh(template)

    @lib.asynccontextmanager
    async def manager():
        yield
        raise stop

    caught = run(broken(manager()))
    assert type(caught) is RuntimeError
    assert caught.__cause__ is stop
    assert str(caught).startswith("async generator raised Stop")


@stop_exception
def test_stop_in_the_body_replaced_by_another_stop_comes_out_wrapped(lib, template):
    other = fresh(template)

    @lib.asynccontextmanager
    async def manager():
        try:
            yield
        except BaseException:
            raise other

    error = fresh(template)
    caught = run(broken(manager(), error))
    assert type(caught) is RuntimeError
    assert caught.__cause__ is other
    assert other.__context__ is error


@stop_exception
@pytest.mark.parametrize("kind", [RuntimeError, OwnRuntimeError])
def test_stop_in_the_body_wrapped_by_hand_with_it_as_cause_comes_through_as_itself(lib, template, kind):
    @lib.asynccontextmanager
    async def manager():
        try:
            yield
        except BaseException as exc:
            raise kind("wrapped") from exc

    error = fresh(template)
    assert run(leave(manager(), error)) is False
    assert run(broken(manager(), error)) is error


@stop_exception
def test_stop_in_the_body_wrapped_without_cause_is_replaced(lib, template):
    @lib.asynccontextmanager
    async def manager():
        try:
            yield
        except BaseException:
            raise RuntimeError("no cause")

    error = fresh(template)
    caught = run(broken(manager(), error))
    assert type(caught) is RuntimeError and caught.args == ("no cause",)
    assert caught.__context__ is error


@pytest.mark.parametrize("kind", [RuntimeError, OwnRuntimeError, ValueError])
def test_other_error_wrapped_in_a_runtime_error_is_replaced(lib, kind):
    @lib.asynccontextmanager
    async def manager():
        try:
            yield
        except BaseException as exc:
            raise RuntimeError("wrapped") from exc

    error = kind("body")
    caught = run(broken(manager(), error))
    assert caught is not error
    assert caught.args == ("wrapped",)
    assert caught.__cause__ is error


@pytest.mark.parametrize("kind", [StopIteration, StopAsyncIteration])
def test_runtime_error_in_the_body_and_a_stop_in_the_clean_up_comes_out_wrapped(lib, kind):
    @lib.asynccontextmanager
    async def manager():
        try:
            yield
        except RuntimeError as exc:
            raise kind from exc

    error = RuntimeError("body")
    caught = run(broken(manager(), error))
    assert caught is not error
    assert type(caught) is RuntimeError
    assert type(caught.__cause__) is kind
    assert caught.__cause__.__cause__ is error


def test_group_that_only_holds_a_stop_is_an_error_like_any(lib):
    @lib.asynccontextmanager
    async def manager():
        yield

    error = ExceptionGroup("g", [StopIteration(), StopAsyncIteration()])
    assert run(leave(manager(), error)) is False


# The arguments of __aexit__


@by_hand
async def test_class_without_instance_is_instantiated_and_thrown(lib):
    seen = []

    @lib.asynccontextmanager
    async def manager():
        try:
            yield
        except BaseException as exc:
            seen.append(exc)
            raise

    for kind in (ValueError, KeyboardInterrupt, OwnBaseException, StopIteration, StopAsyncIteration, GeneratorExit):
        cm = manager()
        await cm.__aenter__()
        assert await cm.__aexit__(kind, None, None) is False
        assert type(seen[-1]) is kind
        assert seen[-1].args == ()


@by_hand
async def test_class_without_instance_swallowed_is_suppressed(lib):
    @lib.asynccontextmanager
    async def manager():
        try:
            yield
        except ValueError:
            pass

    cm = manager()
    await cm.__aenter__()
    assert await cm.__aexit__(ValueError, None, None) is True


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(lambda: UnicodeDecodeError, id="needs arguments"),
        pytest.param(lambda: ValueError(1), id="an instance"),
        pytest.param(lambda: "text", id="not callable"),
        pytest.param(lambda: False, id="false"),
        pytest.param(lambda: 0, id="zero"),
        pytest.param(lambda: int, id="makes an int"),
        pytest.param(lambda: type, id="a class that needs an argument"),
        pytest.param(lambda: (lambda: ValueError), id="makes a class"),
    ],
)
def test_odd_type_without_instance_fails_when_awaited(lib, stdlib, make):
    def attempt(which):
        @which.asynccontextmanager
        async def manager():
            yield

        cm = manager()
        run(cm.__aenter__())
        leaving = cm.__aexit__(make(), None, None)
        return outcome(run, leaving), outcome(run, cm.__aexit__(None, None, None))

    assert attempt(lib) == attempt(stdlib)


def test_constructor_that_fails_raises_from_the_awaitable(lib):
    class Failing(Exception):
        def __init__(self):
            raise LookupError("constructor")

    log = []

    @lib.asynccontextmanager
    async def manager():
        yield
        log.append("left")

    cm = manager()
    run(cm.__aenter__())
    leaving = cm.__aexit__(Failing, None, None)
    caught = catch_run(leaving)
    assert type(caught) is LookupError
    assert frame_names(caught) == ["__init__"]
    assert log == []
    assert run(cm.__aexit__(None, None, None)) is False
    assert log == ["left"]


def test_constructor_runs_at_the_first_resume(lib):
    log = []

    class Made(ValueError):
        def __init__(self):
            log.append("made")

    @lib.asynccontextmanager
    async def manager():
        try:
            yield
        except ValueError as exc:
            log.append(type(exc))

    cm = manager()
    run(cm.__aenter__())
    leaving = cm.__aexit__(Made, None, None)
    assert log == []
    assert run(leaving) is True
    assert log == ["made", Made]


@pytest.mark.parametrize(
    ("typ", "value"),
    [
        (ValueError, KeyError("k")),
        (KeyError, LookupError("subclass expected")),
        (LookupError, KeyError("subclass given")),
        (ValueError, "text"),
        (ValueError, ("two", "arguments")),
        (ValueError, KeyError),
        (UnicodeDecodeError, "text"),
        (int, 7),
        (5, 7),
        (5, ValueError("v")),
        (False, ValueError("v")),
        ("", ValueError("v")),
    ],
    ids=str,
)
def test_type_and_value_that_do_not_match(lib, stdlib, typ, value):
    def attempt(which):
        seen = []

        @which.asynccontextmanager
        async def manager():
            try:
                yield
            except BaseException as exc:
                seen.append((type(exc), exc.args, exc is value))
                raise

        cm = manager()
        run(cm.__aenter__())
        return outcome(run, cm.__aexit__(typ, value, None)), seen

    assert attempt(lib) == attempt(stdlib)


@by_hand
async def test_none_as_type_ignores_the_value(lib):
    @lib.asynccontextmanager
    async def manager():
        yield

    cm = manager()
    await cm.__aenter__()
    assert await cm.__aexit__(None, ValueError("ignored"), "ignored") is False


@pytest.mark.parametrize("traceback", ["text", 5, ValueError], ids=str)
@pytest.mark.parametrize("suppress", [False, True])
def test_traceback_that_is_none(lib, stdlib, traceback, suppress):
    def attempt(which):
        @which.asynccontextmanager
        async def manager():
            try:
                yield
            except ValueError:
                if not suppress:
                    raise

        cm = manager()
        run(cm.__aenter__())
        error = ValueError("e")
        try:
            return run(cm.__aexit__(ValueError, error, traceback))
        except BaseException as exc:
            return type(exc), exc.args, exc.__context__ is error

    assert attempt(lib) == attempt(stdlib)


# Tracebacks and handled exceptions as the generator sees them


def test_generator_sees_the_body_error_with_its_traceback(lib):
    seen = []

    @lib.asynccontextmanager
    async def manager():
        try:
            yield
        except ValueError as exc:
            seen.append((sys.exc_info()[1] is exc, frame_names(exc)))
            raise

    def fails():
        raise ValueError

    async def main():
        async with manager():
            fails()

    caught = catch_run(main())
    # The interpreter puts the generator's own frame in front when it throws.
    assert seen == [(True, ["manager", "main", "fails"])]
    assert frame_names(caught) == ["main", "fails"]
    assert isinstance(caught.__traceback__, TracebackType)


def test_generator_handles_what_the_caller_handles(lib):
    seen = []

    def note():
        seen.append(sys.exc_info()[1])

    @lib.asynccontextmanager
    async def manager():
        note()
        await Pause()
        note()
        try:
            yield
        except KeyError:
            note()
            await Pause()
            note()
        note()
        await Pause()
        note()

    outer, error = ValueError("outer"), KeyError("body")

    async def main():
        try:
            raise outer
        except ValueError:
            async with manager():
                raise error

    run(main())
    assert seen == [outer, outer, error, error, error, error]
    assert error.__context__ is outer


def test_generator_that_handles_while_yielding_keeps_its_own_exception(lib):
    seen = []

    @lib.asynccontextmanager
    async def manager():
        try:
            raise LookupError("inside")
        except LookupError:
            yield
            seen.append(sys.exc_info()[1])

    async def main():
        async with manager():
            seen.append(sys.exc_info()[1])
        seen.append(sys.exc_info()[1])

    run(main())
    assert [type(each) for each in seen] == [type(None), LookupError, type(None)]


def test_error_thrown_while_the_generator_handles_another_gets_no_foreign_context(lib, stdlib):
    def attempt(which):
        @which.asynccontextmanager
        async def manager():
            try:
                raise LookupError("inside")
            except LookupError:
                yield

        error = ValueError("body")
        caught = run(broken(manager(), error))
        return describe(caught, {"body": error})

    assert attempt(lib) == attempt(stdlib)


def test_body_error_with_context_keeps_it_through_the_exit(lib):
    @lib.asynccontextmanager
    async def manager():
        try:
            yield
        finally:
            try:
                raise TypeError("unrelated")
            except TypeError:
                pass

    first, second = KeyError("first"), ValueError("second")

    async def main():
        async with manager():
            try:
                raise first
            except KeyError:
                raise second

    caught = catch_run(main())
    assert caught is second
    assert caught.__context__ is first
    assert first.__context__ is None


@pytest.mark.skipif(VERSION < (3, 11), reason="exceptions have notes from 3.11 on")
def test_body_error_keeps_its_notes_and_gets_none(lib):
    @lib.asynccontextmanager
    async def manager():
        yield

    plain, noted = ValueError(), ValueError()
    noted.add_note("mine")
    assert run(leave(manager(), plain)) is False
    assert not hasattr(plain, "__notes__")
    assert run(leave(manager(), noted)) is False
    assert noted.__notes__ == ["mine"]


# Classes of exceptions with habits of their own


def test_error_that_equals_everything_is_compared_by_identity(lib):
    class Equal(Exception):
        def __eq__(self, other):
            return True

        __hash__ = Exception.__hash__

    @lib.asynccontextmanager
    async def manager():
        try:
            yield
        except Equal:
            raise Equal("new")

    old = Equal("old")
    caught = run(broken(manager(), old))
    assert caught is not old
    assert caught.args == ("new",)


def test_error_that_cannot_be_compared_comes_through(lib):
    class Incomparable(Exception):
        def __eq__(self, other):
            raise TypeError("do not compare")

        __hash__ = Exception.__hash__

    @lib.asynccontextmanager
    async def manager():
        yield

    assert run(leave(manager(), Incomparable())) is False


def test_error_with_a_slot_class_comes_through(lib):
    class Slotted(ValueError):
        __slots__ = ("code",)

    @lib.asynccontextmanager
    async def manager():
        yield

    error = Slotted("s")
    error.code = 7
    assert run(leave(manager(), error)) is False
    assert error.code == 7
