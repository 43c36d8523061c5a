"""Subclasses of the manager's class, as users write them."""

import contextlib
import typing

import pytest
from helpers import by_hand, consume, run


async def generator(value="value"):
    yield value


@by_hand
async def test_subclass_with_a_constructor_of_its_own(lib):
    class Sub(lib._AsyncGeneratorContextManager):
        def __init__(self, func, args, kwds, extra="extra"):
            super().__init__(func, args, kwds)
            self.extra = extra

    cm = Sub(generator, ("sub",), {}, extra=2)
    assert cm.extra == 2
    async with cm as value:
        assert value == "sub"
    assert isinstance(cm, contextlib._AsyncGeneratorContextManager)
    assert cm.extra == 2


@by_hand
async def test_subclass_that_does_not_call_the_constructor_has_nothing(lib):
    class Sub(lib._AsyncGeneratorContextManager):
        def __init__(self):
            pass

    cm = Sub()
    for name in ("gen", "args", "kwds", "func"):
        assert not hasattr(cm, name)
    with pytest.raises(AttributeError, match="'Sub' object has no attribute 'args'"):
        await cm.__aenter__()
    with pytest.raises(AttributeError, match="'Sub' object has no attribute 'gen'"):
        await cm.__aexit__(None, None, None)


@by_hand
async def test_subclass_that_overrides_both_methods_and_calls_super(lib):
    log = []

    class Sub(lib._AsyncGeneratorContextManager):
        async def __aenter__(self):
            value = await super().__aenter__()
            log.append(value)
            return [value]

        async def __aexit__(self, *details):
            result = await super().__aexit__(*details)
            log.append(result)
            return result

    async with Sub(generator, (), {}) as value:
        assert value == ["value"]
    assert log == ["value", False]
    error = ValueError()
    with pytest.raises(ValueError):
        async with Sub(generator, (), {}):
            raise error
    assert log == ["value", False, "value", False]


@by_hand
async def test_subclass_that_changes_the_result_of_leaving(lib):
    class Sub(lib._AsyncGeneratorContextManager):
        async def __aexit__(self, *details):
            await super().__aexit__(*details)
            return True

    async with Sub(generator, (), {}):
        raise ValueError


@by_hand
async def test_subclass_can_be_entered_by_await(lib):
    class Sub(lib._AsyncGeneratorContextManager):
        def __await__(self):
            return self.__aenter__().__await__()

    assert await Sub(generator, (), {}) == "value"


@by_hand
async def test_subclass_can_add_the_sync_protocol(lib):
    class Sub(lib._AsyncGeneratorContextManager, contextlib.AbstractContextManager):
        def __enter__(self):
            return "sync"

        def __exit__(self, *details):
            return None

    with Sub(generator, (), {}) as value:
        assert value == "sync"
    async with Sub(generator, (), {}) as value:
        assert value == "value"


def test_subclass_with_slots_has_them(lib):
    class Sub(lib._AsyncGeneratorContextManager):
        __slots__ = ("extra",)

    cm = Sub(generator, (), {})
    cm.extra = 1
    cm.more = 2
    assert (cm.extra, cm.more) == (1, 2)
    assert "extra" not in vars(cm)
    assert run(consume(cm)) == ("value", True)


def test_subclass_with_generic_parameters(lib):
    item = typing.TypeVar("item")

    class Sub(lib._AsyncGeneratorContextManager, typing.Generic[item]):
        pass

    assert run(consume(Sub[int](generator, ("g",), {}))) == ("g", True)


def test_subclass_attributes_may_be_properties(lib):
    class Sub(lib._AsyncGeneratorContextManager):
        @property
        def gen(self):
            return self._stored

        @gen.setter
        def gen(self, value):
            self._stored = value

    cm = Sub(generator, ("property",), {})
    assert cm._stored is cm.gen
    assert run(consume(cm)) == ("property", True)


def test_subclass_getattr_answers_for_what_is_gone(lib):
    class Sub(lib._AsyncGeneratorContextManager):
        def __getattr__(self, name):
            if name.startswith("__"):
                raise AttributeError(name)
            return f"no {name}"

    cm = Sub(generator, (), {})
    run(cm.__aenter__())
    assert cm.args == "no args"
    assert cm.func == "no func"
    run(cm.__aexit__(None, None, None))


def test_protocol_class_with_the_abstract_base_is_accepted(lib):
    @typing.runtime_checkable
    class Opens(lib.AbstractAsyncContextManager, typing.Protocol):
        async def __aexit__(self, *details): ...

    assert isinstance(lib.asynccontextmanager(generator)(), Opens)


def test_abstract_subclass_must_define_exit(lib):
    class Incomplete(lib.AbstractAsyncContextManager):
        pass

    with pytest.raises(TypeError, match="abstract"):
        Incomplete()
