"""Measure what whole programs gain: requests per second on the stdlib's contextlib and on ours, side by side.

    python benchmarks/services.py [--only PATTERN] [--pairs N] [--rounds N] [--json]

For each program two processes, worker.py, one of which has called `install()` before its imports. They take turns of
a twentieth of a second; each round gives one ratio, and the median of these counts, so that a slow moment of the
machine touches both alike. This is done with several pairs of processes, since no two are quite alike either. Time is
that of the program's process on the processor, which other processes have little influence on; where the program runs
under uvicorn it is the server's, and this process plays the clients, on the loopback.

How much of the time contextlib takes on the stdlib is sampled afterwards. What is left of it on ours follows from the
ratio: the program's own part is the same.
"""

import argparse
import asyncio
import importlib.metadata
import importlib.util
import json
import statistics
import subprocess
import sys
from contextlib import ExitStack, contextmanager
from pathlib import Path

from applications import PROGRAMS, SERVED
from bench import OURS, STDLIB, interpreter

WORKER = Path(__file__).with_name("worker.py")
CONNECTIONS = 8
PATIENCE = 120  # seconds for one round, at the very most
UVICORN = "-uvicorn"


class Worker:
    """A process that runs a program."""

    def __init__(self, implementation, key, *how):
        command = [sys.executable, "-W", "ignore", str(WORKER), implementation, key, *how]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(self, *words):
        self.process.stdin.write(" ".join(map(str, words)) + "\n")
        self.process.stdin.flush()
        return self.answer()

    def answer(self):
        line = self.process.stdout.readline()
        if not line:
            sys.exit(f"{' '.join(self.process.args)} ended with status {self.process.wait()}")
        return json.loads(line)

    def run(self, n):
        """The seconds that n requests take."""
        return self.ask("run", n)

    def close(self):
        self.process.stdin.close()
        self.process.wait(PATIENCE)
        self.process.stdout.close()


class Server(Worker):
    """The same with uvicorn in between; the clients are here."""

    def __init__(self, implementation, key, runner):
        super().__init__(implementation, key, "serve")
        self.runner = runner
        self.port = self.answer()["port"]
        self.message = PROGRAMS[key].message()

    def run(self, n):
        start = self.ask("time")
        self.runner.run(load(self.port, self.message, n))
        return {name: now - start[name] for name, now in self.ask("time").items()}


async def load(port, message, n):
    """Make n requests over several connections; on each, the next follows the answer to the last."""
    counts = [len(range(first, n, CONNECTIONS)) for first in range(min(CONNECTIONS, n))]
    async with asyncio.timeout(PATIENCE), asyncio.TaskGroup() as group:
        for count in counts:
            group.create_task(client(port, message, count))


async def client(port, message, count):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        for _ in range(count):
            writer.write(message)
            status, *headers = (await reader.readuntil(b"\r\n\r\n")).lower().split(b"\r\n")
            length = next(int(header.split(b":")[1]) for header in headers if header.startswith(b"content-length:"))
            await reader.readexactly(length)
            if status.split()[1] != b"200":
                raise RuntimeError(f"the server answered {status.decode()}")
    finally:
        writer.close()
        await writer.wait_closed()


@contextmanager
def workers(key):
    """A process with the stdlib and one with ours, warm."""
    with ExitStack() as stack:
        if key.endswith(UVICORN):
            runner = stack.enter_context(asyncio.Runner())
            pair = [Server(name, key.removesuffix(UVICORN), runner) for name in (STDLIB, OURS)]
        else:
            pair = [Worker(name, key) for name in (STDLIB, OURS)]
        for worker in pair:
            stack.callback(worker.close)
        yield pair


def requests_for(worker, seconds):
    """How many requests take so long; at the end the interpreter has specialised its code and filled its caches."""
    n = 16
    worker.run(n)  # the first request may import much
    while (took := worker.run(n)["cpu"]) < seconds:
        n *= 4
    return max(1, round(n * seconds / took))


def compare(key, options):
    """Rounds of one program; returns its row."""
    rounds = []
    for number in range(options.pairs):
        with workers(key) as (stdlib, ours):
            n = requests_for(stdlib, options.seconds)
            requests_for(ours, options.seconds)
            for turn in range(options.rounds):
                order = (stdlib, ours) if turn % 2 else (ours, stdlib)
                took = {worker: worker.run(n) for worker in order}
                rounds.append([{name: n / took[worker][name] for name in took[worker]} for worker in (stdlib, ours)])
            if number == options.pairs - 1:
                sampled = share_of_contextlib(stdlib, n, options.profile)
    return row_of(rounds, sampled)


