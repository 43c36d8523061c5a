"""The extension module as such: all of its state is its own, and goes with it."""

import gc
import sys
import textwrap
import weakref

import processes
import pytest
from helpers import FREE_THREADED, VERSION
from implementations import copy_of_core

core = pytest.importorskip("_acontextlib._core")


def use(module):
    """Enter and leave a manager, also by an error, so that kept objects are made."""

    @module.asynccontextmanager
    async def manager(value):
        yield value

    async def main():
        async with manager(1) as value:
            assert value == 1
        with pytest.raises(ZeroDivisionError):
            async with manager(2):
                raise ZeroDivisionError

    with pytest.raises(StopIteration):
        main().send(None)


def test_copy_of_the_module_has_types_of_its_own():
    other = copy_of_core()
    assert other is not core
    assert other._AsyncGeneratorContextManager is not core._AsyncGeneratorContextManager
    use(other)
    use(core)


@pytest.mark.skipif(
    FREE_THREADED and VERSION == (3, 13), reason="there modules and classes are immortal once a thread has been started"
)
def test_copy_of_the_module_goes_away():
    """Nothing that the module makes may keep it: not its types, not the objects it keeps for use again."""
    other = copy_of_core()
    use(other)
    gone = weakref.ref(other), weakref.ref(other._AsyncGeneratorContextManager)
    del other
    for _ in range(3):
        gc.collect()
    assert [reference() for reference in gone] == [None, None]


def test_function_outlives_the_name_of_its_module():
    other = copy_of_core()

    @other.asynccontextmanager
    async def manager():
        yield 1

    del other
    gc.collect()

    async def main():
        async with manager() as value:
            return value

    with pytest.raises(StopIteration) as stop:
        main().send(None)
    assert stop.value.value == 1


@pytest.mark.parametrize("own_gil", [False, True])
def test_subinterpreters_import_it(own_gil, tmp_path):
    if sys.version_info < (3, 13):
        pytest.skip("the stdlib's own way to make subinterpreters differs before 3.13")
    script = """
        import sys
        import _interpreters

        program = '''
        import _acontextlib

        @_acontextlib.asynccontextmanager
        async def manager():
            yield 1

        async def main():
            async with manager() as value:
                return value

        try:
            main().send(None)
        except StopIteration as stop:
            assert stop.value == 1
        '''
        for _ in range(3):
            interpreter = _interpreters.create(sys.argv[1])
            failure = _interpreters.run_string(interpreter, "import textwrap; exec(textwrap.dedent(%r))" % program)
            assert failure is None, failure
            _interpreters.destroy(interpreter)
        print("done")
    """
    done = processes.python("-c", textwrap.dedent(script), "isolated" if own_gil else "legacy", cwd=tmp_path)
    assert (done.status, done.stdout) == (0, "done\n"), done.stderr
