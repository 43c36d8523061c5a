"""Compiles embed.c against this interpreter and has it initialise and finalise the interpreter many times.

    python embed.py [ROUNDS]

The extension is used in each of them and left with instances alive.  Its library is never unloaded: what a static
pointer of it kept from one interpreter, the next would run into.  The same is done with the standard library's objects;
no reference may be left that they do not leave, and hardly more memory.  Exits with 77, and says why, where there is
no library of the interpreter or no compiler to link a program with.
"""

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

import usage

SOURCE = Path(__file__).with_name("embed.c")
SKIPPED = 77


def skip(reason):
    print(f"skipped: {reason}")
    sys.exit(SKIPPED)


def library():
    """The interpreter's library; also where an interpreter that was moved has it."""
    name = sysconfig.get_config_var("LDLIBRARY" if sysconfig.get_config_var("Py_ENABLE_SHARED") else "LIBRARY")
    multiarch = sysconfig.get_config_var("MULTIARCH") or ""
    executable = Path(os.path.realpath(sys.executable))
    folders = [sysconfig.get_config_var(variable) for variable in ("LIBDIR", "LIBPL")]
    for prefix in (sys.base_prefix, executable.parents[1]):
        folders += Path(prefix, "lib"), Path(prefix, "lib", multiarch)
    for folder in filter(None, folders):
        if name and Path(folder, name).exists():
            return Path(folder, name)
    skip(f"no {name or 'library of the interpreter'} to link with")


def loader_options():
    """The interpreter's own program loader, where that is not the one of the system (and its libc newer)."""
    if shutil.which("readelf") is None:
        return []
    command = ["readelf", "-lW", os.path.realpath(sys.executable)]
    said = subprocess.run(command, capture_output=True, text=True).stdout
    loader = re.search(r"\[Requesting program interpreter: (.*)\]", said)
    if not loader or loader[1].startswith(("/lib/", "/lib64/")):
        return []
    return [f"-Wl,--dynamic-linker={loader[1]}", "-Wl,--unresolved-symbols=ignore-in-shared-libs"]


def build(folder):
    linked = library()
    compiler = next(filter(shutil.which, ("cc", "gcc", "clang")), None)
    if compiler is None:
        skip("no C compiler")
    options = [f"-I{path}" for path in {sysconfig.get_path("include"), sysconfig.get_path("platinclude")}]
    if hasattr(sys, "gettotalrefcount"):
        options.append(f"-DREFERENCES={'_Py_GetRefTotal' if sys.version_info < (3, 12) else '_Py_GetGlobalRefTotal'}")
    libraries = [f"-Wl,-rpath,{linked.parent}", "-Wl,--disable-new-dtags", *loader_options()]
    for variable in ("LIBS", "SYSLIBS", "LINKFORSHARED"):
        libraries += (sysconfig.get_config_var(variable) or "").split()
    program = Path(folder, "embed")
    command = [compiler, "-O1", "-g", *options, str(SOURCE), "-o", str(program), str(linked), *libraries]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        print(done.stderr, file=sys.stderr)
        skip("a program that embeds the interpreter cannot be linked here")
    return program


def measure(program, module, rounds):
    """(bytes, references) after each round."""
    # Every allocation by malloc(), which counts them; the same strings in the same places each time.
    environment = {**os.environ, "PYTHONMALLOC": "malloc", "PYTHONHASHSEED": "0"}
    if sysconfig.get_config_var("Py_GIL_DISABLED"):
        del environment["PYTHONMALLOC"]  # there is one allocator only, and what it has is not counted
    done = subprocess.run(
        [program, str(rounds), usage.program(module), *filter(None, sys.path)],
        env=environment,
        capture_output=True,
        text=True,
    )
    if done.returncode != 0:
        sys.exit(f"with {module}, after {len(done.stdout.splitlines())} rounds: {done.returncode}\n{done.stderr}")
    return [tuple(map(int, line.split())) for line in done.stdout.splitlines()]


def main(rounds):
    if sys.platform != "linux" or not hasattr(os, "confstr") or not os.confstr("CS_GNU_LIBC_VERSION"):
        skip("mallinfo2() is glibc's")
    growth, references = {}, {}
    with tempfile.TemporaryDirectory() as folder:
        program = build(folder)
        for module in ("contextlib", "_acontextlib"):
            counts = measure(program, module, rounds)
            assert len(counts) == rounds, counts
            half = rounds // 2
            growth[module] = (counts[-1][0] - counts[half - 1][0]) / (rounds - half)
            references[module] = counts[-1][1]
            left = f"{growth[module]:+.0f} bytes each, {references[module]} references"
            print(f"{rounds} interpreters with {module}: {left}")
    # Interpreters that keep every interned string for ever leave a quarter of a megabyte themselves; the names in our
    # code are among those strings.
    most = 4096 if growth["contextlib"] < 65536 else 32768
    return references["_acontextlib"] > references["contextlib"] or growth["_acontextlib"] > growth["contextlib"] + most


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 50))
