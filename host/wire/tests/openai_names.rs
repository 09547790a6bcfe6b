//! Ids that a server left out: every event behind the reader names its response, its item, its call.

use cordboard_wire::openai::{ClientEvent, Dialect, EventReader, ServerEvent};
use serde_json::{Value, json};

/// Every way of not saying an id.
fn nameless() -> [Value; 6] {
    [json!(null), json!(""), json!({}), json!([]), json!(false), json!("absent")]
}

#[test]
fn a_turn_without_any_id_is_one_response_with_one_item_from_start_to_end() {
    for nothing in nameless() {
        for (dialect, audio) in
            [(Dialect::Ga, "response.output_audio"), (Dialect::Beta, "response.audio")]
        {
            let mut server = Server::new(dialect, nothing.clone());
            let created = server.says("response.created", json!({"response": {"id": nothing}}));
            let response = text(&created[0], "/response/id");
            assert!(!response.is_empty(), "{nothing}");
            server.says("response.output_item.added", json!({"item": {"type": "message"}}));
            let (of, item) = server.audio(audio);
            assert_eq!(of, response, "{nothing}");
            assert_eq!(server.audio(audio), (response.clone(), item.clone()));
            let done = server.says(&format!("{audio}.done"), json!({}));
            assert_eq!(text(&done[0], "/item_id"), item);
            let done =
                server.says("response.output_item.done", json!({"item": {"type": "message"}}));
            assert_eq!(text(&done[0], "/item/id"), item);
            let done = server.says("response.done", json!({"response": {"id": nothing}}));
            assert_eq!(text(&done[0], "/response/id"), response, "the turn ends");
            assert_eq!(server.audio(audio), (response.clone(), item.clone()), "late, and the same");

            server.says("input_audio_buffer.speech_started", json!({}));
            server.says("input_audio_buffer.committed", json!({}));
            let next = server.says("response.created", json!({"response": {"id": nothing}}));
            let next = text(&next[0], "/response/id");
            assert_ne!(next, response);
            let (of, other) = server.audio(audio);
            assert_eq!(of, next);
            assert_ne!(other, item);
        }
    }
}

#[test]
fn audio_that_names_its_item_alone_belongs_to_the_response_of_that_item() {
    let mut server = Server::new(Dialect::Ga, json!(null));
    server.says("response.created", json!({"response": {"id": "resp_1"}}));
    assert_eq!(server.audio_of(json!(null), json!("item_1")), ("resp_1".into(), "item_1".into()));
    server.says("response.done", json!({"response": {"id": "resp_1"}}));
    server.says("response.created", json!({"response": {"id": "resp_2"}}));
    assert_eq!(
        server.audio_of(json!(null), json!("item_1")).0,
        "resp_1",
        "late audio of the first"
    );
    assert_eq!(server.audio_of(json!(null), json!("item_2")).0, "resp_2");
    assert_eq!(server.audio_of(json!("resp_2"), json!(null)).1, "item_2");
}

#[test]
fn a_response_that_is_done_without_a_word_about_which_is_the_one_under_way() {
    for done in [
        json!({"response": {"id": null, "status": "completed"}}),
        json!({"response": {"status": "completed"}}),
        json!({"response": null}),
        json!({"response": "resp_1"}),
        json!({}),
        json!({"response_id": "resp_1"}),
    ] {
        let mut server = Server::new(Dialect::Ga, json!(null));
        server.says("response.created", json!({"response": {"id": "resp_1"}}));
        let done = server.says("response.done", done);
        assert_eq!(text(&done[0], "/response/id"), "resp_1");
    }
}

#[test]
fn a_response_that_is_named_late_keeps_the_name_it_began_with() {
    let mut server = Server::new(Dialect::Ga, json!(null));
    let created = server.says("response.created", json!({"response": {}}));
    let response = text(&created[0], "/response/id");
    assert_eq!(server.audio_of(json!("resp_1"), json!("item_1")).0, response);
    let done = server.says("response.done", json!({"response": {"id": "resp_1"}}));
    assert_eq!(text(&done[0], "/response/id"), response);
}

#[test]
fn a_response_that_nobody_announced_is_announced_by_its_first_event() {
    for first in ["response.output_audio.delta", "response.output_audio_transcript.delta"] {
        let mut server = Server::new(Dialect::Ga, json!(null));
        let events = server.says(first, json!({"delta": "AAAA"}));
        assert_eq!(events[0]["type"], "response.created");
        let response = text(&events[0], "/response/id");
        assert_eq!(text(&events[1], "/response_id"), response);
        assert_eq!(server.says("response.output_audio.delta", json!({"delta": "AAAA"})).len(), 1);
        let done = server.says("response.done", json!({}));
        assert_eq!(done.len(), 1);
        assert_eq!(text(&done[0], "/response/id"), response);
    }
}

#[test]
fn ids_that_are_numbers_are_read_as_text() {
    let mut server = Server::new(Dialect::Ga, json!(null));
    let created = server.says("response.created", json!({"response": {"id": 7}}));
    assert_eq!(created[0]["response"]["id"], "7");
    assert_eq!(server.audio_of(json!(7), json!(12)), ("7".into(), "12".into()));
}

