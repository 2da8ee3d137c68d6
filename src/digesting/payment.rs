//! Payment instruments: one text for each, by what the text is. An IBAN, an account or card number, the e-mail address of a wallet, or
//! else the fingerprint that a payment processor gave, whose letters matter.

use super::email::{EmailAddress, InvalidEmail};
use super::iban::{InvalidIban, canonical_iban, is_separator, without_label};
use super::identifier::{InvalidIdentifier, OpaqueIdentifier};
use super::placeholders::is_placeholder_identifier;
use super::test_cards::is_test_card;
use crate::vocabulary::bundle::PaymentKind;

/// Digits that a number needs, to be an account's or a card's and not somebody's fingerprint. Judgement.
const NUMBER_DIGITS_MIN: usize = 8;
/// Characters of PayPal's own account ids.
const PAYPAL_ID_CHARS: usize = 13;
/// With more digits than these, the characters in between hide too little to make strangers equal: the first six and the last four.
const MASKED_DIGITS_MAX: usize = 10;

/// A payment instrument's canonical text.
#[derive(Clone, PartialEq, Eq)]
pub struct PaymentInstrument(String);

/// The text is not a payment instrument. No variant shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub enum InvalidPayment {
    /// Not an identifier, or a placeholder.
    #[error(transparent)]
    Identifier(#[from] InvalidIdentifier),
    /// Meant as an IBAN.
    #[error(transparent)]
    Iban(#[from] InvalidIban),
    /// Meant as the e-mail address of a wallet.
    #[error(transparent)]
    Email(#[from] InvalidEmail),
    /// `**** 4242`.
    #[error("shows a part of a number only, which many people share; give the fingerprint of your payment processor")]
    Masked,
    /// `4242 4242 4242 4242`.
    #[error("is a test card of a payment provider's documentation, which everybody's test accounts share; leave it empty")]
    TestCard,
}

impl PaymentInstrument {
    /// Takes an instrument as it was typed or as the processor gave it. `kind`: absent when not known.
    ///
    /// The kind tells what the text may be; where it is not known, the text's own shape does. A text that is well-formed has one
    /// canonical form with the kind and without it, but for PayPal's own account ids, which are put in capitals only when said to be.
    ///
    /// # Errors
    /// [`InvalidPayment`]: send the bundle without the instrument.
    pub fn parse(kind: Option<PaymentKind>, typed: &str) -> Result<Self, InvalidPayment> {
        let opaque = OpaqueIdentifier::parse(typed)?;
        let text = opaque.canonical();
        if without_label(text).is_some_and(is_placeholder_identifier) {
            return Err(InvalidIdentifier::Placeholder.into());
        }
        if is_masked(text) {
            return Err(InvalidPayment::Masked);
        }
        let canonical = match kind {
            Some(PaymentKind::Sepa | PaymentKind::BankAccount) => iban_or_number(text)?,
            Some(PaymentKind::Card) => number(text),
            Some(PaymentKind::Paypal) => Some(paypal_account(text)?),
            Some(PaymentKind::Wallet | PaymentKind::Other) | None => match EmailAddress::parse(text) {
                Ok(address) => Some(address.exact()),
                Err(placeholder @ InvalidEmail::Placeholder) => return Err(placeholder.into()),
                Err(_) => iban_or_number(text)?,
            },
        };
        let canonical = canonical.unwrap_or_else(|| text.to_owned());
        if is_test_card(&canonical) { Err(InvalidPayment::TestCard) } else { Ok(Self(canonical)) }
    }

    /// The canonical text.
    #[must_use]
    pub fn canonical(&self) -> &str {
        &self.0
    }
}

fn iban_or_number(text: &str) -> Result<Option<String>, InvalidIban> {
    canonical_iban(text).transpose().map(|iban| iban.or_else(|| number(text)))
}

/// The digits of a number that is written with separators; `None` when anything else is in it.
fn number(text: &str) -> Option<String> {
    let digits: String = text.chars().filter(|c| !is_separator(*c)).collect();
    (digits.len() >= NUMBER_DIGITS_MIN && digits.bytes().all(|b| b.is_ascii_digit())).then_some(digits)
}

/// The e-mail address that names a PayPal account, in its exact form (two addresses of one mailbox can be two accounts), or PayPal's own id.
fn paypal_account(text: &str) -> Result<String, InvalidEmail> {
    if text.contains('@') {
        return EmailAddress::parse(text).map(|address| address.exact());
    }
    let is_own_id = text.len() == PAYPAL_ID_CHARS && text.bytes().all(|b| b.is_ascii_alphanumeric());
    Ok(if is_own_id { text.to_ascii_uppercase() } else { text.to_owned() })
}

/// Digits between characters that hide others, and nothing else.
fn is_masked(text: &str) -> bool {
    let hides = |c: &char| matches!(c, '*' | '•' | '●' | '·' | '#' | 'x' | 'X' | '…');
    let digits = text.chars().filter(char::is_ascii_digit).count();
    text.chars().filter(hides).count() >= 2
        && digits <= MASKED_DIGITS_MAX
        && text.chars().all(|c| hides(&c) || c.is_ascii_digit() || is_separator(c))
}

/// Shows nothing of the instrument.
impl std::fmt::Debug for PaymentInstrument {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PaymentInstrument([redacted])")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const KINDS: [PaymentKind; 6] = [
        PaymentKind::Card,
        PaymentKind::Sepa,
        PaymentKind::Paypal,
        PaymentKind::BankAccount,
        PaymentKind::Wallet,
        PaymentKind::Other,
    ];

    fn canonical(kind: Option<PaymentKind>, typed: &str) -> String {
        PaymentInstrument::parse(kind, typed).unwrap().0
    }

    #[test]
    fn each_kind_has_its_canonical_text_with_the_kind_and_without() {
        for (kind, typed, text) in [
            (PaymentKind::Sepa, " at61 1904 3002 3457 3201 ", "AT611904300234573201"),
            (PaymentKind::Sepa, "IBAN: AT61 1904 3002 3457 3201", "AT611904300234573201"),
            (PaymentKind::BankAccount, "GB29-NWBK-6016-1331-9268-19", "GB29NWBK60161331926819"),
            (PaymentKind::BankAccount, "12-34-56 12345678", "12345612345678"),
            (PaymentKind::Sepa, "Xt5EWLLDS7FJjR1c", "Xt5EWLLDS7FJjR1c"),
            (PaymentKind::Card, "4242 4242 4242 4243", "4242424242424243"),
            (PaymentKind::Card, "card_FP_1", "card_FP_1"),
            (PaymentKind::Paypal, " Jane+x@Gmail.COM", "jane+x@gmail.com"),
            (PaymentKind::Wallet, "Jane@BÜCHER.example", "jane@xn--bcher-kva.example"),
            (PaymentKind::Wallet, "jane@okbank", "jane@okbank"),
        ] {
            assert_eq!(canonical(Some(kind), typed), text);
            assert_eq!(canonical(None, typed), text);
        }
        assert_eq!(canonical(Some(PaymentKind::Paypal), "qyr5z8xdvjnxq"), "QYR5Z8XDVJNXQ");
    }

    #[test]
    fn what_is_no_instrument_is_refused_whatever_its_kind() {
        for kind in KINDS {
            for typed in ["N/A", "null", "-", "0000000000000000", "unknown"] {
                let refused = PaymentInstrument::parse(Some(kind), typed);
                assert_eq!(refused, Err(InvalidPayment::Identifier(InvalidIdentifier::Placeholder)), "{typed}");
            }
            for typed in ["**** **** **** 4242", "xxxx-4242", "•••• 4242", "424242******4242"] {
                assert_eq!(PaymentInstrument::parse(Some(kind), typed), Err(InvalidPayment::Masked), "{typed}");
            }
        }
        for typed in ["IBAN", "IBAN:", "iban: n/a", "IBAN 000000"] {
            let refused = PaymentInstrument::parse(None, typed);
            assert_eq!(refused, Err(InvalidPayment::Identifier(InvalidIdentifier::Placeholder)), "{typed}");
        }
        let wrong = PaymentInstrument::parse(Some(PaymentKind::Sepa), "AT61 1904 3002 3457 3202");
        assert_eq!(wrong, Err(InvalidPayment::Iban(InvalidIban::CheckDigits)));
        let wrong = PaymentInstrument::parse(Some(PaymentKind::Paypal), "jane@localhost");
        assert_eq!(wrong, Err(InvalidPayment::Email(InvalidEmail::DomainWithoutDot)));
    }

    #[test]
    fn a_test_card_is_refused_however_it_is_written_and_whatever_its_kind() {
        for kind in KINDS.map(Some).into_iter().chain([None]).filter(|kind| *kind != Some(PaymentKind::Paypal)) {
            for typed in
                ["4242 4242 4242 4242", "4000-0000-0000-0002", "3782 822463 10005", "6011.1111.1111.1117", "5555555555554444"]
            {
                assert_eq!(PaymentInstrument::parse(kind, typed), Err(InvalidPayment::TestCard), "{kind:?} {typed}");
            }
        }
    }

    proptest! {
        #[test]
        fn a_canonical_text_is_its_own_canonical_text(at in 0..KINDS.len(), typed in "\\PC{0,24}") {
            let kind = KINDS[at];
            if let Ok(instrument) = PaymentInstrument::parse(Some(kind), &typed) {
                prop_assert_eq!(canonical(Some(kind), instrument.canonical()), instrument.canonical());
            }
        }

        #[test]
        fn a_fingerprint_keeps_its_letters(typed in "[a-z]{3}_[a-zA-Z0-9]{8,20}") {
            for kind in KINDS {
                prop_assert_eq!(canonical(Some(kind), &typed), typed.as_str());
            }
        }
    }
}
