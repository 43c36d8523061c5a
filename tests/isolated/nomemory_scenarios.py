"""The scenarios of nomemory.py: what users do with managers, stacks and the module, in small pieces.

Each is a function that makes what is needed while there is memory, and returns what to play without: a function, or a
coroutine function whose coroutine is driven to its end. A second function that is returned is called afterwards, with
memory: it must work on the objects that were used. Counting must not allocate, hence the lists of small numbers.
"""

import contextlib
import copy
import functools
import importlib.util
import os
import sys
import weakref
from collections import deque
from typing import NamedTuple


class Scenario(NamedTuple):
    name: str
    group: str
    prepare: object
    is_async: bool


SCENARIOS = {}


def scenario(group, *, is_async=True):
    def register(prepare):
        SCENARIOS[prepare.__name__] = Scenario(prepare.__name__, group, prepare, is_async)
        return prepare

    return register


def each(**variants):
    """Make a scenario of each variant: its keyword is added to the name, its value is the third argument."""

    def register_each(group, *, is_async=True):
        def register(prepare):
            for key, value in variants.items():
                name = f"{prepare.__name__}_{key}"
                made = functools.partial(prepare, variant=value)
                SCENARIOS[name] = Scenario(name, group, made, is_async)
            return prepare

        return register

    return register_each


def drive(coroutine):
    send = coroutine.send
    try:
        while True:
            send(None)
    except StopIteration as stop:
        return stop.value


class Pause:
    """Suspends once; may be awaited again and again."""

    def __await__(self):
        yield "paused"


PAUSE = Pause()
SIZE = 32


class World:
    """The resources of one play: how often each was acquired, released, and released only because it was dropped."""

    def __init__(self, lib):
        self.acquired, self.released, self.dropped = acquired, released, dropped = [0] * SIZE, [0] * SIZE, [0] * SIZE
        self.same = []  # objects to be looked at afterwards

        async def resource(k=0, *rest, name=None, other=None, third=None):
            """A resource."""
            acquired[k] += 1
            try:
                yield k
            except GeneratorExit:
                dropped[k] += 1
                raise
            finally:
                released[k] += 1

        async def suppressing(k=0):
            acquired[k] += 1
            try:
                yield k
            except ValueError:
                pass
            except GeneratorExit:
                dropped[k] += 1
                raise
            finally:
                released[k] += 1

        async def raising(k=0):
            acquired[k] += 1
            try:
                yield k
            except GeneratorExit:
                dropped[k] += 1
                raise
            finally:
                released[k] += 1
                raise LookupError("clean-up")

        async def pausing(k=0):
            await PAUSE
            acquired[k] += 1
            try:
                yield k
            except GeneratorExit:
                dropped[k] += 1
                raise
            finally:
                released[k] += 1
                await PAUSE

        async def yielding_twice(k=0):
            acquired[k] += 1
            try:
                yield k
                yield "too many"
            finally:
                released[k] += 1

        async def yielding_after_error(k=0):
            acquired[k] += 1
            try:
                try:
                    yield k
                except ValueError:
                    yield "too many"
            finally:
                released[k] += 1
                await PAUSE

        class Plain:
            def __init__(self, k=0):
                self.k = k

            async def __aenter__(self):
                acquired[self.k] += 1
                return self.k

            async def __aexit__(self, *details):
                released[self.k] += 1

        class Sync:
            def __init__(self, k=0):
                self.k = k

            def __enter__(self):
                acquired[self.k] += 1
                return self.k

            def __exit__(self, typ, value, traceback):
                released[self.k] += 1

        self.functions = {"resource": resource, "suppressing": suppressing, "raising": raising, "pausing": pausing}
        self.resource = lib.asynccontextmanager(resource)
        self.suppressing = lib.asynccontextmanager(suppressing)
        self.raising = lib.asynccontextmanager(raising)
        self.pausing = lib.asynccontextmanager(pausing)
        self.yielding_twice = lib.asynccontextmanager(yielding_twice)
        self.yielding_after_error = lib.asynccontextmanager(yielding_after_error)
        self.Plain, self.Sync = Plain, Sync

    def keep(self, thing):
        self.same.append(thing)
        return thing

    def release(self, *_):
        self.released[0] += 1


# -- decorating and calling --


@scenario("calls", is_async=False)
def decorate_function(lib, world):
    function = world.functions["resource"]
    function.attribute = 1
    return lambda: lib.asynccontextmanager(function).__name__


@scenario("calls", is_async=False)
def decorate_partial(lib, world):
    function = functools.partial(world.functions["resource"], 0)
    return lambda: lib.asynccontextmanager(function).__name__


