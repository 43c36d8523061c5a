"""The interpreter's own hunter for leaked references, on its own tests of contextlib's async half, with our names.

    python cpython_leaks.py [RUNS]

What `python -m test -R 3:RUNS test_contextlib_async` does, in a process in which contextlib has our names before
anything else imports them.  Needs a debug build of the interpreter.
"""

import sys

import _acontextlib

# Looks at frames of contextlib.py, where we have none; as in test_cpython.py.
LEFT_OUT = "test_exit_exception_traceback"


def main(runs):
    _acontextlib.install()
    from test import test_contextlib_async
    from test.libregrtest.main import main

    assert test_contextlib_async.asynccontextmanager is _acontextlib.asynccontextmanager
    assert issubclass(test_contextlib_async.TestAsyncExitStack.exit_stack, _acontextlib.AsyncExitStack)
    print(f"drive: {_acontextlib.drive}", flush=True)
    sys.argv[1:] = ["-R", f"3:{runs}", "-i", LEFT_OUT, "test_contextlib_async"]
    main()


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 3)
