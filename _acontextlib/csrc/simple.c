/* aclosing and nullcontext: an object that holds one value, and how it is entered and left.

   Both have the same layout; contextlib calls the value `thing` in one and `enter_result` in the other. */
#include "simple.h"

#include <structmember.h>

#include "awaitable.h"
#include "classes.h"
#include "errors.h"

typedef struct {
    PyObject_HEAD
    ModuleState *state;  // borrowed, kept alive by the type
    PyObject *value;     // strong; NULL where deleted or never set
    PyObject *dict;
    PyObject *weakrefs;
} SimpleObject;

/* -- life -- */

static SimpleObject *
simple_new(ModuleState *state, int which)
{
    SimpleObject *self = (SimpleObject *)actx_freelist_pop(&state->simples[which].freelist);
    if (self == NULL) {
        self = PyObject_GC_New(SimpleObject, state->simples[which].type);
        if (self == NULL) {
            return NULL;
        }
        self->state = state;
        self->value = NULL;
        self->dict = NULL;
        self->weakrefs = NULL;
    }
    PyObject_GC_Track(self);
    return self;
}

static PyObject *
simple_tp_new(PyTypeObject *type, PyObject *Py_UNUSED(args), PyObject *Py_UNUSED(kwargs))
{
    PyObject *module = PyType_GetModuleByDef(type, &actx_module_def);
    if (module == NULL || actx_class_refuses(type)) {
        return NULL;
    }
    ModuleState *state = PyModule_GetState(module);
    for (int which = 0; which < SIMPLE_CLASSES; which++) {
        if (type == state->simples[which].type) {
            return (PyObject *)simple_new(state, which);
        }
    }
    SimpleObject *self = (SimpleObject *)type->tp_alloc(type, 0);
    if (self != NULL) {
        self->state = state;
    }
    return (PyObject *)self;
}

static int
simple_tp_traverse(SimpleObject *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(self->value);
    Py_VISIT(self->dict);
    return 0;
}

static int
simple_tp_clear(SimpleObject *self)
{
    Py_CLEAR(self->value);
    Py_CLEAR(self->dict);
    return 0;
}

/* Which of the two classes, or NULL for one derived from them. */
static inline SimpleClass *
simple_class(SimpleObject *self, PyTypeObject *type)
{
    for (int which = 0; actx_type_has_state(type) && which < SIMPLE_CLASSES; which++) {
        if (type == self->state->simples[which].type) {
            return &self->state->simples[which];
        }
    }
    return NULL;
}

static void
simple_tp_dealloc(SimpleObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    SimpleClass *plain = simple_class(self, type);
    if (plain != NULL && actx_class_resurrects(type, (PyObject *)self)) {
        return;
    }
    PyObject_GC_UnTrack(self);
    Py_TRASHCAN_BEGIN(self, simple_tp_dealloc)
    actx_weakrefs_clear(self, &self->weakrefs);
    simple_tp_clear(self);
    if (plain != NULL && type->tp_finalize == NULL) {
        actx_freelist_push(&plain->freelist, (PyObject *)self);
    }
    else {
        type->tp_free(self);
        Py_DECREF(type);
    }
    Py_TRASHCAN_END
}

/* -- making one -- */

/* The value, from the arguments of a call; NULL without an error where they are not the plain ones. */
static PyObject *
plain_value(int which, PyObject *const *args, Py_ssize_t nargs, PyObject *named)
{
    if (named != NULL || nargs > 1 || (nargs == 0 && which == SIMPLE_CLOSING)) {
        return NULL;
    }
    return nargs == 1 ? args[0] : Py_None;
}

static int
simple_init(SimpleObject *self, int which, PyObject *args, PyObject *kwargs)
{
    PyObject *value = plain_value(which, &PyTuple_GET_ITEM(args, 0), PyTuple_GET_SIZE(args), kwargs);
    if (value == NULL) {  // contextlib's own sets the attribute, or raises what is to be raised
        return actx_twin_init(self->state->simples[which].twins[SIMPLE_INIT], (PyObject *)self, args, kwargs);
    }
    Py_XDECREF(actx_field_exchange_take(self, &self->value, Py_NewRef(value)));
    return 0;
}

