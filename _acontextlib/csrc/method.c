/* Methods and bound methods; see method.h for why they are not the interpreter's.

   A method is a descriptor that stands in the dictionary of a class; binding it gives an object that holds the
   instance.  Both are called by vectorcall and answer the questions that types.FunctionType and types.MethodType
   answer. */
#include "method.h"

#include <structmember.h>

typedef struct {
    PyObject_HEAD
    vectorcallfunc vectorcall;
    ModuleState *state;  // borrowed, kept alive by the type
    const MethodDef *def;
    PyTypeObject *type;   // strong; the class whose instances it is for
    PyObject *signature;  // strong; see actx_method_new()
} MethodObject;

typedef struct {
    PyObject_HEAD
    vectorcallfunc vectorcall;
    MethodObject *method;  // strong
    PyObject *self;        // strong
    PyObject *weakrefs;
} BoundMethodObject;

/* -- arguments -- */

PyObject *
actx_call_with_self(PyObject *function, PyObject *self, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    Py_ssize_t count = nargs + (kwnames != NULL ? PyTuple_GET_SIZE(kwnames) : 0);
    PyObject **vector = PyMem_New(PyObject *, count + 1);
    if (vector == NULL) {
        return PyErr_NoMemory();
    }
    vector[0] = self;
    for (Py_ssize_t i = 0; i < count; i++) {
        vector[i + 1] = args[i];
    }
    PyObject *result = PyObject_Vectorcall(function, vector, (size_t)(nargs + 1), kwnames);
    PyMem_Free(vector);
    return result;
}

PyObject *
actx_call_with_self_tuple(PyObject *function, PyObject *self, PyObject *args, PyObject *kwargs)
{
    PyObject *method = PyMethod_New(function, self);
    if (method == NULL) {
        return NULL;
    }
    PyObject *result = PyObject_Call(method, args, kwargs);
    Py_DECREF(method);
    return result;
}

/* -- bound methods -- */

static PyObject *
bound_vectorcall(PyObject *callable, PyObject *const *args, size_t nargsf, PyObject *kwnames)
{
    BoundMethodObject *bound = (BoundMethodObject *)callable;
    return bound->method->def->call(bound->self, args, PyVectorcall_NARGS(nargsf), kwnames);
}

static PyObject *
bound_new(MethodObject *method, PyObject *self)
{
    ModuleState *state = method->state;
    BoundMethodObject *bound = (BoundMethodObject *)actx_freelist_pop(&state->bound_methods);
    if (bound == NULL) {
        bound = PyObject_GC_New(BoundMethodObject, state->bound_method_type);
        if (bound == NULL) {
            return NULL;
        }
        bound->vectorcall = bound_vectorcall;
        bound->weakrefs = NULL;
    }
    bound->method = (MethodObject *)Py_NewRef(method);
    bound->self = Py_NewRef(self);
    PyObject_GC_Track(bound);
    return (PyObject *)bound;
}

static int
bound_tp_traverse(BoundMethodObject *bound, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(bound));
    Py_VISIT(bound->method);
    Py_VISIT(bound->self);
    return 0;
}

static void
bound_tp_dealloc(BoundMethodObject *bound)
{
    ModuleState *state = bound->method->state;
    PyObject_GC_UnTrack(bound);
    actx_weakrefs_clear(bound, &bound->weakrefs);
    Py_DECREF(bound->self);
    Py_DECREF(bound->method);
    PyTypeObject *type = Py_TYPE(bound);
    if (actx_type_has_state(type)) {  // and will have it until this object gives up its type
        actx_freelist_push(&state->bound_methods, (PyObject *)bound);
        return;
    }
    PyObject_GC_Del(bound);
    Py_DECREF(type);
}

static PyObject *
bound_tp_repr(BoundMethodObject *bound)
{
    return PyUnicode_FromFormat("<bound method %s of %R>", bound->method->def->qualname, bound->self);
}

static Py_hash_t
bound_tp_hash(BoundMethodObject *bound)
{
    Py_hash_t hash = Py_HashPointer(bound->self) ^ Py_HashPointer(bound->method);
    return hash == -1 ? -2 : hash;
}

static PyObject *
bound_tp_richcompare(PyObject *left, PyObject *right, int op)
{
    if ((op != Py_EQ && op != Py_NE) || !Py_IS_TYPE(right, Py_TYPE(left))) {
        Py_RETURN_NOTIMPLEMENTED;
    }
    BoundMethodObject *a = (BoundMethodObject *)left, *b = (BoundMethodObject *)right;
    bool equal = a->self == b->self && a->method == b->method;
    return PyBool_FromLong(equal == (op == Py_EQ));
}

/* Whatever a bound method has not itself, its method has. */
static PyObject *
bound_tp_getattro(PyObject *op, PyObject *name)
{
    PyObject *value = PyObject_GenericGetAttr(op, name);
    if (value != NULL || !PyErr_ExceptionMatches(PyExc_AttributeError)) {
        return value;
    }
    PyErr_Clear();
    return PyObject_GetAttr((PyObject *)((BoundMethodObject *)op)->method, name);
}

