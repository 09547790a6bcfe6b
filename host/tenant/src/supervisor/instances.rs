//! The supervisor's instances as they are outside of tests: instances of components.

use std::sync::Arc;

use cordboard_call::contract::CallInfo;

use super::InstanceFactory;
use super::observer::{Observed, Observer};
use crate::cpu_quota::CpuQuota;
use crate::fault::Fault;
use crate::guest_log::LogSink;
use crate::instance::InstanceConfig;
use crate::tenant_table::Version;

/// Starts the instances of one call.
pub struct CallInstanceFactory {
    /// Random bits of this call; with the number of an instance they seed its randomness.
    pub seed: [u8; 32],
    /// What a instance's wall clock shows as the call begins, in milliseconds since 1970.
    pub began_unix_ms: u64,
    /// Where the instances' log lines go.
    pub log: Arc<dyn LogSink>,
    /// The tenant's CPU account.
    pub cpu_quota: Arc<CpuQuota>,
    /// Who hears all that passes their boundary, if anybody.
    pub observer: Option<Arc<dyn Observer>>,
}

impl InstanceFactory for CallInstanceFactory {
    type Version = Arc<Version>;
    type SupervisedInstance = Observed;

    async fn start(&self, version: &Arc<Version>, nth: u64) -> Result<Observed, Fault> {
        let mut seed = self.seed;
        for (byte, of_nth) in seed.iter_mut().zip(nth.to_le_bytes()) {
            *byte ^= of_nth;
        }
        let config = InstanceConfig {
            seed,
            began_unix_ms: self.began_unix_ms,
            log: Arc::clone(&self.log),
            limits: Arc::clone(&version.limits),
            cpu_quota: Arc::clone(&self.cpu_quota),
        };
        Observed::start(version, nth, config, self.observer.as_ref()).await
    }

    fn describe(&self, version: &Arc<Version>, info: &mut CallInfo) {
        info.version.clone_from(&version.name);
        info.settings.clone_from(&version.settings);
    }

    fn is_same(&self, one: &Arc<Version>, other: &Arc<Version>) -> bool {
        one.tenant == other.tenant && one.name == other.name
    }
}
