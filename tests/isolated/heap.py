"""Counts the bytes that malloc() has given out while everything is used again and again: none may be missing.

    python heap.py [TIMES]

Blocks and references, which the other programs count, say nothing of what is too large for the interpreter's own
allocator, nor of what is allocated without it.  Here it is switched off, and the C library counts to the byte.  Exits
with 77, and says why, where it cannot.
"""

import ctypes
import gc
import os
import sys
import sysconfig
import warnings

import usage

import _acontextlib

SKIPPED = 77
# The second switches off lists of freed chunks, which count as given out.
SETTINGS = {"PYTHONMALLOC": "malloc", "GLIBC_TUNABLES": "glibc.malloc.tcache_count=0"}
ATTEMPTS = 5
FIELDS = ("arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks", "uordblks", "fordblks", "keepcost")


class Mallinfo2(ctypes.Structure):
    _fields_ = [(name, ctypes.c_size_t) for name in FIELDS]


def bytes_in_use():
    gc.collect()
    gc.collect()
    memory = ctypes.CDLL(None).mallinfo2
    memory.restype = Mallinfo2
    counted = memory()
    return counted.uordblks + counted.hblkhd


def growth(use, times):
    """What `use` leaves behind when called so often; the least of some attempts, for caches are filled meanwhile."""
    least = None
    for _ in range(ATTEMPTS):
        before = bytes_in_use()
        for _ in range(times):
            use(_acontextlib)
        grown = bytes_in_use() - before
        least = grown if least is None else min(least, grown)
        if least <= 0:
            break
    return least


def main(times):
    if sysconfig.get_config_var("Py_GIL_DISABLED"):
        print("skipped: free-threaded interpreters have one allocator only, which is not the C library's")
        return SKIPPED
    if not hasattr(ctypes.CDLL(None), "mallinfo2"):
        print("skipped: mallinfo2() is that of glibc 2.33 and later")
        return SKIPPED
    if bytes_in_use() == 0:
        print("skipped: a sanitizer has malloc() replaced")
        return SKIPPED
    if os.environ.get("PYTHONMALLOC") != "malloc":
        os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, **SETTINGS})
    warnings.simplefilter("ignore")
    sys.unraisablehook = lambda unraisable: None
    uses = {
        "managers": lambda lib: usage.run(usage.use_managers(lib)),
        "stacks": lambda lib: usage.run(usage.use_stacks(lib)),
        "aclosing, nullcontext": lambda lib: usage.run(usage.use_simple(lib)),
        "awaitables": usage.use_awaitables,
        "left half done": usage.leave,
        "left in cycles": usage.leave_cycles,
    }
    failed = False
    for name, use in uses.items():
        grown = growth(use, times)
        print(f"{name}: {grown:+} bytes after {times} times")
        failed = failed or grown >= 8 * times  # the smallest chunk there is has 24 bytes
    return failed


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 2000))
