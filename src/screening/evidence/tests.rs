//! Claims about evidence: what hits, how strongly, and what is absent rather than clear.

use super::{Evidence, EvidenceCode, Finding, gather};
use crate::screening::comparability::Comparability;
use crate::screening::fixtures::{
    bundle, card, conversion, crowd_on, device, email, honest, identifier, name, network, noon, person, value,
};
use crate::screening::history::{AccountHistory, Crowd, FingerprintSharing, History, IdentifierKind, RingHistory, TiedElsewhere};
use crate::vocabulary::bundle::{DeviceSignals, EmailSignals, NameSignals, NetworkFlag, PaymentPurpose};
use crate::vocabulary::conversion::{Conversion, ConversionKind, RefereeStanding};
use crate::vocabulary::email::EmailDomainClass;
use crate::vocabulary::journey::{CapturedVia, Journey, Touchpoint, TouchpointKind};
use crate::vocabulary::money::Money;
use crate::vocabulary::time::Span;

fn evidence_of(conversion: &Conversion, history: &History) -> Evidence {
    let (referrer, referee) = history.sides(conversion);
    let (comparability, _) = Comparability::of(&referrer, &referee);
    gather(conversion, &referrer, &referee, &comparability, history)
}

fn evidence(change: impl FnOnce(&mut Conversion)) -> Evidence {
    evidence_of(&conversion(change), &History::default())
}

fn touchpoint(kind: TouchpointKind, seconds_before: i64) -> Touchpoint {
    Touchpoint {
        kind,
        occurred_at: noon().minus(Span::from_seconds(seconds_before)),
        device: None,
        browser: None,
        path_token: "".into(),
    }
}

#[test]
fn an_honest_conversion_hits_nothing() {
    let hits: Vec<_> = evidence_of(&honest(), &History::default()).hits().map(|(code, _)| code).collect();
    assert_eq!(hits, []);
}

#[test]
fn a_missing_signal_is_absent_and_a_different_one_is_clear() {
    assert!(evidence(|_| {})[EvidenceCode::SameDevice].is_absent());
    let different = evidence(|cv| {
        cv.referrer.devices = vec![device(1)];
        cv.referee.devices = vec![device(2)];
    });
    assert_eq!(different[EvidenceCode::SameDevice], Finding::CLEAR);
}

#[test]
fn one_account_on_both_sides_is_seen() {
    assert!(evidence(|cv| cv.referee = bundle("ann"))[EvidenceCode::SameAccount].is_hit());
}

#[test]
fn a_device_shared_by_two_says_more_than_one_shared_by_a_crowd() {
    let shared = conversion(|cv| {
        cv.referrer.devices = vec![device(1)];
        cv.referee.devices = vec![device(1)];
    });
    let alone = evidence_of(&shared, &History::default())[EvidenceCode::SameDevice];
    let crowded = evidence_of(&shared, &crowd_on(IdentifierKind::Device, 1, 100))[EvidenceCode::SameDevice];
    assert!(alone.bits() > 8.0, "{alone:?}");
    assert!(crowded.bits() < 3.0 && crowded.measure() == Some(100.0), "{crowded:?}");
}

#[test]
fn the_rarest_shared_value_gives_the_strength() {
    let shared = conversion(|cv| {
        cv.referrer.networks = vec![network(1), network(2)];
        cv.referee.networks = vec![network(1), network(2)];
    });
    let finding = evidence_of(&shared, &crowd_on(IdentifierKind::Address, 1, 400))[EvidenceCode::SameAddress];
    assert!(finding.bits() > 12.0 && finding.measure() == Some(0.0), "{finding:?}");
}

#[test]
fn the_referrers_known_profile_counts_even_when_the_message_is_bare() {
    let mut profile = bundle("ann");
    profile.devices = vec![device(1)];
    let history =
        History { referrer: AccountHistory { profile: Some(profile), ..AccountHistory::default() }, ..History::default() };
    let bare = conversion(|cv| cv.referee.devices = vec![device(1)]);
    assert!(evidence_of(&bare, &history)[EvidenceCode::SameDevice].is_hit());
}

