//! What a recording sounds like and what was said in it.

use std::borrow::Cow;

use cordboard_call::contract::{
    Action, AudioFormat, CallInfo, Direction, Encoding, Event, Play, Publication,
};
use cordboard_recording::{
    Bounds, Bytes, Entry, Failure, Hearing, Speaker, Step, Transcript, instance_traces, timeline,
    turns,
};

#[test]
fn a_play_is_heard_when_everything_before_it_was() {
    let call = Call::new()
        .event(0, Event::CallerAudio(vec![0xff; 160]), vec![play("a", 800), play("b", 800)])
        .event(50, Event::Timer(1), vec![play("b", 800)])
        .event(1_000, Event::Timer(2), vec![play("c", 80)]);
    let hearing = call.heard();

    let items: Vec<_> =
        hearing.items.iter().map(|it| (it.name.as_str(), it.from, it.to, it.cut)).collect();
    assert_eq!(items, [("a", 0, 100, false), ("b", 100, 300, false), ("c", 1_000, 1_010, false)]);
    assert_eq!(hearing.agent.len(), 8_080);
    assert!(hearing.agent[..2_400].iter().all(|sample| *sample != 0));
    assert!(hearing.agent[2_400..8_000].iter().all(|sample| *sample == 0), "silence between");
}

#[test]
fn a_flush_silences_what_was_not_heard_yet() {
    let call = Call::new()
        .event(0, Event::Timer(1), vec![play("a", 8_000), play("never", 8_000)])
        .event(400, Event::Timer(2), vec![Action::Flush, play("next", 160)])
        .event(500, Event::Timer(3), vec![Action::Flush]);
    let hearing = call.heard();

    let items: Vec<_> =
        hearing.items.iter().map(|it| (it.name.as_str(), it.from, it.to, it.cut)).collect();
    assert_eq!(items, [("a", 0, 400, true), ("next", 400, 420, false)]);
    assert_eq!(hearing.agent.len(), 3_360, "400 ms, then 20");
}

#[test]
fn a_callers_frames_are_laid_end_to_end_unless_one_is_late() {
    let frame = || Event::CallerAudio(vec![0x80; 160]);
    let call = Call::new()
        .event(20, frame(), vec![])
        .event(47, frame(), vec![])
        .event(48, frame(), vec![])
        .event(1_020, frame(), vec![]);
    let hearing = call.heard();

    assert_eq!(hearing.caller.len(), 8_160);
    let loud = hearing.caller.iter().filter(|sample| **sample != 0).count();
    assert_eq!(loud, 4 * 160);
}

#[test]
fn only_answers_that_counted_are_heard() {
    let mut call = Call::new().event(0, Event::Timer(1), vec![play("a", 160)]);
    call.entries.push(started(1));
    call.ask(1, 20, Event::Timer(2));
    call.answer(1, vec![play("from a shadow", 160)]);
    call.ask(0, 20, Event::Timer(2));
    let failure = Failure { kind: "trap".into(), message: "it trapped".into() };
    call.entries.push(Entry::Answered { instance: 0, answer: Err(failure) });
    call.entries.push(Entry::Activated { instance: 1 });
    call.ask(1, 20, Event::Timer(2));
    call.answer(1, vec![play("b", 160)]);

    assert_eq!(turns(&call.entries).len(), 3, "`started`, and the two timers once each");
    let names: Vec<_> = call.heard().items.into_iter().map(|item| item.name).collect();
    assert_eq!(names, ["a", "b"]);
    let traces = instance_traces(&call.entries);
    assert_eq!((traces[0].steps.len(), traces[1].steps.len()), (3, 2));
    assert!(matches!(traces[0].steps[2], Step::Asked { answer: Some(Err(_)), .. }));
}

