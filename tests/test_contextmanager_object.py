"""The manager as an object: its class, bases, documentation, copies."""

import contextlib
import copy
import inspect
import pickle
import typing

import pytest
from helpers import catch, consume, outcome, run


def simple(lib):
    @lib.asynccontextmanager
    async def manager(value="value", *args, **kwargs):
        yield value

    return manager


async def generator(value="value"):
    yield value


# Class and bases


def test_class_has_the_name_of_the_stdlib(lib):
    kind = type(simple(lib)())
    assert kind is lib._AsyncGeneratorContextManager
    assert kind.__name__ == kind.__qualname__ == "_AsyncGeneratorContextManager"


def test_instance_and_class_pass_for_the_abstract_classes(lib):
    cm = simple(lib)()
    kind = type(cm)
    for base in (
        contextlib.AbstractAsyncContextManager,
        contextlib.AsyncContextDecorator,
        contextlib._AsyncGeneratorContextManager,
        typing.AsyncContextManager,
    ):
        assert isinstance(cm, base), base
        assert issubclass(kind, base), base
    assert not isinstance(cm, contextlib.AbstractContextManager)
    assert not isinstance(cm, contextlib._GeneratorContextManager)


def test_abstract_async_context_manager_is_the_stdlibs(lib):
    assert lib.AbstractAsyncContextManager is contextlib.AbstractAsyncContextManager
    assert lib.AsyncContextDecorator is contextlib.AsyncContextDecorator


def test_class_can_be_subscripted_for_annotations(lib):
    alias = lib._AsyncGeneratorContextManager[int]
    assert typing.get_origin(alias) is lib._AsyncGeneratorContextManager
    assert typing.get_args(alias) == (int,)


def test_class_is_documented(lib):
    assert lib._AsyncGeneratorContextManager.__doc__ == "Helper for @asynccontextmanager decorator."


def test_class_can_be_changed_and_changes_apply(lib, monkeypatch):
    log = []
    original = lib._AsyncGeneratorContextManager.__aenter__

    async def noting(self):
        log.append("entering")
        return await original(self)

    monkeypatch.setattr(lib._AsyncGeneratorContextManager, "__aenter__", noting)
    assert run(consume(simple(lib)())) == ("value", True)
    monkeypatch.undo()
    assert run(consume(simple(lib)())) == ("value", True)
    assert log == ["entering"]


def test_class_takes_new_attributes(lib, monkeypatch):
    monkeypatch.setattr(lib._AsyncGeneratorContextManager, "extra", 7, raising=False)
    assert simple(lib)().extra == 7


@pytest.mark.parametrize("name", ["__aenter__", "__aexit__"])
def test_methods_have_names_and_signatures(lib, stdlib, name):
    def facts(which):
        method = getattr(simple(which)(), name)
        function = getattr(which._AsyncGeneratorContextManager, name)
        return (
            method.__name__,
            method.__qualname__,
            str(inspect.signature(method)),
            str(inspect.signature(function)),
            callable(function),
        )

    assert facts(lib) == facts(stdlib)


def test_constructor_has_a_signature(lib, stdlib):
    assert str(inspect.signature(lib._AsyncGeneratorContextManager)) == str(
        inspect.signature(stdlib._AsyncGeneratorContextManager)
    )


# Making one without the decorator


def test_constructor_calls_the_function_at_once(lib):
    log = []

    def function(*args, **kwargs):
        log.append((args, kwargs))
        return generator()

    cm = lib._AsyncGeneratorContextManager(function, (1, 2), {"a": 3})
    assert log == [((1, 2), {"a": 3})]
    assert (cm.func, cm.args, cm.kwds) == (function, (1, 2), {"a": 3})
    assert run(consume(cm)) == ("value", True)


def test_constructor_takes_its_arguments_by_name(lib):
    cm = lib._AsyncGeneratorContextManager(kwds={}, args=("other",), func=generator)
    assert run(consume(cm)) == ("other", True)


