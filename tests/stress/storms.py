"""Tasks in random managers and stacks; cancelled, timed out and interrupted at random: is all released, and once?

    python tests/stress/storms.py [--loop asyncio] [--implementation c-direct] [--seconds 60] [--tasks 10000] [--seed N]

Goes on until the seconds are over and the tasks are done, a wave of tasks at a time, each in a loop of its own. Some
waves end in a KeyboardInterrupt, raised by a timer's signal in the midst of a task. The managers of the tasks hold
resources, of which a ledger is kept. After each wave none may be held any more, the collector must find nothing of
ours alive, and nothing may have been reported as unraisable. In the end the number of memory blocks must be what it
was after the first waves, but for what the loops themselves keep: the standard library's objects in place of ours
(`--implementation stdlib`) show how much that is.
"""

import argparse
import asyncio
import contextlib
import gc
import random
import signal
import sys
import time
import warnings
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import implementations

WAVE = 250  # tasks
WARM_UP = 4  # waves before memory is measured
GROWTH = 2_000  # blocks
LOOPS = ("asyncio", "uvloop", "trio")


class Boom(Exception):
    """What bodies and managers raise."""


class Ledger:
    """Who holds what: a resource is a number."""

    def __init__(self):
        self.held, self.acquired, self.errors = set(), 0, []

    def acquire(self):
        self.acquired += 1
        self.held.add(self.acquired)
        return self.acquired

    def release(self, number):
        if number not in self.held:
            self.errors.append(f"resource {number} was released twice")
        self.held.discard(number)


def work():
    """The only function that is interrupted: what holds a resource by then has a `finally` around."""
    for _ in range(100):
        pass


class Interrupts:
    """Raises KeyboardInterrupt in work(), some time after it was armed."""

    def __init__(self, rng):
        self.rng, self.raised, self.armed = rng, 0, False
        signal.signal(signal.SIGALRM, self.handle)

    def __enter__(self):
        self.armed = self.rng.random() < 0.8
        if self.armed:
            signal.setitimer(signal.ITIMER_REAL, self.rng.uniform(0.001, 0.08))

    def __exit__(self, *details):
        self.armed = False
        signal.setitimer(signal.ITIMER_REAL, 0)

    def handle(self, number, frame):
        if not self.armed:
            return
        if frame is None or frame.f_code is not work.__code__:
            signal.setitimer(signal.ITIMER_REAL, self.rng.uniform(0.00002, 0.0005))
            return
        self.armed = False
        self.raised += 1
        raise KeyboardInterrupt


# -- the loops: a wave of tasks, a pause, a timeout --


class Asyncio:
    factory = None

    async def pause(self, seconds):
        await asyncio.sleep(seconds)

    def timeout(self, seconds):
        return asyncio.timeout(seconds)

    def after_interrupt(self, loop):
        pass

    async def torment(self, rng, jobs):
        tasks = [asyncio.create_task(job) for job in jobs]
        while not all(task.done() for task in tasks):
            for task in rng.sample(tasks, 2):
                task.cancel()
            await asyncio.sleep(rng.choice((0, 0, 0.001)))
        await asyncio.gather(*tasks, return_exceptions=True)

    def wave(self, rng, jobs):
        try:
            with asyncio.Runner(loop_factory=self.factory) as runner:
                runner.get_loop().set_exception_handler(lambda loop, context: None)  # interrupts nobody asks for
                try:
                    runner.run(self.torment(rng, jobs))
                except KeyboardInterrupt:
                    self.after_interrupt(runner.get_loop())
                    raise
        except KeyboardInterrupt:
            for job in jobs:  # those that had not yet become tasks
                job.close()


class Uvloop(Asyncio):
    def __init__(self):
        import uvloop

        self.factory = uvloop.new_event_loop

    def after_interrupt(self, loop):
        """The loop may still be about to stop, which would end the first of the runs that close it.

        So run until it no longer is. A run that were over in the very round in which the loop stops would leave its
        own stop behind, hence the rounds.
        """

        async def rounds():
            for _ in range(5):
                await asyncio.sleep(0)

        for _ in range(10):
            with contextlib.suppress(RuntimeError):
                loop.run_until_complete(rounds())
                break


