//! Saves well, and never comes back from loading.
#![cfg(target_family = "wasm")]

cordboard_misbehaving::guest_with_handover!(handle, save, load);

fn handle(_now: u64, _event: Event) -> Vec<Action> {
    Vec::new()
}

fn save() -> Vec<u8> {
    b"state".to_vec()
}

fn load(_now: u64, _info: CallInfo, _state: Vec<u8>) -> Result<(), String> {
    loop {
        std::hint::black_box(0);
    }
}
