"""Threads that share one object: each round, all of them do something to it at the same time.

Every scenario knows what must be true afterwards: each resource was released exactly once, or an operation failed with
an error that is documented for it. It is no use to run this on a build without the GIL only: with a short switch
interval threads get into each other's way on all of them.

    python tests/stress/sharing.py [--seconds S] [--threads N] [--seed S] [SCENARIO...]
"""

import argparse
import contextlib
import gc
import itertools
import os
import sys
import threading
import time
import weakref
from collections import Counter, deque

from crew import BUSY, DID_NOT_STOP, ENDED, ENTERED, NOTHING, Crew, Pause, Tally, check, drive, resource

import _acontextlib as lib

SCENARIOS = {}


def scenario(function):
    SCENARIOS[function.__name__.replace("_", "-")] = function
    return function


# -- functions and managers --


@scenario
def one_function(crew):
    tally = Tally()
    manager = resource(tally)

    def work(number):
        for turn in range(5):
            cm = manager((number, turn), 1, 2, 3, name=4)
            assert drive(cm.__aenter__()) == (number, turn)
            assert drive(cm.__aexit__(*NOTHING)) is False

    check(crew(work))
    tally.exactly_once()


@scenario
def one_function_decorated(crew):
    async def generator(value):
        yield value

    def work(number):
        decorated = lib.asynccontextmanager(generator)
        generator.__dict__[f"attribute{number}"] = number
        cm = decorated(number)
        assert decorated.__wrapped__ is generator
        assert drive(cm.__aenter__()) == number
        drive(cm.__aexit__(*NOTHING))

    check(crew(work))


@scenario
def one_manager(crew):
    tally = Tally()
    cm = resource(tally, crew.random.randrange(3))("key", 1, name=2)
    entered = check(crew(lambda number: drive(cm.__aenter__())), BUSY, ENTERED)
    assert entered == ["key"]
    check(crew(lambda number: drive(cm.__aexit__(*NOTHING))), BUSY)
    tally.exactly_once(["key"])


@scenario
def one_manager_raising(crew):
    tally = Tally()
    cm = resource(tally, crew.random.randrange(3))("key")
    drive(cm.__aenter__())
    errors = [ZeroDivisionError(number) for number in range(crew.count)]

    def work(number):
        exc = errors[number]
        return drive(cm.__aexit__(type(exc), exc, None))

    outcomes = check(crew(work), BUSY, DID_NOT_STOP)
    assert outcomes.count(False) == len(outcomes) <= 1
    tally.exactly_once(["key"])


@scenario
def one_manager_as_a_decorator(crew):
    """`@manager()` makes a manager for each call, while somebody enters the one it has."""
    tally = Tally()
    cm = resource(tally)("key", 1, 2, 3, name=4)

    def work(number):
        if number == 0:
            return drive(cm.__aenter__())
        again = cm._recreate_cm()
        return drive(again.__aenter__()), drive(again.__aexit__(*NOTHING))

    outcomes = check(crew(work), ENTERED)
    assert "key" in outcomes
    drive(cm.__aexit__(*NOTHING))
    assert Counter(tally.begun) == Counter(tally.ended) == {"key": len(outcomes)}


@scenario
def attributes_of_one_manager(crew):
    tally = Tally()
    cm = resource(tally)("key", 1, 2, name=3)

    def work(number):
        if number == 0:
            return drive(cm.__aenter__())
        for turn in range(10):
            if number == 1:
                cm.args, cm.kwds = (f"key{turn}",), {str(turn): turn}
                cm.__doc__ = str(turn)
                cm.extra = [turn]
            with contextlib.suppress(AttributeError):
                assert isinstance(cm.args, tuple) and isinstance(cm.kwds, dict)
                assert callable(cm.func)
            assert cm.gen.__name__ == "manager"
            assert isinstance(cm.__doc__, str)
            assert weakref.ref(cm)() is cm
            vars(cm).get("extra")
        return None

    check(crew(work), ENTERED)
    drive(cm.__aexit__(*NOTHING))
    tally.exactly_once(["key"])