#[test]
fn payout_to_the_referees_card_differs_from_a_shared_billing_card() {
    let payout = evidence(|cv| {
        cv.referrer.payments = vec![card(1, PaymentPurpose::Payout)];
        cv.referee.payments = vec![card(1, PaymentPurpose::Billing)];
    });
    let billing = evidence(|cv| {
        cv.referrer.payments = vec![card(1, PaymentPurpose::Billing)];
        cv.referee.payments = vec![card(1, PaymentPurpose::Billing)];
    });
    assert!(payout[EvidenceCode::PayoutIsBilling].is_hit());
    assert!(billing[EvidenceCode::SameInstrument].is_hit() && !billing[EvidenceCode::PayoutIsBilling].is_hit());
}

#[test]
fn aliases_of_one_mailbox_are_told_from_namesakes_at_two_providers() {
    let mut alias = email(1, 1, EmailDomainClass::FreeMail);
    alias.exact = Some(value(99));
    let aliases = evidence(|cv| {
        cv.referrer.emails = vec![email(1, 1, EmailDomainClass::FreeMail)];
        cv.referee.emails = vec![alias];
    });
    assert!(aliases[EvidenceCode::SameMailbox].is_hit() && !aliases[EvidenceCode::SameEmail].is_hit());
    let namesakes = evidence(|cv| {
        cv.referrer.emails = vec![email(1, 9, EmailDomainClass::FreeMail)];
        cv.referee.emails = vec![email(2, 9, EmailDomainClass::FreeMail)];
    });
    assert!(namesakes[EvidenceCode::SameLocalPart].is_hit() && !namesakes[EvidenceCode::SameMailbox].is_hit());
}

#[test]
fn a_free_mail_domain_is_not_a_shared_private_domain() {
    let domain = |class| {
        evidence(|cv| {
            cv.referrer.emails = vec![email(1, 1, class)];
            cv.referee.emails = vec![email(2, 2, class)];
        })[EvidenceCode::SharedPrivateDomain]
    };
    assert!(domain(EmailDomainClass::FreeMail).is_absent());
    assert!(domain(EmailDomainClass::Corporate).is_hit());
}

#[test]
fn the_referrers_device_inside_the_referees_journey_is_seen_only_before_the_conversion() {
    let on_device = |seconds_before| {
        evidence(|cv| {
            let mut step = touchpoint(TouchpointKind::Signup, seconds_before);
            step.device = Some(value(1));
            cv.referrer.devices = vec![device(1)];
            cv.referee.journey = Journey::new(vec![step], None);
        })[EvidenceCode::ReferrerPresent]
    };
    assert!(on_device(60).is_hit());
    assert!(on_device(-60).is_absent());
}

#[test]
fn a_signup_seconds_after_the_click_is_fast_and_one_minutes_after_is_not() {
    let after = |seconds: i64| {
        evidence(|cv| {
            let steps = vec![touchpoint(TouchpointKind::LinkClick, 900), touchpoint(TouchpointKind::Signup, 900 - seconds)];
            cv.referee.journey = Journey::new(steps, None);
        })[EvidenceCode::ClickToSignup]
    };
    assert!(after(3).is_hit());
    assert_eq!(after(120), Finding::Clear { measure: Some(120.0) });
}

#[test]
fn a_signup_long_after_the_conversion_is_a_broken_clock_and_not_evidence() {
    let skewed = |seconds_before| {
        evidence(|cv| cv.referee.journey = Journey::new(vec![touchpoint(TouchpointKind::Signup, seconds_before)], None))
            [EvidenceCode::SignupToConversion]
    };
    assert!(skewed(-3_600).is_absent());
    assert!(skewed(-10).is_hit());
}

#[test]
fn a_signup_that_is_the_conversion_is_not_fast() {
    let signup = |kind| {
        evidence(|cv| {
            cv.kind = kind;
            cv.referee.journey = Journey::new(vec![touchpoint(TouchpointKind::Signup, 2)], None);
        })[EvidenceCode::SignupToConversion]
    };
    assert!(signup(ConversionKind::NewSignup).is_absent());
    assert!(signup(ConversionKind::InvoicePaid).is_hit());
}

