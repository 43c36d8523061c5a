# The C objects are typed as the stdlib's own: a decorated function keeps its signature, an exit stack its overloads, and
# what a checker knows about contextlib in particular holds here too.
from contextlib import (
    AbstractAsyncContextManager as AbstractAsyncContextManager,
)
from contextlib import (
    AsyncContextDecorator as AsyncContextDecorator,
)
from contextlib import (
    AsyncExitStack as AsyncExitStack,
)
from contextlib import (
    _AsyncGeneratorContextManager as _AsyncGeneratorContextManager,
)
from contextlib import (
    aclosing as aclosing,
)
from contextlib import (
    asynccontextmanager as asynccontextmanager,
)
from contextlib import (
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

def install() -> dict[str, object]: ...
def uninstall() -> None: ...