@scenario("calls", is_async=False)
def decorate_annotated_function(lib, world):
    async def function(a: int, b: str = "b") -> None:
        """Doc."""
        yield

    return lambda: lib.asynccontextmanager(function).__doc__


CALLS = {
    "without_arguments": ((), {}),
    "with_1": ((0,), {}),
    "with_3": ((0, 1, 2), {}),
    "with_5": ((0, 1, 2, 3, 4), {}),
    "with_1_named": ((), {"name": 1}),
    "with_3_named": ((), {"name": 1, "other": 2, "third": 3}),
    "with_5_mixed": ((0, 1), {"name": 1, "other": 2, "third": 3}),
}


@each(**CALLS)("calls", is_async=False)
def call(lib, world, variant):
    args, kwds = variant
    function = world.resource

    def play():
        return function(*args, **kwds).__doc__

    return play


@each(**CALLS)("calls")
def call_and_enter(lib, world, variant):
    args, kwds = variant
    function = world.resource

    async def main():
        async with function(*args, **kwds) as value:
            return value

    return main


@each(**CALLS)("calls", is_async=False)
def attributes_args_and_kwds(lib, world, variant):
    args, kwds = variant
    manager = world.keep(world.resource(*args, **kwds))

    def again():
        assert (manager.args, manager.kwds) == variant

    return (lambda: (manager.args, manager.kwds)), again


@scenario("calls", is_async=False)
def call_of_method(lib, world):
    class Owner:
        @lib.asynccontextmanager
        async def method(self, k=0):
            yield k

    return Owner().method(1).__class__.__name__.__str__


@scenario("calls", is_async=False)
def call_with_wrong_arguments(lib, world):
    return lambda: world.resource(1, wrong=2)


@scenario("calls", is_async=False)
def class_called(lib, world):
    function, cls = world.functions["resource"], lib._AsyncGeneratorContextManager
    return lambda: cls(function, (0,), {"name": 1}).args


# -- the manager --


@scenario("manager")
def enter_and_exit(lib, world):
    manager = world.keep(world.resource(0))

    async def main():
        async with manager as value:
            return value

    return main


@scenario("manager")
def enter_for_a_value(lib, world):
    value = ("of", "the", "body")

    @lib.asynccontextmanager
    async def function():
        world.acquired[0] += 1
        try:
            yield value
        finally:
            world.released[0] += 1

    async def main():
        async with function() as entered:
            return entered is value

    return main


@scenario("manager")
def body_raises(lib, world):
    error = ValueError("body")

    async def main():
        async with world.resource(0):
            raise error

    return main


@scenario("manager")
def body_raises_a_class(lib, world):
    async def main():
        try:
            async with world.resource(0):
                raise ValueError
        except ValueError as exc:
            return exc.__context__

    return main


@scenario("manager")
def body_raises_and_generator_suppresses(lib, world):
    async def main():
        async with world.suppressing(0):
            raise ValueError("body")
        return "suppressed"

    return main


@scenario("manager")
def body_raises_and_generator_raises_another(lib, world):
    async def main():
        async with world.raising(0):
            raise ValueError("body")

    return main


@scenario("manager")
def generator_raises_on_exit(lib, world):
    async def main():
        async with world.raising(0):
            pass

    return main


@scenario("manager")
def generator_raises_on_enter(lib, world):
    @lib.asynccontextmanager
    async def function():
        raise LookupError("enter")
        yield

    async def main():
        async with function():
            pass

    return main


@each(stop=StopIteration, async_stop=StopAsyncIteration, runtime=RuntimeError, generator_exit=GeneratorExit)("manager")
def body_raises_special(lib, world, variant):
    error = variant("body")

    @lib.asynccontextmanager
    async def function():
        world.acquired[0] += 1
        try:
            yield
        finally:
            world.released[0] += 1

    async def main():
        try:
            async with function():
                raise error
        except variant as exc:
            return exc is error

    return main


# Functions are short: 3.11 never comes out of a handler of exceptions that is over 256 instructions away from the
# beginning where it cannot make the number for that.
@scenario("manager")
def nested_managers(lib, world):
    async def main(k=0):
        async with world.resource(k):
            return await main(k + 1) if k < 3 else k

    return main


@scenario("manager")
def nested_managers_raising(lib, world):
    managers = [world.resource, world.suppressing, world.resource, world.resource]

    async def main(k=0):
        async with managers[k](k):
            if k < 3:
                return await main(k + 1)
            raise ValueError("body")
        return "suppressed"

    return main


