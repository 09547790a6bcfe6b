//! From nothing to an answered call in each language, by the very commands that `cordboard new` prints.
//!
//! The commands that install something from PyPI or npm are left to `.ci/run`, which does it from the same files; where
//! what they install is named by a variable, the rest is run as printed. Without the variable the language says that it
//! was not run; where `CI` is `true` it fails.

use std::ffi::OsString;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use cordboard_e2e::program::{self, Served, cordboard_in};
use cordboard_e2e::{World, caller, checks, said, until};
use cordboard_sim::carrier::{CallPlan, Carrier, CarrierConfig, End, Step};
use cordboard_sim::model::{Answer, Exchange, ModelConfig, ModelScript, ModelServer};
use libtest_mimic::{Arguments, Failed, Trial};

fn main() -> ExitCode {
    if let Some(code) = program::acts() {
        return code;
    }
    let mut arguments = Arguments::from_args();
    // Each takes all cores for its compiler.
    arguments.test_threads.get_or_insert(1);
    let trials = vec![
        Trial::test("a_tenant_in_rust_is_made_tested_deployed_and_called_as_printed", || {
            let project = Project::write("rust", &[]);
            project.tells_its_author_of_a_failing_test_inside_wasm();
            project.goes_live();
            Ok(())
        }),
        Trial::test("a_tenant_in_python_is_made_tested_deployed_and_called_as_printed", || {
            let Some(venv) = installed("CORDBOARD_COMPONENTIZE_PY")? else { return Ok(()) };
            Project::write("python", &[(".venv", &venv)]).goes_live();
            Ok(())
        }),
        Trial::test("a_tenant_in_javascript_is_made_tested_deployed_and_called_as_printed", || {
            let Some(modules) = installed("CORDBOARD_COMPONENTIZE_JS")? else { return Ok(()) };
            let modules = modules.join("node_modules");
            Project::write("javascript", &[("node_modules", &modules)]).goes_live();
            Ok(())
        }),
        Trial::test("cargo_component_builds_and_tests_a_project_and_the_default_tenant", || {
            let Some(program) = installed("CORDBOARD_CARGO_COMPONENT")? else { return Ok(()) };
            cargo_component(&program);
            Ok(())
        }),
    ];
    libtest_mimic::run(&arguments, trials).exit_code()
}

/// What a variable names; nothing, said so, on a developer's machine that has not got it.
fn installed(variable: &str) -> Result<Option<PathBuf>, Failed> {
    if let Some(path) = std::env::var_os(variable) {
        return Ok(Some(path.into()));
    }
    if std::env::var("CI").is_ok_and(|ci| ci == "true") {
        return Err(format!("{variable} is not set, so this language was not tried").into());
    }
    println!("NOT RUN: {variable} is not set");
    Ok(None)
}

/// The name every project here is given.
const NAME: &str = "front-desk";
/// The line of the template an author changes first, and what it becomes.
const GREETING: &str = "Hello, this is front-desk. How can I help you?";
const EDITED: &str = "Good morning, you have reached the front desk.";
/// Commands whose work `.ci/run` has done from the project's own files.
const INSTALLING: [&str; 4] = ["rustup ", "python3 -m venv", ".venv/bin/pip", "npm install"];
const TOKEN: &str = "the-token-of-the-operator";

/// A project that was just written.
struct Project {
    language: &'static str,
    /// Where the author stands: the project is in here, and the gateway runs here.
    place: PathBuf,
    /// The file the author was told to edit.
    edit: PathBuf,
    /// What was printed to be run, in its order.
    commands: Vec<String>,
}

