"""Generators that yield too rarely or too often: the errors, and the clean-up that runs while they are raised."""

import sys

import pytest
from helpers import (
    Pause,
    broken,
    by_hand,
    catch,
    catch_run,
    chain,
    close_reaches_generator,
    closes_on_misuse,
    consume,
    describe,
    frame_names,
    fresh,
    play,
    run,
)

NO_YIELD = "generator didn't yield"
NO_STOP = "generator didn't stop"
IGNORED = ("coroutine ignored GeneratorExit",)
NO_STOP_AFTER_THROW = "generator didn't stop after athrow()"


def second_yield(lib, clean_up):
    """A manager that yields twice, whatever happens in between; `clean_up` runs when it is closed at the second."""

    @lib.asynccontextmanager
    async def manager():
        try:
            yield 1
        except ValueError:
            pass
        try:
            yield 2
        finally:
            await clean_up()

    return manager


# No yield


@pytest.mark.parametrize("pause", [False, True])
@by_hand
async def test_generator_that_returns_at_once_did_not_yield(lib, pause):
    @lib.asynccontextmanager
    async def manager():
        if pause:
            await Pause()
        if False:
            yield

    caught = await broken(manager())
    assert type(caught) is RuntimeError
    assert caught.args == (NO_YIELD,)
    assert caught.__cause__ is None
    assert caught.__suppress_context__ is True
    assert type(caught.__context__) is StopAsyncIteration
    assert caught.__context__.args == ()
    assert caught.__context__.__context__ is None


@by_hand
async def test_not_yielding_while_an_error_is_handled_chains_to_it(lib):
    @lib.asynccontextmanager
    async def manager():
        if False:
            yield

    outer = ValueError("outer")
    try:
        raise outer
    except ValueError:
        caught = await broken(manager())
    assert [type(each) for each in chain(caught)] == [RuntimeError, StopAsyncIteration, ValueError]
    assert chain(caught)[-1] is outer


@pytest.mark.parametrize("kind", [ValueError, KeyboardInterrupt, GeneratorExit, RuntimeError, BaseException])
@pytest.mark.parametrize("pause", [False, True])
@by_hand
async def test_error_before_the_yield_comes_out(lib, kind, pause):
    error = kind("early")

    @lib.asynccontextmanager
    async def manager():
        if pause:
            await Pause()
        raise error
        yield

    caught = await broken(manager())
    assert caught is error
    assert caught.__context__ is None
    assert frame_names(caught) == ["manager"]


@pytest.mark.parametrize("kind", [StopIteration, StopAsyncIteration])
@by_hand
async def test_stop_before_the_yield_comes_out_wrapped(lib, kind):
    @lib.asynccontextmanager
    async def manager():
        raise kind("early")
        yield

    caught = await broken(manager())
    assert type(caught) is RuntimeError
    assert caught.args == (f"async generator raised {kind.__name__}",)
    assert type(caught.__cause__) is kind


def test_entering_in_vain_leaves_the_generator_finished(lib):
    @lib.asynccontextmanager
    async def manager():
        raise ValueError
        yield

    cm = manager()
    assert type(catch_run(cm.__aenter__())) is ValueError
    assert cm.gen.ag_frame is None
    assert run(cm.__aexit__(None, None, None)) is False


# A second yield after a body without an error


@closes_on_misuse
@by_hand
async def test_second_yield_did_not_stop_and_is_closed(lib):
    log = []

    async def clean_up():
        log.append("closed")

    manager = second_yield(lib, clean_up)
    cm = manager()
    caught = await broken(cm)
    assert type(caught) is RuntimeError
    assert caught.args == (NO_STOP,)
    assert caught.__context__ is None
    assert caught.__cause__ is None
    assert caught.__suppress_context__ is False
    assert log == ["closed"]
    assert cm.gen.ag_frame is None


@closes_on_misuse
@by_hand
async def test_second_yield_that_swallows_the_closing_did_not_stop(lib):
    @lib.asynccontextmanager
    async def manager():
        yield 1
        try:
            yield 2
        except GeneratorExit:
            pass

    caught = await broken(manager())
    assert caught.args == (NO_STOP,)


