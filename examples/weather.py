"""Weather of several towns, fetched from two services at once and written to a file, line by line.

    python examples/weather.py [FILE]

The services are a local server that the program starts. Its context managers: that server, a client over httpx and
one over an aiohttp session, both with the same interface, a file that appears only if all of it could be written.
"""

import asyncio
import os
import sys
import tempfile
from contextlib import asynccontextmanager
from pathlib import Path

import aiofiles
import aiohttp
import httpx
from aiohttp import web

DEGREES = {"Aarhus": 9, "Bergen": 7, "Cork": 11, "Delft": 10}


async def answer(request):
    town = request.match_info["town"]
    if town not in DEGREES:
        raise web.HTTPNotFound
    return web.json_response({"town": town, "degrees": DEGREES[town], "agent": request.headers["User-Agent"]})


@asynccontextmanager
async def service():
    """The address of a server that answers as long as the body runs."""
    app = web.Application()
    app.router.add_get("/{town}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        host, port = runner.addresses[0]
        yield f"http://{host}:{port}"
    finally:
        await runner.cleanup()


@asynccontextmanager
async def httpx_client(address):
    """A function that gets a town's weather, over one pool of connections."""
    client = httpx.AsyncClient(base_url=address, headers={"User-Agent": "httpx"}, trust_env=False)

    async def get(town):
        response = await client.get(f"/{town}")
        response.raise_for_status()
        return response.json()

    try:
        yield get
    finally:
        await client.aclose()
        print("httpx client closed")


@asynccontextmanager
async def aiohttp_client(address):
    """The same with aiohttp, which has a context manager of its own for each response."""
    session = aiohttp.ClientSession(address, headers={"User-Agent": "aiohttp"})

    async def get(town):
        async with session.get(f"/{town}") as response:
            response.raise_for_status()
            return await response.json()

    try:
        yield get
    finally:
        await session.close()
        print("aiohttp session closed")


@asynccontextmanager
async def whole_file(path):
    """A function that writes a line; the file is there once all lines are, or not at all."""
    unfinished = path.with_suffix(".unfinished")
    try:
        async with aiofiles.open(unfinished, "w", encoding="utf-8") as file:

            async def write(*words):
                await file.write(" ".join(map(str, words)) + "\n")

            yield write
        os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)


async def report(address, path, towns):
    """Both clients and the file at once; if one town fails, all of them are closed and there is no file."""
    async with (
        httpx_client(address) as first,
        aiohttp_client(address) as second,
        whole_file(path) as write,
    ):
        async with asyncio.TaskGroup() as group:
            requests = [group.create_task(get(town)) for town in towns for get in (first, second)]
        for weather in (request.result() for request in requests):
            await write(weather["town"], weather["degrees"], "degrees, says", weather["agent"])


async def main(path):
    async with service() as address:
        await report(address, path, DEGREES)
        print(path.read_text(encoding="utf-8"), end="")
        path.unlink()
        try:
            await report(address, path, ["Cork", "Nowhere"])
        except* (httpx.HTTPStatusError, aiohttp.ClientResponseError):
            print("refused, and left behind:", *list(path.parent.glob(f"{path.stem}*")) or ["nothing"])


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as directory:
        asyncio.run(main(Path(sys.argv[1] if len(sys.argv) > 1 else f"{directory}/weather.txt")))
