//! The one unsafe call of this project.

use wasmtime::Engine;
use wasmtime::component::Component;

/// Turns a compiled component back into one that can be instantiated.
///
/// # Errors
///
/// When the bytes were compiled by another wasmtime, with other settings or for another CPU.
#[expect(unsafe_code, reason = "the argument is written out below")]
pub(super) fn deserialize(engine: &Engine, compiled: &[u8]) -> wasmtime::Result<Component> {
    // SAFETY: `Component::deserialize` asks that the bytes be the unchanged output of `Component::serialize` by the
    // same wasmtime. They are:
    // - The only caller is `CompiledCache::get`, which has just verified their HMAC-SHA256 under a key that only this
    //   user can read, and the only code that computes that HMAC for writing is `CompiledCache::put`, over the
    //   output of `serialize`.
    // - They are the very bytes that were verified: a copy in our memory, not a mapping of the file, so nobody
    //   can change them between the check and the use.
    // - The HMAC covers the compatibility hash, which covers wasmtime's full version, its settings and the CPU's
    //   features; and wasmtime checks version, settings and features once more by itself.
    // Who can read the key file or our memory runs as our user and needs no such detour.
    unsafe { Component::deserialize(engine, compiled) }
}
