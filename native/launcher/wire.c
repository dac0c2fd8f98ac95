#include "wire.h"

#include <string.h>

struct cursor cursor_over(const void *data, size_t size) {
    const uint8_t *at = data;
    return (struct cursor){.at = at, .end = at == NULL ? at : at + size, .failed = false};
}

/* The one place that moves a cursor: `size` bytes, or NULL when they are not there. */
static const uint8_t *advance(struct cursor *c, size_t size) {
    if (c->failed || (size_t)(c->end - c->at) < size) {
        c->failed = true;
        return NULL;
    }
    const uint8_t *here = c->at;
    if (size > 0) c->at += size;
    return here;
}

static uint64_t take_little_endian(struct cursor *c, size_t size) {
    const uint8_t *bytes = advance(c, size);
    uint64_t value = 0;
    if (bytes == NULL) return 0;
    for (size_t i = size; i > 0; i--) value = value << 8 | bytes[i - 1];
    return value;
}

uint8_t take_u8(struct cursor *c) { return (uint8_t)take_little_endian(c, 1); }
uint16_t take_u16(struct cursor *c) { return (uint16_t)take_little_endian(c, 2); }
uint32_t take_u32(struct cursor *c) { return (uint32_t)take_little_endian(c, 4); }
uint64_t take_u64(struct cursor *c) { return take_little_endian(c, 8); }

struct span take_raw(struct cursor *c, size_t size) {
    const uint8_t *bytes = size > UINT32_MAX ? NULL : advance(c, size);
    if (bytes == NULL) {
        c->failed = true;
        return (struct span){.data = NULL, .size = 0};
    }
    return (struct span){.data = bytes, .size = (uint32_t)size};
}

struct span take_bytes(struct cursor *c) {
    uint32_t size = take_u32(c);
    return take_raw(c, size);
}

struct span take_text(struct cursor *c) {
    struct span text = take_bytes(c);
    if (text.size > 0 && memchr(text.data, 0, text.size) != NULL) {
        c->failed = true;
        return (struct span){.data = NULL, .size = 0};
    }
    return text;
}

struct cursor take_cursor(struct cursor *c, size_t size) {
    const uint8_t *bytes = advance(c, size);
    struct cursor inner = cursor_over(bytes, bytes == NULL ? 0 : size);
    inner.failed = bytes == NULL;
    return inner;
}

bool cursor_finished(const struct cursor *c) { return !c->failed && c->at == c->end; }

struct writer writer_over(void *data, size_t size) {
    uint8_t *start = data;
    return (struct writer){.start = start, .at = start, .end = start + size, .failed = false};
}

static uint8_t *extend(struct writer *w, size_t size) {
    if (w->failed || (size_t)(w->end - w->at) < size) {
        w->failed = true;
        return NULL;
    }
    uint8_t *here = w->at;
    w->at += size;
    return here;
}

static void put_little_endian(struct writer *w, uint64_t value, size_t size) {
    uint8_t *bytes = extend(w, size);
    if (bytes == NULL) return;
    for (size_t i = 0; i < size; i++) bytes[i] = (uint8_t)(value >> (8 * i));
}

void put_u8(struct writer *w, uint8_t value) { put_little_endian(w, value, 1); }
void put_u16(struct writer *w, uint16_t value) { put_little_endian(w, value, 2); }
void put_u32(struct writer *w, uint32_t value) { put_little_endian(w, value, 4); }
void put_u64(struct writer *w, uint64_t value) { put_little_endian(w, value, 8); }

void put_raw(struct writer *w, const void *data, size_t size) {
    uint8_t *bytes = extend(w, size);
    if (bytes != NULL && size > 0) memcpy(bytes, data, size);
}

void put_bytes(struct writer *w, const void *data, size_t size) {
    if (size > FRAME_LIMIT) w->failed = true;
    put_u32(w, (uint32_t)size);
    put_raw(w, data, size);
}

void put_text(struct writer *w, const char *text) { put_bytes(w, text, strlen(text)); }

void frame_begin(struct writer *w, uint16_t type, uint32_t serial) {
    put_u32(w, 0);
    put_u16(w, type);
    put_u16(w, 0);
    put_u32(w, serial);
}

size_t frame_end(struct writer *w) {
    size_t size = (size_t)(w->at - w->start);
    if (w->failed || size < FRAME_HEADER || size - 4 > FRAME_LIMIT) return 0;
    struct writer header = writer_over(w->start, 4);
    put_u32(&header, (uint32_t)(size - 4));
    return size;
}
