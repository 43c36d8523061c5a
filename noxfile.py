"""Runs the tests and the checks on every interpreter found; `nox -l` lists the sessions.

An interpreter is looked for on PATH, in the folders of the home directory that installers put executables in, and in
pyenv's; those that are missing are skipped.  For one interpreter and one file:

    nox -s tests-3.14 -- tests/test_simple.py
"""

import itertools
import os
import platform
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import nox

nox.needs_version = ">=2025.2.9"
nox.options.default_venv_backend = "uv|virtualenv"
nox.options.error_on_missing_interpreters = False
nox.options.sessions = ["lint", "typing", "tests"]

RELEASES = ["3.11", "3.12", "3.13", "3.14", "3.15"]
# Debug builds check reference counts and run the extension's assertions; the free-threaded build has other internals.
SPECIAL = ["3.13t", "python3.14d", "python3.15d"]
NEWEST_CHECKED = "3.13"  # where a session needs one interpreter only
# Free-threaded and built with ThreadSanitizer by clang, which then has to build the extension, too.
THREAD_SANITIZED = "python3.13tsan"

WARNINGS = ["-std=c11", "-Wall", "-Wextra", "-Wshadow", "-Wstrict-prototypes", "-Werror"]
PYPROJECT = nox.project.load_toml("pyproject.toml")
EXTRAS = PYPROJECT["project"]["optional-dependencies"]


def executable_name(interpreter):
    return interpreter if interpreter.startswith("python") else f"python{interpreter}"


def find_interpreter(interpreter):
    """The first executable of that name that runs, or None; version managers leave some behind that do not."""
    home = Path.home()
    pyenv = Path(os.environ.get("PYENV_ROOT", home / ".pyenv"))
    folders = [
        *os.environ.get("PATH", "").split(os.pathsep),
        *sorted(home.glob(".*/bin")),
        *sorted(pyenv.glob("versions/*/bin"), reverse=True),
    ]
    for folder in folders:
        found = shutil.which(executable_name(interpreter), path=folder)
        if found and subprocess.run([found, "-c", ""], capture_output=True).returncode == 0:
            return found
    return None


def put_on_path(interpreters):
    """Put the folder of each interpreter on PATH, where nox looks; return the executables by name."""
    found = {name: path for name in interpreters if (path := find_interpreter(name))}
    folders = dict.fromkeys(os.path.dirname(path) for path in found.values())
    os.environ["PATH"] = os.pathsep.join([*folders, os.environ.get("PATH", "")])
    return found


# Never a download: a session for an interpreter that is not here is skipped.
os.environ.setdefault("UV_PYTHON_DOWNLOADS", "never")
INTERPRETERS = put_on_path([*RELEASES, *SPECIAL])
put_on_path([THREAD_SANITIZED])
DEFAULT = NEWEST_CHECKED if NEWEST_CHECKED in INTERPRETERS else None


# No marker tells a free-threaded build, so what cannot be had for it is here and not in pyproject.toml.  Tests that
# need these are skipped.
NOT_FREE_THREADED = {"uvloop": "has no wheels for it", "mypy": "needs a package with Rust that has no wheels for it"}


def requirements(session, *extras):
    """The requirements of the extras, less what cannot be had for the session's interpreter."""
    wanted = [requirement for extra in extras for requirement in EXTRAS[extra]]
    if session.python and session.python.endswith("t"):
        for name, reason in NOT_FREE_THREADED.items():
            session.log(f"without {name} on a free-threaded build: {reason}")
            wanted = [requirement for requirement in wanted if not requirement.startswith(name)]
    return wanted


def install(session, *extras):
    """Install a copy of the checkout, so that sessions can run at the same time: setuptools builds in place."""
    copy = Path(session.create_tmp(), "source")
    shutil.rmtree(copy, ignore_errors=True)
    left_out = shutil.ignore_patterns(".*", "*.egg-info", "__pycache__", "build", "dist", "wheelhouse")
    shutil.copytree(".", copy, ignore=left_out)
    session.install(str(copy), *requirements(session, *extras))


@nox.session(python=[*RELEASES, *SPECIAL])
def tests(session):
    """The whole suite, as the README's command runs it."""
    install(session, "test", *(["bench"] if session.python == NEWEST_CHECKED else []))
    session.run("python", "-m", "pytest", *session.posargs)


