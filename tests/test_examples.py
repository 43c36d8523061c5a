"""Each example prints the same with the stdlib's import, with ours, and run by ``python -m _acontextlib``."""

from pathlib import Path

import pytest
from processes import python

EXAMPLES = Path(__file__).parent.parent / "examples"
STDLIB_IMPORT = "from contextlib import "
OUR_IMPORT = "from _acontextlib import "

pytestmark = pytest.mark.skipif(not EXAMPLES.is_dir(), reason="the examples are not here")


def output_of(*arguments, cwd):
    done = python(*arguments, cwd=cwd)
    assert done.status == 0, done.stderr
    assert done.stderr == ""
    return done.stdout


def test_ledger_prints_the_same_with_either_import(tmp_path):
    pytest.importorskip("aiosqlite")
    script = EXAMPLES / "ledger.py"
    source = script.read_text(encoding="utf-8")
    assert source.count(STDLIB_IMPORT) == 1
    swapped = tmp_path / "swapped.py"
    swapped.write_text(source.replace(STDLIB_IMPORT, OUR_IMPORT), encoding="utf-8")

    expected = output_of(script, tmp_path / "stdlib.sqlite", cwd=tmp_path)

    assert "transfer: called 6 times, measured" in expected
    assert output_of(swapped, tmp_path / "ours.sqlite", cwd=tmp_path) == expected
    assert output_of("-m", "_acontextlib", script, tmp_path / "installed.sqlite", cwd=tmp_path) == expected
    # A real file each time, with what the program says it wrote; not a copy of one run's output.
    assert all((tmp_path / f"{name}.sqlite").stat().st_size > 4096 for name in ("stdlib", "ours", "installed"))


def test_every_example_is_listed_in_the_readme():
    listed = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    scripts = sorted(EXAMPLES.glob("*.py"))
    assert scripts
    assert all(f"[{script.name}]({script.name})" in listed for script in scripts)