@scenario
def one_generator_under_managers(crew):
    """Each manager enters, leaves or raises into the same generator, in which nobody may be twice."""
    inside = []

    async def numbers():
        for number in itertools.count():
            inside.append(number)
            assert len(inside) == 1
            await Pause()
            inside.pop()
            try:
                yield number
            except LookupError:
                pass

    gen = numbers()
    drive(gen.asend(None))
    cms = [lib._AsyncGeneratorContextManager(lambda: gen, (), {}) for _ in range(crew.count)]

    def work(number):
        cm, exc = cms[number], LookupError()
        if number % 3 == 0:
            return drive(cm.__aenter__())
        if number % 3 == 1:
            return drive(cm.__aexit__(*NOTHING))
        return drive(cm.__aexit__(LookupError, exc, None))

    outcomes = check(crew(work), BUSY, DID_NOT_STOP, ENDED)
    entered = [outcome for outcome in outcomes if not isinstance(outcome, bool)]
    assert len(set(entered)) == len(entered), entered
    drive(gen.aclose())


@scenario
def one_generator_closed(crew):
    """By aclosing() in some threads, while others enter."""
    ended = []

    async def numbers():
        try:
            for number in itertools.count():
                await Pause()
                yield number
        finally:
            ended.append(1)

    gen = numbers()
    drive(gen.asend(None))
    closing = lib.aclosing(gen)

    def work(number):
        if number % 2:
            return drive(lib._AsyncGeneratorContextManager(lambda: gen, (), {}).__aenter__())
        return drive(closing.__aexit__(*NOTHING))

    check(crew(work), BUSY, ENDED)
    drive(gen.aclose())
    assert ended == [1]


# -- awaitables --


@scenario
def one_awaitable(crew):
    tally = Tally()
    cm = resource(tally, 3)("key")
    awaitable = cm.__aenter__()
    assert check(crew(lambda number: drive(awaitable)), BUSY) == ["key"]
    drive(cm.__aexit__(*NOTHING))
    tally.exactly_once(["key"])


@scenario
def one_awaitable_thrown_into_and_closed(crew):
    tally = Tally()
    cm = resource(tally, 3)("key")
    awaitable = cm.__aenter__()
    actions = [crew.random.choice((awaitable.close, drive, drive, awaitable.throw)) for _ in range(crew.count)]

    def work(number):
        action = actions[number]
        if action is drive:
            return drive(awaitable)
        return action() if action == awaitable.close else action(LookupError("thrown"))

    outcomes = check(crew(work), BUSY, ((LookupError, "thrown"), (GeneratorExit, "")))
    assert outcomes.count("key") <= 1
    awaitable.close()
    drive(cm.gen.aclose())
    tally.exactly_once()


@scenario
def attributes_of_one_awaitable(crew):
    tally = Tally()
    cm = resource(tally, 5)("key")
    awaitable = cm.__aenter__()

    def work(number):
        if number == 0:
            return drive(awaitable)
        for turn in range(10):
            if number == 1:
                awaitable.__name__ = f"name{turn}"
                awaitable.__qualname__ = f"qualname{turn}"
            assert isinstance(awaitable.__name__, str)
            assert isinstance(awaitable.__qualname__, str)
            assert isinstance(repr(awaitable), str)
            assert awaitable.cr_running in (True, False)
            assert awaitable.cr_suspended in (True, False)
            assert awaitable.cr_origin is None
            assert weakref.ref(awaitable)() is awaitable
        return None

    check(crew(work))
    drive(cm.__aexit__(*NOTHING))
    tally.exactly_once(["key"])


@scenario
def awaitables_dropped(crew):
    """By whoever is last: a suspended one is closed once, in whichever thread that is."""
    tally = Tally()
    manager = resource(tally)
    held = []
    for key in range(10):
        awaitable = manager(key).__aenter__()
        awaitable.send(None)
        held.append(awaitable)
    copies = [list(held) for _ in range(crew.count)]
    held.clear()
    del awaitable
    check(crew(lambda number: copies[number].clear()))
    gc.collect()
    tally.exactly_once(range(10))


