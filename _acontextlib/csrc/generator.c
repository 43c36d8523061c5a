/* Knows what an async generator looks like inside, as do generator_probe.c and generator_marks.h and nobody else; see
   generator.h for the contracts.

   Mirrors async_gen_asend_*, async_gen_athrow_* and async_gen_init_hooks in CPython's Objects/genobject.c. */
#include "asyncio_hook.h"
#include "generator_marks.h"

/* Steals the reference to `finalizer`. */
static inline void
finalizer_take(const GeneratorDrive *drive, PyObject *gen, PyObject *finalizer)
{
    memcpy((char *)gen + drive->finalizer, &finalizer, sizeof(finalizer));
}

/* -- claims -- */

#if ACTX_FREE_THREADED

static ClaimList *
claims_lock(GeneratorDrive *drive, PyObject *gen)
{
    ClaimList *list = &drive->claims[((uintptr_t)gen >> 5) % CLAIM_LISTS];
    PyMutex_Lock(&list->mutex);
    return list;
}

/* Whether nobody has begun an operation that has not ended; the list is locked. */
static bool
generator_is_idle_lock_held(const GeneratorDrive *drive, const ClaimList *list, PyObject *gen)
{
    for (const GeneratorClaim *claim = list->first; claim != NULL; claim = claim->next) {
        if (claim->generator == gen) {
            return false;
        }
    }
    return !drive->direct || mark_get(drive, gen, MARK_RUNNING) == 0;
}

int
actx_generator_claim(GeneratorDrive *drive, GeneratorClaim *claim, PyObject *gen, const char *operation)
{
    if (!PyAsyncGen_CheckExact(gen)) {
        return 0;
    }
    assert(claim->generator == NULL);
    ClaimList *list = claims_lock(drive, gen);
    bool idle = generator_is_idle_lock_held(drive, list, gen);
    if (idle) {
        claim->generator = Py_NewRef(gen);
        claim->next = list->first;
        list->first = claim;
    }
    PyMutex_Unlock(&list->mutex);
    if (!idle) {
        PyErr_Format(PyExc_RuntimeError, "%s: asynchronous generator is already running", operation);
    }
    return idle ? 0 : -1;
}

void
actx_generator_unclaim(GeneratorDrive *drive, GeneratorClaim *claim)
{
    PyObject *gen = claim->generator;
    ClaimList *list = claims_lock(drive, gen);
    GeneratorClaim **link = &list->first;
    while (*link != claim) {
        link = &(*link)->next;
    }
    *link = claim->next;
    claim->generator = NULL;
    PyMutex_Unlock(&list->mutex);
    Py_DECREF(gen);
}

/* Whether nobody runs it and, if that is wanted, it stands at a yield: it is claimed then. */
static bool
generator_claim(GeneratorDrive *drive, PyObject *gen, bool at_yield)
{
    ClaimList *list = claims_lock(drive, gen);
    bool claimed = generator_is_idle_lock_held(drive, list, gen) && (!at_yield || generator_is_at_yield(drive, gen));
    if (claimed) {
        mark_set(drive, gen, MARK_RUNNING, 1);
    }
    PyMutex_Unlock(&list->mutex);
    return claimed;
}

bool
actx_generator_claim_at_yield(GeneratorDrive *drive, PyObject *gen)
{
    return generator_claim(drive, gen, true);
}

static bool
generator_claim_idle(GeneratorDrive *drive, PyObject *gen)
{
    return generator_claim(drive, gen, false);
}

/* Whether it has never been resumed, and the hooks are to be called before it is: marked as done. */
static bool
generator_begins(GeneratorDrive *drive, PyObject *gen)
{
    if (mark_get(drive, gen, MARK_HOOKS_INITED) != 0) {
        return false;
    }
    ClaimList *list = claims_lock(drive, gen);
    bool begins = generator_is_idle_lock_held(drive, list, gen) && mark_get(drive, gen, MARK_HOOKS_INITED) == 0;
    if (begins) {
        mark_set(drive, gen, MARK_HOOKS_INITED, 1);
    }
    PyMutex_Unlock(&list->mutex);
    return begins;
}

