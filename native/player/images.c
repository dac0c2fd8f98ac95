/* Package files, and block devices and mounts of the images in them, as controllers/mounts/ makes them. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/dm-ioctl.h>
#include <linux/loop.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

#include "../launcher/syscalls.h"
#include "stage.h"

enum { LOOP_PATIENCE = 10 /* s */, LOOP_MAJOR_NUMBER = 7, CONTROL_MAJOR = 10, CONTROL_MINOR = 236 };
/* Linux 5.8; headers of older systems lack it. */
enum { CONFIGURE_LOOP = 0x4C0A };

/* Whether a device number of the plan is this one now: each has one counterpart, and is nobody else's. */
static bool is_same_device(struct devices *all, uint64_t then, uint64_t now) {
    for (size_t i = 0; i < all->count; i++)
        if (all->pairs[i].then == then || all->pairs[i].now == now)
            return all->pairs[i].then == then && all->pairs[i].now == now;
    if (all->count == sizeof all->pairs / sizeof all->pairs[0]) return false;
    all->pairs[all->count].then = then;
    all->pairs[all->count++].now = now;
    return true;
}

int do_file(struct stage *stage, const struct deed *deed) {
    const char *path = deed->text[0];
    const uint64_t *n = deed->number;
    int fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (put_slot(stage, deed->slot, fd, path) != 0) return -1;
    struct stat now;
    if (fstat(fd, &now) != 0) return refuse(stage, errno, "%s", path);
    if (!S_ISREG(now.st_mode)) return refuse(stage, 0, "%s is no regular file", path);
    if ((uint64_t)now.st_ino != n[1] || !is_same_device(stage->devices, n[0], now.st_dev))
        return refuse(stage, 0, "%s is another file than the one that was verified", path);
    if ((uint64_t)now.st_size != n[2] || (uint64_t)now.st_ctim.tv_sec != n[3] || (uint64_t)now.st_ctim.tv_nsec != n[4])
        return refuse(stage, 0, "%s has changed since it was verified", path);
    if (now.st_uid != n[5] || now.st_mode != n[6])
        return refuse(stage, 0, "%s has another owner or mode than when it was verified", path);
    return 0;
}

/* The node in /dev when it is that device's, else one of our own in a tmpfs that is mounted nowhere. */
static int open_device(struct stage *stage, const char *name, mode_t type, unsigned major_number, unsigned minor_number,
                       int flags) {
    struct stat found;
    snprintf(stage->device, sizeof stage->device, "/dev/%s", name);
    int fd = open(stage->device, flags | O_CLOEXEC);
    dev_t number = makedev(major_number, minor_number);
    if (fd >= 0 && fstat(fd, &found) == 0 && found.st_rdev == number) return fd;
    if (fd < 0 && errno != ENOENT) return -1;
    if (fd >= 0) close(fd);
    int context = sys_fsopen("tmpfs", FSOPEN_CLOEXEC);
    int directory = -1;
    if (context >= 0 && sys_fsconfig(context, FSCONFIG_CMD_CREATE, NULL, NULL, 0) == 0)
        directory = sys_fsmount(context, FSMOUNT_CLOEXEC, 0);
    if (context >= 0) close(context);
    if (directory < 0 || mknodat(directory, "node", type | 0600, number) != 0) return -1;
    fd = openat(directory, "node", flags | O_CLOEXEC);
    snprintf(stage->device, sizeof stage->device, "/proc/self/fd/%d", fd);
    int error = errno;
    close(directory);
    errno = error;
    return fd;
}

static uint64_t seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec;
}

/* Looking for a free device and taking it are two steps: where somebody else comes between, the next one is tried. */
int do_attach(struct stage *stage, const struct deed *deed) {
    struct loop_config config = {.fd = (uint32_t)stage->slots[deed->from]};
    config.info.lo_offset = deed->number[0];
    config.info.lo_sizelimit = deed->number[1];
    config.info.lo_flags = LO_FLAGS_READ_ONLY | LO_FLAGS_AUTOCLEAR;
    snprintf((char *)config.info.lo_file_name, sizeof config.info.lo_file_name, "%s", deed->text[0]);
    int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC);
    if (control < 0) return refuse(stage, errno, "/dev/loop-control");
    uint64_t late = seconds() + LOOP_PATIENCE;
    int fd = -1;
    do {
        int number = ioctl(control, LOOP_CTL_GET_FREE);
        if (number < 0) break;
        char name[32];
        snprintf(name, sizeof name, "loop%d", number);
        fd = open_device(stage, name, S_IFBLK, LOOP_MAJOR_NUMBER, (unsigned)number, O_RDONLY);
        if (fd < 0) break;
        if (ioctl(fd, CONFIGURE_LOOP, &config) == 0) break;
        int error = errno;
        close(fd);
        fd = -1;
        errno = error;
    } while (errno == EBUSY && seconds() <= late);
    int error = errno;
    close(control);
    errno = error;
    return put_slot(stage, deed->slot, fd, "a loop device");
}