@closes_on_misuse
@by_hand
async def test_clean_up_of_the_second_yield_sees_the_error_being_raised(lib):
    seen = []

    async def clean_up():
        seen.append(chain(sys.exc_info()[1]))

    caught = await broken(second_yield(lib, clean_up)())
    # The interpreter gives the GeneratorExit that it throws no context.
    assert [type(each) for each in seen[0]] == [GeneratorExit]
    assert caught.args == (NO_STOP,)


@closes_on_misuse
@by_hand
async def test_clean_up_of_the_second_yield_outside_of_handlers_sees_the_error_being_raised(lib):
    seen = []

    @lib.asynccontextmanager
    async def manager():
        yield 1
        try:
            yield 2
        except GeneratorExit:
            pass
        seen.append(sys.exc_info()[1])
        await Pause()
        seen.append(sys.exc_info()[1])

    caught = await broken(manager())
    assert seen == [caught, caught]
    assert caught.args == (NO_STOP,)


@closes_on_misuse
@pytest.mark.parametrize("pause", [False, True])
@by_hand
async def test_error_in_the_clean_up_of_the_second_yield_comes_out_instead(lib, pause):
    async def clean_up():
        if pause:
            await Pause()
        raise LookupError("clean-up")

    caught = await broken(second_yield(lib, clean_up)())
    assert type(caught) is LookupError
    assert [type(each) for each in chain(caught)] == [LookupError, GeneratorExit]
    assert frame_names(caught) == ["manager", "clean_up"]


@closes_on_misuse
@by_hand
async def test_third_yield_while_being_closed_comes_out_instead(lib):
    @lib.asynccontextmanager
    async def manager():
        yield 1
        try:
            yield 2
        except GeneratorExit:
            yield 3

    cm = manager()
    caught = await broken(cm)
    assert caught.args == ("async generator ignored GeneratorExit",)
    assert type(caught) is RuntimeError
    assert [each.args for each in chain(caught)[1:]] == [(NO_STOP,)]


@by_hand
async def test_second_yield_while_an_outer_error_is_handled_chains_to_it(lib):
    async def clean_up():
        pass

    outer = KeyError("outer")
    try:
        raise outer
    except KeyError:
        caught = await broken(second_yield(lib, clean_up)())
    assert caught.args == (NO_STOP,)
    assert caught.__context__ is outer


# A second yield after the body raised


@closes_on_misuse
@by_hand
async def test_second_yield_after_an_error_did_not_stop_after_athrow(lib):
    log = []

    async def clean_up():
        log.append("closed")

    cm = second_yield(lib, clean_up)()
    error = ValueError("body")
    caught = await broken(cm, error)
    assert type(caught) is RuntimeError
    assert caught.args == (NO_STOP_AFTER_THROW,)
    assert caught.__context__ is error
    assert caught.__cause__ is None
    assert caught.__suppress_context__ is False
    assert log == ["closed"]
    assert cm.gen.ag_frame is None


@pytest.mark.parametrize("kind", [StopIteration, StopAsyncIteration, GeneratorExit, KeyboardInterrupt, RuntimeError])
@by_hand
async def test_second_yield_after_any_error_did_not_stop_after_athrow(lib, kind):
    @lib.asynccontextmanager
    async def manager():
        try:
            yield 1
        except BaseException:
            yield 2

    error = kind("body")
    caught = await broken(manager(), error)
    assert caught.args == (NO_STOP_AFTER_THROW,)
    assert caught.__context__ is error


@closes_on_misuse
@by_hand
async def test_clean_up_after_athrow_sees_the_error_being_raised(lib):
    seen = []

    async def clean_up():
        seen.append(chain(sys.exc_info()[1]))

    error = ValueError("body")
    caught = await broken(second_yield(lib, clean_up)(), error)
    assert [type(each) for each in seen[0]] == [GeneratorExit]
    assert caught.__context__ is error


