//! Calls itself without end.
#![cfg(target_family = "wasm")]

cordboard_misbehaving::guest!(handle);

fn handle(now: u64, _event: Event) -> Vec<Action> {
    vec![Action::CancelTimer(deeper(now))]
}

#[allow(unconditional_recursion, reason = "this is the fault")]
fn deeper(n: u64) -> u64 {
    let room = std::hint::black_box([n; 64]);
    deeper(n + 1) + room[0]
}
