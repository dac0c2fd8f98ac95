#define _GNU_SOURCE
#include "exits.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../sandbox/control.h"
#include "../signal-name.h"
#include "clock.h"
#include "health.h"
#include "output.h"
#include "sessions.h"
#include "sources.h"
#include "spare-network.h"
#include "starts.h"
#include "telling.h"

enum { CONTROL_TURN = 8 }; /* messages of one init in one turn of the loop */

static void become_prepared(struct launcher *l, struct attempt *a) {
    a->state = ATTEMPT_PREPARED;
    a->prepared_ns = boottime_now();
    send_result(l, a->prepare_serial, NULL);
    a->prepare_serial = 0;
    /* Of one that goes on at once it is told next that it runs. */
    if (a->go_state != GO_SENT) attempt_changed(&l->attempts, a);
}

static void become_running(struct launcher *l, struct attempt *a) {
    a->state = ATTEMPT_RUNNING;
    a->started_ns = boottime_now();
    health_listen(l, a);
    send_result(l, a->go_serial, NULL);
    a->go_serial = 0;
    attempt_changed(&l->attempts, a);
    if (a->init.own_network) spare_network_want(l);
}

/* The state that a message moves on; false when it has no place there. `sender` is as the kernel says. */
static bool take_message(struct launcher *l, struct attempt *a, struct control_message *message, pid_t sender) {
    bool starting = a->state == ATTEMPT_PREPARED && a->go_state == GO_SENT;
    switch ((enum control_kind)message->kind) {
    case CONTROL_PREPARED:
        if (a->state != ATTEMPT_PREPARING) return false;
        become_prepared(l, a);
        return true;
    case CONTROL_RUNNING:
        if (!starting) return false;
        become_running(l, a);
        return true;
    case CONTROL_APPLICATION:
        /* One that finds its go in the socket does not say that it is prepared. */
        if (a->state == ATTEMPT_PREPARING && a->go_state == GO_SENT) {
            become_prepared(l, a);
            starting = true;
        }
        if (!starting || a->application != 0) return false;
        a->application = sender;
        return true;
    case CONTROL_FAILURE:
        if (a->state != ATTEMPT_PREPARING && !starting) return false;
        message->subject[FAILURE_SUBJECT - 1] = '\0';
        /* The first failure counts: a go that could not be sent has one already. */
        if (a->failure.step == 0) fail(&a->failure, message->step, message->error, "%s", message->subject);
        return true;
    case CONTROL_EXIT:
        if (a->state != ATTEMPT_RUNNING || a->exit_kind != EXIT_NONE) return false;
        if (message->exit_kind != EXIT_CODE && message->exit_kind != EXIT_SIGNAL) return false;
        if (message->exit_value > (message->exit_kind == EXIT_CODE ? 255 : NSIG - 1)) return false;
        a->exit_kind = message->exit_kind;
        a->exit_value = message->exit_value;
        /*
         * Whoever waits for this end goes first. Nothing of the container is left but its init, which can do no harm
         * more.
         */
        if (!sessions_end_of(l, a->id)) attempts_fire_after(&l->attempts, a->id);
        init_kill(&a->init, SIGKILL);
        return true;
    case CONTROL_BORN:
        return false;
    }
    return false;
}

/* Says whether the socket is still worth watching. */
static bool take_messages(struct launcher *l, struct attempt *a) {
    for (int i = 0; i < CONTROL_TURN; i++) {
        struct control_message message;
        pid_t sender;
        int fd = -1;
        /*
         * A descriptor, its notify socket, is taken of an init in which nothing of the container runs
         * (notify-socket.h).
         */
        ssize_t size = control_receive(a->init.control, &message, &sender, a->state == ATTEMPT_PREPARING ? &fd : NULL);
        if (size < 0) return errno == EAGAIN || errno == EINTR;
        bool brings = size == sizeof message && message.kind == CONTROL_PREPARED;
        if (fd >= 0 && !brings) close(fd);
        if (fd >= 0 && brings) health_take(a, fd);
        if (size != sizeof message || !take_message(l, a, &message, sender)) return false;
        if (message.kind == CONTROL_FAILURE) return false;
    }
    return true;
}

/* An init that has failed, hung up or speaks out of turn goes, with all that is in it. */
void handle_control(struct launcher *l, struct attempt *a) {
    if (a->init.control < 0 || take_messages(l, a)) return;
    source_close(l->epoll, &a->init.control);
    /* After its last word it exits by itself, with the application's status; this is for one that does not. */
    if (a->exit_kind == EXIT_NONE) init_kill(&a->init, SIGKILL);
}

/* `oom_kill N` of memory.events (v2) or memory.oom_control (v1). */
static uint32_t read_oom_kills(int fd) {
    char text[512];
    ssize_t size = fd < 0 ? -1 : pread(fd, text, sizeof text - 1, 0);
    if (size <= 0) return 0;
    text[size] = '\0';
    static const char KEY[] = "oom_kill ";
    for (char *line = text; line != NULL; line = strchr(line, '\n')) {
        if (*line == '\n') line++;
        if (strncmp(line, KEY, sizeof KEY - 1) == 0) return (uint32_t)strtoul(line + sizeof KEY - 1, NULL, 10);
    }
    return 0;
}

static void judge_exit(struct attempt *a, const siginfo_t *info) {
    bool exited = info->si_code == CLD_EXITED;
    if (a->state == ATTEMPT_RUNNING) {
        a->state = ATTEMPT_EXITED;
        if (a->exit_kind != EXIT_NONE) return;
        a->exit_kind = exited ? EXIT_CODE : EXIT_SIGNAL;
        a->exit_value = (uint32_t)info->si_status;
        return;
    }
    a->state = ATTEMPT_FAILED;
    if (a->failure.step != 0) return;
    char space[END_TEXT];
    fail(&a->failure, STEP_INIT, ECHILD, "the init ended with %s", end_text(exited, info->si_status, space));
}

/*
 * Whoever waits for this exit goes first, before anything else is looked at or sent: unless the init was killed, its
 * last word has let it go already; or somebody has joined it, whose end is then waited for. Then what the container
 * had still written: its PID namespace is dead, so nobody else holds the pipes and their end is near.
 */
void handle_init_exit(struct launcher *l, struct attempt *a) {
    siginfo_t info = {0};
    if (attempt_is_over(a) || waitid(P_PID, (id_t)a->init.pid, &info, WEXITED | WNOHANG) != 0 || info.si_pid == 0)
        return;
    if (!sessions_end_of(l, a->id)) attempts_fire_after(&l->attempts, a->id);
    a->exited_ns = boottime_now();
    if (a->init.control >= 0) take_messages(l, a);
    for (int stream = 0; stream < 2; stream++) {
        handle_output(l, a, stream, DRAIN_END);
        output_close(l, a, stream);
    }
    a->oom_kills = read_oom_kills(a->init.oom);
    if (a->init.oom >= 0) close(a->init.oom);
    a->init.oom = -1;
    source_close(l->epoll, &a->init.control);
    source_close(l->epoll, &a->init.pidfd);
    health_end(l, a);
    judge_exit(a, &info);
    attempt_cancel_go(&l->attempts, a);
    l->attempts.live--;

    send_result(l, a->prepare_serial, &a->failure);
    send_result(l, a->go_serial, &a->failure);
    send_result(l, a->forget_serial, NULL);
    a->prepare_serial = a->go_serial = a->forget_serial = 0;
    attempt_changed(&l->attempts, a);
    if (a->forgotten) attempt_remove(&l->attempts, a);
}
