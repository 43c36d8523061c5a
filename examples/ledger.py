"""A money ledger on an SQLite file: accounts, and transfers that happen whole or not at all.

    python examples/ledger.py [FILE]

Its context managers are what many programs have: a connection that is opened and closed, a transaction that is
committed or rolled back, savepoints within it, a decorator that measures, an exit stack over things whose number is
not known.
"""

import asyncio
import sys
import tempfile
from collections import Counter
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from pathlib import Path
from time import perf_counter

import aiosqlite

SCHEMA = """
CREATE TABLE account (name TEXT PRIMARY KEY, cents INTEGER NOT NULL CHECK (cents >= 0));
CREATE TABLE entry (id INTEGER PRIMARY KEY, source TEXT NOT NULL, target TEXT NOT NULL, cents INTEGER NOT NULL);
"""

calls = Counter()
seconds = Counter()


class InsufficientFunds(Exception):
    def __init__(self, name, cents):
        super().__init__(f"{name} has not got {cents} cents")


@asynccontextmanager
async def opened(path):
    """A connection, closed at the end whatever happens; transactions are ours to begin."""
    connection = await aiosqlite.connect(path, isolation_level=None)
    try:
        yield connection
    finally:
        await connection.close()


@asynccontextmanager
async def transaction(connection):
    """All of the body, or nothing of it."""
    await connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        await connection.rollback()
        raise
    await connection.commit()


@asynccontextmanager
async def savepoint(connection, name, *, quiet_for=()):
    """A part of a transaction that can fail alone: the exceptions named are reported and end here."""
    await connection.execute(f"SAVEPOINT {name}")
    try:
        yield
    except BaseException as error:
        await connection.execute(f"ROLLBACK TO {name}")
        if not isinstance(error, quiet_for):
            raise
        print(f"  {name}: undone, {error}")
    finally:
        await connection.execute(f"RELEASE {name}")


@asynccontextmanager
async def timed(name):
    """Count the calls of what it decorates, and the time they take, failed ones too."""
    start = perf_counter()
    try:
        yield
    finally:
        calls[name] += 1
        seconds[name] += perf_counter() - start


class Ledger:
    def __init__(self, connection):
        self.connection = connection

    @asynccontextmanager
    async def book(self):
        """A transaction at whose end no money has appeared or vanished."""
        async with transaction(self.connection):
            before = await self.total()
            yield self
            if await self.total() != before:
                raise RuntimeError("the books do not balance")

    async def total(self):
        async with self.connection.execute("SELECT coalesce(sum(cents), 0) FROM account") as cursor:
            return (await cursor.fetchone())[0]

    async def open_account(self, name, cents):
        await self.connection.execute("INSERT INTO account VALUES (?, ?)", (name, cents))

    @timed("transfer")
    async def transfer(self, source, target, cents):
        update = "UPDATE account SET cents = cents + ? WHERE name = ?"
        await self.connection.execute(update, (cents, target))
        try:
            await self.connection.execute(update, (-cents, source))
        except aiosqlite.IntegrityError as error:
            raise InsufficientFunds(source, cents) from error
        await self.connection.execute("INSERT INTO entry VALUES (NULL, ?, ?, ?)", (source, target, cents))

    async def balances(self):
        async with self.connection.execute("SELECT name, cents FROM account ORDER BY name") as cursor:
            async for name, cents in cursor:
                yield name, cents


async def show(title, ledger):
    print(title)
    async with aclosing(ledger.balances()) as balances:
        async for name, cents in balances:
            print(f"  {name:<6} {cents / 100:>8.2f}")


async def work(ledger):
    async with transaction(ledger.connection):
        for name, cents in (("ada", 10_000), ("bob", 2_500), ("cyd", 0)):
            await ledger.open_account(name, cents)
    await show("opened", ledger)

    async with ledger.book():
        await ledger.transfer("ada", "cyd", 4_000)
    await show("after a transfer", ledger)

    try:
        async with ledger.book():
            await ledger.transfer("cyd", "ada", 1_000)
            await ledger.transfer("bob", "ada", 999_999)
    except InsufficientFunds as error:
        print(f"refused: {error} (because of {type(error.__cause__).__name__})")
    await show("after one that failed half-way", ledger)

    async with ledger.book():
        for number, (source, cents) in enumerate((("ada", 100), ("cyd", 9_900), ("cyd", 300))):
            async with savepoint(ledger.connection, f"part_{number}", quiet_for=InsufficientFunds):
                await ledger.transfer(source, "bob", cents)
    await show("after three of which one failed alone", ledger)

    try:
        async with ledger.book():
            await ledger.open_account("eve", 1_000_000)
    except RuntimeError as error:
        print(f"refused: {error}")


async def compare(path):
    """Several readers at once, as many as wanted, all closed at the end."""
    async with AsyncExitStack() as stack:
        stack.callback(print, "readers closed")
        readers = [await stack.enter_async_context(opened(path)) for _ in range(3)]
        totals = await asyncio.gather(*(Ledger(reader).total() for reader in readers))
        print(f"readers agree: {totals}")


async def main(path):
    async with opened(path) as connection:
        await connection.executescript(SCHEMA)
        await work(Ledger(connection))
        async with connection.execute("SELECT source, target, cents FROM entry ORDER BY id") as cursor:
            print("entries", [tuple(row) for row in await cursor.fetchall()])
    await compare(path)
    for name, number in calls.items():
        print(f"{name}: called {number} times, {'measured' if seconds[name] > 0 else 'never measured'}")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        asyncio.run(main(sys.argv[1]))
    else:
        with tempfile.TemporaryDirectory() as directory:
            asyncio.run(main(Path(directory, "ledger.sqlite")))
