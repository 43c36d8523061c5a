"""install(rebind=True): names in modules that were imported before."""

import contextlib
import importlib.util
import pkgutil
import runpy
import sys
import threading
from types import ModuleType

import pytest
from helpers import DEBUG, FREE_THREADED, VERSION
from processes import python

import _acontextlib
from _acontextlib import _check, _install

OURS = _install._ours
ORIGINALS = {name: getattr(contextlib, name) for name in _install.NAMES}

pytestmark = pytest.mark.skipif(sys.implementation.name != "cpython", reason="elsewhere there is nothing to install")


@pytest.fixture(autouse=True)
def uninstalled():
    _acontextlib.uninstall()
    yield
    _acontextlib.uninstall()
    vars(contextlib).update(ORIGINALS)


@pytest.fixture
def put(monkeypatch):
    """Put a module with these names into `sys.modules`, until the end of the test."""

    def put(module, **names):
        if type(module) is str:
            module = ModuleType(module)
        namespace = ModuleType.__dict__["__dict__"].__get__(module)
        namespace.update(names)
        monkeypatch.setitem(sys.modules, namespace["__name__"], module)
        return module

    return put


def rebound_in(module_name):
    """What a call finds in one module; others of this process may hold something, too."""
    found = _acontextlib.install(rebind=True)
    return {where: what for where, what in found.items() if where.partition(":")[0] == module_name}


def test_every_name_is_found_whatever_it_is_called_there(put):
    module = put("early.module", **{f"my_{name}": original for name, original in ORIGINALS.items()}, other=len)
    assert rebound_in("early.module") == {f"early.module:my_{name}": original for name, original in ORIGINALS.items()}
    assert {name: getattr(module, f"my_{name}") for name in ORIGINALS} == OURS
    assert module.other is len


def test_places_are_what_resolve_name_takes(put):
    put("early", **ORIGINALS)
    for where in rebound_in("early"):
        assert pkgutil.resolve_name(where) is OURS[where.partition(":")[2]]


def test_contextlib_itself_is_in_the_answer_by_name_as_ever():
    found = _acontextlib.install(rebind=True)
    assert {where: what for where, what in found.items() if ":" not in where} == ORIGINALS
    assert all(getattr(contextlib, name) is ours for name, ours in OURS.items())
    assert not [where for where in found if where.startswith("contextlib:")]


def test_nothing_is_rebound_unless_asked_for(put):
    module = put("early", **ORIGINALS)
    assert _acontextlib.install() == ORIGINALS
    assert module.AsyncExitStack is ORIGINALS["AsyncExitStack"]
    with pytest.raises(TypeError):
        _acontextlib.install(True)


def test_later_calls_find_what_is_new_and_tell_of_both(put):
    put("early", aclosing=ORIGINALS["aclosing"])
    assert set(rebound_in("early")) == {"early:aclosing"}
    late = put("late", nullcontext=ORIGINALS["nullcontext"])
    assert not [where for where in _acontextlib.install() if where.startswith("late:")]
    assert set(rebound_in("late")) == {"late:nullcontext"}
    assert late.nullcontext is OURS["nullcontext"]
    assert {"early:aclosing", "late:nullcontext"} <= set(_acontextlib.install())


def test_uninstall_restores_where_the_name_still_holds_ours(put):
    module = put("early", **ORIGINALS)
    _acontextlib.install(rebind=True)
    module.aclosing = len
    del module.nullcontext
    _acontextlib.uninstall()
    kept = {name: getattr(module, name, None) for name in ORIGINALS}
    assert kept == ORIGINALS | {"aclosing": len, "nullcontext": None}
    assert "nullcontext" not in vars(module)
    assert _acontextlib.install() == ORIGINALS


def test_what_somebody_else_had_put_into_contextlib_is_what_is_replaced_and_restored(put, monkeypatch):
    theirs = lambda function: function  # noqa: E731
    monkeypatch.setattr(contextlib, "asynccontextmanager", theirs)
    module = put("early", mine=theirs, stdlibs=ORIGINALS["asynccontextmanager"])
    assert rebound_in("early") == {"early:mine": theirs}
    assert (module.mine, module.stdlibs) == (OURS["asynccontextmanager"], ORIGINALS["asynccontextmanager"])
    _acontextlib.uninstall()
    assert module.mine is contextlib.asynccontextmanager is theirs


