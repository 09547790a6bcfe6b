//! How a stream behaves whatever it says: counts, chunks, saving, silence.

mod common;
#[path = "common/seed.rs"]
mod seed;

use common::{PAIRS, PROFILES, resample};
use cordboard_audio::{CallerToModel, LoadError, ModelToCaller, Path, Profile, Rate, Resampler};
use seed::{Seed, noise};

#[test]
fn any_chunking_gives_the_same_samples() {
    let mut seed = Seed(1);
    for (from, to) in PAIRS {
        for profile in PROFILES {
            let input = noise(&mut seed, 2_003);
            let whole = resample(&input, from, to, profile);
            let frame = from.frame_samples();
            for sizes in [vec![frame], vec![7], vec![1], vec![480, 1, 2, 333], random(&mut seed)] {
                let mut resampler = Resampler::new(from, to, profile);
                let mut out = Vec::new();
                for chunk in cut(&input, &sizes) {
                    resampler.process(chunk, &mut out);
                }
                assert!(out == whole, "{from:?} to {to:?}, {profile}, chunks of {sizes:?}");
            }
        }
    }
}

#[test]
fn odd_bytes_wait_for_their_other_half() {
    let mut seed = Seed(2);
    for (from, to) in PAIRS {
        let input = noise(&mut seed, 2_003);
        let whole = bytes(&resample(&input, from, to, Profile::Flat));
        for sizes in [vec![1], vec![3], vec![961], vec![1, 2, 0, 5, 1_000], random(&mut seed)] {
            let mut resampler = Resampler::new(from, to, Profile::Flat);
            let mut out = Vec::new();
            for chunk in cut(&bytes(&input), &sizes) {
                resampler.process_bytes(chunk, &mut out);
            }
            assert!(out == whole, "{from:?} to {to:?}, chunks of {sizes:?} bytes");
        }
    }
}

#[test]
fn every_frame_in_is_exactly_a_frame_out() {
    for (from, to) in PAIRS {
        let mut resampler = Resampler::new(from, to, Profile::Flat);
        for frame in 1..=500 {
            let mut out = Vec::new();
            resampler.process(&vec![frame; from.frame_samples()], &mut out);
            assert_eq!(out.len(), to.frame_samples(), "{from:?} to {to:?}, frame {frame}");
        }
    }
}

#[test]
fn an_output_leaves_with_the_input_that_completes_it() {
    for (from, to) in PAIRS {
        let mut resampler = Resampler::new(from, to, Profile::Flat);
        let mut out = Vec::new();
        for fed in 1..=1_000 {
            resampler.process(&[100], &mut out);
            assert_eq!(out.len(), expected_len(fed, from, to), "{from:?} to {to:?} after {fed}");
        }
    }
}

#[test]
fn equal_rates_pass_through_untouched() {
    let input = noise(&mut Seed(3), 1_000);
    for rate in [Rate::Hz8000, Rate::Hz16000, Rate::Hz24000] {
        let mut resampler = Resampler::new(rate, rate, Profile::Strict);
        let mut out = Vec::new();
        resampler.process(&input, &mut out);
        resampler.flush(&mut out);
        assert_eq!(out, input);
    }
}

#[test]
fn flush_brings_out_the_whole_tail_and_leaves_silence_behind() {
    let mut seed = Seed(4);
    for (from, to) in PAIRS {
        for profile in PROFILES {
            for len in [1_000, 1_001, 1_002] {
                let input = noise(&mut seed, len);
                let mut resampler = Resampler::new(from, to, profile);
                let mut out = Vec::new();
                resampler.process(&input, &mut out);
                resampler.flush(&mut out);

                let tail = resampler.look_back();
                assert_eq!(out.len(), expected_len(len + tail, from, to));
                let mut and_silence = input.clone();
                and_silence.resize(len + tail + 600, 0);
                let expected = resample(&and_silence, from, to, profile);
                assert_eq!(out, expected[..out.len()]);
                assert!(expected[out.len()..].iter().all(|sample| *sample == 0));
                assert_eq!(resampler.save(), Resampler::new(from, to, profile).save());
            }
        }
    }
}

