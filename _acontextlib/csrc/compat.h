/* Differences between CPython 3.11 and 3.15, the only file that asks for the version.

   Every shim says since when the thing exists and what stands in for it before. */
#ifndef ACTX_COMPAT_H
#define ACTX_COMPAT_H

#include <Python.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if PY_VERSION_HEX < 0x030b0000
#error "acontextlib needs CPython 3.11 or later"
#endif

/* Since 3.12 exceptions are always instances; before, a raised one may still be a class with arguments. */
#if PY_VERSION_HEX < 0x030c0000
static inline PyObject *
PyErr_GetRaisedException(void)
{
    PyObject *type, *value, *tb;
    PyErr_Fetch(&type, &value, &tb);
    if (type == NULL) {
        return NULL;
    }
    if (value == NULL || (PyObject *)Py_TYPE(value) != type) {
        PyErr_NormalizeException(&type, &value, &tb);
    }
    if (tb != NULL) {
        Py_XSETREF(((PyBaseExceptionObject *)value)->traceback, tb);
    }
    Py_DECREF(type);
    return value;
}

static inline void
PyErr_SetRaisedException(PyObject *exc)
{
    PyErr_Restore(Py_NewRef(Py_TYPE(exc)), exc, PyException_GetTraceback(exc));
}

/* Before 3.12 the traceback of a raised exception is kept beside it until some except or finally clause looks at it,
   and what chains contexts on the way may lose it.  To be called where contextlib has such a clause. */
static inline void
actx_compat_store_traceback(void)
{
    PyErr_SetRaisedException(PyErr_GetRaisedException());
}

/* Raise the exception that is set once more, for the context that it gets.  That is what loses the traceback. */
static inline void
actx_compat_raise_again(void)
{
    PyObject *type, *value, *tb;
    PyErr_Fetch(&type, &value, &tb);
    PyErr_SetObject(type, value);
    Py_XDECREF(type);
    Py_XDECREF(value);
    Py_XDECREF(tb);
}

/* What is raised, if anything, put aside as it is: it may have no instance yet. */
typedef struct {
    PyObject *type, *value, *tb;
} RaisedError;

static inline void
actx_compat_put_aside(RaisedError *error)
{
    PyErr_Fetch(&error->type, &error->value, &error->tb);
}

static inline void
actx_compat_put_back(RaisedError *error)
{
    PyErr_Restore(error->type, error->value, error->tb);
}
#else
static inline void
actx_compat_store_traceback(void)
{
}

static inline void
actx_compat_raise_again(void)
{
    PyObject *exc = PyErr_GetRaisedException();
    PyErr_SetObject((PyObject *)Py_TYPE(exc), exc);
    Py_DECREF(exc);
}

typedef struct {
    PyObject *exc;
} RaisedError;

static inline void
actx_compat_put_aside(RaisedError *error)
{
    error->exc = PyErr_GetRaisedException();
}

static inline void
actx_compat_put_back(RaisedError *error)
{
    PyErr_SetRaisedException(error->exc);
}
#endif

/* 3.12 has a function for the code of a generator; before, the field is public. */
#if PY_VERSION_HEX < 0x030c0000
static inline PyCodeObject *
PyGen_GetCode(PyGenObject *generator)
{
    return (PyCodeObject *)Py_NewRef(generator->gi_code);
}
#endif

/* 3.12: athrow() and throw() with one argument; the form with three is deprecated and warns. */
#if PY_VERSION_HEX >= 0x030c0000
#define ACTX_THROW_TAKES_VALUE 1
#else
#define ACTX_THROW_TAKES_VALUE 0
#endif

/* 3.12: a Python function can be given a vectorcall of its own, which the interpreter then honours. */
#if PY_VERSION_HEX >= 0x030c0000
#define ACTX_HAS_FUNCTION_VECTORCALL 1
#else
#define ACTX_HAS_FUNCTION_VECTORCALL 0
#endif

/* A number that no dictionary has had before and this one has until any of its entries changes.  Goes from 3.12 on
   (PEP 699), which looks up faster, too. */
