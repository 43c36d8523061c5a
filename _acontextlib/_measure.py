"""Measure scenarios: interleaved rounds, the best of each, nanoseconds per operation.

Every round takes one sample of everything, so that a slow moment of the machine touches all implementations alike,
and the best sample of each is the one that was disturbed least. There is no event loop: nothing measured here ever
suspends, so a single send(None) drives a coroutine to its end.
"""

from time import perf_counter

from _acontextlib._scenarios import empty_loop

SAMPLE_SECONDS = 0.002


def drive(coroutine):
    """Run a coroutine that never suspends and return its result."""
    try:
        coroutine.send(None)
    except StopIteration as stop:
        return stop.value
    coroutine.close()
    raise RuntimeError("the coroutine suspended")


async def timed(run, n):
    start = perf_counter()
    await run(n)
    return perf_counter() - start


def loops_for(run, drive=drive, seconds=SAMPLE_SECONDS):
    """How many times `run` has to do its operation for a sample of about so many seconds."""
    n = 64
    while True:
        elapsed = drive(timed(run, n))
        if elapsed >= seconds / 4 or n >= 1 << 20:
            return max(1, round(n * seconds / elapsed))
        n *= 4


def measure(runs, rounds, drive=drive, progress=None):
    """Nanoseconds per operation for each of `runs`, a dict of run(n) coroutine functions by any key.

    `progress`, if given, is called with the share of the rounds that are done.
    """
    runs = {None: empty_loop, **runs}
    loops = {key: loops_for(run, drive) for key, run in runs.items()}
    best = dict.fromkeys(runs, float("inf"))
    for done in range(rounds):
        if progress is not None:
            progress(done / rounds)
        for key, run in runs.items():
            best[key] = min(best[key], drive(timed(run, loops[key])) / loops[key])
    if progress is not None:
        progress(1.0)
    empty = best.pop(None)
    return {key: (seconds - empty) * 1e9 for key, seconds in best.items()}
