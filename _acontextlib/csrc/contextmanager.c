/* _AsyncGeneratorContextManager: the object that a decorated function returns.

   Made by decorator.c with the generator already created; its __aenter__ and __aexit__ return awaitables whose steps, below,
   drive the generator.  It owns the generator and, until it is entered, the function and the arguments, which only
   _recreate_cm() and curious users need: they stay the vector they came as until somebody asks.

   Mirrors _GeneratorContextManagerBase and _AsyncGeneratorContextManager of contextlib. */
#include "contextmanager.h"

#include <structmember.h>

#include "awaitable.h"
#include "errors.h"

enum { INLINE_ARGS = 3 };

/* What `items` holds. */
typedef enum {
    ARGS_INLINE,  // `count` values, the last of them named by `kwnames`
    ARGS_PACKED,  // one tuple of all the values
    ARGS_PUBLIC,  // the attributes args and kwds, whatever they were set to; NULL where deleted
} ArgsForm;

enum { PUBLIC_ARGS, PUBLIC_KWDS };

typedef struct {
    PyObject_HEAD
    ModuleState *state;            // borrowed, kept alive by the type
    PyObject *gen;                 // strong; NULL only where deleted or never set
    PyObject *func;                // strong; NULL from entering on
    PyObject *doc;                 // strong; __doc__ of the instance
    PyObject *kwnames;             // strong or NULL
    PyObject *items[INLINE_ARGS];  // strong or NULL, see ArgsForm
    PyObject *dict;
    PyObject *weakrefs;
    uint8_t form;                  // ArgsForm
    uint8_t count;
} ManagerObject;

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
    self->form = ARGS_PUBLIC;
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
        self->form = ARGS_PUBLIC;
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
    Py_VISIT(self->dict);
    return 0;
}