#[test]
fn a_referral_attached_by_hand_weighs_more_without_a_journey() {
    let manual = |journey: Journey| {
        evidence(|cv| {
            cv.attribution.captured_via = CapturedVia::Manual;
            cv.referee.journey = journey;
        })[EvidenceCode::ManualAttribution]
            .strength()
    };
    assert_eq!(manual(Journey::default()), 1.0);
    assert_eq!(manual(Journey::new(vec![touchpoint(TouchpointKind::Signup, 900)], None)), 0.5);
}

#[test]
fn an_account_opened_before_the_code_was_captured_is_an_existing_user() {
    let opened_days_before = |days| {
        evidence(|cv| {
            cv.attribution.captured_at = Some(noon());
            cv.referee.account_created_at = Some(noon().minus(Span::from_days(days)));
        })[EvidenceCode::ExistingUser]
    };
    assert!(opened_days_before(30).is_hit());
    assert!(!opened_days_before(0).is_hit());
    assert!(evidence(|cv| cv.referee_standing = RefereeStanding::Existing)[EvidenceCode::ExistingUser].is_hit());
}

#[test]
fn a_purchase_just_above_the_minimum_is_seen() {
    let paid = |amount_minor| {
        evidence(|cv| {
            cv.value = Some(Money::new(amount_minor, "EUR").unwrap());
            cv.minimum_purchase = Some(Money::new(1_000, "EUR").unwrap());
        })[EvidenceCode::MinimumPurchase]
    };
    assert!(paid(1_000).is_hit() && paid(1_049).is_hit());
    assert!(!paid(999).is_hit() && !paid(1_200).is_hit());
}

#[test]
fn a_purchase_below_the_minimum_is_seen_beside_one_just_above_it() {
    let paid = |amount_minor, currency| {
        let evidence = evidence(|cv| {
            cv.value = Some(Money::new(amount_minor, currency).unwrap());
            cv.minimum_purchase = Some(Money::new(1_000, "EUR").unwrap());
        });
        (evidence[EvidenceCode::BelowMinimum], evidence[EvidenceCode::MinimumPurchase])
    };
    let hit = Finding::of_strength(1.0);
    assert_eq!((paid(0, "EUR"), paid(999, "EUR")), ((hit, Finding::CLEAR), (hit, Finding::CLEAR)));
    assert_eq!((paid(1_000, "EUR"), paid(1_200, "EUR")), ((Finding::CLEAR, hit), (Finding::CLEAR, Finding::CLEAR)));
    assert_eq!(paid(10, "USD"), (Finding::Absent, Finding::Absent));
}

#[test]
fn a_relay_of_the_operating_system_hardly_counts_as_hiding() {
    let through = |flag| {
        evidence(|cv| {
            let mut hidden = network(1);
            hidden.flags = vec![flag];
            cv.referee.networks = vec![hidden];
        })[EvidenceCode::AnonymisedNetwork]
            .strength()
    };
    assert!(through(NetworkFlag::Relay) < 0.2 && through(NetworkFlag::Tor) == 1.0);
}

#[test]
fn four_accounts_behind_one_address_are_a_household_and_no_crowd() {
    let on_network = conversion(|cv| cv.referee.networks = vec![network(1)]);
    let crowd = |others| evidence_of(&on_network, &crowd_on(IdentifierKind::Address, 1, others))[EvidenceCode::CrowdedNetwork];
    assert!(!crowd(4).is_hit());
    assert!(crowd(400).is_hit());
}

#[test]
fn only_referrals_up_to_the_conversion_count_for_velocity() {
    let later = noon().plus(Span::from_minutes(1));
    let referrer = |times| AccountHistory { first_seen_at: Some(noon()), recent_referrals: times, ..AccountHistory::default() };
    let burst = |times| {
        let history = History { referrer: referrer(times), ..History::default() };
        evidence_of(&honest(), &history)[EvidenceCode::ReferrerBurst]
    };
    assert!(burst(vec![noon(); 5]).is_hit());
    assert!(!burst(vec![later; 5]).is_hit());
}

