"""The notes on errors about misuse: which function, where, and what to do. The errors are otherwise the stdlib's."""

import contextlib
import gc
import inspect
import sys

import pytest
from helpers import Pause, broken, by_hand, catch, catch_run, closes_on_misuse, consume, describe, run

HERE = __file__


def notes(exc):
    return getattr(exc, "__notes__", [])


def place(function, line=0):
    """How a note names a function, and the line that is so many below that of its decorator."""
    code = inspect.unwrap(function).__code__
    return f'{code.co_qualname} (File "{HERE}", line {code.co_firstlineno})', code.co_firstlineno + line


def expected(lib, *texts):
    """The stdlib's errors have no notes."""
    return [] if lib.name == "stdlib" else list(texts)


# The generator


def test_generator_without_a_yield_is_named(lib):
    @lib.asynccontextmanager
    async def manager(flag):
        if flag:
            yield

    error = catch_run(manager(False).__aenter__())
    assert (type(error), error.args) == (RuntimeError, ("generator didn't yield",))
    where, _ = place(manager)
    text = f"{where} came to its end without a yield: it has to yield once, whichever way it goes"
    assert notes(error) == expected(lib, text)


def test_generator_that_awaits_and_then_does_not_yield_is_named(lib):
    @lib.asynccontextmanager
    async def manager(flag):
        await Pause()
        if flag:
            yield

    error = catch_run(manager(False).__aenter__())
    assert len(notes(error)) == len(expected(lib, ""))


def test_second_yield_is_named_with_its_line(lib):
    @lib.asynccontextmanager
    async def manager():
        yield
        await Pause()
        yield

    error = run(broken(manager()))
    assert (type(error), error.args) == (RuntimeError, ("generator didn't stop",))
    where, line = place(manager, 4)
    text = f"{where} yielded again at line {line}: after its first yield it has to come to its end"
    assert notes(error) == expected(lib, text)


def test_yield_after_an_error_is_named_with_its_line(lib):
    @lib.asynccontextmanager
    async def manager():
        try:
            yield
        except ValueError:
            yield

    error = run(broken(manager(), ValueError()))
    assert (type(error), error.args) == (RuntimeError, ("generator didn't stop after athrow()",))
    where, line = place(manager, 5)
    text = (
        f"{where} caught the error of the body and yielded again at line {line}: then it has to come to its end, or to "
        "raise"
    )
    assert notes(error) == expected(lib, text)


def test_leaving_twice_with_an_error_is_told_from_a_second_yield(lib):
    @lib.asynccontextmanager
    async def manager():
        yield

    cm = manager()
    run(consume(cm))
    error = catch_run(cm.__aexit__(ValueError, ValueError(), None))
    assert error.args == ("generator didn't stop after athrow()",)
    where, _ = place(manager)
    text = f"{where} was at its end before the error came: it was left twice, or closed meanwhile"
    assert notes(error) == expected(lib, text)


def test_leaving_what_was_not_entered_is_told_from_a_second_yield(lib):
    @lib.asynccontextmanager
    async def manager():
        yield

    error = catch_run(manager().__aexit__(None, None, None))
    assert error.args == ("generator didn't stop",)
    where, line = place(manager, 2)
    text = f"{where} began and yielded at line {line} when it was left: it was not entered before"
    assert notes(error) == expected(lib, text)


def test_second_enter_says_to_call_the_function_again(lib):
    @lib.asynccontextmanager
    async def manager():
        yield

    cm = manager()
    run(consume(cm))
    error = catch_run(cm.__aenter__())
    assert (type(error), error.args) == (
        AttributeError,
        ("'_AsyncGeneratorContextManager' object has no attribute 'args'",),
    )
    where, _ = place(manager)
    name = where.split(" ")[0]
    text = f"{where} made this manager, which was entered before: call {name}() again for each async with statement"
    assert notes(error) == expected(lib, text)


def test_second_enter_of_a_subclass_has_the_note_too(lib):
    class Derived(lib._AsyncGeneratorContextManager):
        pass

    async def manager():
        yield

    cm = Derived(manager, (), {})
    run(consume(cm))
    error = catch_run(cm.__aenter__())
    assert error.args == ("'Derived' object has no attribute 'args'",)
    assert len(notes(error)) == len(expected(lib, ""))


