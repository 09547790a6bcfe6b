//! Knows our log, and exports nothing.
#![cfg(target_family = "wasm")]

wit_bindgen::generate!({
    inline: "
        package acme:silent;
        world silent { import cordboard:tenant/log@0.1.0; }
    ",
    path: "../../../wit",
    world: "acme:silent/silent",
    generate_all,
});

#[unsafe(no_mangle)]
pub extern "C" fn keep_the_import() {
    cordboard::tenant::log::log(cordboard::tenant::log::Level::Info, "hello");
}
