//! What an author writes, and the instance that runs it.

use crate::agent::Notice;
use crate::ending::TRANSFER_MARK;
use crate::limits::TOKEN_RESERVED;
use crate::state::{self, Saved};
use crate::tools::error_output;
use crate::{
    Action, Call, CallInfo, Ended, Event, HttpFailure, HttpResponse, Level, Session, ToolAnswer,
    ToolCall, Turn,
};

/// One customer's behaviour on one call. Everything but [`new`](Tenant::new) has a default.
///
/// Methods run one at a time, after the SDK has done its own part of the event; whatever they ask of
/// the [`Call`] goes out together.
pub trait Tenant: Sized {
    /// Rises when [`save`](Tenant::save) writes something an older [`load`](Tenant::load) cannot read.
    const STATE_VERSION: u32 = 1;

    /// Builds the tenant for a new call. The settings are in `info.settings`.
    fn new(info: &CallInfo) -> Self;

    /// The agent this tenant puts on the line. Asked once, and again by a successor.
    fn session(&self, info: &CallInfo) -> Session {
        let _ = info;
        Session::default()
    }

    /// The call began; nobody can hear anything yet.
    fn started(&mut self, call: &mut Call) {
        let _ = call;
    }

    /// The model's session is configured: from here on the agent can speak.
    fn ready(&mut self, call: &mut Call) {
        let _ = call;
    }

    /// Any event but audio, before the SDK looks at it.
    fn event(&mut self, call: &mut Call, event: &Event) {
        let _ = (call, event);
    }

    /// A frame of the caller's voice in the line's format: [`Hearing::Withhold`] keeps it from the
    /// model. Fifty times a second; keep it short.
    fn caller_audio(&mut self, call: &mut Call, frame: &[u8]) -> Hearing {
        let _ = (call, frame);
        Hearing::Forward
    }

    /// A piece of what the caller is about to hear, in the line's format and of any size, to be
    /// filtered in place. Fifty times a second; keep it short, and keep its length.
    fn agent_audio(&mut self, audio: &mut [u8]) {
        let _ = audio;
    }

    /// The caller pressed a key: `0`-`9`, `*`, `#`, `A`-`D`.
    fn caller_key(&mut self, call: &mut Call, key: char) {
        let _ = (call, key);
    }

    /// A line of the transcript is complete.
    fn turn(&mut self, call: &mut Call, turn: &Turn) {
        let _ = (call, turn);
    }

    /// The caller cut the agent off.
    fn interrupted(&mut self, call: &mut Call) {
        let _ = call;
    }

    /// The model called a tool that has neither a URL nor a deed of its own.
    fn tool_call(&mut self, call: &mut Call, tool: &ToolCall) -> ToolAnswer {
        let _ = call;
        ToolAnswer::Output(error_output(&format!("there is no tool named {}", tool.name)))
    }

    /// The model failed to respond, twice in a row or for good. The default does not leave the caller
    /// in silence: three beeps, then the end of the call.
    fn response_failed(&mut self, call: &mut Call, code: &str) {
        call.play_failure_tone();
        call.hang_up_when_played(&format!("the model failed: {code}"));
    }

    /// A timer of the tenant's own.
    fn timer(&mut self, call: &mut Call, token: u64) {
        let _ = (call, token);
    }

    /// Everything played before this mark was heard.
    fn mark(&mut self, call: &mut Call, name: &str) {
        let _ = (call, name);
    }

    /// The outcome of a request of the tenant's own.
    fn http(&mut self, call: &mut Call, outcome: Result<HttpResponse, HttpFailure>) {
        let _ = (call, outcome);
    }

    /// An operator's JSON.
    fn command(&mut self, call: &mut Call, json: &str) {
        let _ = (call, json);
    }

    /// The call is over; only `publish` and `http` still have an effect.
    fn ended(&mut self, call: &mut Call, how: Ended) {
        let _ = (call, how);
    }

    /// What a successor of this tenant has to know beyond the call itself, which the SDK saves.
    fn save(&self) -> Vec<u8> {
        Vec::new()
    }

    /// Takes over from a predecessor. `info.settings` are the successor's own.
    ///
    /// # Errors
    ///
    /// A reason not to; the predecessor stays in charge. Never panics, whatever the bytes are.
    fn load(info: &CallInfo, state: &[u8]) -> Result<Self, String> {
        let _ = state;
        Ok(Self::new(info))
    }
}

/// Whether the model hears a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hearing {
    /// It does.
    Forward,
    /// It does not; the server's clock of the conversation stands still meanwhile.
    Withhold,
}

/// A tenant on a call: the fold that the contract asks for.
pub struct Instance<T> {
    tenant: T,
    call: Call,
}

impl<T: Tenant> Instance<T> {
    /// Answers `started`.
    pub fn start(now: u64, info: CallInfo) -> (Instance<T>, Vec<Action>) {
        let tenant = T::new(&info);
        let session = tenant.session(&info);
        let mut instance = Instance { call: Call::new(now, info, session, None), tenant };
        instance.tenant.started(&mut instance.call);
        instance.call.drive();
        let actions = std::mem::take(&mut instance.call.actions);
        (instance, actions)
    }