#[test]
fn flush_has_the_lengths_its_documentation_gives() {
    for (from, to, fed, expected) in [
        (Rate::Hz8000, Rate::Hz24000, 160, 141),
        (Rate::Hz24000, Rate::Hz8000, 480, 48),
        (Rate::Hz24000, Rate::Hz8000, 481, 48),
        (Rate::Hz16000, Rate::Hz24000, 321, 72),
        (Rate::Hz24000, Rate::Hz16000, 481, 48),
    ] {
        let mut resampler = Resampler::new(from, to, Profile::Flat);
        resampler.process(&vec![1; fed], &mut Vec::new());
        let mut tail = Vec::new();
        resampler.flush(&mut tail);
        assert_eq!(tail.len(), expected, "{from:?} to {to:?} after {fed}");
    }
}

#[test]
fn after_barge_in_nothing_of_the_old_turn_is_heard() {
    for (from, to) in PAIRS {
        let mut resampler = Resampler::new(from, to, Profile::Flat);
        resampler.process_bytes(&[0x7F; 1_001], &mut Vec::new());
        resampler.reset();
        let mut out = Vec::new();
        resampler.process_bytes(&[0; 2_000], &mut out);
        assert!(out.iter().all(|byte| *byte == 0), "{from:?} to {to:?}");
        assert_eq!(out.len(), 2 * expected_len(1_000, from, to));
    }
}

#[test]
fn a_restored_resampler_goes_on_bit_by_bit() {
    let mut seed = Seed(5);
    for (from, to) in PAIRS {
        for profile in PROFILES {
            let input = bytes(&noise(&mut seed, 300));
            let mut whole = Vec::new();
            Resampler::new(from, to, profile).process_bytes(&input, &mut whole);
            for at in (0..input.len()).step_by(5) {
                let mut first = Resampler::new(from, to, profile);
                let mut out = Vec::new();
                first.process_bytes(&input[..at], &mut out);
                let mut second = Resampler::load(&first.save()).unwrap();
                second.process_bytes(&input[at..], &mut out);
                assert!(out == whole, "{from:?} to {to:?}, {profile}, saved after {at} bytes");
            }
        }
    }
}

#[test]
fn saving_changes_nothing() {
    let mut resampler = Resampler::new(Rate::Hz24000, Rate::Hz8000, Profile::Flat);
    resampler.process_bytes(&[0x55; 1_001], &mut Vec::new());
    assert_eq!(resampler.save(), resampler.save());
    assert_eq!(Resampler::load(&resampler.save()).unwrap().save(), resampler.save());
}

#[test]
fn a_call_restored_at_any_point_goes_on_bit_by_bit() {
    let mut seed = Seed(6);
    let ulaw: Vec<u8> = (0..400).map(|_| seed.next() as u8).collect();
    for path in [Path::Direct, Path::Via16k] {
        let mut whole = Vec::new();
        CallerToModel::new(path, Profile::Flat).process(&ulaw, &mut whole);
        assert_eq!(whole.len(), 6 * ulaw.len());
        for at in 0..ulaw.len() {
            let mut out = Vec::new();
            let mut first = CallerToModel::new(path, Profile::Flat);
            first.process(&ulaw[..at], &mut out);
            CallerToModel::load(&first.save()).unwrap().process(&ulaw[at..], &mut out);
            assert!(out == whole, "{path:?}, saved after {at} bytes");
        }
    }

    let pcm = bytes(&noise(&mut seed, 300));
    let mut whole = Vec::new();
    ModelToCaller::default().process(&pcm, &mut whole);
    for at in 0..pcm.len() {
        let mut out = Vec::new();
        let mut first = ModelToCaller::default();
        first.process(&pcm[..at], &mut out);
        ModelToCaller::load(&first.save()).unwrap().process(&pcm[at..], &mut out);
        assert!(out == whole, "saved after {at} bytes");
    }
}