def share_of_contextlib(worker, n, seconds):
    """The share of the stdlib's contextlib in per cent and the number of samples, or None where none can be taken."""
    # 3.11 and 3.12 do not keep their frames fit to be walked at every moment.
    if sys.platform == "win32" or sys.version_info < (3, 13) or not seconds:
        return None
    worker.ask("sample")
    while seconds > 0:
        seconds -= worker.run(n)["cpu"]
    return worker.ask("share")


def row_of(rounds, sampled):
    ratios = sorted(ours["cpu"] / stdlib["cpu"] for stdlib, ours in rounds)
    ratio = statistics.median(ratios)
    row = {
        STDLIB: round(statistics.median(stdlib["cpu"] for stdlib, _ in rounds)),
        OURS: round(statistics.median(ours["cpu"] for _, ours in rounds)),
        "c / stdlib": round(ratio, 3),
        "middle half": [round(ratios[len(ratios) // 4], 3), round(ratios[-1 - len(ratios) // 4], 3)],
        "by the clock": round(statistics.median(ours["wall"] / stdlib["wall"] for stdlib, ours in rounds), 3),
    }
    if sampled:
        # Per request: the rest takes (1 - share) of the stdlib's time, and is as long with ours.
        left = 1 - (1 - sampled["share"] / 100) * ratio
        row |= {"samples": sampled["samples"], "share": round(sampled["share"], 1), "left": round(100 * left, 1)}
    return row


def titles():
    """What can be measured, by key, in the order of the tables."""
    found = {}
    for key, program in PROGRAMS.items():
        found[key] = program.title
        if key in SERVED:
            found[key + UVICORN] = f"the same under uvicorn with uvloop, {CONNECTIONS} connections"
    return found


def selected(pattern):
    if pattern in titles():
        return {pattern: titles()[pattern]}
    chosen = {key: title for key, title in titles().items() if pattern in key or pattern in title}
    if not chosen:
        sys.exit(f"no program is called {pattern!r}; there are: {', '.join(titles())}")
    return chosen


def missing(key):
    """The modules that a program needs and that are not installed."""
    needs = PROGRAMS[key.removesuffix(UVICORN)].needs
    if key.endswith(UVICORN):
        needs = (*needs, "uvicorn", "uvloop", "httptools")
    return [name for name in needs if importlib.util.find_spec(name) is None]


def libraries():
    """The versions of what the programs are made of."""
    names = {"anyio", "fast-depends", "fastapi", "httpx", "starlette", "svcs", "uvicorn", "uvloop"}
    found = {(each.name or "").lower(): each.version for each in importlib.metadata.distributions()}
    return {name: found[name] for name in sorted(names) if name in found}


def print_row(row):
    sampled = f"{row['share']:>10.1f}{row['left']:>10.1f}" if "share" in row else f"{'-':>10}{'-':>10}"
    low, high = row["middle half"]
    ratio = f"{row['c / stdlib']:>12.2f}{f'{low:.2f} to {high:.2f}':>16}"
    print(f"{row['title']:<62}{row[STDLIB]:>10}{row[OURS]:>10}{ratio}{sampled}", flush=True)


def measure(options):
    chosen = selected(options.only)
    if not options.json:
        about = interpreter()
        print(f"Python {about['python']} on {about['cpu']}, drive {about['drive']}: requests per second of processor")
        print("time; contextlib's share of the time on the stdlib, and what is left of it on ours, in per cent\n")
        columns = f"{'stdlib':>10}{'c':>10}{'c / stdlib':>12}{'middle half':>16}{'share':>10}{'left':>10}"
        print(f"{'':<62}{columns}")
    rows = {}
    for key, title in chosen.items():
        if absent := missing(key):
            print(f"{key}: left out, needs {', '.join(absent)}", file=sys.stderr)
            continue
        rows[key] = {"title": title, **compare(key, options)}
        if not options.json:
            print_row(rows[key])
    numbers = {"pairs": options.pairs, "rounds": options.rounds, "libraries": libraries()}
    return {**interpreter(), **numbers, "unit": "requests per second", "rows": rows}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--only",
        default="",
        metavar="PATTERN",
        help="the program of that key, or those that contain it",
    )
    parser.add_argument("--pairs", type=int, default=2, help="how many pairs of processes (default %(default)s)")
    parser.add_argument("--rounds", type=int, default=20, help="how many rounds each makes (default %(default)s)")
    parser.add_argument("--seconds", type=float, default=0.05, help="a turn of one process (default %(default)s)")
    parser.add_argument("--profile", type=float, default=3, metavar="SECONDS", help="sampled (default %(default)s)")
    parser.add_argument("--json", action="store_true", help="print JSON, which report.py reads")
    options = parser.parse_args()
    result = measure(options)
    if options.json:
        json.dump(result, sys.stdout, indent=2)
        print()


if __name__ == "__main__":
    main()
