/* Notes on errors about misuse; see notes.h. */
#include "notes.h"

/* Add the note to `exc` and raise that again; both are taken.  Where `note` is NULL, what kept it from being made is
   raised at the moment, and is forgotten, as is what adding it raises. */
static void
note_add_take(const Names *names, PyObject *exc, PyObject *note)
{
    PyObject *none = note != NULL ? PyObject_CallMethodOneArg(exc, names->add_note, note) : NULL;
    Py_XDECREF(none);
    Py_XDECREF(note);
    PyErr_Clear();
    PyErr_SetRaisedException(exc);
}

/* Take the raised error, if it is of the type that is to be noted: there may have been no memory for it. */
static PyObject *
raised_take(PyObject *type)
{
    PyObject *exc = PyErr_GetRaisedException();
    if (exc != NULL && (PyObject *)Py_TYPE(exc) != type) {
        PyErr_SetRaisedException(exc);
        return NULL;
    }
    return exc;
}

/* " at line N", where an async generator is suspended; nothing where it is at its end, nobody knows, or another thread
   runs it meanwhile, which must not be looked at: hence the claim. */
static PyObject *
stand_of(ModuleState *state, PyObject *gen)
{
#if ACTX_FREE_THREADED
    GeneratorClaim claim = {.generator = NULL};
    if (actx_generator_claim(&state->drive, &claim, gen, "anext()") < 0) {
        PyErr_Clear();
        return PyUnicode_FromString("");
    }
#endif
    PyObject *frame = PyObject_GetAttr(gen, state->names.ag_frame), *result = NULL;
    if (frame != NULL) {
        result = PyFrame_Check(frame)
                     ? PyUnicode_FromFormat(" at line %d", PyFrame_GetLineNumber((PyFrameObject *)frame))
                     : PyUnicode_FromString("");
    }
    Py_XDECREF(frame);
#if ACTX_FREE_THREADED
    actx_generator_unclaim(&state->drive, &claim);
#endif
    return result;
}

/* The note, made of the function's name, its place and where the generator stands. */
static PyObject *
fault_text(GeneratorFault fault, PyObject *name, PyObject *place, PyObject *stand)
{
    switch (fault) {
    case NOTE_NO_YIELD:
        return PyUnicode_FromFormat("%U came to its end without a yield: it has to yield once, whichever way it goes",
                                    place);
    case NOTE_YIELDS_AGAIN:
        return PyUnicode_FromFormat("%U yielded again%U: after its first yield it has to come to its end", place,
                                    stand);
    case NOTE_YIELDS_AFTER_ERROR:
        if (PyUnicode_GET_LENGTH(stand) == 0) {
            return PyUnicode_FromFormat(
                "%U was at its end before the error came: it was left twice, or closed meanwhile", place);
        }
        return PyUnicode_FromFormat("%U caught the error of the body and yielded again%U: then it has to come to its "
                                    "end, or to raise",
                                    place, stand);
    case NOTE_NEVER_ENTERED:
        return PyUnicode_FromFormat("%U began and yielded%U when it was left: it was not entered before", place, stand);
    default:
        return PyUnicode_FromFormat(
            "%U made this manager, which was entered before: call %U() again for each async with "
            "statement",
            place, name);
    }
}

void
actx_note_generator(ModuleState *state, PyObject *gen, GeneratorFault fault)
{
    const Names *names = &state->names;
    if (gen == NULL || !PyAsyncGen_CheckExact(gen)) {
        return;
    }
    PyObject *exc = raised_take(fault == NOTE_ENTERED_BEFORE ? PyExc_AttributeError : PyExc_RuntimeError);
    if (exc == NULL) {
        return;
    }
    PyObject *name = PyObject_GetAttr(gen, names->qualname);
    PyObject *code = name != NULL ? PyObject_GetAttr(gen, names->ag_code) : NULL;
    PyObject *stand = code != NULL ? stand_of(state, gen) : NULL;
    PyObject *place = NULL, *note = NULL;
    if (stand != NULL) {
        const PyCodeObject *of = (PyCodeObject *)code;
        place = PyUnicode_FromFormat("%U (File \"%U\", line %d)", name, of->co_filename, of->co_firstlineno);
    }
    if (place != NULL) {
        note = fault_text(fault, name, place, stand);
    }
    Py_XDECREF(place);
    Py_XDECREF(stand);
    Py_XDECREF(code);
    Py_XDECREF(name);
    note_add_take(names, exc, note);
}

/* Whether the class has the methods by which an object is a context manager of that kind.  Not to be asked while an
   exception is raised: up to 3.11 the lookup forgets that. */
static bool
has_methods(PyObject *manager, PyObject *enter, PyObject *exit)
{
    return _PyType_Lookup(Py_TYPE(manager), enter) != NULL && _PyType_Lookup(Py_TYPE(manager), exit) != NULL;
}

/* Add the text to the error, which is taken, and raise that again; no text where it is NULL. */
static void
note_add_text_take(const Names *names, PyObject *exc, const char *text)
{
    if (text == NULL) {
        PyErr_SetRaisedException(exc);
        return;
    }
    note_add_take(names, exc, PyUnicode_FromString(text));
}

void
actx_note_refused(const Names *names, PyObject *manager, bool is_sync)
{
    PyObject *exc = raised_take(PyExc_TypeError);
    if (exc == NULL) {
        return;
    }
    const char *text = NULL;
    if (is_sync && has_methods(manager, names->aenter, names->aexit)) {
        text = "it is an asynchronous context manager: await stack.enter_async_context(...) instead";
    }
    else if (!is_sync && has_methods(manager, names->enter, names->exit)) {
        text = "it is a synchronous context manager: call stack.enter_context(...) instead";
    }
    note_add_text_take(names, exc, text);
}

void
actx_note_pushed(const Names *names, PyObject *callable, bool is_sync)
{
    PyObject *exc = raised_take(PyExc_TypeError);
    if (exc == NULL) {
        return;
    }
    PyObject *tb = PyException_GetTraceback(exc);
    const char *text = NULL;
    if (tb != NULL) {  // from within what was called, which is the user's own
        Py_DECREF(tb);
    }
    else if (is_sync && has_methods(callable, names->aenter, names->aexit)) {
        text = "an asynchronous context manager was pushed: stack.push_async_exit(...) takes it";
    }
    else if (!is_sync && has_methods(callable, names->enter, names->exit)) {
        text = "a synchronous context manager was pushed: stack.push(...) takes it";
    }
    note_add_text_take(names, exc, text);
}
