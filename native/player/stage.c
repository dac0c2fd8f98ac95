#define _GNU_SOURCE
#include "stage.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

/* Types of requests (native/launcher/core/messages.h). */
enum { R_PREPARE = 1, R_GO = 2, R_KEEP = 11 };

int refuse(struct stage *stage, int error, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    int size = vsnprintf(stage->why, sizeof stage->why, format, arguments);
    va_end(arguments);
    if (error != 0 && size >= 0 && (size_t)size < sizeof stage->why)
        snprintf(stage->why + size, sizeof stage->why - (size_t)size, ": %s", strerror(error));
    return -1;
}

int put_slot(struct stage *stage, uint32_t slot, int fd, const char *what) {
    if (fd < 0) return refuse(stage, errno, "%s", what);
    if (stage->slots[slot] >= 0) close(stage->slots[slot]);
    stage->slots[slot] = fd;
    return 0;
}

void stage_clear(struct stage *stage) {
    remove_mapped(stage);
    for (size_t i = 0; i < SLOT_LIMIT; i++) {
        if (stage->slots[i] >= 0) close(stage->slots[i]);
        stage->slots[i] = -1;
    }
}

static int do_mkdir(struct stage *stage, const struct deed *deed) {
    if (mkdir(deed->text[0], (mode_t)deed->number[0]) == 0 || errno == EEXIST) return 0;
    return refuse(stage, errno, "mkdir %s", deed->text[0]);
}

/* What a template becomes; NULL when that is more than a file of ours has. The caller frees it. */
static uint8_t *filled(struct stage *stage, struct span bytes, size_t *size) {
    size_t room = bytes.size + 256;
    uint8_t *data = malloc(room);
    if (data == NULL) return NULL;
    struct writer w = writer_over(data, room);
    fill(&w, bytes, stage->boot);
    *size = (size_t)(w.at - w.start);
    if (!w.failed) return data;
    free(data);
    return NULL;
}

static int write_filled(struct stage *stage, int fd, const char *path, struct span bytes) {
    size_t size = 0;
    uint8_t *data = fd < 0 ? NULL : filled(stage, bytes, &size);
    int error = fd < 0 ? errno : data == NULL ? ENOMEM : 0;
    for (size_t done = 0; error == 0 && done < size;) {
        ssize_t written = write(fd, data + done, size - done);
        if (written < 0 && errno != EINTR) error = errno;
        if (written > 0) done += (size_t)written;
    }
    free(data);
    if (fd >= 0) close(fd);
    return error == 0 ? 0 : refuse(stage, error, "write %s", path);
}

static int do_write(struct stage *stage, const struct deed *deed) {
    const char *path = deed->text[0];
    return write_filled(stage, open(path, O_WRONLY | O_CLOEXEC), path, deed->bytes[0]);
}

static int do_put(struct stage *stage, const struct deed *deed) {
    const char *path = deed->text[0];
    char draft[PATH_MAX + 8];
    snprintf(draft, sizeof draft, "%s.new", path);
    int fd = open(draft, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (write_filled(stage, fd, draft, deed->bytes[0]) != 0) return -1;
    if (rename(draft, path) != 0) return refuse(stage, errno, "rename %s", draft);
    memcpy(stage->note, path, strlen(path) + 1);
    return 0;
}

static int do_copy(struct stage *stage, const struct deed *deed) {
    const char *path = deed->text[0];
    char draft[PATH_MAX + 8];
    snprintf(draft, sizeof draft, "%s.new", path);
    int fd = open(draft, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0) return refuse(stage, errno, "%s", draft);
    ssize_t written = write(fd, deed->bytes[0].data, deed->bytes[0].size);
    int error = written == (ssize_t)deed->bytes[0].size ? 0 : written < 0 ? errno : EIO;
    close(fd);
    if (error == 0 && rename(draft, path) != 0) error = errno;
    return error == 0 ? 0 : refuse(stage, error, "write %s", path);
}

static int do_open(struct stage *stage, const struct deed *deed) {
    static const int WAYS[] = {O_RDONLY | O_DIRECTORY, O_RDONLY, O_WRONLY, O_RDONLY | O_DIRECTORY | O_NOFOLLOW};
    if (deed->number[0] >= sizeof WAYS / sizeof WAYS[0]) return refuse(stage, EINVAL, "open %s", deed->text[0]);
    return put_slot(stage, deed->slot, open(deed->text[0], WAYS[deed->number[0]] | O_CLOEXEC), deed->text[0]);
}

static int do_xattr(struct stage *stage, const struct deed *deed) {
    size_t size = 0;
    uint8_t *data = filled(stage, deed->bytes[0], &size);
    int error = data == NULL || setxattr(deed->text[0], deed->text[1], data, size, 0) != 0 ? errno : 0;
    free(data);
    return error == 0 ? 0 : refuse(stage, error, "setxattr %s of %s", deed->text[1], deed->text[0]);
}

static int do_claim(struct stage *stage, const struct deed *deed) {
    int fd = open(deed->text[0], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (put_slot(stage, deed->slot, fd, deed->text[0]) != 0) return -1;
    return flock(fd, LOCK_EX | LOCK_NB) == 0 ? 0 : refuse(stage, errno, "flock %s", deed->text[0]);
}

static int do_request(struct stage *stage, const struct deed *deed) {
    uint64_t type = deed->number[0];
    if (type != R_PREPARE && type != R_GO && type != R_KEEP) return refuse(stage, EINVAL, "a request of another type");
    int fds[FRAME_FDS];
    for (size_t i = 0; i < deed->listed; i++)
        if ((fds[i] = stage->slots[deed->list[i]]) < 0) return refuse(stage, EBADF, "a descriptor of a request");
    uint8_t record[4 + RECORD_LIMIT];
    struct writer w = writer_over(record, sizeof record);
    if (deed->number[1] == 1) {
        put_u32(&w, 0);
        fill(&w, deed->bytes[1], stage->boot);
        struct writer size = writer_over(record, 4);
        put_u32(&size, (uint32_t)(w.at - w.start - 4));
        if (w.failed) return refuse(stage, E2BIG, "a record");
    }
    const struct span parts[] = {deed->bytes[0], {.data = record, .size = (uint32_t)(w.at - w.start)}, deed->bytes[2]};
    uint32_t serial = link_request(stage->link, (uint16_t)type, parts, 3, fds, deed->listed);
    if (serial == 0) return refuse(stage, 0, "the launcher does not take the request");
    if (type == R_PREPARE) stage->prepared = serial;
    if (type == R_GO) stage->gone = serial;
    return 0;
}

int deed_do(struct stage *stage, const struct deed *deed) {
    switch (deed->kind) {
#define DEED(number, NAME, name, fields)                                                                               \
    case DEED_##NAME:                                                                                                  \
        return do_##name(stage, deed);
#include "deed-table.def"
    case DEED_NONE:
        break;
    }
    return refuse(stage, EINVAL, "an unknown deed");
}
