"""aclosing and nullcontext."""

import contextlib
import copy
import gc
import inspect
import weakref

import pytest
from helpers import Pause, by_hand, catch, catch_run, describe, outcome, play, run

NO_DETAILS = (None, None, None)


class Closable:
    """Something with an aclose() that awaits once and logs."""

    def __init__(self, error=None):
        self.log = []
        self.error = error

    async def aclose(self):
        self.log.append("begin")
        self.log.append(await Pause("closing"))
        if self.error is not None:
            raise self.error
        return "what aclose gives"


# aclosing


@by_hand
async def test_aclosing_gives_the_thing_and_closes_it(lib):
    thing = Closable()
    async with lib.aclosing(thing) as entered:
        assert entered is thing
        assert thing.log == []
    assert thing.log == ["begin", None]


@by_hand
async def test_aclosing_closes_a_generator_left_early(lib):
    log = []

    async def numbers():
        try:
            yield 1
            yield 2
        finally:
            log.append("closed")

    async with lib.aclosing(numbers()) as generator:
        async for number in generator:
            log.append(number)
            break
    assert log == [1, "closed"]


@pytest.mark.parametrize("kind", [ValueError, GeneratorExit, KeyboardInterrupt, StopAsyncIteration])
def test_aclosing_lets_the_bodys_exception_through(lib, kind):
    error, thing = kind("body"), Closable()

    async def use():
        async with lib.aclosing(thing):
            raise error

    raised = catch_run(use())
    assert raised is error or raised.__cause__ is error
    assert thing.log == ["begin", None]


def test_aclosing_whose_close_fails_raises_that_with_the_body_as_context(lib):
    body, closing = ValueError("body"), KeyError("closing")

    async def use():
        async with lib.aclosing(Closable(closing)):
            raise body

    assert catch_run(use()) is closing
    assert closing.__context__ is body


def test_aclosing_results_are_the_thing_and_none(lib):
    thing = Closable()
    closing = lib.aclosing(thing)
    assert run(closing.__aenter__()) is thing
    assert run(closing.__aexit__(*NO_DETAILS)) is None
    assert run(closing.__aexit__(ValueError, ValueError(), None)) is None
    assert thing.log == ["begin", None] * 2


def test_aclosing_does_nothing_before_the_first_resume(lib):
    class Watched:
        def __init__(self):
            self.asked = []

        def __getattr__(self, name):
            self.asked.append(name)
            raise AttributeError(f"no {name}")

    thing = Watched()
    leaving = lib.aclosing(thing).__aexit__(*NO_DETAILS)
    assert thing.asked == []
    assert str(catch_run(leaving)) == "no aclose"
    assert thing.asked == ["aclose"]


def test_aclosing_takes_the_thing_at_the_first_resume(lib):
    """The attribute is read when it is needed, not when the awaitable is made."""
    first, second = Closable(), Closable()
    closing = lib.aclosing(first)
    entering, leaving = closing.__aenter__(), closing.__aexit__(*NO_DETAILS)
    closing.thing = second
    assert run(entering) is second
    run(leaving)
    assert (first.log, second.log) == ([], ["begin", None])


def test_aclosing_has_a_thing_that_can_be_changed_and_deleted(lib):
    closing = lib.aclosing(1)
    assert closing.thing == 1
    closing.thing = 2
    assert run(closing.__aenter__()) == 2
    del closing.thing
    error = catch_run(closing.__aenter__())
    assert (type(error), str(error)) == (AttributeError, "'aclosing' object has no attribute 'thing'")


def test_aclosing_ignores_what_the_exit_is_given(lib):
    """__aexit__(*exc_info): any number of details, none by keyword."""
    for details in ((), (1,), (1, 2, 3, 4)):
        thing = Closable()
        assert run(lib.aclosing(thing).__aexit__(*details)) is None
        assert thing.log == ["begin", None]
    assert type(catch(lib.aclosing(None).__aexit__, typ=1)) is TypeError


@pytest.mark.parametrize("result", [None, 5, "text", object()], ids=repr)
def test_aclosing_whose_close_gives_no_awaitable_raises_as_on_the_stdlib(lib, stdlib, result):
    class Wrong:
        def aclose(self):
            return result

    def scenario(namespace):
        return outcome(run, namespace.aclosing(Wrong()).__aexit__(*NO_DETAILS))

    assert scenario(lib) == scenario(stdlib)


