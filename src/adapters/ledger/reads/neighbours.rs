//! Who else is on the values of a case's two sides.

use std::collections::BTreeMap;

use super::super::history::account_of;
use super::super::rows::conversion::ConversionRow;
use super::super::rows::postings::Postings;
use super::super::tables::{AccountNumber, Tables};
use super::{Records, Shelves, View};
use crate::book::records::Neighbour;
use crate::ports::ledger::LedgerError;
use crate::screening::history::{CROWD_MAX, Identifier, identifiers};
use crate::vocabulary::bundle::SignalBundle;
use crate::vocabulary::conversion::Side;
use crate::vocabulary::ids::AccountId;

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

impl<T: Tables, R: Records, S: Shelves> View<'_, T, R, S> {
    /// As of now, the most crowded first.
    pub(super) fn neighbours(
        &self,
        referrer: &SignalBundle,
        referee: &SignalBundle,
        row: &ConversionRow,
    ) -> Result<Vec<Neighbour>, LedgerError> {
        let mut sides_of: BTreeMap<Identifier, Vec<Side>> = BTreeMap::new();
        for (side, bundle) in [(Side::Referrer, referrer), (Side::Referee, referee)] {
            for identifier in identifiers(bundle) {
                sides_of.entry(identifier).or_default().push(side);
            }
        }
        let mut shared = Vec::new();
        for (identifier, sides) in sides_of {
            let found = self.on_value(identifier, sides, row)?;
            shared.extend((found.accounts_count > 0).then_some(found));
        }
        shared.sort_by(|a, b| b.accounts_count.cmp(&a.accounts_count).then_with(|| a.identifier.cmp(&b.identifier)));
        shared.truncate(NEIGHBOURS_MAX);
        shared.into_iter().map(|shared| self.named(shared)).collect()
    }

    fn on_value(&self, identifier: Identifier, sides: Vec<Side>, row: &ConversionRow) -> Result<Shared, LedgerError> {
        let key = self.keys.value(identifier.kind, &identifier.digest);
        let (accounts_count, shown) = self.tables.read(&key, |postings| {
            let others = || {
                let accounts = Postings::of(postings).iter().map(|posting| posting.account);
                accounts.filter(|account| *account != row.referrer && *account != row.referee)
            };
            (u32::try_from(others().count()).unwrap_or(CROWD_MAX).min(CROWD_MAX), others().take(ACCOUNTS_SHOWN_MAX).collect())
        })?;
        Ok(Shared { identifier, sides, accounts_count, shown })
    }

    fn named(&self, shared: Shared) -> Result<Neighbour, LedgerError> {
        let Shared { identifier, sides, accounts_count, shown } = shared;
        let mut accounts: Vec<AccountId> = Vec::with_capacity(shown.len());
        let mut rejected_count = 0;
        for number in shown {
            let account = account_of(self.tables, self.keys, number)?;
            rejected_count += u32::from(account.stands_rejected());
            accounts.push(account.id);
        }
        accounts.sort_unstable();
        Ok(Neighbour { identifier, sides, accounts_count, accounts, rejected_count })
    }
}
