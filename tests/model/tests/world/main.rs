//! The call machine in a whole world: a carrier, a caller, a model, a tenant and the wires between
//! them, all on one virtual clock and all from one seed.

mod ledger;
mod tenant;
mod weather;
mod world;

use cordboard_call::contract::Ended;
use cordboard_model_tests::Dice;

use weather::Weather;
use world::{Outcome, World};

/// Calls of the random test, unless `CORDBOARD_MODEL_RUNS` says otherwise.
const RUNS: u64 = 400;

#[test]
fn whatever_happens_on_a_call_its_promises_hold() {
    let mut endings = std::collections::BTreeMap::<String, u32>::new();
    for seed in seeds() {
        let weather = Weather::random(&mut Dice::new(seed));
        let outcome = run(seed, weather);
        *endings.entry(format!("{:?}", outcome.summary.reason)).or_default() += 1;
    }
    println!("{endings:?}");
    // A world in which some way to end never happens would test less than it seems.
    if seeds().end - seeds().start >= RUNS {
        for reason in ["CallerHungUp", "CarrierLost", "TenantHungUp", "Failed", "ModelLost"] {
            assert!(endings.contains_key(reason), "no call ended as {reason}: {endings:?}");
        }
    }
}

#[test]
fn on_a_good_line_the_caller_hears_all_that_was_played_without_a_gap() {
    for delay_ms in [0, 10, 60, 250] {
        let outcome = run(1, Weather::calm(delay_ms));
        assert_eq!(outcome.summary.reason, Ended::CallerHungUp);
        assert!(outcome.heard_ms > 20_000, "only {} ms were heard", outcome.heard_ms);
        assert_eq!(outcome.gaps_within_items, 0, "with a delay of {delay_ms} ms");
    }
}

#[test]
fn jitter_below_the_least_lead_leaves_no_gap() {
    for seed in 0..20 {
        let mut weather = Weather::calm(20);
        weather.jitter_ms = 150;
        let outcome = run(seed, weather);
        assert_eq!(outcome.gaps_within_items, 0, "seed {seed}");
    }
}

#[test]
fn what_a_flush_says_was_heard_is_true_to_within_the_delay_of_the_line() {
    for delay_ms in [0, 20, 100] {
        let mut flushes = 0;
        for seed in 0..20 {
            let mut weather = Weather::calm(delay_ms);
            weather.barge_in = 30;
            let outcome = run(seed, weather);
            flushes += outcome.flush_errors_ms.len();
            for error in outcome.flush_errors_ms {
                assert!(
                    error.unsigned_abs() <= 2 * delay_ms + 1,
                    "seed {seed}: off by {error} ms with a delay of {delay_ms} ms each way"
                );
            }
        }
        assert!(flushes > 50, "{flushes} flushes show little");
    }
}

#[test]
fn the_callers_frames_are_all_the_waking_that_playing_takes() {
    let outcome = run(3, Weather::calm(20));
    println!("{} wake-ups with frames coming", outcome.summary.counts.wakes);
    assert!(outcome.heard_ms > 20_000);
    assert!(outcome.summary.counts.wakes <= 10, "{} wake-ups", outcome.summary.counts.wakes);
}

#[test]
fn without_the_callers_frames_playing_takes_five_wake_ups_a_second() {
    let mut weather = Weather::calm(20);
    weather.loss = 1_000;
    let outcome = run(3, weather);
    let speech_s = outcome.heard_ms as f64 / 1_000.0;
    let wakes = outcome.summary.counts.wakes as f64;
    println!("{wakes} wake-ups for {speech_s} s of speech");
    assert!(speech_s > 20.0);
    assert!(wakes <= speech_s * 5.0 + 10.0, "{wakes} wake-ups for {speech_s} s of speech");
}

fn run(seed: u64, weather: Weather) -> Outcome {
    let _naming = NameSeed(seed);
    World::new(seed, weather).run()
}

fn seeds() -> std::ops::Range<u64> {
    let number = |name| std::env::var(name).ok().and_then(|text| text.parse().ok());
    match number("CORDBOARD_MODEL_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("CORDBOARD_MODEL_RUNS").unwrap_or(RUNS),
    }
}

/// Says which seed it was when a call breaks a promise.
struct NameSeed(u64);

impl Drop for NameSeed {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("replay with CORDBOARD_MODEL_SEED={}", self.0);
        }
    }
}
