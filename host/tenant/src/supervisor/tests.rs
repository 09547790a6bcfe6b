//! The supervisor with instances of our own, which fail when they are told to.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};

use cordboard_call::contract::{AudioFormat, Direction, Encoding};

use super::*;
use crate::fault::TrapKind;

/// What a version of the fake instance is like.
#[derive(Debug, Clone, Default)]
struct Mode {
    name: &'static str,
    /// Traps at caller frames with these first bytes, whenever it is asked.
    traps_on: HashSet<u8>,
    /// Traps at caller frames with these first bytes, once per call.
    traps_once_on: HashSet<u8>,
    has_no_handover: bool,
    refuses_state: bool,
    traps_in_save: bool,
    traps_in_load: bool,
    traps_at_start: bool,
    doubles_audio: bool,
}

/// A instance whose state is the sum of all it heard, so that a lost or repeated event shows.
struct Adder {
    mode: Mode,
    trapped: Arc<Mutex<HashSet<u8>>>,
    sum: u64,
}

fn trap() -> Fault {
    Fault::Trap { kind: TrapKind::Unreachable, message: "as it was told to".to_owned() }
}

impl SupervisedInstance for Adder {
    async fn handle(&mut self, _now: Millis, event: Event) -> Result<Vec<Action>, Fault> {
        let Event::CallerAudio(frame) = event else { return Ok(Vec::new()) };
        let first = frame[0];
        let once = self.mode.traps_once_on.contains(&first)
            && self.trapped.lock().expect("one thread").insert(first);
        if once || self.mode.traps_on.contains(&first) {
            return Err(trap());
        }
        self.sum += u64::from(first);
        let copies = if self.mode.doubles_audio { 2 } else { 1 };
        Ok(vec![Action::ModelAudio(self.sum.to_le_bytes().repeat(copies))])
    }

    fn has_handover(&self) -> bool {
        !self.mode.has_no_handover
    }

    async fn save(&mut self, _now: Millis) -> Result<Option<Vec<u8>>, Fault> {
        match &self.mode {
            mode if mode.traps_in_save => Err(trap()),
            mode if mode.has_no_handover => Ok(None),
            _ => Ok(Some(self.sum.to_le_bytes().to_vec())),
        }
    }

    async fn load(
        &mut self,
        _now: Millis,
        info: CallInfo,
        state: &[u8],
    ) -> Result<Result<(), String>, Fault> {
        assert_eq!(info.version, self.mode.name, "a instance is told its own version's name");
        if self.mode.traps_in_load {
            return Err(trap());
        }
        if self.mode.refuses_state {
            return Ok(Err("written by a stranger".to_owned()));
        }
        self.sum = u64::from_le_bytes(state.try_into().expect("as saved"));
        Ok(Ok(()))
    }
}

#[derive(Default)]
struct Adders {
    trapped: Arc<Mutex<HashSet<u8>>>,
}

impl InstanceFactory for Adders {
    type Version = Mode;
    type SupervisedInstance = Adder;

    async fn start(&self, version: &Mode, _nth: u64) -> Result<Adder, Fault> {
        if version.traps_at_start {
            return Err(trap());
        }
        Ok(Adder { mode: version.clone(), trapped: Arc::clone(&self.trapped), sum: 0 })
    }

    fn describe(&self, version: &Mode, info: &mut CallInfo) {
        version.name.clone_into(&mut info.version);
    }

    fn is_same(&self, one: &Mode, other: &Mode) -> bool {
        one.name == other.name
    }
}

fn good(name: &'static str) -> Mode {
    Mode { name, ..Mode::default() }
}

fn info() -> CallInfo {
    CallInfo {
        call_id: "CA1".into(),
        stream_id: "MZ1".into(),
        tenant: "acme".into(),
        version: String::new(),
        direction: Direction::Inbound,
        caller: None,
        callee: None,
        format: AudioFormat { encoding: Encoding::Mulaw, sample_rate: 8000, channels: 1 },
        parameters: Vec::new(),
        settings: "{}".into(),
        restarted: false,
    }
}

