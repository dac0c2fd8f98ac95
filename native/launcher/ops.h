/* The flat launch specification: a list of operations, checked wholly before the first one is done, then executed in
 * list order by stage. Everything an operation needs stands in it: no path of the host, no policy, no default. */
#pragma once
#include <linux/filter.h>
#include <stddef.h>
#include <stdint.h>

enum op_kind {
    OP_NAMESPACES = 1,
    OP_CGROUP_INTO = 2,
    OP_CGROUP_JOIN = 3,
    OP_OUTPUT = 4,
    OP_OOM = 5,
    OP_SETNS = 6,
    OP_HOSTNAME = 7,
    OP_ROOT = 8,
    OP_TREE = 9,
    OP_FILESYSTEM = 10,
    OP_ATTRIBUTES = 11,
    OP_NODE = 12,
    OP_SYMLINK = 13,
    OP_PIVOT = 14,
    OP_RLIMIT = 20,
    OP_IDS = 21,
    OP_CAPABILITIES = 22,
    OP_SECCOMP = 23,
    OP_UMASK = 24,
    OP_CWD = 25,
    OP_SCHEDULE = 26,
    OP_EXEC = 40,
    OP_DESCRIPTOR = 41,
    OP_OWNER = 42,
    OP_WRITE = 43,
};

/* Where a start failed: the number of an operation, or one of these, which no operation stands for. The same table is
 * in native/ops.ts. */
enum step {
    STEP_NONE = 0,
    STEP_CLONE = 0x101,     /* clone3 of the init */
    STEP_SETUP = 0x102,     /* the init's own first calls */
    STEP_FORK = 0x103,      /* the fork of the application */
    STEP_STDIO = 0x104,     /* the application's descriptors 0, 1, 2 */
    STEP_PRIVILEGES = 0x105, /* no_new_privs, securebits, dropping the init's own rights */
    STEP_INIT = 0x106,      /* the init ended, or spoke nonsense, before it was ready */
    STEP_REQUEST = 0x107,   /* the request itself: a bad list, an unknown attempt, a wrong state */
    STEP_WAIT = 0x108,      /* the attempt that this one waits for */
};

/* Which list an operation stands in. */
enum ops_list { OPS_PREPARE, OPS_GO };

struct strings {
    uint32_t count;
    char **items; /* ends with a null pointer, as execve wants it */
};

struct op {
    enum op_kind kind;
    union {
        struct { uint32_t flags; } namespaces;
        struct { int fd; } cgroup_into, cgroup_join, oom, root;
        struct { uint8_t stream, mode; uint32_t size; } output;
        struct { int fd; uint32_t flags; } setns;
        struct { const char *name; } hostname;
        struct { int fd; const char *target; } tree;
        struct { const char *type, *target; uint64_t attributes; struct strings options; } filesystem;
        struct { const char *target; uint64_t set, clear; uint8_t recursive; } attributes;
        struct { const char *path; uint32_t mode, major, minor; } node;
        struct { const char *target, *path; } symlink;
        struct { uint32_t resource; uint64_t soft, hard; } rlimit;
        struct { uint32_t uid, gid, count; uint32_t *groups; } ids;
        struct { uint64_t bounding, permitted, effective, inheritable, ambient; } capabilities;
        struct { struct sock_filter *filter; uint16_t length; } seccomp;
        struct { uint32_t mask; } umask;
        struct { const char *path; } cwd;
        struct { uint32_t policy; int32_t nice; uint32_t priority; } schedule;
        struct { const char *path; struct strings arguments, environment; } exec;
        struct { int fd; uint32_t number; } descriptor;
        struct { int fd; uint32_t uid, gid, mode; } owner;
        struct { int fd; const uint8_t *bytes; uint32_t size; } write;
    };
};

struct ops {
    uint32_t count;
    struct op *items;
    char *arena; /* every text, list and filter of the items */
};

/* Reads an op list as it stands on the wire. `fds` are the frame's descriptors; they stay the caller's. Gives 0, or -1
 * when the list is not exactly well formed and allowed in `list` (errno EINVAL), or memory is short (ENOMEM). */
int ops_parse(const uint8_t *bytes, size_t size, const int *fds, size_t fd_count, enum ops_list list, struct ops *ops);

void ops_free(struct ops *ops);

/* What a failure of this operation is about: a path, a name, or "". Never null. */
const char *op_subject(const struct op *op);
