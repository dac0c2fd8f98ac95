#define _GNU_SOURCE
#include "conditions.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <sys/vfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "stage.h"

#ifndef RUNTIME_VERSION
#error RUNTIME_VERSION is the version in package.json, as a string
#endif

enum { DOCUMENT_LIMIT = 64 << 20, MOST_LINKS = 40 };

uint8_t *read_whole(const char *path, size_t limit, size_t *size) {
    int fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    struct stat stats;
    if (fd < 0) return NULL;
    uint8_t *data = NULL;
    errno = EFBIG;
    if (fstat(fd, &stats) == 0 && S_ISREG(stats.st_mode) && (uint64_t)stats.st_size <= limit)
        data = malloc((size_t)stats.st_size + 1);
    size_t done = 0;
    while (data != NULL && done <= (size_t)stats.st_size) {
        ssize_t got = read(fd, data + done, (size_t)stats.st_size + 1 - done);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) {
            free(data);
            data = NULL;
        }
        if (got <= 0) break;
        done += (size_t)got;
    }
    int error = errno;
    close(fd);
    errno = error;
    *size = done;
    return data;
}

static bool says(struct span span, const char *text) {
    return span.size == strlen(text) && (span.size == 0 || memcmp(span.data, text, span.size) == 0);
}

static bool holds(struct span span, const uint8_t *bytes, size_t size) {
    return span.size == size && (size == 0 || memcmp(span.data, bytes, size) == 0);
}

/* One component of a way. */
static bool is_roots(const char *path, const struct stat *stats, char *why, size_t size) {
    bool open = (stats->st_mode & (S_IWGRP | S_IWOTH)) != 0 && !S_ISLNK(stats->st_mode);
    bool sticky = S_ISDIR(stats->st_mode) && (stats->st_mode & S_ISVTX) != 0;
    if (stats->st_uid == 0 && (!open || sticky)) return true;
    snprintf(why, size, "%s is not root's alone", path);
    return false;
}

bool is_trusted(const char *path, char *why, size_t size) {
    char pending[2 * PATH_MAX + 2], at[PATH_MAX + 1] = "";
    int links = 0;
    snprintf(pending, sizeof pending, "%s", path);
    for (;;) {
        const char *begin = pending + strspn(pending, "/");
        size_t length = strcspn(begin, "/");
        if (length == 0) return true;
        char next[PATH_MAX + NAME_MAX + 2], target[PATH_MAX], rest[sizeof pending];
        snprintf(rest, sizeof rest, "%s", begin + length);
        if (length > NAME_MAX || strlen(at) + length + 1 > PATH_MAX) break;
        snprintf(next, sizeof next, "%s/%.*s", at, (int)length, begin);
        if (strcmp(next + strlen(at), "/..") == 0) {
            char *last = strrchr(at, '/');
            if (last != NULL) *last = '\0';
            snprintf(pending, sizeof pending, "%s", rest);
            continue;
        }
        struct stat stats;
        if (lstat(next, &stats) != 0) return errno == ENOENT;
        if (!is_roots(next, &stats, why, size)) return false;
        if (!S_ISLNK(stats.st_mode)) {
            snprintf(at, sizeof at, "%s", next);
            snprintf(pending, sizeof pending, "%s", rest);
            continue;
        }
        ssize_t to = readlink(next, target, sizeof target);
        if (to < 0 || (size_t)to == sizeof target || ++links > MOST_LINKS) break;
        if (snprintf(pending, sizeof pending, "%.*s%s", (int)to, target, rest) >= (int)sizeof pending) break;
        if (target[0] == '/') at[0] = '\0';
    }
    snprintf(why, size, "%s cannot be followed", path);
    return false;
}

typedef bool condition(const struct plan *plan, const struct places *places, char *why, size_t size);

static bool is_our_version(const struct plan *plan, const struct places *places, char *why, size_t size) {
    (void)places;
    if (says(plan->runtime, RUNTIME_VERSION)) return true;
    snprintf(why, size, "it was made by version %.*s", (int)plan->runtime.size, plan->runtime.data);
    return false;
}

