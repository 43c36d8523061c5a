"""Log lines of many services, sorted into a file for each, all of them open at once.

    python examples/sorting.py [FOLDER]

How many files there will be is not known before, so an exit stack holds them. Whatever happens in the middle, all are
closed; a manager around the stack renames them at the end, or deletes them.
"""

import asyncio
import sys
import tempfile
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import aiofiles

SERVICES = ("billing", "login", "mail", "search")
LINES = [f"{SERVICES[number % 4]} request {number}" for number in range(2000)]
opened = []


@asynccontextmanager
async def unfinished(path):
    """A file under another name, until the body has come to its end."""
    temporary = path.with_suffix(".unfinished")
    try:
        async with aiofiles.open(temporary, "w", encoding="utf-8") as file:
            opened.append(file)
            yield file
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


@asynccontextmanager
async def sorted_files(folder):
    """A function that writes a line to the file of its service, opening it at the first."""
    async with AsyncExitStack() as stack:
        files = {}

        async def write(line):
            service, _, rest = line.partition(" ")
            if not rest:
                raise ValueError(f"no service in {line!r}")
            if service not in files:
                files[service] = await stack.enter_async_context(unfinished(folder / f"{service}.log"))
                stack.callback(print, "  closing", service)
            await files[service].write(rest + "\n")

        yield write
        print(f"  {len(files)} files open")


async def open_together(paths):
    """All of the files, to be closed by the caller, who gets the stack; or none, and the error."""
    async with AsyncExitStack() as stack:
        files = [await stack.enter_async_context(aiofiles.open(path, encoding="utf-8")) for path in paths]
        opened.extend(files)
        return files, stack.pop_all()


async def main(folder):
    print("all lines:")
    async with sorted_files(folder) as write:
        for line in LINES:
            await write(line)
    print("there are", *sorted(path.name for path in folder.iterdir()))

    print("a broken one in the middle:")
    try:
        async with sorted_files(folder / "again") as write:
            (folder / "again").mkdir()
            for line in [*LINES[:1000], "broken", *LINES[1000:]]:
                await write(line)
    except ValueError as error:
        print("refused:", error)
    print("there are", *list((folder / "again").iterdir()) or ["none"])

    print("reading all, line by line in turn:")
    files, stack = await open_together(sorted(folder.glob("*.log")))
    async with stack:
        for number in range(500):
            for file, service in zip(files, SERVICES, strict=True):
                assert int((await file.readline()).split()[-1]) % 4 == SERVICES.index(service), number
    try:
        await open_together([*folder.glob("*.log"), folder / "missing.log"])
    except FileNotFoundError as error:
        print("missing:", Path(error.filename).name)
    print(len(opened), "files were opened,", sum(not file.closed for file in opened), "are open")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        asyncio.run(main(Path(sys.argv[1])))
    else:
        with tempfile.TemporaryDirectory() as directory:
            asyncio.run(main(Path(directory)))
