//! What a tenant wants of the model, and the `session.update` that asks for it.
//!
//! Every update asserts both audio formats: one that left them out would put a compatible server back
//! to its default, and the caller would hear noise.

use cordboard_audio::{Path, Profile};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::{Dialect, tools::Tool, voice::Voice};

/// The agent a tenant puts on the line. [`Session::default`] is a plain assistant that greets.
#[derive(Debug, Clone, PartialEq)]
pub struct Session {
    /// What the agent is and how it behaves.
    pub instructions: String,
    /// Whose voice; fixed by the model server once the agent has spoken.
    pub voice: Voice,
    /// The first words, spoken by the model; `None` waits for the caller to speak.
    pub greeting: Option<Greeting>,
    /// When a turn of the caller begins and ends; `None` leaves that to the tenant.
    pub turn_detection: Option<TurnDetection>,
    /// Turns the caller's words into text; without it there is no transcript of the caller.
    pub transcription: Option<Transcription>,
    /// A filter before turn detection and model.
    pub noise_reduction: Option<NoiseReduction>,
    /// What the agent can do besides talking.
    pub tools: Vec<Tool>,
    /// Tokens per response, 1 to 4096; `None` is the server's maximum.
    pub max_output_tokens: Option<u32>,
    /// 0.6 to 1.2; sent only in the beta dialect, GA has no such field.
    pub temperature: Option<f64>,
    /// Rate of speech, 0.25 to 1.5.
    pub speed: Option<f64>,
    /// The audio format between host and model.
    pub audio: Audio,
    /// The filters between line and model, with [`Audio::Pcm16`].
    pub profile: Profile,
    /// By which rates the caller's voice goes up, with [`Audio::Pcm16`].
    pub path: Path,
    /// False lets the agent finish, whatever the caller says meanwhile.
    pub barge_in: bool,
    /// What to do about a silent caller.
    pub idle: Option<Idle>,
}

impl Default for Session {
    fn default() -> Session {
        Session {
            instructions: "You are a friendly assistant on the telephone. Keep your answers short."
                .into(),
            voice: Voice::default(),
            greeting: Some(Greeting::Prompt("Greet the caller and ask how you can help.".into())),
            turn_detection: Some(TurnDetection::default()),
            transcription: Some(Transcription::default()),
            noise_reduction: None,
            tools: Vec::new(),
            max_output_tokens: None,
            temperature: None,
            speed: None,
            audio: Audio::Pcm16,
            profile: Profile::default(),
            path: Path::default(),
            barge_in: true,
            idle: None,
        }
    }
}

/// How far a session has come when it is configured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Nothing was said in it.
    Fresh,
    /// The agent has spoken.
    Running,
}

/// How the agent opens the call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Greeting {
    /// Exactly these words.
    Say(String),
    /// Whatever the model makes of these instructions.
    Prompt(String),
}

/// The audio format between host and model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Audio {
    /// PCM16 at 24 kHz, the model's best; the SDK converts.
    #[default]
    Pcm16,
    /// The telephone's own mu-law both ways; frames pass untouched.
    Pcmu,
}

/// A format as the model server names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum ModelAudioFormat {
    Pcm16,
    Pcmu,
    Pcma,
}

impl ModelAudioFormat {
    fn json(self) -> Value {
        match self {
            ModelAudioFormat::Pcm16 => json!({"type": self.name(), "rate": 24_000}),
            // G.711 takes no `rate` key.
            ModelAudioFormat::Pcmu | ModelAudioFormat::Pcma => json!({"type": self.name()}),
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            ModelAudioFormat::Pcm16 => "audio/pcm",
            ModelAudioFormat::Pcmu => "audio/pcmu",
            ModelAudioFormat::Pcma => "audio/pcma",
        }
    }

    pub(crate) fn bytes_per_ms(self) -> u32 {
        match self {
            ModelAudioFormat::Pcm16 => 48,
            ModelAudioFormat::Pcmu | ModelAudioFormat::Pcma => 8,
        }
    }
}

