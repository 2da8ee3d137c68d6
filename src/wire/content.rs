//! Sameness of messages: whether a retry says what was said first, and if not, which fields differ.
//!
//! Sameness is meaning, not form. A default that is set is one that is left out, a set has no order, one instant has many spellings, and
//! what is not kept of a long journey was never said. The fingerprint is stored: its form must never change for a message that exists.

use std::borrow::Cow;
use std::collections::BTreeMap;

use prost::Message;
use serde::Serialize;
use serde_json::Value;

use super::WireTimestamp;
use super::v1;
use super::violation::Violation;
use crate::book::records::ContentFingerprint;
use crate::vocabulary::journey::{TOUCHPOINTS_KEPT_FIRST, TOUCHPOINTS_KEPT_MAX};

/// Fields of JSON whose lists are in an order that means something: preferences.
const ORDERED: [&str; 1] = ["languages"];
/// Fields of JSON by which an entry of a list is known, whatever else it says.
const NAMES: [&str; 3] = ["rewardId", "accountId", "keyId"];

/// A message that is taken once, and recognised when it comes again.
pub trait Content: Message + Clone + Serialize {
    /// The call, where ids of several calls are kept side by side; empty for what has ids of its own kind.
    const CALL: &'static str = "";

    /// Gives the message the one form that all messages of its meaning have.
    fn make_canonical(&mut self, order: Order);
}

/// What becomes of the order of sets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// It is kept, so that entries are found where the sender put them.
    AsSent,
    /// Sets are sorted, and what stands in one twice stands there once.
    Sorted,
}

/// The fingerprint of a message: 16 bytes of BLAKE3 over the encoding of its canonical form. Equal for all messages of one meaning.
#[must_use]
pub fn fingerprint<T: Content>(message: &T) -> ContentFingerprint {
    let mut canonical = message.clone();
    canonical.make_canonical(Order::Sorted);
    let mut reader = blake3::Hasher::new().update(T::CALL.as_bytes()).update(&canonical.encode_to_vec()).finalize_xof();
    let mut first_bytes = [0; 16];
    reader.fill(&mut first_bytes);
    ContentFingerprint(first_bytes)
}

/// The fields of a message that do not say what was recorded first, by their places in the message that was sent, without values.
/// Empty when both mean the same. `path`: where the message stands in the request; empty when it is the request.
#[must_use]
pub fn differences<T: Content>(sent: &T, recorded: &T, path: &str) -> Vec<Violation> {
    let json = |message: &T| {
        let mut canonical = message.clone();
        canonical.make_canonical(Order::AsSent);
        // INVARIANT: a canonical message has no time outside of JSON's; one that could not be written would differ as a whole.
        serde_json::to_value(&canonical).unwrap_or_default()
    };
    let mut found = Vec::new();
    compare(&json(sent), &json(recorded), path, &mut found);
    found
}

/// Canonicalises the entries of a set, and the set.
fn set<M: Message + Default + PartialEq>(entries: &mut Vec<M>, order: Order, each: impl FnMut(&mut M)) {
    entries.iter_mut().for_each(each);
    if order == Order::Sorted && entries.len() > 1 {
        entries.sort_by_cached_key(Message::encode_to_vec);
        entries.dedup();
    }
}

/// Digests and sketches are under one key each, and few.
fn keyed<M>(entries: &mut [M], order: Order, key: impl Fn(&M) -> &str) {
    if order == Order::Sorted && entries.len() > 1 {
        entries.sort_by(|a, b| key(a).cmp(key(b)));
    }
}

fn digests(digests: &mut [v1::Digest], order: Order) {
    keyed(digests, order, |v1::Digest { key_id, value: _ }| key_id);
}

fn sketches(sketches: &mut [v1::Sketch], order: Order) {
    keyed(sketches, order, |v1::Sketch { key_id, bits: _ }| key_id);
}

/// Times are kept to the millisecond.
fn time(time: &mut Option<WireTimestamp>) {
    if let Some(WireTimestamp { seconds: _, nanos }) = time {
        *nanos -= nanos.rem_euclid(1_000_000);
    }
}

