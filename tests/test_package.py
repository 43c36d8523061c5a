"""What is built and installed: the sdist, the wheel made from it, a fresh environment, other implementations.

Builds use the environment's own setuptools and no network.
"""

import email
import functools
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tomllib
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
CPYTHON = sys.implementation.name == "cpython"


def have_compiler():
    compiler = os.environ.get("CC") or sysconfig.get_config_var("CC") or "cl"
    return shutil.which(compiler.split()[0]) is not None


def run(*command, cwd, **env):
    """Run a command that must succeed, without a checkout on its path; return what it printed."""
    done = subprocess.run(
        [os.fspath(each) for each in command],
        cwd=cwd,
        env={**os.environ, **env},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout


def build(kind, source, target):
    """Build an sdist or a wheel as a front end would, and return its path."""
    script = "import sys; from setuptools import build_meta; print(getattr(build_meta, sys.argv[1])(sys.argv[2]))"
    target.mkdir(exist_ok=True)
    return target / run(sys.executable, "-c", script, f"build_{kind}", target, cwd=source).split()[-1]


@pytest.fixture(scope="module")
def sdist(tmp_path_factory):
    """The sdist of a copy of the project: the build leaves nothing behind and finds nothing of an earlier one."""
    if not (ROOT / "setup.py").exists():
        pytest.skip("needs the project's checkout or sdist")
    if importlib.util.find_spec("setuptools") is None:
        pytest.skip("setuptools is not installed")
    folder = tmp_path_factory.mktemp("sdist")
    leave_out = shutil.ignore_patterns(".*_cache", ".git", ".nox", ".venv", "*.egg-info", "build", "dist")
    shutil.copytree(ROOT, folder / "project", ignore=leave_out)
    return build("sdist", folder / "project", folder / "dist")


@pytest.fixture(scope="module")
def unpacked(sdist, tmp_path_factory):
    folder = tmp_path_factory.mktemp("unpacked")
    with tarfile.open(sdist) as archive:
        archive.extractall(folder, **({"filter": "data"} if hasattr(tarfile, "data_filter") else {}))
    return folder / f"acontextlib-{version()}"


@pytest.fixture(scope="module")
def wheel(unpacked, tmp_path_factory):
    if CPYTHON and not have_compiler():
        pytest.skip("needs a C compiler")
    return build("wheel", unpacked, tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def environment(wheel, tmp_path_factory):
    """The Python of a fresh virtual environment that holds the wheel and nothing else."""
    if importlib.util.find_spec("pip") is None:
        pytest.skip("pip is not installed")
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder / "venv", symlinks=os.name != "nt", with_pip=False)
    python = folder / "venv" / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    run(sys.executable, "-m", "pip", "--python", python, "install", "-q", "--no-index", wheel, cwd=folder)
    return python


@functools.cache
def version():
    """The version as it stands in the source, its only place."""
    return run(sys.executable, "setup.py", "--version", cwd=ROOT).split()[-1]


def project_files():
    """The files that belong to the project, tracked or about to be; None outside of a checkout."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    if not (ROOT / ".git").exists() or shutil.which("git") is None:
        return None
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if listed.returncode:
        return None
    return {name for name in listed.stdout.splitlines() if (ROOT / name).is_file()}


def test_sdist_holds_the_whole_project(sdist):
    expected = project_files()
    if expected is None:
        pytest.skip("not a git checkout")
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames() if archive.getmember(name).isfile()}
    made = {"PKG-INFO", "setup.cfg"} | {name for name in names if name.startswith("acontextlib.egg-info/")}
    assert names - made == expected


def test_wheel_from_the_unpacked_sdist_holds_the_package_only(wheel, unpacked):
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    sources = unpacked / "_acontextlib"
    expected = {f"_acontextlib/{path.name}" for pattern in ("*.py", "*.pyi") for path in sources.glob(pattern)}
    expected.add("_acontextlib/py.typed")
    if CPYTHON:
        expected.add(f"_acontextlib/_core{sysconfig.get_config_var('EXT_SUFFIX')}")
    assert {name for name in names if ".dist-info/" not in name} == expected
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in names)


def test_metadata_says_what_is_needed(wheel):
    with zipfile.ZipFile(wheel) as archive:
        name = next(name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        metadata = email.message_from_string(archive.read(name).decode("utf-8"))
    assert metadata["Name"] == "acontextlib"
    assert metadata["Version"] == version()
    assert metadata["Requires-Python"] == ">=3.11"
    assert metadata["License-Expression"] == "MIT"
    assert {"test", "bench", "examples", "dev"} <= set(metadata.get_all("Provides-Extra"))
    assert all("extra ==" in requirement for requirement in metadata.get_all("Requires-Dist"))
    assert PROJECT["dependencies"] == []
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert metadata.get_payload().strip() == readme.strip()


def test_version_stands_in_one_place():
    """Nothing but the package's `__version__` and the changelog may say it."""
    files = project_files()
    if files is None:
        pytest.skip("not a git checkout")
    code = {name for name in files if name.endswith((".py", ".pyi", ".toml", ".in", ".yml", ".c", ".h"))}
    assert {name for name in code if version() in (ROOT / name).read_text("utf-8")} == {"_acontextlib/__init__.py"}


SITE = "import sysconfig; print(sysconfig.get_path('platlib'))"


def test_fresh_environment_imports_it_without_anything_else(environment, tmp_path):
    script = """
import sys
before = set(sys.modules)
import _acontextlib
print(_acontextlib.implementation, _acontextlib.drive in {"direct", "public"}, _acontextlib.__version__)
print(*{name.partition(".")[0] for name in set(sys.modules) - before} - sys.stdlib_module_names)
"""
    said, imported = run(environment, "-c", script, cwd=tmp_path).splitlines()
    assert said.split() == ["c" if CPYTHON else "stdlib", "True", version()]
    assert imported == "_acontextlib"


def test_fresh_environment_runs_an_async_with(environment, tmp_path):
    script = """
import asyncio, _acontextlib

@_acontextlib.asynccontextmanager
async def manager(value):
    yield value

async def main():
    async with _acontextlib.AsyncExitStack() as stack:
        print(await stack.enter_async_context(manager("entered")))

asyncio.run(main())
"""
    assert run(environment, "-W", "error", "-c", script, cwd=tmp_path) == "entered\n"


@pytest.mark.parametrize("document", ["README.md", "examples/README.md"])
def test_documented_command_finds_what_is_installed_from_within_the_checkout(environment, unpacked, document):
    """There `_acontextlib` is the sources, without their extension module."""
    text = (unpacked / document).read_text(encoding="utf-8")
    [options] = re.findall(r"^pip install .* && python (.*)-m _acontextlib\b", text, re.MULTILINE)
    script = "import _acontextlib; print(_acontextlib.__file__)"
    said = run(environment, *options.split(), "-m", "_acontextlib", "-c", script, cwd=unpacked)
    assert not Path(said.strip()).is_relative_to(unpacked)


def test_uninstalling_leaves_nothing(environment, tmp_path):
    copy = tmp_path / "venv"
    shutil.copytree(environment.parents[1], copy, symlinks=True)
    packages = Path(run(copy / environment.parent.name / environment.name, "-c", SITE, cwd=tmp_path).strip())
    assert (packages / "_acontextlib").exists()
    python = copy / environment.parent.name / environment.name
    run(sys.executable, "-m", "pip", "--python", python, "uninstall", "-q", "-y", "acontextlib", cwd=tmp_path)
    assert [path for path in packages.rglob("*") if "acontextlib" in path.name] == []


# On CPython the extension is a must, elsewhere there is none


@pytest.mark.skipif(not CPYTHON, reason="there is an extension on CPython only")
@pytest.mark.skipif(os.name == "nt", reason="CC is not how the compiler is chosen there")
def test_failed_compilation_fails_the_build(unpacked, tmp_path):
    source = tmp_path / "source"
    shutil.copytree(unpacked, source, ignore=shutil.ignore_patterns("build"))
    done = subprocess.run(
        [sys.executable, "setup.py", "build_ext", "--build-lib", tmp_path, "--build-temp", tmp_path],
        cwd=source,
        env={**os.environ, "CC": "false"},
        capture_output=True,
        text=True,
    )
    assert done.returncode != 0
    assert "error" in done.stderr
    assert not list(tmp_path.rglob("_core*.so"))


@pytest.mark.skipif(not CPYTHON, reason="there is an extension on CPython only")
def test_missing_extension_fails_the_import(tmp_path):
    shutil.copytree(
        installed_package(), tmp_path / "_acontextlib", ignore=shutil.ignore_patterns("_core*", "__pycache__")
    )
    done = subprocess.run([sys.executable, "-c", "import _acontextlib"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode != 0
    assert "_core" in done.stderr


def installed_package():
    return Path(importlib.util.find_spec("_acontextlib").origin).parent


# Another implementation, played by this one: all that the project asks is its name.
ELSEWHERE = """
import sys
sys.implementation.name = "pypy"
"""


def test_other_implementations_build_no_extension(unpacked, tmp_path):
    script = (
        ELSEWHERE
        + """
import setuptools
seen = {}
setuptools.setup = seen.update
exec(compile(open("setup.py").read(), "setup.py", "exec"))
print(seen)
"""
    )
    assert run(sys.executable, "-c", script, cwd=unpacked) == "{'ext_modules': []}\n"


def test_other_implementations_get_the_names_of_the_stdlib(tmp_path):
    shutil.copytree(
        installed_package(), tmp_path / "_acontextlib", ignore=shutil.ignore_patterns("_core*", "__pycache__")
    )
    script = (
        ELSEWHERE
        + """
import contextlib
import _acontextlib
assert _acontextlib.implementation == "stdlib", _acontextlib.implementation
assert _acontextlib.drive == "public", _acontextlib.drive
assert "_acontextlib._core" not in sys.modules
names = [name for name in dir(contextlib) if hasattr(_acontextlib, name) and not name.startswith("__")]
for name in names:
    assert name in {"sys"} or getattr(_acontextlib, name) is getattr(contextlib, name), name
before = {name: getattr(contextlib, name) for name in names}
assert _acontextlib.install() == {}
assert {name: getattr(contextlib, name) for name in names} == before
assert _acontextlib.uninstall() is None
print(*sorted(set(names) - {"sys"}))
"""
    )
    names = run(sys.executable, "-c", script, cwd=tmp_path).split()
    assert names == sorted(
        [
            "AbstractAsyncContextManager",
            "AsyncContextDecorator",
            "AsyncExitStack",
            "_AsyncGeneratorContextManager",
            "aclosing",
            "asynccontextmanager",
            "nullcontext",
        ]
    )


def test_other_implementations_run_programs_accelerated_by_nothing(tmp_path):
    """The whole package imports there: `python -m _acontextlib SCRIPT` runs the script on the stdlib's objects."""
    shutil.copytree(
        installed_package(), tmp_path / "_acontextlib", ignore=shutil.ignore_patterns("_core*", "__pycache__")
    )
    (tmp_path / "program.py").write_text("import contextlib; print(contextlib.asynccontextmanager.__module__)\n")
    script = (
        ELSEWHERE
        + """
import runpy
sys.argv = ["_acontextlib", "program.py"]
runpy.run_module("_acontextlib", run_name="__main__", alter_sys=True)
"""
    )
    assert run(sys.executable, "-c", script, cwd=tmp_path) == "contextlib\n"


@pytest.mark.skipif(not CPYTHON, reason="there is an extension on CPython only")
def test_extension_exports_its_init_function_only(wheel, tmp_path):
    """The files' shared functions are the extension's own business; exported ones could meet another library's."""
    if sys.platform != "linux" or shutil.which("nm") is None:
        pytest.skip("needs nm and ELF")
    with zipfile.ZipFile(wheel) as archive:
        name = next(name for name in archive.namelist() if "/_core" in name)
        extension = archive.extract(name, tmp_path)
    exported = {line.split()[-1] for line in run("nm", "-D", "--defined-only", extension, cwd=tmp_path).splitlines()}
    assert exported - {"_init", "_fini", "_edata", "_end", "__bss_start"} == {"PyInit__core"}
