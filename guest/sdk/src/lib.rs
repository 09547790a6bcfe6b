//! Write a Cordboard tenant: a voice agent on a telephone call, as a WebAssembly component.
//!
//! **A tenant is a fold.** The host tells what happened and the time; the tenant answers with what to
//! do. This crate does the part that is the same for everybody — which session to ask for, when to
//! stop talking, what to tell the model afterwards, one response at a time, tools answered once,
//! transcripts kept, state handed over — and leaves to the author a trait whose methods all have
//! defaults.
//!
//! ```
//! use cordboard_sdk::{Call, CallInfo, Greeting, Session, Tenant};
//!
//! struct Florist;
//!
//! impl Tenant for Florist {
//!     fn new(_: &CallInfo) -> Florist {
//!         Florist
//!     }
//!
//!     fn session(&self, _: &CallInfo) -> Session {
//!         Session {
//!             instructions: "You take orders for a flower shop.".into(),
//!             greeting: Some(Greeting::Say("Flowers by Ada, good morning!".into())),
//!             ..Session::default()
//!         }
//!     }
//!
//!     fn caller_key(&mut self, call: &mut Call, key: char) {
//!         if key == '0' {
//!             call.transfer("+15550100", None);
//!         }
//!     }
//! }
//!
//! // In a component: cordboard_sdk::export!(Florist);
//! let mut harness = cordboard_sdk::harness::Harness::<Florist>::start();
//! harness.model_ready();
//! harness.model_says("Flowers by Ada, good morning!", 1_500);
//! harness.hear_all();
//! harness.key('0');
//! assert_eq!(harness.transfers(), ["+15550100"]);
//! ```
//!
//! The modules are small machines without sockets or clocks: what is unplayed, whose turn it is, which
//! tool runs, what was said. [`blocks`] has more of them for an author to choose from: telephone menus, waiting
//! on hold, budgets. [`harness`] runs a tenant in a unit test, natively, on a virtual clock.
//! The contract is `wit/tenant.wit`; the life of a call is told in `wit/README.md`.

pub mod bindings;
pub mod blocks;
pub mod harness;
pub mod limits;

mod agent;
mod call;
mod ending;
mod keys;
mod paths;
mod playback;
mod responses;
mod session;
mod setup;
mod slot;
mod state;
mod tenant;
mod tone;
mod tools;
mod turns;
mod voice;
mod wire;
mod work;

pub use bindings::cordboard::tenant::log::Level;
pub use bindings::cordboard::tenant::types::{
    Action, AudioFormat, CallInfo, Dialect, Direction, Encoding, Ended, Event, Flushed, HangUp,
    HangUpWhen, Heard, HttpFailure, HttpRequest, HttpResponse, ModelAudio, ModelInfo, Play,
    Publication, Refusal, Timer, Transfer,
};
pub use call::{Call, Role};
pub use cordboard_audio::dtmf::{ToneError, ToneSettings};
pub use cordboard_audio::{Path, Profile};
pub use keys::UnplayableKeys;
pub use session::{
    Audio, Eagerness, Greeting, Idle, NoiseReduction, Session, Transcription, TurnDetection,
};
#[doc(hidden)]
pub use slot::Slot;
pub use tenant::{Hearing, Instance, Tenant};
pub use tools::{Deed, Tool, ToolAnswer, ToolCall, ToolKind};
pub use turns::{Speaker, Turn};
pub use voice::{UnknownVoice, VOICES, Voice};

/// Writes to the tenant's log: the host's inside a component; in a native test, warnings and errors
/// go to standard error.
pub fn log(level: Level, message: &str) {
    #[cfg(target_family = "wasm")]
    bindings::cordboard::tenant::log::log(level, message);
    #[cfg(not(target_family = "wasm"))]
    if matches!(level, Level::Warn | Level::Error) {
        eprintln!("{level:?}: {message}");
    }
}

/// Makes a type that is a [`Tenant`] the component's export, in the world `tenant-handover`.
///
/// Natively it only checks the type: the exports' names are nothing a native linker takes.
#[macro_export]
macro_rules! export {
    ($tenant:ty) => {
        const _: fn(&$crate::Slot<$tenant>, u64, $crate::Event) -> ::std::vec::Vec<$crate::Action> =
            $crate::Slot::handle;

        #[cfg(target_family = "wasm")]
        mod cordboard_component {
            use super::*;
            use $crate::bindings::exports::cordboard::tenant::{handler, handover};

            ::std::thread_local! {
                static SLOT: $crate::Slot<$tenant> = const { $crate::Slot::new() };
            }

            struct Component;

            impl handler::Guest for Component {
                fn handle(now: u64, event: $crate::Event) -> ::std::vec::Vec<$crate::Action> {
                    SLOT.with(|slot| slot.handle(now, event))
                }
            }

            impl handover::Guest for Component {
                fn save() -> ::std::vec::Vec<u8> {
                    SLOT.with($crate::Slot::save)
                }

                fn load(
                    now: u64,
                    info: $crate::CallInfo,
                    state: ::std::vec::Vec<u8>,
                ) -> ::std::result::Result<(), ::std::string::String> {
                    SLOT.with(|slot| slot.load(now, info, &state))
                }
            }

            $crate::bindings::export_world!(Component with_types_in $crate::bindings);
        }
    };
}
