//! Holds the conversion between messages and vocabulary to its claims: nothing is lost, nothing malformed passes, every violation is named.

use bytes::Bytes;
use proptest::prelude::{ProptestConfig, prop_assert_eq, proptest};

use super::fields::Arrival;
use super::fixtures::{RECEIVED_AT_MILLIS, any_bundle, any_conversion, digest, full_bundle, full_conversion, seconds_ago};
use super::violation::WARNINGS_MAX;
use super::{Violation, bundle, conversion, outcome, signals, training, v1};
use crate::screening::decision::Verdict;
use crate::screening::warning::WarningCode;
use crate::vocabulary::journey::TOUCHPOINTS_KEPT_MAX;
use crate::vocabulary::time::Timestamp;

fn now() -> Arrival {
    Arrival::At(Timestamp::saturating_from_millis(RECEIVED_AT_MILLIS))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_conversion_that_is_written_is_read_back_equal(conversion in any_conversion()) {
        let message = conversion::message_of(&conversion);
        prop_assert_eq!(conversion::parse(message, "", now()), Ok(conversion));
    }

    #[test]
    fn a_merged_profile_is_read_back_equal(new in any_bundle(), earlier in any_bundle()) {
        let profile = new.merged_with(&earlier);
        prop_assert_eq!(bundle::parse(bundle::message_of(&profile), "", Arrival::Recorded), Ok(profile));
    }
}

#[test]
fn the_full_message_is_valid() {
    assert!(conversion::parse(full_conversion(), "conversion", now()).is_ok());
}

/// The violations of the full message after it was spoilt.
fn spoilt(spoil: impl FnOnce(&mut v1::Conversion)) -> Vec<Violation> {
    let mut message = full_conversion();
    spoil(&mut message);
    conversion::parse(message, "conversion", now()).expect_err("a spoilt message must not be read")
}

type Spoiler = fn(&mut v1::Conversion);

fn referee(message: &mut v1::Conversion) -> &mut v1::SignalBundle {
    message.referee.as_mut().unwrap()
}

fn attribution(message: &mut v1::Conversion) -> &mut v1::Attribution {
    message.attribution.as_mut().unwrap()
}

fn first_step(message: &mut v1::Conversion) -> &mut v1::Touchpoint {
    &mut referee(message).journey.as_mut().unwrap().touchpoints[0]
}

/// What is spoilt, the field that must be named, and a part of what must be said.
const EVENT_SPOILERS: &[(Spoiler, &str, &str)] = &[
    (|m| m.program_id = String::new(), "conversion.program_id", "is required"),
    (|m| m.program_id = "a b".into(), "conversion.program_id", "not allowed at byte 1"),
    (|m| m.conversion_id = "x".repeat(129), "conversion.conversion_id", "129 bytes"),
    (|m| m.campaign_id = "späť".into(), "conversion.campaign_id", "not allowed"),
    (|m| m.kind = 0, "conversion.kind", "is required; use one of `CONVERSION_KIND_NEW_SIGNUP`"),
    (|m| m.kind = 99, "conversion.kind", "is 99, which this version does not know"),
    (|m| m.occurred_at = None, "conversion.occurred_at", "is required"),
    (|m| m.occurred_at = seconds_ago(-601), "conversion.occurred_at", "in the future"),
    (|m| m.occurred_at.as_mut().unwrap().seconds = 1_790_000_000_000, "conversion.occurred_at", "outside the years 2000 to 2199"),
    (|m| m.occurred_at.as_mut().unwrap().nanos = -1, "conversion.occurred_at.nanos", "between 0 and 999999999"),
    (|m| m.value.as_mut().unwrap().amount_minor = -1, "conversion.value.amount_minor", "between 0 and"),
    (|m| m.value.as_mut().unwrap().currency = "eur".into(), "conversion.value.currency", "upper-case"),
    (
        |m| m.minimum_purchase.as_mut().unwrap().currency = "USD".into(),
        "conversion.minimum_purchase.currency",
        "must be that of `value`",
    ),
    (|m| m.invoice_id = "a@b".into(), "conversion.invoice_id", "not allowed"),
    (|m| m.referee_standing = Some(0), "conversion.referee_standing", "is required"),
    (|m| m.referee_standing = Some(7), "conversion.referee_standing", "is 7"),
    (|m| m.attribution = None, "conversion.attribution", "is required"),
    (|m| attribution(m).captured_via = 0, "conversion.attribution.captured_via", "is required"),
    (|m| attribution(m).captured_via = 6, "conversion.attribution.attached_by", "who attached"),
    (|m| attribution(m).attached_by = "kim".into(), "conversion.attribution.attached_by", "leave it out"),
    (|m| attribution(m).code_validity = Some(0), "conversion.attribution.code_validity", "unspecified"),
    (|m| attribution(m).ucc = "x".repeat(200), "conversion.attribution.ucc", "200 bytes"),
    (|m| m.rewards[0].reward_id.clear(), "conversion.rewards[0].reward_id", "is required"),
    (|m| m.rewards[0].beneficiary = 0, "conversion.rewards[0].beneficiary", "is required"),
    (|m| m.rewards.push(m.rewards[0].clone()), "conversion.rewards[1].reward_id", "twice"),
    (
        |m| m.rewards = (0..17).map(|n| v1::Reward { reward_id: format!("r-{n}"), ..m.rewards[0].clone() }).collect(),
        "conversion.rewards",
        "17 entries; at most 16",
    ),
];

