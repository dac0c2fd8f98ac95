/* What an init says on its control socket, one message each. The launcher takes nothing in it on trust. */
#pragma once

#include <stdint.h>
#include <sys/types.h>

#include "../failure.h"

enum control_kind {
    CONTROL_PREPARED = 1, /* left out by one whose go has come by then */
    CONTROL_RUNNING = 2,  /* exec of the application is reached */
    CONTROL_FAILURE = 3,  /* then the init exits */
    CONTROL_EXIT = 4,     /* the application ended, the init exits next */
    CONTROL_BORN = 5,     /* of who joins: it is in the PID namespace; its credentials say who it is */
    /* Who the application is, once exec is reached: in the credentials, which the kernel translates (unix(7)). */
    CONTROL_APPLICATION = 6,
};

/* exit_kind of CONTROL_EXIT and of E_ATTEMPT. */
enum exit_kind { EXIT_NONE = 0, EXIT_CODE = 1, EXIT_SIGNAL = 2 };

struct control_message {
    uint16_t kind;
    uint16_t step;       /* CONTROL_FAILURE */
    int32_t error;       /* CONTROL_FAILURE: errno */
    uint32_t exit_kind;  /* CONTROL_EXIT */
    uint32_t exit_value; /* CONTROL_EXIT: exit code or signal */
    char subject[FAILURE_SUBJECT];
};

/*
 * One message, without waiting; gives its size as it was sent, 0 at the end, -1 and errno. `sender` is who has sent
 * it, 0 where the kernel does not say (unix(7), SO_PASSCRED). A descriptor that comes along is put in `fd`, which
 * stays as it was without one; NULL: none is taken.
 */
ssize_t control_receive(int control, struct control_message *message, pid_t *sender, int *fd);
