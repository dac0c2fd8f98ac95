/*
 * What another launcher hands over, whatever its bytes are: read into the tables of a launcher, and all that came of it
 * written down again, which must be read as it was.
 */
#define _GNU_SOURCE
#include "../../native/launcher/core/launcher.h"
#include "../../native/launcher/core/streams.h"
#include "../../native/launcher/memory.h"
#include "../../native/launcher/reexec/descriptor.h"
#include "../../native/launcher/reexec/handover.h"
#include "fuzz.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* In place of memory.c: the sanitizer sees what goes beyond. What is large and mostly unused stays the kernel's. */
enum { LARGE = 1 << 20 };

void *spec_alloc(size_t size) {
    if (size < LARGE) return calloc(1, size);
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return memory == MAP_FAILED ? NULL : memory;
}

void spec_free(void *memory, size_t size) {
    if (size < LARGE)
        free(memory);
    else
        munmap(memory, size);
}

void *dontfork_alloc(size_t size) { return spec_alloc(size); }
void dontfork_free(void *memory, size_t size) { spec_free(memory, size); }

/* In place of descriptor.c: whatever is named is there, but for one in eight; none is open in fact. */
int descriptor_identify(int fd, struct identity *is) {
    *is = (struct identity){.inode = (uint64_t)fd};
    return 0;
}

int descriptor_claim(int fd, const struct identity *is) {
    (void)is;
    errno = EBADF;
    return fd % 8 == 7 ? -1 : 0;
}

int init_kill(const struct init *init, int signal) {
    (void)init;
    (void)signal;
    return 0;
}

static struct launcher *make_launcher(void) {
    struct launcher *l = calloc(1, sizeof *l);
    if (l == NULL || keeps_open(&l->keeps) != 0 || relays_open(&l->relays) != 0 || attempts_open(&l->attempts) != 0)
        abort();
    return l;
}

/* What read_state leaves is all that a launcher has. */
static void drop(struct launcher *l) {
    for (uint32_t place = 0; place < l->attempts.used; place++) {
        struct attempt *a = attempt_at(&l->attempts, place);
        if (l->attempts.ids[place] != 0) ring_free(&a->ring);
        if (l->attempts.ids[place] != 0 && a->go.bytes != NULL) dontfork_free(a->go.bytes, a->go.size);
    }
    for (uint32_t i = 0; i < l->relays.used; i++) free(l->relays.places[i].bytes);
    spec_free(l->keeps.places, KEEP_LIMIT * sizeof l->keeps.places[0]);
    spec_free(l->relays.places, RELAY_LIMIT * sizeof l->relays.places[0]);
    spec_free(l->attempts.places, (size_t)ATTEMPT_LIMIT * ATTEMPT_SIZE);
    spec_free(l->attempts.ids, ATTEMPT_LIMIT * sizeof l->attempts.ids[0]);
    spec_free(l->attempts.changed_places, ATTEMPT_LIMIT * sizeof l->attempts.changed_places[0]);
    spec_free(l->attempts.scratch, DRAIN_READ);
    free((void *)(uintptr_t)l->reconciler.directory);
    free(l->arrivals.known);
    free(l);
}

static void read_again(const struct launcher *l, const struct outside *outside) {
    struct failure why = {0};
    struct outside again;
    struct stat found;
    int fd = hand_over(l, outside, &why);
    if (fd < 0 || fstat(fd, &found) != 0) abort();
    uint8_t *bytes = malloc((size_t)found.st_size);
    if (bytes == NULL || pread(fd, bytes, (size_t)found.st_size, 0) != found.st_size) abort();
    struct launcher *other = make_launcher();
    if (take_over(other, &again, bytes, (size_t)found.st_size, &why) != 0) abort();
    if (other->attempts.live != l->attempts.live || other->keeps.end != l->keeps.end) abort();
    drop(other);
    free(bytes);
    close(fd);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static bool opened;
    if (!opened && streams_allocate() != 0) abort();
    opened = true;
    struct launcher *l = make_launcher();
    struct outside outside;
    struct failure why = {0};
    int result = take_over(l, &outside, data, size, &why);
    if (result != 0 && why.step == 0) abort();
    if (result == 0) read_again(l, &outside);
    drop(l);
    return 0;
}
