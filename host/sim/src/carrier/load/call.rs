//! One call of a load.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_tungstenite::tungstenite::Message;
use url::Url;

use super::figures::Figures;
use super::probe::{self, Digest, Finder};
use super::{LoadPlan, Signal, Target};
use crate::audio::FRAME_BYTES;
use crate::carrier::http::{Addresses, Poster, voice_form};
use crate::carrier::ids::{sid, uuid};
use crate::carrier::line::Line;
use crate::carrier::playout::Playout;
use crate::carrier::rules::{self, FromGateway};
use crate::carrier::script::CallerScript;
use crate::carrier::twiml::{self, Verb};
use crate::carrier::upgrade::{self, Socket};
use crate::carrier::wire::{Ids, Writer};
use crate::carrier::{CallPlan, Carrier, Knobs};
use crate::speech;

const FRAME: Duration = Duration::from_millis(20);

/// Silence after the signal, so that what is under way can come back: at least this, and as much as
/// [`TAIL_FRAMES_MAX`] while traced frames are still missing.
const TAIL_FRAMES: u64 = 75;

/// A frame that has not come back ten seconds after the last one was sent is lost.
const TAIL_FRAMES_MAX: u64 = 500;

/// A receiver that knows its audio arrives in real time holds so much before it plays: 60 ms.
const JITTER_BUFFER_SAMPLES: u64 = 480;

/// How long the gateway may take over one message before it counts as stuck.
const SEND_MAX: Duration = Duration::from_secs(5);

/// Runs one call to its end.
pub(super) async fn run(
    plan: &LoadPlan,
    carrier: &Carrier,
    load_began: Instant,
    n: u32,
) -> Figures {
    let mut figures = Figures { n: n as usize, ..Figures::default() };
    let call_sid = sid("CA");
    let began = Instant::now();
    let (mut socket, parameters) = match open(plan, carrier, &call_sid).await {
        Ok(opened) => opened,
        Err(error) => {
            figures.errors.push(error);
            return figures;
        }
    };
    figures.setup_micros = Some(micros(began.elapsed()));
    let ids =
        Ids { account_sid: plan.carrier.account_sid.clone(), call_sid, stream_sid: sid("MZ") };
    match Call::new(plan, ids, load_began, n).play(&mut socket, &parameters, &mut figures).await {
        Ok(()) => figures.completed = true,
        Err(error) => figures.errors.push(error),
    }
    // The other side may be gone already.
    let _ = timeout(SEND_MAX, socket.close(None)).await;
    figures
}

/// Returns the open socket and the stream's parameters.
async fn open(
    plan: &LoadPlan,
    carrier: &Carrier,
    call_sid: &str,
) -> Result<(Socket, Vec<(String, String)>), String> {
    let knobs = Knobs::default();
    let address = match &plan.target {
        Target::Webhook(url) | Target::Stream(url) => url,
    };
    let actual = Url::parse(address).map_err(|e| format!("{address}: {e}"))?;
    let addresses = Addresses::new(&plan.carrier, actual.clone());
    let poster = Poster {
        client: &carrier.shared.http,
        config: &plan.carrier,
        addresses: &addresses,
        knobs: &knobs,
    };
    let stream = match &plan.target {
        Target::Stream(url) => twiml::Stream { url: url.clone(), ..twiml::Stream::default() },
        Target::Webhook(_) => {
            let mut call = CallPlan::new(CallerScript::new());
            call.from.clone_from(&plan.from);
            call.to.clone_from(&plan.to);
            let form = voice_form(&plan.carrier, &call, call_sid, "ringing");
            let answer = poster.post("webhook", &actual, "POST", &form, &uuid()).await;
            if answer.status != Some(200) {
                return Err(format!("webhook answered {:?}", answer.status));
            }
            let verbs = twiml::parse(&answer.body, plan.carrier.allow_ws)
                .map_err(|refused| refused.to_string())?;
            let connect = verbs.into_iter().find_map(|verb| match verb {
                Verb::Connect(connect) => Some(connect.stream),
                _ => None,
            });
            connect.ok_or("the TwiML has no <Connect>")?
        }
    };
    let url = Url::parse(&stream.url).map_err(|e| format!("{}: {e}", stream.url))?;
    let public = addresses.public_socket(&url);
    let signature = poster.signature(&public, &[]);
    let socket = upgrade::open(&public, &addresses.actual_url(&public), signature)
        .await
        .map_err(|no| format!("{} {}", no.code, no.text))?;
    Ok((socket, stream.parameters))
}

