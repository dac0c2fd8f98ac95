#include "ring.h"

#include <string.h>

#include "../memory.h"

enum { PAGE = 4096 };

struct ring ring_of(uint32_t size) {
    if (size == 0) size = RING_DEFAULT;
    if (size > RING_LIMIT) size = RING_LIMIT;
    return (struct ring){.size = (size + PAGE - 1) / PAGE * PAGE};
}

void ring_free(struct ring *ring) {
    if (ring->data != NULL) dontfork_free(ring->data, ring->size);
    *ring = (struct ring){0};
}

/* Copies between the ring and plain memory, around the end where it must. */
static void copy_in(struct ring *ring, uint64_t offset, const uint8_t *from, uint32_t size) {
    uint32_t at = (uint32_t)(offset % ring->size);
    uint32_t first = size < ring->size - at ? size : ring->size - at;
    memcpy(ring->data + at, from, first);
    memcpy(ring->data, from + first, size - first);
}

static void copy_out(const struct ring *ring, uint64_t offset, uint8_t *to, uint32_t size) {
    uint32_t at = (uint32_t)(offset % ring->size);
    uint32_t first = size < ring->size - at ? size : ring->size - at;
    memcpy(to, ring->data + at, first);
    memcpy(to + first, ring->data, size - first);
}

static void drop_oldest(struct ring *ring) {
    uint8_t header[RECORD_HEADER];
    copy_out(ring, ring->begin, header, RECORD_HEADER);
    struct cursor c = cursor_over(header + RECORD_HEADER - 4, 4);
    ring->begin += RECORD_HEADER + take_u32(&c);
}

int ring_append(struct ring *ring, uint8_t stream, uint64_t boottime_ns, const uint8_t *data, uint32_t size) {
    if (ring->data == NULL && (ring->data = dontfork_alloc(ring->size)) == NULL) return -1;
    uint32_t chunk = ring->size / 2 < RECORD_CHUNK ? ring->size / 2 : RECORD_CHUNK;
    while (size > 0) {
        uint32_t part = size < chunk ? size : chunk;
        while (ring->end + RECORD_HEADER + part - ring->begin > ring->size) drop_oldest(ring);
        uint8_t header[RECORD_HEADER];
        struct writer w = writer_over(header, sizeof header);
        put_u8(&w, stream);
        put_u64(&w, boottime_ns);
        put_u32(&w, part);
        copy_in(ring, ring->end, header, RECORD_HEADER);
        copy_in(ring, ring->end + RECORD_HEADER, data, part);
        ring->end += RECORD_HEADER + part;
        data += part;
        size -= part;
    }
    return 0;
}

void ring_put(const struct ring *ring, uint64_t from, uint32_t max, struct writer *w) {
    uint64_t there = ring->end - from;
    uint32_t size = there < max ? (uint32_t)there : max;
    put_u32(w, size);
    if (size == 0) return;
    if (w->failed || (size_t)(w->end - w->at) < size) {
        w->failed = true;
        return;
    }
    copy_out(ring, from, w->at, size);
    w->at += size;
}
