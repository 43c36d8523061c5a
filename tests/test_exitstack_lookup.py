"""Which objects AsyncExitStack accepts as managers, how it finds their methods, and how it refuses the others."""

from functools import partialmethod

import pytest
from helpers import Pause, catch, catch_run, outcome, run

SYNC_REFUSAL = "object does not support the context manager protocol"
ASYNC_REFUSAL = "object does not support the asynchronous context manager protocol"
NO_DETAILS = (None, None, None)


# Objects that provide the methods in unusual ways


def make_static(log):
    class Static:
        @staticmethod
        async def __aenter__(*args):
            log.append(("aenter", len(args)))

        @staticmethod
        async def __aexit__(*args):
            log.append(("aexit", len(args)))

        @staticmethod
        def __enter__(*args):
            log.append(("enter", len(args)))

        @staticmethod
        def __exit__(*args):
            log.append(("exit", len(args)))

    return Static()


def make_class_methods(log):
    class ByClass:
        @classmethod
        async def __aenter__(cls, *args):
            log.append(("aenter", cls.__name__, len(args)))

        @classmethod
        async def __aexit__(cls, *args):
            log.append(("aexit", cls.__name__, len(args)))

        @classmethod
        def __enter__(cls, *args):
            log.append(("enter", cls.__name__, len(args)))

        @classmethod
        def __exit__(cls, *args):
            log.append(("exit", cls.__name__, len(args)))

    return ByClass()


def make_properties(log):
    class Property:
        def method(self, name):
            async def wait(*args):
                log.append((name, len(args)))

            return (lambda *args: log.append((name, len(args)))) if name in ("enter", "exit") else wait

        __aenter__ = property(lambda self: self.method("aenter"))
        __aexit__ = property(lambda self: self.method("aexit"))
        __enter__ = property(lambda self: self.method("enter"))
        __exit__ = property(lambda self: self.method("exit"))

    return Property()


def make_plain_callables(log):
    class Called:
        def __init__(self, name):
            self.name = name

        def __call__(self, *args):
            log.append((self.name, len(args)))
            return self.wait() if self.name.startswith("a") else None

        async def wait(self):
            log.append("awaited")

    class Plain:
        __aenter__, __aexit__, __enter__, __exit__ = map(Called, ("aenter", "aexit", "enter", "exit"))

    return Plain()


def make_metaclass_attributes(log):
    class Meta(type):
        async def __aenter__(cls):
            log.append("meta aenter")

        async def __aexit__(cls, *details):
            log.append("meta aexit")

        def __enter__(cls):
            log.append("meta enter")

        def __exit__(cls, *details):
            log.append("meta exit")

    class Managed(metaclass=Meta):
        def __call__(self, *details):
            log.append("called")

    return Managed()


def make_metaclass_managers(log):
    return type(make_metaclass_attributes(log))


def make_getattr_metaclass(log):
    class Meta(type):
        def __getattr__(cls, name):
            log.append(f"asked {name}")
            raise AttributeError(name)

    class Managed(metaclass=Meta):
        def __call__(self, *details):
            log.append("called")

    return Managed()


def make_instance_attributes(log):
    class Empty:
        def __call__(self, *details):
            log.append("called")

    made = Empty()
    made.__enter__ = made.__exit__ = made.__aenter__ = made.__aexit__ = lambda *args: log.append("instance attribute")
    return made


def make_getattr(log):
    class Open:
        def __getattr__(self, name):
            log.append(f"asked {name}")
            raise AttributeError(name)

        def __call__(self, *details):
            log.append("called")

    return Open()


def make_half(log):
    class Half:
        async def __aenter__(self):
            log.append("aenter")

        def __enter__(self):
            log.append("enter")

    return Half()


def make_other_half(log):
    class Half:
        async def __aexit__(self, *details):
            log.append("aexit")

        def __exit__(self, *details):
            log.append("exit")

    return Half()


def make_none(log):
    class Blocked:
        __enter__ = __exit__ = __aenter__ = __aexit__ = None

    return Blocked()


def make_raising_descriptor(log):
    class Raising:
        def __init__(self, error):
            self.error = error

        def __get__(self, instance, owner):
            log.append(("got", instance is None))
            raise self.error

    class Managed:
        __enter__ = __aenter__ = Raising(AttributeError("not here"))
        __exit__ = __aexit__ = Raising(ValueError("broken"))

    return Managed()


