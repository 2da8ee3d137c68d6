//! What of the feed is handed on: an event with a name that is the same wherever it goes and however often, what it is in order with, and its body. Pure.

use serde::Serialize;

use super::config::WebhookConfig;
use crate::wire::v1;

/// The version of the body. It rises when a field changes its meaning or goes; new fields do not raise it.
pub(super) const BODY_VERSION: u32 = 1;

/// An event to be handed on.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Told {
    /// Programme, cursor and position among the events of one change: the same each time that the event is read, also with another filter.
    pub id: String,
    /// What was said by then: everything up to here was told before this event.
    pub complete: String,
    /// What it says.
    pub event: v1::FeedEvent,
}

/// The body of a webhook, and the payload of a message.
#[derive(Debug, Serialize)]
struct Body<'a> {
    r#type: String,
    timestamp: serde_json::Value,
    version: u32,
    data: &'a v1::FeedEvent,
}

impl Told {
    /// The kind as a word, like `case-resolved`.
    #[must_use]
    pub(super) fn kind(&self) -> String {
        word(self.event.kind().as_str_name(), "FEED_EVENT_KIND_")
    }

    /// What it is in order with: the events of one referral, which is a referrer and a referee, or those of one account.
    #[must_use]
    pub(super) fn referral(&self) -> String {
        let v1::FeedEvent { referrer_account_id, referee_account_id, conversion_id, .. } = &self.event;
        if referrer_account_id.is_empty() && referee_account_id.is_empty() {
            return conversion_id.clone();
        }
        // No id holds a space.
        format!("{referrer_account_id} {referee_account_id}")
    }

    /// When it was recorded. Unit: milliseconds since 1970.
    #[must_use]
    pub(super) fn recorded_at_ms(&self) -> i64 {
        self.event.recorded_at.as_ref().map_or(0, |at| at.seconds.saturating_mul(1_000) + i64::from(at.nanos / 1_000_000))
    }

    /// The body: type, time and version in the words of the standard, and the event in the contract's own JSON.
    ///
    /// # Errors
    /// When the event holds what has no JSON, which a server does not send.
    pub(super) fn body(&self) -> Result<String, serde_json::Error> {
        let data = &self.event;
        let timestamp = serde_json::to_value(data.recorded_at.as_ref())?;
        serde_json::to_string(&Body { r#type: self.kind(), timestamp, version: BODY_VERSION, data })
    }

    /// Whether a receiver wants it.
    #[must_use]
    pub(super) fn is_for(&self, receiver: &WebhookConfig) -> bool {
        let kind = receiver.kinds.is_empty() || receiver.kinds.contains(&self.kind());
        let verdict = receiver.verdicts.is_empty() || receiver.verdicts.contains(&verdict_word(self.event.verdict()));
        let referrer = receiver.referrer.is_empty() || receiver.referrer == self.event.referrer_account_id;
        kind && verdict && referrer
    }
}

/// The name of an event.
pub(super) fn id_of(event: &v1::FeedEvent, position: usize) -> String {
    format!("{}_{}_{position}", as_token(&event.program_id), event.cursor)
}

/// A text without what separates: neither the full stop, which separates in signatures and subjects, nor what subjects mean otherwise.
pub(super) fn as_token(text: &str) -> String {
    let mut token = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '.' | '*' | '>' | '%' => token.push_str(&format!("%{:02X}", u32::from(letter))),
            other => token.push(other),
        }
    }
    token
}

fn word(name: &str, prefix: &str) -> String {
    name.trim_start_matches(prefix).to_lowercase().replace('_', "-")
}

fn verdict_word(verdict: v1::Verdict) -> String {
    word(verdict.as_str_name(), "VERDICT_")
}

/// All kinds.
pub(super) fn kind_words() -> Vec<String> {
    let kinds = (1..).map_while(|number| v1::FeedEventKind::try_from(number).ok());
    kinds.map(|kind| word(kind.as_str_name(), "FEED_EVENT_KIND_")).collect()
}

/// All verdicts.
pub(super) fn verdict_words() -> Vec<String> {
    (1..).map_while(|number| v1::Verdict::try_from(number).ok()).map(verdict_word).collect()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::wire::WireTimestamp;

    pub(in crate::relay) fn event(cursor: &str, referee: &str) -> v1::FeedEvent {
        v1::FeedEvent {
            cursor: cursor.to_owned(),
            program_id: "shop.eu".to_owned(),
            kind: v1::FeedEventKind::CaseResolved.into(),
            recorded_at: Some(WireTimestamp { seconds: 1_764_340_000, nanos: 0 }),
            conversion_id: "cv-1".to_owned(),
            referrer_account_id: "a".to_owned(),
            referee_account_id: referee.to_owned(),
            verdict: v1::Verdict::Approved.into(),
            ..Default::default()
        }
    }

    pub(in crate::relay) fn told(cursor: &str, referee: &str) -> Told {
        let event = event(cursor, referee);
        Told { id: id_of(&event, 0), complete: String::new(), event }
    }

    #[test]
    fn a_name_holds_nothing_that_separates() {
        let told = told("7-00000000000000ab", "b");
        assert_eq!(told.id, "shop%2Eeu_7-00000000000000ab_0");
        assert_eq!([as_token("a>*%"), as_token("a-b_c/d")], ["a%3E%2A%25", "a-b_c/d"]);
    }

    #[test]
    fn the_body_is_the_contracts_json_with_type_time_and_version() {
        let body: serde_json::Value = serde_json::from_str(&told("7-00000000000000ab", "b").body().unwrap()).unwrap();
        assert_eq!(body["type"], "case-resolved");
        assert_eq!(body["version"], 1);
        assert_eq!((&body["timestamp"], &body["data"]["verdict"]), (&body["data"]["recordedAt"], &"VERDICT_APPROVED".into()));
        assert!(body["timestamp"].as_str().unwrap().starts_with("2025-11-28T14:26:40"), "{body}");
    }

    #[test]
    fn a_filter_lets_through_what_passes_all_of_its_parts() {
        let told = told("7-00000000000000ab", "b");
        let of = |kinds: &[&str], verdicts: &[&str], referrer: &str| {
            let list = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
            told.is_for(&WebhookConfig {
                kinds: list(kinds),
                verdicts: list(verdicts),
                referrer: referrer.to_owned(),
                ..WebhookConfig::default()
            })
        };
        assert!(of(&[], &[], "") && of(&["case-resolved", "paid"], &["approved"], "a"));
        assert!(!of(&["paid"], &[], "") && !of(&[], &["rejected", "in-review"], "") && !of(&[], &[], "b"));
        assert_eq!(kind_words().len(), 13);
        assert_eq!(verdict_words().len(), 3);
    }
}
