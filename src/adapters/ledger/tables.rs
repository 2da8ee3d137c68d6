//! Tables: bytes to bytes, and the keys of every kind of row. Rows are derived from events and can always be made again. Called by the
//! fold, which writes, and by everything that reads.

use std::collections::HashMap;

use smallvec::SmallVec;

use super::codec::numbers;
use crate::ports::ledger::LedgerError;
use crate::screening::history::IdentifierKind;
use crate::vocabulary::conversion::ConversionKind;
use crate::vocabulary::digest::Digest;
use crate::vocabulary::ids::{AccountId, ConversionId, InvoiceId, RecordId, RewardId};

/// The number of a programme inside one ledger. Starts at 1.
pub(super) type ProgramNumber = u32;
/// The number of an account inside one programme. Starts at 1.
pub(super) type AccountNumber = u32;

/// A key. Small ones need no allocation.
pub(super) type Key = SmallVec<[u8; 64]>;

/// Reads rows.
pub(super) trait Tables {
    /// Looks at a row; `None` when there is none.
    fn read<R>(&self, key: &[u8], look: impl FnOnce(Option<&[u8]>) -> R) -> Result<R, LedgerError>;
}

/// Writes rows.
pub(super) trait WriteTables: Tables {
    /// Sets a row.
    fn put(&mut self, key: &[u8], value: &[u8]) -> Result<(), LedgerError>;
}

/// Tables in memory.
#[derive(Debug, Default)]
pub(super) struct MemoryTables {
    rows: HashMap<Box<[u8]>, Box<[u8]>, foldhash::fast::RandomState>,
}

impl Tables for MemoryTables {
    fn read<R>(&self, key: &[u8], look: impl FnOnce(Option<&[u8]>) -> R) -> Result<R, LedgerError> {
        Ok(look(self.rows.get(key).map(|row| &**row)))
    }
}

impl WriteTables for MemoryTables {
    fn put(&mut self, key: &[u8], value: &[u8]) -> Result<(), LedgerError> {
        match self.rows.get_mut(key) {
            Some(row) if row.len() == value.len() => row.copy_from_slice(value),
            Some(row) => *row = value.into(),
            None => {
                self.rows.insert(key.into(), value.into());
            }
        }
        Ok(())
    }
}

/// What a row is about: the byte after the programme's number. Frozen within one layout of the tables.
#[derive(Debug, Clone, Copy)]
#[repr(u8)]
enum Table {
    Meta = b'M',
    AccountNumber = b'a',
    Account = b'A',
    AccountConversions = b'w',
    AccountPaid = b'q',
    AccountTrail = b't',
    Profile = b'p',
    RecentReferrals = b'r',
    Referral = b'f',
    Pattern = b'g',
    Value = b'v',
    Conversion = b'c',
    CaseLine = b'k',
    Invoice = b'n',
    WithoutInvoice = b'm',
    Record = b's',
    Outcome = b'o',
    PaidReward = b'y',
    Listed = b'l',
}

/// Builds the keys of one programme.
#[derive(Debug, Clone, Copy)]
pub(super) struct Keys(pub(super) ProgramNumber);

impl Keys {
    fn key(self, table: Table) -> Key {
        let mut key = Key::new();
        key.extend_from_slice(&self.0.to_be_bytes());
        key.push(table as u8);
        key
    }

    /// Whether a key is that of a value.
    pub(super) fn is_value(key: &[u8]) -> bool {
        key.get(4) == Some(&(Table::Value as u8))
    }

    fn text(self, table: Table, text: &str) -> Key {
        let mut key = self.key(table);
        key.extend_from_slice(text.as_bytes());
        key
    }

    fn number(self, table: Table, number: AccountNumber) -> Key {
        let mut key = self.key(table);
        key.extend_from_slice(&number.to_be_bytes());
        key
    }

    fn pair(self, table: Table, first: AccountNumber, second: u32) -> Key {
        let mut key = self.number(table, first);
        key.extend_from_slice(&second.to_be_bytes());
        key
    }

    /// The programme's totals.
    pub(super) fn meta(self) -> Key {
        self.key(Table::Meta)
    }