#[test]
fn the_two_directions_are_the_resamplers_with_g711_at_the_line() {
    let mut seed = Seed(7);
    let ulaw: Vec<u8> = (0..1_000).map(|_| seed.next() as u8).collect();
    let samples = cordboard_audio::decode_twilio_audio(&ulaw);

    let mut direct = Vec::new();
    CallerToModel::default().process(&ulaw, &mut direct);
    assert_eq!(direct, bytes(&resample(&samples, Rate::Hz8000, Rate::Hz24000, Profile::Flat)));

    let mut via = Vec::new();
    CallerToModel::new(Path::Via16k, Profile::Flat).process(&ulaw, &mut via);
    let wide = cordboard_audio::resample_audio(&samples, Rate::Hz8000, Rate::Hz16000);
    assert_eq!(via, bytes(&cordboard_audio::resample_audio(&wide, Rate::Hz16000, Rate::Hz24000)));

    let mut back = Vec::new();
    ModelToCaller::default().process(&direct, &mut back);
    let narrow = cordboard_audio::resample_audio(
        &resample(&samples, Rate::Hz8000, Rate::Hz24000, Profile::Flat),
        Rate::Hz24000,
        Rate::Hz8000,
    );
    assert_eq!(back, cordboard_audio::encode_twilio_audio(&narrow));
}

#[test]
fn a_flushed_call_is_as_new() {
    for path in [Path::Direct, Path::Via16k] {
        let mut ears = CallerToModel::new(path, Profile::Flat);
        ears.process(&[0x12; 333], &mut Vec::new());
        let mut tail = Vec::new();
        ears.flush(&mut tail);
        assert!(!tail.is_empty());
        assert_eq!(ears.save(), CallerToModel::new(path, Profile::Flat).save());
    }
    let mut mouth = ModelToCaller::default();
    mouth.process(&[0x12; 333], &mut Vec::new());
    let mut tail = Vec::new();
    mouth.flush(&mut tail);
    assert_eq!(tail.len(), 48);
    assert_eq!(mouth.save(), ModelToCaller::default().save());
}

#[test]
fn silence_after_speech_is_exact_within_150_ms() {
    let mut seed = Seed(8);
    for (from, to) in PAIRS {
        for profile in PROFILES {
            let mut resampler = Resampler::new(from, to, profile);
            resampler.process(&noise(&mut seed, 4_000), &mut Vec::new());
            let mut out = Vec::new();
            resampler.process(&vec![0; from.hz() as usize], &mut out);
            let settled = to.hz() as usize * 150 / 1_000;
            assert!(out[settled..].iter().all(|sample| *sample == 0), "{from:?} to {to:?}");
        }
    }

    let mut mouth = ModelToCaller::default();
    mouth.process(&bytes(&noise(&mut seed, 4_000)), &mut Vec::new());
    let mut ulaw = Vec::new();
    mouth.process(&vec![0; 48_000], &mut ulaw);
    assert!(ulaw[1_200..].iter().all(|code| *code == 0xFF));
}

#[test]
fn hostile_state_is_refused_and_never_panics() {
    let mut resampler = Resampler::new(Rate::Hz24000, Rate::Hz8000, Profile::Flat);
    resampler.process_bytes(&[0x55; 1_001], &mut Vec::new());
    let good = resampler.save();

    for len in 0..good.len() {
        assert!(matches!(Resampler::load(&good[..len]), Err(LoadError::Length { .. })), "{len}");
    }
    let longer = [&good[..], &[0]].concat();
    assert!(matches!(Resampler::load(&longer), Err(LoadError::Length { .. })));
    let with = |at: usize, value: u8| {
        let mut bytes = good.clone();
        bytes[at] = value;
        Resampler::load(&bytes).map(|_| ())
    };
    assert_eq!(with(0, 2), Err(LoadError::Version(2)));
    assert_eq!(with(1, 0b11), Err(LoadError::Field("rate")));
    assert_eq!(with(1, 0b1100), Err(LoadError::Field("rate")));
    assert_eq!(with(1, 0b11_0000), Err(LoadError::Field("profile")));
    assert_eq!(with(1, 0b100_0000), Err(LoadError::Field("profile")));
    assert_eq!(with(2, 3), Err(LoadError::Field("phase")));
    assert!(matches!(with(2, 0x80), Err(LoadError::Length { .. })));
    assert_eq!(with(2, 2), Err(LoadError::Field("waiting byte")));
}

