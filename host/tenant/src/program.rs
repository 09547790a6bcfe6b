//! Runs a component that is a program: a guest's own test suite, compiled for the guest's own target.
//!
//! **One rule: what runs here is the developer's, not a customer's.** A test suite gets the terminal, its
//! arguments and the `RUST_` variables that steer a test run, and as much time as it wants; still no files and no
//! sockets, because a tenant will not have them either. Of the contract it may import the log, which goes to standard
//! error.
//!
//! It is here because only this crate knows wasmtime, and because a suite should run in the very runtime
//! that will answer the calls.

use std::io::Write as _;

use wasmtime::component::{Component, HasSelf, Linker, ResourceTable};
use wasmtime::{Config, Engine, Store};
use wasmtime_wasi::p2::bindings::sync::Command;
use wasmtime_wasi::{I32Exit, WasiCtx, WasiCtxBuilder, WasiCtxView, WasiView};

use crate::abi;
use crate::vet::{self, VetError};

/// The export that makes a component a program, without its version.
const RUN: &str = "wasi:cli/run";
/// Stack for wasm frames, in bytes. 1 MiB: unoptimised code in a test needs more than a tenant does.
const STACK_BYTES: usize = 1 << 20;

/// Why a program did not run to its end.
#[derive(Debug, thiserror::Error)]
pub enum ProgramError {
    /// A core module, as plain `cargo test --target wasm32-wasip1` makes it.
    #[error(
        "{name} is a core module, not a component: test with `cargo test --target wasm32-wasip2` or with \
         `cargo component test`"
    )]
    CoreModule {
        /// The file's name.
        name: String,
    },
    /// A component that exports no program.
    #[error(
        "{name} is no program: it does not export {RUN}. This command runs the test suite that `cargo test \
         --target wasm32-wasip2` builds; a tenant itself is run by the gateway"
    )]
    NotAProgram {
        /// The file's name.
        name: String,
    },
    /// Not a component at all, or a broken one.
    #[error("cannot run {name}: {reason}")]
    Broken {
        /// The file's name.
        name: String,
        /// What is wrong with its bytes.
        reason: VetError,
    },
    /// Something is imported that is neither WASI 0.2 nor the contract's log.
    #[error(
        "{name} imports what this command does not give (it gives WASI 0.2 without files or sockets, and \
         cordboard:tenant/log): {reason}"
    )]
    Imports {
        /// The file's name.
        name: String,
        /// Wasmtime's own words.
        reason: String,
    },
    /// It trapped: in a test, most likely a panic, whose message it has printed itself.
    #[error("{name} ended in a trap; if a test panicked, its words are above\n{reason}")]
    Trapped {
        /// The file's name.
        name: String,
        /// Wasmtime's own words, with the guest's stack.
        reason: String,
    },
    /// Wasmtime itself could not be set up.
    #[error("the component runtime does not start: {0}")]
    Runtime(String),
}

/// Runs a program to its end, on this thread and its terminal, and returns its exit code.
///
/// `name` is what the program is told as its own name, the first of its arguments. Must not be called
/// from within an async runtime.
///
/// # Errors
///
/// [`ProgramError`], in words for whoever ran the tests.
pub fn run_program(name: &str, bytes: &[u8], arguments: &[String]) -> Result<i32, ProgramError> {
    vet_program(name, bytes)?;
    let imports = |e: wasmtime::Error| ProgramError::Imports {
        name: name.to_owned(),
        reason: format!("{e:#}"),
    };
    let runtime = |e: wasmtime::Error| ProgramError::Runtime(format!("{e:#}"));

    let mut config = Config::new();
    config.wasm_component_model(true).concurrency_support(false).max_wasm_stack(STACK_BYTES);
    let engine = Engine::new(&config).map_err(runtime)?;
    let component = Component::from_binary(&engine, bytes).map_err(imports)?;
    let mut linker = Linker::<Terminal>::new(&engine);
    wasmtime_wasi::p2::add_to_linker_sync(&mut linker).map_err(runtime)?;
    abi::log::add_to_linker::<_, HasSelf<_>>(&mut linker, |state| state).map_err(runtime)?;
    let program = linker.instantiate_pre(&component).map_err(imports)?;

    let mut store = Store::new(&engine, Terminal::with_arguments(name, arguments));
    let ended = program
        .instantiate(&mut store)
        .and_then(|instance| Command::new(&mut store, &instance))
        .and_then(|command| command.wasi_cli_run().call_run(&mut store));
    match ended {
        Ok(Ok(())) => Ok(0),
        Ok(Err(())) => Ok(1),
        Err(error) => match error.downcast_ref::<I32Exit>() {
            Some(I32Exit(code)) => Ok(*code),
            None => {
                Err(ProgramError::Trapped { name: name.to_owned(), reason: format!("{error:?}") })
            }
        },
    }
}

fn vet_program(name: &str, bytes: &[u8]) -> Result<(), ProgramError> {
    let name = name.to_owned();
    match vet::exports(bytes) {
        Ok(exports) if exports.iter().any(|export| vet::split(export).0 == RUN) => Ok(()),
        Ok(_) => Err(ProgramError::NotAProgram { name }),
        Err(VetError::CoreModule) => Err(ProgramError::CoreModule { name }),
        Err(reason) => Err(ProgramError::Broken { name, reason }),
    }
}

/// What a program's imports act on.
struct Terminal {
    wasi: WasiCtx,
    handles: ResourceTable,
}

impl Terminal {
    fn with_arguments(name: &str, arguments: &[String]) -> Self {
        let steering = std::env::vars().filter(|(name, _)| name.starts_with("RUST_"));
        let mut wasi = WasiCtxBuilder::new();
        wasi.inherit_stdio().arg(name).args(arguments);
        // A panic ends the program at once, so what libtest had captured of its words would never be shown.
        wasi.env("RUST_TEST_NOCAPTURE", "1");
        steering.for_each(|(name, value)| {
            wasi.env(name, value);
        });
        Self { wasi: wasi.build(), handles: ResourceTable::new() }
    }
}

impl WasiView for Terminal {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.handles }
    }
}

impl abi::log::Host for Terminal {
    fn log(&mut self, level: abi::log::Level, message: String) {
        let level = match level {
            abi::log::Level::Trace => "trace",
            abi::log::Level::Debug => "debug",
            abi::log::Level::Info => "info",
            abi::log::Level::Warn => "warn",
            abi::log::Level::Error => "error",
        };
        // A terminal that is gone is nothing a test suite could do anything about.
        let _ = writeln!(std::io::stderr(), "{level}: {message}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(bytes: &[u8]) -> String {
        run_program("suite.wasm", bytes, &[]).unwrap_err().to_string()
    }

    #[test]
    fn a_core_module_is_told_which_command_makes_a_component() {
        assert!(refusal(b"\0asm\x01\0\0\0").contains("cargo component test"));
    }

    #[test]
    fn a_component_without_a_program_is_told_so() {
        let said = refusal(b"\0asm\x0d\0\x01\0");
        assert!(said.contains("does not export wasi:cli/run"), "{said}");
    }

    #[test]
    fn what_is_no_wasm_is_named_with_what_it_looks_like() {
        let said = refusal(b"\x7fELF\x02");
        assert!(said.contains("suite.wasm") && said.contains("machine code"), "{said}");
    }
}
