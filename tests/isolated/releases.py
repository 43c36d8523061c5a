"""Run arbitrary code wherever the C code releases a reference, and have it come back to the object at hand.

    python -X dev tests/isolated/releases.py [IMPLEMENTATION [PLACE...]]

Each place puts a `Bomb` where the named function of the C code will let go of it, and says what the object at hand is.
The bomb goes off when its last reference dies: it drives, re-initialises, empties or copies whatever the place has
made known to it, collects garbage, and raises. Afterwards the object must be whole: a use of freed memory stops the
process, for memory is filled when it is freed (`-X dev`), and each bomb must have gone off exactly once. Prints a line
for each place: "PLACE: ok".
"""

import copy
import gc
import sys
import warnings
import weakref
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import implementations
from helpers import run

PLACES = {}


def place(function):
    PLACES[function.__name__] = function
    return function


def quietly(function, *args):
    try:
        return function(*args)
    except BaseException as exc:
        return exc


class Range:
    """The objects at hand, and how often a bomb went off."""

    def __init__(self, lib):
        self.lib, self.known, self.bombs, self.exploded = lib, [], 0, 0

    def bomb(self, base=object, *args):
        self.bombs += 1
        return type("Bomb", (base,), {"__del__": lambda bomb: self.explode()})(*args)

    def weak_bomb(self):
        """An object whose death is told to a weak reference."""
        self.bombs += 1
        target = type("Target", (), {})()
        self.known.append(weakref.ref(target, lambda reference: self.explode()))
        return target

    def explode(self):
        self.exploded += 1
        for thing in list(self.known):
            self.visit(thing)
        gc.collect()
        raise ValueError("bomb")

    def visit(self, thing):
        lib = self.lib
        if hasattr(thing, "send"):
            quietly(thing.send, None)
            quietly(thing.throw, KeyError("bomb"))
            quietly(thing.close)
            quietly(getattr, thing, "cr_await")
        elif isinstance(thing, lib.AsyncExitStack):
            quietly(thing.callback, self.nothing, 1, key=2)
            quietly(len, thing._exit_callbacks)
            quietly(thing.pop_all)
            quietly(run, thing.aclose())
            quietly(thing.__init__)
            quietly(thing.push, self.nothing)
        elif isinstance(thing, lib._AsyncGeneratorContextManager):
            quietly(lambda: (thing.args, thing.kwds, thing.func, thing.gen))
            quietly(thing._recreate_cm)
            quietly(copy.copy, thing)
            quietly(run, thing.__aenter__())
            quietly(thing.__init__, function, (1, 2), {"key": 3})
            quietly(run, thing.__aexit__(None, None, None))
            quietly(thing.__init__, function, (4,), {})
        elif isinstance(thing, (lib.aclosing, lib.nullcontext)):
            for name in ("thing", "enter_result"):
                quietly(setattr, thing, name, object())
                quietly(delattr, thing, name)
            quietly(run, thing.__aexit__(None, None, None))

    def nothing(self, *args, **kwds):
        pass


async def function(*args, **kwds):
    yield args


def manager(at, *args, **kwds):
    made = at.lib.asynccontextmanager(function)(*args, **kwds)
    at.known.append(made)
    return made


def entered(at, *args):
    made = manager(at, *args)
    run(made.__aenter__())
    return made


# -- contextmanager.c, manager_attributes.c --


@place
def manager_detach_call_of_entering(at):
    run(manager(at, at.bomb(), at.weak_bomb(), key=at.bomb()).__aenter__())


@place
def manager_detach_call_of_many_values(at):
    run(manager(at, *(at.bomb() for _ in range(6))).__aenter__())


@place
def manager_delete_public(at):
    cm = manager(at)
    cm.args, cm.kwds, cm.func = at.bomb(), at.bomb(), at.bomb()
    run(cm.__aenter__())


@place
def manager_set_call(at):
    cm = manager(at, at.bomb())
    cm.gen, cm.__doc__ = at.bomb(), at.bomb()
    cm.__init__(function, (at.bomb(),), {"key": at.bomb()})
    quietly(cm.__init__, function, (), {})