@scenario("manager")
def enter_and_exit_by_hand(lib, world):
    manager = world.keep(world.resource(0))
    leave = manager.__aexit__

    async def main():
        awaitable = manager.__aenter__()
        value = await awaitable
        return value, await leave(None, None, None)

    return main


@scenario("manager")
def exit_given_a_class_only(lib, world):
    manager = world.keep(world.suppressing(0))
    drive(manager.__aenter__())

    async def main():
        return await manager.__aexit__(ValueError, None, None)

    return main


@scenario("manager")
def enter_twice(lib, world):
    manager = world.keep(world.resource(0))

    async def main():
        async with manager:
            async with manager:
                pass

    return main


@scenario("manager")
def exits_while_others_are_suspended(lib, world):
    """The exits come when the freelists are empty: each pausing one holds its awaitable."""
    managers = [world.pausing(k) for k in range(20)]
    entering = [manager.__aenter__() for manager in managers]
    for awaitable in entering:
        awaitable.send(None)
    manager = world.resource(30)
    drive(manager.__aenter__())
    body = [None] * 20

    async def main():
        await manager.__aexit__(None, None, None)

    def settle():
        for k, awaitable in enumerate(entering):
            body[k] = drive(awaitable)
        leaving = [manager.__aexit__(None, None, None) for manager in managers]
        for awaitable in leaving:
            awaitable.send(None)
        for awaitable in leaving:
            drive(awaitable)

    return main, settle


@scenario("manager")
def async_with_while_others_are_suspended(lib, world):
    managers = [world.pausing(k) for k in range(20)]
    entering = [manager.__aenter__() for manager in managers]
    for awaitable in entering:
        awaitable.send(None)

    async def main():
        async with world.resource(30) as value:
            return value

    def settle():
        for awaitable in entering:
            drive(awaitable)
        for manager in managers:
            drive(manager.__aexit__(None, None, None))

    return main, settle


@scenario("manager")
def many_at_once(lib, world):
    managers = [world.resource(k) for k in range(20)]

    async def main():
        entered = 0
        try:
            for manager in managers:
                await manager.__aenter__()
                entered += 1
        finally:
            while entered:
                entered -= 1
                await managers[entered].__aexit__(None, None, None)

    return main


@scenario("manager")
def enter_kept(lib, world):
    """The awaitable of the enter is kept, and so does not come back to the freelist."""
    managers = [world.resource(k) for k in range(4)]
    kept = [None] * 4

    async def main():
        for k, manager in enumerate(managers):
            async with manager:
                kept[k] = manager.__aenter__

    return main


@scenario("manager")
def manager_under_asyncio_hooks(lib, world):
    seen = []

    async def main():
        before = sys.get_asyncgen_hooks()
        sys.set_asyncgen_hooks(seen.append, seen.append)
        try:
            async with world.resource(0):
                pass
        finally:
            sys.set_asyncgen_hooks(*before)

    return main


# -- misuse --


@scenario("misuse")
def generator_does_not_yield(lib, world):
    @lib.asynccontextmanager
    async def function():
        if world is None:
            yield

    async def main():
        async with function():
            pass

    return main


@scenario("misuse")
def generator_does_not_stop(lib, world):
    async def main():
        async with world.yielding_twice(0):
            pass

    return main


@scenario("misuse")
def generator_does_not_stop_after_error(lib, world):
    async def main():
        async with world.yielding_after_error(0):
            raise ValueError("body")

    return main


@scenario("misuse")
def not_a_generator(lib, world):
    @lib.asynccontextmanager
    def function():
        return 1

    async def main():
        async with function():
            pass

    return main


@scenario("misuse")
def exit_without_enter(lib, world):
    async def main():
        return await world.yielding_twice(0).__aexit__(None, None, None)

    return main


@scenario("misuse", is_async=False)
def awaitable_used_again(lib, world):
    manager = world.resource(0)
    entering = world.keep(manager.__aenter__())
    drive(entering)

    def settle():
        drive(manager.__aexit__(None, None, None))

    return (lambda: entering.send(None)), settle


@scenario("misuse", is_async=False)
def enter_with_arguments(lib, world):
    manager = world.resource(0)
    return lambda: manager.__aenter__(1)


@scenario("misuse", is_async=False)
def exit_with_wrong_arguments(lib, world):
    manager = world.resource(0)
    return lambda: manager.__aexit__(1, wrong=2)


# -- suspended --


