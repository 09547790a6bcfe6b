//! The program itself, as a process.
//!
//! Under `cargo test` nothing promises that the `cordboard` binary was built, or is not of yesterday. Its `main` is one
//! line, so a test program plays it: see [`acts`].

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};

use clap::Parser as _;
use cordboard::cli::Cli;

use crate::until;

/// Set in the environment, a test program is `cordboard`.
pub const ACT: &str = "CORDBOARD_E2E_IS_CORDBOARD";

/// Runs `cordboard` if this process was started to be it; the first thing in a test program's `main`.
pub fn acts() -> Option<ExitCode> {
    // The gateway starts its compiler, which is the same program, without any environment.
    let compiles = std::env::args().nth(1).is_some_and(|it| it == "compile-worker");
    if !compiles {
        std::env::var_os(ACT)?;
    }
    Some(Cli::parse().run())
}

/// The program with nothing of this process's settings, in a directory without files.
pub fn cordboard(arguments: &[&str]) -> Command {
    let empty = std::env::temp_dir().join("cordboard-e2e-empty");
    std::fs::create_dir_all(&empty).expect("this machine has a place for temporary files");
    cordboard_in(&empty, arguments)
}

/// The program with nothing of this process's settings, in a directory.
pub fn cordboard_in(directory: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("a test program has a path"));
    command.args(arguments).env_clear().env(ACT, "1").current_dir(directory);
    command
}

/// A gateway that is a process.
#[derive(Debug)]
pub struct Served {
    child: Child,
    /// Where it answers the carrier.
    pub address: String,
    lines: mpsc::Receiver<String>,
    unread: Arc<AtomicBool>,
}

impl Served {
    /// Starts it and waits until it says where it listens.
    pub async fn start(command: Command) -> Self {
        let mut served = Self::spawn(command);
        let line = served.said("answering calls").await;
        served.address = listen_of(&line);
        served
    }

    /// Starts it and waits for nothing.
    pub fn spawn(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().expect("the program runs");
        let stdout = BufReader::new(child.stdout.take().expect("it is piped"));
        let (sender, lines) = mpsc::channel();
        let unread = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&unread);
        std::thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                // The scenario may have heard enough.
                let _ = sender.send(line);
                // The pipe stays open, and fills.
                while stopped.load(Ordering::Relaxed) {
                    std::thread::park();
                }
            }
        });
        Self { child, address: String::new(), lines, unread }
    }

    /// Reads no more of its log, for good, and leaves the pipe open.
    pub fn leave_log_unread(&self) {
        self.unread.store(true, Ordering::Relaxed);
    }

    /// Where it serves its operators, once it has said so.
    pub async fn admin_address(&mut self) -> String {
        let line = self.said("serving the admin API").await;
        listen_of(&line)
    }

    /// Where it serves its figures, once it has said so.
    pub async fn metrics_address(&mut self) -> String {
        let line = self.said("serving /metrics").await;
        listen_of(&line)
    }

    /// Waits for a line of its log.
    pub async fn said(&mut self, words: &str) -> String {
        let mut found = None;
        until(words, || {
            found =
                found.take().or_else(|| self.lines.try_iter().find(|line| line.contains(words)));
            found.is_some()
        })
        .await;
        found.expect("it was just found")
    }

    /// Asks it to end, as an operating system does.
    pub fn terminate(&self) {
        self.signal("-TERM");
    }

    /// Tells it to read its configuration again.
    pub fn hang_up(&self) {
        self.signal("-HUP");
    }

    /// Memory of the process that is in use, in bytes.
    pub fn resident_bytes(&self) -> u64 {
        let statm = std::fs::read_to_string(format!("/proc/{}/statm", self.child.id()));
        let statm = statm.expect("it runs, on Linux");
        let pages = statm.split(' ').nth(1).expect("the second is the resident set");
        pages.parse::<u64>().expect("a number") * 4096
    }

    fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        let told = Command::new("kill").args([name, &pid]).status().expect("kill is everywhere");
        assert!(told.success());
    }

    /// Ends it without a word, as a power cut does.
    pub fn kill(&mut self) {
        self.child.kill().expect("it runs");
    }

    /// Waits for its end, and returns its exit code.
    pub async fn ended(&mut self) -> Option<i32> {
        let mut status = None;
        until("the process ends", || {
            status = self.child.try_wait().expect("it is our child");
            status.is_some()
        })
        .await;
        status.expect("it has ended").code()
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        // It has ended already unless the scenario failed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The address in a line such as `answering calls listen=127.0.0.1:8080`.
#[must_use]
pub fn listen_of(line: &str) -> String {
    let (_, rest) = line.split_once("listen=").expect("it says where");
    rest.split_whitespace().next().unwrap_or_default().to_owned()
}
