/* Where awaitables come from when the freelist does not give one freely.

   An exit whose awaitable cannot be made does not run, and what was entered stays open.  So some awaitables are kept
   back for exits: what enters sees to it that they are there, or fails before it did anything, and what leaves takes
   one of them where no other can be had.  They are part of the freelist, whose last few are not for everybody; on the
   usual path that costs nothing. */
#include "awaitable.h"

static AwaitableObject *
awaitable_alloc(ModuleState *state)
{
    AwaitableObject *self = PyObject_GC_New(AwaitableObject, state->awaitable_type);
    if (self != NULL) {
        self->state = state;
        self->owner = NULL;
        self->status = STATUS_FINISHED;
        self->target = NULL;
        self->handled = NULL;
        memset(self->refs, 0, sizeof(self->refs));
        self->labels = NULL;
        self->weakrefs = NULL;
        self->has_refs = false;
        self->finalized = false;
#if ACTX_FREE_THREADED
        self->claim.generator = NULL;
#endif
    }
    return self;
}

AwaitableObject *
actx_awaitable_alloc(ModuleState *state, const AwaitableOps *ops)
{
    Freelist *list = &state->awaitables;
    AwaitableObject *self = awaitable_alloc(state);
    if (ops->leaves) {
        if (self == NULL && (self = (AwaitableObject *)actx_freelist_pop(list)) != NULL) {
            PyErr_Clear();
        }
        return self;
    }
    while (self != NULL && list->count < AWAITABLES_KEPT && list->limit != 0) {
        AwaitableObject *spare = awaitable_alloc(state);
        if (spare == NULL) {
            Py_CLEAR(self);
        }
        Py_XDECREF(spare);
    }
    return self;
}
