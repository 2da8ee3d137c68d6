//! One record of a table to one `SignalBundle` in the API's JSON form, such as the server takes it, or every reason why not. Used by
//! `selfsame digest`.

use serde_json::{Map, Value};

use super::columns::{Column, RawRow};
use super::digester::Digester;
use super::domains::DomainRules;
use super::email::InvalidEmail;
use super::identifier::InvalidIdentifier;
use super::json::{PaymentLabels, device_json, email_json, name_json, network_json, payment_json, payment_kind_of, purpose_of};
use super::name::InvalidName;
use super::network::InvalidNetworkAddress;
use super::payment::InvalidPayment;
use super::placeholders::is_placeholder;
use super::pseudonyms::{
    digest_device, digest_email_by, digest_name, digest_networks, digest_payment_of_kind, digest_plus_folded,
};
use crate::vocabulary::bundle::{
    ATTRIBUTE_BYTES_MAX, ENVIRONMENTS_MAX, IDENTITIES_MAX, PAYMENTS_MAX, PaymentKind, PaymentPurpose, USER_AGENT_BYTES_MAX,
};
use crate::vocabulary::ids::{AccountId, InvalidId};

/// What holds for every row of a table.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RowSettings {
    /// What is known of e-mail domains.
    pub domains: DomainRules,
    /// The kind of instruments where neither a cell nor the column's name says one.
    pub payment_kind: Option<PaymentKind>,
    /// The purpose of instruments where no cell says one.
    pub payment_purpose: Option<PaymentPurpose>,
    /// Whether a row needs an account id.
    pub account_ids: AccountIds,
    /// Whether the digest of the plus-folded address is written.
    pub plus_folded: PlusFolded,
}

/// Whether a row needs an account id. The server takes no bundle without one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum AccountIds {
    /// A row without one is refused.
    #[default]
    Required,
    /// The caller adds them later.
    AddedLater,
}

/// Whether `plusFolded` is written beside an e-mail's other digests. The API of this release does not take it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum PlusFolded {
    /// It is not.
    #[default]
    LeftOut,
    /// It is, where there is one.
    Written,
}

/// A row that was digested.
#[derive(Debug, Clone, PartialEq)]
pub struct DigestedRow {
    /// The `SignalBundle`.
    pub bundle: Value,
    /// What was changed or left out of plain attributes, with the column. Never shows a cell.
    pub warnings: Vec<String>,
}

/// A cell that does not hold what its column says, or that is missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{column}: {reason}")]
pub struct InvalidCell {
    /// The column.
    pub column: Column,
    /// What is wrong with the cell. Never shows it.
    pub reason: UnreadableCell,
}

/// What is wrong with a cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UnreadableCell {
    /// Not an e-mail address.
    #[error(transparent)]
    Email(#[from] InvalidEmail),
    /// Not a name.
    #[error(transparent)]
    Name(#[from] InvalidName),
    /// Not an identifier.
    #[error(transparent)]
    Identifier(#[from] InvalidIdentifier),
    /// Not a network address.
    #[error(transparent)]
    Network(#[from] InvalidNetworkAddress),
    /// Not a payment instrument.
    #[error(transparent)]
    Payment(#[from] InvalidPayment),
    /// Not an account id.
    #[error(transparent)]
    AccountId(InvalidId),
    /// An account id that stands for nobody.
    #[error("is a placeholder, not an account id; leave such rows out")]
    PlaceholderAccount,
    /// No account id.
    #[error(
        "is missing, and the server takes no bundle without it; fill the column, or say --without-accounts and add the ids yourself"
    )]
    NoAccountId,
    /// No kind.
    #[error(
        "is missing, and the server takes no payment without it; fill the column, say --payment-kind, or name the column `card`, `iban` or `paypal`"
    )]
    NoPaymentKind,
    /// No purpose.
    #[error("is missing, and the server takes no payment without it; fill the column, or say --payment-purpose")]
    NoPaymentPurpose,
    /// Not one of the words that the column takes.
    #[error("is none of {0}")]
    UnknownWord(&'static str),
    /// Neither one for all nor one for each instrument.
    #[error("holds {found} values for {payments} payments; give one for all, or one for each")]
    Unpaired {
        /// How many stand in the column.
        found: usize,
        /// How many instruments the row has.
        payments: usize,
    },
    /// Not a country.
    #[error("is not two letters of ISO 3166-1, like `DE`")]
    Country,
    /// More than a bundle may hold.
    #[error("gives {found} entries of the bundle; the server takes at most {max}")]
    TooMany {
        /// How many the row gives.
        found: usize,
        /// How many are taken.
        max: usize,
    },
}

/// The words of the column `payment_kind`, as messages list them.
pub(super) const KIND_WORDS: &str = "`CARD`, `SEPA`, `PAYPAL`, `BANK_ACCOUNT`, `WALLET`, `OTHER`";
/// The words of the column `payment_purpose`.
pub(super) const PURPOSE_WORDS: &str = "`BILLING`, `PAYOUT`";

/// The row as a `SignalBundle`: every e-mail, name, address and instrument of it, and one device.
///
/// # Errors
/// Every [`InvalidCell`] of the row, in the order of the columns; nothing of such a row is digested.
pub fn digest_row(digester: &Digester, settings: &RowSettings, row: &RawRow) -> Result<DigestedRow, Vec<InvalidCell>> {
    let mut reading = Reading { digester, settings, row, faults: Vec::new(), warnings: Vec::new() };
    let mut bundle = Map::new();
    if let Some(account) = reading.account_id() {
        bundle.insert("accountId".to_owned(), account.as_str().into());
    }
    for (field, column, max, messages) in [
        ("emails", Column::Email, IDENTITIES_MAX, reading.emails()),
        ("names", Column::Name, IDENTITIES_MAX, reading.names()),
        ("devices", Column::Device, ENVIRONMENTS_MAX, reading.device()),
        ("networks", Column::Ip, ENVIRONMENTS_MAX, reading.networks()),
        ("payments", Column::Payment, PAYMENTS_MAX, reading.payments()),
    ] {
        if messages.len() > max {
            reading.fault(column, UnreadableCell::TooMany { found: messages.len(), max });
        }
        if !messages.is_empty() {
            bundle.insert(field.to_owned(), Value::Array(messages));
        }
    }
    let Reading { mut faults, warnings, .. } = reading;
    faults.sort_by_key(|fault| fault.column);
    if faults.is_empty() { Ok(DigestedRow { bundle: Value::Object(bundle), warnings }) } else { Err(faults) }
}

/// A row that is being digested.
struct Reading<'a> {
    digester: &'a Digester,
    settings: &'a RowSettings,
    row: &'a RawRow,
    faults: Vec<InvalidCell>,
    warnings: Vec<String>,
}