const BUNDLE_SPOILERS: &[(Spoiler, &str, &str)] = &[
    (|m| m.referrer = None, "conversion.referrer", "is required"),
    (|m| m.referee = None, "conversion.referee", "is required"),
    (|m| referee(m).account_id = "jane@example.org".into(), "conversion.referee.account_id", "not allowed at byte 4"),
    (|m| referee(m).account_created_at = seconds_ago(-4_000), "conversion.referee.account_created_at", "in the future"),
    (
        |m| referee(m).emails[0].exact[0].value = Bytes::from_static(b"jane@example.org"),
        "conversion.referee.emails[0].exact[0].value",
        "must be digested",
    ),
    (
        |m| referee(m).emails[0].exact[0].value = Bytes::from(vec![b'a'; 64]),
        "conversion.referee.emails[0].exact[0].value",
        "hexadecimal",
    ),
    (|m| referee(m).emails[0].mailbox[0].value = Bytes::new(), "conversion.referee.emails[0].mailbox[0].value", "is required"),
    (|m| referee(m).emails[0].mailbox[0].key_id.clear(), "conversion.referee.emails[0].mailbox[0].key_id", "is required"),
    (|m| referee(m).emails[0].mailbox[0].key_id = "Key One".into(), "conversion.referee.emails[0].mailbox[0].key_id", "key id"),
    (
        |m| referee(m).emails[0].pattern = vec![digest(1), digest(2)],
        "conversion.referee.emails[0].pattern",
        "two digests of one key",
    ),
    (
        |m| referee(m).emails[0].domain = (1..4).map(|n| v1::Digest { key_id: format!("k{n}"), ..digest(n) }).collect(),
        "conversion.referee.emails[0].domain",
        "3 entries; at most 2",
    ),
    (|m| referee(m).emails[0].domain_class = Some(0), "conversion.referee.emails[0].domain_class", "is required"),
    (|m| referee(m).emails[0] = v1::EmailSignals::default(), "conversion.referee.emails[0]", "is empty"),
    (|m| referee(m).emails = vec![referee(m).emails[0].clone(); 17], "conversion.referee.emails", "17 entries"),
    (|m| referee(m).names[0] = v1::NameSignals::default(), "conversion.referee.names[0]", "is empty"),
    (
        |m| referee(m).names[0].sketch[0].bits = Bytes::from_static(b"Jane Doe"),
        "conversion.referee.names[0].sketch[0].bits",
        "a sketch has 128",
    ),
    (
        |m| {
            let twice = referee(m).names[0].sketch[0].clone();
            referee(m).names[0].sketch.push(twice);
        },
        "conversion.referee.names[0].sketch",
        "two sketches of one key",
    ),
    (
        |m| referee(m).devices[0].seen_at.as_mut().unwrap().seconds = 5,
        "conversion.referee.devices[0].seen_at",
        "outside the years",
    ),
    (|m| referee(m).payments[0].instrument.clear(), "conversion.referee.payments[0].instrument", "is required"),
    (|m| referee(m).payments[0].kind = 0, "conversion.referee.payments[0].kind", "is required"),
    (|m| referee(m).payments[0].purpose = 3, "conversion.referee.payments[0].purpose", "is 3"),
    (|m| first_step(m).kind = 0, "conversion.referee.journey.touchpoints[0].kind", "is required"),
    (|m| first_step(m).occurred_at = None, "conversion.referee.journey.touchpoints[0].occurred_at", "is required"),
    (
        |m| referee(m).journey.as_mut().unwrap().touchpoint_count_total = Some(0),
        "conversion.referee.journey.touchpoint_count_total",
        "is less than",
    ),
    (
        |m| {
            let step = first_step(m).clone();
            referee(m).journey.as_mut().unwrap().touchpoints = vec![step; 10_001];
        },
        "conversion.referee.journey.touchpoints",
        "10001 entries; at most 10000",
    ),
];

