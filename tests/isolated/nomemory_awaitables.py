"""Scenarios of nomemory.py: awaitables that are suspended, the decorator form, objects and their attributes."""

import copy
import sys
import weakref

from nomemory_world import drive, each, scenario

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
def resumed_as_an_iterator(lib, world):
    """As `await` of 3.12 to 3.14 does it; a coroutine cannot be, elsewhere."""
    manager = world.resource(0)
    resume = drive if lib.name == "stdlib" else next

    def result(awaitable):
        try:
            return resume(awaitable)
        except StopIteration as stop:
            return stop.value

    def play():
        value = result(manager.__aenter__())
        return value, result(manager.__aexit__(None, None, None))

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
