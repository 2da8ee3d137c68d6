//! Calibrators: from a margin to log-odds that mean what they say. Monotone, total, without allocation. Fitted offline.

use super::{ModelError, ascends, not_usable};

/// Log-odds beyond this are certainty for every purpose here; keeps probabilities inside (0, 1). 1e-9 in probability.
const LOG_ODDS_MAX: f64 = 20.7;

/// One point of an isotonic table.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Knot {
    /// The margin.
    pub margin: f64,
    /// The log-odds there.
    pub log_odds: f64,
}

/// From a margin to log-odds.
#[derive(Debug, Clone, PartialEq)]
pub enum Calibrator {
    /// The margin is the log-odds.
    Identity,
    /// A straight line (Platt 1999).
    Platt {
        /// Above zero.
        slope: f64,
        /// In log-odds.
        intercept: f64,
    },
    /// `a ln s - b ln(1 - s) + c` of `s = logistic(margin)` (Kull, Silva Filho, Flach 2017).
    Beta {
        /// Weight of `ln s`. Not below zero.
        a: f64,
        /// Weight of `-ln(1 - s)`. Not below zero.
        b: f64,
        /// In log-odds.
        c: f64,
    },
    /// Straight lines between knots, level outside: isotonic regression, joined at the centres of its blocks.
    Isotonic {
        /// Ascending in both.
        knots: Box<[Knot]>,
    },
}

impl Calibrator {
    /// The log-odds of a margin. Never decreases in the margin; not a number only when the margin is not.
    #[must_use]
    pub fn log_odds(&self, margin: f64) -> f64 {
        let raw = match self {
            Self::Identity => margin,
            Self::Platt { slope, intercept } => slope * margin + intercept,
            Self::Beta { a, b, c } => a * -softplus(-margin) + b * softplus(margin) + c,
            Self::Isotonic { knots } => interpolate(knots, margin),
        };
        raw.clamp(-LOG_ODDS_MAX, LOG_ODDS_MAX)
    }

    pub(super) fn check(&self) -> Result<(), ModelError> {
        let usable = match self {
            Self::Identity => true,
            Self::Platt { slope, intercept } => *slope > 0.0 && slope.is_finite() && intercept.is_finite(),
            Self::Beta { a, b, c } => *a >= 0.0 && *b >= 0.0 && a + b > 0.0 && (a + b).is_finite() && c.is_finite(),
            Self::Isotonic { knots } => {
                let margins: Vec<f64> = knots.iter().map(|knot| knot.margin).collect();
                let rises = knots.windows(2).all(|pair| matches!(pair, [a, b] if a.log_odds <= b.log_odds));
                !knots.is_empty() && ascends(&margins) && rises && knots.iter().all(|knot| knot.log_odds.is_finite())
            }
        };
        if usable { Ok(()) } else { Err(not_usable("calibrator", "it does not rise with the margin, or is not finite")) }
    }
}

/// `ln(1 + e^x)` without overflow.
fn softplus(x: f64) -> f64 {
    x.max(0.0) + (-x.abs()).exp().ln_1p()
}

fn interpolate(knots: &[Knot], margin: f64) -> f64 {
    let above = knots.partition_point(|knot| knot.margin <= margin);
    let below = above.checked_sub(1).and_then(|at| knots.get(at));
    match (below, knots.get(above)) {
        (Some(low), Some(high)) => {
            let share = (margin - low.margin) / (high.margin - low.margin);
            low.log_odds + share * (high.log_odds - low.log_odds)
        }
        (Some(end), None) | (None, Some(end)) => end.log_odds,
        (None, None) => margin,
    }
}
