/* Makes a call that the manifest allows with these arguments, then one with others: the kernel ends it by SIGSYS. */
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

int main(void) {
    int local = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    printf("a unix socket: descriptor %d\n", local);
    puts("a network socket: is not allowed");
    fflush(stdout);
    socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    puts("the filter does not work");
    return 0;
}
