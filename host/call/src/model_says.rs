//! What the model says, and what its silence means.
//!
//! Its voice and most events go to the tenant as they are. The host itself looks at five things:
//! the formats of the session, refusals, the session's age, whether the caller is speaking, and
//! whether a response was heard at all. What a model says too much of is the model's fault.

use cordboard_wire::openai::{
    ErrorKind, Rejection, ResponseEnd, ServerEvent, formats_named, shortened,
};

use crate::call::Call;
use crate::contract::{Ended, Event, ModelAudio, ModelInfo};
use crate::ending::Phase;
use crate::framing::pieces;
use crate::io::{Note, Output, ToModel};
use crate::model_leg::Verdict;
use crate::tenant_leg::Rate;

/// What became of the model's present response.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct ResponseSoFar {
    is_begun: bool,
    is_heard: bool,
    calls_function: bool,
}

impl Call {
    pub(crate) fn model_up(&mut self, info: ModelInfo) {
        if self.model.is_closed() || self.model.info().is_some() {
            return self.note(Note::Unexpected("model up"));
        }
        self.model.up(info, self.now);
        self.tell_model();
    }

    /// Tells the tenant's instance of the session, unless there is no instance to tell: a fresh one
    /// is told when it is ready.
    fn tell_model(&mut self) {
        let Some(info) = self.model.info().cloned() else { return };
        if !self.tenant.has_instance() {
            return;
        }
        let event = match self.model.is_told {
            true => Event::ModelRestored(info),
            false => Event::ModelReady(info),
        };
        self.model.is_told = true;
        self.tell(event);
    }

    pub(crate) fn model_said(&mut self, event: ServerEvent) {
        if self.model.info().is_none() {
            return self.model_said_before_session(event);
        }
        let (now, limits) = (self.now, &self.limits);
        let is_voice = matches!(event, ServerEvent::AudioDelta { .. });
        if !self.model_messages.allow(now, limits.model_messages_per_second_max)
            || !(is_voice || self.model_events.allow(now, limits.model_events_per_second_max))
        {
            return self.model_flooded();
        }
        match event {
            ServerEvent::AudioDelta { response, item, content_index, audio } => {
                if !self.model.is_audio_trusted() {
                    return self.note(Note::ModelAudioDropped { bytes: audio.len() });
                }
                self.response.is_heard |= !audio.is_empty();
                for data in pieces(audio, self.limits.model_audio_bytes_max) {
                    let (response, item) = (response.clone(), item.clone());
                    self.tell(Event::ModelAudio(ModelAudio {
                        response,
                        item,
                        content_index,
                        data,
                    }));
                }
            }
            ServerEvent::SessionUpdated { audio, json } => {
                let asked = self.model.asked().to_string();
                match self.model.updated(&audio, self.now, &self.limits) {
                    Verdict::Confirmed => self.out.extend(self.model.release().map(Output::Model)),
                    Verdict::NotYet => {}
                    Verdict::Reassert(update) => {
                        self.note(Note::FormatMismatch { asked, got: formats_named(&json) });
                        self.out.push_back(Output::Model(ToModel::Event(update)));
                    }
                    Verdict::Hopeless => {
                        let got = formats_named(&json);
                        let detail = format!(
                            "the model's session has other formats than asked: asked for {asked}, got {got}"
                        );
                        return self.part(Ended::ModelLost, &detail);
                    }
                }
                self.tell_said(json);
            }
            ServerEvent::Error { kind, code, message, json, .. } => {
                self.model_erred(kind, code, message, json);
            }
            ServerEvent::Other { kind, json } => {
                match kind.as_str() {
                    "input_audio_buffer.speech_started" => self.inbound.speech_started(),
                    // Some servers never say that the caller stopped; a turn that is taken is over.
                    "input_audio_buffer.speech_stopped" | "input_audio_buffer.committed" => {
                        self.inbound.speech_stopped();
                    }
                    "response.created" => {
                        self.response = ResponseSoFar { is_begun: true, ..Default::default() };
                    }
                    "response.function_call_arguments.done" => self.response.calls_function = true,
                    "response.output_item.done" => {
                        self.response.calls_function |= json.contains("\"function_call\"");
                    }
                    "response.done" => self.response_done(&json),
                    _ => {}
                }
                self.tell_said(json);
            }
            ServerEvent::SessionCreated { .. } => {}
        }
    }