def suspended(lib, world, phase):
    """A manager whose enter or exit is suspended, and the awaitable."""
    if phase == "clean-up":
        manager = world.yielding_after_error(0)
    else:
        manager = world.pausing(0)
    awaitable = manager.__aenter__()
    if phase != "clean-up":
        awaitable.send(None)
    if phase != "enter":
        drive(awaitable)
        details = (ValueError, ValueError("body"), None) if phase != "exit" else (None, None, None)
        awaitable = manager.__aexit__(*details)
        awaitable.send(None)
    return manager, awaitable


PHASES = {"enter": "enter", "exit": "exit", "exit_with_error": "exit with error", "clean_up": "clean-up"}


def leave_if_entered(world, manager):
    def settle():
        if world.acquired[0] > world.released[0]:
            drive(manager.__aexit__(None, None, None))

    return settle


@each(**PHASES)("suspended", is_async=False)
def send_into(lib, world, variant):
    manager, awaitable = suspended(lib, world, variant)
    return (lambda: drive(awaitable)), leave_if_entered(world, manager)


@each(**PHASES)("suspended", is_async=False)
def throw_into(lib, world, variant):
    manager, awaitable = suspended(lib, world, variant)
    return (lambda: awaitable.throw(LookupError("thrown"))), leave_if_entered(world, manager)


@each(**PHASES)("suspended", is_async=False)
def throw_class_into(lib, world, variant):
    manager, awaitable = suspended(lib, world, variant)
    return (lambda: awaitable.throw(LookupError)), leave_if_entered(world, manager)


@each(**PHASES)("suspended", is_async=False)
def close_it(lib, world, variant):
    manager, awaitable = suspended(lib, world, variant)
    return (lambda: awaitable.close()), leave_if_entered(world, manager)


@each(**PHASES)("suspended", is_async=False)
def drop_it(lib, world, variant):
    manager, awaitable = suspended(lib, world, variant)
    held = [awaitable]
    del awaitable
    return (lambda: held.clear()), leave_if_entered(world, manager)


@scenario("suspended", is_async=False)
def drop_never_started(lib, world):
    held = [world.resource(0).__aenter__()]
    return lambda: held.clear()


@scenario("suspended", is_async=False)
def close_never_started(lib, world):
    awaitable = world.keep(world.resource(0).__aenter__())
    return lambda: awaitable.close()


@each(error=LookupError, stop=StopIteration)("suspended", is_async=False)
def throw_into_never_started(lib, world, variant):
    awaitable = world.keep(world.resource(0).__aenter__())
    error = variant("thrown")
    if hasattr(sys, "gettotalrefcount") and variant is StopIteration:
        error = KeyError("thrown")  # debug builds abort where it is thrown into a coroutine that has not begun
    return lambda: awaitable.throw(error)


@scenario("suspended", is_async=False)
def iterate_await(lib, world):
    manager = world.pausing(0)
    iterator = manager.__aenter__().__await__()

    def play():
        for _ in iterator:
            pass

    return play, leave_if_entered(world, manager)


@scenario("suspended", is_async=False)
def origin_is_tracked(lib, world):
    manager = world.resource(0)

    def play():
        sys.set_coroutine_origin_tracking_depth(3)
        try:
            awaitable = manager.__aenter__()
        finally:
            sys.set_coroutine_origin_tracking_depth(0)
        found = awaitable.cr_origin is not None
        awaitable.close()
        return found

    return play


@scenario("suspended", is_async=False)
def attributes_of_awaitables(lib, world):
    manager, awaitable = suspended(lib, world, "enter")
    world.keep(awaitable)
    if lib.core is None:
        return (lambda: ("AsyncGen", None)), lambda: drive(awaitable) and drive(manager.__aexit__(None, None, None))

    def play():
        awaitable.cr_code, awaitable.cr_frame, awaitable.cr_await, awaitable.cr_running, awaitable.cr_suspended
        awaitable.__name__ = "renamed"
        repr(awaitable)
        awaitable.__qualname__ = "renamed"
        return "AsyncGen", None

    def settle():
        drive(awaitable)
        drive(manager.__aexit__(None, None, None))

    return play, settle


# -- the decorator form --


@scenario("decorator form", is_async=False)
def decorate_with_a_manager(lib, world):
    manager = world.resource(0)

    async def function():
        return 1

    return lambda: manager(function).__name__


@each(with_1=((0,), {}), with_3_named=((), {"name": 1, "other": 2, "third": 3}))("decorator form")
def call_decorated(lib, world, variant):
    args, kwds = variant

    @world.resource(*args, **kwds)
    async def function():
        return 1

    async def main():
        return await function(), await function()

    return main, lambda: drive(function())


