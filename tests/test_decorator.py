"""What asynccontextmanager() makes of a function: a real function that looks like the decorated one."""

import copy
import functools
import gc
import inspect
import pickle
import pydoc
import sys
import types
import typing
import weakref

import pytest
from helpers import VERSION, consume, outcome, run


async def plain(a, /, b: int = 2, *args: str, c: "float", d=4, **kwargs) -> "typing.AsyncIterator[int]":
    """Documentation of plain."""
    yield a, b, args, c, d, kwargs


plain.mark = ["mark"]


# The wrapper itself


def test_wrapper_is_a_real_function(lib):
    manager = lib.asynccontextmanager(plain)
    assert type(manager) is types.FunctionType
    assert inspect.isfunction(manager)
    assert inspect.isroutine(manager)
    assert not inspect.isasyncgenfunction(manager)
    assert not inspect.iscoroutinefunction(manager)
    assert not inspect.isgeneratorfunction(manager)
    assert callable(manager)


def test_wrapper_carries_the_names_of_the_function(lib):
    manager = lib.asynccontextmanager(plain)
    assert manager.__name__ == "plain"
    assert manager.__qualname__ == "plain"
    assert manager.__module__ == __name__
    assert manager.__doc__ == "Documentation of plain."
    assert manager.__wrapped__ is plain
    assert repr(manager).startswith("<function plain at 0x")


def test_wrapper_carries_nested_qualified_names(lib):
    class Holder:
        @lib.asynccontextmanager
        async def method(self):
            yield

    assert Holder.method.__name__ == "method"
    assert Holder.method.__qualname__ == ("test_wrapper_carries_nested_qualified_names.<locals>.Holder.method")


def test_wrapper_carries_the_attributes_of_the_function(lib):
    manager = lib.asynccontextmanager(plain)
    assert manager.__dict__ == {"mark": ["mark"], "__wrapped__": plain}
    assert manager.__dict__ is not plain.__dict__
    assert manager.mark is plain.mark
    manager.other = 1
    assert not hasattr(plain, "other")


def test_wrapper_of_a_function_that_wraps_points_to_that(lib):
    @functools.wraps(plain)
    async def wrapper(*args, **kwargs):
        yield

    manager = lib.asynccontextmanager(wrapper)
    assert manager.__wrapped__ is wrapper
    assert manager.__wrapped__.__wrapped__ is plain
    assert manager.__name__ == "plain"


def test_wrapper_has_the_annotations_of_the_function(lib):
    manager = lib.asynccontextmanager(plain)
    assert manager.__annotations__ == {"b": int, "args": str, "c": "float", "return": "typing.AsyncIterator[int]"}
    assert typing.get_type_hints(manager) == typing.get_type_hints(plain)


def test_wrapper_shares_or_copies_annotations_as_the_version_does(lib, stdlib):
    def facts(which):
        async def function(a: int):
            yield

        early = function.__annotations__
        manager = which.asynccontextmanager(function)
        same = manager.__annotations__ is early
        function.__annotations__ = {"a": str}
        return same, manager.__annotations__

    assert facts(lib) == facts(stdlib)


def test_wrapper_takes_annotations_set_after_decorating_as_the_version_does(lib, stdlib):
    def facts(which):
        async def function(a: int):
            yield

        manager = which.asynccontextmanager(function)
        manager.__annotations__["b"] = str
        function.__annotations__ = {"a": bytes}
        return manager.__annotations__, function.__annotations__

    assert facts(lib) == facts(stdlib)


@pytest.mark.skipif(VERSION < (3, 14), reason="annotations are evaluated lazily from 3.14 on")
def test_wrapper_leaves_annotations_unevaluated(lib):
    evaluated = []

    def note(value):
        evaluated.append(value)
        return value

    async def function(a: note(1), b: note("two")):
        yield

    manager = lib.asynccontextmanager(function)
    run(consume(manager(1, 2)))
    assert evaluated == []
    assert manager.__annotate__ is function.__annotate__
    assert manager.__annotations__ == {"a": 1, "b": "two"}
    assert evaluated == [1, "two"]


@pytest.mark.skipif(VERSION < (3, 14), reason="annotations are evaluated lazily from 3.14 on")
def test_wrapper_of_a_function_with_a_name_not_yet_defined(lib):
    import annotationlib

    async def function(a: not_defined):  # noqa: F821
        yield

    manager = lib.asynccontextmanager(function)
    with pytest.raises(NameError):
        manager.__annotations__
    found = annotationlib.get_annotations(manager, format=annotationlib.Format.STRING)
    assert found == {"a": "not_defined"}