static bool is_our_kernel(const struct plan *plan, const struct places *places, char *why, size_t size) {
    (void)places;
    struct utsname host;
    if (uname(&host) == 0 && says(plan->kernel, host.release) && says(plan->machine, host.machine)) return true;
    snprintf(why, size, "it was made under %.*s", (int)plan->kernel.size, plan->kernel.data);
    return false;
}

static bool is_our_configuration(const struct plan *plan, const struct places *places, char *why, size_t size) {
    if (holds(plan->source, places->source.data, places->source.size)) return true;
    snprintf(why, size, "it was made under another");
    return false;
}

static bool is_our_document(const struct plan *plan, const struct places *places, char *why, size_t size) {
    size_t there = 0;
    uint8_t *text = says(plan->document, places->desired) ? read_whole(places->desired, DOCUMENT_LIMIT, &there) : NULL;
    bool same = text != NULL && plan->has_document && holds(plan->document_text, text, there);
    if (text == NULL && says(plan->document, places->desired)) same = errno == ENOENT && !plan->has_document;
    free(text);
    if (!same) snprintf(why, size, "%s says something else", places->desired);
    return same;
}

/* The highest number of stateDir/generations; 0: there is none. */
static uint64_t newest_generation(const char *state_dir) {
    char path[PATH_MAX + 16];
    snprintf(path, sizeof path, "%s/generations", state_dir);
    DIR *directory = opendir(path);
    uint64_t newest = 0;
    if (directory == NULL) return 0;
    for (struct dirent *entry; (entry = readdir(directory)) != NULL;) {
        char *end;
        unsigned long long number = strtoull(entry->d_name, &end, 10);
        size_t length = strlen(entry->d_name);
        bool stored = end == entry->d_name + 10 && length > 5 && strcmp(entry->d_name + length - 5, ".json") == 0;
        if (stored && number > newest) newest = number;
    }
    closedir(directory);
    return newest;
}

static bool is_our_generation(const struct plan *plan, const struct places *places, char *why, size_t size) {
    uint64_t newest = newest_generation(places->state_dir);
    if (newest == plan->generation) return true;
    snprintf(why, size, "%llu is stored, and it was made of %llu", (unsigned long long)newest,
             (unsigned long long)plan->generation);
    return false;
}

/* What a reset takes away does not run before it has been done (src/cli/reset.ts). */
static bool is_not_reset(const struct plan *plan, const struct places *places, char *why, size_t size) {
    (void)plan;
    char path[PATH_MAX + 16];
    snprintf(path, sizeof path, "%s/reset", places->state_dir);
    if (access(path, F_OK) != 0 && errno == ENOENT) return true;
    snprintf(why, size, "%s asks for one", path);
    return false;
}

static bool is_safe(const struct plan *plan, const struct places *places, char *why, size_t size) {
    (void)plan;
    return is_trusted(places->config, why, size) && is_trusted(places->desired, why, size) &&
           is_trusted(places->state_dir, why, size) && is_trusted(places->run_dir, why, size);
}

bool is_void(const struct plan *plan, const struct places *places, char *why, size_t size) {
    static const struct {
        const char *name;
        condition *holds;
    } CONDITIONS[] = {
        {"version", is_our_version},   {"kernel", is_our_kernel},         {"configuration", is_our_configuration},
        {"document", is_our_document}, {"generation", is_our_generation}, {"owner", is_safe},
        {"reset", is_not_reset},
    };
    for (size_t i = 0; i < sizeof CONDITIONS / sizeof CONDITIONS[0]; i++) {
        char wrong[PATH_MAX + 256] = "";
        if (CONDITIONS[i].holds(plan, places, wrong, sizeof wrong)) continue;
        snprintf(why, size, "%s: %s", CONDITIONS[i].name, wrong);
        return true;
    }
    return false;
}

int do_expect(struct stage *stage, const struct deed *deed) {
    size_t size = 0;
    enum { LIMIT = 1 << 20 };
    int fd = open(deed->text[0], O_RDONLY | O_CLOEXEC);
    uint8_t *bytes = fd < 0 ? NULL : malloc(LIMIT);
    ssize_t got = 1;
    while (bytes != NULL && got > 0 && size < LIMIT)
        if ((got = read(fd, bytes + size, LIMIT - size)) > 0) size += (size_t)got;
    bool same = bytes != NULL && got == 0 && holds(deed->bytes[0], bytes, size);
    free(bytes);
    if (fd >= 0) close(fd);
    return same ? 0 : refuse(stage, 0, "host: %s says something else", deed->text[0]);
}

