"""Differences in what stands on the stack and what tools are told, with the stdlib's behaviour beside ours.

docs/differences.md describes them; test_differences.py has the others.
"""

import contextlib
import gc
import os
import sys
import traceback
import warnings
import weakref

import pytest
from helpers import VERSION, Pause, catch, is_library_frame, outcome, run
from processes import accelerated, python
from waiting import prepare


@pytest.fixture
def is_ours(lib):
    return lib.name != "stdlib"


def callers(until="run"):
    """The names of the functions that are running, but for the helpers and the tests."""
    frame, found = sys._getframe(1), []
    while frame.f_code.co_name != until:
        found.append((frame.f_code.co_name, is_library_frame(frame)))
        frame = frame.f_back
    return found


# Frames


def test_generator_is_called_by_the_user(lib, is_ours):
    seen = []

    @lib.asynccontextmanager
    async def manager():
        seen.append(callers())
        yield
        seen.append(callers())

    async def user():
        async with manager():
            pass

    run(user())
    if is_ours:
        assert seen == [[("manager", False), ("user", False)]] * 2
    else:
        for frames, between in zip(seen, ["__aenter__", "__aexit__"], strict=True):
            assert frames == [("manager", False), (between, True), ("user", False)]


def test_callback_of_a_stack_is_called_by_the_user(lib, is_ours):
    seen = []

    async def user():
        async with lib.AsyncExitStack() as stack:
            stack.callback(lambda: seen.append(callers()))

    run(user())
    expected = [("<lambda>", False), ("_exit_wrapper", True), ("__aexit__", True), ("user", False)]
    assert seen == [[frame for frame in expected if not (is_ours and frame[1])]]


def test_frame_in_a_traceback_leads_back_to_the_user(lib, is_ours):
    found = []

    async def user():
        async with lib.AsyncExitStack() as stack:
            stack.push(lambda typ, value, traceback: found.append(traceback) or True)
            stack.callback(fails)

    def fails():
        raise KeyError

    run(user())
    traceback = found[0]
    while traceback.tb_next is not None:
        traceback = traceback.tb_next
    assert traceback.tb_frame.f_code.co_name == "fails"
    assert traceback.tb_frame.f_back.f_code.co_name == ("user" if is_ours else "_exit_wrapper")


def test_what_frames_of_the_library_would_hold_is_freed_at_once(lib, is_ours):
    async def exit(*details):
        assert details[0] is RuntimeError  # the generator is running
        await Pause()

    @lib.asynccontextmanager
    async def function():
        yield
        await stack.aclose()

    stack = lib.AsyncExitStack()
    stack.push_async_exit(exit)
    cm = function()
    run(stack.enter_async_context(cm))
    cm.gen.__anext__().send(None)
    reference = weakref.ref(cm)
    gc.disable()
    try:
        del cm
        assert (reference() is None) == is_ours
    finally:
        gc.enable()
    for _ in range(2):  # the first ends the generator
        gc.collect()
    assert reference() is None


def test_frames_of_those_who_await_are_off_the_stack_during_a_throw(lib, is_ours):
    seen = []

    async def exit(*details):
        try:
            await Pause()
        except KeyError:
            seen.extend(name for name, _ in callers("catch"))

    async def user():
        async with lib.AsyncExitStack() as stack:
            stack.push_async_exit(exit)

    coroutine = user()
    coroutine.send(None)
    assert type(catch(coroutine.throw, KeyError())) is StopIteration
    if not is_ours:
        assert seen == ["exit", "__aexit__", "user"]
    else:
        assert seen == (["exit", "user"] if VERSION >= (3, 14) else ["exit"])


@pytest.mark.skipif(VERSION >= (3, 13), reason="aclose() that was begun by throw() is not begun once more")
def test_generator_exit_that_is_thrown_by_aclose_closes_what_a_stack_awaits(lib, is_ours):
    seen = []

    class Waiting:
        def __await__(self):
            return self

        def __next__(self):
            return None

        def throw(self, *arguments):
            seen.append("thrown")
            raise StopIteration

        def close(self):
            seen.append("closed")

    async def exit(*details):
        await Waiting()

    async def generator():
        try:
            yield
        finally:
            async with lib.AsyncExitStack() as stack:
                stack.push_async_exit(exit)

    made = generator()
    catch(made.asend(None).send, None)
    closing = made.aclose()
    assert closing.throw(KeyError()) is None
    catch(closing.send, None)
    assert seen == (["closed"] if is_ours else ["thrown"])


