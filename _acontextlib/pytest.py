"""A plugin for pytest: ``python -m pytest -p _acontextlib.pytest`` runs the tests with our objects installed.

They are there before the first ``conftest.py`` and before other plugins, unless those were named earlier: on the
command line, or by ``addopts`` in the configuration, which pytest reads first.  What those have imported by then is
rebound; what they have decorated stays.  pytest-xdist tells its workers to load the plugin.
"""

import contextlib

import _acontextlib

# For each run of pytest that has not ended, inner ones last: were our objects installed before?
_installed_before = []


def pytest_addoption():
    """The first that pytest calls of a plugin, at once when it is loaded."""
    _installed_before.append(contextlib.asynccontextmanager is _acontextlib.asynccontextmanager)
    _acontextlib.install(rebind=True)


def pytest_report_header():
    found = [where for where in _acontextlib.install() if ":" in where]
    what = f"acontextlib: {_acontextlib.implementation}, {_acontextlib.drive} drive"
    return [what, *([f"acontextlib rebound: {', '.join(found)}"] if found else [])]


def pytest_unconfigure():
    if not _installed_before.pop():
        _acontextlib.uninstall()
