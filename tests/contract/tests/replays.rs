//! Calls of the shipped guests, recorded without a socket, and run again by themselves and by others.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use cordboard::recorder::{Recorder, Settings};
use cordboard::replay::{self, Components, dry_run};
use cordboard_call::contract::{Ended, Event};
use cordboard_contract_tests::{MEGAPHONE, SHIPPED, a_call};
use cordboard_misbehaving_guests::{call_info, engine, path};
use cordboard_recording::{Recording, Redaction};
use cordboard_tenant::{
    CallInstanceFactory, CarrierPolicy, CompileLimits, Component, CpuQuota, HttpPolicy,
    InstanceSupervisor, Limits, RecordingTerms, TenantId, TracingLog, Version,
};
use tempfile::TempDir;

#[tokio::test]
async fn a_recorded_call_of_every_shipped_guest_replays_identical() {
    for (name, component) in SHIPPED {
        let call = Recorded::of(component, RecordingTerms::everything()).await;
        let replay = call.again(component).await;
        let report = replay::report(&call.recording(), &replay, false);
        assert!(replay.is_identical() && replay.answers == a_call().len(), "{name}: {report}");
        assert!(report.ends_with("identical\n"), "{report}");
    }
}

#[tokio::test]
async fn a_call_whose_instances_trap_and_are_replaced_replays_identical() {
    let guest = path("traps_every_second");
    let call = Recorded::of(guest, RecordingTerms::everything()).await;
    let replay = call.again(guest).await;
    let report = replay::report(&call.recording(), &replay, false);
    assert!(replay.is_identical() && replay.instances > 1, "{report}");
    let failed = format!("{:?}", call.recording().entries).matches("kind: \"trap\"").count();
    assert!(failed > 0, "it never trapped");
}

#[tokio::test]
async fn another_tenant_gives_a_difference_one_can_read() {
    let call = Recorded::of(default(), RecordingTerms::everything()).await;
    let recording = call.recording();
    let mut components = Components::new(None).expect("an engine starts");
    let megaphone = components.add(Path::new(MEGAPHONE)).expect("a tenant");
    let replay = replay::with(&recording, &megaphone, replay::PATIENCE).await;
    let report = replay::report(&recording, &replay, false);

    let golden = include_str!("megaphone.txt");
    let digest = recording_digest(&recording);
    assert_eq!(report.replace(&digest, "<digest>"), golden, "\n{report}");
}

#[tokio::test]
async fn a_redacted_call_is_identical_as_far_as_it_can_prove() {
    for (without_audio, without_transcripts) in [(true, false), (false, true), (true, true)] {
        let mut terms = RecordingTerms::everything();
        (terms.without_audio, terms.without_transcripts) = (without_audio, without_transcripts);
        let call = Recorded::of(default(), terms).await;
        let recording = call.recording();
        assert_eq!(
            recording.header.redaction,
            Redaction { audio: without_audio, transcripts: without_transcripts }
        );
        let replay = call.again(default()).await;
        let report = replay::report(&recording, &replay, false);
        assert!(report.contains("redacted   states:"), "{report}");
        let words = format!("{:?}", recording.entries);
        assert_eq!(words.contains("Hello there."), !without_transcripts);
        if !without_transcripts {
            assert!(replay.is_identical(), "{report}");
        }
    }
}

#[tokio::test]
async fn a_dry_run_objects_to_what_a_caller_would_hear_and_to_nothing_else() {
    let call = Recorded::of(default(), RecordingTerms::everything()).await;
    let same = dry_run("test", Path::new(default()), call.dir()).await.expect("a recording");
    assert_eq!(same.objections, 0, "{}", same.text);
    assert!(same.text.contains(": identical\ndry run on 1 recorded calls"), "{}", same.text);

    let louder = dry_run("test", Path::new(MEGAPHONE), call.dir()).await.expect("a recording");
    assert_eq!(louder.objections, 0, "{}", louder.text);
    assert!(louder.text.contains("answers differ"), "{}", louder.text);

    for (guest, says) in
        [("traps", "it fails at 0.020 s"), ("loops", "CPU time"), ("echoes", "bytes of audio")]
    {
        let run = dry_run("test", Path::new(path(guest)), call.dir()).await.expect("a recording");
        assert_eq!(run.objections, 1, "{guest}: {}", run.text);
        assert!(run.text.contains(says), "{guest}: {}", run.text);
    }
    let nobody = dry_run("nobody", Path::new(default()), call.dir()).await;
    let error = nobody.expect_err("no recording of that tenant").to_string();
    assert!(error.contains("no recording of tenant `nobody`"), "{error}");
}

fn default() -> &'static str {
    SHIPPED[0].1
}

fn recording_digest(recording: &Recording) -> String {
    let traces = cordboard_recording::instance_traces(&recording.entries);
    cordboard_tenant::Digest::from_bytes(*traces[0].start.component).short()
}

/// One recorded call.
struct Recorded(TempDir);

impl Recorded {
    /// Leads a component through [`a_call`] at a supervisor, and records it.
    async fn of(component: &str, recording: RecordingTerms) -> Self {
        let place = tempfile::tempdir().expect("this machine has a place for temporary files");
        let settings = Settings {
            dir: place.path().to_owned(),
            keep: Duration::from_secs(86_400),
            total_bytes_max: u64::MAX,
            call_bytes_max: u64::MAX,
        };
        let recorder = Recorder::new(settings, &Default::default());
        let bytes = std::fs::read(component).expect("the build script has just made it");
        let component = Component::vet_and_compile(engine(), &bytes, &CompileLimits::default());
        let version = Arc::new(Version {
            tenant: TenantId::parse("test").expect("a name"),
            name: "v1".to_owned(),
            component: component.expect("a shipped guest is a tenant"),
            settings: "{}".to_owned(),
            limits: Arc::new(Limits::default()),
            http: HttpPolicy::default(),
            carrier: CarrierPolicy::default(),
            recording,
        });
        let info = call_info("{}");
        let tape = recorder.begin(&info, &version, BEGAN).expect("every call is recorded");
        let factory = CallInstanceFactory {
            seed: [7; 32],
            began_unix_ms: BEGAN,
            log: Arc::new(TracingLog { tenant: "test".into(), call_id: info.call_id.clone() }),
            cpu_quota: Arc::new(CpuQuota::new(Duration::from_secs(3_600))),
            observer: Some(tape.observer()),
        };
        let mut supervisor =
            InstanceSupervisor::open(factory, version, info).await.expect("it starts");
        for (now, event) in a_call() {
            let ended = matches!(event, Event::Ended(_));
            supervisor.handle(now, event).await.expect("it answers");
            assert!(!ended || now > 1_000, "the call has an end");
        }
        tape.finish(Ended::CallerHungUp);
        recorder.close();
        Self(place)
    }

    fn dir(&self) -> &Path {
        self.0.path()
    }

    fn recording(&self) -> Recording {
        let mut at: PathBuf = self.0.path().to_owned();
        // Its tenant, its day, itself.
        for _ in 0..3 {
            let mut entries = std::fs::read_dir(&at).expect("it is there");
            at = entries.next().expect("there is one").expect("readable").path();
        }
        Recording::read(&std::fs::read(at).expect("it is ours")).expect("it is a recording")
    }

    async fn again(&self, component: &str) -> replay::Replay {
        let mut components = Components::new(None).expect("an engine starts");
        components.add(Path::new(component)).expect("a tenant");
        replay::again(&self.recording(), &mut components).await.expect("it was given")
    }
}

const BEGAN: u64 = 1_700_000_000_000;
