"""AsyncExitStack: what may be pushed and entered and how, `_exit_callbacks`, pop_all, subclasses, memory."""

from collections import deque

import pytest
from helpers import by_hand, catch, catch_run, run


class Manager:
    """An asynchronous and a synchronous context manager that logs."""

    def __init__(self, log=None, name="manager"):
        self.log = [] if log is None else log
        self.name = name

    async def __aenter__(self):
        self.log.append(f"aenter {self.name}")
        return self.name

    async def __aexit__(self, *details):
        self.log.append((f"aexit {self.name}", details))

    def __enter__(self):
        self.log.append(f"enter {self.name}")
        return self.name

    def __exit__(self, *details):
        self.log.append((f"exit {self.name}", details))


NO_DETAILS = (None, None, None)


# Pushing


@by_hand
async def test_callback_with_arguments_is_called_with_them(lib):
    calls = []
    async with lib.AsyncExitStack() as stack:
        stack.callback(lambda *args, **kwds: calls.append((args, kwds)), 1, 2, three=3, four=4)
    assert calls == [((1, 2), {"three": 3, "four": 4})]


@pytest.mark.parametrize("keyword", ["self", "callback", "exc_type", "exc", "tb", "cls", "args", "kwds"])
def test_callback_keyword_named_like_a_parameter_is_passed_on(lib, keyword):
    calls = []

    async def wait(**kwds):
        calls.append(kwds)

    stack = lib.AsyncExitStack()
    stack.callback(lambda **kwds: calls.append(kwds), **{keyword: 1})
    stack.push_async_callback(wait, **{keyword: 2})
    run(stack.aclose())
    assert calls == [{keyword: 2}, {keyword: 1}]


@pytest.mark.parametrize("name", ["callback", "push_async_callback", "push", "push_async_exit"])
def test_pushing_returns_what_was_pushed(lib, name):
    async def exit(*details):
        pass

    stack = lib.AsyncExitStack()
    assert getattr(stack, name)(exit) is exit
    assert len(stack._exit_callbacks) == 1
    stack._exit_callbacks.clear()


@pytest.mark.parametrize("call", ["push", "push_async_exit", "enter_context", "pop_all", "aclose"])
@pytest.mark.parametrize("arguments", [(), (1, 2)])
def test_wrong_number_of_arguments_raises_type_error_at_the_call(lib, call, arguments):
    if call in ("pop_all", "aclose") and not arguments:
        arguments = (1,)
    assert isinstance(catch(getattr(lib.AsyncExitStack(), call), *arguments), TypeError)


@pytest.mark.parametrize(
    ("call", "keywords"),
    [("push", ["exit"]), ("push_async_exit", ["exit"]), ("enter_context", ["cm"]), ("enter_async_context", ["cm"])],
)
def test_argument_by_keyword_is_accepted_and_others_are_refused(lib, call, keywords):
    manager = Manager()
    stack = lib.AsyncExitStack()
    result = getattr(stack, call)(**dict.fromkeys(keywords, manager))
    if call == "enter_async_context":
        result = run(result)
    assert result is manager or result == "manager"
    assert len(stack._exit_callbacks) == 1
    assert isinstance(catch(getattr(stack, call), manager, nothing=1), TypeError)
    run(stack.aclose())


def test_wrong_number_of_arguments_has_the_text_of_a_python_function(lib, stdlib):
    calls = [
        ("push", ()),
        ("push", (1, 2)),
        ("push_async_exit", ()),
        ("enter_context", ()),
        ("enter_async_context", ()),
        ("enter_async_context", (1, 2)),
        ("pop_all", (1,)),
        ("aclose", (1,)),
        ("callback", ()),
        ("push_async_callback", ()),
        ("__aenter__", (1,)),
    ]

    def texts(namespace):
        stack = namespace.AsyncExitStack()
        found = [str(catch(getattr(stack, name), *arguments)) for name, arguments in calls]
        return [text.replace("_BaseExitStack.", "AsyncExitStack.") for text in found]

    assert texts(lib) == texts(stdlib)


def test_constructor_with_arguments_raises_type_error(lib):
    assert isinstance(catch(lib.AsyncExitStack, 1), TypeError)
    assert isinstance(catch(lib.AsyncExitStack, x=1), TypeError)


def test_pushed_manager_is_not_entered_but_left(lib):
    log = []
    stack = lib.AsyncExitStack()
    stack.push(Manager(log, "sync"))
    stack.push_async_exit(Manager(log, "async"))
    assert log == []
    run(stack.aclose())
    assert log == [("aexit async", NO_DETAILS), ("exit sync", NO_DETAILS)]


def test_pushed_plain_object_fails_only_when_unwinding(lib):
    stack = lib.AsyncExitStack()
    stack.push(5)
    stack.push_async_exit(6)
    error = catch_run(stack.aclose())
    assert (type(error), str(error)) == (TypeError, "'int' object is not callable")
    assert error.__context__ is None  # nothing was being handled when the second was called, and then nothing is fixed


