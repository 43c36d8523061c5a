"""Scenarios of nomemory.py: filling and leaving exit stacks."""

import contextlib
from collections import deque

from nomemory_world import SIZE, drive, each, scenario

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


# What is entered, and what the body raises.
ENTERED = {
    "one_that_raises": (("resource", "failing"), None),
    "one_that_suppresses": (("resource", "suppressing", "resource"), ValueError),
    "two_whose_exits_raise": (("resource", "raising", "raising"), ValueError),
    "one_that_does_not_stop": (("resource", "yielding_twice"), None),
}


@each(**ENTERED)("unwind")
def async_with(lib, world, variant):
    kinds, error = variant
    functions = [getattr(world, kind) for kind in kinds]

    async def main():
        async with lib.AsyncExitStack() as stack:
            for k, function in enumerate(functions):
                await stack.enter_async_context(function(k))
            if error is not None:
                raise error("body")
        return "suppressed"

    return main


@scenario("unwind", is_async=False)
def callbacks_that_raise(lib, world):
    stack = world.keep(lib.AsyncExitStack())
    world.acquired[0] = 3

    def fail(one=None, two=None):  # not *args: the interpreter makes no call that it has no tuple for
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
