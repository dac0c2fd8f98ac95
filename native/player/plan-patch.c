#define _GNU_SOURCE
#include "plan-patch.h"

#include <stdlib.h>
#include <string.h>

#include "plan.h"

static const char MAGIC[] = "northstate planpatch\n";

/* One step; the bytes that it has made, or 0 bytes and a failed cursor. */
static size_t step(struct cursor *c, const uint8_t *base, size_t base_size, uint8_t *room, size_t left) {
    uint32_t at = take_u32(c), copied = take_u32(c);
    struct span text = take_bytes(c);
    if (!c->failed && at <= base_size && copied <= base_size - at && copied <= left && text.size <= left - copied) {
        memcpy(room, base + at, copied);
        if (text.size > 0) memcpy(room + copied, text.data, text.size);
        return copied + text.size;
    }
    c->failed = true;
    return 0;
}

uint8_t *plan_patched(const uint8_t *base, size_t base_size, const uint8_t *patch, size_t patch_size, size_t *size) {
    enum { MARK = sizeof MAGIC - 1 };
    struct cursor c = cursor_over(patch, patch_size);
    struct span magic = take_raw(&c, MARK);
    size_t whole = take_u32(&c), done = 0;
    if (c.failed || memcmp(magic.data, MAGIC, MARK) != 0 || whole == 0 || whole > PLAN_LIMIT) return NULL;
    uint8_t *made = malloc(whole);
    if (made == NULL) return NULL;
    while (!c.failed && c.at < c.end) done += step(&c, base, base_size, made + done, whole - done);
    if (c.failed || done != whole) {
        free(made);
        return NULL;
    }
    *size = whole;
    return made;
}
