//! How an instance ends before its call does, and whose fault that is.

use std::time::Duration;

use wasmtime::component::ResourceTableError;

use crate::limits::fixed::HANDLES_MAX;
use crate::meter::{OverBudget, Waited};

/// Why an instance is gone. The call goes on: see the trap recovery of the host.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The guest's code trapped.
    #[error("the tenant trapped: {message}")]
    Trap {
        /// What kind of trap.
        kind: TrapKind,
        /// Wasmtime's words, and what the guest wrote to stderr last: a panic's message.
        message: String,
    },
    /// The guest ended itself.
    #[error("the tenant called exit({code}); a tenant ends a call with the action `hang-up`")]
    Exit {
        /// The guest's exit code.
        code: i32,
    },
    /// The guest used more CPU time than one event, or one start, may.
    #[error("the tenant ran for {spent:?} of CPU time on one event; {budget:?} are allowed")]
    OverBudget {
        /// CPU time used, within about two milliseconds.
        spent: Duration,
        /// CPU time allowed.
        budget: Duration,
    },
    /// The tenant's instances together keep using more CPU time than its share, and are made to wait.
    #[error(
        "the tenant's instances use more than {per_call:?} of CPU time per second of each call, and wait for it"
    )]
    OverShare {
        /// What they may use per second of each call.
        per_call: Duration,
    },
    /// The guest refused a state of its own.
    #[error("the tenant can not carry on: {0}")]
    Handover(String),
    /// The guest's actions brought it events faster than any call could.
    #[error("the tenant causes events faster than any call could, and was begun anew")]
    Flood,
    /// The guest slept or polled.
    #[error(
        "the tenant waited inside an event; it must answer at once and use `set-timer` for later"
    )]
    Waited,
    /// The guest asked for more memory than it may have, and could not go on without.
    #[error("the tenant asked for {asked} bytes of memory; {allowed} are allowed")]
    Memory {
        /// The size it would have had, in bytes (or table entries).
        asked: usize,
        /// The most it may have.
        allowed: usize,
    },
    /// All instances of the tenant together hold as much memory as they may.
    #[error(
        "the tenant's calls asked for {asked} bytes of memory together; {allowed} are allowed \
         (limits.memory_mib_all_calls)"
    )]
    MemoryOfTenant {
        /// What they would have had, in bytes.
        asked: usize,
        /// The most they may have.
        allowed: usize,
    },
    /// All instances of the host together hold as much memory as they may.
    #[error(
        "the tenants hold all the {allowed} bytes of memory there are for them (calls.memory_mib)"
    )]
    MemoryOfHost {
        /// The most they may have.
        allowed: usize,
    },
    /// The guest opened handles (streams, pollables) and closed none.
    #[error("the tenant holds {allowed} open handles and asked for another")]
    TooManyHandles {
        /// How many may be open.
        allowed: usize,
    },
    /// The guest answered with something no host can take.
    #[error("the tenant's answer is refused: {0}")]
    BadAnswer(#[from] BadAnswer),
    /// Every instance the engine has room for is in use.
    #[error("no room for another tenant instance: all that were set aside are in use")]
    NoRoom,
    /// Something of ours failed.
    #[error("the host could not run the tenant: {0}")]
    Host(String),
    /// This instance has already faulted, or a call into it was abandoned.
    #[error("the instance is gone")]
    Gone,
}

/// What kind of trap ended an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TrapKind {
    /// `unreachable` was reached: a panic, an abort, or an allocation that failed.
    Unreachable,
    /// The guest's calls went too deep.
    StackOverflow,
    /// Memory or a table was read or written out of bounds.
    OutOfBounds,
    /// Division by zero, or a number that does not fit.
    Arithmetic,
    /// Any other trap.
    Other,
}

/// What is wrong with an answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadAnswer {
    /// Too many actions.
    #[error("{count} actions for one event; {allowed} are allowed")]
    TooManyActions {
        /// How many there were.
        count: usize,
        /// How many may be.
        allowed: usize,
    },
    /// Too many bytes.
    #[error("more than {allowed} bytes at once")]
    TooLarge {
        /// How many may be.
        allowed: usize,
    },
    /// Not what the contract says: text that is not UTF-8, an unknown variant, a list outside memory.
    #[error("it breaks the contract: {0}")]
    Malformed(String),
}

