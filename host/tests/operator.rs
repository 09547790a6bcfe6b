//! The operator's commands against a gateway, both as processes.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;

const TOKEN: &str = "the-token-of-the-operator";

#[test]
fn deploy_activate_rollback_as_an_operator_types_them() {
    let gateway = Gateway::start(&[]);
    let component = gateway.component("two");
    let out =
        gateway.run(&["deploy", "acme", &component, "--activate", "--migrate", "--note", "hi"]);
    assert_eq!(out.code, 0, "{}", out.stderr);
    assert!(out.stdout.starts_with("acme v2 is active: compiled in "), "{}", out.stdout);
    assert!(out.stdout.contains("0 running calls moved to v2"), "{}", out.stdout);

    let out = gateway.run(&["versions", "acme"]);
    assert!(out.stdout.lines().any(|line| line.starts_with("v2") && line.contains("active")));
    let out = gateway.run(&["rollback", "acme", "--reason", "it stuttered"]);
    assert_eq!(out.stdout, "acme: active v1, policy pin\n0 running calls moved to v1\n");
    let out = gateway.run(&["versions", "acme"]);
    assert!(out.stdout.contains("ROLLED BACK (it stuttered) hi"), "{}", out.stdout);
    let out = gateway.run(&["tenants"]);
    let told = out.stdout.contains("acme") && !out.stdout.contains("default");
    assert!(told, "the built-in tenant is for a gateway that has no other: {}", out.stdout);
    let out = gateway.run(&["calls"]);
    assert_eq!((out.code, out.stdout.lines().count()), (0, 1), "{}", out.stdout);
}

#[test]
fn json_is_the_gateways_own_answer() {
    let gateway = Gateway::start(&[]);
    let out =
        gateway.run(&["deploy", "acme", &gateway.component("two"), "--canary", "10%", "--json"]);
    let answer: Value = serde_json::from_str(&out.stdout).unwrap();
    assert_eq!((&answer["version"], &answer["part"]), (&Value::from("v2"), &Value::from("canary")));
    let out = gateway.run(&["activate", "acme", "v9", "--json"]);
    let answer: Value = serde_json::from_str(&out.stdout).unwrap();
    assert_eq!((out.code, &answer["error"]["kind"]), (1, &Value::from("unknown-version")));
}

#[test]
fn the_exit_code_says_whose_turn_it_is() {
    let gateway = Gateway::start(&[]);
    let script = gateway.folder.path().join("script");
    std::fs::write(&script, "#!/bin/sh\n").unwrap();
    let script = script.display().to_string();
    for (args, code, told) in [
        (vec!["deploy", "acme", &script], 1, "not WebAssembly"),
        (vec!["deploy", "acme", "no-such-file"], 2, "no-such-file"),
        (vec!["deploy", "nobody", &script], 1, "no tenant `nobody`"),
        (vec!["rollback", "acme"], 1, "none to take back"),
        (vec!["canary", "acme", "v1", "100%"], 2, "1 to 99"),
        (vec!["command", "CA1", "{not json"], 2, "not JSON"),
        (vec!["tenants", "--token", "a-token-nobody-gave-out"], 1, "not known here"),
        (vec!["tenants", "--admin", "http://127.0.0.1:9"], 3, "Is the gateway running"),
    ] {
        let out = gateway.run(&args);
        assert_eq!(out.code, code, "{args:?}: {}", out.stderr);
        assert!(out.stderr.contains(told), "{args:?}: {}", out.stderr);
        assert!(out.stdout.is_empty(), "{args:?}: {}", out.stdout);
    }
}

#[test]
fn a_saved_file_is_deployed_while_the_gateway_watches() {
    let gateway = Gateway::start(&["--watch"]);
    // It answers already and its files are known; only a change from here on is one.
    while gateway.json(&["versions", "acme"])["versions"].as_array().is_none_or(Vec::is_empty) {
        std::thread::yield_now();
    }
    std::fs::copy(gateway.component("saved"), gateway.acme().join("new.wasm")).unwrap();
    std::fs::write(gateway.acme().join("tenant.toml"), "component = \"new.wasm\"\n").unwrap();
    let mut looks = 0;
    while gateway.json(&["versions", "acme"])["active"] != "v2" {
        looks += 1;
        assert!(looks < 10_000, "a saved file was not deployed");
    }
    assert_eq!(gateway.json(&["versions", "acme"])["versions"][1]["by"], "tenant.toml");
}