def test_only_globals_are_rebound(put):
    class Holder:
        attribute = ORIGINALS["aclosing"]

    def function(default=ORIGINALS["aclosing"]):
        return default

    put("early", Holder=Holder, function=function, many=[ORIGINALS["aclosing"]])
    assert rebound_in("early") == {}
    assert Holder.attribute is function() is ORIGINALS["aclosing"]


def test_module_with_two_names_is_found_once(put, monkeypatch):
    module = put("early", aclosing=ORIGINALS["aclosing"])
    monkeypatch.setitem(sys.modules, "alias", module)
    assert [where for where in _acontextlib.install(rebind=True) if where.startswith(("early:", "alias:"))] == [
        "early:aclosing"
    ]


def test_this_package_keeps_the_objects_it_compares_with(put, monkeypatch):
    def function():
        return stdlibs  # noqa: F821

    monkeypatch.setattr(_check, "stdlibs", ORIGINALS["aclosing"], raising=False)
    # Nor are its functions a way there.
    put("early", drive=_check.drive, differences=_check.differences)
    assert rebound_in("_acontextlib._check") == rebound_in("early") == {}
    assert _check.stdlibs is ORIGINALS["aclosing"]


def test_functions_of_a_program_that_runpy_ran_get_ours(put, tmp_path):
    """Their globals are a dictionary of their own: that is how multiprocessing makes `__mp_main__`."""
    script = tmp_path / "script.py"
    script.write_text("from contextlib import AsyncExitStack\ndef stack_class(): return AsyncExitStack\n")
    module = put("__mp_main__", **runpy.run_path(str(script), run_name="__mp_main__"))
    assert module.stack_class.__globals__ is not vars(module)
    assert set(rebound_in("__mp_main__")) == {"__mp_main__:AsyncExitStack"}
    assert module.stack_class() is module.AsyncExitStack is OURS["AsyncExitStack"]
    _acontextlib.uninstall()
    assert module.stack_class() is module.AsyncExitStack is ORIGINALS["AsyncExitStack"]


def test_lazy_module_is_not_loaded(monkeypatch, tmp_path):
    (tmp_path / "lazily.py").write_text("raise AssertionError('loaded')")
    monkeypatch.syspath_prepend(str(tmp_path))
    spec = importlib.util.find_spec("lazily")
    spec.loader = importlib.util.LazyLoader(spec.loader)
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "lazily", module)
    spec.loader.exec_module(module)
    _acontextlib.install(rebind=True)
    _acontextlib.uninstall()
    assert type(module).__name__ == "_LazyModule"
    with pytest.raises(AssertionError, match="loaded"):
        module.attribute


@pytest.mark.skipif(VERSION < (3, 15), reason="lazy imports are new in 3.15")
def test_lazy_import_stays_one_and_finds_ours_later(tmp_path):
    program = """
lazy from contextlib import aclosing
import _acontextlib
print([where for where in _acontextlib.install(rebind=True) if ":" in where], type(globals()["aclosing"]).__name__)
print(aclosing is _acontextlib.aclosing)
"""
    assert python("-c", program, cwd=tmp_path) == (0, "[] lazy_import\nTrue\n", "")


class Refusing(ModuleType):
    """A module that must not be asked for anything."""

    def __getattribute__(self, name):
        raise AssertionError(f"asked for {name}")

    def __setattr__(self, name, value):
        raise AssertionError(f"set {name}")

    def __eq__(self, other):
        raise AssertionError("compared")

    def __hash__(self):
        raise AssertionError("hashed")


class Impostor:
    """No module, though it says so."""

    asked = 0

    def __getattribute__(self, name):
        type(self).asked += 1
        raise AssertionError(f"asked for {name}")


class Value:
    def __eq__(self, other):
        raise AssertionError("compared")

    __hash__ = None


