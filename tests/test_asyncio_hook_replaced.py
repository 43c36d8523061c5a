"""Hooks for async generators that are called, because they are not exactly asyncio's own.

They are those of derived classes, of other loops and of users, and asyncio's where something that it uses was replaced.
"""

import asyncio
import sys
import threading
import weakref
from types import FunctionType

import pytest
from asyncio_hooks import DEFERS_REMOVALS, hooks_of, manager_of
from helpers import consume, run
from processes import python

# Derived loops


def test_overridden_hook_is_called(lib):
    told = []

    class Derived(asyncio.SelectorEventLoop):
        def _asyncgen_firstiter_hook(self, agen):
            told.append(agen)
            super()._asyncgen_firstiter_hook(agen)

    loop = Derived()
    try:
        with hooks_of(loop):
            cm = manager_of(lib)()
            run(cm.__aenter__())
        assert told == [cm.gen] == list(loop._asyncgens)
    finally:
        loop.close()


def test_attributes_that_a_derived_class_computes_are_honoured(lib):
    asked = []

    class Derived(asyncio.SelectorEventLoop):
        @property
        def _asyncgens(self):
            asked.append("set")
            return vars(self)["generators"]

        @_asyncgens.setter
        def _asyncgens(self, value):
            vars(self)["generators"] = value

    loop = Derived()
    try:
        with hooks_of(loop):
            cm = manager_of(lib)()
            run(cm.__aenter__())
        assert asked == ["set"]
        assert list(loop._asyncgens) == [cm.gen]
    finally:
        loop.close()


def test_every_attribute_is_asked_through_an_overridden_getattribute(lib):
    asked = []

    class Derived(asyncio.SelectorEventLoop):
        def __getattribute__(self, name):
            if name.startswith("_asyncgens"):
                asked.append(name)
            return super().__getattribute__(name)

    loop = Derived()
    try:
        with hooks_of(loop):
            run(consume(manager_of(lib)()))
        assert asked == ["_asyncgens_shutdown_called", "_asyncgens"]
    finally:
        loop.close()


# What is replaced


@pytest.fixture
def watched(lib, loop):
    """A function that enters a manager under the loop's hooks and returns its generator."""

    def enter():
        with hooks_of(loop):
            cm = manager_of(lib)()
            run(cm.__aenter__())
        return cm

    enter()  # all that is learnt is learnt before something is replaced
    return enter


class Names:
    """Something else than a WeakSet; remembers the names of what is added."""

    def __init__(self):
        self.names = []

    def add(self, agen):
        self.names.append(agen.__name__)

    def discard(self, agen):
        pass


def test_set_that_was_replaced_on_the_loop_is_used(loop, watched):
    loop._asyncgens = Names()
    watched()
    assert loop._asyncgens.names == ["manager"]


def test_subclass_of_the_set_is_used_by_its_own_methods(loop, watched):
    class Told(weakref.WeakSet):
        def add(self, item):
            told.append(item)
            super().add(item)

    told = []
    loop._asyncgens = Told()
    cm = watched()
    assert told == [cm.gen] == list(loop._asyncgens)


def test_patched_add_of_the_set_is_called(loop, watched, monkeypatch):
    told = []
    add = weakref.WeakSet.add
    monkeypatch.setattr(weakref.WeakSet, "add", lambda self, item: (told.append(item), add(self, item)))
    cm = watched()
    assert told == [cm.gen] == list(loop._asyncgens)
    monkeypatch.undo()
    other = watched()
    assert told == [cm.gen]
    assert set(loop._asyncgens) == {cm.gen, other.gen}


def test_replaced_code_of_the_hook_runs(loop, watched, monkeypatch):
    def instead(self, agen):
        self.told = agen

    hook = asyncio.base_events.BaseEventLoop._asyncgen_firstiter_hook
    monkeypatch.setattr(hook, "__code__", instead.__code__)
    cm = watched()
    assert loop.told is cm.gen
    assert list(loop._asyncgens) == []


def test_replaced_code_of_the_sets_method_runs(loop, watched, monkeypatch):
    def instead(self, item):
        self.told = item

    monkeypatch.setattr(weakref.WeakSet.add, "__code__", instead.__code__)
    cm = watched()
    assert loop._asyncgens.told is cm.gen
    assert list(loop._asyncgens) == []


def test_hook_that_was_patched_in_the_class_is_called(loop, watched, monkeypatch):
    told = []
    monkeypatch.setattr(
        asyncio.base_events.BaseEventLoop, "_asyncgen_firstiter_hook", lambda self, agen: told.append(agen)
    )
    cm = watched()
    assert told == [cm.gen]
    assert list(loop._asyncgens) == []


def test_copy_of_the_hook_with_other_globals_is_called(lib, loop):
    """It might warn by something else than `warnings`."""
    told = []
    hook = asyncio.base_events.BaseEventLoop._asyncgen_firstiter_hook
    copy = FunctionType(hook.__code__, {"warnings": Names(), "ResourceWarning": None})
    before = sys.get_asyncgen_hooks()

    class Recorder:
        _asyncgens_shutdown_called = False

        @property
        def _asyncgens(self):
            return Recording()

    class Recording:
        def add(self, agen):
            told.append(agen)

    sys.set_asyncgen_hooks(firstiter=copy.__get__(Recorder()))
    try:
        cm = manager_of(lib)()
        run(cm.__aenter__())
    finally:
        sys.set_asyncgen_hooks(*before)
    assert told == [cm.gen]