class Trio:
    def __init__(self):
        import trio

        self.trio = trio

    async def pause(self, seconds):
        await self.trio.sleep(seconds)

    @contextlib.asynccontextmanager
    async def timeout(self, seconds):
        with self.trio.move_on_after(seconds):
            yield

    async def in_scope(self, scope, job):
        with scope:
            await job

    async def torment(self, rng, jobs):
        scopes = [self.trio.CancelScope() for _ in jobs]
        async with self.trio.open_nursery() as nursery:
            for scope, job in zip(scopes, jobs, strict=True):
                nursery.start_soon(self.in_scope, scope, job)
            while nursery.child_tasks:
                for scope in rng.sample(scopes, 2):
                    scope.cancel()
                await self.trio.sleep(rng.choice((0, 0, 0.001)))

    def wave(self, rng, jobs):
        try:
            self.trio.run(self.torment, rng, jobs)
        except KeyboardInterrupt:
            pass
        except BaseExceptionGroup as group:
            rest = group.split(KeyboardInterrupt)[1]
            if rest is not None:
                raise rest from None
        for job in jobs:
            job.close()


def make_loop(name):
    return {"asyncio": Asyncio, "uvloop": Uvloop, "trio": Trio}[name]()


# -- the tasks --


class Storm:
    """The managers that the tasks are in, and one task after the other."""

    def __init__(self, lib, loop, rng, ledger):
        self.lib, self.loop, self.rng, self.ledger = lib, loop, rng, ledger
        self.generator = lib.asynccontextmanager(self.generator)
        self.suppressing = lib.asynccontextmanager(self.suppressing)
        self.careless = lib.asynccontextmanager(self.careless)

    async def breathe(self):
        """Wait, work, or both, or raise."""
        what = self.rng.random()
        if what < 0.5:
            await self.loop.pause(0 if what < 0.4 else self.rng.random() / 200)
        if what > 0.3:
            work()
        if what > 0.97:
            raise Boom

    async def generator(self, *args, **kwds):
        await self.breathe()
        number = self.ledger.acquire()
        try:
            yield number
            await self.breathe()
        finally:
            try:
                await self.breathe()
            finally:
                self.ledger.release(number)

    async def suppressing(self, *args):
        number = self.ledger.acquire()
        try:
            yield number
        except Boom:
            await self.breathe()
        finally:
            self.ledger.release(number)

    async def careless(self):
        """Yields once too often."""
        async with self.generator() as number:
            try:
                yield number
            except Boom:
                yield number

    async def numbers(self):
        number = self.ledger.acquire()
        try:
            for item in range(3):
                await self.breathe()
                yield item
        finally:
            self.ledger.release(number)

    def manager(self):
        """A manager written as a class."""
        storm = self

        class Manager:
            async def __aenter__(self):
                await storm.breathe()
                self.number = storm.ledger.acquire()
                return self

            async def __aexit__(self, kind, value, traceback):
                try:
                    await storm.breathe()
                finally:
                    storm.ledger.release(self.number)
                return kind is Boom and storm.rng.random() < 0.5

        return Manager()

    async def release(self, number, *details):
        try:
            await self.breathe()
        finally:
            self.ledger.release(number)

    async def fill(self, stack, depth):
        for _ in range(self.rng.randrange(4)):
            match self.rng.randrange(8):
                case 0:
                    await stack.enter_async_context(self.generator(1, key=2))
                case 1:
                    await stack.enter_async_context(self.manager())
                case 2:
                    stack.callback(self.ledger.release, self.ledger.acquire())
                case 3:
                    stack.push_async_callback(self.release, self.ledger.acquire())
                case 4:
                    number = self.ledger.acquire()
                    stack.push_async_exit(lambda *details, number=number: self.release(number))
                case 5:
                    stack.enter_context(self.lib.nullcontext())
                    stack.push(lambda *details: details[0] is Boom)
                case 6 if depth:
                    inner = await stack.enter_async_context(self.lib.AsyncExitStack())
                    await self.fill(inner, depth - 1)
                case _:
                    await self.breathe()

    async def nest(self, depth):
        await self.breathe()
        if depth == 0:
            return
        match self.rng.randrange(9):
            case 0 | 1:
                async with self.generator(depth):
                    await self.nest(depth - 1)
            case 2:
                async with self.suppressing(), self.manager():
                    await self.nest(depth - 1)
            case 3:
                async with self.careless():
                    await self.nest(depth - 1)
            case 4:
                async with self.lib.AsyncExitStack() as stack:
                    await self.fill(stack, depth)
                    await self.nest(depth - 1)
            case 5:
                async with self.lib.AsyncExitStack() as stack:
                    await self.fill(stack, depth)
                    other = stack.pop_all()
                    async with other:
                        await self.nest(depth - 1)
            case 6:
                async with self.loop.timeout(self.rng.random() / 300):
                    await self.nest(depth - 1)
            case 7:
                async with self.lib.aclosing(self.numbers()) as numbers:
                    async for _ in numbers:
                        await self.nest(depth - 1)
            case 8:
                await self.generator(depth)(self.nest)(depth - 1)

    async def job(self):
        try:
            await self.nest(4)
        except (Boom, RuntimeError, TimeoutError):
            pass


