/* The methods of AsyncExitStack that push entries and enter managers; unwind.c has those that leave.

   Mirrors _BaseExitStack and AsyncExitStack of contextlib.  What differs from version to version is the lookup of
   special methods, which is actx_special_lookup(), and the AttributeError that a refusal is raised from up to
   3.14. */
#include "exitstack.h"

#include "contextmanager.h"
#include "errors.h"
#include "notes.h"

/* -- what the methods share -- */

/* Whether a call that pushes is an ordinary one: of one positional argument, on a stack where nothing is
   overridden and whose entries are its own.  If not, *result is what contextlib's own method made of it. */
static inline bool
stack_pushes(StackObject *self, int twin, bool plain, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames,
             PyObject **result)
{
    int overrides = actx_stack_overrides(self);
    *result = NULL;
    if (plain && (overrides & (OVERRIDES_PUSHING | OVERRIDES_ENTRIES)) == 0 && !actx_stack_is_public(self)) {
        return true;
    }
    if (overrides >= 0) {
        *result = actx_call_with_self(self->state->stack_twins[twin], (PyObject *)self, args, nargs, kwnames);
    }
    return false;
}

/* Refuse a manager whose class lacks a method, in the words of contextlib, which handles an AttributeError
   meanwhile, or not. */
static void
stack_refuse(ModuleState *state, PyObject *manager, bool is_sync)
{
    const char *protocol = is_sync ? "context manager" : "asynchronous context manager";
    HandledScope scope;
    PyObject *type = (PyObject *)Py_TYPE(manager);
    PyObject *missing = PyErr_Occurred() ? PyErr_GetRaisedException() : NULL;
    if (missing != NULL) {
        actx_handled_push(&scope, missing);
    }
    PyObject *module = PyObject_GetAttr(type, state->names.module);
    PyObject *qualname = module != NULL ? PyObject_GetAttr(type, state->names.qualname) : NULL;
    if (qualname != NULL) {
        PyErr_Format(PyExc_TypeError, "'%S.%S' object does not support the %s protocol", module, qualname, protocol);
    }
    if (missing != NULL) {
        actx_handled_pop(&scope);
        if (qualname != NULL) {
            PyObject *exc = PyErr_GetRaisedException();
            PyException_SetCause(exc, NULL);  // from None
            PyErr_SetRaisedException(exc);
        }
        Py_DECREF(missing);
    }
    if (qualname != NULL) {
        actx_note_refused(&state->names, manager, is_sync);
    }
    Py_XDECREF(module);
    Py_XDECREF(qualname);
}

/* What entering a manager takes: strong references. */
typedef struct {
    PyObject *enter, *exit;
    bool enter_takes_self, exit_takes_self;
} ManagerMethods;

static int
methods_lookup(ModuleState *state, PyObject *manager, bool is_sync, ManagerMethods *found)
{
    const Names *names = &state->names;
    found->exit = NULL;
    int result = actx_special_lookup(manager, is_sync ? names->enter : names->aenter, true, &found->enter,
                                     &found->enter_takes_self);
    if (result > 0) {
        result = actx_special_lookup(manager, is_sync ? names->exit : names->aexit, true, &found->exit,
                                     &found->exit_takes_self);
        if (result <= 0) {
            Py_CLEAR(found->enter);
        }
    }
    if (result == 0) {
        stack_refuse(state, manager, is_sync);
    }
    return result > 0 ? 0 : -1;
}

/* Call the enter method, which is released. */
static PyObject *
methods_enter(ManagerMethods *methods, PyObject *manager)
{
    PyObject *vector[2] = {NULL, manager};
    size_t nargs = methods->enter_takes_self ? 1 : 0;
    PyObject *result = PyObject_Vectorcall(methods->enter, vector + 1, nargs | PY_VECTORCALL_ARGUMENTS_OFFSET, NULL);
    Py_CLEAR(methods->enter);
    return result;
}

/* -- the synchronous half -- */

PyDoc_STRVAR(stack_init_doc,
             "Begin with no entries; those of before, if any, are forgotten.");

static PyObject *
stack_init(PyObject *op, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    StackObject *self = (StackObject *)op;
    if (nargs != 0 || kwnames != NULL) {
        return actx_call_with_self(self->state->stack_twins[STACK_INIT], op, args, nargs, kwnames);
    }
    actx_stack_reset(self);
    Py_RETURN_NONE;
}

