//! The desk's guests as they are outside of tests: instances of components.

use std::sync::Arc;

use cordboard_call::contract::CallInfo;

use super::Agency;
use super::witness::{Watched, Witness};
use crate::allowance::Allowance;
use crate::fault::Fault;
use crate::guest_log::LogSink;
use crate::instance::InstanceConfig;
use crate::registry::Version;

/// Starts the instances of one call.
pub struct CallAgency {
    /// Random bits of this call; with the number of an instance they seed its randomness.
    pub seed: [u8; 32],
    /// What a guest's wall clock shows as the call begins, in milliseconds since 1970.
    pub began_unix_ms: u64,
    /// Where the guests' log lines go.
    pub log: Arc<dyn LogSink>,
    /// The tenant's CPU account.
    pub allowance: Arc<Allowance>,
    /// Who hears all that passes their boundary, if anybody.
    pub witness: Option<Arc<dyn Witness>>,
}

impl Agency for CallAgency {
    type Version = Arc<Version>;
    type Guest = Watched;

    async fn start(&self, version: &Arc<Version>, nth: u64) -> Result<Watched, Fault> {
        let mut seed = self.seed;
        for (byte, of_nth) in seed.iter_mut().zip(nth.to_le_bytes()) {
            *byte ^= of_nth;
        }
        let config = InstanceConfig {
            seed,
            began_unix_ms: self.began_unix_ms,
            log: Arc::clone(&self.log),
            limits: Arc::clone(&version.limits),
            allowance: Arc::clone(&self.allowance),
        };
        Watched::start(version, nth, config, self.witness.as_ref()).await
    }

    fn describe(&self, version: &Arc<Version>, info: &mut CallInfo) {
        info.version.clone_from(&version.name);
        info.settings.clone_from(&version.settings);
    }

    fn is_same(&self, one: &Arc<Version>, other: &Arc<Version>) -> bool {
        one.tenant == other.tenant && one.name == other.name
    }
}
