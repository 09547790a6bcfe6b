//! Plays what it hears and hands over well, like `echoes`, and traps on every frame of the first 20 ms of each
//! second of its call: once a second, on a call whose frames come in time.
#![cfg(target_family = "wasm")]

use std::cell::Cell;

cordboard_misbehaving::guest_with_handover!(handle, save, load);

thread_local! {
    static FRAMES: Cell<u64> = const { Cell::new(0) };
}

fn handle(now: u64, event: Event) -> Vec<Action> {
    let Event::CallerAudio(audio) = event else { return Vec::new() };
    if now >= 1_000 && now % 1_000 < 20 {
        core::arch::wasm32::unreachable();
    }
    FRAMES.set(FRAMES.get() + 1);
    vec![Action::Play(Play { item: "echo".into(), audio, last: false })]
}

fn save() -> Vec<u8> {
    FRAMES.get().to_le_bytes().to_vec()
}

fn load(_now: u64, _info: CallInfo, state: Vec<u8>) -> Result<(), String> {
    let frames = state.try_into().map_err(|_| "a count has eight bytes".to_owned())?;
    FRAMES.set(u64::from_le_bytes(frames));
    Ok(())
}
