"""Compare random programs on contextlib and on this package: a few, or a million in several processes.

A program is known by the seed of its run and its own number, whatever the number of processes is.
"""

import difflib
import gc
import itertools
import multiprocessing
import queue
import sys
import time

import implementations
from grammar import draw_program, shrink
from observer import compiled, observe_watched, watching
from programs import render

COLLECT = 500  # programs
TELL = 60  # seconds between two reports of a run


def records(program, one, others):
    """What each did, None for one that hangs; the others do not run where the first hangs."""
    code = compiled(program.text)
    with watching():
        expected = observe_watched(one, program, code)
        # Chains of contexts with a cycle make the stdlib loop for ever; test_unwinding.py shows what ours does there.
        return expected, [expected and observe_watched(other, program, code) for other in others]


def compare(program, one, other):
    """Return None if a program behaves alike on both, or a text that shows it and where they part."""
    expected, (actual,) = records(program, one, [other])
    return None if expected is None or actual == expected else shown(program, expected, actual, one, other)


def shown(program, expected, actual, one, other):
    """A program, and where two records of it part."""
    diff = difflib.unified_diff(expected, actual or ["hangs"], one.name, other.name, n=3, lineterm="")
    numbered = "".join(f"{number:4} {line}\n" for number, line in enumerate(str(program).splitlines(), 1))
    return f"this program behaves differently on {other.name}:\n{numbered}\n" + "\n".join(diff)


def differing(seed, numbers, one, others, progress=None):
    """Run programs and yield those that differ: (number, tree, the first that it differs on, where).

    `progress` gets the number of the program that is running, how many were compared and how many left out.
    """
    progress = progress if progress is not None else [0, 0, 0]
    with watching():
        for number in numbers:
            progress[0] = number
            if number % COLLECT == 0:
                gc.collect()  # the runs themselves collect among their own objects only
            tree = draw_program(seed, number)
            expected, actual = records(render(tree), one, others)
            progress[1 if expected is not None else 2] += 1
            for other, record in zip(others, actual, strict=True):
                if expected is not None and record != expected:
                    yield number, tree, other, shown(render(tree), expected, record, one, other)
                    break


def shrunk(tree, one, other):
    """A smaller program that differs, too."""
    return shrink(tree, lambda smaller: compare(render(smaller), one, other) is not None)


def report(seed, number, tree, one, other, text):
    """All that there is to say about a program that differs."""
    small = compare(render(shrunk(tree, one, other)), one, other)
    return f"--- seed {seed}, program {number}: {text}\n\n--- seed {seed}, program {number}, made small: {small}\n"


def work(seed, numbers, names, progress, found):
    """One process of a run: puts each report, and None at the end."""
    one, *others = [implementations.load(name) for name in names]
    gc.collect()
    for number, tree, other, text in differing(seed, numbers, one, others, progress):
        found.put(report(seed, number, tree, one, other, text))
    found.put(None)


def start_worker(context, seed, numbers, names, found):
    progress = context.RawArray("q", 3)
    worker = context.Process(target=work, args=(seed, numbers, names, progress, found), daemon=True)
    worker.start()
    return worker, progress


def crashes_alone(context, seed, number, names):
    """Whether a program crashes the interpreter with the standard library only, so that there is nothing to compare."""
    found = context.Queue()
    worker, _ = start_worker(context, seed, range(number, number + 1), names[:1], found)
    worker.join()
    return worker.exitcode < 0


def run(numbers, shards, seed, names):
    """Run those programs in that many processes; print what is found and return how much that is."""
    context = multiprocessing.get_context("spawn")
    found = context.Queue()
    began = told = time.monotonic()
    version = sys.version.split()[0]
    print(f"{version}: seed {seed}, programs {numbers[0]} to {numbers[-1]}, {shards} processes", flush=True)
    ends = [len(numbers) * index // shards for index in range(shards + 1)]
    shares = [numbers[a:b] for a, b in itertools.pairwise(ends)]
    workers = [start_worker(context, seed, share, names, found) for share in shares]
    failures, ended, done, left = 0, 0, 0, 0
    while ended < shards:
        try:
            text = found.get(timeout=1)
        except queue.Empty:
            for index, (worker, progress) in enumerate(workers):
                if not worker.exitcode:
                    continue
                number, *counts = progress
                print(f"a process ended with {worker.exitcode} at program {number} of seed {seed}", flush=True)
                if worker.exitcode > 0 or not crashes_alone(context, seed, number, names):
                    return failures + 1
                done, left = done + counts[0], left + counts[1] + 1
                print("so it does with the standard library alone", flush=True)
                shares[index] = range(number + 1, shares[index].stop)
                workers[index] = start_worker(context, seed, shares[index], names, found)
        else:
            ended += text is None
            failures += text is not None
            print(end=text or "", flush=True)
        now = time.monotonic()
        if now - told > TELL or ended == shards:
            told = now
            compared = done + sum(progress[1] for _, progress in workers)
            skipped = left + sum(progress[2] for _, progress in workers)
            pace = f"{compared / (now - began):.0f} a second"
            print(f"{version}: {compared} programs, {pace}, {skipped} left out, {failures} differ", flush=True)
    for worker, _ in workers:
        worker.join()
    return failures
