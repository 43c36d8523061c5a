"""Decorated functions: parameters kept, values typed, misuse reported."""

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager as StdlibAbstractAsyncContextManager
from types import TracebackType
from typing import assert_type

from _acontextlib import AbstractAsyncContextManager, _AsyncGeneratorContextManager, asynccontextmanager


class Connection:
    def execute(self, statement: str) -> int:
        return len(statement)


@asynccontextmanager
async def connect(host: str, /, port: int = 5432, *, timeout: float | None = None) -> AsyncGenerator[Connection, None]:
    yield Connection()


@asynccontextmanager
async def iterator() -> AsyncIterator[int]:
    yield 1


class Pool:
    @asynccontextmanager
    async def acquire(self, name: str) -> AsyncGenerator[Connection, None]:
        yield Connection()

    @classmethod
    @asynccontextmanager
    async def create(cls, size: int) -> AsyncGenerator["Pool", None]:
        yield cls()

    @staticmethod
    @asynccontextmanager
    async def lock() -> AsyncGenerator[None, None]:
        yield


async def right() -> None:
    async with connect("db", 1, timeout=2.0) as connection:
        assert_type(connection, Connection)
        assert_type(connection.execute("select 1"), int)
    assert_type(connect("db"), _AsyncGeneratorContextManager[Connection, None])
    assert_type(iterator(), _AsyncGeneratorContextManager[int, None])
    async with iterator() as number:
        assert_type(number, int)
    async with Pool().acquire("name") as connection:
        assert_type(connection, Connection)
    async with Pool.create(3) as pool:
        assert_type(pool, Pool)
    async with Pool.lock() as nothing:
        assert_type(nothing, None)
    manager: AbstractAsyncContextManager[Connection, bool | None] = connect("db")
    stdlib: StdlibAbstractAsyncContextManager[Connection, bool | None] = manager
    assert_type(await stdlib.__aenter__(), Connection)
    assert_type(await connect("db").__aexit__(None, None, None), bool | None)


async def wrong() -> None:
    connect()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    connect(1)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    connect(host="db")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    connect("db", 1, 2.0)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    async with connect("db") as connection:
        connection.missing()  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
    with connect("db"):  # type: ignore[attr-defined]  # pyright: ignore[reportGeneralTypeIssues]
        pass
    await connect("db")  # type: ignore[misc]  # pyright: ignore[reportGeneralTypeIssues]
    await connect("db").__aexit__(None)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


@asynccontextmanager  # type: ignore[arg-type]  # pyright: ignore[reportCallIssue, reportArgumentType]
async def no_generator() -> int:
    return 1


@asynccontextmanager  # type: ignore[arg-type]  # pyright: ignore[reportCallIssue, reportArgumentType]
def sync_generator() -> int:
    return 1


# The decorator form


@connect("db")
async def query(statement: str) -> int:
    return len(statement)


class Query:
    @connect("db")
    async def run(self, count: int) -> str:
        return "row" * count


async def right_decorated() -> None:
    accepted: Callable[[str], Awaitable[int]] = query
    assert_type(await accepted("select 1"), int)
    assert_type(await query("select 1"), int)
    assert_type(await Query().run(2), str)


async def wrong_decorated() -> None:
    await query(1)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await query()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    await Query().run("2")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


@connect("db")  # type: ignore[type-var]  # pyright: ignore[reportArgumentType]
def not_async(statement: str) -> int:
    return len(statement)


# Subclassing, as libraries do


class Logged(_AsyncGeneratorContextManager[Connection, None]):
    async def __aenter__(self) -> Connection:
        return await super().__aenter__()

    async def __aexit__(
        self, typ: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> bool | None:
        return await super().__aexit__(typ, value, traceback)


class Wrong(_AsyncGeneratorContextManager[Connection, None]):
    async def __aenter__(self) -> int:  # type: ignore[override]  # pyright: ignore[reportIncompatibleMethodOverride]
        return 1
