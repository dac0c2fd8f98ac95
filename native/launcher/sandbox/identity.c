/* The order matters: each right is used for the last time before it is given up. */
#define _GNU_SOURCE
#include "identity.h"

#include <errno.h>
#include <grp.h>
#include <linux/securebits.h>
#include <stdbool.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "capabilities.h"

int change_ids(const struct op_ids *ids, struct failure *why) {
    uint32_t uid = ids->uid, gid = ids->gid;
    if (setgroups(ids->groups.count, ids->groups.items) < 0) return fail(why, OP_IDS, errno, "setgroups");
    if (setresgid(gid, gid, gid) < 0) return fail(why, OP_IDS, errno, "gid %u", gid);
    if (setresuid(uid, uid, uid) < 0) return fail(why, OP_IDS, errno, "uid %u", uid);
    return 0;
}

/*
 * All locked: uid 0 is nobody special after this, and no rule of what becomes of capabilities can be changed. What is
 * kept over the change of ids is not kept any longer: exec clears that bit. A kernel or a parent that does not allow to
 * lock them takes nothing away, since no_new_privs keeps exec from adding rights all the same.
 */
enum {
    SECUREBITS = SECBIT_NOROOT | SECBIT_NOROOT_LOCKED | SECBIT_NO_SETUID_FIXUP_LOCKED | SECBIT_KEEP_CAPS |
                 SECBIT_KEEP_CAPS_LOCKED | SECBIT_NO_CAP_AMBIENT_RAISE_LOCKED,
};

/*
 * The bounding set goes while CAP_SETPCAP is there, the ids change with the permitted set kept (PR_SET_KEEPCAPS), then
 * the sets become what is asked for, the ambient one last, since it needs permitted and inheritable.
 */
int change_identity(const struct ops *prepare, struct failure *why) {
    const struct op *ids = ops_find(prepare, OP_IDS);
    const struct op *capabilities = ops_find(prepare, OP_CAPABILITIES);
    bool locked = prctl(PR_SET_SECUREBITS, SECUREBITS) == 0;
    if (capabilities != NULL && drop_bounding(capabilities->capabilities.bounding, why) < 0) return -1;
    if (ids != NULL) {
        if (!locked && prctl(PR_SET_KEEPCAPS, 1) < 0) return fail(why, OP_IDS, errno, "keeping capabilities");
        if (change_ids(&ids->ids, why) < 0) return -1;
    }
    return capabilities != NULL ? set_capabilities(&capabilities->capabilities, why) : 0;
}
