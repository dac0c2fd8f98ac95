/* exec, unix and file: a process joins the container, with no more rights than its application has (join.h). */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdalign.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../sandbox/join.h"
#include "probes.h"

/* The list is read anew each time, into memory that no child of ours has; what is made of it is this one's alone. */
static pid_t join(const struct prober *p, struct probe *probe, struct failure *why) {
    size_t size = probe->order.list_size;
    if (size > PROBE_LIST_LIMIT || pread(probe->list, p->text, size, 0) != (ssize_t)size)
        return fail(why, STEP_MEMORY, errno, "the list of a probe");
    struct cursor c = cursor_over(p->text, size);
    struct ops *ops = ops_parse(&c, probe->fds, probe->nfds, LIST_JOIN, why);
    struct init target = {.pidfd = probe->pidfd};
    pid_t pid = ops == NULL ? -1 : launch_join(&target, ops, p->bound, &probe->fd, why);
    if (ops != NULL) ops_free(ops);
    return pid;
}

bool look_begin(struct prober *p, struct probe *probe) {
    struct failure why = {0};
    probe->born = false;
    probe->program = 0;
    probe->joiner = join(p, probe, &why);
    if (probe->joiner < 0) {
        probe->joiner = 0;
        note(probe, "%s: %s", why.subject, strerror(why.error));
        return false;
    }
    p->children++;
    probe->state = PROBE_JOINS;
    return true;
}

/* One message of who joins; false when there is none. The kernel says who has sent it. */
static bool take_message(int control, struct control_message *message, pid_t *sender) {
    alignas(struct cmsghdr) char space[CMSG_SPACE(sizeof(struct ucred))];
    struct iovec part = {.iov_base = message, .iov_len = sizeof *message};
    struct msghdr header = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = space, .msg_controllen = sizeof space};
    if (recvmsg(control, &header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC) != (ssize_t)sizeof *message) return false;
    struct cmsghdr *credentials = CMSG_FIRSTHDR(&header);
    struct ucred who = {0};
    if (credentials != NULL && credentials->cmsg_type == SCM_CREDENTIALS)
        memcpy(&who, CMSG_DATA(credentials), sizeof who);
    *sender = who.pid;
    return true;
}

/* Hears one message; false when there is none. */
static bool hear_one(struct probe *probe) {
    struct control_message message = {0};
    pid_t sender;
    if (probe->fd < 0 || !take_message(probe->fd, &message, &sender)) return false;
    if (message.kind == CONTROL_BORN && !probe->born && sender > 0) {
        probe->born = true;
        probe->program = sender;
    }
    if (message.kind == CONTROL_FAILURE) {
        message.subject[FAILURE_SUBJECT - 1] = '\0';
        note(probe, "%s: %s", message.subject, strerror(message.error));
    }
    return true;
}

static void hear_all(struct probe *probe) {
    while (hear_one(probe)) continue;
}

/* From within the container nobody new comes once its message cannot be sent. */
void look_end(struct probe *probe) {
    if (probe->fd >= 0 && !probe->born && probe->order.kind == PROBE_EXEC) {
        shutdown(probe->fd, SHUT_RD);
        hear_all(probe);
    }
    if (probe->joiner > 0) kill(probe->joiner, SIGKILL);
    if (probe->program > 0) {
        kill(-probe->program, SIGKILL);
        kill(probe->program, SIGKILL);
    }
    probe->joiner = probe->program = 0;
}

static void note_end(struct probe *probe, int status) {
    if (WIFEXITED(status))
        note(probe, "exit code %d", WEXITSTATUS(status));
    else
        note(probe, "signal %d", WTERMSIG(status));
}

bool probe_reaps(struct prober *p, struct probe *probe, pid_t pid, int status) {
    if (probe->state != PROBE_JOINS) return false;
    /* What was born a moment ago is known once it is heard. */
    while (probe->joiner != pid && !probe->born && hear_one(probe)) continue;
    if (probe->joiner != pid && probe->program != pid) return false;
    bool good = WIFEXITED(status) && WEXITSTATUS(status) == 0;
    if (probe->joiner == pid) {
        probe->joiner = 0;
        /* It has borne the program, which is waited for. */
        if (good && probe->order.kind == PROBE_EXEC) return true;
    } else {
        probe->program = 0;
    }
    if (!good) hear_all(probe);
    if (probe->message[0] == '\0') note_end(probe, status);
    probe_finish(p, probe, good);
    return true;
}
