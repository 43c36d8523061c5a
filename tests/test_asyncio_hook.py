"""asyncio's hook for async generators, which the C code does without calling it: nobody can tell.

What is called all the same is in test_asyncio_hook_replaced.py.
"""

import asyncio
import contextlib
import gc
import sys
import threading
import warnings
import weakref

import pytest
from asyncio_hooks import DEFERS_REMOVALS, hooks_of, manager_of
from helpers import DEBUG, FREE_THREADED, consume, run

native_only = pytest.mark.skipif(FREE_THREADED, reason="without a GIL the hook is called")


# What the loop knows


def test_open_generator_is_in_the_loops_set_as_the_hook_puts_it_there(lib, loop):
    async def main():
        cm = manager_of(lib)()
        async with cm:
            [reference] = weakref.getweakrefs(cm.gen)
            assert type(reference) is weakref.ref
            assert reference.__callback__ is loop._asyncgens._remove
            assert loop._asyncgens.data == {reference}
            assert list(loop._asyncgens) == [cm.gen]
        assert list(loop._asyncgens) == [cm.gen]
        del cm
        assert len(loop._asyncgens) == len(loop._asyncgens.data) == 0

    loop.run_until_complete(main())


def test_generator_is_known_before_its_first_line_runs(lib, loop):
    @lib.asynccontextmanager
    async def manager():
        yield len(loop._asyncgens)

    async def main():
        async with manager() as first, manager() as second:
            return first, second

    assert loop.run_until_complete(main()) == (1, 2)


def test_generator_that_was_added_before_is_there_once(lib, loop):
    async def main():
        cm = manager_of(lib)()
        loop._asyncgen_firstiter_hook(cm.gen)
        async with cm:
            assert list(loop._asyncgens) == [cm.gen]
            assert len(loop._asyncgens.data) == 1

    loop.run_until_complete(main())


def test_shutdown_closes_what_is_open(lib, loop):
    log = []
    managers = [manager_of(lib, log)() for _ in range(3)]

    async def main():
        for cm in managers:
            await cm.__aenter__()

    loop.run_until_complete(main())
    assert log == []
    loop.run_until_complete(loop.shutdown_asyncgens())
    assert log == [(loop, threading.get_ident())] * 3
    assert list(loop._asyncgens) == []
    with pytest.raises(StopAsyncIteration):
        run(anext(managers[0].gen))


def warnings_after_shutdown(lib, loop):
    """What is warned of when a manager is entered after shutdown_asyncgens()."""
    manager = manager_of(lib)

    async def main():
        await loop.shutdown_asyncgens()
        cm = manager()
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            async with cm:
                assert list(loop._asyncgens) == [cm.gen]
        text = str(caught[0].message).replace(repr(cm.gen), "GENERATOR")
        return [(each.category, text, each.filename, each.lineno, each.source) for each in caught]

    return loop.run_until_complete(main())


def test_generator_that_begins_after_the_shutdown_warns_and_is_added(lib, stdlib, loop):
    found = warnings_after_shutdown(lib, loop)
    assert found == warnings_after_shutdown(stdlib, loop)
    [(category, text, filename, _, source)] = found
    assert category is ResourceWarning
    assert text == "asynchronous generator GENERATOR was scheduled after loop.shutdown_asyncgens() call"
    assert filename == asyncio.base_events.__file__
    assert source is loop


def test_warning_made_an_error_leaves_the_generator_unstarted(lib, loop):
    log = []

    async def main():
        await loop.shutdown_asyncgens()
        cm = manager_of(lib, log)()
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            with pytest.raises(ResourceWarning, match="was scheduled after"):
                await cm.__aenter__()
        assert list(loop._asyncgens) == log == []

    loop.run_until_complete(main())


# Dropped generators


def test_dropped_generator_is_finalised_on_its_loop(lib, loop):
    log = []

    async def main():
        cm = manager_of(lib, log)()
        await cm.__aenter__()
        del cm
        gc.collect()
        assert log == []
        assert len(loop._asyncgens) == 0
        for _ in range(3):
            await asyncio.sleep(0)

    loop.run_until_complete(main())
    assert log == [(loop, threading.get_ident())]


def test_generator_dropped_in_another_thread_is_finalised_in_the_loops(lib, loop):
    log, kept = [], []

    async def main():
        kept.append(manager_of(lib, log)())
        await kept[0].__aenter__()

        def drop():
            kept.clear()
            gc.collect()

        await asyncio.to_thread(drop)
        while not log:
            await asyncio.sleep(0)
        await loop.shutdown_default_executor()

    loop.run_until_complete(main())
    assert log == [(loop, threading.get_ident())]


