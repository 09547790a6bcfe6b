//! G.711 A-law, which the model speaks when a session asks for `audio/pcma`.

/// Decodes one A-law code into PCM16.
pub fn alaw_decode(code: u8) -> i16 {
    let turned = code ^ 0x55;
    let segment = (turned >> 4) & 7;
    let mantissa = i32::from(turned & 0x0F);
    let magnitude = match segment {
        0 => (mantissa << 4) + 8,
        _ => ((mantissa << 4) + 0x108) << (segment - 1),
    };
    if turned & 0x80 != 0 { magnitude as i16 } else { -magnitude as i16 }
}

/// Encodes one PCM16 sample.
pub fn alaw_encode(sample: i16) -> u8 {
    let negative = sample < 0;
    let magnitude = i32::from(if negative { !sample } else { sample }) >> 4;
    let coded = if magnitude < 16 {
        magnitude as u8
    } else {
        let segment = (31 - magnitude.leading_zeros()) - 3;
        ((segment as u8) << 4) | ((magnitude >> (segment - 1)) & 0x0F) as u8
    };
    let signed = if negative { coded } else { coded | 0x80 };
    signed ^ 0x55
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decoding_and_encoding_again_is_the_identity() {
        for code in 0..=255u8 {
            assert_eq!(alaw_encode(alaw_decode(code)), code, "code {code:#04x}");
        }
    }

    #[test]
    fn silence_is_0xd5() {
        assert_eq!(alaw_encode(0), 0xD5);
        assert_eq!(alaw_decode(0xD5), 8);
    }
}