def test_warning_names_the_user_two_levels_up(lib, is_ours):
    @lib.asynccontextmanager
    async def manager():
        warnings.warn("old", DeprecationWarning, stacklevel=2)
        yield

    async def user():
        async with manager():
            pass

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        run(user())
    assert caught[0].filename == (__file__ if is_ours else contextlib.__file__)


def test_decorated_function_has_a_frame_on_3_11_only(lib, is_ours):
    @lib.asynccontextmanager
    async def manager():
        yield

    wrong = catch(manager, 1)
    names = [frame.f_code.co_name for frame, _ in traceback.walk_tb(wrong.__traceback__) if is_library_frame(frame)]
    if is_ours:
        assert names == ([] if VERSION >= (3, 12) else ["helper"])
    else:
        assert names == ["helper", "__init__"]


# What tools are told


async def waits(manager):
    async with manager():
        pass


def record(setter, lib):
    """The events of `async with` over a bare yield: (function, is it the library's, event, argument)."""
    seen = []

    @lib.asynccontextmanager
    async def manager():
        yield

    def tool(frame, event, argument):
        seen.append((frame.f_code.co_name, is_library_frame(frame), event, argument))
        return tool

    coroutine = waits(manager)
    before = sys.gettrace() if setter is sys.settrace else sys.getprofile()
    setter(tool)
    try:
        coroutine.send(None)
    except StopIteration:
        pass
    finally:
        setter(before)
    return seen


@pytest.mark.parametrize("setter", [sys.settrace, sys.setprofile], ids=["trace", "profile"])
def test_trace_and_profile_functions_hear_of_no_library_functions(lib, is_ours, setter):
    called = {name for name, is_library, event, _ in record(setter, lib) if is_library and event == "call"}
    if is_ours:
        assert called == (set() if VERSION >= (3, 12) else {"helper"})
    else:
        assert called == {"helper", "__init__", "__aenter__", "__aexit__"}


def test_trace_function_sees_fewer_results_in_the_user(lib, is_ours):
    events = record(sys.settrace, lib)
    results = [argument[1] for name, _, event, argument in events if event == "exception" and name == "waits"]
    assert all(isinstance(result, StopIteration) for result in results)
    arguments = [result.args for result in results]
    if not is_ours:
        assert arguments == [(), (False,)]
    elif VERSION < (3, 15):
        assert arguments == [()]  # the False of __aexit__(), as `value` only
        assert results[0].value is False
    else:
        assert arguments == []


# throw() with three arguments


@pytest.mark.skipif(VERSION < (3, 12), reason="deprecated since 3.12")
@pytest.mark.filterwarnings("always:the .type, exc, tb. signature:DeprecationWarning")
@pytest.mark.parametrize("nested", [1, 2, 3])
def test_throw_with_three_arguments_warns_once_more_for_each_manager(lib, is_ours, nested):
    @lib.asynccontextmanager
    async def manager(depth):
        if depth == 1:
            await Pause()
            yield
        else:
            async with manager(depth - 1):
                yield

    async def user():
        async with manager(nested):
            pass

    coroutine = user()
    coroutine.send(None)
    with pytest.warns(DeprecationWarning, match="signature of throw") as caught:
        assert type(catch(coroutine.throw, KeyError, KeyError(), None)) is KeyError
    # One by throw() itself, one by each async generator.
    assert len(caught) == 1 + nested + (nested if is_ours else 0)


