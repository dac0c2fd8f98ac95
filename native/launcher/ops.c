// Parses and checks op lists. All input is bounded; texts and lists are copied to where they are aligned and terminated.
#define _GNU_SOURCE
#include "ops.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "memory.h"

enum {
    LIST_LIMIT = 4096,
    GROUPS_LIMIT = 1024,
    HOSTNAME_LIMIT = 64,
    OUTPUT_LIMIT = 16 << 20,
    DESCRIPTOR_LIMIT = 1024,
};

/** What is being read: the payload of one op, the frame's descriptors, and the memory that is left for copies. */
struct parser {
    struct cursor c;
    const int *fds;
    size_t nfds;
    char *memory;
};

static void *reserve(struct parser *p, size_t size) {
    char *at = p->memory;
    p->memory += (size + 7) & ~(size_t)7;
    return at;
}

static int read_fd(struct parser *p) {
    uint16_t index = take_u16(&p->c);
    if (index < p->nfds) return p->fds[index];
    p->c.failed = true;
    return -1;
}

static char *read_text(struct parser *p, size_t limit) {
    struct span text = take_text(&p->c);
    if (text.size > limit) p->c.failed = true;
    if (p->c.failed) return NULL;
    char *copy = reserve(p, (size_t)text.size + 1);
    if (text.size) memcpy(copy, text.data, text.size);
    copy[text.size] = '\0';
    return copy;
}

static char *read_path(struct parser *p) {
    char *path = read_text(p, PATH_MAX - 1);
    if (path && path[0] == '\0') p->c.failed = true;
    return path;
}

/** The count of a list whose items take four bytes or more each; one that claims more than is there is refused. */
static uint32_t read_count(struct parser *p, size_t limit) {
    uint32_t count = take_u32(&p->c);
    if (count > limit || count > (size_t)(p->c.end - p->c.at) / 4) p->c.failed = true;
    return p->c.failed ? 0 : count;
}

static struct strings read_strings(struct parser *p) {
    uint32_t count = read_count(p, LIST_LIMIT);
    if (p->c.failed) return (struct strings){0};
    struct strings list = {.count = count, .items = reserve(p, (count + 1) * sizeof(char *))};
    for (uint32_t i = 0; i < count; i++) list.items[i] = read_text(p, FRAME_LIMIT);
    list.items[count] = NULL;
    return list;
}

static void read_groups(struct parser *p, struct op *op) {
    op->ids.count = read_count(p, GROUPS_LIMIT);
    op->ids.groups = reserve(p, op->ids.count * sizeof(uint32_t));
    for (uint32_t i = 0; i < op->ids.count; i++) op->ids.groups[i] = take_u32(&p->c);
}

static void read_filter(struct parser *p, struct op *op) {
    struct span bytes = take_bytes(&p->c);
    size_t length = bytes.size / sizeof(struct sock_filter);
    if (bytes.size % sizeof(struct sock_filter) || length == 0 || length > BPF_MAXINSNS) p->c.failed = true;
    if (p->c.failed) return;
    op->seccomp.filter = reserve(p, bytes.size);
    memcpy(op->seccomp.filter, bytes.data, bytes.size);
    op->seccomp.length = (uint16_t)length;
}

static void require(struct parser *p, bool condition) {
    if (!condition) p->c.failed = true;
}

static void parse_launcher_op(struct parser *p, struct op *op) {
    switch (op->kind) {
        case OP_NAMESPACES:
            op->namespaces.flags = take_u32(&p->c);
            break;
        case OP_CGROUP_INTO:
            op->cgroup_into.fd = read_fd(p);
            break;
        case OP_OUTPUT:
            op->output.stream = take_u8(&p->c);
            op->output.mode = take_u8(&p->c);
            op->output.size = take_u32(&p->c);
            require(p, op->output.stream == 1 || op->output.stream == 2);
            require(p, op->output.mode <= 1 && op->output.size <= OUTPUT_LIMIT);
            break;
        case OP_OOM:
            op->oom.fd = read_fd(p);
            break;
        case OP_WRITE:
            op->write.fd = read_fd(p);
            op->write.bytes = take_bytes(&p->c);
            break;
        default:
            p->c.failed = true;
    }
}

