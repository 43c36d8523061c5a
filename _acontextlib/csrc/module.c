/* _acontextlib._core: what is created when the module is imported, and given up with it. */
#include <stdlib.h>

#include "awaitable.h"
#include "classes.h"
#include "contextmanager.h"
#include "decorator.h"
#include "exitstack.h"
#include "simple.h"
#include "state.h"

/* Every strong reference that the state holds, for traverse and clear. */
// clang-format off
#define STATE_REFERENCES(X)                                                                          \
    X(awaitable_type) X(awaitable_iterator_type) X(method_type) X(bound_method_type)                 \
    X(manager_base) X(manager_type) X(manager_aenter) X(manager_aexit) X(manager_doc) X(globals)     \
    X(decorator_code) X(helper_code) X(update_wrapper) X(bind_init) X(bind_aenter) X(bind_aexit)     \
    X(bind_recreate) X(call) X(stack_base) X(stack_type) X(wrap_callback) X(wrap_async_callback)     \
    X(deque_type) X(unpack_entry) X(drive.wrapped_type) X(stops.with_false) X(stops.spare)           \
    X(asyncio_hook) X(asyncio.firstiter) X(asyncio.firstiter_code) X(asyncio.set_type)               \
    X(asyncio.add) X(asyncio.add_code) X(asyncio.remove_code)
// clang-format on

enum { FREELISTS = 6 };

static void
freelists_of(ModuleState *state, Freelist *result[FREELISTS])
{
    result[0] = &state->awaitables;
    result[1] = &state->bound_methods;
    result[2] = &state->managers;
    result[3] = &state->stacks;
    result[4] = &state->simples[SIMPLE_CLOSING].freelist;
    result[5] = &state->simples[SIMPLE_NULL].freelist;
}

enum { NAMES_COUNT = sizeof(Names) / sizeof(PyObject *) };

static int
names_init(Names *names)
{
#define NAME_TEXT(field, text) text,
    static const char *const texts[] = {ACTX_NAMES(NAME_TEXT)};
#undef NAME_TEXT
    PyObject **fields = (PyObject **)names;
    for (int i = 0; i < NAMES_COUNT; i++) {
        fields[i] = PyUnicode_InternFromString(texts[i]);
        if (fields[i] == NULL) {
            return -1;
        }
    }
    return 0;
}

/* module.name into *slot, as a strong reference. */
static int
fetch(PyObject *module, const char *name, PyObject **slot)
{
    *slot = PyObject_GetAttrString(module, name);
    return *slot != NULL ? 0 : -1;
}

/* Whether functools.update_wrapper() copies by default what this version's does, no more and no less. */
static int
wraps_init(ModuleState *state)
{
    static const char *const expected[] = {ACTX_WRAPPER_ASSIGNMENTS};
    const Py_ssize_t count = sizeof(expected) / sizeof(expected[0]);
    PyObject *functools = PyImport_ImportModule("functools");
    PyObject *assignments = NULL;
    int result = -1;
    if (functools != NULL && fetch(functools, "update_wrapper", &state->update_wrapper) == 0 &&
        fetch(functools, "WRAPPER_ASSIGNMENTS", &assignments) == 0) {
        bool same = PyTuple_CheckExact(assignments) && PyTuple_GET_SIZE(assignments) == count;
        for (Py_ssize_t i = 0; same && i < count; i++) {
            PyObject *name = PyTuple_GET_ITEM(assignments, i);
            same = PyUnicode_Check(name) && PyUnicode_CompareWithASCIIString(name, expected[i]) == 0;
        }
        state->wraps_natively = same;
        result = 0;
    }
    Py_XDECREF(assignments);
    Py_XDECREF(functools);
    return result;
}

/* Choose the drive, unless the environment chooses the public one. */
static int
drive_init(ModuleState *state, PyObject *templates)
{
    const char *wanted = getenv("ACONTEXTLIB_DRIVE");
    PyObject *pause = NULL, *probe = NULL;
    int result = -1;
    state->drive.state = state;
    if (wanted != NULL && strcmp(wanted, "public") == 0) {
        return 0;
    }
    if (fetch(templates, "Pause", &pause) == 0 && fetch(templates, "probe", &probe) == 0) {
        result = actx_generator_probe(&state->drive, probe, pause);
    }
    Py_XDECREF(probe);
    Py_XDECREF(pause);
    return result;
}

static int
type_init(PyObject *module, PyType_Spec *spec, PyTypeObject **slot)
{
    *slot = actx_type_new(module, spec, NULL);
    return *slot != NULL ? 0 : -1;
}

/* A method with the signature that the twin's method of that name has; NULL also where there is no twin. */
static PyObject *
method_like(ModuleState *state, const MethodDef *def, PyObject *twin)
{
    PyObject *model = twin != NULL ? PyObject_GetAttrString(twin, def->name) : NULL;
    PyObject *method = model != NULL ? actx_method_new(state, def, model) : NULL;
    Py_XDECREF(model);
    return method;
}