impl From<Audio> for ModelAudioFormat {
    fn from(audio: Audio) -> ModelAudioFormat {
        match audio {
            Audio::Pcm16 => ModelAudioFormat::Pcm16,
            Audio::Pcmu => ModelAudioFormat::Pcmu,
        }
    }
}

/// When a turn of the caller begins and ends, as the model server decides it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum TurnDetection {
    /// By loudness.
    ServerVad {
        /// 0 to 1; higher needs a louder voice.
        #[serde(default = "threshold")]
        threshold: f64,
        /// Milliseconds of audio kept from before the detected start.
        #[serde(default = "prefix_padding_ms")]
        prefix_padding_ms: u32,
        /// Milliseconds of silence that end a turn. Always sent: the server's own default changed.
        #[serde(default = "silence_duration_ms")]
        silence_duration_ms: u32,
        /// Milliseconds without speech after which the model speaks by itself, 5000 to 30000.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        idle_timeout_ms: Option<u32>,
        /// The server responds by itself after a turn.
        #[serde(default = "yes")]
        create_response: bool,
        /// The server cancels a running response by itself when the caller speaks.
        #[serde(default = "yes")]
        interrupt_response: bool,
    },
    /// By meaning: waits longer while a sentence is unfinished.
    SemanticVad {
        /// How soon a turn ends.
        #[serde(default)]
        eagerness: Eagerness,
        /// As for `server_vad`.
        #[serde(default = "yes")]
        create_response: bool,
        /// As for `server_vad`.
        #[serde(default = "yes")]
        interrupt_response: bool,
    },
}

impl Default for TurnDetection {
    fn default() -> TurnDetection {
        TurnDetection::ServerVad {
            threshold: threshold(),
            prefix_padding_ms: prefix_padding_ms(),
            silence_duration_ms: silence_duration_ms(),
            idle_timeout_ms: None,
            create_response: true,
            interrupt_response: true,
        }
    }
}

impl TurnDetection {
    /// Checks the ranges that the model server would refuse.
    ///
    /// # Errors
    ///
    /// Says which field is out of which range.
    pub fn check(&self) -> Result<(), String> {
        if let TurnDetection::ServerVad { threshold, idle_timeout_ms, .. } = self {
            if !(0.0..=1.0).contains(threshold) {
                return Err(format!("threshold is {threshold}, but must be 0 to 1"));
            }
            if let Some(ms) = idle_timeout_ms.filter(|ms| !(5_000..=30_000).contains(ms)) {
                return Err(format!("idle_timeout_ms is {ms}, but must be 5000 to 30000"));
            }
        }
        Ok(())
    }

    pub(crate) fn creates_response(&self) -> bool {
        match self {
            TurnDetection::ServerVad { create_response, .. }
            | TurnDetection::SemanticVad { create_response, .. } => *create_response,
        }
    }

    pub(crate) fn interrupts_response(&self) -> bool {
        match self {
            TurnDetection::ServerVad { interrupt_response, .. }
            | TurnDetection::SemanticVad { interrupt_response, .. } => *interrupt_response,
        }
    }

    fn json(&self, barge_in: bool) -> Value {
        let mut json = serde_json::to_value(self).expect("a plain struct has a JSON form");
        if !barge_in {
            json["interrupt_response"] = Value::Bool(false);
        }
        json
    }
}

/// How soon `semantic_vad` takes a turn as ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Eagerness {
    /// The server's choice, which is medium.
    #[default]
    Auto,
    /// Waits up to about 8 s.
    Low,
    /// Waits up to about 4 s.
    Medium,
    /// Waits up to about 2 s.
    High,
}

/// The model that writes down what the caller says.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Transcription {
    /// The transcribing model; absent: `gpt-transcribe`, or `whisper-1` where the dialect is beta.
    #[serde(default)]
    pub model: Option<String>,
    /// The caller's language, ISO 639-1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language: Option<String>,
    /// Words to expect.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompt: Option<String>,
}

