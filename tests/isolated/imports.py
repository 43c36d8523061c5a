"""Imports the extension anew again and again, uses each copy and drops it: memory stays as it is, each copy goes away.

    python imports.py [COPIES]

A copy is what `spec_from_file_location` makes: a module with types and a state of its own, which never enters
`sys.modules`.  Every other one drives generators publicly; every other one is dropped with instances in cycles, so that
the collector frees module, types and instances in one go.
"""

import gc
import importlib.util
import os
import sys
import warnings
import weakref

import _acontextlib._core as core
import usage

TYPES = ("_AsyncGeneratorContextManager", "AsyncExitStack", "aclosing", "nullcontext")


def copy_of_core(drive):
    spec = importlib.util.spec_from_file_location(core.__name__, core.__file__)
    module = importlib.util.module_from_spec(spec)
    os.environ["ACONTEXTLIB_DRIVE"] = drive
    try:
        spec.loader.exec_module(module)
    finally:
        del os.environ["ACONTEXTLIB_DRIVE"]
    return module


def once(number):
    module = copy_of_core("public" if number % 2 else "")
    assert module.drive == ("public" if number % 2 else core.drive)
    usage.use(module)
    if number % 4 < 2:
        usage.leave_cycles(module)
    else:
        usage.leave(module)
    gone = [weakref.ref(module), *(weakref.ref(getattr(module, name)) for name in TYPES)]
    del module
    gc.collect()
    gc.collect()  # a generator that was closed by the first may have let go of something
    assert [reference() for reference in gone] == [None] * len(gone), gone


def in_use():
    sys._clear_type_cache() if sys.version_info < (3, 13) else sys._clear_internal_caches()
    gc.collect()
    references = sys.gettotalrefcount() if hasattr(sys, "gettotalrefcount") else 0
    return sys.getallocatedblocks(), references


def main(copies):
    # Of the awaitables that are left; what a manager left in a cycle says of its generator.
    warnings.simplefilter("ignore")
    sys.unraisablehook = lambda unraisable: None
    warm_up = 16
    for number in range(warm_up):
        once(number)
    gc.freeze()
    before = in_use()
    for number in range(copies):
        once(number)
    after = in_use()
    blocks, references = (now - then for now, then in zip(after, before, strict=True))
    print(f"{copies} copies: {blocks:+} blocks of memory, {references:+} references")
    # A block or a reference per copy would be a leak; a few hash tables may have grown.
    most = max(8, copies // 20)
    return blocks > most or references > most


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 1000))
