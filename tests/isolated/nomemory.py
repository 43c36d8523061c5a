"""Let each allocation of a scenario fail in turn, and see that nothing worse than a MemoryError comes of it.

    python tests/isolated/nomemory.py [--group NAME] [--drive c-direct] [--mode one] [--stride N]

A scenario is played with its first allocation failing, with its second, and so on until none is left to fail: once
with that allocation alone ("one"), once with all from there on ("all"). Each time it must end with a MemoryError or as
it does with memory at hand; what was entered must have been left, once; the objects that were used, and new ones,
must work afterwards. Each group of scenarios runs in a process of its own, which goes on behind the allocation that
crashed it or made it hang.

Where a failing allocation of the interpreter's own loses something (a coroutine that cannot be made does not run), the
standard library's objects lose it, too: of "one" ours may lose no more than those.
"""

import argparse
import contextlib
import faulthandler
import gc
import json
import os
import pickle
import re
import signal
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(1, str(Path(__file__).resolve().parent))

import implementations
from nomemory_scenarios import SCENARIOS, World
from nomemory_world import drive

try:
    from _testcapi import remove_mem_hooks, set_nomemory
except ImportError:
    set_nomemory = None

VERSION = sys.version_info[:2]
DEBUG = hasattr(sys, "gettotalrefcount")
SKIPPED = 77
MODES = ("one", "all", "one-drained", "all-drained")
MOST_ATTEMPTS = 30_000  # of one scenario, which then never came to its end
PATIENCE = 40  # seconds for 50 attempts
MOST_CRASHES = 40
APART = ("module", "defects")

# What the interpreter does wrong where memory is short and where the standard library's objects do not come: (scenario,
# pattern of what came of it, reason).
EXCUSED = [
    (
        "drop_never_started",
        r"most recent call first\):\n  File \"[^\n]*warnings.py\", line \d+ in _warn_unawaited_coroutine",
        "3.11 crashes in the function of warnings.py that it calls for a coroutine, too",
    ),
    (
        "import_core",
        "AttributeError: type object '\\w+' has no attribute '_abc_impl'",
        "abc.ABCMeta forgets that it had no memory for it",
    ),
    (
        "import_core",
        "RuntimeError: Error calling __set_name__ on",
        "up to 3.11 that takes the place of any exception in __set_name__()",
    ),
    (
        "import_core",
        "returned: False",
        "a MemoryError at the yield of the self-test's generator waits for its clean-up: the public drive is chosen",
    ),
]


def excused(name, text):
    return any(re.search(names, name) and re.search(pattern, text, re.DOTALL) for names, pattern, _ in EXCUSED)


def drain(lib):
    """Take all that our freelists hold: returned are awaitables, to be closed, that keep the rest."""

    @lib.asynccontextmanager
    async def nothing():
        yield

    made = []
    for _ in range(20):
        stack, manager, closing, null = lib.AsyncExitStack(), nothing(), lib.aclosing(None), lib.nullcontext()
        made += [stack.__aenter__(), manager.__aenter__(), closing.__aenter__(), null.__aenter__()]
        null.method = null.__enter__
    return made