def test_constructor_takes_any_iterable_and_mapping(lib):
    class Mapping:
        def keys(self):
            return ["value"]

        def __getitem__(self, key):
            return key.upper()

    cm = lib._AsyncGeneratorContextManager(generator, ["listed"], {})
    assert cm.args == ["listed"]
    assert run(consume(cm)) == ("listed", True)
    mapping = Mapping()
    cm = lib._AsyncGeneratorContextManager(generator, (), mapping)
    assert cm.kwds is mapping
    assert run(consume(cm)) == ("VALUE", True)


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        (generator,),
        (generator, ()),
        (generator, (), {}, 4),
        (generator, 5, {}),
        (generator, (), 5),
        (5, (), {}),
        (generator, (), {1: 2}),
        (generator, (1, 2), {}),
        (generator, (1,), {"value": 2}),
        (generator, (), {"unknown": 2}),
    ],
    ids=str,
)
def test_constructor_with_wrong_arguments_fails_in_the_stdlibs_words(lib, stdlib, arguments):
    def attempt(which):
        kind, error, *text = outcome(which._AsyncGeneratorContextManager, *arguments)
        return kind, error, *text

    assert attempt(lib) == attempt(stdlib)
    assert attempt(lib)[:2] == ("raised", TypeError)


@pytest.mark.parametrize("keywords", [{"x": 1}, {"func": generator}], ids=str)
def test_constructor_with_wrong_keywords_fails_in_the_stdlibs_words(lib, stdlib, keywords):
    def attempt(which):
        return outcome(lambda: which._AsyncGeneratorContextManager(generator, (), {}, **keywords))

    assert attempt(lib) == attempt(stdlib)
    assert attempt(lib)[:2] == ("raised", TypeError)


WRONG_CALLS = {
    "aenter(1)": lambda cm: cm.__aenter__(1),
    "aenter(x=1)": lambda cm: cm.__aenter__(x=1),
    "aexit()": lambda cm: cm.__aexit__(),
    "aexit(1)": lambda cm: cm.__aexit__(None),
    "aexit(1, 2)": lambda cm: cm.__aexit__(None, None),
    "aexit(1, 2, 3, 4)": lambda cm: cm.__aexit__(None, None, None, None),
    "aexit(x=1)": lambda cm: cm.__aexit__(x=1),
    "aexit(1, typ=1)": lambda cm: cm.__aexit__(None, typ=None),
    "aexit(1, 2, 3, x=1)": lambda cm: cm.__aexit__(None, None, None, x=1),
    "recreate(1)": lambda cm: cm._recreate_cm(1),
    "call()": lambda cm: cm(),
    "call(1, 2)": lambda cm: cm(1, 2),
    "class.aenter()": lambda cm: type(cm).__aenter__(),
    "await": lambda cm: run(cm.__await__()),
}


@pytest.mark.parametrize("call", WRONG_CALLS)
def test_method_called_wrongly_fails_in_the_stdlibs_words(lib, stdlib, call):
    def attempt(which):
        return outcome(WRONG_CALLS[call], simple(which)())

    assert attempt(lib) == attempt(stdlib)
    assert attempt(lib)[0] == "raised"


# Documentation


def test_instance_has_the_documentation_of_the_function(lib):
    @lib.asynccontextmanager
    async def documented():
        """What it does."""
        yield

    assert documented().__doc__ == "What it does."


def test_instance_of_an_undocumented_function_has_the_documentation_of_the_class(lib):
    assert simple(lib)().__doc__ == type(simple(lib)()).__doc__

    class Sub(lib._AsyncGeneratorContextManager):
        """Subclass."""

    assert Sub(generator, (), {}).__doc__ == "Subclass."


def test_instance_documentation_can_be_assigned_and_deleted(lib):
    cm = simple(lib)()
    cm.__doc__ = "assigned"
    assert cm.__doc__ == "assigned"
    del cm.__doc__
    assert cm.__doc__ == type(cm).__doc__


