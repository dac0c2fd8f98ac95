/* What a successor that proves itself says, in one message (unix(7), SOCK_SEQPACKET). */
#pragma once

#include <stdbool.h>

#include "../wire.h"

enum { VERDICT_LIMIT = 131072, VERDICT_VERSION = 1 };

struct proof_verdict {
    bool proven;
    struct span report;  /* of its reconciler; when it is not proven, why, as a text */
    struct span command; /* its command line, each word with its NUL */
    int program;         /* what it is executed from, -1: none came along */
};

/* 0, or -1 and errno. */
int verdict_send(int socket, const struct proof_verdict *verdict);
/*
 * 1: `verdict` is there, its spans in `space` of VERDICT_LIMIT bytes, and the descriptor is the caller's. 0: nothing
 * yet; -1: the other side has hung up, or says what is no verdict.
 */
int verdict_receive(int socket, uint8_t *space, struct proof_verdict *verdict);