/// Soft signals: nothing is refused for them.
const SOFT_SPOILERS: &[(Spoiler, &str, &str)] = &[
    (|m| referee(m).devices[0].user_agent = "x".repeat(513), "conversion.referee.devices[0].user_agent", "513 bytes"),
    (
        |m| referee(m).devices[0].platform = "Mac\u{0}OS".into(),
        "conversion.referee.devices[0].platform",
        "control character at byte 3",
    ),
    (|m| referee(m).devices[0].time_zone = "a\nb".into(), "conversion.referee.devices[0].time_zone", "control character"),
    (|m| referee(m).devices[0].languages.push(String::new()), "conversion.referee.devices[0].languages[1]", "is empty"),
    (|m| referee(m).devices[0].languages = vec!["de".into(); 17], "conversion.referee.devices[0].languages", "17 entries"),
    (|m| referee(m).devices[0].screen_height_px = 0, "conversion.referee.devices[0].screen_height_px", "is missing beside"),
    (|m| referee(m).devices[0].screen_width_px = 40_000, "conversion.referee.devices[0].screen_width_px", "is 40000"),
    (
        |m| referee(m).devices = vec![v1::DeviceSignals { seen_at: seconds_ago(1), ..Default::default() }],
        "conversion.referee.devices[0]",
        "says nothing",
    ),
    (|m| referee(m).networks[0].country = "at".into(), "conversion.referee.networks[0].country", "upper-case"),
    (|m| referee(m).networks[0].country = "AUT".into(), "conversion.referee.networks[0].country", "two upper-case letters"),
    (|m| referee(m).networks[0].flags = vec![0], "conversion.referee.networks[0].flags[0]", "is none of"),
    (|m| referee(m).networks[0].flags = vec![1, 1], "conversion.referee.networks[0].flags[1]", "twice"),
    (
        |m| first_step(m).path_token = "reset?mail=x".into(),
        "conversion.referee.journey.touchpoints[0].path_token",
        "query string",
    ),
    (|m| first_step(m).path_token = "x".repeat(129), "conversion.referee.journey.touchpoints[0].path_token", "129 bytes"),
];

#[test]
fn every_soft_signal_that_is_malformed_is_warned_of_and_the_rest_is_taken() {
    let mut wrong = Vec::new();
    for (spoil, field, problem) in SOFT_SPOILERS {
        let mut message = full_conversion();
        spoil(&mut message);
        let (read, warnings) = conversion::parse_warned(message, "conversion", now()).unwrap();
        match &*warnings {
            [only] if &*only.field == *field && only.sentence.contains(problem) && only.sentence.ends_with('.') => {}
            _ => wrong.push(format!("`{field}` {problem}: {warnings:?}")),
        }
        let again = conversion::parse_warned(conversion::message_of(&read), "conversion", now());
        assert_eq!(again, Ok((read, Vec::new())), "what is kept is well-formed");
    }
    assert!(wrong.is_empty(), "one fault, one warning:\n{}", wrong.join("\n"));
}

#[test]
fn a_user_agent_that_is_too_long_is_cut_between_characters() {
    let mut message = full_conversion();
    referee(&mut message).devices[0].user_agent = "ü".repeat(257);
    let (read, warnings) = conversion::parse_warned(message, "conversion", now()).unwrap();
    assert_eq!(&*read.referee.devices[0].user_agent, "ü".repeat(256));
    assert_eq!(warnings[0].code, WarningCode::Cut);
}

#[test]
fn the_warnings_of_one_message_have_an_end() {
    let mut message = full_conversion();
    let step = v1::Touchpoint { path_token: "a?b".into(), ..first_step(&mut message).clone() };
    referee(&mut message).journey.as_mut().unwrap().touchpoints = vec![step; 500];
    let (_, warnings) = conversion::parse_warned(message, "conversion", now()).unwrap();
    assert_eq!(warnings.len(), WARNINGS_MAX);
}

