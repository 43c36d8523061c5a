"""Run a program as ``python`` itself would, with our objects installed before its first line.

``python -m _acontextlib SCRIPT``, ``-m MODULE`` and ``-c CODE`` come here. The program gets a ``__main__`` module of
its own, as ``python`` gives it one: pickle and multiprocessing find it there. What it raises travels on to the
interpreter, which therefore ends as it always does (SystemExit's status, dying of SIGINT, ``sys.excepthook``); only
the traceback is cut, so that it starts at the program.

The helpers taken from runpy are private ones that the standard library's own runners also take: they alone give the
error texts and the module attributes of the running version.
"""

import builtins
import importlib.machinery
import io
import os
import pkgutil
import runpy
import sys
from types import ModuleType

from _acontextlib import implementation
from _acontextlib._install import install

_OUR_FILES = frozenset(
    [__file__, os.path.join(os.path.dirname(__file__), "__main__.py"), runpy._run_code.__code__.co_filename]
)


def run_script(path, args):
    """``python PATH ARGS``: a source file, a .pyc file, or a directory or zip file with a __main__ in it."""
    sys.argv[:] = [path, *args]
    if pkgutil.get_importer(path) is not None:
        _set_path0(os.path.abspath(path), always=True)
        return _start(_run_located, runpy._get_main_module_details)
    return _start(_run_file, path)


def run_module(name, args):
    """``python -m NAME ARGS``."""
    # sys.path[0] is the current directory already: we were ourselves started by -m.
    sys.argv[:] = ["-m", *args]
    return _start(_run_located, lambda error: runpy._get_module_details(name, error), alter_argv=True)


def run_command(source, args):
    """``python -c SOURCE ARGS``."""
    sys.argv[:] = ["-c", *args]
    _set_path0("")
    return _start(_run_source, source)


def _start(run, *args, **kwds):
    """Call `run` with the program's fresh __main__ in place; a traceback that leaves it begins at the program."""
    install()
    if implementation == "c":
        from _acontextlib import _workers

        _workers.follow()
    main = ModuleType("__main__")
    main.__builtins__ = builtins
    if sys.version_info < (3, 14):
        main.__annotations__ = {}
    sys.modules["__main__"] = main
    try:
        return run(main.__dict__, *args, **kwds)
    except SystemExit:
        raise
    except BaseException:
        _cut_next_traceback()
        raise


def _run_located(namespace, locate, alter_argv=False):
    """Run what `locate` finds; it is called with the exception type to raise where ``python`` prints one line."""
    try:
        _, spec, code = locate(runpy._Error)
    except runpy._Error as error:
        sys.exit(f"{sys.executable}: {error}")
    if alter_argv:
        sys.argv[0] = spec.origin
    runpy._run_code(code, namespace, None, "__main__", spec)


def _run_file(namespace, path):
    filename = os.path.abspath(path)
    try:
        with io.open_code(filename) as file:
            content = file.read()
    except OSError as error:
        reason = f"[Errno {error.errno}] {error.strerror}"
        print(f"{sys.executable}: can't open file {filename!r}: {reason}", file=sys.stderr)
        sys.exit(2)
    code = pkgutil.read_code(io.BytesIO(content))
    compiled = code is not None
    if not compiled:
        code = compile(content, filename, "exec", dont_inherit=True)
    machinery = importlib.machinery
    loader = machinery.SourcelessFileLoader if compiled else machinery.SourceFileLoader
    namespace["__file__"] = filename
    namespace["__loader__"] = loader("__main__", filename)
    if sys.version_info < (3, 15):
        namespace["__cached__"] = None
    _set_path0(os.path.dirname(os.path.realpath(path)))
    exec(code, namespace)


def _run_source(namespace, source):
    if sys.version_info >= (3, 14) and source[:1] in " \t\r\n":
        import textwrap

        source = textwrap.dedent(source)
    namespace["__loader__"] = importlib.machinery.BuiltinImporter
    if sys.version_info >= (3, 13):
        # Tracebacks show the lines of the command; without a modification time linecache keeps them.
        import linecache

        linecache.cache["<string>"] = (len(source), None, source.splitlines(keepends=True), "<string>")
    exec(compile(source, "<string>", "exec", dont_inherit=True), namespace)


def _set_path0(path, always=False):
    """Put the program's place where ours was; with -P, -I or PYTHONSAFEPATH only a directory or zip file has one."""
    if not sys.flags.safe_path:
        sys.path[0] = path
    elif always:
        sys.path.insert(0, path)


def _cut_next_traceback():
    """Make the hook that prints the exception on its way out cut our frames off first, then be the old one again.

    Printing it here and exiting with 1 would be simpler, but the interpreter kills itself by SIGINT, as shells
    expect, only if a KeyboardInterrupt reaches it.
    """
    hook = getattr(sys, "excepthook", sys.__excepthook__)

    def excepthook(kind, value, traceback):
        sys.excepthook = hook
        traceback = _cut(traceback)
        value.__traceback__ = sys.last_traceback = traceback
        hook(kind, value, traceback)

    sys.excepthook = excepthook


def _cut(traceback):
    while traceback is not None and traceback.tb_frame.f_code.co_filename in _OUR_FILES:
        traceback = traceback.tb_next
    return traceback
