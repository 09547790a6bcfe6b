//! What the model says, and what its silence means.
//!
//! Its voice and most events go to the tenant as they are. The host itself looks at four things:
//! the formats of the session, refusals, the session's age, and whether the caller is speaking.

use cordboard_wire::openai::{ErrorKind, Rejection, ServerEvent};

use crate::call::Call;
use crate::contract::{Ended, Event, ModelAudio, ModelInfo};
use crate::ending::Phase;
use crate::framing::pieces;
use crate::io::{Note, Output, ToModel};
use crate::model_leg::Verdict;

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
        match event {
            ServerEvent::AudioDelta { response, item, content_index, audio } => {
                if !self.model.is_audio_trusted() {
                    return self.note(Note::ModelAudioDropped { bytes: audio.len() });
                }
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
                match self.model.updated(&audio, self.now, &self.limits) {
                    Verdict::Confirmed => self.out.extend(self.model.release().map(Output::Model)),
                    Verdict::NotYet => {}
                    Verdict::Reassert(update) => {
                        self.note(Note::FormatMismatch);
                        self.out.push_back(Output::Model(ToModel::Event(update)));
                    }
                    Verdict::Hopeless => {
                        return self.part(
                            Ended::ModelLost,
                            "the model's session has other formats than asked",
                        );
                    }
                }
                self.tell(Event::ModelEvent(json));
            }
            ServerEvent::Error { kind, code, message, json, .. } => {
                self.model_erred(kind, code, message, json);
            }
            ServerEvent::Other { kind, json } => {
                match kind.as_str() {
                    "input_audio_buffer.speech_started" => self.inbound.speech_started(),
                    "input_audio_buffer.speech_stopped" => self.inbound.speech_stopped(),
                    _ => {}
                }
                self.tell(Event::ModelEvent(json));
            }
            ServerEvent::SessionCreated { .. } => {}
        }
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
            ErrorKind::Benign | ErrorKind::Other => self.tell(Event::ModelEvent(json)),
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
