//! The review threshold by expected cost: a referral goes to review when what approving it would lose exceeds what reviewing it costs.

/// What mistakes and reviews cost, in minor units of one currency.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ReviewCosts {
    /// What an abusive referral earns when it is approved.
    pub reward_minor: f64,
    /// A reviewer's minutes for one case.
    pub minutes_per_case: f64,
    /// What a reviewer's hour costs.
    pub hour_minor: f64,
    /// Share of abusive referrals that a reviewer recognises. Range: (0, 1].
    pub caught_share: f64,
}

impl Default for ReviewCosts {
    /// 20.00 a reward, 2 minutes a case, 30.00 an hour, 90 % recognised. Judgement; give your own.
    fn default() -> Self {
        Self { reward_minor: 2_000.0, minutes_per_case: 2.0, hour_minor: 3_000.0, caught_share: 0.9 }
    }
}

impl ReviewCosts {
    /// The probability from which a review pays. Range: [0.01, 0.99].
    #[must_use]
    pub fn threshold(&self) -> f64 {
        let review = self.minutes_per_case * self.hour_minor / 60.0;
        (review / (self.reward_minor * self.caught_share)).clamp(0.01, 0.99)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_review_pays_when_it_costs_less_than_what_it_saves() {
        let costs = ReviewCosts { reward_minor: 1_000.0, minutes_per_case: 6.0, hour_minor: 1_000.0, caught_share: 1.0 };
        assert!((costs.threshold() - 0.1).abs() < 1e-12);
    }
}
