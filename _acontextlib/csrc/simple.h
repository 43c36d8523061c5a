/* What module.c needs of aclosing and nullcontext. */
#ifndef ACTX_SIMPLE_H
#define ACTX_SIMPLE_H

#include "state.h"

/* Make both classes and add them to the module. */
int actx_simple_init(PyObject *module, ModuleState *state, PyObject *templates);

#endif
