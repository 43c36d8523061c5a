"""Does every kind of operation once or twice, on both drives, for tools that make a program take many times as long.

What `python -m _acontextlib` compares and measures, and what usage.py uses and leaves behind.
"""

import gc
import sys
import warnings
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import implementations
import usage

from _acontextlib import _check, _measure, _scenarios


def main():
    # Of the awaitables that are left; what a manager left in a cycle says of its generator.
    warnings.simplefilter("ignore")
    sys.unraisablehook = lambda unraisable: None
    failed = 0
    for lib in map(implementations.load, implementations.OURS):
        for name, difference in _check.differences(lib, implementations.load("stdlib")):
            if difference:
                failed += 1
                print(f"{lib.name}: {name}: {difference}")
        for scenario in _scenarios.SCENARIOS.values():
            _measure.drive(scenario.build(lib)(2))
        usage.use(lib)
        usage.leave_cycles(lib)
        usage.leave(lib)
        gc.collect()
        print(f"{lib.name}: {len(_check.BEHAVIOURS)} behaviours, {len(_scenarios.SCENARIOS)} scenarios")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
