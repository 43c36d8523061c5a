"""uvicorn under ``python -m _acontextlib``: the process itself, its workers, and what it reloads."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest
from processes import environment

pytest.importorskip("uvicorn", reason="uvicorn is in the extra `examples`")
pytestmark = [
    pytest.mark.skipif(sys.implementation.name != "cpython", reason="elsewhere there is nothing to install"),
    pytest.mark.skipif(sys.platform == "win32", reason="signals are POSIX's"),
]

# Answers with its version and with the types of a method, by which the classes differ.
APP = """
import contextlib
from contextlib import AsyncExitStack

async def app(scope, receive, send):
    if scope["type"] == "http":
        words = ["VERSION", *(type(each.push).__name__ for each in (contextlib.AsyncExitStack, AsyncExitStack))]
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": " ".join(words).encode()})
"""
SERVE = ["-m", "uvicorn", "app:app", "--lifespan", "off", "--log-level", "warning"]
DEADLINE = 60


def answer(port, wanted, server):
    """What the server says, as soon as it is about the version that is wanted."""
    deadline = time.monotonic() + DEADLINE
    while True:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=DEADLINE) as response:
                said = response.read().decode()
        except OSError as error:
            said = f"nothing: {error}"
        if said.startswith(wanted) or server.poll() is not None or time.monotonic() > deadline:
            return said
        time.sleep(0.1)


def write(folder, version):
    """The file as a whole, for a reloader may look at any time; with a time of its own, by which that sees it."""
    unfinished = folder / "unfinished"
    unfinished.write_text(APP.replace("VERSION", version))
    stamp = time.time() + (100 if version == "second" else 0)
    os.utime(unfinished, (stamp, stamp))
    unfinished.replace(folder / "app.py")


@pytest.mark.parametrize("options", [[], ["--workers", "2"], ["--reload"]], ids=["alone", "workers", "reload"])
@pytest.mark.parametrize(
    ("runner", "kind"), [([], "function"), (["-m", "_acontextlib"], "method")], ids=["python", "accelerated"]
)
def test_server_has_ours_wherever_the_application_runs(options, runner, kind, tmp_path: Path):
    write(tmp_path, "first")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    command = [sys.executable, *runner, *SERVE, "--port", str(port), *options]
    with subprocess.Popen(command, cwd=tmp_path, env=environment(), stderr=subprocess.PIPE, text=True) as server:
        try:
            assert answer(port, "first", server) == f"first {kind} {kind}"
            if "--reload" in options:
                write(tmp_path, "second")
                assert answer(port, "second", server) == f"second {kind} {kind}"
            server.send_signal(signal.SIGTERM)
            _, said = server.communicate(timeout=DEADLINE)
        finally:
            server.kill()
    # As uvicorn leaves: alone it dies of the signal, a supervisor of processes ends by itself.
    assert server.returncode == (-signal.SIGTERM if not options else 0)
    assert "Traceback" not in said
