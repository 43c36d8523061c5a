"""Threads that begin together, what one of them may be told, and resources that are counted."""

import random
import threading
from collections import Counter

import _acontextlib as lib

# What a second thread may be told, by type and how the text begins.
BUSY = (
    (ValueError, "coroutine already executing"),
    (RuntimeError, "cannot reuse already awaited coroutine"),
    (RuntimeError, "coroutine is being awaited already"),
    (RuntimeError, "anext(): asynchronous generator is already running"),
    (RuntimeError, "athrow(): asynchronous generator is already running"),
    (RuntimeError, "aclose(): asynchronous generator is already running"),
)
ENTERED = ((AttributeError, "'_AsyncGeneratorContextManager' object has no attribute"),)
DID_NOT_STOP = ((RuntimeError, "generator didn't stop"),)
ENDED = ((RuntimeError, "generator didn't yield"),)


class Pause:
    def __await__(self):
        yield


class Crew:
    """Threads that wait for work and begin it together."""

    def __init__(self, count, seed):
        self.count = count
        self.random = random.Random(seed)
        self.start = threading.Barrier(count + 1)
        self.end = threading.Barrier(count + 1)
        self.work = None
        self.outcomes = [None] * count
        self.threads = [threading.Thread(target=self.loop, args=(number,), daemon=True) for number in range(count)]
        for thread in self.threads:
            thread.start()

    def loop(self, number):
        while True:
            self.start.wait()
            if self.work is None:
                return
            try:
                self.outcomes[number] = self.work(number)
            except BaseException as exc:
                self.outcomes[number] = Raised(exc)
            self.end.wait()

    def __call__(self, work):
        """Have every thread do work(number); return what each returned, what one raised as `Raised`."""
        self.work = work
        self.start.wait()
        self.end.wait()
        self.work = None
        return list(self.outcomes)

    def stop(self):
        self.start.wait()
        for thread in self.threads:
            thread.join()


class Raised:
    def __init__(self, exc):
        self.type = type(exc)
        self.text = str(exc)
        self.exc = exc

    def __repr__(self):
        return f"{self.type.__name__}: {self.text}"

    def among(self, *allowed):
        return any(self.type is cls and self.text.startswith(text) for group in allowed for cls, text in group)


def check(outcomes, *allowed):
    """The outcomes that are results; what was raised must be among what is allowed."""
    for outcome in outcomes:
        if isinstance(outcome, Raised) and not outcome.among(*allowed):
            raise AssertionError(f"not to be expected: {outcome!r}") from outcome.exc
    return [outcome for outcome in outcomes if not isinstance(outcome, Raised)]


def drive(awaitable):
    """Run it to its end, whoever else does."""
    while True:
        try:
            awaitable.send(None)
        except StopIteration as stop:
            return stop.value


class Tally:
    """Counts what happened to each resource; `list.append` is atomic."""

    def __init__(self):
        self.begun, self.ended = [], []

    def __call__(self, key):
        self.ended.append(key)

    def exactly_once(self, begun=None):
        begun = self.begun if begun is None else begun
        assert Counter(self.ended) == Counter(begun), (Counter(self.ended) - Counter(begun), len(self.ended))
        assert len(set(self.ended)) == len(self.ended)


def resource(tally, pauses=1):
    """A manager function whose resources `tally` follows."""

    @lib.asynccontextmanager
    async def manager(key, *args, **kwds):
        """What it is for."""
        tally.begun.append(key)
        try:
            for _ in range(pauses):
                await Pause()
            yield key
            for _ in range(pauses):
                await Pause()
        finally:
            tally(key)

    return manager


NOTHING = (None, None, None)
