"""What `__aenter__` and `__aexit__` return, as an object and as something to await."""

import asyncio
import collections.abc
import inspect
import itertools
import types
import weakref

import pytest
from helpers import Pause, broken, catch, consume, describe, frame_names, run
from waiting import prepare

REUSED = ("cannot reuse already awaited coroutine",)


@pytest.fixture
def awaitable(lib):
    _, it, _ = prepare(lib, "enter")
    yield it
    it.close()


def test_awaitable_passes_for_a_coroutine(awaitable):
    assert isinstance(awaitable, collections.abc.Coroutine)
    assert isinstance(awaitable, collections.abc.Awaitable)
    assert not isinstance(awaitable, collections.abc.AsyncGenerator)
    # Libraries that take generators for something else ask for this class.
    assert not isinstance(awaitable, collections.abc.Generator)
    assert inspect.isawaitable(awaitable)
    assert asyncio.iscoroutine(awaitable)
    assert not inspect.isasyncgen(awaitable)
    assert not inspect.isgenerator(awaitable)


def test_awaitable_has_the_names_of_the_method(lib):
    cm, entering, _ = prepare(lib, "enter")
    leaving = cm.__aexit__(None, None, None)
    assert (entering.__name__, entering.__qualname__) == ("__aenter__", "_AsyncGeneratorContextManager.__aenter__")
    assert (leaving.__name__, leaving.__qualname__) == ("__aexit__", "_AsyncGeneratorContextManager.__aexit__")
    assert "_AsyncGeneratorContextManager.__aenter__" in repr(entering)
    entering.close()
    leaving.close()


def test_awaitable_can_be_renamed(awaitable):
    awaitable.__name__, awaitable.__qualname__ = "n", "q"
    assert (awaitable.__name__, awaitable.__qualname__) == ("n", "q")
    for name in ("__name__", "__qualname__"):
        for value in (5, None):
            with pytest.raises(TypeError, match=f"{name} must be set to a string object"):
                setattr(awaitable, name, value)
        with pytest.raises((TypeError, AttributeError)):
            delattr(awaitable, name)


def test_iterator_of_the_awaitable_is_one_in_every_respect(awaitable):
    iterator = awaitable.__await__()
    assert isinstance(iterator, collections.abc.Iterator)
    assert iter(iterator) is iterator
    assert next(iterator) == "enter 1"
    for name in ("send", "throw", "close"):
        assert callable(getattr(iterator, name))


def test_iterator_of_the_awaitable_shares_its_state(lib):
    _, awaitable, log = prepare(lib, "enter")
    iterator = awaitable.__await__()
    assert iterator.send(None) == "enter 1"
    assert iterator.throw(LookupError("x")) == "enter 2"
    with pytest.raises(StopIteration) as stop:
        awaitable.send("answer")
    assert stop.value.value == "value"
    assert log[1] == "answer"
    assert catch(iterator.send, None).args == REUSED
    assert catch(next, iterator).args == REUSED
    assert iterator.close() is None


def test_iterator_of_a_finished_awaitable_complains_when_used(lib):
    _, awaitable, _ = prepare(lib, "enter")
    awaitable.close()
    iterator = awaitable.__await__()
    assert catch(next, iterator).args == REUSED


def test_awaitable_takes_no_attributes(awaitable):
    with pytest.raises(AttributeError):
        awaitable.extra = 1


def test_awaitable_class_cannot_be_called(awaitable):
    with pytest.raises(TypeError, match="cannot create"):
        type(awaitable)()


def test_awaitable_is_true_hashable_and_weakly_referenced(awaitable):
    assert bool(awaitable)
    assert hash(awaitable) == hash(awaitable)
    assert awaitable == awaitable
    assert weakref.ref(awaitable)() is awaitable


def test_running_state_shows(lib):
    seen = []

    @lib.asynccontextmanager
    async def manager():
        seen.append(holder[0].cr_running)
        await Pause()
        seen.append(holder[0].cr_running)
        yield

    holder = [manager().__aenter__()]
    assert holder[0].cr_running is False
    holder[0].send(None)
    assert holder[0].cr_running is False
    catch(holder[0].send, None)
    assert holder[0].cr_running is False
    assert seen == [True, True]


def test_suspended_state_shows(awaitable):
    assert awaitable.cr_suspended is False
    awaitable.send(None)
    assert awaitable.cr_suspended is True
    awaitable.close()
    assert awaitable.cr_suspended is False


def test_state_as_inspect_tells_it(lib, stdlib):
    def attempt(which):
        _, awaitable, _ = prepare(which, "enter")
        states = [inspect.getcoroutinestate(awaitable)]
        awaitable.send(None)
        states.append(inspect.getcoroutinestate(awaitable))
        catch(awaitable.send, None)
        states.append(inspect.getcoroutinestate(awaitable))
        return states

    assert attempt(lib) == attempt(stdlib)


# Being awaited by everything that awaits


def test_generator_based_coroutine_can_yield_from_it(lib):
    _, awaitable, _ = prepare(lib, "enter")

    @types.coroutine
    def waiting():
        return (yield from awaitable.__await__())

    generator = waiting()
    assert generator.send(None) == "enter 1"
    assert generator.throw(LookupError("x")) == "enter 2"
    with pytest.raises(StopIteration) as stop:
        generator.send("answer")
    assert stop.value.value == "value"


