"""Calling decorated functions in every form: what arrives, what fails, and with which words."""
# ruff: noqa: PIE804 - unpacked keywords are a form of the call

import functools
import inspect
import operator
import sys
import types
from unittest import mock

import pytest
from helpers import VERSION, by_hand, catch, consume, frame_names, outcome, run


async def everything(*args, **kwargs):
    yield args, kwargs


async def typed(a, b=2, /, c=3, *, d=4):
    yield a, b, c, d


def arrived(manager):
    return run(consume(manager))[0]


# Forms of the call

FORMS = {
    "nothing": (lambda f: f(), (), {}),
    "one": (lambda f: f(1), (1,), {}),
    "three": (lambda f: f(1, 2, 3), (1, 2, 3), {}),
    "nine": (lambda f: f(1, 2, 3, 4, 5, 6, 7, 8, 9), tuple(range(1, 10)), {}),
    "keyword": (lambda f: f(a=1), (), {"a": 1}),
    "keywords": (lambda f: f(c=3, a=1, b=2), (), {"c": 3, "a": 1, "b": 2}),
    "mixed": (lambda f: f(1, 2, x=3), (1, 2), {"x": 3}),
    "many of both": (
        lambda f: f(1, 2, 3, 4, 5, 6, a=1, b=2, c=3, d=4, e=5, f=6),
        (1, 2, 3, 4, 5, 6),
        {"a": 1, "b": 2, "c": 3, "d": 4, "e": 5, "f": 6},
    ),
    "star": (lambda f: f(*[1, 2]), (1, 2), {}),
    "empty star": (lambda f: f(*[], **{}), (), {}),
    "long star": (lambda f: f(*range(300)), tuple(range(300)), {}),
    "double star": (lambda f: f(**{"a": 1}), (), {"a": 1}),
    "long double star": (
        lambda f: f(**{f"k{n}": n for n in range(40)}),
        (),
        {f"k{n}": n for n in range(40)},
    ),
    "positional and star": (lambda f: f(0, *(1, 2), 3), (0, 1, 2, 3), {}),
    "all": (lambda f: f(0, *(1, 2), x=3, **{"y": 4}), (0, 1, 2), {"x": 3, "y": 4}),
    "keywords named like the helper's": (
        lambda f: f(self=1, func=2, args=3, kwds=4),
        (),
        {"self": 1, "func": 2, "args": 3, "kwds": 4},
    ),
    "odd keywords": (lambda f: f(**{"no name": 1, "": 2, "class": 3}), (), {"no name": 1, "": 2, "class": 3}),
    "partial": (lambda f: functools.partial(f, 1, x=2)(3, y=4), (1, 3), {"x": 2, "y": 4}),
    "map": (lambda f: next(map(f, [1], [2])), (1, 2), {}),
    "operator.call": (lambda f: operator.call(f, 1, x=2), (1,), {"x": 2}),
    "__call__": (lambda f: f.__call__(1, x=2), (1,), {"x": 2}),
    "type's __call__": (lambda f: types.FunctionType.__call__(f, 1, x=2), (1,), {"x": 2}),
    "exec": (lambda f: eval("f(1, *two, three=3)", {"f": f, "two": [2]}), (1, 2), {"three": 3}),
}


@pytest.mark.parametrize("form", FORMS)
def test_call_in_any_form_passes_the_arguments(lib, form):
    call, args, kwargs = FORMS[form]
    manager = lib.asynccontextmanager(everything)
    cm = call(manager)
    assert (cm.args, cm.kwds) == (args, kwargs)
    assert arrived(cm) == (args, kwargs)
    assert list(arrived(call(manager))[1]) == list(kwargs)


@pytest.mark.parametrize("form", FORMS)
def test_call_in_any_form_can_be_repeated_by_recreating(lib, form):
    call, args, kwargs = FORMS[form]
    cm = call(lib.asynccontextmanager(everything))
    assert arrived(cm._recreate_cm()._recreate_cm()) == (args, kwargs)


@pytest.mark.parametrize("times", [1, 300])
def test_call_site_that_has_run_often_still_passes_the_arguments(lib, times):
    manager = lib.asynccontextmanager(everything)
    for number in range(times):
        assert manager(number, key=number).kwds == {"key": number}
        assert manager().args == ()
        assert manager(number, number).args == (number, number)
        assert manager(*[number], **{"x": 1}).args == (number,)


def test_call_site_that_sees_both_function_kinds(lib):
    def function(*args, **kwargs):
        return args, kwargs

    manager = lib.asynccontextmanager(everything)
    for number in range(100):
        for called in (function, manager, everything):
            result = called(number, x=number)
            if called is manager:
                result = result.args, result.kwds
            elif called is everything:
                result = arrived(lib._AsyncGeneratorContextManager(lambda gen=result: gen, (), {}))
            assert result == ((number,), {"x": number})


