/* Prints the network devices that it sees. */
#include <net/if.h>
#include <stdio.h>
#include <unistd.h>

int main(void) {
    struct if_nameindex *devices = if_nameindex();
    if (devices == NULL) {
        perror("network devices");
        return 1;
    }
    for (struct if_nameindex *each = devices; each->if_index != 0; each++) printf("device %s\n", each->if_name);
    if_freenameindex(devices);
    fflush(stdout);
    pause();
}
