"""Scenarios of nomemory.py: aclosing, nullcontext, the module; and defects, which must be found."""

import contextlib
import copy
import importlib.util
import os
import sys

from nomemory_world import each, scenario

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


# Where 3.11 cannot make the cell of a variable it leaks the function's arguments, and each class that stays makes the
# next import longer.
@scenario("module", is_async=False, is_apart=sys.version_info < (3, 12))
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
