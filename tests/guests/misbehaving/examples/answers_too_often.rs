//! Answers one event with ten thousand actions.
#![cfg(target_family = "wasm")]

cordboard_misbehaving::guest!(handle);

fn handle(_now: u64, event: Event) -> Vec<Action> {
    match event {
        Event::Timer(count) => (0..count).map(Action::CancelTimer).collect(),
        _ => Vec::new(),
    }
}