/// A call of 20 ms frames whose first bytes count up from 1, and what was answered.
struct TestCall {
    supervisor: InstanceSupervisor<Adders>,
    now: Millis,
    expected: u64,
    incidents: Vec<Incident<Mode>>,
}

impl TestCall {
    async fn open(version: Mode) -> Self {
        let mut supervisor =
            InstanceSupervisor::open(Adders::default(), version, info()).await.expect("it starts");
        supervisor.handle(0, Event::Started(info())).await.expect("it answers");
        Self { supervisor, now: 0, expected: 0, incidents: Vec::new() }
    }

    /// What the call does when the supervisor is empty.
    async fn begin_anew(&mut self) {
        self.supervisor.restart().await.expect("it starts");
        self.supervisor.handle(self.now, Event::Started(info())).await.expect("it answers");
        self.incidents.extend(self.supervisor.incidents());
        self.expected = 0;
    }

    /// Hands in one frame; says what was answered.
    async fn frame(&mut self, first: u8) -> Result<Vec<Action>, Fault> {
        self.now += 20;
        let answer = self.supervisor.handle(self.now, Event::CallerAudio(vec![first; 160])).await;
        self.incidents.extend(self.supervisor.incidents());
        answer
    }

    /// Hands in frames and checks that each was answered as if nothing had ever happened.
    async fn frames(&mut self, firsts: impl IntoIterator<Item = u8>) {
        for first in firsts {
            self.expected += u64::from(first);
            let answer = self.frame(first).await.expect("somebody answers");
            assert_eq!(answer, [Action::ModelAudio(self.expected.to_le_bytes().to_vec())]);
        }
    }

    fn migrations(&self) -> Vec<&'static str> {
        let to = |incident: &Incident<Mode>| match incident {
            Incident::Migrated { to, .. } => Some(to.name),
            _ => None,
        };
        self.incidents.iter().filter_map(to).collect()
    }

    fn failed_migrations(&self) -> Vec<(&'static str, String)> {
        let why = |incident: &Incident<Mode>| match incident {
            Incident::MigrationFailed { wanted, reason, .. } => Some((wanted.name, reason.clone())),
            _ => None,
        };
        self.incidents.iter().filter_map(why).collect()
    }
}

#[tokio::test]
async fn every_frame_is_answered_once_over_three_swaps_and_a_downgrade() {
    let mut call = TestCall::open(good("v1")).await;
    for to in ["v2", "v3", "v4", "v1"] {
        call.frames(1..=40).await;
        call.supervisor.migrate(good(to));
        call.frames(1..=40).await;
        assert_eq!(call.supervisor.version().name, to);
    }
    assert_eq!(call.migrations(), ["v2", "v3", "v4", "v1"]);
    assert_eq!(call.failed_migrations(), []);
}

#[tokio::test]
async fn the_old_version_answers_until_the_new_one_has_heard_enough() {
    let mut call = TestCall::open(good("v1")).await;
    call.supervisor.migrate(good("v2"));
    call.frames(1..WARM_UP_FRAMES as u8).await;
    assert_eq!(call.supervisor.version().name, "v1");
    call.frames([9]).await;
    assert_eq!(call.supervisor.version().name, "v2");
}

#[tokio::test]
async fn a_candidate_that_can_not_take_over_leaves_the_old_one_active() {
    let candidates = [
        (Mode { traps_in_load: true, ..good("load") }, "fails in `load`"),
        (Mode { refuses_state: true, ..good("refusal") }, "written by a stranger"),
        (Mode { traps_at_start: true, ..good("start") }, "does not start"),
        (Mode { traps_on: [3].into(), ..good("shadow") }, "beside the old one"),
        (Mode { doubles_audio: true, ..good("audio") }, "16 bytes of audio, the old one 8"),
    ];
    for (candidate, reason) in candidates {
        let name = candidate.name;
        let mut call = TestCall::open(good("v1")).await;
        call.supervisor.migrate(candidate);
        call.frames(1..=40).await;
        assert_eq!(call.supervisor.version().name, "v1");
        assert_eq!(call.failed_migrations().len(), 1, "{name}");
        assert!(
            call.failed_migrations()[0].1.contains(reason),
            "{name}: {:?}",
            call.failed_migrations()
        );
    }
}

