"""Other projects' test suites, on the standard library's contextlib and with ours installed: are the outcomes the same?

    python tests/downstream/compare.py [--work FOLDER] [anyio starlette trio]

The suites come with the source distributions of pinned versions, which are downloaded, unpacked and installed, with
what their tests need, into the environment of the interpreter that runs this: give it one of its own.  Each suite runs
twice, the second time with `-p _acontextlib.pytest`.  Tests that fail in the same way in both runs (for want of a
network, say) are no concern of ours.  Where a test ends otherwise, its whole file runs again in both ways, some rounds
at least, and on until the outcomes seen in these rounds are the same.  If they never are, that is a difference.  If
they are, it may be what ran before: all tests run again in both ways, and what ends each time as it did the first time
is a difference, too.  Other tests are fickle by themselves.  With a difference the exit status is 1.  It is 2 where a
run tells nothing: the process died, our objects came too late, or hardly a test passed.
"""

import argparse
import json
import os
import platform
import re
import shlex
import subprocess
import sys
import tarfile
import tempfile
import tomllib
from collections import Counter
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).resolve().parent
IMPLEMENTATIONS = ("stdlib", "ours")
LEAST_ROUNDS, MOST_ROUNDS = 3, 10
AGAIN = 2  # how often all tests run again
HOUR = 3600


class Suite(NamedTuple):
    version: str
    needs: tuple[str, ...]  # for pip; {} is the folder
    options: tuple[str, ...]  # for pytest
    targets: tuple[str, ...]  # likewise
    at_least: int  # so many tests must pass, some nine tenths of 3.11's, or the run tells nothing


SUITES = {
    "anyio": Suite("4.16.0", ("{}", "--group={}/pyproject.toml:test"), ("--timeout=300",), ("tests",), 2900),
    # The group with what its tests need has all its tools, too.
    "starlette": Suite(
        "1.10.0",
        ("{}[full]", "blockbuster>=1.5.23", "httpx2[zstd]>=2", "opentelemetry-sdk>=1.44"),
        (),
        ("tests",),
        1250,
    ),
    # Without the type checkers and linters that it tries on the names in trio.
    "trio": Suite("0.35.0", ("{}", "pyOpenSSL>=22", "trustme"), ("--skip-optional-imports",), ("src/trio",), 720),
}


class Meaningless(Exception):
    """A run from which nothing can be concluded."""


def pip(*arguments):
    subprocess.run([sys.executable, "-m", "pip", "--quiet", *arguments], check=True, stdin=subprocess.DEVNULL)


def fetch(name, work):
    """Download and unpack the source of a suite; return its folder."""
    release = f"{name}-{SUITES[name].version}"
    if not (work / release).exists():
        pip("download", "--no-deps", f"--no-binary={name}", f"--dest={work}", f"{name}=={SUITES[name].version}")
        with tarfile.open(work / f"{release}.tar.gz") as archive:
            archive.extractall(work, filter="data")
    return work / release


def own_options(folder):
    """What the project's configuration adds to the command line."""
    settings = tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8")).get("tool", {}).get("pytest", {})
    options = settings.get("ini_options", settings).get("addopts", [])
    return shlex.split(options) if isinstance(options, str) else options


def read(report):
    """What the plugin wrote, as {node id: (file, outcome)}; nothing if it came to nothing."""
    lines = report.read_text(encoding="utf-8").splitlines() if report.exists() else []
    return {node_id: (file, outcome) for node_id, file, outcome in map(json.loads, lines)}


class Runner:
    """Runs tests of the project in a folder; what was said and what became of the tests is kept in `logs`."""

    def __init__(self, folder, options, logs):
        self.folder = folder
        self.options = options
        self.logs = logs

    def run(self, implementation, *targets, name):
        """Return {node id: (file, outcome)}."""
        log, report = (self.logs / f"{self.folder.name}-{implementation}-{name}.{ending}" for ending in ("log", "json"))
        report.unlink(missing_ok=True)
        with log.open("w", encoding="utf-8") as output:
            status = subprocess.run(
                self.command(implementation, report, *targets),
                cwd=self.folder,
                env=self.environment(),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                timeout=HOUR,
            ).returncode
        said = log.read_text(encoding="utf-8", errors="replace")
        found = read(report)
        unfinished = [node_id for node_id, (_, outcome) in found.items() if outcome is None]
        if status not in (0, 1) or unfinished:  # 1: tests failed
            within = f" within {', '.join(unfinished)}" if unfinished else ""
            raise Meaningless(f"pytest ended with status {status}{within}; see {log}\n{said[-3000:]}")
        if implementation == "ours":
            self.check_header(said)
        return found

    def environment(self):
        """With src/ on the path, where some projects have tests within the package, so that these are found once.

        Without the TMPDIR that nox sets: names of sockets have to be short, and pytest, which anyio's tests start in
        such a folder, would find the settings of our checkout.
        """
        path = [str(HERE), str(self.folder / "src"), *os.environ.get("PYTHONPATH", "").split(os.pathsep)]
        kept = {name: value for name, value in os.environ.items() if name != "TMPDIR" and name[:7] != "PYTEST_"}
        return {**kept, "PYTHONPATH": os.pathsep.join(filter(None, path))}

    def command(self, implementation, report, *targets):
        """Options of the project's configuration stand before those of a command line, and a plugin named there would
        import the project before our objects are there.  So ours goes before them."""
        first = ["-p", "_acontextlib.pytest"] if implementation == "ours" else []
        return [
            *(sys.executable, "-m", "pytest", "-c", str(self.folder / "pyproject.toml")),
            *("-o", f"addopts={shlex.join([*first, *own_options(self.folder)])}"),
            *("-p", "outcomes", "--outcomes", str(report), "-p", "no:cacheprovider"),
            *("--continue-on-collection-errors", *self.options, *targets),
        ]

    def check_header(self, said):
        """The plugin must have been there, and before the project."""
        if "acontextlib: c, " not in said:
            raise Meaningless(f"our objects were not installed\n{said[:3000]}")
        rebound = re.search("^acontextlib rebound: (.*)", said, re.MULTILINE)
        late = [where for where in (rebound[1].split(", ") if rebound else []) if where.split(".")[0] in SUITES]
        if late:
            raise Meaningless(f"imported before our objects were installed: {', '.join(late)}")


