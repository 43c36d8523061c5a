/* The self-test at import that chooses the drive; see generator.h for the contract.

   It learns the marks of an async generator from one that the public objects drive through all its states, then
   drives three more directly: one is thrown into, one comes to its end, one is dropped at a yield.  Each thing that
   the direct drive relies on is a step with a name.  The first step that does not pass ends the test; tests have each
   of them fail in turn. */
#include "generator_marks.h"

#include <stdlib.h>
#include <structmember.h>

// clang-format off
#define STEPS(X)                                                                                  \
    X(SEND, "send")           /* the type has am_send */                                          \
    X(THROW, "throw")         /* generators have throw(), a METH_FASTCALL */                      \
    X(RUNNING, "running")     /* and ag_running as a byte, which says where the marks are */      \
    X(CREATED, "created")     /* no mark is set in a new generator */                             \
    X(HOOKS, "hooks")         /* anext() sets the first */                                        \
    X(FINALIZER, "finalizer") /* and stores the hook, with a reference, in just one place */      \
    X(AWAITING, "awaiting")   /* an await sets the third mark */                                  \
    X(YIELD, "yield")         /* a yield resets it */                                             \
    X(FINISHED, "finished")   /* the end sets the second */                                       \
    X(STATES, "states")       /* frame states that must be told apart differ */                   \
    X(RESUMED, "resumed")     /* resumed directly it gets to its await, marked as before */       \
    X(WRAPPED, "wrapped")     /* what it yields comes in a type with one field */                 \
    X(THROWN, "thrown")       /* an exception thrown at the yield arrives, and it awaits again */ \
    X(RAISED, "raised")       /* and comes out as the same object */                              \
    X(ENDED, "ended")         /* its end is told from errors, and marked as before */             \
    X(DROPPED, "dropped")     /* dropped at a yield it calls the hook once and lets go of it */
// clang-format on

#define STEP_ENUM(step, name) STEP_##step,
enum { STEPS(STEP_ENUM) STEPS_COUNT };
#undef STEP_ENUM

#define STEP_NAME(step, name) name,
static const char *const step_names[] = {STEPS(STEP_NAME)};
#undef STEP_NAME

/* Bytes of a generator that are looked at for the hook; they are some 80. */
enum { MOST_BEFORE_MARKS = 256 };

typedef struct {
    GeneratorDrive *drive;
    PyObject *function;   // borrowed: probe() of _templates.py
    PyObject *pause;      // what its generators await,
    PyObject *token;      // and what they yield; also the finalizer hook
    const char *failing;  // the step that a test wants to fail, or NULL
} Probe;

/* Note the outcome of the next step; returns whether the test goes on. */
static bool
step(Probe *probe, int number, bool passed)
{
    assert(probe->drive->passed == number);
    if (!passed || (probe->failing != NULL && strcmp(probe->failing, step_names[number]) == 0)) {
        return false;
    }
    probe->drive->passed++;
    return true;
}

static PyObject *
probe_generator(const Probe *probe)
{
    return PyObject_CallFunctionObjArgs(probe->function, probe->pause, probe->token, NULL);
}

/* Whether this is how the resume ended and, where `expected` is given, what the value is; takes the value. */
static bool
outcome_is_take(AwaitOutcome outcome, PyObject *value, AwaitOutcome wanted, PyObject *expected)
{
    bool same = outcome == wanted && value == expected;
    Py_XDECREF(value);
    return same;
}

/* Whether the first three marks are these. */
static bool
marks_are(const GeneratorDrive *drive, PyObject *gen, char hooks_inited, char closed, char running)
{
    return mark_get(drive, gen, MARK_HOOKS_INITED) == hooks_inited && mark_get(drive, gen, MARK_CLOSED) == closed &&
           mark_get(drive, gen, MARK_RUNNING) == running;
}

/* -- without a generator: what the type objects tell -- */

