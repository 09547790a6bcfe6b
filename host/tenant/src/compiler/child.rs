//! The gateway's side of the compiler's process: start it, feed it, take what it made, and never
//! wait too long.

use std::ffi::OsString;
use std::io::{self, Read, Write as _};
use std::num::NonZero;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use rustix::process::Signal;

use super::artefact::Artefact;
use super::worker::{self, Bounds};
use crate::vet::{VetError, shortened};

/// A program that compiles one component and ends: it passes the arguments that follow
/// [`arguments`](Self::arguments) to [`compile_worker`](crate::compile_worker).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CompilerProcess {
    /// The program. It must be built from the same sources as this one, or what it compiles is
    /// refused.
    pub program: PathBuf,
    /// What makes the program a compiler.
    pub arguments: Vec<OsString>,
    /// Components compiled at once, each by a process of its own and of different tenants. 2: one
    /// tenant's is no obstacle to another's, and the machine is the calls' first of all.
    pub at_once: usize,
    /// Memory of one process that it writes to, in bytes. 1 GiB: a Python tenant of 19 MB compiles
    /// within half of it on two threads, and within all of it on eight.
    pub memory_bytes: u64,
    /// Processor time of one process, of all its threads together. 120 s: a Python tenant takes 10.
    pub cpu: Duration,
}

impl CompilerProcess {
    /// This program itself, made a compiler by these arguments.
    ///
    /// On Linux it is the very file that runs, even if another one has been put in its place since.
    #[must_use]
    pub fn this_program<const N: usize>(arguments: [&str; N]) -> Self {
        let program = if cfg!(target_os = "linux") {
            PathBuf::from("/proc/self/exe")
        } else {
            std::env::current_exe().unwrap_or_else(|_| PathBuf::from("cordboard"))
        };
        Self {
            program,
            arguments: arguments.map(OsString::from).to_vec(),
            at_once: 2,
            memory_bytes: 1 << 30,
            cpu: Duration::from_secs(120),
        }
    }

    /// What this system can not take from the compiler, in plain sentences; empty when all is well.
    pub(super) fn advice(&self) -> Vec<String> {
        let bounds = Bounds { only_check: true, ..self.bounds(false) };
        let ended = match run(self.command(bounds), &[], CHECK_WITHIN) {
            Ok(ended) => ended,
            Err(e) => return vec![format!("no component can be compiled: {e}")],
        };
        match ended {
            Ended { output: Output::Whole(words), status, .. } if status.success() => {
                less_confined(&String::from_utf8_lossy(&words)).into_iter().collect()
            }
            Ended { status, words, .. } => vec![format!(
                "no component can be compiled, since {} does not work as a compiler ({status}): \
                 {words}",
                self.program.display()
            )],
        }
    }

    pub(super) fn compile(
        &self,
        bytes: &[u8],
        counts_fuel: bool,
        within: Duration,
    ) -> Result<Artefact, VetError> {
        let ended = run(self.command(self.bounds(counts_fuel)), bytes, within).map_err(|e| {
            VetError::CompilerFailed(format!("it can not be started or heard: {e}"))
        })?;
        let Ended { output, status, words } = ended;
        match output {
            Output::Late => Err(VetError::CompileTimeout(within)),
            Output::TooLong => Err(VetError::CompiledTooBig { allowed: ARTEFACT_BYTES_MAX }),
            Output::Whole(artefact) if status.success() => {
                Ok(Artefact::from_the_compiler(artefact))
            }
            Output::Whole(_) => Err(self.why(status, words)),
        }
    }

    /// Why it ended without a compiled component.
    fn why(&self, status: ExitStatus, words: String) -> VetError {
        let memory = VetError::CompileMemory { allowed_mib: self.memory_bytes >> 20 };
        if status.code() == Some(worker::OUT_OF_MEMORY.into()) {
            return memory;
        }
        if status.code() == Some(worker::REFUSED.into()) {
            return VetError::DoesNotCompile(words);
        }
        match status.signal() {
            Some(signal) if signal == Signal::XCPU.as_raw() => VetError::CompileCpu(self.cpu),
            // Rust's own words before it aborts: of an allocation that failed, of a stack that was
            // used up.
            Some(_) if words.contains("memory allocation of") => memory,
            Some(_) if words.contains("overflowed its stack") => VetError::DoesNotCompile(
                "it nests so deep that the compiler ran out of stack".into(),
            ),
            Some(signal) => VetError::CompilerFailed(format!(
                "it was ended by signal {signal}, by somebody or by the kernel for want of memory"
            )),
            None if words.contains("panicked at") => {
                VetError::DoesNotCompile(format!("the compiler panicked: {words}"))
            }
            None => VetError::CompilerFailed(format!("{status}: {words}")),
        }
    }

