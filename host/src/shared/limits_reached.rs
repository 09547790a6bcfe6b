//! What tenants wanted beyond the limits of their operator: each is counted, and told once a minute.
//!
//! **One rule: a line names the tenant and the limit, and a tenant can write it no oftener than once a
//! minute.** So one tenant's loop hides neither the log nor another tenant's first line.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use cordboard_tenant::OverLimit;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use tracing::warn;

use super::lock;
use crate::metrics::TenantKind;

/// Counts and tells them.
#[derive(Debug, Default)]
pub struct LimitsReached {
    counted: Family<TenantKind, Counter>,
    /// When each was last told. No larger than tenants times limits, neither of which a caller chooses.
    told: Mutex<HashMap<TenantKind, Instant>>,
}

impl LimitsReached {
    /// Counts in these figures, which the metrics show.
    #[must_use]
    pub fn new(counted: Family<TenantKind, Counter>) -> Self {
        Self { counted, told: Mutex::default() }
    }

    /// Notes that a tenant was refused something.
    pub fn note(&self, tenant: &str, over: &OverLimit) {
        let which = TenantKind { tenant: tenant.to_owned(), kind: over.limit };
        let so_far = self.counted.get_or_create(&which).inc() + 1;
        if self.is_due(which, Instant::now()) {
            warn!(
                tenant,
                limit = over.limit,
                so_far,
                reason = over.reason,
                "a tenant was held to a limit of yours; it is raised in its tenant.toml"
            );
        }
    }

    fn is_due(&self, which: TenantKind, now: Instant) -> bool {
        match lock(&self.told).entry(which) {
            Entry::Occupied(told) if now < *told.get() + EVERY => false,
            Entry::Occupied(mut told) => {
                told.insert(now);
                true
            }
            Entry::Vacant(free) => {
                free.insert(now);
                true
            }
        }
    }
}

const EVERY: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_limit_of_each_tenant_is_told_once_a_minute() {
        let (limits, now) = (LimitsReached::default(), Instant::now());
        let which = |tenant: &str, kind| TenantKind { tenant: tenant.to_owned(), kind };

        assert!(limits.is_due(which("acme", "transfer.allow"), now));
        assert!(!limits.is_due(which("acme", "transfer.allow"), now + EVERY / 2));
        assert!(limits.is_due(which("acme", "transfer.per_hour"), now));
        assert!(limits.is_due(which("salon", "transfer.allow"), now), "another's is not hidden");
        assert!(limits.is_due(which("acme", "transfer.allow"), now + EVERY));
    }

    #[test]
    fn every_one_is_counted() {
        let counted = Family::<TenantKind, Counter>::default();
        let limits = LimitsReached::new(counted.clone());
        let over = OverLimit { limit: "transfer.allow", reason: "no".to_owned() };
        for _ in 0..3 {
            limits.note("acme", &over);
        }

        let which = TenantKind { tenant: "acme".to_owned(), kind: "transfer.allow" };
        assert_eq!(counted.get_or_create(&which).get(), 3);
    }
}
