/* Notes on errors about misuse: which function, where, and what to do.

   The errors keep the type, the arguments and the text that contextlib's have; what is added is an entry of
   `__notes__`, which tracebacks show below the text.  Each function is called while such an error of ours is raised.
   Nothing is made before, and where a note cannot be made the error goes without it. */
#ifndef ACTX_NOTES_H
#define ACTX_NOTES_H

#include "state.h"

/* What was wrong about an async generator, or about its manager. */
typedef enum {
    NOTE_NO_YIELD,            // RuntimeError: generator didn't yield
    NOTE_YIELDS_AGAIN,        // RuntimeError: generator didn't stop
    NOTE_NEVER_ENTERED,       // the same, where it was left and had not been entered
    NOTE_YIELDS_AFTER_ERROR,  // RuntimeError: generator didn't stop after athrow()
    NOTE_ENTERED_BEFORE,      // AttributeError about the arguments, which go away when it is entered
} GeneratorFault;

/* Say it of `gen`, with the name, file and line of its function; nothing of what is no async generator, or NULL. */
void actx_note_generator(ModuleState *state, PyObject *gen, GeneratorFault fault);

/* A stack refused to enter `manager`: name the method that takes it, if it is one of the other kind. */
void actx_note_refused(const Names *names, PyObject *manager, bool is_sync);

/* A stack called `callable`, which was pushed as a function and cannot be called like an exit method: the same. */
void actx_note_pushed(const Names *names, PyObject *callable, bool is_sync);

#endif
