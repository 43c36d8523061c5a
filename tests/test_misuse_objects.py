"""Objects made, copied, changed and taken apart as they should not be, and what comes of it.

Each scenario returns whatever can be observed, which is compared with what it returns for the stdlib's objects.
"""

import abc
import copy
import gc
import pickle
import weakref

import pytest
from misuse import agen, awaited, opened, quiet, simple, told

SCENARIOS = []


def scenario(function):
    SCENARIOS.append(function)
    return function


CLASSES = ("_AsyncGeneratorContextManager", "AsyncExitStack", "aclosing", "nullcontext")


def made(lib, name):
    return {
        "_AsyncGeneratorContextManager": lambda: simple(lib)(),
        "AsyncExitStack": lib.AsyncExitStack,
        "aclosing": lambda: lib.aclosing("thing"),
        "nullcontext": lambda: lib.nullcontext("result"),
    }[name]()


def used(lib, thing):
    """What each use of an object comes to."""
    uses = [awaited(thing.__aenter__), awaited(thing.__aexit__, None, None, None)]
    if isinstance(thing, lib.AsyncExitStack):
        uses += [told(thing.callback, quiet), told(thing.push, quiet), told(thing.pop_all)]
        uses += [awaited(thing.aclose), awaited(thing.enter_async_context, lib.nullcontext())]
        uses += [told(getattr, thing, "_exit_callbacks")]
    elif isinstance(thing, lib._AsyncGeneratorContextManager):
        uses += [told(thing._recreate_cm), told(thing, quiet)]
        uses += [told(getattr, thing, name) for name in ("gen", "func", "args", "kwds")]
    else:
        uses += [told(getattr, thing, name) for name in ("thing", "enter_result")]
    return uses


@scenario
def made_by_new_alone(lib):
    found = []
    for name in CLASSES:
        cls = getattr(lib, name)
        found.append(used(lib, cls.__new__(cls)))
        sub = type("Sub", (cls,), {"__init__": lambda self: None})
        found.append(used(lib, sub()))
    return found


@scenario
def initialised_twice(lib):
    found = []
    for name, args in zip(CLASSES, ((agen, (), {}), (), ("again",), ("again",)), strict=True):
        thing = made(lib, name)
        if name == "AsyncExitStack":
            thing.callback(found.append, "lost")
        told(thing.__init__, *args)
        found += [told(thing.__init__, *args), used(lib, thing)]
    return found


@scenario
def initialised_while_open(lib):
    manager = opened(lib)
    manager.__init__(agen, (), {})
    return awaited(manager.__aenter__), awaited(manager.__aexit__, None, None, None), used(lib, manager)


@scenario
def copied(lib):
    found = []
    for name in CLASSES:
        thing = made(lib, name)
        thing.attribute = []
        for duplicate in (copy.copy, copy.deepcopy):
            if duplicate is copy.deepcopy and name == "_AsyncGeneratorContextManager":
                found.append(told(duplicate, thing)[:2])
                continue
            double = duplicate(thing)
            found += [type(double).__name__, double.attribute is thing.attribute, used(lib, double)]
    return found


@scenario
def open_manager_copied(lib):
    manager = opened(lib)
    double = copy.copy(manager)
    return double.gen is manager.gen, awaited(double.__aexit__, None, None, None), used(lib, manager)


@scenario
def awaitables_copied(lib):
    awaitable = simple(lib)().__aenter__()
    found = [told(function, awaitable)[1] for function in (copy.copy, copy.deepcopy, pickle.dumps)]
    awaitable.close()
    return found


@scenario
def attributes_deleted(lib):
    found = []
    for name, attributes in (
        ("_AsyncGeneratorContextManager", ("gen", "func", "args", "kwds", "__doc__")),
        ("AsyncExitStack", ("_exit_callbacks",)),
        ("aclosing", ("thing",)),
        ("nullcontext", ("enter_result",)),
    ):
        for attribute in attributes:
            thing = made(lib, name)
            found += [told(delattr, thing, attribute), told(delattr, thing, attribute), used(lib, thing)]
            found += [told(setattr, thing, attribute, "text"), told(getattr, thing, attribute)]
    return found


@scenario
def attributes_of_the_wrong_kind(lib):
    found = []
    for value in (None, 5, "text", [], agen):
        for attribute in ("gen", "func", "args", "kwds"):
            manager = simple(lib)()
            setattr(manager, attribute, value)
            found += [told(manager._recreate_cm), awaited(manager.__aenter__)]
            found += [awaited(manager.__aexit__, None, None, None)]
            found += [awaited(manager.__aexit__, ValueError, ValueError("body"), None)]
        stack = lib.AsyncExitStack()
        stack._exit_callbacks = value
        found += [told(stack.callback, quiet), awaited(stack.aclose), told(stack.pop_all)]
    return found