def test_call_does_not_keep_a_mapping_it_was_given(lib):
    manager = lib.asynccontextmanager(everything)
    keywords, positional = {"a": 1}, [1]
    cm = manager(*positional, **keywords)
    keywords["b"] = 2
    positional.append(2)
    assert (cm.args, cm.kwds) == ((1,), {"a": 1})
    cm.kwds["c"] = 3
    assert keywords == {"a": 1, "b": 2}


# Errors of the call


@pytest.mark.parametrize(
    "call",
    [
        lambda f: f(),
        lambda f: f(1, 2, 3, 4),
        lambda f: f(1, 2, 3, 4, d=5),
        lambda f: f(1, e=5),
        lambda f: f(1, a=5),
        lambda f: f(1, 2, 3, c=5),
        lambda f: f(a=1),
        lambda f: f(*[1] * 12),
        lambda f: f(1, **{"no such": 1}),
    ],
)
def test_wrong_call_fails_in_the_words_of_the_function(lib, call):
    manager = lib.asynccontextmanager(typed)
    direct = outcome(call, typed)
    assert outcome(call, manager) == direct
    assert direct[:2] == ("raised", TypeError)
    assert "typed() " in direct[2]


@pytest.mark.parametrize(
    "call", [lambda f: f(*5), lambda f: f(**5), lambda f: f(**{1: 2}), lambda f: f(x=1, **{"x": 2})]
)
def test_call_with_impossible_unpacking_fails_in_the_interpreters_words(lib, stdlib, call):
    result = outcome(call, lib.asynccontextmanager(everything))
    assert result == outcome(call, stdlib.asynccontextmanager(everything))
    assert result[:2] == ("raised", TypeError)


def test_call_that_fails_shows_only_the_callers_frames(lib):
    def caller():
        lib.asynccontextmanager(typed)()

    assert frame_names(catch(caller)) == ["caller"]


def test_call_of_a_function_that_raises_lets_it_through(lib):
    error = LookupError("made")

    @lib.asynccontextmanager
    def manager():
        raise error

    caught = catch(manager)
    assert caught is error
    assert frame_names(caught) == ["manager"]
    assert caught.__context__ is None


# Binding


class Holder:
    def __init__(self, name="holder"):
        self.name = name


def holder_class(lib):
    class Sub(Holder):
        @lib.asynccontextmanager
        async def method(self, *args, **kwargs):
            yield self, args, kwargs

        @classmethod
        @lib.asynccontextmanager
        async def class_method(cls, *args, **kwargs):
            yield cls, args, kwargs

        @staticmethod
        @lib.asynccontextmanager
        async def static_method(*args, **kwargs):
            yield args, kwargs

    return Sub


def test_method_gets_its_instance(lib):
    holder = holder_class(lib)()
    assert arrived(holder.method()) == (holder, (), {})
    assert arrived(holder.method(1, 2, x=3)) == (holder, (1, 2), {"x": 3})
    assert arrived(holder.method(*range(9), **{"x": 1})) == (holder, tuple(range(9)), {"x": 1})
    assert arrived(type(holder).method(holder, 1)) == (holder, (1,), {})
    assert inspect.ismethod(holder.method)
    assert holder.method.__self__ is holder


def test_method_called_often_at_one_place_gets_its_instance(lib):
    kind = holder_class(lib)
    for _ in range(200):
        holder = kind()
        cm = holder.method(1, x=2)
        assert cm.args == (holder, 1)
        assert cm.kwds == {"x": 2}


def test_bound_method_kept_for_later_works(lib):
    holder = holder_class(lib)()
    method = holder.method
    assert arrived(method(1)) == (holder, (1,), {})
    assert arrived(functools.partial(method, 1)(2)) == (holder, (1, 2), {})


def test_class_method_gets_the_class(lib):
    kind = holder_class(lib)
    assert arrived(kind.class_method(1, x=2)) == (kind, (1,), {"x": 2})
    assert arrived(kind().class_method()) == (kind, (), {})


def test_static_method_gets_neither(lib):
    kind = holder_class(lib)
    assert arrived(kind.static_method(1, x=2)) == ((1,), {"x": 2})
    assert arrived(kind().static_method()) == ((), {})


def test_decorator_over_classmethod_and_staticmethod_objects(lib, stdlib):
    def facts(which):
        class Odd:
            @which.asynccontextmanager
            @staticmethod
            async def static_method(*args):
                yield args

            @which.asynccontextmanager
            @classmethod
            async def class_method(cls, *args):
                yield args

        odd = Odd()
        return (
            outcome(lambda: len(arrived(odd.static_method(1)))),
            outcome(lambda: arrived(Odd.static_method(1))),
            outcome(lambda: arrived(odd.class_method(1))),
            Odd.static_method.__name__,
            Odd.class_method.__qualname__,
        )

    assert facts(lib) == facts(stdlib)


