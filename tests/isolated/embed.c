/* Initialise and finalise the interpreter again and again in one process, running the same program each time.

       embed ROUNDS PROGRAM PATH...

   PROGRAM is the text to run, with the PATHs as sys.path.  After each round the memory in use is written as a line of
   its own: the bytes that malloc() has given out and, from debug builds of the interpreter, the references that are
   left, by a function that REFERENCES names. */
#include <Python.h>
#include <malloc.h>

#ifdef REFERENCES
PyAPI_FUNC(Py_ssize_t) REFERENCES(void);
#else
static Py_ssize_t
REFERENCES(void)
{
    return 0;
}
#endif

static void
check(PyStatus status)
{
    if (PyStatus_Exception(status)) {
        Py_ExitStatusException(status);
    }
}

static void
initialise(char **paths)
{
    PyPreConfig preconfig;
    PyConfig config;
    PyPreConfig_InitPythonConfig(&preconfig);
    check(Py_PreInitialize(&preconfig));
    PyConfig_InitPythonConfig(&config);
    config.pathconfig_warnings = 0;
    config.site_import = 0;
    config.module_search_paths_set = 1;
    for (; *paths != NULL; paths++) {
        wchar_t *path = Py_DecodeLocale(*paths, NULL);
        check(PyWideStringList_Append(&config.module_search_paths, path));
        PyMem_RawFree(path);
    }
    check(Py_InitializeFromConfig(&config));
    PyConfig_Clear(&config);
}

int
main(int argc, char **argv)
{
    if (argc < 4) {
        fprintf(stderr, "usage: embed ROUNDS PROGRAM PATH...\n");
        return 2;
    }
    for (int rounds = atoi(argv[1]); rounds > 0; rounds--) {
        initialise(argv + 3);
        int failed = PyRun_SimpleString(argv[2]);
        if (Py_FinalizeEx() < 0 || failed) {
            return 1;
        }
        struct mallinfo2 memory = mallinfo2();
        printf("%zu %zd\n", memory.uordblks + memory.hblkhd, REFERENCES());
        fflush(stdout);
    }
    return 0;
}
