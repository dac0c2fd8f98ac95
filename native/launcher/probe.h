/* What launcher and prober say to each other: messages of fixed size, one in a packet. */
#pragma once

#include <stdint.h>

enum {
    PROBE_PATH = 256,
    PROBE_MESSAGE = 128,
    PROBE_FDS = 32,            /* descriptors of one list */
    PROBE_LIST_LIMIT = 131072, /* bytes of one list */
};

enum probe_kind { PROBE_EXEC = 1, PROBE_TCP = 2, PROBE_HTTP = 3, PROBE_UNIX = 4, PROBE_FILE = 5 };

/* Whether it becomes ready, asked until it does; whether it is alive, asked from then on. */
enum probe_role { PROBE_READY = 0, PROBE_ALIVE = 1 };

enum order_kind {
    ORDER_SET = 1,   /* with a pidfd of the init, the list's memfd (empty: there is none) and the list's descriptors */
    ORDER_BEGIN = 2, /* what was held begins */
    ORDER_DROP = 3,  /* all probes of the attempt */
};

struct probe_order {
    uint8_t order;
    uint8_t role;
    uint8_t kind;
    uint8_t family; /* 4 or 6 */
    uint16_t port;
    uint8_t held; /* until ORDER_BEGIN */
    uint8_t reserved;
    uint32_t revision;
    uint32_t every; /* ms */
    uint32_t timeout;
    uint32_t failures;  /* in a row that make a verdict */
    uint32_t list_size; /* of how it joins the container (ops.h, LIST_JOIN) */
    uint64_t attempt;
    uint8_t address[16];
    char path[PROBE_PATH]; /* of HTTP */
};

/* `good` 0 of PROBE_READY is no verdict: it says why it is not ready yet. */
struct probe_verdict {
    uint64_t attempt;
    uint32_t revision;
    uint8_t role;
    uint8_t good;
    char message[PROBE_MESSAGE];
};
