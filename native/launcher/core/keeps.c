#define _GNU_SOURCE
#include "keeps.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "../memory.h"

int keeps_open(struct keeps *all) {
    all->places = dontfork_alloc(KEEP_LIMIT * sizeof all->places[0]);
    return all->places == NULL ? -1 : 0;
}

static struct keep *find_keep(struct keeps *all, const char *name) {
    for (size_t i = 0; i < all->end; i++)
        if (all->places[i].taken && strcmp(all->places[i].name, name) == 0) return &all->places[i];
    return NULL;
}

int keep_set(struct keeps *all, const char *name, int fd, struct failure *why) {
    keep_drop(all, name);
    uint32_t place = 0;
    while (place < all->end && all->places[place].taken) place++;
    if (place == KEEP_LIMIT) return fail(why, STEP_KEEP, ENOSPC, "%s", name);
    struct keep *keep = &all->places[place];
    memcpy(keep->name, name, strlen(name) + 1);
    keep->fd = fd;
    keep->taken = true;
    if (place == all->end) all->end++;
    return 0;
}

void keep_drop(struct keeps *all, const char *name) {
    struct keep *keep = find_keep(all, name);
    if (keep == NULL) return;
    close(keep->fd);
    keep->taken = false;
    while (all->end > 0 && !all->places[all->end - 1].taken) all->end--;
}