#[test]
fn every_kind_of_malformed_message_is_refused_with_the_field_named() {
    let mut wrong = Vec::new();
    for (spoil, field, problem) in EVENT_SPOILERS.iter().chain(BUNDLE_SPOILERS) {
        let violations = spoilt(spoil);
        match violations.as_slice() {
            [only] if only.field == *field && only.problem.contains(problem) => {}
            _ => wrong.push(format!("`{field}` {problem}: {violations:?}")),
        }
    }
    assert!(wrong.is_empty(), "one fault, one violation:\n{}", wrong.join("\n"));
    assert!(EVENT_SPOILERS.len() + BUNDLE_SPOILERS.len() >= 30);
}

#[test]
fn all_violations_of_a_message_are_named_at_once() {
    let violations = spoilt(|message| {
        message.kind = 0;
        message.attribution = None;
        referee(message).payments[0].purpose = 9;
        referee(message).emails[0].exact[0].value = Bytes::from_static(b"short");
        message.rewards[0].beneficiary = 9;
    });
    let fields: Vec<&str> = violations.iter().map(|violation| violation.field.as_str()).collect();
    let expected = [
        "conversion.kind",
        "conversion.attribution",
        "conversion.referee.emails[0].exact[0].value",
        "conversion.referee.payments[0].purpose",
        "conversion.rewards[0].beneficiary",
    ];
    assert_eq!(fields, expected);
}

#[test]
fn a_violation_never_repeats_what_was_sent() {
    let secret = "jane.doe@example.org";
    let violations = spoilt(|message| {
        message.program_id = secret.into();
        message.invoice_id = secret.into();
        referee(message).account_id = secret.into();
        referee(message).emails[0].exact[0].value = Bytes::from_static(secret.as_bytes());
        referee(message).emails[0].exact[0].key_id = secret.into();
        referee(message).devices[0].user_agent = format!("{secret}\n");
        referee(message).networks[0].country = secret.into();
        first_step(message).path_token = secret.into();
        message.value.as_mut().unwrap().currency = secret.into();
    });
    assert_eq!(violations.len(), 6, "{violations:?}");
    assert!(violations.iter().all(|violation| !violation.to_string().contains("jane")), "{violations:?}");
    let mut soft = full_conversion();
    referee(&mut soft).devices[0].user_agent = format!("{secret}\n");
    referee(&mut soft).networks[0].country = secret.into();
    first_step(&mut soft).path_token = secret.into();
    let (read, warnings) = conversion::parse_warned(soft, "conversion", now()).unwrap();
    assert_eq!(warnings.len(), 3, "{warnings:?}");
    assert!(warnings.iter().all(|warning| !warning.sentence.contains("jane")), "{warnings:?}");
    assert!(!format!("{:?}", read.referee).contains("jane"), "what may be personal is not kept");
}

#[test]
fn an_empty_message_names_every_required_field() {
    let violations = conversion::parse(v1::Conversion::default(), "", now()).unwrap_err();
    let fields: Vec<&str> = violations.iter().map(|violation| violation.field.as_str()).collect();
    assert_eq!(fields, ["program_id", "conversion_id", "kind", "occurred_at", "attribution", "referrer", "referee"]);
}

#[test]
fn ten_thousand_touchpoints_are_taken_and_counted() {
    let mut message = full_conversion();
    let step = first_step(&mut message).clone();
    referee(&mut message).journey.as_mut().unwrap().touchpoints = vec![step; 10_000];
    let read = conversion::parse(message, "conversion", now()).unwrap();
    assert_eq!(read.referee.journey.touchpoints().len(), TOUCHPOINTS_KEPT_MAX);
    assert_eq!(read.referee.journey.touchpoint_count_total(), 10_000);
}

#[test]
fn clocks_that_disagree_by_minutes_are_no_violation() {
    let mut message = full_conversion();
    message.occurred_at = seconds_ago(-599);
    first_step(&mut message).occurred_at = seconds_ago(-599);
    assert!(conversion::parse(message, "conversion", now()).is_ok());
}

