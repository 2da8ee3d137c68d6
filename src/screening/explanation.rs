//! Explanations: evidence in the words that a reviewer reads. Pure text; called by `assess` and by the side-by-side view of a case.

use super::comparability::Want;
use super::evidence::{EvidenceCode, Finding, MeasureKind};
use super::history::CROWD_MAX;
#[cfg(doc)]
use super::history::RECENT_REFERRALS_MAX;
use super::match_weight;
use crate::vocabulary::time::Span;

/// [`RECENT_REFERRALS_MAX`] as a count.
const RECENT_REFERRALS_MAX_COUNT: f64 = 256.0;

/// The finding as a sentence, with its measure where it has one. Counts are as of the conversion; who is on a value now is another matter.
#[must_use]
#[expect(clippy::cast_possible_truncation, reason = "measures are small and rounded on purpose")]
pub fn sentence(code: EvidenceCode, finding: &Finding) -> String {
    let meaning = code.meaning();
    if code == EvidenceCode::DuplicateInvoice && finding.strength() < 1.0 {
        return "What may be the same purchase or sign-up was reported within a minute of it.".to_owned();
    }
    let Some(measure) = finding.measure() else { return meaning.to_owned() };
    let stem = meaning.trim_end_matches('.');
    match code.measure_kind() {
        MeasureKind::Nothing => meaning.to_owned(),
        MeasureKind::Way => Want::of_measure(measure).map_or(meaning, Want::sentence).to_owned(),
        MeasureKind::Similarity => format!("{stem} ({} % alike{}).", whole(measure * 100.0), weight_words(code, finding)),
        MeasureKind::Seconds => format!("{stem} ({}).", Span::from_millis((measure * 1000.0) as i64)),
        MeasureKind::Steps => format!("{stem} of {}.", plural(measure, "step", "steps")),
        MeasureKind::Count => format!("{stem} ({}{}).", counted(code, measure), weight_words(code, finding)),
        MeasureKind::Accounts => accounts_sentence(code, stem, measure, finding),
    }
}

/// The sentence of a finding among the reasons, where it also says when it speaks for the referral.
#[must_use]
pub fn reason(code: EvidenceCode, finding: &Finding, contribution_log_odds: f64) -> String {
    let mut sentence = sentence(code, finding);
    if contribution_log_odds < 0.0 && sentence.ends_with('.') {
        sentence.pop();
        sentence.push_str("; here it lowers the score.");
    }
    sentence
}

/// What the counts of codes count: one, and many.
const COUNTED: [(EvidenceCode, &str, &str); 12] = [
    (EvidenceCode::ReferrerPresent, "step", "steps"),
    (EvidenceCode::PatternRepeats, "other referee", "other referees"),
    (EvidenceCode::ReferrerBurst, "new user", "new users"),
    (EvidenceCode::ReferrerRate, "new user in 24 hours", "new users in 24 hours"),
    (EvidenceCode::ReferrerRejections, "referral", "referrals"),
    (EvidenceCode::ReferrerRefunds, "referral", "referrals"),
    (EvidenceCode::RingTouchesRejected, "account", "accounts"),
    (EvidenceCode::Comparable, "kind of signal", "kinds of signal"),
    (EvidenceCode::OnePerson, "kind of signal", "kinds of signal"),
    (EvidenceCode::KnownPerson, "kind of signal", "kinds of signal"),
    (EvidenceCode::AfterCheckout, "earlier referral of the referrer so", "earlier referrals of the referrer so"),
    (EvidenceCode::ReferrerAccepted, "referral", "referrals"),
];

/// A count with what it counts. The times of a referrer's last referrals are kept, and no more of them.
fn counted(code: EvidenceCode, count: f64) -> String {
    let Some((_, one, many)) = COUNTED.into_iter().find(|(counted, _, _)| *counted == code) else { return thousands(count) };
    let saturates = matches!(code, EvidenceCode::ReferrerBurst | EvidenceCode::ReferrerRate);
    saturating(count, if saturates { RECENT_REFERRALS_MAX_COUNT } else { f64::INFINITY }, one, many)
}

/// Accounts beside the two sides on a value, for the eye: a count saturates at [`CROWD_MAX`].
#[must_use]
pub fn other_accounts(count: u64) -> String {
    let count = u32::try_from(count).unwrap_or(u32::MAX);
    saturating(f64::from(count), f64::from(CROWD_MAX), "other account", "other accounts")
}

/// What a match weight says, after a number that it stands beside: how much rarer it is among strangers. Empty where there is none.
fn weight_words(code: EvidenceCode, finding: &Finding) -> String {
    let bits = code.match_weight_bits(finding).unwrap_or_default();
    if bits < 1.0 { String::new() } else { format!("; {} bits", whole(bits)) }
}

/// One of so many, for the eye: its first two digits, and thousands apart.
#[must_use]
pub fn rounded(one_of: f64) -> String {
    thousands(if one_of < 10.0 { one_of.round() } else { two_digits(one_of) })
}

/// How many strangers have a shared value, in words: `about 1 of 40,000 strangers`. Empty where it says nothing.
fn strangers(code: EvidenceCode, finding: &Finding) -> String {
    let Some(kind) = code.shared_kind() else { return String::new() };
    let one_of = match_weight::one_of_strangers(kind, finding.bits());
    format!("; about 1 of {} strangers has it", rounded(one_of))
}

/// Rounded to its first two digits.
fn two_digits(number: f64) -> f64 {
    let unit = 10_f64.powf(number.log10().floor() - 1.0);
    (number / unit).round() * unit
}

