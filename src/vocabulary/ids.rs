//! Identifiers that callers choose. They are opaque: compared byte by byte, never interpreted.
//!
//! All are cheap to clone. None may hold a personal datum; the documentation of the API says so, and the shape
//! (no spaces, no `@`) makes the commonest mistake, sending an e-mail address as an account id, an error.

use std::fmt;
use std::sync::Arc;

/// The longest identifier that is accepted, in bytes.
pub const ID_BYTES_MAX: usize = 128;

/// Why a text is not an identifier. Never carries the text itself: it may be a personal datum.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidId {
    /// The text is empty.
    #[error("must not be empty")]
    Empty,
    /// The text is longer than [`ID_BYTES_MAX`].
    #[error("is {bytes} bytes long; at most {ID_BYTES_MAX} are allowed")]
    TooLong {
        /// How long it is.
        bytes: usize,
    },
    /// The text holds a character that identifiers may not have.
    #[error("holds a character that is not allowed at byte {at}; use printable ASCII without spaces, `@`, quotes or backslashes")]
    Character {
        /// Where the first such character stands, in bytes.
        at: usize,
    },
}

fn validated(text: &str) -> Result<Arc<str>, InvalidId> {
    if text.is_empty() {
        return Err(InvalidId::Empty);
    }
    if text.len() > ID_BYTES_MAX {
        return Err(InvalidId::TooLong { bytes: text.len() });
    }
    let allowed = |b: u8| b.is_ascii_graphic() && !matches!(b, b'@' | b'"' | b'\'' | b'\\' | b'`');
    match text.bytes().position(|b| !allowed(b)) {
        Some(at) => Err(InvalidId::Character { at }),
        None => Ok(Arc::from(text)),
    }
}

/// Reads the text of an identifier, held to the same shape as everywhere.
fn read_validated<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Arc<str>, D::Error> {
    let text = <&'de str as serde::Deserialize>::deserialize(deserializer)?;
    validated(text).map_err(serde::de::Error::custom)
}

macro_rules! opaque_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
        #[serde(transparent)]
        pub struct $name(#[serde(deserialize_with = "read_validated")] Arc<str>);

        impl $name {
            /// Takes the text as an identifier.
            ///
            /// # Errors
            /// [`InvalidId`] when it is empty, too long, or holds a character that is not allowed; the caller fixes the text.
            pub fn new(text: &str) -> Result<Self, InvalidId> {
                validated(text).map(Self)
            }

            /// The identifier as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({})", stringify!($name), self.0)
            }
        }
    };
}

opaque_id! {
    /// One referral programme of one product. Every key, index, counter, model choice and policy is inside a programme.
    ProgramId
}
opaque_id! {
    /// A user of the product, by the product's own opaque id.
    AccountId
}
opaque_id! {
    /// The caller's id of a conversion; the idempotency key of screening.
    ConversionId
}
opaque_id! {
    /// The caller's id of one payment that a conversion may earn.
    RewardId
}
opaque_id! {
    /// A campaign inside a programme; payout delay and thresholds may differ by campaign.
    CampaignId
}
opaque_id! {
    /// A referral code (`ucc`), which stands for its referrer.
    Ucc
}
opaque_id! {
    /// The product's own id of an invoice.
    InvoiceId
}
opaque_id! {
    /// The caller's id of an outcome or of a batch of signals; makes a retry harmless.
    RecordId
}
opaque_id! {
    /// Who acted: a reviewer, a service or a tool, by a name that the operator gave.
    Actor
}
opaque_id! {
    /// The caller's id of one call that changes something; sending it again is answered as the first time. Of a reservation, its name.
    RequestId
}
opaque_id! {
    /// One hold. Several may be on one subject, each for its own reason.
    HoldId
}
opaque_id! {
    /// One token of a caller. Not secret: it names the token in lists and when it is revoked.
    TokenId
}
opaque_id! {
    /// An act that waits for a second identity. Given by Selfsame: `act-` and the place of the record that proposed it.
    ActId
}
opaque_id! {
    /// A sender's own id of something that it tells of: an event, a customer, a charge, a subscription. Known inside its source only.
    SenderId
}
opaque_id! {
    /// A case of the review queue. Given by Selfsame: `case-` and the conversion's id.
    CaseId
}

impl ProgramId {
    /// The name under which the ledger keeps who may call and which programmes there are. No programme has it.
    pub const DIRECTORY: &str = "selfsame";

    /// The id of [`ProgramId::DIRECTORY`].
    #[must_use]
    pub fn directory() -> Self {
        Self(Arc::from(Self::DIRECTORY))
    }
}

impl ActId {
    /// The act that the record at a place of the journal proposes.
    #[must_use]
    pub fn at(place: u64) -> Self {
        Self(Arc::from(format!("act-{place}")))
    }

    /// The place; `None` when the text was not made by [`ActId::at`].
    #[must_use]
    pub fn place(&self) -> Option<u64> {
        self.0.strip_prefix("act-").and_then(|place| place.parse().ok())
    }
}

impl CaseId {
    /// The case of a conversion. One conversion has at most one case, which may be reopened.
    #[must_use]
    pub fn of(conversion: &ConversionId) -> Self {
        Self(Arc::from(format!("case-{conversion}")))
    }

    /// The conversion that this case is about; `None` when the text was not made by [`CaseId::of`].
    #[must_use]
    pub fn conversion_id(&self) -> Option<ConversionId> {
        self.0.strip_prefix("case-").and_then(|rest| ConversionId::new(rest).ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_email_address_is_not_an_account_id() {
        assert_eq!(AccountId::new("jane@example.org"), Err(InvalidId::Character { at: 4 }));
    }

    #[test]
    fn length_and_emptiness_are_checked() {
        assert_eq!(AccountId::new(""), Err(InvalidId::Empty));
        assert_eq!(AccountId::new(&"a".repeat(129)), Err(InvalidId::TooLong { bytes: 129 }));
        assert!(AccountId::new(&"a".repeat(128)).is_ok());
    }

    #[test]
    fn a_case_leads_back_to_its_conversion() -> Result<(), InvalidId> {
        let conversion = ConversionId::new("cv_1")?;
        assert_eq!(CaseId::of(&conversion).conversion_id(), Some(conversion));
        Ok(())
    }
}
