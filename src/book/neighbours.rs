//! Who else is on the values of a case's two sides.

use std::collections::BTreeMap;

use super::Book;
use super::conversions::ConversionRow;
use super::records::Neighbour;
use super::slab::AccountNumber;
use super::values::ValueKind;
use crate::screening::history::{CROWD_MAX, Identifier, identifiers};
use crate::vocabulary::bundle::SignalBundle;
use crate::vocabulary::conversion::Side;
use crate::vocabulary::ids::{AccountId, ConversionId};

/// Values shown with a case.
const NEIGHBOURS_MAX: usize = 20;
/// Accounts shown for one value.
const ACCOUNTS_SHOWN_MAX: usize = 10;

/// A value with some of the accounts on it.
struct Shared {
    identifier: Identifier,
    sides: Vec<Side>,
    accounts_count: u32,
    shown: Vec<AccountNumber>,
}

impl Book {
    /// Other accounts on the values of two sides, as of now, the most crowded value first.
    pub(crate) fn neighbours(&self, id: &ConversionId, referrer: &SignalBundle, referee: &SignalBundle) -> Vec<Neighbour> {
        let Some(row) = self.conversions.find(id, &self.hasher).map(|number| self.conversions.get(number)) else {
            return Vec::new();
        };
        let mut sides_of: BTreeMap<Identifier, Vec<Side>> = BTreeMap::new();
        for (side, bundle) in [(Side::Referrer, referrer), (Side::Referee, referee)] {
            for identifier in identifiers(bundle) {
                sides_of.entry(identifier).or_default().push(side);
            }
        }
        let mut shared: Vec<Shared> =
            sides_of.into_iter().filter_map(|(identifier, sides)| self.on_value(identifier, sides, row)).collect();
        shared.sort_by(|a, b| b.accounts_count.cmp(&a.accounts_count).then_with(|| a.identifier.cmp(&b.identifier)));
        shared.truncate(NEIGHBOURS_MAX);
        shared.into_iter().map(|shared| self.named(shared)).collect()
    }

    fn on_value(&self, identifier: Identifier, sides: Vec<Side>, row: &ConversionRow) -> Option<Shared> {
        let kind = ValueKind::Identifier(identifier.kind);
        let value = self.values.find(kind, &identifier.digest, &self.texts, &self.hasher)?;
        let others = || {
            let accounts = self.values.sightings(value).iter().map(|sighting| sighting.account);
            accounts.filter(|account| *account != row.referrer && *account != row.referee)
        };
        let accounts_count = u32::try_from(others().count()).unwrap_or(CROWD_MAX).min(CROWD_MAX);
        let shown = others().take(ACCOUNTS_SHOWN_MAX).collect();
        (accounts_count > 0).then_some(Shared { identifier, sides, accounts_count, shown })
    }

    fn named(&self, shared: Shared) -> Neighbour {
        let Shared { identifier, sides, accounts_count, shown } = shared;
        let shown = || shown.iter().map(|number| self.accounts.get(*number));
        let mut accounts: Vec<AccountId> = shown().map(|account| account.id.clone()).collect();
        accounts.sort_unstable();
        let rejected = shown().filter(|account| account.stands_rejected()).count();
        let rejected_count = u32::try_from(rejected).unwrap_or(u32::MAX);
        Neighbour { identifier, sides, accounts_count, accounts, rejected_count }
    }
}
