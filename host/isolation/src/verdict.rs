//! What is said of a tenant that failed: which fault, where, and what to change.

use std::time::Duration;

use cordboard_tenant::{BadAnswer, FUEL_PER_MS, Fault, TrapKind};

use crate::driver::{Failure, How};

/// What a trap's message holds when the guest said something on standard error before.
const LAST_WORDS: &str = "its last words: ";

/// A failure in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Verdict {
    /// The fault, in one line.
    pub(crate) title: String,
    /// What to change.
    pub(crate) hint: String,
}

/// Puts a failure in words.
pub(crate) fn verdict(failure: &Failure) -> Verdict {
    let during = match failure.at {
        "start" => "while it starts, before any event".to_owned(),
        at => format!("in `{at}`"),
    };
    let (title, hint) = match &failure.how {
        How::Fault(fault) => of_fault(fault, &during),
        How::RefusesOwnState(refusal) => (
            format!("refuses the state that it saved itself: {refusal}"),
            "let `load` read exactly what `save` writes, its version first; until it does, a running call can not be \
             given to a new version, nor saved from a trap",
        ),
        How::SaveChanges { first, second } => (
            format!(
                "`save` changes what it saves: two in a row gave {first} and {second} bytes that differ"
            ),
            "let `save` only read; it is called once a second, and its result may never be used",
        ),
        How::Restarted(why) => (
            format!("floods its own call: {why}"),
            "it answers what its own actions cause (`refused`, `flushed`, timers) with more of the same; publish less, \
             and do nothing at `refused` but log it",
        ),
    };
    Verdict { title, hint: hint.to_owned() }
}

fn of_fault(fault: &Fault, during: &str) -> (String, &'static str) {
    match fault {
        Fault::Trap { kind, message } => of_trap(*kind, message, during),
        Fault::Exit { code } => (
            format!("calls exit({code}) {during}"),
            "a tenant ends a call with the action `hang-up`; to leave the program ends the instance as a trap does",
        ),
        Fault::OverBudget { budget, .. } => (
            format!("over its CPU budget {during}: more than {}", in_fuel(*budget)),
            "it loops without end, or does too much for one event: a frame must be answered long before the next one, \
             20 ms later; spread the work over events, or let an HTTP server do it",
        ),
        Fault::Waited => (
            format!("waits {during}: it slept, or polled for something outside"),
            "answer at once and use `set-timer` for later, `http` for what is elsewhere",
        ),
        Fault::Memory { asked, allowed } => (
            format!(
                "over its memory {during}: it asked for {asked} bytes in all, {allowed} are allowed"
            ),
            "something grows with every event: bound every buffer and list, and forget what was heard",
        ),
        Fault::MemoryOfTenant { .. } | Fault::MemoryOfHost { .. } => (
            format!("without memory {during}: {fault}"),
            "the calls of a whole host are not to be seen here; try it on a machine with more memory",
        ),
        Fault::TooManyHandles { allowed } => (
            format!("hoards handles {during}: {allowed} are open, and it asked for another"),
            "close streams and pollables, or do not open any: there is nothing behind them",
        ),
        Fault::BadAnswer(BadAnswer::TooManyActions { count, allowed }) => (
            format!("too many actions {during}: {count} for one event, {allowed} are allowed"),
            "an event that needs more is a loop that went wrong, or a message cut into pieces that are too small",
        ),
        Fault::BadAnswer(BadAnswer::TooLarge { allowed }) => (
            format!(
                "hands over too much {during}: more than {allowed} bytes of audio and text in one answer, one line \
                 of log or one state"
            ),
            "play audio in pieces as it comes; 256 KiB are half a minute of mu-law at once",
        ),
        Fault::BadAnswer(BadAnswer::Malformed(why)) => (
            format!("breaks the contract {during}: {why}"),
            "build it with bindings made from the wit/ directory of this host",
        ),
        Fault::Handover(why) => (
            format!("can not carry on {during}: {why}"),
            "`load` must take whatever `save` of the same version wrote",
        ),
        Fault::NoRoom | Fault::Flood | Fault::OverShare { .. } | Fault::Host(_) | Fault::Gone => (
            format!("could not be run {during}: {fault}"),
            "this is not the component's fault; look at this machine, then try again",
        ),
    }
}

fn of_trap(kind: TrapKind, message: &str, during: &str) -> (String, &'static str) {
    if let Some((_, words)) = message.split_once(LAST_WORDS) {
        return (
            format!("panics {during}: {words}"),
            "its own words say where; nothing from outside may make a tenant panic, so treat it as bad input",
        );
    }
    match kind {
        TrapKind::Unreachable => (
            format!("traps {during}: it reached `unreachable`, without a word"),
            "an abort, a failed assertion or an allocation that failed; build with panic messages to learn which",
        ),
        TrapKind::StackOverflow => (
            format!("overflows its stack {during}"),
            "a recursion without end, or arrays on the stack; bound its depth",
        ),
        TrapKind::OutOfBounds => (
            format!(
                "reaches outside its memory {during}: a wild pointer, or a recursion that ran out of stack"
            ),
            "bound the depth of recursion; in a language with pointers, check them",
        ),
        TrapKind::Arithmetic => (
            format!("divides by zero or overflows a number {during}: {message}"),
            "check the divisor, and numbers that come from outside",
        ),
        TrapKind::Other => (format!("traps {during}: {message}"), "its message says why"),
    }
}

/// A budget as fuel, and as the CPU time it stands for.
fn in_fuel(budget: Duration) -> String {
    let fuel = budget.as_millis() as u64 * FUEL_PER_MS;
    format!("{} ms ({} million units of fuel)", budget.as_millis(), fuel / 1_000_000)
}
