//! Recorders and the thread that writes what they hold, on a disk that works, is full, or is not there.

use std::path::{Path, PathBuf};
use std::time::Duration;

use cordboard_call::contract::Event;
use cordboard_recording::{Entry, Recording as Read, Tail, Why};
use cordboard_tenant::Fault;

use super::*;

#[test]
fn what_a_call_said_is_on_disk_when_the_recorder_is_closed() {
    let dir = tempfile::tempdir().unwrap();
    let (recorder, metrics) = recorder(dir.path(), u64::MAX);
    let recording = begin(&recorder);
    talk(&recording, 3_000);
    recording.finish(Ended::CallerHungUp);
    recorder.close();

    let read = only(dir.path());
    assert!(read.tail.is_complete(), "{}", read.tail);
    let times: Vec<_> = read.entries.iter().filter_map(Entry::now).collect();
    assert_eq!(times, (0..3_000).step_by(20).collect::<Vec<_>>());
    assert!(
        metrics.text().contains("cordboard_recordings_total{tenant=\"acme\",kind=\"complete\"} 1")
    );
}

#[test]
fn a_call_that_is_given_up_ends_as_abandoned() {
    let dir = tempfile::tempdir().unwrap();
    let (recorder, _) = recorder(dir.path(), u64::MAX);
    let recording = begin(&recorder);
    talk(&recording, 100);
    drop(recording);
    recorder.close();

    assert_eq!(why(&only(dir.path())), Why::Abandoned);
}

#[test]
fn a_recording_ends_at_the_size_it_may_have_and_the_call_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let (recorder, _) = recorder(dir.path(), 10_000);
    let recording = begin(&recorder);
    talk(&recording, 60_000);
    recording.finish(Ended::CallerHungUp);
    recorder.close();

    let read = only(dir.path());
    assert_eq!(why(&read), Why::Full);
    assert!(!read.tail.is_complete() && !read.entries.is_empty());
    let size = std::fs::metadata(files(dir.path()).remove(0)).unwrap().len();
    assert!(size < 10_000 + 100, "{size}");
}

#[test]
fn a_recorder_nobody_collects_ends_before_something_would_be_missing() {
    let waiting = Arc::default();
    let call_recorder = Arc::new(CallRecorder::new(header(), Arc::clone(&waiting)));
    let recording = Recording(Arc::clone(&call_recorder));
    let observer = recording.observer();
    let mut noted = 0;
    for now in 0..1_000 {
        observer.asked(0, now, &Event::CallerAudio(vec![1; 100_000]));
        let bytes = waiting.load(std::sync::atomic::Ordering::Relaxed);
        assert!(bytes < 9 << 20, "{bytes} bytes wait");
        noted = bytes / 100_000;
    }
    recording.finish(Ended::CallerHungUp);

    let taken = call_recorder.take();
    assert_eq!(taken.end, Some(Why::SlowDisk));
    assert_eq!(taken.now, noted as u64 - 1, "the call's time as far as it was noted");
    assert_eq!(waiting.load(std::sync::atomic::Ordering::Relaxed), 0);
}

#[test]
fn one_slow_disk_does_not_take_all_memory_however_many_calls_there_are() {
    let waiting: Arc<AtomicUsize> = Arc::default();
    let call_recorders: Vec<_> =
        (0..200).map(|_| Arc::new(CallRecorder::new(header(), Arc::clone(&waiting)))).collect();
    for now in 0..30 {
        for call_recorder in &call_recorders {
            call_recorder.asked(0, now, &Event::CallerAudio(vec![1; 100_000]));
        }
    }
    let bytes = waiting.load(std::sync::atomic::Ordering::Relaxed);
    assert!(bytes < 300 << 20, "{bytes} bytes wait");
    drop(call_recorders);
    assert_eq!(waiting.load(std::sync::atomic::Ordering::Relaxed), 0);
}

#[test]
fn without_a_directory_the_call_goes_on_and_it_is_counted() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("taken");
    std::fs::write(&file, "a file where the directory should be").unwrap();
    let (recorder, metrics) = recorder(&file, u64::MAX);
    let recording = begin(&recorder);
    talk(&recording, 1_000);
    recording.finish(Ended::CallerHungUp);
    recorder.close();

    assert!(metrics.text().contains("kind=\"disk-failed\"} 1"), "{}", metrics.text());
}

#[test]
fn calls_are_written_while_they_go_on() {
    let dir = tempfile::tempdir().unwrap();
    let (recorder, _) = recorder(dir.path(), u64::MAX);
    let recording = begin(&recorder);
    talk(&recording, 2_000);
    // The writer comes by; how soon is the machine's business.
    let entries = || match files(dir.path()).first() {
        Some(file) => Read::read(&std::fs::read(file).unwrap()).map_or(0, |it| it.entries.len()),
        None => 0,
    };
    while entries() < 200 {
        std::thread::yield_now();
    }
    recording.finish(Ended::CallerHungUp);
    recorder.close();
    assert!(only(dir.path()).tail.is_complete());
}

fn recorder(dir: &Path, call_bytes_max: u64) -> (Recorder, Metrics) {
    let metrics = Metrics::default();
    let settings = Settings {
        dir: dir.to_owned(),
        keep: Duration::from_secs(86_400),
        total_bytes_max: u64::MAX,
        call_bytes_max,
    };
    (Recorder::new(settings, &metrics), metrics)
}

/// As [`Recorder::begin`] for a version whose terms ask for it.
fn begin(recorder: &Recorder) -> Recording {
    let call_recorder = Arc::new(CallRecorder::new(header(), Arc::clone(&recorder.waiting)));
    recorder.hand_over(Arc::clone(&call_recorder)).unwrap();
    Recording(call_recorder)
}

/// Frames for so many milliseconds, each answered.
fn talk(recording: &Recording, ms: u64) {
    let observer = recording.observer();
    for now in (0..ms).step_by(20) {
        let byte = u8::try_from(now / 20 % 256).unwrap();
        observer.asked(0, now, &Event::CallerAudio(vec![byte; 160]));
        observer.answered(0, now, if now == 40 { Err(&Fault::Waited) } else { Ok(&[]) });
    }
}

fn header() -> Header {
    Header {
        call_id: "CA1".into(),
        tenant: "acme".into(),
        began_unix_ms: 1_700_000_000_000,
        gateway: "0".into(),
        redaction: Redaction::default(),
    }
}

fn why(read: &Read) -> Why {
    match &read.tail {
        Tail::Ended(end) => end.why.clone(),
        tail => panic!("{tail}"),
    }
}

/// The one recording below a directory.
fn only(dir: &Path) -> Read {
    let files = files(dir);
    assert_eq!(files.len(), 1, "{files:?}");
    Read::read(&std::fs::read(&files[0]).unwrap()).unwrap()
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found
}
