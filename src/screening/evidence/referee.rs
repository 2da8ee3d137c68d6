//! Evidence from the referee's side and the attribution alone. Called by `gather` alone.

use super::{Evidence, EvidenceCode, Finding};
use crate::screening::history::{History, TiedElsewhere};
use crate::vocabulary::bundle::{NetworkFlag, SignalBundle};
use crate::vocabulary::conversion::{Conversion, ConversionKind, RefereeStanding};
use crate::vocabulary::email::EmailDomainClass;
use crate::vocabulary::journey::{CapturedVia, CodeValidity, Journey, TouchpointKind};
use crate::vocabulary::time::{Span, Timestamp};

/// A sign-up this soon after the click is a script or a form filled in advance. Judgement: nobody reads a landing page and fills a form in it.
const CLICK_TO_SIGNUP_FAST: Span = Span::from_seconds(20);
/// A conversion this soon after sign-up. In the public e-commerce sign-up data every purchase within a minute was fraud.
const SIGNUP_TO_CONVERSION_FAST: Span = Span::from_seconds(60);
/// Clocks of two systems may disagree by this much; beyond it a reversed order counts as unknown.
const CLOCK_SKEW_MAX: Span = Span::from_minutes(5);
/// A purchase up to this share above the minimum counts as just large enough.
const MINIMUM_PURCHASE_MARGIN: f64 = 0.05;

pub(super) fn gather(evidence: &mut Evidence, conversion: &Conversion, referee: &SignalBundle, history: &History) {
    let journey = &referee.journey;
    let as_of = conversion.occurred_at;
    evidence.set(EvidenceCode::DisposableEmail, disposable(referee));
    evidence.set(EvidenceCode::AnonymisedNetwork, anonymised(referee));
    evidence.set(EvidenceCode::NoClick, no_click(conversion, journey));
    evidence.set(EvidenceCode::ClickToSignup, click_to_signup(journey, as_of));
    evidence.set(EvidenceCode::SignupToConversion, signup_to_conversion(conversion, referee));
    evidence.set(EvidenceCode::ManualAttribution, manual(conversion, journey));
    evidence.set(EvidenceCode::InvalidCode, invalid_code(conversion.attribution.code_validity));
    evidence.set(EvidenceCode::CodeChanged, code_changed(conversion, history));
    evidence.set(EvidenceCode::ExistingUser, existing_user(conversion, referee));
    evidence.set(EvidenceCode::AfterCheckout, after_checkout(conversion, journey, history));
    let above_minimum = above_minimum(conversion);
    evidence
        .set(EvidenceCode::MinimumPurchase, of_purchase(above_minimum, |above| (0.0..=MINIMUM_PURCHASE_MARGIN).contains(&above)));
    evidence.set(EvidenceCode::BelowMinimum, of_purchase(above_minimum, |above| above < 0.0));
    evidence.set(EvidenceCode::DuplicateInvoice, repeats(history));
}

/// A proven repeat fully, one that only looks so half.
fn repeats(history: &History) -> Finding {
    Finding::of_strength(match (&history.duplicate_of, &history.looks_like) {
        (Some(_), _) => 1.0,
        (None, Some(_)) => 0.5,
        (None, None) => 0.0,
    })
}

fn of_fact(holds: bool) -> Finding {
    Finding::of_strength(f64::from(u8::from(holds)))
}

fn disposable(referee: &SignalBundle) -> Finding {
    let mut classes = referee.emails.iter().filter_map(|email| email.domain_class).peekable();
    if classes.peek().is_none() {
        return Finding::Absent;
    }
    of_fact(classes.any(|class| class == EmailDomainClass::Disposable))
}

/// A relay of the operating system is a default for millions, so it hardly counts.
fn anonymised(referee: &SignalBundle) -> Finding {
    if referee.networks.is_empty() {
        return Finding::Absent;
    }
    let strength_of = |flag: &NetworkFlag| match flag {
        NetworkFlag::Tor => 1.0,
        NetworkFlag::Hosting => 0.8,
        NetworkFlag::Vpn => 0.6,
        NetworkFlag::Relay => 0.1,
    };
    Finding::of_strength(referee.networks.iter().flat_map(|network| &network.flags).map(strength_of).fold(0.0, f64::max))
}

/// Whether a referral that should have begun with a click holds none. A typed code needs no click.
fn no_click(conversion: &Conversion, journey: &Journey) -> Finding {
    if journey.is_empty() {
        return Finding::Absent;
    }
    let clicked = journey.first_of(TouchpointKind::LinkClick).is_some_and(|at| at <= conversion.occurred_at);
    match conversion.attribution.captured_via {
        CapturedVia::Link | CapturedVia::Cookie | CapturedVia::DeepLink => of_fact(!clicked),
        CapturedVia::Api | CapturedVia::Manual => Finding::of_strength(if clicked { 0.0 } else { 0.5 }),
        CapturedVia::Form => Finding::CLEAR,
    }
}

fn click_to_signup(journey: &Journey, as_of: Timestamp) -> Finding {
    let signup = journey.first_of(TouchpointKind::Signup).filter(|at| *at <= as_of);
    let click = signup.and_then(|signup| last_click_before(journey, signup));
    match (click, signup) {
        (Some(click), Some(signup)) => sooner_than(signup.since(click), CLICK_TO_SIGNUP_FAST),
        _ => Finding::Absent,
    }
}

