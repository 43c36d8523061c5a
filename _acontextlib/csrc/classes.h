/* Classes that are the stdlib's to look at: made in Python from a base that a spec here defines (its layout) and
   methods whose signatures are those of the stdlib's class of the same name, the twin. */
#ifndef ACTX_CLASSES_H
#define ACTX_CLASSES_H

#include "method.h"

/* PyType_FromModuleAndSpec(), which in 3.11 sets no error where it has no memory for the name of the type. */
PyTypeObject *actx_type_new(PyObject *module, PyType_Spec *spec, PyObject *bases);

/* Make the class `name` and add it to the module: *base is made from `spec`, *type in Python from it and from `count`
   methods.  twins[i] becomes the twin's method of that name, to be called where ours does not want to. */
int actx_class_new(PyObject *module, PyObject *templates, const char *name, PyType_Spec *spec, const MethodDef *methods,
                   int count, PyTypeObject **base, PyTypeObject **type, PyObject **twins);

/* Call a class as if it had no vectorcall. */
PyObject *actx_class_call(PyObject *type, PyObject *const *args, size_t nargsf, PyObject *kwnames);

/* Whether a class has abstract methods, and so no instances; then with the error of object.__new__(). */
bool actx_class_refuses(PyTypeObject *type);

/* For the deallocator of one of our classes, to which somebody gave a __del__(): whether that brought the instance back
   to life.  Instances of a class that has one are no business of the freelists: the collector has marked them. */
static inline bool
actx_class_resurrects(PyTypeObject *type, PyObject *self)
{
    return type->tp_finalize != NULL && PyObject_CallFinalizerFromDealloc(self) < 0;
}

/* tp_init by way of a method that is called like a MethodDef's: 0 or -1. */
int actx_twin_init(PyObject *twin, PyObject *self, PyObject *args, PyObject *kwargs);

#endif