@nox.session(python=DEFAULT)
def lint(session):
    """Formatting, the linters, and builds without a warning by gcc and clang for every interpreter found."""
    session.install(*(need for need in EXTRAS["dev"] if need.startswith(("clang-format", "ruff"))))
    failures = []
    for command in (
        ("ruff", "check", "."),
        ("ruff", "format", "--check", "."),
        ("clang-format", "--dry-run", "-Werror", *c_files("*.[ch]")),
    ):
        try:
            session.run(*command)
        except nox.command.CommandFailed:
            failures.append(f"{' '.join(command[:2])} failed, see above")
    failures += compile_everywhere(session)
    if failures:
        session.error("\n".join(failures))


@nox.session(python=DEFAULT)
def format(session):
    """Format the Python and the C sources in place."""
    session.install(*(need for need in EXTRAS["dev"] if need.startswith(("clang-format", "ruff"))))
    session.run("ruff", "check", "--fix", ".")
    session.run("ruff", "format", ".")
    session.run("clang-format", "-i", *c_files("*.[ch]"))


@nox.session(python=DEFAULT)
def typing(session):
    """The typing tests alone, for every Python version that the checkers can stand in for."""
    install(session, "test")
    env = {"ACONTEXTLIB_TYPING_VERSIONS": " ".join(RELEASES)}
    session.run("python", "-m", "pytest", "tests/test_typing.py", *session.posargs, env=env)


# Tests that run compilers, checkers, pictures or pytest; a session about the extension's inside has no use for them.
NOT_ABOUT_BEHAVIOUR = [
    f"--ignore=tests/test_{name}.py"
    for name in ("benchmarks", "downstream", "examples", "package", "services", "source", "typing")
]


# What of the suite the other steps of the self-test see: the objects themselves.
ON_EACH_STEP = ("awaitable", "contextmanager", "corners", "cpython", "decorator", "exitstack", "simple", "unwinding")


@nox.session(python=RELEASES)
def fallback(session):
    """The suite on the drive that is left when a step of the self-test fails at import; every step in turn.

    Arguments are names of steps, only those, with all tests.  Without them the first, one in the middle and the last
    step get all, when nothing is known of the interpreter, half of it, and everything; the others get the tests of the
    objects alone, which are the quick ones.
    """
    install(session, "test")
    said = "from _acontextlib import _core; print(*_core.self_test)"  # with -P: of what is installed
    steps = session.run("python", "-P", "-c", said, silent=True, log=False).split()
    on_all_tests = session.posargs or [steps[0], "resumed", steps[-1]]
    # That test wants each drive in a process of its own, where there is but one now.
    left_out = [*NOT_ABOUT_BEHAVIOUR, "--ignore=tests/test_threads.py"]
    some = [str(path) for name in ON_EACH_STEP for path in sorted(Path("tests").glob(f"test_{name}*.py"))]
    for step in session.posargs or steps:
        tests = left_out if step in on_all_tests else some
        session.run(
            *("python", "-m", "pytest", "-q", "-p", "no:cacheprovider", *tests),
            env={"ACONTEXTLIB_SELF_TEST_FAILS": step},
        )


def sanitizer_build(session):
    """Have the extension built with both sanitizers from here on; return what processes need that load it."""
    compiler = "clang" if shutil.which("clang") else "gcc"
    names = ["libasan.so", "libubsan.so"]
    if compiler == "clang":
        names = [f"libclang_rt.asan-{platform.machine()}.so"]
    found = [subprocess.check_output([compiler, f"-print-file-name={name}"], text=True).strip() for name in names]
    if not all(map(os.path.isabs, found)):
        session.error(f"{compiler} has no {' and '.join(names)}")
    session.env["CC"] = compiler
    session.env["CFLAGS"] = f"{SANITIZED} {'-shared-libasan' if compiler == 'clang' else ''} -O1 -g -UNDEBUG"
    session.env["LDFLAGS"] = "-fsanitize=address,undefined" + (" -shared-libasan" if compiler == "clang" else "")
    return {"LD_PRELOAD": " ".join(found), "PYTHONMALLOC": "malloc"}


# They fill stacks, whose frames are several times as large then, or start one interpreter after the other.
SLOW_UNDER_SANITIZERS = [f"--ignore=tests/test_{name}.py" for name in ("debugging", "depth", "main", "workers")]
SANITIZED = "-fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer"