def test_pushed_classes_are_called_rather_than_looked_into(lib):
    """A class with __exit__ is itself no manager: its type is what counts."""
    calls = []

    class Pushed:
        def __init__(self, *details):
            calls.append(details)

        def __exit__(self, *details):
            raise AssertionError

    stack = lib.AsyncExitStack()
    stack.push(Pushed)
    assert run(stack.__aexit__(*NO_DETAILS)) is False
    assert calls == [NO_DETAILS]


def test_entering_does_nothing_before_the_first_resume(lib):
    log = []
    stack = lib.AsyncExitStack()
    waiting = stack.enter_async_context(Manager(log))
    assert log == []
    assert run(waiting) == "manager"
    assert log == ["aenter manager"]
    bad = stack.enter_async_context(5)
    assert isinstance(catch_run(bad), TypeError)
    waiting = stack.aclose()
    assert log == ["aenter manager"]
    run(waiting)
    assert log[-1] == ("aexit manager", NO_DETAILS)


# What is on the stack


def test_exit_callbacks_are_a_deque_of_pairs(lib):
    async def wait():
        pass

    stack = lib.AsyncExitStack()
    assert type(stack._exit_callbacks) is deque
    assert not stack._exit_callbacks
    stack.callback(print)
    stack.push_async_callback(wait)
    manager = stack.push_async_exit(Manager())
    stack.push(len)
    entries = list(stack._exit_callbacks)
    assert [is_sync for is_sync, _ in entries] == [True, False, False, True]
    assert all(type(is_sync) is bool for is_sync, _ in entries)
    assert entries[0][1].__wrapped__ is print
    assert entries[1][1].__wrapped__ is wait
    assert entries[2][1] == manager.__aexit__
    assert entries[3][1] is len
    stack._exit_callbacks.clear()


@pytest.mark.parametrize("name", ["callback", "push_async_callback"])
def test_wrapper_of_a_callback_looks_as_on_the_stdlib(lib, stdlib, name):
    def look(namespace):
        async def wait(*args):
            pass

        stack = namespace.AsyncExitStack()
        getattr(stack, name)(wait, 1)
        wrapper = stack._exit_callbacks.pop()[1]
        return wrapper.__name__, wrapper.__qualname__, wrapper.__wrapped__.__name__, callable(wrapper)

    assert look(lib) == look(stdlib)


def test_entry_taken_from_the_stack_can_be_called(lib):
    calls = []
    stack = lib.AsyncExitStack()
    stack.callback(lambda *args, **kwds: calls.append((args, kwds)), 1, key=2)
    is_sync, wrapper = stack._exit_callbacks.pop()
    assert is_sync is True
    assert wrapper(None, None, None) is None
    assert calls == [((1,), {"key": 2})]

    async def wait(*args):
        calls.append(args)
        return True

    stack.push_async_callback(wait, 3)
    is_sync, wrapper = stack._exit_callbacks.pop()
    assert is_sync is False
    waiting = wrapper(None, None, None)
    assert calls[1:] == []
    assert run(waiting) is None
    assert calls[1:] == [(3,)]


def test_entries_removed_added_and_assigned_by_hand_count(lib):
    log = []
    stack = lib.AsyncExitStack()
    for name in "abc":
        stack.callback(log.append, name)
    stack._exit_callbacks.popleft()
    stack._exit_callbacks.appendleft((True, lambda *details: log.append("first")))
    stack.callback(log.append, "d")
    run(stack.aclose())
    assert log == ["d", "c", "b", "first"]
    log.clear()
    stack._exit_callbacks = [(True, lambda *details: log.append("listed"))]
    stack.push(lambda *details: log.append("pushed"))
    assert type(stack._exit_callbacks) is list
    run(stack.aclose())
    assert log == ["pushed", "listed"]


def test_reading_the_entries_gives_the_same_object_each_time(lib):
    stack = lib.AsyncExitStack()
    before = stack._exit_callbacks
    stack.callback(len, ())
    assert stack._exit_callbacks is before
    assert len(before) == 1
    run(stack.aclose())
    assert len(before) == 0
    assert stack._exit_callbacks is before


def test_pop_all_moves_the_entries(lib):
    log = []
    stack = lib.AsyncExitStack()
    stack.callback(log.append, "moved")
    entries = stack._exit_callbacks
    moved = stack.pop_all()
    assert moved._exit_callbacks is entries
    assert stack._exit_callbacks is not entries
    stack.callback(log.append, "stayed")
    run(stack.aclose())
    assert log == ["stayed"]
    run(moved.aclose())
    assert log == ["stayed", "moved"]


def test_pop_all_of_a_subclass_makes_the_subclass_without_arguments(lib):
    made = []

    class Mine(lib.AsyncExitStack):
        def __init__(self, *args):
            super().__init__()
            made.append(args)

    stack = Mine(1)
    stack.callback(made.append, "called")
    moved = stack.pop_all()
    assert type(moved) is Mine
    assert made == [(1,), ()]
    run(moved.aclose())
    assert made[2:] == ["called"]
