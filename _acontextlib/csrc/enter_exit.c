/* Entering and leaving a context manager made from an async generator: the steps of its awaitables, over
   generator.h.

   Mirrors __aenter__() and __aexit__() of contextlib's _AsyncGeneratorContextManager; the comments quote the lines
   that stand there. */
#include "contextmanager.h"
#include "errors.h"
#include "notes.h"

/* -- __aenter__ -- */

/* Add a note about the manager's generator to the raised error.  A subclass may have put `gen` elsewhere; to ask it
   would be to run what is not ours. */
static void
manager_note(ManagerObject *cm, GeneratorFault fault)
{
    PyObject *gen = actx_field_get(cm, &cm->gen);
    actx_note_generator(cm->state, gen, fault);
    Py_XDECREF(gen);
}

/* `except StopAsyncIteration: raise RuntimeError(...) from None` around anext(). */
static void
set_did_not_yield(ManagerObject *cm, PyObject *stop /* NULL where the generator just came to its end */)
{
    if (stop == NULL) {
        PyErr_SetNone(PyExc_StopAsyncIteration);
        stop = PyErr_GetRaisedException();
    }
    actx_error_set_from_none(stop, PyExc_RuntimeError, "generator didn't yield");
    Py_DECREF(stop);
    manager_note(cm, NOTE_NO_YIELD);
}

AwaitOutcome
actx_manager_enter_end(ManagerObject *cm, AwaitOutcome outcome)
{
    if (outcome == AWAIT_STOPPED) {
        set_did_not_yield(cm, NULL);
        return AWAIT_ERROR;
    }
    if (outcome == AWAIT_ERROR) {
        actx_compat_store_traceback();
        if (PyErr_ExceptionMatches(PyExc_StopAsyncIteration)) {
            set_did_not_yield(cm, PyErr_GetRaisedException());
        }
    }
    return outcome;
}

/* contextlib: _AsyncGeneratorContextManager.__aenter__ */
AwaitOutcome
actx_manager_enter_begin(AwaitableObject *self, ManagerObject *cm, PyObject **value)
{
    if (actx_manager_delete_call(cm) < 0) {
        if (actx_manager_was_entered(cm)) {
            manager_note(cm, NOTE_ENTERED_BEFORE);
        }
        return AWAIT_ERROR;
    }
    PyObject *gen = actx_manager_gen(cm);
    if (gen == NULL) {
        return AWAIT_ERROR;
    }
    return actx_manager_enter_end(cm, actx_awaitable_anext_take(self, gen, value));
}

static AwaitOutcome
manager_enter_start(AwaitableObject *self, PyObject **value)
{
    return actx_manager_enter_begin(self, (ManagerObject *)self->owner, value);
}

static AwaitOutcome
manager_enter_step(AwaitableObject *self, AwaitOutcome outcome, PyObject **Py_UNUSED(value))
{
    return actx_manager_enter_end((ManagerObject *)self->owner, outcome);
}

const AwaitableOps actx_manager_enter_ops = {
    .qualname = "_AsyncGeneratorContextManager.__aenter__",
    .start = manager_enter_start,
    .step = manager_enter_step,
};

/* -- __aexit__ -- */

enum { PHASE_NEXT, PHASE_THROW, PHASE_CLOSE };  // of __aexit__: which of the three is being awaited

static AwaitOutcome
return_bool(PyObject **value, bool flag)
{
    *value = Py_NewRef(flag ? Py_True : Py_False);
    return AWAIT_RETURN;
}

/* `try: raise RuntimeError(text)` / `finally: await self.gen.aclose()`: the error is being handled meanwhile. */
static AwaitOutcome
manager_begin_close(AwaitableObject *self, ManagerObject *cm, const char *text, GeneratorFault fault, PyObject **value)
{
    PyErr_SetString(PyExc_RuntimeError, text);
    manager_note(cm, fault);
    if (!self->state->closes_on_misuse) {
        return AWAIT_ERROR;
    }
    self->has_refs = true;
    self->handled = PyErr_GetRaisedException();
    self->phase = PHASE_CLOSE;
    if (Py_EnterRecursiveCall(ACTX_WHILE_AWAITING) != 0) {
        return AWAIT_ERROR;
    }
    HandledScope scope;
    actx_handled_push(&scope, self->handled);
    PyObject *gen = actx_manager_gen(cm);
    actx_handled_pop(&scope);
    AwaitOutcome outcome = gen != NULL ? actx_awaitable_aclose_take(self, gen, value) : AWAIT_ERROR;
    Py_LeaveRecursiveCall();
    return outcome;
}

/* The generator is closed, or could not be: what that raised replaces the error. */
static AwaitOutcome
manager_end_close(AwaitableObject *self, AwaitOutcome outcome, PyObject **value)
{
    if (outcome != AWAIT_RETURN) {
        if (outcome == AWAIT_ERROR) {
            actx_compat_store_traceback();
        }
        return outcome;
    }
    Py_CLEAR(*value);
    PyErr_SetRaisedException(self->handled);
    self->handled = NULL;
    return AWAIT_ERROR;
}

