"""Measure which lines and branches of the C files the tests run: gcov over the suite, several interpreters together.

    python checks/coverage.py FOLDER PYTHON...

Each interpreter has the test extras, and gcovr is on PATH.  FOLDER gets a build for each and the report, index.html.
Exit status 1: a test failed, or less is covered than is demanded.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
LINES, BRANCHES = 98, 90  # per cent
# As it is written, without the assertions, whose branches are not meant to be taken; threads count together.
FLAGS = "--coverage -O0 -g -DNDEBUG -fprofile-update=atomic -fprofile-abs-path"
LEFT_OUT = [f"--ignore=tests/test_{name}.py" for name in ("benchmarks", "examples", "package", "source", "typing")]
# Macros of the interpreter whose branches are not ours.
EXCLUDED_BRANCHES = r".*\b(Py_CLEAR|Py_VISIT|Py_SETREF|Py_XSETREF)\("


def build(python, copy):
    shutil.rmtree(copy, ignore_errors=True)
    left_out = shutil.ignore_patterns(".*", "*.egg-info", "__pycache__", "*.so", "build", "dist", "wheelhouse")
    shutil.copytree(ROOT, copy, ignore=left_out)
    env = {**os.environ, "CC": "gcc", "CFLAGS": FLAGS, "LDFLAGS": "--coverage"}
    command = [python, "setup.py", "-q", "build_ext", "--inplace", "--build-temp", "objects"]
    subprocess.run(command, cwd=copy, env=env, check=True)


def run(python, copy):
    """Run the tests in the copy; returns whether all passed."""
    done = subprocess.run([python, "-m", "pytest", "-q", "-p", "no:cacheprovider", *LEFT_OUT], cwd=copy)
    return done.returncode == 0


def collect(copy, report):
    """Write what was counted in the copy as gcovr's JSON."""
    subprocess.run(["gcovr", "-q", "--root", copy, "--json", report, copy / "objects"], cwd=copy, check=True)


def main(folder, pythons):
    folder = Path(folder).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    reports, passed = [], True
    for number, python in enumerate(pythons):
        copy, report = folder / f"build-{number}", folder / f"{number}.json"
        build(python, copy)
        passed &= run(python, copy)
        collect(copy, report)
        reports += ["--add-tracefile", report]
    options = [*reports, "--root", ROOT, "--filter", "_acontextlib/csrc/"]
    options += ["--exclude-branches-by-pattern", EXCLUDED_BRANCHES]
    outputs = ["--txt", "-", "--txt-summary", "--html-details", folder / "index.html"]
    demands = ["--fail-under-line", str(LINES), "--fail-under-branch", str(BRANCHES)]
    done = subprocess.run(["gcovr", *options, *outputs, *demands], cwd=ROOT)
    print("the report:", folder / "index.html")
    return 0 if passed and done.returncode == 0 else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