impl Project {
    /// Has `cordboard new` write it, with what was installed before in its place.
    fn write(language: &'static str, links: &[(&str, &Path)]) -> Self {
        let place = scratch().join(language);
        let folder = place.join(NAME);
        let kept = place.join("kept");
        fs::create_dir_all(&place).expect("the target directory can be written");
        // What cargo built the last time; nobody's time is spent on building the same crates again.
        if folder.join("target").is_dir() {
            fs::rename(folder.join("target"), &kept).expect("a folder is moved beside itself");
        }
        for old in [&folder, &place.join("tenants")] {
            if old.exists() {
                fs::remove_dir_all(old).expect("what an earlier run wrote is ours to remove");
            }
        }

        let output = cordboard_in(&place, &["new", NAME, "--lang", language])
            .env("PATH", path())
            .output()
            .expect("the program runs");

        let printed = String::from_utf8(output.stdout).expect("it prints text");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        date_back(&folder);
        if kept.is_dir() {
            fs::rename(&kept, folder.join("target")).expect("a folder is moved beside itself");
        }
        for (name, installed) in links {
            std::os::unix::fs::symlink(installed, folder.join(name)).expect("a link can be made");
        }
        let (_, rest) = printed.split_once("Edit ").expect("it says what to edit");
        let (edit, _) = rest.split_once(';').expect("it says what to edit");
        let commands = printed.lines().filter_map(|line| line.strip_prefix("  "));
        Self {
            language,
            edit: folder.join(edit),
            commands: commands.map(str::to_owned).collect(),
            place,
        }
    }

    /// Changes its greeting, then runs every command, with a gateway there for the last; then a caller
    /// rings and hears the greeting.
    fn goes_live(&self) {
        self.edit(GREETING, EDITED);
        let (deploy, before) = self.commands.split_last().expect("commands were printed");
        assert!(deploy.contains(" deploy "), "{deploy}");
        before.iter().for_each(|command| self.run(command, &[]));
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
        runtime.expect("the system has threads to give").block_on(self.is_called(deploy));
    }

    async fn is_called(&self, deploy: &str) {
        let script = ModelScript::new(Answer::tone(500), [Exchange::answer(Answer::tone(700))]);
        let model =
            ModelServer::start(ModelConfig::with_script(script)).await.expect("a free port");
        let mut command = cordboard_in(&self.place, &["serve"]);
        command
            .env("CORDBOARD_LISTEN", "127.0.0.1:0")
            .env("CORDBOARD_ADMIN_LISTEN", "127.0.0.1:0")
            .env("CORDBOARD_ADMIN_TOKEN", TOKEN)
            .env("PUBLIC_URL", World::ORIGIN)
            .env("TWILIO_AUTH_TOKEN", World::AUTH_TOKEN)
            .env("OPENAI_API_KEY", "sk-test")
            .env("OPENAI_REALTIME_API_URL", model.url())
            .env("NO_COLOR", "1");
        let mut gateway = Served::start(command).await;
        let admin = format!("http://{}", gateway.admin_address().await);
        let operator = [("CORDBOARD_ADMIN_URL", admin.as_str()), ("CORDBOARD_ADMIN_TOKEN", TOKEN)];
        tokio::task::block_in_place(|| self.run(deploy, &operator));

        let carrier = Carrier::new(CarrierConfig {
            auth_token: World::AUTH_TOKEN.into(),
            public_origin: Some(World::ORIGIN.into()),
            ..CarrierConfig::default()
        });
        let webhook = format!("http://{}/t/{NAME}/incoming-call", gateway.address);
        let listens = Step::WaitAnswer { quiet_ms: 300 };
        let conversation = caller().then(listens.clone()).say(said("hello", 500)).then(listens);
        let report = carrier.call(&webhook, CallPlan::new(conversation.hang_up())).await;

        checks::call(&report);
        assert_eq!((report.end, report.script_failure), (End::CallerHungUp, None));
        let log = model.log();
        let over = || log.session(0).is_some_and(|it| it.ended.is_some());
        until("the model's session is over", over).await;
        let session = log.session(0).expect("the call had one");
        checks::session(&session);
        assert_eq!(session.refusals(), Vec::<&str>::new());
        let greeting = session.received_of("response.create")[0].event.to_string();
        assert!(greeting.contains(EDITED), "{}: {greeting}", self.language);
        gateway.terminate();
        assert_eq!(gateway.ended().await, Some(0));
    }

