"""What the tests of misuse have in common: small managers, and what comes of a call, to be compared."""

from helpers import outcome, run


def told(function, *args):
    """What comes of a call: the type and the text of an error, or what result_of() makes of the result."""
    kind, *rest = outcome(function, *args)
    if kind == "raised":
        return (kind, *rest)
    value = rest[0]
    return ("returned", value if type(value) in (str, int, bool, tuple, type(None)) else type(value).__name__)


def awaited(function, *args):
    return told(lambda: run(function(*args)))


def quiet(*args, **kwds):
    pass


def simple(lib):
    @lib.asynccontextmanager
    async def function(*args, **kwds):
        yield "value"

    return function


def opened(lib):
    manager = simple(lib)()
    run(manager.__aenter__())
    return manager


async def agen():
    yield
