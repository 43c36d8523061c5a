"""Scenarios of nomemory.py: decorating, calling, entering and leaving managers, rightly and wrongly."""

import functools
import sys

from nomemory_world import drive, each, scenario

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


# What the generator does, and what the body raises.
USES = {
    "that_passes_an_error": ("resource", ValueError),
    "that_suppresses": ("suppressing", ValueError),
    "that_raises_another_error": ("raising", ValueError),
    "that_raises_on_exit": ("raising", None),
    "that_raises_on_enter": ("failing", None),
    "that_does_not_yield": ("not_yielding", None),
    "that_does_not_stop": ("yielding_twice", None),
    "that_does_not_stop_after_an_error": ("yielding_after_error", ValueError),
}


@each(**USES)("manager")
def generator(lib, world, variant):
    kind, error = variant
    function = getattr(world, kind)

    async def main():
        async with function(0):
            if error is not None:
                raise error("body")
        return "suppressed"

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


def twenty_entering(world):
    """Managers that pause as they are entered, with the awaitables, which leave the freelists empty."""
    managers = [world.pausing(k) for k in range(20)]
    entering = [manager.__aenter__() for manager in managers]
    for awaitable in entering:
        awaitable.send(None)
    return managers, entering


@scenario("manager")
def exits_while_others_are_suspended(lib, world):
    managers, entering = twenty_entering(world)
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
    managers, entering = twenty_entering(world)

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