# -- stacks --


@scenario
def one_stack(crew):
    tally, stack = Tally(), lib.AsyncExitStack()

    async def leave(key):
        tally(key)

    def push(number):
        for turn in range(0, 20, 2):
            stack.callback(tally, (number, turn))
            stack.push_async_callback(leave, (number, turn + 1))

    check(crew(push))
    check(crew(lambda number: drive(stack.aclose())))
    tally.exactly_once(itertools.product(range(crew.count), range(20)))


@scenario
def one_stack_pushed_to_while_left(crew):
    tally, stack = Tally(), lib.AsyncExitStack()

    def work(number):
        for turn in range(20):
            if number % 2:
                drive(stack.aclose())
            else:
                stack.callback(tally, (number, turn))

    check(crew(work))
    drive(stack.aclose())
    tally.exactly_once(itertools.product(range(0, crew.count, 2), range(20)))


@scenario
def one_stack_entering_managers(crew):
    tally, stack = Tally(), lib.AsyncExitStack()
    manager = resource(tally)

    def work(number):
        for turn in range(5):
            assert drive(stack.enter_async_context(manager((number, turn)))) == (number, turn)
            stack.enter_context(lib.nullcontext())

    check(crew(work))
    check(crew(lambda number: drive(stack.__aexit__(*NOTHING))))
    tally.exactly_once(itertools.product(range(crew.count), range(5)))


@scenario
def one_stack_moved(crew):
    """pop_all() by everybody, while others push."""
    tally, stack = Tally(), lib.AsyncExitStack()

    def work(number):
        for turn in range(20):
            stack.callback(tally, (number, turn))
            if turn % 3 == number % 3:
                drive(stack.pop_all().aclose())

    check(crew(work))
    drive(stack.aclose())
    tally.exactly_once(itertools.product(range(crew.count), range(20)))


@scenario
def stacks_of_one_class(crew):
    """pop_all() of one into the other's, both ways at once: two critical sections."""
    tally = Tally()
    stacks = [lib.AsyncExitStack(), lib.AsyncExitStack()]

    class Returning(lib.AsyncExitStack):
        """Whose calls give a stack that is there already."""

        def __new__(cls):
            with lock:  # what cycle() returns is not for several threads
                return next(turns)

    turns, lock = itertools.cycle(stacks), threading.Lock()
    for stack in stacks:
        stack.__class__ = Returning

    def work(number):
        for turn in range(10):
            stacks[number % 2].callback(tally, (number, turn))
            stacks[turn % 2].pop_all()

    check(crew(work))
    for stack in stacks:
        drive(stack.aclose())
    assert len(set(tally.ended)) == len(tally.ended)


@scenario
def one_stack_published(crew):
    """Somebody reads `_exit_callbacks` while others push: nothing is lost, nothing is there twice."""
    tally, stack = Tally(), lib.AsyncExitStack()

    def work(number):
        for turn in range(20):
            if number == 0:
                assert isinstance(stack._exit_callbacks, deque)
                sys.getsizeof(stack)
            else:
                stack.callback(tally, (number, turn))

    check(crew(work))
    check(crew(lambda number: drive(stack.pop_all().aclose())))
    tally.exactly_once(itertools.product(range(1, crew.count), range(20)))


@scenario
def one_stack_assigned_to(crew):
    tally, stack = Tally(), lib.AsyncExitStack()

    def work(number):
        for turn in range(20):
            if number == 0:
                stack._exit_callbacks = deque()
            elif number == 1 and turn % 5 == 0:
                stack.__init__()
            else:
                stack.callback(tally, (number, turn))

    check(crew(work))
    drive(stack.aclose())
    assert len(set(tally.ended)) == len(tally.ended)