@pytest.mark.skipif(VERSION < (3, 12), reason="type parameters have a syntax from 3.12 on")
def test_wrapper_has_the_type_parameters_of_the_function(lib):
    namespace = {}
    exec("async def function[T](a: T):\n    yield a", namespace)
    manager = lib.asynccontextmanager(namespace["function"])
    assert manager.__type_params__ == namespace["function"].__type_params__
    assert [str(each) for each in manager.__type_params__] == ["T"]


def test_wrapper_has_defaults_and_code_of_a_helper(lib, stdlib):
    def facts(which):
        manager = which.asynccontextmanager(plain)
        return (
            manager.__defaults__,
            manager.__kwdefaults__,
            len(manager.__closure__),
            manager.__closure__[0].cell_contents is plain,
            manager.__code__.co_flags,
            manager.__code__.co_argcount,
            manager.__code__.co_varnames,
            manager.__code__.co_freevars,
            manager.__code__.co_name,
            getattr(manager.__code__, "co_qualname", None),
        )

    assert facts(lib) == facts(stdlib)


def test_wrapper_shares_one_code_object(lib):
    one, two = lib.asynccontextmanager(plain), lib.asynccontextmanager(plain)
    assert one is not two
    assert one != two
    assert one.__code__ is two.__code__


def test_wrapper_shows_the_signature_of_the_function(lib):
    manager = lib.asynccontextmanager(plain)
    assert inspect.signature(manager) == inspect.signature(plain)
    bare = inspect.signature(manager, follow_wrapped=False).parameters.values()
    assert [(each.name, each.kind.name) for each in bare] == [("args", "VAR_POSITIONAL"), ("kwds", "VAR_KEYWORD")]
    assert inspect.unwrap(manager) is plain


def test_wrapper_shows_its_source_and_documentation(lib):
    manager = lib.asynccontextmanager(plain)
    assert inspect.getsource(manager).startswith("async def plain(")
    assert inspect.getdoc(manager) == "Documentation of plain."
    assert "plain(a, /, b: int = 2" in pydoc.plain(pydoc.render_doc(manager))


def test_wrapper_without_documentation_has_none(lib):
    async def function():
        yield

    assert lib.asynccontextmanager(function).__doc__ is None


def test_wrapper_attributes_can_be_changed(lib):
    async def function():
        """Old."""
        yield

    manager = lib.asynccontextmanager(function)
    manager.__name__, manager.__qualname__, manager.__module__, manager.__doc__ = "n", "q", "m", "New."
    manager.__defaults__, manager.__kwdefaults__ = (1,), {"k": 2}
    assert (manager.__name__, manager.__qualname__, manager.__module__, manager.__doc__) == ("n", "q", "m", "New.")
    assert function.__doc__ == "Old."
    assert run(consume(manager())) == (None, True)


def test_wrapper_follows_changed_names_of_the_function_only_when_made(lib):
    async def function():
        yield

    manager = lib.asynccontextmanager(function)
    function.__name__ = "renamed"
    assert manager.__name__ == "function"


def test_wrapper_pickles_by_name(lib, monkeypatch):
    manager = lib.asynccontextmanager(plain)
    monkeypatch.setattr(sys.modules[__name__], "plain", manager)
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        assert pickle.loads(pickle.dumps(manager, protocol)) is manager
    assert copy.copy(manager) is manager
    assert copy.deepcopy(manager) is manager


def test_wrapper_that_is_not_found_by_name_does_not_pickle(lib):
    async def function():
        yield

    with pytest.raises((pickle.PicklingError, AttributeError)):
        pickle.dumps(lib.asynccontextmanager(function))


def test_wrapper_can_be_weakly_referenced_and_hashed(lib):
    manager = lib.asynccontextmanager(plain)
    assert weakref.ref(manager)() is manager
    assert {manager: 1}[manager] == 1


def test_wrapper_keeps_the_function_alive_and_no_longer(lib):
    async def function():
        yield

    reference = weakref.ref(function)
    manager = lib.asynccontextmanager(function)
    del function
    assert reference() is manager.__wrapped__
    del manager
    gc.collect()
    assert reference() is None


def test_wrapper_of_a_wrapper_gives_a_manager_without_a_generator(lib):
    manager = lib.asynccontextmanager(lib.asynccontextmanager(plain))
    assert outcome(run, manager(1, c=2).__aenter__()) == (
        "raised",
        TypeError,
        "'_AsyncGeneratorContextManager' object is not an async iterator",
    )


# functools.wraps over it


def test_wraps_over_the_wrapper_copies_everything(lib):
    manager = lib.asynccontextmanager(plain)

    @functools.wraps(manager)
    def outer(*args, **kwargs):
        return manager(*args, **kwargs)

    assert outer.__name__ == "plain"
    assert outer.__wrapped__ is manager
    assert inspect.unwrap(outer) is plain
    assert outer.mark is plain.mark
    assert run(consume(outer(1, c=2)))[0] == (1, 2, (), 2, 4, {})


