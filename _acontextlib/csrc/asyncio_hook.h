/* asyncio's own firstiter hook, of which every async generator that begins in a loop is told, done in C.

   The hook adds the generator to `loop._asyncgens`, a WeakSet, so that shutdown_asyncgens() finds it.  As Python code
   that takes longer than entering and leaving a manager does otherwise.  Only what looks exactly as expected is done
   here, all else is for the caller to do by calling the hook. */
#ifndef ACTX_ASYNCIO_HOOK_H
#define ACTX_ASYNCIO_HOOK_H

#include "compat.h"

struct ModuleState;

/* What a WeakSet has in its dictionary and is read here. */
typedef enum { ENTRY_DATA, ENTRY_REMOVE, ENTRY_ITERATING, ENTRY_PENDING_REMOVALS, SET_ENTRIES } SetEntry;

/* What is known of asyncio, once a loop of its own was seen: nothing is imported for it. */
typedef struct {
    PyObject *firstiter;             // strong; BaseEventLoop._asyncgen_firstiter_hook, or NULL
    PyObject *firstiter_code;        // strong; its code
    PyObject *set_type;              // strong; weakref.WeakSet
    PyObject *add;                   // strong; WeakSet.add
    PyObject *add_code;              // strong; its code
    PyObject *remove_code;           // strong; that of the callback which each WeakSet makes
    const void *rejected;            // a function that is not the hook; perhaps dead, only ever compared
    unsigned int loop_version;       // tp_version_tag of a class of loops, and of WeakSet, whose instances have what is
    unsigned int set_version;        // read here in their dictionaries; 0 is no version
    bool defers_removals;            // while a WeakSet is iterated
    uint64_t entries_version;        // ACTX_DICT_VERSION of the dictionary which has these entries; 0 is no version
    PyObject *entries[SET_ENTRIES];  // borrowed, to be used while that dictionary has that version; may be NULL
} AsyncioHook;

/* Do what calling `firstiter`, the thread's hook, with `gen` does: 1, or -1 with what it would raise; 0, nothing done,
   if it has to be called. */
int actx_asyncio_hook_run(struct ModuleState *state, PyObject *firstiter, PyObject *gen);

/* Do what the death of `gen`, which the caller is about to cause, does to the set it was added to, if it was.  Calling
   the set's callback would take longer than all the rest. */
void actx_asyncio_hook_forget(struct ModuleState *state, PyObject *gen);

#endif
