/* Beginning to await something: any object, or an operation of an async generator by the drive that there is; see
   awaitable.h for the contracts. */
#include "target.h"

/* Before an operation of `gen` is awaited that is an object of the interpreter's: 0, or -1 with the error about a
   generator that is running, which without threads that object raises. */
static inline int
awaitable_claim(AwaitableObject *self, PyObject *gen, const char *operation)
{
#if ACTX_FREE_THREADED
    return actx_generator_claim(&self->state->drive, &self->claim, gen, operation);
#else
    (void)self, (void)gen, (void)operation;
    return 0;
#endif
}

AwaitOutcome
actx_awaitable_await_take(AwaitableObject *self, PyObject *awaitable, PyObject **value)
{
    AwaitOutcome outcome;
    if (awaitable == NULL) {
        return AWAIT_ERROR;
    }
    PyObject *iterator;
    WHILE_HANDLING(self, iterator = actx_await_iter(self->state, awaitable));
    Py_DECREF(awaitable);
    if (iterator == NULL) {
        return AWAIT_ERROR;
    }
    assert(self->target == NULL);
    actx_field_exchange_take(self, &self->target, iterator);
    self->target_is_generator = false;
    WHILE_HANDLING(self, outcome = actx_await_send(iterator, Py_None, value));
    if (outcome != AWAIT_NEXT) {
        actx_awaitable_drop_target(self);
    }
    return outcome;
}

/* Begin to await what `gen`, which is taken and was claimed, returned for an operation. */
static AwaitOutcome
operation_await_take(AwaitableObject *self, PyObject *gen, PyObject *operation, PyObject **value)
{
    Py_DECREF(gen);
    AwaitOutcome outcome = actx_awaitable_await_take(self, operation, value);
    if (outcome != AWAIT_NEXT) {
        actx_awaitable_unclaim(self);
    }
    return outcome;
}

/* Claim `gen`, which is taken, and begin anext(gen), or gen.athrow(*args) where there are any, by its own methods, or
   those of what stands for it, which may come back here without a Python frame between. */
static Py_NO_INLINE AwaitOutcome
awaitable_begin_take(AwaitableObject *self, PyObject *gen, PyObject *const *args, Py_ssize_t nargs, PyObject **value)
{
    PyObject *operation;
    if (Py_EnterRecursiveCall(ACTX_WHILE_AWAITING) != 0) {
        Py_DECREF(gen);
        return AWAIT_ERROR;
    }
    AwaitOutcome outcome = AWAIT_ERROR;
    if (awaitable_claim(self, gen, args == NULL ? "anext()" : "athrow()") < 0) {
        Py_DECREF(gen);
    }
    else {
        if (args == NULL) {
            operation = actx_generator_anext(gen);
        }
        else {
            PyObject *vector[4] = {gen, args[0], nargs > 1 ? args[1] : NULL, nargs > 2 ? args[2] : NULL};
            operation = PyObject_VectorcallMethod(self->state->names.athrow, vector, (size_t)nargs + 1, NULL);
        }
        outcome = operation_await_take(self, gen, operation, value);
    }
    Py_LeaveRecursiveCall();
    return outcome;
}

/* The generator's first or next operation has begun: remember it as the target if it suspended. */
static inline AwaitOutcome
generator_begun_take(AwaitableObject *self, PyObject *gen, AwaitOutcome outcome)
{
    if (outcome == AWAIT_NEXT) {
        actx_field_exchange_take(self, &self->target, gen);
        self->target_is_generator = true;
    }
    else {
        Py_DECREF(gen);
    }
    return outcome;
}

AwaitOutcome
actx_awaitable_anext_take(AwaitableObject *self, PyObject *gen, PyObject **value)
{
    GeneratorDrive *drive = &self->state->drive;
    if (actx_generator_is_direct(drive, gen)) {
        return generator_begun_take(self, gen, actx_generator_next(drive, gen, value));
    }
    return awaitable_begin_take(self, gen, NULL, 0, value);
}

AwaitOutcome
actx_awaitable_athrow_take(AwaitableObject *self, PyObject *gen, PyObject *const *args, Py_ssize_t nargs,
                           PyObject **value)
{
    GeneratorDrive *drive = &self->state->drive;
    if (actx_generator_is_direct(drive, gen) && actx_generator_claim_at_yield(drive, gen)) {
        return generator_begun_take(self, gen, actx_generator_throw(drive, gen, args, nargs, value));
    }
    return awaitable_begin_take(self, gen, args, nargs, value);
}

AwaitOutcome
actx_awaitable_aclose_take(AwaitableObject *self, PyObject *gen, PyObject **value)
{
    PyObject *operation;
    if (awaitable_claim(self, gen, "aclose()") < 0) {
        Py_DECREF(gen);
        return AWAIT_ERROR;
    }
    WHILE_HANDLING(self, operation = PyObject_CallMethodNoArgs(gen, self->state->names.aclose));
    return operation_await_take(self, gen, operation, value);
}