/* Bound already, whatever it is found in. */
static PyObject *
bound_tp_descr_get(PyObject *bound, PyObject *Py_UNUSED(instance), PyObject *Py_UNUSED(type))
{
    return Py_NewRef(bound);
}

PyDoc_STRVAR(bound_reduce_doc,
             "__reduce__($self)\n--\n\n"
             "Return getattr and its arguments: pickled is the instance, and the name of the method.");

static PyObject *
bound_reduce(BoundMethodObject *bound, PyObject *Py_UNUSED(ignored))
{
    PyObject *builtins = PyImport_ImportModule("builtins");
    PyObject *get = builtins != NULL ? PyObject_GetAttrString(builtins, "getattr") : NULL;
    Py_XDECREF(builtins);
    return get != NULL ? Py_BuildValue("N(Os)", get, bound->self, bound->method->def->name) : NULL;
}

/* The signature without self, as of types.MethodType. */
static PyObject *
bound_get_signature(BoundMethodObject *bound, void *Py_UNUSED(closure))
{
    PyObject *result = NULL;
    PyObject *inspect = PyImport_ImportModule("inspect");
    PyObject *method = inspect != NULL ? PyMethod_New(bound->method->signature, bound->self) : NULL;
    if (method != NULL) {
        result = PyObject_CallMethod(inspect, "signature", "O", method);
    }
    Py_XDECREF(method);
    Py_XDECREF(inspect);
    return result;
}

static PyMethodDef bound_methods[] = {
    {"__reduce__", (PyCFunction)bound_reduce, METH_NOARGS, bound_reduce_doc},
    {NULL, NULL, 0, NULL},
};

static PyMemberDef bound_members[] = {
    {"__vectorcalloffset__", T_PYSSIZET, offsetof(BoundMethodObject, vectorcall), READONLY, NULL},
    {"__weaklistoffset__", T_PYSSIZET, offsetof(BoundMethodObject, weakrefs), READONLY, NULL},
    {"__self__", T_OBJECT, offsetof(BoundMethodObject, self), READONLY, "the instance to which the method is bound"},
    {"__func__", T_OBJECT, offsetof(BoundMethodObject, method), READONLY, "the method that is bound"},
    {NULL, 0, 0, 0, NULL},
};

/* Attributes that every type has, and that are to be the method's. */
static PyObject *
bound_get_shared(BoundMethodObject *bound, void *name)
{
    return PyObject_GetAttrString((PyObject *)bound->method, name);
}

