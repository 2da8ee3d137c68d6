//! Rows of numbers, side by side: accounts on a value with the time they were last seen, accounts with a pattern, times of referrals,
//! places in the journal. Fixed width, so that they are searched without being unpacked.

use super::super::tables::AccountNumber;
use crate::screening::history::{CROWD_MAX, Crowd, RECENT_REFERRALS_MAX, RING_VALUE_ACCOUNTS_MAX};
use crate::vocabulary::time::{Span, Timestamp};

/// Accounts kept on one value: so many that a crowd still saturates when the two sides are left out.
const POSTINGS_MAX: usize = CROWD_MAX as usize + 2;
/// A full row whose accounts were all seen within this time is left as it is: whoever comes, its counts saturate, now and until the next
/// sighting after it. Seconds; half of the shortest time that is counted. A free-mail domain would otherwise be rewritten by each conversion.
const SATURATED_FOR_SECONDS: u32 = 12 * 3_600;
/// Referees kept for one pattern of one referrer.
const PATTERN_REFEREES_MAX: usize = 64;

const POSTING_BYTES: usize = 8;

/// One account on a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) struct Posting {
    pub(in super::super) account: AccountNumber,
    /// Seconds since 1970.
    pub(in super::super) last_seen: u32,
}

/// The accounts on a value.
#[derive(Debug, Clone, Copy)]
pub(in super::super) struct Postings<'a>(&'a [[u8; POSTING_BYTES]]);

impl<'a> Postings<'a> {
    pub(in super::super) fn of(row: Option<&'a [u8]>) -> Self {
        Self(row.unwrap_or_default().as_chunks().0)
    }

    pub(in super::super) fn iter(self) -> impl Iterator<Item = Posting> + 'a {
        self.0.iter().map(|[a, b, c, d, e, f, g, h]| Posting {
            account: u32::from_le_bytes([*a, *b, *c, *d]),
            last_seen: u32::from_le_bytes([*e, *f, *g, *h]),
        })
    }

    /// How many accounts are on it beside the two sides, as of a time. A sighting that is later than that time counts as recent: which
    /// earlier ones the account had is not kept.
    pub(in super::super) fn crowd_beside(self, sides: [Option<AccountNumber>; 2], as_of: Timestamp) -> Crowd {
        let month = as_of.minus(Span::from_days(30)).as_index_seconds();
        let day = as_of.minus(Span::from_hours(24)).as_index_seconds();
        // Account numbers start at 1. Sums and no branches: a crowded value has a thousand postings.
        let [one, other] = sides.map(|side| side.unwrap_or(0));
        let mut crowd = Crowd::default();
        for Posting { account, last_seen } in self.iter() {
            let counts = u32::from(account != one && account != other);
            crowd.accounts_ever += counts;
            crowd.accounts_30d += counts & u32::from(last_seen >= month);
            crowd.accounts_24h += counts & u32::from(last_seen >= day);
        }
        Crowd {
            accounts_ever: crowd.accounts_ever.min(CROWD_MAX),
            accounts_30d: crowd.accounts_30d.min(CROWD_MAX),
            accounts_24h: crowd.accounts_24h.min(CROWD_MAX),
        }
    }

    /// Whether it is full, and no account in it was last seen more than [`SATURATED_FOR_SECONDS`] before a time in seconds since 1970.
    fn saturated_at(self, at: u32) -> bool {
        let from = at.saturating_sub(SATURATED_FOR_SECONDS);
        self.0.len() >= POSTINGS_MAX && self.iter().map(|posting| posting.last_seen).min() >= Some(from)
    }

    /// The accounts that a strong value ties together; none when it is on too many to be an identity.
    pub(in super::super) fn tied(self) -> impl Iterator<Item = AccountNumber> + 'a {
        let ties = self.0.len() <= RING_VALUE_ACCOUNTS_MAX as usize;
        self.iter().take(if ties { self.0.len() } else { 0 }).map(|posting| posting.account)
    }
}

/// The row after an account was seen on the value; `None` when it stays as it is. A full row forgets the account seen longest ago, and is
/// left alone while all of it is recent.
pub(in super::super) fn with_sighting(row: Option<&[u8]>, seen: Posting) -> Option<Vec<u8>> {
    let row = row.unwrap_or_default();
    let postings = Postings::of(Some(row));
    if postings.saturated_at(seen.last_seen) {
        return None;
    }
    let mut known = None;
    let mut oldest = (u32::MAX, 0);
    for (place, posting) in postings.iter().enumerate() {
        if posting.account == seen.account {
            known = Some((place, posting.last_seen));
            break;
        }
        if posting.last_seen < oldest.0 {
            oldest = (posting.last_seen, place);
        }
    }
    let place = match known {
        Some((_, last_seen)) if last_seen >= seen.last_seen => return None,
        Some((place, _)) => place,
        None if postings.0.len() < POSTINGS_MAX => postings.0.len(),
        None if oldest.0 > seen.last_seen => return None,
        None => oldest.1,
    };
    let mut changed = Vec::with_capacity(row.len() + POSTING_BYTES);
    changed.extend_from_slice(row);
    changed.resize(changed.len().max((place + 1) * POSTING_BYTES), 0);
    if let Some(slot) = changed.get_mut(place * POSTING_BYTES..(place + 1) * POSTING_BYTES) {
        slot[..4].copy_from_slice(&seen.account.to_le_bytes());
        slot[4..].copy_from_slice(&seen.last_seen.to_le_bytes());
    }
    Some(changed)
}

