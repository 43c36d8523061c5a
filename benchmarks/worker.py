"""One process of services.py: a program on the stdlib's contextlib or on ours, doing as many requests as it is told.

    python benchmarks/worker.py stdlib|c PROGRAM [serve]

It reads commands, one a line, and answers each with a line of JSON:

    run N     make N requests; answers the seconds of processor time and by the clock that they took
    time      the same two clocks as they stand, for requests that come from somewhere else
    sample    begin to sample the Python stack
    share     end that; answers which share of the samples was contextlib's, in per cent

Started with "serve", it says its port first, and has no `run`. It ends with its input.
"""

import sys

if sys.argv[1] == "c":  # before anything else is imported
    import _acontextlib

    _acontextlib.install()

import asyncio
import io
import json
import os
from contextlib import asynccontextmanager
from time import perf_counter, process_time

from applications import PROGRAMS
from sampler import Sampler

ANSWERS, sys.stdout = sys.stdout, io.StringIO()  # what the program prints is no answer


def say(answer):
    print(json.dumps(answer), file=ANSWERS, flush=True)


def clocks():
    return {"cpu": process_time(), "wall": perf_counter()}


def since(start):
    return {name: now - start[name] for name, now in clocks().items()}


async def in_process(program):
    sampler = Sampler()
    async with program.running() as request:
        for line in sys.stdin:
            match line.split():
                case ["run", n]:
                    start = clocks()
                    for _ in range(int(n)):
                        await request()
                    say(since(start))
                case ["time"]:
                    say(clocks())
                case ["sample"]:
                    say(sampler.begin())
                case ["share"]:
                    say(sampler.end())


@asynccontextmanager
async def serving(application):
    """The port at which uvicorn answers, on the loopback only."""
    import uvicorn

    config = uvicorn.Config(
        application, host="127.0.0.1", port=0, http="httptools", log_level="warning", access_log=False
    )
    server = uvicorn.Server(config)
    task = asyncio.create_task(server.serve())
    while not server.started:
        if task.done():
            raise RuntimeError("the server does not start")
        await asyncio.sleep(0.01)
    yield server.servers[0].sockets[0].getsockname()[1]
    server.should_exit = True
    await task


async def served(service):
    sampler, ended = Sampler(), asyncio.Event()
    application = service.application()

    def command():
        match sys.stdin.readline().split():
            case ["time"]:
                service.forget(application)
                say(clocks())
            case ["sample"]:
                say(sampler.begin())
            case ["share"]:
                say(sampler.end())
            case []:
                ended.set()

    async with serving(application) as port:
        loop = asyncio.get_running_loop()
        loop.add_reader(sys.stdin.fileno(), command)
        say({"port": port})
        await ended.wait()
        loop.remove_reader(sys.stdin.fileno())


def main():
    if hasattr(os, "sched_setaffinity"):
        # On one core: where a program has threads, which way they pass the GIL from core to core is a matter of luck.
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    program = PROGRAMS[sys.argv[2]]
    if sys.argv[3:] == ["serve"]:
        import uvloop

        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(served(program))
    else:
        asyncio.run(in_process(program))


if __name__ == "__main__":
    main()
