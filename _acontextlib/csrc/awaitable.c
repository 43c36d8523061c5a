/* The coroutine-like object that every asynchronous method returns; see awaitable.h for the contract of its steps.

   awaitable_drive() is the truth: am_send, tp_iternext and send() are thin over it; throw() and close() enter the
   same driver with something else to inject.  Mirrors gen_send_ex2, gen_throw and gen_close in CPython's
   Objects/genobject.c as they are for coroutines. */
#include "awaitable.h"

#include <structmember.h>

#include "errors.h"
#include "target.h"

/* -- life -- */

static void
awaitable_clear_refs(AwaitableObject *self)
{
    self->has_refs = false;
    Py_CLEAR(self->handled);
    for (int i = 0; i < AWAITABLE_REFS; i++) {
        Py_CLEAR(self->refs[i]);
    }
}

/* The end, however it was reached: whatever the procedure held is released. */
static inline void
awaitable_finish(AwaitableObject *self)
{
    assert(self->target == NULL);
    PyObject *owner = actx_field_exchange_take(self, &self->owner, NULL);
    bool has_refs = self->has_refs;
    actx_byte_store(&self->status, STATUS_FINISHED);
    if (has_refs) {
        awaitable_clear_refs(self);
    }
    Py_XDECREF(owner);
}

AwaitableObject *
actx_awaitable_new(ModuleState *state, const AwaitableOps *ops, PyObject *owner)
{
    AwaitableObject *self = NULL;
    if (state->awaitables.count > AWAITABLES_KEPT) {
        self = (AwaitableObject *)actx_freelist_pop(&state->awaitables);
    }
    else if ((self = actx_awaitable_alloc(state, ops)) == NULL) {
        return NULL;
    }
    self->ops = ops;
    self->owner = Py_NewRef(owner);
    self->status = STATUS_CREATED;
    PyObject_GC_Track(self);
    int depth = PyThreadState_Get()->coroutine_origin_tracking_depth;
    if (depth > 0 && actx_awaitable_set_origin(self, depth) < 0) {
        awaitable_finish(self);
        Py_DECREF(self);
        return NULL;
    }
    return self;
}

static int
awaitable_tp_traverse(AwaitableObject *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(self->owner);
    Py_VISIT(self->target);
#if ACTX_FREE_THREADED
    Py_VISIT(self->claim.generator);
#endif
    Py_VISIT(self->handled);
    for (int i = 0; i < AWAITABLE_REFS; i++) {
        Py_VISIT(self->refs[i]);
    }
    return self->labels != NULL ? actx_awaitable_labels_traverse(self, visit, arg) : 0;
}

/* Nobody may enter it any more: what it needs is gone. */
static int
awaitable_tp_clear(AwaitableObject *self)
{
    actx_byte_store(&self->status, STATUS_FINISHED);
    Py_CLEAR(self->owner);
    actx_awaitable_drop_target(self);
    awaitable_clear_refs(self);
    if (self->labels != NULL) {
        actx_awaitable_labels_clear(self);
    }
    return 0;
}

/* Give up the object; what it held is released. */
static inline void
awaitable_free(AwaitableObject *self)
{
    if (!self->finalized) {  // nor, therefore, freed by the collector, which may have freed the state before
        actx_freelist_push(&self->state->awaitables, (PyObject *)self);
        return;
    }
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_Del(self);
    Py_DECREF(type);
}

static void
awaitable_tp_dealloc(AwaitableObject *self)
{
    if (self->status != STATUS_FINISHED && PyObject_CallFinalizerFromDealloc((PyObject *)self) < 0) {
        return;
    }
    PyObject_GC_UnTrack(self);
    actx_weakrefs_clear(self, &self->weakrefs);
    if (self->status == STATUS_FINISHED && self->labels == NULL) {  // holds nothing
        awaitable_free(self);
        return;
    }
    Py_TRASHCAN_BEGIN(self, awaitable_tp_dealloc)  // awaitables that hold awaitables
    awaitable_tp_clear(self);
    self->finalized = true;  // or will have been by the time that the trashcan comes to it
    awaitable_free(self);
    Py_TRASHCAN_END
}

/* -- awaiting: the target, with what this procedure handles as the handled exception -- */

static AwaitOutcome
target_send(AwaitableObject *self, PyObject *arg, PyObject **value)
{
    if (self->target_is_generator) {
        return actx_generator_send(&self->state->drive, self->target, arg, value);
    }
    if (Py_EnterRecursiveCall(ACTX_WHILE_AWAITING) != 0) {
        return AWAIT_ERROR;
    }
    AwaitOutcome outcome = actx_await_send(self->target, arg, value);
    Py_LeaveRecursiveCall();
    return outcome;
}

