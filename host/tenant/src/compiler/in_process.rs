//! Compiling on threads of this process, for want of a program to start.

use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use super::artefact::Artefact;
use super::turns::Turn;
use crate::engine::Engine;
use crate::vet::{VetError, shortened};

/// Compiles on threads of its own, so that the deadline holds and running calls come first.
///
/// Cranelift cannot be stopped: a compilation that is given up runs to its end in the background
/// and keeps its turn until then.
pub(super) fn compile(
    engine: &Engine,
    bytes: &[u8],
    deadline: Duration,
    turn: Turn,
) -> Result<Artefact, VetError> {
    let (sender, compiled) = mpsc::sync_channel(1);
    let (wasm, bytes) = (engine.wasm().clone(), bytes.to_vec());
    thread::Builder::new()
        .name("cordboard-compile".into())
        .spawn(move || {
            let _turn = turn;
            let compiled = at_low_priority(|| wasm.precompile_component(&bytes));
            // Nobody listens any more when the deadline has passed.
            let _ = sender.send(compiled);
        })
        .map_err(|e| VetError::CompilerFailed(format!("no thread to compile on: {e}")))?;
    match compiled.recv_timeout(deadline) {
        Ok(Ok(artefact)) => Ok(Artefact::from_the_compiler(artefact)),
        Ok(Err(e)) => Err(VetError::DoesNotCompile(shortened(&format!("{e:#}")))),
        Err(mpsc::RecvTimeoutError::Timeout) => Err(VetError::CompileTimeout(deadline)),
        Err(mpsc::RecvTimeoutError::Disconnected) => {
            Err(VetError::DoesNotCompile("the compiler panicked".into()))
        }
    }
}

/// How much the compiler's threads give way to those of the calls: with equal claims the kernel
/// lets them have about a tenth of a core.
const COMPILER_NICENESS: i32 = 10;

/// Runs the compiler on a pool of threads that the scheduler prefers all others to. Without one,
/// for want of threads or of the right to say so, it competes with the calls, which is slower for
/// them and no reason to deploy nothing.
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
