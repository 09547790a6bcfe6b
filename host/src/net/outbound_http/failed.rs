//! Why a request has no answer.

use cordboard_tenant::OverLimit;

/// Why a request has no answer. It is safe to show to the tenant.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failed {
    /// It is beyond a limit of the operator's, and was not sent or not read to its end.
    #[error("refused: {0}")]
    OverLimit(#[from] OverLimit),
    /// It was refused for another reason, or the server failed.
    #[error("{0}")]
    Otherwise(String),
}

impl From<String> for Failed {
    fn from(reason: String) -> Self {
        Self::Otherwise(reason)
    }
}
