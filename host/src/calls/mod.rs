//! One call's life, from its stream's first message to its last.

mod call_task;
pub(crate) mod stream;
mod tenant_leg;
