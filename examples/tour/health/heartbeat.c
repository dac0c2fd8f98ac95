/* Says how it is by systemd's protocol, until SIGUSR1 makes it hang. */
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static void hang(int signal) {
    (void)signal;
    for (;;) pause();
}

int main(void) {
    const char *place = getenv("NOTIFY_SOCKET");
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    if (place == NULL || strlen(place) >= sizeof to.sun_path) {
        fputs("NOTIFY_SOCKET is not set: nobody asks\n", stderr);
        return EXIT_FAILURE;
    }
    size_t length = strlen(place);
    memcpy(to.sun_path, place, length);
    if (place[0] == '@') to.sun_path[0] = '\0'; /* an abstract name, unix(7) */
    socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length);
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    signal(SIGUSR1, hang);
    for (int turn = 0;; turn++) {
        const char *text = turn == 0   ? "STATUS=warming up"
                           : turn == 2 ? "READY=1\nSTATUS=open for business"
                                       : "WATCHDOG=1";
        if (sendto(fd, text, strlen(text), 0, (const struct sockaddr *)&to, size) < 0) perror(text);
        usleep(500 * 1000);
    }
}