@nox.session(python=["3.13t", NEWEST_CHECKED])
def stress(session):
    """Threads on shared objects, both drives, for minutes; arguments go to tests/stress/sharing.py."""
    session.env["CFLAGS"] = f"{os.environ.get('CFLAGS', '')} -UNDEBUG"
    install(session)
    for drive in ("direct", "public"):
        env = {"ACONTEXTLIB_DRIVE": drive}
        session.run("python", "tests/stress/sharing.py", *(session.posargs or ["--seconds", "10"]), env=env)


@nox.session(python="3.13t")
def threads(session):
    """The suite without a GIL, each test in four threads at once; arguments go to pytest.

    Tests that cannot run beside themselves are left out, the suite on 3.13t having them; see tests/conftest.py.
    """
    install(session, "test", "threads")
    options = ("-q", "-rfE", "-p", "no:cacheprovider", "--parallel-threads=4", "--skip-thread-unsafe=True")
    session.run("python", "-m", "pytest", *options, *NOT_ABOUT_BEHAVIOUR, *session.posargs)


@nox.session(python=THREAD_SANITIZED)
def tsan(session):
    """Threads on shared objects under ThreadSanitizer; arguments go to tests/stress/sharing.py.

    Only reports in which a function of ours stands count: the interpreter has races of its own.
    """
    clang = shutil.which("clang-16") or shutil.which("clang")
    if clang is None:
        session.error("needs the clang that the interpreter was built with")
    flags = "-fsanitize=thread"
    session.env.update(CC=clang, LDSHARED=f"{clang} -shared", LDFLAGS=flags, CFLAGS=f"{flags} -O1 -g -UNDEBUG")
    install(session)
    reports = Path(session.create_tmp(), "reports").absolute()
    failed = []
    for drive in ("direct", "public"):
        shutil.rmtree(reports, ignore_errors=True)
        reports.mkdir()
        env = {"ACONTEXTLIB_DRIVE": drive, "TSAN_OPTIONS": f"exitcode=0:history_size=4:log_path={reports / 'race'}"}
        options = session.posargs or ["--seconds", "3", "--threads", "4"]
        session.run("python", "tests/stress/sharing.py", *options, env=env)
        for report in reports.iterdir():
            said = report.read_text(errors="replace").split("=" * 18 + "\n")
            failed += [text for text in said if "_core." in text]
    if failed:
        print(*failed, sep="\n")
        session.error(f"{len(failed)} reports, see above")


@nox.session(python=["3.11", "python3.14d", "python3.15d"])
def sanitize(session):
    """The suite with the extension under AddressSanitizer and UndefinedBehaviorSanitizer; arguments go to pytest.

    Every free is a real one, the interpreter having no allocator of its own.  What is left at exit is no matter here:
    the interpreter keeps much, and reports about it would tell nothing; leaks have tests of their own.
    """
    env = sanitizer_build(session)
    install(session, "test")
    reports = Path(session.create_tmp(), "reports").absolute()
    shutil.rmtree(reports, ignore_errors=True)
    reports.mkdir()
    # Reports go to files: pytest keeps to itself what a process that dies has said.
    env["ASAN_OPTIONS"] = f"detect_leaks=0:detect_stack_use_after_return=1:log_path={reports / 'address'}"
    env["UBSAN_OPTIONS"] = f"print_stacktrace=1:log_path={reports / 'undefined'}"
    tests = (*NOT_ABOUT_BEHAVIOUR, *SLOW_UNDER_SANITIZERS, *session.posargs)
    failed = False
    try:
        session.run("python", "-m", "pytest", "-p", "no:cacheprovider", *tests, env=env)
    except nox.command.CommandFailed:
        failed = True
    found = sorted(reports.iterdir())
    for report in found:
        print(report.name, report.read_text(errors="replace"), sep="\n")
    if found or failed:
        session.error(f"{len(found)} reports, see above" if found else "tests failed")


@nox.session(python=DEFAULT)
def examples(session):
    """The example programs, the commands in docs/debugging.md, servers by uvicorn, the programs of the benchmark."""
    install(session, "examples", "services", "test")
    files = [f"tests/test_{name}.py" for name in ("examples", "uvicorn", "debugging", "services")]
    session.run("python", "-m", "pytest", *files, *session.posargs)


@nox.session(python=RELEASES)
def downstream(session):
    """The test suites of anyio, starlette and trio, on contextlib and on this package; arguments name some of them."""
    install(session)
    session.install("pip>=25.1")
    work = Path(session.create_tmp(), "downstream")
    session.run("python", Path("tests", "downstream", "compare.py"), "--work", work, *session.posargs)


