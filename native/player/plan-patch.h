/*
 * A plan as what it says other than one that lies there (native/wire/plan-patch.ts): a mark, the plan's size, and
 * steps, each of which copies bytes of the one that lies there and adds some. Whether it is whole its checksum says.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* The plan that a patch makes, in memory of its own; NULL: it is none, or of another one. */
uint8_t *plan_patched(const uint8_t *base, size_t base_size, const uint8_t *patch, size_t patch_size, size_t *size);
