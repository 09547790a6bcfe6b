//! The child's side: a process that compiles one component and ends.
//!
//! **One rule: it takes from itself what it does not need before it reads the first byte of the
//! component.** What it may use is on its command line, the component comes on standard input, the
//! compiled form goes to standard output; its exit code says which of three ways it ended, and
//! words go to standard error.

use std::ffi::OsString;
use std::io::{self, Read as _, Write as _};
use std::process::ExitCode;

use super::confine;
use crate::engine::compile_only;

/// Its exit code for a component that does not compile; standard error says why.
pub(super) const REFUSED: u8 = 65;
/// Its exit code where the compiler was refused memory and could still say so.
pub(super) const OUT_OF_MEMORY: u8 = 71;
/// Its exit code where it can not work at all; standard error says why.
const BROKEN: u8 = 70;

/// What one child may use, and how it compiles.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Bounds {
    /// Memory that it writes to, in bytes.
    pub(super) memory_bytes: u64,
    /// Processor time of all its threads, in seconds.
    pub(super) cpu_s: u64,
    /// Threads to compile on.
    pub(super) threads: usize,
    /// Whether it compiles for [`Engine::counting_fuel`](crate::Engine::counting_fuel).
    pub(super) counts_fuel: bool,
    /// Whether it only says what this system can not take from it.
    pub(super) only_check: bool,
}

impl Bounds {
    /// As words for a command line.
    pub(super) fn to_arguments(self) -> [OsString; 5] {
        let Self { memory_bytes, cpu_s, threads, counts_fuel, only_check } = self;
        [
            memory_bytes.to_string().into(),
            cpu_s.to_string().into(),
            threads.to_string().into(),
            if counts_fuel { "fuel" } else { "time" }.into(),
            if only_check { "check" } else { "compile" }.into(),
        ]
    }

    fn from_arguments(arguments: &[OsString]) -> Option<Self> {
        let words: Vec<&str> = arguments.iter().map(|it| it.to_str()).collect::<Option<_>>()?;
        let [memory_bytes, cpu_s, threads, budget, what] = words[..] else { return None };
        Some(Self {
            memory_bytes: memory_bytes.parse().ok()?,
            cpu_s: cpu_s.parse().ok()?,
            threads: threads.parse().ok()?,
            counts_fuel: match budget {
                "fuel" => true,
                "time" => false,
                _ => return None,
            },
            only_check: match what {
                "check" => true,
                "compile" => false,
                _ => return None,
            },
        })
    }
}

/// Compiles one component from standard input to standard output, as the child that
/// [`CompilerProcess`](super::CompilerProcess) starts; `arguments` are those that it was given
/// after its own.
///
/// The first thing in a `main` but for finding out that this is what is asked: it must be the
/// process's only thread.
#[must_use]
pub fn compile_worker(arguments: &[OsString]) -> ExitCode {
    let Some(bounds) = Bounds::from_arguments(arguments) else {
        return ended(BROKEN, "this command is for the gateway alone: it compiles a component");
    };
    let mut missing = confine::limit(&bounds);
    // The engine looks at the machine it is on, so it is made before the machine is out of sight.
    let engine = match compile_only(bounds.counts_fuel) {
        Ok(engine) => engine,
        Err(e) => return ended(BROKEN, &format!("no compiler: {e:#}")),
    };
    missing.extend(confine::shut_in());
    if bounds.only_check {
        return written(missing.join("\n").as_bytes());
    }
    // From here on nothing is opened and nothing but this program's own words is believed.
    let mut component = Vec::new();
    if let Err(e) = io::stdin().lock().read_to_end(&mut component) {
        return match e.kind() {
            io::ErrorKind::OutOfMemory => ended(OUT_OF_MEMORY, ""),
            _ => ended(BROKEN, &format!("the component did not arrive: {e}")),
        };
    }
    let pool = rayon::ThreadPoolBuilder::new().num_threads(bounds.threads).build();
    let Ok(pool) = pool else {
        // Their stacks are the first memory it asks for.
        return ended(OUT_OF_MEMORY, "");
    };
    match pool.install(|| engine.precompile_component(&component)) {
        Ok(artefact) => written(&artefact),
        Err(e) if e.is::<wasmtime::OutOfMemory>() => ended(OUT_OF_MEMORY, ""),
        Err(e) => ended(REFUSED, &format!("{e:#}")),
    }
}

fn written(output: &[u8]) -> ExitCode {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(output).and_then(|()| stdout.flush()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => ended(BROKEN, &format!("nobody takes the compiled component: {e}")),
    }
}

fn ended(code: u8, words: &str) -> ExitCode {
    // Without a reader there is nobody to tell.
    let _ = io::stderr().write_all(words.as_bytes());
    ExitCode::from(code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bounds_a_child_is_given_are_those_it_reads() {
        for (counts_fuel, only_check) in [(false, false), (true, false), (false, true)] {
            let bounds =
                Bounds { memory_bytes: 1 << 30, cpu_s: 90, threads: 2, counts_fuel, only_check };

            assert_eq!(Bounds::from_arguments(&bounds.to_arguments()), Some(bounds));
        }
    }

    #[test]
    fn other_words_are_no_bounds() {
        for words in [&[][..], &["1", "2", "3", "time"], &["x", "2", "3", "time", "compile"]] {
            let words: Vec<OsString> = words.iter().map(Into::into).collect();

            assert_eq!(Bounds::from_arguments(&words), None, "{words:?}");
        }
    }
}