def test_documentation_is_taken_when_the_manager_is_made(lib):
    async def documented():
        """First."""
        yield

    manager = lib.asynccontextmanager(documented)
    cm = manager()
    documented.__doc__ = "Second."
    assert cm.__doc__ == "First."
    assert manager().__doc__ == "Second."


def test_documentation_that_is_no_text_is_kept(lib):
    async def documented():
        yield

    documented.__doc__ = ["a", "list"]
    assert lib.asynccontextmanager(documented)().__doc__ == ["a", "list"]


# Representation, copies, equality, attributes of its own


def test_representation_names_the_class(lib):
    text = repr(simple(lib)())
    assert "_AsyncGeneratorContextManager object at 0x" in text


def test_managers_are_equal_by_identity_and_hashable(lib):
    manager = simple(lib)
    one, two = manager(), manager()
    assert one == one and one != two
    assert len({one, two, one}) == 2


def test_instance_takes_attributes_of_its_own(lib):
    cm = simple(lib)()
    cm.extra = [1]
    assert cm.extra == [1]
    assert vars(cm)["extra"] == [1]
    assert cm.__dict__ is vars(cm)
    del cm.extra
    assert not hasattr(cm, "extra")


def test_shallow_copy_shares_the_generator(lib):
    cm = simple(lib)(1)
    cm.extra = "kept"
    twin = copy.copy(cm)
    assert type(twin) is type(cm)
    assert twin.gen is cm.gen
    assert (twin.func, twin.args, twin.kwds) == (cm.func, cm.args, cm.kwds)
    assert twin.extra == "kept"
    assert run(consume(twin)) == (1, True)
    assert cm.args == (1,)


@pytest.mark.parametrize(
    "function",
    [copy.deepcopy, *(lambda cm, protocol=number: pickle.dumps(cm, protocol) for number in range(6))],
    ids=["deepcopy", *(f"pickle {number}" for number in range(6))],
)
def test_deep_copy_and_pickle_refuse_the_generator(lib, function):
    cm = lib.asynccontextmanager(generator)()
    assert outcome(function, cm) == ("raised", TypeError, "cannot pickle 'async_generator' object")


# Making the manager anew


def test_recreating_calls_the_function_again_with_the_same_arguments(lib):
    log = []

    def function(a, *, b):
        log.append((a, b))
        return generator(a)

    manager = lib.asynccontextmanager(function)
    cm = manager([1], b=[2])
    again = cm._recreate_cm()
    assert again is not cm
    assert type(again) is type(cm)
    assert again.gen is not cm.gen
    assert again.args[0] is cm.args[0]
    assert again.kwds["b"] is cm.kwds["b"]
    assert log == [([1], [2]), ([1], [2])]


def test_recreating_uses_the_attributes_as_they_are_now(lib):
    cm = simple(lib)("old")
    cm.args = ("new",)
    assert run(consume(cm._recreate_cm())) == ("new", True)
    cm.func = lambda *args: generator("function")
    assert run(consume(cm._recreate_cm())) == ("function", True)


def test_recreating_after_entering_fails(lib):
    cm = simple(lib)()
    run(consume(cm))
    caught = catch(cm._recreate_cm)
    assert type(caught) is AttributeError
    assert str(caught) == "'_AsyncGeneratorContextManager' object has no attribute 'func'"


def test_recreating_keeps_the_subclass_but_not_its_attributes(lib):
    class Sub(lib._AsyncGeneratorContextManager):
        pass

    cm = Sub(generator, ("sub",), {})
    cm.extra = 1
    again = cm._recreate_cm()
    assert type(again) is Sub
    assert not hasattr(again, "extra")


def test_recreating_can_be_overridden_for_the_decorator_form(lib):
    log = []

    class Sub(lib._AsyncGeneratorContextManager):
        def _recreate_cm(self):
            log.append("recreated")
            return super()._recreate_cm()

    @Sub(generator, (), {})
    async def function():
        return "result"

    assert run(function()) == run(function()) == "result"
    assert log == ["recreated", "recreated"]
