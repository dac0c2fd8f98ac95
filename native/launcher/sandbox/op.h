/* Between the list (ops.c) and the payloads of its ops (op.c). */
#pragma once

#include "ops.h"

/* What is being read: the payload of one op, the frame's descriptors, and the memory that is left for copies. */
struct parser {
    struct cursor c;
    const int *fds;
    size_t nfds;
    char *memory;
};

/* Takes `size` bytes, aligned, of the memory that is left. The list's parser has counted how much there is. */
void *reserve(struct parser *p, size_t size);

/* Reads the payload of `op->kind` from `p->c`, which fails on anything that is not exactly it. */
void parse_op(struct parser *p, struct op *op);