static int
closing_tp_init(SimpleObject *self, PyObject *args, PyObject *kwargs)
{
    return simple_init(self, SIMPLE_CLOSING, args, kwargs);
}

static int
null_tp_init(SimpleObject *self, PyObject *args, PyObject *kwargs)
{
    return simple_init(self, SIMPLE_NULL, args, kwargs);
}

/* Calling the class itself, where nobody has changed what that does. */
static PyObject *
simple_call_class(int which, initproc init, PyObject *callable, PyObject *const *args, size_t nargsf, PyObject *kwnames)
{
    PyTypeObject *type = (PyTypeObject *)callable;
    PyObject *value = plain_value(which, args, PyVectorcall_NARGS(nargsf), kwnames);
    if (value == NULL || type->tp_new != simple_tp_new || type->tp_init != init) {
        return actx_class_call(callable, args, nargsf, kwnames);
    }
    PyObject *module = PyType_GetModuleByDef(type, &actx_module_def);
    SimpleObject *self = module != NULL ? simple_new(PyModule_GetState(module), which) : NULL;
    if (self != NULL) {
        self->value = Py_NewRef(value);
    }
    return (PyObject *)self;
}

static PyObject *
closing_vectorcall(PyObject *callable, PyObject *const *args, size_t nargsf, PyObject *kwnames)
{
    return simple_call_class(SIMPLE_CLOSING, (initproc)closing_tp_init, callable, args, nargsf, kwnames);
}

static PyObject *
null_vectorcall(PyObject *callable, PyObject *const *args, size_t nargsf, PyObject *kwnames)
{
    return simple_call_class(SIMPLE_NULL, (initproc)null_tp_init, callable, args, nargsf, kwnames);
}

/* -- awaitables -- */

/* `self.thing` or `self.enter_result`, wherever a subclass has it. */
static PyObject *
simple_value(AwaitableObject *self, int which)
{
    SimpleObject *owner = (SimpleObject *)self->owner;
    PyObject *value = NULL;
    if (Py_TYPE(owner) == self->state->simples[which].type) {
        value = actx_field_get(owner, &owner->value);
    }
    if (value != NULL) {
        return value;
    }
    const Names *names = &owner->state->names;
    return PyObject_GetAttr((PyObject *)owner, which == SIMPLE_CLOSING ? names->thing : names->result);
}

static AwaitOutcome
closing_enter_start(AwaitableObject *self, PyObject **value)
{
    *value = simple_value(self, SIMPLE_CLOSING);
    return *value != NULL ? AWAIT_RETURN : AWAIT_ERROR;
}

static AwaitOutcome
null_enter_start(AwaitableObject *self, PyObject **value)
{
    *value = simple_value(self, SIMPLE_NULL);
    return *value != NULL ? AWAIT_RETURN : AWAIT_ERROR;
}

static AwaitOutcome
null_exit_start(AwaitableObject *Py_UNUSED(self), PyObject **value)
{
    *value = Py_NewRef(Py_None);
    return AWAIT_RETURN;
}

/* contextlib: aclosing.__aexit__, after `await self.thing.aclose()` */
static AwaitOutcome
closing_exit_step(AwaitableObject *Py_UNUSED(self), AwaitOutcome outcome, PyObject **value)
{
    if (outcome == AWAIT_RETURN) {
        Py_SETREF(*value, Py_NewRef(Py_None));
    }
    return outcome;
}

static AwaitOutcome
closing_exit_begin(AwaitableObject *self, PyObject **value)
{
    PyObject *thing = simple_value(self, SIMPLE_CLOSING);
    if (thing == NULL) {
        return AWAIT_ERROR;
    }
    GeneratorDrive *drive = &self->state->drive;
    if (actx_generator_is_direct(drive, thing) && actx_generator_is_finished(drive, thing)) {
        Py_DECREF(thing);
        *value = Py_NewRef(Py_None);
        return AWAIT_RETURN;
    }
    return closing_exit_step(self, actx_awaitable_aclose_take(self, thing, value), value);
}

