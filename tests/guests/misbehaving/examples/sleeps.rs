//! Sleeps for an hour.
#![cfg(target_family = "wasm")]

cordboard_misbehaving::guest!(handle);

fn handle(_now: u64, event: Event) -> Vec<Action> {
    if matches!(event, Event::CallerKey(_)) {
        std::thread::sleep(std::time::Duration::from_secs(3_600));
    }
    Vec::new()
}
