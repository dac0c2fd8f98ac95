//! Sends what a file of its image says, once.
use std::{env, fs, process::ExitCode};

fn main() -> ExitCode {
    let name = env::var("NORTHSTAR_CONTAINER").unwrap_or_default();
    match fs::read_to_string("/etc/message") {
        Ok(message) if cfg!(feature = "loud") => println!("{name}: {}", message.trim().to_uppercase()),
        Ok(message) => println!("{name}: {}", message.trim()),
        Err(error) => {
            eprintln!("/etc/message: {error}");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}