bool
actx_generator_is_finished(GeneratorDrive *drive, PyObject *gen)
{
    ClaimList *list = claims_lock(drive, gen);
    bool finished = generator_is_idle_lock_held(drive, list, gen) && generator_is_finished(drive, gen);
    PyMutex_Unlock(&list->mutex);
    return finished;
}

#else

bool
actx_generator_claim_at_yield(GeneratorDrive *drive, PyObject *gen)
{
    return generator_is_at_yield(drive, gen);
}

static inline bool
generator_begins(const GeneratorDrive *drive, PyObject *gen)
{
    if (mark_get(drive, gen, MARK_HOOKS_INITED) != 0) {
        return false;
    }
    mark_set(drive, gen, MARK_HOOKS_INITED, 1);
    return true;
}

static inline bool
generator_claim_idle(const GeneratorDrive *drive, PyObject *gen)
{
    return mark_get(drive, gen, MARK_RUNNING) == 0;
}

bool
actx_generator_is_finished(GeneratorDrive *drive, PyObject *gen)
{
    return generator_is_finished(drive, gen);
}

#endif

/* -- the direct drive -- */

/* Tell the thread's hooks of a generator before it is first resumed.  It is marked already: the hook may itself drive
   it. */
static Py_NO_INLINE int
generator_init_hooks(const GeneratorDrive *drive, PyObject *gen)
{
    PyThreadState *tstate = PyThreadState_Get();
    PyObject *firstiter, *result;
    if (tstate->async_gen_finalizer != NULL) {
        finalizer_take(drive, gen, Py_NewRef(tstate->async_gen_finalizer));
    }
    if (tstate->async_gen_firstiter == NULL) {
        return 0;
    }
    firstiter = Py_NewRef(tstate->async_gen_firstiter);
    int done = actx_asyncio_hook_run(drive->state, firstiter, gen);
    if (done == 0) {
        result = PyObject_CallOneArg(firstiter, gen);
        done = result != NULL ? 1 : -1;
        Py_XDECREF(result);
    }
    Py_DECREF(firstiter);
    return done < 0 ? -1 : 0;
}

/* The generator raised: the operation is over.  StopAsyncIteration means that it came to its end; its own it
   cannot be, one that it raises arrives as a RuntimeError. */
static AwaitOutcome
generator_finish(const GeneratorDrive *drive, PyObject *gen)
{
    if (PyErr_Occurred() != PyExc_StopAsyncIteration) {
        mark_set(drive, gen, MARK_RUNNING, 0);
        return AWAIT_ERROR;  // GeneratorExit would close it; nobody asks whether a finished generator is closed
    }
    mark_set(drive, gen, MARK_CLOSED, 1);
    mark_set(drive, gen, MARK_RUNNING, 0);
    PyErr_Clear();
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
        mark_set(drive, gen, MARK_CLOSED, 1);
        mark_set(drive, gen, MARK_RUNNING, 0);
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
actx_generator_next(GeneratorDrive *drive, PyObject *gen, PyObject **value)
{
    if (generator_begins(drive, gen) && generator_init_hooks(drive, gen) < 0) {
        return AWAIT_ERROR;
    }
    if (!generator_claim_idle(drive, gen)) {
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
    return actx_generator_throw_on(drive, gen, args, nargs, value);
}

AwaitOutcome
actx_generator_throw_on(const GeneratorDrive *drive, PyObject *gen, PyObject *const *args, Py_ssize_t nargs,
                        PyObject **value)
{
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
    AwaitOutcome outcome = actx_generator_throw_on(drive, gen, &PyExc_GeneratorExit, 1, &value);
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
