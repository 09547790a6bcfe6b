//! Writes terminal escapes to the log, to stdout and to stderr, a thousand times an event.
#![cfg(target_family = "wasm")]

cordboard_misbehaving::guest!(handle);

fn handle(_now: u64, _event: Event) -> Vec<Action> {
    for n in 0..1_000 {
        log::log(log::Level::Error, &format!("\x1b[2Jlog {n}"));
        println!("\x1b[2Jout {n}");
        eprintln!("\x1b[2Jerr {n}");
    }
    Vec::new()
}
