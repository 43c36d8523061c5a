"""One fixture over the stdlib's objects and ours on both drives, so that each behaviour test runs on all of them.

The loading itself is in `implementations.py`, for tests that cannot use a fixture (the fuzzer, subprocesses).
"""

import asyncio
import gc
import os

import implementations
import pytest

# What cannot run beside itself, which `nox -s threads` leaves out: files, tests, scenarios of tests.  What calls
# gc.collect() or changes the filters of warnings the plugin finds without this.
_PROCESSES = "starts processes"
_COLLECTOR = "counts references, or has the collector run"
_CONTEXTLIB = "changes the contextlib of the process"
_LOOPS = "replaces parts of asyncio for all threads"
# In other threads a line that nobody there traces is no longer traced in any.
_MONITORING = "sets what monitors all threads"
_SHARED = "its fixture makes one awaitable for all threads"
_WATCH = "redirects the warnings and the unraisable errors of the process to one record"
ONE_THREAD = {
    "test_asyncio_hook": _COLLECTOR,
    "test_asyncio_hook_replaced": _LOOPS,
    "test_awaitable_context.py::test_monitoring_sees_the_same_events_of_user_code": _MONITORING,
    "test_awaitable_context.py::test_trace_function_sees_the_same_events_of_user_code": _MONITORING,
    "test_awaitable_object.py::test_iterator_of_the_awaitable_is_one_in_every_respect": _SHARED,
    "test_awaitable_object.py::test_suspended_state_shows": _SHARED,
    "test_debugging": _PROCESSES,
    "test_decorator_calls.py::test_function_called_while_another_tool_monitors_still_works": _MONITORING,
    "test_depth": _PROCESSES,
    "test_differences.py::test_result_of_the_awaitable_shows_to_monitoring_as_the_interpreter_pleases": _MONITORING,
    "test_differences_frames.py::test_trace_and_profile_functions_hear_of_no_library_functions": _MONITORING,
    "test_differences_frames.py::test_trace_function_sees_fewer_results_in_the_user": _MONITORING,
    "test_differential": _WATCH,
    "test_fallback": _PROCESSES,
    "test_install": _CONTEXTLIB,
    "test_isolated": _PROCESSES,
    "test_main": _PROCESSES,
    "test_misuse_awaitables.py::test_program_that_is_watched_does_the_same": _MONITORING,
    "test_misuse_objects.py::class_of_an_instance_changed": _COLLECTOR,
    "test_misuse_objects.py::weak_references_and_their_callbacks": _COLLECTOR,
    "test_misuse_results.py::line_of_the_generators_frame_set": _MONITORING,
    "test_rebind": _CONTEXTLIB,
    "test_releases": _COLLECTOR,
    "test_storms": _PROCESSES,
    "test_threads": _PROCESSES,
    "test_type_references": _COLLECTOR,
    "test_uvicorn": _PROCESSES,
    "test_workers": _PROCESSES,
}


@pytest.hookimpl(tryfirst=True)
def pytest_itemcollected(item):
    test, _, parameters = item.name.partition("[")
    names = [f"{item.path.name}::{name}" for name in (test, *parameters.rstrip("]").split("-"))]
    reason = next((ONE_THREAD[name] for name in (item.path.stem, *names) if name in ONE_THREAD), None)
    if reason is not None:
        item.add_marker(pytest.mark.thread_unsafe(reason=reason))


# `nox -s gc`: 1 has the collector run at nearly every allocation while tests run.  Debug builds look at all objects
# each time but those that are frozen: what there is before a test stays so, up to the end.
GC_THRESHOLD = int(os.environ.get("ACONTEXTLIB_GC_THRESHOLD", 0))


def pytest_runtest_setup():
    if GC_THRESHOLD:
        gc.freeze()
        gc.set_threshold(GC_THRESHOLD)


def pytest_sessionfinish():
    if GC_THRESHOLD:
        gc.set_threshold(10_000)
        gc.unfreeze()


@pytest.fixture(params=implementations.NAMES, scope="session")
def lib(request):
    """A namespace with the async half of contextlib: `lib.asynccontextmanager`, ..., and `lib.name`."""
    return implementations.load(request.param)


@pytest.fixture(params=implementations.OURS, scope="session")
def ours(request):
    """Like `lib`, without the stdlib."""
    return implementations.load(request.param)


@pytest.fixture(scope="session")
def stdlib():
    """Like `lib`, the stdlib only."""
    return implementations.load("stdlib")


@pytest.fixture(autouse=True, scope="module")
def _others_frozen():
    """Leave what earlier files have left out of the tests' own collections, which then take no time to speak of."""
    gc.freeze()
    yield
    if not GC_THRESHOLD:
        gc.unfreeze()


@pytest.fixture
def loop():
    """An event loop of asyncio's own class, whatever the policy says."""
    made = asyncio.SelectorEventLoop()
    yield made
    made.run_until_complete(_finish())
    made.close()


async def _finish():
    """Have the generators that were dropped closed, which takes two rounds until there is a task that does it."""
    for _ in range(2):
        await asyncio.sleep(0)
    await asyncio.gather(*asyncio.all_tasks() - {asyncio.current_task()})
