/* What can be asked of a manager: _recreate_cm(), and the attributes that contextlib keeps in the instance
   dictionary. */
#include "contextmanager.h"
#include "errors.h"

/* -- _recreate_cm -- */

/* The kept values, named ones last, as one tuple. */
static PyObject *
manager_kept_values(ManagerObject *self)
{
    if (self->form == ARGS_PACKED) {
        return Py_NewRef(self->items[0]);
    }
    PyObject *values = PyTuple_New(self->count);
    for (int i = 0; values != NULL && i < self->count; i++) {
        PyTuple_SET_ITEM(values, i, Py_NewRef(self->items[i]));
    }
    return values;
}

/* {name: value} for the last of the values. */
static PyObject *
kwds_new(PyObject *kwnames, PyObject *values)
{
    PyObject *kwds = PyDict_New();
    Py_ssize_t named = kwnames != NULL ? PyTuple_GET_SIZE(kwnames) : 0;
    Py_ssize_t first = PyTuple_GET_SIZE(values) - named;
    for (Py_ssize_t i = 0; kwds != NULL && i < named; i++) {
        if (PyDict_SetItem(kwds, PyTuple_GET_ITEM(kwnames, i), PyTuple_GET_ITEM(values, first + i)) < 0) {
            Py_CLEAR(kwds);
        }
    }
    return kwds;
}

/* Make args a tuple and kwds a dictionary, as contextlib has them from the start.  The names may be instances of a
   subclass of str, whose methods may come back here: who is done first wins. */
static int
manager_publish_args(ManagerObject *self)
{
    if (self->form == ARGS_PUBLIC || self->form == ARGS_NONE) {
        self->form = ARGS_PUBLIC;
        return 0;
    }
    PyObject *kwnames = Py_XNewRef(self->kwnames);
    PyObject *values = manager_kept_values(self);
    PyObject *kwds = values != NULL ? kwds_new(kwnames, values) : NULL;
    PyObject *args = NULL;
    if (kwds != NULL) {
        Py_ssize_t positional = PyTuple_GET_SIZE(values) - (kwnames != NULL ? PyTuple_GET_SIZE(kwnames) : 0);
        args = PyTuple_GetSlice(values, 0, positional);
    }
    if (args != NULL && (self->form == ARGS_INLINE || self->form == ARGS_PACKED)) {
        PyObject *func = Py_XNewRef(self->func);
        actx_manager_drop_call(self);
        self->func = func;
        self->form = ARGS_PUBLIC;
        self->items[PUBLIC_ARGS] = Py_NewRef(args);
        self->items[PUBLIC_KWDS] = Py_NewRef(kwds);
    }
    int result = args != NULL ? 0 : -1;
    Py_XDECREF(kwnames);
    Py_XDECREF(values);
    Py_XDECREF(kwds);
    Py_XDECREF(args);
    return result;
}

/* Call the function again with the vector that is kept.  Held on its own meanwhile: the call may enter this
   manager. */
static PyObject *
manager_recreate_inline(ManagerObject *self)
{
    PyObject *values[INLINE_ARGS];
    PyObject *func = Py_NewRef(self->func);
    PyObject *kwnames = Py_XNewRef(self->kwnames);
    int count = self->count;
    for (int i = 0; i < count; i++) {
        values[i] = Py_NewRef(self->items[i]);
    }
    Py_ssize_t named = kwnames != NULL ? PyTuple_GET_SIZE(kwnames) : 0;
    PyObject *result = actx_manager_new(self->state, func, values, (size_t)(count - named), kwnames);
    for (int i = 0; i < count; i++) {
        Py_DECREF(values[i]);
    }
    Py_XDECREF(kwnames);
    Py_DECREF(func);
    return result;
}

/* The same with the tuple and the dictionary that the function's Python body made of its arguments. */
static PyObject *
manager_recreate_public(ManagerObject *self)
{
    PyObject *func = Py_NewRef(self->func);
    PyObject *args = Py_NewRef(self->items[PUBLIC_ARGS]);
    PyObject *kwds = Py_NewRef(self->items[PUBLIC_KWDS]);
    PyObject *result = actx_manager_from_tuple(self->state, func, args, kwds);
    Py_DECREF(func);
    Py_DECREF(args);
    Py_DECREF(kwds);
    return result;
}

