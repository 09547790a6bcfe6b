//! A whole call: the webhook, the document it answers, one stream or several, the end.

use std::collections::VecDeque;

use tokio::sync::mpsc::UnboundedReceiver;
use url::Url;

use super::http::{Addresses, Poster, timestamp_nanos, voice_form};
use super::ids::{sid, uuid};
use super::party::Party;
use super::report::{CallReport, DebuggerEntry, End, StreamReport};
use super::second::SecondSocket;
use super::stream::{Over, Stream};
use super::twiml::{self, Connect, Verb};
use super::upgrade;
use super::wire::{Ids, Writer};
use super::{CallPlan, Carrier, Control};

/// Where a call begins.
#[derive(Debug)]
pub(super) enum Entry {
    /// At a webhook.
    Webhook(String),
    /// At a WebSocket, with these custom parameters.
    Stream(String, Vec<(String, String)>),
}

/// Documents one call may run: a gateway that redirects in a circle is stopped here.
const DOCUMENTS_MAX: usize = 20;

/// Runs a call to its end.
pub(super) async fn run(
    carrier: &Carrier,
    entry: Entry,
    plan: CallPlan,
    call_sid: String,
    controls: UnboundedReceiver<Control>,
) -> CallReport {
    let report = CallReport { call_sid: call_sid.clone(), ..CallReport::default() };
    let address = match &entry {
        Entry::Webhook(url) | Entry::Stream(url, _) => url,
    };
    let Ok(actual) = Url::parse(address) else {
        let mut report = report;
        report.end = End::WebhookFailed;
        let text = format!("{address} is not a URL");
        report.debugger.push(DebuggerEntry { code: 11200, text });
        return report;
    };
    let mut call = Call {
        carrier,
        addresses: Addresses::new(carrier.config(), actual.clone()),
        party: Party::new(&plan),
        plan,
        controls,
        report,
    };
    match entry {
        Entry::Webhook(_) => call.begin_at_webhook(actual).await,
        Entry::Stream(_, parameters) => {
            let stream =
                twiml::Stream { url: actual.into(), parameters, ..twiml::Stream::default() };
            let connect = Connect { stream, ..Connect::default() };
            let flow = Box::pin(call.connect(connect)).await;
            if let Flow::End(end) = flow {
                call.report.end = end;
            } else {
                call.report.end = End::GatewayHungUp;
            }
        }
    }
    call.completed().await;
    call.report.menu = call.party.menu_report(call.report.streams.len());
    call.report
}

struct Call<'a> {
    carrier: &'a Carrier,
    addresses: Addresses,
    plan: CallPlan,
    party: Party,
    controls: UnboundedReceiver<Control>,
    report: CallReport,
}

/// Where a call goes after a verb.
enum Flow {
    Next,
    Document(String, Url),
    End(End),
}

