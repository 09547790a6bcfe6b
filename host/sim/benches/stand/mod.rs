//! What the benchmarks share: programs that run beside each other, each on a core of its own.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;

/// What the carrier calls the gateway; `.invalid` is never a real name (RFC 2606).
pub(crate) const PUBLIC_URL: &str = "https://load.cordboard.invalid";
/// What the carrier signs with.
pub(crate) const AUTH_TOKEN: &str = "0123456789abcdef0123456789abcdef";
/// The core of what is measured.
pub(crate) const MEASURED: u32 = 0;
/// The core of the simulators.
pub(crate) const SIMULATORS: u32 = 1;

/// A command that runs on one core.
pub(crate) fn on_core(core: u32, program: &Path) -> Command {
    let mut command = Command::new("taskset");
    command.args(["-c", &core.to_string()]).arg(program).stderr(Stdio::inherit());
    command
}

/// A program that runs until it is dropped.
pub(crate) struct Program(Child);

impl Program {
    /// Starts a program and waits until it listens on a port of loopback.
    pub(crate) fn start(
        program: &Path,
        core: u32,
        arguments: &[&str],
        environment: &[(&str, &str)],
        port: u16,
    ) -> Result<Self> {
        let child = on_core(core, program)
            .args(arguments)
            .env_clear()
            .envs(environment.iter().copied())
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .current_dir(std::env::temp_dir())
            .stdout(Stdio::null())
            .spawn()
            .context("taskset (util-linux) starts the programs")?;
        let program = Self(child);
        let until = Instant::now() + Duration::from_secs(30);
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            ensure!(Instant::now() < until, "{arguments:?} does not listen");
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(program)
    }

    /// Starts the model that sends every caller's audio back.
    pub(crate) fn echoing_model(program: &Path, port: u16) -> Result<Self> {
        let listen = format!("127.0.0.1:{port}");
        let arguments = ["sim", "model", "--behaviour", "echo", "--listen", &listen];
        Self::start(program, SIMULATORS, &arguments, &[("RUST_LOG", "warn")], port)
    }

    /// `taskset` becomes the program it starts, so this is its pid.
    pub(crate) fn pid(&self) -> u32 {
        self.0.id()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It is ours and of no more use; when it is gone already, so much the better.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// A gateway of its own, with a tenants directory of its own.
pub(crate) struct Gateway {
    pub(crate) program: Program,
    pub(crate) port: u16,
    _home: tempfile::TempDir,
}

impl Gateway {
    /// Starts it with one tenant, `default`, of these settings.
    pub(crate) fn start(
        program: &Path,
        settings: &str,
        model_url: &str,
        calls: u32,
        more: &[(&str, &str)],
    ) -> Result<Self> {
        let home = tempfile::tempdir()?;
        let tenant = home.path().join("default");
        std::fs::create_dir(&tenant)?;
        std::fs::write(tenant.join("tenant.toml"), format!("[settings]\n{settings}\n"))?;
        let port = free_port()?;
        let (tenants, listen, calls) =
            (home.path().display().to_string(), format!("127.0.0.1:{port}"), calls.to_string());
        let mut environment = vec![
            ("PUBLIC_URL", PUBLIC_URL),
            ("TWILIO_AUTH_TOKEN", AUTH_TOKEN),
            ("OPENAI_API_KEY", "sk-load"),
            ("OPENAI_REALTIME_API_URL", model_url),
            ("CORDBOARD_TENANTS_DIR", &tenants),
            ("CORDBOARD_LISTEN", &listen),
            ("CORDBOARD_MAX_CALLS", &calls),
            ("RUST_LOG", "warn"),
        ];
        environment.extend(more);
        let program = Program::start(program, MEASURED, &["serve"], &environment, port)?;
        Ok(Self { program, port, _home: home })
    }

    /// The callers' arguments that lead to it.
    pub(crate) fn how(&self, signal: &str) -> Vec<String> {
        let webhook = format!("http://127.0.0.1:{}/incoming-call", self.port);
        let how =
            ["--webhook", &webhook, "--public-origin", PUBLIC_URL, "--auth-token", AUTH_TOKEN];
        how.into_iter().chain(["--signal", signal]).map(str::to_owned).collect()
    }
}

/// Callers who call.
pub(crate) struct Callers(Child);

impl Callers {
    /// Lets them call; `observed` is the process whose CPU time and memory they watch.
    pub(crate) fn start(
        program: &Path,
        (calls, seconds): (u32, u32),
        how: &[String],
        observed: &Program,
    ) -> Result<Self> {
        let child = on_core(SIMULATORS, program)
            .args(["sim", "call", "--json", "--calls", &calls.to_string()])
            .args(["--seconds", &seconds.to_string(), "--pid", &observed.pid().to_string()])
            .args(how)
            .stdout(Stdio::piped())
            .spawn()?;
        Ok(Self(child))
    }

    /// Waits until all have hung up, and returns their report.
    pub(crate) fn report(self) -> Result<Value> {
        let output = self.0.wait_with_output()?;
        let text = String::from_utf8(output.stdout)?;
        serde_json::from_str(&text).with_context(|| format!("the callers report {text:?}"))
    }
}

/// A port nobody listens on.
pub(crate) fn free_port() -> Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

/// Where the model's server on this port is found.
pub(crate) fn model_url(port: u16) -> String {
    format!("ws://127.0.0.1:{port}/v1/realtime")
}

/// A number of a report, as a cell of a table.
pub(crate) fn figure(value: &Value) -> String {
    value.as_f64().map_or("-".to_owned(), |number| format!("{number:.2}"))
}

/// Builds the program as an operator would.
pub(crate) fn program() -> Result<PathBuf> {
    built(&["--release", "--workspace", "--bin", "cordboard"], "executable", "cordboard")
}

/// Builds with cargo and returns what it made: the `executable`, or the one of its `filenames` with this stem.
pub(crate) fn built(arguments: &[&str], field: &str, stem: &str) -> Result<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut cargo = Command::new(env!("CARGO"));
    // What `cargo bench` says of this very program would have packages that look at it built anew.
    for (name, _) in std::env::vars_os() {
        if name
            .to_str()
            .is_some_and(|name| OF_THE_OUTER_CARGO.iter().any(|it| name.starts_with(it)))
        {
            cargo.env_remove(name);
        }
    }
    let output = cargo
        .args(["build", "--message-format=json"])
        .args(arguments)
        .current_dir(root)
        .stderr(Stdio::inherit())
        .output()?;
    if !output.status.success() {
        bail!("{stem} does not build");
    }
    let lines = String::from_utf8(output.stdout)?;
    let messages = lines.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    messages
        .flat_map(|message| match &message[field] {
            Value::String(path) => vec![PathBuf::from(path)],
            Value::Array(paths) => {
                paths.iter().filter_map(|path| Some(PathBuf::from(path.as_str()?))).collect()
            }
            _ => Vec::new(),
        })
        .find(|path| path.file_stem().is_some_and(|name| name == stem))
        .with_context(|| format!("cargo names no {stem}"))
}

const OF_THE_OUTER_CARGO: [&str; 4] =
    ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_CRATE_", "CARGO_PRIMARY_"];
