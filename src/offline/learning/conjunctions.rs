//! Which conjunctions of evidence are proposed for rejecting: a short list, found on development data alone and certified elsewhere.
//!
//! Greedy. Every conjunction of up to three conditions of a small vocabulary is looked at; the one that adds most is taken, then the one that adds most to
//! it, until none adds anything. What one adds is worth its rings, less 1/α for each honest referral and half of that for the one that the data were too
//! few to show. A list that is worth something on development data promises nothing: `certification` tests it on the hold-out, in this order.

use super::matrix::Matrix;
use crate::screening::evidence::EvidenceCode;
use crate::screening::model::Conjunction;
use crate::screening::rules::Condition;

/// Conjunctions at most. Judgement: the first few bring nearly all, and a person should be able to read the list.
const PROPOSED_MAX: usize = 12;
/// Honest referrals that are taken to be there although none was seen. Unit: referrals.
const UNSEEN_HONEST: f64 = 0.5;

/// Evidence that says that one person stands on both sides, with the bits from which it is demanded: what a reviewer would name as a reason. Crowds, rates and
/// the past of a referrer are left out, because they say it of shops, agencies and families too.
const IN_BITS: [(EvidenceCode, &[f64]); 12] = [
    (EvidenceCode::SameEmail, &[8.0]),
    (EvidenceCode::SameMailbox, &[8.0]),
    (EvidenceCode::SameLocalPart, &[6.0, 9.0, 12.0]),
    (EvidenceCode::SimilarMailbox, &[6.0, 8.5, 11.0, 12.0]),
    (EvidenceCode::SimilarName, &[4.5, 6.5, 9.0, 12.0]),
    (EvidenceCode::NameInMailbox, &[8.0, 10.5, 12.0]),
    (EvidenceCode::SameDevice, &[5.0, 8.0, 11.0]),
    (EvidenceCode::SameBrowser, &[5.0, 8.0, 14.0]),
    (EvidenceCode::SameAddress, &[4.0, 8.0, 11.0]),
    (EvidenceCode::SameInstrument, &[8.0, 14.0]),
    (EvidenceCode::PayoutIsBilling, &[8.0, 14.0]),
    (EvidenceCode::OnePerson, &[16.0, 22.0, 28.0, 32.0]),
];
/// The same for evidence that is not measured in bits: a strength.
const IN_STRENGTH: [(EvidenceCode, &[f64]); 3] =
    [(EvidenceCode::ReferrerPresent, &[0.3, 0.6]), (EvidenceCode::RingLoop, &[0.5]), (EvidenceCode::PatternRepeats, &[0.5, 0.7])];

/// Proposes conjunctions on these rows, the most valuable first. `alpha` is the share of honest that will be promised. Empty when nothing is worth it.
#[must_use]
pub fn propose(matrix: &Matrix, rows: &[usize], alpha: f64) -> Vec<Conjunction> {
    let mut candidates = Candidate::all(matrix, rows, alpha);
    let mut taken = vec![false; rows.len()];
    let mut proposed = Vec::new();
    while proposed.len() < PROPOSED_MAX {
        candidates.retain_mut(|candidate| {
            candidate.rows.retain(|row| !taken[*row as usize]);
            !candidate.rows.is_empty()
        });
        let worth = |candidate: &Candidate| worth(matrix, rows, &candidate.rows, alpha);
        // Of equals the first: the one of fewer conditions.
        let best = candidates.iter().map(worth).enumerate().filter(|(_, worth)| *worth > 0.0);
        let Some((place, _)) = best.reduce(|best, next| if next.1 > best.1 { next } else { best }) else { break };
        let Candidate { conjunction, rows: added } = candidates.swap_remove(place);
        for row in added {
            taken[row as usize] = true;
        }
        proposed.push(conjunction);
    }
    proposed
}

/// A conjunction, and the places in `rows` at which it holds and that no other has taken.
struct Candidate {
    conjunction: Conjunction,
    rows: Vec<u32>,
}

impl Candidate {
    /// All that are worth something by themselves.
    fn all(matrix: &Matrix, rows: &[usize], alpha: f64) -> Vec<Self> {
        let single: Vec<(Condition, Vec<u32>)> =
            vocabulary().map(|condition| (condition, held(matrix, rows, condition))).collect();
        let mut all = Vec::new();
        let mut consider = |conditions: &[Condition], held: &[u32]| {
            if worth(matrix, rows, held, alpha) > 0.0
                && let Ok(conjunction) = Conjunction::new(conditions)
            {
                all.push(Self { conjunction, rows: held.to_vec() });
            }
        };
        for (first, (a, held_a)) in single.iter().enumerate() {
            consider(&[*a], held_a);
            for (second, (b, held_b)) in single.iter().enumerate().skip(first + 1).filter(|(_, (b, _))| b.code != a.code) {
                let held_ab = both(held_a, held_b);
                consider(&[*a, *b], &held_ab);
                for (c, held_c) in single[second + 1..].iter().filter(|(c, _)| c.code != a.code && c.code != b.code) {
                    consider(&[*a, *b, *c], &both(&held_ab, held_c));
                }
            }
        }
        all
    }
}