def make_partial_methods(log):
    class Partial:
        def sync(self, *args):
            log.append(("sync", len(args)))

        async def wait(self, *args):
            log.append(("wait", len(args)))

        __enter__, __exit__ = partialmethod(sync, 1), partialmethod(sync, 2)
        __aenter__, __aexit__ = partialmethod(wait, 1), partialmethod(wait, 2)

    return Partial()


def make_class_valued(log):
    class Result:
        def __init__(self, *args):
            log.append(("made", len(args)))

        def __await__(self):
            log.append("awaited")
            return iter(())

    class Managed:
        __enter__ = __exit__ = __aenter__ = __aexit__ = Result

    return Managed()


MAKERS = [value for name, value in sorted(globals().items()) if name.startswith("make_")]


@pytest.mark.parametrize("way", ["push", "push_async_exit", "enter_context", "enter_async_context"])
@pytest.mark.parametrize("make", MAKERS, ids=lambda make: make.__name__)
def test_object_with_unusual_methods_is_treated_as_on_the_stdlib(lib, stdlib, make, way):
    def scenario(namespace):
        log = []
        stack = namespace.AsyncExitStack()
        made = make(log)

        async def use():
            try:
                result = getattr(stack, way)(made)
                if way == "enter_async_context":
                    result = await result
                log.append(type(result).__name__)
            finally:
                log.append([is_sync for is_sync, _ in stack._exit_callbacks])

        async def finish():
            return await stack.__aexit__(*NO_DETAILS)

        return log, outcome(run, use()), outcome(run, finish())

    assert scenario(lib) == scenario(stdlib)


@pytest.mark.parametrize("value", [5, None, "text", object(), [], type, len], ids=repr)
def test_object_that_is_no_manager_is_refused_by_name(lib, value):
    stack = lib.AsyncExitStack()
    name = f"'{type(value).__module__}.{type(value).__qualname__}'"
    error = catch(stack.enter_context, value)
    assert (type(error), str(error)) == (TypeError, f"{name} {SYNC_REFUSAL}")
    error = catch_run(stack.enter_async_context(value))
    assert (type(error), str(error)) == (TypeError, f"{name} {ASYNC_REFUSAL}")
    assert not stack._exit_callbacks


def test_refusal_of_a_nested_class_has_its_qualified_name(lib):
    class Inner:
        pass

    qualified = f"{__name__}.test_refusal_of_a_nested_class_has_its_qualified_name.<locals>.Inner"
    assert str(catch(lib.AsyncExitStack().enter_context, Inner())) == f"'{qualified}' {SYNC_REFUSAL}"


def test_refusal_has_no_visible_context(lib):
    for error in (
        catch(lib.AsyncExitStack().enter_context, 1),
        catch_run(lib.AsyncExitStack().enter_async_context(1)),
    ):
        assert error.__cause__ is None
        assert error.__context__ is None or error.__suppress_context__


def test_failed_enter_pushes_nothing(lib):
    class Failing:
        async def __aenter__(self):
            raise ValueError("async")

        def __enter__(self):
            raise ValueError("sync")

        async def __aexit__(self, *details):
            raise AssertionError

        def __exit__(self, *details):
            raise AssertionError

    stack = lib.AsyncExitStack()
    assert str(catch(stack.enter_context, Failing())) == "sync"
    assert str(catch_run(stack.enter_async_context(Failing()))) == "async"
    assert not stack._exit_callbacks


def test_exit_method_is_looked_up_before_entering(lib):
    """The exit method counts that the class had when it was entered."""
    log = []

    class Changing:
        async def __aenter__(self):
            type(self).__aexit__ = None

        async def __aexit__(self, *details):
            log.append("original")

    stack = lib.AsyncExitStack()
    run(stack.enter_async_context(Changing()))
    run(stack.aclose())
    assert log == ["original"]


def test_enter_that_pauses_is_pushed_only_when_it_is_done(lib):
    class Slow:
        async def __aenter__(self):
            return await Pause("entering")

        async def __aexit__(self, *details):
            pass

    stack = lib.AsyncExitStack()
    waiting = stack.enter_async_context(Slow())
    assert waiting.send(None) == "entering"
    assert not stack._exit_callbacks
    with pytest.raises(StopIteration) as stop:
        waiting.send("entered")
    assert stop.value.value == "entered"
    assert [is_sync for is_sync, _ in stack._exit_callbacks] == [False]
    run(stack.aclose())
