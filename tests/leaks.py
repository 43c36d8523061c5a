"""A pytest plugin that runs each test several times and fails those that leave something behind each time.

    PYTHONPATH=tests python -m pytest -p leaks tests/test_simple.py

After some runs to fill caches, the references (on debug builds of the interpreter), the blocks of memory and the open
file descriptors are counted after each of the next runs, which include the fixtures of the test itself.  One of them
that grew in every run, and once more when all is done again, is a leak.
"""

import functools
import gc
import inspect
import itertools
import os
import sys
from array import array
from types import SimpleNamespace

import pytest
from _pytest.runner import runtestprotocol

WARM_UP = 1  # beside the first run, which is to pass
MEASURED = (2, 5, 10)  # a test that seems to leak is given another chance, and another

NO_FIXTURES = SimpleNamespace(name2fixturedefs={})
NO_PARAMETERS = SimpleNamespace(params={})

# Tests that must be left out, by a part of their node id, and why.
EXCEPTIONS = {
    "test_fallback.py::test_unexpected_outcome_chooses_the_public_drive": (
        "its parameters are functions that raise one and the same exception, which keeps the traceback of each run"
    ),
}


# Tests of packages whose wheels are for ordinary builds of the interpreter: debug builds can load them, but do not see
# all references that they take and give back.
REFERENCES_UNSEEN = ("uvloop",)


def clear_caches():
    """What the standard library keeps for speed."""
    for module, name in (("re", "purge"), ("linecache", "clearcache")):
        clear = getattr(sys.modules.get(module), name, None)
        if clear is not None:
            clear()
    for clear in getattr(sys.modules.get("typing"), "_cleanups", ()):
        clear()
    # In which getattr_static(), that contextlib uses from 3.15 on, keeps something of each class.
    for thing in vars(inspect).values():
        if isinstance(thing, functools._lru_cache_wrapper):
            thing.cache_clear()
    for folder in set(sys.path_importer_cache).difference(sys.path):  # such as tests have one each of
        del sys.path_importer_cache[folder]
    clear = sys._clear_internal_caches if sys.version_info >= (3, 13) else sys._clear_type_cache
    clear()


def count_into(row):
    """The references, blocks and file descriptors in use; into an array, which takes no memory for it."""
    clear_caches()
    for _ in range(3):  # finalizers make new garbage
        gc.collect()
    if hasattr(sys, "gettotalrefcount"):
        row[0] = sys.gettotalrefcount()
    row[1] = sys.getallocatedblocks()
    if os.path.isdir("/proc/self/fd"):
        row[2] = len(os.listdir("/proc/self/fd"))


class Hunter:
    """Runs one test again and again."""

    def __init__(self, item):
        self.item = item
        self.finalizers = {}

    def run(self, nextitem):
        """The reports of one run, up to the teardown of all that `nextitem` does not need."""
        reports = runtestprotocol(self.item, nextitem=nextitem, log=False)
        # What the test printed stays with it otherwise; and fixtures of the session keep a finalizer for each fixture
        # that ever asked for them, also when that is gone.
        self.item._report_sections.clear()
        for fixture, finalizers in self.finalizers.items():
            del fixture._finalizers[finalizers:]
        # Exceptions among the parameters are the same in each run, and keep the traceback of each.
        for value in getattr(self.item, "callspec", NO_PARAMETERS).params.values():
            if isinstance(value, BaseException):
                value.__traceback__ = value.__context__ = None
        return reports

    def passes(self):
        """Run it and only it: what its module or the session set up stays."""
        return all(report.outcome == "passed" for report in self.run(self.item.parent))

    def growth(self, measured):
        """What grew in every measured run: {name: [growth, ...]}."""
        for _ in range(WARM_UP):
            self.passes()
        counts = [array("q", [0, 0, 0]) for _ in range(measured + 1)]
        count_into(counts[0])
        for row in counts[1:]:
            self.passes()
            count_into(row)
        grown = {}
        for index, name in enumerate(("references", "blocks", "file descriptors")):
            steps = [after[index] - before[index] for before, after in itertools.pairwise(counts)]
            if min(steps) > 0:
                grown[name] = steps
        if any(package in self.item.name for package in REFERENCES_UNSEEN):
            grown.pop("references", None)
        return grown

    def leaks(self):
        if not self.passes():
            return {}  # reported by the last run
        for fixtures in getattr(self.item, "_fixtureinfo", NO_FIXTURES).name2fixturedefs.values():
            self.finalizers.update((fixture, len(fixture._finalizers)) for fixture in fixtures)
        # What is there already is none of the test's, and need not be looked at by each collection.
        gc.collect()
        gc.freeze()
        for measured in MEASURED:
            grown = self.growth(measured)
            if not grown:
                break
        return grown


def is_exception(item):
    return any(part in item.nodeid for part in EXCEPTIONS)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item, nextitem):
    item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    hunter = Hunter(item)
    leaks = {} if is_exception(item) else hunter.leaks()
    for report in hunter.run(nextitem):
        if report.when == "call" and report.outcome == "passed" and leaks:
            report.outcome = "failed"
            report.longrepr = "leaks in each of its last runs: " + ", ".join(
                f"{name} {' '.join(f'+{step}' for step in steps)}" for name, steps in leaks.items()
            )
        item.ihook.pytest_runtest_logreport(report=report)
    item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
    return True
