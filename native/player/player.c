/*
 * The boot player: the launcher's first child after a boot. What ran before the reboot runs again before the
 * reconciler is there, where a plan of it counts (conditions.c); what does not fit is left for the reconciler, whose
 * configuration, document and packages these are. It asks nobody, and its end is no death.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "conditions.h"
#include "plan-patch.h"
#include "play.h"
#include "summary.h"

enum { LAUNCHER_FD = 3, R_LOCK = 20 };
static const char DEFAULT_CONFIG[] = "/etc/northstate/config.yaml";

static uint64_t boottime(void) {
    struct timespec now;
    clock_gettime(CLOCK_BOOTTIME, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* As the reconciler takes it: absolute. False for what would have to be normalised. */
static bool resolve(const char *given, char *path) {
    char cwd[PATH_MAX];
    int size;
    if (given[0] == '/')
        size = snprintf(path, PATH_MAX + 1, "%s", given);
    else if (getcwd(cwd, sizeof cwd) == NULL)
        return false;
    else
        size = snprintf(path, PATH_MAX + 1, "%s/%s", strcmp(cwd, "/") == 0 ? "" : cwd, given);
    if (size <= 1 || size > PATH_MAX || path[size - 1] == '/') return false;
    return strstr(path, "//") == NULL && strstr(path, "/./") == NULL && strstr(path, "/../") == NULL;
}

static bool take_settings(char **argv, struct settings *settings) {
    snprintf(settings->config, sizeof settings->config, "%s", DEFAULT_CONFIG);
    for (char **at = argv + 1; at[0] != NULL && at[1] != NULL; at++) {
        char *room = strcmp(*at, "--config") == 0      ? settings->config
                     : strcmp(*at, "--desired") == 0   ? settings->desired
                     : strcmp(*at, "--state-dir") == 0 ? settings->state_dir
                                                       : NULL;
        if (room == NULL) continue;
        if (room == settings->config) settings->named = true;
        if (!resolve(*++at, room)) return false;
    }
    return true;
}

/* A directory and those above it; what is there stays. */
static void make_directories(const char *directory) {
    char path[PATH_MAX + 1];
    snprintf(path, sizeof path, "%s", directory);
    for (char *at = path + 1;; at++) {
        if (*at != '/' && *at != '\0') continue;
        char kept = *at;
        *at = '\0';
        mkdir(path, 0700);
        if (kept == '\0') return;
        *at = kept;
    }
}

/* Has the launcher lock it for as long as it lives. */
static bool lock(struct link *link, const char *directory) {
    char path[PATH_MAX + 8];
    snprintf(path, sizeof path, "%s/.lock", directory);
    int fds[2] = {open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC),
                  open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0644)};
    uint8_t body[PATH_MAX + 16];
    struct writer w = writer_over(body, sizeof body);
    put_text(&w, directory);
    put_u16(&w, 0);
    put_u8(&w, fds[1] < 0 ? 0 : 1);
    if (fds[1] >= 0) put_u16(&w, 1);
    struct span part = {.data = body, .size = (uint32_t)(w.at - w.start)};
    bool locked =
        fds[0] >= 0 && link_wait(link, link_request(link, R_LOCK, &part, 1, fds, fds[1] < 0 ? 1 : 2)) == ANSWER_DONE;
    for (size_t i = 0; i < 2; i++)
        if (fds[i] >= 0) close(fds[i]);
    return locked;
}

static bool read_boot(char *id, size_t room) {
    int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
    ssize_t size = fd < 0 ? -1 : read(fd, id, room);
    if (fd >= 0) close(fd);
    if (size <= 0) return false;
    id[size] = '\0';
    id[strcspn(id, "\n")] = '\0';
    return true;
}

/* Notes that this boot has been begun with; false when that was noted before, or cannot be. */
static bool begin_boot(const char *run_dir, const char *id) {
    char path[PATH_MAX + 16], draft[PATH_MAX + 24];
    snprintf(path, sizeof path, "%s/boot", run_dir);
    snprintf(draft, sizeof draft, "%s.new", path);
    size_t size = 0;
    uint8_t *noted = read_whole(path, 4096, &size);
    bool same = noted != NULL && size == strlen(id) && memcmp(noted, id, size) == 0;
    free(noted);
    if (same) return false;
    int fd = open(draft, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0) return false;
    bool written = write(fd, id, strlen(id)) == (ssize_t)strlen(id);
    close(fd);
    return written && rename(draft, path) == 0;
}

/* Nobody but root may have written it; NULL: `why` says why it does not count. */
static uint8_t *read_own(const char *path, size_t *size, const char **why) {
    struct stat stats;
    *why = NULL;
    if (lstat(path, &stats) != 0)
        *why = strerror(errno);
    else if (!S_ISREG(stats.st_mode) || stats.st_uid != 0 || (stats.st_mode & 077) != 0)
        *why = "owner: it is not root's alone";
    if (*why != NULL) return NULL;
    uint8_t *bytes = read_whole(path, PLAN_LIMIT, size);
    if (bytes == NULL) *why = strerror(errno);
    return bytes;
}

/* The plan that the patch beside it makes of it, else, when that is none or does not count, as it lies there. */
static const char *load(const char *path, const struct places *places, struct plan *plan, char *why, size_t room) {
    static char beside[PATH_MAX + 32], base[1024];
    snprintf(beside, sizeof beside, "%s-patch", path);
    size_t size = 0, patch_size = 0, made_size = 0;
    const char *wrong, *unpatched;
    uint8_t *bytes = read_own(path, &size, &wrong);
    if (bytes == NULL) return wrong;
    uint8_t *patch = read_own(beside, &patch_size, &unpatched);
    uint8_t *made = patch == NULL ? NULL : plan_patched(bytes, size, patch, patch_size, &made_size);
    free(patch);
    bool patched = made != NULL && plan_parse(plan, made, made_size) == NULL;
    if (patched && !is_void(plan, places, why, room)) return NULL;
    if ((wrong = plan_parse(plan, bytes, size)) != NULL) return wrong;
    if (!is_void(plan, places, base, sizeof base)) return NULL;
    if (!patched) snprintf(why, room, "%s", base);
    return why;
}

int main(int argc, char **argv) {
    (void)argc;
    static struct settings settings;
    static struct places places;
    static struct boot boot;
    static char path[PATH_MAX + 16], why[1024];
    struct link link;
    struct plan plan = {0};
    uint64_t began = boottime();
    if (link_open(&link, LAUNCHER_FD) != 0) return EXIT_FAILURE;
    boot.pid = link.pid;
    boot.started_ns = link.started_ns;
    if (!take_settings(argv, &settings) || !find_places(&settings, &places) || !read_boot(boot.id, sizeof boot.id - 1))
        return EXIT_SUCCESS;
    snprintf(path, sizeof path, "%s/boot.plan", places.state_dir);
    make_directories(places.run_dir);
    if (!is_trusted(places.run_dir, why, sizeof why) || !is_trusted(places.state_dir, why, sizeof why) ||
        !lock(&link, places.state_dir) || !lock(&link, places.run_dir) || !begin_boot(places.run_dir, boot.id) ||
        access(path, F_OK) != 0)
        return EXIT_SUCCESS;
    struct report report = {0};
    const char *refused = load(path, &places, &plan, why, sizeof why);
    if (refused == NULL) refused = play(&plan, &link, &boot, &report);
    report_keep(&report, &link, refused, began, boottime());
    return EXIT_SUCCESS;
}
