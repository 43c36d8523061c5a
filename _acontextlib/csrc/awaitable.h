/* The engine: a coroutine-like object that runs a procedure written as steps.

   An awaitable belongs to an owner (a context manager, an exit stack) and has a table of operations.  `start` is called
   when it is first resumed.  A step that has to await something calls one of the actx_awaitable_*() functions below; if
   the outcome is AWAIT_NEXT it returns that at once, and the engine keeps resuming what is awaited until it has an
   outcome to pass to `step`, which goes on from there.

       CREATED --send(None)--> RUNNING --AWAIT_NEXT--> SUSPENDED --send, throw, close--> RUNNING ...
          |                       |
          |  throw, close         +--AWAIT_RETURN, AWAIT_ERROR--> FINISHED
          +--------------------------------------------------------^

   Whoever changes the status to RUNNING has claimed the awaitable: nobody else may enter meanwhile, and but for the
   fields of which it says so below, nobody else may read.  When FINISHED every reference is released. */
#ifndef ACTX_AWAITABLE_H
#define ACTX_AWAITABLE_H

#include "await.h"
#include "state.h"

typedef struct AwaitableObject AwaitableObject;
struct AwaitableLabels;

typedef struct {
    const char *qualname;  // what a stdlib coroutine of this kind is called
    /* Begin.  *value gets a strong reference on AWAIT_RETURN and AWAIT_NEXT.  Never AWAIT_STOPPED. */
    AwaitOutcome (*start)(AwaitableObject *self, PyObject **value);
    /* Go on after what was awaited ended so.  *value holds its result (owned, to be replaced) on AWAIT_RETURN. */
    AwaitOutcome (*step)(AwaitableObject *self, AwaitOutcome outcome, PyObject **value);
    bool leaves;  // it gives up what was entered: where memory is short one that was kept back is used
    /* NULL, or: what was awaited is closed, or could not be (`failed`, with an exception set), and the step is to come.
       For procedures that stand for two coroutines, of which the inner one is at its end now.  0, or -1 with an
       exception to go on with. */
    int (*closed)(AwaitableObject *self, int failed);
} AwaitableOps;

typedef enum { STATUS_CREATED, STATUS_RUNNING, STATUS_SUSPENDED, STATUS_FINISHED } AwaitableStatus;

enum { AWAITABLE_REFS = 5 };

#define ACTX_WHILE_AWAITING " while awaiting"

/* In the order of use: an operation that neither suspends nor raises touches the first half. */
struct AwaitableObject {
    PyObject_HEAD
    ModuleState *state;  // borrowed, kept alive by the type
    const AwaitableOps *ops;
    PyObject *owner;           // strong; NULL when finished; read by anybody
    uint8_t status;            // AwaitableStatus; read by anybody, changed by actx_byte_change() to RUNNING
    uint8_t phase;             // for the steps: where they stopped
    uint8_t flags;             // for the steps of the exit stack, which leaves the phase to the managers it leaves
    bool target_is_generator;  // driven directly, through generator.h
    bool has_refs;             // refs or handled may not be NULL
    bool finalized;            // the collector keeps a mark for that, which a reused object must not have
    PyObject *weakrefs;        // here for the deallocator, which asks for it
    struct AwaitableLabels *labels;  // owned; names and origin where they are not the usual ones, or NULL; for anybody
    PyObject *target;   // strong; what is being awaited: an iterator or an async generator; read by anybody
    PyObject *handled;  // strong; the exception being handled, as by an except block; or NULL
    PyObject *refs[AWAITABLE_REFS];  // strong or NULL; each procedure names its own; sets has_refs where it uses them
#if ACTX_FREE_THREADED
    GeneratorClaim claim;  // on the generator that the target is an operation of
#endif
};

/* A new awaitable for a method of `owner` (borrowed). */
AwaitableObject *actx_awaitable_new(ModuleState *state, const AwaitableOps *ops, PyObject *owner);

/* Await any object: takes the reference to it; NULL means that an exception is set. */
AwaitOutcome actx_awaitable_await_take(AwaitableObject *self, PyObject *awaitable, PyObject **value);

/* Start a procedure that may await another awaitable of ours: RecursionError where those nest too deeply.  Managers
   whose generator is driven directly have the generator's frame for that. */
static inline AwaitOutcome
actx_awaitable_nest(AwaitableObject *self, PyObject **value, AwaitOutcome (*start)(AwaitableObject *, PyObject **))
{
    if (Py_EnterRecursiveCall(ACTX_WHILE_AWAITING) != 0) {
        return AWAIT_ERROR;
    }
    AwaitOutcome outcome = start(self, value);
    Py_LeaveRecursiveCall();
    return outcome;
}

/* Begin `await anext(gen)`, taking the reference to gen; AWAIT_STOPPED may stand for StopAsyncIteration. */
AwaitOutcome actx_awaitable_anext_take(AwaitableObject *self, PyObject *gen, PyObject **value);

/* Begin `await gen.athrow(*args)`, taking the reference to gen; AWAIT_STOPPED may stand for StopAsyncIteration. */
AwaitOutcome actx_awaitable_athrow_take(AwaitableObject *self, PyObject *gen, PyObject *const *args, Py_ssize_t nargs,
                                        PyObject **value);

/* Await `gen.aclose()`, taking the reference to gen, which may be any object. */
AwaitOutcome actx_awaitable_aclose_take(AwaitableObject *self, PyObject *gen, PyObject **value);

/* The method send(), with a result as a new StopIteration. */
PyObject *actx_awaitable_send(AwaitableObject *self, PyObject *arg);

/* -- awaitable_memory.c: where awaitables come from -- */

/* How many of the freelist are for exits only; aclose() of a stack takes two. */
enum { AWAITABLES_KEPT = ACTX_FREELIST_SIZE < 2 ? 0 : 2 };

/* One that the freelist does not give freely, or NULL.  All its references are NULL, and its status is finished. */
AwaitableObject *actx_awaitable_alloc(ModuleState *state, const AwaitableOps *ops);

/* -- awaitable_attributes.c: what can be asked of an awaitable -- */

extern PyGetSetDef actx_awaitable_getset[];
extern const char actx_awaitable_await_doc[];
extern PyType_Spec actx_awaitable_iterator_spec;

PyObject *actx_awaitable_repr(PyObject *self);

/* The method __await__(), for code that iterates; the interpreter's `await` does without. */
PyObject *actx_awaitable_await_method(PyObject *self, PyObject *ignored);

/* Warn as the interpreter does of a coroutine that was never awaited: None, or NULL where the warning is an error. */
PyObject *actx_awaitable_warn_unawaited(AwaitableObject *self);

/* Note where it is created, as deep as `depth` frames. */
int actx_awaitable_set_origin(AwaitableObject *self, int depth);

int actx_awaitable_labels_traverse(AwaitableObject *self, visitproc visit, void *arg);

/* Free the labels. */
void actx_awaitable_labels_clear(AwaitableObject *self);

#endif