#[test]
fn a_transcript_says_who_said_what_when_and_what_was_cut_off() {
    let said = |json: &str| Event::ModelEvent(json.into());
    let call = Call::new()
        .event(100, Event::Timer(1), vec![play("item_a", 16_000)])
        .event(150, said(r#"{"type":"response.output_audio_transcript.done","item_id":"item_a","transcript":"Hello, this is\n<Acme> & sons."}"#), vec![])
        .event(900, said(r#"{"type":"input_audio_buffer.speech_started","item_id":"item_u"}"#), vec![Action::Flush])
        .event(1_900, said(r#"{"type":"input_audio_buffer.speech_stopped","item_id":"item_u"}"#), vec![])
        .event(2_500, said(r#"{"type":"conversation.item.input_audio_transcription.completed","item_id":"item_u","transcript":"Are you open?"}"#), vec![])
        .event(2_600, said("no JSON"), vec![]);
    let transcript = Transcript::of(&turns(&call.entries), &call.heard());

    let who: Vec<_> = transcript.0.iter().map(|line| (line.speaker, line.cut)).collect();
    assert_eq!(who, [(Speaker::Agent, true), (Speaker::Caller, false)]);
    assert_eq!(
        transcript.text(),
        "00:00.100 agent: Hello, this is <Acme> & sons. [cut off]\n00:00.900 caller: Are you open?\n"
    );
    assert_eq!(
        transcript.web_vtt(),
        "WEBVTT\n\n00:00.100 --> 00:00.900\n<v agent>Hello, this is &lt;Acme&gt; &amp; sons.\n\
         \n00:00.900 --> 00:01.900\n<v caller>Are you open?\n"
    );
    let json: serde_json::Value = serde_json::from_str(&transcript.json()).unwrap();
    assert_eq!(json[1]["speaker"], "caller");
    assert_eq!((&json[1]["from_ms"], &json[1]["to_ms"]), (&900.into(), &1_900.into()));
}

#[test]
fn a_timeline_has_a_line_for_everything() {
    let mut call = Call::new().event(
        20,
        Event::CallerAudio(vec![0xff; 160]),
        vec![
            Action::ModelAudio(vec![0; 960]),
            Action::Publish(Publication { topic: "t".into(), json: "1".into() }),
        ],
    );
    let state = Bytes::Kept(Cow::Owned(vec![1; 9]));
    call.entries.push(Entry::Saved { instance: 0, now: 20, answer: Ok(Some(state)) });
    let lines: Vec<String> =
        timeline(&call.entries).map(|it| format!("{} {} {}", it.at_ms, it.what, it.text)).collect();

    assert_eq!(
        lines,
        [
            "0 start v1, component 010101010101",
            "0 activate its answers count now",
            "0 event started CA1 as v1",
            "20 event caller-audio: 20 ms, 160 bytes",
            "20 action model-audio: 20 ms, 960 bytes",
            "20 action publish t 1",
            "20 save 9 bytes",
        ]
    );
    assert!(timeline(&call.entries).all(|moment| moment.counts || moment.what == "start"));
}

/// A call as its entries.
struct Call {
    entries: Vec<Entry<'static>>,
}

impl Call {
    fn new() -> Self {
        let mut call = Self { entries: vec![started(0), Entry::Activated { instance: 0 }] };
        call.ask(0, 0, Event::Started(info()));
        call.answer(0, Vec::new());
        call
    }

    fn event(mut self, now: u64, event: Event, actions: Vec<Action>) -> Self {
        self.ask(0, now, event);
        self.answer(0, actions);
        self
    }

    fn ask(&mut self, instance: u64, now: u64, event: Event) {
        self.entries.push(Entry::Asked { instance, now, event: Cow::Owned(event) });
    }

    fn answer(&mut self, instance: u64, actions: Vec<Action>) {
        self.entries.push(Entry::Answered { instance, answer: Ok(Cow::Owned(actions)) });
    }

    fn heard(&self) -> Hearing {
        Hearing::of(&turns(&self.entries))
    }
}

fn started(instance: u64) -> Entry<'static> {
    Entry::Started {
        instance,
        version: "v1".into(),
        component: [1; 32],
        seed: [2; 32],
        began_unix_ms: 0,
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

fn play(item: &str, bytes: usize) -> Action {
    Action::Play(Play { item: item.into(), audio: vec![0x90; bytes], last: false })
}

fn info() -> CallInfo {
    CallInfo {
        call_id: "CA1".into(),
        stream_id: "MZ1".into(),
        tenant: "acme".into(),
        version: "v1".into(),
        direction: Direction::Inbound,
        caller: None,
        callee: None,
        format: AudioFormat { encoding: Encoding::Mulaw, sample_rate: 8_000, channels: 1 },
        parameters: Vec::new(),
        settings: "{}".into(),
        restarted: false,
    }
}
