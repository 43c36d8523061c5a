"""AsyncExitStack at its await points: throw, close and cancellation there, what may be awaited, what debuggers see."""

import asyncio
import contextvars
import gc
import io
import sys
import types

import pytest
from helpers import VERSION, Pause, catch, play, run

NO_DETAILS = (None, None, None)
COUNT = 4


class Manager:
    """Awaits once on the way in and once on the way out, and logs what arrives."""

    def __init__(self, log, name, swallow=False):
        self.log = log
        self.name = name
        self.swallow = swallow

    async def wait(self, where):
        try:
            self.log.append((self.name, where, await Pause((self.name, where))))
        except BaseException as error:
            self.log.append((self.name, where, repr(error), repr(sys.exc_info()[1])))
            if not self.swallow:
                raise

    async def __aenter__(self):
        await self.wait("enter")
        return self

    async def __aexit__(self, typ, value, traceback):
        self.log.append((self.name, "leaves with", repr(value)))
        await self.wait("exit")


async def use(lib, log, swallow):
    async with lib.AsyncExitStack() as stack:
        for number in range(COUNT):
            if number % 2:
                await stack.enter_async_context(Manager(log, number, swallow))
            else:
                stack.push_async_callback(Manager(log, number, swallow).wait, "callback")
        stack.callback(log.append, "sync")
        await Pause("body")
    return "end"


WAYS = [ValueError("thrown"), asyncio.CancelledError(), StopIteration(1)]


@pytest.mark.parametrize("swallow", [False, True], ids=["passes on", "swallows"])
@pytest.mark.parametrize("error", WAYS, ids=["error", "cancelled", "stop iteration"])
def test_throw_at_each_two_await_points_is_as_on_the_stdlib(lib, stdlib, error, swallow):
    """Whatever is thrown where: every remaining callback runs, and sees what it would see."""

    def scenario(namespace):
        found = []
        points = 2 * COUNT
        for first in range(1, points):
            for second in (None, *range(first + 1, points)):
                log = []
                script = [
                    ("throw", type(error)(*error.args, at)) if at in (first, second) else ("send", None)
                    for at in range(points + 2)
                ]
                found.append((first, second, play(use(namespace, log, swallow), *script), log))
        return found

    for one, other in zip(scenario(lib), scenario(stdlib), strict=True):
        assert one == other


@pytest.mark.parametrize("swallow", [False, True], ids=["passes on", "swallows"])
@pytest.mark.parametrize("drop", [False, True], ids=["closed", "dropped"])
def test_close_at_each_await_point_is_as_on_the_stdlib(lib, stdlib, monkeypatch, drop, swallow):
    """What awaits again after GeneratorExit ends in a RuntimeError, or in the unraisable hook."""

    def scenario(namespace):
        found = []
        for at in range(2 * COUNT):
            log = []
            monkeypatch.setattr(sys, "unraisablehook", lambda args, log=log: log.append(repr(args.exc_value)))
            coroutine = use(namespace, log, swallow)
            outcomes = play(coroutine, *[("send", None)] * at, *([] if drop else [("close",)]))
            del coroutine
            for _ in range(3):
                gc.collect()
            # What went on after GeneratorExit is dropped in an order that is not compared: contextlib's own frames,
            # which tracebacks hold, keep some of it for longer.
            if any("ignored GeneratorExit" in repr(entry) for entry in log):
                log.sort(key=repr)
            found.append((at, outcomes, log))
        return found

    for one, other in zip(scenario(lib), scenario(stdlib), strict=True):
        assert one == other


def scripts():
    return [
        [("send", None), ("send", 1), ("send", 2), ("send", 3)],
        [("send", 1), ("send", None)],
        [("send", None), ("throw", ValueError("one")), ("send", None), ("send", None)],
        [("send", None), ("throw", ValueError), ("send", None), ("send", None)],
        [("throw", ValueError("before")), ("send", None)],
        [("throw",)],
        [("throw", 5)],
        [("send", None), ("throw", 5), ("send", None)],
        [("send", None), ("close",), ("close",), ("send", None), ("throw", ValueError())],
        [("close",), ("send", None)],
        [("send", None), ("throw", GeneratorExit()), ("send", None)],
        [("send",)],
    ]


