//! A stream of the carrier, from its upgrade to the call it begins or carries on.
//!
//! **One rule: a stream is a call's only if its token, its call and its format say so.** Any other is
//! turned away, and counted under the reason.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::ws::{Message, WebSocket, close_code};
use cordboard_wire::twilio::{self, FromCarrier, Start};
use tokio::time::timeout;
use tracing::{Instrument as _, info, info_span, warn};

use super::call_task::{CLOSE_WITHIN, CallTask, CarrierSocket, farewell};
use crate::gateway::Gateway;
use crate::logging::OUTSIDE;
use crate::net::socket::{Duplex, Lost};
use crate::shared::admissions::{Admission, PendingCall};
use crate::shared::directory::CallCommand;

/// From the upgrade to the carrier's `start`; 90-150 ms were seen.
const START_WITHIN: Duration = Duration::from_secs(10);

/// Takes a stream whose token was right, and runs the call it begins or carries on.
pub(crate) async fn run(gateway: Arc<Gateway>, socket: WebSocket, admission: Admission) {
    let mut carrier = Duplex::new(socket);
    let start = match timeout(START_WITHIN, wait_for_start(&mut carrier)).await {
        Ok(Ok(start)) => start,
        Ok(Err(reason)) => return turn_away(&gateway, carrier, "no-start", &reason).await,
        Err(_) => {
            return turn_away(&gateway, carrier, "no-start", "no start message in time").await;
        }
    };
    if start.format.encoding == twilio::Encoding::Unknown {
        let reason = "the carrier offers an audio format this gateway does not know";
        return turn_away(&gateway, carrier, "unknown-format", reason).await;
    }
    let expected = match &admission {
        Admission::Call(pending) => &pending.call_sid,
        Admission::Return { call_sid } => call_sid,
    };
    if start.call_sid != *expected {
        let reason = "the stream belongs to another call than its token";
        return turn_away(&gateway, carrier, "foreign-stream", reason).await;
    }
    match admission {
        Admission::Call(pending) => answer(gateway, carrier, *pending, *start).await,
        Admission::Return { call_sid } => {
            let command = CallCommand::NewStream { socket: Box::new(carrier), start: *start };
            if !gateway.calls.command(&call_sid, command) {
                gateway.metrics.refuse("call-gone");
                info!(call = call_sid, "a stream came back to a call that is over");
            }
        }
    }
}

async fn answer(
    gateway: Arc<Gateway>,
    carrier: CarrierSocket,
    mut pending: PendingCall,
    start: Start,
) {
    if let Some(deployment) = gateway.tenants.deployment(pending.permit.version().tenant.as_str()) {
        pending.permit.take_again(deployment, &start.call_sid);
    }
    let span = info_span!(
        "call",
        call = pending.call_sid,
        tenant = %pending.permit.version().tenant,
        version = pending.permit.version().name,
    );
    let commands =
        gateway.calls.insert(&start.call_sid, pending.permit.version(), &start.stream_sid);
    let (call_sid, stream_sid) = (start.call_sid.clone(), start.stream_sid.clone());
    // Leaves the list even if the task is dropped or panics.
    let _entry = Entry { gateway: &gateway, call_sid: &call_sid, stream_sid: &stream_sid };
    match CallTask::new(Arc::clone(&gateway), commands, pending, start) {
        // Boxed: a call's state is paid once per call, not once per layer of futures.
        Ok(task) => Box::pin(task.live(carrier)).instrument(span).await,
        Err(unsupported) => {
            turn_away(&gateway, carrier, "unknown-format", &unsupported.to_string()).await;
        }
    }
}

async fn wait_for_start(carrier: &mut CarrierSocket) -> Result<Box<Start>, String> {
    loop {
        let message = carrier.next().await.map_err(|lost: Lost<axum::Error>| lost.to_string())?;
        let Message::Text(text) = message else { continue };
        match FromCarrier::parse(&text) {
            Ok(FromCarrier::Start(start)) => return Ok(start),
            Ok(_) => {}
            Err(malformed) => return Err(malformed.to_string()),
        }
    }
}

async fn turn_away(gateway: &Gateway, carrier: CarrierSocket, kind: &'static str, reason: &str) {
    gateway.metrics.refuse(kind);
    warn!(target: OUTSIDE, reason, "a stream was turned away");
    carrier
        .close(farewell(close_code::POLICY, "this stream can not be a call here"), CLOSE_WITHIN)
        .await;
}

struct Entry<'a> {
    gateway: &'a Gateway,
    call_sid: &'a str,
    stream_sid: &'a str,
}

impl Drop for Entry<'_> {
    fn drop(&mut self) {
        self.gateway.calls.remove(self.call_sid, self.stream_sid);
    }
}
