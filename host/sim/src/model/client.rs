//! Every client event as the service accepts it, in both dialects.
//!
//! One rule: an event is accepted whole or refused whole, with the code the live service uses. The shapes follow the published field
//! tables; nothing a gateway happens to send has been added.

use serde_json::Value;

use super::Dialect;
use super::refusal::Refusal;
use super::schema::{Field, Shape, check, may, need};

/// Client-chosen ids of items and calls: longer ones are refused.
pub const ID_CHARS_MAX: usize = 32;

/// Base64 characters of 15 MiB of audio, the most one append may carry.
pub const APPEND_CHARS_MAX: usize = 15 * 1024 * 1024 * 4 / 3;

/// Reads a text message as a client event; the error is what the server answers.
pub fn read(text: &str, dialect: Dialect) -> Result<Value, Refusal> {
    let event: Value = serde_json::from_str(text)
        .map_err(|e| Refusal::new("invalid_json", None, format!("Could not parse JSON: {e}")))?;
    if !event.is_object() {
        return Err(Refusal::new("invalid_json", None, "An event must be a JSON object."));
    }
    let shape = match dialect {
        Dialect::Ga => GA,
        Dialect::Beta => BETA,
    };
    // A field missing in the session is reported before anything else in it, as observed.
    if dialect == Dialect::Ga
        && event["type"] == "session.update"
        && event["session"].is_object()
        && event["session"].get("type").is_none()
    {
        let path = "session.type";
        let message = format!("Missing required parameter: '{path}'.");
        return Err(Refusal::new("missing_required_parameter", Some(path), message));
    }
    check(&event, &shape, "").map(|()| event)
}

const ANY_TEXT: Shape = Shape::Text(usize::MAX);
const ID: Shape = Shape::Text(ID_CHARS_MAX);
const EVENT_ID: Field = may("event_id", Shape::Text(512));
const TYPE: Field = need("type", ANY_TEXT);

macro_rules! events {
    ($($name:literal => [$($field:expr),* $(,)?]),* $(,)?) => {
        Shape::Tagged(&[$(($name, &[TYPE, EVENT_ID, $($field),*])),*])
    };
}

const GA: Shape = events! {
    "session.update" => [need("session", Shape::Record(GA_SESSION))],
    "input_audio_buffer.append" => [need("audio", Shape::Text(APPEND_CHARS_MAX))],
    "input_audio_buffer.commit" => [],
    "input_audio_buffer.clear" => [],
    "conversation.item.create" => [
        need("item", Shape::Tagged(GA_ITEM)), may("previous_item_id", Shape::Maybe(&ANY_TEXT)),
    ],
    "conversation.item.truncate" => [
        need("item_id", ANY_TEXT),
        need("content_index", Shape::Integer(0, i64::MAX)),
        need("audio_end_ms", Shape::Integer(0, i64::MAX)),
    ],
    "conversation.item.delete" => [need("item_id", ANY_TEXT)],
    "conversation.item.retrieve" => [need("item_id", ANY_TEXT)],
    "response.create" => [may("response", Shape::Record(GA_RESPONSE))],
    "response.cancel" => [may("response_id", ANY_TEXT)],
};

const BETA: Shape = events! {
    "session.update" => [need("session", Shape::Record(BETA_SESSION))],
    "input_audio_buffer.append" => [need("audio", Shape::Text(APPEND_CHARS_MAX))],
    "input_audio_buffer.commit" => [],
    "input_audio_buffer.clear" => [],
    "conversation.item.create" => [
        need("item", Shape::Tagged(BETA_ITEM)), may("previous_item_id", Shape::Maybe(&ANY_TEXT)),
    ],
    "conversation.item.truncate" => [
        need("item_id", ANY_TEXT),
        need("content_index", Shape::Integer(0, i64::MAX)),
        need("audio_end_ms", Shape::Integer(0, i64::MAX)),
    ],
    "conversation.item.delete" => [need("item_id", ANY_TEXT)],
    "conversation.item.retrieve" => [need("item_id", ANY_TEXT)],
    "response.create" => [may("response", Shape::Record(BETA_RESPONSE))],
    "response.cancel" => [may("response_id", ANY_TEXT)],
};

const GA_FORMAT: Shape = Shape::Tagged(&[
    ("audio/pcm", &[TYPE, need("rate", Shape::Integer(24_000, 24_000))]),
    ("audio/pcmu", &[TYPE]),
    ("audio/pcma", &[TYPE]),
]);

