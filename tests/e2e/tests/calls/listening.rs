//! How scenarios look at what both simulators saw.

use cordboard_e2e::{caller, said};
use cordboard_sim::audio::is_audible;
use cordboard_sim::carrier::{CallReport, CallerScript, Message, Step, StreamReport};
use cordboard_sim::model::SessionLog;
use serde_json::Value;

/// The silence that ends an answer for the caller, in ms: short, so that calls are short.
pub(crate) const QUIET_MS: u64 = 300;

/// Every scenario's beginning: the greeting is heard to its end.
pub(crate) fn greeted() -> CallerScript {
    caller().listen()
}

/// A caller's turns, in words.
pub(crate) trait Turns {
    /// Hears the other side out.
    fn listen(self) -> Self;
    /// Says something for half a second.
    fn speak(self, name: &str) -> Self;
    /// Says something and hears the answer, so many times.
    fn converse(self, times: u32) -> Self;
}

impl Turns for CallerScript {
    fn listen(self) -> Self {
        self.then(Step::WaitAnswer { quiet_ms: QUIET_MS })
    }

    fn speak(self, name: &str) -> Self {
        self.say(said(name, 500))
    }

    fn converse(self, times: u32) -> Self {
        (1..=times).fold(self, |script, turn| script.speak(&format!("turn {turn}")).listen())
    }
}

/// The only session there was.
pub(crate) fn only(sessions: &[SessionLog]) -> &SessionLog {
    let [session] = sessions else { panic!("{} sessions", sessions.len()) };
    session
}

/// How many times the gateway cleared the line.
pub(crate) fn clears(call: &CallReport) -> usize {
    call.stream().received(|message| matches!(message, Message::Clear)).count()
}

/// Every truncation of a session: the item and its ms.
pub(crate) fn truncations(session: &SessionLog) -> Vec<(String, u64)> {
    let truncation = |event: &Value| {
        let item = event["item_id"].as_str().expect("an item is named").to_owned();
        (item, event["audio_end_ms"].as_u64().expect("checked to be a whole number"))
    };
    let all = session.received_of("conversation.item.truncate");
    all.iter().map(|received| truncation(&received.event)).collect()
}

/// The items the model spoke, in the order of their first sound.
pub(crate) fn spoken_items(session: &SessionLog) -> Vec<String> {
    let mut items: Vec<String> = Vec::new();
    for delta in session.sent_of("response.output_audio.delta") {
        let item = delta.event["item_id"].as_str().expect("a delta names its item").to_owned();
        if !items.contains(&item) {
            items.push(item);
        }
    }
    items
}

/// How every response ended.
pub(crate) fn outcomes(session: &SessionLog) -> Vec<&str> {
    let done = session.sent_of("response.done");
    done.iter().map(|sent| sent.event["response"]["status"].as_str().unwrap_or("?")).collect()
}

/// An event without its id, which it must have.
pub(crate) fn without_id(event: &Value) -> Value {
    let mut event = event.clone();
    let id = event.as_object_mut().and_then(|fields| fields.remove("event_id"));
    assert!(id.is_some_and(|id| id.is_string()), "no event_id: {event}");
    event
}

/// The events of one type a session received, without their ids.
pub(crate) fn received(session: &SessionLog, kind: &str) -> Vec<Value> {
    session.received_of(kind).iter().map(|received| without_id(&received.event)).collect()
}

/// How much audible audio the caller heard between two moments of the stream, in ms.
pub(crate) fn heard_between(stream: &StreamReport, from_ms: f64, to_ms: f64) -> u64 {
    let at = |ms: f64| ((ms.max(0.0) * 8.0) as usize).min(stream.heard.len());
    let heard = &stream.heard[at(from_ms)..at(to_ms).max(at(from_ms))];
    heard.chunks(160).filter(|frame| is_audible(frame)).count() as u64 * 20
}

/// When the gateway cleared the line, in ms of the stream.
pub(crate) fn cleared_at(stream: &StreamReport) -> f64 {
    stream
        .received(|message| matches!(message, Message::Clear))
        .next()
        .expect("the line was cleared")
        .at_ms
}
