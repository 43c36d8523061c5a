"""Measure every scenario in the stdlib, in C, by hand and with the bare generator driven by hand.

    python benchmarks/bench.py --quick [--asyncio] [--only PATTERN] [--rounds N] [--json]
    python benchmarks/bench.py [--asyncio] [--only PATTERN] [pyperf's options, -o FILE]

--quick interleaves: every round takes one sample of everything and the best of each counts, in well under half a
minute. Ratios that are to be compared come from there, because its numbers are taken side by side in one process.
Without it, pyperf measures each scenario in processes of its own and says how steady the numbers are.

Both measure the same: one coroutine with a loop of N `async with` statements that never suspends, less the empty
loop. --asyncio runs it as a task of an asyncio loop, which adds the loop's hooks for async generators.
"""

import argparse
import asyncio
import contextlib
import json
import platform
import sys
import sysconfig
from functools import partial

import _acontextlib
from _acontextlib._measure import drive, measure, timed
from _acontextlib._scenarios import SCENARIOS, empty_loop

IMPLEMENTATIONS = STDLIB, OURS, BY_HAND, DRIVEN = ("stdlib", "c", "by hand", "driven")
LIBRARIES = {STDLIB: contextlib, OURS: _acontextlib}


def selected(pattern):
    """The scenarios whose key or title contains the pattern."""
    chosen = {key: scenario for key, scenario in SCENARIOS.items() if pattern in key or pattern in scenario.title}
    if not chosen:
        sys.exit(f"no scenario is called {pattern!r}; there are: {', '.join(SCENARIOS)}")
    return chosen


def runs_of(scenario):
    """What is measured for a scenario: a run(n) coroutine function for each implementation that has one."""
    runs = {name: scenario.build(library) for name, library in LIBRARIES.items()}
    if scenario.by_hand is not None:
        runs[BY_HAND] = scenario.by_hand()
    if scenario.driven is not None:
        runs[DRIVEN] = scenario.driven()
    return runs


def interpreter():
    """What a reader has to know about the interpreter and the machine to judge the numbers."""
    return {
        "python": platform.python_version(),
        "free_threaded": bool(sysconfig.get_config_var("Py_GIL_DISABLED")),
        "compiler": platform.python_compiler(),
        "debug": hasattr(sys, "gettotalrefcount"),
        "system": platform.system(),
        "machine": platform.machine(),
        "cpu": cpu(),
        "implementation": _acontextlib.implementation,
        "drive": _acontextlib.drive,
        "acontextlib": _acontextlib.__version__,
    }


def cpu():
    try:
        with open("/proc/cpuinfo") as file:
            for line in file:
                if line.startswith("model name"):
                    return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor()


def quick(options):
    """The interleaved measurement; returns what --json prints."""
    scenarios = selected(options.only)
    runs = {(key, name): run for key, scenario in scenarios.items() for name, run in runs_of(scenario).items()}
    if options.asyncio:
        with asyncio.Runner() as runner:
            numbers = measure(runs, options.rounds, runner.run)
    else:
        numbers = measure(runs, options.rounds)
    rows = {
        key: {"title": scenario.title, "short": scenario.short or scenario.title} for key, scenario in scenarios.items()
    }
    for (key, name), nanoseconds in numbers.items():
        rows[key][name] = round(nanoseconds, 1)
    for row in rows.values():
        row["stdlib / c"] = round(row[STDLIB] / row[OURS], 2)
        if BY_HAND in row:
            row["c / by hand"] = round(row[OURS] / row[BY_HAND], 2)
    loop = "asyncio" if options.asyncio else "none"
    return {**interpreter(), "loop": loop, "rounds": options.rounds, "unit": "ns", "rows": rows}


def print_table(result):
    loop = "under asyncio" if result["loop"] == "asyncio" else "no event loop"
    print(f"Python {result['python']} on {result['cpu']}, {result['implementation']}, drive {result['drive']}, {loop};")
    print(f"ns per operation, best of {result['rounds']} interleaved rounds")
    columns = (*IMPLEMENTATIONS, "stdlib / c", "c / by hand")
    print(f"\n{'':<50}" + "".join(f"{name:>12}" for name in columns))
    for row in result["rows"].values():
        cells = (f"{row[name]:.{2 if '/' in name else 0}f}" if name in row else "-" for name in columns)
        print(f"{row['title']:<50}" + "".join(f"{cell:>12}" for cell in cells))


def options_parser():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="interleaved best-of-rounds table, without pyperf")
    parser.add_argument("--rounds", type=int, default=60, help="how many rounds --quick makes (default %(default)s)")
    parser.add_argument("--json", action="store_true", help="--quick prints JSON, which report.py reads")
    add_common(parser)
    return parser


def add_common(parser):
    parser.add_argument("--only", default="", metavar="PATTERN", help="only scenarios whose key or title contains it")
    parser.add_argument("--asyncio", action="store_true", help="measure inside a running asyncio loop")


def timed_less_loop(run, use_asyncio, n):
    """Seconds that n operations take, for pyperf."""
    if use_asyncio:
        with asyncio.Runner() as runner:
            return runner.run(timed(run, n)) - runner.run(timed(empty_loop, n))
    return drive(timed(run, n)) - drive(timed(empty_loop, n))


def with_pyperf():
    import pyperf

    def pass_on(command, options):
        command.extend(["--only", options.only] + ["--asyncio"] * options.asyncio)

    runner = pyperf.Runner(add_cmdline_args=pass_on)
    add_common(runner.argparser)
    options = runner.parse_args()
    runner.metadata.update({f"acontextlib_{key}": str(value) for key, value in interpreter().items()})
    for key, scenario in selected(options.only).items():
        for name, run in runs_of(scenario).items():
            runner.bench_time_func(f"{key} [{name}]", partial(timed_less_loop, run, options.asyncio))


def main():
    if "--quick" in sys.argv or {"-h", "--help"} & set(sys.argv):
        options = options_parser().parse_args()
        result = quick(options)
        if options.json:
            json.dump(result, sys.stdout, indent=2)
            print()
        else:
            print_table(result)
    else:
        with_pyperf()


if __name__ == "__main__":
    main()