const TRANSCRIPTION: Shape = Shape::Maybe(&Shape::Record(&[
    may("model", ANY_TEXT),
    may("language", ANY_TEXT),
    may("languages", Shape::List(&ANY_TEXT)),
    may("keywords", Shape::List(&ANY_TEXT)),
    may("prompt", ANY_TEXT),
    may("delay", Shape::Word(&["minimal", "low", "medium", "high", "xhigh"])),
]));

const NOISE_REDUCTION: Shape = Shape::Maybe(&Shape::Record(&[
    need("type", Shape::Word(&["near_field", "far_field"])),
    may("strength", Shape::Any),
]));

const TURN_DETECTION: Shape = Shape::Maybe(&Shape::Tagged(&[
    (
        "server_vad",
        &[
            TYPE,
            may("threshold", Shape::Number(0.0, 1.0)),
            may("prefix_padding_ms", Shape::Integer(0, i64::MAX)),
            may("silence_duration_ms", Shape::Integer(0, i64::MAX)),
            may("create_response", Shape::Flag),
            may("interrupt_response", Shape::Flag),
            may("idle_timeout_ms", Shape::Maybe(&Shape::Integer(5000, 30_000))),
        ],
    ),
    (
        "semantic_vad",
        &[
            TYPE,
            may("eagerness", Shape::Word(&["auto", "low", "medium", "high"])),
            may("create_response", Shape::Flag),
            may("interrupt_response", Shape::Flag),
        ],
    ),
]));

/// A custom voice, or one of the names the service lists.
const VOICE: Shape = Shape::Either(&[
    Shape::Word(&[
        "alloy", "ash", "ballad", "coral", "echo", "sage", "shimmer", "verse", "marin", "cedar",
    ]),
    Shape::Record(&[need("id", ANY_TEXT)]),
]);

const TOOL: Shape = Shape::Tagged(&[
    (
        "function",
        &[
            TYPE,
            need("name", Shape::Text(64)),
            may("description", ANY_TEXT),
            may("parameters", Shape::Object),
        ],
    ),
    (
        "mcp",
        &[
            TYPE,
            need("server_label", ANY_TEXT),
            may("server_url", ANY_TEXT),
            may("server_description", ANY_TEXT),
            may("connector_id", ANY_TEXT),
            may("authorization", ANY_TEXT),
            may("headers", Shape::Maybe(&Shape::Object)),
            may("allowed_tools", Shape::Any),
            may("require_approval", Shape::Any),
            may("defer_loading", Shape::Flag),
        ],
    ),
]);

const TOOL_CHOICE: Shape = Shape::Either(&[
    Shape::Word(&["auto", "none", "required"]),
    Shape::Tagged(&[
        ("function", &[TYPE, need("name", ANY_TEXT)]),
        ("mcp", &[TYPE, need("server_label", ANY_TEXT), may("name", Shape::Maybe(&ANY_TEXT))]),
    ]),
]);

const MAX_TOKENS: Shape = Shape::Either(&[Shape::Integer(1, 4096), Shape::Word(&["inf"])]);

const EFFORT: Shape =
    Shape::Record(&[may("effort", Shape::Word(&["minimal", "low", "medium", "high", "xhigh"]))]);

const GA_SESSION: &[Field] = &[
    need("type", Shape::Word(&["realtime"])),
    may("model", ANY_TEXT),
    may("instructions", ANY_TEXT),
    may("output_modalities", Shape::List(&Shape::Word(&["audio", "text"]))),
    may(
        "audio",
        Shape::Record(&[
            may(
                "input",
                Shape::Record(&[
                    may("format", GA_FORMAT),
                    may("noise_reduction", NOISE_REDUCTION),
                    may("transcription", TRANSCRIPTION),
                    may("turn_detection", TURN_DETECTION),
                ]),
            ),
            may(
                "output",
                Shape::Record(&[
                    may("format", GA_FORMAT),
                    may("voice", VOICE),
                    may("speed", Shape::Number(0.25, 1.5)),
                ]),
            ),
        ]),
    ),
    may("tools", Shape::List(&TOOL)),
    may("tool_choice", TOOL_CHOICE),
    may("parallel_tool_calls", Shape::Flag),
    may("max_output_tokens", MAX_TOKENS),
    may("reasoning", EFFORT),
    may(
        "truncation",
        Shape::Either(&[
            Shape::Word(&["auto", "disabled"]),
            Shape::Record(&[
                need("type", Shape::Word(&["retention_ratio"])),
                need("retention_ratio", Shape::Number(0.0, 1.0)),
                may("token_limits", Shape::Object),
            ]),
        ]),
    ),
    may("tracing", Shape::Maybe(&Shape::Any)),
    may("prompt", Shape::Maybe(&Shape::Object)),
    may("include", Shape::Maybe(&Shape::List(&ANY_TEXT))),
];

