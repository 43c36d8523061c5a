/* What an awaitable awaits, as far as awaitable.c, which resumes it, and target.c, which begins it, share it. */
#ifndef ACTX_TARGET_H
#define ACTX_TARGET_H

#include "awaitable.h"
#include "errors.h"

/* Run a statement with what the procedure handles, if anything, as the handled exception. */
#define WHILE_HANDLING(self, statement)                \
    do {                                               \
        if ((self)->handled == NULL) {                 \
            statement;                                 \
        }                                              \
        else {                                         \
            HandledScope scope_;                       \
            actx_handled_push(&scope_, self->handled); \
            statement;                                 \
            actx_handled_pop(&scope_);                 \
        }                                              \
    } while (0)

/* Give up the claim on the generator, if there is one. */
static inline void
actx_awaitable_unclaim(AwaitableObject *self)
{
#if ACTX_FREE_THREADED
    if (self->claim.generator != NULL) {
        if (actx_type_has_state(Py_TYPE(self))) {
            actx_generator_unclaim(&self->state->drive, &self->claim);
        }
        else {
            Py_CLEAR(self->claim.generator);
        }
    }
#else
    (void)self;
#endif
}

/* What was awaited is done with, however that ended. */
static inline void
actx_awaitable_drop_target(AwaitableObject *self)
{
    PyObject *target = actx_field_exchange_take(self, &self->target, NULL);
    actx_awaitable_unclaim(self);
    Py_XDECREF(target);
}

#endif
