#define _GNU_SOURCE
#include "proving.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../core/messages.h"
#include "../core/say.h"
#include "../signal-name.h"
#include "verdict.h"

enum { REPORT_LIMIT = 65536 };

static char **own_command;

void proving_note(char **command) { own_command = command; }

bool proving_does(uint16_t type) { return type == R_READ || type == R_NOP; }

void proving_refuses(int socket, const struct failure *why) {
    struct proof_verdict verdict = {.program = -1};
    verdict.report = (struct span){.data = (const uint8_t *)why->subject, .size = (uint32_t)strlen(why->subject)};
    if (verdict_send(socket, &verdict) != 0) say("the verdict cannot be sent: %s", strerror(errno));
}

void proving_fails(struct launcher *l, const siginfo_t *end) {
    struct failure why = {0};
    char text[END_TEXT];
    fail(&why, STEP_REEXEC, ECHILD, "its reconciler ended with %s; the log says more",
         end_text(end->si_code == CLD_EXITED, end->si_status, text));
    if (!l->over) proving_refuses(l->reexec.proves, &why);
    l->over = true;
}

/* Each word with its NUL; the caller's to free. */
static struct span own_words(void) {
    size_t size = 0;
    for (char **at = own_command; *at != NULL; at++) size += strlen(*at) + 1;
    uint8_t *words = malloc(size);
    if (words == NULL) return (struct span){.size = 0};
    size_t used = 0;
    for (char **at = own_command; *at != NULL; at++) {
        memcpy(words + used, *at, strlen(*at) + 1);
        used += strlen(*at) + 1;
    }
    return (struct span){.data = words, .size = (uint32_t)size};
}

static enum reply pass_verdict(struct launcher *l, struct cursor *c) {
    uint8_t proven = take_u8(c);
    struct span report = take_bytes(c);
    if (!cursor_finished(c) || proven > 1 || report.size > REPORT_LIMIT) return REPLY_MALFORMED;
    struct proof_verdict verdict = {.proven = proven == 1, .report = report, .command = own_words()};
    verdict.program = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    if (verdict_send(l->reexec.proves, &verdict) != 0) say("the verdict cannot be sent: %s", strerror(errno));
    free((void *)(uintptr_t)verdict.command.data);
    if (verdict.program >= 0) close(verdict.program);
    l->over = true;
    return REPLY_DONE;
}

enum reply proving_request(struct launcher *l, struct frame *frame, struct failure *why) {
    switch (frame->type) {
    case R_PROVEN:
        return pass_verdict(l, &frame->body);
    case R_PREPARE:
    case R_GO:
    case R_KILL:
    case R_FORGET:
    case R_JOIN:
    case R_SIGNAL:
    case R_STOP:
    case R_SLEEP:
    case R_PROVE:
    case R_TAKEOVER:
    case R_ACCEPT:
        fail(why, STEP_REEXEC, EPERM, "request %u: who proves itself does nothing", frame->type);
        return REPLY_FAILED;
    default:
        return REPLY_DONE;
    }
}
