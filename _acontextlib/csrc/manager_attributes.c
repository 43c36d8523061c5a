/* What can be asked of a manager: the attributes that contextlib keeps in the instance dictionary, and _recreate_cm(),
   which needs them. */
#include "contextmanager.h"
#include "errors.h"

/* -- _recreate_cm -- */

/* The kept values, named ones last, as one tuple. */
static PyObject *
kept_call_values(const KeptCall *kept)
{
    if (kept->form == ARGS_PACKED) {
        return Py_NewRef(kept->items[0]);
    }
    PyObject *values = PyTuple_New(kept->count);
    for (int i = 0; values != NULL && i < kept->count; i++) {
        PyTuple_SET_ITEM(values, i, Py_NewRef(kept->items[i]));
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

/* Put a tuple and a dictionary in the place of the vector that they were made of, unless somebody else has by now. */
static void
manager_set_public(ManagerObject *self, PyObject *args, PyObject *kwds)
{
    KeptCall before;
    bool pending;
    Py_BEGIN_CRITICAL_SECTION(self);
    pending = self->form == ARGS_INLINE || self->form == ARGS_PACKED;
    if (pending) {
        actx_manager_detach_call_lock_held(self, &before);
        self->func = before.func;
        before.func = NULL;
        self->form = ARGS_PUBLIC;
        self->items[PUBLIC_ARGS] = Py_NewRef(args);
        self->items[PUBLIC_KWDS] = Py_NewRef(kwds);
    }
    Py_END_CRITICAL_SECTION();
    if (pending) {
        actx_kept_call_release(&before);
    }
}

/* Make args a tuple and kwds a dictionary, as contextlib has them from the start.  The names may be instances of a
   subclass of str, whose methods may come back here, and other threads may, too: who is done first wins. */
static int
manager_publish_args(ManagerObject *self)
{
    KeptCall kept;
    bool pending;
    Py_BEGIN_CRITICAL_SECTION(self);
    pending = self->form == ARGS_INLINE || self->form == ARGS_PACKED;
    if (pending) {
        actx_manager_copy_call_lock_held(self, &kept);
    }
    else {
        self->form = ARGS_PUBLIC;
    }
    Py_END_CRITICAL_SECTION();
    if (!pending) {
        return 0;
    }
    PyObject *values = kept_call_values(&kept);
    PyObject *kwds = values != NULL ? kwds_new(kept.kwnames, values) : NULL;
    PyObject *args = NULL;
    if (kwds != NULL) {
        Py_ssize_t positional = PyTuple_GET_SIZE(values) - (kept.kwnames != NULL ? PyTuple_GET_SIZE(kept.kwnames) : 0);
        args = PyTuple_GetSlice(values, 0, positional);
    }
    if (args != NULL) {
        manager_set_public(self, args, kwds);
    }
    int result = args != NULL ? 0 : -1;
    actx_kept_call_release(&kept);
    Py_XDECREF(values);
    Py_XDECREF(kwds);
    Py_XDECREF(args);
    return result;
}

/* Call the function again with the arguments as they are kept, which is done on copies of the references: the call may
   enter this manager.  False where something is missing, or packed. */
static bool
manager_call_again(ManagerObject *self, PyObject **result)
{
    KeptCall kept;
    Py_BEGIN_CRITICAL_SECTION(self);
    actx_manager_copy_call_lock_held(self, &kept);
    Py_END_CRITICAL_SECTION();
    bool again = true;
    if (kept.func != NULL && kept.form == ARGS_INLINE) {
        Py_ssize_t named = kept.kwnames != NULL ? PyTuple_GET_SIZE(kept.kwnames) : 0;
        *result = actx_manager_new(self->state, kept.func, kept.items, (size_t)(kept.count - named), kept.kwnames);
    }
    else if (kept.func != NULL && kept.form == ARGS_PUBLIC && kept.items[PUBLIC_ARGS] != NULL &&
             kept.items[PUBLIC_KWDS] != NULL) {
        *result = actx_manager_from_tuple(self->state, kept.func, kept.items[PUBLIC_ARGS], kept.items[PUBLIC_KWDS]);
    }
    else {
        again = false;
    }
    actx_kept_call_release(&kept);
    return again;
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
    PyObject *cls = NULL, *func = NULL, *values = NULL, *kwds = NULL, *result = NULL;
    if (Py_TYPE(self) == state->manager_type && manager_call_again(self, &result)) {
        return result;
    }
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
    PyObject *value = actx_field_get(self, slot);
    if (value == NULL) {
        PyErr_Format(PyExc_AttributeError, "'%.100s' object has no attribute '%s'", Py_TYPE(self)->tp_name, name);
    }
    return value;
}

static int
manager_set(ManagerObject *self, PyObject *value, void *name)
{
    PyObject **slot = manager_slot(self, name);
    if (slot == NULL) {
        return -1;
    }
    PyObject *before;
    Py_BEGIN_CRITICAL_SECTION(self);
    before = *slot;
    *slot = Py_XNewRef(value);
    self->replaced |= slot == &self->gen;
    if (self->form == ARGS_NONE && slot != &self->gen && slot != &self->func && slot != &self->doc) {
        self->form = ARGS_PUBLIC;  // it was entered since
    }
    Py_END_CRITICAL_SECTION();
    if (value == NULL && before == NULL) {
        actx_error_set_missing_attribute_string((PyObject *)self, name);
        return -1;
    }
    Py_XDECREF(before);
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
