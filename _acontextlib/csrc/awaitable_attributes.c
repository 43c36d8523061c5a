/* What can be asked of an awaitable: the attributes that coroutines have, and __await__().

   The await chain (cr_await, cr_frame, cr_code) passes through to the generator that a manager runs, or to
   whatever an exit stack is awaiting, so that whoever walks it sees where a task really waits.  Where there is
   nothing to show they raise AttributeError; of a finished awaitable they are None. */
#include "awaitable.h"

/* -- labels: rarely needed, hence apart -- */

typedef struct AwaitableLabels {
    PyObject *name;      // strong or NULL
    PyObject *qualname;  // strong or NULL
    PyObject *origin;    // strong or NULL; cr_origin
} AwaitableLabels;

/* Make the labels if there are none yet, and put `value` (borrowed) into the one at that offset. */
static int
label_set(AwaitableObject *self, size_t offset, PyObject *value)
{
    PyObject *before = NULL;
    bool made;
    Py_BEGIN_CRITICAL_SECTION(self);
    if (self->labels == NULL) {
        self->labels = PyMem_Calloc(1, sizeof(AwaitableLabels));
    }
    made = self->labels != NULL;
    if (made) {
        PyObject **label = (PyObject **)((char *)self->labels + offset);
        before = *label;
        *label = Py_NewRef(value);
    }
    Py_END_CRITICAL_SECTION();
    Py_XDECREF(before);
    if (!made) {
        PyErr_NoMemory();
    }
    return made ? 0 : -1;
}

/* The label at that offset, as a new reference; NULL, without an error, where it was never set. */
static PyObject *
label_get(AwaitableObject *self, size_t offset)
{
    PyObject *label = NULL;
    Py_BEGIN_CRITICAL_SECTION(self);
    if (self->labels != NULL) {
        label = Py_XNewRef(*(PyObject **)((char *)self->labels + offset));
    }
    Py_END_CRITICAL_SECTION();
    return label;
}

int
actx_awaitable_labels_traverse(AwaitableObject *self, visitproc visit, void *arg)
{
    Py_VISIT(self->labels->name);  // may be of a subclass of str, which holds anything
    Py_VISIT(self->labels->qualname);
    Py_VISIT(self->labels->origin);
    return 0;
}

void
actx_awaitable_labels_clear(AwaitableObject *self)
{
    AwaitableLabels *labels = self->labels;
    self->labels = NULL;
    Py_XDECREF(labels->name);
    Py_XDECREF(labels->qualname);
    Py_XDECREF(labels->origin);
    PyMem_Free(labels);
}

/* (file, line, function) of the callers, as many as sys.set_coroutine_origin_tracking_depth() asks for. */
static PyObject *
origin_new(int depth)
{
    PyObject *origin = PyList_New(0);
    PyFrameObject *frame = PyThreadState_GetFrame(PyThreadState_Get());
    while (origin != NULL && frame != NULL && depth-- > 0) {
        PyCodeObject *code = PyFrame_GetCode(frame);
        PyObject *entry = Py_BuildValue("OiO", code->co_filename, PyFrame_GetLineNumber(frame), code->co_name);
        Py_DECREF(code);
        if (entry == NULL || PyList_Append(origin, entry) < 0) {
            Py_CLEAR(origin);
        }
        Py_XDECREF(entry);
        PyFrameObject *back = PyFrame_GetBack(frame);
        Py_SETREF(frame, back);
    }
    Py_XDECREF(frame);
    if (origin != NULL && PyErr_Occurred()) {  // not the last frame: an object could not be made for the next
        Py_CLEAR(origin);
    }
    if (origin != NULL) {
        Py_SETREF(origin, PyList_AsTuple(origin));
    }
    return origin;
}

int
actx_awaitable_set_origin(AwaitableObject *self, int depth)
{
    PyObject *origin = origin_new(depth);
    int result = origin != NULL ? label_set(self, offsetof(AwaitableLabels, origin), origin) : -1;
    Py_XDECREF(origin);
    return result;
}

/* -- names -- */

/* Where the name is stored once it was set; `closure` says which. */
static size_t
label_offset(const char *closure)
{
    bool is_name = strcmp(closure, "__name__") == 0;
    return is_name ? offsetof(AwaitableLabels, name) : offsetof(AwaitableLabels, qualname);
}

