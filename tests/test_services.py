"""The programs that benchmarks/services.py measures run on both; what they gain is no test's business."""

import importlib.util
import json
import sys
from pathlib import Path

import pytest
from processes import python

ROOT = Path(__file__).parent.parent
SERVICES = ROOT / "benchmarks" / "services.py"
REPORT = ROOT / "benchmarks" / "report.py"
# What each needs.
NEEDS = {
    "fastapi-1": ["fastapi"],
    "fastapi-3": ["fastapi"],
    "fastapi-3-uvicorn": ["fastapi", "uvicorn", "uvloop", "httptools"],
    "fastapi-5": ["fastapi"],
    "example": ["aiosqlite", "fastapi", "httpx", "uvicorn"],
    "example-uvicorn": ["aiosqlite", "fastapi", "httpx", "uvicorn", "uvloop", "httptools"],
    "svcs": ["svcs"],
    "fast-depends": ["fast_depends"],
    "starlette": ["starlette"],
    "anyio": ["anyio"],
    "httpx": ["httpx"],
}
SHORT = ("--pairs", "1", "--rounds", "2", "--seconds", "0.001", "--profile", "0.2")

pytestmark = pytest.mark.skipif(not SERVICES.exists(), reason="the benchmarks are not here")


def measured(*arguments, cwd):
    outcome = python(SERVICES, *SHORT, *arguments, cwd=cwd)
    assert (outcome.status, outcome.stderr) == (0, "")
    return outcome.stdout


@pytest.mark.parametrize("key", NEEDS)
def test_program_runs_on_either_implementation(key, tmp_path):
    for module in NEEDS[key]:
        pytest.importorskip(module, reason=f"{module} is in the extra `services`")
    result = json.loads(measured("--json", "--only", key, cwd=tmp_path))
    assert result["unit"] == "requests per second"
    row = result["rows"][key]
    assert all(row[name] > 0 for name in ("stdlib", "c", "c / stdlib"))
    low, high = row["middle half"]
    assert low <= row["c / stdlib"] <= high
    if sys.platform != "win32" and sys.version_info >= (3, 13):
        assert row["samples"] > 0
        assert 0 <= row["share"] <= 100


def test_every_program_is_tested():
    outcome = python(SERVICES, "--only", "no such", cwd=ROOT)
    assert outcome.status == 1
    assert outcome.stderr.strip().endswith(f"there are: {', '.join(NEEDS)}")


def test_a_table_is_printed(tmp_path):
    pytest.importorskip("anyio")
    last = measured("--only", "anyio", cwd=tmp_path).splitlines()[-1]
    assert last.startswith("anyio, a task group of 3 tasks ")


def test_programs_whose_needs_are_missing_are_left_out(tmp_path):
    script = tmp_path / "lacking.py"
    script.write_text(
        "import sys\n"
        f"sys.path.insert(0, {str(SERVICES.parent)!r})\n"
        "import services\n"
        "programs = services.PROGRAMS\n"
        "programs['anyio'] = programs['anyio']._replace(needs=('no_such_module',))\n"
        "services.main()\n"
    )
    outcome = python(script, "--only", "anyio", "--json", cwd=tmp_path)
    assert (outcome.status, outcome.stderr) == (0, "anyio: left out, needs no_such_module\n")
    assert json.loads(outcome.stdout)["rows"] == {}


CONTEXTLIB, FUNCTOOLS, LOOP = "/lib/contextlib.py", "/lib/functools.py", "/lib/asyncio/base_events.py"


@pytest.mark.parametrize(
    ("stack", "counts"),
    [
        ([(CONTEXTLIB, "__aenter__"), ("app.py", "main")], True),
        ([(FUNCTOOLS, "update_wrapper"), (FUNCTOOLS, "wraps"), (CONTEXTLIB, "asynccontextmanager")], True),
        ([("/lib/_weakrefset.py", "add"), (LOOP, "_asyncgen_firstiter_hook"), (CONTEXTLIB, "__aenter__")], True),
        ([("app.py", "generator"), (CONTEXTLIB, "__aenter__"), ("app.py", "main")], False),
        ([(FUNCTOOLS, "update_wrapper"), ("app.py", "main")], False),
        ([(CONTEXTLIB, "__enter__"), ("app.py", "main")], False),
        ([("/app/notcontextlib.py", "__aenter__")], False),
        ([], False),
    ],
)
def test_samples_within_contextlib_and_its_helpers_count(stack, counts):
    spec = importlib.util.spec_from_file_location("sampler", SERVICES.with_name("sampler.py"))
    sampler = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(sampler)
    assert sampler.is_contextlib(stack) is counts


