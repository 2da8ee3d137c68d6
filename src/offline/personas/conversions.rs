//! Writes the conversion of two sides that are tied: when, how the code was captured, the journey, the value, what happens later.
//!
//! A second part of the stage. Called by the personas only.

use super::Persona;
use super::parameters::Habits;
use super::stage::{Stage, span_of_days, span_of_seconds};
use crate::offline::chance::rounded;
use crate::offline::raw::{RawAttribution, RawConversion, RawOutcome, RawReward, RawSide, RawTouchpoint};
use crate::vocabulary::conversion::{ConversionKind, RefereeStanding, Side};
use crate::vocabulary::journey::{CapturedVia, CodeValidity, TouchpointKind};
use crate::vocabulary::outcome::OutcomeKind;
use crate::vocabulary::time::{Span, Timestamp};

/// The smallest purchase that earns a reward. Unit: minor units.
const MINIMUM_PURCHASE_MINOR: i64 = 2_500;
/// What referrer and referee are paid. Unit: minor units.
const REFERRER_REWARD_MINOR: i64 = 2_000;
const REFEREE_REWARD_MINOR: i64 = 1_000;

const PATHS: [&str; 12] = [
    "home",
    "pricing",
    "features",
    "blog",
    "docs",
    "compare",
    "about",
    "faq",
    "security",
    "integrations",
    "templates",
    "customers",
];
/// How likely each page is looked at next.
const PATH_SHARES: [f64; 12] = [0.16, 0.20, 0.16, 0.08, 0.09, 0.07, 0.04, 0.06, 0.03, 0.05, 0.03, 0.03];