@scenario("decorator form")
def call_decorated_that_raises(lib, world):
    @world.suppressing(0)
    async def function():
        raise ValueError("body")

    async def main():
        return await function()

    return main


@scenario("decorator form", is_async=False)
def recreate(lib, world):
    manager = world.keep(world.resource(0, name=1))
    return lambda: type(manager._recreate_cm()).__name__


@scenario("decorator form", is_async=False)
def recreate_of_a_subclass(lib, world):
    class Manager(lib._AsyncGeneratorContextManager):
        pass

    manager = Manager(world.functions["resource"], (0,), {})
    return lambda: type(manager._recreate_cm()).__name__


# -- objects --


@scenario("objects")
def subclass_of_manager(lib, world):
    class Manager(lib._AsyncGeneratorContextManager):
        async def __aenter__(self):
            return await super().__aenter__()

    async def main():
        async with Manager(world.functions["resource"], (0,), {}) as value:
            return value

    return main


@scenario("objects", is_async=False)
def attributes_of_managers(lib, world):
    manager = world.keep(world.resource(0))

    def play():
        manager.args = 1
        manager.kwds = 2
        manager.other = 3
        manager.__doc__ = "doc"
        values = manager.args, manager.kwds, manager.other, manager.__doc__, manager.func.__name__
        del manager.args, manager.kwds, manager.other
        return values

    return play


@each(args="args", func="func", unknown="unknown")("objects", is_async=False)
def missing_attribute(lib, world, variant):
    manager = world.keep(world.resource(0))
    if hasattr(manager, variant):
        delattr(manager, variant)

    return lambda: delattr(manager, variant)


@scenario("objects", is_async=False)
def copy_of_a_manager(lib, world):
    manager = world.keep(world.resource(0))
    return lambda: copy.copy(manager).args


@scenario("objects", is_async=False)
def reduce_of_a_manager(lib, world):
    manager = world.keep(world.resource(0))
    return lambda: len(manager.__reduce_ex__(2)) > 1


@scenario("objects", is_async=False)
def weakrefs_to_everything(lib, world):
    things = [world.resource(0), lib.AsyncExitStack(), lib.aclosing(1), lib.nullcontext(), world.resource]

    def play():
        return [weakref.ref(thing)() is thing for thing in things]

    return play


@scenario("objects", is_async=False)
def bound_methods(lib, world):
    manager = world.keep(world.resource(0))

    def play():
        enter, leave = manager.__aenter__, manager.__aexit__
        return enter.__name__, leave.__qualname__, hash(enter) == hash(manager.__aenter__), enter == leave

    return play


@scenario("objects", is_async=False)
def reduce_of_a_method(lib, world):
    null = world.keep(lib.nullcontext())
    method = null.__enter__
    return lambda: method.__reduce__()[0].__name__


# -- the stack --


def stack_to_close(lib, world):
    """A stack that is closed afterwards, whatever became of it."""
    stack = world.keep(lib.AsyncExitStack())
    return stack, lambda: drive(stack.aclose())


@scenario("stack")
def empty_stack(lib, world):
    async def main():
        async with lib.AsyncExitStack() as stack:
            return type(stack).__name__

    return main


KINDS = {"manager": "resource", "plain": "Plain", "pausing": "pausing"}


@each(**KINDS)("stack")
def enter_async_context(lib, world, variant):
    make = getattr(world, variant)

    async def main():
        async with lib.AsyncExitStack() as stack:
            return await stack.enter_async_context(make(0))

    return main


@each(**KINDS)("stack")
def enter_async_context_by_hand(lib, world, variant):
    stack, close = stack_to_close(lib, world)
    managers = [getattr(world, variant)(k) for k in range(7)]

    async def main():
        for manager in managers:
            await stack.enter_async_context(manager)

    return main, close


@each(**KINDS)("stack", is_async=False)
def two_entering_at_once(lib, world, variant):
    """Both are suspended with room for one, or have come to a full stack."""
    stack, close = stack_to_close(lib, world)
    for k in range(4):
        drive(stack.enter_async_context(world.resource(k)))
    entering = [stack.enter_async_context(world.pausing(4)), stack.enter_async_context(world.pausing(5))]
    for awaitable in entering:
        awaitable.send(None)
    third = getattr(world, variant)(6)

    def play():
        drive(stack.enter_async_context(third))
        drive(entering[0])
        drive(entering[1])

    def settle():
        for awaitable in entering:
            awaitable.close()
        close()

    return play, settle


@scenario("stack", is_async=False)
def enter_context(lib, world):
    stack, close = stack_to_close(lib, world)
    managers = [world.Sync(k) for k in range(7)]

    def play():
        for manager in managers:
            stack.enter_context(manager)

    return play, close


