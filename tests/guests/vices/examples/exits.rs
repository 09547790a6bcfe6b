//! Leaves.
#![cfg(target_family = "wasm")]

cordboard_vices::guest!(handle);

fn handle(_now: u64, _event: Event) -> Vec<Action> {
    std::process::exit(7);
}
