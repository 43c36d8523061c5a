"""Declares the extension module; all other metadata is in pyproject.toml."""

import os
import sys
from pathlib import Path

from setuptools import Extension, setup

SOURCES = Path("_acontextlib", "csrc")

if sys.platform == "win32":
    compile_args = ["/std:c11", "/W3"]
else:
    # Hidden visibility: the files call each other directly, and only PyInit__core is seen from outside.
    compile_args = ["-std=c11", "-Wall", "-Wextra", "-Wshadow", "-Wstrict-prototypes", "-fvisibility=hidden"]
    # What stands here comes after CFLAGS; who asks there for code as it was written, to debug it, is to get it.
    if not {"-O0", "-O1", "-Og"}.intersection(os.environ.get("CFLAGS", "").split()):
        compile_args.append("-O3")
    if sys.platform == "linux":
        # Some thirty calls into the interpreter per operation: 1 to 4 % less time without the stubs in between.
        compile_args.append("-fno-plt")

extensions = []
# Other implementations have no use for it: their contextlib is what the package gives there.  On CPython the extension
# is never optional: a package that is silently as slow as the stdlib would be worse than an error.
if sys.implementation.name == "cpython":
    extensions.append(
        Extension(
            "_acontextlib._core",
            sources=sorted(path.as_posix() for path in SOURCES.glob("*.c")),
            depends=sorted(path.as_posix() for path in SOURCES.glob("*.h")),
            extra_compile_args=compile_args,
        )
    )

setup(ext_modules=extensions)
