#define _GNU_SOURCE
#include "proof.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../core/say.h"
#include "../core/seal.h"
#include "../core/sources.h"
#include "../core/telling.h"
#include "../core/timers.h"
#include "../inherited.h"
#include "../signal-name.h"
#include "handover.h"
#include "pass-on.h"
#include "resume.h"
#include "verdict.h"

enum { WORDS = 64, LONGEST = 600000 /* ms */ };

/* The command line that a child executes, and what it is given. All of it lies in memory that a fork copies. */
struct order {
    char *words[WORDS + 1];
    size_t count;
    const char *directory;
    int mount_namespace;
    int socket;
    int state;
    pid_t launcher;
};

static void free_order(struct order *order) {
    for (size_t i = 0; i < order->count; i++) free(order->words[i]);
}

/* Time in ms u32, then count u16 and so many words, the program's path first. */
static bool take_order(struct cursor *c, struct order *order, uint32_t *time) {
    *time = take_u32(c);
    uint16_t count = take_u16(c);
    if (c->failed || count == 0 || count > WORDS || *time == 0 || *time > LONGEST) return false;
    while (order->count < count) {
        struct span word = take_text(c);
        if (c->failed || (order->words[order->count] = strndup((const char *)word.data, word.size)) == NULL) break;
        order->count++;
    }
    return cursor_finished(c) && order->count == count && order->words[0][0] == '/';
}

static _Noreturn void execute(struct order *order, const int *fds, size_t nfds) {
    sigset_t none;
    sigemptyset(&none);
    const char *step = "mount namespace";
    if (setns(order->mount_namespace, CLONE_NEWNS) == 0) {
        if (order->directory == NULL || chdir(order->directory) != 0) (void)!chdir("/");
        restore_priority();
        sigprocmask(SIG_SETMASK, &none, NULL);
        /* It goes with us, and what it starts goes with its process group. */
        setsid();
        prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
        step = order->words[0];
        if (getppid() == order->launcher && pass_on(fds, nfds, order->state, order->socket) == 0)
            execv(order->words[0], order->words);
    }
    say("the successor cannot be executed: %s: %s", step, strerror(errno));
    _exit(127);
}

static int launch(struct launcher *l, struct order *order, struct failure *why) {
    struct outside outside = gather_outside();
    int pair[2];
    if (outside.own_namespace < 0) return fail(why, STEP_REEXEC, errno, "/proc/self/ns/mnt");
    int state = hand_over(l, &outside, why);
    if (state < 0) {
        close(outside.own_namespace);
        return -1;
    }
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) != 0) {
        fail(why, STEP_REEXEC, errno, "the socket of a successor");
        close(outside.own_namespace);
        close(state);
        return -1;
    }
    order->state = state;
    order->socket = pair[1];
    order->launcher = l->pid;
    order->mount_namespace = l->namespace_of_reconciler;
    order->directory = l->reconciler.directory;
    size_t nfds;
    int *fds = descriptors_of(l, &outside, &nfds);
    pid_t pid = fds == NULL ? -1 : fork();
    if (pid == 0) execute(order, fds, nfds);
    int error = errno;
    free(fds);
    close(outside.own_namespace);
    close(state);
    close(pair[1]);
    if (pid > 0 && source_add(l->epoll, pair[0], EPOLLIN, (struct tag){.source = SOURCE_PROOF}) == 0) {
        l->reexec.child = pid;
        l->reexec.verdict = pair[0];
        return 0;
    }
    if (pid > 0) kill(pid, SIGKILL);
    close(pair[0]);
    return fail(why, STEP_REEXEC, error, "the successor's process");
}

static void forget_program(struct reexec *r) {
    if (r->program >= 0) close(r->program);
    free(r->command);
    r->program = -1;
    r->command = NULL;
    r->command_size = 0;
}

enum reply proof_begin(struct launcher *l, struct frame *frame, struct failure *why) {
    struct order order = {.count = 0};
    uint32_t time;
    if (!take_order(&frame->body, &order, &time)) {
        free_order(&order);
        return REPLY_MALFORMED;
    }
    int result = -1;
    if (l->reexec.child != 0)
        fail(why, STEP_REEXEC, EBUSY, "another successor proves itself: process %d", l->reexec.child);
    else if (l->phase != PHASE_RUNNING || l->terminating != 0)
        fail(why, STEP_REEXEC, EBUSY, "the end has begun");
    else
        result = launch(l, &order, why);
    free_order(&order);
    if (result != 0) return REPLY_FAILED;
    forget_program(&l->reexec);
    l->reexec.serial = frame->serial;
    timer_set_after(l->reexec.timer, time);
    return REPLY_LATER;
}