    fn bounds(&self, counts_fuel: bool) -> Bounds {
        let threads = thread::available_parallelism().map_or(1, NonZero::get).min(THREADS_MAX);
        Bounds {
            memory_bytes: self.memory_bytes,
            cpu_s: self.cpu.as_secs().max(1),
            threads,
            counts_fuel,
            only_check: false,
        }
    }

    fn command(&self, bounds: Bounds) -> Command {
        let mut command = Command::new(&self.program);
        command.args(&self.arguments).args(bounds.to_arguments());
        // Keys and tokens are in our environment, and a signal to our group is none of its
        // business.
        command.env_clear().current_dir("/").process_group(0);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }
}

/// One line of what a system does not offer, of the lines in which the process said it.
fn less_confined(missing: &str) -> Option<String> {
    let missing: Vec<&str> = missing.lines().collect();
    (!missing.is_empty()).then(|| {
        format!("the compiler's process is confined less than it should be: {}", missing.join("; "))
    })
}

/// Threads of one compilation. Each takes a stack and the memory of the function it is at, so with
/// more of them the bound on memory would mean less on a large machine than on a small one.
const THREADS_MAX: usize = 8;
/// A compiled component, in bytes. 128 MiB: a Python tenant has 36 MB, and as much stays in the
/// gateway for as long as it may be asked to answer.
const ARTEFACT_BYTES_MAX: u64 = 128 << 20;
/// Words of a process that are kept, in bytes.
const WORDS_BYTES_MAX: u64 = 4 << 10;
/// For a process to say what the system offers; it takes some 10 ms.
const CHECK_WITHIN: Duration = Duration::from_secs(10);

/// What came of a process.
struct Ended {
    output: Output,
    status: ExitStatus,
    words: String,
}

enum Output {
    Whole(Vec<u8>),
    TooLong,
    /// It was not there in time, and the process was killed.
    Late,
}

/// Runs a process with this input, until it has closed its output, has written too much, or is
/// late. It is gone when this returns.
fn run(mut command: Command, input: &[u8], within: Duration) -> io::Result<Ended> {
    let mut child = Reaped(command.spawn()?);
    let pipes = (child.0.stdin.take(), child.0.stdout.take(), child.0.stderr.take());
    let (Some(mut stdin), Some(stdout), Some(mut stderr)) = pipes else {
        return Err(io::Error::other("its pipes are missing"));
    };
    let (sender, receiver) = mpsc::sync_channel(1);
    thread::scope(|scope| {
        let thread = |name: &str| thread::Builder::new().name(format!("cordboard-compile-{name}"));
        // Of a scope's closure an error must leave no thread behind that waits for a process that
        // runs on: the process goes first.
        let outcome = (|| {
            thread("in").spawn_scoped(scope, move || {
                // A process that ends without reading says elsewhere why.
                let _ = stdin.write_all(input);
            })?;
            thread("out").spawn_scoped(scope, move || {
                // Nobody listens any more when it is late.
                let _ = sender.send(bounded(stdout, ARTEFACT_BYTES_MAX));
            })?;
            let words = thread("words").spawn_scoped(scope, move || {
                let words = bounded(&mut stderr, WORDS_BYTES_MAX);
                // The rest is not kept, but taken, so that nobody waits with it.
                let _ = io::copy(&mut stderr, &mut io::sink());
                words
            })?;
            let output = match receiver.recv_timeout(within) {
                Ok(Ok((_, true))) => Output::TooLong,
                Ok(Ok((output, false))) => Output::Whole(output),
                Ok(Err(e)) => return Err(e),
                Err(_) => Output::Late,
            };
            // One that has closed its output is ending already, and its status is decided.
            let status = child.end()?;
            let words = words.join().ok().and_then(Result::ok).map(|(words, _)| words);
            let words = words.unwrap_or_default();
            let words = shortened(String::from_utf8_lossy(&words).trim());
            Ok(Ended { output, status, words })
        })();
        drop(child);
        outcome
    })
}

/// Reads no more than so many bytes; true where there are more.
fn bounded(from: impl Read, bytes_max: u64) -> io::Result<(Vec<u8>, bool)> {
    let mut bytes = Vec::new();
    from.take(bytes_max + 1).read_to_end(&mut bytes)?;
    let too_long = bytes.len() as u64 > bytes_max;
    Ok((bytes, too_long))
}

/// A process that does not outlive its owner.
struct Reaped(Child);

impl Reaped {
    fn end(&mut self) -> io::Result<ExitStatus> {
        // One that has ended already is as well.
        let _ = self.0.kill();
        self.0.wait()
    }
}

impl Drop for Reaped {
    fn drop(&mut self) {
        let _ = self.end();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_system_does_not_offer_is_one_line_and_nothing_where_it_offers_all() {
        let said =
            less_confined("this kernel has no Landlock\na compilation may use any system call");

        assert_eq!(
            said.as_deref(),
            Some(
                "the compiler's process is confined less than it should be: \
                 this kernel has no Landlock; a compilation may use any system call"
            )
        );
        assert_eq!(less_confined(""), None);
    }
}
