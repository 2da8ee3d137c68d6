//! Holds the shipped policy to what it promises: who is approved, who is looked at, who is rejected, by its rules and their weights alone; and
//! what its rules still hold when the shipped model scores.

use std::sync::LazyLock;

use proptest::prelude::*;

use super::shipped;
use crate::adapters::model_file;
use crate::adapters::model_store::SHIPPED_MODEL;
use crate::screening::audit::AuditKey;
use crate::screening::comparability::Comparability;
use crate::screening::decision::{Decision, Scored, Verdict};
use crate::screening::evidence::EvidenceCode;
use crate::screening::features::project;
use crate::screening::fixtures::{
    any_evidence, bundle, card, conversion, device, email, name, network, noon, usual_journey, value,
};
use crate::screening::history::{AccountHistory, History, IdentifierKind, ListHit, ListKind, RingHistory};
use crate::screening::model::Model;
use crate::screening::warning::WarningCode;
use crate::screening::{Models, Observation, Rulebook, assess, decide};
use crate::vocabulary::bundle::{PaymentPurpose, SignalBundle};
use crate::vocabulary::conversion::{Conversion, Side};
use crate::vocabulary::digest::{Digest, DigestSet, KeyId};
use crate::vocabulary::email::EmailDomainClass;
use crate::vocabulary::ids::Actor;
use crate::vocabulary::journey::{CapturedVia, Journey, Touchpoint};
use crate::vocabulary::money::Money;

fn decided(conversion: &Conversion, history: &History) -> Decision {
    let (policy, audit_key) = (shipped().unwrap().scored_by_rules(), AuditKey::new([1; 32]));
    assess(conversion, history, Rulebook { policy: &policy, models: Models::default(), audit_key: &audit_key }, noon())
}

/// The verdict on a conversion whose sides share what `share` adds to each.
fn verdict_of_shared(share: impl Fn(&mut SignalBundle)) -> Verdict {
    let shared = conversion(|conversion| {
        share(&mut conversion.referrer);
        share(&mut conversion.referee);
    });
    decided(&shared, &History::default()).verdict
}

#[test]
fn strangers_are_approved() {
    let strangers = decided(&conversion(|_| ()), &History::default());
    assert_eq!((strangers.verdict, strangers.reasons.len()), (Verdict::Approved, 0));
}

#[test]
fn a_shared_address_alone_is_approved() {
    assert_eq!(verdict_of_shared(|side| side.networks.push(network(7))), Verdict::Approved);
}

#[test]
fn colleagues_on_one_network_and_domain_are_approved() {
    let colleagues = conversion(|conversion| {
        for (side, number) in [(&mut conversion.referrer, 1), (&mut conversion.referee, 2)] {
            side.networks.push(network(7));
            side.emails.push(email(number, number, EmailDomainClass::Corporate));
        }
    });
    assert_eq!(decided(&colleagues, &History::default()).verdict, Verdict::Approved);
}

/// Everything that two people of one home can share.
fn share_a_home(side: &mut SignalBundle) {
    let mut tablet = device(7);
    tablet.browser = Some(value(8));
    (tablet.platform, tablet.time_zone, tablet.user_agent) = ("iPadOS".into(), "Europe/Vienna".into(), "Mozilla/5.0".into());
    side.devices.push(tablet);
    side.networks.push(network(7));
    side.payments.push(card(7, PaymentPurpose::Billing));
}

#[test]
fn a_couple_that_shares_flat_tablet_and_card_is_looked_at_and_not_rejected() {
    assert_eq!(verdict_of_shared(share_a_home), Verdict::InReview);
    let with_domain_and_journey = conversion(|conversion| {
        let journey = usual_journey();
        let on_tablet = |step: &Touchpoint| Touchpoint { device: Some(value(7)), ..step.clone() };
        let steps: Vec<Touchpoint> = journey.touchpoints().iter().map(on_tablet).collect();
        for (side, number) in [(&mut conversion.referrer, 1), (&mut conversion.referee, 2)] {
            share_a_home(side);
            side.emails.push(email(number, number, EmailDomainClass::Corporate));
            side.journey = Journey::new(steps.clone(), None);
        }
    });
    assert_eq!(decided(&with_domain_and_journey, &History::default()).verdict, Verdict::InReview);
}

#[test]
fn a_shared_device_or_card_is_looked_at() {
    assert_eq!(verdict_of_shared(|side| side.devices.push(device(7))), Verdict::InReview);
    assert_eq!(verdict_of_shared(|side| side.payments.push(card(7, PaymentPurpose::Billing))), Verdict::InReview);
}

#[test]
fn an_alias_is_looked_at_whatever_stands_beside_it() {
    let alias = |side: &mut SignalBundle| side.emails = vec![email(7, 7, EmailDomainClass::FreeMail)];
    let other_address = |side: &mut SignalBundle| {
        alias(side);
        let number = if side.account_id.as_str() == "ann" { 1 } else { 2 };
        side.emails[0].exact = Some(value(number));
    };
    assert_eq!(verdict_of_shared(other_address), Verdict::InReview);
    let with = |more: fn(&mut SignalBundle)| {
        verdict_of_shared(|side| {
            other_address(side);
            more(side);
        })
    };
    assert_eq!(with(|side| side.devices.push(device(7))), Verdict::InReview);
    assert_eq!(with(|side| side.payments.push(card(7, PaymentPurpose::Billing))), Verdict::InReview);
    assert_eq!(with(|side| side.names.push(name(7))), Verdict::InReview);
    assert_eq!(verdict_of_shared(alias), Verdict::InReview, "one address on both sides");
}