static AwaitOutcome
target_throw(AwaitableObject *self, PyObject *const *args, Py_ssize_t nargs, PyObject **value)
{
    if (self->target_is_generator) {
        return actx_generator_throw_on(&self->state->drive, self->target, args, nargs, value);
    }
    return actx_await_throw(self->state, self->target, args, nargs, value);
}

static int
target_close(AwaitableObject *self)
{
    if (self->target_is_generator) {
        return actx_generator_close(&self->state->drive, self->target);
    }
    return actx_await_close(self->state, self->target);
}

/* -- the driver -- */

/* Note how a resume ended, and translate it for the caller. */
static inline PySendResult
awaitable_settle(AwaitableObject *self, AwaitOutcome outcome, PyObject **value)
{
    assert(actx_byte_load(&self->status) == STATUS_RUNNING);
    if (outcome == AWAIT_RETURN) {
        assert(*value != NULL && !PyErr_Occurred());
        awaitable_finish(self);
        return PYGEN_RETURN;
    }
    if (outcome == AWAIT_NEXT) {
        assert(self->target != NULL && *value != NULL);
        actx_byte_store(&self->status, STATUS_SUSPENDED);
        return PYGEN_NEXT;
    }
    assert(outcome == AWAIT_ERROR && PyErr_Occurred());
    awaitable_finish(self);
    *value = NULL;
    if (PyErr_ExceptionMatches(PyExc_StopIteration)) {
        actx_error_wrap_stop_iteration();
    }
    return PYGEN_ERROR;
}

/* What was awaited ended, or is left for an exception that is set: let the steps go on. */
static AwaitOutcome
awaitable_step(AwaitableObject *self, AwaitOutcome outcome, PyObject **value)
{
    actx_awaitable_drop_target(self);
    return self->ops->step(self, outcome, value);
}

/* The coroutine's own error about a status in which it could not be claimed.  Suspended it is by now, but was running
   in another thread a moment ago. */
static void
awaitable_refuse(AwaitableStatus status)
{
    switch (status) {
    case STATUS_CREATED:
        PyErr_SetString(PyExc_TypeError, "can't send non-None value to a just-started coroutine");
        break;
    case STATUS_RUNNING:
    case STATUS_SUSPENDED:
        PyErr_SetString(PyExc_ValueError, "coroutine already executing");
        break;
    case STATUS_FINISHED:
        PyErr_SetString(PyExc_RuntimeError, "cannot reuse already awaited coroutine");
        break;
    }
}

/* Claim the awaitable: true, with the status that it had in *from, CREATED or SUSPENDED; or false with what it has. */
static inline bool
awaitable_enter(AwaitableObject *self, AwaitableStatus *from)
{
    do {
        *from = (AwaitableStatus)actx_byte_load(&self->status);
        if (*from != STATUS_CREATED && *from != STATUS_SUSPENDED) {
            return false;
        }
    } while (!actx_byte_change(&self->status, (uint8_t)*from, STATUS_RUNNING));
    return true;
}

static inline PySendResult
awaitable_drive(AwaitableObject *self, PyObject *arg, PyObject **result)
{
    AwaitOutcome outcome;
    *result = NULL;
    if (arg == Py_None && actx_byte_change(&self->status, STATUS_CREATED, STATUS_RUNNING)) {
        outcome = self->ops->start(self, result);
        return awaitable_settle(self, outcome, result);
    }
    if (!actx_byte_change(&self->status, STATUS_SUSPENDED, STATUS_RUNNING)) {
        awaitable_refuse((AwaitableStatus)actx_byte_load(&self->status));
        return PYGEN_ERROR;
    }
    WHILE_HANDLING(self, outcome = target_send(self, arg, result));
    if (outcome != AWAIT_NEXT) {
        outcome = awaitable_step(self, outcome, result);
    }
    return awaitable_settle(self, outcome, result);
}

static PySendResult
awaitable_am_send(PyObject *op, PyObject *arg, PyObject **result)
{
    return awaitable_drive((AwaitableObject *)op, arg, result);
}

/* An exception is set that was thrown in at the beginning, or where it was suspended and what it awaited is closed. */
static PySendResult
awaitable_raise_in(AwaitableObject *self, bool started, PyObject **result)
{
    *result = NULL;
    actx_error_chain(self->handled);
    AwaitOutcome outcome = AWAIT_ERROR;
    if (started) {
        outcome = actx_await_caught(result);
        outcome = awaitable_step(self, outcome, result);
    }
    if (!started && !ACTX_WRAPS_FIRST_THROWN && PyErr_ExceptionMatches(PyExc_StopIteration)) {
        awaitable_finish(self);
        return PYGEN_ERROR;
    }
    return awaitable_settle(self, outcome, result);
}

/* Throw what throw(*args) was called with where it was suspended.  A throw passes a coroutine by without its frame
   being resumed, so what this procedure handles is not handled on the way down; it is the context of what comes up. */
