"""The same scenarios under asyncio, uvloop and trio: cancellation at every await, timeouts, groups, shutting down."""

import asyncio
import gc
import importlib.util
import sys

import pytest
from helpers import by_hand, user_frames

anyio = pytest.importorskip("anyio", reason="anyio runs one scenario on every loop")

BACKENDS = {
    "asyncio": ("asyncio", {}),
    "uvloop": ("asyncio", {"use_uvloop": True}),
    "trio": ("trio", {}),
}


@pytest.fixture(params=BACKENDS)
def loop(request):
    """Run a coroutine function on the loop of this name."""
    if request.param != "asyncio" and importlib.util.find_spec(request.param) is None:
        pytest.skip(f"{request.param} is not installed")
    backend, options = BACKENDS[request.param]

    def run_on_loop(function, *args):
        return anyio.run(function, *args, backend=backend, backend_options=options)

    run_on_loop.name = request.param
    return run_on_loop


@pytest.fixture(params=["asyncio", "uvloop"])
def asyncio_loop(request):
    """Run a coroutine on asyncio's loop, or on uvloop's."""
    if request.param == "uvloop":
        uvloop = pytest.importorskip("uvloop", reason="uvloop is not installed")

    def run_on_loop(coroutine):
        factory = uvloop.new_event_loop if request.param == "uvloop" else None
        with asyncio.Runner(loop_factory=factory) as runner:
            return runner.run(coroutine)

    return run_on_loop


def scenario(lib, gate, log):
    """Nested managers, one of them a method's, an exit stack and the decorator form, with awaits everywhere."""

    @lib.asynccontextmanager
    async def inner(name):
        log.append(f"+{name}")
        await gate()
        try:
            yield name
        except BaseException as exc:
            log.append(f"!{name}")
            if isinstance(exc, LookupError):
                return
            raise
        else:
            await gate()
        finally:
            log.append(f"-{name}")

    class Holder:
        @lib.asynccontextmanager
        async def method(self, name):
            async with inner(name) as value, inner(f"{name}'"):
                await gate()
                yield value
                await gate()

    @inner("decorator")
    async def decorated():
        await gate()

    async def body():
        async with Holder().method("method") as value:
            log.append(value)
            await decorated()
            async with lib.AsyncExitStack() as stack:
                await stack.enter_async_context(inner("stack"))
                await gate()
                raise LookupError("swallowed")
        log.append("end")

    return body


GATES = 11


def test_scenario_without_cancellation_runs_to_its_end(lib, loop):
    log, count = [], 0

    async def gate():
        nonlocal count
        count += 1
        await anyio.lowlevel.checkpoint()

    loop(scenario(lib, gate, log))
    assert count == GATES
    assert log == [
        "+method",
        "+method'",
        "method",
        "+decorator",
        "-decorator",
        "+stack",
        "!stack",
        "-stack",
        "-method'",
        "-method",
        "end",
    ]


@pytest.mark.parametrize("target", range(1, GATES + 1))
def test_cancellation_at_each_await_unwinds_as_on_the_stdlib(lib, stdlib, loop, target):
    def attempt(which):
        log, count = [], 0

        async def main():
            with anyio.CancelScope() as scope:

                async def gate():
                    nonlocal count
                    count += 1
                    if count == target:
                        scope.cancel()
                    await anyio.lowlevel.checkpoint()

                await scenario(which, gate, log)()
            return scope.cancelled_caught

        cancelled = loop(main)
        return log, count, cancelled

    log, count, cancelled = attempt(lib)
    assert (log, count, cancelled) == attempt(stdlib)
    assert cancelled
    assert count == target
    entered = [each[1:] for each in log if each.startswith("+")]
    left = [each[1:] for each in log if each.startswith("-")]
    # What was cancelled before its `try` has nothing to leave.
    assert set(entered[:-1]) <= set(left) <= set(entered)


def test_timeout_while_entering_closes_the_generator(lib, loop):
    log = []

    @lib.asynccontextmanager
    async def manager():
        try:
            await anyio.sleep_forever()
            yield
        finally:
            log.append(sys.exc_info()[0] is not None)

    async def main():
        with anyio.move_on_after(0) as scope:
            async with manager():
                log.append("never")
        return scope.cancelled_caught

    assert loop(main) is True
    assert log == [True]


def test_timeout_in_the_body_runs_the_exit(lib, loop):
    log = []

    @lib.asynccontextmanager
    async def manager():
        try:
            yield
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.lowlevel.checkpoint()
                log.append("shielded clean-up")

    async def main():
        with pytest.raises(TimeoutError):
            with anyio.fail_after(0):
                async with manager():
                    await anyio.sleep_forever()
        log.append("after")

    loop(main)
    assert log == ["shielded clean-up", "after"]


