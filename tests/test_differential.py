"""Random programs behave alike on the stdlib and on ours, observed as closely as `observer` can.

The ordinary run tries the same thousand programs each time.  New ones, any number of them in several processes:

    python tests/test_differential.py --programs 1000000 --shards 2

prints the seed and every program that differs, whole and made small; with that seed and `--only NUMBER` one program
runs alone, and is printed before it does.
"""

import argparse
import os
import random
import subprocess
import sys
from types import SimpleNamespace

import fuzzing
import implementations
import pytest
from found import FOUND
from fuzzing import compare, differing, report, shrunk
from grammar import DRIVINGS, HOOKS, WAYS, draw_program
from helpers import DEBUG, FREE_THREADED, PLAIN
from programs import Program, Writer, render

STDLIB = implementations.load("stdlib")
# Debug interpreters take several times as long for each; where there is no GIL, so do collections, which visit the
# whole heap.
ORDINARY = 1000 if PLAIN else 300 if DEBUG else 30


def test_random_programs_behave_as_on_the_stdlib():
    others = [implementations.load(name) for name in implementations.OURS]
    for number, tree, other, text in differing(0, range(ORDINARY), STDLIB, others):
        pytest.fail(report(0, number, tree, STDLIB, other, text), pytrace=False)


@pytest.mark.parametrize("name", implementations.OURS)
@pytest.mark.parametrize("found", FOUND)
def test_program_that_once_differed_behaves_as_on_the_stdlib(name, found):
    program = Program(*FOUND[found])
    difference = compare(program, STDLIB, implementations.load(name))
    assert not difference, difference


# The programs.


def operations(node):
    """The names of all operations of a tree, actions and managers among them."""
    if isinstance(node, list):
        return {name for item in node for name in operations(item)}
    if isinstance(node, tuple) and node:
        return {node[0]}.union(*(operations(item) for item in node[1:]))
    return set()


def test_every_operation_is_drawn():
    trees = [draw_program(0, number) for number in range(3000)]
    drawn = set().union(*(operations(body) | operations(actions) for body, actions, _ in trees))
    written = {name.removeprefix("write_") for name in dir(Writer) if name.startswith("write_")}
    made = {name.removeprefix("manager_") for name in dir(Writer) if name.startswith("manager_")}
    assert written | made | set(WAYS) <= drawn
    assert {hooks for _, _, hooks in trees} == set(HOOKS)


def test_program_is_known_by_seed_and_number():
    assert draw_program(5, 7) == draw_program(5, 7)
    programs = [render(draw_program(seed, number)) for seed in range(3) for number in range(100)]
    assert len({program.text for program in programs}) == 3 * 100 // DRIVINGS
    assert len({str(program) for program in programs}) == 300


# The comparison itself: it sees no difference where there is none, and finds planted defects.


def disguised(cls):
    """Give a twin the names of what it stands for: those are observed, too."""
    cls.__name__ = cls.__base__.__name__
    for name, value in vars(cls).items():
        if hasattr(value, "__qualname__"):
            value.__qualname__ = f"{cls.__name__}.{name}"
    return cls


@disguised
class Same(STDLIB.AsyncExitStack):
    """A twin without a defect."""

    def pop_all(self):
        return super().pop_all()


@disguised
class Reversed(STDLIB.AsyncExitStack):
    """Runs the oldest callback first."""

    def _push_exit_callback(self, callback, is_sync=True):
        self._exit_callbacks.insert(0, (is_sync, callback))


@disguised
class Unfixed(STDLIB.AsyncExitStack):
    """Loses the context that a callback's exception has."""

    async def __aexit__(self, *details):
        try:
            return await super().__aexit__(*details)
        except BaseException as error:
            error.__context__ = None
            raise


@disguised
class Unsuppressing(STDLIB.AsyncExitStack):
    """Lets the body's exception through although a callback suppressed it."""

    async def __aexit__(self, *details):
        await super().__aexit__(*details)
        return False


@disguised
class NoneForFalse(STDLIB.AsyncExitStack):
    """Returns None where the stdlib returns False."""

    async def __aexit__(self, *details):
        return await super().__aexit__(*details) or None


@disguised
class Forgetful(STDLIB._AsyncGeneratorContextManager):
    """Loses the traceback of what it lets through."""

    async def __aexit__(self, typ, value, traceback):
        suppressed = await super().__aexit__(typ, value, traceback)
        if isinstance(value, BaseException) and not suppressed:
            value.__traceback__ = None
        return suppressed


TRIES_MANY = pytest.mark.skipif(FREE_THREADED, reason="takes minutes where each collection visits the whole heap")


def twin(**changed):
    return SimpleNamespace(**{**vars(STDLIB), "name": "twin", **changed})


def find(other):
    """The first of the ordinary programs that behaves differently on `other`, as a tree."""
    return next((tree for _, tree, *_ in differing(0, range(ORDINARY), STDLIB, [other])), None)


@TRIES_MANY
@pytest.mark.parametrize("stack", [Reversed, Unfixed, Unsuppressing, NoneForFalse], ids=lambda stack: stack.__doc__)
def test_broken_stack_is_found(stack):
    other = twin(AsyncExitStack=stack)
    assert "behaves differently on twin" in compare(render(find(other)), STDLIB, other)


@TRIES_MANY
def test_broken_manager_is_found_and_made_small():
    def asynccontextmanager(function):
        return lambda *args, **kwds: Forgetful(function, args, kwds)

    other = twin(asynccontextmanager=asynccontextmanager)
    tree = find(other)
    small = render(shrunk(tree, STDLIB, other))
    assert "behaves differently on twin" in compare(small, STDLIB, other)
    assert "@asynccontextmanager" in small.text
    assert small.text.count("\n") <= min(render(tree).text.count("\n"), 25)


def test_twin_without_defect_is_not_found():
    assert not list(differing(0, range(ORDINARY // 10), STDLIB, [twin(AsyncExitStack=Same)]))


def test_hanging_implementation_is_reported(monkeypatch):
    class Endless(STDLIB.AsyncExitStack):
        async def __aenter__(self):
            while True:
                pass

    monkeypatch.setattr("observer.HANG", 1.0)
    program = Program("async def main():\n    async with AsyncExitStack():\n        pass\n", [])
    assert "+hangs" in compare(program, STDLIB, twin(AsyncExitStack=Endless))


def test_programs_are_shared_among_processes():
    command = [sys.executable, __file__, "--programs", "9", "--shards", "2", "--seed", "3"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done
    assert "seed 3, programs 0 to 8, 2 processes" in done.stdout
    assert "9 programs," in done.stdout.splitlines()[-1]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--programs", type=int, default=100_000, help="how many")
    parser.add_argument("--shards", type=int, default=os.cpu_count(), help="in how many processes")
    parser.add_argument("--seed", type=int, help="a random one if left out; it is printed")
    parser.add_argument("--start", type=int, default=0, help="the number of the first program")
    parser.add_argument("--only", type=int, metavar="NUMBER", help="run this program of the seed, and print it")
    options = parser.parse_args()
    seed = random.SystemRandom().getrandbits(32) if options.seed is None else options.seed
    if options.only is None:
        numbers = range(options.start, options.start + options.programs)
        sys.exit(fuzzing.run(numbers, options.shards, seed, implementations.NAMES) > 0)
    print(render(draw_program(seed, options.only)), flush=True)
    others = [implementations.load(name) for name in implementations.OURS]
    texts = [report(seed, *found[:2], STDLIB, *found[2:]) for found in differing(seed, [options.only], STDLIB, others)]
    sys.exit("\n".join(texts) or 0)


if __name__ == "__main__":
    main()