    /// Answers any other event.
    pub fn handle(&mut self, now: u64, event: Event) -> Vec<Action> {
        self.call.now = now;
        match event {
            Event::CallerAudio(frame) => {
                if self.tenant.caller_audio(&mut self.call, &frame) == Hearing::Forward {
                    self.call.caller_audio_in(frame);
                }
            }
            Event::ModelAudio(audio) => self.call.model_audio_in(audio),
            event => {
                self.tenant.event(&mut self.call, &event);
                self.other(event);
                self.tell();
                self.call.drive();
            }
        }
        for action in &mut self.call.actions {
            if let Action::Play(play) = action {
                self.tenant.agent_audio(&mut play.audio);
            }
        }
        std::mem::take(&mut self.call.actions)
    }

    fn other(&mut self, event: Event) {
        let Instance { tenant, call } = self;
        match event {
            Event::Started(_) => crate::log(Level::Warn, "started came twice; ignored"),
            Event::CallerAudio(_) | Event::ModelAudio(_) => {}
            Event::CallerKey(key) => {
                call.state.idle.nudges = 0;
                if let Some(key) = key.chars().next() {
                    tenant.caller_key(call, key);
                }
            }
            Event::ModelReady(model) => call.model_up(&model),
            Event::ModelEvent(json) => call.model_event_in(&json),
            Event::ModelLost(_) => call.model_lost(),
            Event::ModelRestored(model) => call.model_up(&model),
            Event::Heard(heard) => call.heard_in(&heard),
            Event::Mark(name) if name == TRANSFER_MARK => call.transfer_now(),
            Event::Mark(name) => tenant.mark(call, &name),
            Event::Flushed(flushed) => call.flushed_in(flushed),
            Event::Timer(token) if token >= TOKEN_RESERVED => call.own_timer(token),
            Event::Timer(token) => tenant.timer(call, token),
            Event::HttpDone(response) if response.token >= TOKEN_RESERVED => {
                call.tool_http_done(&response);
            }
            Event::HttpDone(response) => tenant.http(call, Ok(response)),
            Event::HttpFailed(failure) if failure.token >= TOKEN_RESERVED => {
                call.tool_http_failed(&failure);
            }
            Event::HttpFailed(failure) => tenant.http(call, Err(failure)),
            Event::Command(json) => tenant.command(call, &json),
            Event::Refused(refusal) => {
                crate::log(
                    Level::Warn,
                    &format!("refused: {}: {}", refusal.action, refusal.reason),
                );
                match refusal.action.as_str() {
                    "http" => call.tool_http_refused(&refusal.reason),
                    "transfer" => call.transfer_refused(&refusal.reason),
                    _ => {}
                }
            }
            Event::Ended(how) => {
                call.publish_rest();
                tenant.ended(call, how);
            }
        }
    }

    /// Tells the tenant what the SDK has found in the event. What the tenant does about one may bring
    /// another, but never without end: answering a tool brings none.
    fn tell(&mut self) {
        let Instance { tenant, call } = self;
        for notice in std::mem::take(&mut call.notices) {
            match notice {
                Notice::Ready => tenant.ready(call),
                Notice::Turn(turn) => tenant.turn(call, &turn),
                Notice::Tool(tool) => match tenant.tool_call(call, &tool) {
                    ToolAnswer::Output(output) => call.answer_tool(&tool.call_id, &output),
                    ToolAnswer::Later => {}
                },
                Notice::Interrupted => tenant.interrupted(call),
                Notice::ResponseFailed(code) => tenant.response_failed(call, &code),
            }
        }
    }

    /// Everything a successor needs.
    pub fn save(&self) -> Vec<u8> {
        let (up, down) = self.call.paths.save();
        let tenant = self.tenant.save();
        state::encode(T::STATE_VERSION, &Saved { state: &self.call.state, up, down, tenant })
    }

    /// Takes over a call in place of [`start`](Instance::start).
    ///
    /// # Errors
    ///
    /// Bytes that `save` of this build cannot have written, and a tenant's own refusal.
    pub fn load(now: u64, info: CallInfo, bytes: &[u8]) -> Result<Instance<T>, String> {
        let saved =
            state::decode(T::STATE_VERSION, bytes).map_err(|refused| refused.to_string())?;
        let tenant = T::load(&info, &saved.tenant)?;
        let session = tenant.session(&info);
        let mut call = Call::new(now, info, session, Some(saved.state.format));
        if call.state.format != saved.state.format || !call.actions.is_empty() {
            return Err("the state belongs to a call in another audio format".into());
        }
        call.paths.restore(&saved.up, &saved.down).map_err(|error| error.to_string())?;
        call.state = saved.state;
        // A successor may want another agent; the session learns of it at the next turn.
        call.state.update_due |=
            call.state.connected && call.state.fingerprint != call.fingerprint();
        Ok(Instance { tenant, call })
    }

    /// The tenant, for a unit test to look into.
    pub fn tenant(&self) -> &T {
        &self.tenant
    }

    /// The call, for a unit test to look into.
    pub fn call(&self) -> &Call {
        &self.call
    }
}
