//! Mu-law against the ITU-T G.191 library: the whole of both tables.

use cordboard_audio::g711::{ULAW_SILENCE, ULAW_TO_PCM, ulaw_decode, ulaw_encode};
use cordboard_audio::{decode_twilio_audio, encode_twilio_audio};

#[test]
fn every_code_decodes_as_the_itu_library_does() {
    let reference = reference();
    assert_eq!(reference.len(), 256);
    for range in reference {
        assert_eq!(ulaw_decode(range.code), range.decoded, "code {:02x}", range.code);
        assert_eq!(ULAW_TO_PCM[usize::from(range.code)], range.decoded);
    }
}

#[test]
fn every_one_of_the_65536_samples_encodes_as_the_itu_library_does() {
    let mut seen = 0;
    for range in reference() {
        for sample in range.encode_from..=range.encode_to {
            assert_eq!(ulaw_encode(sample), range.code, "sample {sample}");
            seen += 1;
        }
    }
    assert_eq!(seen, 65_536);
}

#[test]
fn decoding_then_encoding_is_the_identity_but_for_negative_zero() {
    for code in 0..=255 {
        let expected = if code == 0x7F { 0xFF } else { code };
        assert_eq!(ulaw_encode(ulaw_decode(code)), expected);
    }
}

#[test]
fn the_edges_are_where_the_standard_has_them() {
    assert_eq!(ulaw_encode(0), ULAW_SILENCE);
    assert_eq!([-1, -2, -3, -4].map(ulaw_encode), [0x7F; 4]);
    assert_eq!(ulaw_decode(0x7F), 0);
    assert_eq!(ulaw_encode(i16::MAX), 0x80);
    assert_eq!(ulaw_encode(i16::MIN), 0x00);
    assert_eq!(ulaw_encode(32_636), ulaw_encode(i16::MAX));
}

#[test]
fn whole_frames_are_converted_sample_by_sample() {
    let codes: Vec<u8> = (0..=255).collect();
    let samples = decode_twilio_audio(&codes);
    assert_eq!(samples, ULAW_TO_PCM);
    let again = encode_twilio_audio(&samples);
    assert_eq!(again[..0x7F], codes[..0x7F]);
    assert_eq!(again[0x80..], codes[0x80..]);
}

struct Range {
    code: u8,
    decoded: i16,
    encode_from: i16,
    encode_to: i16,
}

fn reference() -> Vec<Range> {
    include_str!("../../../tests/fixtures/audio/g711_ulaw_ranges.csv")
        .lines()
        .skip(1)
        .map(|line| {
            let fields: Vec<&str> = line.split(',').collect();
            Range {
                code: fields[0].parse().expect("the file has numbers here"),
                decoded: fields[2].parse().expect("the file has numbers here"),
                encode_from: fields[3].parse().expect("the file has numbers here"),
                encode_to: fields[4].parse().expect("the file has numbers here"),
            }
        })
        .collect()
}
