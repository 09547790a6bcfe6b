//! Saves twice as much each time.
#![cfg(target_family = "wasm")]

use std::cell::Cell;

cordboard_misbehaving::guest_with_handover!(handle, save, load);

thread_local! {
    static BYTES: Cell<usize> = const { Cell::new(1 << 10) };
}

fn handle(_now: u64, _event: Event) -> Vec<Action> {
    Vec::new()
}

fn save() -> Vec<u8> {
    BYTES.set(BYTES.get() * 2);
    vec![0; BYTES.get()]
}

fn load(_now: u64, _info: CallInfo, _state: Vec<u8>) -> Result<(), String> {
    Ok(())
}