def test_name_is_that_of_the_function_when_it_was_called(lib):
    async def manager():
        yield
        yield

    manager.__qualname__ = "Service.session"
    error = run(broken(lib.asynccontextmanager(manager)()))
    assert [each.startswith('Service.session (File "') for each in notes(error)] == expected(lib, True)


@by_hand
async def test_errors_out_of_a_stack_have_the_note_once(lib):
    @lib.asynccontextmanager
    async def manager(yields):
        for _ in range(yields):
            yield

    async def enter(yields):
        async with lib.AsyncExitStack() as outer, lib.AsyncExitStack() as stack:
            await outer.enter_async_context(lib.nullcontext())
            await stack.enter_async_context(manager(yields))

    for yields in (0, 2):
        with pytest.raises(RuntimeError, match="^generator didn't") as caught:
            await enter(yields)
        assert len(notes(caught.value)) == len(expected(lib, ""))


def test_decorated_function_has_the_note(lib):
    @lib.asynccontextmanager
    async def manager():
        yield
        yield

    @manager()
    async def function():
        pass

    assert len(notes(catch_run(function()))) == len(expected(lib, ""))


@closes_on_misuse
def test_note_is_there_while_the_generator_is_closed(lib):
    seen = []

    @lib.asynccontextmanager
    async def manager():
        yield
        with contextlib.suppress(GeneratorExit):
            yield
        error = sys.exc_info()[1]
        seen.append((error.args, len(notes(error))))

    run(broken(manager()))
    assert seen == [(("generator didn't stop",), len(expected(lib, "")))]


# Stacks


class Asynchronous:
    async def __aenter__(self):
        pass

    async def __aexit__(self, *details):
        pass


class Synchronous:
    def __enter__(self):
        pass

    def __exit__(self, *details):
        pass


class Neither:
    pass


@pytest.mark.parametrize("kind", [Asynchronous, Neither, int])
def test_enter_context_of_an_asynchronous_manager_names_the_other_method(lib, kind):
    error = catch(lib.AsyncExitStack().enter_context, kind())
    assert type(error) is TypeError
    assert str(error).endswith(f"{kind.__qualname__}' object does not support the context manager protocol")
    text = "it is an asynchronous context manager: await stack.enter_async_context(...) instead"
    assert notes(error) == (expected(lib, text) if kind is Asynchronous else [])


@pytest.mark.parametrize("kind", [Synchronous, Neither, int])
def test_enter_async_context_of_a_synchronous_manager_names_the_other_method(lib, kind):
    error = catch_run(lib.AsyncExitStack().enter_async_context(kind()))
    assert type(error) is TypeError
    assert str(error).endswith(
        f"{kind.__qualname__}' object does not support the asynchronous context manager protocol"
    )
    text = "it is a synchronous context manager: call stack.enter_context(...) instead"
    assert notes(error) == (expected(lib, text) if kind is Synchronous else [])


def left_with(lib, method, pushed):
    async def attempt():
        async with lib.AsyncExitStack() as stack:
            getattr(stack, method)(pushed)

    return catch_run(attempt())


@pytest.mark.parametrize(
    ("method", "kind", "text"),
    [
        ("push", Asynchronous, "an asynchronous context manager was pushed: stack.push_async_exit(...) takes it"),
        ("push_async_exit", Synchronous, "a synchronous context manager was pushed: stack.push(...) takes it"),
    ],
)
def test_pushed_manager_of_the_other_kind_is_named_when_it_is_called(lib, method, kind, text):
    error = left_with(lib, method, kind())
    assert (type(error), error.args) == (TypeError, (f"'{kind.__name__}' object is not callable",))
    assert notes(error) == expected(lib, text)


def test_pushed_generator_manager_is_named_though_it_can_be_called(lib):
    @lib.asynccontextmanager
    async def manager():
        yield

    error = left_with(lib, "push", manager())
    assert type(error) is TypeError
    assert notes(error) == expected(
        lib, "an asynchronous context manager was pushed: stack.push_async_exit(...) takes it"
    )


