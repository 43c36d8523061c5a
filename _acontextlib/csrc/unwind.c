/* Leaving an AsyncExitStack: the awaitables of __aexit__() and aclose().

   A loop over the entries that stops where one has to be awaited and is continued by the engine: no entry is called
   from within the call of another.  Mirrors AsyncExitStack.__aexit__ of contextlib, with its locals in the awaitable:
   the exception (`exc`, or `exc_details`) in REF_VALUE, REF_TYPE and REF_TRACEBACK, NULL for None; `frame_exc` in
   REF_FRAME; `received_exc`, `suppressed_exc` and `pending_raise` in UNWIND_RECEIVED, UNWIND_SUPPRESSED and
   UNWIND_PENDING.

   From 3.13 on contextlib keeps the exception only, and takes its type and traceback anew for each callback. */
#include "contextmanager.h"
#include "errors.h"
#include "notes.h"
#include "exitstack.h"
#include "target.h"

enum {
    REF_TYPE = MANAGER_REF_TYPE,
    REF_VALUE = MANAGER_REF_VALUE,
    REF_TRACEBACK = MANAGER_REF_TRACEBACK,
    REF_FRAME,
    REF_MANAGER,  // a manager of ours that is being left by the stack's own awaitable
};

enum {
    UNWIND_RECEIVED = 1,
    UNWIND_SUPPRESSED = 2,
    UNWIND_PENDING = 4,
    UNWIND_CALLBACK = 8,  // what is awaited is a callback, whose result does not count
    UNWIND_MANAGER = 16,  // what is awaited is the exit of REF_MANAGER
};

/* -- the exception -- */

/* Its type and its traceback, as it has them now. */
static void
unwind_set_details(AwaitableObject *self)
{
    PyObject *exc = self->refs[REF_VALUE];
    PyObject *traceback = PyException_GetTraceback(exc);
    Py_XSETREF(self->refs[REF_TYPE], Py_NewRef(Py_TYPE(exc)));
    Py_XSETREF(self->refs[REF_TRACEBACK], traceback != NULL ? traceback : Py_NewRef(Py_None));
}

/* Make it the current one: `exc = new_exc`. */
static void
unwind_set_exception_take(AwaitableObject *self, PyObject *exc)
{
    self->has_refs = true;
    Py_XSETREF(self->refs[REF_VALUE], exc);
    if (!ACTX_REFRESHES_TRACEBACK) {
        unwind_set_details(self);
    }
}

static void
unwind_clear_exception(AwaitableObject *self)
{
    Py_CLEAR(self->refs[REF_TYPE]);
    Py_CLEAR(self->refs[REF_TRACEBACK]);
    Py_CLEAR(self->refs[REF_VALUE]);
}

/* contextlib: _fix_exception_context.  Have the chain of contexts of what an entry raised end in the exception that
   the entry was given, where it would end in the one that is handled outside.  A chain that comes back to itself is
   left alone, by Brent's method: the mark moves ahead at each power of two. */
static void
fix_exception_context(PyObject *raised, PyObject *given, PyObject *frame)
{
    PyObject *mark = raised;
    size_t steps = 0, limit = 2;
    if (frame == NULL) {  // no chain can end in it
        return;
    }
    for (;;) {
        PyObject *context = PyException_GetContext(raised);
        if (context == NULL || context == given) {
            Py_XDECREF(context);
            return;
        }
        Py_DECREF(context);  // its exception has it
        if (context == frame) {
            PyException_SetContext(raised, Py_XNewRef(given));
            return;
        }
        raised = context;
        if (raised == mark) {
            return;
        }
        if (++steps == limit) {
            mark = raised;
            limit *= 2;
        }
    }
}

/* -- the loop -- */

/* `exc_details` for the next entry. */
static ExitDetails
unwind_details(AwaitableObject *self)
{
    if (self->refs[REF_VALUE] == NULL) {
        return (ExitDetails){{Py_None, Py_None, Py_None}};
    }
    if (ACTX_REFRESHES_TRACEBACK) {
        unwind_set_details(self);
    }
    return (ExitDetails){{self->refs[REF_TYPE], self->refs[REF_VALUE], self->refs[REF_TRACEBACK]}};
}

/* contextlib awaits callbacks in a coroutine of their own, which no StopIteration leaves. */
static void
unwind_wrap_stop_iteration(AwaitableObject *self)
{
    if ((self->flags & UNWIND_CALLBACK) != 0 && PyErr_ExceptionMatches(PyExc_StopIteration)) {
        actx_error_wrap_stop_iteration();
    }
}

/* A manager is left, or its exit raised. */
static AwaitOutcome
unwind_end_manager(AwaitableObject *self, AwaitOutcome outcome)
{
    if (outcome == AWAIT_NEXT) {
        return outcome;
    }
    self->flags &= ~UNWIND_MANAGER;
    if (outcome == AWAIT_ERROR) {
        Py_CLEAR(self->handled);
        if (PyErr_ExceptionMatches(PyExc_StopIteration)) {
            actx_error_wrap_stop_iteration();
        }
    }
    Py_CLEAR(self->refs[REF_MANAGER]);
    return outcome;
}