static AwaitOutcome
closing_exit_start(AwaitableObject *self, PyObject **value)
{
    return actx_awaitable_nest(self, value, closing_exit_begin);
}

static const AwaitableOps closing_enter_ops = {"aclosing.__aenter__", closing_enter_start, NULL, false, NULL};
static const AwaitableOps closing_exit_ops = {"aclosing.__aexit__", closing_exit_start, closing_exit_step, true, NULL};
static const AwaitableOps null_enter_ops = {"nullcontext.__aenter__", null_enter_start, NULL, false, NULL};
static const AwaitableOps null_exit_ops = {"nullcontext.__aexit__", null_exit_start, NULL, true, NULL};

/* -- methods -- */

static PyObject *
twin_call(PyObject *op, int which, int method, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    PyObject *twin = ((SimpleObject *)op)->state->simples[which].twins[method];
    return actx_call_with_self(twin, op, args, nargs, kwnames);
}

static PyObject *
closing_init(PyObject *op, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    return twin_call(op, SIMPLE_CLOSING, SIMPLE_INIT, args, nargs, kwnames);
}

static PyObject *
closing_aenter(PyObject *op, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    if (nargs != 0 || kwnames != NULL) {
        return twin_call(op, SIMPLE_CLOSING, SIMPLE_AENTER, args, nargs, kwnames);
    }
    return (PyObject *)actx_awaitable_new(((SimpleObject *)op)->state, &closing_enter_ops, op);
}

static PyObject *
closing_aexit(PyObject *op, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    if (kwnames != NULL) {
        return twin_call(op, SIMPLE_CLOSING, SIMPLE_AEXIT, args, nargs, kwnames);
    }
    return (PyObject *)actx_awaitable_new(((SimpleObject *)op)->state, &closing_exit_ops, op);
}

static PyObject *
null_init(PyObject *op, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    return twin_call(op, SIMPLE_NULL, SIMPLE_INIT, args, nargs, kwnames);
}

static PyObject *
null_aenter(PyObject *op, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    if (nargs != 0 || kwnames != NULL) {
        return twin_call(op, SIMPLE_NULL, SIMPLE_AENTER, args, nargs, kwnames);
    }
    return (PyObject *)actx_awaitable_new(((SimpleObject *)op)->state, &null_enter_ops, op);
}

static PyObject *
null_aexit(PyObject *op, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    if (kwnames != NULL) {
        return twin_call(op, SIMPLE_NULL, SIMPLE_AEXIT, args, nargs, kwnames);
    }
    return (PyObject *)actx_awaitable_new(((SimpleObject *)op)->state, &null_exit_ops, op);
}

static PyObject *
null_enter(PyObject *op, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    SimpleObject *self = (SimpleObject *)op;
    if (nargs == 0 && kwnames == NULL && Py_TYPE(op) == self->state->simples[SIMPLE_NULL].type) {
        PyObject *value = actx_field_get(self, &self->value);
        if (value != NULL) {
            return value;
        }
    }
    return twin_call(op, SIMPLE_NULL, SIMPLE_ENTER, args, nargs, kwnames);
}

static PyObject *
null_exit(PyObject *op, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    if (kwnames != NULL) {
        return twin_call(op, SIMPLE_NULL, SIMPLE_EXIT, args, nargs, kwnames);
    }
    Py_RETURN_NONE;
}

/* -- the attribute; `closure` names it -- */

static PyObject *
simple_get(SimpleObject *self, void *name)
{
    PyObject *value = actx_field_get(self, &self->value);
    if (value == NULL) {
        PyErr_Format(PyExc_AttributeError, "'%.100s' object has no attribute '%s'", Py_TYPE(self)->tp_name, name);
    }
    return value;
}

static int
simple_set(SimpleObject *self, PyObject *value, void *name)
{
    PyObject *before = actx_field_exchange_take(self, &self->value, Py_XNewRef(value));
    if (value == NULL && before == NULL) {
        actx_error_set_missing_attribute_string((PyObject *)self, name);
        return -1;
    }
    Py_XDECREF(before);
    return 0;
}

static PyObject *
simple_get_weakref(SimpleObject *self, void *Py_UNUSED(closure))
{
    return actx_weakrefs_first(self, &self->weakrefs);
}

