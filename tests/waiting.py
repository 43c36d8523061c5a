"""Managers suspended at every await point they have."""

import sys

from helpers import CLOSES_ON_MISUSE, Pause, run

# Every await point: of the way in, of the way out with and without an error, of the clean-up after a yield too many.
PHASES = ("enter", "exit", "exit with error", *(("clean-up", "clean-up after error") if CLOSES_ON_MISUSE else ()))


def begin(cm, phase):
    """Bring a manager to the phase and return the awaitable of that; the error is a ValueError."""
    if phase == "enter":
        return cm.__aenter__()
    run(cm.__aenter__())
    if phase.endswith("error"):
        return cm.__aexit__(ValueError, ValueError("body"), None)
    return cm.__aexit__(None, None, None)


def prepare(lib, phase):
    """Return the manager, the awaitable about to reach the phase's two await points, and the generator's log."""
    log = []

    async def pauses(name):
        try:
            log.append(await Pause(f"{name} 1"))
        except LookupError as exc:
            log.append(("caught", exc.args, sys.exc_info()[1] is exc))
            log.append(await Pause(f"{name} 2"))
        except GeneratorExit:
            log.append("closed")
            raise
        log.append(sys.exc_info()[0])

    @lib.asynccontextmanager
    async def manager():
        if phase == "enter":
            await pauses("enter")
        try:
            yield "value"
        except ValueError:
            if phase == "exit with error":
                await pauses("exit")
        if phase == "exit":
            await pauses("exit")
        if phase.startswith("clean-up"):
            try:
                yield "too many"
            finally:
                await pauses("clean-up")

    cm = manager()
    return cm, begin(cm, phase), log
