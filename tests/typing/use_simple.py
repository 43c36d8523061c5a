"""aclosing, nullcontext and the two base classes."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from types import TracebackType
from typing import Protocol, Self, assert_type

from _acontextlib import AbstractAsyncContextManager, AsyncContextDecorator, aclosing, nullcontext


async def numbers() -> AsyncGenerator[int, None]:
    yield 1


class Closable:
    async def aclose(self) -> None:
        pass


class Unclosable:
    pass


async def right_aclosing() -> None:
    async with aclosing(numbers()) as generator:
        assert_type(generator, AsyncGenerator[int, None])
        async for number in generator:
            assert_type(number, int)
    async with aclosing(Closable()) as thing:
        assert_type(thing, Closable)


async def wrong_aclosing() -> None:
    aclosing()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    aclosing(Unclosable())  # type: ignore[type-var]  # pyright: ignore[reportArgumentType]
    with aclosing(Closable()):  # type: ignore[attr-defined]  # pyright: ignore[reportGeneralTypeIssues]
        pass


async def right_nullcontext() -> None:
    async with nullcontext() as nothing:
        assert_type(nothing, None)
    async with nullcontext(1) as number:
        assert_type(number, int)
    with nullcontext("one") as text:
        assert_type(text, str)
    assert_type(nullcontext(enter_result=b"").enter_result, bytes)


async def wrong_nullcontext() -> None:
    nullcontext(1, 2)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
    nullcontext(result=1)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
    with nullcontext(1) as number:
        number.upper()  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]


# A protocol may derive from AbstractAsyncContextManager only because it is the stdlib's own.
class Session(AbstractAsyncContextManager["Session", None], Protocol):
    def send(self) -> int: ...


class Concrete(AbstractAsyncContextManager["Concrete", None]):
    async def __aexit__(
        self, typ: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        pass


class Abstract(AbstractAsyncContextManager["Abstract", None]):
    pass


async def right_bases(session: Session) -> None:
    async with session as entered:
        assert_type(entered, Session)
    async with Concrete() as concrete:
        assert_type(concrete, Concrete)


async def wrong_bases() -> None:
    Abstract()  # type: ignore[abstract]  # pyright: ignore[reportAbstractUsage]


class Timed(AsyncContextDecorator):
    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, typ: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        pass


@Timed()
async def timed(number: int) -> str:
    return str(number)


async def right_decorator() -> None:
    accepted: Callable[[int], Awaitable[str]] = timed
    assert_type(await accepted(1), str)


async def wrong_decorator() -> None:
    await timed("1")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    Timed()(1)  # type: ignore[type-var]  # pyright: ignore[reportArgumentType]
