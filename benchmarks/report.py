"""Turn measurements of several interpreters into the tables and the picture of the documentation.

    PYTHON benchmarks/bench.py --quick --json > benchmarks/results/NAME.json   (with each interpreter)
    PYTHON benchmarks/services.py --json > benchmarks/results/services-NAME.json
    python benchmarks/report.py [RESULTS ...]

Reads all of benchmarks/results/ unless told otherwise, and writes what stands between the markers in README.md and
docs/benchmarks.md, and docs/gain.svg and docs/gain-dark.svg. The pictures need matplotlib (the `bench` extra).
The headline and the picture are those of the newest interpreter measured. Results of one of the two benchmarks alone
leave the places of the other as they are.
"""

import argparse
import json
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
OURS = "c"
PICTURED = ("bare", "arguments", "raises", "decorated", "decorating", "stack-empty", "stack-one", "stack-callbacks")
SCHEMES = {
    "gain.svg": {"text": "#1f2328", "stdlib": "#d0d7de", "ours": "#0969da"},
    "gain-dark.svg": {"text": "#e6edf3", "stdlib": "#3d444d", "ours": "#4493f8"},
}


def load(paths):
    """The measurements, oldest interpreter first."""
    results = [json.loads(path.read_text(encoding="utf-8")) for path in paths]
    return sorted(results, key=lambda result: (version_of(result), result["free_threaded"], result["debug"]))


def version_of(result):
    """(3, 13, 18): a tuple that sorts."""
    return tuple(int(number) for number in re.findall(r"\d+", result["python"])[:3])


def label(result):
    """How tables call an interpreter: 3.13.18, and t or d for free-threaded and debug builds."""
    return result["python"] + "t" * result["free_threaded"] + "d" * result["debug"]


def markdown(header, rows):
    """The lines of a Markdown table; numbers are aligned right."""
    yield "| " + " | ".join(header) + " |"
    yield "| --- |" + " ---: |" * (len(header) - 1)
    for row in rows:
        yield "| " + " | ".join(row) + " |"


def ratios(heading, ratio, results):
    """Scenarios or programs down, interpreters across: that ratio."""
    titles = {key: row["title"] for result in results for key, row in result["rows"].items()}
    rows = (
        [title, *(f"{result['rows'][key][ratio]:.2f}" if key in result["rows"] else "-" for result in results)]
        for key, title in titles.items()
    )
    yield from markdown([heading, *(label(result) for result in results)], rows)


def full_table(result):
    """Everything measured on one interpreter."""
    columns = ("stdlib", OURS, "by hand", "driven", "stdlib / c", "c / by hand")
    rows = (
        [row["title"], *(f"{row[name]:.{2 if '/' in name else 0}f}" if name in row else "-" for name in columns)]
        for row in result["rows"].values()
    )
    yield from markdown(["ns per operation", *columns], rows)


def conditions(result):
    """Under which conditions a result was measured, as a sentence's end."""
    loop = "inside a running asyncio loop" if result["loop"] == "asyncio" else "without an event loop"
    return (
        f"CPython {label(result)}, {result['compiler']}, {result['system']} {result['machine']}, {result['cpu']}, "
        f"{loop}, best of {result['rounds']} interleaved rounds"
    )


def headline(result):
    row = result["rows"]["bare"]
    return (
        f"**{row['stdlib']:.0f} → {row[OURS]:.0f} ns** for an `async with` over a decorated generator, "
        f"**{row['stdlib / c']:.1f} times less** ({conditions(result)})."
    )


def readme_table(results):
    yield from ratios("stdlib's time / ours", "stdlib / c", results)
    yield ""
    systems = ", ".join(sorted({f"{result['cpu']}, {result['system']} {result['machine']}" for result in results}))
    yield f"Measured on {systems}, without an event loop, best of interleaved rounds in one process."


def details(results):
    for result in results:
        loop = ", under asyncio" if result["loop"] == "asyncio" else ""
        yield f"### {label(result)}{loop}"
        yield ""
        yield f"{conditions(result)}; drive: {result['drive']}."
        yield ""
        yield from full_table(result)
        yield ""


def readme_services(results):
    yield from ratios("requests per second, ours / stdlib's", "c / stdlib", results)
    yield ""
    systems = ", ".join(sorted({f"{result['cpu']}, {result['system']} {result['machine']}" for result in results}))
    yield (
        f"Measured on {systems}: per second of the program's processor time, median of paired rounds of two processes "
        "that take turns. But for the example's, dependencies, services and middleware do nothing themselves. The last "
        "three programs hardly use what is faster here, and gain nothing."
    )