def ours_alive(lib):
    """The objects that a wave has left behind, as the names of their types."""
    types = (lib._AsyncGeneratorContextManager, lib.AsyncExitStack, lib.aclosing, lib.nullcontext)
    names = {"coroutine", "async_generator", "coroutine_wrapper", "bound_method"}
    return [
        type(thing).__name__
        for thing in gc.get_objects()
        if type(thing) in types
        or (type(thing).__name__ in names and "Storm" in getattr(thing, "__qualname__", "Storm"))
    ]


def storm(name="c-direct", loop_name="asyncio", seconds=1.0, tasks=500, seed=None):
    """Let it rage; the faults found, and a line about it."""
    rng = random.Random(seed)
    lib, ledger, loop = implementations.load(name), Ledger(), make_loop(loop_name)
    interrupts = Interrupts(rng)
    unraisable = []

    def note_unraisable(report):
        # Of a loop that was being closed when the timer went off; 3.11 prints where and reports no more than the error.
        of_wakeup = "signal wakeup fd" in (report.err_msg or "")
        if not of_wakeup and (report.object is not None or not isinstance(report.exc_value, OSError)):
            unraisable.append(f"unraisable: {report.exc_value!r} in {report.object!r}")

    sys.unraisablehook = note_unraisable
    end, waves, faults, first = time.monotonic() + seconds, 0, [], 0
    raging = Storm(lib, loop, rng, ledger)
    while (time.monotonic() < end or waves * WAVE < tasks) and not faults:
        size = min(WAVE, tasks)
        jobs = [raging.job() for _ in range(size)]
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            with interrupts:
                loop.wave(rng, jobs)
            del jobs
            waves += 1
            if ledger.held:
                faults.append(f"wave {waves}: {len(ledger.held)} resources are still held")
            gc.collect()
        alive = ours_alive(lib)
        faults += ledger.errors + unraisable + [f"wave {waves}: {alive} are alive"] * bool(alive)
        faults += [f"wave {waves}: {warning.message}" for warning in warned]
        faults += [f"wave {waves}: uncollectable {thing!r}" for thing in gc.garbage]
        del warned
        if waves == WARM_UP:
            first = sys.getallocatedblocks()
    grown = sys.getallocatedblocks() - first if waves > WARM_UP else 0
    if grown > GROWTH:
        faults.append(f"{grown} memory blocks more than after {WARM_UP} waves")
    return faults, (
        f"{name} on {loop_name}: {waves} waves of {size} tasks, {ledger.acquired} resources, "
        f"{interrupts.raised} interrupts, {grown:+} blocks"
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--loop", choices=LOOPS, default="asyncio")
    parser.add_argument("--implementation", choices=implementations.NAMES, default="c-direct")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--tasks", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    chosen = parser.parse_args()
    print(f"seed {chosen.seed}", flush=True)
    faults, line = storm(chosen.implementation, chosen.loop, chosen.seconds, chosen.tasks, chosen.seed)
    print(line, *faults[:20], sep="\n")
    sys.exit(1 if faults else 0)


if __name__ == "__main__":
    main()