impl Transcription {
    fn json(&self, dialect: Dialect) -> Value {
        let mut json = serde_json::to_value(self).expect("a plain struct has a JSON form");
        if self.model.is_none() {
            json["model"] = match dialect {
                Dialect::Ga => "gpt-transcribe".into(),
                Dialect::Beta => "whisper-1".into(),
            };
        }
        json
    }
}

/// A filter before turn detection and model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NoiseReduction {
    /// A handset or headset.
    NearField,
    /// A speakerphone.
    FarField,
}

/// What to do about a caller who says nothing: ask so many times, say goodbye, hang up.
///
/// The silence is counted only while nobody has anything to do: not while the agent speaks or is about to, a tool runs, or
/// the call is ending. A word or a key of the caller starts it anew. [`blocks::idle`](crate::blocks::idle) has an example.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Idle {
    /// Milliseconds of silence on both sides before the agent asks.
    pub nudge_after_ms: u32,
    /// What the agent is told to do then.
    #[serde(default = "nudge")]
    pub nudge: String,
    /// How often it asks, each after another such silence; 0: not at all.
    #[serde(default = "once")]
    pub nudges_max: u8,
    /// Milliseconds of silence after the last time before the line is hung up; absent: never.
    #[serde(default)]
    pub hang_up_after_ms: Option<u32>,
    /// The last words before that, said exactly; absent: none.
    #[serde(default)]
    pub farewell: Option<String>,
}

impl Default for Idle {
    /// Asks once after ten seconds, and hangs up after ten more.
    fn default() -> Idle {
        Idle {
            nudge_after_ms: 10_000,
            nudge: nudge(),
            nudges_max: once(),
            hang_up_after_ms: Some(10_000),
            farewell: None,
        }
    }
}

impl Session {
    /// The `session` object for this dialect, as GA names it.
    ///
    /// Once the agent has spoken the voice stays out: one that differs would get the whole update
    /// refused.
    pub(crate) fn json(&self, dialect: Dialect, format: ModelAudioFormat, stage: Stage) -> Value {
        let mut input = Map::new();
        input.insert("format".into(), format.json());
        let turn_detection = self.turn_detection.as_ref().map(|turns| turns.json(self.barge_in));
        input.insert("turn_detection".into(), json!(turn_detection));
        let transcription = self.transcription.as_ref().map(|it| it.json(dialect));
        let noise_reduction = self.noise_reduction.map(|kind| json!({"type": kind}));
        for (name, filter) in
            [("transcription", transcription), ("noise_reduction", noise_reduction)]
        {
            // A fresh session has neither; in a running one only null takes it away.
            if filter.is_some() || stage == Stage::Running {
                input.insert(name.into(), json!(filter));
            }
        }

        let mut output = Map::new();
        output.insert("format".into(), format.json());
        if stage != Stage::Running {
            output.insert("voice".into(), self.voice.json(dialect));
        }
        if let Some(speed) = self.speed {
            output.insert("speed".into(), json!(speed));
        }

        let mut session = Map::new();
        session.insert("type".into(), json!("realtime"));
        session.insert("output_modalities".into(), json!(["audio"]));
        session.insert("instructions".into(), json!(self.instructions));
        session.insert("audio".into(), json!({"input": input, "output": output}));
        let tools: Vec<Value> = self.tools.iter().map(Tool::json).collect();
        session.insert("tools".into(), json!(tools));
        session.insert("tool_choice".into(), json!("auto"));
        let max_output_tokens = self.max_output_tokens.map_or(json!("inf"), |max| json!(max));
        session.insert("max_output_tokens".into(), max_output_tokens);
        if let (Dialect::Beta, Some(temperature)) = (dialect, self.temperature) {
            session.insert("temperature".into(), json!(temperature));
        }
        Value::Object(session)
    }

