//! What one frame costs on its way through the machine, beside what it costs to move it at all.
//!
//! `cargo bench -p cordboard-call`. The ratio is the figure to compare between machines; the
//! baseline makes the same frame, queues it and takes it out again.

use std::collections::VecDeque;
use std::hint::black_box;
use std::time::{Duration, Instant};

use cordboard_call::contract::{
    Action, AudioFormat, CallInfo, Dialect, Direction, Encoding, Event, ModelInfo, Play,
};
use cordboard_call::{Call, CallConfig, Input, Limits, Output, ToCarrier, ToModel};
use cordboard_wire::openai::{AudioFormat as ModelFormat, ServerEvent, SessionAudio};
use cordboard_wire::twilio::{FromCarrier, Track};

const FRAMES: u32 = 200_000;
const ROUNDS: usize = 7;
const FRAME: Duration = Duration::from_millis(20);

fn main() {
    let (mut base, mut caller, mut played) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        base.push(moving());
        caller.push(caller_frames());
        played.push(play_frames());
    }
    let (base, caller, played) = (median(base), median(caller), median(played));
    println!("moving a frame through a queue     {base:7.1} ns    1.0");
    for (what, ns) in
        [("caller frame -> tenant -> model", caller), ("play frame -> carrier, marks in", played)]
    {
        println!("{what:34} {ns:7.1} ns  {:5.1}", ns / base);
    }
    println!("(median of {ROUNDS} rounds of {FRAMES} frames)");
}

fn moving() -> f64 {
    let mut queue = VecDeque::new();
    per_frame(|n| {
        queue.push_back(Event::CallerAudio(frame(n)));
        black_box(queue.pop_front());
    })
}

/// A frame comes in, the tenant hands it to the model.
fn caller_frames() -> f64 {
    let mut call = confirmed();
    per_frame(|n| {
        let (track, payload) = (Track::Inbound, frame(n));
        let timestamp_ms = Some(100 + u64::from(n) * 20);
        let media = FromCarrier::Media { track, timestamp_ms, payload };
        call.handle(FRAME * n, Input::Carrier(media));
        let Some(Output::Tenant(Event::CallerAudio(audio))) = call.poll_output() else {
            panic!("the frame goes to the tenant");
        };
        call.handle(FRAME * n, Input::Answered(vec![Action::ModelAudio(audio)]));
        let Some(Output::Model(ToModel::Append(audio))) = call.poll_output() else {
            panic!("the frame goes to the model");
        };
        black_box(audio);
        assert!(call.poll_output().is_none());
        black_box(call.wake_at());
    })
}

/// The tenant plays a frame, as its answer to one; it is sent, and the carrier echoes the marks.
fn play_frames() -> f64 {
    let mut call = confirmed();
    let item = "item_abcdefghijklmnop".to_owned();
    let mut marks = VecDeque::new();
    per_frame(|n| {
        let now = FRAME * n;
        call.handle(now, Input::Carrier(FromCarrier::Dtmf { digit: '1' }));
        assert!(matches!(call.poll_output(), Some(Output::Tenant(Event::CallerKey(_)))));
        let play = Play { item: item.clone(), audio: frame(n), last: false };
        call.handle(now, Input::Answered(vec![Action::Play(play)]));
        while let Some(output) = call.poll_output() {
            match output {
                Output::Carrier(ToCarrier::Mark { name }) => marks.push_back((n + 20, name)),
                other => drop(black_box(other)),
            }
        }
        while let Some((_, name)) = marks.pop_front_if(|(due, _)| *due <= n) {
            call.handle(now, Input::Carrier(FromCarrier::Mark { name }));
            assert!(call.poll_output().is_none());
        }
        black_box(call.wake_at());
    })
}

fn per_frame(mut one: impl FnMut(u32)) -> f64 {
    let begun = Instant::now();
    (0..FRAMES).for_each(&mut one);
    begun.elapsed().as_nanos() as f64 / f64::from(FRAMES)
}

fn frame(n: u32) -> Vec<u8> {
    vec![black_box(n as u8); 160]
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

/// A call whose model has confirmed its session.
fn confirmed() -> Call {
    let info = CallInfo {
        call_id: "CA".to_owned(),
        stream_id: "MZ".to_owned(),
        tenant: "t".to_owned(),
        version: "1".to_owned(),
        direction: Direction::Inbound,
        caller: None,
        callee: None,
        format: AudioFormat { encoding: Encoding::Mulaw, sample_rate: 8_000, channels: 1 },
        parameters: Vec::new(),
        settings: "{}".to_owned(),
        restarted: false,
    };
    let config = CallConfig {
        info,
        // 200,000 frames are longer than any call or session.
        limits: Limits {
            call_max: FRAME * (FRAMES + 1),
            model_session_renew: FRAME * (FRAMES + 1),
            ..Limits::default()
        },
        apology: Vec::new().into(),
        rest: false,
    };
    let mut call = Call::new(config).expect("the format is supported");
    let info = ModelInfo { session: "s".to_owned(), model: "m".to_owned(), dialect: Dialect::Ga };
    let format = Some(ModelFormat::Pcmu);
    let audio = SessionAudio { input: format, output: format };
    let updated = ServerEvent::SessionUpdated { audio, json: "{}".to_owned() };
    for input in [Input::Begin, Input::ModelUp { info }, Input::Model(updated)] {
        call.handle(Duration::ZERO, input);
        while let Some(output) = call.poll_output() {
            if let Output::Tenant(_) = output {
                call.handle(Duration::ZERO, Input::Answered(Vec::new()));
            }
        }
    }
    call
}