SCRIPTS = {
    "to the end": lambda: [("send", None), ("send", "sent"), ("send", None)],
    "value first": lambda: [("send", 1), ("send", None)],
    "throw first": lambda: [("throw", ValueError("thrown")), ("send", None)],
    "throw": lambda: [("send", None), ("throw", ValueError("thrown")), ("send", None)],
    "stop iteration": lambda: [("send", None), ("throw", StopIteration(1)), ("send", None)],
    "close": lambda: [("send", None), ("close",), ("send", None)],
    "close first": lambda: [("close",), ("send", None)],
    "generator exit": lambda: [("send", None), ("throw", GeneratorExit()), ("send", None)],
}


@pytest.mark.parametrize("script", SCRIPTS)
def test_aclosing_driven_by_hand_is_as_on_the_stdlib(lib, stdlib, script):
    def scenario(namespace):
        thing = Closable()
        leaving = namespace.aclosing(thing).__aexit__(*NO_DETAILS)
        found = play(leaving, *SCRIPTS[script]())
        leaving.close()
        return found, thing.log

    assert scenario(lib) == scenario(stdlib)


# nullcontext


def test_nullcontext_gives_its_value_in_both_protocols(lib):
    value = object()

    async def use():
        async with lib.nullcontext(value) as entered:
            assert entered is value
        async with lib.nullcontext() as entered:
            assert entered is None
        return "end"

    assert run(use()) == "end"
    with lib.nullcontext(value) as entered:
        assert entered is value
    with lib.nullcontext() as entered:
        assert entered is None


def test_nullcontext_is_reusable_and_reentrant(lib):
    manager = lib.nullcontext([])

    async def use():
        async with manager as one, manager as two:
            with manager as three:
                return one is two is three

    assert run(use())
    assert run(use())


@pytest.mark.parametrize("kind", [ValueError, GeneratorExit, StopIteration])
def test_nullcontext_lets_exceptions_through(lib, kind):
    error = kind("body")

    def use():
        with lib.nullcontext():
            raise error

    async def use_async():
        async with lib.nullcontext():
            raise error

    assert catch(use) is error
    raised = catch_run(use_async())
    assert raised is error or raised.__cause__ is error
    assert error.__context__ is None


def test_nullcontext_results(lib):
    manager = lib.nullcontext(1)
    error = ValueError()
    assert manager.__enter__() == 1
    assert manager.__exit__(*NO_DETAILS) is None
    assert manager.__exit__(ValueError, error, None) is None
    assert run(manager.__aenter__()) == 1
    assert run(manager.__aexit__(*NO_DETAILS)) is None
    assert run(manager.__aexit__(ValueError, error, None)) is None


def test_nullcontext_ignores_what_the_exit_is_given(lib):
    manager = lib.nullcontext()
    for details in ((), (1,), (1, 2, 3, 4)):
        assert manager.__exit__(*details) is None
        assert run(manager.__aexit__(*details)) is None
    assert type(catch(manager.__exit__, typ=1)) is TypeError
    assert type(catch(manager.__aexit__, typ=1)) is TypeError


def test_nullcontext_value_is_read_at_the_first_resume(lib):
    manager = lib.nullcontext("before")
    assert manager.enter_result == "before"
    entering = manager.__aenter__()
    manager.enter_result = "after"
    assert run(entering) == "after"
    assert manager.__enter__() == "after"
    del manager.enter_result
    text = "'nullcontext' object has no attribute 'enter_result'"
    for error in (catch(manager.__enter__), catch_run(manager.__aenter__())):
        assert (type(error), str(error)) == (AttributeError, text)


@pytest.mark.parametrize("value", [(1, 2), StopIteration(3), ValueError("value"), ValueError], ids=repr)
def test_nullcontext_delivers_values_that_look_like_exceptions_or_arguments(lib, value):
    assert run(lib.nullcontext(value).__aenter__()) is value

    async def use():
        async with lib.nullcontext(value) as entered:
            return entered is value

    assert run(use())


def test_nullcontext_accepts_its_value_by_keyword(lib):
    assert lib.nullcontext(enter_result=5).enter_result == 5
    for call in (
        lambda: lib.nullcontext(1, 2),
        lambda: lib.nullcontext(other=1),
        lambda: lib.nullcontext(1, enter_result=1),
    ):
        assert type(catch(call)) is TypeError


# Both


MAKERS = {"aclosing": lambda lib: lib.aclosing(Closable()), "nullcontext": lambda lib: lib.nullcontext()}
both = pytest.mark.parametrize("name", MAKERS)


