"""Run the static analyzers over all C files: `gcc -fanalyzer`, `clang --analyze` and clang-tidy.

    python checks/analyze.py [PYTHON...]

The files are analyzed as they are compiled for each interpreter given, this one if none is.  What is found is printed,
and makes the exit status 1; so does an analyzer that is missing.
"""

import itertools
import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).parents[1]
SOURCES = sorted(path.relative_to(ROOT).as_posix() for path in ROOT.glob("_acontextlib/csrc/*.c"))
# A finding on a path that an assertion rules out would be a finding in release builds.
OPTIONS = ["-std=c11", "-DNDEBUG"]
ANALYZERS = {
    "gcc -fanalyzer": ["gcc", "-fanalyzer", "-Wall", "-Wextra", "-c", "-o", os.devnull],
    "clang --analyze": ["clang", "--analyze", "-Xclang", "-analyzer-output=text", "-o", os.devnull],
    "clang-tidy": ["clang-tidy", "--quiet"],
}


def include_options(python):
    """The interpreter's headers, as the system's: what is in them is not ours."""
    script = "import sysconfig; print(sysconfig.get_path('include'), sysconfig.get_path('platinclude'), sep='\\n')"
    output = subprocess.check_output([python, "-c", script], text=True, cwd=ROOT / "checks")
    return [option for folder in dict.fromkeys(output.split("\n")) if folder for option in ("-isystem", folder)]


def analyze(name, source, headers):
    """What the analyzer says about a file, or None."""
    options = [*OPTIONS, *headers]
    command = [*ANALYZERS[name], source, *(["--", *options] if name == "clang-tidy" else options)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    # clang-tidy counts on stderr what it has left out: the warnings in the system's headers.
    said = done.stdout + ("" if name == "clang-tidy" and done.returncode == 0 else done.stderr)
    return f"{name}, {source}:\n{said}" if done.returncode or said.strip() else None


def main(pythons):
    missing = [name for name in ANALYZERS if shutil.which(name.split()[0]) is None]
    findings = [f"{name} is missing" for name in missing]
    jobs = [
        (f"{python}: ", name, source, headers)
        for python in pythons
        for headers in [include_options(python)]
        for name, source in itertools.product(set(ANALYZERS) - set(missing), SOURCES)
    ]
    with ThreadPoolExecutor(min(2, os.cpu_count() or 1)) as pool:
        said = pool.map(lambda job: analyze(*job[1:]), jobs)
        findings += [label + text for (label, *_), text in zip(jobs, said, strict=True) if text]
    print(*findings, sep="\n")
    print(
        f"{len(jobs)} analyses of {len(SOURCES)} files for {len(pythons)} interpreters: {len(findings)} with findings"
    )
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:] or [sys.executable]))
