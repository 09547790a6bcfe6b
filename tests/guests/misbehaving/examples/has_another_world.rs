//! A sound component of a world that has nothing to do with telephones.
#![cfg(target_family = "wasm")]

wit_bindgen::generate!({
    inline: "
        package acme:weather@1.0.0;
        interface forecast { tomorrow: func() -> string; }
        world station { export forecast; }
    ",
});

struct Guest;

impl exports::acme::weather::forecast::Guest for Guest {
    fn tomorrow() -> String {
        "rain".into()
    }
}

export!(Guest);