#[test]
fn one_name_with_one_card_or_at_one_address_is_looked_at() {
    let with_card = |side: &mut SignalBundle| {
        side.names.push(name(7));
        side.payments.push(card(7, PaymentPurpose::Billing));
    };
    assert_eq!(verdict_of_shared(with_card), Verdict::InReview);
    let at_home = |side: &mut SignalBundle| {
        side.names.push(name(7));
        side.networks.push(network(7));
    };
    assert_eq!(verdict_of_shared(at_home), Verdict::InReview);
    assert_eq!(verdict_of_shared(|side| side.names.push(name(7))), Verdict::InReview, "a name that nobody else has");
}

#[test]
fn a_referrer_who_is_paid_where_the_referee_pays_is_looked_at() {
    let circle = conversion(|conversion| {
        conversion.referrer.payments.push(card(7, PaymentPurpose::Payout));
        conversion.referee.payments.push(card(7, PaymentPurpose::Billing));
    });
    assert_eq!(decided(&circle, &History::default()).verdict, Verdict::InReview);
}

#[test]
fn a_disposable_address_alone_is_approved() {
    let disposable = conversion(|c| c.referee.emails.push(email(2, 2, EmailDomainClass::Disposable)));
    assert_eq!(decided(&disposable, &History::default()).verdict, Verdict::Approved);
}

#[test]
fn a_loop_a_blocked_value_and_a_rejected_ring_are_not_approved() {
    let honest = conversion(|_| ());
    let of = |history: History| decided(&honest, &history).verdict;
    let ring = |loop_steps, accounts_rejected| RingHistory { loop_steps, accounts: 3, accounts_rejected };
    assert_eq!(of(History { ring: ring(Some(5), 0), ..History::default() }), Verdict::InReview);
    assert_eq!(of(History { ring: ring(None, 2), ..History::default() }), Verdict::InReview);
    let blocked = ListHit { list: ListKind::Blocked, side: Side::Referee, identifier: None };
    assert_eq!(of(History { list_hits: vec![blocked], ..History::default() }), Verdict::Rejected);
    let office = ListHit { list: ListKind::Blocked, side: Side::Referee, identifier: Some(IdentifierKind::Address) };
    assert_eq!(of(History { list_hits: vec![office], ..History::default() }), Verdict::InReview, "others share it");
}

#[test]
fn an_influencer_with_eight_new_users_in_ten_minutes_is_approved() {
    let recent_referrals = vec![noon(); 8];
    let referrer =
        AccountHistory { first_seen_at: Some(noon()), recent_referrals, referrals_total: 8, ..AccountHistory::default() };
    let verdict = decided(&conversion(|_| ()), &History { referrer, ..History::default() }).verdict;
    assert_eq!(verdict, Verdict::Approved);
}

#[test]
fn by_hand_with_a_journey_is_screened_and_without_one_is_looked_at() {
    let by_hand = |journey: Journey| {
        conversion(|conversion| {
            conversion.attribution.captured_via = CapturedVia::Manual;
            conversion.attribution.attached_by = Some(Actor::new("support").unwrap());
            conversion.referee.journey = journey;
        })
    };
    assert_eq!(decided(&by_hand(usual_journey()), &History::default()).verdict, Verdict::Approved);
    assert_eq!(decided(&by_hand(Journey::default()), &History::default()).verdict, Verdict::InReview);
}

#[test]
fn a_trusted_referrer_does_not_outweigh_a_circle_of_money() {
    let circle = conversion(|conversion| {
        conversion.referrer.payments.push(card(7, PaymentPurpose::Payout));
        conversion.referee.payments.push(card(7, PaymentPurpose::Billing));
    });
    let trusted = ListHit { list: ListKind::Trusted, side: Side::Referrer, identifier: None };
    let history = History { list_hits: vec![trusted], ..History::default() };
    assert_eq!(decided(&circle, &history).verdict, Verdict::InReview);
}

/// Both sides with an address, a device, a card and a network, all under one key.
fn under_key(side: &mut SignalBundle, key: &str) {
    let set = |number: u8| DigestSet::single(Digest { value: [number; 32], key_id: KeyId::new(key).unwrap() });
    let mut address = email(1, 2, EmailDomainClass::FreeMail);
    (address.exact, address.mailbox, address.local_part) = (Some(set(1)), Some(set(1)), Some(set(2)));
    let mut phone = device(3);
    phone.fingerprint = Some(set(3));
    let mut line = network(4);
    line.address = Some(set(4));
    let mut own_card = card(5, PaymentPurpose::Billing);
    own_card.instrument = set(5);
    (side.emails, side.names, side.devices) = (vec![address], Vec::new(), vec![phone]);
    (side.networks, side.payments) = (vec![line], vec![own_card]);
}

