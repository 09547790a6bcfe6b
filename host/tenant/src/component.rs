//! A component that was vetted, compiled and type-checked: ready to answer calls.

use std::fmt;
use std::sync::{Arc, PoisonError, mpsc};
use std::thread;
use std::time::Duration;

use wasmtime::component::InstancePre;

use crate::abi::{self, handler, handover};
use crate::cache::CompiledCache;
use crate::engine::Engine;
use crate::limits::{CompileLimits, MEMORY_BYTES_CEILING, fixed};
use crate::state::GuestState;
use crate::version_store::Digest;
use crate::vet::{self, VetError};

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
}

impl fmt::Debug for Component {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Component")
            .field("digest", &self.inner.digest)
            .field("has_handover", &self.has_handover())
            .finish()
    }
}

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
        vet::vet(bytes, limits)?;
        Self::link(engine, Digest::of(bytes), compile(engine, bytes, limits)?, false)
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
        vet::vet(bytes, limits)?;
        let digest = Digest::of(bytes);
        if let Some(compiled) = cache.get(engine, &digest) {
            return Self::link(engine, digest, compiled, true);
        }
        let compiled = compile(engine, bytes, limits)?;
        cache.put(engine, &digest, &compiled);
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
        let wrong = |e: wasmtime::Error| VetError::WrongTypes(format!("{e:#}"));
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
        let inner = Inner { engine, pre, handler, handover, digest, from_cache };
        Ok(Self { inner: Arc::new(inner) })
    }
}

/// Compiles on threads of its own, so that the deadline holds and running calls come first.
///
/// Cranelift cannot be stopped: a compilation that is given up runs to its end in the background, and
/// until then the next one waits, for which it is not blamed: its own time begins with its turn. The bound on a component's size
/// bounds that too.
fn compile(
    engine: &Engine,
    bytes: &[u8],
    limits: &CompileLimits,
) -> Result<wasmtime::component::Component, VetError> {
    let (sender, compiled) = mpsc::sync_channel(1);
    let (my_turn, turn_came) = mpsc::sync_channel(1);
    let (wasm, turn, bytes) = (engine.wasm().clone(), engine.compiling(), bytes.to_vec());
    thread::Builder::new()
        .name("cordboard-compile".into())
        .spawn(move || {
            let _turn = turn.lock().unwrap_or_else(PoisonError::into_inner);
            if my_turn.send(()).is_err() {
                // Whoever asked has stopped waiting.
                return;
            }
            let compiled =
                at_low_priority(|| wasmtime::component::Component::from_binary(&wasm, &bytes));
            // Nobody listens any more when the deadline has passed.
            let _ = sender.send(compiled);
        })
        .map_err(|e| VetError::DoesNotCompile(format!("no thread to compile on: {e}")))?;
    turn_came.recv_timeout(TURN_WITHIN).map_err(|_| VetError::CompilerBusy(TURN_WITHIN))?;
    match compiled.recv_timeout(limits.compile_deadline) {
        Ok(Ok(component)) => Ok(component),
        Ok(Err(e)) => Err(VetError::DoesNotCompile(format!("{e:#}"))),
        Err(mpsc::RecvTimeoutError::Timeout) => {
            Err(VetError::CompileTimeout(limits.compile_deadline))
        }
        Err(mpsc::RecvTimeoutError::Disconnected) => {
            Err(VetError::DoesNotCompile("the compiler panicked".into()))
        }
    }
}

/// How long a component waits for those that are compiled before it: one that takes its whole deadline.
const TURN_WITHIN: Duration = Duration::from_secs(240);

/// How much the compiler's threads give way to those of the calls: with equal claims the kernel lets them have
/// about a tenth of a core.
const COMPILER_NICENESS: i32 = 10;

/// Runs the compiler on a pool of threads that the scheduler prefers all others to. Without one, for want of threads
/// or of the right to say so, it competes with the calls, which is slower for them and no reason to deploy nothing.
fn at_low_priority<T: Send>(compile: impl FnOnce() -> T + Send) -> T {
    let pool = rayon::ThreadPoolBuilder::new()
        .thread_name(|nth| format!("cordboard-compile-{nth}"))
        .start_handler(|_| {
            if let Err(e) = rustix::process::nice(COMPILER_NICENESS) {
                tracing::warn!("the compiler competes with calls: {e}");
            }
        })
        .build();
    match pool {
        Ok(pool) => pool.install(compile),
        Err(e) => {
            tracing::warn!("the compiler competes with calls: {e}");
            compile()
        }
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
