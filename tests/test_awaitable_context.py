"""What surrounds the generator while it runs: handled exceptions, context variables, hooks, tracing, frames."""

import contextvars
import gc
import inspect
import sys
import traceback

import pytest
from helpers import (
    VERSION,
    Pause,
    broken,
    by_hand,
    catch,
    catch_run,
    consume,
    is_library_frame,
    leave,
    run,
)

# sys.exc_info() inside the generator


def test_generator_sees_what_each_resumer_handles(lib):
    seen = []

    @lib.asynccontextmanager
    async def manager():
        for token in ("one", "two"):
            seen.append(sys.exc_info()[1])
            await Pause(token)
            seen.append(sys.exc_info()[1])
        yield

    awaitable = manager().__aenter__()
    errors = [ValueError(number) for number in range(3)]
    for error in errors:
        try:
            raise error
        except ValueError:
            try:
                awaitable.send(None)
            except StopIteration:
                pass
            assert sys.exc_info()[1] is error
    assert seen == [errors[0], errors[1], errors[1], errors[2]]


def test_generators_own_handled_error_survives_suspension(lib):
    seen = []

    @lib.asynccontextmanager
    async def manager():
        try:
            raise LookupError("inside")
        except LookupError as exc:
            await Pause()
            seen.append(sys.exc_info()[1] is exc)
            yield
            seen.append(sys.exc_info()[1] is exc)
        seen.append(sys.exc_info()[1])

    cm = manager()
    awaitable = cm.__aenter__()
    awaitable.send(None)
    assert sys.exc_info()[1] is None
    catch(awaitable.send, None)
    assert sys.exc_info()[1] is None
    run(cm.__aexit__(None, None, None))
    assert sys.exc_info()[1] is None
    assert seen == [True, True, None]


def test_error_raised_by_the_generator_chains_to_what_the_resumer_handles(lib):
    @lib.asynccontextmanager
    async def manager():
        await Pause()
        raise LookupError("new")
        yield

    awaitable = manager().__aenter__()
    awaitable.send(None)
    outer = ValueError("outer")
    try:
        raise outer
    except ValueError:
        caught = catch(awaitable.send, None)
    assert type(caught) is LookupError
    assert caught.__context__ is outer


def test_error_thrown_in_while_the_resumer_handles_another(lib):
    @lib.asynccontextmanager
    async def manager():
        try:
            await Pause()
        except LookupError:
            seen.append(sys.exc_info()[1].__context__)
            raise
        yield

    seen = []
    awaitable = manager().__aenter__()
    awaitable.send(None)
    thrown = LookupError("thrown")
    first = thrown.__context__ = KeyError("its own")
    try:
        raise ValueError("the driver's")
    except ValueError:
        assert catch(awaitable.throw, thrown) is thrown
    assert thrown.__context__ is first
    assert seen == [first]


@by_hand
async def test_exit_within_an_except_block_of_the_body(lib):
    seen = []

    @lib.asynccontextmanager
    async def manager():
        yield
        seen.append(sys.exc_info()[1])

    error = ValueError("handled")
    try:
        raise error
    except ValueError:
        async with manager():
            pass
    assert seen == [error]


# Context variables


def test_context_variables_set_in_the_generator_are_the_callers(lib):
    variable = contextvars.ContextVar("variable", default="default")

    @lib.asynccontextmanager
    async def manager():
        token = variable.set("inside")
        yield
        variable.reset(token)

    async def main():
        before = variable.get()
        async with manager():
            within = variable.get()
        return before, within, variable.get()

    assert contextvars.copy_context().run(run, main()) == ("default", "inside", "default")


def test_context_variables_of_each_resumer_are_seen(lib):
    variable = contextvars.ContextVar("variable", default="default")
    seen = []

    @lib.asynccontextmanager
    async def manager():
        seen.append(variable.get())
        await Pause()
        seen.append(variable.get())
        yield

    awaitable = manager().__aenter__()
    one, two = contextvars.copy_context(), contextvars.copy_context()
    one.run(variable.set, 1)
    two.run(variable.set, 2)
    one.run(awaitable.send, None)
    two.run(catch, awaitable.send, None)
    assert seen == [1, 2]


# Hooks of async generators


@pytest.fixture
def hooks():
    before = sys.get_asyncgen_hooks()
    yield sys.set_asyncgen_hooks
    sys.set_asyncgen_hooks(*before)


