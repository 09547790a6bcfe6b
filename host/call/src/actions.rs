//! What a tenant asks for, carried out or refused.
//!
//! **One rule: an action is done whole or not at all, and a refusal is always told.** After the
//! call's end has begun only `publish` and `http` are still carried out.

use cordboard_wire::openai::ClientEvent;

use crate::call::{Call, Carrier, Request, send_carrier};
use crate::contract::{
    Action, Ended, Event, HangUp, HangUpWhen, HttpRequest, Publication, Timer, Transfer,
};
use crate::ending::{PendingHangUp, Phase};
use crate::io::{Note, Now, Output, Rest, ToModel};

/// What a refused action is told.
type Refused = String;

impl Call {
    /// Carries out an answer.
    pub(crate) fn answered(&mut self, mut actions: Vec<Action>) {
        if self.tenant.is_gone() {
            // It was given up while it was thinking.
            return;
        }
        if !self.tenant.answered() {
            return self.note(Note::Unexpected("answer"));
        }
        let max = self.limits.actions_max;
        let surplus = actions.len().saturating_sub(max);
        let first_surplus = actions.get(max).map(Action::kind);
        actions.truncate(max);
        let mut audio_left = self.limits.audio_per_answer_bytes_max;
        for action in actions {
            if self.phase != Phase::Live && !is_allowed_at_the_end(&action) {
                continue;
            }
            let name = action.kind();
            if let Err(reason) = self.act(action, &mut audio_left) {
                self.refuse(name, reason);
            }
        }
        if let Some(name) = first_surplus {
            self.refuse(
                name,
                format!("an answer holds at most {max} actions; {surplus} were left out"),
            );
        }
    }

    fn act(&mut self, action: Action, audio_left: &mut usize) -> Result<(), Refused> {
        match action {
            Action::Play(play) => {
                take_audio(play.audio.len(), audio_left)?;
                self.playout.play(play, self.now, &self.limits).map_err(str::to_owned)
            }
            Action::Mark(name) => self.playout.mark(name, &self.limits).map_err(str::to_owned),
            Action::Flush => {
                self.flush();
                Ok(())
            }
            Action::ModelAudio(audio) => {
                take_audio(audio.len(), audio_left)?;
                self.model_audio(audio)
            }
            Action::ModelEvent(json) => self.model_event(&json),
            Action::SetTimer(timer) => self.set_timer(timer),
            Action::CancelTimer(token) => {
                self.timers.cancel(token);
                self.tenant.withdraw_timer(token);
                Ok(())
            }
            Action::Http(request) => self.http(request),
            Action::HangUp(hang_up) => {
                self.tenant_hangs_up(hang_up);
                Ok(())
            }
            Action::CancelHangUp => {
                self.pending_hang_up =
                    self.pending_hang_up.filter(|pending_hang_up| !pending_hang_up.may_cancel);
                Ok(())
            }
            Action::Transfer(transfer) => self.transfer(transfer),
            Action::SendKeys(keys) => self.send_keys(keys),
            Action::Publish(publication) => self.publish(publication),
        }
    }

    fn set_timer(&mut self, timer: Timer) -> Result<(), Refused> {
        let max = self.limits.timers_max;
        if !self.timers.set(timer, max) {
            return Err(format!("at most {max} timers can be set"));
        }
        self.tenant.withdraw_timer(timer.token);
        Ok(())
    }

    fn flush(&mut self) {
        let Self { playout, out, counts, framing, .. } = self;
        let mut reports = Vec::new();
        let mut send = |message| send_carrier(message, *framing, counts, out);
        let flushed = playout.flush(self.now, &mut send, &mut |report| reports.push(report));
        self.tenant.bring_reports_first();
        for report in reports {
            self.tell_first(report.into());
        }
        self.tell_first(Event::Flushed(flushed));
    }

    fn model_audio(&mut self, audio: Vec<u8>) -> Result<(), Refused> {
        if audio.is_empty() {
            return Ok(());
        }
        let (append, dropped) = self.model.append(audio, &self.limits);
        self.sent_or_held(append, dropped);
        Ok(())
    }

    fn model_event(&mut self, json: &str) -> Result<(), Refused> {
        let max = self.limits.model_event_bytes_max;
        if json.len() > max {
            return Err(format!("the event has more than {max} bytes"));
        }
        let Some(info) = self.model.info() else {
            return Err("the model is not connected".to_owned());
        };
        let model = Some(info.model.as_str()).filter(|model| !model.is_empty());
        let event = ClientEvent::parse_for(json, model).map_err(|refusal| refusal.reason)?;
        let (event, dropped) = self.model.event(event, json.len(), self.now, &self.limits);
        self.sent_or_held(event, dropped);
        Ok(())
    }

    fn sent_or_held(&mut self, message: Option<ToModel>, dropped: usize) {
        self.out.extend(message.map(Output::Model));
        if dropped > 0 {
            self.counts.held_bytes_dropped += dropped as u64;
            self.note(Note::HeldAudioDropped { bytes: dropped });
        }
    }