static bool
probe_types(Probe *probe)
{
    GeneratorDrive *drive = probe->drive;
    PyAsyncMethods *methods = PyAsyncGen_Type.tp_as_async;
    drive->send = methods != NULL ? methods->am_send : NULL;
    for (PyMethodDef *def = PyGen_Type.tp_methods; def != NULL && def->ml_name != NULL; def++) {
        if (strcmp(def->ml_name, "throw") == 0 && def->ml_flags == METH_FASTCALL) {
            drive->throw_ = def->ml_meth;
        }
    }
    for (PyMemberDef *def = PyAsyncGen_Type.tp_members; def != NULL && def->name != NULL; def++) {
        if (strcmp(def->name, "ag_running") == 0 && def->type == T_BOOL) {
            drive->marks = def->offset - MARK_RUNNING;
        }
    }
    bool inside = drive->marks > (Py_ssize_t)sizeof(PyObject) && drive->marks <= MOST_BEFORE_MARKS &&
                  drive->marks + MARK_FRAME_STATE < PyAsyncGen_Type.tp_basicsize;
    return step(probe, STEP_SEND, drive->send != NULL) && step(probe, STEP_THROW, drive->throw_ != NULL) &&
           step(probe, STEP_RUNNING, inside);
}

/* -- a generator driven publicly -- */

/* The thread's hooks, put aside: only the token is told of a generator of ours.  Each reference stays counted, for
   what runs meanwhile may set hooks of its own. */
typedef struct {
    PyObject *firstiter, *finalizer;
} Hooks;

static Hooks
hooks_replace(PyObject *finalizer)
{
    PyThreadState *tstate = PyThreadState_Get();
    Hooks kept = {tstate->async_gen_firstiter, tstate->async_gen_finalizer};
    tstate->async_gen_firstiter = NULL;
    tstate->async_gen_finalizer = Py_NewRef(finalizer);
    return kept;
}

static void
hooks_restore_take(Hooks kept)
{
    PyThreadState *tstate = PyThreadState_Get();
    Py_XSETREF(tstate->async_gen_firstiter, kept.firstiter);
    Py_XSETREF(tstate->async_gen_finalizer, kept.finalizer);
}

/* Where, before the marks, the one pointer stands that was NULL in `before` and is `finalizer` now; 0 if not just
   one is. */
static Py_ssize_t
find_finalizer(const GeneratorDrive *drive, PyObject *gen, const char *before, PyObject *finalizer)
{
    Py_ssize_t found = 0;
    for (Py_ssize_t at = sizeof(PyObject); at + (Py_ssize_t)sizeof(PyObject *) <= drive->marks;
         at += sizeof(PyObject *)) {
        PyObject *was, *is;
        memcpy(&was, before + at, sizeof(was));
        memcpy(&is, (char *)gen + at, sizeof(is));
        if (was == NULL && is == finalizer) {
            if (found != 0) {
                return 0;
            }
            found = at;
        }
    }
    return found;
}

/* What anext(gen) returns for a fresh generator, which has it run its hooks; note what that does to the generator. */
static PyObject *
probe_hooks(Probe *probe, PyObject *gen, bool *inited, bool *stored)
{
    GeneratorDrive *drive = probe->drive;
    char before[MOST_BEFORE_MARKS];
    memcpy(before, gen, (size_t)drive->marks);
    drive->created = mark_get(drive, gen, MARK_FRAME_STATE);
    Py_ssize_t references = Py_REFCNT(probe->token);
    Hooks kept = hooks_replace(probe->token);
    PyObject *anext = actx_generator_anext(gen);
    hooks_restore_take(kept);
    *inited = marks_are(drive, gen, 1, 0, 0);
    drive->finalizer = find_finalizer(drive, gen, before, probe->token);
    *stored = drive->finalizer != 0 && Py_REFCNT(probe->token) == references + 1;
    return anext;
}

/* Resume what anext(gen) returned, and note the frame state that the generator is in afterwards. */
static bool
probe_resume(const Probe *probe, PyObject *gen, PyObject *anext, AwaitOutcome wanted, PyObject *expected, char *state)
{
    PyObject *value = NULL;
    AwaitOutcome outcome = actx_await_send(anext, Py_None, &value);
    *state = mark_get(probe->drive, gen, MARK_FRAME_STATE);
    return outcome_is_take(outcome, value, wanted, expected);
}

/* Whether the frame states can be told apart; awaiting and at a yield are one up to 3.12. */
static bool
states_differ(const GeneratorDrive *drive)
{
    return drive->created != drive->awaiting && drive->created != drive->at_yield &&
           drive->finished != drive->created && drive->finished != drive->awaiting &&
           drive->finished != drive->at_yield;
}