def test_timeout_inside_a_manager_is_seen_by_it_only(lib, loop):
    @lib.asynccontextmanager
    async def limited():
        with anyio.move_on_after(0) as scope:
            yield scope

    async def main():
        async with limited() as scope:
            await anyio.sleep_forever()
        return scope.cancelled_caught

    assert loop(main) is True


def test_task_group_inside_a_manager(lib, loop):
    log = []

    @lib.asynccontextmanager
    async def background():
        async def work():
            try:
                await anyio.sleep_forever()
            finally:
                log.append("worker stopped")

        async with anyio.create_task_group() as group:
            group.start_soon(work)
            await anyio.lowlevel.checkpoint()
            yield group
            group.cancel_scope.cancel()

    async def main():
        async with background():
            await anyio.lowlevel.checkpoint()
            log.append("body")

    loop(main)
    assert log == ["body", "worker stopped"]


def test_task_group_error_comes_through_a_manager(lib, loop):
    @lib.asynccontextmanager
    async def background():
        async with anyio.create_task_group() as group:
            yield group

    async def fails():
        raise LookupError("in a task")

    async def main():
        with pytest.raises(ExceptionGroup) as caught:
            async with background() as group:
                group.start_soon(fails)
                await anyio.sleep_forever()
        return caught.value

    group = loop(main)
    assert [type(each) for each in group.exceptions] == [LookupError]
    assert group.exceptions[0].args == ("in a task",)


def test_many_tasks_use_one_manager_function(lib, loop):
    log = []

    @lib.asynccontextmanager
    async def manager(number):
        await anyio.lowlevel.checkpoint()
        yield number
        await anyio.lowlevel.checkpoint()
        log.append(number)

    async def work(number):
        async with manager(number) as value:
            await anyio.lowlevel.checkpoint()
            assert value == number

    async def main():
        async with anyio.create_task_group() as group:
            for number in range(50):
                group.start_soon(work, number)

    loop(main)
    assert sorted(log) == list(range(50))


def test_two_tasks_in_one_manager_are_kept_apart(lib, loop):
    @lib.asynccontextmanager
    async def manager():
        await anyio.lowlevel.checkpoint()
        yield

    async def main():
        cm = manager()
        errors = []

        async def enter():
            try:
                await cm.__aenter__()
            except AttributeError as exc:
                errors.append(str(exc))

        async with anyio.create_task_group() as group:
            group.start_soon(enter)
            group.start_soon(enter)
        assert await cm.__aexit__(None, None, None) is False
        return errors

    assert loop(main) == ["'_AsyncGeneratorContextManager' object has no attribute 'args'"]


def test_errors_under_a_loop_show_only_frames_of_the_user(lib, loop):
    @lib.asynccontextmanager
    async def manager():
        await anyio.lowlevel.checkpoint()
        raise ValueError("deep")
        yield

    async def main():
        try:
            async with manager():
                pass
        except ValueError as exc:
            return [name for name, _ in user_frames(exc)]

    assert loop(main) == ["main", "manager"]


def test_generator_left_open_is_closed_by_the_loop(lib, loop):
    log = []

    @lib.asynccontextmanager
    async def manager():
        try:
            yield
        except GeneratorExit:
            log.append("closed")
            raise

    kept = []

    async def main():
        cm = manager()
        kept.append(cm)
        await cm.__aenter__()

    loop(main)
    assert log == ["closed"]
    assert kept[0].gen.ag_frame is None


# asyncio and uvloop


def closing_slowly(lib, log):
    @lib.asynccontextmanager
    async def manager():
        try:
            yield
        finally:
            await asyncio.sleep(0)
            log.append("closed")

    return manager()


def test_shutdown_closes_generators_left_open_with_their_awaits(lib, asyncio_loop):
    log = []

    async def main():
        cm = closing_slowly(lib, log)
        await cm.__aenter__()
        loop = asyncio.get_running_loop()
        log.append("open")
        await loop.shutdown_asyncgens()
        log.append("shut down")
        assert cm.gen.ag_frame is None

    asyncio_loop(main())
    assert log == ["open", "closed", "shut down"]


def test_generator_dropped_while_open_is_closed_by_a_task_of_the_loop(lib, asyncio_loop):
    log = []

    async def main():
        cm = closing_slowly(lib, log)
        await cm.__aenter__()
        del cm
        gc.collect()
        for _ in range(5):
            await asyncio.sleep(0)
        log.append("end")

    asyncio_loop(main())
    assert log == ["closed", "end"]


def test_generator_started_after_the_shutdown_warns_as_on_the_stdlib(lib, asyncio_loop):
    @lib.asynccontextmanager
    async def manager():
        yield

    async def main():
        await asyncio.get_running_loop().shutdown_asyncgens()
        with pytest.warns(ResourceWarning, match="was scheduled after loop.shutdown_asyncgens"):
            await manager().__aenter__()

    asyncio_loop(main())


