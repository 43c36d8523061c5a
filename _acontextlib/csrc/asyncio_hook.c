/* asyncio's own firstiter hook; see asyncio_hook.h.

   Mirrors BaseEventLoop._asyncgen_firstiter_hook() in asyncio/base_events.py, and WeakSet.add() and the callback
   _remove() in _weakrefset.py.  Nothing here runs Python code but learning which function the hook is, once per
   function: between looking at a set and changing it no other thread gets in.  Builds without a GIL call the hook. */
#include "asyncio_hook.h"

#include "state.h"

/* -- what the hook is -- */

/* Ask asyncio_hook() of _templates.py whether the function is the hook: 1, 0, or -1. */
static int
hook_learn(ModuleState *state, PyObject *function)
{
    AsyncioHook *hook = &state->asyncio, before = *hook;
    PyObject *set_type, *add, *remove;
    int defers;
    if (state->asyncio_hook == NULL) {  // the module is being cleared
        return 0;
    }
    PyObject *found = PyObject_CallOneArg(state->asyncio_hook, function);
    if (found == NULL) {
        return -1;
    }
    if (found == Py_None) {
        Py_DECREF(found);
        hook->rejected = function;
        return 0;
    }
    if (!PyArg_ParseTuple(found, "O!O!O!p", &PyType_Type, &set_type, &PyFunction_Type, &add, &PyCode_Type, &remove,
                          &defers)) {
        Py_DECREF(found);
        return -1;
    }
    *hook = (AsyncioHook){
        .firstiter = Py_NewRef(function),
        .firstiter_code = Py_NewRef(PyFunction_GET_CODE(function)),
        .set_type = Py_NewRef(set_type),
        .add = Py_NewRef(add),
        .add_code = Py_NewRef(PyFunction_GET_CODE(add)),
        .remove_code = Py_NewRef(remove),
        .defers_removals = defers,
    };
    Py_DECREF(found);
    Py_XDECREF(before.firstiter);
    Py_XDECREF(before.firstiter_code);
    Py_XDECREF(before.set_type);
    Py_XDECREF(before.add);
    Py_XDECREF(before.add_code);
    Py_XDECREF(before.remove_code);
    return 1;
}

/* -- attributes, read where they are -- */

/* Whether instances have an attribute of this name in their dictionary or nowhere. */
static inline bool
type_leaves_alone(PyTypeObject *type, PyObject *name)
{
    return type->tp_getattro == PyObject_GenericGetAttr && _PyType_Lookup(type, name) == NULL;
}

/* Whether the loop's class leaves alone what is read here; remembered for the class that was seen last. */
static bool
loop_is_plain(ModuleState *state, PyObject *loop)
{
    AsyncioHook *hook = &state->asyncio;
    PyTypeObject *type = Py_TYPE(loop);
    if (type->tp_version_tag == hook->loop_version && hook->loop_version != 0) {
        return true;
    }
    if (!type_leaves_alone(type, state->names.asyncgens) || !type_leaves_alone(type, state->names.shutdown_called)) {
        return false;
    }
    hook->loop_version = type->tp_version_tag;
    return true;
}

/* Whether `set` is a WeakSet and the class is what it was when the hook was learnt. */
static bool
set_is_plain(ModuleState *state, PyObject *set)
{
    const Names *names = &state->names;
    AsyncioHook *hook = &state->asyncio;
    PyTypeObject *type = Py_TYPE(set);
    if ((PyObject *)type != hook->set_type || PyFunction_GET_CODE(hook->add) != hook->add_code) {
        return false;
    }
    if (type->tp_version_tag == hook->set_version && hook->set_version != 0) {
        return true;
    }
    if (_PyType_Lookup(type, names->add) != hook->add || !type_leaves_alone(type, names->data) ||
        !type_leaves_alone(type, names->remove) || !type_leaves_alone(type, names->iterating) ||
        !type_leaves_alone(type, names->pending_removals)) {
        return false;
    }
    hook->set_version = type->tp_version_tag;
    return true;
}

/* The dictionary of a set whose class leaves alone what is read here: a new reference, or NULL without an error. */
static inline PyObject *
set_dict(ModuleState *state, PyObject *set)
{
    PyObject **place = set_is_plain(state, set) ? _PyObject_GetDictPtr(set) : NULL;
    return place != NULL ? Py_XNewRef(*place) : NULL;
}

/* Look up an entry of it; borrowed.  A key that cannot be compared counts as missing: whom it concerns will come upon
   it. */
static inline PyObject *
dict_look_up(const Names *names, PyObject *dict, SetEntry entry)
{
    PyObject *const keys[] = {names->data, names->remove, names->iterating, names->pending_removals};
    PyObject *value = PyDict_GetItemWithError(dict, keys[entry]);
    if (value == NULL && PyErr_Occurred()) {
        PyErr_Clear();
    }
    return value;
}

/* An entry of a set's dictionary: a new reference, or NULL without an error. */
static inline PyObject *
dict_entry(ModuleState *state, PyObject *dict, SetEntry entry)
{
    if (!ACTX_HAS_DICT_VERSION) {
        return Py_XNewRef(dict_look_up(&state->names, dict, entry));
    }
    AsyncioHook *hook = &state->asyncio;
    uint64_t version = ACTX_DICT_VERSION(dict);
    if (hook->entries_version != version) {
        PyObject *found[SET_ENTRIES];
        for (int i = 0; i < SET_ENTRIES; i++) {
            found[i] = dict_look_up(&state->names, dict, (SetEntry)i);
        }
        if (ACTX_DICT_VERSION(dict) != version) {  // comparing keys has changed it
            return NULL;
        }
        memcpy(hook->entries, found, sizeof(found));
        hook->entries_version = version;
    }
    return Py_XNewRef(hook->entries[entry]);
}

