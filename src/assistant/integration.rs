//! Whether an integration works: what arrives, when it did last, what of it could be compared, and what is to be done. Pure but for the calls.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use tonic::Status;

use super::tools::Api;
use crate::wire::v1;
use crate::wire::words::at_time;

/// The newest decisions that are looked at.
const DECISIONS: u32 = 200;
/// Messages of the feed that are read at most, from the oldest of those decisions on.
const FEED_MESSAGES_MAX: usize = 200;

/// What was seen of a programme.
#[derive(Debug, Default)]
pub(super) struct Seen {
    program: Option<v1::Program>,
    decisions: Vec<v1::Decision>,
    pending: usize,
    /// By kind: how many, and when the newest was.
    events: BTreeMap<&'static str, (usize, String)>,
    findings: Vec<v1::Finding>,
    keys: Vec<v1::KeyUse>,
    queue: v1::GetQueueStatsResponse,
    acts: usize,
}

impl Seen {
    /// Looks. What the caller may not see is left out, and told.
    pub(super) async fn look(api: &Api, program_id: &str) -> Result<(Self, Vec<String>), Status> {
        let program_id = program_id.to_owned();
        let (mut seen, mut unseen) = (Self::default(), Vec::new());
        let wanted = v1::GetProgramRequest { program_id: program_id.clone() };
        seen.program = api.programs().get_program(wanted).await?.into_inner().program;
        let newest = v1::ListDecisionsRequest { program_id: program_id.clone(), page_size: DECISIONS, ..Default::default() };
        let mut or_left_out = |what: &str, status: Status| unseen.push(format!("{what}: {}", status.message()));
        match api.screening().list_decisions(newest).await {
            Ok(answer) => seen.decisions = answer.into_inner().decisions,
            Err(status) => or_left_out("decisions", status),
        }
        let pending =
            v1::ListPendingOutcomesRequest { program_id: program_id.clone(), page_size: 500, page_token: String::new() };
        match api.screening().list_pending_outcomes(pending).await {
            Ok(answer) => seen.pending = answer.into_inner().outcomes.len(),
            Err(status) => or_left_out("outcomes that wait", status),
        }
        match api.operations().diagnose(v1::DiagnoseRequest { program_id: program_id.clone() }).await {
            Ok(answer) => {
                let v1::DiagnoseResponse { findings, keys, server_time: _, version: _ } = answer.into_inner();
                (seen.findings, seen.keys) = (findings, keys);
            }
            Err(status) => or_left_out("the diagnosis", status),
        }
        match api.review().get_queue_stats(v1::GetQueueStatsRequest { program_id: program_id.clone() }).await {
            Ok(answer) => seen.queue = answer.into_inner(),
            Err(status) => or_left_out("the review queue", status),
        }
        let acts = v1::ListPendingActsRequest { program_id: program_id.clone(), page_size: 500, page_token: String::new() };
        match api.confirmations().list_pending_acts(acts).await {
            Ok(answer) => seen.acts = answer.into_inner().acts.len(),
            Err(status) => or_left_out("what waits for a second identity", status),
        }
        if let Err(status) = seen.read_feed(api, program_id).await {
            or_left_out("the feed", status);
        }
        Ok((seen, unseen))
    }

    async fn read_feed(&mut self, api: &Api, program_id: String) -> Result<(), Status> {
        let after_cursor = self.decisions.last().map(|decision| decision.cursor.clone()).unwrap_or_default();
        let mode = Some(v1::WatchMode::StopAtEnd.into());
        let watch = v1::WatchDecisionsRequest { program_id, after_cursor, mode, ..Default::default() };
        let mut messages = api.payouts().watch_decisions(watch).await?.into_inner();
        for _ in 0..FEED_MESSAGES_MAX {
            let Some(message) = messages.message().await? else { break };
            for event in message.events {
                let (count, newest) = self.events.entry(event.kind().as_str_name()).or_default();
                (*count, *newest) = (*count + 1, at_time(event.recorded_at.as_ref()));
            }
        }
        Ok(())
    }

    fn count(&self, kind: v1::FeedEventKind) -> Option<&(usize, String)> {
        self.events.get(kind.as_str_name())
    }

