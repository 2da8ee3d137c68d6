//! Watches of the feed: from requests to filters, and from events to messages.

use std::time::Duration;

use super::cursor::optional_cursor;
use super::enums::WireEnum;
use super::fields::{enum_set, id_text, optional_id, required_id, time_message};
use super::payout::gate_reason_number;
use super::request::optional_span;
use super::v1;
use super::violation::{At, Violation, Violations};
use crate::book::cursor::FeedCursor;
use crate::book::records::{FeedEvent, FeedKind};
use crate::screening::decision::Verdict;
use crate::vocabulary::ids::{AccountId, ProgramId};
use crate::vocabulary::time::Span;

/// The field of the cursor that a follower kept, in every request that goes on from one.
pub const AFTER_CURSOR: &str = "after_cursor";
/// Kinds of event that a watch may name.
const KINDS_MAX: usize = 16;
/// How often a silent watch sends a sign of life, unless the caller says.
const HEARTBEAT_DEFAULT: Duration = Duration::from_secs(15);

/// What a watch lets through. An empty list lets everything through.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FeedFilter {
    /// Kinds of event.
    pub kinds: Vec<FeedKind>,
    /// Verdicts after the event.
    pub verdicts: Vec<Verdict>,
    /// The referrer; absent for all.
    pub referrer: Option<AccountId>,
}

impl FeedFilter {
    /// Whether the event is wanted.
    #[must_use]
    pub fn lets_through(&self, event: &FeedEvent) -> bool {
        let kind = self.kinds.is_empty() || self.kinds.contains(&event.kind);
        let verdict = self.verdicts.is_empty() || event.verdict.is_some_and(|verdict| self.verdicts.contains(&verdict));
        let referrer = self.referrer.is_none() || self.referrer == event.referrer;
        kind && verdict && referrer
    }
}

/// What a watch does at the end of the feed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WatchMode {
    /// Waits for more.
    Follow,
    /// Ends.
    StopAtEnd,
}

/// A watch that was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Watch {
    /// The programme.
    pub program_id: ProgramId,
    /// Events after this are sent; absent for all that are left.
    pub after: Option<FeedCursor>,
    /// Which events.
    pub filter: FeedFilter,
    /// What to do at the end.
    pub mode: WatchMode,
    /// How often a silent watch sends a sign of life. Range: 1 second to 1 hour.
    pub heartbeat: Duration,
}

/// Reads a watch.
///
/// # Errors
/// All violated fields.
pub fn watch(message: v1::WatchDecisionsRequest) -> Result<Watch, Vec<Violation>> {
    let v1::WatchDecisionsRequest { program_id, after_cursor, kinds, verdicts, referrer_account_id, mode, heartbeat_every } =
        message;
    let mut found = Violations::default();
    let program_id = required_id(&program_id, &At::path("program_id"), &mut found);
    let filter = FeedFilter {
        kinds: enum_set(&kinds, KINDS_MAX, &At::path("kinds"), &mut found),
        verdicts: enum_set(&verdicts, 3, &At::path("verdicts"), &mut found),
        referrer: optional_id(&referrer_account_id, &At::path("referrer_account_id"), &mut found),
    };
    let mode = match mode.map(v1::WatchMode::try_from) {
        None | Some(Ok(v1::WatchMode::Follow)) => WatchMode::Follow,
        Some(Ok(v1::WatchMode::StopAtEnd)) => WatchMode::StopAtEnd,
        Some(Ok(v1::WatchMode::Unspecified) | Err(_)) => {
            found.add(&At::path("mode"), "must be `WATCH_MODE_FOLLOW` or `WATCH_MODE_STOP_AT_END`, or left out");
            WatchMode::Follow
        }
    };
    let heartbeat = read_heartbeat(heartbeat_every, &mut found);
    let after = optional_cursor(&after_cursor, &At::path(AFTER_CURSOR), &mut found);
    let watch = program_id.map(|program_id| Watch { program_id, after, filter, mode, heartbeat });
    found.into_result(watch)
}

fn read_heartbeat(sent: Option<pbjson_types::Duration>, found: &mut Violations) -> Duration {
    let at = At::path("heartbeat_every");
    let Some(every) = optional_span(sent, &at, found) else { return HEARTBEAT_DEFAULT };
    if every < Span::from_seconds(1) || every > Span::from_hours(1) {
        found.add(&at, "must be between 1 second and 1 hour");
    }
    u64::try_from(every.as_millis()).map_or(HEARTBEAT_DEFAULT, Duration::from_millis)
}

/// Writes an event of the feed.
#[must_use]
pub fn event_message(event: &FeedEvent, program: &ProgramId) -> v1::FeedEvent {
    let FeedEvent {
        cursor,
        kind,
        conversion_id,
        referrer,
        referee,
        reward_id,
        verdict,
        previous_verdict,
        audited_model: _,
        against_gate,
        reason_codes,
        at,
    } = event;
    let verdict_number = |verdict: &Option<Verdict>| verdict.map(WireEnum::to_number).unwrap_or_default();
    v1::FeedEvent {
        cursor: cursor.to_string(),
        program_id: program.to_string(),
        kind: kind.to_number(),
        recorded_at: Some(time_message(*at)),
        conversion_id: id_text(conversion_id.as_ref()),
        referrer_account_id: id_text(referrer.as_ref()),
        referee_account_id: id_text(referee.as_ref()),
        verdict: verdict_number(verdict),
        previous_verdict: verdict_number(previous_verdict),
        reason_codes: reason_codes.iter().map(|code| code.dotted().to_owned()).collect(),
        reward_id: id_text(reward_id.as_ref()),
        against_gate: against_gate.as_ref().map(gate_reason_number).unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_watch_names_all_that_is_wrong_with_it() {
        let message = v1::WatchDecisionsRequest {
            program_id: "shop".to_owned(),
            kinds: vec![0, 99],
            after_cursor: "7".to_owned(),
            mode: Some(0),
            heartbeat_every: Some(pbjson_types::Duration { seconds: 0, nanos: 1 }),
            ..Default::default()
        };
        let refused = watch(message).unwrap_err();
        let fields: Vec<&str> = refused.iter().map(|violation| violation.field.as_str()).collect();
        assert_eq!(fields, ["kinds[0]", "kinds[1]", "mode", "heartbeat_every", "after_cursor"]);
    }
}
