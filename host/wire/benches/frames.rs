//! What a message costs, beside the same message read into a `serde_json::Value` in the same run.
//!
//! `cargo bench -p cordboard-wire`. The ratio is what to compare between machines; the nanoseconds
//! are the best of several rounds and belong to the machine they were taken on.

use std::hint::black_box;
use std::time::Instant;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cordboard_wire::openai::{Dialect, ServerEvent, append_audio};
use cordboard_wire::twilio::{self, FromCarrier};
use serde_json::{Value, json};

const STREAM: &str = "MZ00000000000000000000000000000001";

fn main() {
    println!("{:<44}{:>10}{:>10}{:>9}", "", "ns", "tree ns", "ratio");

    let frame: Vec<u8> = (0..160).map(|n| (n * 37) as u8).collect();
    let message = json!({
        "event": "media", "sequenceNumber": "74", "streamSid": STREAM,
        "media": {"track": "inbound", "chunk": "73", "timestamp": "1593",
            "payload": STANDARD.encode(&frame)},
    })
    .to_string();
    row(
        "carrier media in, 20 ms",
        || FromCarrier::parse_for(black_box(&message), Some(STREAM)).expect("media"),
        || decoded(black_box(&message), "/media/payload"),
    );

    let mut out = String::with_capacity(512);
    row(
        "carrier media out, 20 ms",
        || {
            out.clear();
            twilio::media(STREAM, black_box(&frame), &mut out);
            out.len()
        },
        || {
            let payload = STANDARD.encode(black_box(&frame));
            json!({"event": "media", "streamSid": STREAM, "media": {"payload": payload}})
                .to_string()
        },
    );

    for (name, bytes_per_ms, ms) in
        [("pcmu", 8, 20), ("pcmu", 8, 200), ("pcm 24 kHz", 48, 20), ("pcm 24 kHz", 48, 200)]
    {
        let audio: Vec<u8> = (0..bytes_per_ms * ms).map(|n| (n * 37) as u8).collect();
        let delta = json!({
            "type": "response.output_audio.delta", "event_id": "event_CbDdEe1234567890",
            "response_id": "resp_CbDdEe1234567890", "item_id": "item_CbDdEe1234567890",
            "output_index": 0, "content_index": 0, "delta": STANDARD.encode(&audio),
        })
        .to_string();
        row(
            &format!("model audio delta in, {name}, {ms} ms"),
            || ServerEvent::parse(black_box(&delta), Dialect::Ga).expect("audio"),
            || decoded(black_box(&delta), "/delta"),
        );
        let mut out = String::with_capacity(audio.len() * 2);
        row(
            &format!("model audio append out, {name}, {ms} ms"),
            || {
                out.clear();
                append_audio(black_box(&audio), &mut out);
                out.len()
            },
            || {
                let audio = STANDARD.encode(black_box(&audio));
                json!({"type": "input_audio_buffer.append", "audio": audio}).to_string()
            },
        );
    }

    let words = json!({
        "type": "response.output_audio_transcript.delta", "event_id": "event_CbDdEe1234567890",
        "response_id": "resp_CbDdEe1234567890", "item_id": "item_CbDdEe1234567890",
        "output_index": 0, "content_index": 0, "delta": " hello", "obfuscation": "kQ8sT2",
    })
    .to_string();
    row(
        "model transcript delta in",
        || ServerEvent::parse(black_box(&words), Dialect::Ga).expect("an event"),
        || serde_json::from_str::<Value>(black_box(&words)).expect("JSON").to_string(),
    );
}

/// The baseline: the whole message as a tree, and the audio out of it.
fn decoded(message: &str, pointer: &str) -> Vec<u8> {
    let tree: Value = serde_json::from_str(message).expect("JSON");
    let payload = tree.pointer(pointer).and_then(Value::as_str).expect("a payload");
    STANDARD.decode(payload).expect("base64")
}

fn row<A, B>(name: &str, ours: impl FnMut() -> A, tree: impl FnMut() -> B) {
    let (ours, tree) = best_of_both(ours, tree);
    println!("{name:<44}{ours:>10.0}{tree:>10.0}{:>9.2}", ours / tree);
}

/// Nanoseconds per run of each, the best of rounds that alternate so that a noisy neighbour meets
/// both alike.
fn best_of_both<A, B>(mut ours: impl FnMut() -> A, mut tree: impl FnMut() -> B) -> (f64, f64) {
    const ROUNDS: usize = 25;
    const RUNS: usize = 4_000;
    let mut best = (f64::INFINITY, f64::INFINITY);
    for _ in 0..ROUNDS {
        best.0 = best.0.min(ns_per_run(RUNS, &mut ours));
        best.1 = best.1.min(ns_per_run(RUNS, &mut tree));
    }
    best
}

fn ns_per_run<T>(runs: usize, work: &mut impl FnMut() -> T) -> f64 {
    let begun = Instant::now();
    for _ in 0..runs {
        black_box(work());
    }
    begun.elapsed().as_nanos() as f64 / runs as f64
}
