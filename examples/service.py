"""A web service for notes: FastAPI under uvicorn, with a database session and four more dependencies per request.

    python examples/service.py
    python -m _acontextlib -m uvicorn --app-dir examples service:app --reload

The first command also plays the client. Its context managers: the lifespan of the service, the server while the
client runs, and the dependencies, which FastAPI makes context managers of, anew for each request.
"""

import asyncio
from contextlib import asynccontextmanager
from typing import Annotated

import aiosqlite
import httpx
import uvicorn
from fastapi import Depends, FastAPI, Header, HTTPException, Request

SCHEMA = """
CREATE TABLE user (name TEXT PRIMARY KEY, token TEXT NOT NULL, requests INTEGER NOT NULL DEFAULT 0);
CREATE TABLE note (id INTEGER PRIMARY KEY, author TEXT NOT NULL, text TEXT NOT NULL CHECK (text <> ''));
INSERT INTO user (name, token) VALUES ('ada', 'secret');
"""


@asynccontextmanager
async def lifespan(app):
    app.state.traces = []
    app.state.turn = asyncio.Lock()
    async with aiosqlite.connect(":memory:", isolation_level=None) as app.state.db:
        await app.state.db.executescript(SCHEMA)
        print("service: database open")
        yield
    print("service: database closed")


app = FastAPI(lifespan=lifespan)


async def trace(request: Request):
    """What happens in this request, to be shown at the end."""
    events = [f"{request.method} {request.url.path}"]
    app.state.traces.append(events)
    try:
        yield events
    except Exception as error:
        events.append(f"failed with {type(error).__name__}")
        raise


Events = Annotated[list, Depends(trace)]


async def turn(events: Events):
    """One request at a time uses the database."""
    async with app.state.turn:
        yield
    events.append("next, please")


async def session(events: Events, turn: Annotated[None, Depends(turn)]):
    """All that the request does in the database, or nothing of it."""
    await app.state.db.execute("BEGIN")
    try:
        yield app.state.db
    except BaseException:
        await app.state.db.rollback()
        events.append("rolled back")
        raise
    await app.state.db.commit()
    events.append("committed")


Session = Annotated[aiosqlite.Connection, Depends(session)]


async def user(db: Session, token: Annotated[str, Header()] = ""):
    """Who sent the token; successful requests are counted."""
    async with db.execute("SELECT name FROM user WHERE token = ?", (token,)) as cursor:
        row = await cursor.fetchone()
    if row is None:
        raise HTTPException(401, "who are you?")
    yield row[0]
    await db.execute("UPDATE user SET requests = requests + 1 WHERE name = ?", row)


User = Annotated[str, Depends(user)]


async def notes(db: Session, author: User, events: Events):
    """A function that adds a note; the trace says how many were added."""
    added = []

    async def add(text):
        added.append(await db.execute_insert("INSERT INTO note (author, text) VALUES (?, ?)", (author, text)))

    yield add
    events.append(f"{len(added)} added by {author}")


@app.post("/notes")
async def post(texts: list[str], add: Annotated[object, Depends(notes)]):
    try:
        for text in texts:
            await add(text)
    except aiosqlite.IntegrityError as error:
        raise HTTPException(422, "a note needs a text") from error
    return {"added": len(texts)}


@app.get("/notes")
async def get(db: Session, author: User):
    rows = await db.execute_fetchall("SELECT text FROM note WHERE author = ? ORDER BY id", (author,))
    return {"author": author, "notes": [text for (text,) in rows]}


@asynccontextmanager
async def running(app):
    """The address at which the service answers as long as the body runs."""
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="warning"))
    serving = asyncio.create_task(server.serve())
    try:
        while not server.started:
            await asyncio.sleep(0.01)
        yield "http://{}:{}".format(*server.servers[0].sockets[0].getsockname())
    finally:
        server.should_exit = True
        await serving


async def main():
    async with running(app) as address, httpx.AsyncClient(base_url=address, trust_env=False) as client:
        me = {"token": "secret"}
        for response in (
            await client.get("/notes"),
            await client.post("/notes", json=["buy milk", "call bob"], headers=me),
            await client.post("/notes", json=["sell milk", ""], headers=me),
            await client.get("/notes", headers=me),
        ):
            print("client:", response.status_code, response.json())
    for events in app.state.traces:
        print(*events, sep=", ")


if __name__ == "__main__":
    asyncio.run(main())
