/* The raised exception and the handled one: the small operations the steps share. */
#ifndef ACTX_ERRORS_H
#define ACTX_ERRORS_H

#include "compat.h"

/* An entry of the thread's stack of handled exceptions, as a coroutine's frame has one: while it is pushed,
   sys.exc_info() shows `exc` and whatever is raised gets it as its __context__. */
typedef struct {
    _PyErr_StackItem item;
} HandledScope;

static inline void
actx_handled_push(HandledScope *scope, PyObject *exc /* borrowed; must outlive the scope */)
{
    PyThreadState *tstate = PyThreadState_Get();
    scope->item.exc_value = Py_NewRef(exc);
    scope->item.previous_item = tstate->exc_info;
    tstate->exc_info = &scope->item;
}

static inline void
actx_handled_pop(HandledScope *scope)
{
    PyThreadState *tstate = PyThreadState_Get();
    assert(tstate->exc_info == &scope->item);
    tstate->exc_info = scope->item.previous_item;
    Py_CLEAR(scope->item.exc_value);
}

/* Raise StopIteration with exactly this value (borrowed), tuples and exceptions included. */
void actx_error_set_stop_iteration(PyObject *value);

/* Instances of StopIteration that are ready for use: strong or NULL. */
typedef struct {
    PyObject *with_false;  // raised again and again
    PyObject *spare;       // for a result that could not be told otherwise
} KeptStops;

/* Make the spare one: 0, or -1 with MemoryError. */
int actx_error_init_stops(KeptStops *stops);

/* The same for an `await` that takes the value out at once: the exception's args stay empty, and the one with False is
   kept to be raised again.  The result of an operation that is done should not be lost for want of memory. */
void actx_error_set_await_result(KeptStops *stops, PyObject *value);

/* Give the raised exception the context that it gets where it enters a frame that handles `handled` (borrowed, or
   NULL). */
void actx_error_chain(PyObject *handled);

/* What a coroutine does to a StopIteration that leaves it: raise RuntimeError from it. */
void actx_error_wrap_stop_iteration(void);

/* Raise type(text) while `handled` (borrowed) is being handled: it becomes the __context__. */
void actx_error_set_while_handling(PyObject *handled, PyObject *type, const char *text);

/* The same, shown without its context, as by `raise ... from None`. */
void actx_error_set_from_none(PyObject *handled, PyObject *type, const char *text);

/* Raise what `del object.name` raises where there is no such attribute. */
void actx_error_set_missing_attribute(PyObject *object, PyObject *name);
void actx_error_set_missing_attribute_string(PyObject *object, const char *name);

#endif