    fn response_done(&mut self, json: &str) {
        let so_far = std::mem::take(&mut self.response);
        if !so_far.is_begun || so_far.is_heard || so_far.calls_function {
            return;
        }
        let end = ResponseEnd::read(json);
        if end.is_audible() {
            self.note(Note::SilentResponse { status: end.status, reason: end.reason });
        }
    }

    /// Tells the tenant what the model said, within the bound of one event.
    fn tell_said(&mut self, json: String) {
        let (bytes, max) = (json.len(), self.limits.model_said_bytes_max);
        if bytes <= max {
            return self.tell(Event::ModelEvent(json));
        }
        let short = shortened(&json, max);
        self.note(Note::ModelEventTooLarge { bytes, is_dropped: short.is_none() });
        if let Some(short) = short {
            self.tell(Event::ModelEvent(short));
        }
    }

    /// The model said more in this second than anybody in a conversation does.
    pub(crate) fn is_model_to_blame(&self) -> bool {
        self.model_messages.count(self.now) >= self.limits.model_blamed_per_second
    }

    /// Exchanges a session that says too much. What it said and nobody heard goes with it.
    pub(crate) fn model_flooded(&mut self) {
        self.tenant.forget_model();
        if self.model.info().is_none() {
            return;
        }
        // The next session, and the tenant, begin with a clean slate.
        self.model_events = Rate::default();
        self.model_messages = Rate::default();
        self.tenant.forgive_echoes();
        self.note(Note::ModelFlooded);
        self.out.push_back(Output::CloseModel);
        self.model_down("the model flooded the call with events".to_owned(), true, None);
    }

    /// A refusal comes as an error in place of `session.created`.
    fn model_said_before_session(&mut self, event: ServerEvent) {
        if let ServerEvent::Error { kind: ErrorKind::Fatal, code, message, json, .. } = event {
            self.model_erred(ErrorKind::Fatal, code, message, json);
        }
    }

    fn model_erred(
        &mut self,
        kind: ErrorKind,
        code: Option<String>,
        message: String,
        json: String,
    ) {
        match kind {
            ErrorKind::Fatal => {
                let refused = code.as_deref().and_then(Rejection::from_code);
                self.out.push_back(Output::CloseModel);
                self.model_down(message, false, refused);
            }
            ErrorKind::Expired => {
                self.out.push_back(Output::CloseModel);
                self.model_down(message, true, None);
            }
            ErrorKind::Other => {
                let words = match code {
                    Some(code) => format!("{code}: {message}"),
                    None => message,
                };
                let reason: String = words.chars().take(COMPLAINT_CHARS_MAX).collect();
                if self.model.complained(&reason) {
                    self.note(Note::SessionComplaint { reason });
                }
                self.tell_said(json);
            }
            ErrorKind::Benign => self.tell_said(json),
        }
    }

    pub(crate) fn model_down(&mut self, reason: String, retry: bool, refused: Option<Rejection>) {
        if self.phase != Phase::Live || self.model.is_closed() {
            return;
        }
        if self.model.is_waiting() {
            return self.note(Note::Unexpected("model down"));
        }
        self.inbound.speech_stopped();
        let was_up = self.model.info().is_some();
        self.note(Note::ModelLost { reason: reason.clone() });
        let will_retry = retry && refused.is_none() && self.model.down(self.now, &self.limits);
        if was_up && self.model.is_told && self.tenant.has_instance() {
            self.tell(Event::ModelLost(reason.clone()));
        }
        if !will_retry {
            self.model.close();
            let detail = refused.map_or(reason, |refused| refused.advice().to_owned());
            self.part(Ended::ModelLost, &detail);
        }
    }
}

/// Of a server's words about a session, for a log.
const COMPLAINT_CHARS_MAX: usize = 240;
