/* asynccontextmanager() and the functions it returns.

   Both are real Python functions with a body from _templates.py.  On 3.12 and later a C vectorcall does what the
   body would; on 3.11 the interpreter runs the body, which calls the builtins below.  A vectorcall is given
   nothing but the function: it finds the module state in the function's globals, which are a dictionary of a type
   of ours.

   Mirrors asynccontextmanager() of contextlib and update_wrapper() of functools. */
#include "decorator.h"

#include "classes.h"
#include "contextmanager.h"

/* -- what a decorated function is -- */

/* A copy of a function's attributes.  Without a GIL its dictionary is asked for, and made where there is none, as by
   the attribute `__dict__`: others may be at it. */
static PyObject *
function_copy_dict(PyFunctionObject *func)
{
    if (!ACTX_FREE_THREADED) {
        return func->func_dict != NULL ? PyDict_Copy(func->func_dict) : PyDict_New();
    }
    PyObject *dict = PyObject_GenericGetDict((PyObject *)func, NULL);
    PyObject *copy = dict != NULL ? PyDict_Copy(dict) : NULL;
    Py_XDECREF(dict);
    return copy;
}

/* Copy what functools.update_wrapper() copies from one plain function to another. */
static int
helper_copy_attributes(ModuleState *state, PyFunctionObject *helper, PyFunctionObject *func)
{
    int failed;
    Py_BEGIN_CRITICAL_SECTION(func);
    Py_XSETREF(helper->func_module, Py_NewRef(func->func_module != NULL ? func->func_module : Py_None));
    Py_XSETREF(helper->func_name, Py_NewRef(func->func_name));
    Py_XSETREF(helper->func_qualname, Py_NewRef(func->func_qualname));
    Py_XSETREF(helper->func_doc, Py_NewRef(func->func_doc != NULL ? func->func_doc : Py_None));
    failed = actx_compat_copy_annotations(helper, func);
    Py_END_CRITICAL_SECTION();
    if (failed < 0 || (helper->func_dict = function_copy_dict(func)) == NULL) {
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

static PyObject *decorate(ModuleState *state, PyObject *func);

/* The names of the module, but for its own: a function whose __module__ is not copied from another has
   contextlib's. */
static int
globals_fill(PyObject *globals, PyObject *module)
{
    PyObject *name = PyUnicode_FromString("contextlib");
    int failed = name == NULL ? -1 : PyDict_Update(globals, PyModule_GetDict(module));
    if (failed == 0) {
        failed = PyDict_SetItemString(globals, "__name__", name);
    }
    Py_XDECREF(name);
    return failed;
}

#if ACTX_HAS_FUNCTION_VECTORCALL

/* The globals of the functions made here: a dictionary that knows the module's state.  Looking up a builtin in it
   instead, to ask that for its module, took as long as allocating the manager. */
typedef struct {
    PyDictObject dict;
    ModuleState *state;  // borrowed, kept alive by the type
} GlobalsObject;

static PyObject *
globals_tp_repr(PyObject *self)
{
    return PyUnicode_FromFormat("<globals of the functions of _acontextlib at %p>", self);
}

static int
globals_tp_traverse(PyObject *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    return PyDict_Type.tp_traverse(self, visit, arg);
}

static int
globals_tp_clear(PyObject *self)
{
    return PyDict_Type.tp_clear(self);
}

static PyType_Slot globals_slots[] = {
    {Py_tp_traverse, globals_tp_traverse},
    {Py_tp_clear, globals_tp_clear},
    {Py_tp_doc, "Globals of the functions that asynccontextmanager() returns."},
    {Py_tp_repr, globals_tp_repr},
    {0, NULL},
};

static PyType_Spec globals_spec = {
    .name = "_acontextlib.globals",
    .basicsize = sizeof(GlobalsObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = globals_slots,
};

PyObject *
actx_globals_new(PyObject *module)
{
    PyObject *bases = PyTuple_Pack(1, &PyDict_Type);
    PyTypeObject *type = bases != NULL ? actx_type_new(module, &globals_spec, bases) : NULL;
    PyObject *none = type != NULL ? PyTuple_New(0) : NULL;
    PyObject *globals = none != NULL ? PyDict_Type.tp_new(type, none, NULL) : NULL;
    if (globals != NULL) {
        ((GlobalsObject *)globals)->state = PyModule_GetState(module);
        if (globals_fill(globals, module) < 0) {
            Py_CLEAR(globals);
        }
    }
    Py_XDECREF(none);
    Py_XDECREF(type);
    Py_XDECREF(bases);
    return globals;
}

/* The state of the module that made the function; NULL, without an error, when it has been given other globals. */
static inline ModuleState *
function_state(PyFunctionObject *function)
{
    PyObject *globals = function->func_globals;
    return Py_TYPE(globals)->tp_repr == globals_tp_repr ? ((GlobalsObject *)globals)->state : NULL;
}

/* Call the function as if it had no vectorcall of ours: with the one that a function just made has. */
static PyObject *
run_body(PyObject *callable, PyObject *const *args, size_t nargsf, PyObject *kwnames)
{
    PyFunctionObject *function = (PyFunctionObject *)callable;
    PyObject *code = Py_NewRef(function->func_code);
    PyObject *plain = PyFunction_New(code, function->func_globals);
    Py_DECREF(code);
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
    ModuleState *state = function_state(helper);
    PyObject *func = NULL;
    if (state != NULL && helper->func_code == state->helper_code) {
        func = actx_cell_get(PyTuple_GET_ITEM(helper->func_closure, 0));
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
    PyFunctionObject *function = (PyFunctionObject *)callable;
    ModuleState *state = function_state(function);
    if (state == NULL || function->func_code != state->decorator_code || PyVectorcall_NARGS(nargsf) != 1 ||
        kwnames != NULL) {
        return run_body(callable, args, nargsf, kwnames);
    }
    return decorate(state, args[0]);
}

#else

PyObject *
actx_globals_new(PyObject *module)
{
    PyObject *globals = PyDict_New();
    if (globals != NULL && globals_fill(globals, module) < 0) {
        Py_CLEAR(globals);
    }
    return globals;
}

#endif

PyObject *
actx_decorator_new(ModuleState *state, PyObject *template)
{
    PyFunctionObject *model = (PyFunctionObject *)template;
    PyFunctionObject *function = (PyFunctionObject *)PyFunction_New(state->decorator_code, state->globals);
    if (function != NULL) {
        Py_XSETREF(function->func_doc, Py_NewRef(model->func_doc));
        Py_XSETREF(function->func_module, Py_NewRef(model->func_module));
#if ACTX_HAS_FUNCTION_VECTORCALL
        PyFunction_SetVectorcall(function, decorator_vectorcall);
#endif
    }
    return (PyObject *)function;
}

/* asynccontextmanager(func) */
static PyObject *
decorate(ModuleState *state, PyObject *func)
{
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

/* -- what the bodies call -- */

PyDoc_STRVAR(core_decorate_doc,
             "_decorate($module, func, /)\n--\n\n"
             "Return the function that asynccontextmanager(func) returns.");

static PyObject *
core_decorate(PyObject *module, PyObject *func)
{
    return decorate(PyModule_GetState(module), func);
}

PyDoc_STRVAR(core_new_manager_doc,
             "_new_manager($module, func, args, kwds, /)\n--\n\n"
             "Return the manager that a decorated func returns for func(*args, **kwds).");

static PyObject *
core_new_manager(PyObject *module, PyObject *const *args, Py_ssize_t nargs)
{
    if (nargs != 3) {
        PyErr_Format(PyExc_TypeError, "_new_manager expected 3 arguments, got %zd", nargs);
        return NULL;
    }
    ModuleState *state = PyModule_GetState(module);
    if (PyTuple_CheckExact(args[1]) && PyDict_CheckExact(args[2]) && PyDict_GET_SIZE(args[2]) == 0) {
        return actx_manager_new(state, args[0], &PyTuple_GET_ITEM(args[1], 0), (size_t)PyTuple_GET_SIZE(args[1]), NULL);
    }
    return actx_manager_from_tuple(state, args[0], args[1], args[2]);
}

PyMethodDef actx_decorator_methods[] = {
    {"_decorate", core_decorate, METH_O, core_decorate_doc},
    {"_new_manager", (PyCFunction)(void (*)(void))core_new_manager, METH_FASTCALL, core_new_manager_doc},
    {NULL, NULL, 0, NULL},
};
