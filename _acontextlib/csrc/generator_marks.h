/* What an async generator has inside, for generator.c, which uses it, and generator_probe.c, which learns it.

   The struct is not ours to name: bytes, and one pointer that is copied bytewise. */
#ifndef ACTX_GENERATOR_MARKS_H
#define ACTX_GENERATOR_MARKS_H

#include "generator.h"

/* Four bytes in a row, from `drive->marks` on. */
enum { MARK_HOOKS_INITED, MARK_CLOSED, MARK_RUNNING, MARK_FRAME_STATE };

static inline char
mark_get(const GeneratorDrive *drive, PyObject *gen, int mark)
{
    return ((const char *)gen)[drive->marks + mark];
}

static inline void
mark_set(const GeneratorDrive *drive, PyObject *gen, int mark, char to)
{
    ((char *)gen)[drive->marks + mark] = to;
}

#endif
