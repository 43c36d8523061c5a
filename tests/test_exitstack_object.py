"""AsyncExitStack as an object: names, signatures, subclasses with overridden methods, reuse, memory."""

import contextlib
import copy
import gc
import inspect
import sys
import weakref

import pytest
from helpers import Pause, by_hand, run

PUBLIC = (
    "enter_async_context",
    "push_async_exit",
    "push_async_callback",
    "aclose",
    "pop_all",
    "enter_context",
    "push",
    "callback",
)
COROUTINES = ("enter_async_context", "aclose", "__aenter__", "__aexit__")
NO_DETAILS = (None, None, None)


def is_c(lib):
    return lib.AsyncExitStack is not contextlib.AsyncExitStack


# What can be asked of the class


@pytest.mark.parametrize("name", [*PUBLIC, "__aenter__", "__aexit__", "__init__"])
def test_method_has_the_signature_of_the_stdlib(lib, stdlib, name):
    mine, theirs = (getattr(one.AsyncExitStack, name) for one in (lib, stdlib))
    assert str(inspect.signature(mine)) == str(inspect.signature(theirs))
    assert mine.__name__ == theirs.__name__


@pytest.mark.parametrize("name", PUBLIC)
def test_bound_method_has_the_signature_of_the_stdlib(lib, stdlib, name):
    mine, theirs = (getattr(one.AsyncExitStack(), name) for one in (lib, stdlib))
    assert str(inspect.signature(mine)) == str(inspect.signature(theirs))
    assert mine.__name__ == name


def test_constructor_has_the_signature_of_the_stdlib(lib, stdlib):
    assert str(inspect.signature(lib.AsyncExitStack)) == str(inspect.signature(stdlib.AsyncExitStack))


def test_class_names_itself_as_the_stdlib_does(lib, stdlib):
    assert lib.AsyncExitStack.__name__ == "AsyncExitStack"
    assert lib.AsyncExitStack.__qualname__ == "AsyncExitStack"
    assert lib.AsyncExitStack.__doc__
    assert all(getattr(lib.AsyncExitStack, name).__doc__ for name in PUBLIC)
    assert not isinstance(lib.AsyncExitStack, stdlib.AsyncExitStack)


def test_class_belongs_to_the_abstract_and_the_stdlib_class(lib, stdlib):
    for base in (contextlib.AbstractAsyncContextManager, stdlib.AsyncExitStack):
        assert issubclass(lib.AsyncExitStack, base)
        assert isinstance(lib.AsyncExitStack(), base)
    assert not isinstance(lib.AsyncExitStack(), contextlib.AbstractContextManager)
    assert contextlib.AbstractAsyncContextManager in lib.AsyncExitStack.__mro__


def test_subscription_gives_a_generic_alias(lib):
    alias = lib.AsyncExitStack[bool | None]
    assert alias.__origin__ is lib.AsyncExitStack
    assert alias.__args__ == (bool | None,)


def test_dir_lists_what_the_stdlib_lists(lib, stdlib):
    """Apart from what only a class written in Python has, and from wrappers for subclasses that nothing calls."""
    mine, theirs = (set(dir(one.AsyncExitStack())) for one in (lib, stdlib))
    assert {name for name in theirs if not name.startswith("_")} <= mine
    assert {"_exit_callbacks", "_push_exit_callback", "__dict__", "__weakref__", "__class_getitem__"} <= mine


def test_repr_names_the_class(lib):
    class Mine(lib.AsyncExitStack):
        pass

    assert "AsyncExitStack object at 0x" in repr(lib.AsyncExitStack())
    assert "Mine object at 0x" in repr(Mine())


def test_stack_takes_attributes_and_has_a_truth_value(lib):
    stack = lib.AsyncExitStack()
    stack.extra = 1
    assert stack.extra == 1
    assert vars(stack)["extra"] == 1
    assert stack
    assert stack == stack
    assert stack != lib.AsyncExitStack()
    assert len({stack, stack}) == 1


def test_copy_has_the_same_entries(lib):
    """The stdlib's is a plain object: a copy shares the deque."""
    stack = lib.AsyncExitStack()
    log = []
    stack.callback(log.append, 1)
    copied = copy.copy(stack)
    assert type(copied) is type(stack)
    assert copied._exit_callbacks is stack._exit_callbacks
    run(copied.aclose())
    assert log == [1]


@pytest.mark.parametrize("name", COROUTINES)
def test_awaitable_carries_the_name_of_its_method(lib, name):
    stack = lib.AsyncExitStack()
    arguments = {"enter_async_context": (stack,), "__aexit__": NO_DETAILS}.get(name, ())
    made = getattr(stack, name)(*arguments)
    assert (made.__name__, made.__qualname__) == (name, f"AsyncExitStack.{name}")
    made.close()


