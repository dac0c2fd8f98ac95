#define _GNU_SOURCE
#include "template.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

static uint64_t now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_BOOTTIME, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* The path begins behind the mark at `at`. Gives the place of its second mark; w->failed when there is none. */
static uint32_t fill_mount(struct writer *w, struct span bytes, uint32_t at) {
    char path[PATH_MAX], text[32];
    const uint8_t *begin = bytes.data + at + 1;
    const uint8_t *end = memchr(begin, FILL_MOUNT, bytes.size - at - 1);
    size_t size = end == NULL ? 0 : (size_t)(end - begin);
    struct statx found;
    if (size == 0 || size >= sizeof path) {
        w->failed = true;
        return bytes.size;
    }
    memcpy(path, begin, size);
    path[size] = '\0';
    if (statx(AT_FDCWD, path, AT_NO_AUTOMOUNT | AT_SYMLINK_NOFOLLOW, STATX_MNT_ID, &found) != 0 ||
        (found.stx_mask & STATX_MNT_ID) == 0)
        w->failed = true;
    snprintf(text, sizeof text, "%llu", (unsigned long long)found.stx_mnt_id);
    put_raw(w, text, strlen(text));
    return at + 1 + (uint32_t)size;
}

void fill(struct writer *w, struct span bytes, const struct boot *boot) {
    for (uint32_t i = 0; i < bytes.size; i++) {
        char text[64];
        switch (bytes.data[i]) {
        case FILL_NOW:
        case FILL_STARTED:
            /* A number of nanoseconds, in milliseconds: exactly what others get by a division. */
            snprintf(text, sizeof text, "%llue-6",
                     (unsigned long long)(bytes.data[i] == FILL_NOW ? now_ns() : boot->started_ns));
            break;
        case FILL_BOOT:
            snprintf(text, sizeof text, "%s", boot->id);
            break;
        case FILL_PID:
            snprintf(text, sizeof text, "%u", boot->pid);
            break;
        case FILL_MOUNT:
            i = fill_mount(w, bytes, i);
            continue;
        default:
            put_raw(w, &bytes.data[i], 1);
            continue;
        }
        put_raw(w, text, strlen(text));
    }
}
