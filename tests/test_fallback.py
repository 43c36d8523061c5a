"""The self-test at import: when any of its steps fails, the public drive is chosen, silently, and works.

`nox -s fallback` runs the whole suite with steps failing.
"""

import gc
import os
import sys
import weakref

import pytest
from helpers import FREE_THREADED, VERSION
from implementations import copy_of_core, load

from _acontextlib import _check

pytest.importorskip("_acontextlib._core")
from _acontextlib import _templates

STEPS = copy_of_core(ACONTEXTLIB_SELF_TEST_FAILS="").self_test
each_step = pytest.mark.parametrize("step", STEPS)


@pytest.fixture(autouse=True)
def nothing_is_said(capfd, monkeypatch):
    unraisable = []
    monkeypatch.setattr(sys, "unraisablehook", unraisable.append)
    yield
    gc.collect()
    assert unraisable == []
    assert tuple(capfd.readouterr()) == ("", "")


def test_no_step_fails_on_an_interpreter_that_is_known():
    """What is tested here is what an import makes, and the other tests' direct drive is the direct one."""
    copy = copy_of_core(ACONTEXTLIB_SELF_TEST_FAILS="")
    assert copy.drive == "direct"
    assert len(set(STEPS)) == len(STEPS) == 16


def test_no_step_is_taken_when_the_public_drive_is_asked_for():
    copy = copy_of_core(ACONTEXTLIB_DRIVE="public")
    assert (copy.drive, copy.self_test) == ("public", ())


@each_step
def test_failing_step_chooses_the_public_drive(step):
    copy = copy_of_core(ACONTEXTLIB_SELF_TEST_FAILS=step)
    assert copy.drive == "public"
    assert copy.self_test == STEPS[: STEPS.index(step)]


@each_step
def test_behaves_as_the_stdlib_after_a_failing_step(step):
    copy = copy_of_core(ACONTEXTLIB_SELF_TEST_FAILS=step)
    found = dict(_check.differences(copy, load("stdlib")))
    assert len(found) > 10
    assert {name: difference for name, difference in found.items() if difference} == {}


@pytest.mark.skipif(
    FREE_THREADED and VERSION == (3, 13), reason="there modules and classes are immortal once a thread has been started"
)
@each_step
def test_failing_step_keeps_nothing(step):
    copy = weakref.ref(copy_of_core(ACONTEXTLIB_SELF_TEST_FAILS=step))
    for _ in range(3):
        gc.collect()
    assert copy() is None
    assert [
        gen for gen in gc.get_objects() if getattr(gen, "__qualname__", None) == "probe" and hasattr(gen, "asend")
    ] == []


@pytest.mark.parametrize("step", ["", *STEPS])
def test_hooks_of_the_thread_are_left_alone(step):
    told = []
    hooks = told.append, lambda gen: told.append(gen)
    before = sys.get_asyncgen_hooks()
    counts = [sys.getrefcount(hook) for hook in hooks]
    sys.set_asyncgen_hooks(*hooks)
    try:
        copy_of_core(ACONTEXTLIB_SELF_TEST_FAILS=step)
        assert tuple(sys.get_asyncgen_hooks()) == hooks
    finally:
        sys.set_asyncgen_hooks(*before)
    assert told == []
    assert [sys.getrefcount(hook) for hook in hooks] == counts


# Interpreters that are another in earnest, as far as a generator in Python can play one.


class Counted(_templates.Pause):
    """Acts up at the Nth await of the self-test."""

    def __await__(self):
        type(self).left -= 1
        if type(self).left == 0:
            return self.act()
        return super().__await__()


def counted(nth, act):
    return type("Counted", (Counted,), {"left": nth, "act": act})


AWAITS = 7  # of the generators of the self-test


def raising(error):
    def act(self):
        raise error

    return act


@pytest.mark.parametrize("nth", range(1, AWAITS + 1))
@pytest.mark.parametrize(
    "error", [MemoryError("none left"), RecursionError("too deep"), KeyboardInterrupt("enough")], ids=repr
)
def test_error_that_tells_nothing_about_the_interpreter_ends_the_import(monkeypatch, error, nth):
    """The next import may find that all is well: a program must not be slower because of where its first one failed."""
    monkeypatch.setattr(_templates, "Pause", counted(nth, raising(error)))
    with pytest.raises(type(error)) as caught:
        copy_of_core(ACONTEXTLIB_SELF_TEST_FAILS="")
    assert caught.value is error


@pytest.mark.parametrize("nth", range(1, AWAITS + 1))
@pytest.mark.parametrize(
    "act",
    [raising(ZeroDivisionError("different")), raising(KeyError("like what is thrown")), lambda self: iter([3])],
    ids=["error", "same class", "value"],
)
def test_unexpected_outcome_chooses_the_public_drive(monkeypatch, act, nth):
    monkeypatch.setattr(_templates, "Pause", counted(nth, act))
    copy = copy_of_core(ACONTEXTLIB_SELF_TEST_FAILS="")
    assert copy.drive == "public"
    assert len(copy.self_test) < len(STEPS)


def test_self_test_awaits_no_more(monkeypatch):
    monkeypatch.setattr(_templates, "Pause", counted(AWAITS + 1, raising(MemoryError)))
    assert copy_of_core(ACONTEXTLIB_SELF_TEST_FAILS="").drive == "direct"


@pytest.mark.parametrize("name", ["Pause", "probe"])
def test_error_before_the_first_step_ends_the_import(monkeypatch, name):
    def fail(*arguments):
        raise ZeroDivisionError(name)

    monkeypatch.setattr(_templates, name, fail)
    with pytest.raises(ZeroDivisionError, match=name):
        copy_of_core(ACONTEXTLIB_SELF_TEST_FAILS="")


def test_what_is_no_async_generator_chooses_the_public_drive(monkeypatch):
    monkeypatch.setattr(_templates, "probe", lambda pause, token: token)
    copy = copy_of_core(ACONTEXTLIB_SELF_TEST_FAILS="")
    assert (copy.drive, copy.self_test) == ("public", STEPS[: STEPS.index("created")])


class NeverCalled(_templates.Pause):
    finalized = property(lambda self: 0, lambda self, value: None)


class KeepsTheHook(_templates.Pause):
    """A hook whose generator outlives it."""

    kept = []

    def __call__(self, generator):
        super().__call__(generator)
        self.kept.append(generator)


@pytest.mark.parametrize("hook", [NeverCalled, KeepsTheHook])
def test_hook_that_is_not_called_as_expected_chooses_the_public_drive(monkeypatch, hook):
    monkeypatch.setattr(_templates, "Pause", hook)
    copy = copy_of_core(ACONTEXTLIB_SELF_TEST_FAILS="")
    assert (copy.drive, copy.self_test) == ("public", STEPS[:-1])
    KeepsTheHook.kept.clear()


def test_environment_of_the_tests_is_as_it_was():
    before = dict(os.environ)
    copy_of_core(ACONTEXTLIB_SELF_TEST_FAILS="send", ACONTEXTLIB_DRIVE="")
    assert dict(os.environ) == before