#[tokio::test]
async fn a_tenant_without_handover_stays_and_says_why() {
    let mut call = TestCall::open(Mode { has_no_handover: true, ..good("v1") }).await;
    call.supervisor.migrate(good("v2"));
    call.frames(1..=10).await;
    assert!(call.failed_migrations()[0].1.contains("does not export `handover`"));
    assert_eq!(call.supervisor.version().name, "v1");
}

#[tokio::test]
async fn migrations_are_carried_out_one_at_a_time() {
    let mut call = TestCall::open(good("v1")).await;
    call.supervisor.migrate(good("v2"));
    call.frames(1..=6).await;
    call.supervisor.migrate(good("v3"));
    call.frames(1..=6).await;
    assert_eq!(call.supervisor.version().name, "v2", "the second swap waits for its time");
    call.frames(1..=40).await;
    assert_eq!(call.migrations(), ["v2", "v3"]);
}

#[tokio::test]
async fn a_later_migration_replaces_an_earlier_one() {
    let mut call = TestCall::open(good("v1")).await;
    call.supervisor.migrate(good("v2"));
    call.frames([1]).await;
    call.supervisor.migrate(good("v3"));
    call.frames(1..=40).await;
    assert_eq!(call.migrations(), ["v3"]);
    assert_eq!(call.failed_migrations()[0].0, "v2");
}

#[tokio::test]
async fn a_trap_loses_no_event_and_repeats_none() {
    let mut call = TestCall::open(Mode { traps_once_on: [77].into(), ..good("v1") }).await;
    call.frames(1..=60).await;
    call.frames([77]).await;
    call.frames(1..=60).await;
    let [Incident::Recovered { skipped: false, .. }] = call.incidents[..] else {
        panic!("{:?}", call.incidents)
    };
}

#[tokio::test]
async fn an_event_that_traps_twice_is_left_out() {
    let mut call = TestCall::open(Mode { traps_on: [77].into(), ..good("v1") }).await;
    call.frames(1..=60).await;
    assert_eq!(call.frame(77).await, Ok(Vec::new()));
    call.frames(1..=60).await;
    let [Incident::Recovered { skipped: true, .. }] = call.incidents[..] else {
        panic!("{:?}", call.incidents)
    };
}

#[tokio::test]
async fn a_version_that_fails_at_everything_gives_way_to_the_one_before() {
    let mut call = TestCall::open(good("v1")).await;
    let bad = Mode { traps_on: (100..=255).collect(), ..good("v2") };
    call.supervisor.migrate(bad);
    call.frames(1..=60).await;
    assert_eq!(call.supervisor.version().name, "v2");
    assert_eq!(call.frame(100).await, Ok(Vec::new()), "left out");
    call.frames([101]).await;
    assert_eq!(call.supervisor.version().name, "v1");
    assert!(call.incidents.iter().any(|it| matches!(it, Incident::FellBack { .. })));
    call.frames(100..=200).await;
}

#[tokio::test]
async fn without_a_version_before_the_call_is_told() {
    let mut call = TestCall::open(Mode { traps_on: (100..=255).collect(), ..good("v1") }).await;
    call.frames(1..=60).await;
    assert_eq!(call.frame(100).await, Ok(Vec::new()));
    assert_eq!(call.frame(101).await, Err(trap()));
    assert_eq!(call.frame(1).await, Err(Fault::Gone));
    call.supervisor.restart().await.expect("it starts");
    call.expected = 0;
    call.frames(1..=60).await;
}

#[tokio::test]
async fn a_trap_during_warm_up_begins_the_migration_anew_and_loses_nothing() {
    let mut call = TestCall::open(Mode { traps_once_on: [3].into(), ..good("v1") }).await;
    call.supervisor.migrate(good("v2"));
    call.frames(1..=7).await;
    assert_eq!(call.supervisor.version().name, "v1", "it has heard only the frames since the trap");
    call.frames(8..=40).await;
    assert_eq!(call.migrations(), ["v2"]);
    assert_eq!(call.failed_migrations(), []);
}