@both
@pytest.mark.parametrize("method", ["__aenter__", "__aexit__"])
@pytest.mark.parametrize("script", SCRIPTS)
def test_awaitable_behaves_as_on_the_stdlib(lib, stdlib, name, method, script):
    def scenario(namespace):
        awaitable = getattr(MAKERS[name](namespace), method)(*(NO_DETAILS if method == "__aexit__" else ()))
        found = play(awaitable, *SCRIPTS[script]())
        awaitable.close()
        return [("returned", type(one[1]).__name__) if one[0] == "returned" else one for one in found]

    assert scenario(lib) == scenario(stdlib)


@both
@pytest.mark.parametrize("method", ["__aenter__", "__aexit__"])
def test_awaitable_is_named_and_warns_when_never_awaited(lib, name, method):
    arguments = NO_DETAILS if method == "__aexit__" else ()
    awaitable = getattr(MAKERS[name](lib), method)(*arguments)
    assert (awaitable.__name__, awaitable.__qualname__) == (method, f"{name}.{method}")
    with pytest.warns(RuntimeWarning, match=rf"^coroutine '{name}\.{method}' was never awaited$"):
        del awaitable


@both
def test_awaiting_twice_raises_runtime_error(lib, name):
    entering = MAKERS[name](lib).__aenter__()
    run(entering)
    assert describe(catch(entering.send, None))[:2] == ("RuntimeError", ("cannot reuse already awaited coroutine",))


@both
def test_exception_being_handled_is_not_disturbed(lib, name):
    error = ValueError()

    async def use():
        try:
            raise error
        except ValueError:
            async with MAKERS[name](lib):
                pass
            raise

    assert catch_run(use()) is error
    assert error.__context__ is None


@both
def test_class_looks_as_on_the_stdlib(lib, stdlib, name):
    mine, theirs = getattr(lib, name), getattr(stdlib, name)
    assert (mine.__name__, mine.__qualname__) == (name, name)
    assert mine.__doc__
    assert str(inspect.signature(mine)) == str(inspect.signature(theirs))
    for method in ("__aenter__", "__aexit__"):
        assert str(inspect.signature(getattr(mine, method))) == str(inspect.signature(getattr(theirs, method)))
    assert {one for one in dir(MAKERS[name](stdlib)) if not one.startswith("_")} <= set(dir(MAKERS[name](lib)))
    assert mine[int].__origin__ is mine
    assert f"{name} object at 0x" in repr(MAKERS[name](lib))


@both
def test_class_belongs_to_the_stdlibs_classes(lib, stdlib, name):
    made = MAKERS[name](lib)
    assert isinstance(made, contextlib.AbstractAsyncContextManager)
    assert isinstance(made, getattr(stdlib, name))
    assert issubclass(getattr(lib, name), getattr(stdlib, name))
    assert isinstance(made, contextlib.AbstractContextManager) is (name == "nullcontext")


@both
def test_instance_takes_attributes_and_weak_references(lib, name):
    made = MAKERS[name](lib)
    made.extra = 1
    assert made.extra == 1
    reference = weakref.ref(made)
    made.itself = made
    del made
    gc.collect()
    assert reference() is None


def test_copies_hold_the_value(lib):
    copied = copy.copy(lib.nullcontext([1]))
    assert copied.enter_result == [1]
    assert copy.deepcopy(lib.aclosing([1])).thing == [1]


@by_hand
async def test_subclasses_with_overridden_methods_work(lib):
    log = []

    class Closing(lib.aclosing):
        def __init__(self, thing):
            super().__init__(thing)
            log.append("made")

        async def __aenter__(self):
            return [await super().__aenter__()]

        async def __aexit__(self, *details):
            await super().__aexit__(*details)
            return True

    class Null(lib.nullcontext):
        kind = "null"

        def __enter__(self):
            return [super().__enter__()]

    thing = Closable()
    async with Closing(thing) as entered:
        assert entered == [thing]
        raise ValueError
    assert (log, thing.log) == (["made"], ["begin", None])
    with Null(1) as value:
        assert value == [1]
    async with Null(2) as value:
        assert value == 2
    assert Null().kind == "null"


@both
def test_second_init_replaces_the_value(lib, name):
    made = MAKERS[name](lib)
    made.__init__(7)
    assert run(made.__aenter__()) == 7


@both
def test_instance_without_init_fails_on_use(lib, name):
    cls = getattr(lib, name)
    made = cls.__new__(cls)
    attribute = "thing" if name == "aclosing" else "enter_result"
    error = catch_run(made.__aenter__())
    assert (type(error), str(error)) == (AttributeError, f"'{name}' object has no attribute '{attribute}'")
