//! A pack as bytes: signals in the alphabet of journal records, then which of their values nobody else was seen on. Its mark is the hash of the bytes, so
//! that what is read is what was meant, or nothing.

use std::num::NonZeroU32;

use crate::book::cold::{Mark, Pack, SeenAlone, values_of};
use crate::book::{AccountNumber, Number, ValueNumber};
use crate::ledger::codec::bundle;
use crate::ledger::packed::{Damaged, Reader, Writer};
use crate::vocabulary::digest::Digest;

/// How the keys of packs begin.
pub(super) const PACKS: &[u8] = b"p";

/// The key of a pack. Packs are in the order of their accounts.
pub(super) fn key(account: AccountNumber, mark: Mark) -> Vec<u8> {
    [PACKS, &account.get().get().to_be_bytes(), &mark.0.to_be_bytes()].concat()
}

/// The account and the mark in a key.
pub(super) fn of_key(key: &[u8]) -> Option<(AccountNumber, Mark)> {
    let (account, mark) = key.strip_prefix(PACKS)?.split_first_chunk::<4>()?;
    let account = AccountNumber::of(NonZeroU32::new(u32::from_be_bytes(*account))?);
    Some((account, Mark(u64::from_be_bytes(mark.try_into().ok()?))))
}

/// The mark of a pack's bytes.
pub(super) fn mark_of(bytes: &[u8]) -> Mark {
    let mut mark = [0; 8];
    blake3::Hasher::new().update(bytes).finalize_xof().fill(&mut mark);
    Mark(u64::from_be_bytes(mark))
}

pub(super) fn encode(pack: &Pack) -> Vec<u8> {
    let Pack { account: _, signals, alone } = pack;
    let mut w = Writer::with_capacity(1024);
    bundle::write(&mut w, signals);
    let values = values_of(signals);
    w.list(alone, |w, SeenAlone { number, kind, digest, last_seen }| {
        w.len(values.binary_search(&(*kind, digest)).unwrap_or(usize::MAX));
        w.u32(number.get().get());
        w.u32(*last_seen);
    });
    w.finish()
}

pub(super) fn decode(account: AccountNumber, bytes: &[u8]) -> Result<Pack, Damaged> {
    let r = &mut Reader::new(bytes);
    let signals = bundle::read(r)?;
    let values = values_of(&signals);
    let alone = r.list(|r| {
        let place = usize::try_from(r.u64()?).unwrap_or(usize::MAX);
        let (kind, digest) = values.get(place).ok_or(Damaged("it names a value that it does not hold"))?;
        let number = NonZeroU32::new(r.u32()?).map(ValueNumber::of).ok_or(Damaged("a value has no number"))?;
        Ok(SeenAlone { number, kind: *kind, digest: Digest::clone(digest), last_seen: r.u32()? })
    })?;
    drop(values);
    if r.is_empty() { Ok(Pack { account, signals, alone }) } else { Err(Damaged("it is longer than its content")) }
}
