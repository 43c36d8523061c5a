"""install() and uninstall(), each test with the contextlib module as it was before and after it."""

import contextlib
import sys
import threading

import pytest
from processes import python

import _acontextlib
from _acontextlib import _install

OURS = _install._ours
ORIGINALS = {name: getattr(contextlib, name) for name in _install.NAMES}


@pytest.fixture(autouse=True)
def uninstalled():
    _acontextlib.uninstall()
    yield
    _acontextlib.uninstall()
    left = {name for name, original in ORIGINALS.items() if getattr(contextlib, name) is not original}
    vars(contextlib).update(ORIGINALS)
    assert not left


def drive(coroutine):
    with pytest.raises(StopIteration) as stopped:
        coroutine.send(None)
    return stopped.value.value


def current():
    return {name: getattr(contextlib, name) for name in OURS}


@pytest.mark.skipif(sys.implementation.name != "cpython", reason="elsewhere there is nothing to install")
def test_our_objects_are_the_ones_of_the_package():
    assert {"asynccontextmanager", "_AsyncGeneratorContextManager"} <= OURS.keys() <= ORIGINALS.keys()
    assert all(ours is not ORIGINALS[name] for name, ours in OURS.items())
    assert all(getattr(_acontextlib, name) is ours for name, ours in OURS.items())


def test_install_replaces_and_returns_what_it_replaced():
    replaced = _acontextlib.install()
    assert current() == OURS
    assert replaced == {name: ORIGINALS[name] for name in OURS}


def test_second_install_changes_nothing_and_returns_the_same():
    first = _acontextlib.install()
    second = _acontextlib.install()
    assert first == second
    assert current() == OURS


def test_changing_the_returned_dict_does_not_change_what_uninstall_restores():
    _acontextlib.install().clear()
    _acontextlib.uninstall()
    assert current() == {name: ORIGINALS[name] for name in OURS}


def test_uninstall_restores_also_after_two_installs():
    _acontextlib.install()
    _acontextlib.install()
    _acontextlib.uninstall()
    assert current() == {name: ORIGINALS[name] for name in OURS}


def test_uninstall_without_install_does_nothing():
    _acontextlib.uninstall()
    _acontextlib.uninstall()
    assert current() == {name: ORIGINALS[name] for name in OURS}


@pytest.mark.skipif(not OURS, reason="nothing is installed here")
def test_uninstall_leaves_what_somebody_else_has_set():
    _acontextlib.install()
    theirs = contextlib.asynccontextmanager = object()
    _acontextlib.uninstall()
    found = current()
    contextlib.asynccontextmanager = ORIGINALS["asynccontextmanager"]
    assert found.pop("asynccontextmanager") is theirs
    assert found == {name: ORIGINALS[name] for name in OURS if name != "asynccontextmanager"}


@pytest.mark.skipif(not OURS, reason="nothing is installed here")
def test_install_over_somebody_elses_object_still_restores_the_stdlibs():
    _acontextlib.install()
    contextlib.asynccontextmanager = object()
    assert _acontextlib.install()["asynccontextmanager"] is ORIGINALS["asynccontextmanager"]
    assert current() == OURS
    _acontextlib.uninstall()
    assert contextlib.asynccontextmanager is ORIGINALS["asynccontextmanager"]


def test_what_was_imported_by_name_keeps_its_object():
    namespace = {}
    exec("from contextlib import asynccontextmanager", namespace)
    _acontextlib.install()
    assert namespace["asynccontextmanager"] is ORIGINALS["asynccontextmanager"]
    exec("from contextlib import asynccontextmanager", namespace)
    assert namespace["asynccontextmanager"] is OURS.get("asynccontextmanager", ORIGINALS["asynccontextmanager"])


def test_functions_decorated_by_the_stdlib_before_work_while_installed_and_afterwards():
    @contextlib.asynccontextmanager
    async def manager(value, *, more):
        yield value + more

    async def use():
        async with manager(1, more=2) as value:
            return value, type(manager(1, more=2)) is contextlib._AsyncGeneratorContextManager

    _acontextlib.install()
    assert drive(use()) == (3, True)
    _acontextlib.uninstall()
    assert drive(use()) == (3, True)


def test_functions_decorated_by_ours_work_after_uninstall():
    _acontextlib.install()

    @contextlib.asynccontextmanager
    async def manager():
        yield 1

    async def use():
        async with manager() as value, contextlib.AsyncExitStack() as stack:
            return value, await stack.enter_async_context(manager())

    _acontextlib.uninstall()
    assert drive(use()) == (1, 1)


def events_of_decorated_generator():
    """What happens when an async generator function is decorated and used; 3.15 closes it by `aclosing`."""
    events = []

    @contextlib.asynccontextmanager
    async def manager():
        events.append("enter")
        yield
        events.append("exit")

    async def numbers():
        try:
            yield 1
            yield 2
        finally:
            events.append("closed")

    async def use():
        async for number in manager()(numbers)():
            events.append(number)

    drive(use())
    return events


@pytest.mark.skipif(sys.version_info < (3, 15), reason="only there does the stdlib accept async generator functions")
def test_decorating_an_async_generator_function_is_the_same_while_installed():
    expected = events_of_decorated_generator()
    assert expected == ["enter", 1, 2, "closed", "exit"]
    _acontextlib.install()
    assert events_of_decorated_generator() == expected


@pytest.mark.parametrize("function", [_acontextlib.install, _acontextlib.uninstall])
def test_waits_for_another_thread_that_is_at_it(function):
    thread = threading.Thread(target=function)
    with _install._lock:
        thread.start()
        thread.join(0.05)
        assert thread.is_alive()
    thread.join(60)
    assert not thread.is_alive()


def test_many_threads_at_once_see_either_all_or_nothing_and_leave_the_stdlib():
    failures = []
    barrier = threading.Barrier(8)
    expected = {name: ORIGINALS[name] for name in OURS}

    def work(number):
        barrier.wait()
        for _ in range(200):
            if _acontextlib.install() != expected:
                failures.append(number)
            if number % 2:
                _acontextlib.uninstall()

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    _acontextlib.uninstall()
    assert current() == expected


def test_on_another_implementation_both_are_no_operations(tmp_path):
    program = """
import sys
sys.implementation.name = "other"
import contextlib
before = dict(vars(contextlib))
import _acontextlib
print(_acontextlib.implementation, _acontextlib.install(), _acontextlib.uninstall())
print("_acontextlib._core" in sys.modules)
print({name: vars(contextlib)[name] for name in before} == before)
print(_acontextlib.asynccontextmanager is contextlib.asynccontextmanager)
"""
    outcome = python("-c", program, cwd=tmp_path)
    assert outcome == (0, "stdlib {} None\nFalse\nTrue\nTrue\n", "")


def test_importing_it_imports_nothing_heavy(tmp_path):
    program = """
import contextlib, sys
before = set(sys.modules)
import _acontextlib
print(*sorted(name for name in set(sys.modules) - before if not name.startswith("_acontextlib")))
print(*sorted(name for name in sys.modules if name.startswith("_acontextlib")))
"""
    outcome = python("-c", program, cwd=tmp_path)
    assert outcome.status == 0, outcome.stderr
    others, ours = outcome.stdout.splitlines()
    assert not {"asyncio", "inspect", "re", "threading", "typing", "runpy"} & set(others.split())
    assert "_acontextlib._run" not in ours
    assert "_acontextlib._measure" not in ours