/// The account numbers of a pattern row.
pub(in super::super) fn numbers(row: Option<&[u8]>) -> impl Iterator<Item = AccountNumber> {
    row.unwrap_or_default().as_chunks::<4>().0.iter().map(|bytes| u32::from_le_bytes(*bytes))
}

/// The pattern row with one more referee; `None` when it is there or the row is full.
pub(in super::super) fn with_number(row: Option<&[u8]>, number: AccountNumber) -> Option<Vec<u8>> {
    if numbers(row).any(|known| known == number) || numbers(row).count() >= PATTERN_REFEREES_MAX {
        return None;
    }
    let mut changed = row.unwrap_or_default().to_vec();
    changed.extend_from_slice(&number.to_le_bytes());
    Some(changed)
}

/// The places of a row of places.
pub(in super::super) fn places(row: Option<&[u8]>) -> impl DoubleEndedIterator<Item = u64> {
    row.unwrap_or_default().as_chunks::<8>().0.iter().map(|bytes| u64::from_le_bytes(*bytes))
}

/// The row of places with one more at its end.
pub(in super::super) fn with_place(row: Option<&[u8]>, place: u64) -> Vec<u8> {
    let row = row.unwrap_or_default();
    let mut changed = Vec::with_capacity(row.len() + 8);
    changed.extend_from_slice(row);
    changed.extend_from_slice(&place.to_le_bytes());
    changed
}

/// The times of a row of referrals.
#[expect(clippy::cast_possible_wrap, reason = "times are below 2^43 milliseconds")]
pub(in super::super) fn times(row: Option<&[u8]>) -> Vec<Timestamp> {
    places(row).map(|millis| Timestamp::saturating_from_millis(millis as i64)).collect()
}

/// The row of referrals with one more; a full row forgets the one that came first.
#[expect(clippy::cast_sign_loss, reason = "times are positive")]
pub(in super::super) fn with_time(row: Option<&[u8]>, at: Timestamp) -> Vec<u8> {
    let row = row.unwrap_or_default();
    let full = row.len() >= RECENT_REFERRALS_MAX * 8;
    with_place(Some(if full { row.get(8..).unwrap_or_default() } else { row }), at.as_millis() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row_of(accounts: std::ops::RangeInclusive<u32>, last_seen: u32) -> Option<Vec<u8>> {
        accounts.fold(None, |row: Option<Vec<u8>>, account| with_sighting(row.as_deref(), Posting { account, last_seen }).or(row))
    }

    #[test]
    fn an_account_counts_once_however_often_it_is_seen() {
        let row = row_of(1..=3, 1_790_000_000).unwrap();
        assert_eq!(with_sighting(Some(&row), Posting { account: 2, last_seen: 1_790_000_000 }), None);
        let later = with_sighting(Some(&row), Posting { account: 2, last_seen: 1_790_000_100 }).unwrap();
        assert_eq!(later.len(), row.len());
    }

    #[test]
    fn the_two_sides_are_no_crowd() {
        let as_of = Timestamp::saturating_from_millis(1_790_000_000_000);
        let row = row_of(1..=3, 1_789_999_000).unwrap();
        let crowd = Postings::of(Some(&row)).crowd_beside([Some(1), Some(2)], as_of);
        assert_eq!((crowd.accounts_ever, crowd.accounts_30d, crowd.accounts_24h), (1, 1, 1));
    }

    #[test]
    fn a_crowd_saturates_and_its_row_stays_bounded() {
        let as_of = Timestamp::saturating_from_millis(1_790_000_000_000);
        let row = row_of(1..=3_000, 1_780_000_000).unwrap();
        assert_eq!(row.len(), POSTINGS_MAX * POSTING_BYTES);
        let crowd = Postings::of(Some(&row)).crowd_beside([Some(2_999), Some(3_000)], as_of);
        assert_eq!((crowd.accounts_ever, crowd.accounts_30d), (CROWD_MAX, 0));
    }

    #[test]
    fn a_saturated_row_stays_as_it_is_until_some_of_it_is_half_a_day_old() {
        let full = u32::try_from(POSTINGS_MAX).unwrap();
        let row = row_of(1..=full, 1_790_000_000).unwrap();
        for account in [7, full + 1] {
            let seen_after = |seconds| with_sighting(Some(&row), Posting { account, last_seen: 1_790_000_000 + seconds });
            assert_eq!(seen_after(SATURATED_FOR_SECONDS), None);
            assert!(seen_after(SATURATED_FOR_SECONDS + 1).is_some());
        }
        let not_full = row_of(1..=full - 1, 1_790_000_000).unwrap();
        assert!(with_sighting(Some(&not_full), Posting { account: 7, last_seen: 1_790_000_001 }).is_some());
        let as_of = Timestamp::saturating_from_millis((1_790_000_000 + i64::from(SATURATED_FOR_SECONDS)) * 1_000);
        let crowd = Postings::of(Some(&row)).crowd_beside([None, Some(7)], as_of);
        assert_eq!(crowd.accounts_24h, CROWD_MAX, "what was not written would not have counted more");
    }

    #[test]
    fn a_kiosk_ties_nobody() {
        let tied = |accounts| Postings::of(row_of(1..=accounts, 1).as_deref()).tied().count();
        assert_eq!(tied(RING_VALUE_ACCOUNTS_MAX), RING_VALUE_ACCOUNTS_MAX as usize);
        assert_eq!(tied(RING_VALUE_ACCOUNTS_MAX + 1), 0);
    }
}
