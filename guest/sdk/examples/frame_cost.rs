//! Prints what the SDK costs per event, natively: `cargo run --release -p cordboard-sdk --example frame_cost`.
//!
//! The first column is the whole event, the second the audio conversion alone, so that the
//! difference is what the SDK adds. The best of several rounds counts; the machine may be busy.

use std::hint::black_box;
use std::time::Instant;

use cordboard_sdk::blocks::hold::{Hold, HoldSettings};
use cordboard_sdk::blocks::pack;
use cordboard_sdk::harness::call_info;
use cordboard_sdk::{
    Audio, CallInfo, Dialect, Event, Instance, ModelAudio, ModelInfo, Session, Tenant,
};

struct Plain(Audio);

impl Tenant for Plain {
    fn new(info: &CallInfo) -> Plain {
        Plain(if info.settings == "pcmu" { Audio::Pcmu } else { Audio::Pcm16 })
    }

    fn session(&self, _: &CallInfo) -> Session {
        Session { audio: self.0, ..Session::default() }
    }
}

fn main() {
    println!("{:<36} {:>10} {:>12}", "event", "ns", "audio alone");
    for (name, settings, bytes) in [("pcmu", "pcmu", 160), ("pcm16", "pcm16", 960)] {
        let mut call = ready(settings);
        let up = cost(|| drop(black_box(call.handle(1, Event::CallerAudio(vec![0x5A; 160])))));
        let mut formats = cordboard_audio::CallerToModel::default();
        let alone = if bytes == 160 {
            0.0
        } else {
            cost(|| {
                let mut out = Vec::with_capacity(960);
                formats.process(black_box(&[0x5A; 160]), &mut out);
                black_box(out);
            })
        };
        println!("{:<36} {up:>10.0} {alone:>12.0}", format!("caller-audio, 20 ms, {name}"));

        let down = cost(|| {
            let audio = ModelAudio {
                response: "resp_0123456789".into(),
                item: "item_0123456789".into(),
                content_index: 0,
                data: vec![0; bytes],
            };
            drop(black_box(call.handle(1, Event::ModelAudio(audio))));
        });
        let mut mouth = cordboard_audio::ModelToCaller::default();
        let alone = if bytes == 160 {
            0.0
        } else {
            cost(|| {
                let mut out = Vec::with_capacity(160);
                mouth.process(black_box(&[0; 960]), &mut out);
                black_box(out);
            })
        };
        println!("{:<36} {down:>10.0} {alone:>12.0}", format!("model-audio, 20 ms, {name}"));
    }
    let mut call = ready("pcm16");
    for (name, json) in [
        (
            "a transcript delta",
            r#"{"type":"response.output_audio_transcript.delta","event_id":"event_1","response_id":"resp_1","item_id":"item_1","output_index":0,"content_index":0,"delta":" hello","obfuscation":"x"}"#,
        ),
        (
            "an event of no interest",
            r#"{"type":"conversation.item.added","event_id":"event_1","previous_item_id":null,"item":{"id":"item_1","type":"message","role":"user","content":[]}}"#,
        ),
        (
            "speech_started, nothing unplayed",
            r#"{"type":"input_audio_buffer.speech_started","event_id":"event_1","audio_start_ms":1,"item_id":"item_1"}"#,
        ),
    ] {
        let ns = cost(|| drop(black_box(call.handle(1, Event::ModelEvent(json.to_owned())))));
        println!("{name:<36} {ns:>10.0}");
    }
    for (name, frame) in [("Hold, silence", vec![0xFF; 160]), ("Hold, a loud frame", loud())] {
        let mut hold = Hold::new(HoldSettings::default());
        println!("{name:<36} {:>10.0}", cost(|| drop(black_box(hold.hear(1, black_box(&frame))))));
    }
    let mut hold = Hold::new(HoldSettings::default());
    hold.words(0, "please hold");
    let frame = vec![0xFF; 160];
    (0..100).for_each(|_| drop(hold.hear(1, &frame)));
    println!(
        "{:<36} {:>10.0}",
        "Hold, on hold",
        cost(|| drop(black_box(hold.hear(1, black_box(&frame)))))
    );
    println!("{:<36} {:>10.0}  bytes", "Hold, state on hold", pack(hold.state()).len());
    let state = call.save();
    println!("{:<36} {:>10.0}", "save", cost(|| drop(black_box(call.save()))));
    println!(
        "{:<36} {:>10.0}  {} bytes",
        "load",
        cost(|| drop(black_box(Instance::<Plain>::load(1, info("pcm16"), &state)))),
        state.len()
    );
}

fn loud() -> Vec<u8> {
    (0..160).map(|n| if n % 10 < 5 { 0x90 } else { 0x10 }).collect()
}

fn info(settings: &str) -> CallInfo {
    CallInfo { settings: settings.into(), ..call_info() }
}

fn ready(settings: &str) -> Instance<Plain> {
    let (mut call, _) = Instance::start(0, info(settings));
    let model = ModelInfo { session: "s".into(), model: "m".into(), dialect: Dialect::Ga };
    call.handle(0, Event::ModelReady(model));
    call.handle(0, Event::ModelEvent(r#"{"type":"session.updated"}"#.into()));
    call
}

/// Nanoseconds per round, the best of twenty batches.
fn cost(mut round: impl FnMut()) -> f64 {
    const ROUNDS: u32 = 2_000;
    let batch = |round: &mut dyn FnMut()| {
        let begun = Instant::now();
        (0..ROUNDS).for_each(|_| round());
        begun.elapsed().as_nanos() as f64 / f64::from(ROUNDS)
    };
    (0..20).map(|_| batch(&mut round)).fold(f64::INFINITY, f64::min)
}