@pytest.mark.parametrize("call", ["aclose", "__aexit__", "enter_async_context"])
@pytest.mark.parametrize("number", range(len(scripts())))
def test_awaitable_driven_by_hand_is_as_on_the_stdlib(lib, stdlib, monkeypatch, call, number):
    def scenario(namespace):
        log = []
        monkeypatch.setattr(sys, "unraisablehook", lambda args: log.append(repr(args.exc_value)))
        stack = namespace.AsyncExitStack()
        stack.push_async_exit(Manager(log, "first"))
        stack.push_async_exit(Manager(log, "second"))
        third = Manager(log, "third")
        arguments = {"enter_async_context": (third,), "__aexit__": NO_DETAILS}.get(call, ())
        awaitable = getattr(stack, call)(*arguments)
        found = play(awaitable, *scripts()[number], *[("close",)] * 4)
        del awaitable
        gc.collect()
        entries = len(stack._exit_callbacks)
        stack._exit_callbacks.clear()
        return [("returned", "third") if one == ("returned", third) else one for one in found], log, entries

    assert without_method_names(scenario(lib)) == without_method_names(scenario(stdlib))


def without_method_names(found):
    """Wrong argument counts are reported by C methods with their class's name, which differs."""
    outcomes, *rest = found
    return [("raised", "count") if "argument" in repr(one) else one for one in outcomes], rest


def test_closing_an_unwinding_that_goes_on_raises_runtime_error(lib):
    """GeneratorExit at one callback is an exception like any other for those that remain, which may await."""
    log = []
    stack = lib.AsyncExitStack()
    stack.push_async_exit(Manager(log, "first"))
    stack.push_async_exit(Manager(log, "second"))
    closing = stack.__aexit__(*NO_DETAILS)
    assert closing.send(None) == ("second", "exit")
    assert str(catch(closing.close)) == "coroutine ignored GeneratorExit"
    assert isinstance(catch(closing.send, None), GeneratorExit)
    assert [entry[:2] for entry in log] == [
        ("second", "leaves with"),
        ("second", "exit"),
        ("first", "leaves with"),
        ("first", "exit"),
    ]
    assert log[2][2] == "GeneratorExit()"


def test_dropped_unwinding_runs_what_remains(lib):
    log = []
    stack = lib.AsyncExitStack()
    stack.callback(log.append, "remaining")
    stack.push_async_exit(Manager(log, "manager"))
    closing = stack.aclose()
    closing.send(None)
    del closing
    gc.collect()
    assert log[-1] == "remaining"
    assert not stack._exit_callbacks


def test_cancelled_task_runs_every_callback(lib):
    log = []

    async def wait(name):
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            log.append(f"{name} cancelled")
            raise

    async def quick(name):
        await asyncio.get_running_loop().run_in_executor(None, int)
        log.append(name)

    async def work():
        async with lib.AsyncExitStack() as stack:
            stack.push_async_callback(quick, "first")
            stack.push_async_callback(wait, "second")
            stack.push_async_callback(quick, "third")
            await wait("body")

    async def main():
        task = asyncio.create_task(work())
        while "third" not in log:
            await asyncio.sleep(0)
            task.cancel() if not log else None
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()

    asyncio.run(main())
    assert log == ["body cancelled", "third", "second cancelled", "first"]


# What may be awaited


class Unusual:
    """Makes awaitables of one kind; what each does is the same on every implementation."""

    def none(self):
        return None

    def number(self):
        return 5

    def coroutine(self):
        async def wait():
            return await Pause("coroutine")

        return wait()

    def generator_coroutine(self):
        @types.coroutine
        def wait():
            return (yield "generator")

        return wait()

    def plain_generator(self):
        return (value for value in ("not awaitable",))

    def iterator(self):
        class Wait:
            def __await__(self):
                return iter(["one", "two"])

        return Wait()

    def not_an_iterator(self):
        class Wait:
            def __await__(self):
                return 5

        return Wait()

    def coroutine_from_await(self):
        class Wait:
            def __await__(self):
                return made

        async def wait():
            pass

        made = wait()
        made.close()
        return Wait()

    def failing(self):
        class Wait:
            def __await__(self):
                raise KeyError("no iterator")

        return Wait()

    def instance_attribute(self):
        class Wait:
            pass

        made = Wait()
        made.__await__ = lambda: iter(())
        return made

    def asynchronous_generator(self):
        async def wait():
            yield

        return wait()

    def busy(self):
        made = self.coroutine()
        made.send(None)
        return made

    def finished(self):
        made = self.coroutine()
        made.close()
        return made

    def future(self):
        class Loop(asyncio.AbstractEventLoop):
            def get_debug(self):
                return False

            def call_soon(self, *args, **kwds):
                pass

        future = asyncio.Future(loop=Loop())
        future.set_result(1)
        return future


