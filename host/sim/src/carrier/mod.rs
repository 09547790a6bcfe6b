//! Twilio, played from its documentation: webhook, TwiML, the stream with its playout clock, callbacks, REST.
//!
//! [`Carrier::start`] places a call to a gateway's webhook and [`Carrier::start_stream`] goes straight to a WebSocket. A
//! [`CallerScript`] says what the caller does, or a [`menu::Menu`] is at the far end; a [`CallReport`] says what both sides did. The stream runs in real time, as the
//! carrier's does: one frame every 20 ms on absolute deadlines.
//!
//! Tests run on loopback behind a pretended public origin: the carrier signs and names the **public** URLs and connects to the
//! **actual** address (see [`CarrierConfig::public_origin`]).

mod call;
mod http;
mod ids;
mod line;
pub mod load;
pub mod menu;
mod party;
pub mod playout;
mod report;
mod rest;
pub mod rules;
mod script;
mod second;
pub mod signature;
mod stream;
pub mod twiml;
mod upgrade;
pub mod wire;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::mpsc;
use tokio::task::JoinHandle;

pub use line::Spoken;
pub use report::{
    BargeIn, CallReport, DebuggerEntry, End, Logged, Message, Request, Side, StreamReport, Turn,
};
pub use rest::{RestFault, RestRequest, RestServer};
pub use script::{Act, CallerScript, Director, Heard, Step, Utterance};

/// The account whose calls this carrier places.
#[derive(Debug, Clone)]
pub struct CarrierConfig {
    /// `AC` and 32 hex digits.
    pub account_sid: String,
    /// What requests are signed with.
    pub auth_token: String,
    /// The gateway's public origin, such as `https://gw.example.com`. When set, URLs of the webhook's own origin are signed and named as
    /// this origin, and URLs of this origin (also as `wss://`) are reached at the webhook's actual address, without TLS.
    pub public_origin: Option<String>,
    /// Accepts `ws://` stream URLs, which the real carrier never does. For a gateway without TLS and without a public origin.
    pub allow_ws: bool,
}

impl Default for CarrierConfig {
    fn default() -> Self {
        Self {
            account_sid: "AC0000000000000000000000000000000a".into(),
            auth_token: "0123456789abcdef0123456789abcdef".into(),
            public_origin: None,
            allow_ws: false,
        }
    }
}

/// One call to place.
#[derive(Debug, Clone)]
pub struct CallPlan {
    /// The caller's number.
    pub from: String,
    /// The called number.
    pub to: String,
    /// What the caller does.
    pub script: CallerScript,
    /// A telephone menu at the far end, in place of a caller with a script.
    pub menu: Option<menu::Menu>,
    /// What is wrong with the line.
    pub knobs: Knobs,
    /// More parameters for the webhook's form, or other values for the usual ones.
    pub form: Vec<(String, String)>,
    /// Where the call's `completed` status goes, if anywhere.
    pub status_callback: Option<String>,
    /// Where noise and ids come from.
    pub seed: u64,
}

impl CallPlan {
    /// Plans a call with a script; everything else is ordinary.
    pub fn new(script: CallerScript) -> Self {
        Self {
            from: "+15550100001".into(),
            to: "+15550100002".into(),
            script,
            menu: None,
            knobs: Knobs::default(),
            form: Vec::new(),
            status_callback: None,
            seed: 1,
        }
    }

    /// Plans a call that the gateway has placed by the carrier's REST interface and that a menu has answered.
    pub fn to_menu(menu: menu::Menu) -> Self {
        let form = vec![("Direction".into(), "outbound-api".into())];
        Self { menu: Some(menu), form, ..Self::new(CallerScript::new()) }
    }
}

/// What is wrong with the line or the request.
#[derive(Debug, Clone, Default)]
pub struct Knobs {
    /// Frames are delivered in bursts of between these numbers, instead of one by one.
    pub glue_frames: Option<(u32, u32)>,
    /// Mark echoes come back later than due by this, in ms.
    pub mark_delay_ms: u64,
    /// Peak of background noise in PCM16 steps; 0 is comfort noise.
    pub noise_amplitude: i16,
    /// Signs everything with a wrong token.
    pub wrong_signature: bool,
    /// Leaves the signature header out.
    pub no_signature: bool,
    /// Posts the webhook a second time with the same idempotency token, as a retry.
    pub webhook_retry: bool,
    /// Reads the TwiML but opens the WebSocket only after so many ms.
    pub stream_delay_ms: u64,
    /// Signs the WebSocket upgrade with a wrong token, but not the webhook.
    pub wrong_upgrade_signature: bool,
    /// Opens this WebSocket path instead of the one in the TwiML.
    pub stream_path: Option<String>,
}

