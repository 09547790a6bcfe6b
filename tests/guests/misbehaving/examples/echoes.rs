//! No fault at all: plays what it hears, counts it, and hands the count over.
#![cfg(target_family = "wasm")]

use std::cell::Cell;

cordboard_misbehaving::guest_with_handover!(handle, save, load);

thread_local! {
    static FRAMES: Cell<u64> = const { Cell::new(0) };
}

fn handle(_now: u64, event: Event) -> Vec<Action> {
    match event {
        Event::CallerAudio(audio) => {
            FRAMES.set(FRAMES.get() + 1);
            vec![Action::Play(Play { item: "echo".into(), audio, last: false })]
        }
        Event::Command(_) => {
            let json = FRAMES.get().to_string();
            vec![Action::Publish(Publication { topic: "frames".into(), json })]
        }
        _ => Vec::new(),
    }
}

fn save() -> Vec<u8> {
    FRAMES.get().to_le_bytes().to_vec()
}

fn load(_now: u64, _info: CallInfo, state: Vec<u8>) -> Result<(), String> {
    let frames = state.try_into().map_err(|_| "a count has eight bytes".to_owned())?;
    FRAMES.set(u64::from_le_bytes(frames));
    Ok(())
}
