//! What a 20 ms frame costs, beside the plainest resampler anybody would write.
//!
//! ```sh
//! cargo bench -p cordboard-audio
//! CARGO_TARGET_WASM32_WASIP1_RUNNER="node $PWD/guest/audio/benches/run-in-node.mjs" \
//!     cargo bench -p cordboard-audio --target wasm32-wasip1
//! ```
//!
//! `run-in-wasmtime.py` beside it does the same in the gateway's engine. Any other runner of WASI command modules will do;
//! it says its name in `CORDBOARD_ENGINE` if it likes.
//!
//! The clock of a shared machine is noisy in one direction only: other work makes a batch slower, never faster. So the cases
//! take turns, batch by batch, and the figure to compare is the fastest batch; the median shows how noisy the
//! machine was. The ratio to the baseline is of the same run.

use std::hint::black_box;
use std::time::Instant;

use cordboard_audio::dtmf::KeyDetector;
use cordboard_audio::g711::{ulaw_decode, ulaw_encode};
use cordboard_audio::sound::{SoundMeter, ulaw_level_dbm0};
use cordboard_audio::{
    CallerToModel, ModelToCaller, Path, Profile, Rate, Resampler, decode_twilio_audio,
    encode_twilio_audio,
};

const FRAMES_PER_BATCH: usize = 50;
/// What listeners listen to: four seconds of a caller.
const SPEECH: &[u8] = include_bytes!("../../../host/sim/speech/caller_interruption.8k.ulaw");
const DIRECT_UP: &str = "mu-law -> 24 kHz, flat (the default)";
const DIRECT_DOWN: &str = "24 kHz -> mu-law, flat (the default)";
const LINEAR_UP: &str = "mu-law -> 24 kHz, linear (baseline)";
const LINEAR_DOWN: &str = "24 kHz -> mu-law, linear (baseline)";

fn main() {
    // `cargo test --benches` comes without the flag and only wants to see it run.
    let batches = if std::env::args().any(|arg| arg == "--bench") { 400 } else { 2 };
    let mut cases = cases();
    for _ in 0..batches {
        for case in &mut cases {
            case.measure();
        }
    }

    println!("Cost per 20 ms frame on {}, {batches} batches of {FRAMES_PER_BATCH}", engine());
    println!("{:44} {:>8} {:>8} {:>9}", "", "best us", "median", "/ linear");
    let baselines = [LINEAR_UP, LINEAR_DOWN].map(|name| {
        cases.iter_mut().find(|case| case.name == name).expect("both baselines are cases").best()
    });
    for case in &mut cases {
        let (best, median) = (case.best(), case.median());
        let ratio = best / baselines[usize::from(!case.up)];
        println!("{:44} {best:8.2} {median:8.2} {ratio:9.2}", case.name);
    }
}

fn engine() -> String {
    let engine = std::env::var("CORDBOARD_ENGINE").unwrap_or("an engine of unknown name".into());
    match std::env::consts::ARCH {
        "wasm32" if cfg!(target_feature = "simd128") => format!("wasm32 with simd128, {engine}"),
        "wasm32" => format!("wasm32 WITHOUT simd128, {engine}"),
        arch => format!("{arch}, native"),
    }
}

/// One way to treat a frame.
struct Case {
    name: &'static str,
    up: bool,
    frame: Box<dyn FnMut()>,
    micros: Vec<f64>,
}

impl Case {
    fn new(name: &'static str, up: bool, frame: impl FnMut() + 'static) -> Self {
        Self { name, up, frame: Box::new(frame), micros: Vec::new() }
    }

    fn measure(&mut self) {
        let start = Instant::now();
        for _ in 0..FRAMES_PER_BATCH {
            (self.frame)();
        }
        self.micros.push(start.elapsed().as_secs_f64() * 1e6 / FRAMES_PER_BATCH as f64);
    }

    fn best(&mut self) -> f64 {
        self.micros.sort_by(f64::total_cmp);
        self.micros[0]
    }

    fn median(&mut self) -> f64 {
        self.micros.sort_by(f64::total_cmp);
        self.micros[self.micros.len() / 2]
    }
}