struct Call<'a> {
    plan: &'a LoadPlan,
    ids: Ids,
    writer: Writer,
    line: Line,
    playout: Playout,
    finder: Finder,
    sent_at: Vec<Instant>,
    next_index: u32,
    click_sent: Option<Instant>,
    heard: Digest,
    n: u32,
    load_began: Instant,
    began: Instant,
}

impl<'a> Call<'a> {
    fn new(plan: &'a LoadPlan, ids: Ids, load_began: Instant, n: u32) -> Self {
        let jitter_buffer = match plan.signal {
            Signal::Speech => 0,
            Signal::Trace | Signal::Click | Signal::Noise => JITTER_BUFFER_SAMPLES,
        };
        let frames = (plan.length.as_millis() / 20) as usize;
        Self {
            plan,
            writer: Writer::new(ids.clone(), 120),
            ids,
            line: Line::new(u64::from(n), 0, false),
            playout: Playout::counting(jitter_buffer),
            finder: Finder::default(),
            sent_at: Vec::new(),
            next_index: 0,
            click_sent: None,
            heard: Digest::of_first(frames * FRAME_BYTES),
            n,
            load_began,
            began: Instant::now(),
        }
    }

    async fn play(
        &mut self,
        socket: &mut Socket,
        parameters: &[(String, String)],
        figures: &mut Figures,
    ) -> Result<(), String> {
        send(socket, self.writer.connected()).await?;
        let start = self.writer.start(parameters);
        send(socket, start).await?;
        self.began = Instant::now();
        let first = self.began + self.plan.media_after;
        let frames = (self.plan.length.as_millis() / 20) as u64;
        let mut n = 0;
        loop {
            let missing = figures.traced > u64::from(self.next_index);
            let tail = if missing { TAIL_FRAMES_MAX } else { TAIL_FRAMES };
            if n >= frames + tail {
                break;
            }
            let due = first + FRAME * u32::try_from(n).unwrap_or(u32::MAX);
            tokio::select! {
                biased;
                () = sleep_until(due) => {
                    self.frame(socket, n, n < frames, due, figures).await?;
                    n += 1;
                }
                message = socket.next() => match message {
                    Some(Ok(Message::Text(text))) => self.take(socket, text.as_str(), figures).await?,
                    Some(Ok(Message::Binary(_))) => figures.errors.push("31951 binary".into()),
                    Some(Ok(Message::Close(frame))) => {
                        let code = frame.map_or(1005, |frame| frame.code.into());
                        return Err(format!("closed by the gateway: {code}"));
                    }
                    Some(Ok(_)) => {}
                    Some(Err(e)) => return Err(format!("socket: {e}")),
                    None => return Err("socket: ended".into()),
                },
            }
        }
        let stop = self.writer.stop();
        send(socket, stop).await?;
        self.settle(figures);
        Ok(())
    }

