/* The exit stack's entries as plain data: what is to be called on exit, in an array that grows.

   An entry holds what a method was given and no more; the function that contextlib would have made of it exists only
   once somebody asks for it (actx_entry_wrap).  Nothing here knows of stacks or awaitables.

   Releasing an entry may run any Python code, which may come back to the stack it was in: entries are detached
   first.  An array that threads share is handled in the critical section of the stack it belongs to, where only
   reserving, pushing onto reserved room, popping and moving are allowed: they release nothing. */
#ifndef ACTX_CALLBACKS_H
#define ACTX_CALLBACKS_H

#include "compat.h"

struct ModuleState;

typedef enum {
    ENTRY_EXIT,         // callable(type, value, traceback)
    ENTRY_METHOD,       // callable(argument, type, value, traceback): the method of a manager
    ENTRY_CALL,         // callable(), whose result does not count; this and what follows are callbacks
    ENTRY_CALL_ONE,     // callable(argument)
    ENTRY_CALL_VECTOR,  // callable(*values, ...): `argument` is a tuple of the values and, at its end, their names or
                        // None
} EntryKind;

typedef struct {
    PyObject *callable;  // strong
    PyObject *argument;  // strong or NULL
    uint8_t kind;        // EntryKind
    bool is_sync;        // what it returns is not awaited
} ExitEntry;

enum { ENTRIES_INLINE = 5 };

typedef struct {
    ExitEntry *items;  // inline_items, or memory of its own
    uint32_t count;
    uint32_t capacity;
    ExitEntry inline_items[ENTRIES_INLINE];
} ExitEntries;

/* The exception that an entry is told of: type, value and traceback, or None three times.  Borrowed. */
typedef struct {
    PyObject *items[3];
} ExitDetails;

static inline void
actx_entries_init(ExitEntries *entries)
{
    entries->items = entries->inline_items;
    entries->count = 0;
    entries->capacity = ENTRIES_INLINE;
}

/* Get memory for so many more: 0, or -1 with MemoryError. */
int actx_entries_grow(ExitEntries *entries, uint32_t more);

/* Make room for so many more: 0, or -1 with MemoryError. */
static inline int
actx_entries_reserve(ExitEntries *entries, uint32_t more)
{
    return more <= entries->capacity - entries->count ? 0 : actx_entries_grow(entries, more);
}

/* Put an entry on top, with room for so many more above it, and take its references; on failure, -1, they are the
   caller's still. */
static inline int
actx_entries_push(ExitEntries *entries, const ExitEntry *entry, uint32_t more)
{
    if (actx_entries_reserve(entries, more + 1) < 0) {
        return -1;
    }
    entries->items[entries->count++] = *entry;
    return 0;
}

/* Whether there is neither an entry nor memory to be given back. */
static inline bool
actx_entries_are_initial(const ExitEntries *entries)
{
    return entries->count == 0 && entries->items == entries->inline_items;
}

/* Take the entry on top; false when there is none. */
static inline bool
actx_entries_pop(ExitEntries *entries, ExitEntry *entry)
{
    if (entries->count == 0) {
        return false;
    }
    *entry = entries->items[--entries->count];
    return true;
}

/* Move all entries into `to`, which is not initialised; `from` is empty afterwards. */
void actx_entries_move(ExitEntries *to, ExitEntries *from);

/* Release all entries and the memory, if there are any. */
void actx_entries_clear(ExitEntries *entries);

int actx_entries_traverse(const ExitEntries *entries, visitproc visit, void *arg);

/* Bytes that are not part of the struct. */
size_t actx_entries_extra_size(const ExitEntries *entries);

/* An entry for callable(*args[:nargs], **kwnames and the rest of args).  -1 with MemoryError. */
int actx_entry_init_callback(ExitEntry *entry, PyObject *callable, PyObject *const *args, Py_ssize_t nargs,
                             PyObject *kwnames, bool is_sync);

/* An entry for what special_lookup() found.  -1 with TypeError where contextlib refuses to bind it. */
int actx_entry_init_method(ExitEntry *entry, PyObject *manager, PyObject *function, bool takes_self, bool is_sync);

static inline bool
actx_entry_is_callback(const ExitEntry *entry)
{
    return entry->kind >= ENTRY_CALL;
}

/* Release the entry's references. */
static inline void
actx_entry_clear(ExitEntry *entry)
{
    Py_CLEAR(entry->callable);
    Py_CLEAR(entry->argument);
}

/* Call it; what it returns, awaitable or not, or NULL. */
PyObject *actx_entry_call(const ExitEntry *entry, const ExitDetails *details);

/* The callable that contextlib would keep for it. */
PyObject *actx_entry_wrap(struct ModuleState *state, const ExitEntry *entry);

/* Look up the special method of a manager as contextlib does: 1 with a strong reference in *function, which takes
   the manager as its first argument if *takes_self says so; 0 when there is none; -1 on any other error.  With
   `required`, 0 leaves the AttributeError set that contextlib would be handling, where it would be. */
int actx_special_lookup(PyObject *manager, PyObject *name, bool required, PyObject **function, bool *takes_self);

#endif