const BETA_FORMAT: Shape = Shape::Word(&["pcm16", "g711_ulaw", "g711_alaw"]);

const BETA_SESSION: &[Field] = &[
    may("model", ANY_TEXT),
    may("modalities", Shape::List(&Shape::Word(&["audio", "text"]))),
    may("instructions", ANY_TEXT),
    may("voice", VOICE),
    may("input_audio_format", BETA_FORMAT),
    may("output_audio_format", BETA_FORMAT),
    may("input_audio_transcription", TRANSCRIPTION),
    may("input_audio_noise_reduction", NOISE_REDUCTION),
    may("turn_detection", TURN_DETECTION),
    may("tools", Shape::List(&TOOL)),
    may("tool_choice", TOOL_CHOICE),
    may("temperature", Shape::Number(0.6, 1.2)),
    may("max_response_output_tokens", MAX_TOKENS),
    may("speed", Shape::Number(0.25, 1.5)),
    may("tracing", Shape::Maybe(&Shape::Any)),
];

const STATUS: Shape = Shape::Word(&["completed", "incomplete", "in_progress"]);

const GA_PART: Shape = Shape::Tagged(&[
    ("input_text", &[TYPE, need("text", ANY_TEXT)]),
    ("input_audio", &[TYPE, may("audio", ANY_TEXT), may("transcript", Shape::Maybe(&ANY_TEXT))]),
    ("input_image", &[TYPE, need("image_url", ANY_TEXT), may("detail", ANY_TEXT)]),
    ("output_text", &[TYPE, need("text", ANY_TEXT)]),
    ("output_audio", &[TYPE, may("audio", ANY_TEXT), may("transcript", Shape::Maybe(&ANY_TEXT))]),
]);

const BETA_PART: Shape = Shape::Tagged(&[
    ("input_text", &[TYPE, need("text", ANY_TEXT)]),
    ("input_audio", &[TYPE, may("audio", ANY_TEXT), may("transcript", Shape::Maybe(&ANY_TEXT))]),
    ("text", &[TYPE, need("text", ANY_TEXT)]),
    ("item_reference", &[TYPE, need("id", ANY_TEXT)]),
]);

macro_rules! items {
    ($part:expr) => {
        &[
            (
                "message",
                &[
                    TYPE,
                    may("id", ID),
                    may("object", Shape::Word(&["realtime.item"])),
                    may("status", STATUS),
                    need("role", Shape::Word(&["system", "user", "assistant"])),
                    need("content", Shape::List(&$part)),
                ],
            ),
            (
                "function_call",
                &[
                    TYPE,
                    may("id", ID),
                    may("object", Shape::Word(&["realtime.item"])),
                    may("status", STATUS),
                    need("name", ANY_TEXT),
                    may("call_id", ID),
                    need("arguments", ANY_TEXT),
                ],
            ),
            (
                "function_call_output",
                &[
                    TYPE,
                    may("id", ID),
                    may("object", Shape::Word(&["realtime.item"])),
                    may("status", STATUS),
                    need("call_id", ID),
                    need("output", ANY_TEXT),
                ],
            ),
        ]
    };
}

const GA_ITEM: &[(&str, &[Field])] = items!(GA_PART);
const BETA_ITEM: &[(&str, &[Field])] = items!(BETA_PART);

const GA_RESPONSE: &[Field] = &[
    may("conversation", Shape::Word(&["auto", "none"])),
    may("instructions", ANY_TEXT),
    may("input", Shape::List(&Shape::Object)),
    may("output_modalities", Shape::List(&Shape::Word(&["audio", "text"]))),
    may(
        "audio",
        Shape::Record(&[may(
            "output",
            Shape::Record(&[may("format", GA_FORMAT), may("voice", VOICE)]),
        )]),
    ),
    may("tools", Shape::List(&TOOL)),
    may("tool_choice", TOOL_CHOICE),
    may("parallel_tool_calls", Shape::Flag),
    may("max_output_tokens", MAX_TOKENS),
    may("metadata", Shape::Maybe(&Shape::Object)),
    may("prompt", Shape::Maybe(&Shape::Object)),
    may("reasoning", EFFORT),
];