    /// Takes a parameter out that the server has refused, by the name the server gave it (for example
    /// `session.audio.output.speed`); false when it is not there or the session needs it.
    pub(crate) fn drop_parameter(session: &mut Value, param: &str) -> bool {
        let path = param.strip_prefix("session.").unwrap_or(param);
        let flat = FLAT.into_iter().find(|(flat, _)| is_within(path, flat));
        let nested = flat.map(|(flat, nested)| format!("{nested}{}", &path[flat.len()..]));
        let path = nested.as_deref().unwrap_or(path);
        if NEEDED.iter().any(|needed| path.starts_with(needed)) {
            return false;
        }
        // What the server names may lie deeper than what can go: half a filter is no filter.
        let path = WHOLE.into_iter().find(|whole| path.starts_with(whole)).unwrap_or(path);
        let (holder, name) = path.rsplit_once('.').unwrap_or(("", path));
        let pointer = format!("/{}", holder.replace('.', "/"));
        let holder = if holder.is_empty() { Some(session) } else { session.pointer_mut(&pointer) };
        holder.and_then(Value::as_object_mut).is_some_and(|holder| holder.remove(name).is_some())
    }

    /// The least a session needs, for a server that refused the whole.
    pub(crate) fn minimal_json(&self, format: ModelAudioFormat) -> Value {
        json!({
            "type": "realtime",
            "instructions": self.instructions,
            "audio": {"input": {"format": format.json()}, "output": {"format": format.json()}},
        })
    }

    /// The instructions of the greeting, if there is one.
    pub(crate) fn greeting_instructions(&self) -> Option<String> {
        match self.greeting.as_ref()? {
            Greeting::Say(words) => Some(self.saying(words)),
            Greeting::Prompt(prompt) => Some(self.prompting(prompt)),
        }
    }

    /// Instructions for saying exactly these words. A response's own instructions replace the
    /// session's, so those go along to keep language, manner and accent.
    pub(crate) fn saying(&self, words: &str) -> String {
        format!("{}\n\nNow say exactly this and nothing else:\n{words}", self.instructions)
    }

    pub(crate) fn prompting(&self, prompt: &str) -> String {
        format!("{}\n\n{prompt}", self.instructions)
    }

    pub(crate) fn interrupts_response(&self) -> bool {
        self.barge_in
            && self.turn_detection.as_ref().is_some_and(TurnDetection::interrupts_response)
    }

    pub(crate) fn creates_response(&self) -> bool {
        self.turn_detection.as_ref().is_some_and(TurnDetection::creates_response)
    }
}

/// Whether a path is this one or leads on from it.
fn is_within(path: &str, whole: &str) -> bool {
    path.strip_prefix(whole).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
}

/// Where GA has put what servers of the beta name by these.
const FLAT: [(&str, &str); 9] = [
    ("voice", "audio.output.voice"),
    ("speed", "audio.output.speed"),
    ("input_audio_transcription", "audio.input.transcription"),
    ("input_audio_noise_reduction", "audio.input.noise_reduction"),
    ("turn_detection", "audio.input.turn_detection"),
    ("input_audio_format", "audio.input.format"),
    ("output_audio_format", "audio.output.format"),
    ("modalities", "output_modalities"),
    ("max_response_output_tokens", "max_output_tokens"),
];

/// Without these there is no session worth asking for.
const NEEDED: [&str; 4] = ["type", "instructions", "audio.input.format", "audio.output.format"];

/// These are there as a whole or not at all.
const WHOLE: [&str; 4] = [
    "audio.input.transcription",
    "audio.input.turn_detection",
    "audio.input.noise_reduction",
    "tools",
];

fn threshold() -> f64 {
    0.5
}

fn prefix_padding_ms() -> u32 {
    300
}

fn silence_duration_ms() -> u32 {
    500
}

fn yes() -> bool {
    true
}

fn once() -> u8 {
    1
}

