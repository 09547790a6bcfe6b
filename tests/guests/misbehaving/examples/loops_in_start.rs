//! Loops for ever in its start function, before any event.
#![cfg(target_family = "wasm")]

cordboard_misbehaving::guest!(handle);

fn handle(_now: u64, _event: Event) -> Vec<Action> {
    Vec::new()
}

/// The linker makes an export of this name the component's start function.
#[cfg(target_family = "wasm")]
#[unsafe(no_mangle)]
pub extern "C" fn _initialize() {
    loop {
        std::hint::black_box(0);
    }
}
