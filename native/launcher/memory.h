/* Memory that an init must not inherit: rings, records, frames of other attempts. */
#pragma once

#include <stddef.h>

/*
 * Zeroed pages that a fork does not copy (MADV_DONTFORK): touching them in an init is a segmentation fault. They take
 * memory when they are first written. NULL and errno when there is none.
 */
void *dontfork_alloc(size_t size);
void dontfork_free(void *memory, size_t size);

/* Zeroed pages that a fork does copy: the specification of the one attempt that is being launched. */
void *spec_alloc(size_t size);
/* Gives them back to the kernel, so that the next init does not find them. */
void spec_free(void *memory, size_t size);
