/* The last output of an attempt: records at absolute offsets, the oldest dropped when room is needed. */
#pragma once

#include <stdint.h>

#include "../wire.h"

enum {
    RING_DEFAULT = 65536,
    RING_LIMIT = 16 << 20,
    RECORD_HEADER = 13,  /* u8 stream | u64 CLOCK_BOOTTIME ns | u32 length */
    RECORD_CHUNK = 4096, /* bytes of one record at most, so that little is lost with the oldest */
};

/* `begin` always stands on a record. The memory is taken with the first byte, and no fork copies it. */
struct ring {
    uint8_t *data;
    uint32_t size; /* a multiple of 4096: with larger pages the rest of the last one is not used */
    uint64_t begin;
    uint64_t end;
};

/* An empty ring of at least `size` bytes (0: the default), at most RING_LIMIT. */
struct ring ring_of(uint32_t size);
void ring_free(struct ring *ring);
/*
 * Appends bytes of a stream with the time they were read. -1 and errno when there is no memory: nothing is kept then.
 */
int ring_append(struct ring *ring, uint8_t stream, uint64_t boottime_ns, const uint8_t *data, uint32_t size);
/* Writes up to `max` bytes from absolute offset `from` (begin <= from <= end) as a `bytes` field. */
void ring_put(const struct ring *ring, uint64_t from, uint32_t max, struct writer *w);
