# The protocol by sdnotify of PyPI.
import time
import sdnotify

client = sdnotify.SystemdNotifier(debug=True)
client.notify("READY=1")
client.notify("STATUS=from sdnotify")
for _ in range(10):
    client.notify("WATCHDOG=1")
    time.sleep(0.2)
time.sleep(3600)