@place
def manager_set_call_again_while_documented(at):
    class Documented:
        def __call__(self, *args):
            return function(*args)

        @property
        def __doc__(self):
            for thing in at.known:
                thing.__init__(function, (at.bomb(),), {})
            return at.bomb(str, "doc")

    cm = manager(at)
    cm.__doc__ = at.bomb()
    cm.__init__(Documented(), (), {})


@place
def manager_set(at):
    cm = manager(at)
    for name in ("gen", "func", "args", "kwds", "__doc__"):
        setattr(cm, name, at.bomb())
        setattr(cm, name, at.bomb())
        quietly(delattr, cm, name)


@place
def manager_tp_clear(at):
    cm = manager(at, at.bomb(), key=at.bomb())
    cm.itself, cm.__doc__, cm.attribute = cm, at.bomb(), at.bomb()
    at.known.clear()


@place
def manager_publish_args(at):
    class Name(str):
        __slots__ = ()
        __hash__ = str.__hash__

        def __eq__(self, other):
            for thing in at.known:
                at.visit(thing)
            return str.__eq__(self, other)

    names = {Name("first"): at.bomb(), Name("second"): 1, "third": at.bomb()}
    cm = manager(at, at.bomb(), **names)
    names.clear()
    cm.kwds.get(Name("first"))
    cm.kwds.get("second")


# -- awaitable.c --


@place
def awaitable_finish(at):
    cm = entered(at)
    leaving = cm.__aexit__(ValueError, at.bomb(ValueError, "error"), None)
    at.known.append(leaving)
    del cm
    quietly(run, leaving)


@place
def awaitable_finish_of_the_last_reference_to_the_owner(at):
    cm = entered(at)
    cm.attribute = at.bomb()
    leaving = cm.__aexit__(None, None, None)
    at.known[:] = [leaving]
    del cm
    run(leaving)


@place
def awaitable_clear_of_what_was_not_begun(at):
    cm = entered(at)
    leaving = cm.__aexit__(ValueError, at.bomb(ValueError, "error"), at.bomb())
    at.known.append(leaving)
    leaving.close()
    leaving = cm.__aexit__(ValueError, at.bomb(ValueError, "error"), at.bomb())
    del leaving


class Waits:
    def __init__(self, bomb, result=None):
        self.bomb, self.result = bomb, result

    def __await__(self):
        yield
        return self.result


def suspended(at, *callbacks):
    stack = at.lib.AsyncExitStack()
    for callback in callbacks:
        stack.push_async_callback(callback)
    leaving = stack.aclose()
    leaving.send(None)
    at.known += [stack, leaving]
    return leaving


@place
def awaitable_step_of_the_target(at):
    run(suspended(at, lambda: Waits(at.bomb(), at.bomb())))


@place
def awaitable_close_of_the_target(at):
    quietly(suspended(at, lambda: Waits(at.bomb())).close)
    quietly(suspended(at, lambda: Waits(at.bomb())).throw, GeneratorExit)


@place
def awaitable_throw_of_the_target(at):
    quietly(suspended(at, lambda: Waits(at.bomb())).throw, at.bomb(KeyError))


@place
def awaitable_tp_clear(at):
    leaving = suspended(at, lambda: Waits(at.bomb()))
    box = [leaving, at.bomb()]
    box.append(box)
    leaving.__name__ = type("Name", (str,), {})("name")
    leaving.__name__.box = box
    at.known.clear()


@place
def awaitable_set_name(at):
    leaving = suspended(at, lambda: Waits(None))
    for _ in range(2):
        leaving.__name__ = at.bomb(str, "name")
        leaving.__qualname__ = at.bomb(str, "qualname")
    leaving.__name__ = leaving.__qualname__ = "name"
    leaving.close()


