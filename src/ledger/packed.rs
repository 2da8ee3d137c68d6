//! Packed bytes: the alphabet of journal records and table rows. Numbers are as short as they can be, times are differences to the time
//! before, key names are written once. It knows nothing of what it carries. Called by the codecs and the rows.
//!
//! Positional on purpose: a record is read by the code of its own version (see `codec`), so no field carries a tag.

use crate::vocabulary::digest::{Digest, DigestSet, KeyId};
use crate::vocabulary::sketch::{SKETCH_BYTES, Sketch};
use crate::vocabulary::time::Timestamp;

/// The bytes are not what a writer of this version makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Damaged(pub(crate) &'static str);

/// Writes packed bytes.
#[derive(Default)]
pub(crate) struct Writer {
    bytes: Vec<u8>,
    keys: Vec<KeyId>,
    last_millis: i64,
}

impl Writer {
    pub(crate) fn with_capacity(capacity_bytes: usize) -> Self {
        Self { bytes: Vec::with_capacity(capacity_bytes), keys: Vec::new(), last_millis: 0 }
    }

    pub(crate) fn finish(self) -> Vec<u8> {
        self.bytes
    }

    pub(crate) fn u8(&mut self, value: u8) {
        self.bytes.push(value);
    }

    #[expect(clippy::cast_possible_truncation, reason = "seven bits are taken at a time")]
    pub(crate) fn u64(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.bytes.push((value as u8) | 0x80);
            value >>= 7;
        }
        self.bytes.push(value as u8);
    }

    pub(crate) fn u32(&mut self, value: u32) {
        self.u64(u64::from(value));
    }

    pub(crate) fn len(&mut self, value: usize) {
        self.u64(value as u64);
    }

    #[expect(clippy::cast_sign_loss, reason = "zigzag: the sign moves to the lowest bit")]
    pub(crate) fn i64(&mut self, value: i64) {
        self.u64(((value << 1) ^ (value >> 63)) as u64);
    }

    pub(crate) fn f64(&mut self, value: f64) {
        self.bytes.extend_from_slice(&value.to_bits().to_le_bytes());
    }

    pub(crate) fn raw(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    pub(crate) fn text(&mut self, text: &str) {
        self.len(text.len());
        self.raw(text.as_bytes());
    }

    pub(crate) fn time(&mut self, at: Timestamp) {
        let millis = at.as_millis();
        self.i64(millis - self.last_millis);
        self.last_millis = millis;
    }

    pub(crate) fn option<T>(&mut self, value: Option<T>, write: impl FnOnce(&mut Self, T)) {
        match value {
            None => self.u8(0),
            Some(value) => {
                self.u8(1);
                write(self, value);
            }
        }
    }

    pub(crate) fn list<T>(&mut self, items: &[T], mut write: impl FnMut(&mut Self, &T)) {
        self.len(items.len());
        for item in items {
            write(self, item);
        }
    }

    /// The first use of a key writes its name; later ones its number.
    pub(crate) fn key(&mut self, key: &KeyId) {
        if let Some(number) = self.keys.iter().position(|known| known == key) {
            self.len(number);
        } else {
            self.len(self.keys.len());
            self.text(key.as_str());
            self.keys.push(*key);
        }
    }

    pub(crate) fn digest(&mut self, digest: &Digest) {
        self.key(&digest.key_id);
        self.raw(&digest.value);
    }

    pub(crate) fn digests(&mut self, set: Option<&DigestSet>) {
        self.len(set.map_or(0, |set| set.iter().count()));
        for digest in set.into_iter().flat_map(DigestSet::iter) {
            self.digest(digest);
        }
    }

    pub(crate) fn sketch(&mut self, sketch: &Sketch) {
        self.key(&sketch.key_id);
        self.raw(&sketch.bits);
    }
}

/// Reads packed bytes. Never panics, whatever the bytes are.
pub(crate) struct Reader<'a> {
    bytes: &'a [u8],
    keys: Vec<KeyId>,
    last_millis: i64,
}

