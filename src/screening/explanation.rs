//! Explanations: evidence in the words that a reviewer reads. Pure text; called by `assess` and by the side-by-side view of a case.

use super::evidence::{EvidenceCode, Finding, MeasureKind};
use crate::vocabulary::time::Span;

/// The finding as a sentence, with its measure where it has one.
#[must_use]
#[expect(clippy::cast_possible_truncation, reason = "measures are small and rounded on purpose")]
pub fn sentence(code: EvidenceCode, finding: &Finding) -> String {
    let meaning = code.meaning();
    let Some(measure) = finding.measure() else { return meaning.to_owned() };
    let stem = meaning.trim_end_matches('.');
    match code.measure_kind() {
        MeasureKind::Nothing => meaning.to_owned(),
        MeasureKind::Similarity => format!("{stem} ({} % alike).", whole(measure * 100.0)),
        MeasureKind::Seconds => format!("{stem} ({}).", Span::from_millis((measure * 1000.0) as i64)),
        MeasureKind::Steps => format!("{stem} of {} steps.", whole(measure)),
        MeasureKind::Count => format!("{stem} ({}).", whole(measure)),
        MeasureKind::Accounts => accounts_sentence(code, stem, measure),
    }
}

fn accounts_sentence(code: EvidenceCode, stem: &str, accounts: f64) -> String {
    let crowd = matches!(code, EvidenceCode::CrowdedDevice | EvidenceCode::CrowdedNetwork | EvidenceCode::CrowdedPayment);
    if code == EvidenceCode::RingSize {
        format!("{stem} ({} accounts).", whole(accounts))
    } else if crowd {
        format!("{stem} ({} in 30 days).", plural(accounts, "other account", "other accounts"))
    } else if accounts < 1.0 {
        format!("{stem}; nobody else uses it.")
    } else {
        format!("{stem}; {} too.", plural(accounts, "other account uses it", "other accounts use it"))
    }
}

/// The nearest whole number, as `{:.0}` writes it. Writing floats was a twenty-fifth of a decision's instructions.
#[expect(clippy::cast_possible_truncation, reason = "casts of floats saturate, and counts are small")]
const fn whole(number: f64) -> i64 {
    number.round_ties_even() as i64
}

fn plural(count: f64, one: &str, many: &str) -> String {
    if (count - 1.0).abs() < 0.5 { format!("1 {one}") } else { format!("{} {many}", whole(count)) }
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
        let alone = sentence(EvidenceCode::SameDevice, &Finding::measured(1.0, 0.0));
        let crowd = sentence(EvidenceCode::SameDevice, &Finding::measured(0.6, 3.0));
        assert_eq!(alone, "Both sides were seen on one device; nobody else uses it.");
        assert_eq!(crowd, "Both sides were seen on one device; 3 other accounts use it too.");
    }

    #[test]
    fn every_code_gives_one_sentence() {
        for code in EvidenceCode::ALL {
            let text = sentence(code, &Finding::measured(0.5, 2.0));
            assert!(text.ends_with('.') && text.matches(". ").count() == 0, "{text}");
        }
    }
}
