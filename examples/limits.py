"""A job that takes too long, printers that many want, a stream that is left in the middle.

    python examples/limits.py

Needs nothing but the standard library. Its context managers: a time limit over `asyncio.timeout` that says what it
was that took too long, a decorator that measures, a resource with a name that is waited for and given back, a stream
that ends well though nobody reads it to its end.
"""

import asyncio
from contextlib import aclosing, asynccontextmanager
from time import perf_counter

seconds = {}


@asynccontextmanager
async def limit(what, delay):
    """At most so many seconds: the body is cancelled, and the error has a note that says what took too long."""
    try:
        async with asyncio.timeout(delay) as timeout:
            yield timeout
    except TimeoutError as error:
        print(f"  {what}: sees {type(error).__name__}")
        if timeout.expired():  # or else it is that of somebody within the body
            error.add_note(f"{what} took longer than {delay} s")
        raise


@asynccontextmanager
async def timeit(name):
    """Usable as `async with timeit(...)` and as `@timeit(...)`, which makes a new one for each call."""
    start = perf_counter()
    try:
        yield
    finally:
        seconds.setdefault(name, []).append(perf_counter() - start)


class Printers:
    def __init__(self, *names):
        self.free = asyncio.Queue()
        for name in names:
            self.free.put_nowait(name)
        self.log = []

    @asynccontextmanager
    async def printer(self, user):
        """One of the printers, as soon as there is one; it needs some time before and after."""
        name = await self.free.get()
        self.log.append(f"{user} gets {name}")
        try:
            await asyncio.sleep(0)  # warming up
            yield name
        finally:
            await asyncio.sleep(0)  # the last page comes out
            self.log.append(f"{user} gives {name} back")
            self.free.put_nowait(name)


@timeit("print")
async def print_pages(printers, user, pages):
    async with printers.printer(user):
        for _ in range(pages):
            await asyncio.sleep(0)
    return pages


async def pages(number):
    """A stream with something to clean up, for which it needs to await."""
    try:
        for page in range(number):
            yield f"page {page}"
    finally:
        await asyncio.sleep(0)
        print("  stream closed")


async def endless():
    try:
        await asyncio.get_running_loop().create_future()
    except asyncio.CancelledError:
        print("  endless: cancelled")
        raise


async def main():
    print("time limits")
    async with limit("short job", 60) as timeout:
        await asyncio.sleep(0)
    print("  short job: expired", timeout.expired())
    try:
        async with limit("outer", 60), limit("inner", 0.01):
            await endless()
    except TimeoutError as error:
        print("  outside:", type(error).__name__, error.__notes__)

    print("printers")
    printers = Printers("laser", "inkjet")
    print("  pages:", await asyncio.gather(*(print_pages(printers, user, 3) for user in ("ada", "bob", "cyd"))))
    for line in printers.log:
        print(" ", line)
    try:
        async with limit("waiting for a printer", 0.01), printers.printer("ada"), printers.printer("bob"):
            await print_pages(printers, "cyd", 1)
    except TimeoutError as error:
        print("  outside:", *error.__notes__)
    print("  free again:", printers.free.qsize())

    print("streams")
    async with aclosing(pages(1000)) as stream:
        async for page in stream:
            if page.endswith("2"):
                print("  left at", page)
                break
    print({name: len(times) for name, times in seconds.items()}, "calls, all measured:", min(seconds["print"]) > 0)


if __name__ == "__main__":
    asyncio.run(main())