/// Who has to look at a fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Blame {
    /// Whoever wrote the component.
    Tenant,
    /// Whoever runs this host.
    Host,
}

impl Fault {
    /// Who has to look at it. Only what is the tenant's own fault may count against its version.
    pub fn blame(&self) -> Blame {
        match self {
            Self::Trap { .. }
            | Self::Exit { .. }
            | Self::OverBudget { .. }
            | Self::OverShare { .. }
            | Self::Handover(_)
            | Self::Flood
            | Self::Waited
            | Self::Memory { .. }
            | Self::MemoryOfTenant { .. }
            | Self::TooManyHandles { .. }
            | Self::BadAnswer(_) => Blame::Tenant,
            Self::NoRoom | Self::MemoryOfHost { .. } | Self::Host(_) | Self::Gone => Blame::Host,
        }
    }

    /// One word for metrics and logs.
    pub fn label(&self) -> &'static str {
        match self {
            Self::Trap { kind: TrapKind::StackOverflow, .. } => "stack_overflow",
            Self::Trap { .. } => "trap",
            Self::Exit { .. } => "exit",
            Self::OverBudget { .. } => "over_budget",
            Self::OverShare { .. } => "over_share",
            Self::Handover(_) => "handover",
            Self::Flood => "flood",
            Self::Waited => "waited",
            Self::Memory { .. } => "memory",
            Self::MemoryOfTenant { .. } => "memory_of_tenant",
            Self::MemoryOfHost { .. } => "memory_of_host",
            Self::TooManyHandles { .. } => "handles",
            Self::BadAnswer(_) => "bad_answer",
            Self::NoRoom => "no_room",
            Self::Host(_) => "host",
            Self::Gone => "gone",
        }
    }

    /// Reads a failed guest call; `last_words` is what the guest wrote to stderr during it.
    pub(crate) fn of_call(
        error: &wasmtime::Error,
        answer_bytes_max: usize,
        last_words: &str,
    ) -> Self {
        if let Some(over) = error.downcast_ref::<OverBudget>() {
            return Self::OverBudget { spent: over.spent, budget: over.budget };
        }
        if error.downcast_ref::<Waited>().is_some() {
            return Self::Waited;
        }
        if let Some(exit) = error.downcast_ref::<wasmtime_wasi::I32Exit>() {
            return Self::Exit { code: exit.0 };
        }
        if let Some(trap) = error.downcast_ref::<wasmtime::Trap>() {
            let kind = trap_kind(*trap);
            let message = match last_words {
                "" => trap.to_string(),
                words => format!("{trap}; its last words: {words}"),
            };
            return Self::Trap { kind, message };
        }
        if let Some(ResourceTableError::Full) = error.downcast_ref::<ResourceTableError>() {
            return Self::TooManyHandles { allowed: HANDLES_MAX };
        }
        let reason = error.root_cause().to_string();
        // Wasmtime keeps this error's type to itself; a test holds its wording.
        if reason.contains("fuel allocated for hostcalls") {
            return BadAnswer::TooLarge { allowed: answer_bytes_max }.into();
        }
        BadAnswer::Malformed(reason).into()
    }

    /// Reads a failed instantiation, where errors that are not the guest's are ours.
    pub(crate) fn of_start(error: &wasmtime::Error, last_words: &str) -> Self {
        if error.downcast_ref::<wasmtime::PoolConcurrencyLimitError>().is_some() {
            return Self::NoRoom;
        }
        match Self::of_call(error, 0, last_words) {
            Self::BadAnswer(_) => Self::Host(format!("{error:#}")),
            fault => fault,
        }
    }
}

fn trap_kind(trap: wasmtime::Trap) -> TrapKind {
    use wasmtime::Trap;
    match trap {
        Trap::UnreachableCodeReached => TrapKind::Unreachable,
        Trap::StackOverflow => TrapKind::StackOverflow,
        Trap::MemoryOutOfBounds | Trap::TableOutOfBounds | Trap::ArrayOutOfBounds => {
            TrapKind::OutOfBounds
        }
        Trap::IntegerOverflow | Trap::IntegerDivisionByZero | Trap::BadConversionToInteger => {
            TrapKind::Arithmetic
        }
        _ => TrapKind::Other,
    }
}