class Attempt:
    """One play of a scenario: what came of it, and what was lost."""

    def __init__(self, scenario, lib, start=None, mode="one", stride=1):
        self.world = World(lib)
        made = scenario.prepare(lib, self.world)
        play, self.recover = made if isinstance(made, tuple) else (made, None)
        self.complaints = []
        self.unraisable = []
        if scenario.is_async:
            coroutine, play = play(), drive
            arguments = (coroutine,)
        else:
            arguments = ()
        sys.unraisablehook = self.note_unraisable
        drained = drain(lib) if mode.endswith("drained") else ()
        if start is None:
            self.play(play, arguments)
        else:
            self.play_without_memory(play, arguments, start, start + 1 if mode.startswith("one") else 0, stride)
            # What was to fail was not needed: of "one" it fell to the probe, of "all" not even to that.
            self.reached_end = self.probe_failed == mode.startswith("one")
        del play, arguments
        coroutine = None
        for awaitable in drained:
            awaitable.close()
        drained = None
        self.finish()
        sys.unraisablehook = sys.__unraisablehook__

    def play(self, play, arguments):
        try:
            result = play(*arguments)
        except BaseException as exc:
            self.outcome = self.describe(exc)
        else:
            self.outcome = ("returned", repr(result))

    def play_without_memory(self, play, arguments, start, stop, stride):
        raised = result = None
        probe = bytearray
        # Each takes two allocations at least.  Where one alone fails there are many, for scenarios in which code warms
        # up take fewer and fewer allocations, and may never come to have just as many as are to succeed.
        rounds = range(stride if stop == 0 else stride + 200)
        self.probe_failed = False
        set_nomemory(start, stop)
        try:
            result = play(*arguments)
        except BaseException as exc:
            raised = exc
        try:
            for _ in rounds:
                probe(1)
        except MemoryError:
            self.probe_failed = True
        finally:
            remove_mem_hooks()
        self.outcome = self.describe(raised) if raised is not None else ("returned", repr(result))

    @staticmethod
    def describe(exc):
        return ("raised", type(exc).__name__, str(exc))

    def note_unraisable(self, unraisable):
        if not issubclass(unraisable.exc_type, MemoryError):
            self.unraisable.append(f"{unraisable.exc_type.__name__}: {unraisable.exc_value}")

    def finish(self):
        """Use what was used once more, let go of it, and count."""
        world = self.world
        if self.recover is not None:
            try:
                self.recover()
            except BaseException as exc:
                self.complaints.append(f"used again: {type(exc).__name__}: {exc}")
        for thing in world.same:
            try:
                repr(thing)
            except BaseException as exc:
                self.complaints.append(f"repr() afterwards: {type(exc).__name__}: {exc}")
        self.recover = None
        world.same.clear()
        gc.collect()
        self.lost = [
            index
            for index, acquired in enumerate(world.acquired)
            if acquired > world.released[index] or world.dropped[index]
        ]
        for index, acquired in enumerate(world.acquired):
            if world.released[index] > acquired:
                self.complaints.append(f"resource {index} acquired {acquired}, released {world.released[index]} times")


def odd_outcome(expected, attempt):
    """What came of an attempt where that is neither what it should be nor a MemoryError: one text for all like it."""
    if attempt.outcome == expected.outcome or attempt.outcome[1] == "MemoryError":
        return None
    return re.sub(r"0x\w+|\d+", "N", ": ".join(attempt.outcome))


class Run:
    """A scenario on one drive in one mode, from an allocation on."""

    def __init__(self, scenario, lib, mode, first=0, stride=1, progress=None):
        self.scenario, self.lib, self.mode = scenario, lib, mode
        self.failures = []
        self.odd = {}  # text: the numbers of the allocations whose failing led to it
        self.losses = set()
        self.attempts = 0
        for _ in range(3):
            self.expected = Attempt(scenario, lib, mode=mode)
        if self.expected.lost or self.expected.complaints:
            self.failures.append(f"with memory: lost {self.expected.lost}, {self.expected.complaints}")
            return
        for number in range(first, MOST_ATTEMPTS, stride):
            if progress is not None:
                progress(number)
            self.attempts += 1
            attempt, fresh = self.attempt_apart(number, stride) if scenario.is_apart else self.attempt(number, stride)
            self.note(number, attempt)
            if fresh.lost or fresh.complaints or fresh.outcome != self.expected.outcome:
                self.failures.append(f"after allocation {number}: {fresh.outcome}, lost {fresh.lost}")
            if attempt.reached_end:
                return
        self.failures.append(f"no end after {MOST_ATTEMPTS} allocations")

    def attempt(self, number, stride):
        """An attempt, and one with memory after it."""
        attempt = Attempt(self.scenario, self.lib, number, self.mode, stride)
        return attempt, Attempt(self.scenario, self.lib)

    def attempt_apart(self, number, stride):
        """The same in a process of its own, whose death is this one's."""
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            status = 1
            try:
                signal.alarm(PATIENCE)
                attempts = self.attempt(number, stride)
                for attempt in attempts:
                    del attempt.world  # full of what cannot be pickled
                with open(writing, "wb") as pipe:
                    pickle.dump(attempts, pipe)
                status = 0
            finally:
                os._exit(status)
        os.close(writing)
        with open(reading, "rb") as pipe:
            pickled = pipe.read()
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        if status < 0:
            os.kill(os.getpid(), -status)
        elif status:
            os._exit(status)
        return pickle.loads(pickled)

    def note(self, number, attempt):
        self.failures += [f"allocation {number}: {text}" for text in attempt.complaints]
        odd = odd_outcome(self.expected, attempt)
        if odd is not None:
            self.odd.setdefault(odd, []).append(number)
        self.losses |= {f"resource {index}" for index in attempt.lost}
        # What is dropped in place of being left may say so.
        self.losses |= set(attempt.unraisable) - set(self.expected.unraisable)


