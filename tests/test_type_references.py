"""Each object holds one reference to its type and gives it back, by way of the freelists, too, and in subclasses."""

import gc
import sys

import pytest
from helpers import FREE_THREADED, VERSION, run

# More than a freelist takes, so that objects come from it, go into it, and are freed besides.
MANY = 200
MOST_KEPT = 16

pytestmark = pytest.mark.filterwarnings("ignore:coroutine .* was never awaited:RuntimeWarning")


@pytest.fixture(autouse=True)
def _mortal_classes():
    """Free-threaded 3.13 makes every class immortal once a second thread has run, in whichever test that was."""
    if FREE_THREADED and sys.getrefcount(type("Fresh", (), {})) > 2**28:
        pytest.skip("a thread has run: classes have no count of references any more")


async def generator(value=None):
    yield value


def types_of_the_module(core):
    """All heap types that the module has made, whether or not they have a name in it."""
    found = {}
    waiting = [core]
    seen = set()
    while waiting:
        each = waiting.pop()
        if id(each) in seen:
            continue
        seen.add(id(each))
        if isinstance(each, type):
            found[each] = True
        for other in gc.get_referents(each):
            if isinstance(other, type) and (other.__module__ == "_acontextlib" or other in vars(core).values()):
                waiting.append(other)
    return set(found)


def makers(lib):
    """{name: (type, function that makes an instance)} for each type of the module that has instances of its own."""
    manager = lib.asynccontextmanager(generator)
    cm, stack = manager(), lib.AsyncExitStack()
    made = {
        "manager": manager,
        "manager by its class": lambda: lib._AsyncGeneratorContextManager(generator, (), {}),
        "stack": lib.AsyncExitStack,
        "popped stack": stack.pop_all,
        "aclosing": lambda: lib.aclosing(None),
        "nullcontext": lib.nullcontext,
        "bound method": lambda: cm.__aenter__,
        "bound method of a stack": lambda: stack.push,
        "awaitable, never awaited": lambda: manager().__aenter__(),
        "awaitable, finished": lambda: finished(lib.nullcontext().__aenter__()),
        "awaitable, suspended": lambda: suspended(lib),
        "iterator of an awaitable": lambda: lib.nullcontext().__aenter__().__await__(),
    }
    return {name: (type(make()), make) for name, make in made.items()}


NAMES = (
    *("manager", "manager by its class", "stack", "popped stack", "aclosing", "nullcontext", "bound method"),
    *("bound method of a stack", "awaitable, never awaited", "awaitable, finished", "awaitable, suspended"),
    "iterator of an awaitable",
)


def finished(awaitable):
    run(awaitable)
    return awaitable


class Pause:
    def __await__(self):
        yield


def suspended(lib):
    stack = lib.AsyncExitStack()

    async def pause():
        await Pause()

    stack.push_async_callback(pause)
    awaitable = stack.__aexit__(None, None, None)  # aclose() would await another
    awaitable.send(None)
    return awaitable


@pytest.fixture(autouse=True)
def no_garbage():
    """Whatever dies in these tests has to die by its reference count."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def check_references(cls, make):
    """Live objects hold one reference each, those that died give it back; the freelist may hold some meanwhile."""
    for _ in range(2):  # to fill the freelist
        made = [make() for _ in range(MANY)]
        del made
    before = sys.getrefcount(cls)
    for _ in range(3):
        made = [make() for _ in range(MANY)]
        held = sys.getrefcount(cls) - before
        del made
        assert MANY - MOST_KEPT <= held <= MANY
        assert sys.getrefcount(cls) == before


@pytest.mark.parametrize("name", NAMES)
def test_objects_give_their_references_back(ours, name):
    cls, make = makers(ours)[name]
    check_references(cls, make)


def test_every_type_of_the_module_is_checked(ours):
    """But for those whose instances are made with the module and never again: methods, and the functions' globals."""
    assert set(makers(ours)) == set(NAMES)
    checked = {cls for cls, _ in makers(ours).values()}
    bases = {base for cls in checked for base in cls.__mro__}
    unchecked = {cls.__name__ for cls in types_of_the_module(ours.core) - bases}
    assert unchecked <= {"method", "globals"}
    assert len(checked) >= 7


CLASSES = ("_AsyncGeneratorContextManager", "AsyncExitStack", "aclosing", "nullcontext")


def arguments(name):
    return {"_AsyncGeneratorContextManager": (generator, (), {}), "aclosing": (None,)}.get(name, ())


@pytest.mark.parametrize("slots", [False, True], ids=["dict", "slots"])
@pytest.mark.parametrize("name", CLASSES)
def test_objects_of_subclasses_give_their_references_back(lib, name, slots):
    class Subclass(getattr(lib, name)):
        if slots:
            __slots__ = ("other",)

    class Further(Subclass):
        def __del__(self):
            pass

    def make_and_drop():
        for cls in (Subclass, Further):
            before = sys.getrefcount(cls)
            for _ in range(3):
                made = [cls(*arguments(name)) for _ in range(MANY)]
                assert sys.getrefcount(cls) - before == MANY
                del made
                assert sys.getrefcount(cls) == before

    make_and_drop()
    base = getattr(lib, name)
    before = sys.getrefcount(base)
    make_and_drop()
    assert sys.getrefcount(base) == before


@pytest.mark.skipif(
    FREE_THREADED and VERSION == (3, 13), reason="there classes are immortal once a thread has been started"
)
@pytest.mark.parametrize("name", CLASSES)
def test_subclasses_give_their_references_back(lib, name):
    base = getattr(lib, name)

    def make_and_use():
        class Subclass(base):
            pass

        instance = Subclass(*arguments(name))
        instance.itself = instance

    def references_after(times):
        for _ in range(times):
            make_and_use()
        gc.collect()
        return sys.getrefcount(base)

    before = references_after(3)
    assert references_after(20) == before
