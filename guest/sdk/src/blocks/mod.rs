//! Building blocks: small machines for what many tenants need beyond the turn-taking.
//!
//! **A block is told what happened and the time, and says what to do; it does nothing by itself.** A tenant owns the blocks it
//! uses, hands events in, and carries out what comes back, a few lines each. What a block remembers is its `state`; a
//! successor makes the same block of its own settings and that state with `resume`. [`pack`] and [`unpack`] turn the states of all
//! blocks of a tenant into bytes and back.
//!
//! The words of a language are data in the settings: English by default, any other by the author.

pub mod budget;
pub mod echo;
pub mod goodbye;
pub mod hold;
pub mod idle;
pub mod interrupt;
pub mod keys;
pub mod menu;
pub mod transcript;

mod audio;
mod phrases;
mod said;

pub use phrases::Phrases;
pub use said::CallerText;

use serde::Serialize;
use serde::de::DeserializeOwned;

/// Writes down states for [`Tenant::save`](crate::Tenant::save): one, or several as a tuple.
///
/// ```
/// use cordboard_sdk::blocks::menu::{Menu, MenuSettings};
/// use cordboard_sdk::blocks::{pack, unpack};
///
/// let menu = Menu::new(MenuSettings::default());
/// let bytes = pack(&(menu.state(), 42u32));
/// let (state, number) = unpack::<(_, u32)>(&bytes).unwrap();
/// assert_eq!(Menu::resume(MenuSettings::default(), state), menu);
/// assert_eq!(number, 42);
/// ```
pub fn pack<S: Serialize>(states: &S) -> Vec<u8> {
    postcard::to_allocvec(states).expect("plain values of known length always have a form")
}

/// Reads what [`pack`] wrote, for [`Tenant::load`](crate::Tenant::load).
///
/// # Errors
///
/// Bytes that `pack` cannot have written for these types, in words for the tenant's own refusal.
pub fn unpack<S: DeserializeOwned>(bytes: &[u8]) -> Result<S, String> {
    match postcard::take_from_bytes(bytes) {
        Ok((states, [])) => Ok(states),
        Ok(_) | Err(_) => Err("the state of the building blocks is cut off or corrupt".into()),
    }
}