def test_modules_and_values_are_not_asked(put, monkeypatch):
    refusing = put(Refusing("refusing"), aclosing=ORIGINALS["aclosing"], value=Value())
    monkeypatch.setitem(sys.modules, "impostor", Impostor())
    monkeypatch.setitem(sys.modules, "nothing", None)
    monkeypatch.setitem(sys.modules, 3, ModuleType("three"))
    odd = put("odd")
    vars(odd)[1] = vars(odd)["aclosing"] = ORIGINALS["aclosing"]
    assert set(rebound_in("refusing")) == {"refusing:aclosing"}
    assert ModuleType.__getattribute__(refusing, "aclosing") is OURS["aclosing"]
    assert (vars(odd)[1], odd.aclosing) == (ORIGINALS["aclosing"], OURS["aclosing"])
    _acontextlib.uninstall()
    assert ModuleType.__getattribute__(refusing, "aclosing") is odd.aclosing is ORIGINALS["aclosing"]
    assert Impostor.asked == 0


def test_module_that_goes_away_is_let_go(tmp_path):
    """In a process of its own: 3.13 without a GIL keeps modules for ever once threads have been started."""
    program = """
import contextlib, gc, sys, types, weakref
import _acontextlib
module = sys.modules["early"] = types.ModuleType("early")
module.aclosing = contextlib.aclosing
reference = weakref.ref(module)
print("early:aclosing" in _acontextlib.install(rebind=True))
del module, sys.modules["early"]
gc.collect()
print(reference(), "early:aclosing" in _acontextlib.install(), _acontextlib.uninstall())
"""
    assert python("-c", program, cwd=tmp_path) == (0, "True\nNone True None\n", "")


def test_modules_come_go_and_change_meanwhile(put):
    """Other threads import and set names during the search; at the end each name has what belongs there."""
    steady = put("steady", **ORIGINALS)
    restless = put("restless")
    ended = threading.Event()
    failures = []

    def change(number):
        rounds = 0
        while not ended.is_set() or not rounds:
            rounds += 1
            try:
                sys.modules[f"passing_{number}"] = module = ModuleType("passing")
                for each in range(100):
                    setattr(module, f"name_{each}", ORIGINALS["aclosing"])
                    setattr(restless, f"name_{number}_{each}", module)
                for each in range(100):
                    delattr(restless, f"name_{number}_{each}")
                del sys.modules[f"passing_{number}"]
            except BaseException as error:
                failures.append(error)
                raise

    threads = [threading.Thread(target=change, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(8):
            assert {f"steady:{name}" for name in ORIGINALS} <= set(rebound_in("steady"))
            assert {name: getattr(steady, name) for name in ORIGINALS} == OURS
            _acontextlib.uninstall()
            assert {name: getattr(steady, name) for name in ORIGINALS} == ORIGINALS
    finally:
        ended.set()
        for thread in threads:
            thread.join()
    assert failures == []


def test_on_another_implementation_nothing_is_rebound(tmp_path):
    program = """
import sys
sys.implementation.name = "other"
from contextlib import aclosing
before = aclosing
import _acontextlib
print(_acontextlib.install(rebind=True), aclosing is before)
"""
    assert python("-c", program, cwd=tmp_path) == (0, "{} True\n", "")


@pytest.mark.skipif(
    VERSION in ((3, 12), (3, 13)) or DEBUG or FREE_THREADED, reason="the interpreter itself fails where memory is short"
)
def test_where_memory_runs_out_the_lock_is_given_back_and_uninstall_restores(tmp_path):
    """Each allocation and all after it fail, in both functions; in steps, because there are thousands."""
    pytest.importorskip("_testcapi")
    program = """
import _testcapi, contextlib, sys, types
import _acontextlib
from _acontextlib import _install

originals = {name: getattr(contextlib, name) for name in _install.NAMES}
module = sys.modules["early"] = types.ModuleType("early")
vars(module).update(originals)

def install():
    _acontextlib.install(rebind=True)

def fails(function, allocations):
    _testcapi.set_nomemory(allocations, 0)
    try:
        try:
            function()
        finally:
            _testcapi.remove_mem_hooks()
    except MemoryError:
        return True

for function, step in (install, 11), (_acontextlib.uninstall, 1):
    allocations = failed = 0
    while allocations < 50 or failing:
        if function is not install:
            install()
        failing = fails(function, allocations)
        assert not _install._lock.locked()
        _acontextlib.uninstall()
        assert all(getattr(where, name) is it for name, it in originals.items() for where in (contextlib, module))
        failed += bool(failing)
        allocations += step
    print(failed > 10 or function is not install)
"""
    assert python("-c", program, cwd=tmp_path) == (0, "True\nTrue\n", "")