@pytest.mark.parametrize("name", COROUTINES)
def test_awaitable_never_awaited_warns_by_name(lib, name):
    stack = lib.AsyncExitStack()
    arguments = {"enter_async_context": (stack,), "__aexit__": NO_DETAILS}.get(name, ())
    with pytest.warns(RuntimeWarning, match=rf"^coroutine 'AsyncExitStack\.{name}' was never awaited$"):
        getattr(stack, name)(*arguments)


# Subclasses


@by_hand
async def test_overridden_push_exit_callback_sees_every_entry(lib):
    seen = []

    class Counting(lib.AsyncExitStack):
        def _push_exit_callback(self, callback, is_sync=True):
            seen.append(is_sync)
            super()._push_exit_callback(callback, is_sync)

    async def wait(*details):
        pass

    async with Counting() as stack:
        stack.callback(len, ())
        stack.push(lambda *details: None)
        stack.enter_context(lib.nullcontext())
        stack.push(lib.nullcontext())
        stack.push_async_callback(wait)
        stack.push_async_exit(wait)
        stack.push_async_exit(lib.nullcontext())
        await stack.enter_async_context(lib.nullcontext())
    assert seen == [True] * 4 + [False] * 4


@by_hand
async def test_entry_replaced_by_an_overridden_push_is_what_runs(lib):
    log = []

    class Replacing(lib.AsyncExitStack):
        def _push_exit_callback(self, callback, is_sync=True):
            super()._push_exit_callback(lambda *details: log.append(f"instead of {is_sync}"), True)

    async with Replacing() as stack:
        stack.callback(log.append, "never")
        await stack.enter_async_context(lib.nullcontext())
    assert log == ["instead of False", "instead of True"]


@pytest.mark.parametrize(
    "name",
    [
        "_create_exit_wrapper",
        "_create_cb_wrapper",
        "_create_async_exit_wrapper",
        "_create_async_cb_wrapper",
        "_push_cm_exit",
        "_push_async_cm_exit",
    ],
)
def test_overridden_helper_is_called_where_the_version_has_it(lib, stdlib, name):
    def scenario(namespace):
        seen = []

        class Mine(namespace.AsyncExitStack):
            pass

        def spy(*args):
            seen.append(len(args))
            return lambda *details: None

        async def wait(*args):
            pass

        if hasattr(stdlib.AsyncExitStack, name):
            setattr(Mine, name, staticmethod(spy) if name.startswith("_create") else spy)
        stack = Mine()
        stack.callback(len, ())
        stack.push_async_callback(wait, 1)
        stack.push(namespace.nullcontext())
        stack.enter_context(namespace.nullcontext())
        stack.push_async_exit(namespace.nullcontext())
        run(stack.enter_async_context(namespace.nullcontext()))
        kinds = [is_sync for is_sync, _ in stack._exit_callbacks]
        stack._exit_callbacks.clear()
        return seen, kinds

    assert scenario(lib) == scenario(stdlib)


@by_hand
async def test_overridden_public_methods_and_super_work(lib):
    log = []

    class Mine(lib.AsyncExitStack):
        async def __aenter__(self):
            log.append("enter")
            return await super().__aenter__()

        async def __aexit__(self, *details):
            log.append("exit")
            await super().__aexit__(*details)
            return True

        def push(self, exit):
            log.append("push")
            return super().push(exit)

        async def enter_async_context(self, cm):
            log.append("enter_async_context")
            return await super().enter_async_context(cm)

    async with Mine() as stack:
        assert type(stack) is Mine
        stack.push(lambda *details: log.append("pushed"))
        assert await stack.enter_async_context(lib.nullcontext(1)) == 1
        raise ValueError
    assert log == ["enter", "push", "enter_async_context", "exit", "pushed"]


def test_aclose_calls_an_overridden_aexit(lib):
    seen = []

    class Mine(lib.AsyncExitStack):
        async def __aexit__(self, *details):
            seen.append(details)
            return 5

    assert run(Mine().aclose()) is None
    assert seen == [NO_DETAILS]


def test_method_replaced_on_the_class_or_the_instance_is_used(lib, monkeypatch):
    seen = []
    monkeypatch.setattr(lib.AsyncExitStack, "push", lambda self, exit: seen.append(exit))
    lib.AsyncExitStack().push(1)
    monkeypatch.undo()
    stack = lib.AsyncExitStack()
    stack._push_exit_callback = lambda callback, is_sync=True: seen.append(is_sync)
    stack.push(len)
    stack.push_async_exit(len)
    assert seen == [1, True, False]


