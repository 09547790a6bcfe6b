//! One stream in real time: a frame every 20 ms, the playout clock, the script, and what the gateway sends.

use std::collections::VecDeque;
use std::time::Duration;

use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_tungstenite::tungstenite::Message as WsMessage;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

use super::line::Line;
use super::party::Party;
use super::playout::{Echo, Playout, Sample};
use super::report::{DebuggerEntry, Logged, Message, Side, StreamReport};
use super::rules::{self, FromGateway};
use super::script::{Act, Heard, Step};
use super::second::SecondSocket;
use super::upgrade::Socket;
use super::wire::Writer;
use super::{Control, Knobs};
use crate::audio::is_audible;

/// The carrier's packet time.
const FRAME: Duration = Duration::from_millis(20);

/// How long the carrier waits for the gateway to take one message or to answer its close.
const SEND_MAX: Duration = Duration::from_secs(5);

/// Why a stream is over.
#[derive(Debug)]
pub(super) enum Over {
    CallerHungUp,
    ClosedByGateway,
    Dropped(String),
    CompletedByRest,
    Updated(String),
}

/// A stream that is up.
pub(super) struct Stream<'a> {
    sink: SplitSink<Socket, WsMessage>,
    source: SplitStream<Socket>,
    writer: Writer,
    line: Line,
    playout: Playout,
    party: &'a mut Party,
    knobs: &'a Knobs,
    random: SmallRng,
    began: Instant,
    frames: u64,
    /// Bytes of what was heard that the far end has listened to.
    listened: usize,
    held: VecDeque<String>,
    release_at_frame: u64,
    late_echoes: VecDeque<(Instant, Echo)>,
    lose_until: u64,
    stall_until: u64,
    half_open_until: Option<Instant>,
    slow_until: Option<Instant>,
    pub(super) report: StreamReport,
    pub(super) debugger: Vec<DebuggerEntry>,
    pub(super) script_failure: Option<String>,
    second: SecondSocket,
    second_task: Option<JoinHandle<String>>,
    stream_sid: String,
}

impl<'a> Stream<'a> {
    pub(super) fn new(
        socket: Socket,
        writer: Writer,
        party: &'a mut Party,
        knobs: &'a Knobs,
        seed: u64,
        report: StreamReport,
        second: SecondSocket,
    ) -> Self {
        let (sink, source) = socket.split();
        Self {
            sink,
            source,
            writer,
            line: Line::new(seed, knobs.noise_amplitude, true),
            playout: Playout::recording(),
            party,
            knobs,
            random: SmallRng::seed_from_u64(seed),
            began: Instant::now(),
            frames: 0,
            listened: 0,
            held: VecDeque::new(),
            release_at_frame: 0,
            late_echoes: VecDeque::new(),
            lose_until: 0,
            stall_until: 0,
            half_open_until: None,
            slow_until: None,
            stream_sid: report.stream_sid.clone(),
            report,
            debugger: Vec::new(),
            script_failure: None,
            second,
            second_task: None,
        }
    }

    /// Plays the stream to its end.
    pub(super) async fn run(
        &mut self,
        parameters: &[(String, String)],
        controls: &mut UnboundedReceiver<Control>,
    ) -> Over {
        let over = match self.play(parameters, controls).await {
            Ok(over) => over,
            Err(over) => over,
        };
        self.settle();
        if let Some(task) = self.second_task.take() {
            self.report.second_socket = Some(if task.is_finished() {
                task.await.expect("the second socket's task does not panic")
            } else {
                task.abort();
                "open".into()
            });
        }
        over
    }

    async fn play(
        &mut self,
        parameters: &[(String, String)],
        controls: &mut UnboundedReceiver<Control>,
    ) -> Result<Over, Over> {
        self.began = Instant::now();
        let connected = self.writer.connected();
        self.send(connected, Message::Connected).await?;
        let start = self.writer.start(parameters);
        self.send(start, Message::Start).await?;
        loop {
            let due = self.began + FRAME * u32::try_from(self.frames).unwrap_or(u32::MAX);
            let now = Instant::now();
            let deaf = self.half_open_until.is_some_and(|until| now < until)
                || self.slow_until.is_some_and(|until| now < until);
            tokio::select! {
                biased;
                () = sleep_until(due) => {
                    if let Some(over) = self.tick().await? {
                        return Ok(over);
                    }
                }
                control = controls.recv() => {
                    let Some(control) = control else { return Ok(self.hang_up().await) };
                    if let Some(over) = self.handle_control(control).await? {
                        return Ok(over);
                    }
                }
                message = self.source.next(), if !deaf => match message {
                    Some(Ok(WsMessage::Text(text))) => self.receive(text.as_str()).await?,
                    Some(Ok(WsMessage::Binary(bytes))) => {
                        self.bad(&format!("{} binary bytes", bytes.len()), "a binary message".into());
                    }
                    Some(Ok(WsMessage::Close(frame))) => return Ok(self.closed(frame).await),
                    Some(Ok(_)) => {}
                    Some(Err(e)) => return Ok(Over::Dropped(e.to_string())),
                    None => return Ok(self.closed(None).await),
                },
            }
        }
    }

