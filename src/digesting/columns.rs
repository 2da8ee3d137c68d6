//! The columns that `selfsame digest` knows, and one record of a table by them. Columns that it does not know are never kept: they may
//! hold raw personal data.

use std::collections::BTreeMap;
use std::fmt;

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
    /// A payment instrument of whatever kind.
    Payment,
    /// A card's fingerprint.
    Card,
    /// An IBAN.
    Iban,
    /// The e-mail address, or the id, of a PayPal account.
    Paypal,
    /// The instrument's kind, like `CARD`.
    PaymentKind,
    /// Its purpose, `BILLING` or `PAYOUT`.
    PaymentPurpose,
    /// The country that issued it.
    PaymentCountry,
}

impl Column {
    /// Every column with the headers that name it, the first being its own. Case, `_`, `-` and spaces in a header do not matter.
    pub const HEADERS: [(Self, &'static [&'static str]); 18] = [
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
        (Self::Payment, &["payment", "instrument", "payment_instrument", "payment_fingerprint"]),
        (Self::Card, &["card", "card_fingerprint"]),
        (Self::Iban, &["iban"]),
        (Self::Paypal, &["paypal", "paypal_email", "paypal_account"]),
        (Self::PaymentKind, &["payment_kind"]),
        (Self::PaymentPurpose, &["payment_purpose"]),
        (Self::PaymentCountry, &["payment_country"]),
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

    pub(super) fn all(&self, column: Column) -> impl Iterator<Item = &str> {
        self.0.get(&column).into_iter().flatten().map(String::as_str)
    }

    pub(super) fn first(&self, column: Column) -> Option<&str> {
        self.all(column).next()
    }
}

/// Shows which columns are filled, and nothing of what is in them.
impl fmt::Debug for RawRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_found_however_they_are_written() {
        for header in ["account_id", "accountId", "Account ID", "ACCOUNT-ID"] {
            assert_eq!(Column::of_header(header), Some(Column::AccountId), "{header}");
        }
        assert_eq!(Column::of_header("date_of_birth"), None);
    }
}
