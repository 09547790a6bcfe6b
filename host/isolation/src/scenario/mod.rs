//! Scenario files: a call told in YAML, and what must come of it.
//!
//! **One rule: a file is wrong or right before anything runs.** What may stand in it is the types of this
//! module and nothing else; a key nobody knows is an error with its line and the key that was probably meant.
//! Every step keeps the line it stands in, for the failures it may cause.

mod read;
mod shorthand;

use std::path::PathBuf;

use serde::Deserialize;
use serde_json::{Map, Value};
pub use serde_saphyr::Spanned;

pub(crate) use read::line_of;
pub use read::{Problem, Scenario};

/// A scenario file as it is written.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Script {
    /// What it shows, in one line. The file's name if it says nothing.
    pub name: Option<String>,
    /// The tenant's settings.
    #[serde(default)]
    pub settings: Map<String, Value>,
    /// Who calls whom.
    #[serde(default)]
    pub call: CallSpec,
    /// What the model is like.
    #[serde(default)]
    pub model: ModelSpec,
    /// What happens, in order.
    pub steps: Vec<Spanned<Step>>,
}

/// Who calls whom.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CallSpec {
    /// The caller's number; `null` for none.
    pub caller: Option<String>,
    /// The number that was called.
    pub callee: Option<String>,
    /// Which way the call goes.
    pub direction: Way,
    /// The carrier's parameters.
    pub parameters: Map<String, Value>,
    /// Whether the carrier's REST interface is there: for transfers and keys.
    pub rest: bool,
}

impl Default for CallSpec {
    fn default() -> Self {
        Self {
            caller: Some("+15550100".to_owned()),
            callee: Some("+15550199".to_owned()),
            direction: Way::Inbound,
            parameters: Map::new(),
            rest: true,
        }
    }
}

/// Which way a call goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Way {
    /// Somebody calls the tenant.
    Inbound,
    /// The tenant calls somebody.
    Outbound,
}

/// What the model is like.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ModelSpec {
    /// Milliseconds from the call's beginning to the model's session.
    pub ready_after_ms: u64,
    /// How many times faster than it plays audio is sent.
    pub speed: f64,
    /// Pieces of audio that still come after an interruption.
    pub late_pieces: usize,
}

impl Default for ModelSpec {
    fn default() -> Self {
        Self { ready_after_ms: 100, speed: 5.0, late_pieces: 2 }
    }
}

/// One thing that happens, or that must have happened.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// The caller makes a sound; the step lasts as long as it does.
    CallerSays(#[serde(deserialize_with = "shorthand::text_or_fields")] Speech),
    /// The caller presses keys, 200 ms apart.
    CallerPresses(String),
    /// The caller hangs up.
    CallerHangsUp,
    /// Milliseconds pass; the line is silent unless somebody is still speaking.
    Wait(u64),
    /// The model gives its next response, once it is asked for one.
    ModelAnswers(#[serde(deserialize_with = "shorthand::text_or_fields")] Answer),
    /// The model sends any event.
    ModelEvent(Value),
    /// The model takes speech to have begun, whatever the audio is like.
    ModelSpeechStarted,
    /// The model takes speech to have ended.
    ModelSpeechStopped,
    /// The model ends its response before its time.
    ModelCancels,
    /// The model's socket is lost, and is back after so many milliseconds at the earliest.
    ModelLost(u64),
    /// Time passes until the model has a session again, 30 s at most.
    ModelRestored,
    /// The oldest open HTTP request of the tenant is answered.
    HttpAnswers(HttpAnswer),
    /// The oldest open HTTP request of the tenant fails, for this reason.
    HttpFails(String),
    /// An operator sends a command, any JSON.
    OperatorSends(Value),
    /// An operator ends the call.
    OperatorHangsUp,
    /// The instance is replaced by a fresh one that loads its state.
    Swap,
    /// What must have come of it.
    Expect(#[serde(deserialize_with = "shorthand::expectations")] Vec<Spanned<Expectation>>),
    /// What must not have come of it.
    Never(#[serde(deserialize_with = "shorthand::expectations")] Vec<Spanned<Expectation>>),
}

/// A sound of the caller. With a text alone it is a voice that lasts as long as the text takes to say.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Speech {
    /// The words, as the model will understand them.
    pub text: Option<String>,
    /// The sound's length in milliseconds, where nothing else says it.
    pub ms: Option<u64>,
    /// A WAV file (16 bit, 8 kHz or a multiple), by its path from the scenario's folder.
    pub wav: Option<PathBuf>,
    /// One of the built-in clips: hours, interruption, ready, goodbye.
    pub clip: Option<String>,
    /// A sine of this pitch.
    pub tone_hz: Option<f64>,
    /// The sound's level in dB of full scale, instead of -20.
    pub level_db: Option<f64>,
}

/// A response of the model.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Answer {
    /// The words.
    pub text: Option<String>,
    /// How long they take to say, in milliseconds.
    pub ms: Option<u64>,
    /// The pitch of the sound that stands for the voice: 440 unless it says otherwise.
    pub tone_hz: Option<f64>,
    /// One of the built-in clips in place of a tone: greeting, saturday, sunday, ready, goodbye.
    pub clip: Option<String>,
    /// Tools that are called.
    #[serde(deserialize_with = "shorthand::tools")]
    pub calls: Vec<ToolUse>,
    /// How the response ends.
    pub ends: Ending,
    /// The error's code, where it ends `failed`.
    pub code: Option<String>,
    /// Milliseconds from the request to the first word.
    pub delay_ms: Option<u64>,
    /// How far the step goes.
    pub until: Until,
    /// How long the step waits, in milliseconds: 10,000 unless it says otherwise.
    pub within_ms: Option<u64>,
}

/// A call of a tool.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ToolUse {
    /// The tool's name.
    pub name: String,
    /// Its arguments, any JSON; a text is taken as it is, so that it may be broken.
    #[serde(default)]
    pub arguments: Value,
}