/* push() and push_async_exit(): the exit method of a manager, or else the object itself. */
static PyObject *
push_exit(StackObject *self, PyObject *exit, PyObject *name, bool is_sync)
{
    ExitEntry entry = {.callable = NULL, .argument = NULL, .kind = ENTRY_EXIT, .is_sync = is_sync};
    PyObject *function;
    bool takes_self;
    int found = actx_special_lookup(exit, name, false, &function, &takes_self);
    if (found < 0) {
        return NULL;
    }
    if (found == 0) {
        entry.callable = Py_NewRef(exit);
    }
    else {
        int failed = actx_entry_init_method(&entry, exit, function, takes_self, is_sync);
        Py_DECREF(function);
        if (failed < 0) {
            return NULL;
        }
    }
    return actx_stack_append_take(self, entry) < 0 ? NULL : Py_NewRef(exit);
}

PyDoc_STRVAR(stack_push_doc,
             "Have exit.__exit__, or exit itself where its class has no such method, called on exit.\n\n"
             "It is given the exception as by the with statement and can suppress it.  Returns exit, so that this\n"
             "can stand as a decorator.");

static PyObject *
stack_push(PyObject *op, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    StackObject *self = (StackObject *)op;
    PyObject *result;
    if (!stack_pushes(self, STACK_PUSH, nargs == 1 && kwnames == NULL, args, nargs, kwnames, &result)) {
        return result;
    }
    return push_exit(self, args[0], self->state->names.exit, true);
}

static PyObject *
push_callback(StackObject *self, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames, bool is_sync)
{
    ExitEntry entry;
    if (actx_entry_init_callback(&entry, args[0], args + 1, nargs - 1, kwnames, is_sync) < 0 ||
        actx_stack_append_take(self, entry) < 0) {
        return NULL;
    }
    return Py_NewRef(args[0]);
}

PyDoc_STRVAR(stack_callback_doc,
             "Have callback(*args, **kwds) called on exit; what it returns does not count.\n\n"
             "Returns callback, so that this can stand as a decorator.");

static PyObject *
stack_callback(PyObject *op, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    StackObject *self = (StackObject *)op;
    PyObject *result;
    if (!stack_pushes(self, STACK_CALLBACK, nargs > 0, args, nargs, kwnames, &result)) {
        return result;
    }
    return push_callback(self, args, nargs, kwnames, true);
}

PyDoc_STRVAR(stack_enter_context_doc,
             "Enter a synchronous context manager and have it left on exit.\n\n"
             "Returns what its __enter__() returns.");

static PyObject *
stack_enter_context(PyObject *op, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    StackObject *self = (StackObject *)op;
    PyObject *result;
    ManagerMethods methods;
    ExitEntry entry;
    if (!stack_pushes(self, STACK_ENTER_CONTEXT, nargs == 1 && kwnames == NULL, args, nargs, kwnames, &result)) {
        return result;
    }
    PyObject *manager = args[0];
    if (methods_lookup(self->state, manager, true, &methods) < 0) {
        return NULL;
    }
    if (actx_stack_reserve(self) == 0) {
        result = methods_enter(&methods, manager);
        actx_stack_unreserve(self);
    }
    if (result != NULL && (actx_entry_init_method(&entry, manager, methods.exit, methods.exit_takes_self, true) < 0 ||
                           actx_stack_append_take(self, entry) < 0)) {
        Py_CLEAR(result);
    }
    Py_XDECREF(methods.enter);
    Py_DECREF(methods.exit);
    return result;
}

PyDoc_STRVAR(stack_push_entry_doc,
             "Push a function with the signature of __exit__.");

/* _push_exit_callback(callback, is_sync=True): what contextlib's methods, and those of subclasses, call on a stack
   of theirs. */
