#define _GNU_SOURCE
#include "template.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

static uint64_t now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_BOOTTIME, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
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
        default:
            put_raw(w, &bytes.data[i], 1);
            continue;
        }
        put_raw(w, text, strlen(text));
    }
}
