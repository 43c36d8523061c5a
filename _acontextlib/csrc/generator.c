/* Knows what an async generator looks like inside, as do generator_probe.c and generator_marks.h and nobody else; see
   generator.h for the contracts.

   Mirrors async_gen_asend_*, async_gen_athrow_* and async_gen_init_hooks in CPython's Objects/genobject.c. */
#include "generator_marks.h"

/* Steals the reference to `finalizer`. */
static inline void
finalizer_take(const GeneratorDrive *drive, PyObject *gen, PyObject *finalizer)
{
    memcpy((char *)gen + drive->finalizer, &finalizer, sizeof(finalizer));
}

bool
actx_generator_is_at_yield(const GeneratorDrive *drive, PyObject *gen)
{
    return mark_get(drive, gen, MARK_FRAME_STATE) == drive->at_yield && mark_get(drive, gen, MARK_RUNNING) == 0;
}

bool
actx_generator_is_finished(const GeneratorDrive *drive, PyObject *gen)
{
    return mark_get(drive, gen, MARK_FRAME_STATE) == drive->finished && mark_get(drive, gen, MARK_RUNNING) == 0 &&
           mark_get(drive, gen, MARK_HOOKS_INITED) != 0;
}

/* -- the direct drive -- */

/* Tell the thread's hooks of a generator before it is first resumed.  The mark comes first: the hook may itself
   drive it. */
static int
generator_init_hooks(const GeneratorDrive *drive, PyObject *gen)
{
    PyThreadState *tstate = PyThreadState_Get();
    PyObject *firstiter, *result;
    mark_set(drive, gen, MARK_HOOKS_INITED, 1);
    if (tstate->async_gen_finalizer != NULL) {
        finalizer_take(drive, gen, Py_NewRef(tstate->async_gen_finalizer));
    }
    if (tstate->async_gen_firstiter == NULL) {
        return 0;
    }
    firstiter = Py_NewRef(tstate->async_gen_firstiter);
    result = PyObject_CallOneArg(firstiter, gen);
    Py_DECREF(firstiter);
    if (result == NULL) {
        return -1;
    }
    Py_DECREF(result);
    return 0;
}

/* The generator raised: the operation is over.  StopAsyncIteration means that it came to its end; its own it
   cannot be, one that it raises arrives as a RuntimeError. */
static AwaitOutcome
generator_finish(const GeneratorDrive *drive, PyObject *gen)
{
    mark_set(drive, gen, MARK_RUNNING, 0);
    if (PyErr_Occurred() != PyExc_StopAsyncIteration) {
        return AWAIT_ERROR;  // GeneratorExit would close it; nobody asks whether a finished generator is closed
    }
    PyErr_Clear();
    mark_set(drive, gen, MARK_CLOSED, 1);
    return AWAIT_STOPPED;
}

/* The generator suspended with `result`, which is taken: at a yield, which ends the operation, or in an await. */
static inline AwaitOutcome
generator_suspend_take(const GeneratorDrive *drive, PyObject *gen, PyObject *result, PyObject **value)
{
    if (!Py_IS_TYPE(result, drive->wrapped_type)) {
        *value = result;
        return AWAIT_NEXT;
    }
    mark_set(drive, gen, MARK_RUNNING, 0);
    memcpy(value, (char *)result + sizeof(PyObject), sizeof(*value));
    Py_INCREF(*value);
    Py_DECREF(result);
    return AWAIT_RETURN;
}

static inline AwaitOutcome
generator_resume(const GeneratorDrive *drive, PyObject *gen, PyObject *arg, PyObject **value)
{
    PyObject *result;
    mark_set(drive, gen, MARK_RUNNING, 1);
    switch (drive->send(gen, arg, &result)) {
    case PYGEN_NEXT:
        return generator_suspend_take(drive, gen, result, value);
    case PYGEN_RETURN:
        Py_DECREF(result);
        mark_set(drive, gen, MARK_RUNNING, 0);
        mark_set(drive, gen, MARK_CLOSED, 1);
        return AWAIT_STOPPED;
    default:
        return generator_finish(drive, gen);
    }
}

AwaitOutcome
actx_generator_send(const GeneratorDrive *drive, PyObject *gen, PyObject *arg, PyObject **value)
{
    return generator_resume(drive, gen, arg, value);
}

AwaitOutcome
actx_generator_next(const GeneratorDrive *drive, PyObject *gen, PyObject **value)
{
    if (mark_get(drive, gen, MARK_HOOKS_INITED) == 0 && generator_init_hooks(drive, gen) < 0) {
        return AWAIT_ERROR;
    }
    if (mark_get(drive, gen, MARK_RUNNING) != 0) {
        PyErr_SetString(PyExc_RuntimeError, "anext(): asynchronous generator is already running");
        return AWAIT_ERROR;
    }
    return generator_resume(drive, gen, Py_None, value);
}

AwaitOutcome
actx_generator_throw(const GeneratorDrive *drive, PyObject *gen, PyObject *const *args, Py_ssize_t nargs,
                     PyObject **value)
{
    mark_set(drive, gen, MARK_RUNNING, 1);
    PyObject *result = ((_PyCFunctionFast)(void (*)(void))drive->throw_)(gen, args, nargs);
    if (result == NULL) {
        return generator_finish(drive, gen);
    }
    return generator_suspend_take(drive, gen, result, value);
}

int
actx_generator_close(const GeneratorDrive *drive, PyObject *gen)
{
    PyObject *value = NULL;
    AwaitOutcome outcome = actx_generator_throw(drive, gen, &PyExc_GeneratorExit, 1, &value);
    Py_XDECREF(value);
    if (outcome == AWAIT_NEXT) {
        PyErr_SetString(PyExc_RuntimeError, "coroutine ignored GeneratorExit");
        return -1;
    }
    if (outcome == AWAIT_ERROR) {
        if (!PyErr_ExceptionMatches(PyExc_GeneratorExit) && !PyErr_ExceptionMatches(PyExc_StopIteration)) {
            return -1;
        }
        PyErr_Clear();
    }
    return 0;
}

/* -- the public drive -- */

PyObject *
actx_generator_anext(PyObject *gen)
{
    PyAsyncMethods *methods = Py_TYPE(gen)->tp_as_async;
    if (methods == NULL || methods->am_anext == NULL) {
        PyErr_Format(PyExc_TypeError, "'%.200s' object is not an async iterator", Py_TYPE(gen)->tp_name);
        return NULL;
    }
    return methods->am_anext(gen);
}