static void parse_init_op(struct parser *p, struct op *op) {
    switch (op->kind) {
        case OP_CGROUP_JOIN:
            op->cgroup_join.fd = read_fd(p);
            break;
        case OP_SETNS:
            op->setns.fd = read_fd(p);
            op->setns.flags = take_u32(&p->c);
            break;
        case OP_HOSTNAME:
            op->hostname.name = read_text(p, HOSTNAME_LIMIT);
            break;
        case OP_ROOT:
            op->root.fd = read_fd(p);
            break;
        case OP_TREE:
            op->tree.fd = read_fd(p);
            op->tree.target = read_path(p);
            break;
        case OP_FILESYSTEM:
            op->filesystem.type = read_text(p, NAME_MAX);
            op->filesystem.target = read_path(p);
            op->filesystem.attributes = take_u64(&p->c);
            op->filesystem.options = read_strings(p);
            break;
        case OP_ATTRIBUTES:
            op->attributes.target = read_path(p);
            op->attributes.set = take_u64(&p->c);
            op->attributes.clear = take_u64(&p->c);
            op->attributes.recursive = take_u8(&p->c);
            require(p, op->attributes.recursive <= 1);
            break;
        case OP_NODE:
            op->node.path = read_path(p);
            op->node.mode = take_u32(&p->c);
            op->node.major = take_u32(&p->c);
            op->node.minor = take_u32(&p->c);
            require(p, S_ISCHR(op->node.mode) || S_ISDIR(op->node.mode));
            break;
        case OP_SYMLINK:
            op->symlink.target = read_path(p);
            op->symlink.path = read_path(p);
            break;
        case OP_PIVOT:
            break;
        case OP_OWNER:
            op->owner.fd = read_fd(p);
            op->owner.uid = take_u32(&p->c);
            op->owner.gid = take_u32(&p->c);
            op->owner.mode = take_u32(&p->c);
            require(p, (op->owner.mode & ~07777u) == 0);
            break;
        default:
            parse_launcher_op(p, op);
    }
}

static void parse_op(struct parser *p, struct op *op) {
    switch (op->kind) {
        case OP_RLIMIT:
            op->rlimit.resource = take_u32(&p->c);
            op->rlimit.soft = take_u64(&p->c);
            op->rlimit.hard = take_u64(&p->c);
            require(p, op->rlimit.resource < RLIM_NLIMITS);
            break;
        case OP_IDS:
            op->ids.uid = take_u32(&p->c);
            op->ids.gid = take_u32(&p->c);
            read_groups(p, op);
            break;
        case OP_CAPABILITIES:
            op->capabilities.bounding = take_u64(&p->c);
            op->capabilities.permitted = take_u64(&p->c);
            op->capabilities.effective = take_u64(&p->c);
            op->capabilities.inheritable = take_u64(&p->c);
            op->capabilities.ambient = take_u64(&p->c);
            break;
        case OP_SECCOMP:
            read_filter(p, op);
            break;
        case OP_UMASK:
            op->umask.mask = take_u32(&p->c);
            require(p, (op->umask.mask & ~0777u) == 0);
            break;
        case OP_CWD:
            op->cwd.path = read_path(p);
            break;
        case OP_SCHEDULE:
            op->schedule.policy = take_u32(&p->c);
            op->schedule.nice = (int32_t)take_u32(&p->c);
            op->schedule.priority = take_u32(&p->c);
            break;
        case OP_EXEC:
            op->exec.path = read_path(p);
            op->exec.arguments = read_strings(p);
            op->exec.environment = read_strings(p);
            break;
        case OP_DESCRIPTOR:
            op->descriptor.fd = read_fd(p);
            op->descriptor.number = take_u32(&p->c);
            require(p, op->descriptor.number < DESCRIPTOR_LIMIT);
            break;
        default:
            parse_init_op(p, op);
    }
}

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
        case OP_RLIMIT:
        case OP_DESCRIPTOR:
        case OP_OWNER:
        case OP_WRITE:
            return true;
        default:
            return false;
    }
}

/** The op that must stand before this one, 0 when any place will do. */
static enum op_kind comes_after(enum op_kind kind) {
    switch (kind) {
        case OP_TREE:
        case OP_FILESYSTEM:
        case OP_NODE:
        case OP_SYMLINK:
        case OP_PIVOT:
            return OP_ROOT;
        case OP_ATTRIBUTES: // by path, which leads nowhere else only once the new root is the root
            return OP_PIVOT;
        default:
            return 0;
    }
}

/** Whether the op may stand here, after the ops whose bits are in `seen`. */
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
    // Copies: a text grows by its terminator and alignment (up to 8 bytes where the wire has 4 for its length), a list by
    // one pointer for each text and one more.
    size_t memory = sizeof(struct ops) + count * sizeof(struct op) + 4 * (size_t)raw.size + 64;
    struct ops *ops = spec_alloc(memory);
    if (!ops) {
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
    if (ops) spec_free(ops, ops->memory);
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