static PyObject *
awaitable_get_name(AwaitableObject *self, void *closure)
{
    PyObject *label = label_get(self, label_offset(closure));
    if (label != NULL) {
        return label;
    }
    const char *qualname = self->ops->qualname;
    const char *dot = strcmp(closure, "__name__") == 0 ? strrchr(qualname, '.') : NULL;
    return PyUnicode_FromString(dot != NULL ? dot + 1 : qualname);
}

static int
awaitable_set_name(AwaitableObject *self, PyObject *value, void *closure)
{
    if (value == NULL || !PyUnicode_Check(value)) {
        PyErr_Format(PyExc_TypeError, "%s must be set to a string object", closure);
        return -1;
    }
    return label_set(self, label_offset(closure), value);
}

PyObject *
actx_awaitable_repr(PyObject *self)
{
    PyObject *qualname = awaitable_get_name((AwaitableObject *)self, "__qualname__");
    PyObject *repr = qualname != NULL ? PyUnicode_FromFormat("<coroutine object %U at %p>", qualname, self) : NULL;
    Py_XDECREF(qualname);
    return repr;
}

/* -- the state -- */

static PyObject *
awaitable_get_running(AwaitableObject *self, void *Py_UNUSED(closure))
{
    return PyBool_FromLong(actx_byte_load(&self->status) == STATUS_RUNNING);
}

static PyObject *
awaitable_get_suspended(AwaitableObject *self, void *Py_UNUSED(closure))
{
    return PyBool_FromLong(actx_byte_load(&self->status) == STATUS_SUSPENDED);
}

static PyObject *
awaitable_get_origin(AwaitableObject *self, void *Py_UNUSED(closure))
{
    PyObject *origin = label_get(self, offsetof(AwaitableLabels, origin));
    return origin != NULL ? origin : Py_NewRef(Py_None);
}

#if ACTX_HAS_CR_STATE
static PyObject *
awaitable_get_state(AwaitableObject *self, void *Py_UNUSED(closure))
{
    static const char *const names[] = {
        [STATUS_CREATED] = "CORO_CREATED",
        [STATUS_RUNNING] = "CORO_RUNNING",
        [STATUS_SUSPENDED] = "CORO_SUSPENDED",
        [STATUS_FINISHED] = "CORO_CLOSED",
    };
    return PyUnicode_FromString(names[actx_byte_load(&self->status)]);
}
#endif

/* -- the await chain -- */

/* What stands for this awaitable in the chain: the generator that the manager runs, or whatever the stack awaits. */
static PyObject *
awaitable_inner(AwaitableObject *self)
{
    PyObject *owner = actx_field_get(self, &self->owner);
    PyObject *inner;
    if (owner != NULL && PyObject_TypeCheck(owner, self->state->manager_base)) {
        inner = PyObject_GetAttr(owner, self->state->names.gen);
    }
    else {
        inner = actx_field_get(self, &self->target);
        if (inner == NULL) {
            PyErr_SetString(PyExc_AttributeError, "nothing is being awaited");
        }
    }
    Py_XDECREF(owner);
    return inner;
}

/* `closure` names the attribute: "cr_" here, "ag_" of an async generator. */
static PyObject *
awaitable_get_inner(AwaitableObject *self, void *closure)
{
    const char *name = closure;
    if (actx_byte_load(&self->status) == STATUS_FINISHED && strcmp(name, "code") != 0) {
        Py_RETURN_NONE;
    }
    PyObject *inner = awaitable_inner(self);
    if (inner == NULL) {
        return NULL;
    }
    PyObject *full = PyUnicode_FromFormat("%s_%s", PyAsyncGen_CheckExact(inner) ? "ag" : "cr", name);
    PyObject *result = NULL;
    if (full != NULL && Py_EnterRecursiveCall(" while following what is awaited") == 0) {
        result = PyObject_GetAttr(inner, full);
        Py_LeaveRecursiveCall();
    }
    Py_XDECREF(full);
    Py_DECREF(inner);
    return result;
}

