/* The connection with the launcher, as its first child has it: requests out, answers in (native/launcher/README.md). */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../launcher/wire.h"

/* Requests of one play, at most. */
enum { REQUEST_LIMIT = 65536 };

enum answer { ANSWER_PENDING = 0, ANSWER_DONE, ANSWER_FAILED };

/* What became of a request, by its serial. */
struct answered {
    uint8_t answer;
    uint16_t step;
    uint32_t error;
};

struct link {
    int fd;
    bool lost; /* nobody is at the other end, or it does not speak our wire */
    bool synced;
    uint32_t pid;        /* of the launcher */
    uint64_t started_ns; /* when it began, CLOCK_BOOTTIME */
    uint32_t last;       /* serial */
    struct answered *answers;
    uint8_t *in;
    size_t in_size;
};

/* Reads the greeting. -1 when there is none that we understand. */
int link_open(struct link *link, int fd);
/*
 * Sends a request with descriptors, which stay the caller's. The body is `parts` one after the other. Gives its serial,
 * 0 when it cannot be sent.
 */
uint32_t link_request(struct link *link, uint16_t type, const struct span *parts, size_t count, const int *fds,
                      size_t nfds);
/* Waits for the answer; ANSWER_FAILED also when the launcher is lost. */
enum answer link_wait(struct link *link, uint32_t serial);
const struct answered *link_answer(const struct link *link, uint32_t serial);
