//! Who answers a call right now, and how another takes over.
//!
//! **One rule: whichever instance is active, every event gets exactly one answer, and no answer is
//! given twice.** An [`InstanceSupervisor`] hands each event to the active instance and returns its actions. Around that it
//! does two things nobody on the line notices:
//!
//! * **Migration.** [`InstanceSupervisor::migrate`] notes the version. At the next event boundary the
//!   active instance saves, an instance of the new version (the candidate) loads, and for a few
//!   frames both get every event while only the old one's actions count. If the candidate answers in
//!   budget and with as much audio, it becomes the active one; otherwise the old one stays active.
//! * **Recovery.** The supervisor keeps the last good `save` and the events since. An instance that fails is
//!   replaced by one that loads that state, hears those events again with its actions muted, and is
//!   asked again. The ladder ([`RecoveryStage`] in this file) says what happens if that fails, too.
//!
//! A tenant without `handover` has no state to carry: it can not migrate, and its faults go straight to
//! the call, which starts it afresh.

mod comparison;
mod instances;
mod journal;
mod observer;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::future::Future;
use std::time::{Duration, Instant};

use cordboard_call::contract::{Action, CallInfo, Event, Millis};

use crate::fault::{Blame, Fault};
use comparison::AudioOut;
pub use instances::CallInstanceFactory;
use journal::Journal;
pub use observer::{Observed, Observer};

/// Caller frames both instances answer before the new one takes over: 100 ms of the call. One full
/// state of the longest filter (6 ms) and a few turns of everything else a tenant does per frame.
const WARM_UP_FRAMES: u32 = 5;

/// How long a candidate may wait for those frames, in milliseconds of the call, before it is rejected.
const WARM_UP_WITHIN: Millis = 2_000;

/// Between two migrations of one call, in milliseconds. Swapping costs a call about as much as 20
/// frames; an operator can not mean more than this.
const MIGRATE_EVERY: Millis = 500;

/// Between two snapshots, in milliseconds of the call, unless a turn ends.
const SNAPSHOT_EVERY: Millis = 1_000;

/// Between two snapshots where a turn ends.
const SNAPSHOT_TURN: Millis = 200;

/// Failed saves after which a tenant is no longer asked, and its faults go straight to the call.
const SAVE_FAULTS_MAX: u32 = 2;

/// Recoveries within [`RECOVERIES_WITHIN`] milliseconds of a call, after which the next fault counts as the
/// ladder's third: a tenant that fails at every event, and not when it is asked again, costs a
/// millisecond or two each time.
const RECOVERIES_MAX: usize = 20;

/// See [`RECOVERIES_MAX`].
const RECOVERIES_WITHIN: Millis = 10_000;

/// Snapshots may take one part in this many of the call's time; a tenant that is slow to save is saved
/// less often.
const SNAPSHOT_SHARE: u32 = 200;

/// Something that answers events.
pub trait SupervisedInstance: Send {
    /// Answers one event.
    fn handle(
        &mut self,
        now: Millis,
        event: Event,
    ) -> impl Future<Output = Result<Vec<Action>, Fault>> + Send;
    /// Says that its answers are carried out from here on, and no other instance's.
    fn activate(&mut self) {}
    /// Whether it can save and load.
    fn has_handover(&self) -> bool;
    /// Saves, for a successor.
    fn save(&mut self, now: Millis) -> impl Future<Output = Result<Option<Vec<u8>>, Fault>> + Send;
    /// Loads, in place of `started`.
    fn load(
        &mut self,
        now: Millis,
        info: CallInfo,
        state: &[u8],
    ) -> impl Future<Output = Result<Result<(), String>, Fault>> + Send;
}

/// Where instances come from.
pub trait InstanceFactory: Send {
    /// What a version is known by.
    type Version: Clone + Send + Sync;
    /// What answers.
    type SupervisedInstance: SupervisedInstance;
    /// Starts an instance. `nth` counts the instances of one call from 0, so that each has randomness of its own.
    fn start(
        &self,
        version: &Self::Version,
        nth: u64,
    ) -> impl Future<Output = Result<Self::SupervisedInstance, Fault>> + Send;
    /// Writes the version's name and settings into what an instance is told of the call.
    fn describe(&self, version: &Self::Version, info: &mut CallInfo);
    /// Whether two of them are one.
    fn is_same(&self, one: &Self::Version, other: &Self::Version) -> bool;
}

