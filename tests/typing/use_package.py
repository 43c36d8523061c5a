"""The names that contextlib does not have."""

from typing import Literal, assert_type

import _acontextlib
from _acontextlib import drive, implementation, install, uninstall


def right() -> None:
    assert_type(install(), dict[str, object])
    assert_type(install(rebind=True), dict[str, object])
    assert_type(uninstall(), None)
    assert_type(implementation, Literal["c", "stdlib"])
    assert_type(drive, Literal["direct", "public"])
    assert_type(_acontextlib.__version__, str)
    for name, replaced in install().items():
        assert_type(name, str)
        assert_type(replaced, object)


def wrong() -> None:
    install(True)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    install(rebind="early")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    uninstall("asynccontextmanager")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    install()["asynccontextmanager"]()  # type: ignore[operator]  # pyright: ignore[reportCallIssue]
    a_typo = implementation == "C"  # type: ignore[comparison-overlap]  # pyright: ignore[reportUnnecessaryComparison]
    another = drive == "fast"  # type: ignore[comparison-overlap]  # pyright: ignore[reportUnnecessaryComparison]
    print(a_typo, another)
    _acontextlib.implementation = "c"  # type: ignore[misc]  # final, which pyright does not check on modules
    _acontextlib.__version__.missing()  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
    _acontextlib.missing()  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
