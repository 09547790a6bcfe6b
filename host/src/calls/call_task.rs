//! One call: the carrier's socket, the model's socket, the tenant's instance, one loop.
//!
//! **One rule: this file decides nothing.** It waits for one thing, hands it to [`Call`], carries out
//! what comes back, and waits again. Every decision is in `cordboard_call`, where it is tested
//! without sockets.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::ws::{CloseFrame, Message, WebSocket, close_code};
use cordboard_call::contract::{
    AudioFormat, CallInfo, Direction, Encoding, HttpFailure, HttpRequest,
};
use cordboard_call::{
    Call, CallConfig, HangUpBy, Input, Limits, Note, Output, Rest, Summary, TenantFault, ToCarrier,
    UnsupportedFormat,
};
use cordboard_wire::twilio::{self, FromCarrier, Start};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::sleep_until;
use tracing::{debug, error, info, warn};

use super::tenant_leg::TenantLeg;
use crate::gateway::{APOLOGY, Gateway};
use crate::metrics::{Kind, Tenant, TenantKind};
use crate::model::ModelLeg;
use crate::net::outbound_http::Failed;
use crate::net::socket::{Duplex, Lost};
use crate::shared::admissions::PendingCall;
use crate::shared::directory::CallCommand;
use crate::twilio::rest::RestFailure;
use crate::twilio::stream_paths::{self, StreamPaths};

/// For what is playing to be heard when the process stops.
const DRAIN_GRACE: Duration = Duration::from_secs(5);

/// For a peer to answer our close frame.
pub(super) const CLOSE_WITHIN: Duration = Duration::from_secs(2);

pub(super) type CarrierSocket = Duplex<WebSocket>;

/// What can happen to a call.
enum Happened {
    Carrier(Result<Message, Lost<axum::Error>>),
    Input(Input),
    Commanded(CallCommand),
}

pub(super) struct CallTask {
    gateway: Arc<Gateway>,
    call: Call,
    began: Instant,
    label: Tenant,
    /// Of 20 ms in the carrier's format.
    frame_bytes: usize,
    stream_sid: String,
    /// Absent once it is lost, or until the carrier comes back with the next stream of the call.
    carrier: Option<CarrierSocket>,
    model: ModelLeg,
    tenant: TenantLeg,
    info: CallInfo,
    commands: mpsc::Receiver<CallCommand>,
    /// HTTP and REST requests under way; the call's own limits bound their number.
    requests_in_flight: JoinSet<Input>,
    /// Reused for every message to the carrier.
    text: String,
}

impl CallTask {
    pub(super) fn new(
        gateway: Arc<Gateway>,
        commands: mpsc::Receiver<CallCommand>,
        pending: PendingCall,
        start: Start,
    ) -> Result<Self, UnsupportedFormat> {
        let info = call_info(&pending, &start);
        let call = Call::new(CallConfig {
            info: info.clone(),
            apology: Arc::from(APOLOGY),
            rest: gateway.rest.now().is_some(),
            limits: Limits { call_max: gateway.config.calls.length_max, ..Limits::default() },
        })?;
        Ok(Self {
            label: Tenant { tenant: info.tenant.clone() },
            frame_bytes: frame_bytes(info.format),
            began: Instant::now(),
            stream_sid: start.stream_sid,
            carrier: None,
            requests_in_flight: JoinSet::new(),
            text: String::new(),
            model: ModelLeg::from(pending.model),
            tenant: TenantLeg::new(Arc::clone(&gateway), pending.permit, info.clone()),
            gateway,
            call,
            info,
            commands,
        })
    }

    pub(super) async fn live(mut self, carrier: CarrierSocket) {
        info!("the call is live");
        self.carrier = Some(carrier);
        let started = self.tenant.start().await;
        self.call.handle(self.began.elapsed(), Input::Begin);
        if let Err(fault) = started {
            self.call.handle(self.began.elapsed(), Input::TenantFailed { fault });
        }
        loop {
            if let Some(summary) = self.carry_out().await {
                return self.finish(summary).await;
            }
            let input = self.next_input().await;
            self.call.handle(self.began.elapsed(), input);
        }
    }