/// What the supervisor did that an operator wants to know. The caller noticed none of it.
#[derive(Debug, Clone)]
pub enum Incident<V> {
    /// An instance failed and another carried on from the last good state.
    Recovered {
        /// Which version failed.
        version: V,
        /// How.
        fault: Fault,
        /// Events heard again.
        replayed: usize,
        /// The event itself was left out, because it made the instance fail twice.
        skipped: bool,
        /// From the fault to the answer.
        pause: Duration,
    },
    /// A version failed over and over; the one before it carries on.
    FellBack {
        /// Which version failed.
        from: V,
        /// Which one answers now.
        to: V,
        /// How it failed.
        fault: Fault,
    },
    /// An instance failed and nothing here could carry on; the call starts afresh.
    Lost {
        /// Which version failed.
        version: V,
        /// How.
        fault: Fault,
    },
    /// A new version answers the call now.
    Migrated {
        /// Who answered before.
        from: V,
        /// Who answers now.
        to: V,
        /// What the call waited for it: save, start and load.
        pause: Duration,
        /// Size of the state, in bytes.
        state_bytes: usize,
    },
    /// A migration failed; the old version goes on answering.
    MigrationFailed {
        /// Who was to take over.
        wanted: V,
        /// Why it did not.
        reason: String,
        /// Whether the candidate is to blame.
        candidates_fault: bool,
    },
}

/// The active instance of a call, and whatever is needed to replace it.
pub struct InstanceSupervisor<A: InstanceFactory> {
    factory: A,
    info: CallInfo,
    version: A::Version,
    /// Who answered before the present version, for the ladder's last rung.
    previous: Option<A::Version>,
    /// Absent after a fault that nothing here could mend.
    active: Option<A::SupervisedInstance>,
    journal: Journal,
    recovery_stage: RecoveryStage,
    save_faults: u32,
    /// Times the call began anew, and what the last one was for.
    restarts: u32,
    lost_to: Option<Fault>,
    /// When the last few recoveries were, oldest first.
    recoveries: VecDeque<Millis>,
    candidate: Option<Candidate<A>>,
    pending_migration: Option<A::Version>,
    migrated_at: Option<Millis>,
    instances: u64,
    incidents: Vec<Incident<A::Version>>,
}

/// A new version's instance that listens and is not listened to.
struct Candidate<A: InstanceFactory> {
    instance: A::SupervisedInstance,
    version: A::Version,
    frames_left: u32,
    since: Millis,
    pause: Duration,
    state_bytes: usize,
}

/// How often the supervisor has failed since an event was last answered.
///
/// 1: recover and ask again. 2: recover and leave the event out. 3: fall back to the previous version,
/// from the same state. 4, or no such version: give the fault to the call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct RecoveryStage(u32);

impl<A: InstanceFactory> InstanceSupervisor<A> {
    /// Starts the first instance of a call. It has not been told `started` yet; that is the call's word.
    ///
    /// # Errors
    /// The component does not survive its own start.
    pub async fn open(factory: A, version: A::Version, mut info: CallInfo) -> Result<Self, Fault> {
        factory.describe(&version, &mut info);
        let mut active = factory.start(&version, 0).await?;
        active.activate();
        Ok(Self {
            factory,
            info,
            version,
            previous: None,
            active: Some(active),
            journal: Journal::default(),
            recovery_stage: RecoveryStage::default(),
            save_faults: 0,
            restarts: 0,
            lost_to: None,
            recoveries: VecDeque::new(),
            candidate: None,
            pending_migration: None,
            migrated_at: None,
            instances: 1,
            incidents: Vec::new(),
        })
    }

    /// Who answers now.
    pub fn version(&self) -> &A::Version {
        &self.version
    }

    /// Asks for another version. It takes over at an event boundary to come, if it can; a later request replaces
    /// this one.
    pub fn migrate(&mut self, to: A::Version) {
        self.reject_candidate("another version was asked for meanwhile", false);
        if let Some(older) = self.pending_migration.replace(to) {
            self.migration_failed(older, "another version was asked for meanwhile", false);
        }
    }

    /// Whether a migration is pending or under way.
    pub fn is_migrating(&self) -> bool {
        self.pending_migration.is_some() || self.candidate.is_some()
    }

    /// Whether there is anything to tell.
    pub fn has_incidents(&self) -> bool {
        !self.incidents.is_empty()
    }

