"""What leaves a manager when the body raised: the exit path to the letter."""

import asyncio

import pytest
from helpers import Pause, broken, by_hand, catch_run, consume, frame_names, fresh, leave, run


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
