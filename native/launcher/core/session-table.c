#include "session-table.h"

bool sessions_live_in(const struct sessions *all, uint64_t attempt) {
    for (uint32_t i = 0; all->live > 0 && i < SESSION_LIMIT; i++)
        if (all->places[i].state != SESSION_FREE && all->places[i].attempt == attempt) return true;
    return false;
}
