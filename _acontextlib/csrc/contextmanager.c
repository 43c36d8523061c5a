/* _AsyncGeneratorContextManager: the object that a decorated function returns.

   Made by decorator.c with the generator already created; its __aenter__() and __aexit__() are in enter_exit.c.
   It owns the generator and, until it is entered, the function and the arguments, which only _recreate_cm() and
   curious users need: they stay the vector they came as until somebody asks.

   Mirrors _GeneratorContextManagerBase and _AsyncGeneratorContextManager of contextlib. */
#include "contextmanager.h"

#include <structmember.h>

#include "errors.h"

/* -- life -- */

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
    PyObject_GC_Track(self);
    return self;
}

static PyObject *
manager_tp_new(PyTypeObject *type, PyObject *Py_UNUSED(args), PyObject *Py_UNUSED(kwargs))
{
    PyObject *module = PyType_GetModuleByDef(type, &actx_module_def);
    if (module == NULL) {
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
    Py_VISIT(self->kwnames);
    Py_VISIT(self->doc);
    for (int i = 0; i < INLINE_ARGS; i++) {
        Py_VISIT(self->items[i]);
    }
    Py_VISIT(self->dict);
    return 0;
}

/* Forget the function and its arguments. */
static inline void
manager_drop_call(ManagerObject *self)
{
    int count = self->form == ARGS_NONE ? 0 : self->form == ARGS_INLINE ? self->count : INLINE_ARGS;
    PyObject *func = self->func;
    PyObject *kwnames = self->kwnames;
    PyObject *items[INLINE_ARGS];
    self->func = self->kwnames = NULL;
    self->form = ARGS_NONE;
    for (int i = 0; i < count; i++) {
        items[i] = self->items[i];
        self->items[i] = NULL;
    }
    Py_XDECREF(func);
    Py_XDECREF(kwnames);
    for (int i = 0; i < count; i++) {
        Py_XDECREF(items[i]);
    }
}

static int
manager_tp_clear(ManagerObject *self)
{
    manager_drop_call(self);
    Py_CLEAR(self->gen);
    Py_CLEAR(self->doc);
    Py_CLEAR(self->dict);
    return 0;
}

static void
manager_tp_dealloc(ManagerObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    if (self->weakrefs != NULL) {
        PyObject_ClearWeakRefs((PyObject *)self);
    }
    manager_tp_clear(self);
    if (actx_type_has_state(type) && type == self->state->manager_type) {
        actx_freelist_push(&self->state->managers, (PyObject *)self);
        return;
    }
    type->tp_free(self);
    Py_DECREF(type);
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
instance_doc(ManagerObject *self, PyObject *func)
{
    ModuleState *state = self->state;
    PyObject *doc;
    if (PyFunction_Check(func)) {
        doc = Py_XNewRef(((PyFunctionObject *)func)->func_doc);
    }
    else if (PyObject_GetOptionalAttr(func, state->names.doc, &doc) < 0) {
        return NULL;
    }
    if (doc != NULL && doc != Py_None) {
        return doc;
    }
    Py_XDECREF(doc);
    if (Py_TYPE(self) == state->manager_type) {
        return Py_NewRef(state->manager_doc);
    }
    return PyObject_GetAttr((PyObject *)Py_TYPE(self), state->names.doc);
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
    ManagerObject *self = manager_alloc(state);
    if (self == NULL) {
        Py_DECREF(gen);
        return NULL;
    }
    self->gen = gen;
    self->func = Py_NewRef(func);
    self->doc = instance_doc(self, func);
    if (self->doc == NULL || manager_keep_args(self, args, PyVectorcall_NARGS(nargsf), kwnames) < 0) {
        Py_DECREF(self);
        return NULL;
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
    PyObject *gen = call_generator_function(self->state, func, args, kwds);
    if (gen == NULL) {
        return -1;
    }
    PyObject *before = self->gen;
    self->gen = gen;
    Py_XDECREF(before);
    manager_drop_call(self);
    self->func = Py_NewRef(func);
    self->form = ARGS_PUBLIC;
    self->items[PUBLIC_ARGS] = Py_NewRef(args);
    self->items[PUBLIC_KWDS] = Py_NewRef(kwds);
    before = self->doc;
    self->doc = instance_doc(self, func);
    Py_XDECREF(before);
    return self->doc != NULL ? 0 : -1;
}

PyObject *
actx_manager_from_tuple(ModuleState *state, PyObject *func, PyObject *args, PyObject *kwds)
{
    ManagerObject *self = manager_alloc(state);
    if (self != NULL && manager_set_call(self, func, args, kwds) < 0) {
        Py_CLEAR(self);
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
        (doc = instance_doc(self, func)) != NULL) {
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

/* The attributes args and kwds, of which either may be missing. */
static int
manager_delete_public(ManagerObject *self)
{
    const Names *names = &self->state->names;
    PyObject *args = self->items[PUBLIC_ARGS];
    if (args == NULL) {
        return delete_missing(self, names->args);
    }
    PyObject *kwds = self->items[PUBLIC_KWDS];
    self->items[PUBLIC_ARGS] = self->items[PUBLIC_KWDS] = NULL;
    Py_DECREF(args);
    if (kwds == NULL) {
        return delete_missing(self, names->kwds);
    }
    Py_DECREF(kwds);
    return 0;
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
    if ((self->form == ARGS_PUBLIC || self->form == ARGS_NONE) && manager_delete_public(self) < 0) {
        return -1;
    }
    bool missing = self->func == NULL;
    manager_drop_call(self);
    return missing ? delete_missing(self, names->func) : 0;
}

PyObject *
actx_manager_gen(ManagerObject *self)
{
    if (self->gen == NULL || Py_TYPE(self) != self->state->manager_type) {
        return PyObject_GetAttr((PyObject *)self, self->state->names.gen);
    }
    return Py_NewRef(self->gen);
}

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
        manager_drop_call(self);
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

/* -- tables -- */

static PyMemberDef manager_members[] = {
    {"__weaklistoffset__", T_PYSSIZET, offsetof(ManagerObject, weakrefs), READONLY, NULL},
    {"__dictoffset__", T_PYSSIZET, offsetof(ManagerObject, dict), READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyGetSetDef manager_getset[] = {
    {"__dict__", PyObject_GenericGetDict, PyObject_GenericSetDict, NULL, NULL},
    {"gen", (getter)manager_get, (setter)manager_set, NULL, "gen"},
    {"func", (getter)manager_get, (setter)manager_set, NULL, "func"},
    {"args", (getter)manager_get, (setter)manager_set, NULL, "args"},
    {"kwds", (getter)manager_get, (setter)manager_set, NULL, "kwds"},
    {"_doc", (getter)manager_get, (setter)manager_set, NULL, "__doc__"},
    {NULL, NULL, NULL, NULL, NULL},
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
    {Py_tp_getset, manager_getset},
    {0, NULL},
};

PyType_Spec actx_manager_spec = {
    .name = "contextlib._GeneratorContextManagerBase",
    .basicsize = sizeof(ManagerObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_BASETYPE,
    .slots = manager_slots,
};
