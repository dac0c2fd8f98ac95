/* PID 1 of a container. */
#pragma once

#include "birth.h"

/* The life of an init, from clone3 to its exit. */
_Noreturn void init_main(struct birth *birth);
