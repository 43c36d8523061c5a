/* The only file that knows what an async generator looks like inside; see generator.h for the contracts.

   Mirrors async_gen_asend_*, async_gen_athrow_* and async_gen_init_hooks in CPython's Objects/genobject.c. */
#include "generator.h"

#include <structmember.h>

enum { MARK_HOOKS_INITED, MARK_CLOSED, MARK_RUNNING, MARK_FRAME_STATE };

/* -- the marks: bytes, and one pointer copied bytewise, for the struct is not ours to name -- */

static inline char
mark_get(const GeneratorDrive *drive, PyObject *gen, int mark)
{
    return ((const char *)gen)[drive->marks + mark];
}

static inline void
mark_set(const GeneratorDrive *drive, PyObject *gen, int mark, char to)
{
    ((char *)gen)[drive->marks + mark] = to;
}

/* Steals the reference to `finalizer`. */
static inline void
finalizer_take(const GeneratorDrive *drive, PyObject *gen, PyObject *finalizer)
{
    memcpy((char *)gen + drive->finalizer, &finalizer, sizeof(finalizer));
}

bool
actx_generator_is_at_yield(const GeneratorDrive *drive, PyObject *gen)
{
    return mark_get(drive, gen, MARK_FRAME_STATE) == drive->at_yield && mark_get(drive, gen, MARK_RUNNING) == 0;
}

bool
actx_generator_is_finished(const GeneratorDrive *drive, PyObject *gen)
{
    return mark_get(drive, gen, MARK_FRAME_STATE) == drive->finished && mark_get(drive, gen, MARK_RUNNING) == 0 &&
           mark_get(drive, gen, MARK_HOOKS_INITED) != 0;
}

/* -- the direct drive -- */

/* Tell the thread's hooks of a generator before it is first resumed.  The mark comes first: the hook may itself
   drive it. */
static int
generator_init_hooks(const GeneratorDrive *drive, PyObject *gen)
{
    PyThreadState *tstate = PyThreadState_Get();
    PyObject *firstiter, *result;
    mark_set(drive, gen, MARK_HOOKS_INITED, 1);
    if (tstate->async_gen_finalizer != NULL) {
        finalizer_take(drive, gen, Py_NewRef(tstate->async_gen_finalizer));
    }
    if (tstate->async_gen_firstiter == NULL) {
        return 0;
    }
    firstiter = Py_NewRef(tstate->async_gen_firstiter);
    result = PyObject_CallOneArg(firstiter, gen);
    Py_DECREF(firstiter);
    if (result == NULL) {
        return -1;
    }
    Py_DECREF(result);
    return 0;
}

/* The generator raised: the operation is over.  StopAsyncIteration means that it came to its end; its own it
   cannot be, one that it raises arrives as a RuntimeError. */
static AwaitOutcome
generator_finish(const GeneratorDrive *drive, PyObject *gen)
{
    mark_set(drive, gen, MARK_RUNNING, 0);
    if (PyErr_Occurred() != PyExc_StopAsyncIteration) {
        return AWAIT_ERROR;  // GeneratorExit would close it; nobody asks whether a finished generator is closed
    }
    PyErr_Clear();
    mark_set(drive, gen, MARK_CLOSED, 1);
    return AWAIT_STOPPED;
}

/* The generator suspended with `result`, which is taken: at a yield, which ends the operation, or in an await. */
static inline AwaitOutcome
generator_suspend_take(const GeneratorDrive *drive, PyObject *gen, PyObject *result, PyObject **value)
{
    if (!Py_IS_TYPE(result, drive->wrapped_type)) {
        *value = result;
        return AWAIT_NEXT;
    }
    mark_set(drive, gen, MARK_RUNNING, 0);
    memcpy(value, (char *)result + sizeof(PyObject), sizeof(*value));
    Py_INCREF(*value);
    Py_DECREF(result);
    return AWAIT_RETURN;
}

static inline AwaitOutcome
generator_resume(const GeneratorDrive *drive, PyObject *gen, PyObject *arg, PyObject **value)
{
    PyObject *result;
    mark_set(drive, gen, MARK_RUNNING, 1);
    switch (drive->send(gen, arg, &result)) {
    case PYGEN_NEXT:
        return generator_suspend_take(drive, gen, result, value);
    case PYGEN_RETURN:
        Py_DECREF(result);
        mark_set(drive, gen, MARK_RUNNING, 0);
        mark_set(drive, gen, MARK_CLOSED, 1);
        return AWAIT_STOPPED;
    default:
        return generator_finish(drive, gen);
    }
}

AwaitOutcome
actx_generator_send(const GeneratorDrive *drive, PyObject *gen, PyObject *arg, PyObject **value)
{
    return generator_resume(drive, gen, arg, value);
}

