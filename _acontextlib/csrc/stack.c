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
    actx_weakrefs_clear(self, &self->weakrefs);
    stack_tp_clear(self);
    if (plain && type->tp_finalize == NULL) {
        actx_byte_store(&self->is_public, false);
        self->reserved = 0;  // of enters that the collector cut short
        actx_freelist_push(&self->state->stacks, (PyObject *)self);
    }
    else {
        type->tp_free(self);
        Py_DECREF(type);
    }
    Py_TRASHCAN_END
}

/* Everything that a stack is to call, taken out of it. */
typedef struct {
    PyObject *callbacks;  // strong or NULL
    ExitEntries entries;
} DetachedEntries;

/* Take them, and have `callbacks` (taken) in their place, or no entries where that is NULL. */
static inline void
stack_replace_lock_held(StackObject *self, uint8_t is_public, PyObject *callbacks, DetachedEntries *before)
{
    before->callbacks = self->callbacks;
    self->callbacks = callbacks;
    self->changes++;
    actx_byte_store(&self->is_public, is_public);
    if (!actx_entries_are_initial(&self->entries)) {
        actx_entries_move(&before->entries, &self->entries);
    }
    else {
        actx_entries_init(&before->entries);
    }
}

static void
detached_release(DetachedEntries *detached)
{
    actx_entries_clear(&detached->entries);
    Py_XDECREF(detached->callbacks);
}

/* `self._exit_callbacks = deque()` */
void
actx_stack_reset(StackObject *self)
{
    DetachedEntries before;
    Py_BEGIN_CRITICAL_SECTION(self);
    stack_replace_lock_held(self, false, NULL, &before);
    Py_END_CRITICAL_SECTION();
    detached_release(&before);
}

/* `to._exit_callbacks = from._exit_callbacks`, then `from._exit_callbacks = deque()` */
void
actx_stack_move(StackObject *to, StackObject *from)
{
    DetachedEntries before;
    Py_BEGIN_CRITICAL_SECTION2(to, from);
    stack_replace_lock_held(to, false, NULL, &before);
    if (to != from) {
        to->callbacks = from->callbacks;
        actx_byte_store(&to->is_public, from->is_public);
        actx_entries_move(&to->entries, &from->entries);
        from->callbacks = NULL;
        actx_byte_store(&from->is_public, false);
        from->changes++;
    }
    Py_END_CRITICAL_SECTION2();
    detached_release(&before);
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
    unsigned int version = actx_type_version(type);
    for (int i = 0; i < STACK_WATCHED; i++) {
        const WatchedName *watch = &state->stack_watched[i];
        if (watch->original != NULL && _PyType_Lookup(type, watch->name) != watch->original) {
            found |= watched[i].means;
        }
    }
    if (version == actx_type_version(type)) {  // nobody has changed the class meanwhile
        actx_word_store(&state->stack_classes[type != state->stack_type], (StackClass)version << 8 | found);
    }
    return found;
}

/* An attribute of the instance comes before a method of its class. */
static int
instance_overrides(const ModuleState *state, PyObject *dict)
{
    int found = 0;
    if (PyDict_Size(dict) == 0) {
        return 0;
    }
    for (int i = 0; i < STACK_WATCHED && found >= 0; i++) {
        const WatchedName *watch = &state->stack_watched[i];
        int has = watch->original != NULL ? PyDict_Contains(dict, watch->name) : 0;
        if (has < 0) {
            found = -1;
        }
        else if (has > 0) {
            found |= watched[i].means & ~OVERRIDES_ENTRIES;  // that is a data descriptor
        }
    }
    return found;
}