def test_plain_generator_can_yield_from_its_iterator(lib):
    _, awaitable, _ = prepare(lib, "enter")

    def waiting():
        return (yield from awaitable.__await__())

    generator = waiting()
    assert next(generator) == "enter 1"
    with pytest.raises(StopIteration) as stop:
        next(generator)
    assert stop.value.value == "value"


@pytest.mark.parametrize("value", [None, 1, (1, 2), (), StopIteration(1), ValueError("v"), ValueError, [1]], ids=repr)
def test_result_of_any_kind_survives_every_way_of_awaiting(lib, value):
    @lib.asynccontextmanager
    async def manager():
        yield value

    async def awaits(it):
        return await it

    assert run(manager().__aenter__()) is value
    assert run(awaits(manager().__aenter__())) is value
    with pytest.raises(StopIteration) as stop:
        manager().__aenter__().send(None)
    assert stop.value.value is value
    with pytest.raises(StopIteration) as stop:
        next(manager().__aenter__().__await__())
    assert stop.value.value is value
    assert stop.value.__context__ is None


def test_kept_stop_iteration_is_not_changed_by_later_results(lib):
    @lib.asynccontextmanager
    async def manager(value):
        yield value

    kept = []
    for number in itertools.chain([None, False], range(3)):
        kept.append(catch(manager(number).__aenter__().send, None))
    cm = manager(0)
    run(cm.__aenter__())
    kept.append(catch(cm.__aexit__(None, None, None).send, None))
    cm = manager(0)
    run(cm.__aenter__())
    kept.append(catch(cm.__aexit__(None, None, None).send, None))
    assert [each.value for each in kept] == [None, False, 0, 1, 2, False, False]
    assert len({id(each) for each in kept}) == len(kept)
    assert [each.__context__ for each in kept] == [None] * 7


async def body():
    return "result"


def test_asyncio_takes_it_as_a_coroutine(lib):
    @lib.asynccontextmanager
    async def manager(value):
        await asyncio.sleep(0)
        yield value
        await asyncio.sleep(0)

    async def main():
        cms = [manager(number) for number in range(6)]
        results = [await asyncio.create_task(cms[0].__aenter__())]
        results += await asyncio.gather(cms[1].__aenter__(), cms[2].__aenter__())
        results.append(await asyncio.wait_for(cms[3].__aenter__(), 60))
        results.append(await asyncio.ensure_future(cms[4].__aenter__()))
        async with asyncio.TaskGroup() as group:
            task = group.create_task(cms[5].__aenter__(), name="named")
        results.append(task.result())
        assert task.get_name() == "named"
        done = await asyncio.gather(*(cm.__aexit__(None, None, None) for cm in cms))
        return results, done

    results, done = asyncio.run(main())
    assert results == list(range(6))
    assert done == [False] * 6
    assert asyncio.run(manager("run").__aenter__()) == "run"
    with asyncio.Runner() as runner:
        assert runner.run(manager("runner").__aenter__()) == "runner"


def test_task_of_it_shows_its_name(lib):
    @lib.asynccontextmanager
    async def manager():
        await asyncio.sleep(0)
        yield

    async def main():
        task = asyncio.create_task(manager().__aenter__())
        await asyncio.sleep(0)
        text = repr(task)
        await task
        return text, task.get_coro().__qualname__

    text, name = asyncio.run(main())
    assert "_AsyncGeneratorContextManager.__aenter__" in text
    assert name == "_AsyncGeneratorContextManager.__aenter__"


def test_task_of_it_can_be_cancelled(lib):
    log = []

    @lib.asynccontextmanager
    async def manager():
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError as exc:
            log.append(exc.args)
            raise
        yield

    async def main():
        task = asyncio.create_task(manager().__aenter__())
        await asyncio.sleep(0)
        task.cancel("why")
        with pytest.raises(asyncio.CancelledError, match="why"):
            await task

    asyncio.run(main())
    assert log == [("why",)]


# Errors that leave


def test_error_out_of_an_await_has_the_frames_of_the_user(lib):
    async def fails():
        await Pause()
        raise ValueError("deep")

    @lib.asynccontextmanager
    async def manager():
        await fails()
        yield

    async def main():
        async with manager():
            pass

    caught = catch(run, main())
    assert frame_names(caught) == ["main", "manager", "fails"]
    assert caught.__context__ is None


def test_same_error_out_of_two_managers_keeps_growing_its_traceback_alike(lib, stdlib):
    error = ValueError("shared")

    def attempt(which):
        error.__traceback__ = error.__context__ = None

        @which.asynccontextmanager
        async def manager():
            raise error
            yield

        for _ in range(2):
            run(broken(manager()))
        return describe(error)

    assert attempt(lib) == attempt(stdlib)


def test_recursion_too_deep_in_the_generator_is_an_error_like_any(lib):
    @lib.asynccontextmanager
    async def manager():
        async with manager():
            yield

    async def main():
        async with manager():
            pass

    assert isinstance(catch(run, main()), RecursionError)
    assert run(consume(lib.asynccontextmanager(lambda: agen())())) == (None, True)


async def agen():
    yield