#[test]
fn three_bad_referrals_of_three_speak_louder_than_three_of_three_hundred() {
    let rejected = |total| {
        let referrer = AccountHistory {
            first_seen_at: Some(noon()),
            referrals_total: total,
            referrals_rejected: 3,
            ..AccountHistory::default()
        };
        evidence_of(&honest(), &History { referrer, ..History::default() })[EvidenceCode::ReferrerRejections].strength()
    };
    assert!(rejected(3) > 0.5 && rejected(300) < 0.02);
}

#[test]
fn a_circle_of_two_speaks_louder_than_one_of_five() {
    let circle = |steps| {
        let ring = RingHistory { loop_steps: Some(steps), ..RingHistory::default() };
        evidence_of(&honest(), &History { ring, ..History::default() })[EvidenceCode::RingLoop].strength()
    };
    assert_eq!(circle(2), 1.0);
    assert!(circle(5) > 0.5 && circle(5) < circle(3));
}

#[test]
fn a_couple_on_one_device_is_no_ring() {
    let ring = |accounts| {
        let ring = RingHistory { accounts, ..RingHistory::default() };
        evidence_of(&honest(), &History { ring, ..History::default() })[EvidenceCode::RingSize]
    };
    assert!(!ring(2).is_hit());
    assert!(ring(6).is_hit());
    assert!(ring(0).is_absent());
}

#[test]
fn a_referee_who_came_with_another_referrer_before_has_a_changed_code() {
    let history = History { tied_to_other_referrer: TiedElsewhere::Yes, ..History::default() };
    assert!(evidence_of(&honest(), &history)[EvidenceCode::CodeChanged].is_hit());
}

/// A phone that its cookie tells from others of its model.
fn phone_with_cookie(fingerprint: u8, cookie: u8) -> DeviceSignals {
    DeviceSignals { browser: Some(value(cookie)), ..device(fingerprint) }
}

#[test]
fn phones_of_one_model_with_own_cookies_are_no_crowd_unless_they_share_something_else() {
    let on_phone = conversion(|cv| cv.referee.devices = vec![phone_with_cookie(1, 2)]);
    let crowded = |accounts_near_30d| {
        let mut history = crowd_on(IdentifierKind::Device, 1, 100);
        history.crowds.values_mut().for_each(|crowd| crowd.accounts_near_30d = accounts_near_30d);
        evidence_of(&on_phone, &history)[EvidenceCode::CrowdedDevice]
    };
    assert_eq!(crowded(0), Finding::Clear { measure: Some(0.0) });
    assert!(crowded(6).strength() > 0.5);
}

#[test]
fn without_a_cookie_a_fingerprint_says_less_once_it_is_on_more_accounts_than_a_device_is() {
    let on_phone = conversion(|cv| cv.referee.devices = vec![device(1)]);
    let crowded = |others| evidence_of(&on_phone, &crowd_on(IdentifierKind::Device, 1, others))[EvidenceCode::CrowdedDevice];
    assert_eq!((crowded(16).strength(), crowded(16).measure()), (0.8, Some(16.0)));
    assert!(crowded(40).strength() < 0.5 && crowded(400).strength() < 0.05 && crowded(400).measure() == Some(400.0));
}

#[test]
fn where_crowded_fingerprints_are_usual_one_says_little() {
    let on_phone = conversion(|cv| cv.referee.devices = vec![device(1)]);
    let crowded = |accounts, crowded| {
        let fingerprint_sharing = FingerprintSharing { accounts, crowded };
        let history = History { fingerprint_sharing, ..crowd_on(IdentifierKind::Device, 1, 16) };
        evidence_of(&on_phone, &history)[EvidenceCode::CrowdedDevice].strength()
    };
    assert_eq!(crowded(1_016, 16), 0.8, "it is the only one");
    assert_eq!(crowded(1_016, 66), 0.8, "some farms and kiosks");
    assert!((crowded(1_016, 516) - 0.08).abs() < 1e-12, "models of phones");
    assert_eq!(crowded(16, 16), 0.8, "nothing is known of others");
}

