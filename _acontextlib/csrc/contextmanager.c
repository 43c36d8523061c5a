/* _AsyncGeneratorContextManager: the object that a decorated function returns.

   Made by decorator.c with the generator already created; its __aenter__() and __aexit__() are in enter_exit.c.
   It owns the generator and, until it is entered, the function and the arguments, which only _recreate_cm() and
   curious users need: they stay the vector they came as until somebody asks (manager_attributes.c).

   Mirrors _GeneratorContextManagerBase and _AsyncGeneratorContextManager of contextlib. */
#include "contextmanager.h"

#include <structmember.h>

#include "classes.h"
#include "errors.h"

/* -- life -- */

/* To be tracked by the collector, which shows it to everybody, when it is whole. */
static ManagerObject *
manager_alloc(ModuleState *state)
{
    ManagerObject *self = (ManagerObject *)actx_freelist_pop(&state->managers);
    if (self == NULL) {
        self = PyObject_GC_New(ManagerObject, state->manager_type);
        if (self == NULL) {
            return NULL;
        }
        memset((char *)self + sizeof(PyObject), 0, sizeof(*self) - sizeof(PyObject));
        self->state = state;
    }
    return self;
}

static PyObject *
manager_tp_new(PyTypeObject *type, PyObject *Py_UNUSED(args), PyObject *Py_UNUSED(kwargs))
{
    PyObject *module = PyType_GetModuleByDef(type, &actx_module_def);
    if (module == NULL || actx_class_refuses(type)) {
        return NULL;
    }
    ManagerObject *self = (ManagerObject *)type->tp_alloc(type, 0);
    if (self != NULL) {
        self->state = PyModule_GetState(module);
    }
    return (PyObject *)self;
}

static int
manager_tp_traverse(ManagerObject *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(self->gen);
    Py_VISIT(self->func);
    Py_VISIT(self->doc);
    for (int i = 0; i < INLINE_ARGS; i++) {
        Py_VISIT(self->items[i]);
    }
    Py_VISIT(self->kwnames);  // names of a subclass of str hold anything
    Py_VISIT(self->dict);
    return 0;
}

/* Forget the function and its arguments. */
static inline void
manager_drop_call(ManagerObject *self)
{
    KeptCall kept;
    actx_manager_detach_call_lock_held(self, &kept);
    actx_kept_call_release(&kept);
}

/* Nobody else has the object any more, or will have it. */
static int
manager_tp_clear(ManagerObject *self)
{
    manager_drop_call(self);
    Py_CLEAR(self->gen);
    Py_CLEAR(self->doc);
    Py_CLEAR(self->dict);
    return 0;
}

/* Whether releasing what it holds may come to another manager, and so on: one that has run its generator to the end
   holds nothing of that kind. */
static inline bool
manager_holds_any(ManagerObject *self)
{
    return !self->ended || self->replaced || self->func != NULL || self->form != ARGS_NONE ||
           (self->doc != NULL && !PyUnicode_CheckExact(self->doc));
}

/* Release what it holds, and the object. */
static inline void
manager_free(ManagerObject *self, bool plain)
{
    PyTypeObject *type = Py_TYPE(self);
    manager_tp_clear(self);
    self->ended = self->replaced = false;
    if (plain && type->tp_finalize == NULL) {
        actx_freelist_push(&self->state->managers, (PyObject *)self);
        return;
    }
    type->tp_free(self);
    Py_DECREF(type);
}

static void
manager_tp_dealloc(ManagerObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    bool plain = actx_type_has_state(type) && type == self->state->manager_type;
    if (plain && actx_class_resurrects(type, (PyObject *)self)) {
        return;
    }
    PyObject_GC_UnTrack(self);
    actx_weakrefs_clear(self, &self->weakrefs);
    if (plain && self->state->asyncio.firstiter != NULL && self->gen != NULL && Py_REFCNT(self->gen) == 1) {
        actx_asyncio_hook_forget(self->state, self->gen);
    }
    if (plain && !manager_holds_any(self)) {
        manager_free(self, plain);
        return;
    }
    Py_TRASHCAN_BEGIN(self, manager_tp_dealloc)  // managers in the arguments of managers
    manager_free(self, plain);
    Py_TRASHCAN_END
}