/* Leave a manager of ours without an awaitable of its own. */
static AwaitOutcome
unwind_leave_manager_take(AwaitableObject *self, ExitEntry *entry, PyObject **value)
{
    ManagerObject *manager = (ManagerObject *)entry->argument;
    unwind_details(self);
    self->has_refs = true;
    self->refs[REF_MANAGER] = entry->argument;
    self->flags = (uint8_t)((self->flags | UNWIND_MANAGER) & ~UNWIND_CALLBACK);
    Py_DECREF(entry->callable);
    return unwind_end_manager(self, actx_manager_exit_begin(self, manager, value));
}

/* Call an entry, which is taken, and begin to await what it returns if that is to be awaited. */
static AwaitOutcome
unwind_call_take(AwaitableObject *self, ExitEntry *entry, PyObject **value)
{
    AwaitOutcome outcome = AWAIT_ERROR;
    if (entry->callable == self->state->manager_aexit && entry->kind == ENTRY_METHOD && self->state->drive.direct &&
        PyObject_TypeCheck(entry->argument, self->state->manager_base)) {
        return unwind_leave_manager_take(self, entry, value);
    }
    ExitDetails details = unwind_details(self);
    if (actx_entry_is_callback(entry)) {
        self->flags |= UNWIND_CALLBACK;
    }
    else {
        self->flags &= ~UNWIND_CALLBACK;
    }
    *value = actx_entry_call(entry, &details);
    if (*value == NULL && entry->kind == ENTRY_EXIT) {
        actx_note_pushed(&self->state->names, entry->callable, entry->is_sync);
    }
    if (!entry->is_sync) {
        outcome = actx_awaitable_await_take(self, *value, value);
        if (outcome == AWAIT_ERROR) {
            unwind_wrap_stop_iteration(self);
        }
    }
    else if (*value != NULL) {
        outcome = AWAIT_RETURN;
    }
    actx_entry_clear(entry);
    return outcome;
}

/* An entry returned `*value`, which is taken: `if cb_suppress: ...`.  -1 when its truth cannot be told. */
static int
unwind_returned(AwaitableObject *self, PyObject **value)
{
    PyObject *result = *value;
    *value = NULL;
    int suppresses = 0;
    if (result != Py_None && result != Py_False && (self->flags & UNWIND_CALLBACK) == 0) {
        suppresses = PyObject_IsTrue(result);
    }
    Py_DECREF(result);
    if (suppresses > 0) {
        self->flags = (uint8_t)((self->flags | UNWIND_SUPPRESSED) & ~UNWIND_PENDING);
        unwind_clear_exception(self);
    }
    return suppresses < 0 ? -1 : 0;
}

/* An entry raised: `except BaseException as new_exc`. */
static void
unwind_raised(AwaitableObject *self)
{
    PyObject *raised = PyErr_GetRaisedException();
    fix_exception_context(raised, self->refs[REF_VALUE], self->refs[REF_FRAME]);
    self->flags |= UNWIND_PENDING;
    unwind_set_exception_take(self, raised);
}

/* All entries were called.  The pending exception is raised with the context that it has. */
static AwaitOutcome
unwind_end(AwaitableObject *self, PyObject **value)
{
    if ((self->flags & UNWIND_PENDING) != 0) {
        PyObject *exc = self->refs[REF_VALUE];
        self->refs[REF_VALUE] = NULL;
        PyErr_SetRaisedException(exc);
        return AWAIT_ERROR;
    }
    const uint8_t both = UNWIND_RECEIVED | UNWIND_SUPPRESSED;
    *value = Py_NewRef((self->flags & both) == both ? Py_True : Py_False);
    return AWAIT_RETURN;
}

/* Call entries until one has to be waited for or none is left. */
static AwaitOutcome
unwind_loop(AwaitableObject *self, PyObject **value)
{
    StackObject *stack = (StackObject *)self->owner;
    ExitEntry entry;
    int popped;
    while ((popped = actx_stack_pop(stack, &entry)) > 0) {
        AwaitOutcome outcome = unwind_call_take(self, &entry, value);
        if (outcome == AWAIT_NEXT) {
            return outcome;
        }
        if (outcome == AWAIT_ERROR || unwind_returned(self, value) < 0) {
            unwind_raised(self);
        }
    }
    return popped < 0 ? AWAIT_ERROR : unwind_end(self, value);
}

static AwaitOutcome
unwind_start(AwaitableObject *self, PyObject **value)
{
    PyObject *frame = PyErr_GetHandledException();
    if (frame == Py_None) {
        Py_CLEAR(frame);
    }
    if (frame != NULL) {
        self->has_refs = true;
        self->refs[REF_FRAME] = frame;
    }
    return actx_awaitable_nest(self, value, unwind_loop);
}

