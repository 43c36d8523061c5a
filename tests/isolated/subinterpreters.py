"""Interpreters with a GIL of their own, eight at a time in as many threads: each imports, uses and dies, repeatedly.

    python subinterpreters.py [ROUNDS]

All of a round are alive at the same time and say where their module and its types are: no two may share any.  The same
is done with the standard library's objects, and what an interpreter of ours costs in memory and references that stay
may not be more than that.
"""

import gc
import json
import os
import sys
import threading

import usage

import _acontextlib

if sys.version_info >= (3, 13):
    import _interpreters as interpreters
else:
    import _xxsubinterpreters as interpreters

PARALLEL = 8
NAMES = ("_AsyncGeneratorContextManager", "AsyncExitStack", "aclosing", "nullcontext", "asynccontextmanager")
SAY_WHERE = f"""
import json, os
os.write(PIPE, json.dumps([id(lib), *(id(getattr(lib, name)) for name in {NAMES!r})]).encode() + b"\\n")
"""


def create():
    return interpreters.create("isolated") if sys.version_info >= (3, 13) else interpreters.create(isolated=True)


def run(interpreter, program):
    failure = interpreters.run_string(interpreter, program)  # 3.12 raises
    if failure is not None:
        raise RuntimeError(failure)


class Round:
    """One interpreter in each thread, all of them alive while each runs its program."""

    def __init__(self, program):
        self.program = program
        self.barrier = threading.Barrier(PARALLEL, timeout=120)
        self.failures = []

    def one(self):
        try:
            interpreter = create()
            try:
                self.barrier.wait()
                run(interpreter, self.program)
                self.barrier.wait()
            finally:
                interpreters.destroy(interpreter)
        except BaseException as exc:
            self.failures.append(exc)
            self.barrier.abort()

    def run(self):
        threads = [threading.Thread(target=self.one) for _ in range(PARALLEL)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if self.failures:
            raise self.failures[0]


def in_use():
    gc.collect()
    references = sys.gettotalrefcount() if hasattr(sys, "gettotalrefcount") else 0
    return sys.getallocatedblocks(), references


def growth(module, rounds):
    """The blocks and references that one interpreter leaves behind, and where the copies of `module` were."""
    reader, writer = os.pipe()
    program = usage.program(module) + SAY_WHERE.replace("PIPE", str(writer))
    try:
        Round(program).run()  # what the first ones leave is for all
        before = in_use()
        for _ in range(rounds):
            Round(program).run()
        after = in_use()
        with os.fdopen(reader, "rb", closefd=False) as said:
            places = [json.loads(said.readline()) for _ in range(PARALLEL * (rounds + 1))]
    finally:
        os.close(reader)
        os.close(writer)
    return tuple((now - then) / (rounds * PARALLEL) for now, then in zip(after, before, strict=True)), places


def main(rounds):
    here = {id(getattr(_acontextlib, name)) for name in NAMES}
    theirs, _ = growth("contextlib", rounds)
    ours, places = growth("_acontextlib", rounds)
    for first in range(0, len(places), PARALLEL):
        found = [place for one in places[first : first + PARALLEL] for place in one]
        assert len(set(found)) == len(found), "interpreters share an object"
        assert here.isdisjoint(found), "an interpreter has an object of the main one"
    usage.use(_acontextlib)
    print(f"{PARALLEL * rounds} interpreters left, each, blocks and references:")
    print(f"  with contextlib {theirs[0]:.1f} {theirs[1]:.1f}, with _acontextlib {ours[0]:.1f} {ours[1]:.1f}")
    # Some interpreters keep every interned string for ever, thousands each: the names in our code are among them.
    most = 0.9 if theirs[0] < 100 else 500
    return ours[0] > theirs[0] + most or ours[1] > theirs[1] + 0.9


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 50))