/* After `await anext(self.gen)`. */
static AwaitOutcome
manager_end_next(AwaitableObject *self, ManagerObject *cm, AwaitOutcome outcome, PyObject **value)
{
    switch (outcome) {
    case AWAIT_STOPPED:
        actx_byte_store(&cm->ended, true);
        return return_bool(value, false);
    case AWAIT_RETURN:
        Py_CLEAR(*value);
        outcome = manager_begin_close(self, cm, "generator didn't stop",
                                      actx_manager_keeps_call(cm) ? NOTE_NEVER_ENTERED : NOTE_YIELDS_AGAIN, value);
        return outcome == AWAIT_NEXT ? outcome : manager_end_close(self, outcome, value);
    case AWAIT_ERROR:
        if (PyErr_ExceptionMatches(PyExc_StopAsyncIteration)) {
            PyErr_Clear();
            return return_bool(value, false);
        }
        actx_compat_store_traceback();
        return outcome;
    default:
        return outcome;
    }
}

/* `exc.__traceback__ = traceback; return False`.  Set past the attribute, for classes that forbid setting attributes:
   those exceptions come through as themselves.  What is no traceback is refused while `raised` is being handled. */
static AwaitOutcome
manager_pass_through(AwaitableObject *self, PyObject *exc, PyObject *raised, PyObject **value)
{
    PyObject *tb = self->refs[MANAGER_REF_TRACEBACK];
    if (tb != Py_None && !PyTraceBack_Check(tb)) {
        HandledScope scope;
        actx_handled_push(&scope, raised);
        PyException_SetTraceback(exc, tb);
        actx_handled_pop(&scope);
        return AWAIT_ERROR;
    }
    PyException_SetTraceback(exc, tb);
    return return_bool(value, false);
}

static inline bool
is_instance(PyObject *exc, PyObject *type)
{
    return PyObject_TypeCheck(exc, (PyTypeObject *)type);
}

/* `except ...` after `await self.gen.athrow(value)`, in the order of contextlib. */
static AwaitOutcome
manager_handle_thrown(AwaitableObject *self, PyObject **value)
{
    PyObject *thrown = self->refs[MANAGER_REF_VALUE];
    PyObject *exc = PyErr_GetRaisedException();
    PyObject *cause;
    AwaitOutcome outcome;
    if (is_instance(exc, PyExc_StopAsyncIteration)) {
        outcome = return_bool(value, exc != thrown);
    }
    else if (exc == thrown) {
        outcome = manager_pass_through(self, exc, exc, value);
    }
    else if (is_instance(exc, PyExc_RuntimeError) &&
             (is_instance(thrown, PyExc_StopIteration) || is_instance(thrown, PyExc_StopAsyncIteration)) &&
             (cause = PyException_GetCause(exc)) != NULL) {
        Py_DECREF(cause);
        if (cause != thrown) {
            PyErr_SetRaisedException(exc);
            return AWAIT_ERROR;
        }
        outcome = manager_pass_through(self, thrown, exc, value);
    }
    else {
        PyErr_SetRaisedException(exc);
        return AWAIT_ERROR;
    }
    Py_DECREF(exc);
    return outcome;
}

/* After `await self.gen.athrow(value)`. */
static AwaitOutcome
manager_end_throw(AwaitableObject *self, ManagerObject *cm, AwaitOutcome outcome, PyObject **value)
{
    switch (outcome) {
    case AWAIT_STOPPED:
        actx_byte_store(&cm->ended, true);
        return return_bool(value, true);
    case AWAIT_RETURN:
        Py_CLEAR(*value);
        outcome = manager_begin_close(self, cm, "generator didn't stop after athrow()", NOTE_YIELDS_AFTER_ERROR, value);
        return outcome == AWAIT_NEXT ? outcome : manager_end_close(self, outcome, value);
    case AWAIT_ERROR:
        return manager_handle_thrown(self, value);
    default:
        return outcome;
    }
}

AwaitOutcome
actx_manager_exit_end(AwaitableObject *self, ManagerObject *cm, AwaitOutcome outcome, PyObject **value)
{
    switch (self->phase) {
    case PHASE_NEXT:
        return manager_end_next(self, cm, outcome, value);
    case PHASE_THROW:
        return manager_end_throw(self, cm, outcome, value);
    default:
        return manager_end_close(self, outcome, value);
    }
}

