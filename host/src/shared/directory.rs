//! The live calls of this process, and how anybody but the call itself reaches one.
//!
//! **One rule: a call is commanded, never touched.** An operator, a roll-out and the end of the
//! process leave a [`CallCommand`] in the call's inbox; the call's own task acts on it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::extract::ws::WebSocket;
use cordboard_tenant::Version;
use cordboard_wire::twilio::Start;
use prometheus_client::metrics::gauge::Gauge;
use tokio::sync::{mpsc, oneshot};

use super::expiring_map::{ExpiringMap, REMEMBER_FOR};
use super::lock;
use crate::net::socket::Duplex;

/// Commands waiting for one call; an operator types, so this is plenty.
const COMMANDS_WAITING: usize = 16;

/// What an operator, a roll-out or the end of the process may ask of a live call.
pub enum CallCommand {
    /// End it and tell the caller nothing.
    HangUp,
    /// The process is going away; end within the grace a call has for its last words.
    Drain,
    /// A newer stream took the call over by a webhook of its own.
    Superseded,
    /// A JSON text for the tenant.
    Command(String),
    /// Let this version take over at the next event boundary; say what came of it.
    Migrate {
        /// Who is to answer.
        to: Arc<Version>,
        /// Dropped unused when the call ends first.
        outcome: oneshot::Sender<Migration>,
    },
    /// The carrier came back with the next stream of the same call, after keys were sent.
    NewStream {
        /// The new socket, `start` already read.
        socket: Box<Duplex<WebSocket>>,
        /// What the new stream's `start` said.
        start: Start,
    },
}

/// What came of a call's migration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Migration {
    /// The new version answers.
    Moved {
        /// What the call waited for it.
        pause: Duration,
    },
    /// The old version still answers.
    Failed {
        /// Why.
        reason: String,
    },
    /// The call was over first.
    Ended,
}

/// A live call, as an operator sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallSummary {
    /// The carrier's id of the call.
    pub call_sid: String,
    /// The tenant's id.
    pub tenant: String,
    /// Which version answers it now.
    pub version: String,
    /// How long its stream has been open.
    pub age: Duration,
}

/// A call whose stream is open.
struct LiveCall {
    tenant: String,
    /// Which version answers it now.
    version: String,
    since: Instant,
    /// Which of several streams of one call this is.
    stream_sid: String,
    moving: Option<Moving>,
    commands: mpsc::Sender<CallCommand>,
}

/// The version a call is on its way to, and the request that sent it there.
struct Moving {
    to: String,
    request: u64,
}

impl LiveCall {
    /// The version that answers it, or will unless something comes between.
    fn heads_for(&self) -> &str {
        self.moving.as_ref().map_or(&self.version, |moving| &moving.to)
    }
}

/// The live calls, and which calls have just ended.
pub struct CallDirectory {
    live: Mutex<Live>,
    /// Calls that came to their end, for the webhook that asks what comes after the stream.
    ended: Mutex<ExpiringMap<String, ()>>,
    /// The length of `live`, for the metrics.
    count: Gauge,
}

#[derive(Default)]
struct Live {
    calls: HashMap<String, LiveCall>,
    /// The process is going away: a call that comes now is told at once.
    ending: bool,
}

impl CallDirectory {
    /// An empty directory that remembers at most so many ended calls.
    #[must_use]
    pub fn new(memories_max: usize, count: Gauge) -> Self {
        let ended = Mutex::new(ExpiringMap::new(REMEMBER_FOR, memories_max));
        Self { live: Mutex::default(), ended, count }
    }

    /// Adds a call whose stream has opened. An older stream of the same call is told to end.
    pub fn insert(
        &self,
        call_sid: &str,
        version: &Version,
        stream_sid: &str,
    ) -> mpsc::Receiver<CallCommand> {
        let (commands, inbox) = mpsc::channel(COMMANDS_WAITING);
        let call = LiveCall {
            tenant: version.tenant.to_string(),
            version: version.name.clone(),
            since: Instant::now(),
            stream_sid: stream_sid.to_owned(),
            moving: None,
            commands,
        };
        let mut live = lock(&self.live);
        if live.ending {
            // The inbox is empty and takes it.
            drop(call.commands.try_send(CallCommand::Drain));
        }
        if let Some(older) = live.calls.insert(call_sid.to_owned(), call) {
            // A full inbox means the older task is busy or gone; its socket ends it soon enough.
            drop(older.commands.try_send(CallCommand::Superseded));
        } else {
            self.count.inc();
        }
        inbox
    }

    /// Removes a call, unless a newer stream of it stands there by now.
    pub fn remove(&self, call_sid: &str, stream_sid: &str) {
        let calls = &mut lock(&self.live).calls;
        if calls.get(call_sid).is_some_and(|call| call.stream_sid == stream_sid) {
            calls.remove(call_sid);
            self.count.dec();
        }
    }