/* -- tables -- */

static const MethodDef closing_methods[] = {
    [SIMPLE_INIT] = {"__init__", "aclosing.__init__", "Take what is to be closed.", closing_init},
    [SIMPLE_AENTER] = {"__aenter__", "aclosing.__aenter__", "The awaitable's result is the thing.", closing_aenter},
    [SIMPLE_AEXIT] = {"__aexit__", "aclosing.__aexit__", "Await the thing's aclose().", closing_aexit},
};

static const MethodDef null_methods[] = {
    [SIMPLE_INIT] = {"__init__", "nullcontext.__init__", "Take what entering is to give.", null_init},
    [SIMPLE_AENTER] = {"__aenter__", "nullcontext.__aenter__", "The awaitable's result is enter_result.", null_aenter},
    [SIMPLE_AEXIT] = {"__aexit__", "nullcontext.__aexit__", "Do nothing.", null_aexit},
    [SIMPLE_ENTER] = {"__enter__", "nullcontext.__enter__", "Return enter_result.", null_enter},
    [SIMPLE_EXIT] = {"__exit__", "nullcontext.__exit__", "Do nothing.", null_exit},
};

static PyMemberDef simple_members[] = {
    {"__weaklistoffset__", T_PYSSIZET, offsetof(SimpleObject, weakrefs), READONLY, NULL},
    {"__dictoffset__", T_PYSSIZET, offsetof(SimpleObject, dict), READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyGetSetDef closing_getset[] = {
    {"__dict__", PyObject_GenericGetDict, PyObject_GenericSetDict, NULL, NULL},
    {"__weakref__", (getter)simple_get_weakref, NULL, NULL, NULL},
    {"thing", (getter)simple_get, (setter)simple_set, "what is closed on exit", "thing"},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyGetSetDef null_getset[] = {
    {"__dict__", PyObject_GenericGetDict, PyObject_GenericSetDict, NULL, NULL},
    {"__weakref__", (getter)simple_get_weakref, NULL, NULL, NULL},
    {"enter_result", (getter)simple_get, (setter)simple_set, "what entering gives", "enter_result"},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot closing_slots[] = {
    {Py_tp_new, simple_tp_new},         {Py_tp_init, closing_tp_init},
    {Py_tp_dealloc, simple_tp_dealloc}, {Py_tp_traverse, simple_tp_traverse},
    {Py_tp_clear, simple_tp_clear},     {Py_tp_members, simple_members},
    {Py_tp_getset, closing_getset},     {0, NULL},
};

static PyType_Slot null_slots[] = {
    {Py_tp_new, simple_tp_new},         {Py_tp_init, null_tp_init},
    {Py_tp_dealloc, simple_tp_dealloc}, {Py_tp_traverse, simple_tp_traverse},
    {Py_tp_clear, simple_tp_clear},     {Py_tp_members, simple_members},
    {Py_tp_getset, null_getset},        {0, NULL},
};

static PyType_Spec closing_spec = {
    .name = "contextlib.aclosing",
    .basicsize = sizeof(SimpleObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_BASETYPE,
    .slots = closing_slots,
};

static PyType_Spec null_spec = {
    .name = "contextlib.nullcontext",
    .basicsize = sizeof(SimpleObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_BASETYPE,
    .slots = null_slots,
};

int
actx_simple_init(PyObject *module, ModuleState *state, PyObject *templates)
{
    SimpleClass *closing = &state->simples[SIMPLE_CLOSING], *null = &state->simples[SIMPLE_NULL];
    if (actx_class_new(module, templates, "aclosing", &closing_spec, closing_methods, SIMPLE_AEXIT + 1, &closing->base,
                       &closing->type, closing->twins) < 0 ||
        actx_class_new(module, templates, "nullcontext", &null_spec, null_methods, SIMPLE_EXIT + 1, &null->base,
                       &null->type, null->twins) < 0) {
        return -1;
    }
    closing->type->tp_vectorcall = closing_vectorcall;
    null->type->tp_vectorcall = null_vectorcall;
    return 0;
}
