// The protocol by the crate sd-notify, which takes paths alone.
use sd_notify::NotifyState::{Ready, Status, Watchdog};
use std::thread::sleep;
use std::time::Duration;

fn main() {
    sd_notify::notify(&[Ready, Status("from Rust")]).unwrap();
    for _ in 0..10 {
        sd_notify::notify(&[Watchdog]).unwrap();
        sleep(Duration::from_millis(200));
    }
    sleep(Duration::from_secs(3600));
}
