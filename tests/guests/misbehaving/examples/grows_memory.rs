//! Takes a megabyte at each event and never gives it back.
#![cfg(target_family = "wasm")]

cordboard_misbehaving::guest!(handle);

fn handle(_now: u64, _event: Event) -> Vec<Action> {
    std::mem::forget(std::hint::black_box(vec![1_u8; 1 << 20]));
    Vec::new()
}
