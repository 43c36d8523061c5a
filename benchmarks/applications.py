"""The programs that services.py measures: small applications of real libraries, and what one request to each is.

They import from contextlib, as the libraries do: whose objects those are is decided by who imports this module.
"""

import asyncio
import importlib
import sys
from collections.abc import Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"


class Program(NamedTuple):
    title: str
    needs: tuple[str, ...]
    running: Callable[[], Any]  # an async context manager whose value makes one request when awaited


class Service(NamedTuple):
    """An ASGI application, which a server can run, too."""

    title: str
    needs: tuple[str, ...]
    application: Callable[[], Any]
    method: str = "GET"
    path: str = "/"
    headers: dict = {}
    body: bytes = b""
    forget: Callable[[Any], None] = lambda application: None  # what the application gathers from request to request

    @asynccontextmanager
    async def running(self):
        """Without a server or a network: the application is called, as a server calls it."""
        application = self.application()
        async with living(application) as state:
            yield lambda: self.request(application, state)
            self.forget(application)

    async def request(self, application, state):
        status = None
        unread = [{"type": "http.request", "body": self.body, "more_body": False}]

        async def receive():
            return unread.pop() if unread else {"type": "http.disconnect"}

        async def send(message):
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]

        scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": self.method,
            "scheme": "http",
            "path": self.path,
            "raw_path": self.path.encode(),
            "query_string": b"",
            "root_path": "",
            "headers": [(name.encode(), value.encode()) for name, value in self.headers.items()],
            "client": ("127.0.0.1", 50000),
            "server": ("127.0.0.1", 8000),
            "state": state.copy(),
        }
        await application(scope, receive, send)
        if status != 200:
            raise RuntimeError(f"{self.title}: the answer's status is {status}")

    def message(self):
        """The same request as what a client sends."""
        headers = {"host": "127.0.0.1", **self.headers}
        if self.body:
            headers["content-length"] = str(len(self.body))
        lines = [f"{self.method} {self.path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
        return "\r\n".join([*lines, "", ""]).encode() + self.body


@asynccontextmanager
async def living(application):
    """Between the start-up and the shutdown of an application's lifespan; the value is its state."""
    incoming, outgoing, state = asyncio.Queue(), asyncio.Queue(), {}
    scope = {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}, "state": state}
    task = asyncio.create_task(application(scope, incoming.get, outgoing.put))
    await incoming.put({"type": "lifespan.startup"})
    said = await outgoing.get()
    if said["type"] != "lifespan.startup.complete":
        raise RuntimeError(f"the application does not start: {said.get('message')}")
    yield state
    await incoming.put({"type": "lifespan.shutdown"})
    await task


def fastapi_with_dependencies(count):
    """So many dependencies that yield, each of its own, none of which does anything."""
    from fastapi import Depends, FastAPI

    def dependency(number):
        async def value():
            yield number

        return value

    application = FastAPI()
    dependencies = [Depends(dependency(number)) for number in range(count)]

    # FastAPI looks at the signature, and one for each number of dependencies is wanted.
    names = [f"value_{number}" for number in range(count)]
    namespace = dict(zip((f"depends_{name}" for name in names), dependencies, strict=True))
    arguments = ", ".join(f"{name}=depends_{name}" for name in names)
    exec(f"async def answer({arguments}):\n    return {{'sum': {' + '.join(names)}}}", namespace)
    application.get("/")(namespace["answer"])
    return application


def example_service():
    """examples/service.py."""
    if str(EXAMPLES) not in sys.path:
        sys.path.insert(0, str(EXAMPLES))
    return importlib.import_module("service").app


def starlette_with_middleware():
    """A lifespan with a state, and three middleware classes of the kind that most applications write."""
    from starlette.applications import Starlette
    from starlette.middleware import Middleware
    from starlette.middleware.base import BaseHTTPMiddleware
    from starlette.responses import JSONResponse
    from starlette.routing import Route

    class Label(BaseHTTPMiddleware):
        def __init__(self, app, name, value):
            super().__init__(app)
            self.name, self.value = name, value

        async def dispatch(self, request, call_next):
            response = await call_next(request)
            response.headers[self.name] = self.value
            return response

    @asynccontextmanager
    async def lifespan(application):
        yield {"greeting": "hello"}

    async def answer(request):
        return JSONResponse({"greeting": request.state.greeting})

    labels = [Middleware(Label, name=f"x-{name}", value=name) for name in ("trace", "version", "policy")]
    return Starlette(routes=[Route("/", answer)], middleware=labels, lifespan=lifespan)


@asynccontextmanager
async def svcs_with_three_services():
    import svcs

    class Database: ...

    class Cache: ...

    class Mailer: ...

    def factory(kind):
        async def make():
            yield kind()

        return make

    async def request():
        async with svcs.Container(registry) as container:
            await container.aget(Database, Cache, Mailer)

    async with svcs.Registry() as registry:
        for kind in (Database, Cache, Mailer):
            registry.register_factory(kind, factory(kind))
        yield request


@asynccontextmanager
async def fast_depends_with_three():
    from fast_depends import Depends, inject

    async def one():
        yield 1

    async def two():
        yield 2

    async def three():
        yield 3

    first, second, third = map(Depends, (one, two, three))

    @inject
    async def request(one=first, two=second, three=third):
        return one + two + three

    yield request


@asynccontextmanager
async def anyio_task_group():
    import anyio

    async def job():
        await anyio.sleep(0)

    async def request():
        async with anyio.create_task_group() as group:
            for _ in range(3):
                group.start_soon(job)

    yield request


@asynccontextmanager
async def httpx_stream():
    """The answers come from the client's own process: what is left is the library's own work."""
    import httpx

    async def chunks():
        for _ in range(4):
            yield b"some text\n"

    transport = httpx.MockTransport(lambda request: httpx.Response(200, content=chunks()))

    async def request():
        async with client.stream("GET", "http://localhost/") as response:
            async for _ in response.aiter_bytes():
                pass

    async with httpx.AsyncClient(transport=transport) as client:
        yield request


def fastapi_service(count):
    what = "1 dependency that yields" if count == 1 else f"{count} dependencies that yield"
    return Service(f"FastAPI, {what}", ("fastapi",), lambda: fastapi_with_dependencies(count))


PROGRAMS = {
    "fastapi-1": fastapi_service(1),
    "fastapi-3": fastapi_service(3),
    "fastapi-5": fastapi_service(5),
    "example": Service(
        "FastAPI, `examples/service.py`: 5 that yield, SQLite",
        ("aiosqlite", "fastapi", "httpx", "uvicorn"),
        example_service,
        method="POST",
        path="/notes",
        headers={"token": "secret", "content-type": "application/json"},
        body=b'["buy milk"]',
        forget=lambda application: application.state.traces.clear(),
    ),
    "svcs": Program("svcs, 3 services", ("svcs",), svcs_with_three_services),
    "fast-depends": Program("fast-depends, 3 dependencies", ("fast_depends",), fast_depends_with_three),
    "starlette": Service("Starlette, lifespan, 3 middleware classes", ("starlette",), starlette_with_middleware),
    "anyio": Program("anyio, a task group of 3 tasks", ("anyio",), anyio_task_group),
    "httpx": Program("httpx, a streamed response", ("httpx",), httpx_stream),
}
SERVED = ("fastapi-3", "example")  # under uvicorn as well