#[test]
fn without_a_token_the_admin_api_is_not_served() {
    let folder = tempfile::tempdir().unwrap();
    let mut process =
        serve(folder.path(), &[]).env_remove("CORDBOARD_ADMIN_TOKEN").spawn().unwrap();
    let log = BufReader::new(process.stdout.take().unwrap());
    let told = log.lines().map_while(Result::ok).find(|line| line.contains("the admin API is off"));
    process.kill().unwrap();
    process.wait().unwrap();
    assert!(told.is_some_and(|line| line.contains("CORDBOARD_ADMIN_TOKEN")));
}

/// A gateway's process with a tenant `acme`.
struct Gateway {
    process: Child,
    admin: String,
    folder: tempfile::TempDir,
}

impl Drop for Gateway {
    fn drop(&mut self) {
        // It may have ended by itself; then the test says so.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// What a command said.
struct Said {
    code: i32,
    stdout: String,
    stderr: String,
}

impl Gateway {
    fn start(args: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("this machine has a place for temporary files");
        std::fs::create_dir_all(folder.path().join("tenants/acme")).expect(OURS);
        let settings = "[settings]\ninstructions = \"Be brief.\"\n";
        std::fs::write(folder.path().join("tenants/acme/tenant.toml"), settings).expect(OURS);
        let mut process =
            serve(folder.path(), args).spawn().expect("the program was built for this test");
        let mut log = BufReader::new(process.stdout.take().expect("it is piped"));
        let mut told = String::new();
        let admin = loop {
            let mut line = String::new();
            assert_ne!(
                log.read_line(&mut line).expect("the log is text"),
                0,
                "the gateway ended: {told}"
            );
            if line.contains("serving the admin API") {
                let (_, address) = line.split_once("listen=").expect("it says where");
                break format!("http://{}", address.trim());
            }
            told += &line;
        };
        // Nobody reads on, and a full pipe would stop the gateway.
        std::thread::spawn(move || log.lines().map_while(Result::ok).for_each(drop));
        Self { process, admin, folder }
    }

    fn run(&self, args: &[&str]) -> Said {
        let mut command = command(self.folder.path());
        let out: Output = command
            .env("CORDBOARD_ADMIN_URL", &self.admin)
            .args(args)
            .output()
            .expect("the program was built for this test");
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("commands print text");
        Said {
            code: out.status.code().expect("nobody kills a command"),
            stdout: text(&out.stdout),
            stderr: text(&out.stderr),
        }
    }

    fn json(&self, args: &[&str]) -> Value {
        let out = self.run(&[args, &["--json"]].concat());
        serde_json::from_str(&out.stdout)
            .unwrap_or_else(|_| panic!("{} {}", out.stdout, out.stderr))
    }

    fn acme(&self) -> std::path::PathBuf {
        self.folder.path().join("tenants/acme")
    }

    /// The default tenant's component with a custom section: other bytes, the same behaviour.
    fn component(&self, mark: &str) -> String {
        let mut bytes =
            std::fs::read(env!("DEFAULT_TENANT_COMPONENT")).expect("the host was built with it");
        bytes.extend([0, 1 + mark.len() as u8, mark.len() as u8]);
        bytes.extend(mark.as_bytes());
        let path = self.folder.path().join(format!("{mark}.wasm"));
        std::fs::write(&path, bytes).expect(OURS);
        path.display().to_string()
    }
}

fn serve(folder: &Path, args: &[&str]) -> Command {
    std::fs::create_dir_all(folder.join("tenants")).expect(OURS);
    let mut command = command(folder);
    command
        .arg("serve")
        .args(args)
        .env("CORDBOARD_LISTEN", "127.0.0.1:0")
        .env("CORDBOARD_ADMIN_LISTEN", "127.0.0.1:0")
        .env("CORDBOARD_TENANTS_DIR", folder.join("tenants"))
        .env("CORDBOARD_CHECK_SIGNATURES", "false")
        .env("CORDBOARD_MAX_CALLS", "4")
        .env("OPENAI_API_KEY", "sk-test")
        .env("RUST_LOG", "info")
        .stdout(Stdio::piped());
    command
}

/// The program in a folder of its own, so that no `.env` of the developer is read.
fn command(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cordboard"));
    command
        .current_dir(folder)
        .env("CORDBOARD_ADMIN_TOKEN", TOKEN)
        .env_remove("CORDBOARD_ADMIN_URL");
    command
}

const OURS: &str = "the folder is this test's own";
