"""Differences that show when the objects are looked at rather than used, with the stdlib's behaviour beside ours.

docs/differences.md describes them; test_differences.py has the others.
"""

import collections.abc
import contextlib
import functools
import inspect
import pickle
import sys
import types
from unittest import mock

import pytest
from helpers import Pause, catch, run

CLASSES = ["_AsyncGeneratorContextManager", "AsyncExitStack", "aclosing", "nullcontext"]
each_class = pytest.mark.parametrize("name", CLASSES)


@pytest.fixture
def is_ours(lib):
    return lib.name != "stdlib"


@pytest.fixture
def manager(lib):
    @lib.asynccontextmanager
    async def manager(value=None):
        yield value

    return manager


def make(lib, name):
    """An instance of the class called `name`."""

    async def function():
        yield

    if name == "_AsyncGeneratorContextManager":
        return lib.asynccontextmanager(function)()
    return getattr(lib, name)(*([function()] if name == "aclosing" else []))


# Awaitables


def test_awaitable_has_next_without_being_an_iterator(manager, is_ours):
    awaitable = manager("value").__aenter__()
    if is_ours:
        stop = catch(next, awaitable)
        assert type(stop) is StopIteration
        assert stop.value == "value"
        assert stop.args == ()
    else:
        assert str(catch(next, awaitable)) == "'coroutine' object is not an iterator"
        awaitable.close()
    assert not isinstance(awaitable, collections.abc.Iterator)
    assert type(catch(iter, awaitable)) is TypeError


def test_iterator_of_the_awaitable_delivers_the_value_among_the_args(manager):
    stop = catch(next, manager("value").__aenter__().__await__())
    assert stop.value == "value"
    assert stop.args == ("value",)


def test_local_variables_are_those_of_the_generator(lib, is_ours):
    @lib.asynccontextmanager
    async def manager(argument):
        await Pause()
        yield

    cm = manager(1)
    awaitable = cm.__aenter__()
    awaitable.send(None)
    assert inspect.getcoroutinelocals(awaitable) == ({"argument": 1} if is_ours else {"self": cm})
    run(awaitable)


@pytest.mark.parametrize("name", CLASSES[1:])
def test_awaitable_without_a_generator_has_nothing_to_show_before_it_awaits(lib, is_ours, name):
    awaitable = make(lib, name).__aexit__(None, None, None)
    assert hasattr(awaitable, "cr_frame") is not is_ours
    assert hasattr(awaitable, "cr_await") is not is_ours
    awaitable.close()
    assert awaitable.cr_frame is None


# Methods


@pytest.mark.parametrize("name", ["__aenter__", "__aexit__", "_recreate_cm"])
def test_methods_of_managers_are_no_functions(lib, manager, is_ours, name):
    function = getattr(lib._AsyncGeneratorContextManager, name)
    bound = getattr(manager(), name)
    check_method(function, bound, is_ours)


@pytest.mark.parametrize("name", ["push", "callback", "pop_all", "aclose", "enter_async_context", "__aexit__"])
def test_methods_of_stacks_are_no_functions(lib, is_ours, name):
    check_method(getattr(lib.AsyncExitStack, name), getattr(lib.AsyncExitStack(), name), is_ours)


def check_method(function, bound, is_ours):
    assert isinstance(function, types.FunctionType) is not is_ours
    assert inspect.isroutine(function)
    assert hasattr(function, "__code__") is not is_ours
    assert isinstance(bound, types.MethodType) is not is_ours
    assert inspect.ismethod(bound) is not is_ours
    assert bound.__func__ is function
    if is_ours:
        assert type(catch(setattr, function, "attribute", 1)) is AttributeError


def test_method_called_on_another_object_is_refused_at_once(lib, is_ours):
    if is_ours:
        refused = catch(lib.AsyncExitStack.push, 3, print)
        assert type(refused) is TypeError
        assert str(refused) == "descriptor 'push' for 'AsyncExitStack' objects doesn't apply to a 'int' object"
    else:
        assert type(catch(lib.AsyncExitStack.push, 3, print)) is AttributeError


def test_bound_method_pickles_as_its_instance_and_its_name(lib):
    context = lib.nullcontext(3)
    assert context.__enter__.__reduce__() == (getattr, (context, "__enter__"))
    if lib.name != "c-public":  # a second copy of the module, which no import finds
        assert pickle.loads(pickle.dumps(context.__enter__))() == 3


def test_bound_method_in_a_class_is_not_bound_again(lib):
    class Holder:
        enter = lib.nullcontext(3).__enter__

    assert Holder().enter() == 3
    assert inspect.isroutine(Holder.enter)


def test_wrapper_made_of_a_method_keeps_its_names(lib):
    @functools.wraps(lib.AsyncExitStack.aclose)
    def wrapper():
        pass

    assert wrapper.__qualname__ == "AsyncExitStack.aclose"
    assert wrapper.__wrapped__ is lib.AsyncExitStack.aclose


