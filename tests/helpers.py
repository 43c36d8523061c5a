"""Drive coroutines by hand, and describe what came out so that two implementations can be compared."""

import contextlib
import functools
import os
import sys
import sysconfig
from types import CoroutineType

import pytest

VERSION = sys.version_info[:2]
# A debug interpreter; it aborts when StopIteration is thrown into a coroutine that has not begun, ours excepted.
DEBUG = hasattr(sys, "gettotalrefcount")
FREE_THREADED = bool(sysconfig.get_config_var("Py_GIL_DISABLED"))
PLAIN = not DEBUG and not FREE_THREADED
# Whether this contextlib closes a generator that did not stop: from 3.11.7 and 3.12.1 on, see CPython's gh-110378.
CLOSES_ON_MISUSE = "aclose" in contextlib._AsyncGeneratorContextManager.__aexit__.__code__.co_names
closes_on_misuse = pytest.mark.skipif(
    not CLOSES_ON_MISUSE, reason="the stdlib of this version does not close a generator that did not stop"
)
_CONTEXTLIB = contextlib.__file__


class Pause:
    """An awaitable that yields `token` once to whoever drives the coroutine, and returns what is sent back."""

    def __init__(self, token=None):
        self.token = token

    def __await__(self):
        return (yield self.token)


def run(coroutine, answers=()):
    """Drive `coroutine` to its end and return its result; each pause is answered by the next of `answers`, or None."""
    answers = iter(answers)
    if not isinstance(coroutine, CoroutineType) and not hasattr(coroutine, "send"):
        coroutine = coroutine.__await__()
    value = None
    while True:
        try:
            coroutine.send(value)
        except StopIteration as stop:
            return stop.value
        value = next(answers, None)


def by_hand(function):
    """Make a plain test of an `async def` one, driven without any event loop."""

    @functools.wraps(function)
    def wrapper(*args, **kwargs):
        return run(function(*args, **kwargs))

    return wrapper


def play(awaitable, *script, known=None, notes=False):
    """Play `script` on `awaitable` and return one outcome per step.

    A step is ("send", value), ("throw", *arguments), ("close",) or ("next",). An outcome is ("yielded", token),
    ("returned", value), ("raised", description) or, for close, ("closed", value).
    """
    outcomes = []
    for action, *arguments in script:
        try:
            if action == "next":
                value = next(awaitable)
            else:
                value = getattr(awaitable, action)(*arguments)
        except StopIteration as stop:
            outcomes.append(("returned", stop.value))
        except BaseException as exc:
            outcomes.append(("raised", describe(exc, known, notes=notes)))
        else:
            outcomes.append(("closed" if action == "close" else "yielded", value))
    return outcomes


def is_library_frame(frame):
    """True for frames of contextlib.py and of _acontextlib, which users do not care about."""
    name = frame.f_code.co_filename
    return name == _CONTEXTLIB or os.path.basename(os.path.dirname(name)) == "_acontextlib"


def user_frames(exc, with_helpers=False):
    """(function, line) for each frame of the exception's traceback outside the implementations and this file."""
    found = []
    entry = exc.__traceback__
    while entry is not None:
        frame = entry.tb_frame
        if not is_library_frame(frame) and (with_helpers or frame.f_code.co_filename != __file__):
            found.append((frame.f_code.co_name, entry.tb_lineno))
        entry = entry.tb_next
    return found


def frame_names(exc):
    """The names of the functions in the exception's user frames."""
    return [name for name, _ in user_frames(exc)]


def describe(exc, known=None, *, notes=False, _seen=None):
    """Nested tuples that say all that can be observed of an exception; equal for equal behaviour.

    `known` maps labels to exceptions whose identity matters: those are described by their label, too.
    """
    if exc is None:
        return None
    seen = {} if _seen is None else _seen
    if id(exc) in seen:
        return ("again", seen[id(exc)])
    seen[id(exc)] = len(seen)
    label = next((key for key, value in (known or {}).items() if value is exc), None)
    described = (
        type(exc).__name__,
        exc.args,
        label,
        tuple(user_frames(exc)),
        ("context", describe(exc.__context__, known, notes=notes, _seen=seen)),
        ("cause", describe(exc.__cause__, known, notes=notes, _seen=seen)),
        ("suppressed", exc.__suppress_context__),
    )
    if notes:
        described += (("notes", tuple(getattr(exc, "__notes__", ()))),)
    return described


def chain(exc):
    """The exception and its contexts, outermost first, as a list."""
    found = []
    while exc is not None and exc not in found:
        found.append(exc)
        exc = exc.__context__
    return found


def catch(function, *args, **kwargs):
    """Call and return what it raises; fail if it does not."""
    try:
        value = function(*args, **kwargs)
    except BaseException as exc:
        return exc
    raise AssertionError(f"returned {value!r}")


def catch_run(coroutine):
    """Run a coroutine by hand and return what it raises."""
    return catch(run, coroutine)


def fresh(thing):
    """A new exception like the one of a parameter list, which threads share; what is no exception as it is."""
    if isinstance(thing, BaseExceptionGroup):
        return type(thing)(thing.message, thing.exceptions)
    return type(thing)(*thing.args) if isinstance(thing, BaseException) else thing


def close_reaches_generator(lib):
    """Whether close() of a suspended awaitable closes the generator: not in the stdlib of 3.11 and 3.12.

    There the generator is left suspended, marked as running for ever; test_differences.py pins that.
    """
    return lib.name != "stdlib" or VERSION >= (3, 13)


def left_marked(phase):
    """Whether a generator closed in that phase, finished as it is, is still marked as running.

    Before 3.13 the object that aclose() returns does not take the mark away when it is closed.
    """
    return phase.startswith("clean-up") and VERSION < (3, 13)


def outcome(function, *args):
    """("returned", value) or ("raised", type, text): for what must be the same, in words that vary by version."""
    try:
        return ("returned", function(*args))
    except BaseException as exc:
        return ("raised", type(exc), str(exc))


async def consume(manager, exc=None):
    """Enter `manager`, raise `exc` in the body if given; return (entered value, whether the body ran to its end)."""
    passed = False
    async with manager as value:
        if exc is not None:
            raise exc
        passed = True
    return value, passed


async def broken(manager, exc=None):
    """Like `consume`, for when the statement is to fail: return the exception that leaves it."""
    try:
        async with manager:
            if exc is not None:
                raise exc
    except BaseException as caught:
        return caught
    raise AssertionError("left without an error")


async def leave(manager, exc):
    """Enter `manager`, then call its `__aexit__` as `async with` would for `exc`; return what that returns."""
    await manager.__aenter__()
    try:
        raise exc
    except BaseException as caught:
        return await manager.__aexit__(type(caught), caught, caught.__traceback__)
