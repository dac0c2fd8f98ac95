/* The begin of every process that the launcher makes for a container, be it an init or one that joins it. */
#define _GNU_SOURCE
#include "birth.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../inherited.h"
#include "../syscalls.h"
#include "descriptors.h"

void tell_launcher(int control, struct control_message message) {
    /* Nobody to tell: the launcher is gone, and the parent-death signal is on its way. */
    if (send(control, &message, sizeof message, MSG_NOSIGNAL) < 0) _exit(1);
}

_Noreturn void birth_fails(const struct birth *birth, const struct failure *why) {
    struct control_message message = {.kind = CONTROL_FAILURE, .step = why->step, .error = why->error};
    memcpy(message.subject, why->subject, sizeof message.subject);
    tell_launcher(birth->control, message);
    _exit(1);
}

bool has_hung_up(int control) {
    struct pollfd end = {.fd = control};
    return poll(&end, 1, 0) > 0 && end.revents & POLLHUP;
}

/* Nothing that was open in the launcher stays open here, other containers' pipes least of all (CVE-2024-21626). */
static int close_inherited(const struct birth *birth) {
    struct kept kept = {0};
    keep_descriptor(&kept, birth->control);
    keep_descriptor(&kept, birth->output[0]);
    keep_descriptor(&kept, birth->output[1]);
    keep_descriptor(&kept, birth->devices);
    keep_descriptor(&kept, birth->target);
    keep_descriptor(&kept, birth->network);
    /*
     * The list of descriptors itself lies in memory that is the launcher's alone (memory.h). An op holds one at most.
     */
    for (uint32_t i = 0; i < birth->prepare->count; i++) keep_descriptor(&kept, birth->prepare->items[i].fd);
    return close_others(&kept);
}

/* Puts /dev/null on 0, 1 and 2, so that nothing that is opened later takes these numbers. */
static int open_null(int devices) {
    for (int number = 0; number < 3; number++)
        if (openat(devices, "null", number == 0 ? O_RDONLY : O_WRONLY) != number) return -1;
    return 0;
}

/* Whoever joins puts its own there next, before anything is opened. */
static bool brings_all_three(const struct ops *list) {
    unsigned brought = 0;
    for (uint32_t i = 0; i < list->count; i++) {
        const struct op *op = &list->items[i];
        if (op->kind == OP_DESCRIPTOR && op->descriptor.number < 3) brought |= 1u << op->descriptor.number;
    }
    return brought == 7;
}

int birth_settles(const struct birth *birth, struct failure *why) {
    sigset_t all;
    sigfillset(&all);
    if (sigprocmask(SIG_SETMASK, &all, NULL) < 0) return fail(why, STEP_INIT, errno, "blocking signals");
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0) return fail(why, STEP_INIT, errno, "parent-death signal");
    if (close_inherited(birth) < 0) return fail(why, STEP_INIT, errno, "closing descriptors");
    /*
     * The launcher may have died before the first of these calls. This copy of its end of the socket is closed by now.
     */
    if (has_hung_up(birth->control)) _exit(1);
    if (!brings_all_three(birth->prepare) && open_null(birth->devices) < 0)
        return fail(why, STEP_INIT, errno, "opening /dev/null");
    if (prctl(PR_SET_DUMPABLE, 0) < 0) return fail(why, STEP_INIT, errno, "dumpable");
    /* Keys of the runtime, and of whoever started it, are none of the container's (session-keyring(7)). */
    if (sys_join_session_keyring() < 0 && errno != ENOSYS) return fail(why, STEP_INIT, errno, "session keyring");
    prctl(PR_SET_NAME, birth->title);
    replace_strings(birth->title);
    restore_file_limit();
    return 0;
}
