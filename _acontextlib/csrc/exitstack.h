/* AsyncExitStack, as far as stack.c, exitstack.c, unwind.c and module.c share it.

   The entries are the plain array of callbacks.h until somebody asks for the attribute `_exit_callbacks`; from then
   on that object, a deque or whatever it was set to, is the truth.

   Whatever is out of the ordinary is left to contextlib's own functions, which work on any object with the
   attributes that ours has: calls with wrong arguments, and stacks on which something that contextlib's methods
   would call is overridden. */
#ifndef ACTX_EXITSTACK_H
#define ACTX_EXITSTACK_H

#include "awaitable.h"
#include "callbacks.h"
#include "classes.h"

/* All but the first and the last line of the fields are anybody's to read and set, in the object's critical section. */
typedef struct {
    PyObject_HEAD
    ModuleState *state;   // borrowed, kept alive by the type
    PyObject *callbacks;  // strong; `_exit_callbacks`, if is_public; NULL where deleted
    PyObject *dict;
    PyObject *weakrefs;
    ExitEntries entries;  // empty if is_public
    uint32_t changes;     // how often entries were pushed or popped
    uint8_t is_public;    // a bool; never cleared but with the entries replaced
    uint16_t reserved;    // room kept for managers that are being entered
} StackObject;

/* What a subclass, an instance or a patch has overridden. */
enum {
    OVERRIDES_ENTRIES = 1,  // _exit_callbacks itself
    OVERRIDES_PUSHING = 2,  // something that the methods call to push an entry
    OVERRIDES_EXIT = 4,     // __aexit__
};

/* Which of them are overridden on this stack; -1 on error.  The first function knows the usual case. */
int actx_stack_ask_overrides(StackObject *self);

static inline int
actx_stack_overrides(StackObject *self)
{
    const StackClass known = actx_word_load(&self->state->stack_classes[0]);
    if (actx_pointer_load(&self->dict) == NULL && known >> 8 == actx_type_version(Py_TYPE(self)) && known >> 8 != 0) {
        return (uint8_t)known;
    }
    return actx_stack_ask_overrides(self);
}

/* Whether `_exit_callbacks` has the entries by now. */
static inline bool
actx_stack_is_public(const StackObject *self)
{
    return actx_byte_load(&self->is_public) != 0;
}

/* Forget all entries, as __init__() does. */
void actx_stack_reset(StackObject *self);

/* Keep room for a manager that is to be entered, whatever is pushed meanwhile: what was entered must not fail to be
   pushed.  0, or -1 with MemoryError.  To be followed by actx_stack_unreserve(). */
static inline int
actx_stack_reserve(StackObject *self)
{
    int result = 0;
    Py_BEGIN_CRITICAL_SECTION(self);
    if (!self->is_public) {
        result = actx_entries_reserve(&self->entries, self->reserved + 1U);
    }
    if (result == 0 && self->reserved != UINT16_MAX) {
        self->reserved++;
    }
    Py_END_CRITICAL_SECTION();
    return result;
}

/* It is entered, and is pushed next; or it could not be. */
static inline void
actx_stack_unreserve(StackObject *self)
{
    Py_BEGIN_CRITICAL_SECTION(self);
    if (self->reserved != UINT16_MAX) {  // so many that nobody knows the number any more
        self->reserved--;
    }
    Py_END_CRITICAL_SECTION();
}

/* Move all entries to another stack, whose own are forgotten; to itself: they are forgotten. */
void actx_stack_move(StackObject *to, StackObject *from);

/* Push an entry and take its references, also on failure. */
int actx_stack_append_take(StackObject *self, ExitEntry entry);

/* Take the entry on top: 1, or 0 when there is none, or -1. */
int actx_stack_pop(StackObject *self, ExitEntry *entry);

/* The last two are unwind.c's. */
extern const MethodDef actx_stack_methods[STACK_METHODS];
PyObject *actx_stack_aclose(PyObject *op, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames);
PyObject *actx_stack_aexit(PyObject *op, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames);

/* Note what state->stack_type is like unpatched, and have calls of it come here. */
int actx_stack_adopt_class(ModuleState *state);

#endif