    /// Carries out all the machine wants; answers go straight back in.
    async fn carry_out(&mut self) -> Option<Summary> {
        while let Some(output) = self.call.poll_output() {
            let answer = match output {
                Output::Tenant(event) => Some(self.tenant.ask(self.began.elapsed(), event).await),
                Output::RestartTenant { .. } => Some(match self.tenant.start().await {
                    Ok(()) => Input::TenantReady,
                    Err(fault) => Input::TenantGone { reason: fault.to_string() },
                }),
                Output::Carrier(message) => self.tell_carrier(&message),
                Output::Model(message) => self.model.tell(message),
                Output::ConnectModel { .. } => {
                    self.model.connect(self.gateway.model.now());
                    None
                }
                Output::CloseModel => {
                    self.model.close();
                    None
                }
                Output::Rest(rest) => self.rest(rest),
                Output::Http(request) => {
                    self.http(request);
                    None
                }
                Output::Publish(publication) => {
                    self.gateway.publish(&self.info, &publication);
                    None
                }
                Output::Note(note) => {
                    self.note(&note);
                    None
                }
                Output::Ended(summary) => return Some(summary),
            };
            if let Some(answer) = answer {
                self.call.handle(self.began.elapsed(), answer);
            }
        }
        None
    }

    async fn next_input(&mut self) -> Input {
        let wake = self.call.wake_at().map(|at| (self.began + at).into());
        let happened = tokio::select! {
            message = next_message(&mut self.carrier) => Happened::Carrier(message),
            input = self.model.next() => Happened::Input(input),
            Some(command) = self.commands.recv() => Happened::Commanded(command),
            Some(done) = self.requests_in_flight.join_next() => {
                // A request that panicked leaves its tenant to the request's own deadline.
                Happened::Input(done.unwrap_or(Input::Wake))
            }
            () = sleep_until_or_forever(wake) => Happened::Input(Input::Wake),
        };
        match happened {
            Happened::Carrier(message) => self.carrier_said(message),
            Happened::Input(input) => {
                self.measure(&input);
                input
            }
            Happened::Commanded(command) => self.handle_command(command),
        }
    }

    fn measure(&mut self, input: &Input) {
        let metrics = &self.gateway.metrics;
        let connection = |kind| metrics.model_connections.get_or_create(&Kind { kind }).inc();
        match input {
            Input::Wake => {
                let late = self.call.wake_at().map(|due| self.began.elapsed().saturating_sub(due));
                metrics.late_seconds.observe(late.unwrap_or_default().as_secs_f64());
            }
            Input::ModelUp { .. } => {
                connection("up");
            }
            Input::ModelDown { refused: Some(_), .. } => {
                connection("refused");
            }
            Input::ModelDown { .. } => {
                connection("lost");
            }
            _ => {}
        }
        for _ in 0..self.model.take_malformed() {
            self.malformed("model-message");
        }
    }

    fn handle_command(&mut self, command: CallCommand) -> Input {
        match command {
            CallCommand::HangUp => Input::HangUp { by: HangUpBy::Operator, grace: Duration::ZERO },
            CallCommand::Drain => Input::HangUp { by: HangUpBy::Drain, grace: DRAIN_GRACE },
            CallCommand::Command(json) => Input::Command(json),
            CallCommand::Migrate { to, outcome } => {
                self.tenant.migrate(to, outcome);
                Input::Wake
            }
            CallCommand::Superseded => self.carrier_lost(None),
            CallCommand::NewStream { socket, start } => {
                self.stream_sid = start.stream_sid;
                self.carrier = Some(*socket);
                Input::CarrierBack
            }
        }
    }

    fn carrier_said(&mut self, message: Result<Message, Lost<axum::Error>>) -> Input {
        match message {
            Ok(Message::Text(text)) => {
                match FromCarrier::parse_for(&text, Some(&self.stream_sid)) {
                    Ok(message) => Input::Carrier(message),
                    Err(malformed) => {
                        debug!(%malformed, "ignored");
                        self.malformed("carrier-message");
                        Input::Wake
                    }
                }
            }
            Ok(Message::Binary(_)) => {
                self.malformed("binary-frame");
                Input::Wake
            }
            Ok(Message::Ping(_) | Message::Pong(_)) => Input::Wake,
            Ok(Message::Close(_)) | Err(Lost::Ended) => self.carrier_lost(None),
            Err(lost) => self.carrier_lost(Some(&lost)),
        }
    }

    fn carrier_lost(&mut self, why: Option<&Lost<axum::Error>>) -> Input {
        if let Some(why) = why {
            info!(%why, "the carrier's socket is lost");
        }
        self.carrier = None;
        Input::CarrierClosed
    }

    fn http(&mut self, request: HttpRequest) {
        let gateway = Arc::clone(&self.gateway);
        // Not always the version the call began with.
        let version = Arc::clone(self.tenant.version());
        let spending = Arc::clone(self.tenant.spending());
        self.requests_in_flight.spawn(async move {
            let token = request.token;
            match gateway.http.now().execute(&version.http, &spending, request).await {
                Ok(response) => Input::HttpDone(response),
                Err(failed) => {
                    if let Failed::OverLimit(over) = &failed {
                        gateway.limits_reached.note(version.tenant.as_str(), over);
                    }
                    Input::HttpFailed(HttpFailure { token, reason: failed.to_string() })
                }
            }
        });
    }