/* It has said all that counts: what it has started ends with it. It is reaped as any child is that nobody knows. */
static void end_child(struct launcher *l) {
    source_close(l->epoll, &l->reexec.verdict);
    timer_set_after(l->reexec.timer, 0);
    if (l->reexec.child > 0) kill(-l->reexec.child, SIGKILL);
    if (l->reexec.child > 0) kill(l->reexec.child, SIGKILL); /* it may not have come to a group of its own */
    l->reexec.child = 0;
}

static void fail_proof(struct launcher *l, const struct failure *why) {
    end_child(l);
    send_result(l, l->reexec.serial, why);
    l->reexec.serial = 0;
}

/* The report of R_PROVE's answer, in the form of what is read of an output. */
static void tell_report(struct launcher *l, struct span report) {
    if (is_connected(l) && l->reexec.serial != 0) {
        struct writer w = out_begin(&l->reconciler.out, E_DATA, l->reexec.serial);
        put_u64(&w, 0);
        put_u64(&w, 0);
        put_u64(&w, report.size);
        put_bytes(&w, report.data, report.size);
        out_end(&l->reconciler.out, &w);
    }
    l->reexec.serial = 0;
}

static void heed(struct launcher *l, struct proof_verdict *verdict) {
    struct failure why = {0};
    if (verdict->proven && (verdict->program < 0 || !is_sealed(verdict->program)))
        fail(&why, STEP_REEXEC, EPERM, "the successor's program is not sealed");
    else if (!verdict->proven)
        fail(&why, STEP_REEXEC, ECANCELED, "%.*s", (int)verdict->report.size, (const char *)verdict->report.data);
    char *command = why.step == 0 ? malloc(verdict->command.size) : NULL;
    if (why.step == 0 && command == NULL) fail(&why, STEP_MEMORY, errno, "the successor's command line");
    if (why.step != 0) {
        if (verdict->program >= 0) close(verdict->program);
        fail_proof(l, &why);
        return;
    }
    memcpy(command, verdict->command.data, verdict->command.size);
    l->reexec.command = command;
    l->reexec.command_size = verdict->command.size;
    l->reexec.program = verdict->program;
    end_child(l);
    tell_report(l, verdict->report);
}

void handle_proof(struct launcher *l) {
    struct proof_verdict verdict;
    static uint8_t space[VERDICT_LIMIT];
    if (l->reexec.verdict < 0) return;
    int heard = verdict_receive(l->reexec.verdict, space, &verdict);
    if (heard > 0) heed(l, &verdict);
    /* At the end of it, its exit says why. */
    if (heard < 0) source_close(l->epoll, &l->reexec.verdict);
}

void handle_proof_late(struct launcher *l) {
    if (!timer_rang(l->reexec.timer) || l->reexec.child == 0) return;
    struct failure why = {0};
    fail(&why, STEP_REEXEC, ETIMEDOUT, "the successor has not proven itself in time");
    fail_proof(l, &why);
}

bool proof_reaps(struct launcher *l, pid_t pid) {
    int status;
    if (l->reexec.child == 0 || pid != l->reexec.child || waitpid(pid, &status, WNOHANG) != pid) return false;
    handle_proof(l); /* it may have spoken in the end */
    l->reexec.child = 0;
    source_close(l->epoll, &l->reexec.verdict);
    timer_set_after(l->reexec.timer, 0);
    if (l->reexec.serial == 0) return true;
    struct failure why = {0};
    bool exited = WIFEXITED(status);
    char text[END_TEXT];
    fail(&why, STEP_REEXEC, ECHILD, "the successor ended with %s before it had proven itself; the log says more",
         end_text(exited, exited ? WEXITSTATUS(status) : WTERMSIG(status), text));
    fail_proof(l, &why);
    return true;
}

void proof_cancel(struct launcher *l) {
    l->reexec.serial = 0;
    end_child(l);
    if (!l->reexec.due) forget_program(&l->reexec);
}

enum reply proof_accept(struct launcher *l, struct failure *why) {
    struct reexec *r = &l->reexec;
    if (r->program < 0) {
        fail(why, STEP_REEXEC, ENOENT, "no successor has proven itself");
        return REPLY_FAILED;
    }
    if (l->phase != PHASE_RUNNING || l->terminating != 0) {
        fail(why, STEP_REEXEC, EBUSY, "the end has begun");
        return REPLY_FAILED;
    }
    r->due = true;
    return REPLY_DONE;
}

int proof_open(struct launcher *l) {
    l->reexec.timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    if (l->reexec.timer < 0) return -1;
    return source_add(l->epoll, l->reexec.timer, EPOLLIN, (struct tag){.source = SOURCE_PROOF_LATE});
}
