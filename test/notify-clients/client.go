// The protocol by coreos/go-systemd.
package main

import (
	"os"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
)

func main() {
	sent, err := daemon.SdNotify(false, daemon.SdNotifyReady+"\nSTATUS=from Go")
	if !sent || err != nil {
		os.Exit(1)
	}
	for i := 0; i < 10; i++ {
		daemon.SdNotify(false, daemon.SdNotifyWatchdog)
		time.Sleep(200 * time.Millisecond)
	}
	time.Sleep(time.Hour)
}
