/* The process that asks containers how they are: the same program as the launcher, its second child. */
#pragma once

/*
 * Asks until the launcher closes its end of `socket` (probe.h) or dies. `devices` is null_devices(), `bound` the first
 * number that no descriptor may take.
 */
_Noreturn void prober_main(int socket, int devices, int bound);