#[test]
fn recorded_messages_are_not_compared_with_a_clock() {
    let mut message = full_conversion();
    message.occurred_at = seconds_ago(-86_400);
    assert!(conversion::parse(message.clone(), "", Arrival::Recorded).is_ok());
    assert!(conversion::parse(message, "", now()).is_err());
}

#[test]
fn one_account_on_both_sides_is_evidence_and_no_violation() {
    let mut message = full_conversion();
    message.referee = message.referrer.clone();
    assert!(conversion::parse(message, "conversion", now()).is_ok());
}

#[test]
fn sides_of_which_only_the_account_is_known_are_taken() {
    let mut message = full_conversion();
    message.referrer = Some(v1::SignalBundle { account_id: "ann".into(), ..Default::default() });
    assert!(conversion::parse(message, "conversion", now()).is_ok());
}

#[test]
fn a_ban_must_name_an_account() {
    let request = |subject| v1::RecordOutcomeRequest {
        program_id: "shop".into(),
        outcome_id: "o-1".into(),
        outcome: Some(v1::Outcome {
            kind: v1::OutcomeKind::AccountBanned.into(),
            subject: Some(subject),
            occurred_at: seconds_ago(1),
            ..Default::default()
        }),
    };
    let (account, _) = outcome::parse_request(request(v1::outcome::Subject::AccountId("ann".into())), now()).unwrap();
    assert_eq!(outcome::message_of(&account), request(v1::outcome::Subject::AccountId("ann".into())).outcome.unwrap());
    let conversion = outcome::parse_request(request(v1::outcome::Subject::ConversionId("cv".into())), now()).unwrap_err();
    assert_eq!(conversion[0].field, "outcome.subject");
}

#[test]
fn an_empty_outcome_names_every_required_field() {
    let request = v1::RecordOutcomeRequest { outcome: Some(v1::Outcome::default()), ..Default::default() };
    let violations = outcome::parse_request(request, now()).unwrap_err();
    let fields: Vec<&str> = violations.iter().map(|violation| violation.field.as_str()).collect();
    assert_eq!(fields, ["program_id", "outcome_id", "outcome.kind", "outcome.subject", "outcome.occurred_at"]);
}

#[test]
fn signals_of_one_account_come_once_in_a_record() {
    let request = |accounts: &[&str]| v1::RecordSignalsRequest {
        program_id: "shop".into(),
        record_id: "s-1".into(),
        bundles: accounts.iter().map(|account| full_bundle(account, 1)).collect(),
    };
    assert_eq!(signals::parse_request(request(&["ann", "bob"]), now()).unwrap().0.bundles.len(), 2);
    assert_eq!(signals::parse_request(request(&["ann", "ann"]), now()).unwrap_err()[0].field, "bundles[1].account_id");
    assert_eq!(signals::parse_request(request(&[]), now()).unwrap_err()[0].field, "bundles");
}

#[test]
fn a_line_of_history_is_read_with_its_labels_and_outcomes() {
    let line = v1::LabeledConversion {
        conversion: Some(full_conversion()),
        labels: vec![v1::Label {
            truth: v1::Truth::Abusive.into(),
            source: v1::LabelSource::Simulated.into(),
            labeled_at: seconds_ago(0),
        }],
        outcomes: vec![v1::LaterOutcome { kind: v1::OutcomeKind::Chargeback.into(), occurred_at: seconds_ago(-86_400) }],
        signals_before: vec![v1::RecordedSignals {
            record_id: "s-1".into(),
            bundles: vec![full_bundle("ann", 1)],
            observed_at: seconds_ago(100),
        }],
        later_verdicts: vec![v1::LaterVerdict {
            verdict: v1::Verdict::InReview.into(),
            screened_verdict: v1::Verdict::Rejected.into(),
            decided_at: seconds_ago(-90),
        }],
        ..Default::default()
    };
    let read = training::parse(line.clone()).unwrap();
    assert_eq!((read.labels.len(), read.outcomes.len(), read.signals_before.len()), (1, 1, 1));
    let later = read.later_verdicts[0];
    assert_eq!((later.verdict, later.machine), (Verdict::InReview, Verdict::Rejected));
    let spoilt = v1::LabeledConversion { labels: vec![v1::Label::default()], conversion: None, ..line };
    let fields: Vec<String> = training::parse(spoilt).unwrap_err().into_iter().map(|violation| violation.field).collect();
    assert_eq!(fields, ["conversion", "labels[0].truth", "labels[0].source", "labels[0].labeled_at"]);
}
