/* Asks the runtime who this is and what it knows of it, then has itself killed. */
#include "../speak.h"

int main(void) {
    static char answer[65536], request[512];
    const char *self = getenv("NORTHSTAR_CONTAINER");
    say_hello();
    ask("{\"request\":\"ident\"}", answer, sizeof answer);
    printf("%s\n", answer);
    snprintf(request, sizeof request, "{\"request\":{\"inspect\":{\"container\":\"%s\"}}}", self);
    ask(request, answer, sizeof answer);
    printf("%.120s...\n", answer);
    ask("{\"request\":\"shutdown\"}", answer, sizeof answer);
    printf("%s\n", answer);
    fflush(stdout);
    snprintf(request, sizeof request, "{\"request\":{\"kill\":{\"container\":\"%s\",\"signal\":15}}}", self);
    ask(request, answer, sizeof answer);
    for (;;) pause();
}