@pytest.mark.parametrize("start", ["enter", "exit", "exit with error", "enter by send"])
def test_first_hook_is_called_once_before_the_generator_starts(lib, hooks, start):
    log = []

    @lib.asynccontextmanager
    async def manager():
        log.append("started")
        await Pause()
        try:
            yield
        except ValueError:
            pass

    def firstiter(generator):
        log.append((generator is cm.gen, generator.ag_frame.f_lasti < 10, generator.ag_running))

    cm = manager()
    hooks(firstiter=firstiter, finalizer=lambda generator: None)
    if start == "enter":
        run(cm.__aenter__())
        run(cm.__aexit__(None, None, None))
    elif start == "enter by send":
        awaitable = cm.__aenter__()
        assert log == []
        awaitable.send(None)
        awaitable.close()
    elif start == "exit":
        catch_run(cm.__aexit__(None, None, None))
    else:
        run(cm.__aexit__(ValueError, ValueError(), None))
        hooks(None, None)
        assert log == [(True, True, False)]
        return
    hooks(None, None)
    assert [each for each in log if each != "started"] == [(True, True, False)]
    assert log[-1] == "started"


def test_first_hook_that_raises_leaves_the_generator_unstarted(lib, hooks):
    log = []
    error = LookupError("hook")

    @lib.asynccontextmanager
    async def manager():
        log.append("started")
        yield "value"

    def firstiter(generator):
        log.append("hook")
        raise error

    cm = manager()
    hooks(firstiter=firstiter, finalizer=None)
    caught = catch_run(cm.__aenter__())
    hooks(None, None)
    assert caught is error
    assert log == ["hook"]
    assert cm.gen.ag_running is False
    assert not hasattr(cm, "args")
    # The hook had its turn: the generator can still be used without another.
    assert run(cm.gen.__anext__()) == "value"


def test_hooks_set_later_do_not_concern_a_running_generator(lib, hooks):
    called = []

    @lib.asynccontextmanager
    async def manager():
        yield

    cm = manager()
    run(cm.__aenter__())
    hooks(firstiter=called.append, finalizer=called.append)
    run(cm.__aexit__(None, None, None))
    del cm
    gc.collect()
    hooks(None, None)
    assert called == []


def test_final_hook_is_called_for_an_open_generator_dropped(lib, hooks):
    dropped, log = [], []

    @lib.asynccontextmanager
    async def manager():
        try:
            yield
        finally:
            log.append("closed")

    hooks(firstiter=None, finalizer=dropped.append)
    cm = manager()
    run(cm.__aenter__())
    hooks(None, None)
    generator = id(cm.gen)
    del cm
    gc.collect()
    assert [id(each) for each in dropped] == [generator]
    assert log == []
    run(dropped.pop().aclose())
    assert log == ["closed"]


def test_final_hook_is_not_called_for_a_generator_that_ended(lib, hooks):
    dropped = []

    @lib.asynccontextmanager
    async def manager():
        yield

    hooks(firstiter=None, finalizer=dropped.append)
    run(consume(manager()))
    run(leave(manager(), ValueError()))
    manager()
    gc.collect()
    hooks(None, None)
    assert dropped == []


def test_final_hook_is_not_called_for_a_generator_never_started(lib, hooks):
    dropped = []

    @lib.asynccontextmanager
    async def manager():
        yield

    hooks(firstiter=None, finalizer=dropped.append)
    cm = manager()
    del cm
    gc.collect()
    hooks(None, None)
    assert dropped == []


# Tracing and profiling


async def traced_inner():
    await Pause()


async def traced_generator():
    await traced_inner()
    try:
        yield "value"
    except ValueError:
        pass
    await traced_inner()


async def traced_user(manager, error):
    async with manager() as value:
        if error:
            raise error
    return value


TRACED = {"traced_inner", "traced_generator", "traced_user"}


def record_events(install, function):
    events = []

    def tracer(frame, event, arg):
        if is_library_frame(frame):
            return tracer
        # How a result reaches `await` is the interpreter's affair: as a StopIteration, or not, and that by version.
        if frame.f_code.co_name in TRACED and not (event == "exception" and arg[0] is StopIteration):
            kind = type(arg[1]).__name__ if event == "exception" else type(arg).__name__ if event == "return" else None
            events.append((event, frame.f_code.co_name, frame.f_lineno, kind))
        return tracer

    before = sys.gettrace() if install is sys.settrace else sys.getprofile()
    install(tracer)
    try:
        function()
    finally:
        install(before)
    return events