#if PY_VERSION_HEX < 0x030c0000
#define ACTX_HAS_DICT_VERSION   1
#define ACTX_DICT_VERSION(dict) (((PyDictObject *)(dict))->ma_version_tag)
#else
#define ACTX_HAS_DICT_VERSION   0
#define ACTX_DICT_VERSION(dict) ((uint64_t)0)
#endif

/* 3.11 runs a coroutine that was never started when something is thrown into it, so that a StopIteration comes out
   as RuntimeError; later ones only raise.  From 3.15 on throw() looks at the coroutine before it looks at its
   arguments. */
#if PY_VERSION_HEX < 0x030c0000
#define ACTX_WRAPS_FIRST_THROWN 1
#else
#define ACTX_WRAPS_FIRST_THROWN 0
#endif
#if PY_VERSION_HEX >= 0x030f0000
#define ACTX_THROW_CHECKS_STATE_FIRST 1
#else
#define ACTX_THROW_CHECKS_STATE_FIRST 0
#endif

/* 3.12: an await takes a StopIteration that is thrown in for the result of what is awaited, where that has no throw().
 */
#if PY_VERSION_HEX >= 0x030c0000
#define ACTX_AWAIT_CATCHES_STOP_ITERATION 1
#else
#define ACTX_AWAIT_CATCHES_STOP_ITERATION 0
#endif

/* 3.13: close() of what asend() and athrow() return closes the generator's await; before, it only marks the
   object. */
#if PY_VERSION_HEX >= 0x030d0000
#define ACTX_STEP_CLOSE_ONLY_MARKS 0
#else
#define ACTX_STEP_CLOSE_ONLY_MARKS 1
#endif

/* 3.15 tells the state of a coroutine by name. */
#if PY_VERSION_HEX >= 0x030f0000
#define ACTX_HAS_CR_STATE 1
#else
#define ACTX_HAS_CR_STATE 0
#endif

/* 3.13: close() of a coroutine returns the value it returned while it was being closed. */
#if PY_VERSION_HEX >= 0x030d0000
#define ACTX_CLOSE_RETURNS_VALUE 1
#else
#define ACTX_CLOSE_RETURNS_VALUE 0
#endif

/* 3.13 made the hash of an address public, and the functions that tell "no such attribute" from an error public. */
#if PY_VERSION_HEX < 0x030d0000
static inline int
PyObject_GetOptionalAttr(PyObject *object, PyObject *name, PyObject **result)
{
    return _PyObject_LookupAttr(object, name, result);
}

static inline Py_hash_t
Py_HashPointer(const void *pointer)
{
    return _Py_HashPointer(pointer);
}
#endif

/* 3.13: the exit stack passes callbacks the exception's own type and traceback; before, the three it has kept. */
#if PY_VERSION_HEX >= 0x030d0000
#define ACTX_REFRESHES_TRACEBACK 1
#else
#define ACTX_REFRESHES_TRACEBACK 0
#endif

/* 3.15: the exit stack finds special methods without asking the class for attributes, and binds them at once. */
#if PY_VERSION_HEX >= 0x030f0000
#define ACTX_LOOKS_UP_STATICALLY 1
#else
#define ACTX_LOOKS_UP_STATICALLY 0
#endif

/* 3.15 fills in `name` and `obj` of the AttributeError that `del` of a missing attribute raises. */
#if PY_VERSION_HEX >= 0x030f0000
#define ACTX_DELETE_NAMES_ATTRIBUTE 1
#else
#define ACTX_DELETE_NAMES_ATTRIBUTE 0
#endif

/* `await` of what cannot be awaited: reworded in 3.14; of what __await__() wrongly returned: in 3.15. */
#if PY_VERSION_HEX >= 0x030e0000
#define ACTX_TEXT_NOT_AWAITABLE "'%.100s' object can't be awaited"
#else
#define ACTX_TEXT_NOT_AWAITABLE "object %.100s can't be used in 'await' expression"
#endif