impl Content for v1::Conversion {
    fn make_canonical(&mut self, order: Order) {
        let Self {
            program_id: _,
            conversion_id: _,
            campaign_id: _,
            kind: _,
            occurred_at,
            value: _,
            minimum_purchase: _,
            invoice_id: _,
            referee_standing,
            attribution,
            referrer,
            referee,
            rewards,
        } = self;
        time(occurred_at);
        referee_standing.get_or_insert(v1::RefereeStanding::New.into());
        if let Some(v1::Attribution { captured_via: _, ucc: _, code_validity: _, previous_ucc: _, captured_at, attached_by: _ }) =
            attribution
        {
            time(captured_at);
        }
        referrer.iter_mut().chain(referee).for_each(|side| bundle(side, order));
        set(rewards, order, |v1::Reward { reward_id: _, beneficiary: _, amount: _ }| {});
    }
}

impl Content for v1::RecordSignalsRequest {
    fn make_canonical(&mut self, order: Order) {
        let Self { program_id: _, record_id: _, bundles } = self;
        set(bundles, order, |side| bundle(side, order));
    }
}

impl Content for v1::RecordOutcomeRequest {
    fn make_canonical(&mut self, _: Order) {
        let Self { program_id: _, outcome_id: _, outcome } = self;
        if let Some(v1::Outcome { kind: _, subject: _, occurred_at, amount: _, actor: _, note: _ }) = outcome {
            time(occurred_at);
        }
    }
}

/// How long a reservation lasts, unless the caller says.
pub(super) const RESERVED_FOR: pbjson_types::Duration = pbjson_types::Duration { seconds: 15 * 60, nanos: 0 };

/// Calls with an id of their own: each is one sentence, and says it in one way.
macro_rules! said_in_one_way {
    ($($call:ident),+ $(,)?) => { $(impl Content for v1::$call {
        const CALL: &'static str = stringify!($call);

        fn make_canonical(&mut self, _: Order) {}
    })+ };
}

said_in_one_way!(
    ActOnCasesRequest,
    ActivateModelRequest,
    AddNoteRequest,
    ClaimCaseRequest,
    ConfirmActRequest,
    LiftHoldRequest,
    LoadModelRequest,
    PlaceHoldRequest,
    PutListEntryRequest,
    EraseAccountRequest,
    RefuseActRequest,
    RekeyValuesRequest,
    ReleaseCaseRequest,
    RemoveListEntryRequest,
    ReopenCaseRequest,
    ResolveCaseRequest,
    RevokeOutcomeRequest,
    RollbackModelRequest,
    SetProgramTermsRequest,
    SetChallengerRequest,
    WithdrawActRequest,
);

impl Content for v1::RenewReservationRequest {
    const CALL: &'static str = "RenewReservationRequest";

    fn make_canonical(&mut self, _: Order) {
        let Self { program_id: _, reservation_id: _, reward_ids, lifetime, request_id: _ } = self;
        reward_ids.sort_unstable();
        lifetime.get_or_insert(RESERVED_FOR);
    }
}

impl Content for v1::CancelReservationRequest {
    const CALL: &'static str = "CancelReservationRequest";

    fn make_canonical(&mut self, _: Order) {
        let Self { program_id: _, reservation_id: _, reward_ids, request_id: _ } = self;
        reward_ids.sort_unstable();
    }
}

impl Content for v1::ReservePayoutsRequest {
    const CALL: &'static str = "ReservePayoutsRequest";

    fn make_canonical(&mut self, _: Order) {
        let Self { program_id: _, request_id: _, payouts: _, lifetime } = self;
        lifetime.get_or_insert(RESERVED_FOR);
    }
}

impl Content for v1::MarkPaidRequest {
    const CALL: &'static str = "MarkPaidRequest";

    fn make_canonical(&mut self, _: Order) {
        let Self { program_id: _, reward_id: _, conversion_id: _, paid_at, amount: _, reservation_id: _, request_id: _ } = self;
        time(paid_at);
    }
}

impl Content for v1::MarkFailedRequest {
    const CALL: &'static str = "MarkFailedRequest";

    fn make_canonical(&mut self, _: Order) {
        let Self { program_id: _, reward_id: _, conversion_id: _, failed_at, reason_code: _, note: _, request_id: _ } = self;
        time(failed_at);
    }
}

impl Content for v1::AddRewardsRequest {
    const CALL: &'static str = "AddRewardsRequest";

    fn make_canonical(&mut self, order: Order) {
        let Self { program_id: _, conversion_id: _, rewards, note: _, request_id: _ } = self;
        set(rewards, order, |_| {});
    }
}

impl Content for v1::UpdateRewardsRequest {
    const CALL: &'static str = "UpdateRewardsRequest";

