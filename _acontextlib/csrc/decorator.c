/* asynccontextmanager() and the functions it returns.

   Both are real Python functions with a body from _templates.py.  On 3.12 and later a C vectorcall does what the body would;
   on 3.11 the interpreter runs the body, which calls the builtins below.  A function finds the module state through its
   globals: the builtin that its code names there is bound to the module.

   Mirrors asynccontextmanager() of contextlib and update_wrapper() of functools. */
#include "decorator.h"

#include "contextmanager.h"

static PyObject *decorate(PyObject *module, PyObject *func);
static PyObject *new_manager(PyObject *module, PyObject *const *args, Py_ssize_t nargs);

/* -- what a decorated function is -- */

/* Copy what functools.update_wrapper() copies from one plain function to another. */
static int
helper_copy_attributes(ModuleState *state, PyFunctionObject *helper, PyFunctionObject *func)
{
    Py_XSETREF(helper->func_module, Py_NewRef(func->func_module != NULL ? func->func_module : Py_None));
    Py_XSETREF(helper->func_name, Py_NewRef(func->func_name));
    Py_XSETREF(helper->func_qualname, Py_NewRef(func->func_qualname));
    Py_XSETREF(helper->func_doc, Py_NewRef(func->func_doc != NULL ? func->func_doc : Py_None));
    if (actx_compat_copy_annotations(helper, func) < 0) {
        return -1;
    }
    helper->func_dict = func->func_dict != NULL ? PyDict_Copy(func->func_dict) : PyDict_New();
    if (helper->func_dict == NULL) {
        return -1;
    }
    return PyDict_SetItem(helper->func_dict, state->names.wrapped, (PyObject *)func);
}

static int
helper_wrap(ModuleState *state, PyObject *helper, PyObject *func)
{
    if (state->wraps_natively && PyFunction_Check(func)) {
        return helper_copy_attributes(state, (PyFunctionObject *)helper, (PyFunctionObject *)func);
    }
    PyObject *same = PyObject_CallFunctionObjArgs(state->update_wrapper, helper, func, NULL);
    Py_XDECREF(same);
    return same != NULL ? 0 : -1;
}

/* The one variable that the body closes over. */
static PyObject *
closure_new(PyObject *func)
{
    PyObject *cell = PyCell_New(func);
    PyObject *closure = cell != NULL ? PyTuple_New(1) : NULL;
    if (closure == NULL) {
        Py_XDECREF(cell);
        return NULL;
    }
    PyTuple_SET_ITEM(closure, 0, cell);
    return closure;
}

#if ACTX_HAS_FUNCTION_VECTORCALL

/* The module whose builtin `method` is what the function's code names first in its globals; NULL, without an error, when the
   function has been given other code or globals. */
static PyObject *
function_module(PyFunctionObject *function, PyCFunction method)
{
    PyObject *names = ((PyCodeObject *)function->func_code)->co_names;
    PyObject *builtin, *module = NULL;
    if (PyTuple_GET_SIZE(names) != 1 ||
        PyDict_GetItemRef(function->func_globals, PyTuple_GET_ITEM(names, 0), &builtin) <= 0) {
        PyErr_Clear();
        return NULL;
    }
    if (PyCFunction_CheckExact(builtin) && PyCFunction_GET_FUNCTION(builtin) == method) {
        module = PyCFunction_GET_SELF(builtin);  // kept alive by the globals, which are its dictionary
    }
    Py_DECREF(builtin);
    return module;
}

/* Call the function as if it had no vectorcall of ours: with the one that a function just made has. */
static PyObject *
run_body(PyObject *callable, PyObject *const *args, size_t nargsf, PyObject *kwnames)
{
    PyFunctionObject *function = (PyFunctionObject *)callable;
    PyObject *plain = PyFunction_New(function->func_code, function->func_globals);
    if (plain == NULL) {
        return NULL;
    }
    vectorcallfunc vectorcall = ((PyFunctionObject *)plain)->vectorcall;
    Py_DECREF(plain);
    return vectorcall(callable, args, nargsf, kwnames);
}