#[test]
fn two_bare_accounts_are_looked_at_because_nothing_could_be_compared() {
    let bare = conversion(|conversion| (conversion.referrer, conversion.referee) = (bundle("ann"), bundle("bob")));
    for decision in [decided(&bare, &History::default()), decided_as_shipped(&bare)] {
        assert_eq!((decision.verdict, decision.reasons[0].code), (Verdict::InReview, EvidenceCode::Incomparable));
    }
}

#[test]
fn two_sides_whose_keys_never_meet_are_looked_at_with_a_warning_for_each_kind() {
    let apart = conversion(|conversion| {
        under_key(&mut conversion.referrer, "k1");
        under_key(&mut conversion.referee, "k2");
    });
    let decision = decided_as_shipped(&apart);
    assert_eq!((decision.verdict, decision.reasons[0].code), (Verdict::InReview, EvidenceCode::Incomparable));
    assert!(decision.reasons[0].sentence.contains("different keys"), "{}", decision.reasons[0].sentence);
    assert_eq!(decision.warnings.len(), 6, "{:?}", decision.warnings);
    assert!(decision.warnings.iter().all(|warning| warning.code == WarningCode::KeysDiffer));
}

#[test]
fn a_purchase_below_the_minimum_is_shown_and_speaks_against_nobody() {
    let below = conversion(|conversion| {
        conversion.value = Some(Money::new(999, "EUR").unwrap());
        conversion.minimum_purchase = Some(Money::new(1_000, "EUR").unwrap());
    });
    let decision = decided(&below, &History::default());
    assert_eq!((decision.verdict, decision.reasons.len()), (Verdict::Approved, 0));
    assert_eq!(decision.rule_hits.iter().map(|hit| &*hit.rule).collect::<Vec<_>>(), ["below_minimum"]);
}

proptest! {
    #[test]
    fn what_a_score_of_the_shipped_model_is_made_of_adds_up_to_it(evidence in any_evidence()) {
        let policy = shipped().unwrap();
        let features = project(&evidence);
        let audit_key = AuditKey::new([1; 32]);
        let models = Models { active: Some(&SHIPPED), ..Models::default() };
        let observed = Observation { evidence, features, comparability: Comparability::default(), warnings: Vec::new() };
        let rulebook = Rulebook { policy: &policy, models, audit_key: &audit_key };
        let decision = decide(&conversion(|_| ()), &History::default(), observed, rulebook, noon());
        let parts = &decision.score_parts;
        let logit = (decision.score / (1.0 - decision.score)).ln();
        prop_assert!((parts.log_odds() - logit).abs() < 1e-6, "{} is not {logit}", parts.log_odds());
        // The rest is no leftover: it is what the model says of all that did not hit.
        let said = SHIPPED.score(&decision.features()).contributions;
        let not_hit: f64 = said.iter().filter(|(code, _)| !decision.evidence[*code].is_hit()).map(|(_, part)| part).sum();
        prop_assert!((parts.rest_log_odds - not_hit).abs() < 1e-6, "{} is not {not_hit}", parts.rest_log_odds);
    }
}

static SHIPPED: LazyLock<Model> = LazyLock::new(|| model_file::from_bytes(SHIPPED_MODEL).unwrap());

/// By the shipped policy and the shipped model together, as a server begins.
fn decided_as_shipped(conversion: &Conversion) -> Decision {
    let (policy, audit_key) = (shipped().unwrap(), AuditKey::new([1; 32]));
    let models = Models { active: Some(&SHIPPED), ..Models::default() };
    let rulebook = Rulebook { policy: &policy, models, audit_key: &audit_key };
    assess(conversion, &History::default(), rulebook, noon())
}

#[test]
fn the_shipped_model_scores_and_strangers_are_approved() {
    let strangers = decided_as_shipped(&conversion(|_| ()));
    assert_eq!((strangers.scored, strangers.verdict), (Scored::ByModel, Verdict::Approved), "{:?}", strangers.reasons);
}

#[test]
fn the_rules_hold_whatever_the_model_says() {
    let circle = conversion(|conversion| {
        conversion.referrer.payments.push(card(7, PaymentPurpose::Payout));
        conversion.referee.payments.push(card(7, PaymentPurpose::Billing));
    });
    assert!(decided_as_shipped(&circle).verdict >= Verdict::InReview);
    let one_device = conversion(|conversion| {
        conversion.referrer.devices.push(device(7));
        conversion.referee.devices.push(device(7));
    });
    assert!(decided_as_shipped(&one_device).verdict >= Verdict::InReview);
}

#[test]
fn without_its_model_the_shipped_policy_approves_nothing() {
    let (policy, audit_key) = (shipped().unwrap(), AuditKey::new([1; 32]));
    let rulebook = Rulebook { policy: &policy, models: Models::default(), audit_key: &audit_key };
    let strangers = assess(&conversion(|_| ()), &History::default(), rulebook, noon());
    assert_eq!((strangers.scored, strangers.verdict), (Scored::ModelMissing, Verdict::InReview));
}
