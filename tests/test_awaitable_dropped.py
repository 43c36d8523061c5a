"""Awaitables that nobody awaits to their end: warnings, closing, what cannot be raised, where they were made."""

import gc
import sys
import warnings
from contextlib import contextmanager

import pytest
from helpers import VERSION, Pause, catch, close_reaches_generator, left_marked, run
from waiting import PHASES, prepare

NEVER = "coroutine '_AsyncGeneratorContextManager.{}' was never awaited"


@contextmanager
def recorded_warnings():
    gc.collect()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield caught
        gc.collect()


@pytest.fixture
def unraisable(monkeypatch):
    """What sys.unraisablehook gets, as (type of the exception, its text, text about the object)."""
    gc.collect()
    caught = []

    def hook(event):
        caught.append((type(event.exc_value), str(event.exc_value), f"{event.err_msg} {event.object!r}"))

    monkeypatch.setattr(sys, "unraisablehook", hook)
    return caught


# Never started


@pytest.mark.parametrize("method", ["__aenter__", "__aexit__"])
def test_awaitable_never_started_warns_when_dropped(lib, method):
    cm, awaitable, log = prepare(lib, "enter" if method == "__aenter__" else "exit")
    with recorded_warnings() as caught:
        line = sys._getframe().f_lineno + 1
        del awaitable
    assert [str(each.message) for each in caught] == [NEVER.format(method)]
    assert caught[0].category is RuntimeWarning
    assert (caught[0].filename, caught[0].lineno) == (__file__, line)
    assert log == []
    assert cm.gen.ag_running is False


def test_awaitable_never_started_leaves_the_manager_usable(lib):
    @lib.asynccontextmanager
    async def manager(value):
        yield value

    cm = manager(1)
    with recorded_warnings():
        cm.__aenter__()
    assert cm.args == (1,)
    assert run(cm.__aenter__()) == 1
    with recorded_warnings():
        cm.__aexit__(ValueError, ValueError(), None)
    assert run(cm.__aexit__(None, None, None)) is False


def test_awaitable_refused_a_first_value_still_counts_as_never_awaited(lib):
    _, awaitable, _ = prepare(lib, "enter")
    with recorded_warnings() as caught:
        catch(awaitable.send, "early")
        del awaitable
    assert [str(each.message) for each in caught] == [NEVER.format("__aenter__")]


@pytest.mark.parametrize("end", ["close", "throw", "run"])
def test_awaitable_ended_in_any_way_does_not_warn(lib, end):
    with recorded_warnings() as caught:
        _, awaitable, _ = prepare(lib, "enter")
        if end == "close":
            awaitable.close()
        elif end == "throw":
            catch(awaitable.throw, ValueError())
        else:
            run(awaitable)
        del awaitable
    assert caught == []


def test_renamed_awaitable_warns_with_its_new_name(lib):
    _, awaitable, _ = prepare(lib, "enter")
    awaitable.__qualname__ = "Renamed.method"
    with recorded_warnings() as caught:
        del awaitable
    assert [str(each.message) for each in caught] == ["coroutine 'Renamed.method' was never awaited"]


def test_warning_made_an_error_goes_to_the_unraisable_hook(lib, unraisable):
    _, awaitable, _ = prepare(lib, "enter")
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        del awaitable
        gc.collect()
    assert [each[:2] for each in unraisable] == [(RuntimeWarning, NEVER.format("__aenter__"))]


def test_dropping_while_an_error_is_handled_keeps_it(lib):
    _, awaitable, _ = prepare(lib, "enter")
    error = ValueError("handled")
    with recorded_warnings() as caught:
        try:
            raise error
        except ValueError:
            del awaitable
            assert sys.exc_info()[1] is error
    assert len(caught) == 1
    assert error.__context__ is None


def test_awaitable_in_a_forgotten_statement_warns(lib):
    @lib.asynccontextmanager
    async def manager():
        yield

    with recorded_warnings() as caught:
        manager().__aenter__()
    assert [str(each.message) for each in caught] == [NEVER.format("__aenter__")]


def test_manager_never_entered_does_not_warn(lib):
    @lib.asynccontextmanager
    async def manager():
        yield

    with recorded_warnings() as caught:
        manager()
    assert caught == []


# Suspended


