//! G.711 mu-law, from the formula of the recommendation.

/// Decodes one mu-law code into PCM16.
pub fn ulaw_decode(code: u8) -> i16 {
    DECODE[usize::from(code)]
}

/// Encodes one PCM16 sample as the ITU-T G.191 reference does: 14 bits, one's complement for negative values.
pub fn ulaw_encode(sample: i16) -> u8 {
    // The reference drops the two lowest bits after turning a negative value over by one's complement.
    let negative = sample < 0;
    let magnitude = if negative { !sample } else { sample };
    let biased = ((i32::from(magnitude) >> 2) + 33).min(0x1FFF);
    let segment = (31 - biased.leading_zeros()) - 5;
    let mantissa = (biased >> (segment + 1)) & 0x0F;
    let code = !(((segment as u8) << 4) | mantissa as u8);
    if negative { code & 0x7F } else { code }
}

/// All 256 values, computed once at compile time.
static DECODE: [i16; 256] = {
    let mut table = [0i16; 256];
    let mut code = 0;
    while code < 256 {
        let turned = !(code as u8);
        let segment = (turned >> 4) & 7;
        let mantissa = (turned & 0x0F) as i32;
        let magnitude = (((mantissa << 3) + 0x84) << segment) - 0x84;
        table[code] = if turned & 0x80 != 0 { -magnitude as i16 } else { magnitude as i16 };
        code += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codec_is_the_itu_table_on_every_code_and_every_sample() {
        let csv = include_str!("../../../../tests/fixtures/audio/g711_ulaw_ranges.csv");
        let mut samples_checked = 0;
        for line in csv.lines().skip(1) {
            let cells: Vec<&str> = line.split(',').collect();
            let code: u8 = cells[0].parse().unwrap();
            assert_eq!(ulaw_decode(code), cells[2].parse::<i16>().unwrap(), "decode of {code}");
            let (from, to): (i32, i32) = (cells[3].parse().unwrap(), cells[4].parse().unwrap());
            for sample in from..=to {
                assert_eq!(ulaw_encode(sample as i16), code, "encode of {sample}");
                samples_checked += 1;
            }
        }
        assert_eq!(samples_checked, 65_536);
    }
}
