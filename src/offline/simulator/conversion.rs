//! Writes the conversion of two sides: when, how the code was captured, the journey, the value, what happens later.
//!
//! A third part of the world. Times, pages, prices and ways are the programme's, whoever converts; a persona's own conduct comes on top.

use super::chance::rounded;
use super::episode::{Hand, pays};
use super::persona::Conduct;
use super::raw::{RawAttribution, RawConversion, RawOutcome, RawReward, RawSide, RawTouchpoint};
use super::setting::{Role, price};
use super::sides::Opened;
use super::world::{World, span_of_hours};
use crate::vocabulary::conversion::{ConversionKind, RefereeStanding, Side};
use crate::vocabulary::journey::{CapturedVia, CodeValidity, TouchpointKind};
use crate::vocabulary::outcome::OutcomeKind;
use crate::vocabulary::time::{Span, Timestamp};

/// What referrer and referee are paid. Unit: minor units.
const REFERRER_REWARD_MINOR: i64 = 2_000;
const REFEREE_REWARD_MINOR: i64 = 1_000;
/// The longest time from sign-up to a conversion. Unit: hours.
const SIGNUP_TO_CONVERSION_MAX_HOURS: f64 = 90.0 * 24.0;
/// Before a purchase the checkout begins so long ago. Unit: seconds.
const CHECKOUT_SECONDS: i64 = 95;

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