    fn tell_carrier(&mut self, message: &ToCarrier) -> Option<Input> {
        self.text.clear();
        match message {
            ToCarrier::Media { frames: audio } => {
                let frames = audio.len() / self.frame_bytes;
                self.gateway.metrics.frames_out.get_or_create(&self.label).inc_by(frames as u64);
                twilio::media(&self.stream_sid, audio, &mut self.text);
            }
            ToCarrier::Mark { name } => twilio::mark(&self.stream_sid, name, &mut self.text),
            ToCarrier::Clear => twilio::clear(&self.stream_sid, &mut self.text),
        }
        let lost = self.carrier.as_mut()?.queue(Message::text(self.text.as_str())).err()?;
        Some(self.carrier_lost(Some(&lost)))
    }

    fn rest(&mut self, rest: Rest) -> Option<Input> {
        let kind = rest.kind();
        let Some(client) = Option::clone(&self.gateway.rest.now()) else {
            let reason = "no REST credentials are configured".to_owned();
            return Some(Input::RestFailed { kind, reason });
        };
        if let Err(over) = self.tenant.allow(&rest) {
            self.gateway.limits_reached.note(&self.info.tenant, &over);
            return Some(Input::RestRefused { kind, reason: over.to_string() });
        }
        let call_sid = self.info.call_id.clone();
        let again = match &rest {
            Rest::Keys(_) => self.promise_return(),
            Rest::HangUp | Rest::Transfer { .. } => None,
        };
        self.requests_in_flight.spawn(async move {
            let asked = match rest {
                Rest::HangUp => client.hang_up(&call_sid).await,
                Rest::Transfer { to, caller_id } => {
                    client.transfer(&call_sid, &to, caller_id.as_deref()).await
                }
                Rest::Keys(keys) => match again {
                    Some(path) => client.press_keys(&call_sid, &keys, &path.connect()).await,
                    None => Err(RestFailure::NotSent(
                        "no stream to come back to can be promised".into(),
                    )),
                },
            };
            match asked {
                Ok(()) => Input::RestDone(kind),
                Err(error) => Input::RestFailed { kind, reason: error.to_string() },
            }
        });
        None
    }

    /// Promises the call a further stream: it leaves its present one to press keys.
    fn promise_return(&self) -> Option<StreamPaths> {
        // Only a host that checks no signatures has no origin.
        let origin = self.gateway.origin.as_ref()?;
        stream_paths::promise_return(origin, &self.gateway.admissions, &self.info.call_id)
    }

    fn note(&self, note: &Note) {
        match note {
            Note::Refused { action, reason } => debug!(action, reason, "an action was refused"),
            Note::TenantRestarted { restart, fault } => {
                warn!(restart, %fault, "the tenant restarts");
                // Every other fault is known from the instance itself.
                if *fault == TenantFault::Flooded {
                    self.tenant.flooded();
                }
            }
            Note::ModelLost { reason } => warn!(reason, "the model is lost"),
            Note::FormatMismatch { asked, got } => {
                warn!(asked, got, "the model's session has other formats than asked; asking again");
            }
            Note::SessionComplaint { reason } => {
                warn!(reason, "the model's server has something against the session");
            }
            Note::ModelEventTooLarge { bytes, is_dropped } => {
                warn!(bytes, is_dropped, "an event of the model was too large for the tenant");
            }
            Note::ModelFlooded => warn!("the model said more than a call can take"),
            Note::RestFailed { kind, reason } => {
                warn!(?kind, reason, "the carrier's REST interface failed")
            }
            Note::Closing { reason } => {
                info!("the call is ending");
                debug!(reason, "why the call is ending");
            }
            Note::Unexpected(what) => error!(what, "an input came that can not come now"),
            note => debug!(?note, "noted"),
        }
        let label = TenantKind { tenant: self.label.tenant.clone(), kind: note_kind(note) };
        self.gateway.metrics.notes.get_or_create(&label).inc();
    }

    fn malformed(&self, kind: &'static str) {
        self.gateway.metrics.malformed.get_or_create(&Kind { kind }).inc();
    }