def child(arguments):
    """Run the scenarios of a group from a given place on, and print a line of JSON for each.

    Without a group, as valgrind is given it, all that need no process of their own and do not have 3.11 leak: the
    arguments of a function whose cell it cannot make, here the standard library's.
    """
    groups = [arguments.group] if arguments.group else {each.group for each in SCENARIOS.values()} - {*APART}
    names = [name for name, scenario in SCENARIOS.items() if scenario.group in groups]
    if not arguments.group:
        names.remove("callback_on_a_public_stack")
    stdlib, lib = implementations.load("stdlib"), implementations.load(arguments.drive)
    warnings.simplefilter("ignore")
    gc.collect()
    gc.freeze()
    gc.disable()
    with open(arguments.progress, "r+b", buffering=0) as progress:
        for name in names[names.index(arguments.scenario) if arguments.scenario else 0 :]:
            scenario = SCENARIOS[name]
            first = arguments.first if name == arguments.scenario else 0

            def note(number, name=name):
                if number % 50 == 0 or number < 0:
                    faulthandler.dump_traceback_later(PATIENCE, exit=True)
                os.pwrite(progress.fileno(), f"{name} {number}\n".encode().ljust(100), 0)

            note(-1)
            run = Run(scenario, lib, arguments.mode, first, arguments.stride, note)
            report = {"scenario": name, "attempts": run.attempts, "failures": run.failures}
            odd, losses = run.odd, run.losses if arguments.mode.startswith("one") else set()
            if lib is not stdlib and scenario.group not in APART:
                expected = Attempt(scenario, stdlib)
                if expected.outcome != run.expected.outcome:
                    run.failures.append(f"the stdlib says {expected.outcome}, ours {run.expected.outcome}")
                if odd or losses:
                    note(-2)
                    same = Run(scenario, stdlib, arguments.mode)
                    odd = {text: places for text, places in odd.items() if text not in same.odd}
                    losses -= same.losses
            run.failures += [f"allocations {places}: {text}" for text, places in odd.items()]
            if losses:
                run.failures.append(f"lost what the stdlib does not lose: {sorted(losses)}")
            report["failures"] = [text for text in run.failures if not excused(name, text)]
            print(json.dumps(report), flush=True)
    faulthandler.cancel_dump_traceback_later()


