/* The object behind AsyncExitStack: its life, what is overridden on it, its entries and the attribute that shows
   them.  The methods are in exitstack.c and unwind.c. */
#include "exitstack.h"

#include <structmember.h>

#include "errors.h"

/* -- life -- */

static void
stack_init_fields(StackObject *self, ModuleState *state)
{
    self->state = state;
    self->callbacks = NULL;
    self->is_public = false;
    self->reserved = 0;
    self->changes = 0;
    actx_entries_init(&self->entries);
}

static StackObject *
stack_new(ModuleState *state)
{
    StackObject *self = (StackObject *)actx_freelist_pop(&state->stacks);
    if (self == NULL) {
        self = PyObject_GC_New(StackObject, state->stack_type);
        if (self == NULL) {
            return NULL;
        }
        self->dict = NULL;
        self->weakrefs = NULL;
        stack_init_fields(self, state);
    }
    PyObject_GC_Track(self);
    return self;
}

static PyObject *
stack_tp_new(PyTypeObject *type, PyObject *Py_UNUSED(args), PyObject *Py_UNUSED(kwargs))
{
    PyObject *module = PyType_GetModuleByDef(type, &actx_module_def);
    if (module == NULL || actx_class_refuses(type)) {
        return NULL;
    }
    ModuleState *state = PyModule_GetState(module);
    StackObject *self;
    if (type == state->stack_type) {
        self = stack_new(state);
    }
    else if ((self = (StackObject *)type->tp_alloc(type, 0)) != NULL) {
        stack_init_fields(self, state);
    }
    if (self != NULL) {
        self->is_public = true;  // `_exit_callbacks` is missing until __init__() was called
    }
    return (PyObject *)self;
}

static int
stack_tp_traverse(StackObject *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(self->callbacks);
    Py_VISIT(self->dict);
    return actx_entries_traverse(&self->entries, visit, arg);
}

static int
stack_tp_clear(StackObject *self)
{
    actx_entries_clear(&self->entries);
    Py_CLEAR(self->callbacks);
    Py_CLEAR(self->dict);
    return 0;
}

static void
stack_tp_dealloc(StackObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    bool plain = actx_type_has_state(type) && type == self->state->stack_type;
    if (plain && actx_class_resurrects(type, (PyObject *)self)) {
        return;
    }
    PyObject_GC_UnTrack(self);
    Py_TRASHCAN_BEGIN(self, stack_tp_dealloc)  // stacks in stacks in stacks
    if (self->weakrefs != NULL) {
        PyObject_ClearWeakRefs((PyObject *)self);
    }
    stack_tp_clear(self);
    if (plain && type->tp_finalize == NULL) {
        self->is_public = false;
        self->reserved = 0;  // of enters that the collector cut short
        actx_freelist_push(&self->state->stacks, (PyObject *)self);
    }
    else {
        type->tp_free(self);
        Py_DECREF(type);
    }
    Py_TRASHCAN_END
}

/* `self._exit_callbacks = deque()` */
void
actx_stack_reset(StackObject *self)
{
    PyObject *callbacks = self->callbacks;
    self->callbacks = NULL;
    self->is_public = false;
    self->changes++;
    actx_entries_clear(&self->entries);
    Py_XDECREF(callbacks);
}

/* `to._exit_callbacks = from._exit_callbacks`, then `from._exit_callbacks = deque()` */
void
actx_stack_move(StackObject *to, StackObject *from)
{
    PyObject *callbacks = to->callbacks;
    ExitEntries entries;
    actx_entries_move(&entries, &to->entries);
    to->callbacks = NULL;
    to->is_public = false;
    to->changes++;
    if (to != from) {
        to->callbacks = from->callbacks;
        to->is_public = from->is_public;
        actx_entries_move(&to->entries, &from->entries);
        from->callbacks = NULL;
        from->is_public = false;
        from->changes++;
    }
    actx_entries_clear(&entries);
    Py_XDECREF(callbacks);
}

