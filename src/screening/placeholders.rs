//! Placeholders: values on more accounts than such a kind can have. They are no values, and count as absent.
//!
//! The digest of `unknown`, of a cookie that an app fills with zeros, of a test card: a caller should not send it (`selfsame digest` refuses what
//! it knows), and one that does would tie thousands of strangers to each other. A book learns which values are, by counting accounts, and what a kind
//! can have, by counting values: what many values of a kind have is no placeholder there. Pure.

use std::borrow::Cow;

use smallvec::SmallVec;

use super::history::{History, Identifier, IdentifierKind};
use super::warning::{Warning, WarningCode};
use crate::vocabulary::bundle::SignalBundle;
use crate::vocabulary::conversion::Side;
use crate::vocabulary::digest::DigestSet;

/// On how many accounts a value of a kind can be before it is taken for a placeholder; absent where many strangers do share one, whose strength
/// the match weight takes away instead: names, networks, fingerprints of phone models.
///
/// Judgement, on the high side: below them a value that many share is suspicious, not absent. One address is an account's own in nearly every
/// product, and families with one for all have a handful of accounts. An alias, a kiosk's browser and a company's card go further; that one
/// person's farm reaches sixty-five accounts on one of them without having been looked at is less likely than a form's default.
#[must_use]
pub const fn accounts_max(kind: IdentifierKind) -> Option<u32> {
    match kind {
        IdentifierKind::EmailExact => Some(16),
        IdentifierKind::Mailbox | IdentifierKind::Browser | IdentifierKind::Payment => Some(64),
        IdentifierKind::LocalPart
        | IdentifierKind::Domain
        | IdentifierKind::Name
        | IdentifierKind::Device
        | IdentifierKind::Address
        | IdentifierKind::Prefix => None,
    }
}

/// The limits that a kind's own may be raised to. Unit: accounts. The last is as far as accounts on a value are counted.
pub const ACCOUNTS_MAX_STEPS: [u32; 7] = [16, 32, 64, 128, 256, 512, 1_024];
/// A limit that more values of a kind pass than this is too low for the programme. Judgement: a form has some defaults, each in some spellings.
const PLACEHOLDERS_MAX: u32 = 16;

/// As [`accounts_max`], raised to where at most sixteen values of the kind lie beyond. `beyond` counts the values of the kind that are on more
/// accounts than each of [`ACCOUNTS_MAX_STEPS`].
#[must_use]
pub fn accounts_max_learned(kind: IdentifierKind, beyond: &[u32; ACCOUNTS_MAX_STEPS.len()]) -> Option<u32> {
    let most = accounts_max(kind)?;
    let mut steps = ACCOUNTS_MAX_STEPS.into_iter().zip(beyond).filter(|(step, _)| *step >= most);
    let counted_to = ACCOUNTS_MAX_STEPS[ACCOUNTS_MAX_STEPS.len() - 1];
    Some(steps.find(|(_, values)| **values <= PLACEHOLDERS_MAX).map_or(counted_to, |(step, _)| step))
}

/// Leaves out of a side what history takes for placeholders, with a warning for each kind of them. An e-mail entry goes as a whole: its sketch and
/// pattern are those of the placeholder.
#[must_use]
pub fn left_out<'a>(
    side: Cow<'a, SignalBundle>,
    whose: Side,
    history: &History,
    warnings: &mut Vec<Warning>,
) -> Cow<'a, SignalBundle> {
    if history.placeholders.is_empty() {
        return side;
    }
    let mut found: SmallVec<[IdentifierKind; 4]> = SmallVec::new();
    let mut is_placeholder = |kind: IdentifierKind, set: Option<&DigestSet>| {
        let known = |digest| history.placeholders.contains(&Identifier { kind, digest });
        let holds = set.is_some_and(|set| set.iter().cloned().any(known));
        if holds && !found.contains(&kind) {
            found.push(kind);
        }
        holds
    };
    let mut kept = side.into_owned();
    kept.emails.retain(|email| {
        let exact = is_placeholder(IdentifierKind::EmailExact, email.exact.as_ref());
        !(is_placeholder(IdentifierKind::Mailbox, email.mailbox.as_ref()) || exact)
    });
    for device in &mut kept.devices {
        if is_placeholder(IdentifierKind::Browser, device.browser.as_ref()) {
            device.browser = None;
        }
    }
    kept.payments.retain(|payment| !is_placeholder(IdentifierKind::Payment, Some(&payment.instrument)));
    kept.journey =
        std::mem::take(&mut kept.journey).without_browsers(|browser| is_placeholder(IdentifierKind::Browser, Some(browser)));
    warnings.extend(found.into_iter().filter_map(|kind| warning(whose, kind)));
    Cow::Owned(kept)
}

