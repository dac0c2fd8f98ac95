#define _GNU_SOURCE
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "launcher.h"

static struct keep *find_keep(struct launcher *l, const char *name) {
    for (size_t i = 0; i < l->keeps_end; i++)
        if (l->keeps[i].taken && strcmp(l->keeps[i].name, name) == 0) return &l->keeps[i];
    return NULL;
}

int keep_set(struct launcher *l, const char *name, int fd, struct failure *why) {
    keep_drop(l, name);
    uint32_t place = 0;
    while (place < l->keeps_end && l->keeps[place].taken) place++;
    if (place == KEEP_LIMIT) return fail(why, STEP_KEEP, ENOSPC, "%s", name);
    struct keep *keep = &l->keeps[place];
    memcpy(keep->name, name, strlen(name) + 1);
    keep->fd = fd;
    keep->taken = true;
    if (place == l->keeps_end) l->keeps_end++;
    return 0;
}

void keep_drop(struct launcher *l, const char *name) {
    struct keep *keep = find_keep(l, name);
    if (keep == NULL) return;
    close(keep->fd);
    keep->taken = false;
    while (l->keeps_end > 0 && !l->keeps[l->keeps_end - 1].taken) l->keeps_end--;
}