@scenario
def one_awaitable_of_a_stack(crew):
    tally, stack = Tally(), lib.AsyncExitStack()
    manager = resource(tally, 2)
    for key in range(5):
        drive(stack.enter_async_context(manager(key)))
    awaitable = stack.aclose()
    assert len(check(crew(lambda number: drive(awaitable)), BUSY)) == 1
    tally.exactly_once(range(5))


# -- classes --


@scenario
def class_of_stacks_patched(crew):
    """Methods come and go while stacks are used: each push goes one way or the other."""
    tally = Tally()

    class Stack(lib.AsyncExitStack):
        pass

    def push_exit_callback(self, callback, is_sync=True):
        super(Stack, self)._push_exit_callback(callback, is_sync)

    def work(number):
        for turn in range(10):
            if number == 0:
                if turn % 2:
                    del Stack._push_exit_callback
                else:
                    Stack._push_exit_callback = push_exit_callback
                continue
            stack = Stack()
            stack.callback(tally, (number, turn))
            drive(stack.aclose())

    check(crew(work))
    tally.exactly_once(itertools.product(range(1, crew.count), range(10)))


@scenario
def class_of_managers_patched(crew):
    tally = Tally()
    cls = lib._AsyncGeneratorContextManager
    manager, original = resource(tally), cls.__aexit__

    async def patched(self, *details):
        return await original(self, *details)

    def work(number):
        for turn in range(5):
            if number == 0:
                cls.__aexit__ = original if turn % 2 else patched
                continue
            stack = lib.AsyncExitStack()
            drive(stack.enter_async_context(manager((number, turn))))
            drive(stack.aclose())

    try:
        check(crew(work))
    finally:
        cls.__aexit__ = original
    tally.exactly_once(itertools.product(range(1, crew.count), range(5)))


@scenario
def one_value(crew):
    """Of nullcontext and aclosing, set and read."""
    null, closing = lib.nullcontext(0), lib.aclosing(0)

    def work(number):
        for turn in range(20):
            if number % 2:
                null.enter_result = [turn]
                closing.thing = [turn]
                continue
            with null as value:
                assert value == 0 or isinstance(value, list)
            assert drive(closing.__aenter__()) == 0 or isinstance(closing.thing, list)
            null.__init__(0)
            assert weakref.ref(null)() is null

    check(crew(work))


# -- install() --


@scenario
def installed_and_uninstalled(crew):
    """What contextlib has meanwhile is one or the other, and either works."""
    tally = Tally()

    async def generator(key):
        try:
            yield key
        finally:
            tally(key)

    def work(number):
        for turn in range(10):
            if number < 2:
                (lib.install if turn % 2 == number else lib.uninstall)()
                continue
            cm = contextlib.asynccontextmanager(generator)((number, turn))
            assert drive(cm.__aenter__()) == (number, turn)
            drive(cm.__aexit__(*NOTHING))

    try:
        check(crew(work))
    finally:
        lib.uninstall()
    tally.exactly_once(itertools.product(range(2, crew.count), range(10)))


# -- running them --


def run(name, crew, seconds):
    """Rounds of one scenario for so long, at least one; their number."""
    end = time.monotonic() + seconds
    for rounds in itertools.count(1):
        SCENARIOS[name](crew)
        if time.monotonic() > end:
            return rounds


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("scenarios", nargs="*", metavar="SCENARIO", help=f"of {', '.join(SCENARIOS)}")
    parser.add_argument("--seconds", type=float, default=20, help="for each scenario")
    parser.add_argument("--threads", type=int, default=6)
    parser.add_argument("--seed", type=int, default=int.from_bytes(os.urandom(3), "big"))
    options = parser.parse_args()
    sys.setswitchinterval(1e-5)
    gil = getattr(sys, "_is_gil_enabled", lambda: True)()
    print(f"seed {options.seed}, {lib.drive} drive, GIL {'on' if gil else 'off'}", flush=True)
    crew = Crew(options.threads, options.seed)
    for name in options.scenarios or SCENARIOS:
        print(f"{name}: {run(name, crew, options.seconds)} rounds", flush=True)
    crew.stop()


if __name__ == "__main__":
    main()
