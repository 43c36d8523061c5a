"""What `__aexit__` does with its arguments, and what the generator can see of the error."""

import sys
from types import TracebackType

import pytest
from helpers import Pause, broken, by_hand, catch_run, describe, frame_names, fresh, leave, outcome, run


class OwnBaseException(BaseException):
    pass


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
        pytest.param(lambda: lambda: ValueError, id="makes a class"),
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
    value = fresh(value)

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
