"""Wrong calls of everything that can be called: the type and the text of the error are the stdlib's."""

import inspect

import pytest
from helpers import Pause, run


class Manager:
    def __enter__(self):
        return "entered"

    def __exit__(self, *details):
        pass

    async def __aenter__(self):
        return "entered"

    async def __aexit__(self, *details):
        pass


async def agen(*args, **kwds):
    yield "value"


async def one_argument(argument):
    yield argument


def decorated(lib):
    return lib.asynccontextmanager(agen)


def manager_class(lib):
    return lib._AsyncGeneratorContextManager


def open_manager(lib):
    manager = decorated(lib)()
    run(manager.__aenter__())
    return manager


def suspended_awaitable(lib):
    @lib.asynccontextmanager
    async def function():
        await Pause()
        yield

    awaitable = function().__aenter__()
    awaitable.send(None)
    return awaitable


OWNERS = {
    "asynccontextmanager": lambda lib: lib.asynccontextmanager,
    "decorated": decorated,
    "decorated of one argument": lambda lib: lib.asynccontextmanager(one_argument),
    "manager class": manager_class,
    "manager": lambda lib: decorated(lib)(),
    "open manager": open_manager,
    "stack class": lambda lib: lib.AsyncExitStack,
    "stack": lambda lib: lib.AsyncExitStack(),
    "aclosing class": lambda lib: lib.aclosing,
    "aclosing": lambda lib: lib.aclosing(agen()),
    "nullcontext class": lambda lib: lib.nullcontext,
    "nullcontext": lambda lib: lib.nullcontext("value"),
    "awaitable": lambda lib: decorated(lib)().__aenter__(),
    "suspended awaitable": suspended_awaitable,
}
STACK_METHODS = (
    *("push", "callback", "enter_context", "pop_all", "push_async_exit", "push_async_callback", "enter_async_context"),
    *("__aenter__", "__aexit__", "aclose", "__init__", "_push_exit_callback"),
)
METHODS = {
    "manager": ("__init__", "__aenter__", "__aexit__", "_recreate_cm", "__call__"),
    "open manager": ("__aenter__", "__aexit__", "_recreate_cm"),
    "manager class": ("__call__", "__init__", "__aenter__", "__aexit__", "_recreate_cm"),
    "stack": STACK_METHODS,
    "stack class": ("__call__", *STACK_METHODS),
    "aclosing": ("__init__", "__aenter__", "__aexit__"),
    "aclosing class": ("__call__", "__init__", "__aenter__", "__aexit__"),
    "nullcontext": ("__init__", "__aenter__", "__aexit__", "__enter__", "__exit__"),
    "nullcontext class": ("__call__", "__init__", "__aenter__", "__aexit__", "__enter__", "__exit__"),
    "awaitable": ("send", "throw", "close", "__await__"),
    "suspended awaitable": ("send", "throw", "close"),
}


def arguments():
    """Made for each test: exceptions keep the tracebacks of all calls."""
    return [
        ((), {}),
        ((None,), {}),
        ((5,), {}),
        (("text",), {}),
        ((agen,), {}),
        ((Manager(),), {}),
        ((Manager,), {}),
        ((ValueError,), {}),
        ((ValueError("error"),), {}),
        ((None, None), {}),
        ((agen, agen), {}),
        ((ValueError, ValueError("error")), {}),
        ((ValueError("error"), ValueError("error")), {}),
        ((None, None, None), {}),
        ((agen, (), {}), {}),
        ((agen, 5, {}), {}),
        ((agen, (), 5), {}),
        ((agen, [], {5: 6}), {}),
        ((5, (), {}), {}),
        ((ValueError, ValueError("error"), None), {}),
        ((ValueError, None, None), {}),
        ((ValueError, ValueError("error"), 5), {}),
        ((5, 6, 7), {}),
        ((int, None, None), {}),
        ((None, None, None, None), {}),
        ((None,) * 9, {}),
        ((), {"unknown": 1}),
        ((None,), {"unknown": 1}),
        ((None, None, None), {"unknown": 1}),
        ((), {"func": agen}),
        ((), {"self": None}),
        ((), {"func": agen, "args": (), "kwds": {}}),
        ((agen,), {"func": agen}),
        ((), {"typ": None, "value": None, "traceback": None}),
        ((None,), {"value": None, "traceback": None}),
        ((None, None, None), {"typ": None}),
        ((), {"callback": agen}),
        ((), {"exit": Manager()}),
        ((), {"cm": Manager()}),
        ((Manager(),), {"cm": Manager()}),
        ((), {"thing": None}),
        ((), {"enter_result": None}),
        ((None,), {"enter_result": None}),
        ((), {"argument": None}),
        ((None,), {"argument": None}),
    ]


def result_of(value):
    """What a call comes to: an awaitable is awaited, an object is told by the name of its type."""
    if inspect.isawaitable(value):
        try:
            return ("awaited", result_of(run(value)))
        except BaseException as exc:
            return ("awaiting raised", type(exc), str(exc))
    return value if isinstance(value, (str, int, type(None), type)) else type(value).__name__


def called(make, lib, name, args, kwds):
    owner = make(lib)
    try:
        callable_ = owner if name == "" else getattr(owner, name) if name != "__call__" else owner
        return ("returned", result_of(callable_(*args, **kwds)))
    except BaseException as exc:
        return ("raised", type(exc), str(exc))


CALLS = [(owner, name) for owner in OWNERS for name in METHODS.get(owner, ("",))]
# Documented: on an object of another class methods are refused at once, which the stdlib's refuse as they can.
UNBOUND = {(owner, name) for owner, name in CALLS if owner.endswith(" class") and name != "__call__"}
# The interpreter words these as for slots: as what __init__ of a type made in C, and __await__ of its coroutines, are.
OTHER_WORDS = {("manager class", "__init__"), ("awaitable", "__await__")}


@pytest.mark.parametrize(("owner", "name"), CALLS, ids=lambda part: part or "itself")
@pytest.mark.filterwarnings("ignore")
def test_wrong_call_is_refused_in_the_words_of_the_stdlib(ours, stdlib, owner, name):
    told = slice(2) if (owner, name) in OTHER_WORDS else slice(3)
    for args, kwds in arguments():
        if (owner, name) in UNBOUND and args:
            continue
        expected = called(OWNERS[owner], stdlib, name, args, kwds)
        assert called(OWNERS[owner], ours, name, args, kwds)[told] == expected[told], (args, kwds)


@pytest.mark.parametrize(
    ("name", "method"),
    [("AsyncExitStack", "aclose"), ("nullcontext", "__aenter__"), ("_AsyncGeneratorContextManager", "__aenter__")],
)
def test_self_can_be_given_by_name(lib, name, method):
    cls = getattr(lib, name)
    instance = decorated(lib)() if cls is lib._AsyncGeneratorContextManager else cls()
    assert run(getattr(cls, method)(self=instance)) == ("value" if method == "__aenter__" and name[0] == "_" else None)
