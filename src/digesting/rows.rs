//! One record of a table, by column names, to one `SignalBundle` in the API's JSON form. Used by `selfsame digest`.
//!
//! Columns that it does not know never reach the output: they may hold raw personal data.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::{Map, Value};

use super::digester::Digester;
use super::email::InvalidEmail;
use super::identifier::InvalidIdentifier;
use super::json::{device_json, email_json, name_json, network_json, payment_json};
use super::name::InvalidName;
use super::network::InvalidNetworkAddress;
use super::pseudonyms::{digest_device, digest_email, digest_name, digest_network, digest_payment};

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Column {
    /// The product's own id of the account; goes through as it stands.
    AccountId,
    /// An e-mail address.
    Email,
    /// A whole name.
    Name,
    /// The given name, joined with [`Column::FamilyName`].
    GivenName,
    /// The family name.
    FamilyName,
    /// A device fingerprint.
    Device,
    /// A browser's cookie or installation id.
    Browser,
    /// The user agent; goes through as it stands.
    UserAgent,
    /// The platform; goes through as it stands.
    Platform,
    /// The time zone; goes through as it stands.
    TimeZone,
    /// A network address.
    Ip,
    /// A payment instrument's fingerprint.
    Payment,
    /// Its kind, like `CARD`.
    PaymentKind,
    /// Its purpose, `BILLING` or `PAYOUT`.
    PaymentPurpose,
}

impl Column {
    /// Every column with the headers that name it, the first being its own. Case, `_`, `-` and spaces in a header do not matter.
    pub const HEADERS: [(Self, &'static [&'static str]); 14] = [
        (Self::AccountId, &["account_id", "user_id", "customer_id"]),
        (Self::Email, &["email", "email_address", "mail"]),
        (Self::Name, &["name", "full_name"]),
        (Self::GivenName, &["first_name", "given_name"]),
        (Self::FamilyName, &["last_name", "surname", "family_name"]),
        (Self::Device, &["device", "device_id", "device_fingerprint", "fingerprint"]),
        (Self::Browser, &["browser", "browser_id", "cookie"]),
        (Self::UserAgent, &["user_agent"]),
        (Self::Platform, &["platform"]),
        (Self::TimeZone, &["time_zone"]),
        (Self::Ip, &["ip", "ip_address", "network"]),
        (Self::Payment, &["payment", "card", "card_fingerprint", "instrument", "payment_instrument"]),
        (Self::PaymentKind, &["payment_kind"]),
        (Self::PaymentPurpose, &["payment_purpose"]),
    ];

    /// The column that a header names; absent for a header that is not known.
    #[must_use]
    pub fn of_header(header: &str) -> Option<Self> {
        let folded = |text: &str| text.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect::<String>();
        let wanted = folded(header);
        let found = Self::HEADERS.iter().find(|(_, headers)| headers.iter().any(|known| folded(known) == wanted));
        found.map(|(column, _)| *column)
    }

    fn name(self) -> &'static str {
        Self::HEADERS.iter().find(|(column, _)| *column == self).and_then(|(_, headers)| headers.first()).unwrap_or(&"column")
    }
}

impl fmt::Display for Column {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The known cells of one record. Empty cells are absent.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct RawRow(BTreeMap<Column, Vec<String>>);

impl RawRow {
    /// Adds a cell; a second value in one column is kept beside the first. An empty text adds nothing.
    pub fn add(&mut self, column: Column, text: &str) {
        if !text.trim().is_empty() {
            self.0.entry(column).or_default().push(text.to_owned());
        }
    }

    /// Whether no known column holds anything.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn all(&self, column: Column) -> impl Iterator<Item = &str> {
        self.0.get(&column).into_iter().flatten().map(String::as_str)
    }

    fn first(&self, column: Column) -> Option<&str> {
        self.all(column).next()
    }
}

