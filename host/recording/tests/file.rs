//! A recording as a file: written, read, cut, damaged.

use std::borrow::Cow;

use cordboard_call::contract::{
    Action, AudioFormat, CallInfo, Direction, Encoding, Ended, Event, Play,
};
use cordboard_recording::{
    Bounds, Bytes, CHUNK_MS, Chunks, End, Entry, Header, Recording, Redaction, Tail, Unreadable,
    Why, pack_end,
};

#[test]
fn what_was_written_is_read() {
    let file = file(3_000);
    let recording = Recording::read(&file).unwrap();

    assert_eq!(recording.header, header());
    assert_eq!(recording.entries, entries(3_000));
    assert_eq!(recording.tail, Tail::Ended(end()));
    assert!(recording.tail.is_complete());
}

#[test]
fn a_file_cut_off_at_any_byte_opens_to_its_last_whole_second() {
    let (file, whole) = (file(3_000), entries(3_000));
    let head = header().to_bytes().len();
    let mut seconds = Vec::new();
    for length in 0..file.len() {
        let read = Recording::read(&file[..length]);
        if length < head {
            assert_eq!(read, Err(Unreadable::NoHeader), "{length} bytes");
            continue;
        }
        let recording = read.unwrap();
        assert!(matches!(recording.tail, Tail::CutOff { at } if at <= length), "{length} bytes");
        assert_eq!(recording.entries, whole[..recording.entries.len()], "{length} bytes");
        let last = recording.entries.iter().filter_map(Entry::now).max();
        if seconds.last() != Some(&last) {
            seconds.push(last);
        }
    }
    // Nothing, then 0 to 980 ms, then up to 1980, then everything but the end.
    assert_eq!(seconds, [None, Some(980), Some(1_980), Some(2_980)]);
}

#[test]
fn a_flipped_bit_anywhere_is_noticed() {
    let (file, whole) = (file(1_500), entries(1_500));
    for at in 0..file.len() {
        for bit in [0, 3, 7] {
            let mut flipped = file.clone();
            flipped[at] ^= 1 << bit;
            match Recording::read(&flipped) {
                Err(_) => {}
                Ok(recording) => {
                    assert!(!recording.tail.is_complete(), "byte {at}, bit {bit}");
                    assert_eq!(recording.entries, whole[..recording.entries.len()], "byte {at}");
                }
            }
        }
    }
}

#[test]
fn errors_say_what_the_bytes_are() {
    let file = file(100);
    let mut later = file.clone();
    later[8] = 9;

    for (bytes, says) in [
        (b"RIFF....WAVE".to_vec(), "no recording"),
        (later, "format version 9"),
        (file[..40].to_vec(), "within its header"),
        (Vec::new(), "within its header"),
    ] {
        let error = Recording::read(&bytes).unwrap_err().to_string();
        assert!(error.contains(says), "{error}");
    }
}

#[test]
fn a_length_out_of_all_reason_asks_for_no_memory() {
    let mut file = header().to_bytes();
    file.extend(u32::MAX.to_le_bytes());
    file.extend([1, 0, 0, 0]);
    file.extend(u32::MAX.to_le_bytes());
    file.extend([0; 64]);

    let tail = Recording::read(&file).unwrap().tail;
    assert!(tail.to_string().contains("out of all reason"), "{tail}");
}

#[test]
fn a_chunk_has_no_more_than_a_second_of_the_call() {
    let mut chunks = Chunks::default();
    for (now, entry) in timed(10_000) {
        chunks.push(now, &entry);
    }
    let taken = chunks.take();

    assert_eq!(taken.len(), 10);
    assert_eq!(chunks.bytes(), 0);
    for chunk in taken {
        let mut file = header().to_bytes();
        chunk.pack(&mut file);
        let recording = Recording::read(&file).unwrap();
        let times: Vec<_> = recording.entries.iter().filter_map(Entry::now).collect();
        assert!(times.last().unwrap() - times[0] < CHUNK_MS);
    }
}

