//! Every scenario of whole calls, as one program.
//!
//! Scenarios are functions named as sentences; each module ends with the list of its own, and one that is left out of
//! its list does not compile cleanly. When all have passed, everything the gateways sent to the models is
//! put before the official client's types (see [`official`]), and everything the admin API answers before its own
//! description (see [`admin_api`]).

mod admin_api;
mod bad_input;
mod by_rest;
mod conversation;
mod doors;
mod failures;
mod interruption;
mod listening;
mod navigator;
mod official;
mod operations;
mod program;

use std::future::Future;
use std::process::ExitCode;

use libtest_mimic::{Arguments, Trial};

/// Calls under way at once; they wait nearly all the time.
const AT_ONCE: usize = 14;

fn main() -> ExitCode {
    if let Some(code) = cordboard_e2e::program::acts() {
        return code;
    }
    let mut arguments = Arguments::from_args();
    arguments.test_threads.get_or_insert(AT_ONCE);
    let modules = [
        conversation::scenarios(),
        interruption::scenarios(),
        failures::scenarios(),
        doors::scenarios(),
        bad_input::scenarios(),
        by_rest::scenarios(),
        navigator::scenarios(),
        program::scenarios(),
        operations::scenarios(),
    ];
    if arguments.list {
        let all = modules.into_iter().flatten().chain(judges()).collect();
        return libtest_mimic::run(&arguments, all).exit_code();
    }
    let played = libtest_mimic::run(&arguments, modules.into_iter().flatten().collect());
    let judged = libtest_mimic::run(&arguments, judges());
    if played.has_failed() { played.exit_code() } else { judged.exit_code() }
}

/// What is run when all scenarios have ended.
fn judges() -> Vec<Trial> {
    official::scenarios().into_iter().chain(admin_api::scenarios()).collect()
}

/// Makes a module's list of scenarios.
macro_rules! scenarios {
    ($($name:ident),* $(,)?) => {
        /// All scenarios of this module.
        pub(crate) fn scenarios() -> Vec<libtest_mimic::Trial> {
            vec![$(crate::scenario(
                concat!(module_path!(), "::", stringify!($name)),
                || crate::play($name()),
            )),*]
        }
    };
}
pub(crate) use scenarios;

fn scenario(path: &str, run: fn()) -> Trial {
    let name = path.split_once("::").map_or(path, |(_, name)| name);
    Trial::test(name, move || {
        run();
        Ok(())
    })
}

/// Plays a scenario on a thread of its own: what happens in one can not slow another down more than the machine does.
fn play(scenario: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("the system has a thread to give")
        .block_on(scenario);
}
