/* Parses and checks op lists. All input is bounded. */
#define _GNU_SOURCE
#include "ops.h"

#include <errno.h>

#include "../memory.h"
#include "payload.h"

/* Where an op may stand (op-table.def). */
struct place {
    unsigned lists; /* 0: there is no such op */
    bool repeated;
    enum op_kind after;
};

enum { PREPARE = LIST_PREPARE, GO = LIST_GO, JOIN = LIST_JOIN, ONCE = false, REPEATED = true };

static const struct place PLACES[] = {
#define OP(number, NAME, name, LIST, STAGE, TIMES, AFTER, fields)                                                      \
    [number] = {.lists = LIST, .repeated = TIMES, .after = OP_##AFTER},
#define DATA OP
#include "op-table.def"
};
enum { KINDS = sizeof PLACES / sizeof PLACES[0] };
_Static_assert(KINDS <= 64, "the bits of an uint64_t say which ops were seen");

/* Whether the op may stand here, after the ops whose bits are in `seen`. */
static bool is_in_place(uint32_t kind, enum list list, uint64_t seen) {
    if (kind >= KINDS || !(PLACES[kind].lists & (unsigned)list)) return false;
    if (seen & 1ull << kind && !PLACES[kind].repeated) return false;
    return PLACES[kind].after == OP_NONE || seen & 1ull << PLACES[kind].after;
}

/*
 * Whether the list says what is to be done in the end: a start executes a program, who joins may copy or look for a
 * file instead.
 */
static bool has_end(enum list list, uint64_t seen) {
    int ends = !!(seen & 1ull << OP_EXEC) + !!(seen & 1ull << OP_COPY) + !!(seen & 1ull << OP_LOOK);
    if (list == LIST_GO) return ends == 1;
    return list != LIST_JOIN || ends == 1;
}

static void parse_list(struct ops *ops, struct parser *p, struct cursor *c, enum list list, uint32_t *at) {
    uint64_t seen = 0;
    for (*at = 0; *at < ops->count && !c->failed; ++*at) {
        struct op *op = &ops->items[*at];
        op->kind = take_u16(c);
        p->c = take_cursor(c, take_u32(c));
        if (!is_in_place(op->kind, list, seen)) c->failed = true;
        if (c->failed) return;
        parse_op(p, op);
        if (!cursor_finished(&p->c)) c->failed = true;
        if (c->failed) return;
        seen |= 1ull << op->kind;
    }
    if (!has_end(list, seen)) c->failed = true;
    if (!cursor_finished(c)) c->failed = true;
}

struct ops *ops_parse(struct cursor *c, const int *fds, size_t nfds, enum list list, struct failure *why) {
    struct span raw = {.data = c->at, .size = (uint32_t)(c->end - c->at)};
    uint32_t count = take_u16(c);
    if (c->failed || count > OPS_LIMIT || raw.size > FRAME_LIMIT) {
        fail(why, STEP_REQUEST, EINVAL, "op list");
        return NULL;
    }
    /*
     * Copies: a text grows by its terminator and alignment (up to 8 bytes where the wire has 4 for its length), a list
     * by one pointer for each text and one more.
     */
    size_t memory = sizeof(struct ops) + count * sizeof(struct op) + 4 * (size_t)raw.size + 64;
    struct ops *ops = spec_alloc(memory);
    if (ops == NULL) {
        fail(why, STEP_MEMORY, errno, "op list of %u bytes", raw.size);
        return NULL;
    }
    *ops = (struct ops){.memory = memory, .raw = raw, .fds = fds, .nfds = nfds, .count = count};
    struct parser p = {.fds = fds, .nfds = nfds, .memory = (char *)(ops + 1)};
    ops->items = reserve(&p, count * sizeof(struct op));
    uint32_t at = 0;
    parse_list(ops, &p, c, list, &at);
    if (!c->failed) return ops;
    fail(why, STEP_REQUEST, EINVAL, "op %u of the list", at);
    ops_free(ops);
    return NULL;
}

void ops_free(struct ops *ops) {
    if (ops != NULL) spec_free(ops, ops->memory);
}

const struct op *ops_find(const struct ops *ops, enum op_kind kind) {
    for (uint32_t i = 0; i < ops->count; i++)
        if (ops->items[i].kind == kind) return &ops->items[i];
    return NULL;
}
