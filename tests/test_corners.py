"""What programs hardly ever do: found by asking which lines of the C code no other test runs, see `nox -s coverage`."""

import gc
import re
import warnings
import weakref

import pytest
from helpers import VERSION, Pause, catch, catch_run, outcome, run
from implementations import copy_of_core

from _acontextlib import _templates


def instances(lib):
    @lib.asynccontextmanager
    async def manager():
        yield

    async def generator():
        yield

    return {
        "nullcontext": lib.nullcontext(3),
        "aclosing": lib.aclosing(generator()),
        "AsyncExitStack": lib.AsyncExitStack(),
        "_AsyncGeneratorContextManager": manager(),
    }


NAMES = ("nullcontext", "aclosing", "AsyncExitStack", "_AsyncGeneratorContextManager")
each_class = pytest.mark.parametrize("name", NAMES)


# Methods as objects


@each_class
def test_methods_and_bound_methods_say_what_they_are(lib, name):
    instance = instances(lib)[name]
    assert re.fullmatch(rf"<function {name}\.__aexit__ at 0x\w+>", repr(type(instance).__aexit__))
    assert repr(instance.__aexit__) == f"<bound method {name}.__aexit__ of {instance!r}>"


@each_class
def test_bound_methods_are_equal_where_instance_and_method_are(lib, name):
    one, other = instances(lib)[name], instances(lib)[name]
    assert one.__aenter__ == one.__aenter__
    assert hash(one.__aenter__) == hash(one.__aenter__)
    assert len({one.__aenter__, one.__aexit__, one.__aenter__, other.__aenter__}) == 3
    assert one.__aenter__ != one.__aexit__
    assert one.__aenter__ != other.__aenter__
    assert one.__aenter__ != len
    assert type(catch(lambda: one.__aenter__ < one.__aenter__)) is TypeError


@each_class
def test_bound_methods_have_the_methods_attributes(lib, stdlib, name):
    instance = instances(lib)[name]
    bound, expected = instance.__aenter__, instances(stdlib)[name].__aenter__
    assert bound.__doc__ == type(instance).__aenter__.__doc__
    assert bound.__module__ == expected.__module__
    assert bound.__name__ == "__aenter__"


@each_class
def test_instances_show_their_first_weak_reference(lib, name):
    instance = instances(lib)[name]
    assert instance.__weakref__ is None
    reference = weakref.ref(instance)
    assert instance.__weakref__ is reference


@pytest.mark.skipif(VERSION < (3, 12), reason="there functions run their bodies, with an ordinary dictionary")
def test_globals_of_our_functions_say_what_they_are(ours):
    assert repr(ours.asynccontextmanager.__globals__).startswith("<globals of the functions of _acontextlib at ")
    refused = catch(ours.asynccontextmanager.__globals__["_new_manager"], 1)
    assert (type(refused), refused.args) == (TypeError, ("_new_manager expected 3 arguments, got 1",))


# Instances initialised again


def test_nullcontext_initialised_again_has_the_new_result(lib):
    cm = lib.nullcontext(1)
    assert cm.__init__(2) is None
    assert (cm.enter_result, cm.__enter__()) == (2, 2)
    cm.__init__()
    assert cm.enter_result is None
    assert type(catch(cm.__init__, 1, 2)) is TypeError


def test_aclosing_initialised_again_closes_the_new_thing(lib):
    closed = []

    class Thing:
        async def aclose(self):
            closed.append(self)

    first, second = Thing(), Thing()
    cm = lib.aclosing(first)
    cm.__init__(second)
    run(cm.__aexit__(None, None, None))
    assert closed == [second]


def test_stack_initialised_again_is_empty(lib):
    called = []
    stack = lib.AsyncExitStack()
    stack.callback(called.append, 1)
    stack.__init__()
    run(stack.aclose())
    assert called == []


def test_arguments_of_an_entered_manager_can_be_set(lib):
    cm = instances(lib)["_AsyncGeneratorContextManager"]
    run(cm.__aenter__())
    assert not hasattr(cm, "args")
    cm.args = (1,)
    assert cm.args == (1,)
    assert not hasattr(cm, "kwds")
    cm.kwds = {"key": 2}
    assert (cm.args, cm.kwds) == ((1,), {"key": 2})
    del cm.args
    assert not hasattr(cm, "args")
    assert run(cm.__aexit__(None, None, None)) is False


# Stacks


def test_stack_of_a_subclass_that_needs_arguments_cannot_be_moved(lib):
    class Stack(lib.AsyncExitStack):
        def __init__(self, name):
            super().__init__()

    called = []
    stack = Stack("one")
    stack.callback(called.append, 1)
    assert type(catch(stack.pop_all)) is TypeError
    run(stack.aclose())
    assert called == [1]


