/* The exit stack's entries; see callbacks.h for the contracts. */
#include "callbacks.h"

#include "state.h"

/* -- the array -- */

int
actx_entries_grow(ExitEntries *entries, uint32_t more)
{
    if (entries->capacity > UINT32_MAX / 4) {
        PyErr_NoMemory();
        return -1;
    }
    bool is_inline = entries->items == entries->inline_items;
    uint32_t capacity = entries->capacity + entries->capacity / 2 + 2 + more;
    ExitEntry *items = PyMem_Realloc(is_inline ? NULL : entries->items, capacity * sizeof(ExitEntry));
    if (items == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    if (is_inline) {
        memcpy(items, entries->inline_items, sizeof(entries->inline_items));
    }
    entries->items = items;
    entries->capacity = capacity;
    return 0;
}

void
actx_entries_move(ExitEntries *to, ExitEntries *from)
{
    *to = *from;
    if (from->items == from->inline_items) {
        to->items = to->inline_items;
    }
    actx_entries_init(from);
}

void
actx_entries_clear(ExitEntries *entries)
{
    ExitEntries detached;
    if (actx_entries_are_initial(entries)) {
        return;
    }
    actx_entries_move(&detached, entries);
    for (uint32_t i = 0; i < detached.count; i++) {  // the oldest first, as a deque does
        actx_entry_clear(&detached.items[i]);
    }
    if (detached.items != detached.inline_items) {
        PyMem_Free(detached.items);
    }
}

int
actx_entries_traverse(const ExitEntries *entries, visitproc visit, void *arg)
{
    for (uint32_t i = 0; i < entries->count; i++) {
        Py_VISIT(entries->items[i].callable);
        Py_VISIT(entries->items[i].argument);
    }
    return 0;
}

size_t
actx_entries_extra_size(const ExitEntries *entries)
{
    return entries->items == entries->inline_items ? 0 : entries->capacity * sizeof(ExitEntry);
}

/* -- making an entry -- */

/* The values of a call and the names of the last of them, in one tuple. */
static PyObject *
pack_vector(PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    Py_ssize_t count = nargs + (kwnames != NULL ? PyTuple_GET_SIZE(kwnames) : 0);
    PyObject *packed = PyTuple_New(count + 1);
    if (packed == NULL) {
        return NULL;
    }
    for (Py_ssize_t i = 0; i < count; i++) {
        PyTuple_SET_ITEM(packed, i, Py_NewRef(args[i]));
    }
    PyTuple_SET_ITEM(packed, count, Py_NewRef(kwnames != NULL ? kwnames : Py_None));
    return packed;
}

int
actx_entry_init_callback(ExitEntry *entry, PyObject *callable, PyObject *const *args, Py_ssize_t nargs,
                         PyObject *kwnames, bool is_sync)
{
    if (nargs > 1 || kwnames != NULL) {
        entry->argument = pack_vector(args, nargs, kwnames);
        if (entry->argument == NULL) {
            return -1;
        }
        entry->kind = ENTRY_CALL_VECTOR;
    }
    else {
        entry->argument = nargs == 1 ? Py_NewRef(args[0]) : NULL;
        entry->kind = nargs == 1 ? ENTRY_CALL_ONE : ENTRY_CALL;
    }
    entry->callable = Py_NewRef(callable);
    entry->is_sync = is_sync;
    return 0;
}

int
actx_entry_init_method(ExitEntry *entry, PyObject *manager, PyObject *function, bool takes_self, bool is_sync)
{
    if (takes_self && !PyCallable_Check(function)) {
        /* types.MethodType refuses it, in its own words. */
        PyObject *method = PyObject_CallFunctionObjArgs((PyObject *)&PyMethod_Type, function, manager, NULL);
        if (method == NULL) {
            return -1;
        }
        Py_DECREF(method);
    }
    entry->callable = Py_NewRef(function);
    entry->argument = takes_self ? Py_NewRef(manager) : NULL;
    entry->kind = takes_self ? ENTRY_METHOD : ENTRY_EXIT;
    entry->is_sync = is_sync;
    return 0;
}

/* -- using an entry -- */

PyObject *
actx_entry_call(const ExitEntry *entry, const ExitDetails *details)
{
    PyObject *vector[5] = {NULL, entry->argument, details->items[0], details->items[1], details->items[2]};
    switch ((EntryKind)entry->kind) {
    case ENTRY_EXIT:
        return PyObject_Vectorcall(entry->callable, vector + 2, 3 | PY_VECTORCALL_ARGUMENTS_OFFSET, NULL);
    case ENTRY_METHOD:
        return PyObject_Vectorcall(entry->callable, vector + 1, 4 | PY_VECTORCALL_ARGUMENTS_OFFSET, NULL);
    case ENTRY_CALL:
        return PyObject_CallNoArgs(entry->callable);
    case ENTRY_CALL_ONE:
        return PyObject_Vectorcall(entry->callable, vector + 1, 1 | PY_VECTORCALL_ARGUMENTS_OFFSET, NULL);
    case ENTRY_CALL_VECTOR:
        break;
    }
    Py_ssize_t count = PyTuple_GET_SIZE(entry->argument) - 1;
    PyObject *kwnames = PyTuple_GET_ITEM(entry->argument, count);
    if (kwnames == Py_None) {
        kwnames = NULL;
    }
    size_t nargs = (size_t)(count - (kwnames != NULL ? PyTuple_GET_SIZE(kwnames) : 0));
    return PyObject_Vectorcall(entry->callable, &PyTuple_GET_ITEM(entry->argument, 0), nargs, kwnames);
}

/* The function that calls the callback, made by contextlib's own function for it. */
static PyObject *
wrap_callback(ModuleState *state, const ExitEntry *entry)
{
    PyObject *make = entry->is_sync ? state->wrap_callback : state->wrap_async_callback;
    PyObject *one[2] = {entry->callable, entry->argument};
    PyObject *wrapper;
    if (entry->kind == ENTRY_CALL_VECTOR) {
        Py_ssize_t count = PyTuple_GET_SIZE(entry->argument);
        PyObject *kwnames = PyTuple_GET_ITEM(entry->argument, count - 1);
        PyObject **vector = PyMem_New(PyObject *, count);
        if (vector == NULL) {
            return PyErr_NoMemory();
        }
        vector[0] = entry->callable;
        memcpy(vector + 1, &PyTuple_GET_ITEM(entry->argument, 0), (size_t)(count - 1) * sizeof(PyObject *));
        Py_ssize_t named = kwnames != Py_None ? PyTuple_GET_SIZE(kwnames) : 0;
        wrapper = PyObject_Vectorcall(make, vector, (size_t)(count - named), kwnames != Py_None ? kwnames : NULL);
        PyMem_Free(vector);
    }
    else {
        wrapper = PyObject_Vectorcall(make, one, entry->kind == ENTRY_CALL_ONE ? 2 : 1, NULL);
    }
    if (wrapper != NULL && PyObject_SetAttr(wrapper, state->names.wrapped, entry->callable) < 0) {
        Py_CLEAR(wrapper);
    }
    return wrapper;
}

PyObject *
actx_entry_wrap(ModuleState *state, const ExitEntry *entry)
{
    switch ((EntryKind)entry->kind) {
    case ENTRY_EXIT:
        return Py_NewRef(entry->callable);
    case ENTRY_METHOD:
        if (ACTX_LOOKS_UP_STATICALLY) {
            PyTypeObject *type = Py_TYPE(entry->argument);
            return Py_TYPE(entry->callable)->tp_descr_get(entry->callable, entry->argument, (PyObject *)type);
        }
        return PyMethod_New(entry->callable, entry->argument);
    default:
        return wrap_callback(state, entry);
    }
}

/* -- special methods -- */

/* As contextlib looks them up from 3.15 on: in the dictionaries of the class and its bases, then of the metaclass,
   bound to the manager as a descriptor is; but a class is never bound.  A function is left unbound, which comes to
   the same. */
static int
lookup_static(PyObject *manager, PyObject *name, PyObject **function, bool *takes_self)
{
    PyTypeObject *type = Py_TYPE(manager);
    PyObject *found = actx_type_lookup(type, name);
    if (found == NULL) {
        found = actx_type_lookup(Py_TYPE(type), name);
    }
    if (found == NULL) {
        return PyErr_Occurred() ? -1 : 0;
    }
    descrgetfunc get = Py_TYPE(found)->tp_descr_get;
    *takes_self = PyType_HasFeature(Py_TYPE(found), Py_TPFLAGS_METHOD_DESCRIPTOR);
    if (*takes_self || get == NULL || PyType_Check(found)) {
        *function = found;
        return 1;
    }
    *function = get(found, manager, (PyObject *)type);
    Py_DECREF(found);
    return *function != NULL ? 1 : -1;
}

/* The attribute of an ordinary class, where it is a plain function; NULL, without an error, where it may be anything
   else. */
static inline PyObject *
class_function(PyTypeObject *type, PyObject *name)
{
    PyObject *found = Py_IS_TYPE(type, &PyType_Type) ? actx_type_lookup(type, name) : NULL;
    if (found != NULL && !PyFunction_Check(found)) {
        Py_CLEAR(found);
    }
    return found;
}

int
actx_special_lookup(PyObject *manager, PyObject *name, bool required, PyObject **function, bool *takes_self)
{
    if (ACTX_LOOKS_UP_STATICALLY) {
        return lookup_static(manager, name, function, takes_self);
    }
    PyObject *type = (PyObject *)Py_TYPE(manager);
    *takes_self = true;
    *function = class_function(Py_TYPE(manager), name);
    if (*function != NULL) {
        return 1;
    }
    if (!required) {
        return PyObject_GetOptionalAttr(type, name, function);
    }
    *function = PyObject_GetAttr(type, name);
    return *function != NULL ? 1 : PyErr_ExceptionMatches(PyExc_AttributeError) ? 0 : -1;
}