PyGetSetDef actx_awaitable_getset[] = {
    {"__name__", (getter)awaitable_get_name, (setter)awaitable_set_name, "name of the coroutine", "__name__"},
    {"__qualname__", (getter)awaitable_get_name, (setter)awaitable_set_name, "qualified name of the coroutine",
     "__qualname__"},
    {"cr_await", (getter)awaitable_get_inner, NULL, "object that is being awaited, however deep, or None", "await"},
    {"cr_frame", (getter)awaitable_get_inner, NULL, "frame of the generator that runs, or None", "frame"},
    {"cr_code", (getter)awaitable_get_inner, NULL, "code of the generator that runs", "code"},
    {"cr_running", (getter)awaitable_get_running, NULL, NULL, NULL},
    {"cr_suspended", (getter)awaitable_get_suspended, NULL, NULL, NULL},
    {"cr_origin", (getter)awaitable_get_origin, NULL, "where it was created, or None", NULL},
#if ACTX_HAS_CR_STATE
    {"cr_state", (getter)awaitable_get_state, NULL, "CORO_CREATED, CORO_RUNNING, CORO_SUSPENDED or CORO_CLOSED", NULL},
#endif
    {NULL, NULL, NULL, NULL, NULL},
};

/* -- the warning -- */

/* By the function that the interpreter calls for coroutines, which knows the origin and the source; in plain words
   where the interpreter is too far gone to import it. */
PyObject *
actx_awaitable_warn_unawaited(AwaitableObject *self)
{
    PyObject *warnings = PyImport_ImportModule("warnings");
    PyObject *warn = warnings != NULL ? PyObject_GetAttr(warnings, self->state->names.warn_unawaited) : NULL;
    PyObject *result = NULL;
    if (warn != NULL) {
        result = PyObject_CallOneArg(warn, (PyObject *)self);
    }
    else {
        PyErr_Clear();
        const char *qualname = self->ops->qualname;
        if (PyErr_WarnFormat(PyExc_RuntimeWarning, 1, "coroutine '%s' was never awaited", qualname) == 0) {
            result = Py_NewRef(Py_None);
        }
    }
    Py_XDECREF(warn);
    Py_XDECREF(warnings);
    return result;
}

/* -- __await__(): an iterator apart, for an awaitable must not pass for a generator -- */

typedef struct {
    PyObject_HEAD
    PyObject *awaitable;  // strong
} AwaitableIteratorObject;

const char actx_awaitable_await_doc[] = "__await__($self)\n--\n\nReturn an iterator that drives this awaitable.";

PyObject *
actx_awaitable_await_method(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    PyTypeObject *type = ((AwaitableObject *)self)->state->awaitable_iterator_type;
    AwaitableIteratorObject *iterator = PyObject_GC_New(AwaitableIteratorObject, type);
    if (iterator != NULL) {
        iterator->awaitable = Py_NewRef(self);
        PyObject_GC_Track(iterator);
    }
    return (PyObject *)iterator;
}

static int
iterator_tp_traverse(AwaitableIteratorObject *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(self->awaitable);
    return 0;
}

static void
iterator_tp_dealloc(AwaitableIteratorObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    Py_DECREF(self->awaitable);
    PyObject_GC_Del(self);
    Py_DECREF(type);
}

static PyObject *
iterator_tp_iternext(AwaitableIteratorObject *self)
{
    return actx_awaitable_send((AwaitableObject *)self->awaitable, Py_None);
}

/* send(), throw() and close() are those of the awaitable. */
static PyObject *
iterator_tp_getattro(PyObject *self, PyObject *name)
{
    static const char *const shared[] = {"send", "throw", "close"};
    for (size_t i = 0; i < sizeof(shared) / sizeof(shared[0]); i++) {
        if (PyUnicode_Check(name) && PyUnicode_CompareWithASCIIString(name, shared[i]) == 0) {
            return PyObject_GetAttr(((AwaitableIteratorObject *)self)->awaitable, name);
        }
    }
    return PyObject_GenericGetAttr(self, name);
}

static PyType_Slot iterator_slots[] = {
    {Py_tp_doc, "Drives an awaitable as an iterator; what its __await__() returns."},
    {Py_tp_dealloc, iterator_tp_dealloc},
    {Py_tp_traverse, iterator_tp_traverse},
    {Py_tp_getattro, iterator_tp_getattro},
    {Py_tp_iter, PyObject_SelfIter},
    {Py_tp_iternext, iterator_tp_iternext},
    {0, NULL},
};

PyType_Spec actx_awaitable_iterator_spec = {
    .name = "_acontextlib.coroutine_wrapper",
    .basicsize = sizeof(AwaitableIteratorObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = iterator_slots,
};