@closes_on_misuse
@pytest.mark.parametrize("pause", [False, True])
@by_hand
async def test_error_in_the_clean_up_after_athrow_comes_out_instead(lib, pause):
    async def clean_up():
        if pause:
            await Pause()
        raise LookupError("clean-up")

    error = ValueError("body")
    caught = await broken(second_yield(lib, clean_up)(), error)
    assert [type(each) for each in chain(caught)] == [LookupError, GeneratorExit]


@closes_on_misuse
@by_hand
async def test_second_yield_inside_the_handler_keeps_the_chain(lib):
    seen = []

    @lib.asynccontextmanager
    async def manager():
        try:
            yield 1
        except ValueError:
            try:
                yield 2
            finally:
                seen.append(chain(sys.exc_info()[1]))

    error = ValueError("body")
    caught = await broken(manager(), error)
    assert caught.args == (NO_STOP_AFTER_THROW,)
    assert [type(each) for each in seen[0]][0] is GeneratorExit
    assert caught.__context__ is error


# The clean-up awaits: driven by hand


@closes_on_misuse
@pytest.mark.parametrize("error", [None, ValueError("body")], ids=["no error", "error"])
def test_clean_up_that_awaits_is_awaited(lib, error):
    log = []

    async def clean_up():
        log.append(await Pause("one"))
        log.append(await Pause("two"))

    cm = second_yield(lib, clean_up)()
    run(cm.__aenter__())
    leaving = cm.__aexit__(type(error) if error else None, fresh(error), None)
    assert leaving.send(None) == "one"
    assert leaving.send("first") == "two"
    caught = catch(leaving.send, "second")
    assert caught.args == (NO_STOP_AFTER_THROW if error else NO_STOP,)
    assert log == ["first", "second"]
    assert caught.__context__ is None


@closes_on_misuse
def test_clean_up_sees_the_error_again_after_each_resume(lib):
    seen = []

    @lib.asynccontextmanager
    async def manager():
        yield 1
        try:
            yield 2
        except GeneratorExit:
            pass
        for token in ("one", "two"):
            await Pause(token)
            seen.append(sys.exc_info()[1])

    cm = manager()
    run(cm.__aenter__())
    leaving = cm.__aexit__(None, None, None)
    assert leaving.send(None) == "one"
    assert sys.exc_info()[1] is None
    try:
        raise KeyError("the driver's own")
    except KeyError as own:
        assert leaving.send(None) == "two"
        assert sys.exc_info()[1] is own
    caught = catch(leaving.send, None)
    assert seen == [caught, caught]
    assert caught.args == (NO_STOP,)


@closes_on_misuse
def test_error_thrown_into_the_clean_up_chains_to_the_error_being_raised(lib):
    async def clean_up():
        await Pause("cleaning")

    cm = second_yield(lib, clean_up)()
    run(cm.__aenter__())
    leaving = cm.__aexit__(None, None, None)
    assert leaving.send(None) == "cleaning"
    thrown = LookupError("thrown")
    caught = catch(leaving.throw, thrown)
    assert caught is thrown
    assert chain(caught)[-1].args == (NO_STOP,)


@closes_on_misuse
def test_error_thrown_into_the_clean_up_and_swallowed_there_did_not_stop(lib):
    async def clean_up():
        try:
            await Pause("cleaning")
        except LookupError:
            await Pause("again")

    cm = second_yield(lib, clean_up)()
    run(cm.__aenter__())
    leaving = cm.__aexit__(None, None, None)
    assert leaving.send(None) == "cleaning"
    assert leaving.throw(LookupError("thrown")) == "again"
    assert catch(leaving.send, None).args == (NO_STOP,)


@closes_on_misuse
@pytest.mark.parametrize("error", [None, ValueError("body")], ids=["no error", "error"])
def test_closing_in_the_clean_up_ends_it(lib, error):
    log = []

    async def clean_up():
        try:
            await Pause("cleaning")
        except GeneratorExit:
            log.append("closed")
            raise

    cm = second_yield(lib, clean_up)()
    run(cm.__aenter__())
    leaving = cm.__aexit__(type(error) if error else None, fresh(error), None)
    assert leaving.send(None) == "cleaning"
    assert leaving.close() is None
    if close_reaches_generator(lib):
        assert log == ["closed"]
        assert cm.gen.ag_frame is None


