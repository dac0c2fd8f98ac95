#pragma once

/* The reconciler's mount namespace, a slave of the host's. Gives its descriptor, or -1, told on stderr. */
int make_reconciler_namespace(void);
/* Our own: a read-only root with nothing of the host in it. -1, told on stderr, when that cannot be done. */
int enter_minimal_namespace(void);
