/* What one instance of the module owns.  Every object of ours keeps a borrowed pointer to it; the object's type
   keeps the module, and with it the state, alive. */
#ifndef ACTX_STATE_H
#define ACTX_STATE_H

#include "compat.h"
#include "generator.h"

/* Objects that died and are ready for use again.  Each keeps its type, and nothing else, referenced. */
typedef struct {
    int count;
    int limit;  // 0 once the module is being cleared: nothing is kept from then on
    PyObject *items[ACTX_FREELIST_SIZE + 1];
} Freelist;

/* Names that the C code looks up: X(field, text). */
#define ACTX_NAMES(X)       \
    X(aclose, "aclose")     \
    X(args, "args")         \
    X(athrow, "athrow")     \
    X(close, "close")       \
    X(cr_await, "cr_await") \
    X(doc, "__doc__")       \
    X(func, "func")         \
    X(gen, "gen")           \
    X(kwds, "kwds")         \
    X(throw_, "throw")      \
    X(wrapped, "__wrapped__")

#define ACTX_NAME_FIELD(field, text) PyObject *field;

typedef struct {
    ACTX_NAMES(ACTX_NAME_FIELD)
} Names;

typedef struct ModuleState {
    PyTypeObject *awaitable_type;
    PyTypeObject *awaitable_iterator_type;
    PyTypeObject *method_type;
    PyTypeObject *bound_method_type;
    PyTypeObject *manager_base;  // made from the spec in contextmanager.c
    PyTypeObject *manager_type;  // _AsyncGeneratorContextManager, derived from it by manager_class() in _templates.py
    PyObject *manager_doc;       // what that class says of itself

    PyObject *globals;         // in which the functions made here run
    PyObject *decorator_code;  // what asynccontextmanager() runs
    PyObject *helper_code;     // what decorated functions run
    PyObject *update_wrapper;  // functools.update_wrapper
    bool wraps_natively;       // it copies just what decorator.c copies

    PyObject *bind_init;    // Python functions that hold a method's signature: they return the arguments as a tuple, or
    PyObject *bind_aenter;  // raise what the interpreter raises about wrong ones
    PyObject *bind_aexit;
    PyObject *bind_recreate;
    PyObject *call;            // (func, args, kwds) -> func(*args, **kwds)
    PyObject *warn_unawaited;  // warnings._warn_unawaited_coroutine

    GeneratorDrive drive;
    bool closes_on_misuse;  // this contextlib runs aclose() where the generator didn't stop
    Names names;
    PyObject *stop_false;  // StopIteration(False), to be raised again and again; or NULL
    Freelist awaitables;
    Freelist bound_methods;
    Freelist managers;
} ModuleState;

extern PyModuleDef actx_module_def;
extern PyType_Spec actx_awaitable_spec;
extern PyType_Spec actx_manager_spec;

/* Take an object out of the list, as its first reference; NULL, without an error, when there is none.  Its fields
   are as they were left: the deallocator that puts objects here sees to it that they are NULL. */
static inline PyObject *
actx_freelist_pop(Freelist *list)
{
    if (list->count == 0) {
        return NULL;
    }
    PyObject *object = list->items[--list->count];
    _Py_NewReference(object);
    return object;
}

/* Give up a dead, untracked object and its reference to its type: keep them, or free them when the list is full. */
static inline void
actx_freelist_push(Freelist *list, PyObject *object)
{
    if (list->count < list->limit) {
        list->items[list->count++] = object;
        return;
    }
    PyTypeObject *type = Py_TYPE(object);
    PyObject_GC_Del(object);
    Py_DECREF(type);
}

/* What the collector has to know of the list: the types are referenced once for every object. */
static inline int
actx_freelist_traverse(const Freelist *list, visitproc visit, void *arg)
{
    for (int i = 0; i < list->count; i++) {
        Py_VISIT(Py_TYPE(list->items[i]));
    }
    return 0;
}

/* Free what is kept, and keep nothing any more. */
static inline void
actx_freelist_clear(Freelist *list)
{
    list->limit = 0;
    while (list->count > 0) {
        actx_freelist_push(list, list->items[--list->count]);
    }
}

#endif
