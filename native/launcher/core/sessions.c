#define _GNU_SOURCE
#include "sessions.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../memory.h"
#include "../sandbox/join.h"
#include "../signal-name.h"
#include "messages.h"
#include "sources.h"
#include "starts.h"
#include "telling.h"

enum { SESSION_TURN = 8 }; /* messages of one session at once */

static struct session *find_session(struct sessions *all, uint64_t id) {
    for (uint32_t i = 0; all->live > 0 && i < SESSION_LIMIT; i++)
        if (all->places[i].state != SESSION_FREE && all->places[i].id == id) return &all->places[i];
    return NULL;
}

static struct session *free_session(struct sessions *all) {
    for (uint32_t i = 0; i < SESSION_LIMIT; i++)
        if (all->places[i].state == SESSION_FREE) return &all->places[i];
    return NULL;
}

/* The attempt that is joined: one that runs, and has not said that it ends. */
static struct attempt *joined_attempt(const struct launcher *l, uint64_t id, struct failure *why) {
    struct attempt *a = attempt_find(&l->attempts, id);
    int error = a == NULL ? ENOENT : EINVAL;
    if (a != NULL && a->state == ATTEMPT_RUNNING && a->exit_kind == EXIT_NONE) return a;
    fail(why, STEP_ATTEMPT, error, "attempt %llu", (unsigned long long)id);
    return NULL;
}

/* The list moves into memory that the new process inherits, and leaves no copy behind for the next. */
static int launch(const struct launcher *l, const struct attempt *a, struct frame *frame, struct session *s,
                  struct failure *why) {
    size_t size = (size_t)(frame->body.end - frame->body.at);
    if (size == 0) return fail(why, STEP_REQUEST, EINVAL, "an empty op list");
    uint8_t *spec = spec_alloc(size);
    if (spec == NULL) return fail(why, STEP_MEMORY, errno, "the specification");
    memcpy(spec, frame->body.at, size);
    struct cursor list = cursor_over(spec, size);
    struct ops *ops = ops_parse(&list, frame->fds, frame->nfds, LIST_JOIN, why);
    if (ops != NULL) {
        s->copies = ops_find(ops, OP_COPY) != NULL;
        s->joiner = launch_join(&a->init, ops, l->descriptor_bound, &s->control, why);
        ops_free(ops);
    }
    spec_free(spec, size);
    return ops == NULL || s->joiner < 0 ? -1 : 0;
}

enum reply session_join(struct launcher *l, struct frame *frame, struct failure *why) {
    struct cursor *c = &frame->body;
    uint64_t id = take_u64(c), attempt = take_u64(c);
    if (c->failed || id == 0) return REPLY_MALFORMED;
    struct session *s = free_session(&l->sessions);
    if (s == NULL || find_session(&l->sessions, id) != NULL) {
        fail(why, STEP_JOIN, s == NULL ? ENOSPC : EEXIST, "session %llu", (unsigned long long)id);
        return REPLY_FAILED;
    }
    struct attempt *a = joined_attempt(l, attempt, why);
    if (a == NULL) return REPLY_FAILED;
    *s = (struct session){.life = s->life, .control = -1};
    if (launch(l, a, frame, s, why) != 0) return REPLY_FAILED;
    s->id = id;
    s->attempt = attempt;
    s->state = SESSION_JOINING;
    s->serial = frame->serial;
    l->sessions.live++;
    struct tag tag = {
        .source = SOURCE_SESSION, .place = (uint32_t)(s - l->sessions.places), .life = s->life & LIFE_MASK};
    /* A program is heard when its socket ends, with all that it has said; a copy says that it runs. */
    if (source_add(l->epoll, s->control, s->copies ? EPOLLIN : EPOLLRDHUP, tag) != 0) {
        fail(&s->failure, STEP_JOIN, errno, "it cannot be watched");
        kill(s->joiner, SIGKILL); /* SIGCHLD tells when it has gone */
    }
    return REPLY_LATER;
}

static void become_session(struct launcher *l, struct session *s) {
    if (s->state != SESSION_JOINING) return;
    s->state = SESSION_RUNNING;
    send_result(l, s->serial, NULL);
    s->serial = 0;
}

static void heed_message(struct launcher *l, struct session *s, struct control_message *message, pid_t sender) {
    if (message->kind == CONTROL_BORN && !s->born && !s->copies && sender > 0) {
        s->born = true;
        s->pid = sender;
        if (s->ending) kill(s->pid, SIGKILL);
    }
    if (message->kind == CONTROL_RUNNING && s->copies) become_session(l, s);
    if (message->kind == CONTROL_FAILURE && s->failure.step == 0) {
        message->subject[FAILURE_SUBJECT - 1] = '\0';
        fail(&s->failure, message->step, message->error, "%s", message->subject);
    }
}

/* The end of the socket says that exec is reached, unless the one that was to do it has failed. */
static void hear_session(struct launcher *l, struct session *s) {
    for (int i = 0; i < SESSION_TURN && s->control >= 0; i++) {
        struct control_message message = {0};
        pid_t sender;
        ssize_t size = control_receive(s->control, &message, &sender, NULL);
        if (size < 0 && (errno == EAGAIN || errno == EINTR)) return;
        if (size == (ssize_t)sizeof message) {
            heed_message(l, s, &message, sender);
            continue;
        }
        source_close(l->epoll, &s->control);
        if (s->born && s->failure.step == 0) become_session(l, s);
    }
}

