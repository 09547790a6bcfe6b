//! Plays as many bytes at once as a timer's token says.
#![cfg(target_family = "wasm")]

cordboard_misbehaving::guest!(handle);

fn handle(_now: u64, event: Event) -> Vec<Action> {
    match event {
        Event::Timer(bytes) => {
            let audio = vec![0xff; bytes as usize];
            vec![Action::Play(Play { item: "flood".into(), audio, last: true })]
        }
        _ => Vec::new(),
    }
}
