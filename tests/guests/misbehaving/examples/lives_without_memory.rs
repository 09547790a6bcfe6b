//! Asks for too much memory, and is content when it gets none.
#![cfg(target_family = "wasm")]

cordboard_misbehaving::guest!(handle);

fn handle(_now: u64, event: Event) -> Vec<Action> {
    match event {
        Event::Command(_) => {
            let mut much: Vec<u8> = Vec::new();
            let refused = much.try_reserve_exact(1 << 30).is_err();
            vec![Action::Publish(Publication {
                topic: "refused".into(),
                json: refused.to_string(),
            })]
        }
        Event::Timer(_) => panic!("for another reason"),
        _ => Vec::new(),
    }
}