    fn make_canonical(&mut self, order: Order) {
        let Self { program_id: _, conversion_id: _, rewards, note: _, request_id: _ } = self;
        set(rewards, order, |_| {});
    }
}

fn bundle(side: &mut v1::SignalBundle, order: Order) {
    let v1::SignalBundle { account_id: _, account_created_at, emails, names, devices, networks, payments, journey: way } = side;
    time(account_created_at);
    set(emails, order, |message| email(message, order));
    set(names, order, |v1::NameSignals { exact, sketch, person_sketch }| {
        digests(exact, order);
        sketches(sketch, order);
        sketches(person_sketch, order);
    });
    set(devices, order, |message| device(message, order));
    set(networks, order, |message| network(message, order));
    set(payments, order, |v1::PaymentSignals { instrument, kind: _, purpose: _, country: _, seen_at }| {
        digests(instrument, order);
        time(seen_at);
    });
    journey(way, order);
}

fn email(message: &mut v1::EmailSignals, order: Order) {
    let v1::EmailSignals { exact, mailbox, pattern, local_part, domain, domain_class: _, local_part_sketch, person_sketch } =
        message;
    for values in [exact, mailbox, pattern, local_part, domain] {
        digests(values, order);
    }
    sketches(local_part_sketch, order);
    sketches(person_sketch, order);
}

fn device(message: &mut v1::DeviceSignals, order: Order) {
    let v1::DeviceSignals {
        fingerprint,
        browser,
        user_agent: _,
        platform: _,
        time_zone: _,
        languages: _,
        screen_width_px: _,
        screen_height_px: _,
        seen_at,
    } = message;
    digests(fingerprint, order);
    digests(browser, order);
    time(seen_at);
}

fn network(message: &mut v1::NetworkSignals, order: Order) {
    let v1::NetworkSignals { address, prefix, asn: _, country: _, flags, seen_at } = message;
    digests(address, order);
    digests(prefix, order);
    if order == Order::Sorted {
        flags.sort_unstable();
    }
    time(seen_at);
}

/// A journey of which nothing is told is none. A long one is what is kept of it, and a count that says what the list says is left out.
fn journey(message: &mut Option<v1::Journey>, order: Order) {
    let Some(v1::Journey { touchpoints, touchpoint_count_total }) = message else { return };
    if touchpoints.is_empty() && touchpoint_count_total.unwrap_or(0) == 0 {
        *message = None;
        return;
    }
    for v1::Touchpoint { kind: _, occurred_at, device, browser, path_token: _ } in &mut *touchpoints {
        time(occurred_at);
        digests(device, order);
        digests(browser, order);
    }
    let sent = touchpoints.len();
    if order == Order::Sorted || sent > TOUCHPOINTS_KEPT_MAX {
        touchpoints.sort_by(in_order);
    }
    if sent > TOUCHPOINTS_KEPT_MAX {
        let cut_end = sent - (TOUCHPOINTS_KEPT_MAX - TOUCHPOINTS_KEPT_FIRST);
        touchpoints.drain(TOUCHPOINTS_KEPT_FIRST..cut_end);
    }
    let total = touchpoint_count_total.unwrap_or(0).max(u32::try_from(sent).unwrap_or(u32::MAX));
    *touchpoint_count_total = (total as usize > touchpoints.len()).then_some(total);
}

/// The order of [`crate::vocabulary::journey::Touchpoint`], so that both keep the same steps of a long journey.
fn in_order(a: &v1::Touchpoint, b: &v1::Touchpoint) -> std::cmp::Ordering {
    let instant = |step: &v1::Touchpoint| step.occurred_at.map(|at| (at.seconds, at.nanos));
    let first = |step: &v1::Touchpoint| (instant(step), step.kind);
    let values = |digests: &[v1::Digest]| -> Vec<(bytes::Bytes, String)> {
        let mut values: Vec<_> = digests.iter().collect();
        values.sort_by(|a, b| a.key_id.cmp(&b.key_id));
        values.into_iter().map(|v1::Digest { key_id, value }| (value.clone(), key_id.clone())).collect()
    };
    first(a)
        .cmp(&first(b))
        .then_with(|| a.path_token.cmp(&b.path_token))
        .then_with(|| values(&a.device).cmp(&values(&b.device)))
        .then_with(|| values(&a.browser).cmp(&values(&b.browser)))
}