@scenario("stack", is_async=False)
def enter_context_that_pushes(lib, world):
    stack, close = stack_to_close(lib, world)

    class Manager(world.Sync):
        def __enter__(self):
            stack.push(print_nothing)
            return super().__enter__()

    def print_nothing(*details):
        pass

    managers = [Manager(k) for k in range(7)]

    def play():
        for manager in managers:
            stack.enter_context(manager)

    return play, close


@scenario("stack")
def enter_raises(lib, world):
    @lib.asynccontextmanager
    async def function():
        raise LookupError("enter")
        yield

    async def main():
        async with lib.AsyncExitStack() as stack:
            await stack.enter_async_context(world.resource(0))
            await stack.enter_async_context(function())

    return main


@each(sync="enter_context", asynchronous="enter_async_context")("stack")
def enter_what_is_no_manager(lib, world, variant):
    async def main():
        async with lib.AsyncExitStack() as stack:
            await getattr(stack, variant)(1)

    return main


def pushing(function):
    """A scenario that pushes many times what `function(stack)` pushes."""

    def prepare(lib, world):
        stack, close = stack_to_close(lib, world)
        push = function(stack, world)

        def play():
            for _ in range(7):
                push()
                world.acquired[0] += 1

        return play, close

    prepare.__name__ = function.__name__
    scenario("stack", is_async=False)(prepare)


@pushing
def push_manager(stack, world):
    manager = world.Sync(1)
    manager.k = 0
    return lambda: stack.push(manager) is manager


@pushing
def push_function(stack, world):
    return lambda: stack.push(world.release)


@pushing
def push_async_manager(stack, world):
    manager = world.Plain(0)
    return lambda: stack.push_async_exit(manager)


@pushing
def push_async_function(stack, world):
    async def leave(*details):
        world.released[0] += 1

    return lambda: stack.push_async_exit(leave)


@pushing
def callback_without_arguments(stack, world):
    return lambda: stack.callback(world.release)


@pushing
def callback_with_one_argument(stack, world):
    return lambda: stack.callback(world.release, 1)


@pushing
def callback_with_many_arguments(stack, world):
    def release(*args, name):
        world.released[0] += 1

    return lambda: stack.callback(release, 1, 2, name=3)


@pushing
def async_callback(stack, world):
    async def release(*args):
        world.released[0] += 1

    return lambda: stack.push_async_callback(release, 1, 2)


@pushing
def callback_on_a_public_stack(stack, world):
    stack._exit_callbacks
    return lambda: stack.callback(world.release, 1)


@scenario("stack", is_async=False)
def read_exit_callbacks(lib, world):
    stack, close = stack_to_close(lib, world)
    for k in range(7):
        drive(stack.enter_async_context(world.resource(k)))
    world.acquired[8] = 3
    stack.callback(world.Sync(8).__exit__, None, None, None)
    stack.callback(lambda _: world.Sync(8).__exit__(None, None, None), 1)
    stack.callback(lambda: world.Sync(8).__exit__(None, None, None))
    return (lambda: len(stack._exit_callbacks)), close


@scenario("stack", is_async=False)
def assign_exit_callbacks(lib, world):
    stack = world.keep(lib.AsyncExitStack())
    entries = deque()

    def play():
        stack._exit_callbacks = entries
        return stack._exit_callbacks is entries

    return play, lambda: drive(stack.aclose())


@scenario("stack", is_async=False)
def pop_all(lib, world):
    stack, close = stack_to_close(lib, world)
    kept = []
    for k in range(7):
        drive(stack.enter_async_context(world.resource(k)))

    def play():
        other = stack.pop_all()
        kept.append(other)

    def settle():
        for other in kept:
            drive(other.aclose())
        close()

    return play, settle


@scenario("stack", is_async=False)
def pop_all_of_a_subclass(lib, world):
    class Stack(lib.AsyncExitStack):
        def __init__(self):
            super().__init__()
            self.made = True

    stack = world.keep(Stack())
    drive(stack.enter_async_context(world.resource(0)))
    kept = []

    def play():
        other = stack.pop_all()
        kept.append(other)

    def settle():
        for other in [stack, *kept]:
            drive(other.aclose())

    return play, settle


@scenario("stack")
def subclass_that_overrides_a_helper(lib, world):
    class Stack(lib.AsyncExitStack):
        def _push_async_cm_exit(self, *args):
            super()._push_async_cm_exit(*args)

    async def main():
        async with Stack() as stack:
            return await stack.enter_async_context(world.resource(0))

    return main