impl Reading<'_> {
    fn fault(&mut self, column: Column, reason: impl Into<UnreadableCell>) {
        self.faults.push(InvalidCell { column, reason: reason.into() });
    }

    fn kept<T, E: Into<UnreadableCell>>(&mut self, column: Column, found: Result<T, E>) -> Option<T> {
        found.map_err(|reason| self.fault(column, reason)).ok()
    }

    fn account_id(&mut self) -> Option<AccountId> {
        let Some(typed) = self.row.first(Column::AccountId).map(str::trim) else {
            if self.settings.account_ids == AccountIds::Required {
                self.fault(Column::AccountId, UnreadableCell::NoAccountId);
            }
            return None;
        };
        if is_placeholder(typed) {
            self.fault(Column::AccountId, UnreadableCell::PlaceholderAccount);
            return None;
        }
        let account = AccountId::new(typed).map_err(UnreadableCell::AccountId);
        self.kept(Column::AccountId, account)
    }

    fn emails(&mut self) -> Vec<Value> {
        let (row, rules) = (self.row, &self.settings.domains);
        let mut messages = Vec::new();
        for typed in row.all(Column::Email) {
            let plus_folded = match self.settings.plus_folded {
                PlusFolded::LeftOut => Ok(None),
                PlusFolded::Written => digest_plus_folded(self.digester, rules, typed),
            };
            let found = digest_email_by(self.digester, rules, typed);
            let found = found.and_then(|email| plus_folded.map(|plus| email_json(&email, plus.as_ref())));
            messages.extend(self.kept(Column::Email, found));
        }
        messages
    }

    fn names(&mut self) -> Vec<Value> {
        let row = self.row;
        let mut messages = Vec::new();
        for typed in row.all(Column::Name) {
            let found = digest_name(self.digester, typed).map(|name| name_json(&name));
            messages.extend(self.kept(Column::Name, found));
        }
        // A placeholder beside a name is left to neither: `Jane` `N/A` is not a person of two names.
        let mut parts = Vec::new();
        for column in [Column::GivenName, Column::FamilyName] {
            for typed in row.all(column) {
                if is_placeholder(typed) && !typed.trim().chars().all(char::is_alphabetic) {
                    self.fault(column, InvalidName::Placeholder);
                }
                parts.push(typed);
            }
        }
        if !parts.is_empty() {
            let found = digest_name(self.digester, &parts.join(" ")).map(|name| name_json(&name));
            let column = if row.first(Column::FamilyName).is_some() { Column::FamilyName } else { Column::GivenName };
            messages.extend(self.kept(column, found));
        }
        messages
    }

    fn networks(&mut self) -> Vec<Value> {
        let row = self.row;
        let mut messages = Vec::new();
        for typed in row.all(Column::Ip) {
            let found = self.kept(Column::Ip, digest_networks(self.digester, typed));
            messages.extend(found.iter().flatten().map(network_json));
        }
        messages
    }

    fn device(&mut self) -> Vec<Value> {
        let (fingerprint, browser) = (self.row.first(Column::Device), self.row.first(Column::Browser));
        // One at a time, so that a fault names its own column.
        self.kept(Column::Device, digest_device(self.digester, fingerprint, None));
        self.kept(Column::Browser, digest_device(self.digester, None, browser));
        let Ok(mut device) = digest_device(self.digester, fingerprint, browser) else { return Vec::new() };
        device.user_agent = self.plain(Column::UserAgent, USER_AGENT_BYTES_MAX);
        device.platform = self.plain(Column::Platform, ATTRIBUTE_BYTES_MAX);
        device.time_zone = self.plain(Column::TimeZone, ATTRIBUTE_BYTES_MAX);
        let message = device_json(&device);
        if message.as_object().is_some_and(|fields| !fields.is_empty()) { vec![message] } else { Vec::new() }
    }

    /// A plain attribute such as the server takes it. It says little, so that what is wrong with it is mended and told, and never
    /// costs the row.
    fn plain(&mut self, column: Column, bytes_max: usize) -> Box<str> {
        let typed = self.row.first(column).unwrap_or_default().trim();
        if is_placeholder(typed) {
            self.warnings.push(format!("{column}: is a placeholder, left out"));
            return Box::default();
        }
        let printable: String = typed.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        if printable != typed {
            self.warnings.push(format!("{column}: control characters are replaced by spaces"));
        }
        let end = (0..=bytes_max.min(printable.len())).rev().find(|at| printable.is_char_boundary(*at)).unwrap_or_default();
        let cut = printable.get(..end).unwrap_or_default().trim_end();
        if printable.len() > bytes_max {
            self.warnings.push(format!("{column}: is {} bytes long, cut to {bytes_max}", printable.len()));
        }
        cut.into()
    }

    fn payments(&mut self) -> Vec<Value> {
        let row = self.row;
        let instruments: Vec<(Column, &str)> = [Column::Payment, Column::Card, Column::Iban, Column::Paypal]
            .into_iter()
            .flat_map(|column| row.all(column).map(move |typed| (column, typed)))
            .collect();
        let kinds = self.words(Column::PaymentKind, instruments.len(), |word| {
            payment_kind_of(word).ok_or(UnreadableCell::UnknownWord(KIND_WORDS))
        });
        let purposes = self.words(Column::PaymentPurpose, instruments.len(), |word| {
            purpose_of(word).ok_or(UnreadableCell::UnknownWord(PURPOSE_WORDS))
        });
        let countries = self.words(Column::PaymentCountry, instruments.len(), country_of);
        let (Some(kinds), Some(purposes), Some(countries)) = (kinds, purposes, countries) else { return Vec::new() };
        let mut messages = Vec::new();
        for (((column, typed), kind), (purpose, country)) in
            instruments.into_iter().zip(kinds).zip(purposes.into_iter().zip(countries))
        {
            let kind = kind.or(kind_of_column(column)).or(self.settings.payment_kind);
            let purpose = purpose.or(self.settings.payment_purpose);
            let found = self.kept(column, digest_payment_of_kind(self.digester, kind, typed));
            if kind.is_none() {
                self.fault(Column::PaymentKind, UnreadableCell::NoPaymentKind);
            }
            if purpose.is_none() {
                self.fault(Column::PaymentPurpose, UnreadableCell::NoPaymentPurpose);
            }
            messages.extend(found.map(|instrument| payment_json(&instrument, &PaymentLabels { kind, purpose, country })));
        }
        messages
    }

    /// A column of words for instruments: one for all of them, or one for each; `None` when a word is none.
    fn words<T: Clone>(
        &mut self,
        column: Column,
        payments: usize,
        read: impl Fn(&str) -> Result<T, UnreadableCell>,
    ) -> Option<Vec<Option<T>>> {
        let row = self.row;
        let words: Result<Vec<T>, UnreadableCell> = row.all(column).map(|typed| read(typed.trim())).collect();
        match self.kept(column, words)?.as_slice() {
            [] => Some(vec![None; payments]),
            [one] => Some(vec![Some(one.clone()); payments]),
            each if each.len() == payments => Some(each.iter().cloned().map(Some).collect()),
            each => {
                self.fault(column, UnreadableCell::Unpaired { found: each.len(), payments });
                None
            }
        }
    }
}

fn kind_of_column(column: Column) -> Option<PaymentKind> {
    match column {
        Column::Card => Some(PaymentKind::Card),
        Column::Iban => Some(PaymentKind::Sepa),
        Column::Paypal => Some(PaymentKind::Paypal),
        Column::AccountId
        | Column::Email
        | Column::Name
        | Column::GivenName
        | Column::FamilyName
        | Column::Device
        | Column::Browser
        | Column::UserAgent
        | Column::Platform
        | Column::TimeZone
        | Column::Ip
        | Column::Payment
        | Column::PaymentKind
        | Column::PaymentPurpose
        | Column::PaymentCountry => None,
    }
}

fn country_of(word: &str) -> Result<[u8; 2], UnreadableCell> {
    let letters: [u8; 2] = word.to_ascii_uppercase().as_bytes().try_into().map_err(|_| UnreadableCell::Country)?;
    if letters.iter().all(u8::is_ascii_uppercase) { Ok(letters) } else { Err(UnreadableCell::Country) }
}

#[cfg(test)]
#[path = "rows_tests.rs"]
mod tests;
