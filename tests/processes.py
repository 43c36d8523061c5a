"""Run programs in processes of their own, under plain ``python`` and under ``python -m _acontextlib``."""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import _acontextlib


def environment(**changes):
    """The environment of a child process that is to find the package this process tests, wherever it was started."""
    path = [str(Path(_acontextlib.__file__).parent.parent), *os.environ.get("PYTHONPATH", "").split(os.pathsep)]
    inherited = {name: value for name, value in os.environ.items() if name not in ("PYTHONSAFEPATH", "PYTHONWARNINGS")}
    return {**inherited, "PYTHONPATH": os.pathsep.join(filter(None, path)), "PYTHONIOENCODING": "utf-8", **changes}


class Outcome(NamedTuple):
    status: int
    stdout: str
    stderr: str


def python(*arguments, cwd, options=(), **changes):
    """What ``python ARGUMENTS`` does, started in the directory `cwd`."""
    done = subprocess.run(
        [sys.executable, *options, *map(str, arguments)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=120,
        cwd=cwd,
        env=environment(**changes),
    )
    return Outcome(done.returncode, done.stdout, done.stderr)


def accelerated(*arguments, cwd, options=(), **changes):
    """The same under ``python -m _acontextlib``."""
    return python("-m", "_acontextlib", *arguments, cwd=cwd, options=options, **changes)


def without_runpy(outcome):
    """Plain ``python -m`` shows runpy's frames at the top of a traceback; debug builds show lines of its source too."""
    frame = r'^  File "(?:<frozen runpy>|.*runpy\.py)", line \d+, in \w+\n(?:    .*\n)*'
    return outcome._replace(stderr=re.sub(frame, "", outcome.stderr, flags=re.MULTILINE))
