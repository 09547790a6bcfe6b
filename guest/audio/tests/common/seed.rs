//! Noise that is the same every time.

/// Random numbers that are the same every time (splitmix64).
pub(crate) struct Seed(pub(crate) u64);

impl Seed {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ z >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ z >> 31
    }
}

/// White noise over the whole range.
pub(crate) fn noise(seed: &mut Seed, len: usize) -> Vec<i16> {
    (0..len).map(|_| seed.next() as i16).collect()
}
