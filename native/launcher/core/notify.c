#define _GNU_SOURCE
#include "notify.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "say.h"

/* Connected while the host's paths can still be seen; -1: nobody asked. */
static int notify_socket = -1;

void notify_open(void) {
    const char *path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (path == NULL || (path[0] != '/' && path[0] != '@')) return;
    size_t size = strlen(path);
    if (size >= sizeof address.sun_path) return;
    memcpy(address.sun_path, path, size);
    if (path[0] == '@') address.sun_path[0] = '\0'; /* the abstract name space, unix(7) */
    socklen_t length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + size);
    notify_socket = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (notify_socket >= 0 && connect(notify_socket, (struct sockaddr *)&address, length) != 0) {
        say("NOTIFY_SOCKET %s cannot be reached", path);
        close(notify_socket);
        notify_socket = -1;
    }
}

int *notify_descriptor(void) { return &notify_socket; }

void notify_init_system(const char *format, ...) {
    enum { LONGEST = 1024 };
    char state[LONGEST];
    if (notify_socket < 0) return;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(state, sizeof state, format, arguments);
    va_end(arguments);
    send(notify_socket, state, strlen(state), MSG_DONTWAIT | MSG_NOSIGNAL);
}
