# The C objects are typed as the stdlib's own: a decorated function keeps its signature, an exit stack its overloads,
# and what a checker knows about contextlib in particular holds here too.
from contextlib import (
    AbstractAsyncContextManager as AbstractAsyncContextManager,
    AsyncContextDecorator as AsyncContextDecorator,
    AsyncExitStack as AsyncExitStack,
    _AsyncGeneratorContextManager as _AsyncGeneratorContextManager,
    aclosing as aclosing,
    asynccontextmanager as asynccontextmanager,
    nullcontext as nullcontext,
)
from typing import Final, Literal

__all__ = [
    "AbstractAsyncContextManager",
    "AsyncContextDecorator",
    "AsyncExitStack",
    "aclosing",
    "asynccontextmanager",
    "drive",
    "implementation",
    "install",
    "nullcontext",
    "uninstall",
]

__version__: Final[str]
implementation: Final[Literal["c", "stdlib"]]
drive: Final[Literal["direct", "public"]]

def install(*, rebind: bool = False) -> dict[str, object]: ...
def uninstall() -> None: ...
