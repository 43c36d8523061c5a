/* What threads may share, and the rules that keep it whole on builds without a GIL.  Where there is one, all of this
   is plain loads and stores.

   - An awaitable is claimed before anybody drives it: its status changes atomically from CREATED or SUSPENDED to
     RUNNING, and whoever changed it owns every other field until the status changes again.  Who comes second gets the
     interpreter's own error.
   - An async generator is claimed for a whole operation, from before its first resume until it yields, returns or
     raises; see generator.h.  CPython's generators are not safe when two threads resume one (gh-120321).
   - Fields that others may read or set at any time are exchanged and read as new references in the critical section of
     the object they are in (the functions below), as the entries of an exit stack are pushed, popped and moved in the
     stack's (`_lock_held` functions).
   - No Python code runs within a critical section or under a mutex: detach, leave, then release.  After any call, what
     was read before is read again.
   - Borrowed references are compared, never followed.
   - What is written while the module is imported and never after needs nothing; neither do the collector's functions
     (the world is stopped, or nobody else has the object). */
#ifndef ACTX_THREADS_H
#define ACTX_THREADS_H

#include "compat.h"

#ifdef Py_GIL_DISABLED

static inline uint8_t
actx_byte_load(const uint8_t *byte)
{
    return _Py_atomic_load_uint8(byte);
}

static inline void
actx_byte_store(uint8_t *byte, uint8_t to)
{
    _Py_atomic_store_uint8(byte, to);
}

/* Change a byte if it is `from`: whether it was. */
static inline bool
actx_byte_change(uint8_t *byte, uint8_t from, uint8_t to)
{
    return _Py_atomic_compare_exchange_uint8(byte, &from, to);
}

static inline uint64_t
actx_word_load(const uint64_t *word)
{
    return _Py_atomic_load_uint64_relaxed(word);
}

static inline void
actx_word_store(uint64_t *word, uint64_t to)
{
    _Py_atomic_store_uint64_relaxed(word, to);
}

static inline PyObject *
actx_pointer_load(PyObject *const *pointer)
{
    return _Py_atomic_load_ptr(pointer);
}

/* The version of a type's attributes; 0 is none. */
static inline unsigned int
actx_type_version(PyTypeObject *type)
{
    return _Py_atomic_load_uint_relaxed(&type->tp_version_tag);
}

#else

static inline uint8_t
actx_byte_load(const uint8_t *byte)
{
    return *byte;
}

static inline void
actx_byte_store(uint8_t *byte, uint8_t to)
{
    *byte = to;
}

static inline bool
actx_byte_change(uint8_t *byte, uint8_t from, uint8_t to)
{
    if (*byte != from) {
        return false;
    }
    *byte = to;
    return true;
}

static inline uint64_t
actx_word_load(const uint64_t *word)
{
    return *word;
}

static inline void
actx_word_store(uint64_t *word, uint64_t to)
{
    *word = to;
}

static inline PyObject *
actx_pointer_load(PyObject *const *pointer)
{
    return *pointer;
}

static inline unsigned int
actx_type_version(PyTypeObject *type)
{
    return type->tp_version_tag;
}

#endif

/* The first of an object's weak references, or None: the attribute `__weakref__`. */
static inline PyObject *
actx_weakrefs_first(void *owner, PyObject *const *weakrefs)
{
    PyObject *first = actx_pointer_load(weakrefs);
    if (first == NULL) {
        return Py_NewRef(Py_None);
    }
    if (ACTX_FREE_THREADED) {  // it may be dying, which the interpreter's list has a lock for
        return PyWeakref_NewRef((PyObject *)owner, NULL);
    }
    return Py_NewRef(first);
}

/* A new reference to what a field of `owner` holds; NULL, without an error, where it holds nothing. */
static inline PyObject *
actx_field_get(void *owner, PyObject *const *field)
{
    PyObject *value;
    (void)owner;
    Py_BEGIN_CRITICAL_SECTION(owner);
    value = Py_XNewRef(*field);
    Py_END_CRITICAL_SECTION();
    return value;
}

/* Put `value`, which is taken, into a field of `owner`; what it held, whose reference is the caller's to release. */
static inline PyObject *
actx_field_exchange_take(void *owner, PyObject **field, PyObject *value)
{
    PyObject *before;
    (void)owner;
    Py_BEGIN_CRITICAL_SECTION(owner);
    before = *field;
    *field = value;
    Py_END_CRITICAL_SECTION();
    return before;
}

/* To be called by deallocators: weak references may be dying in other threads at the same time. */
static inline void
actx_weakrefs_clear(void *owner, PyObject *const *weakrefs)
{
    if (ACTX_FREE_THREADED || *weakrefs != NULL) {
        PyObject_ClearWeakRefs((PyObject *)owner);
    }
}

#endif