    /// A test that fails natively fails inside wasm, with its words, and the command with it.
    fn tells_its_author_of_a_failing_test_inside_wasm(&self) {
        let output = self
            .shell("cargo test --target wasm32-wasip2 -- greeted", &[])
            .env("RUST_BACKTRACE", "0")
            .output()
            .expect("a shell is everywhere");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        self.edit("\"audio_end_ms\"], 1_200", "\"audio_end_ms\"], 1_199");

        let output = self
            .shell("cargo test --target wasm32-wasip2", &[])
            .output()
            .expect("a shell is everywhere");

        self.edit("\"audio_end_ms\"], 1_199", "\"audio_end_ms\"], 1_200");
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success());
        assert!(told.contains("1199") && told.contains("ended in a trap"), "{told}");
    }

    fn edit(&self, old: &str, new: &str) {
        let text = fs::read_to_string(&self.edit).expect("the file to edit is there");
        assert!(text.contains(old), "{} holds no {old:?}", self.edit.display());
        fs::write(&self.edit, text.replace(old, new)).expect("a project can be edited");
    }

    /// Runs one of the printed commands, or another as if it were one.
    fn run(&self, command: &str, settings: &[(&str, &str)]) {
        if command.starts_with("cd ") || INSTALLING.iter().any(|it| command.starts_with(it)) {
            return;
        }
        let output = self.shell(command, settings).output().expect("a shell is everywhere");
        let (said, complained) = (output.stdout, output.stderr);
        assert!(
            output.status.success(),
            "{}: `{command}` failed\n{}{}",
            self.language,
            String::from_utf8_lossy(&said),
            String::from_utf8_lossy(&complained)
        );
    }

    fn shell(&self, command: &str, settings: &[(&str, &str)]) -> Command {
        shell(&self.place.join(NAME), command, settings)
    }
}

/// `cargo component` on the default tenant, whose runner is this repository's, and on a project.
fn cargo_component(program: &Path) {
    let project = Project::write("rust", &[]);
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let target = scratch().join("guest");
    let target = target.to_str().expect("the target directory has a plain name");
    let me = std::env::current_exe().expect("a test program has a path");
    let me = me.to_str().expect("the target directory has a plain name");
    let settings = [("CARGO_TARGET_DIR", target), ("CORDBOARD", me)];
    for (folder, settings, component) in [
        (workspace.join("guest"), &settings[..], format!("{target}/wasm32-wasip1/debug")),
        (project.place.join(NAME), &[], "target/wasm32-wasip1/debug".to_owned()),
    ] {
        for command in ["build", "test"] {
            let line = format!("{} component {command}", program.display());
            let output = shell(&folder, &line, settings).output().expect("a shell is everywhere");
            let said = String::from_utf8_lossy(&output.stdout);
            let complained = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{}: {line}\n{said}{complained}", folder.display());
            let tested = command == "build" || said.contains("test result: ok");
            assert!(tested, "no test was run in {}: {said}{complained}", folder.display());
        }
        let built = fs::read_dir(folder.join(component)).expect("it was built there");
        let components = built.filter_map(|it| it.ok()?.path().extension().map(OsString::from));
        assert!(components.into_iter().any(|ending| ending == "wasm"));
    }
}

/// A command line in a folder, with this program as `cordboard` and nothing of the outer cargo's settings.
fn shell(folder: &Path, command: &str, settings: &[(&str, &str)]) -> Command {
    let mut shell = Command::new("sh");
    shell.args(["-ec", command]).current_dir(folder);
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy().into_owned();
        if name.starts_with("CARGO") && name != "CARGO_HOME" || name.starts_with("RUSTFLAGS") {
            shell.env_remove(name);
        }
    }
    // Everything a project needs was fetched for this repository.
    shell.env("CARGO_NET_OFFLINE", "true").env(program::ACT, "1");
    shell.envs(settings.iter().copied());
    shell
}

/// Dates the files back to when this program was built, and with it the templates: cargo then builds again what has
/// changed since the last run and nothing else.
fn date_back(folder: &Path) {
    let me = std::env::current_exe().and_then(fs::metadata).and_then(|it| it.modified());
    let then = me.expect("a test program is a file");
    for entry in fs::read_dir(folder).expect("it was just written") {
        let path = entry.expect("the folder was just opened").path();
        if path.is_dir() {
            date_back(&path);
        } else {
            let file = File::options().write(true).open(&path);
            let dated = file.and_then(|file| file.set_modified(then));
            dated.unwrap_or_else(|e| panic!("cannot date {}: {e}", path.display()));
        }
    }
}

/// Where projects are written, beside what else cargo builds here.
fn scratch() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/languages")
}

fn path() -> OsString {
    std::env::var_os("PATH").unwrap_or_default()
}
