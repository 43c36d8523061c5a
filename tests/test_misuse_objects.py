"""Objects made, copied, changed and taken apart as they should not be, and what comes of it.

Each scenario returns whatever can be observed, which is compared with what it returns for the stdlib's objects.
"""

import abc
import copy
import functools
import gc
import pickle
import weakref

import pytest
from misuse import agen, awaited, opened, quiet, simple, told

SCENARIOS = {}
# The classes, and what their instances keep.
CLASSES = {
    "_AsyncGeneratorContextManager": ("gen", "func", "args", "kwds", "__doc__"),
    "AsyncExitStack": ("_exit_callbacks",),
    "aclosing": ("thing",),
    "nullcontext": ("enter_result",),
}


def scenario(function):
    SCENARIOS[function.__name__] = function
    return function


def each_class(function):
    """A scenario for each class, whose name is its second argument."""
    for name in CLASSES:
        SCENARIOS[f"{function.__name__}-{name}"] = functools.partial(function, name=name)
    return function


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


@each_class
def made_by_new_alone(lib, name):
    cls = getattr(lib, name)
    sub = type("Sub", (cls,), {"__init__": lambda self: None})
    return used(lib, cls.__new__(cls)), used(lib, sub())


@each_class
def initialised_twice(lib, name):
    args = {"_AsyncGeneratorContextManager": (agen, (), {}), "AsyncExitStack": ()}.get(name, ("again",))
    found = []
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


@each_class
def copied(lib, name):
    thing = made(lib, name)
    thing.attribute = []
    found = []
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


@each_class
def attributes_deleted(lib, name):
    found = []
    for attribute in CLASSES[name]:
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


@each_class
def class_with_abstract_methods(lib, name):
    cls = type("Abstract", (getattr(lib, name),), {"method": abc.abstractmethod(lambda self: None)})
    return told(cls), told(cls.__new__, cls)


@each_class
def class_of_an_instance_changed(lib, name):
    cls = getattr(lib, name)
    sub = type("Sub", (cls,), {"extra": "extra"})
    slotted = type("Slotted", (cls,), {"__slots__": ("slot",)})
    thing = made(lib, name)
    found = [told(setattr, thing, "__class__", sub), getattr(thing, "extra", None), used(lib, thing)]
    found += [told(setattr, thing, "__class__", cls), used(lib, thing)]
    found += [told(setattr, thing, "__class__", other)[:2] for other in (slotted, dict, int, type)]
    del thing
    gc.collect()
    return [*found, used(lib, made(lib, name))]


@each_class
def bases_of_a_class_changed(lib, name):
    cls = getattr(lib, name)
    between = type("Between", (cls,), {"extra": "extra"})
    sub = type("Sub", (cls,), {"__init__": lambda self: None})
    thing = sub()
    sub.__bases__ = (between,)
    return thing.extra, used(lib, thing)


@each_class
def dict_of_an_instance_replaced(lib, name):
    thing = made(lib, name)
    thing.__dict__.update(extra=5)
    before = dict(vars(thing))
    thing.__dict__ = {**before, "other": 6}
    return thing.extra, thing.other, told(setattr, thing, "__dict__", 5)[:2], used(lib, thing)


@each_class
def metaclass_with_a_call_of_its_own(lib, name):
    cls = getattr(lib, name)
    meta = type("Meta", (type(cls),), {"__call__": lambda cls, *args: cls.__new__(cls)})
    sub = meta("Sub", (cls,), {})
    return used(lib, sub(1, 2, 3))


@each_class
def class_that_pretends_to_be_another(lib, name):
    sub = type("Sub", (getattr(lib, name),), {"__class__": property(lambda self: int)})
    thing = sub.__new__(sub)
    return isinstance(thing, int), awaited(thing.__aenter__), awaited(thing.__aexit__, None, None, None)


@each_class
def weak_references_and_their_callbacks(lib, name):
    found = []
    thing = made(lib, name)
    proxy, reference = weakref.proxy(thing), weakref.ref(thing, lambda _: found.append("died"))
    found += [awaited(proxy.__aexit__, None, None, None), reference() is thing]
    del thing
    gc.collect()
    found += [reference(), told(lambda: proxy.attribute)[1]]
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


@pytest.mark.parametrize("name", SCENARIOS)
@pytest.mark.filterwarnings("ignore")
def test_misuse_comes_to_the_same(ours, stdlib, name):
    assert SCENARIOS[name](ours) == SCENARIOS[name](stdlib)
