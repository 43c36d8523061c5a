"""Count machine instructions per operation under valgrind's callgrind.

    python benchmarks/instructions.py [--only PATTERN] [--json]

Time depends on the machine and on what else it does; the number of instructions hardly changes from run to run, so
that one per cent more of them is a regression and not noise. Each count is the difference between two numbers of
loops, which leaves out start-up, imports and warming up, less that of the empty loop. Needs valgrind; a scenario
takes about 10 seconds for each implementation.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys

from bench import OURS, STDLIB, interpreter, runs_of, selected

from _acontextlib._measure import drive
from _acontextlib._scenarios import SCENARIOS, empty_loop

MAIN = (
    "bare",
    "asyncio",
    "arguments",
    "raises",
    "suppresses",
    "decorated",
    "stack-one",
    "stack-callbacks",
    "stack-raises",
)
EMPTY = "empty"
FEW, MANY = 2_000, 6_000


def run_here(key, name, n):
    """In the process that valgrind watches: do one scenario's operation n times."""
    drive(empty_loop(n) if key == EMPTY else runs_of(SCENARIOS[key])[name](n))


def count(key, name, n):
    """Instructions of a whole process that does the operation n times."""
    command = [sys.executable, __file__, "--run", key, name, str(n)]
    valgrind = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={os.devnull}"]
    # Dicts and sets laid out alike in each process, or the difference of two processes would count their collisions.
    environment = {**os.environ, "PYTHONHASHSEED": "0"}
    done = subprocess.run([*valgrind, *command], env=environment, capture_output=True, text=True)
    found = re.search(r"Collected : (\d+)", done.stderr)
    if done.returncode or found is None:
        sys.exit(f"{' '.join(command)} under valgrind failed:\n{done.stderr}")
    return int(found[1])


def per_operation(key, name):
    return (count(key, name, MANY) - count(key, name, FEW)) / (MANY - FEW)


def counts(scenarios):
    """Instructions per operation, by scenario and implementation."""
    empty = per_operation(EMPTY, STDLIB)
    for key, scenario in scenarios.items():
        yield key, {name: round(per_operation(key, name) - empty) for name in runs_of(scenario)}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", metavar="PATTERN", help=f"instead of the main scenarios ({', '.join(MAIN)})")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--run", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.run:
        key, name, n = options.run
        return run_here(key, name, int(n))
    if shutil.which("valgrind") is None:
        sys.exit("valgrind is not installed")
    scenarios = {key: SCENARIOS[key] for key in MAIN} if options.only is None else selected(options.only)
    if options.json:
        print(json.dumps({**interpreter(), "unit": "instructions", "rows": dict(counts(scenarios))}, indent=2))
        return
    print(f"Python {interpreter()['python']}, instructions per operation")
    for key, row in counts(scenarios):
        ratio = f"stdlib / c {row[STDLIB] / row[OURS]:.2f}"
        print(f"{key:<16} " + "  ".join(f"{name} {number}" for name, number in row.items()) + f"  {ratio}", flush=True)


if __name__ == "__main__":
    main()