static int
stack_tp_init(StackObject *self, PyObject *args, PyObject *kwargs)
{
    if (PyTuple_GET_SIZE(args) != 0 || kwargs != NULL) {
        return actx_twin_init(self->state->stack_twins[STACK_INIT], (PyObject *)self, args, kwargs);
    }
    actx_stack_reset(self);
    return 0;
}

/* Calling the class itself, where nobody has changed what that does. */
static PyObject *
stack_vectorcall(PyObject *callable, PyObject *const *args, size_t nargsf, PyObject *kwnames)
{
    PyTypeObject *type = (PyTypeObject *)callable;
    PyObject *module = PyType_GetModuleByDef(type, &actx_module_def);
    if (module == NULL) {
        return NULL;
    }
    if (PyVectorcall_NARGS(nargsf) == 0 && kwnames == NULL && type->tp_new == stack_tp_new &&
        type->tp_init == (initproc)stack_tp_init) {
        return (PyObject *)stack_new(PyModule_GetState(module));
    }
    return actx_class_call(callable, args, nargsf, kwnames);
}

/* -- what is overridden -- */

/* The names that contextlib's methods look up on the stack, and what it means that one is not ours. */
static const struct {
    const char *name;
    uint8_t means;
} watched[STACK_WATCHED] = {
    {"_exit_callbacks", OVERRIDES_ENTRIES},
    {"_push_exit_callback", OVERRIDES_PUSHING},
    {"_push_cm_exit", OVERRIDES_PUSHING},
    {"_push_async_cm_exit", OVERRIDES_PUSHING},
    {"_create_exit_wrapper", OVERRIDES_PUSHING},
    {"_create_async_exit_wrapper", OVERRIDES_PUSHING},
    {"_create_cb_wrapper", OVERRIDES_PUSHING},
    {"_create_async_cb_wrapper", OVERRIDES_PUSHING},
    {"__aexit__", OVERRIDES_EXIT},
};

/* Compare what a class has with what ours had when it was made. */
static uint8_t
class_overrides(ModuleState *state, PyTypeObject *type)
{
    uint8_t found = 0;
    for (int i = 0; i < STACK_WATCHED; i++) {
        const WatchedName *watch = &state->stack_watched[i];
        if (watch->original != NULL && _PyType_Lookup(type, watch->name) != watch->original) {
            found |= watched[i].means;
        }
    }
    StackClass *known = &state->stack_classes[type != state->stack_type];
    known->version = type->tp_version_tag;
    known->overrides = found;
    return found;
}

/* An attribute of the instance comes before a method of its class. */
static int
instance_overrides(StackObject *self)
{
    int found = 0;
    if (PyDict_GET_SIZE(self->dict) == 0) {
        return 0;
    }
    PyObject *dict = Py_NewRef(self->dict);  // a key that compares itself may replace it
    for (int i = 0; i < STACK_WATCHED && found >= 0; i++) {
        const WatchedName *watch = &self->state->stack_watched[i];
        int has = watch->original != NULL ? PyDict_Contains(dict, watch->name) : 0;
        if (has < 0) {
            found = -1;
        }
        else if (has > 0) {
            found |= watched[i].means & ~OVERRIDES_ENTRIES;  // that is a data descriptor
        }
    }
    Py_DECREF(dict);
    return found;
}

int
actx_stack_ask_overrides(StackObject *self)
{
    ModuleState *state = self->state;
    PyTypeObject *type = Py_TYPE(self);
    const StackClass *known = &state->stack_classes[type != state->stack_type];
    int found = known->overrides;
    if (known->version != type->tp_version_tag || known->version == 0) {
        found = class_overrides(state, type);
    }
    if (self->dict != NULL) {
        int more = instance_overrides(self);
        return more < 0 ? -1 : found | more;
    }
    return found;
}

int
actx_stack_adopt_class(ModuleState *state)
{
    PyTypeObject *type = state->stack_type;
    type->tp_vectorcall = stack_vectorcall;
    for (int i = 0; i < STACK_WATCHED; i++) {
        WatchedName *watch = &state->stack_watched[i];
        watch->name = PyUnicode_InternFromString(watched[i].name);
        if (watch->name == NULL) {
            return -1;
        }
        watch->original = Py_XNewRef(_PyType_Lookup(type, watch->name));  // not every version has every name
    }
    return 0;
}

