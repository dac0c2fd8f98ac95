/* The wire's primitives: little-endian fields read through a bounded cursor, written into a bounded buffer. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    WIRE_VERSION = 8,
    FRAME_HEADER = 12,    /* u32 size | u16 type | u16 nfds | u32 serial */
    FRAME_LIMIT = 262144, /* of what follows the size field */
    FRAME_FDS = 253,      /* SCM_MAX_FD: more do not travel in one message (unix(7)) */
    NAME_LIMIT = 1024,
    RECORD_LIMIT = 4096,
    HASH_SIZE = 32,
};

/* Bytes that belong to somebody else. `data` is not terminated. */
struct span {
    const uint8_t *data;
    uint32_t size;
};

/* Reads fields from `at` up to `end`. A read past the end sets `failed`, gives zero, and every later read fails too. */
struct cursor {
    const uint8_t *at;
    const uint8_t *end;
    bool failed;
};

struct cursor cursor_over(const void *data, size_t size);
uint8_t take_u8(struct cursor *c);
uint16_t take_u16(struct cursor *c);
uint32_t take_u32(struct cursor *c);
uint64_t take_u64(struct cursor *c);
/* `size` bytes without a length before them (a hash). */
struct span take_raw(struct cursor *c, size_t size);
/* u32 length and so many bytes. */
struct span take_bytes(struct cursor *c);
/* The same for a text: a NUL within fails the cursor. */
struct span take_text(struct cursor *c);
/* A cursor over the next `size` bytes, which `c` steps over. It is failed when they are not there. */
struct cursor take_cursor(struct cursor *c, size_t size);
/* Everything was there and nothing is left over. */
bool cursor_finished(const struct cursor *c);

/* Writes fields from `at` up to `end`. A write past the end sets `failed` and writes nothing. */
struct writer {
    uint8_t *start;
    uint8_t *at;
    uint8_t *end;
    bool failed;
};

struct writer writer_over(void *data, size_t size);
void put_u8(struct writer *w, uint8_t value);
void put_u16(struct writer *w, uint16_t value);
void put_u32(struct writer *w, uint32_t value);
void put_u64(struct writer *w, uint64_t value);
void put_raw(struct writer *w, const void *data, size_t size);
void put_bytes(struct writer *w, const void *data, size_t size);
void put_text(struct writer *w, const char *text);
/* Begins a frame with room for its size; frame_end fills that in. */
void frame_begin(struct writer *w, uint16_t type, uint32_t serial);
/* Completes the frame that begins at w->start. Gives its whole size in bytes, 0 when the writer failed. */
size_t frame_end(struct writer *w);
