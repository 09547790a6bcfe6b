//! The same bits on every machine: this file passes natively and inside a component, with the same numbers.
//!
//! ```sh
//! CARGO_TARGET_WASM32_WASIP1_RUNNER="node $PWD/guest/audio/benches/run-in-node.mjs" \
//!     cargo test -p cordboard-audio --test bits --target wasm32-wasip1
//! ```

mod common;
#[path = "common/seed.rs"]
mod seed;

use common::{PAIRS, PROFILES, resample};
use cordboard_audio::{encode_twilio_audio, resample_audio};
use seed::{Seed, noise};

#[test]
fn every_conversion_has_the_same_bits_on_every_machine() {
    let mut seed = Seed(1);
    let mut digests = Vec::new();
    for (from, to) in PAIRS {
        for profile in PROFILES {
            // Loud, so that it saturates, and quiet, so that ties and signs of zero occur.
            let mut input = noise(&mut seed, 4_000);
            input.extend(noise(&mut seed, 4_000).iter().map(|sample| sample >> 12));
            digests.push(digest(&resample(&input, from, to, profile)));
        }
    }
    assert_eq!(digests, DIGESTS, "{digests:#018x?}");
}

#[test]
fn a_frame_there_and_back_has_the_same_bits_on_every_machine() {
    use cordboard_audio::Rate::{Hz8000, Hz24000};
    let caller = noise(&mut Seed(2), 8_000);
    let model = resample_audio(&caller, Hz8000, Hz24000);
    let ulaw = encode_twilio_audio(&resample_audio(&model, Hz24000, Hz8000));
    let ulaw: Vec<i16> = ulaw.into_iter().map(i16::from).collect();
    assert_eq!(digest(&ulaw), THERE_AND_BACK, "{:#018x}", digest(&ulaw));
}

/// FNV-1a, 64 bits, over the little-endian bytes.
fn digest(samples: &[i16]) -> u64 {
    samples
        .iter()
        .flat_map(|sample| sample.to_le_bytes())
        .fold(0xCBF2_9CE4_8422_2325, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01B3)
        })
}

/// By pair as in `PAIRS`, then by profile.
const DIGESTS: [u64; 18] = [
    0x35e5_d807_844a_a987,
    0xf58d_f9f8_c885_0669,
    0x13f5_4702_9ad8_8540,
    0x1197_db49_958f_1a7e,
    0x35c0_e68e_5124_5135,
    0x2739_fbcc_6f1a_1587,
    0xf3f6_dcac_45fd_e58e,
    0x337f_93bf_6a2d_3853,
    0x71d5_a9ee_910a_41c9,
    0x744f_b841_ec54_352c,
    0xf73c_7e28_7729_5bc3,
    0x69ca_2e86_7006_d671,
    0xd559_fb6d_2460_3899,
    0xdcf9_2fc0_d51c_66b4,
    0x8f0f_98e7_1547_2d50,
    0x1f16_66f3_6c70_e756,
    0x4f83_9cef_86cb_65bc,
    0x9ceb_2a03_6bd4_a673,
];

const THERE_AND_BACK: u64 = 0x53cb_166c_c403_7481;