    fn http(&mut self, mut request: HttpRequest) -> Result<(), Refused> {
        let headers = request.headers.iter().map(|(name, value)| name.len() + value.len());
        let bytes = request.url.len() + request.body.len() + headers.sum::<usize>();
        if bytes > self.limits.http_bytes_max {
            return Err(format!("the request has more than {} bytes", self.limits.http_bytes_max));
        }
        if self.requests.len() >= self.limits.http_in_flight_max {
            return Err(format!(
                "at most {} requests can be under way",
                self.limits.http_in_flight_max
            ));
        }
        if self.requests.iter().any(|other| other.token == request.token) {
            return Err("a request with this token is under way".to_owned());
        }
        let max_ms = u32::try_from(self.limits.http_timeout_max.as_millis()).unwrap_or(u32::MAX);
        if !(1..=max_ms).contains(&request.timeout_ms) {
            request.timeout_ms = max_ms;
        }
        self.requests.push(Request { token: request.token, is_orphaned: false });
        self.out.push_back(Output::Http(request));
        Ok(())
    }

    fn tenant_hangs_up(&mut self, hang_up: HangUp) {
        let HangUp { when, deadline_ms, reason } = hang_up;
        match when {
            HangUpWhen::Now => self.end(Ended::TenantHungUp, &reason),
            HangUpWhen::WhenPlayed => {
                let wait =
                    Now::from_millis(u64::from(deadline_ms)).min(self.limits.hang_up_wait_max);
                let deadline = self.now + wait;
                let pending_hang_up =
                    PendingHangUp { reason: Ended::TenantHungUp, deadline, may_cancel: true };
                self.depart(pending_hang_up, &reason);
            }
        }
    }

    fn transfer(&mut self, transfer: Transfer) -> Result<(), Refused> {
        self.check_rest()?;
        let Transfer { to, caller_id } = transfer;
        if !is_number_or_sip(&to) {
            return Err("`to` must be E.164 or begin with `sip:`".to_owned());
        }
        if self.is_transferring {
            return Err("a transfer is under way".to_owned());
        }
        self.is_transferring = true;
        self.ask_rest(Rest::Transfer { to, caller_id });
        Ok(())
    }

    fn send_keys(&mut self, keys: String) -> Result<(), Refused> {
        self.check_rest()?;
        let are_keys =
            keys.bytes().all(|key| matches!(key, b'0'..=b'9' | b'*' | b'#' | b'A'..=b'D' | b'w'));
        if keys.is_empty() || keys.len() > 32 || !are_keys {
            return Err("keys are 1 to 32 of 0-9 * # A-D w".to_owned());
        }
        if self.carrier != Carrier::Streaming {
            return Err("keys are being pressed already".to_owned());
        }
        self.carrier = Carrier::PressingKeys { until: self.now + self.limits.carrier_back_max };
        self.ask_rest(Rest::Keys(keys));
        Ok(())
    }

    fn check_rest(&self) -> Result<(), Refused> {
        match self.rest {
            true => Ok(()),
            false => {
                Err("the gateway has no credentials for the carrier's REST interface".to_owned())
            }
        }
    }

    fn publish(&mut self, publication: Publication) -> Result<(), Refused> {
        let Publication { topic, json } = &publication;
        let is_topic = !topic.is_empty()
            && topic.len() <= 64
            && topic.bytes().all(|c| matches!(c, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'_' | b'-'));
        if !is_topic {
            return Err("a topic is up to 64 lower-case letters, digits and dots".to_owned());
        }
        if json.len() > self.limits.publication_bytes_max {
            return Err(format!(
                "the JSON has more than {} bytes",
                self.limits.publication_bytes_max
            ));
        }
        if serde_json::from_str::<serde::de::IgnoredAny>(json).is_err() {
            return Err("the JSON is malformed".to_owned());
        }
        if !self.publications.allow(self.now, self.limits.publications_per_second_max) {
            return Err("too many publications in this second".to_owned());
        }
        self.out.push_back(Output::Publish(publication));
        Ok(())
    }
}

fn take_audio(bytes: usize, left: &mut usize) -> Result<(), Refused> {
    match left.checked_sub(bytes) {
        Some(rest) => {
            *left = rest;
            Ok(())
        }
        None => Err("the answer holds too much audio".to_owned()),
    }
}

fn is_allowed_at_the_end(action: &Action) -> bool {
    matches!(action, Action::Publish(_) | Action::Http(_))
}

fn is_number_or_sip(to: &str) -> bool {
    let is_number = to.strip_prefix('+').is_some_and(|digits| {
        (2..=15).contains(&digits.len()) && digits.bytes().all(|digit| digit.is_ascii_digit())
    });
    let is_sip = to.strip_prefix("sip:").is_some_and(|rest| {
        !rest.is_empty() && rest.len() <= 250 && rest.bytes().all(|c| c.is_ascii_graphic())
    });
    is_number || is_sip
}