/// Shows which columns are filled, and nothing of what is in them.
impl fmt::Debug for RawRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// A cell that does not hold what its column says.
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
    /// Not one of the words that the column takes.
    #[error("is none of {0}")]
    UnknownWord(&'static str),
}

/// The row as a `SignalBundle`: every e-mail, name and address of it, one device, and its payment instruments.
///
/// # Errors
/// Every [`InvalidCell`] of the row, in the order of the columns; nothing of such a row is digested.
pub fn digest_row(digester: &Digester, row: &RawRow) -> Result<Value, Vec<InvalidCell>> {
    let mut faults = Vec::new();
    let mut bundle = Map::new();
    if let Some(account) = row.first(Column::AccountId) {
        bundle.insert("accountId".to_owned(), account.trim().into());
    }
    let emails = each(row, Column::Email, &mut faults, |typed| Ok(email_json(&digest_email(digester, typed)?)));
    let mut names = each(row, Column::Name, &mut faults, |typed| Ok(name_json(&digest_name(digester, typed)?)));
    let parts: Vec<&str> = row.all(Column::GivenName).chain(row.all(Column::FamilyName)).collect();
    if !parts.is_empty() {
        keep(Column::FamilyName, &mut faults, &mut names, digest_name(digester, &parts.join(" ")).map(|name| name_json(&name)));
    }
    let networks = each(row, Column::Ip, &mut faults, |typed| Ok(network_json(&digest_network(digester, typed)?)));
    for (field, messages) in [
        ("emails", emails),
        ("names", names),
        ("devices", device_of(digester, row, &mut faults)),
        ("networks", networks),
        ("payments", payments_of(digester, row, &mut faults)),
    ] {
        if !messages.is_empty() {
            bundle.insert(field.to_owned(), Value::Array(messages));
        }
    }
    faults.sort_by_key(|fault| fault.column);
    if faults.is_empty() { Ok(Value::Object(bundle)) } else { Err(faults) }
}

fn each(
    row: &RawRow,
    column: Column,
    faults: &mut Vec<InvalidCell>,
    digest: impl Fn(&str) -> Result<Value, UnreadableCell>,
) -> Vec<Value> {
    let mut messages = Vec::new();
    for typed in row.all(column) {
        keep(column, faults, &mut messages, digest(typed));
    }
    messages
}

fn keep<E: Into<UnreadableCell>>(
    column: Column,
    faults: &mut Vec<InvalidCell>,
    messages: &mut Vec<Value>,
    found: Result<Value, E>,
) {
    match found {
        Ok(message) => messages.push(message),
        Err(reason) => faults.push(InvalidCell { column, reason: reason.into() }),
    }
}

fn device_of(digester: &Digester, row: &RawRow, faults: &mut Vec<InvalidCell>) -> Vec<Value> {
    let plain = |column| Box::from(row.first(column).unwrap_or_default().trim());
    let mut messages = Vec::new();
    let (fingerprint, browser) = (row.first(Column::Device), row.first(Column::Browser));
    // One at a time, so that a fault names its own column.
    for (column, found) in
        [(Column::Device, digest_device(digester, fingerprint, None)), (Column::Browser, digest_device(digester, None, browser))]
    {
        if let Err(reason) = found {
            faults.push(InvalidCell { column, reason: reason.into() });
        }
    }
    if let Ok(mut device) = digest_device(digester, fingerprint, browser) {
        device.user_agent = plain(Column::UserAgent);
        device.platform = plain(Column::Platform);
        device.time_zone = plain(Column::TimeZone);
        let message = device_json(&device);
        if message.as_object().is_some_and(|fields| !fields.is_empty()) {
            messages.push(message);
        }
    }
    messages
}