KINDS = [name for name in vars(Unusual) if not name.startswith("_")]


@pytest.mark.parametrize("where", ["enter", "exit", "push_async_exit", "push_async_callback", "aclosing"])
@pytest.mark.parametrize("kind", KINDS)
def test_unusual_awaitable_is_awaited_or_refused_as_on_the_stdlib(lib, stdlib, kind, where):
    def scenario(namespace):
        made = []

        def make(*args):
            made.append(getattr(Unusual(), kind)())
            return made[-1]

        class Entered:
            __aenter__ = make if where == "enter" else Manager.__aenter__
            __aexit__ = make if where == "exit" else Manager.__aexit__
            aclose = make
            wait = Manager.wait

            def __init__(self):
                self.log, self.name, self.swallow = [], "manager", False

        async def use():
            async with namespace.AsyncExitStack() as stack:
                if where == "push_async_exit":
                    stack.push_async_exit(make)
                elif where == "push_async_callback":
                    stack.push_async_callback(make)
                elif where == "aclosing":
                    await stack.enter_async_context(namespace.aclosing(Entered()))
                else:
                    await stack.enter_async_context(Entered())

        found = []
        for action in (("send", None), ("send", 7), ("throw", ValueError("thrown")), ("close",)):
            script = [("send", None), action, ("send", None), ("send", None)]
            found.append(play(use(), *script))
        for one in made:
            if hasattr(one, "close"):
                one.close()
        return found

    assert scenario(lib) == scenario(stdlib)


def test_context_variables_are_those_of_the_caller(lib):

    variable = contextvars.ContextVar("variable", default=0)

    async def change():
        variable.set(variable.get() + 1)
        await Pause()

    async def use():
        async with lib.AsyncExitStack() as stack:
            stack.push_async_callback(change)
            stack.callback(lambda: variable.set(variable.get() + 10))
        return variable.get()

    assert contextvars.copy_context().run(run, use()) == 11


# What debuggers see


def await_chain(coroutine):
    """The names of the code that an await chain passes through, innermost last."""
    names = []
    while coroutine is not None:
        for prefix in ("cr", "gi", "ag"):
            if hasattr(coroutine, f"{prefix}_frame"):
                names.append(getattr(coroutine, f"{prefix}_frame").f_code.co_name)
                coroutine = getattr(coroutine, f"{prefix}_await", None) or getattr(
                    coroutine, f"{prefix}_yieldfrom", None
                )
                break
        else:
            coroutine = getattr(coroutine, "cr_await", None)
    return names


def stuck_in_third(lib):
    async def third():
        await innermost()

    async def innermost():
        await Pause()

    async def quick():
        pass

    async def work():
        async with lib.AsyncExitStack() as stack:
            stack.push_async_callback(quick)
            stack.push_async_callback(third)
            stack.push_async_callback(quick)
            stack.push_async_callback(quick)

    return work()


def test_await_chain_passes_through_the_stack(lib):
    work = stuck_in_third(lib)
    work.send(None)
    names = await_chain(work)
    assert names[0] == "work"
    assert names[-1] in ("innermost", "__await__")
    assert "third" in names
    work.close()


@pytest.mark.skipif(VERSION < (3, 14), reason="asyncio shows call graphs from 3.14 on")
def test_call_graph_of_a_task_names_the_callback_it_is_stuck_in(lib):
    async def third():
        await asyncio.get_running_loop().create_future()

    async def work():
        async with lib.AsyncExitStack() as stack:
            stack.push_async_callback(asyncio.sleep, 0)
            stack.push_async_callback(third)

    async def main():
        task = asyncio.create_task(work())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        text = io.StringIO()
        asyncio.print_call_graph(task, file=text)
        task.cancel()
        await asyncio.wait([task])
        return text.getvalue()

    graph = asyncio.run(main())
    assert "third()" in graph
    assert "work()" in graph
