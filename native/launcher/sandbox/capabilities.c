/* Capability sets of the calling thread (capabilities(7)), through the raw calls. */
#define _GNU_SOURCE
#include "capabilities.h"

#include <errno.h>
#include <linux/capability.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { CAPABILITIES = 64 };

static int set_sets(uint64_t permitted, uint64_t effective, uint64_t inheritable) {
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2];
    for (int word = 0; word < 2; word++) {
        data[word].permitted = (uint32_t)(permitted >> 32 * word);
        data[word].effective = (uint32_t)(effective >> 32 * word);
        data[word].inheritable = (uint32_t)(inheritable >> 32 * word);
    }
    return (int)syscall(SYS_capset, &header, data);
}

/* The permitted set of the calling thread. */
static uint64_t permitted_set(void) {
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2] = {0};
    if (syscall(SYS_capget, &header, data) < 0) return 0;
    return (uint64_t)data[1].permitted << 32 | data[0].permitted;
}

bool has_capability(unsigned capability) { return permitted_set() & 1ull << capability; }

int keep_capability(unsigned capability) { return set_sets(1ull << capability, 1ull << capability, 0); }

int drop_bounding(uint64_t keep, struct failure *why) {
    for (unsigned capability = 0; capability < CAPABILITIES; capability++) {
        if (keep & 1ull << capability) continue;
        if (prctl(PR_CAPBSET_DROP, capability) == 0) continue;
        if (errno == EINVAL) return 0; /* past the last one that the kernel knows */
        /* Without CAP_SETPCAP nothing can be dropped; what the host had taken away already is no loss. */
        if (prctl(PR_CAPBSET_READ, capability) != 0)
            return fail(why, OP_CAPABILITIES, EPERM, "bounding set, capability %u", capability);
    }
    return 0;
}

int set_capabilities(const struct op_capabilities *asked, struct failure *why) {
    uint64_t lacking = asked->permitted & ~permitted_set();
    if (lacking)
        return fail(why, OP_CAPABILITIES, EPERM, "capability %d, which the runtime lacks", __builtin_ctzll(lacking));
    if (set_sets(asked->permitted, asked->effective, asked->inheritable) < 0)
        return fail(why, OP_CAPABILITIES, errno, "capset");
    for (unsigned capability = 0; capability < CAPABILITIES; capability++) {
        if (!(asked->ambient & 1ull << capability)) continue;
        if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, capability, 0, 0) < 0)
            return fail(why, OP_CAPABILITIES, errno, "ambient set, capability %u", capability);
    }
    return 0;
}