fn vocabulary() -> impl Iterator<Item = Condition> {
    let in_bits = IN_BITS.into_iter().flat_map(|(code, steps)| {
        steps.iter().filter_map(move |bits| Some(Condition { code, strength_min: bits / code.bits_full()? }))
    });
    let in_strength = IN_STRENGTH
        .into_iter()
        .flat_map(|(code, steps)| steps.iter().map(move |strength| Condition { code, strength_min: *strength }));
    in_bits.chain(in_strength)
}

/// The places in `rows` at which a condition holds, ascending.
fn held(matrix: &Matrix, rows: &[usize], condition: Condition) -> Vec<u32> {
    let Ok(alone) = Conjunction::new(&[condition]) else { return Vec::new() };
    let holds = (0_u32..).zip(rows).filter(|(_, row)| alone.holds(matrix.features(**row).values()));
    holds.map(|(place, _)| place).collect()
}

/// What two ascending lists have in common.
fn both(one: &[u32], other: &[u32]) -> Vec<u32> {
    let mut rest = other;
    let shared = |place: &&u32| {
        rest = &rest[rest.partition_point(|next| next < *place)..];
        rest.first() == Some(*place)
    };
    one.iter().filter(shared).copied().collect()
}

/// What rejecting at these places is worth: rings, less 1/α for each honest referral and for a part of one that was not seen.
#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^53")]
fn worth(matrix: &Matrix, rows: &[usize], places: &[u32], alpha: f64) -> f64 {
    let least = UNSEEN_HONEST / alpha;
    let honest = places.iter().filter(|place| !matrix.abusive()[rows[**place as usize]]).count();
    if (places.len() - honest) as f64 <= least + honest as f64 / alpha {
        return 0.0;
    }
    let abusive = places.iter().map(|place| rows[*place as usize]).filter(|row| matrix.abusive()[*row]);
    let mut rings: Vec<u32> = abusive.map(|row| matrix.groups()[row]).collect();
    rings.sort_unstable();
    rings.dedup();
    rings.len() as f64 - least - honest as f64 / alpha
}

#[cfg(test)]
mod tests {
    use super::super::matrix::Row;
    use super::*;
    use crate::offline::learning::synthetic;
    use crate::screening::features::{ABSENT, CATALOGUE, FEATURE_COUNT, FeatureVector};
    use crate::vocabulary::label::Truth;

    /// Rows with nothing but a name and a device: where both are shared it is abuse, in rings of one; each alone is honest as often.
    fn of_name_and_device(both: usize, honest_of_both: usize) -> Matrix {
        let feature =
            |code: EvidenceCode| CATALOGUE.iter().position(|feature| feature.name == format!("{code}.strength")).unwrap();
        let row = |(number, (name, device, truth)): (usize, (f64, f64, Truth))| {
            let mut values = [ABSENT; FEATURE_COUNT];
            (values[feature(EvidenceCode::SimilarName)], values[feature(EvidenceCode::SameDevice)]) = (name, device);
            let any = synthetic::rows(1, 1).remove(0);
            Row { features: FeatureVector::from_values(values), truth, group: format!("g{number}").into(), ..any }
        };
        let alone =
            [(0.7, 0.0, Truth::Honest), (0.0, 0.7, Truth::Honest), (0.7, 0.0, Truth::Abusive), (0.0, 0.7, Truth::Abusive)];
        let shared = std::iter::repeat_n((0.7, 0.7, Truth::Abusive), both);
        let honest = std::iter::repeat_n((0.7, 0.7, Truth::Honest), honest_of_both);
        let rows = alone.into_iter().cycle().take(400).chain(shared).chain(honest);
        rows.enumerate().map(row).collect()
    }

    fn proposed(matrix: &Matrix, alpha: f64) -> Vec<String> {
        let rows: Vec<usize> = (0..matrix.len()).collect();
        propose(matrix, &rows, alpha).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn what_is_certain_only_together_is_proposed_together_and_once() {
        let found = proposed(&of_name_and_device(100, 0), 0.02);
        assert_eq!(found, ["identity.similar_name >= 4.5 bits and device.same_device >= 5 bits"]);
    }

    #[test]
    fn an_honest_referral_costs_what_the_promise_says_it_does() {
        // Of a hundred rings, 25 stand for what was not seen and 50 for each honest referral at 2 %.
        assert_eq!(proposed(&of_name_and_device(100, 1), 0.02).len(), 1);
        assert!(proposed(&of_name_and_device(100, 2), 0.02).is_empty());
        assert!(proposed(&of_name_and_device(100, 0), 0.004).is_empty(), "too few for so small a share");
    }

    #[test]
    fn every_condition_of_the_vocabulary_is_one_that_a_model_can_demand() {
        for condition in vocabulary() {
            assert!(Conjunction::new(&[condition]).is_ok(), "{condition}");
            assert_eq!(Condition::parse(&condition.to_string()), Ok(condition), "it reads back from a model file");
        }
    }
}