/* The class of managers, made in Python from the type and the methods made here. */
static int
manager_class_init(PyObject *module, ModuleState *state, PyObject *templates)
{
    PyObject *manager = NULL;
    PyObject *twin = PyObject_CallMethod(templates, "twin_of", "s", "_AsyncGeneratorContextManager");
    PyObject *aenter = method_like(state, &actx_manager_aenter, twin);
    PyObject *aexit = aenter != NULL ? method_like(state, &actx_manager_aexit, twin) : NULL;
    PyObject *recreate = aexit != NULL ? method_like(state, &actx_manager_recreate, twin) : NULL;
    if (recreate != NULL) {
        actx_method_set_type(recreate, state->manager_base);
        manager = PyObject_CallMethod(templates, "manager_class", "OOOO", state->manager_base, aenter, aexit, recreate);
    }
    if (manager != NULL) {
        state->manager_type = (PyTypeObject *)manager;
        state->manager_doc = PyObject_GetAttrString(manager, "__doc__");
        state->manager_aenter = Py_NewRef(aenter);
        state->manager_aexit = Py_NewRef(aexit);
        actx_manager_adopt_class(state->manager_type);
        actx_type_set_module(state->manager_type, module);
        actx_method_set_type(aenter, state->manager_type);
        actx_method_set_type(aexit, state->manager_type);
    }
    Py_XDECREF(aenter);
    Py_XDECREF(aexit);
    Py_XDECREF(recreate);
    Py_XDECREF(twin);
    if (state->manager_doc == NULL) {
        return -1;
    }
    return manager != NULL ? PyModule_AddObjectRef(module, "_AsyncGeneratorContextManager", manager) : -1;
}

/* AsyncExitStack, and what it needs of contextlib. */
static int
stack_class_init(PyObject *module, ModuleState *state, PyObject *templates)
{
    PyObject *collections = PyImport_ImportModule("collections");
    int failed = collections == NULL || fetch(collections, "deque", &state->deque_type) < 0;
    Py_XDECREF(collections);
    if (failed || fetch(templates, "unpack_entry", &state->unpack_entry) < 0 ||
        actx_class_new(module, templates, "AsyncExitStack", &actx_stack_spec, actx_stack_methods, STACK_METHODS,
                       &state->stack_base, &state->stack_type, state->stack_twins) < 0 ||
        fetch((PyObject *)state->stack_type, "_create_cb_wrapper", &state->wrap_callback) < 0 ||
        fetch((PyObject *)state->stack_type, "_create_async_cb_wrapper", &state->wrap_async_callback) < 0) {
        return -1;
    }
    return actx_stack_adopt_class(state);
}

static int
types_init(PyObject *module, ModuleState *state, PyObject *templates)
{
    if (type_init(module, &actx_awaitable_spec, &state->awaitable_type) < 0 ||
        type_init(module, &actx_awaitable_iterator_spec, &state->awaitable_iterator_type) < 0 ||
        type_init(module, &actx_method_spec, &state->method_type) < 0 ||
        type_init(module, &actx_bound_method_spec, &state->bound_method_type) < 0 ||
        type_init(module, &actx_manager_spec, &state->manager_base) < 0) {
        return -1;
    }
    if (manager_class_init(module, state, templates) < 0 || stack_class_init(module, state, templates) < 0) {
        return -1;
    }
    return actx_simple_init(module, state, templates);
}

static int
templates_init(ModuleState *state, PyObject *templates)
{
    PyObject *closes;
    if (fetch(templates, "helper_code", &state->helper_code) < 0 ||
        fetch(templates, "bind_init", &state->bind_init) < 0 ||
        fetch(templates, "bind_aenter", &state->bind_aenter) < 0 ||
        fetch(templates, "bind_aexit", &state->bind_aexit) < 0 ||
        fetch(templates, "bind_recreate", &state->bind_recreate) < 0 || fetch(templates, "call", &state->call) < 0 ||
        fetch(templates, "asyncio_hook", &state->asyncio_hook) < 0 ||
        fetch(templates, "closes_on_misuse", &closes) < 0) {
        return -1;
    }
    state->closes_on_misuse = closes == Py_True;
    Py_DECREF(closes);
    return 0;
}

