/* The reconciler's life, and the end of everything. */
#pragma once

#include "launcher.h"

void start_reconciler(struct launcher *l);
/* Another launcher takes over: ends it, and it is no death. */
void retire_reconciler(struct launcher *l);
/* It did what it must not: ends it; its pidfd does the rest. */
void end_reconciler(struct launcher *l, const char *reason);
void handle_reconciler_exit(struct launcher *l);
/* Its socket is ready. */
void handle_socket(struct launcher *l);
void handle_pause(struct launcher *l);
/* Is it time to ask the reconciler, or to end one that does not answer? */
void handle_liveness(struct launcher *l);
/* The end takes longer than it may. */
void handle_late_end(struct launcher *l);
/* SIGHUP: a reconciler that reads everything anew takes over. */
void handle_reload(struct launcher *l);
void handle_termination(struct launcher *l, uint32_t signal);
/* Nothing is left to wait for. */
bool is_over(const struct launcher *l);