fn payments_of(digester: &Digester, row: &RawRow, faults: &mut Vec<InvalidCell>) -> Vec<Value> {
    let mut messages = each(row, Column::Payment, faults, |typed| Ok(payment_json(&digest_payment(digester, typed)?)));
    for (column, field, prefix, words, listed) in [
        (
            Column::PaymentKind,
            "kind",
            "PAYMENT_KIND_",
            ["CARD", "SEPA", "PAYPAL", "BANK_ACCOUNT", "WALLET", "OTHER"].as_slice(),
            "`CARD`, `SEPA`, `PAYPAL`, `BANK_ACCOUNT`, `WALLET`, `OTHER`",
        ),
        (Column::PaymentPurpose, "purpose", "PAYMENT_PURPOSE_", &["BILLING", "PAYOUT"], "`BILLING`, `PAYOUT`"),
    ] {
        let Some(typed) = row.first(column) else { continue };
        let word = typed.trim().to_ascii_uppercase();
        if !words.contains(&word.as_str()) {
            faults.push(InvalidCell { column, reason: UnreadableCell::UnknownWord(listed) });
            continue;
        }
        for fields in messages.iter_mut().filter_map(Value::as_object_mut) {
            fields.insert(field.to_owned(), format!("{prefix}{word}").into());
        }
    }
    messages
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digesting::ProgrammeKey;
    use crate::vocabulary::digest::KeyId;

    fn digester() -> Digester {
        let bytes: Vec<u8> = (0..32).collect();
        Digester::new(&ProgrammeKey::from_bytes(KeyId::new("k1").unwrap(), &bytes).unwrap())
    }

    fn row(cells: &[(&str, &str)]) -> RawRow {
        let mut row = RawRow::default();
        for (header, text) in cells {
            row.add(Column::of_header(header).unwrap(), text);
        }
        row
    }

    #[test]
    fn a_full_row_becomes_a_bundle_without_a_raw_value() {
        let cells = [
            ("account_id", "acc-1"),
            ("email", "secret@example.com"),
            ("First Name", "Secret"),
            ("surname", "Person"),
            ("device", "secret-device"),
            ("cookie", "secret-cookie"),
            ("ip", "203.0.113.77"),
            ("card", "secret-card"),
            ("payment_kind", "card"),
            ("payment_purpose", "payout"),
        ];
        let bundle = digest_row(&digester(), &row(&cells)).unwrap();
        assert_eq!(bundle["accountId"], "acc-1");
        assert_eq!(bundle["emails"][0]["domainClass"], "EMAIL_DOMAIN_CLASS_CORPORATE");
        assert_eq!(bundle["payments"][0]["kind"], "PAYMENT_KIND_CARD");
        assert_eq!(bundle["payments"][0]["purpose"], "PAYMENT_PURPOSE_PAYOUT");
        for field in ["names", "devices", "networks"] {
            assert_eq!(bundle[field].as_array().unwrap().len(), 1, "{field}");
        }
        let written = bundle.to_string().to_lowercase();
        assert!(!written.contains("secret") && !written.contains("203.0"), "{written}");
    }

    #[test]
    fn every_fault_of_a_row_is_named_with_its_column() {
        let faults =
            digest_row(&digester(), &row(&[("ip", "nowhere"), ("email", "nobody"), ("payment_kind", "gold")])).unwrap_err();
        let columns: Vec<Column> = faults.iter().map(|fault| fault.column).collect();
        assert_eq!(columns, [Column::Email, Column::Ip, Column::PaymentKind]);
        assert_eq!(faults[0].to_string(), "email: the e-mail address has no `@`");
    }

    #[test]
    fn empty_cells_are_absent() {
        let bundle = digest_row(&digester(), &row(&[("email", " "), ("ip", "")])).unwrap();
        assert_eq!(bundle, serde_json::json!({}));
    }

    #[test]
    fn headers_are_found_however_they_are_written() {
        for header in ["account_id", "accountId", "Account ID", "ACCOUNT-ID"] {
            assert_eq!(Column::of_header(header), Some(Column::AccountId), "{header}");
        }
        assert_eq!(Column::of_header("date_of_birth"), None);
    }
}