int do_absent(struct stage *stage, const struct deed *deed) {
    if (access(deed->text[0], F_OK) != 0 && errno == ENOENT) return 0;
    return refuse(stage, 0, "host: %s is there now", deed->text[0]);
}

int do_hierarchy(struct stage *stage, const struct deed *deed) {
    struct statfs found;
    unsigned long magic = deed->number[0] == 2 ? CGROUP2_SUPER_MAGIC : CGROUP_SUPER_MAGIC;
    if (statfs(deed->text[0], &found) == 0 && (unsigned long)found.f_type == magic) return 0;
    return refuse(stage, 0, "host: no control groups (v%u) at %s", (unsigned)deed->number[0], deed->text[0]);
}

/* The group of the v2 tree in /proc/PID/cgroup, from its slash on; false when it cannot be told. */
static bool read_group(uint32_t pid, char *group, size_t size) {
    char path[64], line[2 * PATH_MAX + 16];
    snprintf(path, sizeof path, "/proc/%u/cgroup", pid);
    FILE *table = fopen(path, "re");
    bool found = false;
    while (table != NULL && fgets(line, sizeof line, table) != NULL) {
        line[strcspn(line, "\n")] = '\0';
        if (strncmp(line, "0::", 3) != 0) continue;
        found = (size_t)snprintf(group, size, "%s", line + 3) < size;
    }
    if (table != NULL) fclose(table);
    return found;
}

/* Systemd marks what it has delegated. */
static bool is_delegated(const char *directory) {
    char mark[2] = "";
    return getxattr(directory, "trusted.delegate", mark, sizeof mark) == 1 && mark[0] == '1';
}

static int move_into(const char *procs, uint32_t pid) {
    int fd = open(procs, O_WRONLY | O_CLOEXEC);
    if (fd < 0) return -1;
    int moved = dprintf(fd, "%u", pid) > 0 ? 0 : -1;
    int error = errno;
    close(fd);
    errno = error;
    return moved;
}

int do_delegated(struct stage *stage, const struct deed *deed) {
    const char *mount = deed->text[0], *group = deed->text[1], *leaf = deed->text[2];
    char directory[2 * PATH_MAX + 8], procs[3 * PATH_MAX + 32];
    char now[2 * PATH_MAX], entered[2 * PATH_MAX + 8];
    snprintf(directory, sizeof directory, "%s/%s", mount, group);
    snprintf(procs, sizeof procs, "%s/%s/cgroup.procs", directory, leaf);
    snprintf(entered, sizeof entered, "/%s/%s", group, leaf);
    bool is_in =
        read_group(stage->boot->pid, now, sizeof now) && (strcmp(now + 1, group) == 0 || strcmp(now, entered) == 0);
    if (!is_in || !is_delegated(directory))
        return refuse(stage, 0, "host: %s is not the group that was delegated to us", group);
    char own[3 * PATH_MAX + 16];
    snprintf(own, sizeof own, "%s/%s", directory, leaf);
    if ((mkdir(own, 0755) != 0 && errno != EEXIST) || move_into(procs, stage->boot->pid) != 0 ||
        move_into(procs, (uint32_t)getpid()) != 0)
        return refuse(stage, errno, "%s", own);
    return 0;
}

/* What the groups' names would be otherwise: an init system that delegates a group of its own to us. */
int do_undelegated(struct stage *stage, const struct deed *deed) {
    char now[2 * PATH_MAX], directory[3 * PATH_MAX];
    if (!read_group(stage->boot->pid, now, sizeof now))
        return refuse(stage, 0, "host: the control group of process %u cannot be told", stage->boot->pid);
    snprintf(directory, sizeof directory, "%s%s", deed->text[0], now);
    if (is_delegated(directory))
        return refuse(stage, 0, "host: %s was delegated to us, which the plan does not know", now);
    return 0;
}
