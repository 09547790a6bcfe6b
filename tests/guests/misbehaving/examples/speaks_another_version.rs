//! A tenant built for a contract that does not exist yet.
#![cfg(target_family = "wasm")]

wit_bindgen::generate!({
    inline: "
        package cordboard:tenant@0.2.0;
        interface handler { handle: func(now: u64) -> list<string>; }
        world tenant { export handler; }
    ",
});

struct Guest;

impl exports::cordboard::tenant::handler::Guest for Guest {
    fn handle(_now: u64) -> Vec<String> {
        Vec::new()
    }
}

export!(Guest);