@pytest.mark.skipif(VERSION < (3, 12), reason="the form with three arguments is deprecated from 3.12 on")
@pytest.mark.filterwarnings("ignore:the .type, exc, tb. signature:DeprecationWarning")
def test_throw_with_three_arguments_reaches_an_iterator_as_one(lib, is_ours):
    thrown = []

    class Waiting:
        def __await__(self):
            return self

        def __iter__(self):
            return self

        def __next__(self):
            return None

        def throw(self, *arguments):
            thrown.append(arguments)
            raise arguments[-1] if len(arguments) == 1 else arguments[1]

    class Closed:
        async def aclose(self):
            await Waiting()

    async def user():
        async with lib.aclosing(Closed()):
            pass

    error, coroutine = KeyError(), user()
    coroutine.send(None)
    assert catch(coroutine.throw, KeyError, error, None) is error
    assert thrown == [(error,) if is_ours else (KeyError, error, None)]


# throw() that refuses its arguments


@pytest.mark.filterwarnings("ignore:the .type, exc, tb. signature:DeprecationWarning")
@pytest.mark.parametrize("arguments", [(5,), (KeyError, KeyError(), 5), (KeyError(), 5)], ids=repr)
def test_throw_that_is_refused_leaves_the_callback_of_a_stack_awaited(lib, is_ours, arguments):
    class Plain:
        def __await__(self):
            return iter(["first", "second"])

    stack = lib.AsyncExitStack()
    stack.push_async_callback(Plain)
    leaving = stack.__aexit__(None, None, None)
    assert leaving.send(None) == "first"
    assert type(catch(leaving.throw, *arguments)) is TypeError
    if is_ours:
        assert leaving.send(None) == "second"
        assert type(catch(leaving.send, None)) is StopIteration
    else:
        assert str(catch(leaving.send, None)) == "cannot reuse already awaited coroutine"


@pytest.mark.filterwarnings("ignore:the .type, exc, tb. signature:DeprecationWarning")
@pytest.mark.parametrize("phase", ["enter", "exit"])
def test_throw_of_generatorexit_that_is_refused_ends_the_operation(lib, is_ours, phase):
    ended = ("raised", RuntimeError, "cannot reuse already awaited __anext__()/asend()")

    def after_the_throw(action, *arguments):
        _, awaitable, _ = prepare(lib, phase)
        awaitable.send(None)
        assert type(catch(awaitable.throw, GeneratorExit, None, 5)) is TypeError
        return outcome(getattr(awaitable, action), *arguments)

    if not is_ours or lib.core.drive == "public":
        assert after_the_throw("send", None) == after_the_throw("throw", KeyError("later")) == ended
    else:
        sent = {"enter": (RuntimeError, "generator didn't yield"), "exit": (StopIteration, "False")}
        assert after_the_throw("send", None) == ("raised", *sent[phase])
        assert after_the_throw("throw", KeyError("later")) == ("raised", KeyError, "'later'")
    closed = ended if is_ours and lib.core.drive == "public" and VERSION < (3, 13) else ("returned", None)
    assert after_the_throw("close") == closed


# Processes


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork()")
def test_other_processes_that_a_program_starts_have_the_stdlibs_objects(tmp_path):
    (tmp_path / "program.py").write_text(
        """\
import contextlib, os, subprocess, sys
SAY = "print(type(contextlib.AsyncExitStack.push).__name__, flush=True)"
exec(SAY)
child = os.fork()
if child == 0:
    exec(SAY)
    os._exit(0)
os.waitpid(child, 0)
subprocess.run([sys.executable, "-c", "import contextlib; " + SAY], check=True)
"""
    )
    options = ("-W", "ignore::DeprecationWarning")
    assert accelerated("program.py", cwd=tmp_path, options=options).stdout.split() == ["method", "method", "function"]
    assert python("program.py", cwd=tmp_path, options=options).stdout.split() == ["function", "function", "function"]


def test_original_arguments_name_the_package(tmp_path):
    (tmp_path / "program.py").write_text("import sys; print(sys.orig_argv[1:], sys.argv)")
    assert python("program.py", "a", cwd=tmp_path).stdout == "['program.py', 'a'] ['program.py', 'a']\n"
    expected = "['-m', '_acontextlib', 'program.py', 'a'] ['program.py', 'a']\n"
    assert accelerated("program.py", "a", cwd=tmp_path).stdout == expected
