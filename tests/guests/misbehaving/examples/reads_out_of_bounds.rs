//! Reads where there is no memory.
#![cfg(target_family = "wasm")]

cordboard_misbehaving::guest!(handle);

fn handle(_now: u64, _event: Event) -> Vec<Action> {
    #[cfg(target_family = "wasm")]
    {
        // Safe Rust cannot; a C guest with a wild pointer does.
        let nowhere = std::hint::black_box(usize::MAX - 64) as *const u8;
        return vec![Action::CancelTimer(u64::from(unsafe { nowhere.read_volatile() }))];
    }
    #[cfg(not(target_family = "wasm"))]
    Vec::new()
}