@nox.session(python=RELEASES)
def fuzz(session):
    """Random programs on contextlib and on this package; arguments go to tests/test_differential.py."""
    session.env["CFLAGS"] = f"{os.environ.get('CFLAGS', '')} -UNDEBUG"  # with the extension's assertions
    install(session, "test")
    session.run("python", "tests/test_differential.py", *session.posargs)


# With how much to do each, beside which nothing is done when the suite runs them.
LEAK_SCRIPTS = (("imports.py", "5000"), ("heap.py", "5000"), ("embed.py", "50"), ("subinterpreters.py", "25"))
# Files that start other processes or do not use the extension, and the fuzzer, no run of which is like another.
NO_LEAKS = (
    "benchmarks",
    "debugging",
    "depth",
    "differential",
    "downstream",
    "examples",
    "isolated",
    "main",
    "nomemory",
    "package",
    "releases",
    "services",
    "source",
    "storms",
    "typing",
    "uvicorn",
    "workers",
)


@nox.session(python=[*RELEASES, *SPECIAL])
def leaks(session):
    """Leaks: the scripts of tests/isolated/ at length, then each test again and again; arguments go to pytest.

    Debug builds count references and run the interpreter's own hunter.
    """
    session.env["CFLAGS"] = f"{os.environ.get('CFLAGS', '')} -UNDEBUG"  # with the extension's assertions
    install(session, "test")
    scripts = Path("tests", "isolated")
    for script, times in LEAK_SCRIPTS:
        if script != "subinterpreters.py" or session.python != "3.11":
            session.run("python", scripts / script, times, success_codes=[0, 77])  # 77: cannot be done here
    if session.python.endswith("d"):
        for drive in ("direct", "public"):
            session.run("python", scripts / "cpython_leaks.py", "10", env={"ACONTEXTLIB_DRIVE": drive})
    left_out = [f"--ignore=tests/test_{name}.py" for name in NO_LEAKS]
    path = {"PYTHONPATH": str(Path("tests").resolve())}
    session.run("python", "-m", "pytest", "-p", "leaks", *left_out, *session.posargs, env=path)


@nox.session(python=[*RELEASES, *SPECIAL])
def storms(session):
    """Storms of tasks, a minute for each loop and drive; the arguments are those of tests/stress/storms.py."""
    session.env["CFLAGS"] = f"{os.environ.get('CFLAGS', '')} -UNDEBUG"  # with the extension's assertions
    install(session, "test")
    loops = ["asyncio", "trio"] if session.python.endswith("t") else ["asyncio", "uvloop", "trio"]
    for loop, drive in itertools.product(loops, ("direct", "public")):
        script = ("python", Path("tests", "stress", "storms.py"), "--loop", loop, "--implementation", f"c-{drive}")
        session.run(*script, *session.posargs)


@nox.session(python=["3.11", "3.14", "3.15"])
def nomemory(session):
    """Each allocation of each scenario fails in turn; the arguments are those of tests/isolated/nomemory.py.

    Not on 3.12 and 3.13, which crash by themselves where memory is short.
    """
    session.env["CFLAGS"] = f"{os.environ.get('CFLAGS', '')} -UNDEBUG"  # with the extension's assertions
    install(session, "test")
    script = Path("tests", "isolated", "nomemory.py")
    session.run("python", script, *session.posargs, success_codes=[0, 77])  # 77: cannot be done here


@nox.session(python=[DEFAULT, "python3.15d"] if DEFAULT else [])
def gc(session):
    """The whole suite in development mode, every warning an error, and the collector at nearly every allocation."""
    session.env["CFLAGS"] = f"{os.environ.get('CFLAGS', '')} -UNDEBUG"  # with the extension's assertions
    install(session, "test")
    # These start processes, in which the collector would not run so often; random programs collect by themselves.
    names = ("benchmarks", "differential", "package", "services", "typing")
    left_out = [f"--ignore=tests/test_{name}.py" for name in names]
    # On debug builds each collection looks at each entry several times, and each entry has the collector run.
    left_out.append(
        "--deselect=tests/test_unwinding_reentrance.py::test_hundred_thousand_entries_unwind_without_recursion"
    )
    options = ("-X", "dev", "-W", "error")
    env = {"ACONTEXTLIB_GC_THRESHOLD": "1"}
    session.run("python", *options, "-m", "pytest", *left_out, *session.posargs, env=env)


