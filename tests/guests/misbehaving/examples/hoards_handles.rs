//! Opens its own stderr again and again and keeps every handle.
#![cfg(target_family = "wasm")]

cordboard_misbehaving::guest!(handle);

fn handle(_now: u64, _event: Event) -> Vec<Action> {
    #[cfg(target_family = "wasm")]
    for _ in 0..10_000 {
        #[link(wasm_import_module = "wasi:cli/stderr@0.2.0")]
        unsafe extern "C" {
            #[link_name = "get-stderr"]
            fn get_stderr() -> i32;
        }
        std::hint::black_box(unsafe { get_stderr() });
    }
    Vec::new()
}