AwaitOutcome
actx_generator_next(const GeneratorDrive *drive, PyObject *gen, PyObject **value)
{
    if (mark_get(drive, gen, MARK_HOOKS_INITED) == 0 && generator_init_hooks(drive, gen) < 0) {
        return AWAIT_ERROR;
    }
    if (mark_get(drive, gen, MARK_RUNNING) != 0) {
        PyErr_SetString(PyExc_RuntimeError, "anext(): asynchronous generator is already running");
        return AWAIT_ERROR;
    }
    return generator_resume(drive, gen, Py_None, value);
}

AwaitOutcome
actx_generator_throw(const GeneratorDrive *drive, PyObject *gen, PyObject *const *args, Py_ssize_t nargs,
                     PyObject **value)
{
    mark_set(drive, gen, MARK_RUNNING, 1);
    PyObject *result = ((_PyCFunctionFast)(void (*)(void))drive->throw_)(gen, args, nargs);
    if (result == NULL) {
        return generator_finish(drive, gen);
    }
    return generator_suspend_take(drive, gen, result, value);
}

int
actx_generator_close(const GeneratorDrive *drive, PyObject *gen)
{
    PyObject *value = NULL;
    AwaitOutcome outcome = actx_generator_throw(drive, gen, &PyExc_GeneratorExit, 1, &value);
    Py_XDECREF(value);
    if (outcome == AWAIT_NEXT) {
        PyErr_SetString(PyExc_RuntimeError, "coroutine ignored GeneratorExit");
        return -1;
    }
    if (outcome == AWAIT_ERROR) {
        if (!PyErr_ExceptionMatches(PyExc_GeneratorExit) && !PyErr_ExceptionMatches(PyExc_StopIteration)) {
            return -1;
        }
        PyErr_Clear();
    }
    return 0;
}

/* -- the public drive -- */

PyObject *
actx_generator_anext(PyObject *gen)
{
    PyAsyncMethods *methods = Py_TYPE(gen)->tp_as_async;
    if (methods == NULL || methods->am_anext == NULL) {
        PyErr_Format(PyExc_TypeError, "'%.200s' object is not an async iterator", Py_TYPE(gen)->tp_name);
        return NULL;
    }
    return methods->am_anext(gen);
}

/* -- the self-test that chooses -- */

/* Find what the type objects tell without a generator at hand. */
static bool
probe_types(GeneratorDrive *drive)
{
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
    return drive->send != NULL && drive->throw_ != NULL && drive->marks > (Py_ssize_t)sizeof(PyObject);
}