static AwaitOutcome
unwind_step(AwaitableObject *self, AwaitOutcome outcome, PyObject **value)
{
    if ((self->flags & UNWIND_MANAGER) != 0) {
        ManagerObject *manager = (ManagerObject *)self->refs[REF_MANAGER];
        outcome = unwind_end_manager(self, actx_manager_exit_end(self, manager, outcome, value));
        if (outcome == AWAIT_NEXT) {
            return outcome;
        }
    }
    else if (outcome == AWAIT_ERROR) {
        unwind_wrap_stop_iteration(self);
    }
    if (outcome == AWAIT_ERROR || unwind_returned(self, value) < 0) {
        unwind_raised(self);
    }
    return unwind_loop(self, value);
}

/* A manager that is being left would have a coroutine of its own: that is closed, and whatever it makes of that, the
   GeneratorExit in this one is another. */
static int
unwind_closed(AwaitableObject *self, int failed)
{
    PyObject *value = NULL;
    AwaitOutcome outcome = AWAIT_STOPPED;
    if ((self->flags & UNWIND_MANAGER) == 0) {
        return failed;
    }
    if (failed < 0) {
        actx_error_chain(self->handled);
        actx_awaitable_drop_target(self);
        outcome = actx_manager_exit_end(self, (ManagerObject *)self->refs[REF_MANAGER], AWAIT_ERROR, &value);
    }
    outcome = unwind_end_manager(self, outcome);
    assert(outcome != AWAIT_NEXT);
    Py_CLEAR(self->handled);
    Py_XDECREF(value);
    return outcome == AWAIT_ERROR ? -1 : 0;
}

static const AwaitableOps unwind_exit_ops = {
    .qualname = "AsyncExitStack.__aexit__",
    .start = unwind_start,
    .step = unwind_step,
    .leaves = true,
    .closed = unwind_closed,
};

/* -- methods -- */

static const ExitDetails no_details = {{NULL, NULL, NULL}};

/* A new awaitable for leaving with an exception, or with none. */
static PyObject *
unwind_new(StackObject *self, const ExitDetails *details)
{
    AwaitableObject *awaitable = actx_awaitable_new(self->state, &unwind_exit_ops, (PyObject *)self);
    if (awaitable == NULL) {
        return NULL;
    }
    awaitable->flags = 0;
    if (details->items[1] != NULL) {
        awaitable->flags = UNWIND_RECEIVED;
        awaitable->has_refs = true;
        awaitable->refs[REF_VALUE] = Py_NewRef(details->items[1]);
        if (!ACTX_REFRESHES_TRACEBACK) {
            awaitable->refs[REF_TYPE] = Py_NewRef(details->items[0]);
            awaitable->refs[REF_TRACEBACK] = Py_NewRef(details->items[2]);
        }
    }
    return (PyObject *)awaitable;
}

/* contextlib: AsyncExitStack.aclose, after `await self.__aexit__(None, None, None)` */
static AwaitOutcome
close_step(AwaitableObject *Py_UNUSED(self), AwaitOutcome outcome, PyObject **value)
{
    if (outcome == AWAIT_RETURN) {
        Py_SETREF(*value, Py_NewRef(Py_None));
    }
    return outcome;
}

static AwaitOutcome
close_begin(AwaitableObject *self, PyObject **value)
{
    PyObject *exit = unwind_new((StackObject *)self->owner, &no_details);
    return close_step(self, actx_awaitable_await_take(self, exit, value), value);
}

static AwaitOutcome
close_start(AwaitableObject *self, PyObject **value)
{
    return actx_awaitable_nest(self, value, close_begin);
}

static const AwaitableOps unwind_close_ops = {
    .qualname = "AsyncExitStack.aclose",
    .start = close_start,
    .step = close_step,
    .leaves = true,
};

PyObject *
actx_stack_aclose(PyObject *op, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    StackObject *self = (StackObject *)op;
    int overrides = actx_stack_overrides(self);
    if (overrides < 0) {
        return NULL;
    }
    if (nargs != 0 || kwnames != NULL || (overrides & (OVERRIDES_EXIT | OVERRIDES_ENTRIES)) != 0) {
        return actx_call_with_self(self->state->stack_twins[STACK_ACLOSE], op, args, nargs, kwnames);
    }
    return (PyObject *)actx_awaitable_new(self->state, &unwind_close_ops, op);
}

/* Whether these are details that the interpreter would pass: of an exception, or none. */
static bool
details_are_ordinary(PyObject *const *details)
{
    if (ACTX_REFRESHES_TRACEBACK) {
        return details[1] == Py_None || PyExceptionInstance_Check(details[1]);
    }
    if (details[0] == Py_None) {
        return details[1] == Py_None && details[2] == Py_None;
    }
    return PyExceptionInstance_Check(details[1]);
}

PyObject *
actx_stack_aexit(PyObject *op, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    StackObject *self = (StackObject *)op;
    int overrides = actx_stack_overrides(self);
    if (overrides < 0) {
        return NULL;
    }
    if (nargs != 3 || kwnames != NULL || (overrides & OVERRIDES_ENTRIES) != 0 || !details_are_ordinary(args)) {
        return actx_call_with_self(self->state->stack_twins[STACK_AEXIT], op, args, nargs, kwnames);
    }
    if (args[1] == Py_None) {
        return unwind_new(self, &no_details);
    }
    return unwind_new(self, &(ExitDetails){{args[0], args[1], args[2]}});
}