PyDoc_STRVAR(manager_recreate_doc,
             "Return a new manager for the same function and arguments, as the decorator form needs one per call.\n\n"
             "Raises AttributeError when this one was entered.");

static PyObject *
manager_recreate(PyObject *op, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    ManagerObject *self = (ManagerObject *)op;
    ModuleState *state = self->state;
    if (nargs != 0 || kwnames != NULL) {
        PyObject *bound = actx_call_with_self(state->bind_recreate, op, args, nargs, kwnames);
        if (bound == NULL) {
            return NULL;
        }
        Py_DECREF(bound);
    }
    if (Py_TYPE(self) == state->manager_type && self->func != NULL && self->form == ARGS_INLINE) {
        return manager_recreate_inline(self);
    }
    if (Py_TYPE(self) == state->manager_type && self->func != NULL && self->form == ARGS_PUBLIC &&
        self->items[PUBLIC_ARGS] != NULL && self->items[PUBLIC_KWDS] != NULL) {
        return manager_recreate_public(self);
    }
    PyObject *cls = NULL, *func = NULL, *values = NULL, *kwds = NULL, *result = NULL;
    if ((cls = PyObject_GetAttr((PyObject *)self, state->names.class_)) != NULL &&
        (func = PyObject_GetAttr((PyObject *)self, state->names.func)) != NULL &&
        (values = PyObject_GetAttr((PyObject *)self, state->names.args)) != NULL &&
        (kwds = PyObject_GetAttr((PyObject *)self, state->names.kwds)) != NULL) {
        result = PyObject_CallFunctionObjArgs(cls, func, values, kwds, NULL);
    }
    Py_XDECREF(cls);
    Py_XDECREF(func);
    Py_XDECREF(values);
    Py_XDECREF(kwds);
    return result;
}

const MethodDef actx_manager_recreate = {
    "_recreate_cm",
    "_GeneratorContextManagerBase._recreate_cm",
    manager_recreate_doc,
    manager_recreate,
};

/* -- attributes: what contextlib keeps in the instance dictionary -- */

/* Where the attribute of that name is stored; NULL on MemoryError. */
static PyObject **
manager_slot(ManagerObject *self, const char *name)
{
    if (strcmp(name, "gen") == 0) {
        return &self->gen;
    }
    if (strcmp(name, "func") == 0) {
        return &self->func;
    }
    if (strcmp(name, "__doc__") == 0) {
        return &self->doc;
    }
    if (manager_publish_args(self) < 0) {
        return NULL;
    }
    return &self->items[strcmp(name, "args") == 0 ? PUBLIC_ARGS : PUBLIC_KWDS];
}

static PyObject *
manager_get(ManagerObject *self, void *name)
{
    PyObject **slot = manager_slot(self, name);
    if (slot == NULL) {
        return NULL;
    }
    if (*slot == NULL) {
        PyErr_Format(PyExc_AttributeError, "'%.100s' object has no attribute '%s'", Py_TYPE(self)->tp_name, name);
    }
    return Py_XNewRef(*slot);
}

static int
manager_set(ManagerObject *self, PyObject *value, void *name)
{
    PyObject **slot = manager_slot(self, name);
    if (slot == NULL) {
        return -1;
    }
    if (value == NULL && *slot == NULL) {
        PyObject *missing = PyUnicode_FromString(name);
        if (missing != NULL) {
            actx_error_set_missing_attribute((PyObject *)self, missing);
            Py_DECREF(missing);
        }
        return -1;
    }
    Py_XSETREF(*slot, Py_XNewRef(value));
    return 0;
}

PyGetSetDef actx_manager_getset[] = {
    {"__dict__", PyObject_GenericGetDict, PyObject_GenericSetDict, NULL, NULL},
    {"gen", (getter)manager_get, (setter)manager_set, NULL, "gen"},
    {"func", (getter)manager_get, (setter)manager_set, NULL, "func"},
    {"args", (getter)manager_get, (setter)manager_set, NULL, "args"},
    {"kwds", (getter)manager_get, (setter)manager_set, NULL, "kwds"},
    {"_doc", (getter)manager_get, (setter)manager_set, NULL, "__doc__"},
    {NULL, NULL, NULL, NULL, NULL},
};
