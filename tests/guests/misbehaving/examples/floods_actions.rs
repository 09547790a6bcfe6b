//! Answers every event with as many publications as one answer may hold.
#![cfg(target_family = "wasm")]

cordboard_misbehaving::guest!(handle);

fn handle(_now: u64, _event: Event) -> Vec<Action> {
    let spam = || Publication { topic: "spam".into(), json: "\"spam\"".into() };
    (0..256).map(|_| Action::Publish(spam())).collect()
}