@scenario
def entries_of_the_wrong_kind(lib):
    found = []
    for entry in (None, 5, (), (True,), (True, 5), (False, 5), (1, 2, 3), "ab", (True, lambda *details: 5)):
        stack = lib.AsyncExitStack()
        stack._exit_callbacks.append(entry)
        found.append(awaited(stack.aclose))
    return found


@scenario
def classes_with_abstract_methods(lib):
    found = []
    for name in CLASSES:
        cls = type("Abstract", (getattr(lib, name),), {"method": abc.abstractmethod(lambda self: None)})
        found += [told(cls), told(cls.__new__, cls)]
    return found


@scenario
def class_of_an_instance_changed(lib):
    found = []
    for name in CLASSES:
        cls = getattr(lib, name)
        sub = type("Sub", (cls,), {"extra": "extra"})
        slotted = type("Slotted", (cls,), {"__slots__": ("slot",)})
        thing = made(lib, name)
        found += [told(setattr, thing, "__class__", sub), getattr(thing, "extra", None), used(lib, thing)]
        found += [told(setattr, thing, "__class__", cls), used(lib, thing)]
        found += [told(setattr, thing, "__class__", other)[:2] for other in (slotted, dict, int, type)]
        del thing
        gc.collect()
        found.append(used(lib, made(lib, name)))
    return found


@scenario
def bases_of_a_class_changed(lib):
    found = []
    for name in CLASSES:
        cls = getattr(lib, name)
        between = type("Between", (cls,), {"extra": "extra"})
        sub = type("Sub", (cls,), {"__init__": lambda self: None})
        thing = sub()
        sub.__bases__ = (between,)
        found += [thing.extra, used(lib, thing)]
    return found


@scenario
def dict_of_an_instance_replaced(lib):
    found = []
    for name in CLASSES:
        thing = made(lib, name)
        thing.__dict__.update(extra=5)
        before = dict(vars(thing))
        thing.__dict__ = {**before, "other": 6}
        found += [thing.extra, thing.other, told(setattr, thing, "__dict__", 5)[:2], used(lib, thing)]
    return found


@scenario
def metaclass_with_a_call_of_its_own(lib):
    found = []
    for name in CLASSES:
        cls = getattr(lib, name)
        meta = type("Meta", (type(cls),), {"__call__": lambda cls, *args: cls.__new__(cls)})
        sub = meta("Sub", (cls,), {})
        found += [used(lib, sub(1, 2, 3))]
    return found


@scenario
def class_that_pretends_to_be_another(lib):
    found = []
    for name in CLASSES:
        sub = type("Sub", (getattr(lib, name),), {"__class__": property(lambda self: int)})
        thing = sub.__new__(sub)
        found += [isinstance(thing, int), awaited(thing.__aenter__), awaited(thing.__aexit__, None, None, None)]
    return found


@scenario
def weak_references_and_their_callbacks(lib):
    found = []
    for name in CLASSES:
        thing = made(lib, name)
        proxy, reference = weakref.proxy(thing), weakref.ref(thing, lambda reference, found=found: found.append("died"))
        found += [awaited(proxy.__aexit__, None, None, None), reference() is thing]
        del thing
        gc.collect()
        found += [reference(), told(lambda proxy=proxy: proxy.attribute)[1]]
    return found


# -- names --


class Name(str):
    __slots__ = ()


@scenario
def names_of_a_subclass_of_str(lib):
    async def function(**kwds):
        yield kwds

    first, second = Name("first"), Name("second")
    manager = lib.asynccontextmanager(function)(**{first: 1, second: 2})
    found = [dict(manager.kwds) == {"first": 1, "second": 2}, [type(name).__name__ for name in manager.kwds]]
    found += [told(manager._recreate_cm), awaited(manager.__aexit__, None, None, None)[:2]]
    stack = lib.AsyncExitStack()
    stack.callback(lambda **kwds: found.append(sorted(map(str, kwds))), **{second: 3, Name("third"): 4})
    return [*found, awaited(stack.aclose)]


@scenario
def names_that_are_told_twice(lib):
    found = []
    for call in (simple(lib), lib.AsyncExitStack, lib.nullcontext, lib.aclosing):
        found.append(told(lambda call=call: call(**{Name("self"): 1})))
        found.append(told(lambda call=call: call(**{Name("thing"): 1}, thing=2))[:2])
        found.append(told(lambda call=call: call(**{5: 1}))[:2])
    return found


@scenario
def exceptions_that_compare_and_hash_as_they_like(lib):
    class Odd(Exception):
        def __eq__(self, other):
            raise KeyError("eq")

        __hash__ = None

    error = Odd("body")
    manager = opened(lib)
    stack = lib.AsyncExitStack()
    stack.callback(lambda: 1 / 0)
    found = [awaited(manager.__aexit__, Odd, error, None), awaited(stack.__aexit__, Odd, error, None)]
    return found


@pytest.mark.parametrize("function", SCENARIOS, ids=lambda function: function.__name__)
@pytest.mark.filterwarnings("ignore")
def test_misuse_comes_to_the_same(ours, stdlib, function):
    assert function(ours) == function(stdlib)
