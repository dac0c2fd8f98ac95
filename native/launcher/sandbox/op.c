/* Parses the payload of one op. Texts and lists are copied to where they are aligned and terminated. */
#define _GNU_SOURCE
#include "op.h"

#include <limits.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>

enum {
    LIST_LIMIT = 4096,
    GROUPS_LIMIT = 1024,
    HOSTNAME_LIMIT = 64,
    OUTPUT_LIMIT = 16 << 20,
    DESCRIPTOR_LIMIT = 1024,
};

void *reserve(struct parser *p, size_t size) {
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
    if (path != NULL && path[0] == '\0') p->c.failed = true;
    return path;
}

/* The count of a list whose items take four bytes or more each; one that claims more than is there is refused. */
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
    case OP_MASK:
        op->mask.path = read_path(p);
        break;
    case OP_OWNER:
        op->owner.fd = read_fd(p);
        op->owner.uid = take_u32(&p->c);
        op->owner.gid = take_u32(&p->c);
        op->owner.mode = take_u32(&p->c);
        require(p, (op->owner.mode & ~07777u) == 0);
        break;
    case OP_WRITE:
        op->write.fd = read_fd(p);
        op->write.bytes = take_bytes(&p->c);
        break;
    default:
        parse_launcher_op(p, op);
    }
}

void parse_op(struct parser *p, struct op *op) {
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
        /* -1 is "as it was" to setresuid(2): root. */
        require(p, op->ids.uid != UINT32_MAX && op->ids.gid != UINT32_MAX);
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
    case OP_LABEL:
        op->label.context = read_path(p);
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
