//! The tenant's side of one call: the instance that answers, the version that listens beside it, the
//! recording, and what the roll-outs hear of them.
//!
//! **One rule: the call asks, the leg answers with an [`Input`].** Moving, recovering and falling back
//! happen between two answers, and the call does not notice.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use cordboard_call::contract::{CallInfo, Ended, Event};
use cordboard_call::{Input, Rest, TenantFault};
use cordboard_tenant::{
    CallInstanceFactory, Fault, Incident, InstanceSupervisor, OverLimit, Spending, TracingLog,
    Version,
};
use tokio::sync::oneshot;
use tracing::warn;

use crate::gateway::Gateway;
use crate::metrics::Tenant;
use crate::recorder::Recording;
use crate::rollout::shadow::Shadow;
use crate::shared::admissions::CallPermit;
use crate::shared::directory::Migration;

/// Events after which a version is credited with them, so that its faults are held against what it
/// really did: about five seconds of a call.
const EVENTS_TOLD: u64 = 500;

/// The tenant's side of one call.
pub(super) struct TenantLeg {
    gateway: Arc<Gateway>,
    info: CallInfo,
    label: Tenant,
    permit: CallPermit,
    /// Absent while no instance could be started.
    supervisor: Option<InstanceSupervisor<CallInstanceFactory>>,
    /// Absent unless the tenant has this call recorded.
    recording: Option<Recording>,
    /// A version that listens beside the one that answers.
    shadow: Option<Shadow>,
    /// Which version answers, and how many events it has since that was last told.
    answering: Arc<Version>,
    events: u64,
    /// Whoever waits to hear what came of a migration.
    migration: Option<oneshot::Sender<Migration>>,
}

impl TenantLeg {
    /// Nothing is started yet.
    pub(super) fn new(gateway: Arc<Gateway>, permit: CallPermit, info: CallInfo) -> Self {
        Self {
            label: Tenant { tenant: info.tenant.clone() },
            answering: Arc::clone(permit.version()),
            supervisor: None,
            recording: None,
            shadow: None,
            events: 0,
            migration: None,
            gateway,
            permit,
            info,
        }
    }

    /// The version that answers, which is not always the one the call began with.
    pub(super) fn version(&self) -> &Arc<Version> {
        self.supervisor.as_ref().map_or(self.permit.version(), |supervisor| supervisor.version())
    }

    /// What the calls of the tenant have cost.
    pub(super) fn spending(&self) -> &Arc<Spending> {
        self.permit.spending()
    }

    /// Whether the operator lets the tenant have this done now; if so, it is on its account.
    pub(super) fn allow(&self, rest: &Rest) -> Result<(), OverLimit> {
        let (policy, spending) = (&self.version().carrier, self.permit.spending());
        match rest {
            // It costs nothing, ends the tenant's own call alone, and is asked for once.
            Rest::HangUp => Ok(()),
            Rest::Transfer { to, caller_id } => {
                let own = [self.info.caller.as_deref(), self.info.callee.as_deref()];
                policy.check_transfer(to, caller_id.as_deref(), own)?;
                spending.transfer(policy.transfers_per_hour, Instant::now())
            }
            Rest::Keys(keys) => {
                policy.check_keys(keys)?;
                spending.press(policy.presses_per_hour, Instant::now())
            }
        }
    }

    /// Starts the first instance, or one anew in place of the one that failed.
    pub(super) async fn start(&mut self) -> Result<(), TenantFault> {
        let started = match &mut self.supervisor {
            Some(supervisor) => {
                if let Some(shadow) = self.shadow.take() {
                    shadow.lose();
                }
                supervisor.restart().await
            }
            None => self.start_first().await,
        };
        started.map_err(|fault| {
            warn!(%fault, "the tenant's component does not start");
            as_call_fault(&fault)
        })
    }