/// How a response ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ending {
    /// With all it had to say.
    #[default]
    Completed,
    /// Half said, for want of tokens.
    Incomplete,
    /// Before its first word.
    Failed,
    /// Half said, with the model's socket.
    Lost,
}

/// How far a `model_answers` goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Until {
    /// It does not wait: the answer is there for whenever it is asked for.
    Whenever,
    /// The response was asked for.
    Asked,
    /// The model's voice began.
    Begun,
    /// The model sent all of it; most of it has not been heard yet.
    #[default]
    Sent,
    /// The caller heard all of it.
    Heard,
}

/// An answer to a tenant's HTTP request.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HttpAnswer {
    /// The status.
    #[serde(default = "ok")]
    pub status: u16,
    /// The headers.
    #[serde(default)]
    pub headers: Map<String, Value>,
    /// The body: a text as it is, anything else as JSON.
    #[serde(default)]
    pub body: Value,
}

fn ok() -> u16 {
    200
}

/// One thing that must, or must not, have come of what happened. Exactly one of the first group.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Expectation {
    /// An action of the tenant: its kind, or a pattern.
    pub action: Option<Value>,
    /// An event that reached the model: its type, or a pattern.
    pub model_gets: Option<Value>,
    /// A publication: its topic, or a pattern.
    pub publishes: Option<Value>,
    /// An HTTP request of the tenant: its URL, or a pattern.
    pub http: Option<Value>,
    /// A refusal of the host: the action's kind, or a pattern.
    pub refused: Option<Value>,
    /// A line of the tenant's log: a part of it, or a pattern.
    pub logs: Option<Value>,
    /// The call's end: its reason, or a pattern.
    pub call_ends: Option<Value>,
    /// Sound that the caller hears.
    pub hears: Option<Sound>,
    /// Silence on the caller's line.
    pub silence: Option<Silence>,
    /// Several, one after the other.
    #[serde(deserialize_with = "shorthand::expectations")]
    pub in_order: Vec<Spanned<Expectation>>,

    /// How long to wait for it, in milliseconds (`never`: how long it must not happen).
    pub within_ms: Option<u64>,
    /// How often, exactly.
    pub times: Option<usize>,
    /// Since when it counts.
    pub since: Since,
}

/// Since when something counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Since {
    /// The beginning of the last step that is no expectation.
    #[default]
    Step,
    /// The beginning of the call.
    Start,
}

/// Sound that the caller hears.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Sound {
    /// At least so many milliseconds of it: 100 unless it says otherwise, or `at_most_ms` is all it says.
    pub at_least_ms: Option<u64>,
    /// At most so many.
    pub at_most_ms: Option<u64>,
    /// Not quieter than this, in dB of full scale.
    pub above_db: Option<f64>,
    /// Not louder than this.
    pub below_db: Option<f64>,
    /// Mostly of this pitch, within 3 %.
    pub tone_hz: Option<f64>,
}

/// Silence on the caller's line.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Silence {
    /// It begins at the latest so many milliseconds after the step began: 0 unless it says otherwise.
    pub after_ms: u64,
    /// And lasts so long: 200 unless it says otherwise.
    pub for_ms: Option<u64>,
}
