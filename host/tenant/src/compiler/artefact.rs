//! A compiled component, as bytes, and the one unsafe call of this project.

use wasmtime::component::Component;

/// A compiled component: machine code, that runs with the gateway's rights once it is loaded.
///
/// **Bytes become one in three places only**, which the argument in [`Artefact::load`] names.
/// Whoever adds a fourth has to extend it.
pub(crate) struct Artefact(Vec<u8>);

impl Artefact {
    /// Trusts bytes to be the compiler's output.
    pub(in crate::compiler) fn from_the_compiler(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    /// Trusts bytes to be a cache entry whose keyed hash was just verified over these very bytes.
    pub(crate) fn from_a_verified_entry(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// Turns it into a component that can be instantiated.
    ///
    /// # Errors
    ///
    /// When it was compiled by another wasmtime, with other settings or for another CPU.
    #[expect(unsafe_code, reason = "the argument is written out below")]
    pub(crate) fn load(&self, engine: &wasmtime::Engine) -> wasmtime::Result<Component> {
        // SAFETY: `Component::deserialize` asks that the bytes be the unchanged output of
        // `precompile_component` by the same wasmtime. Who could have written them:
        // - This process: `compiler::in_process` hands on what `precompile_component` returned.
        // - Our child: `compiler::child` read them from a pipe that it made itself and whose
        //   writing end only the child holds. The child is this program (`/proc/self/exe`, the very
        //   file that runs here, even if another has been put in its place) or the one that the
        //   program embedding us named; it writes there only what `precompile_component` returned,
        //   and what it wrote counts only if it then ended by itself with success, so nothing cut
        //   short or half written gets here. Who may attach to the child or write to its pipe runs
        //   as our user and needs no such detour. A component that takes the compiler over (a fault
        //   in wasmparser or Cranelift, both memory-safe Rust) could write any bytes. That is no
        //   more than it could do when the compiler ran in this process, and no less: the child is
        //   confined against what a component costs, and its confinement is no argument here.
        //   Cranelift is trusted to make code that keeps to its sandbox, in either process.
        // - The cache: `CompiledCache::get` has just verified their HMAC-SHA256 under a key that
        //   only this user can read and that the child never sees. The only code that computes that
        //   HMAC for writing is `CompiledCache::put`, over an artefact of the two kinds above. The
        //   bytes are a copy in our memory, not a mapping of the file, so nobody can change them
        //   between the check and the use. The HMAC covers the compatibility hash.
        // - Of the same wasmtime: its full version, its settings and the CPU's features are part of
        //   what an artefact says of itself (`ModuleVersionStrategy::Custom` in engine.rs), and
        //   wasmtime checks them before it uses anything else.
        unsafe { Component::deserialize(engine, &self.0) }
    }
}