int
actx_stack_ask_overrides(StackObject *self)
{
    ModuleState *state = self->state;
    PyTypeObject *type = Py_TYPE(self);
    const StackClass known = actx_word_load(&state->stack_classes[type != state->stack_type]);
    int found = (uint8_t)known;
    if (known >> 8 != actx_type_version(type) || known >> 8 == 0) {
        found = class_overrides(state, type);
    }
    PyObject *dict = actx_field_get(self, &self->dict);
    if (dict != NULL) {
        int more = instance_overrides(state, dict);
        Py_DECREF(dict);
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

/* A copy of the entry at `index`, with references of its own: 1, 0 when there is none, -1 when they have changed. */
static int
stack_copy_entry(StackObject *self, uint32_t changes, uint32_t index, ExitEntry *entry)
{
    int result;
    Py_BEGIN_CRITICAL_SECTION(self);
    result = changes != self->changes ? -1 : index < self->entries.count;
    if (result > 0) {
        *entry = self->entries.items[index];
        Py_INCREF(entry->callable);
        Py_XINCREF(entry->argument);
    }
    Py_END_CRITICAL_SECTION();
    return result;
}

/* Append (is_sync, callable) for an entry to a deque: 0 or -1. */
static int
deque_append_entry(ModuleState *state, PyObject *deque, const ExitEntry *entry)
{
    PyObject *callable = actx_entry_wrap(state, entry);
    PyObject *pair = callable != NULL ? PyTuple_Pack(2, entry->is_sync ? Py_True : Py_False, callable) : NULL;
    PyObject *none = pair != NULL ? PyObject_CallMethodOneArg(deque, state->names.append, pair) : NULL;
    Py_XDECREF(none);
    Py_XDECREF(pair);
    Py_XDECREF(callable);
    return none != NULL ? 0 : -1;
}

/* Make contextlib's deque of (is_sync, callable) of the entries and put it in their place.  They stay until it is
   whole, for making the callables may run anything; 1 when they have changed meanwhile. */
static int
stack_make_deque(StackObject *self, uint32_t changes)
{
    DetachedEntries before;
    ExitEntry entry;
    PyObject *deque = PyObject_CallNoArgs(self->state->deque_type);
    int failed = deque == NULL ? -1 : 0, copied = 1;
    for (uint32_t i = 0; failed == 0 && (copied = stack_copy_entry(self, changes, i, &entry)) > 0; i++) {
        failed = deque_append_entry(self->state, deque, &entry);
        actx_entry_clear(&entry);
    }
    bool changed = failed == 0 && copied < 0;
    if (failed == 0 && !changed) {
        Py_BEGIN_CRITICAL_SECTION(self);
        changed = changes != self->changes;
        if (!changed) {
            stack_replace_lock_held(self, true, deque, &before);
        }
        Py_END_CRITICAL_SECTION();
        if (!changed) {
            detached_release(&before);
            return 0;
        }
    }
    Py_XDECREF(deque);
    return failed < 0 ? -1 : 1;
}

static int
stack_publish(StackObject *self)
{
    int again = 1;
    while (again > 0) {
        bool is_public;
        uint32_t changes;
        Py_BEGIN_CRITICAL_SECTION(self);
        is_public = self->is_public;
        changes = self->changes;
        Py_END_CRITICAL_SECTION();
        again = is_public ? 0 : stack_make_deque(self, changes);
    }
    return again;
}

static PyObject *
stack_get_callbacks(StackObject *self, void *Py_UNUSED(closure))
{
    PyObject *callbacks;
    bool is_public;
    do {
        if (stack_publish(self) < 0) {
            return NULL;
        }
        Py_BEGIN_CRITICAL_SECTION(self);
        is_public = self->is_public;  // others may have moved everything to another stack since
        callbacks = Py_XNewRef(self->callbacks);
        Py_END_CRITICAL_SECTION();
    } while (!is_public);
    if (callbacks == NULL) {
        PyErr_Format(PyExc_AttributeError, "'%.100s' object has no attribute '_exit_callbacks'",
                     Py_TYPE(self)->tp_name);
    }
    return callbacks;
}

static int
stack_set_callbacks(StackObject *self, PyObject *value, void *Py_UNUSED(closure))
{
    DetachedEntries before;
    bool missing;
    Py_BEGIN_CRITICAL_SECTION(self);
    missing = value == NULL && self->is_public && self->callbacks == NULL;
    if (!missing) {
        stack_replace_lock_held(self, true, Py_XNewRef(value), &before);
    }
    Py_END_CRITICAL_SECTION();
    if (missing) {
        actx_error_set_missing_attribute((PyObject *)self, self->state->stack_watched[0].name);
        return -1;
    }
    detached_release(&before);
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
    bool is_public;
    int result = 0;
    Py_BEGIN_CRITICAL_SECTION(self);
    is_public = self->is_public;
    if (!is_public) {
        self->changes++;
        result = actx_entries_pop(&self->entries, entry);
    }
    Py_END_CRITICAL_SECTION();
    return is_public ? stack_pop_public(self, entry) : result;
}

/* -- pushing -- */

/* `self._exit_callbacks.append((is_sync, callback))` */
static Py_NO_INLINE int
stack_append_public(StackObject *self, const ExitEntry *entry)
{
    PyObject *callbacks = PyObject_GetAttr((PyObject *)self, self->state->stack_watched[0].name);
    int result = callbacks != NULL ? deque_append_entry(self->state, callbacks, entry) : -1;
    Py_XDECREF(callbacks);
    return result;
}

int
actx_stack_append_take(StackObject *self, ExitEntry entry)
{
    bool is_public;
    int result = 0;
    Py_BEGIN_CRITICAL_SECTION(self);
    is_public = self->is_public;
    if (!is_public) {
        self->changes++;
        result = actx_entries_push(&self->entries, &entry, self->reserved);
    }
    Py_END_CRITICAL_SECTION();
    if (is_public) {
        result = stack_append_public(self, &entry);
    }
    if (is_public || result < 0) {
        actx_entry_clear(&entry);
    }
    return result;
}

/* -- tables -- */

static PyObject *
stack_sizeof(StackObject *self, PyObject *Py_UNUSED(ignored))
{
    size_t extra;
    Py_BEGIN_CRITICAL_SECTION(self);
    extra = actx_entries_extra_size(&self->entries);
    Py_END_CRITICAL_SECTION();
    return PyLong_FromSize_t((size_t)Py_TYPE(self)->tp_basicsize + extra);
}

static PyObject *
stack_get_weakref(StackObject *self, void *Py_UNUSED(closure))
{
    return actx_weakrefs_first(self, &self->weakrefs);
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
