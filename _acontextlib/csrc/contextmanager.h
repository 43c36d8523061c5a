/* _AsyncGeneratorContextManager: the object, shared by the file that makes it and the one that enters and exits
   it. */
#ifndef ACTX_CONTEXTMANAGER_H
#define ACTX_CONTEXTMANAGER_H

#include "awaitable.h"
#include "method.h"
#include "state.h"

enum { INLINE_ARGS = 3 };

/* What `items` holds. */
typedef enum {
    ARGS_NONE,    // nothing, all NULL
    ARGS_INLINE,  // `count` values, the last of them named by `kwnames`
    ARGS_PACKED,  // one tuple of all the values
    ARGS_PUBLIC,  // the attributes args and kwds, whatever they were set to; NULL where deleted
} ArgsForm;

enum { PUBLIC_ARGS, PUBLIC_KWDS };

/* The fields from gen to count are anybody's to read and set, in the object's critical section. */
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
    uint8_t form;  // ArgsForm
    uint8_t count;
    uint8_t ended;     // a bool: the generator came to its end when it was left
    uint8_t replaced;  // a bool: `gen` is perhaps not the generator that it was
} ManagerObject;

/* The function and its arguments, as they are kept. */
typedef struct {
    PyObject *func;
    PyObject *kwnames;
    PyObject *items[INLINE_ARGS];
    uint8_t form;
    uint8_t count;  // of items
} KeptCall;

/* Move them out of the manager, which has none afterwards. */
static inline void
actx_manager_detach_call_lock_held(ManagerObject *self, KeptCall *kept)
{
    kept->form = self->form;
    kept->count = self->form == ARGS_NONE ? 0 : self->form == ARGS_INLINE ? self->count : INLINE_ARGS;
    kept->func = self->func;
    kept->kwnames = self->kwnames;
    self->func = self->kwnames = NULL;
    self->form = ARGS_NONE;
    for (int i = 0; i < kept->count; i++) {
        kept->items[i] = self->items[i];
        self->items[i] = NULL;
    }
}

/* New references to them. */
static inline void
actx_manager_copy_call_lock_held(const ManagerObject *self, KeptCall *kept)
{
    kept->form = self->form;
    kept->count = self->form == ARGS_NONE ? 0 : self->form == ARGS_INLINE ? self->count : INLINE_ARGS;
    kept->func = Py_XNewRef(self->func);
    kept->kwnames = Py_XNewRef(self->kwnames);
    for (int i = 0; i < kept->count; i++) {
        kept->items[i] = Py_XNewRef(self->items[i]);
    }
}

static inline void
actx_kept_call_release(KeptCall *kept)
{
    Py_XDECREF(kept->func);
    Py_XDECREF(kept->kwnames);
    for (int i = 0; i < kept->count; i++) {
        Py_XDECREF(kept->items[i]);
    }
}

/* -- contextmanager.c -- */

/* A new manager for func(*args, **kwargs), called here and now with the vector of the caller. */
PyObject *actx_manager_new(ModuleState *state, PyObject *func, PyObject *const *args, size_t nargsf, PyObject *kwnames);

/* The same with a tuple (or any iterable) and a dictionary (or any mapping). */
PyObject *actx_manager_from_tuple(ModuleState *state, PyObject *func, PyObject *args, PyObject *kwds);

/* Make a class derived from actx_manager_spec's in Python as lean as one made in C. */
void actx_manager_adopt_class(PyTypeObject *type);

/* self.gen, as a new reference. */
PyObject *actx_manager_gen(ManagerObject *self);

/* `del self.args, self.kwds, self.func`: 0, or -1 with the AttributeError about the first that is missing. */
int actx_manager_delete_call(ManagerObject *self);

/* Whether the function is still kept, as it is until the manager is entered. */
bool actx_manager_keeps_call(ManagerObject *self);

/* Whether the function and the arguments are missing because the manager was entered, and not for another reason: they
   may have been deleted, or a subclass may keep them elsewhere.  For when an exception is raised. */
bool actx_manager_was_entered(ManagerObject *self);

/* -- manager_attributes.c -- */

extern const MethodDef actx_manager_recreate;
extern PyGetSetDef actx_manager_getset[];

/* -- enter_exit.c -- */

/* Enter and leave `cm` on behalf of any awaitable, with the steps of the two awaitables that the methods return.  Where
   the outcome is AWAIT_NEXT, the caller's step goes on with the _end function, and leaving may suspend again.  Leaving
   uses the phase, and the first three references for what the body raised, all NULL where it did not. */
enum { MANAGER_REF_TYPE, MANAGER_REF_VALUE, MANAGER_REF_TRACEBACK };

AwaitOutcome actx_manager_enter_begin(AwaitableObject *self, ManagerObject *cm, PyObject **value);
AwaitOutcome actx_manager_enter_end(ManagerObject *cm, AwaitOutcome outcome);
AwaitOutcome actx_manager_exit_begin(AwaitableObject *self, ManagerObject *cm, PyObject **value);
AwaitOutcome actx_manager_exit_end(AwaitableObject *self, ManagerObject *cm, AwaitOutcome outcome, PyObject **value);

/* Whether an object is a manager of ours whose class has the methods that it had when it was made. */
bool actx_manager_is_plain(ModuleState *state, PyObject *object);

extern const AwaitableOps actx_manager_enter_ops;
extern const AwaitableOps actx_manager_exit_ops;
extern const MethodDef actx_manager_aenter;
extern const MethodDef actx_manager_aexit;

#endif