@pytest.mark.parametrize("error", [None, ValueError, KeyError], ids=["no error", "swallowed", "passing"])
@pytest.mark.parametrize("install", [sys.settrace, sys.setprofile], ids=["trace", "profile"])
def test_trace_function_sees_the_same_events_of_user_code(lib, stdlib, install, error):
    def attempt(which):
        manager = which.asynccontextmanager(traced_generator)

        def function():
            try:
                run(traced_user(manager, error() if error else None))
            except KeyError:
                pass

        events = record_events(install, function)
        return [each for each in events if not each[0].startswith("c_")]

    assert attempt(lib) == attempt(stdlib)
    assert ("call", "traced_generator") in {each[:2] for each in attempt(lib)}


@pytest.mark.skipif(VERSION < (3, 12), reason="sys.monitoring came with 3.12")
@pytest.mark.parametrize("error", [None, ValueError, KeyError], ids=["no error", "swallowed", "passing"])
def test_monitoring_sees_the_same_events_of_user_code(lib, stdlib, error):
    tool = 3
    names = ("PY_START", "PY_RESUME", "PY_RETURN", "PY_YIELD", "PY_UNWIND", "PY_THROW", "RAISE", "EXCEPTION_HANDLED")
    events = sys.monitoring.events

    def attempt(which):
        manager = which.asynccontextmanager(traced_generator)
        seen = []

        def callback(name):
            def note(code, *args):
                if code.co_name in TRACED and not (name == "RAISE" and isinstance(args[-1], StopIteration)):
                    seen.append((name, code.co_name))

            return note

        sys.monitoring.use_tool_id(tool, "test")
        try:
            mask = 0
            for name in names:
                sys.monitoring.register_callback(tool, getattr(events, name), callback(name))
                mask |= getattr(events, name)
            sys.monitoring.set_events(tool, mask)
            try:
                run(traced_user(manager, error() if error else None))
            except KeyError:
                pass
        finally:
            sys.monitoring.set_events(tool, 0)
            sys.monitoring.free_tool_id(tool)
        return seen

    assert attempt(lib) == attempt(stdlib)


# Frames


def test_stack_inside_the_generator_shows_the_frames_of_the_user(lib):
    stacks = []

    @lib.asynccontextmanager
    async def manager():
        stacks.append(inspect.stack())
        yield
        stacks.append(inspect.stack())

    async def main():
        async with manager():
            pass

    run(main())
    for stack in stacks:
        shown = [each.function for each in stack if not is_library_frame(each.frame)]
        assert shown[:2] == ["manager", "main"]


def test_printed_traceback_names_the_line_of_the_generator(lib):
    @lib.asynccontextmanager
    async def manager():
        raise ValueError("printed")  # the line
        yield

    async def main():
        async with manager():
            pass

    lines = "".join(traceback.format_exception(catch_run(main())))
    assert 'raise ValueError("printed")  # the line' in lines
    assert "async with manager():" in lines


def test_generator_frame_is_gone_after_leaving(lib):
    @lib.asynccontextmanager
    async def manager():
        yield

    cm = manager()
    run(consume(cm))
    assert cm.gen.ag_frame is None
    assert cm.gen.ag_await is None
    assert cm.gen.ag_running is False


def test_generator_shows_as_running_only_while_it_does(lib):
    seen = []

    @lib.asynccontextmanager
    async def manager():
        seen.append(cm.gen.ag_running)
        await Pause()
        seen.append(cm.gen.ag_running)
        yield
        seen.append(cm.gen.ag_running)

    cm = manager()
    assert cm.gen.ag_running is False
    awaitable = cm.__aenter__()
    awaitable.send(None)
    # Suspended in an await it counts as running: nobody else may enter.
    assert cm.gen.ag_running is True
    catch(awaitable.send, None)
    assert cm.gen.ag_running is False
    run(cm.__aexit__(None, None, None))
    assert seen == [True, True, True]
    assert cm.gen.ag_running is False


def test_generator_is_not_running_after_any_error(lib):
    @lib.asynccontextmanager
    async def manager():
        try:
            yield
        except ValueError:
            raise KeyError

    cm = manager()
    run(broken(cm, ValueError()))
    assert cm.gen.ag_running is False


def test_generator_shows_what_it_awaits(lib):
    pause = Pause()

    async def inner():
        await pause

    @lib.asynccontextmanager
    async def manager():
        await inner()
        yield

    cm = manager()
    awaitable = cm.__aenter__()
    awaitable.send(None)
    assert cm.gen.ag_await.cr_code is inner.__code__
    assert cm.gen.ag_frame.f_code.co_name == "manager"
    awaitable.close()
