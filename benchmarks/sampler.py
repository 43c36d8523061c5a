"""Sample the Python stack of this process, and say how much of the time was that of contextlib's async half.

The stack is written by C code at the very moment of the signal. A signal handler in Python would run a little later, at
the start of the next function, and so put down what a caller does to those it calls.
"""

import faulthandler
import re
import signal
import tempfile

INTERVAL = 0.001  # seconds of processor time; the system may make more of it
FRAME = re.compile(r'^  File "(.*)", line \d+ in (\w+|<\w+>)$', re.MULTILINE)
# What contextlib's functions call and would not be called without them: wraps(), getattr_static() on 3.15, and what
# asyncio's loop notes of a generator that begins.
HELPERS = re.compile(r"(?:^|[\\/])(?:functools|inspect|_weakrefset|weakref)\.py$")
HOOK = "_asyncgen_firstiter_hook"
SYNCHRONOUS = ("__enter__", "__exit__")


class Sampler:
    """Between begin() and end(), which says how many samples there are and what per cent of them are contextlib's."""

    def begin(self):
        self.file = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")  # noqa: SIM115
        # Chained to nothing: only then is errno put back, which code that the signal interrupts has yet to look at.
        signal.signal(signal.SIGPROF, signal.SIG_IGN)
        faulthandler.register(signal.SIGPROF, file=self.file, all_threads=False, chain=True)
        signal.setitimer(signal.ITIMER_PROF, INTERVAL, INTERVAL)

    def end(self):
        signal.setitimer(signal.ITIMER_PROF, 0)
        with self.file:
            self.file.seek(0)
            stacks = [FRAME.findall(stack) for stack in re.split(r"^\S.*\n", self.file.read(), flags=re.MULTILINE)]
            faulthandler.unregister(signal.SIGPROF)
        stacks = [stack for stack in stacks if stack]
        return {"samples": len(stacks), "share": 100 * sum(map(is_contextlib, stacks)) / max(1, len(stacks))}


def is_contextlib(stack):
    """Whether the async half of contextlib was at work: its frame is the innermost, but for those of its helpers."""
    for file, function in stack:
        if not HELPERS.search(file) and function != HOOK:
            return re.search(r"(?:^|[\\/])contextlib\.py$", file) is not None and function not in SYNCHRONOUS
    return False
