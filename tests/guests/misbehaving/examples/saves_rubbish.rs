//! Saves something that it refuses to load itself.
#![cfg(target_family = "wasm")]

cordboard_misbehaving::guest_with_handover!(handle, save, load);

fn handle(_now: u64, _event: Event) -> Vec<Action> {
    Vec::new()
}

fn save() -> Vec<u8> {
    b"\xff\xfe rubbish".to_vec()
}

fn load(_now: u64, _info: CallInfo, state: Vec<u8>) -> Result<(), String> {
    String::from_utf8(state).map(drop).map_err(|e| e.to_string())
}