@scenario("stack")
def subclass_of_stack(lib, world):
    class Stack(lib.AsyncExitStack):
        async def __aexit__(self, *details):
            return await super().__aexit__(*details)

    async def main():
        async with Stack() as stack:
            return await stack.enter_async_context(world.resource(0))

    return main


@scenario("stack", is_async=False)
def attributes_of_stacks(lib, world):
    stack, close = stack_to_close(lib, world)

    def play():
        stack.attribute = 1
        stack.callback(int)
        return stack.attribute

    return play, close


# -- unwinding --


def filled(lib, world, makers):
    """A stack with a resource of each of these kinds entered."""
    stack = world.keep(lib.AsyncExitStack())
    for k, name in enumerate(makers):
        made = getattr(world, name)(k)
        if name == "Sync":
            stack.enter_context(made)
        else:
            drive(stack.enter_async_context(made))
    return stack


FILLINGS = {
    "nothing": (),
    "a_manager": ("resource",),
    "7_managers": ("resource",) * 7,
    "7_classes": ("Plain",) * 7,
    "7_sync": ("Sync",) * 7,
    "a_mixture": ("resource", "Plain", "Sync", "suppressing", "pausing", "resource", "Sync"),
}


@each(**FILLINGS)("unwind", is_async=False)
def aclose(lib, world, variant):
    stack = filled(lib, world, variant)
    return (lambda: drive(stack.aclose())), lambda: drive(stack.aclose())


@each(**FILLINGS)("unwind", is_async=False)
def leave_with_an_error(lib, world, variant):
    stack = filled(lib, world, variant)
    error = ValueError("body")
    return (lambda: drive(stack.__aexit__(ValueError, error, None))), lambda: drive(stack.aclose())


@each(**FILLINGS)("unwind", is_async=False)
def aclose_of_a_public_stack(lib, world, variant):
    stack = filled(lib, world, variant)
    stack._exit_callbacks
    return (lambda: drive(stack.aclose())), lambda: drive(stack.aclose())


@scenario("unwind")
def error_is_suppressed_on_the_way(lib, world):
    async def main():
        async with lib.AsyncExitStack() as stack:
            await stack.enter_async_context(world.resource(0))
            await stack.enter_async_context(world.suppressing(1))
            await stack.enter_async_context(world.resource(2))
            raise ValueError("body")
        return "suppressed"

    return main


@scenario("unwind")
def exits_raise_others(lib, world):
    async def main():
        async with lib.AsyncExitStack() as stack:
            await stack.enter_async_context(world.resource(0))
            await stack.enter_async_context(world.raising(1))
            await stack.enter_async_context(world.raising(2))
            raise ValueError("body")

    return main


@scenario("unwind")
def exit_does_not_stop(lib, world):
    async def main():
        async with lib.AsyncExitStack() as stack:
            await stack.enter_async_context(world.resource(0))
            await stack.enter_async_context(world.yielding_twice(1))

    return main


@scenario("unwind", is_async=False)
def callbacks_that_raise(lib, world):
    stack = world.keep(lib.AsyncExitStack())
    world.acquired[0] = 3

    def fail(*args):
        world.released[0] += 1
        raise LookupError("callback")

    stack.callback(fail)
    stack.callback(fail, 1)
    stack.callback(fail, 1, 2)

    def settle():
        with contextlib.suppress(LookupError):
            drive(stack.aclose())

    return (lambda: drive(stack.aclose())), settle


@scenario("unwind")
def stacks_in_stacks(lib, world):
    async def main():
        async with lib.AsyncExitStack() as outer:
            await outer.enter_async_context(world.resource(0))
            inner = await outer.enter_async_context(lib.AsyncExitStack())
            await inner.enter_async_context(world.resource(1))
            raise ValueError("body")

    return main


@scenario("unwind")
def public_stack_left_with_an_error(lib, world):
    async def main():
        async with lib.AsyncExitStack() as stack:
            await stack.enter_async_context(world.suppressing(0))
            stack._exit_callbacks
            await stack.enter_async_context(world.resource(1))
            raise ValueError("body")
        return "suppressed"

    return main


def close_all_the_same(world, stack):
    """Closing the awaitable raises GeneratorExit in the generators as dropping them does."""

    def settle():
        world.dropped[:] = [0] * SIZE
        drive(stack.aclose())

    return settle


def unwinding(lib, world):
    stack = filled(lib, world, ("resource", "pausing", "resource"))
    awaitable = stack.__aexit__(None, None, None)
    awaitable.send(None)
    return stack, awaitable


