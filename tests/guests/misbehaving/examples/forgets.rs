//! Counts frames, and hands over nothing of it.
#![cfg(target_family = "wasm")]

use std::cell::Cell;

cordboard_misbehaving::guest_with_handover!(handle, save, load);

thread_local! {
    static FRAMES: Cell<u64> = const { Cell::new(0) };
}

fn handle(_now: u64, event: Event) -> Vec<Action> {
    match event {
        Event::CallerAudio(_) => {
            FRAMES.set(FRAMES.get() + 1);
            Vec::new()
        }
        Event::CallerKey(_) => {
            let json = FRAMES.get().to_string();
            vec![Action::Publish(Publication { topic: "frames".into(), json })]
        }
        _ => Vec::new(),
    }
}

fn save() -> Vec<u8> {
    Vec::new()
}

fn load(_now: u64, _info: CallInfo, _state: Vec<u8>) -> Result<(), String> {
    Ok(())
}