static bool
probe_states(Probe *probe, PyObject *gen)
{
    GeneratorDrive *drive = probe->drive;
    PyObject *next = NULL, *end = NULL;
    bool inited, stored, good = false;
    if (!step(probe, STEP_CREATED, PyAsyncGen_CheckExact(gen) && marks_are(drive, gen, 0, 0, 0)) ||
        (next = probe_hooks(probe, gen, &inited, &stored)) == NULL) {
        return false;
    }
    /* Before anything can fail: dropped as it is, it would warn that nobody awaited it. */
    bool awaits = probe_resume(probe, gen, next, AWAIT_NEXT, probe->pause, &drive->awaiting);
    if (!step(probe, STEP_HOOKS, inited) || !step(probe, STEP_FINALIZER, stored) ||
        !step(probe, STEP_AWAITING, awaits && marks_are(drive, gen, 1, 0, 1))) {
        goto done;
    }
    bool yields = probe_resume(probe, gen, next, AWAIT_RETURN, probe->token, &drive->at_yield);
    if (!step(probe, STEP_YIELD, yields && marks_are(drive, gen, 1, 0, 0))) {
        goto done;
    }
    end = actx_generator_anext(gen);
    if (end == NULL || !probe_resume(probe, gen, end, AWAIT_NEXT, probe->pause, &drive->finished) ||
        !probe_resume(probe, gen, end, AWAIT_ERROR, NULL, &drive->finished) ||
        !PyErr_ExceptionMatches(PyExc_StopAsyncIteration)) {
        goto done;
    }
    PyErr_Clear();
    good = step(probe, STEP_FINISHED, marks_are(drive, gen, 1, 1, 0)) && step(probe, STEP_STATES, states_differ(drive));
done:
    Py_DECREF(next);
    Py_XDECREF(end);
    return good;
}

/* -- generators driven directly -- */

/* Begin an operation, and get to the await that it leads to. */
static bool
direct_next(const Probe *probe, PyObject *gen)
{
    PyObject *value = NULL;
    Hooks kept = hooks_replace(probe->token);
    AwaitOutcome outcome = actx_generator_next(probe->drive, gen, &value);
    hooks_restore_take(kept);
    return outcome_is_take(outcome, value, AWAIT_NEXT, probe->pause) && marks_are(probe->drive, gen, 1, 0, 1) &&
           mark_get(probe->drive, gen, MARK_FRAME_STATE) == probe->drive->awaiting;
}

/* Get from that await to the yield. */
static bool
direct_yield(const Probe *probe, PyObject *gen)
{
    PyObject *value = NULL;
    AwaitOutcome outcome = actx_generator_send(probe->drive, gen, Py_None, &value);
    return outcome_is_take(outcome, value, AWAIT_RETURN, probe->token) && marks_are(probe->drive, gen, 1, 0, 0) &&
           generator_is_at_yield(probe->drive, gen);
}

/* The type in which the interpreter hands out what an async generator yields.  As long as it is not known, the drive
   takes what is yielded for something awaited. */
static bool
learn_wrapped_type(const Probe *probe, PyObject *gen)
{
    PyObject *wrapped = NULL, *inside = NULL;
    if (actx_generator_send(probe->drive, gen, Py_None, &wrapped) != AWAIT_NEXT) {
        Py_XDECREF(wrapped);
        return false;
    }
    PyTypeObject *type = Py_TYPE(wrapped);
    if (strcmp(type->tp_name, "async_generator_wrapped_value") == 0 && type->tp_itemsize == 0 &&
        type->tp_basicsize == (Py_ssize_t)(sizeof(PyObject) + sizeof(PyObject *))) {
        memcpy(&inside, (char *)wrapped + sizeof(PyObject), sizeof(inside));
    }
    bool good = inside == probe->token;
    if (good) {
        probe->drive->wrapped_type = (PyTypeObject *)Py_NewRef(type);
    }
    Py_DECREF(wrapped);
    mark_set(probe->drive, gen, MARK_RUNNING, 0);
    return good && generator_is_at_yield(probe->drive, gen);
}

