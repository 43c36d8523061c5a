"""Uses all that the extension makes, and leaves behind what is hard to clear up.

For programs in interpreters and copies of the module of their own: nothing here needs more than the standard library.
`lib` is anything with contextlib's names.
"""

import os
import sys


class Pause:
    def __await__(self):
        return (yield self)


async def pause():
    await Pause()


def run(coroutine):
    """Drive a coroutine to its end without a loop, and return its result."""
    while True:
        try:
            coroutine.send(None)
        except StopIteration as stop:
            return stop.value


def make_manager(lib):
    @lib.asynccontextmanager
    async def manager(value=None, *args, pauses=0, pauses_after=0, suppress=False, **kwargs):
        for _ in range(pauses):
            await Pause()
        try:
            yield value
        except LookupError:
            if not suppress:
                raise
        finally:
            for _ in range(pauses_after):
                await Pause()

    return manager


async def use_managers(lib):
    manager = make_manager(lib)
    async with manager(1) as value:
        assert value == 1
    async with manager(2, pauses=2, pauses_after=2) as value:
        assert value == 2
    async with manager(*range(12), other=3), manager(suppress=True):
        raise KeyError
    try:
        async with manager(4, pauses_after=1):
            raise IndexError
    except IndexError:
        pass
    else:
        raise AssertionError("suppressed")

    @manager(5)
    async def decorated():
        return 6

    assert await decorated() == 6
    managers = [manager(number) for number in range(40)]
    for cm in managers:
        await cm.__aenter__()
    for cm in managers:
        assert not await cm.__aexit__(None, None, None)

    class Subclass(lib._AsyncGeneratorContextManager):
        pass

    async def generator():
        yield 7

    async with Subclass(generator, (), {}) as value:
        assert value == 7


async def use_stacks(lib):
    manager = make_manager(lib)
    done = []

    async def callback(*args, **kwargs):
        done.append((args, kwargs))

    async with lib.AsyncExitStack() as stack:
        for number in range(40):
            await stack.enter_async_context(manager(number, pauses=number % 2, pauses_after=number % 2))
        stack.enter_context(lib.nullcontext())
        stack.callback(done.append, 1)
        stack.push_async_callback(callback, 1, key=2)
        stack.push(lambda *details: False)
        popped = stack.pop_all()
        assert len(stack._exit_callbacks) == 0
        stack.push_async_callback(callback)
    assert done == [((), {})]
    await popped.aclose()
    assert done == [((), {}), ((1,), {"key": 2}), 1]

    class Stack(lib.AsyncExitStack):
        pass

    stack = Stack()
    try:
        async with stack:
            await stack.enter_async_context(manager(pauses_after=1))
            await stack.enter_async_context(manager())
            raise KeyError
    except KeyError:
        pass
    await stack.aclose()


async def use_simple(lib):
    async def generator():
        yield 1
        yield 2

    class Subclass(lib.nullcontext):
        pass

    async with lib.aclosing(generator()) as values, lib.nullcontext(3) as value, Subclass(value) as same:
        async for each in values:
            assert each == 1
            break
        assert value is same
    with lib.nullcontext():
        pass


def use_awaitables(lib):
    """Suspended, thrown into, closed and asked for their iterators."""
    manager = make_manager(lib)
    entering = manager(pauses=1).__aenter__()
    entering.send(None)
    entering.close()
    entering = manager(pauses=1).__aenter__()
    entering.send(None)
    try:
        entering.throw(KeyError())
    except KeyError:
        pass
    else:
        raise AssertionError("went on")
    cm = manager()
    bound = cm.__aenter__, cm.__aexit__
    assert bound[0] == cm.__aenter__
    run(cm.__aenter__())
    iterator = cm.__aexit__(None, None, None).__await__()
    try:
        next(iterator)
    except StopIteration as stop:
        assert not stop.value


def use(lib):
    run(use_managers(lib))
    run(use_stacks(lib))
    run(use_simple(lib))
    use_awaitables(lib)


def leave(lib):
    """Something of each kind that is neither finished nor in order, in a list: to be dropped or kept."""
    manager = make_manager(lib)
    opened, suspended, leaving = manager(), manager(pauses=1), manager(pauses_after=1)
    run(opened.__aenter__())
    entering = suspended.__aenter__()
    entering.send(None)
    run(leaving.__aenter__())
    exiting = leaving.__aexit__(KeyError, KeyError(), None)
    exiting.send(None)
    stack = lib.AsyncExitStack()
    run(stack.enter_async_context(manager()))
    unwinding = lib.AsyncExitStack()
    run(unwinding.enter_async_context(manager()))
    unwinding.push_async_callback(pause)
    closing = unwinding.aclose()
    closing.send(None)
    stack.push_async_exit(stack)
    return [
        *(manager, manager(), opened, opened.__aexit__, suspended, entering, leaving, exiting, stack, stack.aclose),
        *(unwinding, closing, lib.aclosing(stack), lib.nullcontext(stack), opened.__aenter__),
    ]


def leave_cycles(lib):
    """The same in cycles through each of them, for the collector."""
    left = leave(lib)
    for each in left:
        if isinstance(each, (lib._AsyncGeneratorContextManager, lib.AsyncExitStack, lib.aclosing, lib.nullcontext)):
            each.left = left


def program(module):
    """The text of a program that does all this with the objects of `module`, in an interpreter that has just begun."""
    return f"""
import sys, warnings
sys.path[:] = {[os.path.dirname(os.path.abspath(__file__)), *filter(None, sys.path)]!r}
warnings.simplefilter("ignore")
sys.unraisablehook = lambda unraisable: None
import {module} as lib, usage
usage.use(lib)
usage.leave_cycles(lib)
left = usage.leave(lib)
"""
