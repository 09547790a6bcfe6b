//! One call's life, from its stream's first message to its last.

pub(crate) mod call_task;