    /// An account's number by its id.
    pub(super) fn account_number(self, id: &AccountId) -> Key {
        self.text(Table::AccountNumber, id.as_str())
    }

    /// An account's counters.
    pub(super) fn account(self, number: AccountNumber) -> Key {
        self.number(Table::Account, number)
    }

    /// A part of the list of an account's conversions.
    pub(super) fn account_conversions(self, number: AccountNumber, part: u32) -> Key {
        self.pair(Table::AccountConversions, number, part)
    }

    /// A part of the list of an account's paid conversions.
    pub(super) fn account_paid(self, number: AccountNumber, part: u32) -> Key {
        self.pair(Table::AccountPaid, number, part)
    }

    /// The records that changed an account as a whole: holds and bans.
    pub(super) fn account_trail(self, number: AccountNumber) -> Key {
        self.number(Table::AccountTrail, number)
    }

    /// An account's merged signals.
    pub(super) fn profile(self, number: AccountNumber) -> Key {
        self.number(Table::Profile, number)
    }

    /// When a referrer brought new users.
    pub(super) fn recent_referrals(self, number: AccountNumber) -> Key {
        self.number(Table::RecentReferrals, number)
    }

    /// The counters of one referral.
    pub(super) fn referral(self, referrer: AccountNumber, referee: AccountNumber) -> Key {
        self.pair(Table::Referral, referrer, referee)
    }

    /// Referees of a referrer with an e-mail pattern.
    pub(super) fn pattern(self, referrer: AccountNumber, pattern: &Digest) -> Key {
        let mut key = self.number(Table::Pattern, referrer);
        push_digest(&mut key, pattern);
        key
    }

    /// Accounts on a value.
    pub(super) fn value(self, kind: IdentifierKind, digest: &Digest) -> Key {
        let mut key = self.key(Table::Value);
        key.push(numbers::identifier_kind(kind));
        push_digest(&mut key, digest);
        key
    }

    /// Where a conversion stands.
    pub(super) fn conversion(self, id: &ConversionId) -> Key {
        self.text(Table::Conversion, id.as_str())
    }

    /// A case's line in the queue.
    pub(super) fn case_line(self, id: &ConversionId) -> Key {
        self.text(Table::CaseLine, id.as_str())
    }

    /// The first conversion of a referee with an invoice.
    pub(super) fn invoice(self, referee: AccountNumber, invoice: &InvoiceId) -> Key {
        let mut key = self.number(Table::Invoice, referee);
        key.extend_from_slice(invoice.as_str().as_bytes());
        key
    }

    /// The last conversion of a referee of a kind without an invoice.
    pub(super) fn without_invoice(self, referee: AccountNumber, kind: ConversionKind) -> Key {
        let mut key = self.number(Table::WithoutInvoice, referee);
        key.push(numbers::conversion_kind(kind));
        key
    }

    /// A batch of signals by its id.
    pub(super) fn record(self, id: &RecordId) -> Key {
        self.text(Table::Record, id.as_str())
    }

    /// An outcome by its id.
    pub(super) fn outcome(self, id: &RecordId) -> Key {
        self.text(Table::Outcome, id.as_str())
    }

    /// The payment of a reward.
    pub(super) fn paid_reward(self, id: &RewardId) -> Key {
        self.text(Table::PaidReward, id.as_str())
    }

    /// List entries of an account.
    pub(super) fn listed_account(self, id: &AccountId) -> Key {
        let mut key = self.key(Table::Listed);
        key.push(0);
        key.extend_from_slice(id.as_str().as_bytes());
        key
    }

    /// List entries of a value.
    pub(super) fn listed_value(self, kind: IdentifierKind, digest: &Digest) -> Key {
        let mut key = self.key(Table::Listed);
        key.push(numbers::identifier_kind(kind));
        push_digest(&mut key, digest);
        key
    }
}

/// The whole digest and the name of its key, so that two values never share a row.
fn push_digest(key: &mut Key, digest: &Digest) {
    key.extend_from_slice(&digest.value);
    key.extend_from_slice(digest.key_id.as_bytes());
}
