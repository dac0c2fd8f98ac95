/* The application's side of the fork. */
#pragma once

#include "birth.h"

/* What the application needs of both lists. */
struct application {
    const struct birth *birth;
    const struct ops *go;
    struct failure why; /* set when exec was not reached */
};

/*
 * Everything that it is, up to exec. Comes back only in failure (`why`). It shares its parent's memory (vfork(2)), so
 * it writes to nothing but its stack and `why`.
 */
void become_application(struct application *application);