/* -- `_exit_callbacks` -- */

/* Make contextlib's deque of (is_sync, callable) of the entries.  They stay until it is whole, for making the
   callables may run anything; 1 when they have changed meanwhile. */
static int
stack_make_deque(StackObject *self, PyObject **result)
{
    const ExitEntries *entries = &self->entries;
    uint32_t changes = self->changes;
    PyObject *deque = PyObject_CallNoArgs(self->state->deque_type);
    int failed = deque == NULL ? -1 : 0;
    for (uint32_t i = 0; failed == 0 && i < entries->count; i++) {
        ExitEntry entry = entries->items[i];
        Py_INCREF(entry.callable);
        Py_XINCREF(entry.argument);
        PyObject *callable = actx_entry_wrap(self->state, &entry);
        PyObject *pair = callable != NULL ? PyTuple_Pack(2, entry.is_sync ? Py_True : Py_False, callable) : NULL;
        PyObject *none = pair != NULL ? PyObject_CallMethodOneArg(deque, self->state->names.append, pair) : NULL;
        failed = none == NULL ? -1 : changes != self->changes;
        Py_XDECREF(none);
        Py_XDECREF(pair);
        Py_XDECREF(callable);
        actx_entry_clear(&entry);
    }
    if (failed == 0 && changes == self->changes) {
        *result = deque;
        return 0;
    }
    Py_XDECREF(deque);
    return failed != 0 ? failed : 1;
}

static int
stack_publish(StackObject *self)
{
    PyObject *deque;
    int again = 1;
    while (!self->is_public && again > 0) {
        again = stack_make_deque(self, &deque);
        if (again == 0) {
            self->callbacks = deque;
            self->is_public = true;
            self->changes++;
            actx_entries_clear(&self->entries);
        }
    }
    return again < 0 ? -1 : 0;
}

static PyObject *
stack_get_callbacks(StackObject *self, void *Py_UNUSED(closure))
{
    if (stack_publish(self) < 0) {
        return NULL;
    }
    if (self->callbacks == NULL) {
        PyErr_Format(PyExc_AttributeError, "'%.100s' object has no attribute '_exit_callbacks'",
                     Py_TYPE(self)->tp_name);
    }
    return Py_XNewRef(self->callbacks);
}

static int
stack_set_callbacks(StackObject *self, PyObject *value, void *Py_UNUSED(closure))
{
    if (value == NULL && self->is_public && self->callbacks == NULL) {
        actx_error_set_missing_attribute((PyObject *)self, self->state->stack_watched[0].name);
        return -1;
    }
    PyObject *before = self->callbacks;
    self->callbacks = Py_XNewRef(value);
    self->is_public = true;
    self->changes++;
    actx_entries_clear(&self->entries);
    Py_XDECREF(before);
    return 0;
}

/* What was popped is lost if it cannot be unpacked, so the usual pair is taken as it is. */
static PyObject *
entry_unpack(ModuleState *state, PyObject *item)
{
    if (PyTuple_CheckExact(item) && PyTuple_GET_SIZE(item) == 2) {
        return Py_NewRef(item);
    }
    return PyObject_CallOneArg(state->unpack_entry, item);
}

/* `is_sync, callback = self._exit_callbacks.pop()` */
static int
stack_pop_public(StackObject *self, ExitEntry *entry)
{
    PyObject *callbacks = PyObject_GetAttr((PyObject *)self, self->state->stack_watched[0].name);
    int result = callbacks != NULL ? PyObject_IsTrue(callbacks) : -1;
    if (result > 0) {
        PyObject *item = PyObject_CallMethodNoArgs(callbacks, self->state->names.pop);
        PyObject *pair = item != NULL ? entry_unpack(self->state, item) : NULL;
        int is_sync = pair != NULL ? PyObject_IsTrue(PyTuple_GET_ITEM(pair, 0)) : -1;
        result = -1;
        if (is_sync >= 0) {
            entry->callable = Py_NewRef(PyTuple_GET_ITEM(pair, 1));
            entry->argument = NULL;
            entry->kind = ENTRY_EXIT;
            entry->is_sync = is_sync != 0;
            result = 1;
        }
        Py_XDECREF(pair);
        Py_XDECREF(item);
    }
    Py_XDECREF(callbacks);
    return result;
}

