//! Reading and writing WAV files: what a caller says, and what was heard.

use std::path::Path;

use anyhow::{Context, Result, bail};

use super::{ulaw_decode, ulaw_encode};

/// Writes a call as stereo PCM16 at 8 kHz: the caller on the left, what the caller heard on the right.
///
/// The shorter side is filled up with silence.
pub fn write_call(path: &Path, caller_ulaw: &[u8], heard_ulaw: &[u8]) -> Result<()> {
    let spec = hound::WavSpec {
        channels: 2,
        sample_rate: 8000,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    let name = path.display();
    let mut writer =
        hound::WavWriter::create(path, spec).with_context(|| format!("cannot write {name}"))?;
    let sample = |side: &[u8], n: usize| side.get(n).map_or(0, |&code| ulaw_decode(code));
    for n in 0..caller_ulaw.len().max(heard_ulaw.len()) {
        writer.write_sample(sample(caller_ulaw, n))?;
        writer.write_sample(sample(heard_ulaw, n))?;
    }
    writer.finalize().with_context(|| format!("cannot finish {name}"))
}

/// Reads a WAV file as mu-law at 8 kHz mono.
///
/// Takes PCM16 at 8 kHz, or at a whole multiple of it by averaging: good enough for a voice in a test, not a resampler.
pub fn read_as_ulaw(path: &Path) -> Result<Vec<u8>> {
    let name = path.display();
    let mut reader = hound::WavReader::open(path).with_context(|| format!("cannot read {name}"))?;
    let spec = reader.spec();
    if spec.sample_format != hound::SampleFormat::Int || spec.bits_per_sample != 16 {
        bail!(
            "{name}: only 16-bit PCM is understood; convert it with: sox IN -b 16 -r 8000 -c 1 OUT.wav"
        );
    }
    if spec.sample_rate % 8000 != 0 || spec.sample_rate == 0 {
        bail!(
            "{name}: {} Hz is not a multiple of 8000; convert it with: sox IN -b 16 -r 8000 -c 1 OUT.wav",
            spec.sample_rate
        );
    }
    let group = (spec.sample_rate / 8000) as usize * usize::from(spec.channels);
    let samples: Vec<i16> = reader.samples::<i16>().collect::<Result<_, _>>()?;
    Ok(samples
        .chunks(group)
        .map(|g| (g.iter().map(|&s| i32::from(s)).sum::<i32>() / g.len() as i32) as i16)
        .map(ulaw_encode)
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_keeps_both_sides_apart() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("call.wav");
        write_call(&path, &[0x80; 10], &[0x00; 12]).unwrap();
        let mut reader = hound::WavReader::open(&path).unwrap();
        let samples: Vec<i16> = reader.samples().map(Result::unwrap).collect();
        assert_eq!(&samples[..2], &[32124, -32124]);
        assert_eq!(&samples[22..], &[0, -32124]);
    }
}
