/*
 * Where the deeds of a unit are done: its descriptors, what it has asked of the launcher, and why it could not go on.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "link.h"
#include "plan.h"
#include "template.h"

/* Device numbers may be others in another boot, but one for one. */
struct devices {
    size_t count;
    struct {
        uint64_t then, now;
    } pairs[64];
};

struct stage {
    struct link *link;
    const struct boot *boot;
    struct devices *devices;
    int slots[SLOT_LIMIT];   /* -1: free */
    char device[PATH_MAX];   /* what opens the block device that was made last */
    char mapped[128];        /* one of the device mapper that goes when nothing has it open any more; "": none */
    char note[PATH_MAX + 1]; /* the last file that was put: of a start, that it was tried */
    uint32_t prepared;       /* serials, 0: not asked for */
    uint32_t gone;
    char why[512];
};

/* Why a deed cannot be done: a printf format, then errno where it is not 0. Gives -1. */
__attribute__((format(printf, 3, 4))) int refuse(struct stage *stage, int error, const char *format, ...);
/* Takes a descriptor over. -1 and the reason when it is none. */
int put_slot(struct stage *stage, uint32_t slot, int fd, const char *what);
/* Closes all of them, and has the device go that nothing was mounted from. */
void stage_clear(struct stage *stage);

/* Does one deed. 0, or -1 and stage->why. */
int deed_do(struct stage *stage, const struct deed *deed);

/* images.c */
int do_file(struct stage *stage, const struct deed *deed);
int do_attach(struct stage *stage, const struct deed *deed);
int do_map(struct stage *stage, const struct deed *deed);
int do_mount(struct stage *stage, const struct deed *deed);
void remove_mapped(struct stage *stage);
/* trees.c */
int do_within(struct stage *stage, const struct deed *deed);
int do_bind(struct stage *stage, const struct deed *deed);
int do_tree(struct stage *stage, const struct deed *deed);
int do_tree_of(struct stage *stage, const struct deed *deed);
/* conditions.c */
int do_expect(struct stage *stage, const struct deed *deed);
int do_absent(struct stage *stage, const struct deed *deed);
int do_hierarchy(struct stage *stage, const struct deed *deed);
int do_delegated(struct stage *stage, const struct deed *deed);
int do_undelegated(struct stage *stage, const struct deed *deed);
/* groups.c */
int do_above(struct stage *stage, const struct deed *deed);
int do_append(struct stage *stage, const struct deed *deed);
/* sockets.c */
int do_socket(struct stage *stage, const struct deed *deed);
