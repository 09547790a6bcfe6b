//! What the caller, the carrier's REST interface, HTTP servers and an operator do.

use std::time::Duration;

use cordboard_call::contract::{HttpFailure, HttpResponse};
use cordboard_call::{HangUpBy, Input, Rest};
use cordboard_sim::model::engine::Engine;
use cordboard_wire::twilio::FromCarrier;

use super::World;
use super::model::Counts;
use crate::driver::Failure;

/// Between two keys of a caller who types quickly.
const BETWEEN_KEYS: Duration = Duration::from_millis(200);

/// From keys sent towards the far end to the carrier's next stream.
const AWAY_FOR_KEYS: Duration = Duration::from_millis(500);

impl World<'_> {
    /// The caller begins to make a sound, mu-law at 8 kHz.
    pub(crate) fn speak(&mut self, sound: &[u8]) {
        self.voice.extend(sound);
    }

    /// The caller presses keys; `w` is a pause of half a second.
    pub(crate) fn press(&mut self, keys: &str) {
        let mut at = self.now;
        for key in keys.chars() {
            match key {
                'w' => at += Duration::from_millis(500),
                key => {
                    self.keys.push_back((at, key));
                    at += BETWEEN_KEYS;
                }
            }
        }
    }

    /// Whether all keys were pressed.
    pub(crate) fn is_done_typing(&self) -> bool {
        self.keys.is_empty()
    }

    /// The caller hangs up.
    pub(crate) async fn hang_up(&mut self) {
        self.is_line_up = false;
        self.feed(Input::Carrier(FromCarrier::Stop)).await;
        self.settle().await;
    }

    /// An operator sends a command.
    pub(crate) async fn command(&mut self, json: String) {
        self.feed(Input::Command(json)).await;
        self.settle().await;
    }

    /// An operator ends the call.
    pub(crate) async fn operator_hangs_up(&mut self) {
        self.feed(Input::HangUp { by: HangUpBy::Operator, grace: Duration::ZERO }).await;
        self.settle().await;
    }

    /// The oldest request is answered; whether there was one.
    pub(crate) async fn answer_request(
        &mut self,
        status: u16,
        headers: Vec<(String, String)>,
        body: Vec<u8>,
    ) -> bool {
        let Some((_, request)) = self.requests.pop_front() else { return false };
        let token = request.token;
        self.feed(Input::HttpDone(HttpResponse { token, status, headers, body })).await;
        self.settle().await;
        true
    }

    /// Whether a request waits for its answer.
    pub(crate) fn has_request(&self) -> bool {
        !self.requests.is_empty()
    }

    /// A request fails.
    pub(crate) async fn fail_request(&mut self, nth: usize, reason: &str) {
        let Some((_, request)) = self.requests.remove(nth) else { return };
        let failure = HttpFailure { token: request.token, reason: reason.to_owned() };
        self.feed(Input::HttpFailed(failure)).await;
        self.settle().await;
    }

    /// The model's socket is lost.
    pub(crate) async fn lose_model(&mut self, for_ms: u64) {
        self.model.lose(self.now, Duration::from_millis(for_ms));
        self.settle().await;
    }

    /// Has the model's session do something.
    pub(crate) async fn at_model(&mut self, act: impl FnOnce(&mut Engine, Duration)) {
        self.model.with_session(self.now, act);
        self.settle().await;
    }

    /// Whether the model has a session.
    pub(crate) fn is_model_up(&self) -> bool {
        self.model.is_up()
    }

    /// What the model was asked for so far.
    pub(crate) fn model_counts(&self) -> Counts {
        self.model.counts
    }

    /// Replaces the tenant's instance.
    pub(crate) async fn swap(&mut self) {
        let now = self.now_ms();
        let swapped: Result<(), Failure> = self.driver.swap(now).await;
        if let Err(failure) = swapped {
            self.failure = Some(failure);
        }
    }

    /// The carrier's REST interface does what it is asked, at once.
    pub(super) fn rest(&mut self, rest: Rest) {
        self.call.handle(self.now, Input::RestDone(rest.kind()));
        if matches!(rest, Rest::Keys(_)) {
            self.back_at = Some(self.now + AWAY_FOR_KEYS);
        }
        self.is_line_up = false;
        self.call.handle(self.now, Input::Carrier(FromCarrier::Stop));
    }
}