fn nudge() -> String {
    "The caller has been silent. Ask in one short sentence whether they are still there.".into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_update_asserts_both_formats_and_the_type() {
        for (format, expected) in [
            (ModelAudioFormat::Pcm16, json!({"type": "audio/pcm", "rate": 24000})),
            (ModelAudioFormat::Pcmu, json!({"type": "audio/pcmu"})),
            (ModelAudioFormat::Pcma, json!({"type": "audio/pcma"})),
        ] {
            let session = Session::default();
            for json in [
                session.json(Dialect::Ga, format, Stage::Fresh),
                session.json(Dialect::Ga, format, Stage::Running),
                session.minimal_json(format),
            ] {
                assert_eq!(json["type"], "realtime");
                assert_eq!(json["audio"]["input"]["format"], expected);
                assert_eq!(json["audio"]["output"]["format"], expected);
            }
        }
    }

    #[test]
    fn temperature_goes_to_servers_of_the_beta_dialect_alone() {
        let session = Session { temperature: Some(0.8), ..Session::default() };
        let json = |dialect| session.json(dialect, ModelAudioFormat::Pcm16, Stage::Fresh);
        assert_eq!(json(Dialect::Beta)["temperature"], 0.8);
        assert!(json(Dialect::Ga).get("temperature").is_none());
    }

    #[test]
    fn what_was_turned_on_in_a_running_session_is_turned_off_by_null() {
        let session = Session { transcription: None, ..Session::default() };
        let json = |stage| session.json(Dialect::Ga, ModelAudioFormat::Pcm16, stage);
        assert!(json(Stage::Fresh)["audio"]["input"].get("transcription").is_none());
        let running = json(Stage::Running);
        assert_eq!(running["audio"]["input"].get("transcription"), Some(&Value::Null));
    }

    #[test]
    fn manual_turns_are_asked_for_by_an_explicit_null() {
        let session = Session { turn_detection: None, ..Session::default() };
        let json = session.json(Dialect::Ga, ModelAudioFormat::Pcm16, Stage::Fresh);
        assert_eq!(json["audio"]["input"].get("turn_detection"), Some(&Value::Null));
    }

    #[test]
    fn without_barge_in_the_server_is_told_not_to_interrupt_either() {
        let session = Session { barge_in: false, ..Session::default() };
        let json = session.json(Dialect::Ga, ModelAudioFormat::Pcm16, Stage::Fresh);
        assert_eq!(json["audio"]["input"]["turn_detection"]["interrupt_response"], false);
    }

    #[test]
    fn a_refused_parameter_goes_alone_and_a_needed_one_not_at_all() {
        let session = Session { speed: Some(1.2), ..Session::default() };
        let whole = session.json(Dialect::Ga, ModelAudioFormat::Pcm16, Stage::Fresh);
        for (param, path) in [
            ("session.audio.output.speed", "/audio/output/speed"),
            ("session.audio.input.transcription.model", "/audio/input/transcription"),
            ("session.tools[0].parameters", "/tools"),
            ("session.max_output_tokens", "/max_output_tokens"),
            ("session.input_audio_transcription.model", "/audio/input/transcription"),
            ("turn_detection.threshold", "/audio/input/turn_detection"),
            ("voice", "/audio/output/voice"),
            ("tools[0].name", "/tools"),
        ] {
            let mut json = whole.clone();
            assert!(Session::drop_parameter(&mut json, param), "{param}");
            assert!(json.pointer(path).is_none());
            assert!(json.pointer("/audio/output/format").is_some());
        }
        for param in [
            "",
            "session",
            "session.type",
            "session.audio.input.format.rate",
            "session.input_audio_format",
            "session.nonsense.x",
        ] {
            assert!(!Session::drop_parameter(&mut whole.clone(), param), "{param}");
        }
    }

    #[test]
    fn turn_detection_out_of_range_is_named() {
        let turns: TurnDetection =
            serde_json::from_value(json!({"type": "server_vad", "threshold": 2.0})).unwrap();
        assert!(turns.check().unwrap_err().contains("threshold"));
    }
}
