/* How a request ends. */
#pragma once

/* At once, with an answer that comes later, with a failure, or it does not even parse. */
enum reply { REPLY_DONE, REPLY_LATER, REPLY_FAILED, REPLY_MALFORMED };
