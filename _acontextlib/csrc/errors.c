/* Making and changing exceptions; see errors.h for the contracts. */
#include "errors.h"

/* A fresh StopIteration made without calling its class: PyErr_SetObject() would spread a tuple over the arguments and
   take an exception for the instance itself. */
static PyObject *
stop_iteration_new(PyObject *value, Py_ssize_t nargs)
{
    PyTypeObject *type = (PyTypeObject *)PyExc_StopIteration;
    PyObject *args = nargs == 0 ? PyTuple_New(0) : PyTuple_Pack(1, value);
    if (args == NULL) {
        return NULL;
    }
    PyObject *exc = type->tp_alloc(type, 0);
    if (exc == NULL) {
        Py_DECREF(args);
        return NULL;
    }
    ((PyBaseExceptionObject *)exc)->args = args;
    ((PyStopIterationObject *)exc)->value = Py_NewRef(value);
    return exc;
}

/* The kept StopIteration(False) may be raised again only while nobody else has it, or had it and changed it. */
static inline bool
stop_iteration_is_pristine(PyObject *exc)
{
    PyBaseExceptionObject *base = (PyBaseExceptionObject *)exc;
    return Py_REFCNT(exc) == 1 && ((PyStopIterationObject *)exc)->value == Py_False && base->traceback == NULL &&
           base->context == NULL && base->cause == NULL && base->dict == NULL && PyTuple_GET_SIZE(base->args) == 0 &&
           !base->suppress_context;
}

void
actx_error_set_stop_iteration(PyObject *value)
{
    PyObject *exc = stop_iteration_new(value, value == Py_None ? 0 : 1);  // as coroutines do
    if (exc != NULL) {
        PyErr_SetRaisedException(exc);
    }
}

int
actx_error_init_stops(KeptStops *stops)
{
    stops->spare = stop_iteration_new(Py_None, 0);
    return stops->spare != NULL ? 0 : -1;
}

/* Where memory is short: the spare one with this value; NULL, and MemoryError stays set, where it is in use. */
static PyObject *
stop_iteration_from_spare(KeptStops *stops, PyObject *value)
{
    PyObject *exc = stops->spare;
    if (exc != NULL) {
        PyErr_Clear();
        stops->spare = NULL;
        Py_SETREF(((PyStopIterationObject *)exc)->value, Py_NewRef(value));
    }
    return exc;
}

void
actx_error_set_await_result(KeptStops *stops, PyObject *value)
{
    bool keep = value == Py_False && ACTX_FREELIST_SIZE != 0;
    if (keep && stops->with_false != NULL && stop_iteration_is_pristine(stops->with_false)) {
        PyErr_SetRaisedException(Py_NewRef(stops->with_false));
        return;
    }
    PyObject *exc = stop_iteration_new(value, 0);
    if (exc == NULL) {
        exc = stop_iteration_from_spare(stops, value);
        if (exc == NULL) {
            return;
        }
    }
    else if (stops->spare == NULL && actx_error_init_stops(stops) < 0) {
        PyErr_Clear();
    }
    if (keep) {
        PyObject *before = stops->with_false;
        stops->with_false = Py_NewRef(exc);
        Py_XDECREF(before);
    }
    PyErr_SetRaisedException(exc);
}

/* Raising takes memory: what is set after PyErr_SetString() and its like may be a MemoryError in place of the exception
   that was asked for, and is then to stay as it is. */
static inline bool
raised_as_asked(PyObject *exc, PyObject *type)
{
    return Py_IS_TYPE(exc, (PyTypeObject *)type);
}

void
actx_error_wrap_stop_iteration(void)
{
    PyObject *cause = PyErr_GetRaisedException();
    PyErr_SetString(PyExc_RuntimeError, "coroutine raised StopIteration");
    PyObject *exc = PyErr_GetRaisedException();
    if (raised_as_asked(exc, PyExc_RuntimeError)) {
        PyException_SetCause(exc, Py_NewRef(cause));
    }
    PyException_SetContext(exc, cause);
    PyErr_SetRaisedException(exc);
}

void
actx_error_chain(PyObject *handled)
{
    HandledScope scope;
    if (handled != NULL) {
        actx_handled_push(&scope, handled);
        actx_compat_raise_again();
        actx_handled_pop(&scope);
    }
}

void
actx_error_set_while_handling(PyObject *handled, PyObject *type, const char *text)
{
    HandledScope scope;
    actx_handled_push(&scope, handled);
    PyErr_SetString(type, text);
    actx_handled_pop(&scope);
}

void
actx_error_set_from_none(PyObject *handled, PyObject *type, const char *text)
{
    actx_error_set_while_handling(handled, type, text);
    PyObject *exc = PyErr_GetRaisedException();
    if (raised_as_asked(exc, type)) {
        PyException_SetCause(exc, NULL);
    }
    PyErr_SetRaisedException(exc);
}

void
actx_error_set_missing_attribute(PyObject *object, PyObject *name)
{
    PyErr_Format(PyExc_AttributeError, "'%.100s' object has no attribute '%U'", Py_TYPE(object)->tp_name, name);
#if ACTX_DELETE_NAMES_ATTRIBUTE
    PyObject *exc = PyErr_GetRaisedException();
    if (raised_as_asked(exc, PyExc_AttributeError) &&
        (PyObject_SetAttrString(exc, "name", name) < 0 || PyObject_SetAttrString(exc, "obj", object) < 0)) {
        PyErr_Clear();
    }
    PyErr_SetRaisedException(exc);
#endif
}

void
actx_error_set_missing_attribute_string(PyObject *object, const char *name)
{
    PyObject *missing = PyUnicode_FromString(name);
    if (missing != NULL) {
        actx_error_set_missing_attribute(object, missing);
        Py_DECREF(missing);
    }
}
