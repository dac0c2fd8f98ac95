/* Parses and checks op lists. All input is bounded. */
#define _GNU_SOURCE
#include "ops.h"

#include <errno.h>

#include "../memory.h"
#include "op.h"

static bool may_repeat(enum op_kind kind) {
    switch (kind) {
    case OP_CGROUP_JOIN:
    case OP_OUTPUT:
    case OP_SETNS:
    case OP_TREE:
    case OP_FILESYSTEM:
    case OP_ATTRIBUTES:
    case OP_NODE:
    case OP_SYMLINK:
    case OP_MASK:
    case OP_RLIMIT:
    case OP_DESCRIPTOR:
    case OP_OWNER:
    case OP_WRITE:
        return true;
    default:
        return false;
    }
}

/* The op that must stand before this one, 0 when any place will do. */
static enum op_kind comes_after(enum op_kind kind) {
    switch (kind) {
    case OP_TREE:
    case OP_FILESYSTEM:
    case OP_NODE:
    case OP_SYMLINK:
    case OP_MASK:
    case OP_PIVOT:
        return OP_ROOT;
    case OP_ATTRIBUTES: /* by path, which leads nowhere else only once the new root is the root */
        return OP_PIVOT;
    default:
        return 0;
    }
}

/* Whether the op may stand here, after the ops whose bits are in `seen`. */
static bool is_in_place(enum op_kind kind, bool go, uint64_t seen) {
    if ((kind >= OP_EXEC) != go) return false;
    if (seen & 1ull << kind && !may_repeat(kind)) return false;
    enum op_kind before = comes_after(kind);
    return before == 0 || seen & 1ull << before;
}

static void parse_list(struct ops *ops, struct parser *p, struct cursor *c, bool go, uint32_t *at) {
    uint64_t seen = 0;
    for (*at = 0; *at < ops->count && !c->failed; ++*at) {
        struct op *op = &ops->items[*at];
        op->kind = take_u16(c);
        p->c = take_cursor(c, take_u32(c));
        if (op->kind > OP_WRITE || !is_in_place(op->kind, go, seen)) c->failed = true;
        if (c->failed) return;
        parse_op(p, op);
        if (!cursor_finished(&p->c)) c->failed = true;
        if (c->failed) return;
        seen |= 1ull << op->kind;
    }
    if (go && !(seen & 1ull << OP_EXEC)) c->failed = true;
    if (!cursor_finished(c)) c->failed = true;
}

struct ops *ops_parse(struct cursor *c, const int *fds, size_t nfds, bool go, struct failure *why) {
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
    parse_list(ops, &p, c, go, &at);
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

int op_descriptor(const struct op *op) {
    switch (op->kind) {
    case OP_CGROUP_INTO:
    case OP_CGROUP_JOIN:
    case OP_OOM:
    case OP_ROOT:
        return op->root.fd;
    case OP_SETNS:
        return op->setns.fd;
    case OP_TREE:
        return op->tree.fd;
    case OP_DESCRIPTOR:
        return op->descriptor.fd;
    case OP_OWNER:
        return op->owner.fd;
    case OP_WRITE:
        return op->write.fd;
    default:
        return -1;
    }
}