const BETA_RESPONSE: &[Field] = &[
    may("conversation", Shape::Word(&["auto", "none"])),
    may("modalities", Shape::List(&Shape::Word(&["audio", "text"]))),
    may("instructions", ANY_TEXT),
    may("input", Shape::List(&Shape::Object)),
    may("voice", VOICE),
    may("output_audio_format", BETA_FORMAT),
    may("tools", Shape::List(&TOOL)),
    may("tool_choice", TOOL_CHOICE),
    may("temperature", Shape::Number(0.6, 1.2)),
    may("max_response_output_tokens", MAX_TOKENS),
    may("max_output_tokens", MAX_TOKENS),
    may("metadata", Shape::Maybe(&Shape::Object)),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_telephone_session_is_accepted_in_both_dialects() {
        let ga = r#"{"type":"session.update","event_id":"a","session":{"type":"realtime","instructions":"x",
            "output_modalities":["audio"],"audio":{"input":{"format":{"type":"audio/pcmu"},
            "turn_detection":{"type":"server_vad","threshold":0.5,"silence_duration_ms":400,"idle_timeout_ms":null},
            "transcription":{"model":"gpt-transcribe"},"noise_reduction":null},
            "output":{"format":{"type":"audio/pcm","rate":24000},"voice":"marin","speed":1.0}},
            "tools":[{"type":"function","name":"t","parameters":{}}],"tool_choice":"auto","max_output_tokens":"inf"}}"#;
        read(ga, Dialect::Ga).unwrap();
        let beta = r#"{"type":"session.update","session":{"modalities":["audio","text"],"voice":"alloy",
            "input_audio_format":"g711_ulaw","output_audio_format":"pcm16","turn_detection":null,"temperature":0.8}}"#;
        read(beta, Dialect::Beta).unwrap();
    }

    #[test]
    fn offences_are_coded_as_the_service_codes_them() {
        for (text, code, param) in [
            ("x", "invalid_json", None),
            ("[]", "invalid_json", None),
            (r#"{"type":"dance"}"#, "invalid_value", Some("type")),
            (r#"{}"#, "missing_required_parameter", Some("type")),
            (r#"{"type":"session.update"}"#, "missing_required_parameter", Some("session")),
            (
                r#"{"type":"session.update","session":{"modalities":["audio"]}}"#,
                "missing_required_parameter",
                Some("session.type"),
            ),
            (
                r#"{"type":"session.update","session":{"type":"realtime","modalities":["audio"]}}"#,
                "unknown_parameter",
                Some("session.modalities"),
            ),
            (
                r#"{"type":"session.update","session":{"type":"realtime","temperature":0.8}}"#,
                "unknown_parameter",
                Some("session.temperature"),
            ),
            (
                r#"{"type":"session.update","session":{"type":"realtime","audio":{"input":{"format":{"type":"audio/pcmu","rate":8000}}}}}"#,
                "unknown_parameter",
                Some("session.audio.input.format.rate"),
            ),
            (
                r#"{"type":"session.update","session":{"type":"realtime","audio":{"output":{"voice":"onyx"}}}}"#,
                "invalid_value",
                Some("session.audio.output.voice"),
            ),
            (
                r#"{"type":"conversation.item.truncate","item_id":"a","content_index":0,"audio_end_ms":12.5}"#,
                "invalid_type",
                Some("audio_end_ms"),
            ),
            (
                r#"{"type":"conversation.item.truncate","item_id":"a","content_index":0,"audio_end_ms":-1}"#,
                "integer_below_min_value",
                Some("audio_end_ms"),
            ),
            (
                r#"{"type":"conversation.item.create","item":{"type":"function_call_output","call_id":"0123456789012345678901234567890123","output":""}}"#,
                "string_above_max_length",
                Some("item.call_id"),
            ),
            (r#"{"type":"output_audio_buffer.clear"}"#, "invalid_value", Some("type")),
        ] {
            let refusal = read(text, Dialect::Ga).expect_err(text);
            assert_eq!(refusal.code, Some(code), "{text}");
            assert_eq!(refusal.param.as_deref(), param, "{text}");
        }
    }

    #[test]
    fn ga_fields_are_unknown_in_beta() {
        let text = r#"{"type":"session.update","session":{"type":"realtime"}}"#;
        assert_eq!(read(text, Dialect::Beta).unwrap_err().code, Some("unknown_parameter"));
    }
}