@place
def awaitable_throw_of_a_class_that_drives(at):
    for make in (
        lambda: entered(at).__aexit__(None, None, None),
        lambda: manager(at).__aenter__(),
        lambda: at.lib.AsyncExitStack().__aenter__(),
        lambda: at.lib.AsyncExitStack().enter_async_context(manager(at)),
        lambda: at.lib.nullcontext().__aenter__(),
    ):
        awaitable = make()

        class Drives(Exception):
            def __init__(self, *args, awaitable=awaitable):
                quietly(awaitable.send, None)

        quietly(awaitable.throw, Drives)
        assert isinstance(quietly(awaitable.send, None), RuntimeError)


@place
def awaitable_dropped_by_what_it_awaits(at):
    stack = at.lib.AsyncExitStack()
    held = []
    stack.push_async_callback(lambda: (held.clear(), Waits(at.bomb()))[1])
    held.append(stack.aclose())
    del stack
    quietly(held[0].send, None)


# -- enter_exit.c --


@place
def manager_end_next_of_a_yield_too_many(at):
    async def twice():
        yield at.bomb()
        yield at.bomb()

    cm = at.lib.asynccontextmanager(twice)()
    at.known.append(cm)
    run(cm.__aenter__())
    quietly(run, cm.__aexit__(None, None, None))


@place
def manager_exit_begin_of_a_class(at):
    cm = entered(at)
    assert isinstance(quietly(run, cm.__aexit__(at.bomb, None, None)), TypeError)


@place
def manager_handle_thrown(at):
    async def replaces():
        try:
            yield
        except ValueError:
            raise at.bomb(RuntimeError) from None

    cm = at.lib.asynccontextmanager(replaces)()
    at.known.append(cm)
    run(cm.__aenter__())
    quietly(run, cm.__aexit__(ValueError, at.bomb(ValueError), None))


# -- stack.c, callbacks.c --


def full_stack(at, cls=None):
    stack = (cls or at.lib.AsyncExitStack)()
    for _ in range(4):
        stack.push(at.bomb())
        stack.callback(at.nothing, at.bomb(), key=at.bomb())
    at.known.append(stack)
    return stack


@place
def stack_reset(at):
    full_stack(at).__init__()


@place
def stack_set_callbacks(at):
    full_stack(at)._exit_callbacks = [at.bomb()]
    full_stack(at)._exit_callbacks = []
    del full_stack(at)._exit_callbacks


@place
def stack_publish(at):
    stack = full_stack(at)
    len(stack._exit_callbacks)
    stack.__init__()


@place
def stack_tp_clear(at):
    stack = full_stack(at)
    stack.push(stack)
    stack.attribute = stack
    at.known.clear()


@place
def stack_move(at):
    class Fills(at.lib.AsyncExitStack):
        def __init__(self):
            super().__init__()
            self.push(at.bomb())
            self.callback(at.nothing, at.bomb())
            at.known.append(self)

    full_stack(at, Fills).pop_all()


@place
def stack_move_to_itself(at):
    class Single(at.lib.AsyncExitStack):
        made = None

        def __new__(cls):
            cls.made = cls.made or super().__new__(cls)
            return cls.made

        def __init__(self):
            if not at.known:
                super().__init__()

    stack = full_stack(at, Single)
    assert stack.pop_all() is stack
    Single.made = None


@place
def instance_overrides(at):
    stack = at.lib.AsyncExitStack()

    class Key(str):
        __slots__ = ()
        __hash__ = str.__hash__

        def __eq__(self, other):
            if type(other) is str:
                stack.__dict__ = {name: value for name, value in vars(stack).items() if type(name) is str}
            return False

    for name in ("_push_exit_callback", "__aexit__", "_create_cb_wrapper"):
        stack.__dict__ = {**vars(stack), Key(name): at.bomb(), Key("other"): 1}
        stack.callback(at.nothing)
    run(stack.aclose())


# -- unwind.c --


@place
def unwind_call(at):
    stack = full_stack(at)
    quietly(run, stack.aclose())


@place
def unwind_call_of_the_only_references(at):
    stack = at.lib.AsyncExitStack()
    at.known.append(stack)
    for _ in range(3):
        stack.push_async_callback(at.lib.nullcontext(at.bomb()).__aenter__)
        stack.callback(type("Call", (), {"__call__": lambda self: None, "bomb": at.bomb()})())
    quietly(run, stack.aclose())


