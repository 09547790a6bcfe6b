//! Works for as many rounds as a command asks for, then answers: slow, not endless.
#![cfg(target_family = "wasm")]

cordboard_misbehaving::guest!(handle);

fn handle(_now: u64, event: Event) -> Vec<Action> {
    if let Event::Command(rounds) = event {
        let rounds: u64 = rounds.parse().expect("the test sends a number");
        let sum = (0..rounds).fold(0_u64, |sum, n| std::hint::black_box(sum ^ n));
        return vec![Action::CancelTimer(sum)];
    }
    Vec::new()
}