def test_method_inherited_and_overridden_with_super(lib):
    class Base:
        @lib.asynccontextmanager
        async def open(self):
            yield "base"

    class Sub(Base):
        @lib.asynccontextmanager
        async def open(self):
            async with super().open() as value:
                yield f"sub of {value}"

    assert arrived(Sub().open()) == "sub of base"


def test_method_as_a_property_gives_a_new_manager_each_time(lib):
    class Opens:
        @property
        @lib.asynccontextmanager
        async def it(self):
            yield self

    opens = Opens()
    assert opens.it is not opens.it
    assert arrived(opens.it) is opens


def test_function_put_on_a_class_or_instance_later_binds_as_functions_do(lib):
    class Opens:
        pass

    manager = lib.asynccontextmanager(everything)
    Opens.method = manager
    opens = Opens()
    assert arrived(opens.method(1)) == ((opens, 1), {})
    opens.loose = manager
    assert arrived(opens.loose(1)) == ((1,), {})
    assert arrived(manager.__get__(opens)(1)) == ((opens, 1), {})
    assert arrived(types.MethodType(manager, opens)(1)) == ((opens, 1), {})


# Tools that replace


def test_autospec_of_the_function_checks_the_signature(lib):
    manager = lib.asynccontextmanager(typed)
    double = mock.create_autospec(manager, return_value="result")
    assert double(1, d=3) == "result"
    with pytest.raises(TypeError):
        double()
    double.assert_called_once_with(1, d=3)


def test_patch_replaces_and_restores_a_method(lib):
    kind = holder_class(lib)
    original = kind.method
    with mock.patch.object(kind, "method", autospec=True) as double:
        kind().method(1)
        double.assert_called_once()
    assert kind.method is original


@by_hand
async def test_patch_of_the_managers_methods_is_honoured(lib):
    manager = lib.asynccontextmanager(everything)
    kind, left = lib._AsyncGeneratorContextManager, []

    # Plain functions: a debug build of 3.14 fails an assertion of its own on special methods that are no descriptors.
    async def enter(self):
        return "patched"

    async def leave(self, *details):
        left.append(details[0])
        return True

    with mock.patch.object(kind, "__aenter__", enter), mock.patch.object(kind, "__aexit__", leave):
        async with manager() as value:
            raise ValueError
        assert value == "patched"
        assert left == [ValueError]
    async with manager(1) as value:
        assert value == ((1,), {})


def test_replaced_code_object_is_run(lib):
    async def function():
        yield

    def closure(func):
        def replacement(*args, **kwds):
            return ("replaced", func, args, kwds)

        return replacement

    manager = lib.asynccontextmanager(function)
    manager.__code__ = closure(None).__code__
    assert manager(1, x=2) == ("replaced", function, (1,), {"x": 2})
    for _ in range(50):
        assert manager(3)[0] == "replaced"


def test_replaced_code_object_of_the_function_is_run(lib):
    async def function(a):
        yield a

    async def other(a, b):
        yield a, b

    manager = lib.asynccontextmanager(function)
    assert arrived(manager(1)) == 1
    function.__code__ = other.__code__
    assert arrived(manager(1, 2)) == (1, 2)


def test_replaced_cell_contents_are_what_is_called(lib):
    async def function():
        yield "old"

    async def other():
        yield "new"

    manager = lib.asynccontextmanager(function)
    manager.__closure__[0].cell_contents = other
    assert arrived(manager()) == "new"
    assert manager.__wrapped__ is function


def test_copy_of_the_function_made_from_its_parts_works(lib):
    manager = lib.asynccontextmanager(everything)
    twin = types.FunctionType(
        manager.__code__, manager.__globals__, manager.__name__, manager.__defaults__, manager.__closure__
    )
    cm = twin(1, x=2)
    assert isinstance(cm, lib._AsyncGeneratorContextManager)
    assert arrived(cm) == ((1,), {"x": 2})


@pytest.mark.skipif(VERSION < (3, 12), reason="only the interpreter's own monitoring can see this")
def test_function_called_while_another_tool_monitors_still_works(lib):
    tool, seen = 4, []
    sys.monitoring.use_tool_id(tool, "test")
    try:
        sys.monitoring.register_callback(tool, sys.monitoring.events.PY_START, lambda code, offset: seen.append(code))
        sys.monitoring.set_events(tool, sys.monitoring.events.PY_START)
        assert arrived(lib.asynccontextmanager(everything)(1)) == ((1,), {})
    finally:
        sys.monitoring.set_events(tool, 0)
        sys.monitoring.free_tool_id(tool)
    assert everything.__code__ in seen