@place
def unwind_clear_exception(at):
    stack = at.lib.AsyncExitStack()
    at.known.append(stack)
    for _ in range(2):
        stack.push(lambda *details: True)
        stack.callback(lambda: 1 / 0)
    error = at.bomb(ValueError)
    leaving = stack.__aexit__(ValueError, error, None)
    at.known.append(leaving)
    del error
    quietly(run, leaving)


@place
def unwind_raised(at):
    stack = at.lib.AsyncExitStack()
    at.known.append(stack)

    def raises():
        raise at.bomb(KeyError) from at.bomb(ValueError)

    for _ in range(3):
        stack.callback(raises)
        stack.push(lambda *details: True)
    quietly(run, stack.aclose())


@place
def unwind_returned(at):
    stack = at.lib.AsyncExitStack()
    at.known.append(stack)

    class Truth:
        def __bool__(self):
            self.bomb = at.bomb()
            return True

    stack.push(lambda *details: Truth())
    stack.push_async_exit(lambda *details: Waits(at.bomb(), Truth()))
    stack.callback(lambda: at.bomb())
    quietly(run, stack.__aexit__(ValueError, at.bomb(ValueError), None))


@place
def unwind_end_manager(at):
    stack = at.lib.AsyncExitStack()
    cm = manager(at, at.bomb())
    cm.attribute = at.bomb()
    run(stack.enter_async_context(cm))
    at.known[:] = [stack]
    del cm
    quietly(run, stack.aclose())


# -- simple.c --


@place
def simple_init(at):
    for make in (at.lib.aclosing, at.lib.nullcontext):
        simple = make(at.bomb())
        at.known.append(simple)
        simple.__init__(at.bomb())
        simple.__init__(at.bomb())
        name = "thing" if make is at.lib.aclosing else "enter_result"
        setattr(simple, name, at.bomb())
        quietly(delattr, simple, name)


@place
def simple_tp_clear(at):
    for make in (at.lib.aclosing, at.lib.nullcontext):
        simple = make(at.bomb())
        simple.itself, simple.attribute = simple, at.bomb()


# -- decorator.c, method.c --


@place
def decorate(at):
    async def local():
        yield

    local.__dict__.update(bomb=at.bomb(), itself=local)
    local.__doc__ = at.bomb(str, "doc")
    wrapper = at.lib.asynccontextmanager(local)
    wrapper.itself = wrapper
    wrapper.__doc__ = wrapper.__name__ = "wrapper"


@place
def bound_tp_dealloc(at):
    cm = manager(at, at.bomb())
    cm.attribute = at.bomb()
    bound = cm.__aenter__
    reference = weakref.ref(bound, lambda reference: at.visit(cm))
    at.known.clear()
    del bound
    assert reference() is None


@place
def del_given_to_a_class(at):
    """Each class may be given a __del__(), which is called once, and may bring the instance back to life."""
    for cls, make in (
        (at.lib._AsyncGeneratorContextManager, lambda: at.lib.asynccontextmanager(function)()),
        (at.lib.AsyncExitStack, at.lib.AsyncExitStack),
        (at.lib.aclosing, lambda: at.lib.aclosing(None)),
        (at.lib.nullcontext, at.lib.nullcontext),
    ):
        kept = []
        cls.__del__ = lambda thing, kept=kept: kept.append(thing)
        try:
            for cycle in (False, True):
                thing = make()
                thing.cycle = thing if cycle else None
                del thing
                gc.collect()
                assert len(kept) == 1 and type(kept[0]) is cls, (cls, cycle, kept)
                kept[0].cycle = None
                kept.clear()
                assert not kept
        finally:
            del cls.__del__
        make()


def main(name="c-direct", *places):
    warnings.simplefilter("ignore")
    sys.unraisablehook = lambda unraisable: None
    lib = implementations.load(name)
    for chosen in places or PLACES:
        at = Range(lib)
        PLACES[chosen](at)
        at.known.clear()
        gc.collect()
        print(f"{chosen}: {'ok' if at.bombs == at.exploded else f'{at.exploded} of {at.bombs} went off'}", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