#[test]
fn random_bytes_load_as_some_audio_or_not_at_all() {
    let mut seed = Seed(9);
    let mut loaded = 0;
    for _ in 0..20_000 {
        let mut bytes = random_state(&mut seed);
        bytes[0] = 1;
        for state in [Resampler::load(&bytes).ok(), Resampler::load(&bytes[1..]).ok()] {
            let Some(mut resampler) = state else { continue };
            let mut out = Vec::new();
            resampler.process_bytes(&[0x7F; 333], &mut out);
            resampler.flush(&mut Vec::new());
            loaded += 1;
        }
        let _ = CallerToModel::load(&bytes);
        let _ = ModelToCaller::load(&bytes);
    }
    assert!(loaded > 10, "the generator finds valid states too: {loaded}");
}

#[test]
fn a_state_of_the_other_direction_is_refused() {
    let ears = CallerToModel::default().save();
    let mouth = ModelToCaller::default().save();
    assert!(CallerToModel::load(&mouth).is_err());
    assert!(ModelToCaller::load(&ears).is_err());
    let up = Resampler::new(Rate::Hz8000, Rate::Hz24000, Profile::Flat).save();
    assert_eq!(ModelToCaller::load(&up).map(|_| ()), Err(LoadError::Field("path")));
}

#[test]
fn profiles_paths_and_rates_are_selected_by_data() {
    for profile in PROFILES {
        assert_eq!(profile.name().parse(), Ok(profile));
    }
    for path in [Path::Direct, Path::Via16k] {
        assert_eq!(path.name().parse(), Ok(path));
    }
    for rate in [Rate::Hz8000, Rate::Hz16000, Rate::Hz24000] {
        assert_eq!(Rate::try_from(rate.hz()), Ok(rate));
    }
    assert!("Flat".parse::<Profile>().is_err());
    assert!("".parse::<Path>().is_err());
    let error = Rate::try_from(44_100).unwrap_err();
    assert!(error.to_string().contains("44100"));
}

/// Outputs after `fed` inputs.
fn expected_len(fed: usize, from: Rate, to: Rate) -> usize {
    (fed * to.hz() as usize).div_ceil(from.hz() as usize)
}

/// Chunks of the sizes given, over and over.
fn cut<'a, T>(mut input: &'a [T], sizes: &[usize]) -> Vec<&'a [T]> {
    let mut chunks = Vec::new();
    for size in sizes.iter().cycle() {
        if input.is_empty() {
            break;
        }
        let (chunk, rest) = input.split_at((*size).min(input.len()));
        chunks.push(chunk);
        input = rest;
    }
    chunks
}

fn random(seed: &mut Seed) -> Vec<usize> {
    (0..50).map(|_| seed.next() as usize % 700).chain([1]).collect()
}

fn bytes(samples: &[i16]) -> Vec<u8> {
    samples.iter().flat_map(|sample| sample.to_le_bytes()).collect()
}

/// Bytes of about the shape of a saved state, most of them not quite.
fn random_state(seed: &mut Seed) -> Vec<u8> {
    let lengths = [4, 68, 98, 100, 148, 196, 292, 340];
    let len = lengths[seed.next() as usize % lengths.len()] + seed.next() as usize % 2;
    let mut bytes: Vec<u8> = (0..len).map(|_| seed.next() as u8).collect();
    for at in 0..2 {
        bytes[at] = 1;
        bytes[at + 1] &= 0x3F;
        bytes[at + 2] &= 0x83;
    }
    bytes
}
