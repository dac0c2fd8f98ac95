/* The successor's side of a proof: its reconciler looks at everything and does nothing. */
#pragma once

#include <signal.h>

#include "../core/launcher.h"
#include "../core/reply.h"

/* Whether a request of the reconciler is one that changes nothing, and so is done as ever. */
bool proving_does(uint16_t type);
/* Any other: R_PROVEN is passed on; what would act on a container is refused, all else is answered and not done. */
enum reply proving_request(struct launcher *l, struct frame *frame, struct failure *why);
/* The reconciler has ended without a word. */
void proving_fails(struct launcher *l, const siginfo_t *end);
/* Says that it has failed. */
void proving_refuses(int socket, const struct failure *why);
/* Notes our command line, which the verdict has in it. */
void proving_note(char **command);
