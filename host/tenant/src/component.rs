//! A component that was vetted, compiled and type-checked: ready to answer calls.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use wasmtime::component::InstancePre;

use crate::abi::{self, handler, handover};
use crate::cache::CompiledCache;
use crate::engine::Engine;
use crate::limits::{CompileLimits, MEMORY_BYTES_CEILING, fixed};
use crate::state::GuestState;
use crate::version_store::Digest;
use crate::vet::{self, VetError, shortened};

/// A tenant's component, ready to be instantiated. Clones are cheap and the same component.
#[derive(Clone)]
pub struct Component {
    inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) engine: Engine,
    pub(crate) pre: InstancePre<GuestState>,
    pub(crate) handler: handler::GuestIndices,
    pub(crate) handover: Option<handover::GuestIndices>,
    digest: Digest,
    from_cache: bool,
    /// The most memory an instance held right after its start, in bytes; 0 before the first.
    pub(crate) start_bytes: AtomicUsize,
}

impl fmt::Debug for Component {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Component")
            .field("digest", &self.inner.digest)
            .field("has_handover", &self.has_handover())
            .finish()
    }
}

/// A component that is to become ready.
#[derive(Clone, Copy)]
pub(crate) struct Preparation<'a> {
    /// Whose it is: tenants take turns at the compiler.
    pub(crate) tenant: &'a str,
    pub(crate) bytes: &'a [u8],
    pub(crate) limits: &'a CompileLimits,
    pub(crate) cache: Option<&'a CompiledCache>,
}

/// Whose a component is that no tenant asked for: all such take turns as one tenant does.
const NOBODY: &str = "";

impl Component {
    /// Vets and compiles a component, without a cache.
    ///
    /// Blocks for as long as the compiler takes (0.1 s for a Rust guest, half a minute for a Python one): call it
    /// where blocking is allowed, never on a call's thread.
    ///
    /// # Errors
    ///
    /// [`VetError`], in words for the tenant's author.
    pub fn vet_and_compile(
        engine: &Engine,
        bytes: &[u8],
        limits: &CompileLimits,
    ) -> Result<Self, VetError> {
        Self::prepare(engine, &Preparation { tenant: NOBODY, bytes, limits, cache: None })
    }

    /// The same with a cache of compiled components: a known one is ready in well under a millisecond.
    ///
    /// A cache that cannot be read or written costs time and nothing else.
    ///
    /// # Errors
    ///
    /// [`VetError`], in words for the tenant's author.
    pub fn load(
        engine: &Engine,
        bytes: &[u8],
        limits: &CompileLimits,
        cache: &CompiledCache,
    ) -> Result<Self, VetError> {
        Self::prepare(engine, &Preparation { tenant: NOBODY, bytes, limits, cache: Some(cache) })
    }

    /// Vets a tenant's component, and compiles it in the tenant's turn unless the cache has it.
    pub(crate) fn prepare(engine: &Engine, asked: &Preparation<'_>) -> Result<Self, VetError> {
        let Preparation { tenant, bytes, limits, cache } = *asked;
        vet::vet(bytes, limits)?;
        let digest = Digest::of(bytes);
        if let Some(compiled) = cache.and_then(|cache| cache.get(engine, &digest)) {
            return Self::link(engine, digest, compiled, true);
        }
        let artefact = engine.compiler().compile(engine, tenant, bytes, limits)?;
        let compiled = artefact.load(engine.wasm()).map_err(|e| {
            VetError::CompilerFailed(format!("what it made does not fit this program: {e:#}"))
        })?;
        if let Some(cache) = cache {
            cache.put(engine, &digest, &artefact);
        }
        // As large as the code itself, and not needed for what may yet take a while.
        drop(artefact);
        Self::link(engine, digest, compiled, false)
    }

    /// The SHA-256 of the component's bytes.
    pub fn digest(&self) -> &Digest {
        &self.inner.digest
    }

    /// Whether a running call can be passed to or from it with its state.
    pub fn has_handover(&self) -> bool {
        self.inner.handover.is_some()
    }

    /// Whether the compiled form came from the cache.
    pub fn was_cached(&self) -> bool {
        self.inner.from_cache
    }

    /// The engine it was compiled for.
    pub fn engine(&self) -> &Engine {
        &self.inner.engine
    }

    /// The most memory an instance held right after its start, in bytes; 0 before the first.
    pub(crate) fn start_bytes(&self) -> usize {
        self.inner.start_bytes.load(Ordering::Relaxed)
    }

    pub(crate) fn inner(&self) -> &Inner {
        &self.inner
    }

    /// Checks the types of all imports and exports, once for all instances.
    fn link(
        engine: &Engine,
        digest: Digest,
        compiled: wasmtime::component::Component,
        from_cache: bool,
    ) -> Result<Self, VetError> {
        let wrong = |e: wasmtime::Error| VetError::WrongTypes(shortened(&format!("{e:#}")));
        vet_needs(&compiled)?;
        let pre = engine.linker().instantiate_pre(&compiled).map_err(wrong)?;
        let handler = handler::GuestIndices::new(&pre).map_err(wrong)?;
        abi::check_handler(&compiled).map_err(VetError::WrongTypes)?;
        let handover = if abi::exports_handover(&compiled) {
            abi::check_handover(&compiled).map_err(VetError::WrongTypes)?;
            Some(handover::GuestIndices::new(&pre).map_err(wrong)?)
        } else {
            None
        };
        let engine = engine.clone();
        let start_bytes = AtomicUsize::new(0);
        let inner = Inner { engine, pre, handler, handover, digest, from_cache, start_bytes };
        Ok(Self { inner: Arc::new(inner) })
    }
}

/// Refuses now what every instantiation would fail over later.
fn vet_needs(component: &wasmtime::component::Component) -> Result<(), VetError> {
    let Some(needs) = component.resources_required() else {
        return Err(VetError::WrongTypes("it imports a core module".into()));
    };
    let greedy = |needs: String, allowed: usize| Err(VetError::TooGreedy { needs, allowed });
    if needs.num_memories > fixed::MEMORIES_MAX {
        return greedy(format!("{} memories", needs.num_memories), fixed::MEMORIES_MAX as usize);
    }
    if needs.num_tables > fixed::TABLES_MAX {
        return greedy(format!("{} tables", needs.num_tables), fixed::TABLES_MAX as usize);
    }
    let memory_bytes = needs.max_initial_memory_size.unwrap_or(0);
    if memory_bytes > MEMORY_BYTES_CEILING as u64 {
        return greedy(
            format!("{memory_bytes} bytes of memory to start with"),
            MEMORY_BYTES_CEILING,
        );
    }
    let elements = needs.max_initial_table_size.unwrap_or(0);
    if elements > fixed::TABLE_ELEMENTS_MAX as u64 {
        return greedy(format!("a table of {elements} elements"), fixed::TABLE_ELEMENTS_MAX);
    }
    Ok(())
}
