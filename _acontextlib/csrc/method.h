/* Methods of our classes that `async with` calls: what a method descriptor of the interpreter does, at a fraction
   of its cost.

   Up to 3.13 `async with` binds __aenter__ and __aexit__ to the manager, and two builtin bound methods took a
   seventh of the whole operation.  The bound methods here come from a freelist; calls that need no binding go
   straight to the function. */
#ifndef ACTX_METHOD_H
#define ACTX_METHOD_H

#include "state.h"

/* What a method is made of; static, one for each. */
typedef struct {
    const char *name;
    const char *qualname;
    const char *doc;
    PyObject *(*call)(PyObject *self, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames);
} MethodDef;

/* A new method.  `signature` is a Python function with the method's parameters, for inspect and for calls without
   self. */
PyObject *actx_method_new(ModuleState *state, const MethodDef *def, PyObject *signature);

/* Name the class whose instances the method is for, once there is one. */
void actx_method_set_type(PyObject *method, PyTypeObject *type);

/* Call a Python function with self before the arguments.  Functions that hold a method's signature return the arguments
   as a tuple, bound as Python binds them, or raise Python's own error about them. */
PyObject *actx_call_with_self(PyObject *function, PyObject *self, PyObject *const *args, Py_ssize_t nargs,
                              PyObject *kwnames);
PyObject *actx_call_with_self_tuple(PyObject *function, PyObject *self, PyObject *args, PyObject *kwargs);

extern PyType_Spec actx_method_spec;
extern PyType_Spec actx_bound_method_spec;

#endif
