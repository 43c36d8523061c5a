/* What one instance of the module owns.  Every object of ours keeps a borrowed pointer to it; the object's type
   keeps the module, and with it the state, alive. */
#ifndef ACTX_STATE_H
#define ACTX_STATE_H

#include "asyncio_hook.h"
#include "compat.h"
#include "errors.h"
#include "generator.h"
#include "threads.h"

/* Objects that died and are ready for use again.  Each keeps its type, and nothing else, referenced. */
typedef struct {
    int count;
    int limit;  // 0 once the module is being cleared: nothing is kept from then on
    PyObject *items[ACTX_FREELIST_SIZE + 1];
} Freelist;

/* Names that the C code looks up: X(field, text). */
#define ACTX_NAMES(X)                                \
    X(aclose, "aclose")                              \
    X(add, "add")                                    \
    X(add_note, "add_note")                          \
    X(aenter, "__aenter__")                          \
    X(aexit, "__aexit__")                            \
    X(ag_code, "ag_code")                            \
    X(ag_frame, "ag_frame")                          \
    X(append, "append")                              \
    X(args, "args")                                  \
    X(asyncgens, "_asyncgens")                       \
    X(athrow, "athrow")                              \
    X(class_, "__class__")                           \
    X(close, "close")                                \
    X(cr_await, "cr_await")                          \
    X(data, "data")                                  \
    X(doc, "__doc__")                                \
    X(enter, "__enter__")                            \
    X(exit, "__exit__")                              \
    X(func, "func")                                  \
    X(gen, "gen")                                    \
    X(iterating, "_iterating")                       \
    X(kwds, "kwds")                                  \
    X(module, "__module__")                          \
    X(pending_removals, "_pending_removals")         \
    X(pop, "pop")                                    \
    X(qualname, "__qualname__")                      \
    X(remove, "_remove")                             \
    X(result, "enter_result")                        \
    X(shutdown_called, "_asyncgens_shutdown_called") \
    X(thing, "thing")                                \
    X(throw_, "throw")                               \
    X(warn_unawaited, "_warn_unawaited_coroutine")   \
    X(wrapped, "__wrapped__")

#define ACTX_NAME_FIELD(field, text) PyObject *field;

typedef struct {
    ACTX_NAMES(ACTX_NAME_FIELD)
} Names;

/* The methods of AsyncExitStack, and how many names contextlib's look up on a stack. */
enum {
    STACK_INIT,
    STACK_PUSH,
    STACK_CALLBACK,
    STACK_ENTER_CONTEXT,
    STACK_POP_ALL,
    STACK_PUSH_ENTRY,
    STACK_PUSH_ASYNC_EXIT,
    STACK_PUSH_ASYNC_CALLBACK,
    STACK_ENTER_ASYNC_CONTEXT,
    STACK_AENTER,
    STACK_ACLOSE,
    STACK_AEXIT,
    STACK_METHODS,
};
enum { STACK_WATCHED = 9 };

/* One of those names, and what the class had under it when it was made; NULL where it had nothing. */
typedef struct {
    PyObject *name;      // strong
    PyObject *original;  // strong or NULL
} WatchedName;

/* What is known of a class of stacks: what it overrides, in the last byte, as long as its version is what stands before
   that; 0 where nothing is known.  One word, for threads. */
typedef uint64_t StackClass;

/* aclosing and nullcontext, and their methods. */
enum { SIMPLE_CLOSING, SIMPLE_NULL, SIMPLE_CLASSES };
enum { SIMPLE_INIT, SIMPLE_AENTER, SIMPLE_AEXIT, SIMPLE_ENTER, SIMPLE_EXIT, SIMPLE_METHODS };

typedef struct {
    PyTypeObject *base;
    PyTypeObject *type;               // derived from it by class_like() in _templates.py
    PyObject *twins[SIMPLE_METHODS];  // contextlib's own methods
    Freelist freelist;
} SimpleClass;

typedef struct ModuleState {
    PyTypeObject *awaitable_type;
    PyTypeObject *awaitable_iterator_type;
    PyTypeObject *method_type;
    PyTypeObject *bound_method_type;
    PyTypeObject *manager_base;  // made from the spec in contextmanager.c
    PyObject *manager_aenter;    // its methods
    PyObject *manager_aexit;
    uint64_t manager_version;    // version of manager_type while it has them; 0 where that is not known
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
    PyObject *call;  // (func, args, kwds) -> func(*args, **kwds)

    PyTypeObject *stack_base;              // made from the spec in stack.c
    PyTypeObject *stack_type;              // AsyncExitStack, derived from it by class_like() in _templates.py
    PyObject *stack_twins[STACK_METHODS];  // contextlib's own methods
    WatchedName stack_watched[STACK_WATCHED];
    StackClass stack_classes[2];  // ours, and the subclass that was asked for last
    PyObject *wrap_callback;      // contextlib's functions that make a callable of a callback and its arguments
    PyObject *wrap_async_callback;
    PyObject *deque_type;    // collections.deque
    PyObject *unpack_entry;  // (is_sync, callable) of whatever somebody put into `_exit_callbacks`
    SimpleClass simples[SIMPLE_CLASSES];

    GeneratorDrive drive;
    AsyncioHook asyncio;
    PyObject *asyncio_hook;  // asyncio_hook() of _templates.py
    bool closes_on_misuse;   // this contextlib runs aclose() where the generator didn't stop
    Names names;
    KeptStops stops;
    Freelist awaitables;
    Freelist bound_methods;
    Freelist managers;
    Freelist stacks;
} ModuleState;

extern PyModuleDef actx_module_def;
extern PyType_Spec actx_awaitable_spec;
extern PyType_Spec actx_manager_spec;
extern PyType_Spec actx_stack_spec;

/* Whether the instances of a type of ours may still ask for the state.  Of a module that is garbage together with its
   types and instances the collector clears one type after the other, and the last one takes the state along: before
   the instances are freed.  For a subclass made in Python the answer is no. */
static inline bool
actx_type_has_state(PyTypeObject *type)
{
    return ((PyHeapTypeObject *)type)->ht_module != NULL;
}

/* A class made in Python from a type of ours belongs to the module, too. */
static inline void
actx_type_set_module(PyTypeObject *type, PyObject *module)
{
    assert(((PyHeapTypeObject *)type)->ht_module == NULL);
    ((PyHeapTypeObject *)type)->ht_module = Py_NewRef(module);
}

/* Take an object out of the list, as its first reference; NULL, without an error, when there is none.  Its fields
   are as they were left: the deallocator that puts objects here sees to it that they are NULL. */
static inline PyObject *
actx_freelist_pop(Freelist *list)
{
    if (ACTX_FREELIST_SIZE == 0 || list->count == 0) {
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
    if (ACTX_FREELIST_SIZE != 0 && list->count < list->limit) {
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
