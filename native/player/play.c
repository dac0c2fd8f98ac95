#define _GNU_SOURCE
#include "play.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "stage.h"

/* What became of a unit. */
struct outcome {
    struct span name;
    bool left;
    uint32_t prepared;
    uint32_t gone;
    char *note; /* taken back when the start fails */
    char why[512];
};

/* Waits until a start, or a sandbox that is only made, has succeeded or failed, and says which. */
static bool runs(struct link *link, struct outcome *outcome) {
    uint32_t last = outcome->gone != 0 ? outcome->gone : outcome->prepared;
    if (outcome->left || last == 0) return !outcome->left;
    if (link_wait(link, last) == ANSWER_DONE) return true;
    outcome->left = true;
    const struct answered *answered = link_answer(link, last);
    snprintf(outcome->why, sizeof outcome->why, "its start failed at step %u: %s", answered->step,
             strerror((int)answered->error));
    if (outcome->note != NULL) unlink(outcome->note);
    return false;
}

static const char *lacking(struct link *link, struct outcome *outcomes, const struct unit *unit, char *why,
                           size_t size) {
    for (size_t i = 0; i < unit->needed; i++) {
        struct outcome *need = &outcomes[unit->needs[i]];
        if (runs(link, need)) continue;
        snprintf(why, size, "%.*s was left", (int)need->name.size, need->name.data);
        return why;
    }
    return NULL;
}

static void play_unit(struct stage *stage, struct unit *unit, struct outcome *outcome) {
    static struct deed deed;
    stage->prepared = stage->gone = 0;
    stage->note[0] = stage->why[0] = '\0';
    while (!outcome->left && unit->deeds.at < unit->deeds.end)
        outcome->left = !deed_take(&unit->deeds, &deed) || deed_do(stage, &deed) != 0;
    outcome->prepared = stage->prepared;
    outcome->gone = stage->gone;
    if (outcome->left) memcpy(outcome->why, stage->why, sizeof outcome->why);
    if (outcome->left && stage->note[0] != '\0' && stage->prepared != 0) unlink(stage->note);
    if (stage->gone != 0) outcome->note = strdup(stage->note);
    stage_clear(stage);
}

const char *play(const struct plan *plan, struct link *link, const struct boot *boot, struct report *report) {
    static struct stage stage;
    static struct devices devices;
    static char refused[512];
    struct outcome *outcomes = calloc(plan->units + 1, sizeof *outcomes);
    if (outcomes == NULL) return "out of memory";
    stage = (struct stage){.link = link, .boot = boot, .devices = &devices};
    for (size_t i = 0; i < SLOT_LIMIT; i++) stage.slots[i] = -1;
    struct cursor c = plan->rest;
    for (uint32_t i = 0; i < plan->units; i++) {
        struct unit unit;
        struct outcome *outcome = &outcomes[i];
        if (!unit_take(&c, i, &unit)) break;
        outcome->name = unit.name;
        outcome->left = lacking(link, outcomes, &unit, outcome->why, sizeof outcome->why) != NULL;
        if (!outcome->left) play_unit(&stage, &unit, outcome);
        if (i > 0 || !outcome->left) continue;
        snprintf(refused, sizeof refused, "%s", outcome->why);
        free(outcomes);
        return refused;
    }
    for (uint32_t i = 1; i < plan->units; i++) {
        runs(link, &outcomes[i]);
        report_unit(report, outcomes[i].name, outcomes[i].left ? outcomes[i].why : NULL, outcomes[i].gone != 0);
        free(outcomes[i].note);
    }
    free(outcomes);
    return NULL;
}
