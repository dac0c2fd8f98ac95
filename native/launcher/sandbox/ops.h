/* The flat launch specification: a list of operations, checked wholly before the first is done, done in list order. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../failure.h"
#include "../wire.h"
#include "op.h"

/* The lists, and the bits in op-table.def of those that an op may stand in. */
enum list { LIST_PREPARE = 1, LIST_GO = 2, LIST_JOIN = 4 };

/* Ops in a list, at most. */
enum { OPS_LIMIT = 1024 };

/*
 * A checked op list, in one piece of memory of its own (spec_alloc) with the texts and lists that the ops point to. It
 * points into the bytes and the descriptors that it was parsed from and owns neither: they must outlive it.
 */
struct ops {
    size_t memory;
    struct span raw; /* the list as it came, and its descriptors: what launch_go passes on */
    const int *fds;
    size_t nfds;
    uint32_t count;
    struct op *items;
};

/*
 * Parses and checks a whole list; nothing is done. `list` says which ops may stand in it. `c` must end where the list
 * ends. Gives NULL and the failure (EINVAL, ENOMEM) when anything is wrong.
 */
struct ops *ops_parse(struct cursor *c, const int *fds, size_t nfds, enum list list, struct failure *why);
void ops_free(struct ops *ops);

/* The first op of this kind, NULL when there is none. */
const struct op *ops_find(const struct ops *ops, enum op_kind kind);
