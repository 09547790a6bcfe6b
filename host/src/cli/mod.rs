//! The command line.

use std::future::Future;
use std::io::IsTerminal as _;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use cordboard_sim::commands::{BridgeArgs, CallArgs, ModelArgs};
use tracing_subscriber::EnvFilter;

mod operator;
mod recordings;
mod run_wasm;
mod test_tenant;

use crate::config::{COMPILE_WORKER, Config, Problems, Sources};
use crate::demo::DemoArgs;
use crate::doctor::DoctorArgs;
use crate::logging::{self, LogFormat};
use crate::new::NewArgs;
use crate::serve::{Process, Watch};
use operator::OperatorCommand;
use recordings::RecordingCommand;
use run_wasm::RunWasmArgs;
use test_tenant::TestArgs;

/// Answers phone calls with a speech model; each customer's logic is a WebAssembly component.
#[derive(Parser)]
#[command(name = "cordboard", version, propagate_version = true)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Answer calls: Twilio on one side, the speech model on the other
    Serve(ServeArgs),
    /// Hear a whole call without any account: gateway and both simulators in one process
    Demo(DemoArgs),
    /// Check the configuration, the key, the model's session and its audio, step by step
    Doctor(DoctorArgs),
    /// Start a tenant of your own: a project that builds, tests and deploys, in the language of your choice
    New(NewArgs),
    #[command(flatten)]
    Operator(OperatorCommand),
    #[command(flatten)]
    Recording(RecordingCommand),
    /// Play the carrier or the model, against any gateway or client
    #[command(subcommand)]
    Sim(SimCommand),
    /// Try a tenant's component alone: scenarios, abuse, swaps, on a virtual clock
    Test(TestArgs),
    /// Run a guest's test suite inside wasm: the runner of `cargo test --target wasm32-wasip2`
    RunWasm(RunWasmArgs),
    /// Compile a component from standard input to standard output, for `serve`
    #[command(name = COMPILE_WORKER, hide = true)]
    CompileWorker {
        /// What it may use
        bounds: Vec<std::ffi::OsString>,
    },
}

#[derive(Subcommand)]
enum SimCommand {
    /// A speech model's server (OpenAI Realtime protocol) with a voice of its own
    Model(ModelArgs),
    /// A phone call, or many: Twilio's webhook and media stream
    Call(CallArgs),
    /// A bridge from carrier to model without any tenant: the baseline for load figures
    Bridge(BridgeArgs),
}

/// Where the settings come from.
#[derive(Args, Clone)]
pub struct ServeArgs {
    /// The configuration file; without it, ./cordboard.toml if there is one
    #[arg(long, value_name = "FILE")]
    pub config: Option<std::path::PathBuf>,

    /// How the log is written, instead of the setting `log_format`
    #[arg(long, value_enum, value_name = "FORMAT")]
    log_format: Option<LogFormat>,

    /// Add the log to this file instead of standard output; SIGHUP opens it again
    #[arg(long, value_name = "FILE")]
    log_file: Option<std::path::PathBuf>,

    /// Deploy a tenant's files whenever they change, and move its running calls to them
    #[arg(long)]
    watch: bool,
}

impl Cli {
    /// Runs the chosen command to its end.
    #[must_use]
    pub fn run(self) -> ExitCode {
        match self.command {
            Command::Serve(args) => {
                let watch = if args.watch { Watch::Yes } else { Watch::No };
                match args.config() {
                    Ok(config) => report(run_gateway(config, watch, args)),
                    Err(problems) => {
                        eprintln!("{problems}");
                        ExitCode::from(2)
                    }
                }
            }
            Command::Operator(command) => on_runtime(command.run()),
            Command::Recording(command) => on_runtime(command.run()),
            Command::Demo(args) => {
                start_logging(from_environment("warn"), std::io::stderr);
                report(on_runtime(crate::demo::run(args)))
            }
            Command::Doctor(args) => {
                start_logging(from_environment("error"), std::io::stderr);
                on_runtime(crate::doctor::run(args))
            }
            Command::Test(args) => {
                start_logging(from_environment("error"), std::io::stderr);
                on_runtime(crate::cli::test_tenant::run(args))
            }
            Command::CompileWorker { bounds } => cordboard_tenant::compile_worker(&bounds),
            Command::New(args) => report(crate::new::run(&args)),
            Command::RunWasm(args) => {
                crate::cli::run_wasm::run(&args).unwrap_or_else(|error| failed(&error))
            }
            Command::Sim(command) => {
                start_logging(from_environment("info"), std::io::stderr);
                report(match command {
                    SimCommand::Model(args) => on_runtime(cordboard_sim::commands::run_model(args)),
                    SimCommand::Call(args) => on_runtime(cordboard_sim::commands::run_call(args)),
                    SimCommand::Bridge(args) => {
                        on_runtime(cordboard_sim::commands::run_bridge(args))
                    }
                })
            }
        }
    }
}

impl ServeArgs {
    /// Reads the configuration, in which an option given here wins.
    fn config(&self) -> Result<Config, Problems> {
        let mut config = Config::load(&Sources::from_process(self.config.as_deref()))?;
        config.log_format = self.log_format.unwrap_or(config.log_format);
        config.log_file = self.log_file.clone().or(config.log_file);
        config.compile.in_process = false;
        Ok(config)
    }
}

fn run_gateway(config: Config, watch: Watch, args: ServeArgs) -> anyhow::Result<()> {
    let log = logging::start(&config.log, config.log_format, config.log_file.as_deref())?;
    let process = Process { watch, log, load: Box::new(move || args.config()) };
    let runtime = runtime();
    let served = runtime.block_on(crate::serve::serve(config, process));
    // Dropping it would wait for whatever still blocks one of its threads.
    runtime.shutdown_background();
    log.close();
    served
}

fn on_runtime<T>(work: impl Future<Output = T>) -> T {
    runtime().block_on(work)
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .expect("the system has threads and timers to give")
}

fn report(result: anyhow::Result<()>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failed(&error),
    }
}

fn failed(error: &anyhow::Error) -> ExitCode {
    eprintln!("cordboard: {error:#}");
    ExitCode::FAILURE
}

/// `RUST_LOG` where it says something; set to nothing it counts as not set, as every setting does.
fn from_environment(default: &str) -> EnvFilter {
    let said = std::env::var("RUST_LOG").unwrap_or_default();
    logging::parse_filter(if said.trim().is_empty() { default } else { &said })
}

fn start_logging<W>(filter: EnvFilter, writer: W)
where
    W: for<'a> tracing_subscriber::fmt::MakeWriter<'a> + Send + Sync + 'static,
{
    // Colours are for people; a file or a collector gets plain text.
    let colours = std::io::stdout().is_terminal() && std::io::stderr().is_terminal();
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer).with_ansi(colours).init();
}