    async fn start_first(&mut self) -> Result<(), Fault> {
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).map_err(|error| Fault::Host(error.to_string()))?;
        let began_unix_ms = unix_ms();
        let version = Arc::clone(self.permit.version());
        if self.recording.is_none() {
            let recorder = &self.gateway.recorder;
            self.recording = recorder.begin(&self.info, &version, began_unix_ms);
        }
        let factory = |observer, cpu_quota, call_id: String| CallInstanceFactory {
            seed,
            began_unix_ms,
            log: Arc::new(TracingLog { tenant: self.info.tenant.clone(), call_id }),
            observer,
            cpu_quota,
        };
        let call_id = &self.info.call_id;
        let observer = self.recording.as_ref().map(Recording::observer);
        let own = factory(observer, Arc::clone(self.permit.cpu_quota()), call_id.clone());
        let mut supervisor = InstanceSupervisor::open(own, version, self.info.clone()).await?;
        let deployment = self.gateway.tenants.deployment(&self.info.tenant);
        if let Some(before) = deployment.and_then(|it| it.before(self.permit.version())) {
            supervisor.fall_back_to(before);
        }
        self.supervisor = Some(supervisor);
        self.shadow = deployment.and_then(|it| it.shadow_for(call_id)).map(|version| {
            let factory = factory(None, Arc::default(), format!("{call_id} (shadow)"));
            self.gateway.rollouts.shadows.follow(factory, version, &self.info)
        });
        Ok(())
    }

    /// Hands the instance an event, `now` after the call began.
    pub(super) async fn ask(&mut self, now: Duration, event: Event) -> Input {
        let metrics = &self.gateway.metrics;
        if matches!(event, Event::CallerAudio(_)) {
            metrics.frames_in.get_or_create(&self.label).inc();
        }
        let Some(supervisor) = &mut self.supervisor else {
            let fault = TenantFault::Contract("there is no instance to ask".to_owned());
            return Input::TenantFailed { fault };
        };
        let asked = Instant::now();
        let now_ms = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
        let heard = self.shadow.is_some().then(|| event.clone());
        let answer = supervisor.handle(now_ms, event).await;
        metrics.event_seconds.observe(asked.elapsed().as_secs_f64());
        self.events += 1;
        if supervisor.has_incidents() {
            self.report_incidents();
        } else if self.events >= EVENTS_TOLD {
            self.gateway.rollouts.answered(&self.answering, std::mem::take(&mut self.events));
        }
        if let (Some(shadow), Some(heard), Ok(actions)) = (&self.shadow, heard, &answer)
            && !shadow.hears(now_ms, heard, actions)
        {
            self.shadow = None;
        }
        match answer {
            Ok(actions) => Input::Answered(actions),
            Err(fault) => Input::TenantFailed { fault: as_call_fault(&fault) },
        }
    }

    /// Lets another version take over before the next event; `outcome` hears what came of it.
    pub(super) fn migrate(&mut self, to: Arc<Version>, outcome: oneshot::Sender<Migration>) {
        let Some(supervisor) = &mut self.supervisor else {
            let reason = "no instance is answering".to_owned();
            // Whoever asked may have stopped waiting.
            drop(outcome.send(Migration::Failed { reason }));
            return;
        };
        supervisor.migrate(to);
        // An earlier pending migration was given up just now, and says so among the incidents.
        self.report_incidents();
        self.migration = Some(outcome);
    }

    /// Holds it against the version that its actions brought it events without end. Every other fault
    /// is known from the instance itself.
    pub(super) fn flooded(&self) {
        self.gateway.rollouts.flooded(&self.answering);
    }

    /// Ends the recording, and credits the version with its last events.
    pub(super) fn finish(&mut self, reason: Ended) {
        self.gateway.rollouts.answered(&self.answering, std::mem::take(&mut self.events));
        if let Some(recording) = self.recording.take() {
            recording.finish(reason);
        }
    }

    /// Passes on what the supervisor did; whoever waits for a migration hears what came of it.
    fn report_incidents(&mut self) {
        let Some(supervisor) = &mut self.supervisor else { return };
        for incident in supervisor.incidents() {
            // Of whichever version answered until now.
            self.gateway.rollouts.answered(&self.answering, std::mem::take(&mut self.events));
            if let Some(came_of_it) = came_of_it(&incident)
                && let Some(outcome) = self.migration.take()
            {
                // Whoever asked may have stopped waiting.
                drop(outcome.send(came_of_it));
            }
            self.gateway.rollouts.incident(&self.info, incident);
        }
        self.answering = Arc::clone(supervisor.version());
    }
}

/// What an incident says to whoever waits for a migration.
fn came_of_it(incident: &Incident<Arc<Version>>) -> Option<Migration> {
    match incident {
        Incident::Migrated { pause, .. } => Some(Migration::Moved { pause: *pause }),
        Incident::MigrationFailed { reason, .. } => {
            Some(Migration::Failed { reason: reason.clone() })
        }
        Incident::Recovered { .. } | Incident::FellBack { .. } | Incident::Lost { .. } => None,
    }
}

fn as_call_fault(fault: &Fault) -> TenantFault {
    match fault {
        Fault::OverBudget { .. } => TenantFault::OverTime,
        Fault::Memory { .. } | Fault::MemoryOfTenant { .. } => TenantFault::OverMemory,
        Fault::BadAnswer(why) => TenantFault::Contract(why.to_string()),
        other => TenantFault::Trapped(other.to_string()),
    }
}

/// What a guest's wall clock shows as the call begins. A clock before 1970 shows 1970.
fn unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