impl Call<'_> {
    async fn begin_at_webhook(&mut self, webhook: Url) {
        let token = uuid();
        let form = self.form("ringing");
        let mut document = self.fetch("webhook", &webhook, "POST", &form, &token).await;
        if self.plan.knobs.webhook_retry {
            document = self.fetch("webhook", &webhook, "POST", &form, &token).await;
        }
        let mut base = webhook;
        let mut documents = 0;
        self.report.end = loop {
            documents += 1;
            let Some(text) = document.take() else { break End::WebhookFailed };
            if documents > DOCUMENTS_MAX {
                self.file(12100, "more documents than a call can need".into());
                break End::WebhookFailed;
            }
            match self.run_document(&text, &base).await {
                Flow::End(end) => break end,
                Flow::Next => break End::GatewayHungUp,
                Flow::Document(text, from) => {
                    base = from;
                    document = Some(text);
                }
            }
        };
    }

    async fn run_document(&mut self, text: &str, base: &Url) -> Flow {
        let mut verbs: VecDeque<Verb> = match twiml::parse(text, self.carrier.config().allow_ws) {
            Ok(verbs) => verbs.into(),
            Err(refused) => {
                self.file(refused.code, refused.text);
                return Flow::End(End::WebhookFailed);
            }
        };
        while let Some(verb) = verbs.pop_front() {
            let flow = match verb {
                Verb::Connect(connect) => {
                    let action = connect.action.clone();
                    let method = connect.method.clone();
                    let flow = Box::pin(self.connect(connect)).await;
                    match (flow, action) {
                        (Flow::Next, Some(action)) => {
                            self.follow("action", base, &action, &method).await
                        }
                        (flow, _) => flow,
                    }
                }
                Verb::Say(words) => self.noted(format!("say: {words}")),
                Verb::Play { url, digits } => {
                    let digits = digits.unwrap_or_default();
                    self.party.press(&digits);
                    self.noted(format!("play: {url}{digits}"))
                }
                Verb::Pause(seconds) => {
                    self.report.verbs.push(format!("pause: {seconds}"));
                    self.pause(seconds).await
                }
                Verb::Dial(whom) => {
                    self.report.verbs.push(format!("dial: {whom}"));
                    Flow::End(End::Dialled(whom))
                }
                Verb::Redirect { url, method } => {
                    self.follow("redirect", base, &url, &method).await
                }
                Verb::Hangup => {
                    self.report.verbs.push("hangup".into());
                    Flow::End(End::GatewayHungUp)
                }
                Verb::Reject(reason) => Flow::End(End::Rejected(reason)),
            };
            if !matches!(flow, Flow::Next) {
                return flow;
            }
        }
        Flow::Next
    }

    async fn connect(&mut self, connect: Connect) -> Flow {
        let wanted = &connect.stream;
        let mut public = match Url::parse(&wanted.url) {
            Ok(url) => self.addresses.public_socket(&url),
            Err(e) => {
                self.file(31923, format!("{}: {e}", wanted.url));
                return Flow::Next;
            }
        };
        if let Some(path) = &self.plan.knobs.stream_path {
            public.set_path(path);
        }
        let actual = self.addresses.actual_url(&public);
        if self.plan.knobs.stream_delay_ms > 0 {
            let delay = std::time::Duration::from_millis(self.plan.knobs.stream_delay_ms);
            tokio::time::sleep(delay).await;
        }
        let stream_sid = sid("MZ");
        let mut report = StreamReport {
            stream_sid: stream_sid.clone(),
            url: public.to_string(),
            ..StreamReport::default()
        };
        let signature = self.upgrade_signature(&public);
        let began = std::time::Instant::now();
        let socket = match upgrade::open(&public, &actual, signature.clone()).await {
            Ok(socket) => socket,
            Err(no) => {
                report.refused = no.status;
                self.report.streams.push(report);
                self.file(no.code, no.text.clone());
                self.stream_callback(wanted, &stream_sid, "stream-error", Some(&no.text)).await;
                return Flow::Next;
            }
        };
        report.upgrade_ms = began.elapsed().as_secs_f64() * 1e3;
        self.stream_callback(wanted, &stream_sid, "stream-started", None).await;
        let ids = Ids {
            account_sid: self.carrier.config().account_sid.clone(),
            call_sid: self.report.call_sid.clone(),
            stream_sid: stream_sid.clone(),
        };
        // Recorded calls begin between 102 and 171 ms.
        let first_stamp_ms = 100 + self.plan.seed.wrapping_mul(37) % 70;
        let writer = Writer::new(ids.clone(), first_stamp_ms);
        let second = SecondSocket {
            public: public.clone(),
            actual,
            signature,
            ids,
            parameters: wanted.parameters.clone(),
        };
        let mut stream = Stream::new(
            socket,
            writer,
            &mut self.party,
            &self.plan.knobs,
            self.plan.seed,
            report,
            second,
        );
        let over = stream.run(&wanted.parameters, &mut self.controls).await;
        let report = std::mem::take(&mut stream.report);
        let debugger = std::mem::take(&mut stream.debugger);
        self.report.script_failure =
            self.report.script_failure.take().or(stream.script_failure.take());
        drop(stream);
        self.report.debugger.extend(debugger);
        self.report.streams.push(report);
        match &over {
            Over::ClosedByGateway => self.file(31921, "stream closed by the server".into()),
            Over::Dropped(text) => self.file(31903, text.clone()),
            Over::CallerHungUp | Over::CompletedByRest | Over::Updated(_) => {}
        }
        self.stream_callback(wanted, &stream_sid, "stream-stopped", None).await;
        match over {
            Over::CallerHungUp => Flow::End(End::CallerHungUp),
            Over::CompletedByRest => Flow::End(End::CompletedByRest),
            Over::Dropped(_) => Flow::End(End::Dropped),
            Over::Updated(document) => {
                let base = self.addresses.public_url(&public);
                Flow::Document(document, base)
            }
            Over::ClosedByGateway => Flow::Next,
        }
    }

    fn upgrade_signature(&self, public: &Url) -> Option<String> {
        if self.plan.knobs.wrong_upgrade_signature {
            return Some(super::signature::sign("a wrong token", public.as_str(), &[]));
        }
        self.poster().signature(public, &[])
    }

    async fn pause(&mut self, seconds: u32) -> Flow {
        let length = std::time::Duration::from_secs(seconds.into());
        let over = tokio::time::sleep(length);
        tokio::pin!(over);
        loop {
            tokio::select! {
                () = &mut over => return Flow::Next,
                control = self.controls.recv() => match control {
                    Some(Control::HangUp) | None => return Flow::End(End::CallerHungUp),
                    Some(Control::Complete) => return Flow::End(End::CompletedByRest),
                    Some(Control::Update(document)) => {
                        return Flow::Document(document, self.addresses.public_url(&self.addresses_base()));
                    }
                    Some(Control::Press(_) | Control::Say(_)) => {}
                },
            }
        }
    }

    fn addresses_base(&self) -> Url {
        self.report
            .requests
            .first()
            .and_then(|request| Url::parse(&request.url).ok())
            .expect("a document only runs after its webhook was asked")
    }

    async fn follow(&mut self, purpose: &str, base: &Url, url: &str, method: &str) -> Flow {
        let Ok(url) = self.addresses.public_url(base).join(url) else {
            self.file(11200, format!("{url} is not a URL"));
            return Flow::End(End::WebhookFailed);
        };
        let form = self.form("in-progress");
        match self.fetch(purpose, &url, method, &form, &uuid()).await {
            Some(text) => Flow::Document(text, url),
            None => Flow::End(End::WebhookFailed),
        }
    }

    /// Asks for a document; a status other than 2xx or another content type than XML is 11200 or 12300.
    async fn fetch(
        &mut self,
        purpose: &str,
        url: &Url,
        method: &str,
        form: &[(String, String)],
        token: &str,
    ) -> Option<String> {
        let answer = self.poster().post(purpose, url, method, form, token).await;
        let good = answer.status.is_some_and(|status| (200..300).contains(&status));
        let xml = answer
            .content_type
            .as_deref()
            .is_some_and(|t| t.starts_with("text/xml") || t.starts_with("application/xml"));
        let body = answer.body.clone();
        let text = format!("{purpose} {} answered {:?}", answer.url, answer.status);
        let content_type = answer.content_type.clone();
        self.report.requests.push(answer);
        if !good {
            self.file(11200, text);
            return None;
        }
        if !xml {
            self.file(12300, format!("content type {content_type:?} is not XML"));
            return None;
        }
        Some(body)
    }

    async fn stream_callback(
        &mut self,
        stream: &twiml::Stream,
        stream_sid: &str,
        event: &str,
        error: Option<&str>,
    ) {
        let Some(callback) = &stream.status_callback else { return };
        let Ok(url) = Url::parse(callback) else {
            self.file(11200, format!("{callback} is not a URL"));
            return;
        };
        let name = stream.name.as_deref().unwrap_or(stream_sid);
        let account = self.carrier.config().account_sid.clone();
        let call_sid = self.report.call_sid.clone();
        let timestamp = timestamp_nanos();
        let mut form: Vec<(String, String)> = [
            ("StreamName", name),
            ("StreamEvent", event),
            ("CallSid", &call_sid),
            ("Timestamp", &timestamp),
            ("AccountSid", &account),
            ("StreamSid", stream_sid),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into();
        if let Some(error) = error {
            form.push(("StreamError".into(), error.into()));
        }
        let answer = self.poster().post(event, &url, "POST", &form, &uuid()).await;
        self.report.requests.push(answer);
    }

    async fn completed(&mut self) {
        let Some(url) = self.plan.status_callback.as_deref().and_then(|u| Url::parse(u).ok())
        else {
            return;
        };
        let mut form = self.form("completed");
        form.push(("CallbackSource".into(), "call-progress-events".into()));
        form.push(("SequenceNumber".into(), "0".into()));
        let said: usize = self.report.streams.iter().map(|s| s.said.len()).sum();
        form.push(("CallDuration".into(), (said / 8000).to_string()));
        let answer = self.poster().post("completed", &url, "POST", &form, &uuid()).await;
        self.report.requests.push(answer);
    }

    fn form(&self, status: &str) -> Vec<(String, String)> {
        voice_form(self.carrier.config(), &self.plan, &self.report.call_sid, status)
    }

    fn poster(&self) -> Poster<'_> {
        Poster {
            client: &self.carrier.shared.http,
            config: self.carrier.config(),
            addresses: &self.addresses,
            knobs: &self.plan.knobs,
        }
    }

    fn noted(&mut self, verb: String) -> Flow {
        self.report.verbs.push(verb);
        Flow::Next
    }

    fn file(&mut self, code: u16, text: String) {
        self.report.debugger.push(DebuggerEntry { code, text });
    }
}
