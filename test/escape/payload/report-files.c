/*
 * What of the file system is open to the process: devices, what it could write, what of the host /proc and /sys show.
 */
#define _GNU_SOURCE
#include "hostile.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

/* Other processes come and go. */
static int is_process(const char *path) { return strncmp(path, "/proc/", 6) == 0 && isdigit((unsigned char)path[6]); }

static int can_write(const char *path) {
    return faccessat(AT_FDCWD, path, W_OK, AT_EACCESS | AT_SYMLINK_NOFOLLOW) == 0;
}

static void report_device(const char *path, const struct stat *found) {
    int fd = open(path, O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
    const char *how = fd < 0 ? strerrorname_np(errno) : "opens";
    printf("device %s %s %u:%u: %s\n", path, S_ISBLK(found->st_mode) ? "block" : "character", major(found->st_rdev),
           minor(found->st_rdev), how);
    if (fd >= 0) close(fd);
}

/* What lies in a directory that can be written is not listed: all of it can be replaced. */
static int visit(const char *path, const struct stat *found, int type, struct FTW *place) {
    (void)place;
    if (is_process(path)) return FTW_SKIP_SUBTREE;
    if (type == FTW_SL || type == FTW_NS) return FTW_CONTINUE;
    if (S_ISCHR(found->st_mode) || S_ISBLK(found->st_mode)) {
        report_device(path, found);
    } else if (can_write(path)) {
        printf("can write %s\n", path);
        if (type == FTW_D) return FTW_SKIP_SUBTREE;
    }
    return FTW_CONTINUE;
}

/*
 * The paths that runtimes hide by default: runtime-spec config-linux, maskedPaths, as containerd and Docker fill them.
 */
static const char *const masked[] = {
    "/proc/acpi",          "/proc/asound",     "/proc/kcore",       "/proc/keys",
    "/proc/latency_stats", "/proc/timer_list", "/proc/timer_stats", "/proc/sched_debug",
    "/proc/scsi",          "/proc/interrupts", "/sys/firmware",     "/sys/devices/virtual/powercap",
};

static int shows_entries(const char *path) {
    DIR *directory = opendir(path);
    if (directory == NULL) return 0;
    int count = 0;
    while (readdir(directory) != NULL) count++;
    closedir(directory);
    return count > 2;
}

static int shows_bytes(const char *path) {
    char byte;
    int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    ssize_t size = fd < 0 ? -1 : read(fd, &byte, 1);
    if (fd >= 0) close(fd);
    return size > 0;
}

static void report_masked(void) {
    for (size_t i = 0; i < sizeof masked / sizeof *masked; i++)
        if (shows_entries(masked[i]) || shows_bytes(masked[i])) printf("shows %s\n", masked[i]);
}

void report_files(void) {
    enum { OPEN_DIRECTORIES = 16 };
    nftw("/", visit, OPEN_DIRECTORIES, FTW_PHYS | FTW_ACTIONRETVAL);
    report_masked();
}
