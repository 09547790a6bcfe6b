//! The gateway's own way to replace a tenant: the desk, with hand-over and a few frames that both versions answer.
//!
//! The versions are two of one component, so nothing may differ, and neither may be sent away.

use std::sync::Arc;

use cordboard_call::contract::{CallInfo, Event, Millis};
use cordboard_tenant::{
    Agency, CallAgency, Desk, Fault, HttpPolicy, Incident, RecordingTerms, TenantId, Version,
};

use super::{failed, same};
use crate::bench::{Bench, Log};
use crate::report::{Finding, Outcome};
use crate::seat::{Asked, Failure, How};
use crate::story::Played;

/// Between two migrations, in milliseconds of the call: a little more than the desk insists on.
const EVERY_MS: Millis = 600;

/// Leads a conversation through a desk that migrates all the time.
pub(super) async fn outcome(bench: &Bench, base: &Played) -> Outcome {
    let Some(Asked { event: Event::Started(info), .. }) = base.asked.first() else {
        return Outcome::Skipped("the conversation has no beginning".to_owned());
    };
    let version = |name: &str| {
        Arc::new(Version {
            tenant: TenantId::default_tenant(),
            name: name.to_owned(),
            component: bench.component().clone(),
            settings: info.settings.clone(),
            limits: Arc::new(bench.limits().clone()),
            http: HttpPolicy::default(),
            recording: RecordingTerms::default(),
        })
    };
    let versions = [version(&info.version), version(&format!("{}-again", info.version))];
    let agency = Patient(CallAgency {
        seed: Bench::SEED,
        began_unix_ms: Bench::BEGAN_UNIX_MS,
        log: Arc::new(Log::default()),
        allowance: Arc::clone(bench.allowance()),
        witness: None,
    });
    let mut desk = match Desk::open(agency, Arc::clone(&versions[0]), info.clone()).await {
        Ok(desk) => desk,
        Err(fault) => return faulted("start", 0, fault),
    };
    let mut answers = Vec::new();
    let (mut migrations, mut next) = (0, EVERY_MS);
    for Asked { now, event, .. } in &base.asked {
        if *now >= next && !desk.is_migrating() {
            next = now + EVERY_MS;
            let is_first = desk.version().name == versions[0].name;
            desk.migrate(Arc::clone(&versions[usize::from(is_first)]));
        }
        let actions = match desk.handle(*now, event.clone()).await {
            Ok(actions) => actions,
            Err(fault) => return faulted(event.kind(), *now, fault),
        };
        answers.push(Asked { now: *now, event: event.clone(), actions });
        for incident in desk.incidents() {
            match incident {
                Incident::Migrated { .. } => migrations += 1,
                Incident::Stayed { reason, newcomers_fault: true, .. } => {
                    return sent_away(*now, reason);
                }
                Incident::Stayed { .. } => {}
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
struct Patient(CallAgency);

impl Agency for Patient {
    type Version = <CallAgency as Agency>::Version;
    type Guest = <CallAgency as Agency>::Guest;

    async fn start(&self, version: &Self::Version, nth: u64) -> Result<Self::Guest, Fault> {
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
    failed(&failure, format!("at {at_ms} ms, while the gateway's desk migrates it"))
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