def test_loop_forgets_generators_that_are_gone(lib):
    @lib.asynccontextmanager
    async def manager():
        yield

    async def main():
        loop = asyncio.get_running_loop()
        held = []
        for _ in range(3):
            held.append(manager())
            await held[-1].__aenter__()
        counts = [len(loop._asyncgens)]
        for cm in held:
            await cm.__aexit__(None, None, None)
        del cm
        held.clear()
        gc.collect()
        counts.append(len(loop._asyncgens))
        return counts

    assert asyncio.run(main()) == [3, 0]


def test_wait_for_cancels_an_enter_that_takes_too_long(lib, asyncio_loop):
    log = []

    @lib.asynccontextmanager
    async def manager():
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            log.append("cancelled")
            raise
        yield

    async def main():
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(manager().__aenter__(), 0.001)
        async with asyncio.timeout(None):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0):
                    async with manager():
                        pass

    asyncio_loop(main())
    assert log == ["cancelled", "cancelled"]


def test_cancelled_body_tells_the_generator_and_counts_as_cancelled(lib, asyncio_loop):
    log = []

    @lib.asynccontextmanager
    async def manager():
        try:
            yield
        except asyncio.CancelledError as exc:
            log.append(exc.args)
            raise

    async def work():
        async with manager():
            await asyncio.Event().wait()

    async def main():
        task = asyncio.create_task(work())
        await asyncio.sleep(0)
        task.cancel("message")
        with pytest.raises(asyncio.CancelledError):
            await task
        assert task.cancelled()

    asyncio_loop(main())
    assert log == [("message",)]


def test_cancellation_swallowed_by_the_generator_leaves_the_task_running(lib, asyncio_loop):
    @lib.asynccontextmanager
    async def manager():
        try:
            yield
        except asyncio.CancelledError:
            asyncio.current_task().uncancel()

    async def work():
        async with manager():
            await asyncio.Event().wait()
        await asyncio.sleep(0)
        return "went on"

    async def main():
        task = asyncio.create_task(work())
        await asyncio.sleep(0)
        task.cancel()
        return await task

    assert asyncio_loop(main()) == "went on"


def test_futures_awaited_in_the_generator_wake_the_right_task(lib, asyncio_loop):
    @lib.asynccontextmanager
    async def manager(future):
        yield await future

    async def work(future):
        async with manager(future) as value:
            return value

    async def main():
        loop = asyncio.get_running_loop()
        futures = [loop.create_future() for _ in range(5)]
        tasks = [asyncio.create_task(work(future)) for future in futures]
        await asyncio.sleep(0)
        for number, future in reversed(list(enumerate(futures))):
            future.set_result(number)
        return await asyncio.gather(*tasks)

    assert asyncio_loop(main()) == [0, 1, 2, 3, 4]


def test_task_in_a_manager_shows_its_stack(lib, stdlib, asyncio_loop):
    def attempt(which):
        @which.asynccontextmanager
        async def manager():
            await asyncio.sleep(0)
            yield

        async def work():
            async with manager():
                pass

        async def main():
            task = asyncio.create_task(work())
            await asyncio.sleep(0)
            names = [frame.f_code.co_name for frame in task.get_stack()]
            await task
            return names

        return asyncio_loop(main())

    assert attempt(lib)[0] == attempt(stdlib)[0] == "work"


@pytest.mark.skipif(not hasattr(asyncio, "eager_task_factory"), reason="eager tasks came with 3.12")
def test_eager_tasks_run_managers_at_once(lib):
    log = []

    @lib.asynccontextmanager
    async def manager():
        log.append("entered")
        yield
        await asyncio.sleep(0)
        log.append("left")

    async def work():
        async with manager():
            log.append("body")

    async def main():
        asyncio.get_running_loop().set_task_factory(asyncio.eager_task_factory)
        task = asyncio.create_task(work())
        log.append("created")
        await task
        await asyncio.create_task(manager().__aenter__())

    asyncio.run(main())
    assert log == ["entered", "body", "created", "left", "entered"]


def test_debug_mode_changes_nothing(lib):
    @lib.asynccontextmanager
    async def manager():
        await asyncio.sleep(0)
        yield "value"

    async def main():
        async with manager() as value:
            task = asyncio.create_task(manager().__aenter__())
            return value, await task

    assert asyncio.run(main(), debug=True) == ("value", "value")
    sys.set_coroutine_origin_tracking_depth(0)


@by_hand
async def test_async_tests_of_this_suite_run_without_any_loop():
    with pytest.raises(RuntimeError):
        asyncio.get_running_loop()
