/* Awaiting from C; see await.h for the contracts.

   The rules are those of the interpreter's GET_AWAITABLE and SEND instructions and of throw() and close() of a
   coroutine that is suspended in them (Objects/genobject.c). */
#include "await.h"
#include "state.h"

/* -- the iterator of an awaitable -- */

static bool
is_iterable_coroutine(PyObject *object)
{
    if (!PyGen_CheckExact(object)) {
        return false;
    }
    PyCodeObject *code = PyGen_GetCode((PyGenObject *)object);
    bool flagged = (code->co_flags & CO_ITERABLE_COROUTINE) != 0;
    Py_DECREF(code);
    return flagged;
}

/* 1 when some other coroutine is suspended in awaiting this one, 0 when not, -1 on error.  Who awaits holds a
   reference, so a coroutine known to nobody else needs no look at its state; but without a GIL a count is in two
   parts, which change while they are added. */
static int
coroutine_is_awaiting(ModuleState *state, PyObject *coroutine)
{
    PyObject *awaited;
    if (!ACTX_FREE_THREADED && Py_REFCNT(coroutine) == 1) {
        return 0;
    }
    awaited = PyObject_GetAttr(coroutine, state->names.cr_await);
    if (awaited == NULL) {
        return -1;
    }
    Py_DECREF(awaited);
    return awaited != Py_None;
}

PyObject *
actx_await_iter(ModuleState *state, PyObject *awaitable)
{
    PyTypeObject *type = Py_TYPE(awaitable);
    PyObject *iterator;
    if (PyCoro_CheckExact(awaitable)) {
        int busy = coroutine_is_awaiting(state, awaitable);
        if (busy == 0) {
            return Py_NewRef(awaitable);
        }
        if (busy > 0) {
            PyErr_SetString(PyExc_RuntimeError, "coroutine is being awaited already");
        }
        return NULL;
    }
    if (is_iterable_coroutine(awaitable)) {
        return Py_NewRef(awaitable);
    }
    if (type->tp_as_async == NULL || type->tp_as_async->am_await == NULL) {
        PyErr_Format(PyExc_TypeError, ACTX_TEXT_NOT_AWAITABLE, type->tp_name);
        return NULL;
    }
    iterator = type->tp_as_async->am_await(awaitable);
    if (iterator == NULL) {
        return NULL;
    }
    bool is_coroutine = PyCoro_CheckExact(iterator) || is_iterable_coroutine(iterator);
    if (is_coroutine || !PyIter_Check(iterator)) {
        actx_compat_bad_iterator(awaitable, iterator, is_coroutine);
        Py_DECREF(iterator);
        return NULL;
    }
    return iterator;
}

/* -- send, throw, close -- */

AwaitOutcome
actx_await_send(PyObject *iterator, PyObject *arg, PyObject **value)
{
    *value = NULL;
    switch (PyIter_Send(iterator, arg, value)) {
    case PYGEN_RETURN:
        return AWAIT_RETURN;
    case PYGEN_NEXT:
        return AWAIT_NEXT;
    default:
        return AWAIT_ERROR;
    }
}

int
actx_await_raise(PyObject *const *args, Py_ssize_t nargs)
{
    PyObject *type = Py_NewRef(args[0]);
    PyObject *value = nargs > 1 ? Py_NewRef(args[1]) : NULL;
    PyObject *tb = nargs > 2 && args[2] != Py_None ? Py_NewRef(args[2]) : NULL;
    if (tb != NULL && !PyTraceBack_Check(tb)) {
        PyErr_SetString(PyExc_TypeError, "throw() third argument must be a traceback object");
        goto error;
    }
    if (PyExceptionClass_Check(type)) {
        PyErr_NormalizeException(&type, &value, &tb);
    }
    else if (PyExceptionInstance_Check(type)) {
        if (value != NULL && value != Py_None) {
            PyErr_SetString(PyExc_TypeError, "instance exception may not have a separate value");
            goto error;
        }
        Py_XSETREF(value, type);
        type = Py_NewRef(PyExceptionInstance_Class(value));
        if (tb == NULL) {
            tb = PyException_GetTraceback(value);
        }
    }
    else {
        PyErr_Format(PyExc_TypeError, "exceptions must be classes or instances deriving from BaseException, not %s",
                     Py_TYPE(type)->tp_name);
        goto error;
    }
    PyErr_Restore(type, value, tb);
    return 0;
error:
    Py_DECREF(type);
    Py_XDECREF(value);
    Py_XDECREF(tb);
    return -1;
}

