/* One op of a list, as it was read: its fields are those of its row in op-table.def. */
#pragma once

#include <linux/filter.h>
#include <stddef.h>
#include <stdint.h>

#include "../wire.h"

/* Numbers on the wire (op-table.def). */
enum op_kind {
    OP_NONE = 0,
#define OP(number, NAME, ...) OP_##NAME = number,
#define DATA OP
#include "op-table.def"
};

/* The modes of OUTPUT. */
enum { OUTPUT_NULL = 0, OUTPUT_RING = 1, OUTPUT_RELAY = 2 };

/* A list of terminated texts. `items` ends with a null pointer, as execve(2) wants it. */
struct strings {
    uint32_t count;
    char **items;
};

struct numbers {
    uint32_t count;
    uint32_t *items;
};

/* clang-format off */
#define FD
#define U8(field) uint8_t field;
#define U32(field) uint32_t field;
#define I32(field) int32_t field;
#define U64(field) uint64_t field;
#define TEXT(field, limit) const char *field;
#define PATH(field) const char *field;
#define TEXTS(field) struct strings field;
#define U32S(field, limit) struct numbers field;
#define BYTES(field) struct span field;
#define PROGRAM(field) struct sock_fprog field;
#define CHECK(condition)
/* clang-format on */

/* The fields of each op: `struct op_tree` and so on. */
#define OP(number, NAME, name, LIST, STAGE, TIMES, AFTER, fields)                                                      \
    struct op_##name {                                                                                                 \
        fields                                                                                                         \
    };
#define DATA OP
#include "op-table.def"

struct op {
    enum op_kind kind;
    int fd; /* the descriptor that it holds, -1 when it has none */
    union {
#define OP(number, NAME, name, ...) struct op_##name name;
#define DATA OP
#include "op-table.def"
    };
};

#undef FD
#undef U8
#undef U32
#undef I32
#undef U64
#undef TEXT
#undef PATH
#undef TEXTS
#undef U32S
#undef BYTES
#undef PROGRAM
#undef CHECK
