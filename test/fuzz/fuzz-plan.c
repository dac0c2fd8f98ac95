/* Boot plans from anybody, behind their checksum, and patches of them. What is understood is read to its end. */
#include "../../native/player/plan-patch.h"
#include "../../native/player/plan.h"
#include "fuzz.h"

#include <stdlib.h>
#include <string.h>

static size_t sum;

static void read_bytes(struct span span) {
    for (uint32_t i = 0; i < span.size; i++) sum += span.data[i];
}

static void read_deed(const struct deed *deed) {
    if (deed->slot >= SLOT_LIMIT || deed->from >= SLOT_LIMIT || deed->texts > TEXTS || deed->numbers > NUMBERS) abort();
    for (size_t i = 0; i < deed->texts; i++) sum += strlen(deed->text[i]);
    for (size_t i = 0; i < deed->pieces; i++) read_bytes(deed->bytes[i]);
    for (size_t i = 0; i < deed->listed; i++)
        if (deed->list[i] >= SLOT_LIMIT) abort();
}

static void read_patch(const uint8_t *data, size_t size) {
    static const uint8_t base[] = "what lies there";
    size_t made_size = 0;
    uint8_t *made = plan_patched(base, sizeof base, data, size, &made_size);
    if (made == NULL) return;
    read_bytes((struct span){.data = made, .size = (uint32_t)made_size});
    free(made);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    read_patch(data, size);
    struct plan plan;
    if (plan_take(&plan, cursor_over(data, size)) != NULL) return 0;
    for (size_t i = 0; i < 3; i++) read_bytes((struct span[]){plan.runtime, plan.kernel, plan.machine}[i]);
    read_bytes(plan.source);
    read_bytes(plan.document);
    read_bytes(plan.document_text);
    static struct deed deed;
    struct cursor c = plan.rest;
    for (uint32_t i = 0; i < plan.units; i++) {
        struct unit unit;
        if (!unit_take(&c, i, &unit)) abort();
        read_bytes(unit.name);
        for (size_t at = 0; at < unit.needed; at++)
            if (unit.needs[at] >= i) abort();
        while (unit.deeds.at < unit.deeds.end) {
            if (!deed_take(&unit.deeds, &deed)) abort();
            read_deed(&deed);
        }
    }
    return 0;
}
