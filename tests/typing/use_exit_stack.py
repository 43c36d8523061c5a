"""AsyncExitStack: what each method takes and gives."""

from collections.abc import AsyncGenerator, Generator
from contextlib import contextmanager
from types import TracebackType
from typing import Self, assert_type

from _acontextlib import AsyncExitStack, asynccontextmanager


@asynccontextmanager
async def number() -> AsyncGenerator[int, None]:
    yield 1


@contextmanager
def text() -> Generator[str, None, None]:
    yield "one"


class HandWritten:
    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, typ: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        pass


class NoManager:
    pass


async def callback(first: int, *, second: str) -> bytes:
    return b""


def sync_callback(first: int) -> bytes:
    return b""


async def async_exit(
    typ: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
) -> bool:
    return False


async def right() -> None:
    async with AsyncExitStack() as stack:
        assert_type(stack, AsyncExitStack[bool | None])
        assert_type(await stack.enter_async_context(number()), int)
        assert_type(await stack.enter_async_context(HandWritten()), HandWritten)
        assert_type(stack.enter_context(text()), str)
        assert_type(await stack.push_async_callback(callback, 1, second="two")(1, second="two"), bytes)
        assert_type(stack.callback(sync_callback, 1)(1), bytes)
        assert_type(stack.pop_all(), AsyncExitStack[bool | None])
        assert_type(await stack.aclose(), None)
    assert_type(await AsyncExitStack().__aexit__(None, None, None), bool | None)


async def wrong() -> None:
    async with AsyncExitStack() as stack:
        stack.enter_context(number())  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
        await stack.enter_async_context(text())  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
        await stack.enter_async_context(NoManager())  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
        stack.push_async_callback(callback, 1)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
        stack.push_async_callback(sync_callback, 1)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
        stack.callback(sync_callback, "1")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
        stack.push_async_exit(1)  # type: ignore[type-var]  # pyright: ignore[reportArgumentType]
        stack.missing()  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
    with AsyncExitStack():  # type: ignore[attr-defined]  # pyright: ignore[reportGeneralTypeIssues]
        pass


class Subclass(AsyncExitStack):
    def __init__(self) -> None:
        super().__init__()
        self.extra = 1


async def right_subclass() -> None:
    async with Subclass() as stack:
        assert_type(stack, Subclass)
        assert_type(stack.pop_all().extra, int)