/* The value of the StopIteration that is set, which is taken; NULL when another exception is set, which stays. */
static PyObject *
take_stop_iteration_value(void)
{
    if (!PyErr_ExceptionMatches(PyExc_StopIteration)) {
        return NULL;
    }
    PyObject *exc = PyErr_GetRaisedException();
    if (!PyObject_TypeCheck(exc, (PyTypeObject *)PyExc_StopIteration)) {  // no memory to make the instance
        PyErr_SetRaisedException(exc);
        return NULL;
    }
    PyObject *value = ((PyStopIterationObject *)exc)->value;
    Py_INCREF(value != NULL ? value : (value = Py_None));  // deleted, or never set by its __init__()
    Py_DECREF(exc);
    return value;
}

AwaitOutcome
actx_await_caught(PyObject **value)
{
    if (ACTX_AWAIT_CATCHES_STOP_ITERATION) {
        *value = take_stop_iteration_value();
    }
    return *value != NULL ? AWAIT_RETURN : AWAIT_ERROR;
}

/* Call a bound throw().  A coroutine that throws into the one it awaits does so without the warning that its
   public throw() gives for three arguments, hence the exception is made here and passed alone. */
static PyObject *
call_throw(PyObject *method, PyObject *iterator, PyObject *const *args, Py_ssize_t nargs)
{
    if (!ACTX_THROW_TAKES_VALUE || nargs == 1 || !(PyGen_CheckExact(iterator) || PyCoro_CheckExact(iterator))) {
        return PyObject_Vectorcall(method, args, (size_t)nargs, NULL);
    }
    actx_await_raise(args, nargs);
    PyObject *exc = PyErr_GetRaisedException();
    PyObject *result = PyObject_CallOneArg(method, exc);
    Py_DECREF(exc);
    return result;
}

AwaitOutcome
actx_await_throw(ModuleState *state, PyObject *iterator, PyObject *const *args, Py_ssize_t nargs, PyObject **value)
{
    PyObject *method;
    if (PyObject_GetOptionalAttr(iterator, state->names.throw_, &method) < 0) {
        return AWAIT_ERROR;
    }
    if (method == NULL) {
        return actx_await_raise(args, nargs) == 0 ? AWAIT_ERROR : AWAIT_STOPPED;
    }
    *value = call_throw(method, iterator, args, nargs);
    Py_DECREF(method);
    if (*value != NULL) {
        return AWAIT_NEXT;
    }
    *value = take_stop_iteration_value();
    return *value != NULL ? AWAIT_RETURN : AWAIT_ERROR;
}

/* close() of the objects through which an async generator is run: before 3.13 it only marks them, and the
   generator would be taken for running ever after. */
static int
close_by_throwing(ModuleState *state, PyObject *iterator)
{
    PyObject *value = NULL;
    AwaitOutcome outcome = actx_await_throw(state, iterator, &PyExc_GeneratorExit, 1, &value);
    Py_XDECREF(value);
    if (outcome == AWAIT_NEXT) {
        PyErr_SetString(PyExc_RuntimeError, "coroutine ignored GeneratorExit");
        return -1;
    }
    if (outcome == AWAIT_ERROR) {
        if (!PyErr_ExceptionMatches(PyExc_StopAsyncIteration) && !PyErr_ExceptionMatches(PyExc_GeneratorExit)) {
            return -1;
        }
        PyErr_Clear();
    }
    return 0;
}

static bool
is_generator_step(PyObject *iterator)
{
    const char *name = Py_TYPE(iterator)->tp_name;
    return strcmp(name, "async_generator_asend") == 0 || strcmp(name, "async_generator_athrow") == 0;
}

int
actx_await_close(ModuleState *state, PyObject *iterator)
{
    PyObject *method, *result;
    if (ACTX_STEP_CLOSE_ONLY_MARKS && is_generator_step(iterator)) {
        return close_by_throwing(state, iterator);
    }
    if (PyObject_GetOptionalAttr(iterator, state->names.close, &method) < 0) {
        PyErr_WriteUnraisable(iterator);
        return 0;
    }
    if (method == NULL) {
        return 0;
    }
    result = PyObject_CallNoArgs(method);
    Py_DECREF(method);
    if (result == NULL) {
        return -1;
    }
    Py_DECREF(result);
    return 0;
}
