"""AsyncExitStack whose callbacks work on it while it unwinds, which is used again, and which is very deep."""

import pytest
from helpers import Pause, by_hand, catch_run, outcome, run

NO_DETAILS = (None, None, None)


# Re-entrance


def test_callback_that_pushes_more_has_it_run_next(lib):
    log = []
    stack = lib.AsyncExitStack()

    def more(depth):
        log.append(depth)
        if depth:
            stack.callback(more, depth - 1)

    async def more_async(depth):
        log.append(f"async {depth}")
        await Pause()
        stack.callback(more, depth)

    stack.callback(log.append, "last")
    stack.callback(more, 2)
    stack.push_async_callback(more_async, 1)
    run(stack.aclose())
    assert log == ["async 1", 1, 0, 2, 1, 0, "last"]


def test_callback_that_closes_the_stack_leaves_nothing_to_do(lib):
    log = []
    stack = lib.AsyncExitStack()

    async def close():
        log.append("closing")
        log.append(await stack.aclose())

    stack.callback(log.append, "first pushed")
    stack.push_async_callback(close)
    run(stack.aclose())
    assert log == ["closing", "first pushed", None]


def test_callback_that_pops_all_saves_the_rest(lib):
    log, saved = [], []
    stack = lib.AsyncExitStack()
    stack.callback(log.append, "saved")
    stack.callback(lambda: saved.append(stack.pop_all()))
    run(stack.aclose())
    assert log == []
    run(saved[0].aclose())
    assert log == ["saved"]


def test_callback_that_clears_the_entries_ends_the_unwinding(lib):
    log = []
    stack = lib.AsyncExitStack()
    stack.callback(log.append, "cleared")
    stack.callback(lambda: stack._exit_callbacks.clear())
    run(stack.aclose())
    assert log == []


def test_callback_that_assigns_the_entries_has_those_run(lib):
    log = []
    stack = lib.AsyncExitStack()
    stack.callback(log.append, "dropped")
    stack.callback(setattr, stack, "_exit_callbacks", [(True, lambda *details: log.append("assigned"))])
    run(stack.aclose())
    assert log == ["assigned"]


def test_two_unwindings_of_one_stack_share_its_entries(lib):
    log = []

    async def wait(name):
        await Pause(name)
        log.append(name)

    stack = lib.AsyncExitStack()
    for name in "abcd":
        stack.push_async_callback(wait, name)
    one, two = stack.aclose(), stack.aclose()
    assert [one.send(None), two.send(None), one.send(None), two.send(None)] == ["d", "c", "b", "a"]
    assert outcome(one.send, None)[:2] == ("raised", StopIteration)
    assert outcome(two.send, None)[:2] == ("raised", StopIteration)
    assert log == ["d", "c", "b", "a"]


def test_stack_is_reusable_after_closing(lib):
    log = []
    stack = lib.AsyncExitStack()

    async def use(name):
        async with stack as same:
            assert same is stack
            stack.callback(log.append, name)

    run(use(1))
    run(use(2))
    run(stack.aclose())
    assert log == [1, 2]


@by_hand
async def test_stack_entered_into_another_unwinds_in_place(lib):
    log = []
    async with lib.AsyncExitStack() as outer:
        outer.callback(log.append, "outer first")
        inner = await outer.enter_async_context(lib.AsyncExitStack())
        inner.callback(log.append, "inner")
        outer.callback(log.append, "outer last")
    assert log == ["outer last", "inner", "outer first"]


# Depth


@pytest.mark.parametrize("raising", [False, True], ids=["quiet", "each raises"])
@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
def test_hundred_thousand_entries_unwind_without_recursion(lib, asynchronous, raising):
    count = 100_000 if lib.name == "c-direct" else 1_000  # the drive makes no difference here
    calls = 0

    def call(typ, value, traceback):
        nonlocal calls
        calls += 1
        assert value is None or (calls > 1 and value.args == (calls - 1,))
        if raising:
            raise ValueError(calls)

    async def wait(*details):
        call(*details)

    stack = lib.AsyncExitStack()
    for _ in range(count):
        stack.push_async_exit(wait) if asynchronous else stack.push(call)
    if raising:
        error = catch_run(stack.__aexit__(*NO_DETAILS))
        assert error.args == (count,)
        del error
    else:
        assert run(stack.__aexit__(*NO_DETAILS)) is False
    assert calls == count
    assert not stack._exit_callbacks


def test_chain_of_many_contexts_is_whole(lib):
    """Each callback's exception has the one before it as its context; nothing is walked again and again."""
    count = 5_000

    def call(typ, value, traceback):
        raise ValueError((value.args[0] if value is not None else 0) + 1)

    stack = lib.AsyncExitStack()
    for _ in range(count):
        stack.push(call)

    async def use():
        try:
            raise KeyError("handled")
        except KeyError:
            await stack.__aexit__(*NO_DETAILS)

    error = catch_run(use())
    length = 0
    while type(error) is ValueError:
        length += 1
        error = error.__context__
    assert length == count
