"""Weak references to managers, and that nothing stays alive longer than it must."""

import gc
import weakref

import pytest
from helpers import Pause, consume, run


def simple(lib):
    @lib.asynccontextmanager
    async def manager(value="value", *args, **kwargs):
        yield value

    return manager


def test_manager_can_be_weakly_referenced(lib):
    called = []
    cm = simple(lib)()
    reference = weakref.ref(cm, called.append)
    assert reference() is cm
    del cm
    gc.collect()
    assert reference() is None
    assert called == [reference]


def test_manager_is_freed_at_once_without_cycles(lib):
    gc.collect()
    gc.disable()
    try:
        cm = simple(lib)()
        reference = weakref.ref(cm)
        run(consume(cm))
        del cm
        assert reference() is None
    finally:
        gc.enable()


def collects(make):
    """True if what `make` returns (a weak reference) is dead after a collection."""
    reference = make()
    gc.collect()
    return reference() is None


def test_cycle_through_an_attribute_is_collected(lib):
    def make():
        cm = simple(lib)()
        cm.itself = cm
        return weakref.ref(cm)

    assert collects(make)


def test_cycle_through_the_arguments_is_collected(lib):
    def make():
        box = []
        cm = simple(lib)(box, box, key=box)
        box.append(cm)
        return weakref.ref(cm)

    assert collects(make)


def test_cycle_through_many_arguments_is_collected(lib):
    def make():
        box = []
        cm = simple(lib)(*[box] * 12, **{f"key{number}": box for number in range(12)})
        box.append(cm)
        return weakref.ref(cm)

    assert collects(make)


def test_cycle_through_the_name_of_an_argument_is_collected(lib):
    class Name(str):
        pass

    def make():
        name = Name("name")
        name.cm = simple(lib)(**{name: 1})
        return weakref.ref(name.cm)

    assert collects(make)


@pytest.mark.parametrize("entered", [False, True])
def test_cycle_through_the_generator_is_collected(lib, entered):
    def make():
        box = []

        @lib.asynccontextmanager
        async def manager():
            yield box

        cm = manager()
        box.append(cm)
        if entered:
            run(cm.__aenter__())
        return weakref.ref(cm)

    assert collects(make)


def test_cycle_through_a_suspended_enter_is_collected(lib):
    def make():
        box = []

        @lib.asynccontextmanager
        async def manager():
            try:
                await Pause()
            finally:
                box.append("closed")
            yield

        cm = manager()
        entering = cm.__aenter__()
        entering.send(None)
        box.extend([cm, entering])
        return weakref.ref(cm)

    assert collects(make)


@pytest.mark.parametrize("error", [None, ValueError], ids=["no error", "error"])
def test_cycle_through_a_suspended_exit_is_collected(lib, error):
    def make():
        box = []

        @lib.asynccontextmanager
        async def manager():
            try:
                yield
            finally:
                await Pause()

        cm = manager()
        run(cm.__aenter__())
        value = error() if error else None
        leaving = cm.__aexit__(error, value, None)
        leaving.send(None)
        box.extend([cm, leaving, value])
        cm.box = box
        return weakref.ref(cm)

    assert collects(make)


@pytest.mark.filterwarnings("ignore:coroutine .* was never awaited:RuntimeWarning")
@pytest.mark.parametrize("leave", [False, True])
def test_cycle_through_an_awaitable_never_started_is_collected(lib, leave):
    def make():
        cm = simple(lib)()
        if leave:
            run(cm.__aenter__())
            error = ValueError()
            cm.awaitable = error.awaitable = cm.__aexit__(ValueError, error, None)
        else:
            cm.awaitable = cm.__aenter__()
        return weakref.ref(cm)

    assert collects(make)


def test_error_passing_through_leaves_no_cycle(lib):
    class Marker(ValueError):
        pass

    async def attempt():
        error = Marker()
        reference = weakref.ref(error)
        cm = simple(lib)()
        await cm.__aenter__()
        assert await cm.__aexit__(Marker, error, None) is False
        return reference

    gc.collect()
    gc.disable()
    try:
        assert run(attempt())() is None
    finally:
        gc.enable()


def test_value_is_released_by_the_manager_once_yielded(lib):
    class Value:
        pass

    @lib.asynccontextmanager
    async def manager():
        yield Value()

    cm = manager()
    reference = weakref.ref(run(cm.__aenter__()))
    gc.collect()
    assert reference() is None
    run(cm.__aexit__(None, None, None))


def test_error_is_released_once_left(lib):
    class Marker(ValueError):
        pass

    @lib.asynccontextmanager
    async def manager():
        try:
            yield
        except Marker:
            pass

    async def main():
        cm = manager()
        error = Marker()
        reference = weakref.ref(error)
        await cm.__aenter__()
        assert await cm.__aexit__(Marker, error, None) is True
        del error
        return cm, reference

    cm, reference = run(main())
    gc.collect()
    assert reference() is None
    assert cm.gen is not None