static inline void
actx_compat_bad_iterator(PyObject *awaitable, PyObject *iterator, bool is_coroutine)
{
#if PY_VERSION_HEX >= 0x030f0000
    (void)is_coroutine;
    PyErr_Format(PyExc_TypeError, "%T.__await__() must return an iterator, not %T", awaitable, iterator);
#else
    (void)awaitable;
    if (is_coroutine) {
        PyErr_SetString(PyExc_TypeError, "__await__() returned a coroutine");
        return;
    }
    PyErr_Format(PyExc_TypeError, "__await__() returned non-iterator of type '%.100s'", Py_TYPE(iterator)->tp_name);
#endif
}

/* What functools.update_wrapper() copies, and the fields of a function object that hold it. */
#if PY_VERSION_HEX >= 0x030e0000
#define ACTX_WRAPPER_ASSIGNMENTS "__module__", "__name__", "__qualname__", "__doc__", "__annotate__", "__type_params__"
#elif PY_VERSION_HEX >= 0x030c0000
#define ACTX_WRAPPER_ASSIGNMENTS \
    "__module__", "__name__", "__qualname__", "__doc__", "__annotations__", "__type_params__"
#else
#define ACTX_WRAPPER_ASSIGNMENTS "__module__", "__name__", "__qualname__", "__doc__", "__annotations__"
#endif

static inline int
actx_compat_copy_annotations(PyFunctionObject *target, PyFunctionObject *source)
{
#if PY_VERSION_HEX >= 0x030e0000
    target->func_annotate = Py_NewRef(source->func_annotate != NULL ? source->func_annotate : Py_None);
#else
    /* The getter makes the dictionary on first use and both functions share it from then on. */
    PyObject *annotations = PyFunction_GetAnnotations((PyObject *)source);
    if (annotations == NULL) {
        if (PyErr_Occurred() || (annotations = PyDict_New()) == NULL) {
            return -1;
        }
        int failed = PyFunction_SetAnnotations((PyObject *)source, annotations);
        Py_DECREF(annotations);
        if (failed < 0) {
            return -1;
        }
    }
    target->func_annotations = Py_NewRef(annotations);
#endif
#if PY_VERSION_HEX >= 0x030c0000
    target->func_typeparams = Py_XNewRef(source->func_typeparams);
#endif
    return 0;
}

/* Slots of the module definition that not every version knows. */
#if PY_VERSION_HEX >= 0x030c0000
#define ACTX_SLOT_INTERPRETERS {Py_mod_multiple_interpreters, Py_MOD_PER_INTERPRETER_GIL_SUPPORTED},
#else
#define ACTX_SLOT_INTERPRETERS
#endif

/* Builds without a GIL (3.13 and later).  Kept objects save an allocation; there they would have to be per thread. */
#ifdef Py_GIL_DISABLED
#define ACTX_FREE_THREADED 1
#define ACTX_FREELIST_SIZE 0
#else
#define ACTX_FREE_THREADED 0
#define ACTX_FREELIST_SIZE 16
#endif

/* 3.13: critical sections, which are nothing where there is a GIL; and the slot by which a module says that it does
   without. */
#if PY_VERSION_HEX >= 0x030d0000
#define ACTX_SLOT_GIL {Py_mod_gil, Py_MOD_GIL_NOT_USED},
#else
#define ACTX_SLOT_GIL
#define Py_BEGIN_CRITICAL_SECTION(op)    {
#define Py_END_CRITICAL_SECTION()        }
#define Py_BEGIN_CRITICAL_SECTION2(a, b) {
#define Py_END_CRITICAL_SECTION2()       }
#endif

/* What the attribute of a class or its bases is, as a new reference; NULL, without an error, where there is none. Where
   classes change in other threads the borrowed reference that 3.11 and 3.12 give would not do. */
static inline PyObject *
actx_type_lookup(PyTypeObject *type, PyObject *name)
{
#if PY_VERSION_HEX >= 0x030d0000 && ACTX_FREE_THREADED
    return _PyType_LookupRef(type, name);
#else
    return Py_XNewRef(_PyType_Lookup(type, name));
#endif
}

/* What a closure's cell holds, as a new reference, or NULL. */
static inline PyObject *
actx_cell_get(PyObject *cell)
{
#if ACTX_FREE_THREADED
    return PyCell_Get(cell);
#else
    return Py_XNewRef(PyCell_GET(cell));
#endif
}

#endif