@nox.session(python=RELEASES)
def bench(session):
    """The benchmarks; arguments go to benchmarks/bench.py, `--quick` unless there are others."""
    install(session, "bench")
    session.run("python", "benchmarks/bench.py", *(session.posargs or ["--quick"]))


@nox.session(python=["3.11", "3.13", "3.15"])
def services(session):
    """What whole programs gain, under three minutes for each interpreter; arguments go to benchmarks/services.py."""
    install(session, "services")
    session.run("python", "benchmarks/services.py", *session.posargs)


COVERED = ["3.11", "3.13", "3.15"]
COVERAGE = Path("build", "coverage")


@nox.session(python=RELEASES)
def valgrind(session):
    """Scripts of tests/isolated/ under valgrind's memcheck; arguments are names of scripts, only those.

    Of nomemory.py, which is not for 3.12 and 3.13, a tenth of the attempts, on one drive; subinterpreters.py needs 3.12
    or later.
    """
    session.env["CFLAGS"] = "-O1 -g -UNDEBUG"
    install(session, "test")
    session.run("python", "checks/memcheck.py", session.create_tmp(), *session.posargs, success_codes=[0, 77])


@nox.session(python=False)
def coverage(session):
    """The lines and branches of the C files that the suite runs, on three interpreters together."""
    shutil.rmtree(COVERAGE, ignore_errors=True)
    for version in COVERED:
        session.notify(f"count-{version}", session.posargs)
    session.notify("covered", [])


@nox.session(python=COVERED, default=False)
def count(session):
    """A part of `coverage`: the suite on one interpreter; arguments go to pytest."""
    session.install(*requirements(session, "test"), *(need for need in EXTRAS["dev"] if need.startswith("gcovr")))
    session.run("python", "checks/coverage.py", "count", str(COVERAGE), session.python, *session.posargs)


@nox.session(python=DEFAULT, default=False)
def covered(session):
    """A part of `coverage`: put together what was counted, and say whether it is enough."""
    session.install(*(need for need in EXTRAS["dev"] if need.startswith("gcovr")))
    session.run("python", "checks/coverage.py", "report", str(COVERAGE))


@nox.session(python=DEFAULT)
def analyze(session):
    """The static analyzers over all C files, for the oldest and the newest interpreter; or for those given."""
    session.install(*(need for need in EXTRAS["dev"] if need.startswith("clang-tidy")))
    names = session.posargs or [RELEASES[0], RELEASES[-1]]
    missing = [name for name in names if name not in INTERPRETERS]
    if missing:
        session.error(f"needs the interpreters {', '.join(missing)}")
    session.run("python", "checks/analyze.py", *(INTERPRETERS[name] for name in names))


def c_files(pattern):
    return sorted(str(path) for path in Path("_acontextlib", "csrc").glob(pattern))


def compile_everywhere(session):
    """Compile each file for each interpreter with each compiler; return what was said.

    The headers of the interpreters count as the system's, so that only our own warnings are errors.
    """
    compilers = [name for name in ("gcc", "clang") if shutil.which(name)]
    if len(compilers) < 2:
        session.warn(f"gcc and clang are wanted for the builds, found: {', '.join(compilers) or 'none'}")
    jobs = []
    for (name, executable), compiler in itertools.product(INTERPRETERS.items(), compilers):
        script = "import sysconfig; print(sysconfig.get_path('include'), sysconfig.get_path('platinclude'), sep='\\n')"
        # Outside the checkout: some interpreters put the current folder on the path.
        output = subprocess.check_output([executable, "-c", script], text=True, cwd=Path(executable).parent)
        headers = [flag for folder in dict.fromkeys(output.split("\n")) if folder for flag in ("-isystem", folder)]
        # Optimised with and without the assertions, for what only one of them sees (such as an unused variable).
        for define, source in itertools.product(("-DNDEBUG", "-UNDEBUG"), c_files("*.c")):
            command = [compiler, *WARNINGS, "-O2", "-fPIC", define, *headers, "-c", source, "-o", os.devnull]
            jobs.append((f"{name} {compiler} {define} {source}", command))

    def run(job):
        label, command = job
        done = subprocess.run(command, capture_output=True, text=True)
        return None if done.returncode == 0 and not done.stderr else f"{label}\n{done.stderr}"

    with ThreadPoolExecutor(min(2, os.cpu_count() or 1)) as pool:
        failures = [said for said in pool.map(run, jobs) if said]
    session.log(f"compiled {len(jobs)} times for {', '.join(INTERPRETERS)}: {len(failures)} with warnings or errors")
    return failures
