//! The gateway's own way to replace a tenant: the supervisor, with hand-over and a few frames that both versions answer.
//!
//! The versions are two of one component, so nothing may differ, and neither may be sent away.

use std::sync::Arc;

use cordboard_call::contract::{CallInfo, Event, Millis};
use cordboard_tenant::{
    CallInstanceFactory, CarrierPolicy, Fault, HttpPolicy, Incident, InstanceFactory,
    InstanceSupervisor, RecordingTerms, TenantId, Version,
};

use super::{failed, same};
use crate::driver::{Asked, Failure, How};
use crate::report::{Finding, Outcome};
use crate::runner::Played;
use crate::runtime::{Log, Runtime};

/// Between two migrations, in milliseconds of the call: a little more than the supervisor insists on.
const EVERY_MS: Millis = 600;

/// Leads a conversation through a supervisor that migrates all the time.
pub(super) async fn outcome(runtime: &Runtime, base: &Played) -> Outcome {
    let Some(Asked { event: Event::Started(info), .. }) = base.asked.first() else {
        return Outcome::Skipped("the conversation has no beginning".to_owned());
    };
    let version = |name: &str| {
        Arc::new(Version {
            tenant: TenantId::default_tenant(),
            name: name.to_owned(),
            component: runtime.component().clone(),
            settings: info.settings.clone(),
            limits: Arc::new(runtime.limits().clone()),
            http: HttpPolicy::default(),
            carrier: CarrierPolicy::default(),
            recording: RecordingTerms::default(),
        })
    };
    let versions = [version(&info.version), version(&format!("{}-again", info.version))];
    let factory = Patient(CallInstanceFactory {
        seed: Runtime::SEED,
        began_unix_ms: Runtime::BEGAN_UNIX_MS,
        log: Arc::new(Log::default()),
        cpu_quota: Arc::clone(runtime.cpu_quota()),
        observer: None,
    });
    let mut supervisor =
        match InstanceSupervisor::open(factory, Arc::clone(&versions[0]), info.clone()).await {
            Ok(supervisor) => supervisor,
            Err(fault) => return faulted("start", 0, fault),
        };
    let mut answers = Vec::new();
    let (mut migrations, mut next) = (0, EVERY_MS);
    for Asked { now, event, .. } in &base.asked {
        if *now >= next && !supervisor.is_migrating() {
            next = now + EVERY_MS;
            let is_first = supervisor.version().name == versions[0].name;
            supervisor.migrate(Arc::clone(&versions[usize::from(is_first)]));
        }
        let actions = match supervisor.handle(*now, event.clone()).await {
            Ok(actions) => actions,
            Err(fault) => return faulted(event.kind(), *now, fault),
        };
        answers.push(Asked { now: *now, event: event.clone(), actions });
        for incident in supervisor.incidents() {
            match incident {
                Incident::Migrated { .. } => migrations += 1,
                Incident::MigrationFailed { reason, candidates_fault: true, .. } => {
                    return sent_away(*now, reason);
                }
                Incident::MigrationFailed { .. } => {}
                Incident::Recovered { fault, .. }
                | Incident::FellBack { fault, .. }
                | Incident::Lost { fault, .. } => {
                    return faulted(event.kind(), *now, fault);
                }
            }
        }
    }
    if migrations == 0 {
        return Outcome::Skipped("the conversation is too short for a migration".to_owned());
    }
    same::of_answers(&base.asked, &answers, same::Why::Swapped)
}

/// Starts guests as the gateway does, and waits for the room that earlier ones still take.
struct Patient(CallInstanceFactory);

impl InstanceFactory for Patient {
    type Version = <CallInstanceFactory as InstanceFactory>::Version;
    type SupervisedInstance = <CallInstanceFactory as InstanceFactory>::SupervisedInstance;

    async fn start(
        &self,
        version: &Self::Version,
        nth: u64,
    ) -> Result<Self::SupervisedInstance, Fault> {
        loop {
            match self.0.start(version, nth).await {
                Err(Fault::NoRoom) => std::thread::yield_now(),
                started => return started,
            }
        }
    }

    fn describe(&self, version: &Self::Version, info: &mut CallInfo) {
        self.0.describe(version, info);
    }

    fn is_same(&self, one: &Self::Version, other: &Self::Version) -> bool {
        self.0.is_same(one, other)
    }
}

fn faulted(at: &'static str, at_ms: Millis, fault: Fault) -> Outcome {
    let failure = Failure { at, at_ms, how: How::Fault(fault) };
    failed(&failure, format!("at {at_ms} ms, while the gateway's supervisor migrates it"))
}

fn sent_away(at_ms: Millis, reason: String) -> Outcome {
    Outcome::Failed(Box::new(Finding {
        title: "is sent away when it is to take over from itself".to_owned(),
        place: format!("at {at_ms} ms"),
        details: vec![("because", reason)],
        hint: Some(
            "for a few frames both versions answer; the new one must answer in budget, and with as much audio as the \
             old one, so `save` has to hold every filter and buffer the next frame depends on"
                .to_owned(),
        ),
    }))
}