/* A request about a device of the device mapper, with what follows it. */
static struct dm_ioctl *dm_request(void *room, size_t size, const char *name, uint32_t flags) {
    enum { UDEV_FLAGS = 0x6f << 16 /* every DM_UDEV_DISABLE_*: it leaves the device alone */ };
    memset(room, 0, size);
    struct dm_ioctl *request = room;
    request->version[0] = 4;
    request->data_size = (uint32_t)size;
    request->data_start = sizeof *request;
    request->event_nr = UDEV_FLAGS;
    request->flags = flags;
    snprintf(request->name, sizeof request->name, "%s", name);
    return request;
}

static int open_control(struct stage *stage) {
    char kept[sizeof stage->device];
    memcpy(kept, stage->device, sizeof kept);
    int control = open_device(stage, "mapper/control", S_IFCHR, CONTROL_MAJOR, CONTROL_MINOR, O_RDWR);
    memcpy(stage->device, kept, sizeof kept);
    return control;
}

void remove_mapped(struct stage *stage) {
    if (stage->mapped[0] == '\0') return;
    struct dm_ioctl request;
    int control = open_control(stage);
    dm_request(&request, sizeof request, stage->mapped, DM_DEFERRED_REMOVE);
    if (control >= 0) (void)ioctl(control, DM_DEV_REMOVE, &request);
    if (control >= 0) close(control);
    stage->mapped[0] = '\0';
}

/* One verity target over the whole device. */
static int load_table(int control, const char *name, const struct deed *deed, unsigned loop_minor) {
    uint64_t blocks = deed->number[0];
    char parameters[1024];
    int length =
        snprintf(parameters, sizeof parameters, "1 %u:%u %u:%u 4096 4096 %llu %llu sha256 %s %s", LOOP_MAJOR_NUMBER,
                 loop_minor, LOOP_MAJOR_NUMBER, loop_minor, (unsigned long long)blocks,
                 (unsigned long long)deed->number[1], deed->text[1], deed->text[2][0] == '\0' ? "-" : deed->text[2]);
    if (length < 0 || (size_t)length >= sizeof parameters) {
        errno = E2BIG;
        return -1;
    }
    struct {
        struct dm_ioctl head;
        struct dm_target_spec target;
        char parameters[sizeof parameters];
    } table;
    dm_request(&table, sizeof table, name, DM_READONLY_FLAG);
    table.head.target_count = 1;
    table.target.length = blocks * (4096 / 512);
    table.target.next = sizeof table.target + sizeof table.parameters;
    snprintf(table.target.target_type, sizeof table.target.target_type, "verity");
    memcpy(table.parameters, parameters, sizeof parameters);
    return ioctl(control, DM_TABLE_LOAD, &table);
}

int do_map(struct stage *stage, const struct deed *deed) {
    struct stat loop;
    uint8_t unique[8];
    if (fstat(stage->slots[deed->from], &loop) != 0 || getrandom(unique, sizeof unique, 0) != sizeof unique)
        return refuse(stage, errno, "a name for a device");
    char name[sizeof stage->mapped];
    int length = snprintf(name, sizeof name, "%s", deed->text[0]);
    if (length < 0 || (size_t)length + 2 * sizeof unique >= sizeof name)
        return refuse(stage, EINVAL, "a device's name");
    for (size_t i = 0; i < sizeof unique; i++) snprintf(name + length + 2 * i, 3, "%02x", unique[i]);
    int control = open_control(stage);
    if (control < 0) return refuse(stage, errno, "the device mapper");
    struct dm_ioctl made;
    dm_request(&made, sizeof made, name, DM_READONLY_FLAG);
    snprintf(made.uuid, sizeof made.uuid, "%s", name);
    int error = ioctl(control, DM_DEV_CREATE, &made) == 0 ? 0 : errno;
    if (error == 0) memcpy(stage->mapped, name, sizeof name);
    struct dm_ioctl resume;
    if (error == 0 && (load_table(control, name, deed, minor(loop.st_rdev)) != 0 ||
                       ioctl(control, DM_DEV_SUSPEND, dm_request(&resume, sizeof resume, name, 0)) != 0))
        error = errno;
    close(control);
    if (error != 0) return refuse(stage, error, "dm-verity");
    char node[32];
    snprintf(node, sizeof node, "dm-%u", minor(made.dev));
    int fd = open_device(stage, node, S_IFBLK, major(made.dev), minor(made.dev), O_RDONLY);
    return put_slot(stage, deed->slot, fd, "a device of the device mapper");
}

/* Once it is mounted, the mount alone keeps the device. */
int do_mount(struct stage *stage, const struct deed *deed) {
    const char *target = deed->text[0], *type = deed->text[1], *options = deed->text[2];
    if (mkdir(target, 0700) != 0 && errno != EEXIST) return refuse(stage, errno, "mkdir %s", target);
    if (mount(stage->device, target, type, deed->number[0], options[0] == '\0' ? NULL : options) != 0)
        return refuse(stage, errno, "mount %s", target);
    remove_mapped(stage);
    return 0;
}
