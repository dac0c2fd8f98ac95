/* Bytes in which a byte below 6 stands for something of this boot: no JSON that we write has one. */
#pragma once

#include "../launcher/wire.h"

enum {
    FILL_NOW = 1,     /* CLOCK_BOOTTIME in ms, as a number of JSON */
    FILL_BOOT = 2,    /* the boot's id */
    FILL_STARTED = 3, /* when the launcher began, as FILL_NOW */
    FILL_PID = 4,     /* the launcher's process id */
    FILL_MOUNT = 5,   /* the id of the mount on a path, which stands between two of them */
};

struct boot {
    char id[64];
    uint64_t started_ns;
    uint32_t pid;
};

/* Writes what `bytes` stands for; w->failed when there is no room, or nothing mounted. */
void fill(struct writer *w, struct span bytes, const struct boot *boot);