/* contextlib: _AsyncGeneratorContextManager.__aexit__ */
AwaitOutcome
actx_manager_exit_begin(AwaitableObject *self, ManagerObject *cm, PyObject **value)
{
    PyObject **refs = self->refs;
    AwaitOutcome outcome;
    if (refs[MANAGER_REF_TYPE] != NULL && refs[MANAGER_REF_VALUE] == Py_None) {
        Py_SETREF(refs[MANAGER_REF_VALUE], PyObject_CallNoArgs(refs[MANAGER_REF_TYPE]));
        if (refs[MANAGER_REF_VALUE] == NULL) {
            return AWAIT_ERROR;
        }
    }
    PyObject *gen = actx_manager_gen(cm);
    if (gen == NULL) {
        return AWAIT_ERROR;
    }
    if (refs[MANAGER_REF_TYPE] == NULL) {
        self->phase = PHASE_NEXT;
        outcome = actx_awaitable_anext_take(self, gen, value);
    }
    else {
        self->phase = PHASE_THROW;
        if (ACTX_THROW_TAKES_VALUE) {
            outcome = actx_awaitable_athrow_take(self, gen, &refs[MANAGER_REF_VALUE], 1, value);
        }
        else {
            outcome = actx_awaitable_athrow_take(self, gen, refs, 3, value);
        }
    }
    if (outcome == AWAIT_NEXT) {
        return outcome;
    }
    return actx_manager_exit_end(self, cm, outcome, value);
}

static AwaitOutcome
manager_exit_start(AwaitableObject *self, PyObject **value)
{
    return actx_manager_exit_begin(self, (ManagerObject *)self->owner, value);
}

static AwaitOutcome
manager_exit_step(AwaitableObject *self, AwaitOutcome outcome, PyObject **value)
{
    return actx_manager_exit_end(self, (ManagerObject *)self->owner, outcome, value);
}

const AwaitableOps actx_manager_exit_ops = {
    .qualname = "_AsyncGeneratorContextManager.__aexit__",
    .start = manager_exit_start,
    .step = manager_exit_step,
    .leaves = true,
};

bool
actx_manager_is_plain(ModuleState *state, PyObject *object)
{
    PyTypeObject *type = state->manager_type;
    if (!Py_IS_TYPE(object, type)) {
        return false;
    }
    unsigned int version = actx_type_version(type);
    uint64_t known = actx_word_load(&state->manager_version);
    if (version == known && known != 0) {
        return true;
    }
    if (_PyType_Lookup(type, state->names.aenter) != state->manager_aenter ||
        _PyType_Lookup(type, state->names.aexit) != state->manager_aexit) {
        return false;
    }
    if (version == actx_type_version(type)) {  // nobody has changed it between the two
        actx_word_store(&state->manager_version, version);
    }
    return true;
}

/* -- methods -- */

PyDoc_STRVAR(manager_aenter_doc,
             "Run the generator to its yield; the awaitable's result is what it yields.\n\n"
             "Raises RuntimeError when it does not yield, AttributeError when it was entered before.");

static PyObject *
manager_aenter(PyObject *op, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    ManagerObject *self = (ManagerObject *)op;
    if (nargs != 0 || kwnames != NULL) {
        PyObject *bound = actx_call_with_self(self->state->bind_aenter, op, args, nargs, kwnames);
        if (bound == NULL) {
            return NULL;
        }
        Py_DECREF(bound);
    }
    return (PyObject *)actx_awaitable_new(self->state, &actx_manager_enter_ops, op);
}

PyDoc_STRVAR(manager_aexit_doc,
             "Run the generator to its end, with the exception raised at its yield if typ is not None.\n\n"
             "The awaitable's result is true when the exception is suppressed.  Raises RuntimeError when the\n"
             "generator yields again, and whatever it raises that is not the exception itself.");

static PyObject *
manager_aexit(PyObject *op, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    ManagerObject *self = (ManagerObject *)op;
    PyObject *bound = NULL;
    if (nargs != 3 || kwnames != NULL) {
        bound = actx_call_with_self(self->state->bind_aexit, op, args, nargs, kwnames);
        if (bound == NULL) {
            return NULL;
        }
        args = &PyTuple_GET_ITEM(bound, 0);
    }
    AwaitableObject *awaitable = actx_awaitable_new(self->state, &actx_manager_exit_ops, op);
    if (awaitable != NULL && args[0] != Py_None) {
        awaitable->has_refs = true;
        awaitable->refs[MANAGER_REF_TYPE] = Py_NewRef(args[0]);
        awaitable->refs[MANAGER_REF_VALUE] = Py_NewRef(args[1]);
        awaitable->refs[MANAGER_REF_TRACEBACK] = Py_NewRef(args[2]);
    }
    Py_XDECREF(bound);
    return (PyObject *)awaitable;
}

const MethodDef actx_manager_aenter = {
    "__aenter__",
    "_AsyncGeneratorContextManager.__aenter__",
    manager_aenter_doc,
    manager_aenter,
};

const MethodDef actx_manager_aexit = {
    "__aexit__",
    "_AsyncGeneratorContextManager.__aexit__",
    manager_aexit_doc,
    manager_aexit,
};