static PySendResult
awaitable_throw_in(AwaitableObject *self, PyObject *const *args, Py_ssize_t nargs, PyObject **result)
{
    AwaitOutcome outcome;
    *result = NULL;
    outcome = target_throw(self, args, nargs, result);
    if (outcome == AWAIT_STOPPED && !self->target_is_generator) {
        actx_byte_store(&self->status, STATUS_SUSPENDED);
        return PYGEN_ERROR;
    }
    if (outcome == AWAIT_ERROR) {
        actx_error_chain(self->handled);
        outcome = actx_await_caught(result);
    }
    if (outcome != AWAIT_NEXT) {
        outcome = awaitable_step(self, outcome, result);
    }
    return awaitable_settle(self, outcome, result);
}

/* Close what is being awaited, which passes by as a throw does: 0, or -1 with an exception to go on with. */
static int
awaitable_close_target(AwaitableObject *self)
{
    int failed = target_close(self);
    return self->ops->closed != NULL ? self->ops->closed(self, failed) : failed;
}

/* -- methods -- */

/* `await`: the awaitable is its own iterator, unless another coroutine is suspended in it. */
static PyObject *
awaitable_am_await(AwaitableObject *self)
{
    if (actx_byte_load(&self->status) == STATUS_SUSPENDED) {
        PyErr_SetString(PyExc_RuntimeError, "coroutine is being awaited already");
        return NULL;
    }
    return Py_NewRef(self);
}

/* The outcome of a resume as the return value of a method: a result travels in a StopIteration. */
static PyObject *
awaitable_deliver(PySendResult sent, PyObject *result)
{
    if (sent == PYGEN_RETURN) {
        actx_error_set_stop_iteration(result);
        Py_CLEAR(result);
    }
    return result;
}

/* The interpreter's `await` on 3.12 to 3.14 comes here, and takes the value out of the StopIteration at once.  None
   needs no exception to travel in. */
static PyObject *
awaitable_tp_iternext(AwaitableObject *self)
{
    ModuleState *state = self->state;
    PyObject *result;
    if (awaitable_drive(self, Py_None, &result) == PYGEN_RETURN) {
        if (result != Py_None) {
            actx_error_set_await_result(&state->stops, result);
        }
        Py_CLEAR(result);
    }
    return result;
}

PyDoc_STRVAR(awaitable_send_doc,
             "send($self, arg, /)\n--\n\n"
             "Resume with arg, which must be None at first; return what is handed out where it suspends next.\n\n"
             "Raises StopIteration with the result when it is done, or what the operation raised.");

PyObject *
actx_awaitable_send(AwaitableObject *self, PyObject *arg)
{
    PyObject *result;
    PySendResult sent = awaitable_drive(self, arg, &result);
    return awaitable_deliver(sent, result);
}

PyDoc_STRVAR(awaitable_throw_doc,
             "throw($self, typ, val=None, tb=None, /)\n--\n\n"
             "Raise the exception where it is suspended; return what is handed out where it suspends next.\n\n"
             "Raises StopIteration with the result when it is done, or what the operation raised.  The form with\n"
             "three arguments is deprecated from Python 3.12 on.");

static PyObject *
awaitable_throw(AwaitableObject *self, PyObject *const *args, Py_ssize_t nargs)
{
    PyObject *result;
    if (nargs < 1 || nargs > 3) {
        PyErr_Format(PyExc_TypeError, "throw expected at %s %d argument%s, got %zd", nargs < 1 ? "least" : "most",
                     nargs < 1 ? 1 : 3, nargs < 1 ? "" : "s", nargs);
        return NULL;
    }
    if (ACTX_THROW_TAKES_VALUE && nargs > 1 &&
        PyErr_WarnEx(PyExc_DeprecationWarning,
                     "the (type, exc, tb) signature of throw() is deprecated, "
                     "use the single-arg signature instead.",
                     1) < 0) {
        return NULL;
    }
    AwaitableStatus from = (AwaitableStatus)actx_byte_load(&self->status);
    if ((from == STATUS_RUNNING || from == STATUS_FINISHED) && ACTX_THROW_CHECKS_STATE_FIRST) {
        awaitable_refuse(from);
        return NULL;
    }
    PySendResult sent;
    if (actx_byte_change(&self->status, STATUS_SUSPENDED, STATUS_RUNNING)) {
        if (!PyErr_GivenExceptionMatches(args[0], PyExc_GeneratorExit)) {
            sent = awaitable_throw_in(self, args, nargs, &result);
            return awaitable_deliver(sent, result);
        }
        if (awaitable_close_target(self) == 0 && actx_await_raise(args, nargs) < 0) {
            actx_byte_store(&self->status, STATUS_SUSPENDED);
            return NULL;
        }
        from = STATUS_SUSPENDED;
    }
    else {
        if (actx_await_raise(args, nargs) < 0) {
            return NULL;
        }
        // Last: making the exception may have run anything, even this.  What another thread has is left to it.
        if (from != STATUS_CREATED || !awaitable_enter(self, &from)) {
            PyErr_Clear();
            awaitable_refuse(from);
            return NULL;
        }
        if (ACTX_FREE_THREADED && from == STATUS_SUSPENDED) {  // another thread has started it meanwhile
            PyObject *made = PyErr_GetRaisedException();
            actx_byte_store(&self->status, STATUS_SUSPENDED);
            result = awaitable_throw(self, &made, 1);
            Py_DECREF(made);
            return result;
        }
    }
    sent = awaitable_raise_in(self, from != STATUS_CREATED, &result);
    return awaitable_deliver(sent, result);
}

