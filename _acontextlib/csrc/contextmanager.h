/* What decorator.c needs of _AsyncGeneratorContextManager. */
#ifndef ACTX_CONTEXTMANAGER_H
#define ACTX_CONTEXTMANAGER_H

#include "method.h"
#include "state.h"

extern const MethodDef actx_manager_aenter;
extern const MethodDef actx_manager_aexit;

/* A new manager for func(*args, **kwargs), called here and now with the vector of the caller. */
PyObject *actx_manager_new(ModuleState *state, PyObject *func, PyObject *const *args, size_t nargsf, PyObject *kwnames);

/* The same with a tuple (or any iterable) and a dictionary (or any mapping). */
PyObject *actx_manager_from_tuple(ModuleState *state, PyObject *func, PyObject *args, PyObject *kwds);

/* Make a class derived from actx_manager_spec's in Python as lean as one made in C. */
void actx_manager_adopt_class(PyTypeObject *type);

#endif
