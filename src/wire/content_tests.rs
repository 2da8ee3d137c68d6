//! Holds sameness to its claims: any spelling of one meaning is the same message, and any other meaning is another one, whose field is named.

use proptest::prelude::{Just, ProptestConfig, Strategy, any, prop_assert, prop_assert_eq, proptest};
use serde_json::{Value, json};

use super::content::{differences, fingerprint};
use super::fields::Arrival;
use super::fixtures::{any_conversion, full_bundle, full_conversion, seconds_ago};
use super::{conversion, signals, v1};
use crate::vocabulary::conversion::Conversion;

/// A generator of numbers for orders, which a test's input seeds.
struct Turns(u64);

impl Turns {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % limit.max(1)
    }

    fn shuffle<T>(&mut self, entries: &mut [T]) {
        for at in (1..entries.len()).rev() {
            entries.swap(at, self.below(at + 1));
        }
    }

    /// One of the spellings of an instant.
    fn respell(&mut self, time: &mut Option<crate::wire::WireTimestamp>) {
        if let Some(time) = time {
            time.nanos += i32::try_from(self.below(1_000_000)).unwrap();
        }
    }

    fn rewrite_bundle(&mut self, side: &mut v1::SignalBundle) {
        self.respell(&mut side.account_created_at);
        self.shuffle(&mut side.emails);
        for email in &mut side.emails {
            self.shuffle(&mut email.exact);
            self.shuffle(&mut email.mailbox);
            self.shuffle(&mut email.local_part_sketch);
            self.shuffle(&mut email.person_sketch);
        }
        self.shuffle(&mut side.names);
        for name in &mut side.names {
            self.shuffle(&mut name.exact);
            self.shuffle(&mut name.sketch);
            self.shuffle(&mut name.person_sketch);
        }
        self.shuffle(&mut side.devices);
        for device in &mut side.devices {
            self.respell(&mut device.seen_at);
            self.shuffle(&mut device.fingerprint);
        }
        self.shuffle(&mut side.networks);
        for network in &mut side.networks {
            self.respell(&mut network.seen_at);
            self.shuffle(&mut network.prefix);
            self.shuffle(&mut network.flags);
        }
        self.shuffle(&mut side.payments);
        for payment in &mut side.payments {
            self.respell(&mut payment.seen_at);
            self.shuffle(&mut payment.instrument);
        }
        // What is in a set twice is in it.
        if side.payments.len() == 1 {
            side.payments.push(side.payments[0].clone());
        }
        match &mut side.journey {
            None => side.journey = Some(v1::Journey::default()),
            Some(journey) => {
                self.shuffle(&mut journey.touchpoints);
                for step in &mut journey.touchpoints {
                    self.respell(&mut step.occurred_at);
                    self.shuffle(&mut step.device);
                }
                let sent = u32::try_from(journey.touchpoints.len()).unwrap();
                journey.touchpoint_count_total.get_or_insert(sent);
            }
        }
    }

    /// Another message of the same meaning.
    fn rewrite(&mut self, message: &v1::Conversion) -> v1::Conversion {
        let mut other = message.clone();
        self.respell(&mut other.occurred_at);
        self.respell(&mut other.attribution.as_mut().unwrap().captured_at);
        if other.referee_standing == Some(v1::RefereeStanding::New.into()) && self.below(2) == 0 {
            other.referee_standing = None;
        }
        self.shuffle(&mut other.rewards);
        self.rewrite_bundle(other.referrer.as_mut().unwrap());
        self.rewrite_bundle(other.referee.as_mut().unwrap());
        other
    }
}

fn read(message: v1::Conversion) -> Option<Conversion> {
    conversion::parse(message, "conversion", Arrival::Recorded).ok()
}

