//! Events that a tenant must survive, in the sizes the host hands over at most.

use cordboard_call::Limits;
use cordboard_call::contract::{
    AudioFormat, CallInfo, Dialect, Direction, Encoding, Ended, Event, Flushed, Heard, HttpFailure,
    HttpResponse, ModelAudio, ModelInfo, Refusal,
};

/// A group of events that are handed in one after the other, by what they have in common.
pub(super) struct Trial {
    pub(super) name: &'static str,
    pub(super) events: Vec<Event>,
}

/// Everything that is tried at some points of a conversation.
pub(super) fn trials() -> Vec<Trial> {
    let limits = Limits::default();
    let of = |name, events: Vec<Event>| Trial { name, events };
    vec![
        of("empty frames of the caller", vec![Event::CallerAudio(Vec::new()); 3]),
        of("odd frames of the caller", frames(&[1, 3, 159, 161, 4_801])),
        of("the largest frames of the caller", frames(&[limits.caller_audio_bytes_max; 4])),
        of("one frame a hundred times", frames(&[160; 100])),
        of("empty pieces of the model's voice", voice(&[0, 0])),
        of("odd pieces of the model's voice", voice(&[1, 3, 959, 961, 4_801])),
        of("the largest pieces of the model's voice", voice(&[limits.model_audio_bytes_max; 2])),
        of("late audio of a response that is over", late()),
        of("events of the model that nobody knows", unknown()),
        of("JSON that is none, or not what it should be", broken()),
        of("the largest events of the model", huge_events()),
        of("JSON nested ten thousand deep", nested()),
        of("the same answers of the model twice", twice()),
        of("marks and items nobody knows, each twice", echoes()),
        of(
            "flushed without a flush",
            vec![Event::Flushed(flushed()), Event::Flushed(Flushed::default())],
        ),
        of("HTTP answers nobody asked for", answers(limits.http_bytes_max)),
        of("timers nobody set", timers()),
        of("every key at once", keys()),
        of("commands of an operator", commands(limits.command_bytes_max)),
        of("every action refused", refused()),
        of("a new session without the loss of the old", vec![Event::ModelRestored(model()); 2]),
        of(
            "the model lost twice",
            vec![Event::ModelLost(String::new()), Event::ModelLost("again".into())],
        ),
        of("the model ready again", vec![Event::ModelReady(model())]),
        of("the end, and what comes after it", after_the_end()),
    ]
}

/// Settings a tenant may find, each by a name.
pub(super) fn settings() -> Vec<(&'static str, String)> {
    vec![
        ("no settings at all", String::new()),
        ("settings that are a list", "[]".to_owned()),
        ("settings that are null", "null".to_owned()),
        ("settings cut off in the middle", "{\"a\":".to_owned()),
        (
            "settings of wrong types",
            r#"{"voice":7,"tools":{},"greeting":[],"instructions":null}"#.to_owned(),
        ),
        ("settings nobody knows", r#"{"surely_nobody_knows_this":true}"#.to_owned()),
        ("settings nested ten thousand deep", "[".repeat(10_000)),
        ("settings of 64 KiB", format!("{{\"instructions\":\"{}\"}}", "x".repeat(60_000))),
    ]
}

/// States that are none, each by a name.
pub(super) fn states() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("an empty state", Vec::new()),
        ("a state of zeros", vec![0; 64]),
        ("a state that is text", b"{\"version\":99}".to_vec()),
        ("a state of the largest lengths", vec![0xff; 64]),
        ("a state of 64 KiB", vec![0x7b; 64 << 10]),
    ]
}

/// One event of each kind, `started` and `ended` included, for trying every order.
pub(super) fn one_of_each(info: &CallInfo) -> Vec<Event> {
    vec![
        Event::Started(info.clone()),
        Event::CallerAudio(vec![0x55; 160]),
        Event::CallerKey("1".to_owned()),
        Event::ModelReady(model()),
        Event::ModelAudio(piece("resp_1", "item_1", 960)),
        Event::ModelEvent(
            r#"{"type":"response.done","response":{"id":"resp_1","status":"completed"}}"#
                .to_owned(),
        ),
        Event::ModelLost("gone".to_owned()),
        Event::ModelRestored(model()),
        Event::Heard(heard(true)),
        Event::Mark("mark".to_owned()),
        Event::Flushed(flushed()),
        Event::Timer(1),
        Event::HttpDone(response(200, b"{}".to_vec())),
        Event::HttpFailed(HttpFailure { token: 1, reason: "refused".to_owned() }),
        Event::Command("{}".to_owned()),
        Event::Refused(Refusal { action: "mark".to_owned(), reason: "why".to_owned() }),
        Event::Ended(Ended::CallerHungUp),
    ]
}