fn cases() -> Vec<Case> {
    let pcm: Vec<i16> = (0..480).map(|i| ((i * 7_919 + 13) % 20_011 - 10_005) as i16).collect();
    let s16le: Vec<u8> = pcm.iter().flat_map(|sample| sample.to_le_bytes()).collect();
    let ulaw: Vec<u8> = pcm[..160].iter().map(|sample| ulaw_encode(*sample)).collect();

    let ears = |name, path, profile| {
        let (ulaw, mut out) = (ulaw.clone(), Vec::with_capacity(1_024));
        let mut ears = CallerToModel::new(path, profile);
        Case::new(name, true, move || {
            out.clear();
            ears.process(black_box(&ulaw), &mut out);
            black_box(&out);
        })
    };
    let mouth = |name, profile| {
        let (s16le, mut out) = (s16le.clone(), Vec::with_capacity(1_024));
        let mut mouth = ModelToCaller::new(profile);
        Case::new(name, false, move || {
            out.clear();
            mouth.process(black_box(&s16le), &mut out);
            black_box(&out);
        })
    };
    let plain = |name, from: Rate, to: Rate| {
        let (pcm, mut out) = (pcm[..from.frame_samples()].to_vec(), Vec::with_capacity(1_024));
        let mut resampler = Resampler::new(from, to, Profile::Flat);
        Case::new(name, to.hz() > from.hz(), move || {
            out.clear();
            resampler.process(black_box(&pcm), &mut out);
            black_box(&out);
        })
    };
    let linear_up = {
        let (ulaw, mut out) = (ulaw.clone(), Vec::with_capacity(1_024));
        Case::new(LINEAR_UP, true, move || {
            out.clear();
            let pcm: Vec<i16> = black_box(&ulaw).iter().map(|code| ulaw_decode(*code)).collect();
            for sample in linear(&pcm, 3.0) {
                out.extend(sample.to_le_bytes());
            }
            black_box(&out);
        })
    };
    let linear_down = {
        let (s16le, mut out) = (s16le.clone(), Vec::with_capacity(1_024));
        Case::new(LINEAR_DOWN, false, move || {
            out.clear();
            let pcm: Vec<i16> = black_box(&s16le)
                .chunks_exact(2)
                .map(|pair| i16::from_le_bytes([pair[0], pair[1]]))
                .collect();
            out.extend(linear(&pcm, 1.0 / 3.0).into_iter().map(ulaw_encode));
            black_box(&out);
        })
    };
    let decode = {
        let ulaw = ulaw.clone();
        Case::new("mu-law decoding alone", true, move || {
            black_box(decode_twilio_audio(black_box(&ulaw)));
        })
    };
    let encode = {
        let pcm = pcm[..160].to_vec();
        Case::new("mu-law encoding alone", false, move || {
            black_box(encode_twilio_audio(black_box(&pcm)));
        })
    };

    let keys = {
        let (mut detector, mut speech) = (KeyDetector::default(), SPEECH.chunks_exact(160).cycle());
        Case::new("mu-law -> keys (KeyDetector)", true, move || {
            let frame = speech.next().expect("a cycle has no end");
            detector.process_ulaw(black_box(frame), |stroke| {
                black_box(stroke);
            });
        })
    };
    let sound = {
        let (mut meter, mut speech) = (SoundMeter::default(), SPEECH.chunks_exact(160).cycle());
        Case::new("mu-law -> voice or music (SoundMeter)", true, move || {
            meter.process_ulaw(black_box(speech.next().expect("a cycle has no end")));
            black_box(meter.sound());
        })
    };
    let level = {
        let mut speech = SPEECH.chunks_exact(160).cycle();
        Case::new("mu-law -> level (ulaw_level_dbm0)", true, move || {
            black_box(ulaw_level_dbm0(black_box(speech.next().expect("a cycle has no end"))));
        })
    };

    vec![
        linear_up,
        ears(DIRECT_UP, Path::Direct, Profile::Flat),
        ears("mu-law -> 24 kHz, lowlat", Path::Direct, Profile::LowLatency),
        ears("mu-law -> 16 -> 24 kHz, flat", Path::Via16k, Profile::Flat),
        linear_down,
        mouth(DIRECT_DOWN, Profile::Flat),
        mouth("24 kHz -> mu-law, strict", Profile::Strict),
        mouth("24 kHz -> mu-law, lowlat", Profile::LowLatency),
        plain("8 -> 16 kHz, flat", Rate::Hz8000, Rate::Hz16000),
        plain("16 -> 8 kHz, flat", Rate::Hz16000, Rate::Hz8000),
        plain("16 -> 24 kHz, flat", Rate::Hz16000, Rate::Hz24000),
        plain("24 -> 16 kHz, flat", Rate::Hz24000, Rate::Hz16000),
        decode,
        encode,
        keys,
        sound,
        level,
    ]
}

/// Linear interpolation frame by frame, as many gateways have it.
fn linear(pcm: &[i16], ratio: f64) -> Vec<i16> {
    let len = (pcm.len() as f64 * ratio).round() as usize;
    (0..len)
        .map(|i| {
            let at = i as f64 / ratio;
            let left = at as usize;
            let right = (left + 1).min(pcm.len() - 1);
            let share = at - left as f64;
            (f64::from(pcm[left]) * (1.0 - share) + f64::from(pcm[right]) * share) as i16
        })
        .collect()
}
