/* Frames from the reconciler: each is done as it comes; what else they mean is the supervisor's. */
#pragma once

#include "launcher.h"

enum heard {
    HEARD,
    HEARD_STOP,      /* R_STOP was among them */
    HEARD_END,       /* it has closed its socket */
    HEARD_MALFORMED, /* it broke a rule of the wire */
};

/* One read of the socket, and the requests that are complete, as long as their answers find room. */
enum heard hear_reconciler(struct launcher *l);
/* What a dead reconciler had still sent is done; nobody hears the answers. */
enum heard hear_last_requests(struct launcher *l);