    /// What is wrong or missing, each with what to do; the worst first.
    pub(super) fn steps(&self) -> Vec<String> {
        let mut steps = Vec::new();
        let wrong = |level| move |finding: &&v1::Finding| finding.level() == level;
        for level in [v1::FindingLevel::Wrong, v1::FindingLevel::Note] {
            for finding in self.findings.iter().filter(wrong(level)) {
                steps.push(format!("{}: {}. {}", finding.subject, finding.sentence, finding.fix));
            }
        }
        let decided = self.decisions.len();
        if decided == 0 {
            steps.push("No conversion arrived. Send one with `ScreenConversion` when a referred user converts; README.md shows a whole one.".to_owned());
        }
        let share = |part: usize| part * 100 / decided.max(1);
        let incomparable = self.having("signals.incomparable");
        if share(incomparable) >= 10 {
            steps.push(format!(
                "{incomparable} of the newest {decided} conversions could not be compared: both sides need a signal of one kind under one key id \
                 (docs/digests.md). Send what the account signed up with, by `RecordSignals`, for referrers."
            ));
        }
        for (code, (count, field)) in self.warnings() {
            steps.push(format!("{count} of the newest {decided} conversions were taken with the warning `{code}` (field `{field}`): mend it where it is sent."));
        }
        if decided > 0 && self.count(v1::FeedEventKind::Paid).is_none() {
            steps.push("No payment was told since. A payer reserves (`ReservePayouts`), pays, and tells it (`MarkPaid`); without that a reward looks unpaid for ever.".to_owned());
        }
        if decided >= 50 && self.count(v1::FeedEventKind::Cancelled).is_none() && self.pending == 0 {
            steps.push("No refund, dispute or cancellation arrived since. If there are any, send them by `RecordOutcome`; they hold and cancel what is unpaid.".to_owned());
        }
        if self.pending > 0 {
            steps.push(format!("{} outcomes wait for a conversion that nobody reported: their ids or accounts may be other than those of the conversions.", self.pending));
        }
        if self.queue.overdue_cases > 0 {
            steps.push(format!(
                "{} cases are overdue: `selfsame queue next` takes what would lose most.",
                self.queue.overdue_cases
            ));
        }
        if self.acts > 0 {
            steps.push(format!("{} acts wait for a second identity: `selfsame act list`.", self.acts));
        }
        steps
    }

    fn having(&self, code: &str) -> usize {
        self.decisions.iter().filter(|decision| decision.reasons.iter().any(|reason| reason.code == code)).count()
    }

    /// The warnings of the newest decisions, with one of the fields that each was about.
    fn warnings(&self) -> BTreeMap<&str, (usize, &str)> {
        let mut found: BTreeMap<&str, (usize, &str)> = BTreeMap::new();
        for warning in self.decisions.iter().flat_map(|decision| &decision.warnings) {
            let (count, field) = found.entry(&warning.code).or_default();
            (*count, *field) = (*count + 1, &warning.field);
        }
        found
    }

    /// What arrives, as text.
    pub(super) fn arrives(&self) -> String {
        let mut text = String::new();
        let stage = self.program.as_ref().map_or("", |program| program.stage().as_str_name());
        let _ = writeln!(text, "Programme stage: {}", stage.trim_start_matches("PROGRAM_STAGE_"));
        let verdicts = |verdict| self.decisions.iter().filter(|decision| decision.verdict() == verdict).count();
        let newest = self.decisions.first().map_or_else(|| "never".to_owned(), |decision| at_time(decision.decided_at.as_ref()));
        let _ = writeln!(
            text,
            "Conversions: {} looked at (the newest), last {newest}: {} approved, {} in review, {} rejected; {} could not be compared",
            self.decisions.len(),
            verdicts(v1::Verdict::Approved),
            verdicts(v1::Verdict::InReview),
            verdicts(v1::Verdict::Rejected),
            self.having("signals.incomparable"),
        );
        for key in &self.keys {
            let v1::KeyUse { program_id: _, key_id, decisions, compared } = key;
            let _ = writeln!(text, "Key `{key_id}`: in {decisions} of the newest conversions, {compared} of them compared");
        }
        let told =
            |kind| self.count(kind).map_or_else(|| "none since".to_owned(), |(count, newest)| format!("{count}, last {newest}"));
        let _ = writeln!(
            text,
            "Outcomes that cancelled: {}; waiting for their conversion: {}",
            told(v1::FeedEventKind::Cancelled),
            self.pending
        );
        let _ =
            writeln!(text, "Payments told: {}; failed: {}", told(v1::FeedEventKind::Paid), told(v1::FeedEventKind::PayoutFailed));
        let _ = writeln!(text, "Review queue: {} open, {} overdue", self.queue.open_cases, self.queue.overdue_cases);
        text
    }
}
