/* What module.c needs of asynccontextmanager. */
#ifndef ACTX_DECORATOR_H
#define ACTX_DECORATOR_H

#include "state.h"

/* What the functions made here have for globals: the module's names. */
PyObject *actx_globals_new(PyObject *module);

/* The function asynccontextmanager itself, from the code of its template. */
PyObject *actx_decorator_new(ModuleState *state, PyObject *template);

/* `_decorate` and `_new_manager`, which the functions' Python bodies call where no vectorcall stands in for them. */
extern PyMethodDef actx_decorator_methods[];

#endif
