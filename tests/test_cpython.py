"""The running interpreter's own tests of contextlib's async half, with our objects in place of the stdlib's."""

import contextlib
import importlib
import sys
import unittest
import warnings

import implementations
import pytest

pytest.importorskip("test.test_contextlib_async", reason="this interpreter comes without its test package")

# It looks at the frames of contextlib.py in a traceback, where we have none; its comment says that it documents what
# happens rather than demands it.
EXPECTED_FAILURES = {"test_exit_exception_traceback"}


@pytest.fixture
def cpython_tests(lib, monkeypatch):
    """test.test_contextlib_async imported anew, and what it imports its mixins from, while contextlib has our names."""
    for name in implementations.PUBLIC:
        monkeypatch.setattr(contextlib, name, getattr(lib, name))
    package = importlib.import_module("test")
    for name in ("test_contextlib", "test_contextlib_async"):
        importlib.import_module(f"test.{name}")
        monkeypatch.setattr(package, name, getattr(package, name))
        monkeypatch.delitem(sys.modules, f"test.{name}")
    return importlib.import_module("test.test_contextlib_async")


def test_cpythons_own_tests_pass(lib, cpython_tests):
    assert cpython_tests.asynccontextmanager is lib.asynccontextmanager
    assert issubclass(cpython_tests.TestAsyncExitStack.exit_stack, lib.AsyncExitStack)
    result = unittest.TestResult()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        unittest.defaultTestLoader.loadTestsFromModule(cpython_tests).run(result)
    failed = {case.id().rpartition(".")[2]: text for case, text in result.failures + result.errors}
    unexpected = {name: text for name, text in failed.items() if name not in EXPECTED_FAILURES}
    assert unexpected == {}, "\n".join(unexpected.values())
    assert result.testsRun > 50
    assert len(result.skipped) < 5
    if lib.name == "stdlib":
        assert failed == {}


def test_contextlib_has_its_own_objects_again():
    for name in implementations.PUBLIC:
        assert getattr(contextlib, name).__module__ == "contextlib"
        assert getattr(contextlib, name) is getattr(implementations.load("stdlib"), name)