def test_two_loops_in_two_threads_have_their_own_generators(lib):
    start, results = threading.Barrier(2), {}

    async def main():
        own, log = asyncio.get_running_loop(), []
        managers = [manager_of(lib, log)() for _ in range(50)]
        for cm in managers:
            await cm.__aenter__()
            await asyncio.sleep(0)
        known = set(own._asyncgens) == {cm.gen for cm in managers}
        managers.clear()
        del cm
        gc.collect()
        while len(log) < 50:
            await asyncio.sleep(0)
        return known and log == [(own, threading.get_ident())] * 50

    def work(name):
        start.wait()
        results[name] = asyncio.run(main())

    threads = [threading.Thread(target=work, args=(name,)) for name in ("a", "b")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == {"a": True, "b": True}


# Generators that die at their end


@pytest.mark.parametrize("held", ["no reference", "another reference", "the set's reference", "both"])
@pytest.mark.parametrize("error", [None, ValueError])
def test_generator_that_dies_leaves_the_set_whoever_refers_to_it(lib, loop, held, error):
    log, references = [], []

    async def main():
        cm = manager_of(lib)()
        with contextlib.suppress(ValueError):
            async with cm:
                [own] = loop._asyncgens.data
                if held in ("another reference", "both"):
                    references.append(weakref.ref(cm.gen, lambda each: log.append(len(loop._asyncgens.data))))
                if held in ("the set's reference", "both"):
                    references.append(own)
                del own
                if error is not None:
                    raise error
        assert len(loop._asyncgens) == 1
        del cm
        assert len(loop._asyncgens) == len(loop._asyncgens.data) == 0

    loop.run_until_complete(main())
    assert [reference() for reference in references] == [None] * len(references)
    # Callbacks are called the newest first.
    assert log == ([1] if held in ("another reference", "both") else [])


def test_manager_that_dies_while_an_error_passes_leaves_the_set(lib, loop):
    async def fails():
        async with manager_of(lib)():
            raise ValueError

    async def main():
        with pytest.raises(ValueError):
            await fails()
        assert len(loop._asyncgens) == 0

    loop.run_until_complete(main())


def test_generator_that_outlives_its_manager_stays_until_it_dies(lib, loop):
    async def main():
        cm = manager_of(lib)()
        gen = cm.gen
        async with cm:
            pass
        del cm
        assert list(loop._asyncgens) == [gen]
        del gen
        assert len(loop._asyncgens) == 0

    loop.run_until_complete(main())


def test_generator_that_a_finaliser_keeps_alive_leaves_the_set_all_the_same(lib, loop):
    kept = []

    async def main():
        sys.set_asyncgen_hooks(loop._asyncgen_firstiter_hook, kept.append)
        cm = manager_of(lib)()
        await cm.__aenter__()
        del cm
        gc.collect()
        assert len(kept) == 1 and list(loop._asyncgens) == []
        await kept[0].aclose()

    loop.run_until_complete(main())


def test_callback_that_was_replaced_is_called_when_the_generator_dies(lib, loop):
    called = []

    async def main():
        remove = loop._asyncgens._remove
        loop._asyncgens._remove = lambda item: (called.append(item), remove(item))
        async with manager_of(lib)():
            [reference] = loop._asyncgens.data
        assert called == [reference]
        assert len(loop._asyncgens) == 0

    loop.run_until_complete(main())


def test_set_that_is_gone_before_the_generator_is_not_missed(lib, loop):
    async def main():
        cm = manager_of(lib)()
        async with cm:
            kept = loop._asyncgens
            gone = weakref.ref(kept)
            loop._asyncgens = weakref.WeakSet()
            del kept
            assert gone() is None
        del cm
        assert len(loop._asyncgens) == 0

    loop.run_until_complete(main())


# While somebody looks at the set


def test_generator_that_dies_while_the_set_is_iterated_is_removed_when_it_may_be(lib, loop):
    """Up to 3.13 the removal waits until the iteration is over, or something is added."""

    async def main():
        cms = [manager_of(lib)() for _ in range(3)]
        for cm in cms:
            await cm.__aenter__()
        iterator = iter(loop._asyncgens)
        first = next(iterator)
        [gone] = [cm for cm in cms if cm.gen is not first][:1]
        await gone.__aexit__(None, None, None)
        cms.remove(gone)
        del gone, cm
        assert len(loop._asyncgens) == 2
        assert len(loop._asyncgens.data) == (3 if DEFERS_REMOVALS else 2)
        rest = list(iterator)
        assert {first, *rest} == {cm.gen for cm in cms}
        assert len(loop._asyncgens.data) == 2

    loop.run_until_complete(main())


def test_generator_that_begins_while_removals_are_pending_does_them(lib, loop):
    async def main():
        cms = [manager_of(lib)() for _ in range(2)]
        for cm in cms:
            await cm.__aenter__()
        iterator = iter(loop._asyncgens)
        first = next(iterator)
        [kept], [gone] = [cm for cm in cms if cm.gen is first], [cm for cm in cms if cm.gen is not first]
        await gone.__aexit__(None, None, None)
        cms.clear()
        del gone, cm
        assert len(getattr(loop._asyncgens, "_pending_removals", ())) == DEFERS_REMOVALS
        async with manager_of(lib)() as value:
            assert value == "value"
            assert len(loop._asyncgens.data) == len(loop._asyncgens) == 2
            assert not getattr(loop._asyncgens, "_pending_removals", ())
        iterator.close()
        await kept.__aexit__(None, None, None)

    loop.run_until_complete(main())


def test_generator_that_begins_while_the_set_is_iterated_disturbs_as_ever(lib, stdlib, loop):
    async def attempt(which):
        opened = manager_of(which)()
        await opened.__aenter__()
        iterator = iter(loop._asyncgens)
        next(iterator)
        newer = manager_of(which)()
        await newer.__aenter__()
        try:
            list(iterator)
        except RuntimeError as error:
            return str(error)
        finally:
            await newer.__aexit__(None, None, None)
            await opened.__aexit__(None, None, None)

    outcome = loop.run_until_complete(attempt(lib))
    assert outcome == loop.run_until_complete(attempt(stdlib))
    assert outcome == ("Set changed size during iteration" if DEFERS_REMOVALS else None)


# In debug mode


def test_debug_mode_knows_and_closes_generators_as_well(lib, loop):
    log = []
    loop.set_debug(True)

    async def main():
        async with manager_of(lib, log)():
            cm = manager_of(lib, log)()
            await cm.__aenter__()
            assert len(loop._asyncgens) == 2
            kept.append(cm)

    kept = []
    loop.run_until_complete(main())
    loop.run_until_complete(loop.shutdown_asyncgens())
    assert log == [(loop, threading.get_ident())] * 2


# No call, no trace


def python_calls(function):
    """The names of the Python functions that are called in `function`."""
    calls = []
    before = sys.getprofile()
    sys.setprofile(lambda frame, event, _: calls.append(frame.f_code.co_name) if event == "call" else None)
    try:
        function()
    finally:
        sys.setprofile(before)
    return calls


def is_called(loop, lib, name="_asyncgen_firstiter_hook"):
    """Whether passing through a manager calls the Python function of this name."""
    with hooks_of(loop):
        run(consume(manager_of(lib)()))  # what is learnt about a hook is learnt once
        return name in python_calls(lambda: run(consume(manager_of(lib)())))


@native_only
def test_stock_hook_is_done_without_a_call(ours, stdlib, loop):
    direct = ours.name == "c-direct"
    assert is_called(loop, ours) is not direct
    assert is_called(loop, ours, "add") is not direct
    assert is_called(loop, ours, "_remove") is not direct
    assert is_called(loop, stdlib)


@native_only
def test_loops_of_derived_classes_have_the_stock_hook_too(ours):
    class Derived(asyncio.SelectorEventLoop):
        pass

    loop = Derived()
    try:
        assert is_called(loop, ours) is (ours.name != "c-direct")
    finally:
        loop.close()


def test_attributes_of_the_loop_stay_where_they_are_fast(lib, loop):
    has_inline_values = getattr(pytest.importorskip("_testinternalcapi"), "has_inline_values", None)
    if has_inline_values is None:
        pytest.skip("3.13 is the first that tells")

    async def main():
        async with manager_of(lib)():
            pass
        return has_inline_values(loop)

    before = has_inline_values(loop)
    assert loop.run_until_complete(main()) == before


def test_nothing_is_kept_of_a_loop_that_is_gone(lib):
    loop = asyncio.SelectorEventLoop()
    with hooks_of(loop):
        run(consume(manager_of(lib)()))
    loop.close()
    reference = weakref.ref(loop)
    del loop
    gc.collect()
    assert reference() is None


@pytest.mark.skipif(not DEBUG, reason="counts all references, which debug builds do")
def test_references_do_not_accumulate(ours, loop):
    manager = manager_of(ours)

    def pass_through(count):
        with hooks_of(loop):
            for _ in range(count):
                cm = manager()
                run(cm.__aenter__())
                run(cm.__aexit__(None, None, None))

    pass_through(100)
    gc.collect()
    before = sys.gettotalrefcount()
    pass_through(200)
    gc.collect()
    assert sys.gettotalrefcount() - before < 50
