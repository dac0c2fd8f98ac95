/* Waits for datagrams on a socket that the runtime has bound, and sends one to itself by the socket's name first. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>

int main(void) {
    const char *number = getenv("NORTHSTAR_SOCKET_mail");
    if (number == NULL) return EXIT_FAILURE;
    int mail = atoi(number), out = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    struct sockaddr_un name = {.sun_family = AF_UNIX, .sun_path = "/sockets/sockets:1.0.0:mail"};
    if (sendto(out, "hello", 5, 0, (struct sockaddr *)&name, sizeof name) != 5) perror(name.sun_path);
    for (;;) {
        char letter[256];
        ssize_t size = recv(mail, letter, sizeof letter, 0);
        if (size < 0) return EXIT_FAILURE;
        printf("received: %.*s\n", (int)size, letter);
        fflush(stdout);
    }
}
