//! What the guests of `examples/` share: one macro around the bindings.

/// Makes the file a tenant whose `handle` is the given function.
#[macro_export]
macro_rules! guest {
    ($handle:path) => {
        wit_bindgen::generate!({ path: "../../../wit", world: "tenant" });

        #[allow(unused_imports, reason = "not every guest needs every type")]
        use cordboard::tenant::{log, types::*};

        struct Guest;

        impl exports::cordboard::tenant::handler::Guest for Guest {
            fn handle(now: u64, event: Event) -> Vec<Action> {
                $handle(now, event)
            }
        }

        export!(Guest);
    };
}

/// Makes the file a tenant with hand-over: `handle`, `save` and `load` are the given functions.
#[macro_export]
macro_rules! guest_with_handover {
    ($handle:path, $save:path, $load:path) => {
        wit_bindgen::generate!({ path: "../../../wit", world: "tenant-handover" });

        #[allow(unused_imports, reason = "not every guest needs every type")]
        use cordboard::tenant::{log, types::*};

        struct Guest;

        impl exports::cordboard::tenant::handler::Guest for Guest {
            fn handle(now: u64, event: Event) -> Vec<Action> {
                $handle(now, event)
            }
        }

        impl exports::cordboard::tenant::handover::Guest for Guest {
            fn save() -> Vec<u8> {
                $save()
            }

            fn load(now: u64, info: CallInfo, state: Vec<u8>) -> Result<(), String> {
                $load(now, info, state)
            }
        }

        export!(Guest);
    };
}