@scenario("unwind", is_async=False)
def send_into_unwinding(lib, world):
    stack, awaitable = unwinding(lib, world)
    return (lambda: drive(awaitable)), lambda: drive(stack.aclose())


@scenario("unwind", is_async=False)
def throw_into_unwinding(lib, world):
    stack, awaitable = unwinding(lib, world)
    return (lambda: awaitable.throw(LookupError("thrown"))), lambda: drive(stack.aclose())


@scenario("unwind", is_async=False)
def close_unwinding(lib, world):
    stack, awaitable = unwinding(lib, world)
    return (lambda: awaitable.close()), close_all_the_same(world, stack)


@scenario("unwind", is_async=False)
def drop_unwinding(lib, world):
    stack, awaitable = unwinding(lib, world)
    held = [awaitable]
    del awaitable
    return (lambda: held.clear()), close_all_the_same(world, stack)


# -- aclosing, nullcontext --


@scenario("simple")
def closing(lib, world):
    generator = world.functions["resource"](0)

    async def main():
        async with lib.aclosing(generator) as thing:
            async for value in thing:
                world.dropped[0] -= 1  # to be closed, for once
                return value

    return main


@scenario("simple")
def closing_with_an_error(lib, world):
    generator = world.functions["suppressing"](0)

    async def main():
        async with lib.aclosing(generator) as thing:
            await anext(thing)
            world.dropped[0] -= 1
            raise ValueError("body")

    return main


@scenario("simple")
def closing_what_cannot_be_closed(lib, world):
    async def main():
        async with lib.aclosing(1):
            pass

    return main


@scenario("simple")
def null_async(lib, world):
    async def main():
        async with lib.nullcontext("value") as value:
            return value

    return main


@scenario("simple", is_async=False)
def null_sync(lib, world):
    def play():
        with lib.nullcontext("value") as value:
            return value

    return play


@each(aclosing="thing", nullcontext="enter_result")("simple", is_async=False)
def attributes_of_simple(lib, world, variant):
    made = world.keep(lib.aclosing(1) if variant == "thing" else lib.nullcontext(1))

    def play():
        setattr(made, variant, 2)
        made.other = getattr(made, variant)
        return made.other, vars(made)["other"]

    return play


@scenario("simple", is_async=False)
def simple_with_wrong_arguments(lib, world):
    return lambda: lib.aclosing(1, wrong=2)


@scenario("simple", is_async=False)
def copies_and_pickles_of_simple(lib, world):
    made = world.keep(lib.nullcontext(1))
    return lambda: (copy.copy(made).enter_result, copy.deepcopy(made).enter_result)


# -- the module --


@scenario("module", is_async=False)
def import_core(lib, world):
    import _acontextlib._core as core

    spec = importlib.util.spec_from_file_location(core.__name__, core.__file__)
    wanted = core.drive

    def play():
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module.drive == wanted

    return play


@scenario("module", is_async=False)
def install_and_uninstall(lib, world):
    import _acontextlib

    before = contextlib.AsyncExitStack

    def play():
        return len(_acontextlib.install())

    def settle():
        _acontextlib.install()
        assert contextlib.AsyncExitStack is _acontextlib.AsyncExitStack
        _acontextlib.uninstall()
        assert contextlib.AsyncExitStack is before

    return play, settle


@scenario("module", is_async=False)
def uninstall(lib, world):
    import _acontextlib

    before = contextlib.AsyncExitStack
    _acontextlib.install()

    def settle():
        _acontextlib.uninstall()
        assert contextlib.AsyncExitStack is before

    return _acontextlib.uninstall, settle


# -- what must be found --


@scenario("defects", is_async=False)
def defect_loses_a_resource(lib, world):
    def play():
        world.acquired[0] += 1
        bytearray(100)
        world.released[0] += 1

    return play


@scenario("defects", is_async=False)
def defect_releases_twice(lib, world):
    def play():
        world.acquired[0] += 1
        try:
            bytearray(100)
        except MemoryError:
            world.released[0] += 1
        world.released[0] += 1

    return play


@scenario("defects", is_async=False)
def defect_takes_the_error_for_another(lib, world):
    def play():
        try:
            bytearray(100)
        except MemoryError:
            raise LookupError from None

    return play


@scenario("defects", is_async=False)
def defect_leaves_the_object_useless(lib, world):
    things = [None]

    def play():
        things.clear()
        things.append(bytearray(100))

    return play, lambda: things[0]


@scenario("defects", is_async=False)
def defect_crashes(lib, world):
    def play():
        try:
            bytearray(100)
        except MemoryError:
            os.abort()

    return play
