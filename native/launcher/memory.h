/* Memory that an init must not inherit: rings, records, frames of other attempts. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/*
 * Zeroed pages that a fork does not copy (MADV_DONTFORK): touching them in an init is a segmentation fault. They take
 * memory when they are first written. NULL and errno when there is none.
 */
void *dontfork_alloc(size_t size);
void dontfork_free(void *memory, size_t size);
/* From now on a fork copies such memory, or no longer does: for a child that is to work on it. 0, or -1 and errno. */
int dontfork_lend(void *memory, size_t size, bool lent);

/* Zeroed pages that a fork does copy: the specification of the one attempt that is being launched. */
void *spec_alloc(size_t size);
/* Gives them back to the kernel, so that the next init does not find them. */
void spec_free(void *memory, size_t size);

/*
 * For a function that never returns, and waits from now on: gives back the pages of the stack below its frame
 * (__builtin_frame_address(0)) and above it, but for those from `strings` on, where the kernel has put arguments and
 * environment.
 */
void stack_release(const void *frame, const char *strings);
