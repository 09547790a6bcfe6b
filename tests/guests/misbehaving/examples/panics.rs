//! Panics with a message that tries to write on the reader's terminal.
#![cfg(target_family = "wasm")]

cordboard_misbehaving::guest!(handle);

fn handle(_now: u64, _event: Event) -> Vec<Action> {
    panic!("the sky is \x1b[31mfalling");
}
