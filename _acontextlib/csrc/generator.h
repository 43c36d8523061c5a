/* Driving an async generator, one operation at a time.

   Two drives do the same.  The public one goes through the objects that anext(), athrow() and aclose() return.  The
   direct one resumes the generator itself and keeps the marks that those objects would keep: which marks, and where
   they are, is learnt from a generator driven for the purpose when the module is imported (actx_generator_probe).  On
   an interpreter that does not look as expected the public drive is used; nothing else depends on the outcome.

   The direct functions below may only be called when actx_generator_is_direct() says so.

   Threads.  An operation is a whole anext(), athrow() or aclose(), with all the awaits in it.  The interpreter has one
   at a time by a mark in the generator, which it tests and sets in two steps; two threads may find it clear.  So where
   there is no GIL operations are claimed here.  The direct drive claims by changing the mark.  An operation by the
   interpreter's objects is entered in a list, for its object will set the mark itself.  Both are done under one mutex,
   and neither while the generator has an operation of the other kind; who has claimed it may do with the generator what
   it likes.  Operations of which we do not know, because a program made their objects itself, are as safe as without
   us. */
#ifndef ACTX_GENERATOR_H
#define ACTX_GENERATOR_H

#include "await.h"

struct ModuleState;

#if ACTX_FREE_THREADED
/* An operation by the interpreter's objects, in the list of those that have begun. */
typedef struct GeneratorClaim {
    PyObject *generator;  // strong; NULL where there is none
    struct GeneratorClaim *next;
} GeneratorClaim;

/* The lists, by the address of the generator. */
enum { CLAIM_LISTS = 16 };

typedef struct {
    PyMutex mutex;
    GeneratorClaim *first;
} ClaimList;
#endif

/* What the direct drive knows of this interpreter's async generators. */
typedef struct {
    bool direct;
    struct ModuleState *state;         // borrowed; whose drive this is
    sendfunc send;                     // am_send of async_generator
    PyCFunction throw_;                // generator.throw, METH_FASTCALL
    PyTypeObject *wrapped_type;        // strong; what a yielded, as opposed to an awaited, value comes in
    Py_ssize_t marks;                  // offset of four bytes: hooks inited, closed, running, frame state
    Py_ssize_t finalizer;              // offset of the finalizer hook it was given
    char created, awaiting, at_yield;  // frame states; on 3.11 and 3.12 the last two are one
    char finished;
    int passed;  // steps of the self-test
#if ACTX_FREE_THREADED
    ClaimList claims[CLAIM_LISTS];
#endif
} GeneratorDrive;

/* Learn how to drive directly; leaves drive.direct false where anything is not as expected.  `probe` and
   `pause_type` are probe() and Pause of _templates.py.  -1 on an error that says nothing about the interpreter:
   MemoryError, RecursionError, an interrupt.  Tests set ACONTEXTLIB_SELF_TEST_FAILS to the name of a step. */
int actx_generator_probe(GeneratorDrive *drive, PyObject *probe, PyObject *pause_type);

/* The names of the steps that passed, a tuple: all of them where the direct drive is used. */
PyObject *actx_generator_steps_passed(const GeneratorDrive *drive);

/* Whether `gen` is an async generator that the direct drive may run. */
static inline bool
actx_generator_is_direct(const GeneratorDrive *drive, PyObject *gen)
{
    return drive->direct && PyAsyncGen_CheckExact(gen);
}

#if ACTX_FREE_THREADED
/* Claim any object's operation of that name (borrowed), to be awaited by the interpreter's objects; what is no async
   generator needs no claim.  -1 with RuntimeError where the generator is running. */
int actx_generator_claim(GeneratorDrive *drive, GeneratorClaim *claim, PyObject *gen, const char *operation);
void actx_generator_unclaim(GeneratorDrive *drive, GeneratorClaim *claim);
#endif

/* Whether it stands at a yield, so that actx_generator_throw() may begin an operation, which is then claimed. */
bool actx_generator_claim_at_yield(GeneratorDrive *drive, PyObject *gen);

/* Whether it was begun and came to its end, so that awaiting aclose() would do nothing. */
bool actx_generator_is_finished(GeneratorDrive *drive, PyObject *gen);

/* Begin `await anext(gen)`.  AWAIT_RETURN: it yielded *value; AWAIT_NEXT: it awaits, continue with
   actx_generator_send(). */
AwaitOutcome actx_generator_next(GeneratorDrive *drive, PyObject *gen, PyObject **value);

/* Begin `await gen.athrow(*args)` on a generator claimed at a yield. */
AwaitOutcome actx_generator_throw(const GeneratorDrive *drive, PyObject *gen, PyObject *const *args, Py_ssize_t nargs,
                                  PyObject **value);

/* Throw into one whose last outcome was AWAIT_NEXT.  It is not marked as running anew: up to 3.12 something else may
   have taken the mark away, and a throw leaves it so. */
AwaitOutcome actx_generator_throw_on(const GeneratorDrive *drive, PyObject *gen, PyObject *const *args,
                                     Py_ssize_t nargs, PyObject **value);

/* Continue an operation whose last outcome was AWAIT_NEXT. */
AwaitOutcome actx_generator_send(const GeneratorDrive *drive, PyObject *gen, PyObject *arg, PyObject **value);

/* Give up an operation whose last outcome was AWAIT_NEXT: close what the generator awaits and raise GeneratorExit
   there. */
int actx_generator_close(const GeneratorDrive *drive, PyObject *gen);

/* What `anext(gen)` returns, for the public drive and for objects that only look like async generators. */
PyObject *actx_generator_anext(PyObject *gen);

#endif