/* Forget the function and its arguments. */
static inline void
manager_drop_call(ManagerObject *self)
{
    int count = self->form == ARGS_INLINE ? self->count : INLINE_ARGS;
    self->form = ARGS_PUBLIC;
    Py_CLEAR(self->func);
    Py_CLEAR(self->kwnames);
    for (int i = 0; i < count; i++) {
        Py_CLEAR(self->items[i]);
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
    if (type == self->state->manager_type) {
        actx_freelist_push(&self->state->managers, (PyObject *)self);
        return;
    }
    type->tp_free(self);
    Py_DECREF(type);
}

/* Instances of the class itself have no slots, no finalizer and no dictionary beside those of its base, hence the general
   deallocator of classes made in Python has nothing to do for them but to take time. */
void
actx_manager_adopt_class(PyTypeObject *type)
{
    assert(type->tp_basicsize == type->tp_base->tp_basicsize);
    type->tp_dealloc = (destructor)manager_tp_dealloc;
    type->tp_traverse = (traverseproc)manager_tp_traverse;
    type->tp_clear = (inquiry)manager_tp_clear;
}

/* -- making one -- */

/* __doc__ of the function, for the instance; None where only the class has one.  As contextlib: getattr(func, "__doc__", None). */
static PyObject *
function_doc(ModuleState *state, PyObject *func)
{
    PyObject *doc;
    if (PyFunction_Check(func)) {
        doc = ((PyFunctionObject *)func)->func_doc;
        return Py_NewRef(doc != NULL ? doc : Py_None);
    }
    if (PyObject_GetOptionalAttr(func, state->names.doc, &doc) == 0) {
        doc = Py_NewRef(Py_None);
    }
    return doc;
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
    PyObject *gen = PyObject_Vectorcall(func, args, nargsf, kwnames);
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
    self->doc = function_doc(state, func);
    if (self->doc == NULL || manager_keep_args(self, args, PyVectorcall_NARGS(nargsf), kwnames) < 0) {
        Py_DECREF(self);
        return NULL;
    }
    return (PyObject *)self;
}

/* self.__init__(func, args, kwds), also when it was initialised before. */
static int
manager_set_call(ManagerObject *self, PyObject *func, PyObject *args, PyObject *kwds)
{
    ModuleState *state = self->state;
    PyObject *gen;
    if (PyTuple_CheckExact(args) && PyDict_CheckExact(kwds)) {
        gen = PyObject_Call(func, args, kwds);
    }
    else {
        gen = PyObject_CallFunctionObjArgs(state->call, func, args, kwds, NULL);
    }
    if (gen == NULL) {
        return -1;
    }
    Py_XSETREF(self->gen, gen);
    manager_drop_call(self);
    self->func = Py_NewRef(func);
    self->items[PUBLIC_ARGS] = Py_NewRef(args);
    self->items[PUBLIC_KWDS] = Py_NewRef(kwds);
    PyObject *doc = function_doc(state, func);
    if (doc == NULL) {
        return -1;
    }
    Py_XSETREF(self->doc, doc);
    return 0;
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

/* Instances of other classes than ours find a `__doc__` in their class before they would ask ours: there the text has to be in
   the dictionary, where contextlib puts it. */
static int
manager_store_doc(ManagerObject *self)
{
    ModuleState *state = self->state;
    PyObject *doc = Py_NewRef(self->doc);
    if (doc == Py_None) {
        Py_DECREF(doc);
        doc = PyObject_GetAttr((PyObject *)Py_TYPE(self), state->names.doc);
        if (doc == NULL) {
            return -1;
        }
    }
    int result = PyObject_GenericSetAttr((PyObject *)self, state->names.doc, doc);
    Py_DECREF(doc);
    return result;
}

static int
manager_tp_init(ManagerObject *self, PyObject *args, PyObject *kwargs)
{
    ModuleState *state = self->state;
    PyObject *bound;
    if (PyTuple_GET_SIZE(args) == 3 && kwargs == NULL) {
        bound = Py_NewRef(args);
    }
    else {
        PyObject *all = PyTuple_New(PyTuple_GET_SIZE(args) + 1);
        if (all == NULL) {
            return -1;
        }
        PyTuple_SET_ITEM(all, 0, Py_NewRef(self));
        for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(args); i++) {
            PyTuple_SET_ITEM(all, i + 1, Py_NewRef(PyTuple_GET_ITEM(args, i)));
        }
        bound = PyObject_Call(state->bind_init, all, kwargs);
        Py_DECREF(all);
        if (bound == NULL) {
            return -1;
        }
    }
    int result = manager_set_call(self, PyTuple_GET_ITEM(bound, 0), PyTuple_GET_ITEM(bound, 1), PyTuple_GET_ITEM(bound, 2));
    Py_DECREF(bound);
    if (result == 0 && Py_TYPE(self) != state->manager_type) {
        result = manager_store_doc(self);
    }
    return result;
}

/* -- __aenter__ -- */

/* `except StopAsyncIteration: raise RuntimeError(...) from None` around anext(). */
static void
set_did_not_yield(PyObject *stop /* NULL where the generator just came to its end */)
{
    if (stop == NULL) {
        PyErr_SetNone(PyExc_StopAsyncIteration);
        stop = PyErr_GetRaisedException();
    }
    actx_error_set_from_none(stop, PyExc_RuntimeError, "generator didn't yield");
    Py_DECREF(stop);
}

static AwaitOutcome
manager_enter_step(AwaitableObject *Py_UNUSED(self), AwaitOutcome outcome, PyObject **Py_UNUSED(value))
{
    if (outcome == AWAIT_STOPPED) {
        set_did_not_yield(NULL);
        return AWAIT_ERROR;
    }
    if (outcome == AWAIT_ERROR && PyErr_ExceptionMatches(PyExc_StopAsyncIteration)) {
        set_did_not_yield(PyErr_GetRaisedException());
    }
    return outcome;
}

/* `del self.args, self.kwds, self.func`: the first that is missing stops it. */
static int
manager_delete_call(ManagerObject *self)
{
    const Names *names = &self->state->names;
    if (self->form == ARGS_PUBLIC) {
        PyObject *args = self->items[PUBLIC_ARGS];
        self->items[PUBLIC_ARGS] = NULL;
        if (args == NULL) {
            actx_error_set_missing_attribute((PyObject *)self, names->args);
            return -1;
        }
        PyObject *kwds = self->items[PUBLIC_KWDS];
        self->items[PUBLIC_KWDS] = NULL;
        Py_DECREF(args);
        if (kwds == NULL) {
            actx_error_set_missing_attribute((PyObject *)self, names->kwds);
            return -1;
        }
        Py_DECREF(kwds);
    }
    if (self->func == NULL) {
        manager_drop_call(self);
        actx_error_set_missing_attribute((PyObject *)self, names->func);
        return -1;
    }
    manager_drop_call(self);
    return 0;
}

/* self.gen, as a new reference. */
static PyObject *
manager_gen(ManagerObject *self)
{
    if (self->gen == NULL) {
        return PyObject_GetAttr((PyObject *)self, self->state->names.gen);
    }
    return Py_NewRef(self->gen);
}

/* contextlib: _AsyncGeneratorContextManager.__aenter__ */
static AwaitOutcome
manager_enter_start(AwaitableObject *self, PyObject **value)
{
    ManagerObject *cm = (ManagerObject *)self->owner;
    if (manager_delete_call(cm) < 0) {
        return AWAIT_ERROR;
    }
    PyObject *gen = manager_gen(cm);
    if (gen == NULL) {
        return AWAIT_ERROR;
    }
    AwaitOutcome outcome = actx_awaitable_anext(self, gen, value);
    Py_DECREF(gen);
    return manager_enter_step(self, outcome, value);
}

static const AwaitableOps manager_enter_ops = {
    .qualname = "_AsyncGeneratorContextManager.__aenter__",
    .start = manager_enter_start,
    .step = manager_enter_step,
};

/* -- __aexit__ -- */

enum { REF_TYPE, REF_VALUE, REF_TRACEBACK };       // what the body raised, or all NULL
enum { PHASE_NEXT, PHASE_THROW, PHASE_CLOSE };     // which of the three is being awaited

static AwaitOutcome
return_bool(PyObject **value, bool flag)
{
    *value = Py_NewRef(flag ? Py_True : Py_False);
    return AWAIT_RETURN;
}

/* `try: raise RuntimeError(text)` / `finally: await self.gen.aclose()`: the error is being handled meanwhile. */
static AwaitOutcome
manager_begin_close(AwaitableObject *self, const char *text, PyObject **value)
{
    PyErr_SetString(PyExc_RuntimeError, text);
    if (!self->state->closes_on_misuse) {
        return AWAIT_ERROR;
    }
    self->has_refs = true;
    self->handled = PyErr_GetRaisedException();
    self->phase = PHASE_CLOSE;
    PyObject *gen = manager_gen((ManagerObject *)self->owner);
    PyObject *aclose = gen != NULL ? PyObject_CallMethodNoArgs(gen, self->state->names.aclose) : NULL;
    Py_XDECREF(gen);
    return actx_awaitable_await_take(self, aclose, value);
}

/* The generator is closed, or could not be: what that raised replaces the error. */
static AwaitOutcome
manager_end_close(AwaitableObject *self, AwaitOutcome outcome, PyObject **value)
{
    if (outcome != AWAIT_RETURN) {
        return outcome;
    }
    Py_CLEAR(*value);
    PyErr_SetRaisedException(self->handled);
    self->handled = NULL;
    return AWAIT_ERROR;
}

/* After `await anext(self.gen)`. */
static AwaitOutcome
manager_end_next(AwaitableObject *self, AwaitOutcome outcome, PyObject **value)
{
    switch (outcome) {
    case AWAIT_STOPPED:
        return return_bool(value, false);
    case AWAIT_RETURN:
        Py_CLEAR(*value);
        outcome = manager_begin_close(self, "generator didn't stop", value);
        return outcome == AWAIT_NEXT ? outcome : manager_end_close(self, outcome, value);
    case AWAIT_ERROR:
        if (PyErr_ExceptionMatches(PyExc_StopAsyncIteration)) {
            PyErr_Clear();
            return return_bool(value, false);
        }
        return outcome;
    default:
        return outcome;
    }
}

/* `exc.__traceback__ = traceback; return False`.  Set past the attribute, for classes that forbid setting attributes: those
   exceptions come through as themselves. */
static AwaitOutcome
manager_pass_through(AwaitableObject *self, PyObject *exc, PyObject *raised, PyObject **value)
{
    PyObject *tb = self->refs[REF_TRACEBACK];
    HandledScope scope;
    actx_handled_push(&scope, raised);
    int failed = PyException_SetTraceback(exc, tb);
    actx_handled_pop(&scope);
    return failed < 0 ? AWAIT_ERROR : return_bool(value, false);
}

/* `except ...` after `await self.gen.athrow(value)`, in the order of contextlib but for the identity test, which is first. */
static AwaitOutcome
manager_handle_thrown(AwaitableObject *self, PyObject **value)
{
    PyObject *thrown = self->refs[REF_VALUE];
    PyObject *exc = PyErr_GetRaisedException();
    PyObject *cause;
    AwaitOutcome outcome;
    if (PyErr_GivenExceptionMatches(exc, PyExc_StopAsyncIteration)) {
        outcome = return_bool(value, exc != thrown);
    }
    else if (exc == thrown) {
        outcome = manager_pass_through(self, exc, exc, value);
    }
    else if (PyErr_GivenExceptionMatches(exc, PyExc_RuntimeError) &&
             (PyErr_GivenExceptionMatches(thrown, PyExc_StopIteration) ||
              PyErr_GivenExceptionMatches(thrown, PyExc_StopAsyncIteration)) &&
             (cause = PyException_GetCause(exc)) != NULL) {
        Py_DECREF(cause);
        if (cause != thrown) {
            PyErr_SetRaisedException(exc);
            return AWAIT_ERROR;
        }
        outcome = manager_pass_through(self, thrown, exc, value);
    }
    else {
        PyErr_SetRaisedException(exc);
        return AWAIT_ERROR;
    }
    Py_DECREF(exc);
    return outcome;
}

/* After `await self.gen.athrow(value)`. */
static AwaitOutcome
manager_end_throw(AwaitableObject *self, AwaitOutcome outcome, PyObject **value)
{
    switch (outcome) {
    case AWAIT_STOPPED:
        return return_bool(value, true);
    case AWAIT_RETURN:
        Py_CLEAR(*value);
        outcome = manager_begin_close(self, "generator didn't stop after athrow()", value);
        return outcome == AWAIT_NEXT ? outcome : manager_end_close(self, outcome, value);
    case AWAIT_ERROR:
        return manager_handle_thrown(self, value);
    default:
        return outcome;
    }
}

static AwaitOutcome
manager_exit_step(AwaitableObject *self, AwaitOutcome outcome, PyObject **value)
{
    switch (self->phase) {
    case PHASE_NEXT:
        return manager_end_next(self, outcome, value);
    case PHASE_THROW:
        return manager_end_throw(self, outcome, value);
    default:
        return manager_end_close(self, outcome, value);
    }
}

/* contextlib: _AsyncGeneratorContextManager.__aexit__ */
static AwaitOutcome
manager_exit_start(AwaitableObject *self, PyObject **value)
{
    ManagerObject *cm = (ManagerObject *)self->owner;
    PyObject **refs = self->refs;
    AwaitOutcome outcome;
    if (refs[REF_TYPE] != NULL && refs[REF_VALUE] == Py_None) {
        Py_SETREF(refs[REF_VALUE], PyObject_CallNoArgs(refs[REF_TYPE]));
        if (refs[REF_VALUE] == NULL) {
            return AWAIT_ERROR;
        }
    }
    PyObject *gen = manager_gen(cm);
    if (gen == NULL) {
        return AWAIT_ERROR;
    }
    if (refs[REF_TYPE] == NULL) {
        self->phase = PHASE_NEXT;
        outcome = actx_awaitable_anext(self, gen, value);
    }
    else {
        self->phase = PHASE_THROW;
        if (ACTX_THROW_TAKES_VALUE) {
            outcome = actx_awaitable_athrow(self, gen, &refs[REF_VALUE], 1, value);
        }
        else {
            outcome = actx_awaitable_athrow(self, gen, refs, 3, value);
        }
    }
    Py_DECREF(gen);
    return outcome == AWAIT_NEXT ? outcome : manager_exit_step(self, outcome, value);
}

static const AwaitableOps manager_exit_ops = {
    .qualname = "_AsyncGeneratorContextManager.__aexit__",
    .start = manager_exit_start,
    .step = manager_exit_step,
};

/* -- methods -- */

/* The arguments of a call that is not the plain one, bound as Python binds them: a tuple, or NULL with Python's error. */
static PyObject *
manager_bind(PyObject *signature, ManagerObject *self, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    Py_ssize_t count = nargs + (kwnames != NULL ? PyTuple_GET_SIZE(kwnames) : 0);
    PyObject **vector = PyMem_New(PyObject *, count + 1);
    if (vector == NULL) {
        return PyErr_NoMemory();
    }
    vector[0] = (PyObject *)self;
    for (Py_ssize_t i = 0; i < count; i++) {
        vector[i + 1] = args[i];
    }
    PyObject *bound = PyObject_Vectorcall(signature, vector, (size_t)(nargs + 1), kwnames);
    PyMem_Free(vector);
    return bound;
}

PyDoc_STRVAR(manager_aenter_doc,
             "Run the generator to its yield; the awaitable's result is what it yields.\n\n"
             "Raises RuntimeError when it does not yield, AttributeError when it was entered before.");

static PyObject *
manager_aenter(PyObject *op, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    ManagerObject *self = (ManagerObject *)op;
    if (nargs != 0 || kwnames != NULL) {
        PyObject *bound = manager_bind(self->state->bind_aenter, self, args, nargs, kwnames);
        if (bound == NULL) {
            return NULL;
        }
        Py_DECREF(bound);
    }
    return (PyObject *)actx_awaitable_new(self->state, &manager_enter_ops, op);
}

PyDoc_STRVAR(manager_aexit_doc,
             "Run the generator to its end, with the exception raised at its yield if typ is not None.\n\n"
             "The awaitable's result is true when the exception is suppressed.  Raises RuntimeError when the generator\n"
             "yields again, and whatever it raises that is not the exception itself.");

static PyObject *
manager_aexit(PyObject *op, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    ManagerObject *self = (ManagerObject *)op;
    PyObject *bound = NULL;
    if (nargs != 3 || kwnames != NULL) {
        bound = manager_bind(self->state->bind_aexit, self, args, nargs, kwnames);
        if (bound == NULL) {
            return NULL;
        }
        args = &PyTuple_GET_ITEM(bound, 0);
    }
    AwaitableObject *awaitable = actx_awaitable_new(self->state, &manager_exit_ops, op);
    if (awaitable != NULL && args[0] != Py_None) {
        awaitable->has_refs = true;
        awaitable->refs[REF_TYPE] = Py_NewRef(args[0]);
        awaitable->refs[REF_VALUE] = Py_NewRef(args[1]);
        awaitable->refs[REF_TRACEBACK] = Py_NewRef(args[2]);
    }
    Py_XDECREF(bound);
    return (PyObject *)awaitable;
}

/* Make args a tuple and kwds a dictionary, as contextlib has them from the start. */
static int
manager_publish_args(ManagerObject *self)
{
    if (self->form == ARGS_PUBLIC) {
        return 0;
    }
    bool packed = self->form == ARGS_PACKED;
    PyObject **values = packed ? &PyTuple_GET_ITEM(self->items[0], 0) : self->items;
    Py_ssize_t count = packed ? PyTuple_GET_SIZE(self->items[0]) : self->count;
    Py_ssize_t named = self->kwnames != NULL ? PyTuple_GET_SIZE(self->kwnames) : 0;
    PyObject *args = PyTuple_New(count - named);
    PyObject *kwds = PyDict_New();
    if (args == NULL || kwds == NULL) {
        goto error;
    }
    for (Py_ssize_t i = 0; i < count - named; i++) {
        PyTuple_SET_ITEM(args, i, Py_NewRef(values[i]));
    }
    for (Py_ssize_t i = 0; i < named; i++) {
        if (PyDict_SetItem(kwds, PyTuple_GET_ITEM(self->kwnames, i), values[count - named + i]) < 0) {
            goto error;
        }
    }
    PyObject *func = Py_XNewRef(self->func);
    manager_drop_call(self);
    self->func = func;
    self->items[PUBLIC_ARGS] = args;
    self->items[PUBLIC_KWDS] = kwds;
    return 0;
error:
    Py_XDECREF(args);
    Py_XDECREF(kwds);
    return -1;
}

/* Call the function again with the vector that is kept.  Held on its own meanwhile: the call may enter this manager. */
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

PyDoc_STRVAR(manager_recreate_doc,
             "_recreate_cm($self)\n--\n\n"
             "Return a new manager for the same function and arguments, as the decorator form needs one per call.\n\n"
             "Raises AttributeError when this one was entered.");

static PyObject *
manager_recreate(ManagerObject *self, PyObject *Py_UNUSED(ignored))
{
    ModuleState *state = self->state;
    if (Py_TYPE(self) == state->manager_type && self->form == ARGS_INLINE && self->func != NULL) {
        return manager_recreate_inline(self);
    }
    PyObject *cls = NULL, *func = NULL, *args = NULL, *kwds = NULL, *result = NULL;
    if ((cls = PyObject_GetAttrString((PyObject *)self, "__class__")) != NULL &&
        (func = PyObject_GetAttr((PyObject *)self, state->names.func)) != NULL &&
        (args = PyObject_GetAttr((PyObject *)self, state->names.args)) != NULL &&
        (kwds = PyObject_GetAttr((PyObject *)self, state->names.kwds)) != NULL) {
        result = PyObject_CallFunctionObjArgs(cls, func, args, kwds, NULL);
    }
    Py_XDECREF(cls);
    Py_XDECREF(func);
    Py_XDECREF(args);
    Py_XDECREF(kwds);
    return result;
}

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

/* The function's text, or the class's, asked for by templates.InstanceDoc. */
static PyObject *
manager_get_doc(ManagerObject *self, void *name)
{
    if (self->doc == Py_None) {
        return PyObject_GetAttr((PyObject *)Py_TYPE(self), self->state->names.doc);
    }
    return manager_get(self, name);
}

/* -- tables -- */

const MethodDef actx_manager_aenter = {
    "__aenter__", "_AsyncGeneratorContextManager.__aenter__", manager_aenter_doc, manager_aenter,
};

const MethodDef actx_manager_aexit = {
    "__aexit__", "_AsyncGeneratorContextManager.__aexit__", manager_aexit_doc, manager_aexit,
};

static PyMethodDef manager_methods[] = {
    {"_recreate_cm", (PyCFunction)manager_recreate, METH_NOARGS, manager_recreate_doc},
    {NULL, NULL, 0, NULL},
};

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
    {"_doc", (getter)manager_get_doc, (setter)manager_set, NULL, "__doc__"},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot manager_slots[] = {
    {Py_tp_doc, "Shared functionality of context managers made from generators."},
    {Py_tp_new, manager_tp_new},
    {Py_tp_init, manager_tp_init},
    {Py_tp_dealloc, manager_tp_dealloc},
    {Py_tp_traverse, manager_tp_traverse},
    {Py_tp_clear, manager_tp_clear},
    {Py_tp_methods, manager_methods},
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
