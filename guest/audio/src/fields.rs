//! The fields of saved states, little-endian behind a version byte.

use alloc::vec;
use alloc::vec::Vec;

use crate::LoadError;

/// Puts fields together.
pub(crate) struct Writer(Vec<u8>);

impl Writer {
    pub(crate) fn new(version: u8) -> Self {
        Self(vec![version])
    }

    pub(crate) fn u8(&mut self, value: u8) {
        self.0.push(value);
    }

    pub(crate) fn u64(&mut self, value: u64) {
        self.0.extend(value.to_le_bytes());
    }

    pub(crate) fn i16s(&mut self, values: &[i16]) {
        self.0.extend(values.iter().flat_map(|value| value.to_le_bytes()));
    }

    pub(crate) fn f32s(&mut self, values: &[f32]) {
        self.0.extend(values.iter().flat_map(|value| value.to_le_bytes()));
    }

    pub(crate) fn finish(self) -> Vec<u8> {
        self.0
    }
}

/// Takes them apart; what is missing or left over is refused.
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
    len: usize,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8], version: u8) -> Result<Self, LoadError> {
        let mut reader = Self { rest: bytes, len: bytes.len() };
        match reader.u8()? {
            found if found == version => Ok(reader),
            found => Err(LoadError::Version(found)),
        }
    }

    pub(crate) fn u8(&mut self) -> Result<u8, LoadError> {
        self.take::<1>().map(|[byte]| byte)
    }

    pub(crate) fn u64(&mut self) -> Result<u64, LoadError> {
        self.take().map(u64::from_le_bytes)
    }

    pub(crate) fn i16s(&mut self, values: &mut [i16]) -> Result<(), LoadError> {
        for value in values {
            *value = i16::from_le_bytes(self.take()?);
        }
        Ok(())
    }

    pub(crate) fn f32s(&mut self, values: &mut [f32]) -> Result<(), LoadError> {
        for value in values {
            *value = f32::from_le_bytes(self.take()?);
            if !value.is_finite() {
                return Err(LoadError::Field("number"));
            }
        }
        Ok(())
    }

    pub(crate) fn finish(self) -> Result<(), LoadError> {
        match self.rest.len() {
            0 => Ok(()),
            over => Err(LoadError::Length { expected: self.len - over, found: self.len }),
        }
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N], LoadError> {
        let Some((field, rest)) = self.rest.split_first_chunk() else {
            let expected = self.len - self.rest.len() + N;
            return Err(LoadError::Length { expected, found: self.len });
        };
        self.rest = rest;
        Ok(*field)
    }
}