fn accounts_sentence(code: EvidenceCode, stem: &str, accounts: f64, finding: &Finding) -> String {
    let crowd = matches!(code, EvidenceCode::CrowdedDevice | EvidenceCode::CrowdedNetwork | EvidenceCode::CrowdedPayment);
    let most = f64::from(CROWD_MAX);
    if code == EvidenceCode::RingSize {
        format!("{stem} ({}).", plural(accounts, "account", "accounts"))
    } else if code == EvidenceCode::SharedPayout {
        format!("{stem} ({} beside the two sides).", saturating(accounts, most, "account", "accounts"))
    } else if crowd {
        format!("{stem} ({} in 30 days).", saturating(accounts, most, "other account", "other accounts"))
    } else if accounts < 1.0 {
        format!("{stem}; nobody else used it before{}.", strangers(code, finding))
    } else {
        let others = saturating(accounts, most, "other account used it", "other accounts used it");
        format!("{stem}; {others} before{}.", strangers(code, finding))
    }
}

/// A count that saturates: from `most` on there may be more.
fn saturating(count: f64, most: f64, one: &str, many: &str) -> String {
    if count >= most { format!("{} or more {many}", thousands(count)) } else { plural(count, one, many) }
}

/// The nearest whole number, as `{:.0}` writes it. Writing floats was a twenty-fifth of a decision's instructions.
#[expect(clippy::cast_possible_truncation, reason = "casts of floats saturate, and counts are small")]
const fn whole(number: f64) -> i64 {
    number.round_ties_even() as i64
}

fn plural(count: f64, one: &str, many: &str) -> String {
    if whole(count) == 1 { format!("1 {one}") } else { format!("{} {many}", thousands(count)) }
}

/// The nearest whole number with its thousands set apart, like `1,024`.
fn thousands(number: f64) -> String {
    let digits = whole(number).to_string();
    if digits.len() < 4 {
        return digits;
    }
    let set_apart = |(place, digit): (usize, char)| {
        let comma = place > 0 && (digits.len() - place).is_multiple_of(3) && !digits[..place].ends_with('-');
        comma.then_some(',').into_iter().chain([digit])
    };
    digits.chars().enumerate().flat_map(set_apart).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_numbers_are_rounded_as_floats_are_written() {
        for number in [0.0, 0.4, 0.5, 0.6, 1.5, 2.5, 62.5, 63.5, 99.49, 1_023.5, 1_024.0, 86_400.0] {
            assert_eq!(whole(number).to_string(), format!("{number:.0}"));
        }
    }

    #[test]
    fn a_shared_device_says_who_else_uses_it() {
        let alone = sentence(EvidenceCode::SameDevice, &Finding::weighed(14.3, 0.0));
        let crowd = sentence(EvidenceCode::SameDevice, &Finding::weighed(6.0, 3.0));
        assert_eq!(alone, "Both sides were seen on one device; nobody else used it before; about 1 of 40,000 strangers has it.");
        assert_eq!(
            crowd,
            "Both sides were seen on one device; 3 other accounts used it before; about 1 of 130 strangers has it."
        );
    }

    #[test]
    fn what_adds_up_says_of_how_many_kinds_and_how_much() {
        let together = sentence(EvidenceCode::OnePerson, &Finding::measured(0.6, 3.0));
        assert_eq!(together, "What both sides share says together that they are one person (3 kinds of signal; 24 bits).");
        let name = sentence(EvidenceCode::SimilarName, &Finding::weighed(9.5, 0.85));
        assert_eq!(name, "The persons' names are the same or nearly so (85 % alike; 10 bits).");
        assert!(sentence(EvidenceCode::SimilarPath, &Finding::measured(0.9, 0.95)).ends_with("(95 % alike)."));
    }

    #[test]
    fn one_is_singular_and_a_count_that_saturates_says_so() {
        let says = |code, measure| sentence(code, &Finding::measured(0.6, measure));
        assert!(says(EvidenceCode::SameAddress, 1.0).contains("; 1 other account used it before;"));
        assert!(says(EvidenceCode::SameAddress, 1_024.0).contains("; 1,024 or more other accounts used it before;"));
        assert!(says(EvidenceCode::CrowdedNetwork, 1_024.0).ends_with(" (1,024 or more other accounts in 30 days)."));
        assert!(says(EvidenceCode::CrowdedNetwork, 1_023.0).ends_with(" (1,023 other accounts in 30 days)."));
        assert!(says(EvidenceCode::RingSize, 1.0).ends_with(" (1 account)."));
        assert!(says(EvidenceCode::ReferrerBurst, 256.0).ends_with(" (256 or more new users)."));
        assert!(says(EvidenceCode::ReferrerRefunds, 1.0).ends_with(" (1 referral)."));
        assert_eq!(thousands(1_234_567.0), "1,234,567");
    }

    #[test]
    fn the_count_of_referrals_saturates_where_their_times_do() {
        assert_eq!(whole(RECENT_REFERRALS_MAX_COUNT).unsigned_abs(), super::super::history::RECENT_REFERRALS_MAX as u64);
    }

    #[test]
    fn a_reason_that_lowers_the_score_reads_so() {
        let (code, finding) = (EvidenceCode::Trusted, Finding::of_strength(1.0));
        assert_eq!(reason(code, &finding, -2.0), "An account or value is on the trust list; here it lowers the score.");
        assert_eq!(reason(code, &finding, 0.0), "An account or value is on the trust list.");
    }

    #[test]
    fn every_code_gives_one_sentence() {
        for code in EvidenceCode::ALL {
            let text = sentence(code, &Finding::measured(0.5, 2.0));
            assert!(text.ends_with('.') && text.matches(". ").count() == 0, "{text}");
        }
    }
}