@closes_on_misuse
def test_closing_in_a_clean_up_that_swallows_it_ends_quietly(lib):
    async def clean_up():
        try:
            await Pause("cleaning")
        except GeneratorExit:
            pass

    cm = second_yield(lib, clean_up)()
    run(cm.__aenter__())
    leaving = cm.__aexit__(None, None, None)
    assert leaving.send(None) == "cleaning"
    # "generator didn't stop" was on its way; the GeneratorExit that reaches the awaitable itself wins.
    assert leaving.close() is None
    assert leaving.close() is None
    assert catch(leaving.send, None).args == ("cannot reuse already awaited coroutine",)


@closes_on_misuse
def test_closing_in_a_clean_up_that_awaits_again_is_ignored(lib):
    if not close_reaches_generator(lib):
        pytest.skip("the stdlib of this version leaves the generator suspended")

    async def clean_up():
        try:
            await Pause("cleaning")
        except GeneratorExit:
            await Pause("more")

    cm = second_yield(lib, clean_up)()
    run(cm.__aenter__())
    leaving = cm.__aexit__(None, None, None)
    assert leaving.send(None) == "cleaning"
    caught = catch(leaving.close)
    assert [each.args for each in chain(caught)] == [IGNORED, (NO_STOP,)]
    assert catch(leaving.send, None).args == ("cannot reuse already awaited coroutine",)
    assert cm.gen.ag_frame is None


@closes_on_misuse
def test_closing_in_a_clean_up_that_raises_raises_that(lib):
    if not close_reaches_generator(lib):
        pytest.skip("the stdlib of this version leaves the generator suspended")

    async def clean_up():
        try:
            await Pause("cleaning")
        finally:
            raise LookupError("in clean-up")

    cm = second_yield(lib, clean_up)()
    run(cm.__aenter__())
    error = ValueError("body")
    leaving = cm.__aexit__(ValueError, error, None)
    assert leaving.send(None) == "cleaning"
    caught = catch(leaving.close)
    assert type(caught) is LookupError
    # Thrown into the coroutine that awaits, it gets that one's handled exception for its context.
    assert [each.args for each in chain(caught)] == [("in clean-up",), (NO_STOP_AFTER_THROW,)]
    assert catch(leaving.send, None).args == ("cannot reuse already awaited coroutine",)


def test_third_yield_in_an_awaiting_clean_up(lib, stdlib):
    def attempt(which):
        @which.asynccontextmanager
        async def manager():
            yield 1
            try:
                yield 2
            finally:
                await Pause("cleaning")
                yield 3

        cm = manager()
        run(cm.__aenter__())
        outcomes = play(cm.__aexit__(None, None, None), ("send", None), ("send", None), ("send", None))
        after = describe(catch_run(cm.gen.aclose()))[:2] if cm.gen.ag_frame else None
        return outcomes, after

    assert attempt(lib) == attempt(stdlib)


# Leaving normally after trouble


@by_hand
async def test_manager_that_yields_in_a_loop_did_not_stop(lib):
    closed = []

    @lib.asynccontextmanager
    async def manager():
        try:
            while True:
                yield
        finally:
            closed.append(True)

    assert (await broken(manager())).args == (NO_STOP,)
    assert closed == [True]
    error = ValueError()
    assert await broken(manager(), error) is error


@closes_on_misuse
@by_hand
async def test_manager_with_a_yield_in_finally_after_an_error(lib):
    @lib.asynccontextmanager
    async def manager():
        try:
            yield 1
        finally:
            yield 2

    error = ValueError()
    caught = await broken(manager(), error)
    # Closing it lets GeneratorExit out: the second yield is left by it.
    assert caught.args == (NO_STOP_AFTER_THROW,)
    assert caught.__context__ is error
    assert (await broken(manager())).args == (NO_STOP,)
    assert await consume(manager_that_works(lib)()) == (1, True)


def manager_that_works(lib):
    @lib.asynccontextmanager
    async def manager():
        yield 1

    return manager
