//! The official client's own types judge everything the gateways of this run sent to their models.
//!
//! They need a Python with the packages of `host/sim/clients/python/requirements.txt`, named by `CORDBOARD_PY`. Without it this
//! says so and passes on a developer's machine; where `CI` is `true` it fails.

use std::ffi::OsString;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use cordboard_e2e::recorder;
use cordboard_sim::model::Dialect;
use libtest_mimic::{Failed, Trial};

/// To be run when all scenarios have ended.
pub(crate) fn scenarios() -> Vec<Trial> {
    [("ga", Dialect::Ga), ("beta", Dialect::Beta)]
        .map(|(name, dialect)| {
            let sentence =
                format!("official::every_event_sent_in_{name}_is_one_of_the_official_client");
            Trial::test(sentence, move || validates(name, dialect))
        })
        .into()
}

/// The Python to ask; none on a developer's machine without one, which is said.
pub(crate) fn python(otherwise: &str) -> Result<Option<OsString>, Failed> {
    let python = std::env::var_os("CORDBOARD_PY");
    if python.is_none() {
        if std::env::var("CI").is_ok_and(|ci| ci == "true") {
            return Err(format!("CORDBOARD_PY is not set, so {otherwise}").into());
        }
        println!("NOT RUN: {otherwise}, because CORDBOARD_PY is not set");
    }
    Ok(python)
}

fn validates(name: &str, dialect: Dialect) -> Result<(), Failed> {
    let events = recorder::events(dialect);
    if events.is_empty() {
        println!("no scenario of this run spoke {name}");
        return Ok(());
    }
    let Some(python) = python(&format!("the {name} events were not validated"))? else {
        return Ok(());
    };
    let validator = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../host/sim/clients/python/validate_events.py");
    let mut child = Command::new(python)
        .arg(validator)
        .args(["--dialect", name, "--side", "client"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let mut stdin = child.stdin.take().expect("it is piped");
    let text = events.clone();
    let writing = std::thread::spawn(move || stdin.write_all(text.as_bytes()));
    let output = child.wait_with_output()?;
    let written = writing.join().expect("writing does not panic");
    let said = String::from_utf8_lossy(&output.stdout);
    let complained = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        return Err(format!("{said}{complained}").into());
    }
    written?;
    println!("{} events in {name}: {}", events.lines().count(), said.trim());
    Ok(())
}