#[test]
fn a_fingerprint_that_is_another_each_time_has_the_crowd_of_its_cookie() {
    let on_phone = conversion(|cv| cv.referee.devices = vec![phone_with_cookie(99, 2)]);
    let crowded = evidence_of(&on_phone, &crowd_on(IdentifierKind::Browser, 2, 6))[EvidenceCode::CrowdedDevice];
    assert_eq!((crowded.strength(), crowded.measure()), (0.6, Some(6.0)));
}

#[test]
fn a_card_of_either_side_that_others_use_is_seen() {
    let history = crowd_on(IdentifierKind::Payment, 1, 6);
    let paid = card(1, PaymentPurpose::Billing);
    for of_referrer in [true, false] {
        let conversion =
            conversion(|cv| if of_referrer { &mut cv.referrer } else { &mut cv.referee }.payments.push(paid.clone()));
        assert_eq!(evidence_of(&conversion, &history)[EvidenceCode::CrowdedPayment].measure(), Some(6.0));
    }
}

#[test]
fn referrers_paid_out_to_one_account_speak_louder_the_more_they_are() {
    let paid_out = conversion(|cv| cv.referrer.payments.push(card(1, PaymentPurpose::Payout)));
    let shared =
        |payout_sharers| evidence_of(&paid_out, &History { payout_sharers, ..History::default() })[EvidenceCode::SharedPayout];
    assert_eq!(shared(0), Finding::Clear { measure: Some(0.0) });
    assert!(shared(1).strength() < 0.5 && shared(2).strength() == 0.5 && shared(5).strength() > 0.7);
    assert!(shared(40).strength() > shared(20).strength());
    assert!(evidence_of(&honest(), &History::default())[EvidenceCode::SharedPayout].is_absent());
}

#[test]
fn a_shared_device_says_less_the_longer_ago_the_other_was_there() {
    let strength = |seen_at, known_at| {
        let shared = conversion(|cv| {
            cv.referee.devices = vec![device(1)];
            cv.referrer.devices = vec![DeviceSignals { seen_at, ..device(1) }];
        });
        let crowd = Crowd { referrer_seen_at: known_at, ..Crowd::default() };
        let history = History { crowds: [(identifier(IdentifierKind::Device, 1), crowd)].into(), ..History::default() };
        evidence_of(&shared, &history)[EvidenceCode::SameDevice].bits()
    };
    let (year_ago, day_ago) = (noon().minus(Span::from_days(365)), noon().minus(Span::from_days(1)));
    let now = strength(None, None);
    assert!((now - strength(Some(year_ago), None) - 365.0 / 180.0).abs() < 1e-9, "a bit for each half of a year");
    assert!(now - strength(Some(year_ago), Some(day_ago)) < 0.01, "the last time counts");
    assert_eq!(strength(Some(noon().plus(Span::from_days(365))), None), now, "what is later is not longer ago");
}

#[test]
fn a_name_is_found_before_the_other_sides_at_in_either_direction() {
    let addressed = EmailSignals { person_sketches: vec![person(1)], ..email(1, 1, EmailDomainClass::FreeMail) };
    let named = |number| NameSignals { person_sketches: vec![person(number)], ..name(9) };
    let found = |referrers_name, referees_name| {
        let evidence = evidence(|cv| {
            cv.referrer.names.extend(referrers_name);
            cv.referee.names.extend(referees_name);
            cv.referrer.emails = vec![addressed.clone()];
            cv.referee.emails = vec![EmailSignals { person_sketches: vec![person(2)], ..addressed.clone() }];
        });
        evidence[EvidenceCode::NameInMailbox]
    };
    assert_eq!(found(None, Some(named(1))), Finding::weighed(12.0, 1.0), "the referee's name in the referrer's address");
    assert_eq!(found(Some(named(2)), None), Finding::weighed(12.0, 1.0), "the referrer's name in the referee's address");
    assert_eq!(
        found(Some(named(1)), Some(named(2))),
        Finding::Clear { measure: Some(0.0) },
        "each has an address of his own name"
    );
    assert!(found(None, None).is_absent(), "nobody's name is known");
}
