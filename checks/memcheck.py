"""Run the scripts of tests/isolated/ under valgrind's memcheck.

    python checks/memcheck.py FOLDER [SCRIPT...]

Printed are errors and lost memory with a frame of the extension in their stacks; they make the exit status 1. What else
is found, the interpreter's own, is counted. FOLDER gets valgrind's whole reports. Without an allocator of the
interpreter's each access to freed memory is seen.
"""

import os
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

ISOLATED = Path(__file__).parents[1] / "tests" / "isolated"
# With few repetitions: a program takes some fifty times as long.
SCRIPTS = {
    "operations.py": [],
    "imports.py": ["4"],
    "releases.py": ["c-direct"],
    "subinterpreters.py": ["1"],
    "nomemory.py": ["--child", os.devnull, "--drive", "c-direct", "--mode", "one", "--stride", "10"],
}
SKIPPED = 77
INTERNS_FOR_EVER = sys.version_info[:2] in ((3, 12), (3, 13))
VALGRIND = [
    *("valgrind", "--tool=memcheck", "--xml=yes", "--num-callers=60", "--track-origins=yes"),
    *("--leak-check=full", "--show-leak-kinds=definite"),
]


def is_ours(error):
    """Whether a frame of the extension is in any of the stacks: where it happened, where the memory came from."""
    return any("_core" in Path(path.text).name for path in error.iter("obj"))


def is_excused(error):
    """What is the interpreter's alone, although it happened below a function of ours.

    Up to 3.11 it reads the digits of an integer that is 0 and has none (python/cpython#102509). 3.12 and 3.13 keep each
    string that was interned in an interpreter that is no more.
    """
    frames = [[frame.findtext("fn") for frame in stack] for stack in error.findall("stack")]
    lost_string = error.findtext("kind").startswith("Leak_") and "PyUnicode_New" in frames[0][1:3]
    return any(stack[1:2] == ["_PyLong_New"] for stack in frames) or (INTERNS_FOR_EVER and lost_string)


def described(error):
    lines = [error.findtext("kind"), error.findtext("what") or error.findtext("xwhat/text")]
    for part in error:
        if part.tag == "auxwhat":
            lines.append(part.text)
        elif part.tag == "stack":
            for frame in part:
                where = frame.findtext("file") or Path(frame.findtext("obj", "?")).name
                lines.append(f"    {frame.findtext('fn', '?')} ({where}:{frame.findtext('line', '?')})")
    return "\n".join(lines)


def check(folder, script):
    """Run one; returns what was found to be wrong, as texts."""
    file = folder / f"{script}.xml"
    command = [*VALGRIND, f"--xml-file={file}", sys.executable, ISOLATED / script, *SCRIPTS.get(script, [])]
    done = subprocess.run(
        command,
        env={**os.environ, "PYTHONMALLOC": "malloc", "PYTHONHASHSEED": "0"},
        capture_output=True,
        text=True,
    )
    if done.returncode == SKIPPED:
        print(f"{script}: {done.stdout.strip()}")
        return []
    errors = list(ElementTree.parse(file).getroot().iter("error"))
    ours = [described(error) for error in errors if is_ours(error) and not is_excused(error)]
    print(
        f"{script}: exit status {done.returncode}, {len(errors)} errors, {len(ours)} with a frame of ours", flush=True
    )
    if done.returncode:
        ours.append(f"{script} failed:\n{done.stdout}\n{done.stderr}")
    return ours


def main(folder, scripts):
    if shutil.which("valgrind") is None:
        sys.exit("needs valgrind")
    started = subprocess.run(["valgrind", "--tool=memcheck", sys.executable, "-c", ""], capture_output=True, text=True)
    if started.returncode:  # mostly a C library of its own, whose symbols valgrind would need
        print(f"skipped: valgrind cannot start this interpreter\n{started.stderr}")
        return SKIPPED
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    found = [error for script in scripts or SCRIPTS for error in check(folder, script)]
    print(*found, sep="\n\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
