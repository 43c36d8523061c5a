/* What the interpreter does for `await expression` inside a coroutine, for C code: get the iterator of an
   awaitable, then send to it, throw into it and close it until it has a result. */
#ifndef ACTX_AWAIT_H
#define ACTX_AWAIT_H

#include "compat.h"

struct ModuleState;

/* How one resume of something awaited ended. */
typedef enum {
    AWAIT_ERROR = -1,  // an exception is set
    AWAIT_RETURN,      // finished; the value is its result
    AWAIT_NEXT,        // suspended; the value is for whoever drives the outermost awaitable
    AWAIT_STOPPED,     // from generator.h: the async generator came to its end; no value, no exception
} AwaitOutcome;

/* The iterator that `await awaitable` would drive, or NULL with the interpreter's own error. */
PyObject *actx_await_iter(struct ModuleState *state, PyObject *awaitable);

/* Resume `iterator`.  *value gets a strong reference on AWAIT_RETURN and AWAIT_NEXT. */
AwaitOutcome actx_await_send(PyObject *iterator, PyObject *arg, PyObject **value);

/* Throw into `iterator` what throw(*args) was called with, as a coroutine does that awaits it.  GeneratorExit is no
   business of this function: whoever awaits closes the iterator first, then raises it itself.  AWAIT_STOPPED, with an
   exception set: that is no exception, and the iterator has no throw() to tell so; nothing was thrown. */
AwaitOutcome actx_await_throw(struct ModuleState *state, PyObject *iterator, PyObject *const *args, Py_ssize_t nargs,
                              PyObject **value);

/* What the exception that is set, which was thrown in and found nobody to take it, amounts to where the await stands:
   AWAIT_ERROR; or AWAIT_RETURN, for from 3.12 on an await takes a StopIteration raised there for the result. */
AwaitOutcome actx_await_caught(PyObject **value);

/* Close `iterator`: 0, or -1 with what its close() raised. */
int actx_await_close(struct ModuleState *state, PyObject *iterator);

/* Set the exception that throw(*args) asks for: 0, or -1 with the error where it asks for none. */
int actx_await_raise(PyObject *const *args, Py_ssize_t nargs);

#endif
