//! Prints what README.md says about the sound: `cargo run --release -p cordboard-audio --example figures`.

#[path = "../tests/common/mod.rs"]
mod common;
#[path = "../tests/common/tone.rs"]
mod tone;

use common::{PAIRS, PROFILES};
use cordboard_audio::{Profile, Rate};
use tone::{Response, respond};

fn main() {
    println!("           profile  ripple  3.6 kHz   -3 dB   images/aliases   SINAD    delay");
    for (from, to) in PAIRS {
        for profile in PROFILES {
            let band = Band { from, to, profile };
            println!(
                "{:>2} -> {:>2} kHz {:7} {:6.4} dB {:6.2} dB {:5.0} Hz  {:6.1} dB from {:.1}  {:.1} dB  {:.2} ms",
                from.hz() / 1_000,
                to.hz() / 1_000,
                profile.name(),
                band.ripple_db(),
                band.respond(3_600.0, -6.0).gain_db,
                band.minus_3_db_hz(),
                band.stop_db(),
                band.stop_hz() / 1_000.0,
                band.sinad_db(),
                band.respond(100.0, -6.0).delay_ms,
            );
        }
    }
    println!();
    println!(
        "Images: all that is beside tones of -1 dBFS up to 3.5 kHz, the noise of rounding included."
    );
    println!("Aliases: all that is left of tones of -1 dBFS. SINAD: 997 Hz at -6 dBFS.");
    println!("Between 16 and 24 kHz all frequencies but the last are twice as high.");
}

/// A conversion, on the frequencies of a telephone band.
struct Band {
    from: Rate,
    to: Rate,
    profile: Profile,
}

impl Band {
    fn respond(&self, hz: f64, level_db: f64) -> Response {
        respond(self.from, self.to, self.profile, hz * self.scale(), level_db)
    }

    fn scale(&self) -> f64 {
        if self.from == Rate::Hz8000 || self.to == Rate::Hz8000 { 1.0 } else { 2.0 }
    }

    fn is_up(&self) -> bool {
        self.to.hz() > self.from.hz()
    }

    fn ripple_db(&self) -> f64 {
        let gain = |i: i32| self.respond(300.0 + 50.0 * f64::from(i), -6.0).gain_db.abs();
        (0..=62).map(gain).fold(0.0, f64::max)
    }

    fn minus_3_db_hz(&self) -> f64 {
        let below = |hz: &i32| self.respond(f64::from(*hz), -6.0).gain_db < -10.0 * 2f64.log10();
        (3_400..4_000).step_by(5).find(below).map_or(f64::NAN, f64::from)
    }

    fn stop_hz(&self) -> f64 {
        match self.profile {
            Profile::Strict if !self.is_up() => 4_000.0,
            Profile::Flat | Profile::Strict => 4_500.0,
            Profile::LowLatency => 4_600.0,
        }
    }

    fn stop_db(&self) -> f64 {
        if self.is_up() {
            let end = 8_000.0 - self.stop_hz();
            let rest = |i: i32| self.respond(end - 117.0 * f64::from(i), -1.0).rest_db;
            return (0..=28).map(rest).fold(f64::NEG_INFINITY, f64::max);
        }
        let end = f64::from(self.from.hz()) / 2.0 / self.scale() - 7.0;
        let total = |i: i32| {
            let hz = self.stop_hz() + (end - self.stop_hz()) * f64::from(i) / 60.0;
            self.respond(hz, -1.0).total_db
        };
        (0..=60).map(total).fold(f64::NEG_INFINITY, f64::max)
    }

    /// The tone is at 997 Hz whatever the band.
    fn sinad_db(&self) -> f64 {
        let tone = respond(self.from, self.to, self.profile, 997.0, -6.0);
        tone.gain_db - tone.rest_db
    }
}