static PyObject *
stack_push_entry(PyObject *op, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    StackObject *self = (StackObject *)op;
    int overrides = actx_stack_overrides(self);
    if (overrides < 0) {
        return NULL;
    }
    if (nargs < 1 || nargs > 2 || kwnames != NULL || (overrides & OVERRIDES_ENTRIES) != 0 ||
        actx_stack_is_public(self) || (nargs == 2 && !PyBool_Check(args[1]))) {
        return actx_call_with_self(self->state->stack_twins[STACK_PUSH_ENTRY], op, args, nargs, kwnames);
    }
    ExitEntry entry = {.callable = Py_NewRef(args[0]), .kind = ENTRY_EXIT, .is_sync = nargs == 1 || args[1] == Py_True};
    if (actx_stack_append_take(self, entry) < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

PyDoc_STRVAR(stack_pop_all_doc,
             "Move all entries to a new stack of the same class, and return that.");

static PyObject *
stack_pop_all(PyObject *op, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    StackObject *self = (StackObject *)op;
    ModuleState *state = self->state;
    int overrides = actx_stack_overrides(self);
    if (overrides < 0) {
        return NULL;
    }
    bool missing = actx_stack_is_public(self) && actx_pointer_load(&self->callbacks) == NULL;
    if (nargs != 0 || kwnames != NULL || missing || (overrides & OVERRIDES_ENTRIES) != 0) {
        return actx_call_with_self(state->stack_twins[STACK_POP_ALL], op, args, nargs, kwnames);
    }
    PyObject *result = PyObject_CallNoArgs((PyObject *)Py_TYPE(self));
    if (result == NULL) {
        return NULL;
    }
    if (Py_TYPE(result) != Py_TYPE(self)) {  // __new__ made something else
        Py_DECREF(result);
        return actx_call_with_self(state->stack_twins[STACK_POP_ALL], op, args, nargs, kwnames);
    }
    actx_stack_move((StackObject *)result, self);
    return result;
}

/* -- the asynchronous half -- */

PyDoc_STRVAR(stack_push_async_exit_doc,
             "Have exit.__aexit__, or exit itself where its class has no such method, awaited on exit.\n\n"
             "It is given the exception as by the async with statement and can suppress it.  Returns exit,\n"
             "so that this can stand as a decorator.");

static PyObject *
stack_push_async_exit(PyObject *op, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    StackObject *self = (StackObject *)op;
    PyObject *result;
    if (!stack_pushes(self, STACK_PUSH_ASYNC_EXIT, nargs == 1 && kwnames == NULL, args, nargs, kwnames, &result)) {
        return result;
    }
    return push_exit(self, args[0], self->state->names.aexit, false);
}

PyDoc_STRVAR(stack_push_async_callback_doc,
             "Have callback(*args, **kwds) awaited on exit; what that returns does not count.\n\n"
             "Returns callback, so that this can stand as a decorator.");

static PyObject *
stack_push_async_callback(PyObject *op, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    StackObject *self = (StackObject *)op;
    PyObject *result;
    if (!stack_pushes(self, STACK_PUSH_ASYNC_CALLBACK, nargs > 0, args, nargs, kwnames, &result)) {
        return result;
    }
    return push_callback(self, args, nargs, kwnames, false);
}

enum { REF_MANAGER, REF_EXIT };                             // of enter_async_context
enum { EXIT_TAKES_SELF, EXIT_ALONE, EXIT_OF_OUR_MANAGER };  // its phase: what to push when the manager is entered

/* contextlib: AsyncExitStack.enter_async_context, after `await _enter(cm)` */
static AwaitOutcome
stack_enter_step(AwaitableObject *self, AwaitOutcome outcome, PyObject **value)
{
    StackObject *stack = (StackObject *)self->owner;
    PyObject *exit = self->refs[REF_EXIT];
    ExitEntry entry;
    actx_stack_unreserve(stack);
    if (self->phase == EXIT_OF_OUR_MANAGER) {
        outcome = actx_manager_enter_end((ManagerObject *)self->refs[REF_MANAGER], outcome);
        exit = self->state->manager_aexit;
    }
    if (outcome != AWAIT_RETURN) {
        return outcome;
    }
    if (actx_entry_init_method(&entry, self->refs[REF_MANAGER], exit, self->phase != EXIT_ALONE, false) < 0 ||
        actx_stack_append_take(stack, entry) < 0) {
        Py_CLEAR(*value);
        return AWAIT_ERROR;
    }
    return AWAIT_RETURN;
}

/* Look up the methods, keep the exit and begin to await the enter. */
static AwaitOutcome
stack_enter_any(AwaitableObject *self, PyObject **value)
{
    PyObject *manager = self->refs[REF_MANAGER];
    ManagerMethods methods;
    if (methods_lookup(self->state, manager, false, &methods) < 0) {
        return AWAIT_ERROR;
    }
    self->refs[REF_EXIT] = methods.exit;
    self->phase = methods.exit_takes_self ? EXIT_TAKES_SELF : EXIT_ALONE;
    return actx_awaitable_await_take(self, methods_enter(&methods, manager), value);
}

static AwaitOutcome
stack_enter_start(AwaitableObject *self, PyObject **value)
{
    PyObject *manager = self->refs[REF_MANAGER];
    AwaitOutcome outcome;
    if (actx_stack_reserve((StackObject *)self->owner) < 0) {
        return AWAIT_ERROR;
    }
    if (self->state->drive.direct && actx_manager_is_plain(self->state, manager)) {
        self->phase = EXIT_OF_OUR_MANAGER;
        outcome = actx_manager_enter_begin(self, (ManagerObject *)manager, value);
    }
    else {
        outcome = actx_awaitable_nest(self, value, stack_enter_any);
    }
    return outcome == AWAIT_NEXT ? outcome : stack_enter_step(self, outcome, value);
}

static const AwaitableOps stack_enter_ops = {
    .qualname = "AsyncExitStack.enter_async_context",
    .start = stack_enter_start,
    .step = stack_enter_step,
};

PyDoc_STRVAR(stack_enter_async_context_doc,
             "Enter an asynchronous context manager and have it left on exit.\n\n"
             "The awaitable's result is that of its __aenter__().");

static PyObject *
stack_enter_async_context(PyObject *op, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    StackObject *self = (StackObject *)op;
    PyObject *result;
    bool plain = nargs == 1 && kwnames == NULL;
    if (!stack_pushes(self, STACK_ENTER_ASYNC_CONTEXT, plain, args, nargs, kwnames, &result)) {
        return result;
    }
    AwaitableObject *awaitable = actx_awaitable_new(self->state, &stack_enter_ops, op);
    if (awaitable != NULL) {
        awaitable->has_refs = true;
        awaitable->refs[REF_MANAGER] = Py_NewRef(args[0]);
    }
    return (PyObject *)awaitable;
}

static AwaitOutcome
stack_aenter_start(AwaitableObject *self, PyObject **value)
{
    *value = Py_NewRef(self->owner);
    return AWAIT_RETURN;
}

static const AwaitableOps stack_aenter_ops = {
    .qualname = "AsyncExitStack.__aenter__",
    .start = stack_aenter_start,
    .step = NULL,  // nothing is awaited
};

PyDoc_STRVAR(stack_aenter_doc,
             "The awaitable's result is the stack.");

static PyObject *
stack_aenter(PyObject *op, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    StackObject *self = (StackObject *)op;
    if (nargs != 0 || kwnames != NULL) {
        return actx_call_with_self(self->state->stack_twins[STACK_AENTER], op, args, nargs, kwnames);
    }
    return (PyObject *)actx_awaitable_new(self->state, &stack_aenter_ops, op);
}

/* -- tables -- */

PyDoc_STRVAR(stack_aclose_doc,
             "Call all entries now, the last one first, as if there were no exception.");

PyDoc_STRVAR(stack_aexit_doc,
             "Call all entries, the last one first, each with the exception that is pending by then.\n\n"
             "The awaitable's result is true when that of the body was suppressed.  Raises the last exception that an\n"
             "entry raised and none after it suppressed.");

#define BASE "_BaseExitStack."
#define THIS "AsyncExitStack."

const MethodDef actx_stack_methods[STACK_METHODS] = {
    [STACK_INIT] = {"__init__", BASE "__init__", stack_init_doc, stack_init},
    [STACK_PUSH] = {"push", BASE "push", stack_push_doc, stack_push},
    [STACK_CALLBACK] = {"callback", BASE "callback", stack_callback_doc, stack_callback},
    [STACK_ENTER_CONTEXT] = {"enter_context", BASE "enter_context", stack_enter_context_doc, stack_enter_context},
    [STACK_POP_ALL] = {"pop_all", BASE "pop_all", stack_pop_all_doc, stack_pop_all},
    [STACK_PUSH_ENTRY] = {"_push_exit_callback", BASE "_push_exit_callback", stack_push_entry_doc, stack_push_entry},
    [STACK_PUSH_ASYNC_EXIT] = {"push_async_exit", THIS "push_async_exit", stack_push_async_exit_doc,
                               stack_push_async_exit},
    [STACK_PUSH_ASYNC_CALLBACK] = {"push_async_callback", THIS "push_async_callback", stack_push_async_callback_doc,
                                   stack_push_async_callback},
    [STACK_ENTER_ASYNC_CONTEXT] = {"enter_async_context", THIS "enter_async_context", stack_enter_async_context_doc,
                                   stack_enter_async_context},
    [STACK_AENTER] = {"__aenter__", THIS "__aenter__", stack_aenter_doc, stack_aenter},
    [STACK_ACLOSE] = {"aclose", THIS "aclose", stack_aclose_doc, actx_stack_aclose},
    [STACK_AEXIT] = {"__aexit__", THIS "__aexit__", stack_aexit_doc, actx_stack_aexit},
};