/// What a tenant is told of a call without scenario.
pub(super) fn info(settings: &str) -> CallInfo {
    CallInfo {
        call_id: "CA0000000000000000000000000000test".to_owned(),
        stream_id: "MZ0000000000000000000000000000test".to_owned(),
        tenant: "test".to_owned(),
        version: "test".to_owned(),
        direction: Direction::Inbound,
        caller: Some("anonymous".to_owned()),
        callee: None,
        format: AudioFormat { encoding: Encoding::Mulaw, sample_rate: 8_000, channels: 1 },
        parameters: vec![("x".to_owned(), "y".repeat(500))],
        settings: settings.to_owned(),
        restarted: true,
    }
}

fn frames(sizes: &[usize]) -> Vec<Event> {
    sizes.iter().map(|bytes| Event::CallerAudio(vec![0x55; *bytes])).collect()
}

fn voice(sizes: &[usize]) -> Vec<Event> {
    let mut events = vec![created("resp_abuse")];
    let piece = |bytes: &usize| Event::ModelAudio(piece("resp_abuse", "item_abuse", *bytes));
    events.extend(sizes.iter().map(piece));
    events.push(done("resp_abuse"));
    events
}

fn late() -> Vec<Event> {
    let piece = || Event::ModelAudio(piece("resp_dead", "item_dead", 960));
    vec![
        created("resp_dead"),
        piece(),
        event(
            r#"{"type":"input_audio_buffer.speech_started","audio_start_ms":1,"item_id":"item_u"}"#,
        ),
        event(
            r#"{"type":"response.done","response":{"id":"resp_dead","status":"cancelled","status_details":{"type":"cancelled","reason":"turn_detected"}}}"#,
        ),
        piece(),
        piece(),
        event(
            r#"{"type":"response.output_audio.done","response_id":"resp_dead","item_id":"item_dead"}"#,
        ),
        Event::Heard(Heard { item: "item_dead".to_owned(), millis: 20, complete: true }),
        done("resp_never_begun"),
    ]
}

fn unknown() -> Vec<Event> {
    [
        r#"{"type":"response.brand_new.thing","x":{"y":[1,2.5,null]}}"#,
        r#"{"type":""}"#,
        r#"{"type":"conversation.item.done","item":{"type":"hologram","content":[{"type":"smell"}]}}"#,
        r#"{"type":"rate_limits.updated","rate_limits":null}"#,
        r#"{"type":"response.output_item.done","item":{"type":"function_call","name":"never_declared","call_id":"call_x","arguments":"{}","status":"completed"}}"#,
        r#"{"type":"error","error":{"type":"server_error","code":"unheard_of","message":"?"}}"#,
    ]
    .map(event)
    .into()
}

fn broken() -> Vec<Event> {
    [
        "",
        "not json",
        "null",
        "[]",
        "7",
        "{}",
        "{\"type\":",
        r#"{"type":null}"#,
        r#"{"type":7}"#,
        r#"{"type":"response.done"}"#,
        r#"{"type":"response.done","response":null}"#,
        r#"{"type":"response.done","response":{"id":7,"output":"no list","usage":[]}}"#,
        r#"{"type":"response.created","response":{"id":null}}"#,
        r#"{"type":"session.updated","session":"yes"}"#,
        r#"{"type":"session.updated"}"#,
        r#"{"type":"input_audio_buffer.speech_started"}"#,
        r#"{"type":"conversation.item.input_audio_transcription.completed","transcript":null}"#,
        r#"{"type":"response.function_call_arguments.done","arguments":"{","name":1}"#,
        r#"{"type":"response.output_item.done","item":{"type":"function_call","name":"f","call_id":"c","arguments":"{broken","status":"completed"}}"#,
        r#"{"type":"response.output_audio_transcript.done","transcript":"\ud83d \u0000"}"#,
        r#"{"type":"error"}"#,
        r#"{"type":"error","error":"just words"}"#,
        r#"{"type":"x","number":1e999}"#,
    ]
    .map(event)
    .into()
}