static void tell_left(struct launcher *l, const struct session *s) {
    if (!is_connected(l)) return;
    bool exited = WIFEXITED(s->status);
    struct writer w = out_begin(&l->reconciler.out, E_LEFT, 0);
    put_u64(&w, s->id);
    put_u8(&w, exited ? EXIT_CODE : EXIT_SIGNAL);
    put_u32(&w, (uint32_t)(exited ? WEXITSTATUS(s->status) : WTERMSIG(s->status)));
    put_u16(&w, s->failure.step);
    put_u32(&w, (uint32_t)s->failure.error);
    put_text(&w, s->failure.subject);
    out_end(&l->reconciler.out, &w);
    l->reconciler.events_told++;
}

/* All of it is reaped. The last in a container that has ended lets go who waits for that. */
static void end_session(struct launcher *l, struct session *s) {
    source_close(l->epoll, &s->control);
    if (s->state == SESSION_JOINING) {
        bool exited = WIFEXITED(s->status);
        char space[END_TEXT];
        if (s->failure.step == 0)
            fail(&s->failure, STEP_JOIN, ECHILD, "who joins ended with %s",
                 end_text(exited, exited ? WEXITSTATUS(s->status) : WTERMSIG(s->status), space));
        send_result(l, s->serial, &s->failure);
    } else if (s->id != 0) {
        tell_left(l, s);
    }
    uint64_t attempt = s->attempt;
    *s = (struct session){.life = s->life + 1, .control = -1};
    l->sessions.live--;
    const struct attempt *a = attempt_find(&l->attempts, attempt);
    bool over = a == NULL || attempt_is_over(a) || a->exit_kind != EXIT_NONE;
    if (over && !sessions_live_in(&l->sessions, attempt)) attempts_fire_after(&l->attempts, attempt);
}

/* Who joins may have ended before the one that it bore has said that it is there: then the socket is still open. */
static void end_if_over(struct launcher *l, struct session *s) {
    bool awaited = !s->born && !s->copies && s->control >= 0;
    if (s->joiner == 0 && s->pid == 0 && !awaited) end_session(l, s);
}

void handle_session(struct launcher *l, uint32_t place, uint32_t life) {
    struct session *s = &l->sessions.places[place];
    if (s->state == SESSION_FREE || (s->life & LIFE_MASK) != life) return;
    hear_session(l, s);
    end_if_over(l, s);
}

static struct session *session_of_process(struct sessions *all, pid_t pid) {
    for (uint32_t i = 0; all->live > 0 && i < SESSION_LIMIT; i++) {
        struct session *s = &all->places[i];
        if (s->state != SESSION_FREE && (s->joiner == pid || s->pid == pid)) return s;
    }
    return NULL;
}

/* One that was born a moment ago is known once it is heard. */
static struct session *session_of_newborn(struct launcher *l, pid_t pid) {
    for (uint32_t i = 0; l->sessions.live > 0 && i < SESSION_LIMIT; i++) {
        struct session *s = &l->sessions.places[i];
        if (s->state == SESSION_JOINING && !s->born) hear_session(l, s);
        if (s->state != SESSION_FREE && s->pid == pid) return s;
    }
    return NULL;
}

bool session_reaps(struct launcher *l, pid_t pid) {
    struct session *s = session_of_process(&l->sessions, pid);
    if (s == NULL) s = session_of_newborn(l, pid);
    int status;
    if (s == NULL || waitpid(pid, &status, WNOHANG) != pid) return false;
    hear_session(l, s);
    if (pid == s->joiner) {
        s->joiner = 0;
        if (!s->born) s->status = status;
    } else {
        s->pid = 0;
        s->status = status;
    }
    end_if_over(l, s);
    return true;
}

/*
 * From within the container nobody new comes once its message cannot be sent: what is on its way is heard, and who was
 * not yet born finds the socket closed, and ends.
 */
static void kill_session(struct launcher *l, struct session *s) {
    s->ending = true;
    if (s->control >= 0) {
        shutdown(s->control, SHUT_RD);
        hear_session(l, s);
        source_close(l->epoll, &s->control);
    }
    if (s->joiner > 0) kill(s->joiner, SIGKILL);
    if (s->pid > 0) {
        kill(-s->pid, SIGKILL);
        kill(s->pid, SIGKILL);
    }
    end_if_over(l, s);
}

enum reply session_signal(struct launcher *l, uint64_t id, uint32_t number, struct failure *why) {
    struct session *s = find_session(&l->sessions, id);
    if (number == 0 || number >= NSIG) {
        fail(why, STEP_KILL, EINVAL, "signal %u", number);
        return REPLY_FAILED;
    }
    if (s == NULL) return REPLY_DONE; /* it has ended, which is told, or was */
    if (number == SIGKILL)
        kill_session(l, s);
    else if (s->pid > 0 && kill(-s->pid, (int)number) < 0)
        kill(s->pid, (int)number);
    return REPLY_DONE;
}

bool sessions_end_of(struct launcher *l, uint64_t attempt) {
    for (uint32_t i = 0; l->sessions.live > 0 && i < SESSION_LIMIT; i++) {
        struct session *s = &l->sessions.places[i];
        if (s->state != SESSION_FREE && s->attempt == attempt) kill_session(l, s);
    }
    return sessions_live_in(&l->sessions, attempt);
}

void sessions_end_all(struct launcher *l) {
    for (uint32_t i = 0; l->sessions.live > 0 && i < SESSION_LIMIT; i++) {
        struct session *s = &l->sessions.places[i];
        if (s->state == SESSION_FREE) continue;
        s->serial = 0;
        s->id = 0; /* the next reconciler's numbers are its own */
        kill_session(l, s);
    }
}
