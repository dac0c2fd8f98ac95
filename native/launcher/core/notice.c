#define _GNU_SOURCE
#include "notice.h"

#include <string.h>

/* Longer ones say no more than this. */
static const uint64_t LONGEST_EXTENSION = 86400000; /* ms */

static bool is(const char *line, size_t size, const char *text) {
    return size == strlen(text) && memcmp(line, text, size) == 0;
}

/* The value of a line that begins with `name`; NULL when it does not. */
static const char *value_of(const char *line, size_t size, const char *name) {
    size_t length = strlen(name);
    return size >= length && memcmp(line, name, length) == 0 ? line + length : NULL;
}

/* A number of microseconds in ms, 0 when it is none. */
static uint64_t milliseconds(const char *digits, const char *end) {
    uint64_t value = 0;
    if (digits == end) return 0;
    for (; digits < end; digits++) {
        if (*digits < '0' || *digits > '9') return 0;
        if (value <= LONGEST_EXTENSION * 1000) value = value * 10 + (uint64_t)(*digits - '0');
    }
    value = (value + 999) / 1000;
    return value < LONGEST_EXTENSION ? value : LONGEST_EXTENSION;
}

static void take_status(struct notice *notice, const char *from, const char *end) {
    size_t size = (size_t)(end - from) < NOTICE_STATUS - 1 ? (size_t)(end - from) : NOTICE_STATUS - 1;
    /* No half of a character at the end (UTF-8). */
    if (from + size < end)
        while (size > 0 && ((unsigned char)from[size] & 0xc0) == 0x80) size--;
    for (size_t i = 0; i < size; i++) {
        unsigned char letter = (unsigned char)from[i];
        notice->status[i] = letter < 0x20 || letter == 0x7f ? ' ' : from[i];
    }
    notice->status[size] = '\0';
    notice->has_status = true;
}

static void take_line(struct notice *notice, const char *line, size_t size) {
    const char *value, *end = line + size;
    if (is(line, size, "READY=1"))
        notice->ready = true;
    else if (is(line, size, "STOPPING=1"))
        notice->stopping = true;
    else if (is(line, size, "RELOADING=1"))
        notice->reloading = true;
    else if (is(line, size, "WATCHDOG=1"))
        notice->alive = true;
    else if (is(line, size, "WATCHDOG=trigger"))
        notice->fails = true;
    else if ((value = value_of(line, size, "EXTEND_TIMEOUT_USEC=")) != NULL)
        notice->extend_ms = milliseconds(value, end);
    else if ((value = value_of(line, size, "STATUS=")) != NULL)
        take_status(notice, value, end);
}

void notice_parse(const char *text, size_t size, struct notice *notice) {
    *notice = (struct notice){0};
    for (const char *line = text, *end = text + size; line < end;) {
        const char *next = memchr(line, '\n', (size_t)(end - line));
        if (next == NULL) next = end;
        take_line(notice, line, (size_t)(next - line));
        line = next + 1;
    }
}