def test_wrapper_assignments_of_the_version_are_copied(lib):
    manager = lib.asynccontextmanager(plain)
    for name in functools.WRAPPER_ASSIGNMENTS:
        if name != "__annotate__":
            assert getattr(manager, name) == getattr(plain, name), name


# Things decorated that are no plain functions


class Callable:
    """A callable object."""

    def __init__(self):
        self.mark = "own"

    def __call__(self, value=1):
        return plain(value, c=0)


THINGS = {
    "partial": lambda: functools.partial(plain, 1, c=3),
    "partial of partial": lambda: functools.partial(functools.partial(plain, 1), c=3),
    "callable object": Callable,
    "bound method": lambda: Callable().__call__,
    "lambda": lambda: lambda value=1: plain(value, c=3),
    "class": lambda: Callable,
    "builtin": lambda: print,
    "builtin method": lambda: [].append,
    "int": lambda: 42,
    "None": lambda: None,
    "text": lambda: "text",
    "cached function": lambda: functools.lru_cache(plain),
    "single dispatch": lambda: functools.singledispatch(plain),
}


@pytest.mark.parametrize("thing", THINGS)
def test_thing_decorated_gives_the_same_attributes(lib, stdlib, thing):
    def facts(which, it):
        manager = which.asynccontextmanager(it)
        found = {name: getattr(manager, name) for name in ("__name__", "__qualname__", "__doc__", "__module__")}
        found["dict"] = dict(vars(manager))
        assert manager.__wrapped__ is it
        assert type(manager) is types.FunctionType
        return found

    it = THINGS[thing]()
    expected = facts(stdlib, it)
    assert facts(lib, it) == expected


@pytest.mark.parametrize("thing", ["partial", "partial of partial", "callable object", "bound method", "lambda"])
def test_thing_decorated_works(lib, thing):
    value, passed = run(consume(lib.asynccontextmanager(THINGS[thing]())()))
    assert value[0] == 1
    assert passed


@pytest.mark.parametrize("thing", ["int", "None", "text"])
def test_thing_that_cannot_be_called_fails_when_called(lib, stdlib, thing):
    it = THINGS[thing]()
    result = outcome(lib.asynccontextmanager(it))
    assert result == outcome(stdlib.asynccontextmanager(it))
    assert result[1] is TypeError


def test_things_without_a_name_keep_the_helpers_name(lib):
    manager = lib.asynccontextmanager(functools.partial(plain, 1))
    assert manager.__name__ == "helper"
    assert manager.__qualname__ == "asynccontextmanager.<locals>.helper"


def test_function_with_names_of_a_str_subclass_keeps_them(lib):
    class Name(str):
        pass

    async def function():
        yield

    function.__name__ = Name("special")
    manager = lib.asynccontextmanager(function)
    assert manager.__name__ == "special"


def test_function_whose_dict_holds_special_names(lib, stdlib):
    def facts(which):
        async def function():
            yield

        function.__dict__["__name__"] = "in the dict"
        function.__dict__["__wrapped__"] = "replaced"
        manager = which.asynccontextmanager(function)
        return manager.__name__, manager.__dict__["__name__"], manager.__wrapped__ is function

    assert facts(lib) == facts(stdlib)


def test_function_without_module_or_with_odd_attributes(lib, stdlib):
    def facts(which):
        async def function():
            yield

        function.__module__ = None
        function.__doc__ = 5
        manager = which.asynccontextmanager(function)
        first = manager.__module__, manager.__doc__
        del function.__module__
        del function.__doc__
        manager = which.asynccontextmanager(function)
        return first, manager.__module__, manager.__doc__

    assert facts(lib) == facts(stdlib)


# Arguments of the decorator


@pytest.mark.parametrize(
    ("args", "kwargs"),
    [((), {}), ((plain, plain), {}), ((plain,), {"func": plain}), ((), {"function": plain})],
    ids=["none", "two", "twice", "wrong name"],
)
def test_decorator_with_wrong_arguments_fails_in_the_stdlibs_words(lib, stdlib, args, kwargs):
    def attempt(which):
        return outcome(lambda: which.asynccontextmanager(*args, **kwargs))

    assert attempt(lib) == attempt(stdlib)
    assert attempt(lib)[1] is TypeError


def test_decorator_takes_the_function_by_name(lib):
    assert lib.asynccontextmanager(func=plain).__wrapped__ is plain


def test_decorator_is_documented_with_name_and_signature(lib, stdlib):
    def facts(which):
        function = which.asynccontextmanager
        return (
            function.__name__,
            function.__qualname__,
            str(inspect.signature(function)),
            inspect.getdoc(function).splitlines()[0],
        )

    assert facts(lib) == facts(stdlib)