PyDoc_STRVAR(awaitable_close_doc,
             "close($self, /)\n--\n\n"
             "Raise GeneratorExit where it is suspended, which must end it; never started, it never will be.\n\n"
             "Raises RuntimeError when it suspends once more, or what the operation raised in place of GeneratorExit.");

static PyObject *
awaitable_close(AwaitableObject *self, PyObject *Py_UNUSED(ignored))
{
    PyObject *result;
    AwaitableStatus from;
    if (!awaitable_enter(self, &from)) {
        if (from == STATUS_FINISHED) {
            Py_RETURN_NONE;
        }
        awaitable_refuse(from);
        return NULL;
    }
    if (from == STATUS_CREATED) {
        awaitable_finish(self);
        Py_RETURN_NONE;
    }
    if (awaitable_close_target(self) == 0) {
        PyErr_SetNone(PyExc_GeneratorExit);
    }
    switch (awaitable_raise_in(self, true, &result)) {
    case PYGEN_NEXT:
        Py_DECREF(result);
        PyErr_SetString(PyExc_RuntimeError, "coroutine ignored GeneratorExit");
        return NULL;
    case PYGEN_RETURN:
        if (!ACTX_CLOSE_RETURNS_VALUE) {
            Py_SETREF(result, Py_NewRef(Py_None));
        }
        return result;
    default:
        if (!PyErr_ExceptionMatches(PyExc_GeneratorExit)) {
            return NULL;
        }
        PyErr_Clear();
        Py_RETURN_NONE;
    }
}

/* As for a coroutine: one that was never started warns, a suspended one is closed. */
static void
awaitable_tp_finalize(AwaitableObject *self)
{
    PyObject *result;
    self->finalized = true;
    AwaitableStatus status = (AwaitableStatus)actx_byte_load(&self->status);
    if (status != STATUS_CREATED && status != STATUS_SUSPENDED) {
        return;
    }
    RaisedError kept;
    actx_compat_put_aside(&kept);
    if (status == STATUS_SUSPENDED) {
        result = awaitable_close(self, NULL);
    }
    else {
        result = actx_awaitable_warn_unawaited(self);
    }
    if (result == NULL) {
        PyErr_WriteUnraisable((PyObject *)self);
    }
    Py_XDECREF(result);
    actx_compat_put_back(&kept);
}

/* -- tables -- */

static PyMethodDef awaitable_methods[] = {
    {"__await__", (PyCFunction)actx_awaitable_await_method, METH_NOARGS | METH_COEXIST, actx_awaitable_await_doc},
    {"send", (PyCFunction)actx_awaitable_send, METH_O, awaitable_send_doc},
    {"throw", (PyCFunction)(void (*)(void))awaitable_throw, METH_FASTCALL, awaitable_throw_doc},
    {"close", (PyCFunction)awaitable_close, METH_NOARGS, awaitable_close_doc},
    {NULL, NULL, 0, NULL},
};

static PyMemberDef awaitable_members[] = {
    {"__weaklistoffset__", T_PYSSIZET, offsetof(AwaitableObject, weakrefs), READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyType_Slot awaitable_slots[] = {
    {Py_tp_doc, "What an asynchronous method returns: to be awaited once, as a coroutine is."},
    {Py_tp_dealloc, awaitable_tp_dealloc},
    {Py_tp_traverse, awaitable_tp_traverse},
    {Py_tp_clear, awaitable_tp_clear},
    {Py_tp_finalize, awaitable_tp_finalize},
    {Py_tp_repr, actx_awaitable_repr},
    {Py_am_await, awaitable_am_await},
    {Py_am_send, awaitable_am_send},
    {Py_tp_iternext, awaitable_tp_iternext},
    {Py_tp_methods, awaitable_methods},
    {Py_tp_members, awaitable_members},
    {Py_tp_getset, actx_awaitable_getset},
    {0, NULL},
};

PyType_Spec actx_awaitable_spec = {
    .name = "_acontextlib.coroutine",
    .basicsize = sizeof(AwaitableObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = awaitable_slots,
};