impl World<'_> {
    /// What happened, by the programme's shares.
    pub(super) fn draw_kind(&mut self) -> ConversionKind {
        let purchases = self.setting.programme.purchases;
        let kinds = [
            (ConversionKind::NewSignup, purchases.signups),
            (ConversionKind::DemoAttended, purchases.demonstrations),
            (ConversionKind::InvoicePaid, purchases.invoices),
            (ConversionKind::ChargeSucceeded, purchases.charges),
        ];
        kinds[self.chance.weighted(kinds.iter().map(|(_, share)| *share))].0
    }

    /// Writes the conversion of two sides.
    #[expect(clippy::too_many_arguments, reason = "a conversion follows from everything that is known of a referral")]
    pub(super) fn convert(
        &mut self,
        role: &Role,
        hand: &Hand,
        kind: ConversionKind,
        referrer: RawSide,
        mut referee: RawSide,
        opened: Opened,
        at: Timestamp,
    ) -> RawConversion {
        let captured_via = self.draw_capture(&role.habits.conduct);
        let times = self.draw_times(role, kind, opened, at);
        if opened == Opened::Now {
            referee.account_created_at = Some(times.signup);
        }
        let missing = self.setting.programme.capture.journey_missing;
        let journey_missing = self.chance.happens(missing) || self.chance.happens(role.habits.conduct.journey_missing);
        if !journey_missing {
            referee.journey = self.draw_journey(role, hand, captured_via, opened, kind, &times, &referrer, &referee);
        }
        let value_minor = self.draw_value(role, kind);
        let invoice_id = (kind == ConversionKind::InvoicePaid).then(|| format!("in-{:012x}", self.chance.token() >> 16));
        RawConversion {
            conversion_id: String::new(),
            campaign_id: Some(if self.chance.happens(0.7) { "evergreen" } else { "spring" }),
            kind,
            occurred_at: at,
            value_minor,
            minimum_purchase_minor: value_minor.and(self.setting.minimum_minor),
            invoice_id,
            referee_standing: match opened {
                Opened::Now => RefereeStanding::New,
                Opened::Before => RefereeStanding::Existing,
            },
            attribution: self.draw_attribution(role, captured_via, &referrer, kind, &times),
            referrer,
            referee,
            rewards: vec![
                RawReward { reward_id: String::new(), beneficiary: Side::Referrer, amount_minor: REFERRER_REWARD_MINOR },
                RawReward { reward_id: String::new(), beneficiary: Side::Referee, amount_minor: REFEREE_REWARD_MINOR },
            ],
            outcome: self.draw_outcome(role, kind, at),
            persona: role.name,
            truth: role.truth,
            group: hand.group.clone(),
        }
    }

    /// The first invoice of somebody who signed up, where he pays at all: another conversion of the same referral.
    pub(super) fn pay_later(&mut self, role: &Role, hand: &Hand, signup: &RawConversion) -> Option<RawConversion> {
        if signup.kind != ConversionKind::NewSignup || !self.chance.happens(self.setting.programme.purchases.pays_later) {
            return None;
        }
        let hours = self.draw_hours_to_conversion(role).clamp(0.02, SIGNUP_TO_CONVERSION_MAX_HOURS);
        let at = self.later(signup.occurred_at, hours);
        let mut invoice = signup.clone();
        invoice.kind = ConversionKind::InvoicePaid;
        invoice.occurred_at = at;
        self.pay(hand, &mut invoice.referrer, &mut invoice.referee, &[], at);
        if let Some(last) = invoice.referee.journey.last().cloned() {
            let purchase = RawTouchpoint { kind: TouchpointKind::Purchase, occurred_at: at, path_token: "thanks", ..last };
            invoice.referee.journey.push(purchase);
        }
        invoice.value_minor = self.draw_value(role, invoice.kind);
        invoice.minimum_purchase_minor = self.setting.minimum_minor;
        invoice.invoice_id = Some(format!("in-{:012x}", self.chance.token() >> 16));
        invoice.outcome = self.draw_outcome(role, invoice.kind, at);
        Some(invoice)
    }

    fn draw_capture(&mut self, conduct: &Conduct) -> CapturedVia {
        let usual = self.setting.programme.capture;
        let of_persona =
            [(CapturedVia::Form, conduct.form), (CapturedVia::Manual, conduct.manual), (CapturedVia::Api, conduct.api)];
        for (way, probability) in of_persona {
            if self.chance.happens(probability) {
                return way;
            }
        }
        let ways = [
            (CapturedVia::Link, usual.link),
            (CapturedVia::Cookie, usual.cookie),
            (CapturedVia::Form, usual.form),
            (CapturedVia::DeepLink, usual.deep_link),
            (CapturedVia::Api, usual.api),
            (CapturedVia::Manual, usual.manual),
        ];
        ways[self.chance.weighted(ways.iter().map(|(_, share)| *share))].0
    }

    fn draw_hours_to_conversion(&mut self, role: &Role) -> f64 {
        let tempo = self.setting.programme.tempo;
        let median = tempo.signup_to_conversion_median_hours * role.manner.signup_to_conversion;
        self.chance.log_normal(median, tempo.signup_to_conversion_sigma)
    }

    fn draw_times(&mut self, role: &Role, kind: ConversionKind, opened: Opened, at: Timestamp) -> Times {
        let tempo = self.setting.programme.tempo;
        let after_hours = match (kind, opened) {
            (ConversionKind::NewSignup, Opened::Now) => self.chance.log_normal(2.0, 0.5) / 3_600.0,
            (
                ConversionKind::NewSignup
                | ConversionKind::DemoAttended
                | ConversionKind::InvoicePaid
                | ConversionKind::ChargeSucceeded,
                _,
            ) => self.draw_hours_to_conversion(role).clamp(0.003, SIGNUP_TO_CONVERSION_MAX_HOURS),
        };
        let signed_up_at = at.minus(span_of_hours(after_hours));
        let median = tempo.click_to_signup_median_seconds * role.manner.click_to_signup;
        let to_signup = self.chance.log_normal(median, tempo.click_to_signup_sigma).clamp(4.0, 20.0 * 86_400.0);
        Times { click: signed_up_at.minus(span_of_hours(to_signup / 3_600.0)), signup: signed_up_at, conversion: at }
    }

    #[expect(clippy::too_many_arguments, reason = "a journey follows from everything that is known of a referral")]
    fn draw_journey(
        &mut self,
        role: &Role,
        hand: &Hand,
        captured_via: CapturedVia,
        opened: Opened,
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
        let pages = rounded(self.chance.exponential(self.setting.programme.tempo.pages_mean * role.manner.pages)).min(40);
        for _ in 0..pages {
            let after =
                Span::from_millis(i64::try_from(self.chance.token() % browsing_millis.unsigned_abs()).unwrap_or_default());
            let path = PATHS[self.chance.weighted(PATH_SHARES.into_iter())];
            steps.push(step(TouchpointKind::PageView, times.click.plus(after), path));
        }
        steps.push(match opened {
            Opened::Now => step(TouchpointKind::Signup, times.signup, "signup"),
            Opened::Before => step(TouchpointKind::SignIn, times.signup, "signin"),
        });
        if pays(kind) {
            // A checkout is never before the sign-up, however fast both were.
            let checkout = times.conversion.minus(Span::from_seconds(CHECKOUT_SECONDS)).max(times.signup);
            steps.push(step(TouchpointKind::Checkout, checkout, "checkout"));
            steps.push(step(TouchpointKind::Purchase, times.conversion, "thanks"));
        }
        if self.chance.happens(hand.with_referrer.present) {
            let theirs = referrer.devices.first();
            let at = self.chance.below(steps.len());
            steps[at].device = theirs.and_then(|device| device.fingerprint.clone());
            steps[at].browser = theirs.and_then(|device| device.browser.clone());
        }
        steps.sort_by_key(|step| step.occurred_at);
        steps
    }

    fn draw_value(&mut self, role: &Role, kind: ConversionKind) -> Option<i64> {
        if !pays(kind) {
            return None;
        }
        let purchases = self.setting.programme.purchases;
        if let Some(minimum) = self.setting.minimum_minor
            && (self.chance.happens(purchases.exactly_minimum) || self.chance.happens(role.habits.conduct.minimum_purchase))
        {
            return Some(minimum);
        }
        if self.chance.happens(purchases.plan) {
            let plan = self.chance.below(self.setting.plans_minor.len());
            return self.setting.plans_minor.get(plan).copied();
        }
        Some(price(self.chance.log_normal(purchases.price_median_minor * role.manner.price, purchases.price_sigma)))
    }

    fn draw_outcome(&mut self, role: &Role, kind: ConversionKind, at: Timestamp) -> Option<RawOutcome> {
        if !pays(kind) {
            return None;
        }
        let purchases = self.setting.programme.purchases;
        let conduct = role.habits.conduct;
        let (outcome, after_median_days) = if self.chance.happens(conduct.refund) {
            (OutcomeKind::ChargeRefunded, purchases.payout_delay_days + 1.0)
        } else if self.chance.happens(purchases.refund) {
            (OutcomeKind::ChargeRefunded, 9.0)
        } else if self.chance.happens(purchases.chargeback) || self.chance.happens(conduct.chargeback) {
            (OutcomeKind::Chargeback, 32.0)
        } else if self.chance.happens(purchases.cancel) {
            (OutcomeKind::SubscriptionCanceled, 25.0)
        } else {
            return None;
        };
        let after = span_of_hours(24.0 * self.chance.log_normal(after_median_days, 0.6).min(120.0));
        Some(RawOutcome { kind: outcome, occurred_at: at.plus(after) })
    }

    fn draw_attribution(
        &mut self,
        role: &Role,
        captured_via: CapturedVia,
        referrer: &RawSide,
        kind: ConversionKind,
        times: &Times,
    ) -> RawAttribution {
        let (usual, conduct) = (self.setting.programme.capture, role.habits.conduct);
        let by_hand = captured_via == CapturedVia::Manual;
        let invalid = self.chance.happens(usual.code_invalid) || self.chance.happens(conduct.code_invalid);
        let changed = self.chance.happens(usual.code_changed) || self.chance.happens(conduct.code_changed);
        let late = self.chance.happens(usual.after_checkout) || self.chance.happens(conduct.after_checkout);
        let typed_late = late && captured_via == CapturedVia::Form && pays(kind);
        let captured_at = if typed_late { times.conversion.minus(Span::from_seconds(CHECKOUT_SECONDS / 2)) } else { times.click };
        RawAttribution {
            captured_via,
            ucc: Some(code_of(&referrer.account_id)),
            code_validity: if invalid { CodeValidity::Invalid } else { CodeValidity::Valid },
            previous_ucc: changed.then(|| format!("UC{:08X}", self.chance.token() >> 32)),
            captured_at: (!by_hand).then_some(captured_at),
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
