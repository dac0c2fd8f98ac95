/* Doing the ops: in the init and the application, never in the launcher. */
#pragma once

#include "birth.h"

/* Who does an op, and when; the order is that of the stages. */
enum stage {
    STAGE_CLONE,     /* launcher: before and with clone3 */
    STAGE_GROUPS,    /* init */
    STAGE_ROOT,      /* init: namespaces, mounts, the new root */
    STAGE_VIEW,      /* who joins, within the container's mount namespace */
    STAGE_GO,        /* init, once it is told to start, with the rights of root */
    STAGE_LABEL,     /* application, as all that follow */
    STAGE_LIMITS,    /* with the rights of root */
    STAGE_IDENTITY,  /* ids and capabilities */
    STAGE_DIRECTORY, /* with the application's rights */
    STAGE_FILTER,    /* last before exec */
    STAGE_EXEC,      /* descriptors, and exec itself */
};

/* Each gives 0, or -1 and the failure. */
#define OP(number, NAME, name, ...) int run_##name(const struct op *op, const struct birth *birth, struct failure *why);
#define DATA(...)
#include "op-table.def"

/* Does the ops of one stage, in list order. 0, or -1 and the failure of the first that failed. */
int run_stage(enum stage stage, const struct ops *list, const struct birth *birth, struct failure *why);
