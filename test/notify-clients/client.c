/* The protocol by libsystemd. */
#include <systemd/sd-daemon.h>
#include <unistd.h>

int main(void) {
    if (sd_notify(0, "READY=1\nSTATUS=from C") <= 0) return 1;
    for (int i = 0; i < 10; i++) {
        sd_notify(0, "WATCHDOG=1");
        usleep(200000);
    }
    pause();
}