impl<'a> Reader<'a> {
    pub(crate) const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, keys: Vec::new(), last_millis: 0 }
    }

    /// Whether everything was read.
    pub(crate) const fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    pub(crate) fn raw(&mut self, count: usize) -> Result<&'a [u8], Damaged> {
        let (head, rest) = self.bytes.split_at_checked(count).ok_or(Damaged("it is cut short"))?;
        self.bytes = rest;
        Ok(head)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], Damaged> {
        let (head, rest) = self.bytes.split_first_chunk::<N>().ok_or(Damaged("it is cut short"))?;
        self.bytes = rest;
        Ok(*head)
    }

    pub(crate) fn u8(&mut self) -> Result<u8, Damaged> {
        self.array::<1>().map(|[byte]| byte)
    }

    pub(crate) fn u64(&mut self) -> Result<u64, Damaged> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.u8()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(Damaged("a number is too long"))
    }

    pub(crate) fn u32(&mut self) -> Result<u32, Damaged> {
        u32::try_from(self.u64()?).map_err(|_| Damaged("a number is too large"))
    }

    /// A count of things that take at least one byte each: never more than there are bytes left.
    pub(crate) fn len(&mut self) -> Result<usize, Damaged> {
        let count = usize::try_from(self.u64()?).map_err(|_| Damaged("a count is too large"))?;
        if count > self.bytes.len() { Err(Damaged("a count is too large")) } else { Ok(count) }
    }

    #[expect(clippy::cast_possible_wrap, reason = "zigzag: the lowest bit is the sign")]
    pub(crate) fn i64(&mut self) -> Result<i64, Damaged> {
        let value = self.u64()?;
        Ok((value >> 1) as i64 ^ -((value & 1) as i64))
    }

    pub(crate) fn f64(&mut self) -> Result<f64, Damaged> {
        self.array().map(|bytes| f64::from_bits(u64::from_le_bytes(bytes)))
    }

    pub(crate) fn text(&mut self) -> Result<&'a str, Damaged> {
        let length = self.len()?;
        std::str::from_utf8(self.raw(length)?).map_err(|_| Damaged("a text is not UTF-8"))
    }

    pub(crate) fn boxed_text(&mut self) -> Result<Box<str>, Damaged> {
        self.text().map(Into::into)
    }

    /// A text that must pass the constructor of its type.
    pub(crate) fn id<T, E>(&mut self, new: impl FnOnce(&str) -> Result<T, E>) -> Result<T, Damaged> {
        new(self.text()?).map_err(|_| Damaged("an identifier is not valid"))
    }

    pub(crate) fn time(&mut self) -> Result<Timestamp, Damaged> {
        let millis = self.last_millis.checked_add(self.i64()?).ok_or(Damaged("a time is out of range"))?;
        self.last_millis = millis;
        Timestamp::from_millis(millis).map_err(|_| Damaged("a time is out of range"))
    }

    pub(crate) fn option<T>(&mut self, read: impl FnOnce(&mut Self) -> Result<T, Damaged>) -> Result<Option<T>, Damaged> {
        match self.u8()? {
            0 => Ok(None),
            1 => read(self).map(Some),
            _ => Err(Damaged("a mark of presence is neither 0 nor 1")),
        }
    }

    pub(crate) fn list<T>(&mut self, mut read: impl FnMut(&mut Self) -> Result<T, Damaged>) -> Result<Vec<T>, Damaged> {
        let count = self.len()?;
        let mut items = Vec::with_capacity(count);
        for _ in 0..count {
            items.push(read(self)?);
        }
        Ok(items)
    }

    pub(crate) fn key(&mut self) -> Result<KeyId, Damaged> {
        let number = usize::try_from(self.u64()?).map_err(|_| Damaged("a key has no name"))?;
        if let Some(known) = self.keys.get(number) {
            return Ok(*known);
        }
        if number != self.keys.len() {
            return Err(Damaged("a key has no name"));
        }
        let key = self.id(KeyId::new)?;
        self.keys.push(key);
        Ok(key)
    }

    pub(crate) fn digest(&mut self) -> Result<Digest, Damaged> {
        let key_id = self.key()?;
        Ok(Digest { value: self.array()?, key_id })
    }

    pub(crate) fn digests(&mut self) -> Result<Option<DigestSet>, Damaged> {
        match self.len()? {
            0 => Ok(None),
            1 => self.digest().map(|digest| Some(DigestSet::single(digest))),
            count => {
                let digests = (0..count).map(|_| self.digest()).collect::<Result<Vec<_>, _>>()?;
                DigestSet::new(digests).map_err(|_| Damaged("digests do not make a set"))
            }
        }
    }

    pub(crate) fn sketch(&mut self) -> Result<Sketch, Damaged> {
        let key_id = self.key()?;
        Ok(Sketch { key_id, bits: self.array::<SKETCH_BYTES>()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_times_come_back() {
        let mut writer = Writer::default();
        let times = [1_790_000_000_000, 1_790_000_000_123, 1_789_000_000_000].map(Timestamp::saturating_from_millis);
        for value in [0, 127, 128, u64::from(u32::MAX), u64::MAX] {
            writer.u64(value);
        }
        for value in [0, -1, 1, i64::MIN, i64::MAX] {
            writer.i64(value);
        }
        for at in times {
            writer.time(at);
        }
        let bytes = writer.finish();
        let mut reader = Reader::new(&bytes);
        for value in [0, 127, 128, u64::from(u32::MAX), u64::MAX] {
            assert_eq!(reader.u64(), Ok(value));
        }
        for value in [0, -1, 1, i64::MIN, i64::MAX] {
            assert_eq!(reader.i64(), Ok(value));
        }
        for at in times {
            assert_eq!(reader.time(), Ok(at));
        }
        assert!(reader.is_empty());
    }

    #[test]
    fn a_key_is_named_once() {
        let key = KeyId::new("a-rather-long-key-name").unwrap();
        let digest = |byte| Digest { value: [byte; 32], key_id: key };
        let mut writer = Writer::default();
        writer.digest(&digest(1));
        let first = writer.bytes.len();
        writer.digest(&digest(2));
        assert_eq!(writer.bytes.len() - first, 33);
        let bytes = writer.finish();
        let mut reader = Reader::new(&bytes);
        assert_eq!((reader.digest(), reader.digest()), (Ok(digest(1)), Ok(digest(2))));
    }

    #[test]
    fn a_count_beyond_the_bytes_is_damage_and_not_a_huge_allocation() {
        let mut writer = Writer::default();
        writer.u64(u64::from(u32::MAX));
        let bytes = writer.finish();
        assert!(Reader::new(&bytes).list(Reader::u8).is_err());
    }
}
