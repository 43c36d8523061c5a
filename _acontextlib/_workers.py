"""Have multiprocessing's workers accelerated where the program is: those of the "spawn" and "forkserver" methods.

They are interpreters of their own, to which the parent sends data to prepare with before anything else: the path, the
name of the main module.  An object is added to that data which installs ours when it is unpickled, so before the
worker imports the program.  The data is made in ``multiprocessing.spawn``, which programs that start no workers
should not have to import; a finder waits for its import and is gone from then on.

The function of multiprocessing that is replaced is not documented, but each of its start methods calls it.
"""

import contextlib
import functools
import os
import sys

import _acontextlib

MODULE = "multiprocessing.spawn"

# Runs in the worker before all else there, and must not fail: that may be another Python, see set_executable().
_ARRIVE = """
import sys
path = sys.path[:]
sys.path.append({place!r})
try:
    import _acontextlib._workers
except ImportError:
    pass
else:
    _acontextlib.install(rebind=True)
    _acontextlib._workers.follow()
finally:
    sys.path[:] = path
"""


def follow():
    """From now on workers start with ours installed, as long as they are installed here."""
    if MODULE in sys.modules:
        _prepare_workers(sys.modules[MODULE])
    else:
        sys.meta_path.insert(0, _Finder())


class _Finder:
    """Lets the other finders find the module, to be there when it has been executed."""

    def find_spec(self, name, path=None, target=None):
        if name != MODULE:
            return None
        others = [finder for finder in sys.meta_path if finder is not self]
        spec = next(filter(None, (finder.find_spec(name, path, target) for finder in others)), None)
        if spec is not None:
            spec.loader = _Loader(spec.loader, self)
        return spec


class _Loader:
    """The loader itself, but for its first call, with which it and the finder go away."""

    def __init__(self, loader, finder):
        self._loader = loader
        self._finder = finder

    def __getattr__(self, name):
        return getattr(self._loader, name)

    def create_module(self, spec):
        return self._loader.create_module(spec)

    def exec_module(self, module):
        module.__spec__.loader = module.__loader__ = self._loader
        self._loader.exec_module(module)
        _prepare_workers(module)
        if self._finder in sys.meta_path:
            sys.meta_path.remove(self._finder)


def _prepare_workers(spawn):
    original = spawn.get_preparation_data

    @functools.wraps(original)
    def get_preparation_data(*args, **kwds):
        data = original(*args, **kwds)
        if contextlib.asynccontextmanager is _acontextlib.asynccontextmanager:
            data["_acontextlib"] = _Arrival()
        return data

    spawn.get_preparation_data = get_preparation_data


class _Arrival:
    """What runs the code above when it is unpickled; that takes no import, for the worker has no path yet."""

    def __reduce__(self):
        place = os.path.dirname(os.path.dirname(os.path.abspath(_acontextlib.__file__)))
        return exec, (_ARRIVE.format(place=place), {})