/* The names that users import. */
static int
contents_init(PyObject *module, ModuleState *state, PyObject *templates)
{
    PyObject *template;
    if (fetch(templates, "asynccontextmanager", &template) < 0) {
        return -1;
    }
    state->decorator_code = PyObject_GetAttrString(template, "__code__");
    state->globals = state->decorator_code != NULL ? actx_globals_new(module) : NULL;
    PyObject *decorator = state->globals != NULL ? actx_decorator_new(state, template) : NULL;
    Py_DECREF(template);
    if (decorator == NULL) {
        return -1;
    }
    PyObject *passed = actx_generator_steps_passed(&state->drive);
    int failed = passed == NULL || PyModule_AddObjectRef(module, "asynccontextmanager", decorator) < 0 ||
                 PyModule_AddObjectRef(module, "self_test", passed) < 0;
    Py_XDECREF(passed);
    Py_DECREF(decorator);
    return failed ? -1 : PyModule_AddStringConstant(module, "drive", state->drive.direct ? "direct" : "public");
}

static int
module_exec(PyObject *module)
{
    ModuleState *state = PyModule_GetState(module);
    Freelist *freelists[FREELISTS];
    freelists_of(state, freelists);
    for (int i = 0; i < FREELISTS; i++) {
        freelists[i]->limit = ACTX_FREELIST_SIZE;
    }
    PyObject *templates = PyImport_ImportModule("_acontextlib._templates");
    if (templates == NULL) {
        return -1;
    }
    int result = -1;
    if (names_init(&state->names) == 0 && actx_error_init_stops(&state->stops) == 0 && wraps_init(state) == 0 &&
        templates_init(state, templates) == 0 && types_init(module, state, templates) == 0 &&
        drive_init(state, templates) == 0) {
        result = contents_init(module, state, templates);
    }
    Py_DECREF(templates);
    return result;
}

/* The references that are not fields of their own: arrays of them. */
static int
arrays_traverse(ModuleState *state, visitproc visit, void *arg)
{
    for (int i = 0; i < STACK_METHODS; i++) {
        Py_VISIT(state->stack_twins[i]);
    }
    for (int i = 0; i < STACK_WATCHED; i++) {
        Py_VISIT(state->stack_watched[i].original);
    }
    for (int i = 0; i < SIMPLE_CLASSES; i++) {
        Py_VISIT(state->simples[i].base);
        Py_VISIT(state->simples[i].type);
        for (int j = 0; j < SIMPLE_METHODS; j++) {
            Py_VISIT(state->simples[i].twins[j]);
        }
    }
    return 0;
}

static void
arrays_clear(ModuleState *state)
{
    for (int i = 0; i < STACK_METHODS; i++) {
        Py_CLEAR(state->stack_twins[i]);
    }
    for (int i = 0; i < STACK_WATCHED; i++) {
        Py_CLEAR(state->stack_watched[i].name);
        Py_CLEAR(state->stack_watched[i].original);
    }
    for (int i = 0; i < SIMPLE_CLASSES; i++) {
        Py_CLEAR(state->simples[i].base);
        Py_CLEAR(state->simples[i].type);
        for (int j = 0; j < SIMPLE_METHODS; j++) {
            Py_CLEAR(state->simples[i].twins[j]);
        }
    }
}

static int
module_traverse(PyObject *module, visitproc visit, void *arg)
{
    ModuleState *state = PyModule_GetState(module);
    Freelist *freelists[FREELISTS];
#define VISIT(field) Py_VISIT(state->field);
    STATE_REFERENCES(VISIT)
#undef VISIT
    freelists_of(state, freelists);
    for (int i = 0; i < FREELISTS; i++) {
        int stop = actx_freelist_traverse(freelists[i], visit, arg);
        if (stop != 0) {
            return stop;
        }
    }
    return arrays_traverse(state, visit, arg);
}

static int
module_clear(PyObject *module)
{
    ModuleState *state = PyModule_GetState(module);
    PyObject **names = (PyObject **)&state->names;
    Freelist *freelists[FREELISTS];
    freelists_of(state, freelists);
    for (int i = 0; i < FREELISTS; i++) {
        actx_freelist_clear(freelists[i]);
    }
#define CLEAR(field) Py_CLEAR(state->field);
    STATE_REFERENCES(CLEAR)
#undef CLEAR
    arrays_clear(state);
    for (int i = 0; i < NAMES_COUNT; i++) {
        Py_CLEAR(names[i]);
    }
    return 0;
}

static void
module_free(void *module)
{
    module_clear((PyObject *)module);
}

static PyModuleDef_Slot module_slots[] = {
    {Py_mod_exec, module_exec},
    ACTX_SLOT_INTERPRETERS ACTX_SLOT_GIL{0, NULL},
};

PyModuleDef actx_module_def = {
    PyModuleDef_HEAD_INIT,
    .m_name = "_acontextlib._core",
    .m_doc = "The C half of _acontextlib.",
    .m_size = sizeof(ModuleState),
    .m_methods = actx_decorator_methods,
    .m_slots = module_slots,
    .m_traverse = module_traverse,
    .m_clear = module_clear,
    .m_free = module_free,
};

PyMODINIT_FUNC
PyInit__core(void)
{
    return PyModuleDef_Init(&actx_module_def);
}