    /// Closes what is still open. The permit and the entry in the list of calls go with the task.
    async fn finish(mut self, summary: Summary) {
        let Summary { reason, detail, duration, counts } = summary;
        info!(
            reason = reason.kind(),
            seconds = duration.as_secs_f64(),
            caller_frames = counts.caller_frames,
            caller_bytes = counts.caller_bytes,
            frames_filled = counts.frames_filled,
            frames_sent = counts.frames_sent,
            clears = counts.clears,
            stale_marks = counts.stale_marks,
            refusals = counts.refusals,
            events_dropped = counts.events_dropped,
            held_bytes_dropped = counts.held_bytes_dropped,
            restarts = counts.restarts,
            reconnects = counts.reconnects,
            wakes = counts.wakes,
            "the call is over"
        );
        // A tenant's reason for hanging up may hold words of the caller or the model.
        debug!(detail, "why the call is over");
        let label = TenantKind { tenant: self.label.tenant.clone(), kind: reason.kind() };
        self.gateway.metrics.calls_ended.get_or_create(&label).inc();
        self.tenant.finish(reason);
        self.gateway.calls.note_ended(self.info.call_id.clone());
        // The tenant's last HTTP requests may finish; each has its own deadline.
        let requests_in_flight =
            async { while self.requests_in_flight.join_next().await.is_some() {} };
        self.model.close();
        let carrier = self.carrier.take();
        let carrier = async {
            if let Some(carrier) = carrier {
                carrier.close(farewell(close_code::NORMAL, "the call is over"), CLOSE_WITHIN).await;
            }
        };
        tokio::join!(requests_in_flight, carrier);
    }
}

pub(super) fn farewell(code: u16, reason: &'static str) -> Message {
    Message::Close(Some(CloseFrame { code, reason: reason.into() }))
}

fn call_info(pending: &PendingCall, start: &Start) -> CallInfo {
    let version = pending.permit.version();
    CallInfo {
        call_id: start.call_sid.clone(),
        stream_id: start.stream_sid.clone(),
        tenant: version.tenant.to_string(),
        version: version.name.clone(),
        direction: if pending.outbound { Direction::Outbound } else { Direction::Inbound },
        caller: pending.caller.clone(),
        callee: pending.callee.clone(),
        format: AudioFormat {
            encoding: match start.format.encoding {
                twilio::Encoding::Alaw => Encoding::Alaw,
                twilio::Encoding::Pcm16 => Encoding::Pcm16,
                // Unknown was turned away before.
                twilio::Encoding::Mulaw | twilio::Encoding::Unknown => Encoding::Mulaw,
            },
            sample_rate: start.format.sample_rate,
            channels: start.format.channels,
        },
        parameters: start.parameters.iter().filter(|(name, _)| name != "tenant").cloned().collect(),
        settings: version.settings.clone(),
        restarted: false,
    }
}

/// Bytes of 20 ms in a format that [`Call::new`] took.
fn frame_bytes(format: AudioFormat) -> usize {
    let per_sample = match format.encoding {
        Encoding::Mulaw | Encoding::Alaw => 1,
        Encoding::Pcm16 => 2,
    };
    (format.sample_rate as usize / 50 * per_sample * usize::from(format.channels)).max(1)
}

/// A note by the name it is counted under.
fn note_kind(note: &Note) -> &'static str {
    match note {
        Note::GapFilled { .. } => "gap-filled",
        Note::CallerStalled => "caller-stalled",
        Note::DuplicateMedia => "duplicate-media",
        Note::StaleMark => "stale-mark",
        Note::MarkOverdue => "mark-overdue",
        Note::UnknownCarrierEvent(_) => "unknown-carrier-event",
        Note::LateWake { .. } => "late-wake",
        Note::Refused { .. } => "action-refused",
        Note::HeldAudioDropped { .. } => "held-audio-dropped",
        Note::EventsDropped { .. } => "events-dropped",
        Note::FormatMismatch { .. } => "format-mismatch",
        Note::SessionComplaint { .. } => "session-complaint",
        Note::SilentResponse { .. } => "silent-response",
        Note::ModelEventTooLarge { .. } => "model-event-too-large",
        Note::ModelFlooded => "model-flooded",
        Note::ModelAudioDropped { .. } => "model-audio-dropped",
        Note::TenantRestarted { .. } => "tenant-restarted",
        Note::ModelLost { .. } => "model-lost",
        Note::ModelRenewed => "model-renewed",
        Note::RestFailed { .. } => "rest-failed",
        Note::OrphanedHttp => "orphaned-http",
        Note::CommandDropped => "command-dropped",
        Note::Unexpected(_) => "unexpected-input",
        Note::Closing { .. } => "closing",
    }
}

async fn next_message(carrier: &mut Option<CarrierSocket>) -> Result<Message, Lost<axum::Error>> {
    match carrier {
        Some(carrier) => carrier.next().await,
        None => std::future::pending().await,
    }
}

async fn sleep_until_or_forever(wake: Option<tokio::time::Instant>) {
    match wake {
        Some(wake) => sleep_until(wake).await,
        None => std::future::pending().await,
    }
}
