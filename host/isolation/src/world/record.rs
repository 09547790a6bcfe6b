//! What came out of a call, in order: what expectations look at.

use cordboard_call::contract::Millis;
use serde_json::Value;

/// What kind of thing came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The tenant asked for it, whatever became of it.
    Action,
    /// It reached the model.
    ModelGets,
    /// It was published.
    Publishes,
    /// It was requested.
    Http,
    /// The host refused it.
    Refused,
    /// The tenant's log.
    Logs,
    /// The call is over.
    Ends,
    /// The model refused a client event.
    ModelRefuses,
}

/// One thing that came out.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Record {
    pub(crate) at_ms: Millis,
    pub(crate) kind: Kind,
    pub(crate) value: Value,
}
