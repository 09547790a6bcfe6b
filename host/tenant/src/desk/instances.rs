//! The desk's guests as they are outside of tests: instances of components.

use std::sync::Arc;

use cordboard_call::contract::{Action, CallInfo, Event, Millis};

use super::{Agency, Guest};
use crate::allowance::Allowance;
use crate::fault::Fault;
use crate::guest_log::LogSink;
use crate::instance::{Instance, InstanceConfig};
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
}

impl Agency for CallAgency {
    type Version = Arc<Version>;
    type Guest = Instance;

    async fn start(&self, version: &Arc<Version>, nth: u64) -> Result<Instance, Fault> {
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
        Instance::start(&version.component, config).await
    }

    fn describe(&self, version: &Arc<Version>, info: &mut CallInfo) {
        info.version.clone_from(&version.name);
        info.settings.clone_from(&version.settings);
    }

    fn is_same(&self, one: &Arc<Version>, other: &Arc<Version>) -> bool {
        one.tenant == other.tenant && one.name == other.name
    }
}

impl Guest for Instance {
    async fn handle(&mut self, now: Millis, event: Event) -> Result<Vec<Action>, Fault> {
        Self::handle(self, now, event).await
    }

    fn has_handover(&self) -> bool {
        Self::has_handover(self)
    }

    async fn save(&mut self, now: Millis) -> Result<Option<Vec<u8>>, Fault> {
        Self::save(self, now).await
    }

    async fn load(
        &mut self,
        now: Millis,
        info: CallInfo,
        state: &[u8],
    ) -> Result<Result<(), String>, Fault> {
        Self::load(self, now, info, state).await
    }
}
