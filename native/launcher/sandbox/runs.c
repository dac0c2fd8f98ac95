#include "runs.h"

#include <stddef.h>

struct runner {
    int (*run)(const struct op *, const struct birth *, struct failure *); /* NULL: the stage looks its values up */
    enum stage stage;
};

static const struct runner RUNNERS[] = {
#define OP(number, NAME, name, LIST, STAGE, ...) [number] = {.run = run_##name, .stage = STAGE_##STAGE},
#define DATA(number, NAME, name, LIST, STAGE, ...) [number] = {.run = NULL, .stage = STAGE_##STAGE},
#include "op-table.def"
};

int run_stage(enum stage stage, const struct ops *list, const struct birth *birth, struct failure *why) {
    for (uint32_t i = 0; i < list->count; i++) {
        const struct op *op = &list->items[i];
        const struct runner *runner = &RUNNERS[op->kind];
        if (runner->stage == stage && runner->run != NULL && runner->run(op, birth, why) < 0) return -1;
    }
    return 0;
}