/* Whether a set puts nothing off: this version's never does, or its entry, a collection of this type, is empty. */
static inline bool
set_is_at_rest(ModuleState *state, PyObject *dict, SetEntry entry, PyTypeObject *type)
{
    if (!state->asyncio.defers_removals) {
        return true;
    }
    PyObject *value = dict_entry(state, dict, entry);
    bool empty = value != NULL && Py_IS_TYPE(value, type) &&
                 (type == &PyList_Type ? PyList_GET_SIZE(value) : PySet_GET_SIZE(value)) == 0;
    Py_XDECREF(value);
    return empty;
}

/* What the loop, whose class leaves the name alone, has under it: a new reference, or NULL without an error.  Not read
   from its dictionary: asking for that makes one, and from then on all that runs on the loop takes longer (3.11
   and 3.15). Nobody but its generators would notice that of the set. */
static inline PyObject *
loop_attribute(PyObject *loop, PyObject *name)
{
    PyObject *value;
    if (PyObject_GetOptionalAttr(loop, name, &value) < 0) {
        PyErr_Clear();
        return NULL;
    }
    return value;
}

/* -- doing it -- */

/* `self.add(gen)`: 1, 0 where the set has to do that itself, or -1. */
static int
set_add(ModuleState *state, PyObject *self, PyObject *gen)
{
    PyObject *dict = set_dict(state, self), *remove = NULL, *data = NULL;
    int result = 0;
    /* `if self._pending_removals: self._commit_removals()`: somebody iterated meanwhile, which is rare. */
    if (dict != NULL && set_is_at_rest(state, dict, ENTRY_PENDING_REMOVALS, &PyList_Type)) {
        remove = dict_entry(state, dict, ENTRY_REMOVE);
        data = dict_entry(state, dict, ENTRY_DATA);
    }
    /* `self.data.add(ref(item, self._remove))` */
    if (remove != NULL && data != NULL && Py_IS_TYPE(data, &PySet_Type)) {
        PyObject *reference = PyWeakref_NewRef(gen, remove);
        result = reference != NULL && PySet_Add(data, reference) == 0 ? 1 : -1;
        Py_XDECREF(reference);
    }
    Py_XDECREF(data);
    Py_XDECREF(remove);
    Py_XDECREF(dict);
    return result;
}

int
actx_asyncio_hook_run(ModuleState *state, PyObject *firstiter, PyObject *gen)
{
    const AsyncioHook *hook = &state->asyncio;
    if (ACTX_FREE_THREADED || !PyMethod_Check(firstiter)) {
        return 0;
    }
    PyObject *function = PyMethod_GET_FUNCTION(firstiter), *loop = PyMethod_GET_SELF(firstiter);
    if (function != hook->firstiter) {
        int learnt = function == hook->rejected ? 0 : hook_learn(state, function);
        if (learnt <= 0) {
            return learnt;
        }
    }
    if (PyFunction_GET_CODE(function) != hook->firstiter_code || !loop_is_plain(state, loop)) {
        return 0;
    }
    /* `if self._asyncgens_shutdown_called: warnings.warn(...)`: the hook's own line is what that warning names. */
    PyObject *shutdown_called = loop_attribute(loop, state->names.shutdown_called);
    Py_XDECREF(shutdown_called);
    PyObject *set = shutdown_called == Py_False ? loop_attribute(loop, state->names.asyncgens) : NULL;
    int result = set != NULL ? set_add(state, set, gen) : 0;
    Py_XDECREF(set);
    return result;
}

/* The WeakSet whose callback this is, if it is the one that every WeakSet has; borrowed. */
static PyObject *
set_of_callback(ModuleState *state, PyObject *callback)
{
    if (callback == NULL || !PyFunction_Check(callback) ||
        PyFunction_GET_CODE(callback) != state->asyncio.remove_code) {
        return NULL;
    }
    /* `def _remove(item, selfref=ref(self))` */
    PyObject *defaults = PyFunction_GET_DEFAULTS(callback);
    if (defaults == NULL || PyTuple_GET_SIZE(defaults) != 1 ||
        !PyWeakref_CheckRefExact(PyTuple_GET_ITEM(defaults, 0))) {
        return NULL;
    }
    PyObject *set = ((PyWeakReference *)PyTuple_GET_ITEM(defaults, 0))->wr_object;
    return Py_REFCNT(set) > 0 ? set : NULL;
}

void
actx_asyncio_hook_forget(ModuleState *state, PyObject *gen)
{
    if (ACTX_FREE_THREADED || !PyAsyncGen_CheckExact(gen)) {
        return;
    }
    /* What somebody else holds, or stands in a row with others, is called back as ever. */
    PyWeakReference *reference = *(PyWeakReference **)((char *)gen + PyAsyncGen_Type.tp_weaklistoffset);
    if (reference == NULL || reference->wr_next != NULL || Py_REFCNT(reference) != 1 || PyErr_Occurred()) {
        return;
    }
    PyObject *set = set_of_callback(state, reference->wr_callback);
    PyObject *dict = set != NULL ? set_dict(state, set) : NULL, *data = NULL;
    /* `if self._iterating: self._pending_removals.append(item)` */
    if (dict != NULL && set_is_at_rest(state, dict, ENTRY_ITERATING, &PySet_Type)) {
        data = dict_entry(state, dict, ENTRY_DATA);
    }
    /* `self.data.discard(item)` */
    if (data != NULL && Py_IS_TYPE(data, &PySet_Type) && PySet_Discard(data, (PyObject *)reference) < 0) {
        PyErr_WriteUnraisable(data);
    }
    Py_XDECREF(data);
    Py_XDECREF(dict);
}