@pytest.mark.parametrize("phase", PHASES)
def test_suspended_awaitable_is_closed_when_dropped(lib, phase, unraisable):
    cm, awaitable, log = prepare(lib, phase)
    awaitable.send(None)
    with recorded_warnings() as caught:
        del awaitable
    assert caught == []
    if close_reaches_generator(lib):
        assert log == ["closed"]
        assert cm.gen.ag_frame is None
        assert cm.gen.ag_running is left_marked(phase)
    assert unraisable == []


@pytest.mark.parametrize("phase", ["enter", "exit", "exit with error"])
def test_suspended_awaitable_dropped_with_its_manager_is_closed(lib, phase, unraisable):
    cm, awaitable, log = prepare(lib, phase)
    awaitable.send(None)
    del awaitable, cm
    gc.collect()
    if VERSION >= (3, 13) or lib.name != "stdlib":
        assert log == ["closed"]
    assert unraisable == []


def test_dropped_awaitable_that_fails_in_closing_tells_the_hook(lib, unraisable):
    if not close_reaches_generator(lib):
        pytest.skip("the stdlib of this version leaves the generator suspended")

    @lib.asynccontextmanager
    async def manager():
        try:
            await Pause()
        finally:
            raise LookupError("closing")
        yield

    awaitable = manager().__aenter__()
    awaitable.send(None)
    del awaitable
    gc.collect()
    assert [each[:2] for each in unraisable] == [(LookupError, "closing")]
    assert "_AsyncGeneratorContextManager.__aenter__" in unraisable[0][2]


def test_dropped_awaitable_that_awaits_again_tells_the_hook(lib, unraisable):
    if not close_reaches_generator(lib):
        pytest.skip("the stdlib of this version leaves the generator suspended")

    @lib.asynccontextmanager
    async def manager():
        try:
            await Pause()
        finally:
            await Pause()
        yield

    awaitable = manager().__aenter__()
    awaitable.send(None)
    del awaitable
    gc.collect()
    assert [each[:2] for each in unraisable] == [(RuntimeError, "coroutine ignored GeneratorExit")]


def test_dropping_a_suspended_awaitable_keeps_the_handled_error(lib):
    _, awaitable, _ = prepare(lib, "exit")
    awaitable.send(None)
    error = ValueError("handled")
    try:
        raise error
    except ValueError:
        del awaitable
        assert sys.exc_info()[1] is error
    assert error.__context__ is None


def test_awaitable_put_away_while_being_finalized_is_finished(lib, unraisable):
    if not close_reaches_generator(lib):
        pytest.skip("the stdlib of this version leaves the generator suspended")
    kept = []

    def make():
        holder = {}

        @lib.asynccontextmanager
        async def manager():
            try:
                await Pause()
            finally:
                kept.append(holder["awaitable"])
            yield

        holder["awaitable"] = manager().__aenter__()
        holder["awaitable"].send(None)

    make()
    gc.collect()
    assert len(kept) == 1
    assert catch(kept[0].send, None).args == ("cannot reuse already awaited coroutine",)
    assert kept[0].close() is None
    kept.clear()
    gc.collect()
    assert unraisable == []


# Where it was made


@pytest.fixture
def tracking():
    yield sys.set_coroutine_origin_tracking_depth
    sys.set_coroutine_origin_tracking_depth(0)


def test_origin_is_recorded_while_tracked(lib, tracking):
    @lib.asynccontextmanager
    async def manager():
        yield

    cm = manager()
    untracked = cm.__aenter__()
    tracking(2)
    line = sys._getframe().f_lineno + 1
    tracked = cm.__aenter__()
    tracking(0)
    assert untracked.cr_origin is None
    assert len(tracked.cr_origin) == 2
    assert tracked.cr_origin[0] == (__file__, line, "test_origin_is_recorded_while_tracked")
    untracked.close()
    tracked.close()


def test_warning_tells_where_it_was_made_while_tracked(lib, tracking):
    @lib.asynccontextmanager
    async def manager():
        yield

    with recorded_warnings() as caught:
        tracking(1)
        line = sys._getframe().f_lineno + 1
        awaitable = manager().__aenter__()
        tracking(0)
        del awaitable
    lines = str(caught[0].message).splitlines()
    assert lines[0] == NEVER.format("__aenter__")
    assert lines[1] == "Coroutine created at (most recent call last)"
    assert f"line {line}, in test_warning_tells_where_it_was_made_while_tracked" in lines[2]
