"""Random programs behave alike on the stdlib and on ours, observed as closely as `observer` can.

The ordinary run tries the same few hundred programs each time.  ACONTEXTLIB_FUZZ_EXAMPLES=N tries N new ones, and
`python tests/test_differential.py` goes on, a thousand by a thousand with a fresh seed each, until it finds one that
differs.
ACONTEXTLIB_FUZZ_LAST=FILE writes each program to a file before it runs, for when one crashes the interpreter.
"""

import argparse
import difflib
import os
import random
import sys
from pathlib import Path
from types import SimpleNamespace

import implementations
import pytest

pytest.importorskip("hypothesis", reason="hypothesis makes the random programs")

import hypothesis
from helpers import DEBUG, PLAIN
from hypothesis import HealthCheck, Phase, Verbosity, given, settings
from hypothesis.errors import NoSuchExample
from observer import observe
from programs import PROGRAMS, Program

EXAMPLES = int(os.environ.get("ACONTEXTLIB_FUZZ_EXAMPLES", "0"))
# Debug interpreters take several times as long for each; where there is no GIL, so do collections, which visit the
# whole heap.
ORDINARY = 300 if PLAIN else 100 if DEBUG else 30
LAST = os.environ.get("ACONTEXTLIB_FUZZ_LAST")
QUIET = {
    "deadline": None,
    "database": None,
    "phases": (Phase.generate, Phase.shrink),
    "verbosity": Verbosity.quiet,
    "report_multiple_bugs": False,
    "suppress_health_check": list(HealthCheck),
}
STDLIB = implementations.load("stdlib")


@pytest.fixture(autouse=True, scope="module")
def _others_frozen():
    """Not here: hypothesis asks the collector who holds its random number generators."""


def compare(program, one, other):
    """Return None if a program behaves alike on both, or a text that shows it and where they part."""
    if LAST:
        Path(LAST).write_text(str(program))
    expected = observe(one, program)
    # Chains of contexts with a cycle make the stdlib loop for ever; test_unwinding.py shows what ours does there.
    if expected is None:
        return None
    actual = observe(other, program)
    if actual == expected:
        return None
    diff = difflib.unified_diff(expected, actual or ["hangs"], one.name, other.name, n=3, lineterm="")
    numbered = "".join(f"{number:4} {line}\n" for number, line in enumerate(str(program).splitlines(), 1))
    return f"this program behaves differently on {other.name}:\n{numbered}\n" + "\n".join(diff)


def fuzz(other, examples, seed=None):
    """Try that many programs on an implementation against the stdlib; without a seed always the same ones."""

    @settings(max_examples=examples, derandomize=seed is None, **QUIET)
    @given(PROGRAMS)
    def alike(program):
        difference = compare(program, STDLIB, other)
        if difference:
            pytest.fail(difference, pytrace=False)

    if seed is not None:
        hypothesis.seed(seed)(alike)()
    else:
        alike()


@pytest.mark.parametrize("name", implementations.OURS)
def test_random_programs_behave_as_on_the_stdlib(name, request):
    given_seed = request.config.getoption("--hypothesis-seed", None)
    seed = int(given_seed or random.SystemRandom().getrandbits(32)) if EXAMPLES else None
    print(f"seed {seed}, {EXAMPLES or ORDINARY} programs")
    fuzz(implementations.load(name), EXAMPLES or ORDINARY, seed)


# Programs that once behaved differently.

GENERATOR = """\
@asynccontextmanager
async def manager():
    log('starts')
    yield
    log('leaving', await pause('leaving', 'generator'))

async def main():
    try:
        raise new(ValueError)
    except ValueError:
        made = keep(manager())
        drive('enter', made.__aenter__(), [])
        drive('leave', made.__aexit__(None, None, None), {actions})
"""
FOUND = {
    "throw before the start keeps out what the caller handles": [("throw", "KeyError")],
    "throw at an await keeps out what the caller handles": [("send", None), ("throw", "KeyError")],
    "StopIteration thrown before the start": [("throw", "StopIteration")],
    "StopIteration thrown at an await": [("send", None), ("throw", "StopIteration")],
}


@pytest.mark.parametrize("name", implementations.OURS)
@pytest.mark.parametrize("found", FOUND)
def test_program_that_once_differed_behaves_as_on_the_stdlib(name, found):
    program = Program(GENERATOR.format(actions=FOUND[found]), [], False)
    difference = compare(program, STDLIB, implementations.load(name))
    assert not difference, difference


# The comparison itself: it sees no difference where there is none, and finds planted defects.

TRIES_MANY = pytest.mark.skipif(not PLAIN, reason="takes minutes on debug and free-threaded builds")


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

    async def __aexit__(self, *details):
        return await super().__aexit__(*details)


@disguised
class Reversed(STDLIB.AsyncExitStack):
    """Runs the oldest callback first."""

    def _push_exit_callback(self, callback, is_sync=True):
        self._exit_callbacks.appendleft((is_sync, callback))


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
        if value is not None and not suppressed:
            value.__traceback__ = None
        return suppressed


def twin(**changed):
    return SimpleNamespace(**{**vars(STDLIB), "name": "twin", **changed})


def find(other, examples):
    """The first program found to behave differently on `other`."""
    limits = settings(max_examples=examples, derandomize=True, **{**QUIET, "phases": (Phase.generate,)})
    return hypothesis.find(PROGRAMS, lambda program: compare(program, STDLIB, other) is not None, settings=limits)


@TRIES_MANY
@pytest.mark.parametrize("stack", [Reversed, Unfixed, Unsuppressing, NoneForFalse], ids=lambda stack: stack.__doc__)
def test_broken_stack_is_found(stack):
    other = twin(AsyncExitStack=stack)
    program = find(other, 3000)
    assert "behaves differently on twin" in compare(program, STDLIB, other)


@TRIES_MANY
def test_broken_manager_is_found():
    def asynccontextmanager(function):
        return lambda: Forgetful(function, (), {})

    program = find(twin(asynccontextmanager=asynccontextmanager), 3000)
    assert "@asynccontextmanager" in program.text


@TRIES_MANY
def test_twin_without_defect_is_not_found():
    with pytest.raises(NoSuchExample):
        find(twin(AsyncExitStack=Same), 100)


def test_hanging_implementation_is_reported(monkeypatch):
    class Endless(STDLIB.AsyncExitStack):
        async def __aenter__(self):
            while True:
                pass

    monkeypatch.setattr("observer.HANG", 0.5)
    program = Program("async def main():\n    async with AsyncExitStack():\n        pass\n", [], False)
    assert "+hangs" in compare(program, STDLIB, twin(AsyncExitStack=Endless))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--examples", type=int, default=1000, help="programs in each round")
    parser.add_argument("--seed", type=int, help="run one round, with this seed; without it, rounds without end")
    parser.add_argument("--implementation", choices=implementations.OURS, help="only this one")
    options = parser.parse_args()
    names = [options.implementation] if options.implementation else implementations.OURS
    while True:
        seed = random.SystemRandom().getrandbits(32) if options.seed is None else options.seed
        for name in names:
            print(f"{name}: {options.examples} programs, seed {seed}", flush=True)
            try:
                fuzz(implementations.load(name), options.examples, seed)
            except pytest.fail.Exception as failure:
                sys.exit(str(failure))
        if options.seed is not None:
            break


if __name__ == "__main__":
    main()
