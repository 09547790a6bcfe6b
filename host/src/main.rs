//! The `cordboard` program.

use std::process::ExitCode;

use clap::Parser as _;

fn main() -> ExitCode {
    cordboard::cli::Cli::parse().run()
}
