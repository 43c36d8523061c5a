/* What an async generator has inside, for generator.c, which uses it, and generator_probe.c, which learns it.

   The struct is not ours to name: bytes, and one pointer that is copied bytewise. */
#ifndef ACTX_GENERATOR_MARKS_H
#define ACTX_GENERATOR_MARKS_H

#include "generator.h"
#include "threads.h"

/* Four bytes in a row, from `drive->marks` on. */
enum { MARK_HOOKS_INITED, MARK_CLOSED, MARK_RUNNING, MARK_FRAME_STATE };

static inline char
mark_get(const GeneratorDrive *drive, PyObject *gen, int mark)
{
    return (char)actx_byte_load((const uint8_t *)gen + drive->marks + mark);
}

static inline void
mark_set(const GeneratorDrive *drive, PyObject *gen, int mark, char to)
{
    actx_byte_store((uint8_t *)gen + drive->marks + mark, (uint8_t)to);
}

/* Of a generator in which nobody else is.  One that ignored aclose() is closed nevertheless: athrow() does not reach
   it. */
static inline bool
generator_is_at_yield(const GeneratorDrive *drive, PyObject *gen)
{
    return mark_get(drive, gen, MARK_RUNNING) == 0 && mark_get(drive, gen, MARK_CLOSED) == 0 &&
           mark_get(drive, gen, MARK_FRAME_STATE) == drive->at_yield;
}

static inline bool
generator_is_finished(const GeneratorDrive *drive, PyObject *gen)
{
    return mark_get(drive, gen, MARK_FRAME_STATE) == drive->finished && mark_get(drive, gen, MARK_RUNNING) == 0 &&
           mark_get(drive, gen, MARK_HOOKS_INITED) != 0;
}

#endif