fn last_click_before(journey: &Journey, signup: Timestamp) -> Option<Timestamp> {
    let clicks = journey.touchpoints().iter().filter(|step| step.kind == TouchpointKind::LinkClick);
    clicks.map(|step| step.occurred_at).filter(|at| *at <= signup).max()
}

/// A sign-up that is itself the conversion has no time in between, so that there the evidence is absent.
fn signup_to_conversion(conversion: &Conversion, referee: &SignalBundle) -> Finding {
    let signup = referee.journey.first_of(TouchpointKind::Signup).or(referee.account_created_at);
    match (conversion.kind, signup) {
        (ConversionKind::NewSignup, _) | (_, None) => Finding::Absent,
        (ConversionKind::DemoAttended | ConversionKind::InvoicePaid | ConversionKind::ChargeSucceeded, Some(signup)) => {
            sooner_than(conversion.occurred_at.since(signup), SIGNUP_TO_CONVERSION_FAST)
        }
    }
}

/// A hit when the time lies below the limit, the stronger the shorter; absent when the order is reversed beyond any clock skew.
fn sooner_than(elapsed: Span, limit: Span) -> Finding {
    if elapsed.is_negative() && elapsed.abs() > CLOCK_SKEW_MAX {
        return Finding::Absent;
    }
    let seconds = elapsed.as_seconds().max(0.0);
    let strength = if seconds < limit.as_seconds() { 1.0 - 0.5 * seconds / limit.as_seconds() } else { 0.0 };
    Finding::measured(strength, seconds)
}

/// A referral attached by hand weighs fully when there is no journey to check it against, and half when there is.
fn manual(conversion: &Conversion, journey: &Journey) -> Finding {
    match conversion.attribution.captured_via {
        CapturedVia::Manual => Finding::of_strength(if journey.is_empty() { 1.0 } else { 0.5 }),
        CapturedVia::Link | CapturedVia::Cookie | CapturedVia::Form | CapturedVia::DeepLink | CapturedVia::Api => Finding::CLEAR,
    }
}

fn invalid_code(validity: CodeValidity) -> Finding {
    match validity {
        CodeValidity::Invalid => Finding::of_strength(1.0),
        CodeValidity::Valid => Finding::CLEAR,
        CodeValidity::Unchecked => Finding::Absent,
    }
}

fn code_changed(conversion: &Conversion, history: &History) -> Finding {
    let attribution = &conversion.attribution;
    let changed = attribution.previous_ucc.is_some() && attribution.previous_ucc != attribution.ucc;
    match history.tied_to_other_referrer {
        TiedElsewhere::Yes => Finding::of_strength(1.0),
        TiedElsewhere::No => Finding::of_strength(if changed { 0.6 } else { 0.0 }),
    }
}

/// Whether the code came when the referee had begun to pay; absent when either time is not known.
#[must_use]
pub fn captured_after_checkout(conversion: &Conversion, journey: &Journey) -> Option<bool> {
    Some(captured_at(conversion, journey)? >= journey.first_of(TouchpointKind::Checkout)?)
}

/// When the code was captured: as the caller says, else with the first click.
fn captured_at(conversion: &Conversion, journey: &Journey) -> Option<Timestamp> {
    conversion.attribution.captured_at.or_else(|| journey.first_of(TouchpointKind::LinkClick))
}

/// A code that came only when the referee was about to pay: he came by himself, and found the code on a coupon site or was handed it at the end. One such says little, a referrer most of whose referrals came so says more. The measure: his referrals that came so.
fn after_checkout(conversion: &Conversion, journey: &Journey, history: &History) -> Finding {
    let Some(came_so) = captured_after_checkout(conversion, journey) else { return Finding::Absent };
    let (so, all) = (history.referrer.referrals_after_checkout, history.referrer.referrals_total);
    let before = f64::from(so);
    let strength = if came_so { 0.3 + 0.7 * before / (f64::from(all) + 2.0) } else { 0.0 };
    Finding::measured(strength, before)
}

/// Either the product says so, or the account was opened before the code was captured.
fn existing_user(conversion: &Conversion, referee: &SignalBundle) -> Finding {
    let captured = captured_at(conversion, &referee.journey);
    let opened_before = match (referee.account_created_at, captured) {
        (Some(opened), Some(captured)) => captured.since(opened) > CLOCK_SKEW_MAX,
        _ => false,
    };
    match conversion.referee_standing {
        RefereeStanding::Existing => Finding::of_strength(1.0),
        RefereeStanding::New => of_fact(opened_before),
    }
}

/// By which share of the minimum the purchase lies above it; absent when there is no purchase or no minimum in its currency.
#[expect(clippy::cast_precision_loss, reason = "amounts are at most 10^12")]
fn above_minimum(conversion: &Conversion) -> Option<f64> {
    let (value, minimum) = conversion.value.zip(conversion.minimum_purchase)?;
    let comparable = value.currency() == minimum.currency() && minimum.amount_minor() > 0;
    comparable.then(|| (value.amount_minor() - minimum.amount_minor()) as f64 / minimum.amount_minor() as f64)
}

fn of_purchase(above_minimum: Option<f64>, holds: impl FnOnce(f64) -> bool) -> Finding {
    above_minimum.map_or(Finding::Absent, |above| of_fact(holds(above)))
}
