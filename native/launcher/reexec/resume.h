/* A launcher's state that was taken over comes to life: what it waits for is waited for again. */
#pragma once

#include "../core/launcher.h"
#include "layouts.h"

/* What lies in no structure of the core, as it is now. */
struct outside gather_outside(void);
void spread_outside(const struct outside *outside);
/* 0, or -1 and errno. */
int resume(struct launcher *l);
