//! A tenant that wants a database from its host.
#![cfg(target_family = "wasm")]

wit_bindgen::generate!({
    inline: "
        package acme:shop@1.0.0;
        interface db { query: func(sql: string) -> string; }
        world shop {
            import db;
            export cordboard:tenant/handler@0.1.0;
        }
    ",
    path: "../../../wit",
    world: "acme:shop/shop",
    generate_all,
});

use cordboard::tenant::types::{Action, Event};

struct Guest;

impl exports::cordboard::tenant::handler::Guest for Guest {
    fn handle(_now: u64, _event: Event) -> Vec<Action> {
        vec![Action::Mark(acme::shop::db::query("select 1"))]
    }
}

export!(Guest);