/* Instances of the class itself have no slots, no finalizer and no dictionary beside those of its base, hence the
   general deallocator of classes made in Python has nothing to do for them but to take time. */
void
actx_manager_adopt_class(PyTypeObject *type)
{
    assert(type->tp_basicsize == type->tp_base->tp_basicsize);
    type->tp_dealloc = (destructor)manager_tp_dealloc;
    type->tp_traverse = (traverseproc)manager_tp_traverse;
    type->tp_clear = (inquiry)manager_tp_clear;
}

/* -- making one -- */

/* getattr(func, "__doc__", None), or what the class says where that is None. */
static PyObject *
instance_doc(ModuleState *state, PyTypeObject *type, PyObject *func)
{
    PyObject *doc;
    if (!ACTX_FREE_THREADED && PyFunction_Check(func)) {  // where others may set it, the attribute knows how to read
        doc = Py_XNewRef(((PyFunctionObject *)func)->func_doc);
    }
    else if (PyObject_GetOptionalAttr(func, state->names.doc, &doc) < 0) {
        return NULL;
    }
    if (doc != NULL && doc != Py_None) {
        return doc;
    }
    Py_XDECREF(doc);
    if (type == state->manager_type) {
        return Py_NewRef(state->manager_doc);
    }
    return PyObject_GetAttr((PyObject *)type, state->names.doc);
}

/* Keep the vector of a call. */
static int
manager_keep_args(ManagerObject *self, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    Py_ssize_t count = nargs + (kwnames != NULL ? PyTuple_GET_SIZE(kwnames) : 0);
    self->kwnames = Py_XNewRef(kwnames);
    if (count <= INLINE_ARGS) {
        for (Py_ssize_t i = 0; i < count; i++) {
            self->items[i] = Py_NewRef(args[i]);
        }
        self->form = ARGS_INLINE;
        self->count = (uint8_t)count;
        return 0;
    }
    PyObject *packed = PyTuple_New(count);
    if (packed == NULL) {
        return -1;
    }
    for (Py_ssize_t i = 0; i < count; i++) {
        PyTuple_SET_ITEM(packed, i, Py_NewRef(args[i]));
    }
    self->items[0] = packed;
    self->form = ARGS_PACKED;
    return 0;
}

PyObject *
actx_manager_new(ModuleState *state, PyObject *func, PyObject *const *args, size_t nargsf, PyObject *kwnames)
{
    PyObject *gen;
    if (PyFunction_Check(func)) {  // straight to its vectorcall: the check of its result is for C functions
        gen = ((PyFunctionObject *)func)->vectorcall(func, args, nargsf, kwnames);
    }
    else {
        gen = PyObject_Vectorcall(func, args, nargsf, kwnames);
    }
    if (gen == NULL) {
        return NULL;
    }
    PyObject *doc = instance_doc(state, state->manager_type, func);
    ManagerObject *self = doc != NULL ? manager_alloc(state) : NULL;
    if (self == NULL) {
        Py_XDECREF(doc);
        Py_DECREF(gen);
        return NULL;
    }
    self->gen = gen;
    self->func = Py_NewRef(func);
    self->doc = doc;
    int failed = manager_keep_args(self, args, PyVectorcall_NARGS(nargsf), kwnames);
    PyObject_GC_Track(self);
    if (failed < 0) {
        Py_CLEAR(self);
    }
    return (PyObject *)self;
}

/* func(*args, **kwds) */
static PyObject *
call_generator_function(ModuleState *state, PyObject *func, PyObject *args, PyObject *kwds)
{
    if (!PyTuple_CheckExact(args) || !PyDict_CheckExact(kwds)) {
        return PyObject_CallFunctionObjArgs(state->call, func, args, kwds, NULL);
    }
    if (PyDict_GET_SIZE(kwds) != 0) {
        return PyObject_Call(func, args, kwds);
    }
    return PyObject_Vectorcall(func, &PyTuple_GET_ITEM(args, 0), (size_t)PyTuple_GET_SIZE(args), NULL);
}

