"""The benchmarks run and say what they measured; what the numbers are is no test's business."""

import json
from pathlib import Path

import pytest
from processes import python

from _acontextlib._measure import drive
from _acontextlib._scenarios import SCENARIOS

ROOT = Path(__file__).parent.parent
BENCH = ROOT / "benchmarks" / "bench.py"
REPORT = ROOT / "benchmarks" / "report.py"

needs_benchmarks = pytest.mark.skipif(not BENCH.exists(), reason="the benchmarks are not here")


@pytest.mark.parametrize("key", SCENARIOS)
def test_scenario_runs_in_every_implementation(lib, key):
    scenario = SCENARIOS[key]
    runs = [scenario.build(lib), *(make() for make in (scenario.by_hand, scenario.driven) if make is not None)]
    for run in runs:
        assert drive(run(2)) is None


def test_driving_what_suspends_is_an_error():
    class Pause:
        def __await__(self):
            yield

    async def suspends():
        await Pause()

    with pytest.raises(RuntimeError, match="suspended"):
        drive(suspends())


def quick(*arguments, cwd):
    outcome = python(BENCH, "--quick", "--rounds", "1", *arguments, cwd=cwd)
    assert (outcome.status, outcome.stderr) == (0, "")
    return outcome.stdout


@needs_benchmarks
@pytest.mark.parametrize("loop", ["none", "asyncio"])
def test_quick_measures_what_is_asked_for(tmp_path, loop):
    result = json.loads(quick("--json", "--only", "raises", *["--asyncio"] * (loop == "asyncio"), cwd=tmp_path))
    assert result["loop"] == loop
    assert result["rows"].keys() == {"raises", "suppresses", "stack-raises"}
    row = result["rows"]["raises"]
    assert all(row[name] > 0 for name in ("stdlib", "c", "by hand", "driven"))
    assert row["stdlib / c"] == pytest.approx(row["stdlib"] / row["c"], rel=0.05)


@needs_benchmarks
def test_quick_prints_a_table_and_refuses_unknown_scenarios(tmp_path):
    lines = quick("--only", "nullcontext", cwd=tmp_path).splitlines()
    assert lines[-1].startswith("nullcontext ")
    assert len(lines[-1].split()) == len(["title", "stdlib", "c", "by hand", "driven", "stdlib / c", "c / by hand"])
    outcome = python(BENCH, "--quick", "--only", "no such", cwd=tmp_path)
    assert outcome.status == 1
    assert "there are: bare, " in outcome.stderr


@pytest.fixture
def documents(tmp_path):
    """Documents with markers, and results of two interpreters, the newer one named so that it sorts first."""
    (tmp_path / "docs").mkdir()
    markers = "before\n<!-- {0}:begin -->\nold\n<!-- {0}:end -->\n"
    (tmp_path / "README.md").write_text(markers.format("headline") + markers.format("gain") + "after\n")
    (tmp_path / "docs" / "benchmarks.md").write_text(markers.format("results") + "after\n")
    measured = json.loads(quick("--json", "--only", "bare", cwd=tmp_path))
    for name, python_version, ours in (("b", "3.9.20", 400.0), ("a", "3.14.1", 250.0)):
        row = {**measured["rows"]["bare"], "stdlib": 1000.0, "c": ours, "stdlib / c": 1000.0 / ours}
        build = {"python": python_version, "debug": False, "free_threaded": False, "cpu": "a processor"}
        result = {**measured, **build, "rows": {"bare": row}}
        (tmp_path / f"{name}.json").write_text(json.dumps(result))
    return tmp_path


def render(documents, *options):
    outcome = python(REPORT, "--root", documents, *options, documents / "a.json", documents / "b.json", cwd=documents)
    assert outcome.status == 0, outcome.stderr
    return (documents / "README.md").read_text(encoding="utf-8")


@needs_benchmarks
def test_report_writes_between_the_markers_and_nowhere_else(documents):
    readme = render(documents, "--no-picture")
    assert "old" not in readme
    assert readme.startswith("before\n<!-- headline:begin -->\n**1000 \u2192 250 ns**")
    assert readme.endswith("<!-- gain:end -->\nafter\n")
    assert "| stdlib's time / ours | 3.9.20 | 3.14.1 |\n" in readme
    assert "| `async with`, bare yield | 2.50 | 4.00 |\n" in readme
    details = (documents / "docs" / "benchmarks.md").read_text(encoding="utf-8")
    assert details.index("### 3.9.20") < details.index("### 3.14.1")
    assert render(documents, "--no-picture") == readme


@needs_benchmarks
def test_report_refuses_documents_without_markers(documents):
    (documents / "README.md").write_text("nothing")
    outcome = python(REPORT, "--root", documents, "--no-picture", documents / "a.json", cwd=documents)
    assert outcome.status == 1
    assert "<!-- headline:begin -->" in outcome.stderr
    assert (documents / "README.md").read_text() == "nothing"


@needs_benchmarks
def test_report_draws_the_same_picture_twice(documents):
    pytest.importorskip("matplotlib")
    render(documents)
    light, dark = (documents / "docs" / name for name in ("gain.svg", "gain-dark.svg"))
    first = light.read_bytes(), dark.read_bytes()
    render(documents)
    assert (light.read_bytes(), dark.read_bytes()) == first
    assert b"1000" in first[0]
    assert first[0] != first[1]


def test_readme_holds_the_markers_and_both_commands():
    readme = ROOT / "README.md"
    if not readme.exists():
        pytest.skip("the README is not here")
    text = readme.read_text(encoding="utf-8")
    for name in ("headline", "gain"):
        assert text.count(f"<!-- {name}:begin -->") == text.count(f"<!-- {name}:end -->") == 1
    assert "\npip install . && python -P -m _acontextlib\n" in text
    assert '\npip install ".[test]" && python -m pytest\n' in text