@pytest.mark.skipif(sys.platform == "win32", reason="there are no timers of processor time")
@pytest.mark.skipif(
    sys.version_info < (3, 13), reason="3.11 and 3.12 do not keep their frames fit to be walked at every moment"
)
def test_the_sampler_finds_the_stdlib_and_nothing_else(tmp_path):
    """A process that does nothing but enter and leave a manager, then one that never does."""
    script = tmp_path / "busy.py"
    script.write_text(
        "import sys\n"
        f"sys.path.insert(0, {str(SERVICES.parent)!r})\n"
        "from contextlib import asynccontextmanager\n"
        "from time import process_time\n"
        "from sampler import Sampler\n"
        "@asynccontextmanager\n"
        "async def manager():\n"
        "    yield\n"
        "async def enters():\n"
        "    async with manager():\n"
        "        pass\n"
        "async def counts():\n"
        "    sum(range(100))\n"
        "async def main():\n"
        "    for run in (enters, counts):\n"
        "        sampler, end = Sampler(), process_time() + 0.5\n"
        "        sampler.begin()\n"
        "        while process_time() < end:\n"
        "            await run()\n"
        "        said = sampler.end()\n"
        "        print(said['samples'] > 5, said['share'] > 20)\n"
        "try:\n"
        "    main().send(None)\n"
        "except StopIteration:\n"
        "    pass\n"
    )
    outcome = python(script, cwd=tmp_path)
    assert (outcome.status, outcome.stdout, outcome.stderr) == (0, "True True\nTrue False\n", "")


def result_of(version, ratio, share):
    row = {"title": "a program", "stdlib": 1000, "c": round(1000 * ratio), "c / stdlib": ratio}
    row |= {"middle half": [ratio - 0.01, ratio + 0.02], "by the clock": ratio}
    if share is not None:
        row |= {"samples": 500, "share": share, "left": round(100 - (100 - share) * ratio, 1)}
    about = {"free_threaded": False, "debug": False, "compiler": "cc", "system": "Linux", "machine": "m", "cpu": "c"}
    numbers = {"drive": "direct", "pairs": 3, "rounds": 20, "libraries": {"anyio": "4.0"}}
    return {"python": version, **about, **numbers, "unit": "requests per second", "rows": {"key": row}}


def test_report_writes_the_tables_of_programs_and_leaves_the_others(tmp_path):
    (tmp_path / "docs").mkdir()
    markers = "before\n<!-- services:begin -->\nold\n<!-- services:end -->\nafter\n"
    documents = [tmp_path / "README.md", tmp_path / "docs" / "benchmarks.md"]
    for document in documents:
        document.write_text(markers)
    files = []
    for name, result in (("b", result_of("3.14.1", 1.25, 22.0)), ("a", result_of("3.9.20", 1.1, None))):
        files.append(tmp_path / f"{name}.json")
        files[-1].write_text(json.dumps(result))
    outcome = python(REPORT, "--root", tmp_path, *files, cwd=tmp_path)
    assert (outcome.status, outcome.stderr) == (0, "")
    readme, details = (document.read_text(encoding="utf-8") for document in documents)
    assert "old" not in readme + details
    assert "| requests per second, ours / stdlib's | 3.9.20 | 3.14.1 |\n" in readme
    assert "| a program | 1.10 | 1.25 |\n" in readme
    assert details.index("### 3.9.20, whole programs") < details.index("### 3.14.1, whole programs")
    assert "| a program | 1000 | 1250 | 1.25 | 1.24 to 1.27 | 22 % | 2 % |\n" in details
    assert "| a program | 1000 | 1100 | 1.10 | 1.09 to 1.12 | - | - |\n" in details
    assert readme.endswith("<!-- services:end -->\nafter\n")


def test_documents_hold_the_markers():
    for document in (ROOT / "README.md", ROOT / "docs" / "benchmarks.md"):
        text = document.read_text(encoding="utf-8")
        assert text.count("<!-- services:begin -->") == text.count("<!-- services:end -->") == 1