# Classes


@each_class
def test_bases_are_the_abstract_classes_and_one_with_the_layout(lib, stdlib, is_ours, name):
    ours, theirs = getattr(lib, name), getattr(stdlib, name)
    assert issubclass(ours, theirs)
    abstract = [base for base in theirs.__mro__ if base.__name__.startswith(("Abstract", "ABC", "AsyncContextDecor"))]
    assert [base for base in ours.__mro__ if base in abstract] == abstract
    if is_ours:
        expected = {"AsyncExitStack": "_BaseExitStack", "_AsyncGeneratorContextManager": "_GeneratorContextManagerBase"}
        base = ours.__bases__[0]
        assert base.__module__ == "contextlib"
        assert base.__name__ == expected.get(name, name)
        assert base is not getattr(contextlib, base.__name__)


def test_hidden_bases_of_the_stdlib_are_no_bases(lib, is_ours):
    assert issubclass(lib.AsyncExitStack, contextlib._BaseExitStack) is not is_ours
    manager = lib._AsyncGeneratorContextManager
    assert issubclass(manager, contextlib._GeneratorContextManagerBase) is not is_ours


@each_class
def test_objects_of_the_stdlib_are_no_instances_of_our_class(lib, stdlib, is_ours, name):
    theirs = make(stdlib, name)
    assert isinstance(theirs, getattr(lib, name)) is not is_ours
    assert isinstance(make(lib, name), getattr(stdlib, name))


@each_class
def test_class_has_the_names_that_copying_needs(lib, is_ours, name):
    assert ("__reduce_ex__" in vars(getattr(lib, name))) is is_ours


@pytest.mark.parametrize("other", [Exception, dict])
@each_class
def test_class_cannot_be_combined_with_another_layout(lib, is_ours, name, other):
    bases = (getattr(lib, name), other)
    if is_ours:
        assert "lay-out conflict" in str(catch(type(bases[0]), "Both", bases, {}))
    else:
        assert issubclass(type(bases[0])("Both", bases, {}), other)


@pytest.mark.parametrize("name", ["AsyncExitStack", "aclosing", "nullcontext"])
def test_stored_attributes_are_not_in_the_dict(lib, is_ours, name):
    made = make(lib, name)
    stored = {"AsyncExitStack": "_exit_callbacks", "aclosing": "thing", "nullcontext": "enter_result"}[name]
    made.extra = 1
    assert hasattr(made, stored)
    assert set(vars(made)) == ({"extra"} if is_ours else {"extra", stored})


# Functions


def test_globals_of_the_functions_are_not_contextlibs(lib, manager, is_ours):
    for function in (lib.asynccontextmanager, manager):
        assert (function.__globals__ is vars(contextlib)) is not is_ours
        assert isinstance(function.__globals__, dict)
        assert function.__globals__["__name__"] == "contextlib"


def test_code_of_the_functions_is_not_contextlibs(lib, manager, is_ours):
    for function in (lib.asynccontextmanager, manager):
        assert function.__code__.co_filename.endswith("_templates.py" if is_ours else "contextlib.py")


@pytest.mark.parametrize("name", ["asynccontextmanager", *CLASSES])
def test_names_pickle_once_they_are_installed(lib, is_ours, monkeypatch, name):
    named = getattr(lib, name)
    if is_ours:
        assert "not the same object as contextlib." in str(catch(pickle.dumps, named))
    monkeypatch.setattr(contextlib, name, named)
    assert pickle.loads(pickle.dumps(named)) is named


# Sizes


@pytest.mark.skipif(hasattr(sys, "gettotalrefcount"), reason="objects of debug builds are larger")
def test_stack_is_one_object_of_its_own_size(lib, is_ours):
    stack = lib.AsyncExitStack()
    size = sys.getsizeof(stack)
    if is_ours:
        assert size <= 256
        stack.push(print)
        assert sys.getsizeof(stack) == size  # the first five need no memory of their own
    else:
        assert size < 100
        assert size + sys.getsizeof(vars(stack)) + sys.getsizeof(stack._exit_callbacks) > 256


# Mocks


def test_mock_with_the_class_as_spec_has_async_methods(lib):
    specified = mock.MagicMock(spec=lib.AsyncExitStack)
    assert isinstance(specified.aclose, mock.AsyncMock)
    assert not isinstance(specified.push, mock.AsyncMock)


def test_autospec_of_the_class_has_no_async_methods_but_those_of_the_protocol(lib, is_ours):
    specified = mock.create_autospec(lib.AsyncExitStack, instance=True)
    assert isinstance(specified.aclose, mock.AsyncMock) is not is_ours
    assert not isinstance(specified.push, mock.AsyncMock)
