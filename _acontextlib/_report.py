"""What ``python -m _acontextlib`` shows when it is given no program: the check, then the gain, as text or as JSON."""

import contextlib
import platform
import sys
from functools import partial

import _acontextlib
from _acontextlib._check import differences
from _acontextlib._install import uninstall
from _acontextlib._measure import measure
from _acontextlib._scenarios import SCENARIOS

ROUNDS = 40
WIDTH = 80
STDLIB, OURS, BY_HAND = IMPLEMENTATIONS = ("stdlib", "ours", "by hand")


def report(as_json=False, rounds=ROUNDS):
    """Check and measure, print both; returns the exit status: 1 if a behaviour differs from the stdlib's."""
    # Something that ran at start-up may have installed us; here the stdlib's own objects are what we compare with.
    uninstall()
    if as_json:
        return _report_json(rounds)
    print(heading())
    print("\nThe same as this interpreter's contextlib?")
    failed = 0
    for name, difference in differences(_acontextlib, contextlib):
        print(f"  {'ok' if difference is None else 'FAILED':<6} {name}", flush=True)
        if difference is not None:
            failed += 1
            print("         ours: {!r}\n       stdlib: {!r}".format(*difference))
    print("\nHow fast? Nanoseconds per operation, best of many rounds, without an event loop.")
    print("Each bar is ours against the stdlib's, which fills the column.\n", flush=True)
    for line in table(gains(rounds, progress_bar() if sys.stderr.isatty() else None)):
        print(line)
    if failed:
        print(f"\n{failed} of the behaviours above differ from the stdlib's.", file=sys.stderr)
    return 1 if failed else 0


def _report_json(rounds):
    import json

    checks = list(differences(_acontextlib, contextlib))
    result = {
        "version": _acontextlib.__version__,
        "implementation": _acontextlib.implementation,
        "drive": _acontextlib.drive,
        "python": platform.python_version(),
        "interpreter": sys.implementation.name,
        "machine": platform.machine(),
        "checks": [
            {"name": name, "ok": difference is None}
            | ({} if difference is None else {"ours": repr(difference[0]), "stdlib": repr(difference[1])})
            for name, difference in checks
        ],
        "unit": "ns",
        "rows": [{"key": key, "title": SCENARIOS[key].title, **row} for key, row in gains(rounds).items()],
    }
    print(json.dumps(result, indent=2))
    return 0 if all(difference is None for _, difference in checks) else 1


def heading():
    python = f"{platform.python_implementation()} {platform.python_version()}, {platform.system()} {platform.machine()}"
    written = "in C" if _acontextlib.implementation == "c" else "the stdlib's own"
    return (
        f"acontextlib {_acontextlib.__version__} on {python}\n"
        f"implementation: {_acontextlib.implementation} ({written}), drive: {_acontextlib.drive}"
    )


def gains(rounds, progress=None):
    """For each scenario with a short title, nanoseconds by implementation and the gain, stdlib / ours."""
    runs = {}
    for key, scenario in SCENARIOS.items():
        if scenario.short:
            runs[key, STDLIB] = scenario.build(contextlib)
            runs[key, OURS] = scenario.build(_acontextlib)
            if scenario.by_hand is not None:
                runs[key, BY_HAND] = scenario.by_hand()
    rows = {}
    for (key, implementation), nanoseconds in measure(runs, rounds, progress=progress).items():
        rows.setdefault(key, {})[implementation] = round(nanoseconds, 1)
    for row in rows.values():
        row["gain"] = round(row[STDLIB] / row[OURS], 2)
    return rows


def table(rows):
    """The lines of the table, each at most 80 columns."""
    head = f"{'':<20}{'stdlib':>8}{'ours':>8}{'by hand':>9}{'gain':>7}  "
    yield head.rstrip()
    width = WIDTH - len(head)
    for key, row in rows.items():
        by_hand = f"{row[BY_HAND]:.0f}" if BY_HAND in row else "-"
        bar = bar_of(row[OURS] / row[STDLIB], width)
        line = f"{SCENARIOS[key].short:<20}{row[STDLIB]:>8.0f}{row[OURS]:>8.0f}{by_hand:>9}{row['gain']:>6.2f}x  {bar}"
        yield line.rstrip()


def bar_of(share, width):
    """A bar `share` of `width` long, the rest dotted; plain characters where the terminal cannot show blocks."""
    full, rest = ("█", "·") if _can_print("█·") else ("#", ".")
    length = max(1, min(width, round(share * width)))
    return full * length + rest * (width - length)


def _can_print(text):
    try:
        text.encode(sys.stdout.encoding or "ascii")
    except UnicodeEncodeError:
        return False
    return True


def progress_bar():
    """A function that draws the share done on stderr, and wipes its line at the end."""
    return partial(_draw, sys.stderr, 40)


def _draw(stream, width, share):
    done = round(share * width)
    line = f"  measuring [{'#' * done}{' ' * (width - done)}] {share:4.0%}"
    stream.write("\r" + (line if share < 1.0 else " " * len(line) + "\r"))
    stream.flush()