impl Stage<'_> {
    /// What happened, by the programme's shares.
    pub(super) fn draw_kind(&mut self) -> ConversionKind {
        let kinds = [
            ConversionKind::NewSignup,
            ConversionKind::DemoAttended,
            ConversionKind::InvoicePaid,
            ConversionKind::ChargeSucceeded,
        ];
        kinds[self.chance.weighted(self.parameters.conversion_kind_shares.into_iter())]
    }

    /// Writes the conversion of two sides that are tied.
    pub(super) fn convert(
        &mut self,
        persona: Persona,
        group: &str,
        kind: ConversionKind,
        referrer: RawSide,
        mut referee: RawSide,
        at: Timestamp,
    ) -> RawConversion {
        let habits = self.habits(persona);
        let standing = if persona == Persona::ExistingUser { RefereeStanding::Existing } else { RefereeStanding::New };
        let captured_via = self.draw_capture(&habits);
        let times = self.draw_times(&habits, kind, standing, at);
        if standing == RefereeStanding::New {
            referee.account_created_at = Some(times.signup);
        }
        let journey_known = !self.chance.happens(habits.journey_missing);
        if journey_known {
            referee.journey = self.draw_journey(&habits, captured_via, standing, kind, &times, &referrer, &referee);
        }
        let value_minor = self.draw_value(&habits, kind);
        let outcome = self.draw_outcome(&habits, kind, at);
        let attribution = self.draw_attribution(&habits, captured_via, &referrer, times.click);
        let invoice_id = (kind == ConversionKind::InvoicePaid).then(|| format!("in-{:012x}", self.chance.token() >> 16));
        RawConversion {
            conversion_id: String::new(),
            campaign_id: Some(if self.chance.happens(0.7) { "evergreen" } else { "spring" }),
            kind,
            occurred_at: at,
            value_minor,
            minimum_purchase_minor: value_minor.is_some().then_some(MINIMUM_PURCHASE_MINOR),
            invoice_id,
            referee_standing: standing,
            attribution,
            referrer,
            referee,
            rewards: vec![
                RawReward { reward_id: String::new(), beneficiary: Side::Referrer, amount_minor: REFERRER_REWARD_MINOR },
                RawReward { reward_id: String::new(), beneficiary: Side::Referee, amount_minor: REFEREE_REWARD_MINOR },
            ],
            outcome,
            persona,
            truth: persona.truth(),
            group: group.to_owned(),
        }
    }

    /// The first invoice of somebody who signed up, where he pays at all: another conversion of the same referral.
    pub(super) fn pay_later(&mut self, signup: &RawConversion) -> Option<RawConversion> {
        if signup.kind != ConversionKind::NewSignup || !self.chance.happens(self.parameters.signup_pays_later) {
            return None;
        }
        let habits = self.habits(signup.persona);
        let tempo = habits.tempo;
        let hours = self.chance.log_normal(tempo.signup_to_conversion_median_hours, tempo.signup_to_conversion_sigma);
        let at = signup.occurred_at.plus(span_of_seconds((hours * 3_600.0).clamp(60.0, 45.0 * 86_400.0)));
        let mut invoice = signup.clone();
        invoice.kind = ConversionKind::InvoicePaid;
        invoice.occurred_at = at;
        let (card, payout_is_billing) =
            (self.chance.happens(habits.sharing.card), self.chance.happens(habits.sharing.payout_is_billing));
        self.pay(&mut invoice.referrer, &mut invoice.referee, card, payout_is_billing, at);
        if let Some(last) = invoice.referee.journey.last().cloned() {
            let purchase = RawTouchpoint { kind: TouchpointKind::Purchase, occurred_at: at, path_token: "thanks", ..last };
            invoice.referee.journey.push(purchase);
        }
        invoice.value_minor = self.draw_value(&habits, invoice.kind);
        invoice.minimum_purchase_minor = Some(MINIMUM_PURCHASE_MINOR);
        invoice.invoice_id = Some(format!("in-{:012x}", self.chance.token() >> 16));
        invoice.outcome = self.draw_outcome(&habits, invoice.kind, at);
        Some(invoice)
    }

    fn draw_capture(&mut self, habits: &Habits) -> CapturedVia {
        let shares = habits.capture;
        let ways = [
            CapturedVia::Link,
            CapturedVia::Cookie,
            CapturedVia::Form,
            CapturedVia::DeepLink,
            CapturedVia::Api,
            CapturedVia::Manual,
        ];
        ways[self
            .chance
            .weighted([shares.link, shares.cookie, shares.form, shares.deep_link, shares.api, shares.manual].into_iter())]
    }

    fn draw_times(&mut self, habits: &Habits, kind: ConversionKind, standing: RefereeStanding, at: Timestamp) -> Times {
        let tempo = habits.tempo;
        let after_signup = match (kind, standing) {
            (ConversionKind::NewSignup, RefereeStanding::New) => self.chance.log_normal(2.0, 0.5),
            (
                ConversionKind::NewSignup
                | ConversionKind::DemoAttended
                | ConversionKind::InvoicePaid
                | ConversionKind::ChargeSucceeded,
                _,
            ) => self.chance.log_normal(tempo.signup_to_conversion_median_hours, tempo.signup_to_conversion_sigma) * 3_600.0,
        };
        let signed_up_at = at.minus(span_of_seconds(after_signup.min(45.0 * 86_400.0)));
        let to_signup = self.chance.log_normal(tempo.click_to_signup_median_seconds, tempo.click_to_signup_sigma);
        Times {
            click: signed_up_at.minus(span_of_seconds(to_signup.clamp(4.0, 20.0 * 86_400.0))),
            signup: signed_up_at,
            conversion: at,
        }
    }

    #[expect(clippy::too_many_arguments, reason = "a journey follows from everything that is known of a referral")]
    fn draw_journey(
        &mut self,
        habits: &Habits,
        captured_via: CapturedVia,
        standing: RefereeStanding,
        kind: ConversionKind,
        times: &Times,
        referrer: &RawSide,
        referee: &RawSide,
    ) -> Vec<RawTouchpoint> {
        let device = referee.devices.first();
        let step = |kind, occurred_at, path_token| RawTouchpoint {
            kind,
            occurred_at,
            device: device.and_then(|device| device.fingerprint.clone()),
            browser: device.and_then(|device| device.browser.clone()),
            path_token,
        };
        let mut steps = Vec::with_capacity(12);
        let clicked = match captured_via {
            CapturedVia::Link | CapturedVia::Cookie | CapturedVia::DeepLink => true,
            CapturedVia::Form | CapturedVia::Api | CapturedVia::Manual => self.chance.happens(0.15),
        };
        if clicked {
            steps.push(step(TouchpointKind::LinkClick, times.click, "r"));
        }
        steps.push(step(TouchpointKind::Landing, times.click.plus(Span::from_seconds(1)), "landing"));
        let browsing_millis = times.signup.since(times.click).as_millis().max(1);
        let pages = rounded(self.chance.exponential(habits.tempo.pages_mean)).min(40);
        for _ in 0..pages {
            let after =
                Span::from_millis(i64::try_from(self.chance.token() % browsing_millis.unsigned_abs()).unwrap_or_default());
            let path = PATHS[self.chance.weighted(PATH_SHARES.into_iter())];
            steps.push(step(TouchpointKind::PageView, times.click.plus(after), path));
        }
        steps.push(match standing {
            RefereeStanding::New => step(TouchpointKind::Signup, times.signup, "signup"),
            RefereeStanding::Existing => step(TouchpointKind::SignIn, times.signup, "signin"),
        });
        if matches!(kind, ConversionKind::InvoicePaid | ConversionKind::ChargeSucceeded) {
            steps.push(step(TouchpointKind::Checkout, times.conversion.minus(Span::from_seconds(95)), "checkout"));
            steps.push(step(TouchpointKind::Purchase, times.conversion, "thanks"));
        }
        if self.chance.happens(habits.sharing.referrer_present) {
            let theirs = referrer.devices.first();
            let at = self.chance.below(steps.len());
            steps[at].device = theirs.and_then(|device| device.fingerprint.clone());
            steps[at].browser = theirs.and_then(|device| device.browser.clone());
        }
        steps.sort_by_key(|step| step.occurred_at);
        steps
    }

    fn draw_value(&mut self, habits: &Habits, kind: ConversionKind) -> Option<i64> {
        match kind {
            ConversionKind::NewSignup | ConversionKind::DemoAttended => None,
            ConversionKind::InvoicePaid | ConversionKind::ChargeSucceeded if self.chance.happens(habits.minimum_purchase) => {
                Some(MINIMUM_PURCHASE_MINOR)
            }
            ConversionKind::InvoicePaid | ConversionKind::ChargeSucceeded => {
                let amount = self.chance.log_normal(4_900.0, 0.8).clamp(500.0, 500_000.0);
                Some(rounded(amount) / 100 * 100 + 90)
            }
        }
    }

    fn draw_outcome(&mut self, habits: &Habits, kind: ConversionKind, at: Timestamp) -> Option<RawOutcome> {
        match kind {
            ConversionKind::NewSignup | ConversionKind::DemoAttended => None,
            ConversionKind::InvoicePaid | ConversionKind::ChargeSucceeded => {
                let (outcome, after_median_days) = if self.chance.happens(habits.refund) {
                    (OutcomeKind::ChargeRefunded, 9.0)
                } else if self.chance.happens(habits.chargeback) {
                    (OutcomeKind::Chargeback, 32.0)
                } else if self.chance.happens(0.04) {
                    (OutcomeKind::SubscriptionCanceled, 25.0)
                } else {
                    return None;
                };
                let after = span_of_days(self.chance.log_normal(after_median_days, 0.6).min(120.0));
                Some(RawOutcome { kind: outcome, occurred_at: at.plus(after) })
            }
        }
    }

    fn draw_attribution(
        &mut self,
        habits: &Habits,
        captured_via: CapturedVia,
        referrer: &RawSide,
        clicked_at: Timestamp,
    ) -> RawAttribution {
        let by_hand = captured_via == CapturedVia::Manual;
        let invalid = self.chance.happens(habits.code_invalid);
        let changed = self.chance.happens(habits.code_changed);
        RawAttribution {
            captured_via,
            ucc: Some(code_of(&referrer.account_id)),
            code_validity: if invalid { CodeValidity::Invalid } else { CodeValidity::Valid },
            previous_ucc: changed.then(|| format!("UC{:08X}", self.chance.token() >> 32)),
            captured_at: (!by_hand).then_some(clicked_at),
            attached_by: by_hand.then(|| format!("support-{}", 1 + self.chance.below(6))),
        }
    }
}

/// When a referee did what.
struct Times {
    click: Timestamp,
    signup: Timestamp,
    conversion: Timestamp,
}

/// The code of an account: stays the same for all its referrals.
fn code_of(account_id: &str) -> String {
    format!("UC{}", account_id.trim_start_matches("ac-").to_ascii_uppercase())
}