/* self.__init__(func, args, kwds), also when it was initialised before. */
static int
manager_set_call(ManagerObject *self, PyObject *func, PyObject *args, PyObject *kwds)
{
    KeptCall before;
    PyObject *gen = call_generator_function(self->state, func, args, kwds);
    PyObject *doc = gen != NULL ? instance_doc(self->state, self->state->manager_type, func) : NULL;
    if (doc == NULL) {
        Py_XDECREF(gen);
        return -1;
    }
    PyObject *gen_before, *doc_before;
    Py_BEGIN_CRITICAL_SECTION(self);
    gen_before = self->gen;
    doc_before = self->doc;
    self->gen = gen;
    self->replaced = gen_before != NULL;
    self->doc = doc;
    actx_manager_detach_call_lock_held(self, &before);
    self->func = Py_NewRef(func);
    self->form = ARGS_PUBLIC;
    self->items[PUBLIC_ARGS] = Py_NewRef(args);
    self->items[PUBLIC_KWDS] = Py_NewRef(kwds);
    Py_END_CRITICAL_SECTION();
    Py_XDECREF(gen_before);
    Py_XDECREF(doc_before);
    actx_kept_call_release(&before);
    return 0;
}

PyObject *
actx_manager_from_tuple(ModuleState *state, PyObject *func, PyObject *args, PyObject *kwds)
{
    ManagerObject *self = manager_alloc(state);
    if (self != NULL) {
        int failed = manager_set_call(self, func, args, kwds);
        PyObject_GC_Track(self);
        if (failed < 0) {
            Py_CLEAR(self);
        }
    }
    return (PyObject *)self;
}

/* The same for an instance of a subclass, attribute by attribute: the subclass may have properties of these names,
   and finds a `__doc__` in itself before it would ask the class it derives from. */
static int
manager_set_call_attributes(ManagerObject *self, PyObject *func, PyObject *args, PyObject *kwds)
{
    const Names *names = &self->state->names;
    PyObject *op = (PyObject *)self, *doc = NULL;
    int result = -1;
    PyObject *gen = call_generator_function(self->state, func, args, kwds);
    if (gen != NULL && PyObject_SetAttr(op, names->gen, gen) == 0 && PyObject_SetAttr(op, names->func, func) == 0 &&
        PyObject_SetAttr(op, names->args, args) == 0 && PyObject_SetAttr(op, names->kwds, kwds) == 0 &&
        (doc = instance_doc(self->state, Py_TYPE(self), func)) != NULL) {
        result = PyObject_SetAttr(op, names->doc, doc);
    }
    Py_XDECREF(gen);
    Py_XDECREF(doc);
    return result;
}

static int
manager_tp_init(ManagerObject *self, PyObject *args, PyObject *kwargs)
{
    PyObject *bound;
    if (PyTuple_GET_SIZE(args) == 3 && kwargs == NULL) {
        bound = Py_NewRef(args);
    }
    else {
        bound = actx_call_with_self_tuple(self->state->bind_init, (PyObject *)self, args, kwargs);
        if (bound == NULL) {
            return -1;
        }
    }
    bool plain = Py_TYPE(self) == self->state->manager_type;
    int result = (plain ? manager_set_call : manager_set_call_attributes)(
        self, PyTuple_GET_ITEM(bound, 0), PyTuple_GET_ITEM(bound, 1), PyTuple_GET_ITEM(bound, 2));
    Py_DECREF(bound);
    return result;
}

/* -- what entering needs -- */

static int
delete_missing(ManagerObject *self, PyObject *name)
{
    actx_error_set_missing_attribute((PyObject *)self, name);
    return -1;
}

/* The attributes args, kwds and func, in this order, of which any may be missing: the name of the first that is, or
   NULL. */