#[tokio::test]
async fn a_call_that_begins_anew_while_it_was_to_move_begins_with_the_new_version() {
    let bad = Mode { traps_on: [3, 4].into(), ..good("v1") };
    let mut call = TestCall::open(bad).await;
    call.supervisor.migrate(good("v2"));
    call.frames([1, 2]).await;
    assert_eq!(call.frame(3).await, Ok(Vec::new()), "left out");
    assert_eq!(call.frame(4).await, Err(trap()));
    call.begin_anew().await;
    call.frames([3, 4, 5]).await;
    assert_eq!((call.supervisor.version().name, call.migrations()), ("v2", vec!["v2"]));
    assert!(!call.supervisor.is_migrating());
}

#[tokio::test]
async fn a_call_that_begins_anew_twice_begins_with_the_version_before() {
    let bad = Mode { traps_on: [2].into(), has_no_handover: true, ..good("v2") };
    let mut call = TestCall::open(bad).await;
    call.supervisor.fall_back_to(good("v1"));
    for version in ["v2", "v1"] {
        assert_eq!(call.frame(2).await, Err(trap()));
        call.begin_anew().await;
        assert_eq!(call.supervisor.version().name, version);
    }
    call.frames([2, 2, 2]).await;
    let fell = |incident: &Incident<Mode>| match incident {
        Incident::FellBack { from, to, fault } => Some((from.name, to.name, fault.clone())),
        _ => None,
    };
    assert_eq!(call.incidents.iter().find_map(fell), Some(("v2", "v1", trap())));
}

#[tokio::test]
async fn a_version_that_refuses_its_own_state_falls_back_and_is_told_by_its_trap() {
    let bad = Mode { traps_on: [3].into(), refuses_state: true, ..good("v2") };
    let mut call = TestCall::open(bad.clone()).await;
    call.supervisor.fall_back_to(good("v1"));
    call.frames([1, 2, 3, 4]).await;
    assert_eq!(call.supervisor.version().name, "v1");

    let mut alone = TestCall::open(bad).await;
    alone.frames([1, 2]).await;
    assert!(alone.frame(3).await.is_err());
    let lost = |incident: &Incident<Mode>| match incident {
        Incident::Lost { fault, .. } => Some(fault.clone()),
        _ => None,
    };
    assert_eq!(alone.incidents.iter().find_map(lost), Some(trap()));
}

#[tokio::test]
async fn a_tenant_that_traps_in_save_keeps_answering_and_is_not_asked_for_ever() {
    let mut call = TestCall::open(Mode { traps_in_save: true, ..good("v1") }).await;
    // Without a state there is nothing to revive it from: the call is told, and starts it afresh.
    assert_eq!(call.frame(1).await, Err(Fault::Gone));
    for _ in 0..3 {
        call.supervisor.restart().await.expect("it starts");
        call.expected = 0;
        if call.frame(1).await.is_ok() && call.frame(1).await.is_ok() {
            return;
        }
    }
    panic!("it is asked to save again and again: {:?}", call.incidents);
}

#[tokio::test]
async fn a_tenant_that_fails_at_every_event_does_not_recover_for_ever() {
    let mut call = TestCall::open(Mode { traps_once_on: (1..=255).collect(), ..good("v1") }).await;
    let mut answered = 0;
    for first in 1..=200 {
        match call.frame(first).await {
            Ok(_) => answered += 1,
            Err(fault) => {
                assert_eq!(fault, trap());
                assert_eq!(answered, RECOVERIES_MAX as u32);
                return;
            }
        }
    }
    panic!("200 recoveries in four seconds");
}

#[tokio::test]
async fn a_tenant_that_failed_in_save_does_not_migrate_and_says_why() {
    let mut call = TestCall::open(Mode { traps_in_save: true, ..good("v1") }).await;
    while call.frame(1).await.is_err() {
        call.supervisor.restart().await.expect("it starts");
    }
    assert!(call.frame(1).await.is_err(), "the second failed save");
    call.supervisor.restart().await.expect("it starts");
    call.supervisor.migrate(good("v2"));
    for _ in 0..40 {
        call.frame(1).await.expect("it answers without being saved");
    }
    assert!(call.failed_migrations().iter().any(|(_, reason)| reason.contains("fails in `save`")));
    assert!(!call.supervisor.is_migrating());
}
