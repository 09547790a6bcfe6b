//! The guests this repository ships, compiled, and a call to lead them through.
//!
//! The promises themselves are in `tests/promises.rs`; a guest that is shipped is named in `build.rs` and
//! then keeps all of them.

use std::fs;
use std::sync::OnceLock;

use cordboard_call::contract::{
    Dialect, Ended, Event, Flushed, Heard, Millis, ModelAudio, ModelInfo,
};
use cordboard_misbehaving_guests::{call_info, component, engine};
use cordboard_tenant::{CompileLimits, Component};

include!(concat!(env!("OUT_DIR"), "/shipped.rs"));

/// Every guest that keeps the promises: the shipped ones, and the plainest one there is.
pub fn guests() -> &'static [(&'static str, Component)] {
    static GUESTS: OnceLock<Vec<(&str, Component)>> = OnceLock::new();
    GUESTS.get_or_init(|| {
        let compiled = |path: &str| {
            let bytes = fs::read(path).expect("the build script has just made it");
            Component::vet_and_compile(engine(), &bytes, &CompileLimits::default())
                .expect("a shipped guest is a tenant")
        };
        let mut guests: Vec<_> = SHIPPED.map(|(name, path)| (name, compiled(path))).into();
        guests.push(("echoes", component("echoes").expect("a sound guest")));
        guests
    })
}

/// One call, event by event, with the time of each: a greeting, a turn, an interruption, keys, a
/// model that is lost and comes back, and the end.
pub fn a_call() -> Vec<(Millis, Event)> {
    let mut call = Telling::default();
    call.tell(Event::Started(call_info("{}")));
    call.hear_frames(10);
    call.tell(Event::ModelReady(model()));
    call.model(
        r#"{"type":"session.updated","event_id":"e1","session":{"type":"realtime","id":"sess_1"}}"#,
    );
    call.response(1, 12);
    call.tell(heard("item_1", 240, true));
    call.hear_frames(20);
    call.model(
        r#"{"type":"input_audio_buffer.speech_started","audio_start_ms":900,"item_id":"item_u1"}"#,
    );
    call.hear_frames(20);
    call.model(
        r#"{"type":"input_audio_buffer.speech_stopped","audio_end_ms":1400,"item_id":"item_u1"}"#,
    );
    call.model(
        r#"{"type":"input_audio_buffer.committed","item_id":"item_u1","previous_item_id":null}"#,
    );
    call.model(r#"{"type":"conversation.item.input_audio_transcription.completed","item_id":"item_u1","content_index":0,"transcript":"hello"}"#);
    call.response(2, 40);
    call.hear_frames(10);
    call.model(
        r#"{"type":"input_audio_buffer.speech_started","audio_start_ms":1900,"item_id":"item_u2"}"#,
    );
    let items = vec![Heard { item: "item_2".into(), millis: 200, complete: false }];
    call.tell(Event::Flushed(Flushed { items, marks: Vec::new() }));
    call.hear_frames(10);
    call.tell(Event::CallerKey("1".into()));
    call.tell(Event::CallerKey("#".into()));
    call.tell(Event::ModelLost("the socket closed".into()));
    call.hear_frames(10);
    call.tell(Event::ModelRestored(model()));
    call.response(3, 10);
    call.tell(heard("item_3", 200, true));
    call.tell(Event::Ended(Ended::CallerHungUp));
    call.events
}

/// A call being told, one event every 20 ms.
#[derive(Default)]
struct Telling {
    now: Millis,
    events: Vec<(Millis, Event)>,
}

impl Telling {
    fn tell(&mut self, event: Event) {
        self.now += 20;
        self.events.push((self.now, event));
    }

    fn model(&mut self, json: &str) {
        self.tell(Event::ModelEvent(json.into()));
    }

    /// Caller audio with something in it: a sawtooth in mu-law's own numbers.
    fn hear_frames(&mut self, count: u8) {
        for frame in 0..count {
            self.tell(Event::CallerAudio((0..160_u8).map(|n| n.wrapping_mul(7) ^ frame).collect()));
        }
    }

    /// One whole response of the model, as the service tells it, with `deltas` pieces of 20 ms.
    fn response(&mut self, n: u32, deltas: u32) {
        let (response, item) = (format!("resp_{n}"), format!("item_{n}"));
        self.model(&format!(
            r#"{{"type":"response.created","response":{{"id":"{response}","status":"in_progress"}}}}"#
        ));
        self.model(&format!(
            r#"{{"type":"response.output_item.added","response_id":"{response}","output_index":0,"item":{{"id":"{item}","type":"message","role":"assistant","content":[]}}}}"#
        ));
        for delta in 0..deltas {
            let data = (0..480_u32).flat_map(|n| (((n * 89 + delta) % 8_000) as i16).to_le_bytes());
            self.tell(Event::ModelAudio(ModelAudio {
                response: response.clone(),
                item: item.clone(),
                content_index: 0,
                data: data.collect(),
            }));
        }
        self.model(&format!(
            r#"{{"type":"response.output_audio.done","response_id":"{response}","item_id":"{item}","content_index":0}}"#
        ));
        self.model(&format!(
            r#"{{"type":"response.output_audio_transcript.done","response_id":"{response}","item_id":"{item}","content_index":0,"transcript":"Hello there."}}"#
        ));
        self.model(&format!(
            r#"{{"type":"response.done","response":{{"id":"{response}","status":"completed","output":[]}}}}"#
        ));
    }
}

fn model() -> ModelInfo {
    ModelInfo { session: "sess_1".into(), model: "gpt-realtime".into(), dialect: Dialect::Ga }
}

fn heard(item: &str, millis: u32, complete: bool) -> Event {
    Event::Heard(Heard { item: item.into(), millis, complete })
}