fn huge_events() -> Vec<Event> {
    let text = "na ".repeat(21 << 10);
    [
        format!(r#"{{"type":"response.output_audio_transcript.done","item_id":"item_1","transcript":"{text}"}}"#),
        format!(r#"{{"type":"conversation.item.input_audio_transcription.completed","item_id":"item_1","transcript":"{text}"}}"#),
        format!(r#"{{"type":"error","error":{{"code":"x","message":"{text}"}}}}"#),
        format!(r#"{{"type":"unknown","{text}":1}}"#),
    ]
    .map(Event::ModelEvent)
    .into()
}

fn nested() -> Vec<Event> {
    vec![
        Event::ModelEvent("[".repeat(10_000)),
        Event::ModelEvent(format!(
            r#"{{"type":"x","y":{}{}}}"#,
            "[".repeat(10_000),
            "]".repeat(10_000)
        )),
        Event::Command(format!("{}{}", "[".repeat(10_000), "]".repeat(10_000))),
    ]
}

fn twice() -> Vec<Event> {
    let told = [
        created("resp_twice"),
        event(
            r#"{"type":"response.output_item.added","response_id":"resp_twice","item":{"id":"item_twice","type":"message"}}"#,
        ),
        Event::ModelAudio(piece("resp_twice", "item_twice", 960)),
        event(
            r#"{"type":"response.output_audio.done","response_id":"resp_twice","item_id":"item_twice"}"#,
        ),
        event(
            r#"{"type":"response.output_item.done","response_id":"resp_twice","item":{"type":"function_call","name":"lookup","call_id":"call_twice","arguments":"{}","status":"completed"}}"#,
        ),
        done("resp_twice"),
    ];
    told.into_iter().flat_map(|event| [event.clone(), event]).collect()
}

fn echoes() -> Vec<Event> {
    let name = "n".repeat(256);
    let mark = || Event::Mark("nobody knows this mark".to_owned());
    vec![
        mark(),
        mark(),
        Event::Mark(String::new()),
        Event::Mark(name.clone()),
        Event::Heard(heard(true)),
        Event::Heard(heard(true)),
        Event::Heard(Heard { item: name, millis: u32::MAX, complete: true }),
        Event::Heard(heard(false)),
    ]
}

fn answers(bytes: usize) -> Vec<Event> {
    let with_token = |token, it: HttpResponse| Event::HttpDone(HttpResponse { token, ..it });
    vec![
        with_token(0, response(200, b"{}".to_vec())),
        with_token(u64::MAX, response(599, Vec::new())),
        with_token(1, response(200, vec![0xff; bytes])),
        with_token(1, response(200, b"not json".to_vec())),
        Event::HttpFailed(HttpFailure { token: 7, reason: String::new() }),
        Event::HttpFailed(HttpFailure { token: 7, reason: "again".to_owned() }),
    ]
}

fn timers() -> Vec<Event> {
    [0, 1, 1_000, 10_000, 1 << 20, u64::MAX].map(Event::Timer).into()
}

fn keys() -> Vec<Event> {
    "0123456789*#ABCD"
        .chars()
        .chain("1".repeat(100).chars())
        .map(|key| Event::CallerKey(key.to_string()))
        .collect()
}

fn commands(bytes: usize) -> Vec<Event> {
    let huge = format!("\"{}\"", "x".repeat(bytes - 2));
    [
        "{}",
        "null",
        "[]",
        "7",
        "\"text\"",
        r#"{"surely":"unknown"}"#,
        r#"{"say":7,"hang_up":[]}"#,
        &huge,
    ]
    .map(|json| Event::Command(json.to_owned()))
    .into()
}

fn refused() -> Vec<Event> {
    [
        "play",
        "mark",
        "flush",
        "model-audio",
        "model-event",
        "set-timer",
        "cancel-timer",
        "http",
        "hang-up",
        "cancel-hang-up",
        "transfer",
        "send-keys",
        "publish",
        "juggle",
    ]
    .map(|action| {
        Event::Refused(Refusal { action: action.to_owned(), reason: "for a test".to_owned() })
    })
    .into()
}

fn after_the_end() -> Vec<Event> {
    vec![
        Event::Ended(Ended::Failed),
        Event::CallerAudio(vec![0x55; 160]),
        Event::Timer(1),
        Event::HttpDone(response(200, b"{}".to_vec())),
        Event::Ended(Ended::Failed),
    ]
}

fn model() -> ModelInfo {
    ModelInfo { session: "sess_abuse".to_owned(), model: String::new(), dialect: Dialect::Ga }
}

fn piece(response: &str, item: &str, bytes: usize) -> ModelAudio {
    ModelAudio {
        response: response.to_owned(),
        item: item.to_owned(),
        content_index: 0,
        data: vec![0x10; bytes],
    }
}

fn created(id: &str) -> Event {
    Event::ModelEvent(format!(
        r#"{{"type":"response.created","response":{{"id":"{id}","status":"in_progress"}}}}"#
    ))
}

fn done(id: &str) -> Event {
    Event::ModelEvent(format!(
        r#"{{"type":"response.done","response":{{"id":"{id}","status":"completed","output":[]}}}}"#
    ))
}

fn event(json: &str) -> Event {
    Event::ModelEvent(json.to_owned())
}

fn heard(complete: bool) -> Heard {
    Heard { item: "nobody played this".to_owned(), millis: 120, complete }
}

fn flushed() -> Flushed {
    Flushed { items: vec![heard(false)], marks: vec!["lost".to_owned()] }
}

fn response(status: u16, body: Vec<u8>) -> HttpResponse {
    HttpResponse { token: 1, status, headers: vec![("x".to_owned(), String::new())], body }
}