@pytest.mark.parametrize("name", ["_asyncgens", "_asyncgens_shutdown_called"])
def test_attribute_that_the_loop_lacks_is_an_error_of_the_hook(loop, watched, name):
    kept = vars(loop).pop(name)
    with pytest.raises(AttributeError, match=name) as caught:  # holds the generator, whose end would fail, too
        watched()
    setattr(loop, name, kept)
    del caught


@pytest.mark.parametrize("name", ["data", "_remove", *(["_pending_removals"] if DEFERS_REMOVALS else [])])
def test_attribute_that_the_set_lacks_is_an_error_of_the_hook(loop, watched, name):
    kept = vars(loop._asyncgens).pop(name)
    with pytest.raises(AttributeError, match=name) as caught:
        watched()
    setattr(loop._asyncgens, name, kept)
    del caught


def test_plain_set_in_place_of_the_sets_own_is_used_at_once(loop, watched):
    first = watched()
    kept, loop._asyncgens.data = loop._asyncgens.data, set()
    second = watched()
    assert [reference() for reference in loop._asyncgens.data] == [second.gen]
    assert [reference() for reference in kept] == [first.gen]
    del second
    assert loop._asyncgens.data == set()


def test_keys_that_change_the_set_while_they_are_compared(loop, watched):
    class Key:
        def __hash__(self):
            return hash("data")

        def __eq__(self, other):
            attributes[f"new {len(attributes)}"] = None
            return False

    attributes = vars(loop._asyncgens)
    kept = dict(attributes)
    attributes.clear()
    attributes[Key()] = None  # before the one that is looked for
    attributes.update(kept)
    before = len(attributes)
    cm = watched()
    assert list(loop._asyncgens) == [cm.gen]
    del cm
    assert len(loop._asyncgens) == 0
    assert len(attributes) > before


@pytest.mark.parametrize("make", [frozenset, type("Set", (set,), {}), Names])
def test_data_that_is_no_plain_set_is_added_to_by_its_own_method(lib, stdlib, loop, make):
    replacement = make()

    def attempt(which):
        kept, loop._asyncgens.data = loop._asyncgens.data, replacement
        cm = manager_of(which)()
        try:
            with hooks_of(loop):
                run(cm.__aenter__())
        except AttributeError as error:
            return str(error)
        finally:
            loop._asyncgens.data = kept

    assert attempt(lib) == attempt(stdlib)


# Hooks of others


def test_uvloops_hook_is_called(lib):
    uvloop = pytest.importorskip("uvloop", reason="uvloop is not installed")
    log = []

    async def main():
        cm = manager_of(lib, log)()
        await cm.__aenter__()
        return cm

    loop = uvloop.new_event_loop()
    kept = loop.run_until_complete(main())
    loop.run_until_complete(loop.shutdown_asyncgens())
    loop.close()
    assert log == [(loop, threading.get_ident())]
    assert kept.gen.ag_frame is None


def test_trios_hook_is_called(lib):
    trio = pytest.importorskip("trio", reason="trio is not installed")
    closed = []

    @lib.asynccontextmanager
    async def manager():
        try:
            yield
        finally:
            closed.append(trio.lowlevel.in_trio_run())

    async def main():
        cm = manager()
        await cm.__aenter__()
        kept.append(cm)

    kept = []
    trio.run(main)
    assert closed == [True]


@pytest.mark.parametrize("kind", ["function", "method", "callable"])
def test_hook_of_a_user_is_called_once_for_each_generator(lib, kind):
    told = []

    class Hook:
        def hook(self, agen):
            told.append(agen)

        __call__ = hook

    firstiter = {"function": told.append, "method": Hook().hook, "callable": Hook()}[kind]
    before = sys.get_asyncgen_hooks()
    sys.set_asyncgen_hooks(firstiter=firstiter)
    try:
        cms = [manager_of(lib)() for _ in range(3)]
        for cm in cms:
            run(cm.__aenter__())
            run(cm.__aexit__(None, None, None))
    finally:
        sys.set_asyncgen_hooks(*before)
    assert told == [cm.gen for cm in cms]


@pytest.mark.parametrize("drives", [False, True])
def test_hook_of_a_user_may_raise_or_drive_the_generator(lib, stdlib, drives):
    def attempt(which):
        def firstiter(agen):
            if drives:
                run(anext(agen))
            else:
                raise ValueError(agen.__name__)

        before = sys.get_asyncgen_hooks()
        sys.set_asyncgen_hooks(firstiter=firstiter)
        try:
            run(manager_of(which)().__aenter__())
        except Exception as error:
            return type(error), error.args
        finally:
            sys.set_asyncgen_hooks(*before)

    assert attempt(lib) == attempt(stdlib)


IMPORTS = """
import sys
import _acontextlib

class Loop:
    def hook(self, agen):
        told.append(agen)

told = []
sys.set_asyncgen_hooks(firstiter=Loop().hook)

@_acontextlib.asynccontextmanager
async def manager():
    yield

for _ in range(2):
    cm = manager()
    try:
        cm.__aenter__().send(None)
    except StopIteration:
        pass
assert len(told) == 2
print("asyncio" in sys.modules)
"""


def test_asyncio_is_not_imported_to_compare_with_it(tmp_path):
    assert python("-c", IMPORTS, cwd=tmp_path) == (0, "False\n", "")
