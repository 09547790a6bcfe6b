//! A call nobody is on, before a version gets a real one.
//!
//! **One rule: a rehearsal finds what every call would find.** It starts an instance, tells it a call's
//! beginning, half a second of silence, a key and an end, and hands the call over once in the middle. What the
//! tenant answers is not carried out and not judged; that it answers, in budget, is.

use std::time::{Duration, Instant};

use cordboard_call::contract::{
    AudioFormat, CallInfo, Dialect, Direction, Encoding, Ended, Event, Flushed, ModelInfo,
};

use crate::fault::Fault;
use crate::guest_log::TracingLog;
use crate::instance::{Instance, InstanceConfig};
use crate::tenant_table::Version;

/// What a rehearsal showed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rehearsed {
    /// Events that were answered.
    pub events: usize,
    /// Size of the state that was handed over, in bytes; none for a tenant without `handover`.
    pub state_bytes: Option<usize>,
    /// Wall time of it all.
    pub took: Duration,
}

/// What a version can not do.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("the component fails in its rehearsal, {at}: {fault}")]
pub struct Flaw {
    /// The part of the call.
    pub at: &'static str,
    /// How it fails.
    pub fault: Fault,
}

/// Plays a short call with a version.
///
/// # Errors
///
/// The part of the call that the version does not survive.
pub async fn rehearse(version: &Version) -> Result<Rehearsed, Flaw> {
    let began = Instant::now();
    let at = |at| move |fault| Flaw { at, fault };
    let start = || Instance::start(&version.component, config(version));
    let mut instance = start().await.map_err(at("when an instance starts"))?;
    let (before, after) = (first_half(info(version)), second_half());
    let events = before.len() + after.len();
    for (now, name, event) in before {
        instance.handle(now, event).await.map_err(at(name))?;
    }
    let state = instance.save(HALF_TIME).await.map_err(at("in `save`"))?;
    let state_bytes = state.as_ref().map(Vec::len);
    if let Some(state) = state {
        instance = start().await.map_err(at("when an instance starts"))?;
        let loaded =
            instance.load(HALF_TIME, info(version), &state).await.map_err(at("in `load`"))?;
        loaded.map_err(|refusal| {
            let fault =
                Fault::Host(format!("it refuses the state that it saved itself: {refusal}"));
            Flaw { at: "in `load`", fault }
        })?;
    }
    for (now, name, event) in after {
        instance.handle(now, event).await.map_err(at(name))?;
    }
    Ok(Rehearsed { events, state_bytes, took: began.elapsed() })
}

/// Milliseconds from the call's beginning to its hand-over.
const HALF_TIME: u64 = 300;
/// Mu-law for no sound at all.
const SILENCE: u8 = 0xff;
/// Of one carrier frame, 20 ms at 8 kHz.
const FRAME_BYTES: usize = 160;

fn first_half(info: CallInfo) -> Vec<(u64, &'static str, Event)> {
    let model = ModelInfo {
        session: "sess_rehearsal".to_owned(),
        model: "rehearsal".to_owned(),
        dialect: Dialect::Ga,
    };
    let mut events = vec![
        (0, "at `started`", Event::Started(info)),
        (10, "at `model-ready`", Event::ModelReady(model)),
    ];
    events.extend((20..HALF_TIME).step_by(20).map(silence));
    events
}

fn second_half() -> Vec<(u64, &'static str, Event)> {
    let mut events: Vec<_> = (HALF_TIME..500).step_by(20).map(silence).collect();
    events.push((500, "at `caller-key`", Event::CallerKey("1".to_owned())));
    events.push((510, "at `flushed`", Event::Flushed(Flushed::default())));
    events.push((520, "at `ended`", Event::Ended(Ended::CallerHungUp)));
    events
}

fn silence(now: u64) -> (u64, &'static str, Event) {
    (now, "at `caller-audio`", Event::CallerAudio(vec![SILENCE; FRAME_BYTES]))
}

fn info(version: &Version) -> CallInfo {
    CallInfo {
        call_id: "CA00000000000000000000000000000000".to_owned(),
        stream_id: "MZ00000000000000000000000000000000".to_owned(),
        tenant: version.tenant.to_string(),
        version: version.name.clone(),
        direction: Direction::Inbound,
        caller: None,
        callee: None,
        format: AudioFormat { encoding: Encoding::Mulaw, sample_rate: 8000, channels: 1 },
        parameters: Vec::new(),
        settings: version.settings.clone(),
        restarted: false,
    }
}

fn config(version: &Version) -> InstanceConfig {
    InstanceConfig {
        seed: [0; 32],
        began_unix_ms: 0,
        log: std::sync::Arc::new(TracingLog {
            tenant: version.tenant.to_string(),
            call_id: "rehearsal".to_owned(),
        }),
        limits: std::sync::Arc::clone(&version.limits),
        cpu_quota: std::sync::Arc::default(),
    }
}
