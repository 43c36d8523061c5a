"""A plugin for pytest that writes what becomes of each test, a line of JSON when it begins and one when it ends.

`-p outcomes --outcomes FILE` writes `[node id, file of the test, outcome]`.  An outcome is what did not pass in the
three phases of a test, with the class of the exception, or "passed"; it is null in the line of a test that begins.  A
file that cannot be imported is a test "collecting ..." here.

The collector runs before some of the tests, counted, and never by itself: what it finds may be a warning, hence a
failure, and which test that befalls must not depend on how many objects contextlib makes.
"""

import gc
import json
import os

import pytest

COLLECT_EVERY = 20  # tests


def kind_of(report):
    """What a phase is counted as; what fails before or after the test itself is an error."""
    if hasattr(report, "wasxfail"):
        return "xfailed" if report.skipped else "xpassed"
    if report.failed and report.when != "call":
        return "error"
    return report.outcome


class Recorder:
    def __init__(self, report, root):
        self.report = report
        self.root = root
        self.parts = {}
        self.begun = 0

    def write(self, node_id, path, outcome):
        path = os.path.normpath(os.path.join(self.root, path))
        with open(self.report, "a", encoding="utf-8") as file:
            print(json.dumps([node_id, path, outcome]), file=file)

    def pytest_collection_finish(self):
        gc.disable()

    def pytest_runtest_logstart(self, nodeid, location):
        if self.begun % COLLECT_EVERY == 0:
            gc.collect()
        self.begun += 1
        self.parts[nodeid] = []
        self.write(nodeid, location[0], None)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_makereport(self, item, call):
        report = yield
        kind = kind_of(report)
        if kind != "passed":
            # Which exception tells whether tests that fail in both runs fail alike; a skip's tells nothing.
            raised = f" ({call.excinfo.type.__name__})" if call.excinfo and kind != "skipped" else ""
            self.parts[item.nodeid].append(f"{kind}{raised}")
        return report

    def pytest_runtest_logfinish(self, nodeid, location):
        self.write(nodeid, location[0], ", ".join(self.parts.pop(nodeid)) or "passed")

    def pytest_collectreport(self, report):
        if not report.passed:
            self.write(f"collecting {report.nodeid}", report.fspath, "error" if report.failed else "skipped")


def pytest_addoption(parser):
    parser.addoption("--outcomes", metavar="FILE", help="where to write what becomes of each test")


def pytest_configure(config):
    config.pluginmanager.register(Recorder(config.getoption("outcomes"), config.rootpath))