def test_subclass_that_skips_init_fails_on_use_as_on_the_stdlib(lib, stdlib):
    """The stdlib makes `_exit_callbacks` in `__init__`; ours may have it from the start, but must not crash."""

    class Mine(lib.AsyncExitStack):
        def __init__(self):
            pass

    log = []
    try:
        stack = Mine()
        stack.callback(log.append, 1)
        run(stack.aclose())
    except AttributeError as error:
        assert "_exit_callbacks" in str(error)
    else:
        assert is_c(lib)
        assert log == [1]


def test_second_init_empties_the_stack(lib):
    log = []
    stack = lib.AsyncExitStack()
    stack.callback(log.append, 1)
    stack.__init__()
    run(stack.aclose())
    assert log == []


def test_subclass_with_another_base_and_slots_works(lib):
    class Mixin:
        def describe(self):
            return f"{len(self._exit_callbacks)} entries"

    class Mine(Mixin, lib.AsyncExitStack):
        __slots__ = ("field",)

    stack = Mine()
    stack.field = 1
    stack.callback(len, ())
    assert stack.describe() == "1 entries"
    run(stack.aclose())


# Memory


def test_stack_collected_while_not_empty_calls_nothing(lib):
    log = []
    stack = lib.AsyncExitStack()
    stack.callback(log.append, 1)
    stack.push(lambda *details: log.append(2))
    reference = weakref.ref(stack)
    del stack
    gc.collect()
    assert reference() is None
    assert log == []


@pytest.mark.parametrize("read", [False, True], ids=["unread", "entries read"])
def test_cycle_through_an_entry_is_collected(lib, read):
    class Thing:
        pass

    stack, thing = lib.AsyncExitStack(), Thing()
    thing.stack = stack
    stack.callback(print, thing)
    stack.push(thing)
    if read:
        assert len(stack._exit_callbacks) == 2
    references = weakref.ref(stack), weakref.ref(thing)
    del stack, thing
    gc.collect()
    assert [reference() for reference in references] == [None, None]


def test_suspended_unwinding_in_a_cycle_is_collected(lib):
    log = []

    class Thing:
        pass

    async def wait():
        try:
            await Pause()
        except GeneratorExit:
            log.append("closed")
            raise

    stack, thing = lib.AsyncExitStack(), Thing()
    stack.push_async_callback(wait)
    thing.stack, thing.closing = stack, stack.aclose()
    thing.closing.send(None)
    stack.callback(id, thing)
    reference = weakref.ref(thing)
    del stack, thing
    for _ in range(3):  # the first makes the coroutine close itself, which touches the rest once more
        gc.collect()
    assert reference() is None
    assert log == ["closed"]


def test_entries_are_released_as_they_run(lib):
    class Thing:
        def __call__(self):
            pass

    stack, thing = lib.AsyncExitStack(), Thing()
    reference = weakref.ref(thing)
    alive = []
    stack.callback(lambda: alive.append(reference() is not None))
    stack.callback(thing)
    del thing
    run(stack.aclose())
    gc.collect()
    assert reference() is None
    assert len(alive) == 1


@pytest.mark.parametrize("way", ["aclose", "__aexit__"])
def test_result_taken_by_hand_keeps_no_frame_alive(lib, way):
    """What carries the result, a StopIteration, gets the traceback of whoever takes it by hand."""

    class Thing:
        pass

    def use():
        thing = Thing()
        try:
            getattr(lib.AsyncExitStack(), way)(*(NO_DETAILS if way == "__aexit__" else ())).send(None)
        except StopIteration:
            return weakref.ref(thing)

    assert use()() is None


@pytest.mark.parametrize("way", ["__aenter__", "__aexit__"])
def test_result_of_a_generator_taken_by_hand_keeps_no_frame_alive(lib, way):
    @lib.asynccontextmanager
    async def manager():
        yield

    class Thing:
        pass

    def use():
        thing = Thing()
        try:
            made = manager()
            if way == "__aexit__":
                run(made.__aenter__())
            getattr(made, way)(*(NO_DETAILS if way == "__aexit__" else ())).send(None)
        except StopIteration:
            return weakref.ref(thing)

    assert use()() is None


def test_size_grows_with_the_entries(lib):
    if not is_c(lib):
        pytest.skip("the stdlib's own size leaves its deque out")
    sizes = []
    for count in (0, 2, 200):
        stack = lib.AsyncExitStack()
        for _ in range(count):
            stack.callback(len, ())
        sizes.append(sys.getsizeof(stack))
    assert sizes[0] <= 256
    assert sizes[2] - sizes[1] >= 198 * 8
    run(stack.aclose())