    /// Does what falls due every 20 ms.
    async fn tick(&mut self) -> Result<Option<Over>, Over> {
        let position = self.frames * 160;
        let frame = self.line.frame();
        self.frames += 1;
        let half_open = self.half_open_until.is_some_and(|until| Instant::now() < until);
        if self.frames > self.lose_until && !half_open {
            let text = self.writer.media(position / 8, &frame);
            self.held.push_back(text);
            self.report.frames_sent += 1;
        }
        if self.frames >= self.release_at_frame && self.frames > self.stall_until && !half_open {
            while let Some(text) = self.held.pop_front() {
                self.transmit(WsMessage::text(text)).await?;
            }
            if let Some((least, most)) = self.knobs.glue_frames {
                self.release_at_frame =
                    self.frames + u64::from(self.random.random_range(least.max(1)..=most.max(1)));
            }
        }
        self.echo_due_marks().await?;
        let audible = self.playout.heard().rchunks(160).next().is_some_and(is_audible);
        let heard = Heard { now_ms: position / 8, audible, speaking: self.line.is_speaking() };
        let audio = &self.playout.heard()[self.listened..];
        self.listened += audio.len();
        for act in self.party.tick(heard, audio) {
            match act {
                Act::Do(step) => {
                    if let Some(over) = self.perform(step).await? {
                        return Ok(Some(over));
                    }
                }
                Act::Failed { step, waiting_for } => {
                    self.script_failure =
                        Some(format!("step {step} waited in vain: {waiting_for}"));
                }
            }
        }
        Ok(None)
    }

    async fn perform(&mut self, step: Step) -> Result<Option<Over>, Over> {
        let frames_of = |ms: u64| ms / 20;
        match step {
            Step::Say(utterance) | Step::Begin(utterance) => self.line.say(utterance),
            Step::Hush => self.line.hush(),
            Step::Press(key) => {
                let text = self.writer.dtmf(key);
                self.send(text, Message::Dtmf(key)).await?;
            }
            Step::HangUp => return Ok(Some(self.hang_up().await)),
            Step::Drop => return Ok(Some(Over::Dropped("dropped by the script".into()))),
            Step::Stall { ms } => self.stall_until = self.frames + frames_of(ms),
            Step::Lose { ms } => self.lose_until = self.frames + frames_of(ms),
            Step::HalfOpen { ms } => {
                self.half_open_until = Some(Instant::now() + Duration::from_millis(ms));
            }
            Step::SlowReader { ms } => {
                self.slow_until = Some(Instant::now() + Duration::from_millis(ms));
            }
            Step::SecondSocket => self.second_task = Some(self.second.clone().open()),
            Step::SendRaw(text) => self.send(text.clone(), Message::Raw(text)).await?,
            Step::SendBinary(bytes) => {
                self.log(Side::Carrier, Message::Raw(format!("{} binary bytes", bytes.len())));
                self.transmit(WsMessage::binary(bytes)).await?;
            }
            Step::Wait { .. }
            | Step::WaitHeard { .. }
            | Step::WaitAnswer { .. }
            | Step::WaitQuiet { .. }
            | Step::WaitClose => {}
        }
        Ok(None)
    }

    async fn handle_control(&mut self, control: Control) -> Result<Option<Over>, Over> {
        match control {
            Control::HangUp => Ok(Some(self.hang_up().await)),
            Control::Press(key) => self.perform(Step::Press(key)).await,
            Control::Say(utterance) => self.perform(Step::Begin(utterance)).await,
            Control::Complete => {
                self.hang_up().await;
                Ok(Some(Over::CompletedByRest))
            }
            Control::Update(document) => {
                self.hang_up().await;
                Ok(Some(Over::Updated(document)))
            }
        }
    }

    async fn receive(&mut self, text: &str) -> Result<(), Over> {
        let now = self.now();
        let due = self.playout.due(now);
        self.echo(due).await?;
        match rules::check(text, &self.stream_sid) {
            Ok(FromGateway::Media(bytes)) => {
                self.report.frames_received += 1;
                self.report.bytes_received += bytes.len() as u64;
                self.log(Side::Gateway, Message::Media(bytes.len()));
                if self.playout.media(now, &bytes).is_err() {
                    self.file_once(31931, "media discarded: ten minutes are waiting".into());
                }
            }
            Ok(FromGateway::Mark(name)) => {
                self.log(Side::Gateway, Message::Mark(name.clone()));
                self.playout.mark(now, name);
                self.echo_due_marks().await?;
            }
            Ok(FromGateway::Clear) => {
                self.log(Side::Gateway, Message::Clear);
                let echoes = self.playout.clear(now);
                self.echo(echoes).await?;
            }
            Err(rule) => self.bad(text, rule),
        }
        Ok(())
    }

