//! What is counted of recordings.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;

use crate::metrics::{Metrics, TenantKind};

/// What a recorder counts.
#[derive(Debug, Clone)]
pub(super) struct Counters {
    recordings: Family<TenantKind, Counter>,
    pub(super) bytes: Counter,
}

impl Counters {
    /// Those of the gateway's metrics that a recorder counts.
    pub(super) fn of(metrics: &Metrics) -> Self {
        Self { recordings: metrics.recordings.clone(), bytes: metrics.recorded_bytes.clone() }
    }

    /// Counts one recording that began, or that ended in this way.
    pub(super) fn count(&self, tenant: &str, kind: &'static str) {
        self.recordings.get_or_create(&TenantKind { tenant: tenant.to_owned(), kind }).inc();
    }
}
