//! An outside validator holds the running admin API to the document it serves.
//!
//! It needs a Python with the packages of `tests/e2e/python/requirements.txt`, named by `CORDBOARD_PY`; see
//! [`official`](crate::official) for what happens without.

use std::path::Path;
use std::process::Command;

use cordboard_e2e::{Operator, Plan, caller, until};
use cordboard_sim::carrier::{CallPlan, Step};
use libtest_mimic::{Failed, Trial};

use crate::official::python;

/// To be run when all scenarios have ended: it is busy with more than calls.
pub(crate) fn scenarios() -> Vec<Trial> {
    let sentence = "admin_api::every_answer_is_as_the_served_document_says";
    vec![Trial::test(sentence, || match python("the admin API was not validated")? {
        Some(python) => {
            let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
            runtime.block_on(validates(Command::new(python)))
        }
        None => Ok(()),
    })]
}

async fn validates(mut python: Command) -> Result<(), Failed> {
    let world = Plan::default().setting("CORDBOARD_ADMIN_TOKEN", Operator::TOKEN).open().await;
    let operator = Operator::of(&world).await;
    let folder = tempfile::tempdir()?;
    let component = folder.path().join("component.wasm");
    std::fs::write(&component, operator.stored("default").await)?;
    let call = world.start(CallPlan::new(caller().then(Step::WaitClose)));
    until("the call is up", || world.gateway().calls.len() == 1).await;

    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("python/validate_api.py");
    python.arg(script).args([operator.url(), Operator::TOKEN, "default"]).arg(component);
    // What Hypothesis and its like leave behind.
    python.current_dir(folder.path());
    let output = tokio::task::spawn_blocking(move || python.output()).await??;

    let said = String::from_utf8_lossy(&output.stdout);
    let complained = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        return Err(format!("{said}{complained}").into());
    }
    println!("{}", said.trim());
    call.finished().await;
    world.close().await;
    Ok(())
}