    async fn echo_due_marks(&mut self) -> Result<(), Over> {
        let due = self.playout.due(self.now());
        self.echo(due).await?;
        while self.late_echoes.front().is_some_and(|(at, _)| *at <= Instant::now()) {
            let (_, echo) = self.late_echoes.pop_front().expect("front was just looked at");
            self.send_mark(echo).await?;
        }
        Ok(())
    }

    async fn echo(&mut self, echoes: Vec<Echo>) -> Result<(), Over> {
        for echo in echoes {
            if self.knobs.mark_delay_ms > 0 {
                let at = Instant::now() + Duration::from_millis(self.knobs.mark_delay_ms);
                self.late_echoes.push_back((at, echo));
            } else {
                self.send_mark(echo).await?;
            }
        }
        Ok(())
    }

    async fn send_mark(&mut self, echo: Echo) -> Result<(), Over> {
        let text = self.writer.mark(&echo.name);
        self.send(text, Message::Mark(echo.name.clone())).await?;
        self.report.marks.push(echo);
        Ok(())
    }

    /// Says `stop`, closes, and gives the gateway a moment to answer.
    async fn hang_up(&mut self) -> Over {
        let stop = self.writer.stop();
        if let Err(over) = self.send(stop, Message::Stop).await {
            return over;
        }
        // The real carrier closes without a code, which the other end sees as 1005.
        let _ = timeout(SEND_MAX, self.sink.send(WsMessage::Close(None))).await;
        let answer = async {
            while let Some(Ok(message)) = self.source.next().await {
                if let WsMessage::Close(_) = message {
                    break;
                }
            }
        };
        let _ = timeout(SEND_MAX, answer).await;
        Over::CallerHungUp
    }

    async fn closed(&mut self, frame: Option<CloseFrame>) -> Over {
        // tungstenite answers the close when the socket is next driven.
        let _ = timeout(SEND_MAX, self.sink.close()).await;
        match frame {
            Some(frame) => {
                self.report.closed = Some((frame.code.into(), frame.reason.to_string()));
                Over::ClosedByGateway
            }
            None => {
                self.report.closed = Some((CloseCode::Status.into(), String::new()));
                Over::ClosedByGateway
            }
        }
    }

    fn bad(&mut self, text: &str, rule: String) {
        let text: String = text.chars().take(200).collect();
        self.file_once(rules::INVALID_MESSAGE, format!("{rule}: {text}"));
        self.log(Side::Gateway, Message::Bad { text, rule });
    }

    fn file_once(&mut self, code: u16, text: String) {
        if !self.debugger.iter().any(|entry| entry.code == code) {
            self.debugger.push(DebuggerEntry { code, text });
        }
    }

    async fn send(&mut self, text: String, message: Message) -> Result<(), Over> {
        self.log(Side::Carrier, message);
        self.transmit(WsMessage::text(text)).await
    }

    async fn transmit(&mut self, message: WsMessage) -> Result<(), Over> {
        match timeout(SEND_MAX, self.sink.send(message)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) if self.peer_closed().await => Err(Over::ClosedByGateway),
            Ok(Err(e)) => Err(Over::Dropped(e.to_string())),
            Err(_) => Err(Over::Dropped("the gateway reads nothing".into())),
        }
    }

    /// Looks whether a close frame is waiting to be read: then a failed write means a closed stream, not a broken one.
    async fn peer_closed(&mut self) -> bool {
        while let Ok(Some(Ok(message))) = timeout(FRAME, self.source.next()).await {
            if let WsMessage::Close(frame) = message {
                self.closed(frame).await;
                return true;
            }
        }
        false
    }

    fn log(&mut self, from: Side, message: Message) {
        let at_ms = self.began.elapsed().as_secs_f64() * 1e3;
        self.report.messages.push(Logged { at_ms, from, message });
    }

    fn now(&self) -> Sample {
        (self.began.elapsed().as_micros() / 125) as Sample
    }

    fn settle(&mut self) {
        let now = self.now();
        let _ = self.playout.due(now);
        self.report.unechoed_marks = self.playout.pending_marks();
        self.report.heard = self.playout.heard().to_vec();
        self.report.said = self.line.said().to_vec();
        self.report.spoken = self.line.spoken().to_vec();
        self.report.spans = self.playout.spans().to_vec();
        self.report.gaps = self.playout.gaps();
        self.report.bytes_cleared = self.playout.cleared();
    }
}