static PyObject *
helper_vectorcall(PyObject *callable, PyObject *const *args, size_t nargsf, PyObject *kwnames)
{
    PyFunctionObject *helper = (PyFunctionObject *)callable;
    PyObject *module = function_module(helper, (PyCFunction)(void (*)(void))new_manager);
    ModuleState *state = module != NULL ? PyModule_GetState(module) : NULL;
    PyObject *func = NULL;
    if (state != NULL && helper->func_code == state->helper_code) {
        func = PyCell_Get(PyTuple_GET_ITEM(helper->func_closure, 0));
    }
    if (func == NULL) {
        return run_body(callable, args, nargsf, kwnames);
    }
    PyObject *manager = actx_manager_new(state, func, args, nargsf, kwnames);
    Py_DECREF(func);
    return manager;
}

static PyObject *
decorator_vectorcall(PyObject *callable, PyObject *const *args, size_t nargsf, PyObject *kwnames)
{
    PyObject *module = NULL;
    if (PyVectorcall_NARGS(nargsf) == 1 && kwnames == NULL) {
        module = function_module((PyFunctionObject *)callable, (PyCFunction)decorate);
    }
    if (module == NULL) {
        return run_body(callable, args, nargsf, kwnames);
    }
    return decorate(module, args[0]);
}

#endif

PyObject *
actx_decorator_new(ModuleState *state, PyObject *template)
{
    PyFunctionObject *model = (PyFunctionObject *)template;
    PyObject *function = PyFunction_New(model->func_code, state->globals);
    if (function != NULL) {
        Py_XSETREF(((PyFunctionObject *)function)->func_doc, Py_NewRef(model->func_doc));
        Py_XSETREF(((PyFunctionObject *)function)->func_module, Py_NewRef(model->func_module));
#if ACTX_HAS_FUNCTION_VECTORCALL
        PyFunction_SetVectorcall((PyFunctionObject *)function, decorator_vectorcall);
#endif
    }
    return function;
}

/* -- what the bodies call -- */

PyDoc_STRVAR(decorate_doc,
             "_decorate($module, func, /)\n--\n\n"
             "Return the function that asynccontextmanager(func) returns.");

static PyObject *
decorate(PyObject *module, PyObject *func)
{
    ModuleState *state = PyModule_GetState(module);
    PyObject *helper = PyFunction_New(state->helper_code, state->globals);
    if (helper == NULL) {
        return NULL;
    }
    PyObject *closure = closure_new(func);
    if (closure == NULL) {
        Py_DECREF(helper);
        return NULL;
    }
    ((PyFunctionObject *)helper)->func_closure = closure;
    if (helper_wrap(state, helper, func) < 0) {
        Py_DECREF(helper);
        return NULL;
    }
#if ACTX_HAS_FUNCTION_VECTORCALL
    PyFunction_SetVectorcall((PyFunctionObject *)helper, helper_vectorcall);
#endif
    return helper;
}

PyDoc_STRVAR(new_manager_doc,
             "_new_manager($module, func, args, kwds, /)\n--\n\n"
             "Return the manager that a decorated func returns for func(*args, **kwds).");

static PyObject *
new_manager(PyObject *module, PyObject *const *args, Py_ssize_t nargs)
{
    if (nargs != 3) {
        PyErr_Format(PyExc_TypeError, "_new_manager expected 3 arguments, got %zd", nargs);
        return NULL;
    }
    return actx_manager_from_tuple(PyModule_GetState(module), args[0], args[1], args[2]);
}

PyMethodDef actx_decorator_methods[] = {
    {"_decorate", decorate, METH_O, decorate_doc},
    {"_new_manager", (PyCFunction)(void (*)(void))new_manager, METH_FASTCALL, new_manager_doc},
    {NULL, NULL, 0, NULL},
};
