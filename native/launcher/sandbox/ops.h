/*
 * The flat launch specification: a list of operations, checked wholly before the first is done, executed in list order.
 */
#pragma once

#include <linux/filter.h>
#include <stddef.h>
#include <stdint.h>

#include "../launch.h"

/* Numbers on the wire, grouped by who executes them; native/wire/ops.ts has the same table. */
enum op_kind {
    OP_NAMESPACES = 1,  /* launcher: CLONE_NEW* of the init */
    OP_CGROUP_INTO = 2, /* launcher: cgroup v2 directory that the init is born in */
    OP_CGROUP_JOIN = 3, /* init: a cgroup.procs of v1 */
    OP_OUTPUT = 4,      /* launcher: where a stream of the application goes */
    OP_OOM = 5,         /* launcher: file that counts out-of-memory kills */
    OP_SETNS = 6,       /* init, as all up to MASK */
    OP_HOSTNAME = 7,
    OP_ROOT = 8,
    OP_TREE = 9,
    OP_FILESYSTEM = 10,
    OP_ATTRIBUTES = 11,
    OP_NODE = 12,
    OP_SYMLINK = 13,
    OP_PIVOT = 14,
    OP_MASK = 15,
    OP_RLIMIT = 20, /* application, as all up to LABEL */
    OP_IDS = 21,
    OP_CAPABILITIES = 22,
    OP_SECCOMP = 23,
    OP_UMASK = 24,
    OP_CWD = 25,
    OP_SCHEDULE = 26,
    OP_LABEL = 27,
    OP_EXEC = 40,       /* application; this one and the following stand in a go list */
    OP_DESCRIPTOR = 41, /* application */
    OP_OWNER = 42,      /* init */
    OP_WRITE = 43,      /* init: a write may wait, for pages of a group to be freed for example */
};

/* A list of terminated texts. `items` ends with a null pointer, as execve(2) wants it. */
struct strings {
    uint32_t count;
    char **items;
};

struct op {
    enum op_kind kind;
    union {
        struct {
            uint32_t flags;
        } namespaces;
        struct {
            int fd;
        } cgroup_into, cgroup_join, oom, root;
        struct {
            uint8_t stream, mode;
            uint32_t size;
        } output;
        struct {
            int fd;
            uint32_t flags;
        } setns;
        struct {
            const char *name;
        } hostname;
        struct {
            int fd;
            const char *target;
        } tree;
        struct {
            const char *type, *target;
            uint64_t attributes;
            struct strings options;
        } filesystem;
        struct {
            const char *target;
            uint64_t set, clear;
            uint8_t recursive;
        } attributes;
        struct {
            const char *path;
            uint32_t mode, major, minor;
        } node;
        struct {
            const char *target, *path;
        } symlink;
        struct {
            const char *path;
        } mask;
        struct {
            uint32_t resource;
            uint64_t soft, hard;
        } rlimit;
        struct {
            uint32_t uid, gid, count;
            uint32_t *groups;
        } ids;
        struct {
            uint64_t bounding, permitted, effective, inheritable, ambient;
        } capabilities;
        struct {
            struct sock_filter *filter;
            uint16_t length;
        } seccomp;
        struct {
            uint32_t mask;
        } umask;
        struct {
            const char *path;
        } cwd;
        struct {
            uint32_t policy;
            int32_t nice;
            uint32_t priority;
        } schedule;
        struct {
            const char *context;
        } label;
        struct {
            const char *path;
            struct strings arguments, environment;
        } exec;
        struct {
            int fd;
            uint32_t number;
        } descriptor;
        struct {
            int fd;
            uint32_t uid, gid, mode;
        } owner;
        struct {
            int fd;
            struct span bytes;
        } write;
    };
};

/* Ops in a list, at most. */
enum { OPS_LIMIT = 1024 };

/* Lies in one piece of memory of its own (spec_alloc), with the texts and lists that the ops point to. */
struct ops {
    size_t memory;
    struct span raw; /* the list as it came, and its descriptors: what launch_go passes on */
    const int *fds;
    size_t nfds;
    uint32_t count;
    struct op *items;
};

/* The first op of this kind, NULL when there is none. */
const struct op *ops_find(const struct ops *ops, enum op_kind kind);

/* The descriptor that an op holds, -1 when it has none. */
int op_descriptor(const struct op *op);
