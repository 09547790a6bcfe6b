//! Keys that the other side presses, heard as tones.
//!
//! A carrier that reports keys takes their tones out of the audio, as Twilio does for a caller's own telephone; those come to
//! [`Tenant::caller_key`](crate::Tenant::caller_key). This block is for lines where keys come as sound: an exchange between, a
//! machine at the other end, a carrier that reports nothing.
//!
//! ```
//! use cordboard_sdk::blocks::keys::KeyListener;
//! use cordboard_sdk::{Call, CallInfo, Hearing, Tenant};
//! # use cordboard_sdk::harness::Harness;
//!
//! struct Door {
//!     keys: KeyListener,
//! }
//!
//! impl Tenant for Door {
//!     fn new(_: &CallInfo) -> Door {
//!         Door { keys: KeyListener::default() }
//!     }
//!
//!     fn caller_audio(&mut self, call: &mut Call, frame: &[u8]) -> Hearing {
//!         for key in self.keys.hear(frame) {
//!             self.caller_key(call, key);
//!         }
//!         Hearing::Forward
//!     }
//!
//!     fn caller_key(&mut self, call: &mut Call, key: char) {
//!         if key == '9' {
//!             call.hang_up("the door is open");
//!         }
//!     }
//! }
//! # let mut call = Harness::<Door>::start();
//! # let pcm = cordboard_audio::dtmf::tones("9", &Default::default()).unwrap();
//! # call.feed(cordboard_sdk::Event::CallerAudio(cordboard_audio::encode_twilio_audio(&pcm)));
//! # assert!(call.has_ended());
//! ```

use cordboard_audio::dtmf::{KeyDetector, Stroke};
use serde::{Deserialize, Serialize};

/// Hears keys in mu-law at 8 kHz. It is its own state.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct KeyListener {
    #[serde(with = "super::audio")]
    detector: KeyDetector,
}

impl KeyListener {
    /// The keys that were pressed for certain within this frame: at most one in 20 ms.
    pub fn hear(&mut self, ulaw: &[u8]) -> Vec<char> {
        let mut keys = Vec::new();
        self.detector.process_ulaw(ulaw, |stroke| {
            if let Stroke::Down { key, .. } = stroke {
                keys.push(key);
            }
        });
        keys
    }

    /// The key that is being held, if any.
    pub fn held(&self) -> Option<char> {
        self.detector.held()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::blocks::{pack, unpack};
    use cordboard_audio::dtmf::{ToneSettings, tones};
    use cordboard_audio::encode_twilio_audio;

    #[test]
    fn a_successor_in_the_middle_of_a_key_hears_it_once() {
        let line = encode_twilio_audio(&tones("1470#", &ToneSettings::default()).expect("keys"));
        for every in [1, 2, 3, 7] {
            let (mut listener, mut keys) = (KeyListener::default(), String::new());
            for (n, frame) in line.chunks(160).enumerate() {
                keys.extend(listener.hear(frame));
                if n % every == 0 {
                    listener = unpack(&pack(&listener)).expect("it was just packed");
                }
            }
            assert_eq!(keys, "1470#", "every {every}");
        }
    }

    #[test]
    fn a_corrupt_state_is_refused() {
        let bytes = pack(&KeyListener::default());
        assert!(unpack::<KeyListener>(&bytes[..bytes.len() - 1]).is_err());
        assert!(unpack::<KeyListener>(&[]).is_err());
    }
}
