//! Servers side by side in one run: slices of load in turn, so that a change of the machine's mood hits all of them alike.
//!
//! Called by `selfsame bench --compare`.

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use super::driver::{LoadError, Plan, Progress, Target, Until, run};
use super::recorder::Measured;

/// A server that takes part.
#[derive(Debug, Clone)]
pub struct Contestant {
    /// Its name in the report, like `no-op`.
    pub name: String,
    /// Its connections.
    pub target: Target,
}

/// What one server reached in each round.
#[derive(Debug, Clone, Serialize)]
pub struct Standing {
    /// Its name.
    pub name: String,
    /// The rounds, in order.
    pub rounds: Vec<Measured>,
    /// The median of its rates, in answers for each second.
    pub answers_per_second_median: f64,
    /// The median over the rounds of its rate divided by the first server's in the same round.
    pub ratio_to_first_median: f64,
}

/// Lets every server carry the load in turn, `rounds` times; the first is what the others are divided by.
///
/// # Errors
/// [`LoadError`] of the first run that could not be made.
pub async fn side_by_side(
    contestants: &[Contestant],
    plan: &Plan,
    slice: Duration,
    rounds: u32,
    progress: &Arc<Progress>,
) -> Result<Vec<Standing>, LoadError> {
    let mut first_index = plan.first_index;
    let mut measured: Vec<Vec<Measured>> = vec![Vec::new(); contestants.len()];
    for round in 0..=rounds {
        for (contestant, seen) in contestants.iter().zip(&mut measured) {
            let length = if round == 0 { slice / 4 } else { slice };
            let plan = Plan { first_index, until: Until::Elapsed(length), ..plan.clone() };
            let before = progress.sent();
            let result = run(&contestant.target, &plan, progress).await?;
            first_index += progress.sent() - before;
            // The first round warms up connections, caches and branch predictors and is not counted.
            if round > 0 {
                seen.push(result);
            }
        }
    }
    let reference: Vec<f64> = measured.first().into_iter().flatten().map(|round| round.answers_per_second).collect();
    let standing = |(contestant, rounds): (&Contestant, Vec<Measured>)| {
        let rates: Vec<f64> = rounds.iter().map(|round| round.answers_per_second).collect();
        let ratios = rates.iter().zip(&reference).map(|(rate, reference)| rate / reference).collect();
        Standing {
            name: contestant.name.clone(),
            answers_per_second_median: median(rates),
            ratio_to_first_median: median(ratios),
            rounds,
        }
    };
    Ok(contestants.iter().zip(measured).map(standing).collect())
}

/// The middle value, the lower one of two; not-a-number when there is none.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len().saturating_sub(1) / 2).copied().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_does_not_depend_on_the_order() {
        assert_eq!(median(vec![3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(vec![2.0, 1.0]), 1.0);
        assert!(median(Vec::new()).is_nan());
    }
}
