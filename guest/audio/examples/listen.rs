//! What the listeners make of recordings: raw mu-law at 8 kHz, as files.
//!
//! ```sh
//! sox call.wav -r 8000 -c 1 -t ul call.ulaw
//! cargo run --release -p cordboard-audio --example listen -- call.ulaw
//! ```
//!
//! Prints a line per file, and one for all: how long, which keys, and how much of the time it sounded like what.

use cordboard_audio::dtmf::{KeyDetector, Stroke};
use cordboard_audio::sound::{Sound, SoundMeter};

const SOUNDS: [Sound; 6] =
    [Sound::Quiet, Sound::Voice, Sound::Music, Sound::Tone, Sound::Noise, Sound::Unclear];

#[derive(Default)]
struct Heard {
    frames: usize,
    keys: String,
    sounds: [usize; 6],
}

impl Heard {
    fn of(ulaw: &[u8]) -> Heard {
        let (mut detector, mut meter) = (KeyDetector::default(), SoundMeter::default());
        let mut heard = Heard::default();
        for frame in ulaw.chunks(160) {
            detector.process_ulaw(frame, |stroke| {
                if let Stroke::Down { key, .. } = stroke {
                    heard.keys.push(key);
                }
            });
            meter.process_ulaw(frame);
            heard.frames += 1;
            for (count, sound) in heard.sounds.iter_mut().zip(SOUNDS) {
                *count += usize::from(meter.sound() == sound);
            }
        }
        heard
    }

    fn print(&self, name: &str) {
        print!(
            "{name:24} {:8.1} s  keys {:8}",
            self.frames as f64 / 50.0,
            format!("{:?}", self.keys)
        );
        for (count, sound) in self.sounds.iter().zip(SOUNDS) {
            let share = 100.0 * *count as f64 / self.frames.max(1) as f64;
            print!("  {sound:?} {share:.1} %");
        }
        println!();
    }
}

fn main() -> std::io::Result<()> {
    let mut all = Heard::default();
    for path in std::env::args().skip(1) {
        let heard = Heard::of(&std::fs::read(&path)?);
        let name = path.rsplit('/').next().unwrap_or(&path);
        heard.print(&name.chars().take(24).collect::<String>());
        all.frames += heard.frames;
        all.keys.push_str(&heard.keys);
        for (sum, count) in all.sounds.iter_mut().zip(heard.sounds) {
            *sum += count;
        }
    }
    all.print("all");
    Ok(())
}