int
actx_stack_pop(StackObject *self, ExitEntry *entry)
{
    if (self->is_public) {
        return stack_pop_public(self, entry);
    }
    self->changes++;
    return actx_entries_pop(&self->entries, entry);
}

/* -- pushing -- */

int
actx_stack_reserve(StackObject *self)
{
    if (!self->is_public && actx_entries_reserve(&self->entries, self->reserved + 1U) < 0) {
        return -1;
    }
    if (self->reserved != UINT16_MAX) {
        self->reserved++;
    }
    return 0;
}

int
actx_stack_append_take(StackObject *self, ExitEntry entry)
{
    if (!self->is_public) {
        self->changes++;
        if (self->reserved != 0 && actx_entries_reserve(&self->entries, self->reserved + 1U) < 0) {
            actx_entry_clear(&entry);
            return -1;
        }
        return actx_entries_push_take(&self->entries, entry);
    }
    ModuleState *state = self->state;
    PyObject *none = NULL;
    PyObject *callbacks = PyObject_GetAttr((PyObject *)self, state->stack_watched[0].name);
    PyObject *callable = callbacks != NULL ? actx_entry_wrap(state, &entry) : NULL;
    PyObject *pair = callable != NULL ? PyTuple_Pack(2, entry.is_sync ? Py_True : Py_False, callable) : NULL;
    if (pair != NULL) {
        none = PyObject_CallMethodOneArg(callbacks, state->names.append, pair);
    }
    Py_XDECREF(none);
    Py_XDECREF(pair);
    Py_XDECREF(callable);
    Py_XDECREF(callbacks);
    actx_entry_clear(&entry);
    return none != NULL ? 0 : -1;
}

/* -- tables -- */

static PyObject *
stack_sizeof(StackObject *self, PyObject *Py_UNUSED(ignored))
{
    return PyLong_FromSize_t((size_t)Py_TYPE(self)->tp_basicsize + actx_entries_extra_size(&self->entries));
}

static PyObject *
stack_get_weakref(StackObject *self, void *Py_UNUSED(closure))
{
    return Py_NewRef(self->weakrefs != NULL ? self->weakrefs : Py_None);
}

static PyMethodDef stack_methods[] = {
    {"__sizeof__", (PyCFunction)stack_sizeof, METH_NOARGS, "Size of the stack and its entries in bytes."},
    {NULL, NULL, 0, NULL},
};

static PyMemberDef stack_members[] = {
    {"__weaklistoffset__", T_PYSSIZET, offsetof(StackObject, weakrefs), READONLY, NULL},
    {"__dictoffset__", T_PYSSIZET, offsetof(StackObject, dict), READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyGetSetDef stack_getset[] = {
    {"__dict__", PyObject_GenericGetDict, PyObject_GenericSetDict, NULL, NULL},
    {"__weakref__", (getter)stack_get_weakref, NULL, NULL, NULL},
    {"_exit_callbacks", (getter)stack_get_callbacks, (setter)stack_set_callbacks, NULL, NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot stack_slots[] = {
    {Py_tp_doc, "A base class for ExitStack and AsyncExitStack."},
    {Py_tp_new, stack_tp_new},
    {Py_tp_init, stack_tp_init},
    {Py_tp_dealloc, stack_tp_dealloc},
    {Py_tp_traverse, stack_tp_traverse},
    {Py_tp_clear, stack_tp_clear},
    {Py_tp_methods, stack_methods},
    {Py_tp_members, stack_members},
    {Py_tp_getset, stack_getset},
    {0, NULL},
};

PyType_Spec actx_stack_spec = {
    .name = "contextlib._BaseExitStack",
    .basicsize = sizeof(StackObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_BASETYPE,
    .slots = stack_slots,
};