@pytest.mark.parametrize("length", [2, 5, 40])
def test_context_chain_that_comes_back_to_itself_is_left_alone(ours, length):
    """The standard library follows it for ever."""
    errors = [KeyError(number) for number in range(length)]
    assert leave_while_handling(ours, errors, errors[length // 2]) is errors[0]
    assert errors[-1].__context__ is errors[length // 2]
    errors[-1].__context__ = None


@pytest.mark.parametrize("length", [1, 3, 9, 40])
def test_long_context_chain_ends_in_what_the_entry_was_given(lib, length):
    errors = [KeyError(number) for number in range(length)]
    assert leave_while_handling(lib, errors, None) is errors[0]
    assert repr(errors[-1].__context__) == "ValueError('given')"


def leave_while_handling(lib, errors, last):
    """What comes out of a stack whose entry raises the first error, with the others behind it and then `last`."""

    def fail():
        try:
            raise errors[0]
        except KeyError as error:
            end = error.__context__ if last is None else last
            for one, context in zip(errors, [*errors[1:], end], strict=True):
                one.__context__ = context
            raise

    async def main():
        async with lib.AsyncExitStack() as stack:
            stack.callback(fail)
            raise ValueError("given")

    async def handling():
        try:
            raise ZeroDivisionError
        except ZeroDivisionError:
            await main()

    return catch_run(handling())


class Odd:
    """Is awaited for ever; closing it raises."""

    def __init__(self, error):
        self.error = error

    def __await__(self):
        return self

    def __iter__(self):
        return self

    def __next__(self):
        return self

    def close(self):
        raise self.error


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # of the generators left open
@pytest.mark.parametrize("error", [StopIteration(3), KeyError(3)], ids=repr)
@pytest.mark.parametrize("where", ["callback", "manager", "exit", "body"])
@pytest.mark.skipif(VERSION < (3, 13), reason="before, close() leaves the standard library's generator as it is")
def test_error_of_closing_what_is_awaited_comes_out_as_of_a_coroutine(lib, stdlib, where, error):
    def started(library):
        @library.asynccontextmanager
        async def manager():
            yield
            await Odd(error)

        async def leave(*details):
            await Odd(error)

        async def main():
            async with library.AsyncExitStack() as stack:
                if where == "callback":
                    stack.push_async_callback(lambda: Odd(error))
                elif where == "manager":
                    await stack.enter_async_context(manager())
                elif where == "exit":
                    stack.push_async_exit(leave)
                else:
                    await Odd(error)

        return main()

    def thrown(library):
        coroutine = started(library)
        coroutine.send(None)
        raised = catch(coroutine.throw, GeneratorExit())
        return repr(raised), repr(raised.__cause__)

    assert thrown(lib) == thrown(stdlib)
    gc.collect()


# Awaitables


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("args", [(GeneratorExit(), 5), (GeneratorExit, None, 5)], ids=repr)
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_wrong_throw_of_generatorexit_is_refused(lib, stdlib, args):
    def thrown(library):
        @library.asynccontextmanager
        async def manager():
            await Pause("first")
            await Pause("second")
            yield

        entering = manager().__aenter__()
        entering.send(None)
        return repr(outcome(entering.throw, *args))

    assert thrown(lib) == thrown(stdlib)
    gc.collect()


@pytest.mark.skipif(VERSION < (3, 13), reason="before, close() leaves the standard library's generator as it is")
def test_close_returns_what_is_returned_meanwhile(lib, stdlib):
    def closed(library):
        @library.asynccontextmanager
        async def manager():
            try:
                await Pause("entering")
            except GeneratorExit:
                pass
            yield 5

        entering = manager().__aenter__()
        entering.send(None)
        return repr(outcome(entering.close))

    assert closed(lib) == closed(stdlib)


def test_awaitable_that_is_never_awaited_warns_without_the_interpreters_own_function(lib, monkeypatch):
    monkeypatch.delattr(warnings, "_warn_unawaited_coroutine")
    cm = instances(lib)["_AsyncGeneratorContextManager"]
    with pytest.warns(RuntimeWarning, match="^coroutine '_AsyncGeneratorContextManager.__aenter__' was never awaited$"):
        cm.__aenter__()


# An older contextlib


def test_misused_generator_stays_open_where_contextlib_leaves_it_so(monkeypatch):
    """Up to 3.11.6 and in 3.12.0."""
    monkeypatch.setattr(_templates, "closes_on_misuse", False)
    copy = copy_of_core()
    events = []

    @copy.asynccontextmanager
    async def manager():
        try:
            yield
            yield
        finally:
            events.append("closed")

    cm = manager()
    run(cm.__aenter__())
    gen = cm.gen
    assert repr(catch_run(cm.__aexit__(None, None, None))) == 'RuntimeError("generator didn\'t stop")'
    assert events == []
    run(gen.aclose())
    assert events == ["closed"]