#[test]
fn each_call_without_an_id_is_a_call_of_its_own_and_its_output_is_told_in_words() {
    for nothing in nameless() {
        let mut server = Server::new(Dialect::Ga, nothing.clone());
        server.says("response.created", json!({"response": {"id": "resp_1"}}));
        let mut calls = Vec::new();
        for name in ["first", "second"] {
            let item = json!({"type": "function_call", "name": name, "arguments": "{}",
                "id": nothing, "call_id": nothing});
            let done = server.says("response.output_item.done", json!({"item": item}));
            calls.push(text(&done[0], "/item/call_id"));
        }
        assert_ne!(calls[0], calls[1], "{nothing}");
        let output = json!({"type": "conversation.item.create", "item": {
            "type": "function_call_output", "call_id": calls[0], "output": "{\"hours\":\"9 to 5\"}"}});
        let event = ClientEvent::parse(&output.to_string()).unwrap();
        for dialect in [Dialect::Ga, Dialect::Beta] {
            let sent: Value = serde_json::from_str(&event.encode(dialect)).unwrap();
            assert_eq!(sent["item"]["type"], "message", "no server knows this call's id");
            assert!(text(&sent, "/item/content/0/text").contains("9 to 5"));
            assert!(!sent.to_string().contains(&calls[0]));
        }
    }
}

#[test]
fn a_cancellation_does_not_name_what_the_server_did_not() {
    let mut server = Server::new(Dialect::Ga, json!(null));
    let created = server.says("response.created", json!({}));
    let cancel = json!({"type": "response.cancel", "response_id": created[0]["response"]["id"]});
    let sent = ClientEvent::parse(&cancel.to_string()).unwrap().encode(Dialect::Ga);
    assert_eq!(sent, r#"{"type":"response.cancel"}"#);
}

#[test]
fn what_the_caller_says_is_one_item_from_its_start_to_its_transcript() {
    let mut server = Server::new(Dialect::Ga, json!(null));
    let mut items = Vec::new();
    for _ in 0..2 {
        let started = server.says("input_audio_buffer.speech_started", json!({}));
        items.push(text(&started[0], "/item_id"));
        for kind in ["speech_stopped", "committed"] {
            let event = server.says(&format!("input_audio_buffer.{kind}"), json!({}));
            assert_eq!(text(&event[0], "/item_id"), items[items.len() - 1], "{kind}");
        }
    }
    assert_ne!(items[0], items[1]);
    for item in items {
        let done = "conversation.item.input_audio_transcription.completed";
        let event = server.says(done, json!({"transcript": "hello"}));
        assert_eq!(text(&event[0], "/item_id"), item, "transcripts come in the order of the turns");
    }
}

#[test]
fn an_event_in_good_order_goes_on_as_it_came() {
    let mut reader = EventReader::new(Dialect::Ga, 1);
    for event in [
        r#"{"type":"response.created", "response":{"id":"r"}}"#,
        r#"{"type":"response.output_item.added","response_id":"r","item":{"id":"i"}}"#,
        r#"{"type":"response.output_audio_transcript.delta","response_id":"r","item_id":"i" ,"delta":"x"}"#,
        r#"{"type":"input_audio_buffer.speech_started", "item_id":"u"}"#,
        r#"{"type":"input_audio_buffer.committed", "item_id":"u"}"#,
        r#"{"type":"rate_limits.updated", "rate_limits":[]}"#,
        r#"{"type":"response.done", "response":{"id":"r"}}"#,
    ] {
        let ServerEvent::Other { json, .. } = reader.read(event).unwrap().first else { panic!() };
        assert_eq!(json, event);
    }
}

#[test]
fn made_up_ids_of_two_sessions_are_never_the_same() {
    let id = |session| {
        let mut reader = EventReader::new(Dialect::Ga, session);
        let events = reader.read(r#"{"type":"response.created"}"#).unwrap();
        let ServerEvent::Other { json, .. } = events.first else { panic!() };
        let event: Value = serde_json::from_str(&json).unwrap();
        text(&event, "/response/id")
    };
    assert_ne!(id(1), id(2));
}

/// A server that says some ids in its own way of saying nothing.
struct Server {
    reader: EventReader,
    nothing: Value,
}

impl Server {
    fn new(dialect: Dialect, nothing: Value) -> Self {
        Self { reader: EventReader::new(dialect, 1), nothing }
    }

    /// Sends an event without a response's or item's id, unless it has one; `"absent"` leaves all out.
    fn says(&mut self, kind: &str, mut event: Value) -> Vec<Value> {
        event["type"] = json!(kind);
        for id in ["response_id", "item_id"] {
            if event.get(id).is_none() {
                event[id] = self.nothing.clone();
            }
        }
        let text = without_absent(event).to_string();
        let events = self.reader.read(&text).expect("an event");
        events
            .into_iter()
            .map(|event| match event {
                ServerEvent::Other { json, .. } => serde_json::from_str(&json).expect("JSON"),
                ServerEvent::AudioDelta { response, item, .. } => {
                    json!({"response_id": response, "item_id": item})
                }
                other => panic!("{other:?}"),
            })
            .collect()
    }

    fn audio(&mut self, name: &str) -> (String, String) {
        let events = self.says(&format!("{name}.delta"), json!({"delta": "AAAA"}));
        (text(&events[0], "/response_id"), text(&events[0], "/item_id"))
    }

    fn audio_of(&mut self, response: Value, item: Value) -> (String, String) {
        let delta = json!({"delta": "AAAA", "response_id": response, "item_id": item});
        let events = self.says("response.output_audio.delta", delta);
        (text(&events[0], "/response_id"), text(&events[0], "/item_id"))
    }
}

fn without_absent(value: Value) -> Value {
    match value {
        Value::Object(map) => Value::Object(
            map.into_iter()
                .filter(|(_, value)| value != "absent")
                .map(|(name, value)| (name, without_absent(value)))
                .collect(),
        ),
        other => other,
    }
}

fn text(event: &Value, pointer: &str) -> String {
    event.pointer(pointer).and_then(Value::as_str).expect("a text").to_owned()
}