    /// Commands a live call. False when there is no such call or its inbox is full.
    #[must_use]
    pub fn command(&self, call_sid: &str, command: CallCommand) -> bool {
        let live = lock(&self.live);
        live.calls.get(call_sid).is_some_and(|call| call.commands.try_send(command).is_ok())
    }

    /// The live calls, in no order.
    #[must_use]
    pub fn calls(&self) -> Vec<CallSummary> {
        let live = lock(&self.live);
        let summary = |(call_sid, call): (&String, &LiveCall)| CallSummary {
            call_sid: call_sid.clone(),
            tenant: call.tenant.clone(),
            version: call.version.clone(),
            age: call.since.elapsed(),
        };
        live.calls.iter().map(summary).collect()
    }

    /// Whose call this is, if it is live.
    #[must_use]
    pub fn tenant_of(&self, call_sid: &str) -> Option<String> {
        lock(&self.live).calls.get(call_sid).map(|call| call.tenant.clone())
    }

    /// Whether this version answers every live call of its tenant.
    #[must_use]
    pub fn is_alone(&self, version: &Version) -> bool {
        let tenant = version.tenant.as_str();
        let live = lock(&self.live);
        live.calls.values().all(|call| call.tenant != tenant || call.version == version.name)
    }

    /// Notes that another version answers a call now.
    pub fn note_version(&self, call_sid: &str, version: &str) {
        if let Some(call) = lock(&self.live).calls.get_mut(call_sid) {
            version.clone_into(&mut call.version);
        }
    }

    /// How many streams are open.
    #[must_use]
    pub fn len(&self) -> usize {
        lock(&self.live).calls.len()
    }

    /// Whether no stream is open.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Tells every live call, and every one that comes later, that the process is going away.
    pub fn end_all(&self) {
        let mut live = lock(&self.live);
        live.ending = true;
        for call in live.calls.values() {
            drop(call.commands.try_send(CallCommand::Drain));
        }
    }

    /// Notes that a call came to its end, so that nothing more is to be said to its caller.
    pub fn note_ended(&self, call_sid: String) {
        // Without room the caller hears an apology too many.
        let _ = lock(&self.ended).insert(Instant::now(), call_sid, ());
    }

    /// Whether a call came to its end here; told once.
    #[must_use]
    pub fn has_ended(&self, call_sid: &str) -> bool {
        lock(&self.ended).take(Instant::now(), &call_sid.to_owned()).is_some()
    }

    /// Drops memories of ended calls that are too old to be asked for.
    pub fn forget_expired(&self, now: Instant) {
        lock(&self.ended).forget_expired(now);
    }

    /// The calls of a tenant that another version than `version_for` says is answering or about to,
    /// each with the version it is to have; only those of the version `from`, where one is named.
    #[must_use]
    pub(crate) fn to_be_moved(
        &self,
        tenant: &str,
        from: Option<&str>,
        version_for: impl Fn(&str) -> Option<Arc<Version>>,
    ) -> Vec<(String, Arc<Version>)> {
        // One that is on the way there would be there in a moment.
        let is_from = |call: &LiveCall| {
            from.is_none_or(|from| call.version == from || call.heads_for() == from)
        };
        lock(&self.live)
            .calls
            .iter()
            .filter(|(_, call)| call.tenant == tenant && is_from(call))
            // Where nobody answers new calls those that run go on as they are.
            .filter_map(|(call_sid, call)| {
                Some((call_sid, call.heads_for(), version_for(call_sid)?))
            })
            .filter(|(_, heads_for, to)| *heads_for != to.name)
            .map(|(call_sid, _, to)| (call_sid.clone(), to))
            .collect()
    }

    /// Commands a call to move. What is returned is closed when the call has ended.
    pub(crate) fn begin_move(
        &self,
        call_sid: &str,
        to: &Arc<Version>,
        request: u64,
    ) -> oneshot::Receiver<Migration> {
        let (outcome, answer) = oneshot::channel();
        if let Some(call) = lock(&self.live).calls.get_mut(call_sid) {
            call.moving = Some(Moving { to: to.name.clone(), request });
            // A full inbox drops the command and with it `outcome`: that call has ended, or nearly.
            drop(call.commands.try_send(CallCommand::Migrate { to: Arc::clone(to), outcome }));
        }
        answer
    }

    /// Notes that a call moves no longer, unless a later request has sent it elsewhere meanwhile.
    pub(crate) fn end_move(&self, call_sid: &str, request: u64) {
        if let Some(call) = lock(&self.live).calls.get_mut(call_sid)
            && call.moving.as_ref().is_some_and(|moving| moving.request == request)
        {
            call.moving = None;
        }
    }
}