fn warning(whose: Side, kind: IdentifierKind) -> Option<Warning> {
    let (field, words) = match kind {
        IdentifierKind::EmailExact => ("emails.exact", "e-mail addresses"),
        IdentifierKind::Mailbox => ("emails.mailbox", "mailboxes"),
        IdentifierKind::Browser => ("devices.browser", "browser cookies"),
        IdentifierKind::Payment => ("payments.instrument", "payment instruments"),
        IdentifierKind::LocalPart
        | IdentifierKind::Domain
        | IdentifierKind::Name
        | IdentifierKind::Device
        | IdentifierKind::Address
        | IdentifierKind::Prefix => return None,
    };
    let side = match whose {
        Side::Referrer => "referrer",
        Side::Referee => "referee",
    };
    let most = accounts_max(kind)?;
    Some(Warning {
        code: WarningCode::Placeholder,
        field: format!("conversion.{side}.{field}").into(),
        sentence: format!(
            "One of the {side}'s {words} is on more than {most} accounts, as placeholders are; it counted as absent."
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::screening::fixtures::{bundle, card, device, email, identifier, value};
    use crate::vocabulary::bundle::PaymentPurpose;
    use crate::vocabulary::email::EmailDomainClass;

    #[test]
    fn what_many_values_of_a_kind_have_is_what_it_can_have() {
        let learned = |kind, beyond: [u32; 7]| accounts_max_learned(kind, &beyond);
        assert_eq!(learned(IdentifierKind::Mailbox, [900, 400, 16, 16, 1, 1, 0]), Some(64));
        assert_eq!(learned(IdentifierKind::Mailbox, [900, 400, 17, 16, 1, 1, 0]), Some(128));
        assert_eq!(learned(IdentifierKind::EmailExact, [17, 2, 0, 0, 0, 0, 0]), Some(32));
        assert_eq!(learned(IdentifierKind::EmailExact, [99; 7]), Some(1_024), "nothing beyond is counted");
        assert_eq!(learned(IdentifierKind::EmailExact, [0; 7]), Some(16));
        assert_eq!(learned(IdentifierKind::Name, [99; 7]), None);
    }

    #[test]
    fn a_placeholder_is_left_out_with_a_warning_and_the_rest_of_its_device_stays() {
        let placeholders = [
            identifier(IdentifierKind::Mailbox, 1),
            identifier(IdentifierKind::Browser, 2),
            identifier(IdentifierKind::Payment, 3),
        ];
        let history = History { placeholders: placeholders.into(), ..History::default() };
        let mut side = bundle("bob");
        side.emails = vec![email(1, 1, EmailDomainClass::FreeMail), email(9, 9, EmailDomainClass::FreeMail)];
        let mut phone = device(7);
        phone.browser = Some(value(2));
        side.devices.push(phone);
        side.payments = vec![card(3, PaymentPurpose::Billing), card(4, PaymentPurpose::Billing)];
        let mut warnings = Vec::new();
        let kept = left_out(Cow::Borrowed(&side), Side::Referee, &history, &mut warnings);
        assert_eq!(kept.emails, [email(9, 9, EmailDomainClass::FreeMail)]);
        assert_eq!(kept.devices, [device(7)]);
        assert_eq!(kept.payments, [card(4, PaymentPurpose::Billing)]);
        let fields: Vec<&str> = warnings.iter().map(|warning| &*warning.field).collect();
        let expected =
            ["conversion.referee.emails.mailbox", "conversion.referee.devices.browser", "conversion.referee.payments.instrument"];
        assert_eq!(fields, expected);
    }
}
