//! Logs ten megabytes in one message.
#![cfg(target_family = "wasm")]

cordboard_misbehaving::guest!(handle);

fn handle(_now: u64, _event: Event) -> Vec<Action> {
    log::log(log::Level::Info, &"all work and no play ".repeat(500_000));
    Vec::new()
}
