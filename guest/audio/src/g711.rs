//! G.711 mu-law, exact to the ITU-T G.191 software tool library.
//!
//! The library is the standard's own code. Others differ from it by one code on 127 to 964 of the 65,536 samples; it has
//! the lowest idle noise of them.
//!
//! A code is a floating-point number: sign, three bits of exponent, four of mantissa, all bits inverted. With
//! the standard's bias of 33 added, a 14-bit magnitude lies in 33..=8191, so the top bits of the same number as
//! an f32 are the code. That is how [`ulaw_encode`] works: no branch, no table, four or more samples at once.

/// What every mu-law code decodes to, as a 16-bit sample: -32124..=32124.
///
/// 0xFF and 0x7F are the two zeros.
pub static ULAW_TO_PCM: [i16; 256] = {
    let mut table = [0; 256];
    let mut code = 0;
    while code < 256 {
        let bits = !(code as u8);
        let (exponent, mantissa) = ((bits >> 4 & 7) as i16, (bits & 15) as i16);
        let magnitude = (((2 * mantissa + BIAS as i16) << exponent) - BIAS as i16) << 2;
        table[code] = if bits & 0x80 == 0 { magnitude } else { -magnitude };
        code += 1;
    }
    table
};

/// The code of digital silence, positive zero.
pub const ULAW_SILENCE: u8 = 0xFF;

/// Decodes one mu-law code to a 16-bit sample.
#[inline]
pub fn ulaw_decode(code: u8) -> i16 {
    ULAW_TO_PCM[code as usize]
}

/// Encodes one 16-bit sample; the two lowest bits do not matter, beyond 32635 it clips.
///
/// Zero is 0xFF. -1..=-4 are 0x7F, negative zero, which decodes to 0; every other code comes back as it was after
/// decoding.
#[inline]
pub fn ulaw_encode(sample: i16) -> u8 {
    let sample = i32::from(sample);
    let sign = sample >> 31;
    let magnitude = (((sample ^ sign) >> 2) + BIAS).min(MAGNITUDE_MAX);
    // Exponent and four bits of mantissa; the smallest magnitude, 33, has the exponent of 32 = 2^5.
    let code = ((magnitude as f32).to_bits() >> 19) - ((127 + 5) << 4);
    !(code as u8 | sign as u8 & 0x80)
}

const BIAS: i32 = 33;
const MAGNITUDE_MAX: i32 = 0x1FFF;
