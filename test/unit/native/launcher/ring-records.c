/* Random appends to rings of several sizes: what is kept is always the newest whole records, and nothing else. */
#include "../../../../native/launcher/core/ring.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ROUNDS = 4000, TOTAL = 32 << 20 };

static int wrong(const char *what) {
    fprintf(stderr, "%s\n", what);
    return 1;
}

/* Every byte that was ever appended, as the ring would have it if it never dropped any. */
static uint8_t *everything;

static int check(const struct ring *ring, uint8_t *seen) {
    struct writer w = writer_over(seen, RING_LIMIT + 4);
    ring_put(ring, ring->begin, UINT32_MAX, &w);
    size_t size = (size_t)(ring->end - ring->begin);
    if (w.failed || (size_t)(w.at - seen) != size + 4) return wrong("the size of what is read");
    if (size > ring->size) return wrong("more is kept than fits");
    if (memcmp(seen + 4, everything + ring->begin, size) != 0) return wrong("other bytes than were appended");
    struct cursor c = cursor_over(seen + 4, size);
    while (!cursor_finished(&c)) {
        take_u8(&c);
        take_u64(&c);
        take_bytes(&c);
        if (c.failed) return wrong("the oldest record is not whole");
    }
    return 0;
}

static int fill(uint32_t size) {
    struct ring ring = ring_of(size);
    uint8_t data[3 * RECORD_CHUNK];
    uint8_t *seen = malloc(RING_LIMIT + 4);
    struct writer model = writer_over(everything, TOTAL);
    int failed = 0;
    for (int round = 0; round < ROUNDS && !failed; round++) {
        uint32_t length = (uint32_t)rand() % (round % 5 == 0 ? sizeof data : 60);
        for (uint32_t i = 0; i < length; i++) data[i] = (uint8_t)rand();
        if (ring_append(&ring, 1, (uint64_t)round, data, length) != 0) failed = wrong("no memory");
        uint32_t chunk = ring.size / 2 < RECORD_CHUNK ? ring.size / 2 : RECORD_CHUNK;
        for (uint32_t at = 0; at < length; at += chunk) {
            put_u8(&model, 1);
            put_u64(&model, (uint64_t)round);
            put_bytes(&model, data + at, length - at < chunk ? length - at : chunk);
        }
        if (model.failed || ring.end != (uint64_t)(model.at - everything)) failed = wrong("the end");
        if (!failed && round % 50 == 0) failed = check(&ring, seen);
    }
    free(seen);
    ring_free(&ring);
    return failed;
}

int main(void) {
    everything = malloc(TOTAL);
    int failed = fill(1) || fill(4096) || fill(65536) || fill(100000) || fill(0);
    free(everything);
    return failed;
}