def run_group(group, drive, mode, stride):
    """Run a group in processes of their own; yield a report for each scenario and for each crash."""
    names = [name for name, scenario in SCENARIOS.items() if scenario.group == group]
    scenario, first = "", 0
    for _ in range(MOST_CRASHES):
        with tempfile.NamedTemporaryFile() as progress:
            command = [sys.executable, *("-X", "faulthandler"), __file__, "--child", progress.name]
            command += ["--group", group, "--drive", drive, "--mode", mode, "--stride", str(stride)]
            command += ["--scenario", scenario, "--first", str(first)]
            with tempfile.TemporaryFile("w+") as stderr:
                process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=stderr, text=True)
                for line in process.stdout:
                    yield json.loads(line)
                status = process.wait()
                stderr.seek(0)
                said = stderr.read()
            if status == 0:
                return
            place = Path(progress.name).read_text().split()
        if len(place) < 2:
            yield {"scenario": "?", "attempts": 0, "crash": f"status {status}\n{said[-3000:]}"}
            return
        name, number = place[0], int(place[1])
        yield {"scenario": name, "attempts": 0, "crash": f"allocation {number}: status {status}\n{said[-3000:]}"}
        if number >= 0:
            scenario, first = name, number + stride
        elif names.index(name) + 1 < len(names):  # with memory at hand, or what the standard library's came to
            scenario, first = names[names.index(name) + 1], 0
        else:
            return
    yield {"scenario": scenario, "attempts": 0, "failures": [f"{MOST_CRASHES} crashes, given up"]}


def report_problems(report, drive, mode):
    """The lines about what is wrong in a report."""
    name = f"{report['scenario']} ({drive}, {mode})"
    problems = [f"{name}: {text}" for text in report.get("failures", [])]
    if "crash" in report and not excused(report["scenario"], report["crash"]):
        problems.append(f"{name}: crashed at {report['crash']}")
    return problems


def main():
    parser = argparse.ArgumentParser()
    groups = [group for group in dict.fromkeys(each.group for each in SCENARIOS.values()) if group != "defects"]
    parser.add_argument("--group", choices=[*groups, "defects"], help="of scenarios; defects must be found")
    parser.add_argument("--drive", choices=implementations.NAMES)
    parser.add_argument("--mode", choices=MODES)
    parser.add_argument("--stride", type=int, default=1, help="let only each Nth allocation fail")
    parser.add_argument("--scenario", default="", help="begin with this one of the group")
    parser.add_argument("--first", type=int, default=0, help="and with this allocation")
    parser.add_argument("--child", dest="progress", help="start no processes, and note in this file what is being done")
    parser.add_argument("--list", action="store_true", help="only say which scenarios there are")
    parser.add_argument("--verbose", action="store_true", help="say what each scenario came to")
    arguments = parser.parse_args()
    if arguments.list:
        for scenario in SCENARIOS.values():
            print(f"{scenario.group}: {scenario.name}")
        return 0
    if set_nomemory is None:
        print("skipped: needs _testcapi, which has no allocator to fail here")
        return SKIPPED
    if VERSION in ((3, 12), (3, 13)):
        print("skipped: the interpreter itself crashes where memory is short")
        return SKIPPED
    if arguments.progress:
        child(arguments)
        return 0
    problems, attempts, played = [], 0, set()
    for group in [arguments.group] if arguments.group else groups:
        for drive_name in [arguments.drive] if arguments.drive else implementations.OURS:
            for mode in [arguments.mode] if arguments.mode else MODES:
                began = time.perf_counter()
                for report in run_group(group, drive_name, mode, arguments.stride):
                    attempts += report["attempts"]
                    played.add(report["scenario"])
                    found = report_problems(report, drive_name, mode)
                    problems += found
                    for line in found[:10]:
                        print(line, flush=True)
                    if arguments.verbose:
                        print(f"  {report['scenario']}: {report['attempts']} attempts", flush=True)
                print(f"{group} ({drive_name}, {mode}): {time.perf_counter() - began:.1f} s", flush=True)
    for names, pattern, reason in EXCUSED if arguments.verbose else ():
        print(f"excused, {names}: {pattern!r}: {reason}")
    print(f"{len(played)} scenarios, {attempts} attempts, {len(problems)} problems")
    return 1 if problems else 0


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        sys.exit(main())
