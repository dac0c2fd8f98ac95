/* What lies above control groups that are not below our root, as controllers/cgroups/cgroup-groups.ts makes it. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "stage.h"

/* The line goes out in one write(2): whoever reads finds it whole or not at all. */
static int add_line(struct stage *stage, const char *path, struct span line) {
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0) return refuse(stage, errno, "%s", path);
    ssize_t written = write(fd, line.data, line.size);
    int error = written == (ssize_t)line.size ? 0 : written < 0 ? errno : EIO;
    close(fd);
    return error == 0 ? 0 : refuse(stage, error, "write %s", path);
}

int do_append(struct stage *stage, const struct deed *deed) { return add_line(stage, deed->text[0], deed->bytes[0]); }

static int write_text(struct stage *stage, const char *path, const char *text, size_t size) {
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0) return refuse(stage, errno, "%s", path);
    int error = write(fd, text, size) == (ssize_t)size ? 0 : errno;
    close(fd);
    return error == 0 ? 0 : refuse(stage, error, "write %s", path);
}

/* What the directory above has is what a new one has: nothing can run in a set without a processor. */
static int take_over(struct stage *stage, const char *directory, const char *file) {
    char above[PATH_MAX + 32], own[PATH_MAX + 32], text[4096];
    snprintf(above, sizeof above, "%s/../%s", directory, file);
    snprintf(own, sizeof own, "%s/%s", directory, file);
    int fd = open(above, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return refuse(stage, errno, "%s", above);
    ssize_t size = read(fd, text, sizeof text);
    int error = errno;
    close(fd);
    return size < 0 ? refuse(stage, error, "%s", above) : write_text(stage, own, text, (size_t)size);
}

static int make_cpuset(struct stage *stage, const char *directory) {
    char path[PATH_MAX + 32];
    snprintf(path, sizeof path, "%s/cgroup.clone_children", directory);
    if (write_text(stage, path, "1", 1) != 0) return -1;
    return take_over(stage, directory, "cpuset.cpus") == 0 ? take_over(stage, directory, "cpuset.mems") : -1;
}

/* Kernels since 5.11 have nothing else. */
static int make_hierarchical(struct stage *stage, const char *directory) {
    char path[PATH_MAX + 32];
    snprintf(path, sizeof path, "%s/memory.use_hierarchy", directory);
    return access(path, F_OK) == 0 ? write_text(stage, path, "1", 1) : 0;
}

int do_above(struct stage *stage, const struct deed *deed) {
    const char *directory = deed->text[0];
    struct stat there;
    if (stat(directory, &there) == 0) return 0;
    if (add_line(stage, deed->text[1], deed->bytes[0]) != 0) return -1;
    if (mkdir(directory, 0755) != 0) return refuse(stage, errno, "mkdir %s", directory);
    if (deed->number[0] == 1 && make_cpuset(stage, directory) != 0) return -1;
    return deed->number[1] == 1 ? make_hierarchical(stage, directory) : 0;
}