/// Notes where two values in JSON differ.
fn compare(sent: &Value, recorded: &Value, path: &str, found: &mut Vec<Violation>) {
    match (sent, recorded) {
        (Value::Object(sent), Value::Object(recorded)) => {
            for (name, value) in sent {
                let path = joined(path, name);
                match recorded.get(name) {
                    None => note(&path, "was not there when it was recorded first", found),
                    Some(before) if ORDERED.contains(&name.as_str()) && value != before => {
                        note(&path, "differs from what was recorded first; its order counts", found);
                    }
                    Some(before) => compare(value, before, &path, found),
                }
            }
            for name in recorded.keys().filter(|name| !sent.contains_key(*name)) {
                note(&joined(path, name), "is missing, and was there when it was recorded first", found);
            }
        }
        (Value::Array(sent), Value::Array(recorded)) => compare_sets(sent, recorded, path, found),
        (sent, recorded) if sent == recorded => {}
        _ => note(path, "differs from what was recorded first", found),
    }
}

/// Notes where two sets differ: first what stands in both is left out, then entries of one name are compared, then the others in their order.
fn compare_sets(sent: &[Value], recorded: &[Value], path: &str, found: &mut Vec<Violation>) {
    let mut unmatched: BTreeMap<String, Vec<&Value>> = BTreeMap::new();
    for entry in recorded {
        unmatched.entry(canonical_text(entry)).or_default().push(entry);
    }
    let known: Vec<String> = unmatched.keys().cloned().collect();
    let mut others = Vec::new();
    for (index, entry) in sent.iter().enumerate() {
        let text = canonical_text(entry);
        if unmatched.get_mut(&text).and_then(Vec::pop).is_none() && !(is_in_a_set(path) && known.binary_search(&text).is_ok()) {
            others.push((index, entry));
        }
    }
    let mut left: Vec<&Value> = unmatched.into_values().flatten().collect();
    if is_in_a_set(path) {
        let there: Vec<String> = sent.iter().map(canonical_text).collect();
        left.retain(|entry| !there.contains(&canonical_text(entry)));
    }
    for (index, entry) in others {
        let path = format!("{path}[{index}]");
        let of_its_name = left.iter().position(|before| name_of(before).is_some() && name_of(before) == name_of(entry));
        let nameless = || left.iter().position(|before| name_of(before).is_none() && name_of(entry).is_none());
        match of_its_name.or_else(nameless) {
            Some(at) => compare(entry, left.remove(at), &path, found),
            None => note(&path, "was not there when it was recorded first", found),
        }
    }
    if !left.is_empty() {
        let entries = if left.len() == 1 { "an entry" } else { "entries" };
        note(path, &format!("lacks {entries} that stood there when it was recorded first"), found);
    }
}

/// Whether what stands in a list twice says no more than what stands there once. Of the steps of a journey each counts.
fn is_in_a_set(path: &str) -> bool {
    !path.ends_with("touchpoints")
}

fn name_of(entry: &Value) -> Option<&Value> {
    NAMES.iter().find_map(|name| entry.get(name))
}

/// A value as text that is the same for the same set.
fn canonical_text(value: &Value) -> String {
    fn sorted(value: &Value) -> Cow<'_, Value> {
        match value {
            Value::Object(fields) => {
                let field = |(name, value): (&String, &Value)| {
                    let value = if ORDERED.contains(&name.as_str()) { value.clone() } else { sorted(value).into_owned() };
                    (name.clone(), value)
                };
                Cow::Owned(Value::Object(fields.iter().map(field).collect()))
            }
            Value::Array(entries) => {
                let mut texts: Vec<String> = entries.iter().map(canonical_text).collect();
                texts.sort_unstable();
                Cow::Owned(Value::Array(texts.into_iter().map(Value::String).collect()))
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Cow::Borrowed(value),
        }
    }
    sorted(value).to_string()
}

fn note(path: &str, problem: &str, found: &mut Vec<Violation>) {
    found.push(Violation { field: path.to_owned(), problem: problem.to_owned() });
}

/// The path of a field that JSON calls `name`, in the names of the contract.
fn joined(path: &str, name: &str) -> String {
    let mut joined = path.to_owned();
    if !path.is_empty() {
        joined.push('.');
    }
    for letter in name.chars() {
        if letter.is_ascii_uppercase() {
            joined.push('_');
        }
        joined.push(letter.to_ascii_lowercase());
    }
    joined
}
