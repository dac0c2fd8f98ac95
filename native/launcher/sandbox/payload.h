/* Reading the payload of one op. */
#pragma once

#include "op.h"

/* What is being read: the payload of one op, the frame's descriptors, and the memory that is left for copies. */
struct parser {
    struct cursor c;
    const int *fds;
    size_t nfds;
    char *memory;
};

/* Takes `size` bytes, aligned, of the memory that is left. The list's parser has counted how much there is. */
void *reserve(struct parser *p, size_t size);

/* Reads the payload of `op->kind`, one of op-table.def, from `p->c`, which fails on anything that is not exactly it. */
void parse_op(struct parser *p, struct op *op);