/* Have an exception pass through, as a manager would. */
static bool
probe_throw(Probe *probe, PyObject *gen)
{
    GeneratorDrive *drive = probe->drive;
    PyObject *value = NULL;
    bool good = false;
    if (!step(probe, STEP_RESUMED, direct_next(probe, gen)) ||
        !step(probe, STEP_WRAPPED, learn_wrapped_type(probe, gen))) {
        return false;
    }
    PyObject *error = PyObject_CallNoArgs(PyExc_KeyError);
    if (error == NULL) {
        return false;
    }
    AwaitOutcome outcome = actx_generator_throw(drive, gen, &error, 1, &value);
    bool awaits = outcome_is_take(outcome, value, AWAIT_NEXT, probe->pause) && marks_are(drive, gen, 1, 0, 1);
    if (step(probe, STEP_THROWN, awaits)) {
        value = NULL;
        outcome = actx_generator_send(drive, gen, Py_None, &value);
        if (outcome_is_take(outcome, value, AWAIT_ERROR, NULL) && PyErr_ExceptionMatches(PyExc_KeyError)) {
            PyObject *raised = PyErr_GetRaisedException();
            good = step(probe, STEP_RAISED, raised == error && marks_are(drive, gen, 1, 0, 0));
            Py_DECREF(raised);
        }
    }
    Py_DECREF(error);
    return good;
}

/* Let it come to its end. */
static bool
probe_end(Probe *probe, PyObject *gen)
{
    PyObject *value = NULL;
    if (!direct_next(probe, gen) || !direct_yield(probe, gen) || !direct_next(probe, gen)) {
        return false;
    }
    AwaitOutcome outcome = actx_generator_send(probe->drive, gen, Py_None, &value);
    return outcome_is_take(outcome, value, AWAIT_STOPPED, NULL) && marks_are(probe->drive, gen, 1, 1, 0) &&
           generator_is_finished(probe->drive, gen);
}

/* Drop it at a yield. */
static bool
probe_drop(const Probe *probe)
{
    Py_ssize_t references = Py_REFCNT(probe->token);
    PyObject *gen = probe_generator(probe);
    bool good = gen != NULL && direct_next(probe, gen) && direct_yield(probe, gen);
    Py_XDECREF(gen);
    if (!good) {
        return false;
    }
    PyObject *finalized = PyObject_GetAttrString(probe->token, "finalized");
    good = finalized != NULL && PyLong_Check(finalized) && PyLong_AsLong(finalized) == 1;
    Py_XDECREF(finalized);
    return good && Py_REFCNT(probe->token) == references;
}

/* -- the whole -- */

static bool
probe_run(Probe *probe, PyObject *const *gens)
{
    return probe_types(probe) && probe_states(probe, gens[0]) && probe_throw(probe, gens[1]) &&
           step(probe, STEP_ENDED, probe_end(probe, gens[2])) && step(probe, STEP_DROPPED, probe_drop(probe));
}

/* 0 if the exception that ended the test, should there be one, says that the interpreter is another than expected; -1,
   and it stays, if it says that there was no saying: the next import might find the opposite. */
static int
probe_verdict(void)
{
    if (PyErr_Occurred() == NULL) {
        return 0;
    }
    if (!PyErr_ExceptionMatches(PyExc_Exception) || PyErr_ExceptionMatches(PyExc_MemoryError) ||
        PyErr_ExceptionMatches(PyExc_RecursionError)) {
        return -1;
    }
    PyErr_Clear();
    return 0;
}

int
actx_generator_probe(GeneratorDrive *drive, PyObject *function, PyObject *pause_type)
{
    Probe probe = {drive, function, NULL, NULL, getenv("ACONTEXTLIB_SELF_TEST_FAILS")};
    PyObject *gens[3] = {NULL};
    int result = -1;
    probe.pause = PyObject_CallNoArgs(pause_type);
    probe.token = probe.pause != NULL ? PyObject_CallNoArgs(pause_type) : NULL;
    for (int i = 0; i < 3; i++) {
        gens[i] = probe.token != NULL ? probe_generator(&probe) : NULL;
        if (gens[i] == NULL) {
            goto done;
        }
    }
    drive->direct = probe_run(&probe, gens);
    result = drive->direct ? 0 : probe_verdict();
    assert(drive->direct == (drive->passed == STEPS_COUNT));
    if (!drive->direct) {
        Py_CLEAR(drive->wrapped_type);
    }
done:
    for (int i = 0; i < 3; i++) {
        Py_XDECREF(gens[i]);
    }
    Py_XDECREF(probe.token);
    Py_XDECREF(probe.pause);
    return result;
}

PyObject *
actx_generator_steps_passed(const GeneratorDrive *drive)
{
    PyObject *names = PyTuple_New(drive->passed);
    for (int i = 0; names != NULL && i < drive->passed; i++) {
        PyObject *name = PyUnicode_FromString(step_names[i]);
        if (name == NULL) {
            Py_CLEAR(names);
        }
        else {
            PyTuple_SET_ITEM(names, i, name);
        }
    }
    return names;
}