/* Whether the first three marks are these. */
static bool
marks_are(const GeneratorDrive *drive, PyObject *gen, char hooks_inited, char closed, char running)
{
    return mark_get(drive, gen, MARK_HOOKS_INITED) == hooks_inited && mark_get(drive, gen, MARK_CLOSED) == closed &&
           mark_get(drive, gen, MARK_RUNNING) == running;
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

/* Let the public anext() of a fresh generator run its hooks, the thread's being replaced for the moment. */
static PyObject *
anext_with_hooks(PyObject *gen, PyObject *finalizer)
{
    PyThreadState *tstate = PyThreadState_Get();
    PyObject *kept_firstiter = tstate->async_gen_firstiter;
    PyObject *kept_finalizer = tstate->async_gen_finalizer;
    tstate->async_gen_firstiter = NULL;
    tstate->async_gen_finalizer = finalizer;
    PyObject *anext = actx_generator_anext(gen);
    tstate->async_gen_firstiter = kept_firstiter;
    tstate->async_gen_finalizer = kept_finalizer;
    return anext;
}

/* Drive `gen` publicly through created, awaiting, at-yield and finished, and learn each mark on the way. */
static bool
probe_marks(GeneratorDrive *drive, PyObject *gen, PyObject *pause, PyObject *token)
{
    char before[256];
    PyObject *value = NULL, *next = NULL, *end = NULL;
    bool good = false;
    if (drive->marks > (Py_ssize_t)sizeof(before) || !marks_are(drive, gen, 0, 0, 0)) {
        return false;
    }
    memcpy(before, gen, (size_t)drive->marks);
    drive->created = mark_get(drive, gen, MARK_FRAME_STATE);
    next = anext_with_hooks(gen, token);
    if (next == NULL || !marks_are(drive, gen, 1, 0, 0)) {
        goto done;
    }
    drive->finalizer = find_finalizer(drive, gen, before, token);
    if (actx_await_send(next, Py_None, &value) != AWAIT_NEXT || value != pause || !marks_are(drive, gen, 1, 0, 1)) {
        goto done;
    }
    Py_CLEAR(value);
    drive->awaiting = mark_get(drive, gen, MARK_FRAME_STATE);
    if (actx_await_send(next, Py_None, &value) != AWAIT_RETURN || value != token || !marks_are(drive, gen, 1, 0, 0)) {
        goto done;
    }
    Py_CLEAR(value);
    drive->at_yield = mark_get(drive, gen, MARK_FRAME_STATE);
    end = actx_generator_anext(gen);
    if (end == NULL || actx_await_send(end, Py_None, &value) != AWAIT_NEXT) {
        goto done;
    }
    Py_CLEAR(value);
    if (actx_await_send(end, Py_None, &value) != AWAIT_ERROR || !PyErr_ExceptionMatches(PyExc_StopAsyncIteration)) {
        goto done;
    }
    char finished = drive->finished = mark_get(drive, gen, MARK_FRAME_STATE);
    good = drive->finalizer != 0 && marks_are(drive, gen, 1, 1, 0) && drive->created != drive->at_yield &&
           drive->created != drive->awaiting && finished != drive->created && finished != drive->at_yield &&
           finished != drive->awaiting;
done:
    Py_XDECREF(value);
    Py_XDECREF(next);
    Py_XDECREF(end);
    return good;
}

/* The type in which the interpreter hands out what an async generator yields, learnt from the first such value. */
static bool
learn_wrapped_type(GeneratorDrive *drive, PyObject *wrapped, PyObject *token)
{
    PyTypeObject *type = Py_TYPE(wrapped);
    PyObject *inside;
    if (strcmp(type->tp_name, "async_generator_wrapped_value") != 0 || type->tp_itemsize != 0 ||
        type->tp_basicsize != (Py_ssize_t)(sizeof(PyObject) + sizeof(PyObject *))) {
        return false;
    }
    memcpy(&inside, (char *)wrapped + sizeof(PyObject), sizeof(inside));
    if (inside != token) {
        return false;
    }
    drive->wrapped_type = (PyTypeObject *)Py_NewRef(type);
    return true;
}

/* Run a second generator by the direct drive, with a throw at the yield, as a manager would. */
static bool
probe_drive(GeneratorDrive *drive, PyObject *gen, PyObject *pause, PyObject *token)
{
    PyObject *value = NULL, *error = NULL;
    bool good = false;
    mark_set(drive, gen, MARK_HOOKS_INITED, 1);
    if (drive->send(gen, Py_None, &value) != PYGEN_NEXT || value != pause ||
        mark_get(drive, gen, MARK_FRAME_STATE) != drive->awaiting) {
        goto done;
    }
    Py_CLEAR(value);
    if (drive->send(gen, Py_None, &value) != PYGEN_NEXT || !learn_wrapped_type(drive, value, token) ||
        !actx_generator_is_at_yield(drive, gen)) {
        goto done;
    }
    Py_CLEAR(value);
    error = PyObject_CallNoArgs(PyExc_KeyError);
    if (error == NULL || actx_generator_throw(drive, gen, &error, 1, &value) != AWAIT_NEXT || value != pause ||
        !marks_are(drive, gen, 1, 0, 1)) {
        goto done;
    }
    Py_CLEAR(value);
    if (actx_generator_send(drive, gen, Py_None, &value) != AWAIT_ERROR || !PyErr_ExceptionMatches(PyExc_KeyError)) {
        goto done;
    }
    PyObject *raised = PyErr_GetRaisedException();
    good = raised == error && marks_are(drive, gen, 1, 0, 0);
    Py_DECREF(raised);
done:
    Py_XDECREF(value);
    Py_XDECREF(error);
    return good;
}

int
actx_generator_probe(GeneratorDrive *drive, PyObject *probe, PyObject *pause_type)
{
    PyObject *pause = PyObject_CallNoArgs(pause_type);
    PyObject *token = pause != NULL ? PyObject_CallNoArgs(pause_type) : NULL;
    PyObject *first = token != NULL ? PyObject_CallFunctionObjArgs(probe, pause, token, NULL) : NULL;
    PyObject *second = first != NULL ? PyObject_CallFunctionObjArgs(probe, pause, token, NULL) : NULL;
    int result = -1;
    if (second != NULL && PyAsyncGen_CheckExact(first)) {
        drive->direct = probe_types(drive) && probe_marks(drive, first, pause, token);
        PyErr_Clear();
        drive->direct = drive->direct && probe_drive(drive, second, pause, token);
        PyErr_Clear();
        result = 0;
    }
    Py_XDECREF(second);
    Py_XDECREF(first);
    Py_XDECREF(token);
    Py_XDECREF(pause);
    return result;
}