static PyGetSetDef bound_getset[] = {
    {"__doc__", (getter)bound_get_shared, NULL, NULL, "__doc__"},
    {"__module__", (getter)bound_get_shared, NULL, NULL, "__module__"},
    {"__signature__", (getter)bound_get_signature, NULL, NULL, NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot bound_slots[] = {
    {Py_tp_dealloc, bound_tp_dealloc},   {Py_tp_traverse, bound_tp_traverse},
    {Py_tp_call, PyVectorcall_Call},     {Py_tp_repr, bound_tp_repr},
    {Py_tp_hash, bound_tp_hash},         {Py_tp_richcompare, bound_tp_richcompare},
    {Py_tp_getattro, bound_tp_getattro}, {Py_tp_descr_get, bound_tp_descr_get},
    {Py_tp_methods, bound_methods},      {Py_tp_members, bound_members},
    {Py_tp_getset, bound_getset},        {0, NULL},
};

PyType_Spec actx_bound_method_spec = {
    .name = "_acontextlib.bound_method",
    .basicsize = sizeof(BoundMethodObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_HAVE_VECTORCALL | Py_TPFLAGS_DISALLOW_INSTANTIATION |
             Py_TPFLAGS_IMMUTABLETYPE,
    .slots = bound_slots,
};

/* -- methods -- */

static Py_NO_INLINE PyObject *
method_refuse(MethodObject *method, PyObject *self)
{
    return PyErr_Format(PyExc_TypeError, "descriptor '%s' for '%.100s' objects doesn't apply to a '%.100s' object",
                        method->def->name, method->type->tp_name, Py_TYPE(self)->tp_name);
}

static PyObject *
method_vectorcall(PyObject *callable, PyObject *const *args, size_t nargsf, PyObject *kwnames)
{
    MethodObject *method = (MethodObject *)callable;
    Py_ssize_t nargs = PyVectorcall_NARGS(nargsf);
    if (nargs < 1) {  // self is given by name, or missing: contextlib's function does with any object
        return PyObject_Vectorcall(method->signature, args, nargsf, kwnames);
    }
    if (!PyObject_TypeCheck(args[0], method->type)) {
        return method_refuse(method, args[0]);
    }
    return method->def->call(args[0], args + 1, nargs - 1, kwnames);
}

static PyObject *
method_tp_descr_get(PyObject *op, PyObject *instance, PyObject *Py_UNUSED(type))
{
    MethodObject *method = (MethodObject *)op;
    if (instance == NULL || instance == Py_None) {
        return Py_NewRef(op);
    }
    if (!PyObject_TypeCheck(instance, method->type)) {
        return PyMethod_New(op, instance);  // as inspect does with __init__ and a class; only a call is refused
    }
    return bound_new(method, instance);
}

PyObject *
actx_method_new(ModuleState *state, const MethodDef *def, PyObject *signature)
{
    MethodObject *method = PyObject_GC_New(MethodObject, state->method_type);
    if (method == NULL) {
        return NULL;
    }
    method->vectorcall = method_vectorcall;
    method->state = state;
    method->def = def;
    method->type = (PyTypeObject *)Py_NewRef(&PyBaseObject_Type);
    method->signature = Py_NewRef(signature);
    PyObject_GC_Track(method);
    return (PyObject *)method;
}

void
actx_method_set_type(PyObject *method, PyTypeObject *type)
{
    PyTypeObject *before = ((MethodObject *)method)->type;
    ((MethodObject *)method)->type = (PyTypeObject *)Py_NewRef(type);
    Py_XDECREF(before);
}

static int
method_tp_traverse(MethodObject *method, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(method));
    Py_VISIT(method->type);
    Py_VISIT(method->signature);
    return 0;
}

static void
method_tp_dealloc(MethodObject *method)
{
    PyTypeObject *type = Py_TYPE(method);
    PyObject_GC_UnTrack(method);
    Py_XDECREF(method->type);
    Py_XDECREF(method->signature);
    PyObject_GC_Del(method);
    Py_DECREF(type);
}

static PyObject *
method_tp_repr(MethodObject *method)
{
    return PyUnicode_FromFormat("<function %s at %p>", method->def->qualname, method);
}

static PyObject *
method_get_text(MethodObject *method, void *name)
{
    const MethodDef *def = method->def;
    if (strcmp(name, "doc") == 0) {
        return PyUnicode_FromString(def->doc);
    }
    return PyUnicode_FromString(strcmp(name, "name") == 0 ? def->name : def->qualname);
}

static PyObject *
method_get_signature(MethodObject *method, void *Py_UNUSED(closure))
{
    PyObject *inspect = PyImport_ImportModule("inspect");
    if (inspect == NULL) {
        return NULL;
    }
    PyObject *result = PyObject_CallMethod(inspect, "signature", "O", method->signature);
    Py_DECREF(inspect);
    return result;
}

static PyObject *
method_get_module(MethodObject *method, void *Py_UNUSED(closure))
{
    return PyObject_GetAttrString((PyObject *)method->type, "__module__");
}

/* The mark by which inspect (3.12 and later) or asyncio knows a coroutine function that is none of the interpreter's.
 */
static PyObject *
method_get_mark(MethodObject *method, void *name)
{
    PyObject *code = PyFunction_Check(method->signature) ? PyFunction_GET_CODE(method->signature) : NULL;
    if (code == NULL || (((PyCodeObject *)code)->co_flags & CO_COROUTINE) == 0) {
        PyErr_Format(PyExc_AttributeError, "'method' object has no attribute '%s'", name);
        return NULL;
    }
    PyObject *templates = PyImport_ImportModule("_acontextlib._templates");
    PyObject *mark = templates != NULL ? PyObject_CallMethod(templates, "coroutine_mark", "s", name) : NULL;
    Py_XDECREF(templates);
    return mark;
}

static PyMemberDef method_members[] = {
    {"__vectorcalloffset__", T_PYSSIZET, offsetof(MethodObject, vectorcall), READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyGetSetDef method_getset[] = {
    {"__name__", (getter)method_get_text, NULL, NULL, "name"},
    {"__qualname__", (getter)method_get_text, NULL, NULL, "qualname"},
    {"__doc__", (getter)method_get_text, NULL, NULL, "doc"},
    {"__module__", (getter)method_get_module, NULL, NULL, NULL},
    {"__signature__", (getter)method_get_signature, NULL, NULL, NULL},
    {"_is_coroutine", (getter)method_get_mark, NULL, NULL, "_is_coroutine"},
    {"_is_coroutine_marker", (getter)method_get_mark, NULL, NULL, "_is_coroutine_marker"},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot method_slots[] = {
    {Py_tp_dealloc, method_tp_dealloc}, {Py_tp_traverse, method_tp_traverse},
    {Py_tp_call, PyVectorcall_Call},    {Py_tp_descr_get, method_tp_descr_get},
    {Py_tp_repr, method_tp_repr},       {Py_tp_members, method_members},
    {Py_tp_getset, method_getset},      {0, NULL},
};

PyType_Spec actx_method_spec = {
    .name = "_acontextlib.method",
    .basicsize = sizeof(MethodObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_HAVE_VECTORCALL | Py_TPFLAGS_METHOD_DESCRIPTOR |
             Py_TPFLAGS_DISALLOW_INSTANTIATION | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = method_slots,
};
