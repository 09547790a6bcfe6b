//! Converts a raw audio file in streaming chunks, so that anyone's measuring kit can judge the resamplers.
//!
//! ```sh
//! cargo run --release -p cordboard-audio --example convert -- 8000 24000 in.ulaw out.raw --in-format ulaw
//! ```
//!
//! Exit codes: 0 done, 1 a file could not be read or written, 2 the command line makes no sense.

use std::process::ExitCode;

#[path = "convert/run.rs"]
mod run;

fn main() -> ExitCode {
    match run::run(std::env::args().skip(1)) {
        Ok(said) => {
            print!("{said}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("convert: {error}");
            ExitCode::from(error.exit_code())
        }
    }
}
