//! Who else is on the values of an account, or of a case's two sides.

use std::collections::BTreeMap;

use super::Book;
use super::records::Neighbour;
use super::slab::AccountNumber;
use super::values::{Sightings, ValueKind};
use crate::screening::history::{CROWD_MAX, Crowd, Identifier, identifiers};
use crate::screening::match_weight;
use crate::vocabulary::bundle::SignalBundle;
use crate::vocabulary::conversion::Side;
use crate::vocabulary::ids::{AccountId, ConversionId};
use crate::vocabulary::time::Span;

/// Values shown with a case.
const NEIGHBOURS_MAX: usize = 20;
/// Accounts shown for one value.
const ACCOUNTS_SHOWN_MAX: usize = 10;

impl Neighbour {
    /// The order in which a person reads them: what fewest strangers have first.
    pub(super) fn rarest_first(&self, other: &Self) -> std::cmp::Ordering {
        other.one_of_strangers.total_cmp(&self.one_of_strangers).then_with(|| self.identifier.cmp(&other.identifier))
    }
}

impl Book {
    /// Other accounts on the values of two sides, as of now, the rarest value first.
    pub(crate) fn neighbours(&self, id: &ConversionId, referrer: &SignalBundle, referee: &SignalBundle) -> Vec<Neighbour> {
        let Some((_, row)) = self.row(id) else { return Vec::new() };
        let mut sides_of: BTreeMap<Identifier, Vec<Side>> = BTreeMap::new();
        for (side, bundle) in [(Side::Referrer, referrer), (Side::Referee, referee)] {
            for identifier in identifiers(bundle) {
                sides_of.entry(identifier).or_default().push(side);
            }
        }
        let own = [row.referrer, row.referee];
        let mut shared: Vec<Neighbour> =
            sides_of.into_iter().filter_map(|(identifier, sides)| self.on_value(identifier, sides, own)).collect();
        shared.sort_by(Neighbour::rarest_first);
        shared.truncate(NEIGHBOURS_MAX);
        shared
    }

    /// Who is on a value beside one or two accounts; `None` when nobody is.
    pub(super) fn on_value(&self, identifier: Identifier, sides: Vec<Side>, own: [AccountNumber; 2]) -> Option<Neighbour> {
        let kind = ValueKind::Identifier(identifier.kind);
        let sightings = self.values.sightings(self.values.find(kind, &identifier.digest, &self.texts, &self.hasher)?);
        let others = || sightings.iter().map(|sighting| sighting.account).filter(|account| !own.contains(account));
        let accounts_count = u32::try_from(others().count()).unwrap_or(CROWD_MAX).min(CROWD_MAX);
        if accounts_count == 0 {
            return None;
        }
        let shown = || others().take(ACCOUNTS_SHOWN_MAX).map(|number| self.accounts.get(number));
        let mut accounts: Vec<AccountId> = shown().map(|account| account.id.clone()).collect();
        accounts.sort_unstable();
        let rejected_count = u32::try_from(shown().filter(|account| account.stands_rejected()).count()).unwrap_or(u32::MAX);
        let one_of_strangers = self.one_of_strangers(&identifier, sightings, own);
        Some(Neighbour { identifier, sides, accounts_count, accounts, rejected_count, one_of_strangers })
    }

    /// One of how many strangers has a value, by how many persons beside these accounts do.
    fn one_of_strangers(&self, identifier: &Identifier, sightings: Sightings<'_>, own: [AccountNumber; 2]) -> f64 {
        let own = own.map(|number| self.accounts.ring_root(number));
        let mut persons: Vec<AccountNumber> = sightings
            .iter()
            .map(|sighting| self.accounts.ring_root(sighting.account))
            .filter(|root| !own.contains(root))
            .collect();
        persons.sort_unstable();
        persons.dedup();
        let persons_ever = u32::try_from(persons.len()).unwrap_or(CROWD_MAX);
        let crowd = Crowd { persons_ever, ..Crowd::default() };
        let bits = match_weight::of_shared(identifier.kind, crowd, self.accounts.in_referrals(), Span::ZERO);
        match_weight::one_of_strangers(identifier.kind, bits)
    }
}
