/* Has the runtime make a token for token-server, shows it there, then shows one of its own making. */
#include "../speak.h"
#include <sys/socket.h>
#include <sys/un.h>

static void knock(const char *token) {
    struct sockaddr_un name = {.sun_family = AF_UNIX, .sun_path = "/sockets/token-server:1.0.0:door"};
    int door = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    char answer[64] = "";
    if (connect(door, (struct sockaddr *)&name, sizeof name) < 0) {
        perror(name.sun_path);
        exit(EXIT_FAILURE);
    }
    dprintf(door, "%s\n", token);
    if (recv(door, answer, sizeof answer - 1, 0) < 0) perror("recv");
    printf("the server says: %s", answer);
    fflush(stdout);
    close(door);
}

int main(void) {
    char answer[512], token[57] = "";
    say_hello();
    ask("{\"request\":{\"token_create\":{\"target\":\"token-server\",\"shared\":\"ZG9vcg==\"}}}", answer,
        sizeof answer);
    const char *found = strstr(answer, "\"token\":\"");
    if (found == NULL) {
        puts(answer);
        return EXIT_FAILURE;
    }
    snprintf(token, sizeof token, "%s", found + 9);
    knock(token);
    token[20] = token[20] == 'A' ? 'B' : 'A';
    knock(token);
    pause();
}