def services_details(results):
    for result in results:
        yield f"### {label(result)}, whole programs"
        yield ""
        rounds = f"{result['pairs']} pairs of processes, {result['rounds']} rounds each"
        versions = ", ".join(f"{name} {version}" for name, version in result["libraries"].items())
        yield (
            f"CPython {label(result)}, {result['compiler']}, {result['system']} {result['machine']}, {result['cpu']}, "
            f"{rounds}; drive: {result['drive']}; {versions}."
        )
        yield ""
        header = ("requests per second", "stdlib", OURS, "c / stdlib", "middle half", "contextlib before", "after")
        yield from markdown(header, (services_row(row) for row in result["rows"].values()))
        yield ""


def services_row(row):
    low, high = row["middle half"]
    shares = [f"{row['share']:.0f} %", f"{max(0, row['left']):.0f} %"] if "share" in row else ["-", "-"]
    middle = f"{low:.2f} to {high:.2f}"
    return [row["title"], str(row["stdlib"]), str(row[OURS]), f"{row['c / stdlib']:.2f}", middle, *shares]


def replace_between(path, name, lines):
    """Put the lines between the markers called `name`, which have to be there exactly once."""
    begin, end = f"<!-- {name}:begin -->", f"<!-- {name}:end -->"
    text = path.read_text(encoding="utf-8")
    if text.count(begin) != 1 or text.count(end) != 1:
        raise SystemExit(f"{path} has to hold {begin} and {end} once each")
    before, _, rest = text.partition(begin)
    after = rest.partition(end)[2]
    body = "\n".join(lines).strip()
    path.write_text(f"{before}{begin}\n{body}\n{end}{after}", encoding="utf-8")


def draw(result, path, colours):
    """Our share of the stdlib's time, scenario by scenario; the hand-written class is a mark on the bar."""
    import matplotlib

    matplotlib.use("svg")
    from matplotlib import pyplot

    # The same numbers give the same file, and letters stay letters.
    settings = {"svg.hashsalt": "gain", "svg.fonttype": "none", "font.size": 11, "font.family": "sans-serif"}
    rows = [result["rows"][key] for key in PICTURED if key in result["rows"]]
    with matplotlib.rc_context({**settings, "text.color": colours["text"]}):
        figure, axes = pyplot.subplots(figsize=(9, 0.46 * len(rows) + 1.1))
        axes.barh(range(len(rows)), [1] * len(rows), height=0.62, color=colours["stdlib"])
        axes.barh(range(len(rows)), [row[OURS] / row["stdlib"] for row in rows], height=0.62, color=colours["ours"])
        for place, row in enumerate(rows):
            draw_row(axes, place, row, colours["text"])
        axes.set_xlim(0, 1.32)
        axes.set_title(f"ns per operation, CPython {label(result)}: contextlib → acontextlib", loc="left", fontsize=12)
        axes.text(0, len(rows) - 0.25, "|  a hand-written class, or no stack at all", va="center", fontsize=9.5)
        axes.invert_yaxis()
        axes.axis("off")
        figure.savefig(path, transparent=True, bbox_inches="tight", metadata={"Date": None, "Creator": None})
        pyplot.close(figure)


def draw_row(axes, place, row, colour):
    axes.text(-0.012, place, row["short"], ha="right", va="center")
    numbers = f"{row['stdlib']:.0f} → {row[OURS]:.0f}   ({row['stdlib / c']:.1f} times)"
    axes.text(1.012, place, numbers, ha="left", va="center")
    if "by hand" in row:
        by_hand = row["by hand"] / row["stdlib"]
        axes.vlines(by_hand, place - 0.31, place + 0.31, color=colour, linewidth=1.6)


def report_operations(results, options):
    plain = [result for result in results if result["loop"] == "none"]
    if not plain:
        raise SystemExit("no results without a loop; make some with bench.py --quick --json")
    newest = plain[-1]
    replace_between(options.root / "README.md", "headline", [headline(newest)])
    replace_between(options.root / "README.md", "gain", readme_table(plain))
    replace_between(options.root / "docs" / "benchmarks.md", "results", details(results))
    if not options.no_picture:
        for name, colours in SCHEMES.items():
            draw(newest, options.root / "docs" / name, colours)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", nargs="*", type=Path, help="what bench.py or services.py printed as JSON")
    parser.add_argument("--root", type=Path, default=ROOT, help="where README.md and docs/ are")
    parser.add_argument("--no-picture", action="store_true", help="leave the SVG files as they are")
    options = parser.parse_args()
    paths = options.results or sorted((ROOT / "benchmarks" / "results").glob("*.json"))
    results = load(paths)
    services = [result for result in results if result["unit"] == "requests per second"]
    operations = [result for result in results if result not in services]
    if operations:
        report_operations(operations, options)
    if services:
        replace_between(options.root / "README.md", "services", readme_services(services))
        replace_between(options.root / "docs" / "benchmarks.md", "services", services_details(services))
    if not results:
        parser.error("no results; make some with bench.py --quick --json or services.py --json")


if __name__ == "__main__":
    main()
