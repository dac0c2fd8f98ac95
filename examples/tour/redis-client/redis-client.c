/*
 * Counts its visits in a redis (RESP, the protocol of its clients) on 127.0.0.1:7379, one a second, until that is
 * gone.
 */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum { TRIES = 100, SECOND = 1000000 };

static int reach(void) {
    struct sockaddr_in server = {.sin_family = AF_INET, .sin_port = htons(7379)};
    server.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    for (int i = 0; i < TRIES; i++) {
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (connect(fd, (struct sockaddr *)&server, sizeof server) == 0) return fd;
        close(fd);
        usleep(SECOND / 10);
    }
    perror("127.0.0.1:7379");
    exit(EXIT_FAILURE);
}

int main(void) {
    int redis = reach();
    for (;;) {
        static const char INCREMENT[] = "*2\r\n$4\r\nINCR\r\n$6\r\nvisits\r\n";
        char answer[128] = "";
        if (send(redis, INCREMENT, sizeof INCREMENT - 1, MSG_NOSIGNAL) < 0 ||
            recv(redis, answer, sizeof answer - 1, 0) <= 0)
            return EXIT_FAILURE;
        /* While it loads what it has kept it answers with an error. */
        if (answer[0] == ':') printf("visit %d\n", atoi(answer + 1));
        fflush(stdout);
        usleep(SECOND);
    }
}