class Suspect:
    """A test that ended otherwise, and what was seen of it since."""

    def __init__(self, first):
        self.first = first  # the outcomes in the runs of all tests, by implementation
        self.rounds = {name: Counter() for name in IMPLEMENTATIONS}  # those in the rounds of its file
        self.again = None  # whether further runs of all tests were as the first; None: there were none

    def differs_alone(self):
        """Were outcomes seen of one that were not seen of the other?  A test that is nowhere tells nothing."""
        stdlib, ours = (set(self.rounds[name]) for name in IMPLEMENTATIONS)
        return stdlib != ours or "absent" in stdlib

    def differs(self):
        return self.differs_alone() or self.again is True


def compare(runner, targets):
    """Run the tests; return the two runs, and {node id: Suspect} of those tests that ended otherwise."""

    def run_all(name):
        return {implementation: runner.run(implementation, *targets, name=name) for implementation in IMPLEMENTATIONS}

    def outcomes(runs, node_id):
        return {name: run.get(node_id, (None, "absent"))[1] for name, run in runs.items()}

    runs = run_all("all")
    found = runs["stdlib"] | runs["ours"]
    ended = {node_id: outcomes(runs, node_id) for node_id in sorted(found)}
    suspects = {node_id: Suspect(first) for node_id, first in ended.items() if len(set(first.values())) > 1}
    files = sorted({found[node_id][0] for node_id in suspects})
    for number in range(1, MOST_ROUNDS + 1):
        if not suspects or (number > LEAST_ROUNDS and not any(each.differs_alone() for each in suspects.values())):
            break
        again = {name: runner.run(name, *files, name=f"round-{number}") for name in IMPLEMENTATIONS}
        for node_id, suspect in suspects.items():
            for name, outcome in outcomes(again, node_id).items():
                suspect.rounds[name][outcome] += 1
    for number in range(1, AGAIN + 1):
        unclear = {id: each for id, each in suspects.items() if not each.differs_alone() and each.again is not False}
        if not unclear:
            break
        again = run_all(f"again-{number}")
        for node_id, suspect in unclear.items():
            suspect.again = outcomes(again, node_id) == suspect.first
    return runs, suspects


def kinds(run):
    """How many tests passed, and so on; one that failed in several ways counts as the first of them."""
    return Counter(outcome.split(",")[0].split(" ")[0] for _, outcome in run.values())


def row(name, runs, suspects):
    """A row of the table in docs/testing.md."""
    columns = [f"{name} {SUITES[name].version}" if name in SUITES else name, platform.python_version()]
    counts = [kinds(run) for run in runs.values()]
    for kind in ("passed", "failed", "error", "skipped", "xfailed"):
        columns.append(" / ".join(f"{count[kind]:,}" for count in counts))
    real = sum(each.differs() for each in suspects.values())
    columns += [str(real or "none"), str(len(suspects) - real or "none")]
    return f"| {' | '.join(columns)} |"


HEADINGS = "| suite | Python | passed | failed | errors | skipped | xfailed | differences | fickle |"


def tell(node_id, suspect):
    """Print all that is known of a test that ended otherwise."""
    print(f"{'DIFFERENCE' if suspect.differs() else 'fickle'}: {node_id}")
    for name in IMPLEMENTATIONS:
        later = ", ".join(f"{count} x {outcome}" for outcome, count in suspect.rounds[name].most_common())
        print(f"    {name}: {suspect.first[name]}; then {later}")
    if suspect.again:
        print("    the same whenever all tests run")


def main(arguments):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, help="where to unpack and to write logs; a new folder without it")
    parser.add_argument("suites", nargs="*", metavar="SUITE", help=f"of {', '.join(SUITES)}; all without it")
    options = parser.parse_args(arguments)
    if unknown := set(options.suites) - set(SUITES):
        parser.error(f"no such suite: {', '.join(unknown)}")
    work = (options.work or Path(tempfile.mkdtemp(prefix="downstream-"))).resolve()
    work.mkdir(parents=True, exist_ok=True)
    # All of them: they need one another, in these versions.
    folders = {name: fetch(name, work) for name in SUITES}
    pip("install", *(need.format(folders[name]) for name, suite in SUITES.items() for need in suite.needs))
    status, rows = 0, []
    for name in options.suites or SUITES:
        suite = SUITES[name]
        print(f"{name} {suite.version}", flush=True)
        try:
            runs, suspects = compare(Runner(folders[name], suite.options, work), suite.targets)
            if (passed := kinds(runs["stdlib"])["passed"]) < suite.at_least:
                raise Meaningless(f"only {passed} tests passed on the standard library")
        except (Meaningless, subprocess.TimeoutExpired) as why:
            print(f"MEANINGLESS: {why}")
            status = 2
            continue
        for node_id, suspect in suspects.items():
            tell(node_id, suspect)
        if any(suspect.differs() for suspect in suspects.values()):
            status = status or 1
        rows.append(row(name, runs, suspects))
    print(HEADINGS, re.sub("[^|]+", "---", HEADINGS), *rows, sep="\n")
    print(f"logs: {work}")
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