    /// What happened since this was last asked, oldest first.
    pub fn incidents(&mut self) -> impl Iterator<Item = Incident<A::Version>> + '_ {
        self.incidents.drain(..)
    }

    /// Says who answers when the version that does fails over and over; whoever a migration leaves behind takes that
    /// place later.
    pub fn fall_back_to(&mut self, version: A::Version) {
        self.previous = Some(version);
    }

    /// Puts a fresh instance at the supervisor, without any state. The call tells it what it can.
    ///
    /// A call that begins anew may as well do so with the version that was asked for, and does; one that begins anew a second
    /// time does it with the version before, where there is one.
    ///
    /// # Errors
    /// The component does not survive its own start.
    pub async fn restart(&mut self) -> Result<(), Fault> {
        // The old one goes first, so that a restart never needs two places in the pool.
        self.active = None;
        self.journal = Journal::default();
        self.restarts += 1;
        let candidate = self.candidate.take().map(|candidate| candidate.version);
        if let Some(wanted) = self.pending_migration.take().or(candidate) {
            self.begin_anew_with(wanted);
        } else if self.restarts > 1
            && let Some(previous) = self.previous.take()
        {
            let fault = self.lost_to.take().unwrap_or(Fault::Gone);
            self.fall_back(previous, fault);
        }
        let instance = self.start(&self.version.clone()).await?;
        self.install(instance);
        Ok(())
    }

    /// Lets another version have a call that has no state to carry over.
    fn begin_anew_with(&mut self, wanted: A::Version) {
        if self.factory.is_same(&wanted, &self.version) {
            return self.migration_failed(wanted, "this version answers already", false);
        }
        let from = std::mem::replace(&mut self.version, wanted);
        self.factory.describe(&self.version, &mut self.info);
        self.incidents.push(Incident::Migrated {
            from: from.clone(),
            to: self.version.clone(),
            pause: Duration::ZERO,
            state_bytes: 0,
        });
        self.previous = Some(from);
    }

    fn fall_back(&mut self, previous: A::Version, fault: Fault) {
        let from = std::mem::replace(&mut self.version, previous);
        self.factory.describe(&self.version, &mut self.info);
        self.incidents.push(Incident::FellBack { from, to: self.version.clone(), fault });
    }

    /// Has one event answered.
    ///
    /// # Errors
    /// Nothing here could carry on; the supervisor is empty until [`InstanceSupervisor::restart`].
    pub async fn handle(&mut self, now: Millis, mut event: Event) -> Result<Vec<Action>, Fault> {
        if let Event::Started(info) = &mut event {
            // Not always the version the call began with.
            self.factory.describe(&self.version, info);
        }
        if self.pending_migration.is_some() {
            self.begin_migration(now).await;
        }
        let Some(active) = &mut self.active else { return Err(Fault::Gone) };
        if active.has_handover() && self.save_faults < SAVE_FAULTS_MAX {
            self.journal.push(now, event.clone());
        }
        match active.handle(now, event).await {
            Ok(actions) => {
                self.recovery_stage = RecoveryStage::default();
                self.warm_up(now, &actions).await;
                self.snapshot_if_due(now).await;
                Ok(actions)
            }
            Err(fault) => self.recover(now, fault).await,
        }
    }

    /// Saves the active instance and starts its successor from that state.
    async fn begin_migration(&mut self, now: Millis) {
        if self.migrated_at.is_some_and(|at| now < at + MIGRATE_EVERY) {
            return;
        }
        let Some(wanted) = self.pending_migration.take() else { return };
        if self.factory.is_same(&wanted, &self.version) {
            return self.migration_failed(wanted, "this version answers already", false);
        }
        if self.save_faults >= SAVE_FAULTS_MAX {
            return self.migration_failed(
                wanted,
                "the version that answers fails in `save`",
                false,
            );
        }
        let began = Instant::now();
        let Some(active) = &mut self.active else {
            return self.migration_failed(wanted, "no instance is answering", false);
        };
        let state = match active.save(now).await {
            Ok(Some(state)) => state,
            Ok(None) => {
                let reason = "the version that answers does not export `handover`, so it has no state to give";
                return self.migration_failed(wanted, reason, false);
            }
            Err(fault) => {
                self.migration_failed(
                    wanted,
                    format!("the version that answers could not save: {fault}"),
                    false,
                );
                // The next event finds nobody at the supervisor otherwise.
                return self.replace_silently(now, fault).await;
            }
        };
        self.journal.restart_from(now, state.clone(), began.elapsed());
        match self.successor(now, &wanted, &state).await {
            Ok(instance) => {
                self.candidate = Some(Candidate {
                    instance,
                    version: wanted,
                    frames_left: WARM_UP_FRAMES,
                    since: now,
                    pause: began.elapsed(),
                    state_bytes: state.len(),
                });
            }
            Err(reason) => self.migration_failed(wanted, reason, true),
        }
    }

    /// Starts an instance of a version and has it load a state.
    async fn successor(
        &mut self,
        now: Millis,
        version: &A::Version,
        state: &[u8],
    ) -> Result<A::SupervisedInstance, String> {
        let mut instance = match self.start(version).await {
            Ok(instance) => instance,
            Err(fault) => return Err(format!("the new version does not start: {fault}")),
        };
        let mut info = self.info.clone();
        self.factory.describe(version, &mut info);
        match instance.load(now, info, state).await {
            Ok(Ok(())) => Ok(instance),
            Ok(Err(refusal)) => Err(format!("the new version refuses the state: {refusal}")),
            Err(fault) => Err(format!("the new version fails in `load`: {fault}")),
        }
    }

    /// Lets a candidate answer the event the active instance has just answered, and compares.
    async fn warm_up(&mut self, now: Millis, actions: &[Action]) {
        let Some(candidate) = &mut self.candidate else { return };
        let event =
            self.journal.last().cloned().expect("an event is journalled while anybody shadows");
        let is_frame = matches!(event, Event::CallerAudio(_));
        let verdict = match candidate.instance.handle(now, event).await {
            Ok(answer) => AudioOut::of(actions).difference(&AudioOut::of(&answer)),
            Err(fault) => Some(format!("the new version fails beside the old one: {fault}")),
        };
        if let Some(reason) = verdict {
            return self.reject_candidate(reason, true);
        }
        candidate.frames_left -= u32::from(is_frame);
        if candidate.frames_left == 0 {
            self.take_over(now);
        } else if now > candidate.since + WARM_UP_WITHIN {
            self.reject_candidate("no caller audio to compare by", false);
        }
    }

    fn take_over(&mut self, now: Millis) {
        let Some(candidate) = self.candidate.take() else { return };
        // The old instance's memory is given back on another thread.
        self.install(candidate.instance);
        let from = std::mem::replace(&mut self.version, candidate.version);
        self.factory.describe(&self.version, &mut self.info);
        self.migrated_at = Some(now);
        self.incidents.push(Incident::Migrated {
            from: from.clone(),
            to: self.version.clone(),
            pause: candidate.pause,
            state_bytes: candidate.state_bytes,
        });
        self.previous = Some(from);
    }

    /// Takes a snapshot where one is due, so that a recovery has little to hear again.
    async fn snapshot_if_due(&mut self, now: Millis) {
        let turn_ends = matches!(self.journal.last(), Some(Event::Flushed(_) | Event::Heard(_)));
        let every = if turn_ends { SNAPSHOT_TURN } else { SNAPSHOT_EVERY };
        if self.save_faults >= SAVE_FAULTS_MAX || !self.journal.is_due(now, every, SNAPSHOT_SHARE) {
            return;
        }
        let Some(active) = &mut self.active else { return };
        let began = Instant::now();
        match active.save(now).await {
            Ok(Some(state)) => self.journal.restart_from(now, state, began.elapsed()),
            Ok(None) => {}
            Err(fault) => self.replace_silently(now, fault).await,
        }
    }

    /// Replaces an instance that failed while it was asked for nothing the caller waits for.
    async fn replace_silently(&mut self, now: Millis, fault: Fault) {
        let began = Instant::now();
        self.active = None;
        self.postpone_migration();
        self.save_faults += 1;
        let version = self.version.clone();
        match self.revive(&version, self.journal.len()).await {
            Ok(instance) => {
                self.install(instance);
                self.journal.put_off(now);
                if self.save_faults >= SAVE_FAULTS_MAX {
                    self.journal = Journal::default();
                }
                self.incidents.push(Incident::Recovered {
                    version,
                    fault,
                    replayed: self.journal.len(),
                    skipped: false,
                    pause: began.elapsed(),
                });
            }
            // The next event reports it to the call.
            Err(_) => {
                self.lost_to = Some(fault.clone());
                self.incidents.push(Incident::Lost { version, fault });
            }
        }
    }

    /// Climbs the ladder ([`RecoveryStage`]) until the newest event in the journal is answered or left out.
    async fn recover(&mut self, now: Millis, first: Fault) -> Result<Vec<Action>, Fault> {
        let began = Instant::now();
        let mut fault = first.clone();
        self.active = None;
        self.postpone_migration();
        if self.is_failing_all_the_time(now) {
            self.recovery_stage.0 = self.recovery_stage.0.max(2);
        }
        while self.journal.has_state() && fault.blame() == Blame::Tenant {
            self.recovery_stage.0 += 1;
            match self.recovery_stage.0 {
                1 => match self.ask_again(now, &self.version.clone()).await {
                    Ok(actions) => {
                        self.recovery_stage = RecoveryStage::default();
                        self.recovered(first, false, began);
                        return Ok(actions);
                    }
                    Err(again) => fault = again,
                },
                2 => match self
                    .revive(&self.version.clone(), self.journal.len().saturating_sub(1))
                    .await
                {
                    Ok(instance) => {
                        self.install(instance);
                        self.journal.forget_last();
                        self.recovered(first, true, began);
                        return Ok(Vec::new());
                    }
                    Err(again) => fault = again,
                },
                3 => {
                    let Some(previous) = self.previous.take() else { continue };
                    self.fall_back(previous, fault.clone());
                    match self.ask_again(now, &self.version.clone()).await {
                        Ok(actions) => {
                            self.recovery_stage = RecoveryStage::default();
                            return Ok(actions);
                        }
                        Err(again) => fault = again,
                    }
                }
                _ => break,
            }
        }
        // From here on the call knows better: it starts afresh, and apologises when that fails too.
        self.recovery_stage = RecoveryStage::default();
        // What it failed with, and not what kept it from being mended.
        self.lost_to = Some(first.clone());
        self.incidents.push(Incident::Lost { version: self.version.clone(), fault: first });
        Err(fault)
    }

    /// Revives an instance up to the last event and asks for that one's answer again.
    async fn ask_again(&mut self, now: Millis, version: &A::Version) -> Result<Vec<Action>, Fault> {
        let mut instance = self.revive(version, self.journal.len().saturating_sub(1)).await?;
        let event = self.journal.last().cloned().ok_or(Fault::Gone)?;
        instance.activate();
        let actions = instance.handle(now, event).await?;
        self.active = Some(instance);
        Ok(actions)
    }

    /// Starts an instance from the last good state and lets it hear the first `events` since, its
    /// actions muted: they have been carried out.
    async fn revive(
        &mut self,
        version: &A::Version,
        events: usize,
    ) -> Result<A::SupervisedInstance, Fault> {
        let (saved_at, state) = self.journal.state().ok_or(Fault::Gone)?;
        let state = state.to_vec();
        let mut instance = self.start(version).await?;
        let mut info = self.info.clone();
        self.factory.describe(version, &mut info);
        if let Err(refusal) = instance.load(saved_at, info, &state).await? {
            return Err(Fault::Handover(format!("it refuses the state it saved: {refusal}")));
        }
        for (at, event) in self.journal.events().take(events) {
            instance.handle(*at, event.clone()).await?;
        }
        Ok(instance)
    }

    fn install(&mut self, mut instance: A::SupervisedInstance) {
        instance.activate();
        self.active = Some(instance);
    }

    fn is_failing_all_the_time(&mut self, now: Millis) -> bool {
        while self.recoveries.pop_front_if(|at| *at + RECOVERIES_WITHIN <= now).is_some() {}
        self.recoveries.push_back(now);
        self.recoveries.len() > RECOVERIES_MAX
    }

    async fn start(&mut self, version: &A::Version) -> Result<A::SupervisedInstance, Fault> {
        let nth = self.instances;
        self.instances += 1;
        self.factory.start(version, nth).await
    }

    fn recovered(&mut self, fault: Fault, skipped: bool, began: Instant) {
        self.incidents.push(Incident::Recovered {
            version: self.version.clone(),
            fault,
            replayed: self.journal.len(),
            skipped,
            pause: began.elapsed(),
        });
    }

    fn migration_failed(
        &mut self,
        wanted: A::Version,
        reason: impl Into<String>,
        candidates_fault: bool,
    ) {
        self.incidents.push(Incident::MigrationFailed {
            wanted,
            reason: reason.into(),
            candidates_fault,
        });
    }

    fn reject_candidate(&mut self, reason: impl Into<String>, candidates_fault: bool) {
        if let Some(candidate) = self.candidate.take() {
            self.migration_failed(candidate.version, reason, candidates_fault);
        }
    }

    /// Makes the migration pending again, because the instance that the candidate was compared with
    /// failed. The next candidate begins from the state to which that instance recovers.
    fn postpone_migration(&mut self) {
        if let Some(candidate) = self.candidate.take() {
            self.pending_migration.get_or_insert(candidate.version);
        }
    }
}
