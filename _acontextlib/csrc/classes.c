/* Making classes; see classes.h for the contracts. */
#include "classes.h"

/* A dictionary of methods, each with the signature of the twin's. */
static PyObject *
methods_new(ModuleState *state, PyObject *twin, const MethodDef *methods, int count, PyObject **twins)
{
    PyObject *result = PyDict_New();
    for (int i = 0; result != NULL && i < count; i++) {
        twins[i] = PyObject_GetAttrString(twin, methods[i].name);
        PyObject *method = twins[i] != NULL ? actx_method_new(state, &methods[i], twins[i]) : NULL;
        if (method == NULL || PyDict_SetItemString(result, methods[i].name, method) < 0) {
            Py_CLEAR(result);
        }
        Py_XDECREF(method);
    }
    return result;
}

static void
methods_set_type(PyObject *methods, PyTypeObject *type)
{
    PyObject *name, *method;
    Py_ssize_t at = 0;
    while (PyDict_Next(methods, &at, &name, &method)) {
        actx_method_set_type(method, type);
    }
}

PyTypeObject *
actx_type_new(PyObject *module, PyType_Spec *spec, PyObject *bases)
{
    PyObject *type = PyType_FromModuleAndSpec(module, spec, bases);
    if (type == NULL && PyErr_Occurred() == NULL) {
        PyErr_NoMemory();
    }
    return (PyTypeObject *)type;
}

int
actx_class_new(PyObject *module, PyObject *templates, const char *name, PyType_Spec *spec, const MethodDef *methods,
               int count, PyTypeObject **base, PyTypeObject **type, PyObject **twins)
{
    PyObject *twin = PyObject_CallMethod(templates, "twin_of", "s", name);
    PyObject *dict = twin != NULL ? methods_new(PyModule_GetState(module), twin, methods, count, twins) : NULL;
    *base = dict != NULL ? actx_type_new(module, spec, NULL) : NULL;
    *type = NULL;
    if (*base != NULL) {
        *type = (PyTypeObject *)PyObject_CallMethod(templates, "class_like", "OOO", twin, *base, dict);
    }
    if (*type != NULL) {
        assert((*type)->tp_basicsize == (*base)->tp_basicsize);
        methods_set_type(dict, *type);
        actx_type_set_module(*type, module);
        /* Instances of the class itself have no slots, no finalizer and no dictionary beside those of its base,
           hence the general functions of classes made in Python have nothing to do for them but to take time. */
        (*type)->tp_dealloc = (*base)->tp_dealloc;
        (*type)->tp_traverse = (*base)->tp_traverse;
        (*type)->tp_clear = (*base)->tp_clear;
        (*type)->tp_init = (*base)->tp_init;
    }
    Py_XDECREF(dict);
    Py_XDECREF(twin);
    return *type != NULL ? PyModule_AddObjectRef(module, name, (PyObject *)*type) : -1;
}

PyObject *
actx_class_call(PyObject *type, PyObject *const *args, size_t nargsf, PyObject *kwnames)
{
    Py_ssize_t nargs = PyVectorcall_NARGS(nargsf);
    PyObject *result = NULL;
    PyObject *positional = PyTuple_New(nargs);
    PyObject *named = positional != NULL && kwnames != NULL ? PyDict_New() : NULL;
    if (positional == NULL || (kwnames != NULL && named == NULL)) {
        goto done;
    }
    for (Py_ssize_t i = 0; i < nargs; i++) {
        PyTuple_SET_ITEM(positional, i, Py_NewRef(args[i]));
    }
    for (Py_ssize_t i = 0; named != NULL && i < PyTuple_GET_SIZE(kwnames); i++) {
        if (PyDict_SetItem(named, PyTuple_GET_ITEM(kwnames, i), args[nargs + i]) < 0) {
            goto done;
        }
    }
    result = PyType_Type.tp_call(type, positional, named);
done:
    Py_XDECREF(positional);
    Py_XDECREF(named);
    return result;
}

bool
actx_class_refuses(PyTypeObject *type)
{
    if ((type->tp_flags & Py_TPFLAGS_IS_ABSTRACT) == 0) {
        return false;
    }
    PyObject *none = PyTuple_New(0);
    if (none != NULL) {
        PyBaseObject_Type.tp_new(type, none, NULL);  // always refuses
        Py_DECREF(none);
    }
    return true;
}

int
actx_twin_init(PyObject *twin, PyObject *self, PyObject *args, PyObject *kwargs)
{
    PyObject *result = actx_call_with_self_tuple(twin, self, args, kwargs);
    Py_XDECREF(result);
    return result != NULL ? 0 : -1;
}