/// The carrier: places calls, and knows those that are up.
#[derive(Debug, Clone)]
pub struct Carrier {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    config: CarrierConfig,
    http: reqwest::Client,
    // The REST server and a call's own task both look calls up; a map of senders is all they share.
    live: Mutex<HashMap<String, mpsc::UnboundedSender<Control>>>,
}

/// What somebody outside the script does to a call.
#[derive(Debug)]
pub(crate) enum Control {
    HangUp,
    Press(char),
    Say(Utterance),
    Complete,
    Update(String),
}

impl Carrier {
    /// Opens the account.
    pub fn new(config: CarrierConfig) -> Self {
        let http = crate::http::client()
            .timeout(std::time::Duration::from_secs(15))
            .connect_timeout(std::time::Duration::from_secs(5))
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .expect("a client without special files builds");
        Self { shared: Arc::new(Shared { config, http, live: Mutex::default() }) }
    }

    /// Returns the account.
    pub fn config(&self) -> &CarrierConfig {
        &self.shared.config
    }

    /// Places a call: posts to `webhook` (its actual address) and runs what it answers.
    pub fn start(&self, webhook: &str, plan: CallPlan) -> CallHandle {
        self.begin(call::Entry::Webhook(webhook.to_owned()), plan)
    }

    /// Places a call and waits for its end.
    pub async fn call(&self, webhook: &str, plan: CallPlan) -> CallReport {
        self.start(webhook, plan).finished().await
    }

    /// Opens a WebSocket at once, as after `<Connect><Stream url=…>` with these parameters, without a webhook.
    pub fn start_stream(
        &self,
        url: &str,
        parameters: Vec<(String, String)>,
        plan: CallPlan,
    ) -> CallHandle {
        self.begin(call::Entry::Stream(url.to_owned(), parameters), plan)
    }

    fn begin(&self, entry: call::Entry, plan: CallPlan) -> CallHandle {
        let call_sid = ids::sid("CA");
        let (control, controls) = mpsc::unbounded_channel();
        self.live().insert(call_sid.clone(), control.clone());
        let carrier = self.clone();
        let sid = call_sid.clone();
        let task = tokio::spawn(async move {
            let report = Box::pin(call::run(&carrier, entry, plan, sid.clone(), controls)).await;
            carrier.live().remove(&sid);
            report
        });
        CallHandle { call_sid, control, task }
    }

    fn live(&self) -> std::sync::MutexGuard<'_, HashMap<String, mpsc::UnboundedSender<Control>>> {
        self.shared.live.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn control(&self, call_sid: &str, control: Control) -> bool {
        self.live().get(call_sid).is_some_and(|sender| sender.send(control).is_ok())
    }
}

/// A call that is up.
#[derive(Debug)]
pub struct CallHandle {
    call_sid: String,
    control: mpsc::UnboundedSender<Control>,
    task: JoinHandle<CallReport>,
}

impl CallHandle {
    /// Returns the call's id.
    pub fn call_sid(&self) -> &str {
        &self.call_sid
    }

    /// Hangs up, whatever the script is doing.
    pub fn hang_up(&self) {
        self.send(Control::HangUp);
    }

    /// Presses a key beside the script.
    pub fn press(&self, key: char) {
        self.send(Control::Press(key));
    }

    /// Says something beside the script.
    pub fn say(&self, utterance: impl Into<Utterance>) {
        self.send(Control::Say(utterance.into()));
    }

    /// Waits for the end of the call.
    pub async fn finished(self) -> CallReport {
        self.task.await.expect("the call's task neither panics nor is aborted")
    }

    fn send(&self, control: Control) {
        // A call that is over has nobody to listen; that is no error.
        let _ = self.control.send(control);
    }
}
