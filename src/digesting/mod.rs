//! From raw values to pseudonyms, at the caller: canonical forms, keyed digests and sketches.
//!
//! A caller that sends signals to Selfsame runs this code (or the same rules in another language, see `docs/digests.md`) so
//! that the service sees digests only. Layer 1. Everything here is a pure function of the key and the value: no I/O, no clock, no
//! randomness. Nothing here may put a raw value into an error, a log or a `Debug` output.
//!
//! ```
//! use selfsame::digesting::{Digester, ProgrammeKey, digest_email};
//! use selfsame::vocabulary::digest::KeyId;
//!
//! let key = ProgrammeKey::from_text(KeyId::new("k1")?, "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f")?;
//! let digester = Digester::new(&key);
//! let one = digest_email(&digester, "Jane.Doe+shop@googlemail.com")?;
//! let other = digest_email(&digester, "janedoe@gmail.com")?;
//! assert_ne!(one.exact, other.exact);
//! assert_eq!(one.mailbox, other.mailbox);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod columns;
mod digester;
mod domains;
mod email;
mod iban;
mod identifier;
mod json;
mod key;
mod mac;
mod name;
mod network;
mod payment;
mod person;
mod placeholders;
mod providers;
mod pseudonyms;
mod rows;
mod sketching;
mod test_cards;
mod text;

pub use columns::{Column, RawRow};
pub use digester::{DigestKind, Digester, SameKeyId};
pub use domains::{DomainRuleFault, DomainRules, InvalidDomainRule};
pub use email::{EmailAddress, InvalidEmail, Mailbox};
pub use iban::{IBAN_LENGTHS, InvalidIban};
pub use identifier::{InvalidIdentifier, OpaqueIdentifier};
pub use json::{PaymentLabels, device_json, email_json, name_json, network_json, payment_json, payment_kind_of, purpose_of};
pub use key::{InvalidProgrammeKey, PROGRAMME_KEY_BYTES_MIN, ProgrammeKey};
pub use mac::{authentication_code, is_same_secret};
pub use name::{InvalidName, PersonName};
pub use network::{InvalidNetworkAddress, NetworkAddress};
pub use payment::{InvalidPayment, PaymentInstrument};
pub use person::PersonText;
pub use placeholders::{PLACEHOLDERS, PlaceholderKind, is_placeholder};
pub use providers::{PROVIDERS, Provider, Subdomains};
pub use pseudonyms::{
    digest_device, digest_email, digest_email_by, digest_name, digest_network, digest_networks, digest_payment,
    digest_payment_of_kind, digest_plus_folded,
};
pub use rows::{AccountIds, DigestedRow, InvalidCell, PlusFolded, RowSettings, UnreadableCell, digest_row};
pub use sketching::{SKETCH_BITS_PER_BIGRAM, SketchKind, padded_bigrams, ring_bigrams};
pub use test_cards::{TEST_CARD_BEGINNING, TEST_CARDS};