# What is the user's own


def test_pushed_function_that_raises_has_no_note(lib):
    class Callable(Asynchronous):
        def __call__(self, *details):
            raise TypeError("own")

    assert notes(left_with(lib, "push", Callable())) == []
    assert notes(left_with(lib, "push", lambda: None)) == []


@pytest.mark.parametrize("kind", [RuntimeError, TypeError, AttributeError])
def test_errors_that_users_raise_have_no_note(lib, kind):
    @lib.asynccontextmanager
    async def manager(where):
        if where == "enter":
            raise kind("generator didn't yield")
        yield
        raise kind("generator didn't stop")

    for where in ("enter", "exit"):
        assert notes(run(broken(manager(where)))) == []
    error = kind("generator didn't stop")
    assert run(broken(manager("exit"), error)) is error
    assert notes(error) == []


def test_attribute_errors_of_a_subclass_have_no_note(lib):
    class Derived(lib._AsyncGeneratorContextManager):
        @property
        def args(self):
            return ()

        @args.setter
        def args(self, value):
            pass

        @args.deleter
        def args(self):
            raise AttributeError("own")

    async def manager():
        yield

    error = catch_run(Derived(manager, (), {}).__aenter__())
    assert error.args == ("own",)
    assert notes(error) == []


def test_arguments_that_the_user_deleted_are_no_second_enter(lib):
    @lib.asynccontextmanager
    async def manager():
        yield

    cm = manager()
    del cm.args
    error = catch_run(cm.__aenter__())
    assert isinstance(error, AttributeError)
    assert notes(error) == []


def test_what_only_looks_like_an_async_generator_has_no_note(lib):
    class Iterator:
        async def __anext__(self):
            raise StopAsyncIteration

    cm = lib._AsyncGeneratorContextManager(lambda: Iterator(), (), {})
    error = catch_run(cm.__aenter__())
    assert error.args == ("generator didn't yield",)
    assert notes(error) == []


@pytest.fixture
def no_collections():
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("no_collections")  # for which there would be no memory either, and which say so
def test_note_that_cannot_be_made_leaves_the_error_as_it_was(lib):
    """With one allocation failing, whichever it is, the error is the stdlib's, or there was no memory for itself."""
    testcapi = pytest.importorskip("_testcapi", reason="has allocations fail")

    @lib.asynccontextmanager
    async def manager():
        yield

    cm = manager()
    run(cm.gen.aclose())
    outcomes = set()
    for position in range(60):
        coroutine, error = cm.__aexit__(ValueError, ValueError(), None), None
        testcapi.set_nomemory(position, position + 1)
        try:
            coroutine.send(None)
        except BaseException as exc:
            error = exc
        finally:
            testcapi.remove_mem_hooks()
        # The interpreter notes on a MemoryError what there was no memory for.
        outcomes.add((type(error), any(text.startswith(place(manager)[0]) for text in notes(error))))
    assert outcomes == {(MemoryError, False), (RuntimeError, False), (RuntimeError, lib.name != "stdlib")}


def test_name_may_be_any_text(lib):
    async def manager():
        yield
        yield

    manager.__qualname__ = "\ud800"
    error = run(broken(lib.asynccontextmanager(manager)()))
    assert error.args == ("generator didn't stop",)
    assert [text[0] for text in notes(error)] == expected(lib, "\ud800")


def test_errors_are_the_stdlibs_but_for_the_notes(lib, stdlib):
    def attempt(which, yields, exc):
        @which.asynccontextmanager
        async def manager():
            for _ in range(yields):
                with contextlib.suppress(ValueError):
                    yield

        return describe(run(broken(manager(), exc)))

    for yields, kind in ((0, None), (2, None), (2, ValueError)):
        described = attempt(lib, yields, kind and kind())
        assert described == attempt(stdlib, yields, kind and kind())


def test_helper_describes_notes_when_asked():
    error = ValueError()
    error.add_note("said")
    assert describe(error, notes=True) == (*describe(error), ("notes", ("said",)))
