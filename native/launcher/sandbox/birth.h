/* What a new init starts with. */
#pragma once

#include "ops.h"

enum { TITLE_SIZE = 128 };

/* All else that it inherited is closed first. */
struct birth {
    struct ops *prepare;
    int control;   /* its end of the control socket */
    int output[2]; /* write ends of the application's stdout and stderr, -1: /dev/null */
    int devices;   /* a tmpfs that holds the node `null` */
    int proc;      /* a proc of the new PID namespace that is mounted nowhere, -1 when LABEL is not in the list */
    char title[TITLE_SIZE]; /* what ps shows of it */
};
