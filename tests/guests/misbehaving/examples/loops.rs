//! Loops for ever on every event but `started`; on that one too when its settings say so.
#![cfg(target_family = "wasm")]

cordboard_misbehaving::guest!(handle);

fn handle(_now: u64, event: Event) -> Vec<Action> {
    match event {
        Event::Started(info) if info.settings != "\"loop\"" => Vec::new(),
        _ => loop {
            std::hint::black_box(0);
        },
    }
}