#[test]
fn a_chunk_is_closed_early_when_a_second_is_long() {
    let mut chunks = Chunks::default();
    let state = vec![7; 100_000];
    for now in 0..20 {
        let state = Bytes::Kept(Cow::Borrowed(state.as_slice()));
        chunks.push(now, &Entry::Saved { instance: 0, now, answer: Ok(Some(state)) });
    }
    assert_eq!(chunks.take().len(), 7);
}

#[test]
fn the_first_version_of_the_format_stays_readable() {
    // Written by this test's own `file(100)` when the format was defined; see the README before changing it.
    let kept = include_bytes!("format_1.cbr");
    let recording = Recording::read(kept).unwrap();

    assert_eq!(recording.entries, entries(100));
    assert_eq!(recording.tail, Tail::Ended(end()));
}

/// A call of 20 ms frames, so long, with a state every second and its end.
fn file(ms: u64) -> Vec<u8> {
    let mut chunks = Chunks::default();
    for (now, entry) in timed(ms) {
        chunks.push(now, &entry);
    }
    let mut file = header().to_bytes();
    for chunk in chunks.take() {
        chunk.pack(&mut file);
    }
    pack_end(&end(), &mut file);
    file
}

fn entries(ms: u64) -> Vec<Entry<'static>> {
    timed(ms).into_iter().map(|(_, entry)| entry).collect()
}

fn timed(ms: u64) -> Vec<(u64, Entry<'static>)> {
    let mut entries = vec![
        (0, started()),
        (0, Entry::Activated { instance: 0 }),
        (0, asked(0, Event::Started(info()))),
        (0, Entry::Answered { instance: 0, answer: Ok(Cow::Owned(Vec::new())) }),
    ];
    for now in (0..ms).step_by(20) {
        let byte = u8::try_from(now / 20 % 256).expect("a remainder of 256");
        entries.push((now, asked(now, Event::CallerAudio(vec![byte; 160]))));
        let play = Play { item: "echo".into(), audio: vec![byte; 160], last: false };
        let actions = vec![Action::ModelAudio(vec![byte; 160]), Action::Play(play)];
        entries.push((now, Entry::Answered { instance: 0, answer: Ok(Cow::Owned(actions)) }));
        if now % 1_000 == 0 {
            let state = Bytes::Kept(Cow::Owned(vec![byte; 30]));
            entries.push((now, Entry::Saved { instance: 0, now, answer: Ok(Some(state)) }));
        }
    }
    entries
}

fn started() -> Entry<'static> {
    Entry::Started {
        instance: 0,
        version: "v1".into(),
        component: [1; 32],
        seed: [2; 32],
        began_unix_ms: 1_700_000_000_000,
        bounds: Bounds {
            event_cpu_ms: 20,
            start_cpu_ms: 250,
            handover_cpu_ms: 20,
            memory_bytes: 16 << 20,
            actions_max: 256,
            answer_bytes_max: 256 << 10,
        },
        failure: None,
    }
}

fn asked(now: u64, event: Event) -> Entry<'static> {
    Entry::Asked { instance: 0, now, event: Cow::Owned(event) }
}

fn info() -> CallInfo {
    CallInfo {
        call_id: "CA1".into(),
        stream_id: "MZ1".into(),
        tenant: "acme".into(),
        version: "v1".into(),
        direction: Direction::Inbound,
        caller: Some("+15550000001".into()),
        callee: None,
        format: AudioFormat { encoding: Encoding::Mulaw, sample_rate: 8_000, channels: 1 },
        parameters: vec![("queue".into(), "sales".into())],
        settings: "{}".into(),
        restarted: false,
    }
}

fn header() -> Header {
    Header {
        call_id: "CA1".into(),
        tenant: "acme".into(),
        began_unix_ms: 1_700_000_000_000,
        gateway: "0.1.0".into(),
        redaction: Redaction::default(),
    }
}

fn end() -> End {
    End { now: 3_000, why: Why::CallOver(Ended::CallerHungUp) }
}
