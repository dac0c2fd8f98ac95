# The protocol by Debian's python3-systemd.
import time
from systemd import daemon

assert daemon.notify("READY=1\nSTATUS=from python3-systemd")
for _ in range(10):
    daemon.notify("WATCHDOG=1")
    time.sleep(0.2)
time.sleep(3600)