    async fn frame(
        &mut self,
        socket: &mut Socket,
        n: u64,
        signal: bool,
        due: Instant,
        figures: &mut Figures,
    ) -> Result<(), String> {
        let mut frame = [0xFF; FRAME_BYTES];
        match self.plan.signal {
            Signal::Trace if signal => {
                probe::write(n as u32, &mut frame);
                figures.traced += 1;
            }
            Signal::Click if signal && n % 50 == 25 => frame = probe::click(),
            Signal::Noise if signal => probe::noise(self.n, n as u32, &mut frame),
            Signal::Trace | Signal::Click | Signal::Noise => {}
            Signal::Speech => {
                if signal && n % 400 == 150 {
                    let clip = speech::CALLER[(n / 400) as usize % speech::CALLER.len()];
                    self.line.say(clip.into());
                }
                frame = self.line.frame();
            }
        }
        let text = self.writer.media(n * 20, &frame);
        let now = Instant::now();
        figures.lateness.push(self.second(), micros(now.saturating_duration_since(due)));
        match self.plan.signal {
            Signal::Trace if signal => self.sent_at.push(now),
            Signal::Click if signal && n % 50 == 25 => self.click_sent = Some(now),
            _ => {}
        }
        figures.frames_sent += 1;
        send(socket, text).await?;
        for echo in self.playout.due(self.now()) {
            let text = self.writer.mark(&echo.name);
            send(socket, text).await?;
        }
        Ok(())
    }

    async fn take(
        &mut self,
        socket: &mut Socket,
        text: &str,
        figures: &mut Figures,
    ) -> Result<(), String> {
        let now = self.now();
        match rules::check(text, &self.ids.stream_sid) {
            Ok(FromGateway::Media(bytes)) => {
                figures.messages_received += 1;
                figures.bytes_received += bytes.len() as u64;
                self.heard.push(&bytes);
                self.compare(&bytes, figures);
                if self.playout.media(now, &bytes).is_err() {
                    figures.errors.push("31931 media discarded".into());
                }
            }
            Ok(FromGateway::Mark(name)) => {
                self.playout.mark(now, name);
            }
            Ok(FromGateway::Clear) => {
                for echo in self.playout.clear(now) {
                    let text = self.writer.mark(&echo.name);
                    send(socket, text).await?;
                }
            }
            Err(rule) => figures.errors.push(format!("31951 {rule}")),
        }
        Ok(())
    }

    fn compare(&mut self, bytes: &[u8], figures: &mut Figures) {
        let (now, second) = (Instant::now(), self.second());
        match self.plan.signal {
            Signal::Trace => {
                let (sent_at, next_index) = (&self.sent_at, &mut self.next_index);
                self.finder.push(bytes, |frame| {
                    figures.changed += u64::from(!frame.exact);
                    if frame.index < *next_index {
                        figures.repeated += 1;
                        return;
                    }
                    figures.lose(u64::from(frame.index - *next_index));
                    *next_index = frame.index + 1;
                    if let Some(sent) = sent_at.get(frame.index as usize) {
                        figures.latency.push(second, micros(now - *sent));
                    }
                });
            }
            Signal::Click => {
                if let Some(onset) = probe::onset(bytes)
                    && let Some(sent) = self.click_sent.take()
                {
                    // The click sits `onset` samples into this piece: it is heard so much after the piece begins.
                    let inside = Duration::from_micros(onset as u64 * 125);
                    figures.latency.push(second, micros(now - sent + inside));
                }
            }
            Signal::Noise | Signal::Speech => {}
        }
    }

    fn settle(&mut self, figures: &mut Figures) {
        // Marks still waiting are of no further use.
        let _ = self.playout.due(self.now());
        figures.lose(figures.traced.saturating_sub(u64::from(self.next_index)));
        figures.heard = self.heard.whole();
        let gaps = self.playout.gaps();
        figures.gaps = gaps.len() as u64;
        figures.gap_samples = gaps.iter().map(|gap| gap.to - gap.from).sum();
        figures.gap_samples_max = gaps.iter().map(|gap| gap.to - gap.from).max().unwrap_or(0);
    }

    /// Of the whole load.
    fn second(&self) -> u64 {
        self.load_began.elapsed().as_secs()
    }

    fn now(&self) -> u64 {
        (self.began.elapsed().as_micros() / 125) as u64
    }
}

async fn send(socket: &mut Socket, text: String) -> Result<(), String> {
    match timeout(SEND_MAX, socket.send(Message::text(text))).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(e)) => Err(format!("socket: {e}")),
        Err(_) => Err("the gateway reads nothing".into()),
    }
}

fn micros(time: Duration) -> u32 {
    u32::try_from(time.as_micros()).unwrap_or(u32::MAX)
}