/// The places of all single values.
fn leaves(value: &Value, pointer: &str, found: &mut Vec<String>) {
    match value {
        Value::Object(fields) => fields.iter().for_each(|(name, value)| leaves(value, &format!("{pointer}/{name}"), found)),
        Value::Array(entries) => {
            entries.iter().enumerate().for_each(|(at, entry)| leaves(entry, &format!("{pointer}/{at}"), found));
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => found.push(pointer.to_owned()),
    }
}

/// `/referrer/emails/0/domainClass` as the contract says it: `conversion.referrer.emails[0].domain_class`.
fn contract_path(pointer: &str) -> String {
    let mut path = "conversion".to_owned();
    for step in pointer.split('/').skip(1) {
        if step.bytes().all(|byte| byte.is_ascii_digit()) {
            path += &format!("[{step}]");
        } else {
            path.push('.');
            for letter in step.chars() {
                path += &if letter.is_ascii_uppercase() { format!("_{}", letter.to_ascii_lowercase()) } else { letter.into() };
            }
        }
    }
    path
}

/// The message with one value changed, so that it is valid still and means something else; `None` when no change of that place does.
fn changed(message: &v1::Conversion, before: &Conversion, pointer: &str) -> Option<v1::Conversion> {
    let digest = "CQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQk=";
    let longer = serde_json::to_value(message).unwrap().pointer(pointer)?.as_str().map(|text| format!("{text}x"));
    let values =
        [json!(longer), json!("2024-02-03T04:05:06Z"), json!(digest), json!(1), json!(2), json!(3), json!("77"), json!("FR")];
    values.into_iter().find_map(|value| {
        let mut changed = serde_json::to_value(message).unwrap();
        *changed.pointer_mut(pointer)? = value;
        let changed: v1::Conversion = serde_json::from_value(changed).ok()?;
        read(changed.clone()).filter(|read| read != before).map(|_| changed)
    })
}

/// Any valid conversion as a message, and something to choose by.
fn message_and_turns() -> impl Strategy<Value = (v1::Conversion, u64)> {
    any_conversion().prop_flat_map(|conversion| (Just(conversion::message_of(&conversion)), any::<u64>()))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_spelling_of_one_meaning_is_the_same_message((message, seed) in message_and_turns()) {
        let other = Turns(seed).rewrite(&message);
        prop_assert_eq!(fingerprint(&other), fingerprint(&message));
        prop_assert_eq!(differences(&other, &message, "conversion"), vec![]);
    }

    #[test]
    fn any_other_meaning_is_another_message_and_its_field_is_named((message, seed) in message_and_turns()) {
        let Some(before) = read(message.clone()) else { return Ok(()) };
        let mut places = Vec::new();
        leaves(&serde_json::to_value(&message).unwrap(), "", &mut places);
        let place = &places[Turns(seed).below(places.len())];
        let Some(changed) = changed(&message, &before, place) else { return Ok(()) };
        prop_assert!(fingerprint(&changed) != fingerprint(&message), "{place}");
        let named = differences(&changed, &message, "conversion");
        let path = contract_path(place);
        // An entry that is like no other is named as a whole; a long journey has no places left in the message.
        let is_named = |field: &str| path.starts_with(field) || field.starts_with(&path) || field.contains(".touchpoints");
        prop_assert!(named.iter().any(|violation| is_named(&violation.field)), "{path} is not named by {named:?}");
    }

    #[test]
    fn what_was_exported_and_is_sent_again_is_the_same_message((message, seed) in message_and_turns()) {
        let sent = Turns(seed).rewrite(&message);
        if let Some(kept) = read(sent.clone()) {
            prop_assert_eq!(fingerprint(&conversion::message_of(&kept)), fingerprint(&sent));
        }
    }
}

/// The fields in which a changed full message differs from the full message.
fn differing(change: impl FnOnce(&mut v1::Conversion)) -> Vec<String> {
    let mut sent = full_conversion();
    change(&mut sent);
    let found = differences(&sent, &full_conversion(), "conversion");
    found.into_iter().map(|violation| violation.field).collect()
}

fn reward(id: &str, cents: i64) -> v1::Reward {
    let amount = Some(v1::Money { amount_minor: cents, currency: "EUR".into() });
    v1::Reward { reward_id: id.into(), beneficiary: v1::Side::Referee.into(), amount }
}

#[test]
fn a_field_is_named_where_the_sender_put_it() {
    assert_eq!(differing(|_| ()), [""; 0]);
    assert_eq!(differing(|m| m.value.as_mut().unwrap().amount_minor = 5_000), ["conversion.value.amount_minor"]);
    assert_eq!(differing(|m| m.value = None), ["conversion.value"]);
    assert_eq!(
        differing(|m| m.rewards = vec![reward("r-0", 5), v1::Reward { amount: None, ..m.rewards[0].clone() }]),
        ["conversion.rewards[0]", "conversion.rewards[1].amount"]
    );
    assert_eq!(differing(|m| m.rewards.clear()), ["conversion.rewards"]);
    assert_eq!(
        differing(|m| m.referee = Some(v1::SignalBundle { payments: Vec::new(), ..full_bundle("bob", 2) })),
        ["conversion.referee.payments"]
    );
    assert_eq!(
        differing(|m| m.referrer.as_mut().unwrap().devices[0].languages.push("en".into())),
        ["conversion.referrer.devices[0].languages"]
    );
    assert_eq!(
        differing(|m| m.referrer.as_mut().unwrap().emails[0].exact[0].value = vec![9; 32].into()),
        ["conversion.referrer.emails[0].exact[0].value"]
    );
}

#[test]
fn nothing_of_what_was_sent_is_repeated() {
    let mut sent = full_conversion();
    sent.referrer.as_mut().unwrap().devices[0].user_agent = "Ines Okafor's phone".into();
    let [only] = &differences(&sent, &full_conversion(), "conversion")[..] else { panic!("one field differs") };
    assert_eq!(only.field, "conversion.referrer.devices[0].user_agent");
    assert!(!only.problem.contains("Ines") && !only.problem.contains("Mozilla"), "{}", only.problem);
}

#[test]
fn preferences_are_in_an_order_that_counts() {
    let of = |languages: [&str; 2]| {
        let mut message = full_conversion();
        message.referee.as_mut().unwrap().devices[0].languages = languages.map(str::to_owned).to_vec();
        fingerprint(&message)
    };
    assert_ne!(of(["de", "en"]), of(["en", "de"]));
}

#[test]
fn one_instant_in_several_spellings_is_one() {
    let of = |time: &str| {
        let json = serde_json::to_value(full_conversion()).unwrap();
        let mut fields = json.as_object().unwrap().clone();
        fields.insert("occurredAt".into(), json!(time));
        fingerprint(&serde_json::from_value::<v1::Conversion>(fields.into()).unwrap())
    };
    let utc = of("2026-09-21T12:00:00Z");
    for spelling in
        ["2026-09-21T14:00:00+02:00", "2026-09-21T12:00:00.000000Z", "2026-09-21T12:00:00.000Z", "2026-09-21T12:00:00.0001Z"]
    {
        assert_eq!(of(spelling), utc, "{spelling}");
    }
    assert_ne!(of("2026-09-21T12:00:00.001Z"), utc);
}

#[test]
fn signals_are_the_same_in_any_order_of_accounts() {
    let of =
        |bundles: Vec<v1::SignalBundle>| v1::RecordSignalsRequest { program_id: "shop".into(), record_id: "s-1".into(), bundles };
    let sent = of(vec![full_bundle("ann", 1), full_bundle("bob", 2)]);
    let other = of(vec![full_bundle("bob", 2), full_bundle("ann", 1)]);
    assert_eq!(fingerprint(&sent), fingerprint(&other));
    assert!(signals::parse_request(other.clone(), Arrival::Recorded).is_ok());
    let named = differences(&of(vec![full_bundle("bob", 3), full_bundle("ann", 1)]), &sent, "");
    assert!(!named.is_empty() && named.iter().all(|violation| violation.field.starts_with("bundles[0].")), "{named:?}");
}

#[test]
fn an_outcome_about_something_else_names_both_subjects() {
    let of = |subject| v1::RecordOutcomeRequest {
        program_id: "shop".into(),
        outcome_id: "o-1".into(),
        outcome: Some(v1::Outcome {
            kind: v1::OutcomeKind::Chargeback.into(),
            subject: Some(subject),
            occurred_at: seconds_ago(60),
            ..Default::default()
        }),
    };
    let sent = of(v1::outcome::Subject::AccountId("bob".into()));
    let recorded = of(v1::outcome::Subject::ConversionId("cv-1".into()));
    let named: Vec<String> = differences(&sent, &recorded, "").into_iter().map(|violation| violation.field).collect();
    assert_eq!(named, ["outcome.account_id", "outcome.conversion_id"]);
    assert_ne!(fingerprint(&sent), fingerprint(&recorded));
}

/// The stored form: a change of it would refuse every retry of what was sent before.
#[test]
fn the_fingerprint_of_a_message_never_changes() {
    assert_eq!(hex::encode(fingerprint(&full_conversion()).0), "0b5416df5afe3dcd082f2d6c8cb51d34");
}