static PyObject *
manager_delete_public_lock_held(ManagerObject *self, KeptCall *kept)
{
    const Names *names = &self->state->names;
    kept->func = kept->kwnames = NULL;
    kept->count = 0;
    if (self->items[PUBLIC_ARGS] == NULL) {
        return names->args;
    }
    kept->items[kept->count++] = self->items[PUBLIC_ARGS];
    self->items[PUBLIC_ARGS] = NULL;
    if (self->items[PUBLIC_KWDS] == NULL) {
        return names->kwds;
    }
    kept->items[kept->count++] = self->items[PUBLIC_KWDS];
    self->items[PUBLIC_KWDS] = NULL;
    kept->func = self->func;
    self->func = NULL;
    self->form = ARGS_NONE;
    return kept->func == NULL ? names->func : NULL;
}

int
actx_manager_delete_call(ManagerObject *self)
{
    const Names *names = &self->state->names;
    if (Py_TYPE(self) != self->state->manager_type) {
        PyObject *op = (PyObject *)self;
        bool deleted = PyObject_DelAttr(op, names->args) == 0 && PyObject_DelAttr(op, names->kwds) == 0 &&
                       PyObject_DelAttr(op, names->func) == 0;
        return deleted ? 0 : -1;
    }
    KeptCall kept;
    PyObject *missing = NULL;
    Py_BEGIN_CRITICAL_SECTION(self);
    if (self->form == ARGS_INLINE || self->form == ARGS_PACKED) {
        missing = self->func == NULL ? names->func : NULL;
        actx_manager_detach_call_lock_held(self, &kept);
    }
    else {
        missing = manager_delete_public_lock_held(self, &kept);
    }
    Py_END_CRITICAL_SECTION();
    actx_kept_call_release(&kept);
    return missing != NULL ? delete_missing(self, missing) : 0;
}

bool
actx_manager_keeps_call(ManagerObject *self)
{
    return actx_pointer_load(&self->func) != NULL;
}

bool
actx_manager_was_entered(ManagerObject *self)
{
    PyTypeObject *type = Py_TYPE(self), *manager_type = self->state->manager_type;
    PyObject *args = self->state->names.args;
    bool missing;
    Py_BEGIN_CRITICAL_SECTION(self);
    missing = self->func == NULL;
    if (type == manager_type) {
        missing = missing && self->form == ARGS_NONE;
    }
    else {  // entered attribute by attribute
        missing = missing && self->items[PUBLIC_ARGS] == NULL && self->items[PUBLIC_KWDS] == NULL;
    }
    Py_END_CRITICAL_SECTION();
    PyObject *exc = PyErr_GetRaisedException();  // which the lookup might forget
    bool is_ours = _PyType_Lookup(type, args) == _PyType_Lookup(manager_type, args);
    PyErr_SetRaisedException(exc);
    return missing && is_ours;
}

PyObject *
actx_manager_gen(ManagerObject *self)
{
    PyObject *gen = NULL;
    if (Py_TYPE(self) == self->state->manager_type) {
        gen = actx_field_get(self, &self->gen);
    }
    return gen != NULL ? gen : PyObject_GetAttr((PyObject *)self, self->state->names.gen);
}

/* -- tables -- */

static PyMemberDef manager_members[] = {
    {"__weaklistoffset__", T_PYSSIZET, offsetof(ManagerObject, weakrefs), READONLY, NULL},
    {"__dictoffset__", T_PYSSIZET, offsetof(ManagerObject, dict), READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyType_Slot manager_slots[] = {
    {Py_tp_doc, "_GeneratorContextManagerBase(func, args, kwds)\n--\n\n"
                "Shared functionality of context managers made from generators."},
    {Py_tp_new, manager_tp_new},
    {Py_tp_init, manager_tp_init},
    {Py_tp_dealloc, manager_tp_dealloc},
    {Py_tp_traverse, manager_tp_traverse},
    {Py_tp_clear, manager_tp_clear},
    {Py_tp_members, manager_members},
    {Py_tp_getset, actx_manager_getset},
    {0, NULL},
};

PyType_Spec actx_manager_spec = {
    .name = "contextlib._GeneratorContextManagerBase",
    .basicsize = sizeof(ManagerObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_BASETYPE,
    .slots = manager_slots,
};
