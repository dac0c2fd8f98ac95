/* Timers of the loop (timerfd_create(2)). */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* Rings once after so many ms; 0: never. */
void timer_set_after(int timer, uint64_t milliseconds);
/* Rings once at this time of its clock, in ns; 0: never. -1 and errno. */
int timer_set_at(int timer, uint64_t ns);
/* Whether it has rung since it was set. */
bool timer_rang(int timer);
