//! The demo's summary: verdicts against the known truth, why, for whom, how fast, and what to try next. Text only.

use std::fmt::{self, Display, Formatter};
use std::net::SocketAddr;
use std::time::Duration;

use hdrhistogram::Histogram;

use crate::offline::tally::{Tally, Verdicts};
use crate::screening::evidence::EvidenceCode;
use crate::vocabulary::label::Truth;

/// Reasons that are listed.
const REASONS_SHOWN: usize = 8;

/// What a day came to.
pub(super) struct Summary {
    /// The programme.
    pub(super) program: &'static str,
    /// Verdicts against the truth.
    pub(super) tally: Tally,
    /// One value for each conversion.
    pub(super) latency_micros: Histogram<u64>,
    /// How long the day took.
    pub(super) took: Duration,
    /// A case that is worth a look; absent when the queue is empty.
    pub(super) case_to_try: Option<String>,
}

impl Display for Summary {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.verdicts(f)?;
        self.reasons(f)?;
        self.personas(f)?;
        self.speed(f)
    }
}

impl Summary {
    fn verdicts(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let (honest, abusive) = (self.tally.honest(), self.tally.abusive());
        writeln!(f, "Verdicts against the known truth")?;
        writeln!(f, "                {:>9} {:>9} {:>9}", "all", "honest", "abusive")?;
        for (name, of) in [
            ("approved", (|verdicts| verdicts.approved) as fn(Verdicts) -> u32),
            ("in review", |verdicts| verdicts.in_review),
            ("rejected", |verdicts| verdicts.rejected),
            ("all", Verdicts::total),
        ] {
            writeln!(f, "  {name:<14}{:>9} {:>9} {:>9}", of(honest) + of(abusive), of(honest), of(abusive))?;
        }
        writeln!(f)?;
        writeln!(f, "  caught (rejected or in review), recall      {}", self.tally.caught())?;
        writeln!(f, "  rejected without a reviewer, recall         {}", self.tally.reject_recall())?;
        writeln!(f, "  rejected and abusive, precision             {}", self.tally.reject_precision())?;
        writeln!(f, "  in review and abusive, precision            {}", self.tally.review_precision())?;
        writeln!(f, "  honest, but sent to review                  {}", self.tally.honest_in_review())?;
        writeln!(f, "  honest, but rejected                        {}", self.tally.honest_rejected())?;
        writeln!(f, "  purchases sent twice, answered as repeats   {}", self.tally.repeated())?;
        writeln!(f)
    }

    fn reasons(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "Why: the first reason of what was not approved")?;
        writeln!(f, "  {:>9} {:>9}", "rejected", "in review")?;
        for (code, verdicts) in self.tally.first_reasons().into_iter().take(REASONS_SHOWN) {
            let meaning = EvidenceCode::from_dotted(code).map_or_else(|| code.to_owned(), |known| known.meaning().to_owned());
            writeln!(f, "  {:>9} {:>9}  {meaning}", verdicts.rejected, verdicts.in_review)?;
        }
        writeln!(f)
    }

    fn personas(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "Who")?;
        writeln!(f, "  {:<22} {:>9} {:>9} {:>9}", "", "approved", "in review", "rejected")?;
        let mut heading = None;
        for (persona, truth, verdicts) in self.tally.personas() {
            if heading != Some(truth) {
                heading = Some(truth);
                writeln!(f, "  {}", if truth == Truth::Honest { "honest" } else { "abusive" })?;
            }
            let Verdicts { approved, in_review, rejected } = verdicts;
            writeln!(f, "    {persona:<20} {approved:>9} {in_review:>9} {rejected:>9}")?;
        }
        writeln!(f)
    }

    fn speed(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let at = |quantile: f64| milliseconds(self.latency_micros.value_at_quantile(quantile));
        writeln!(
            f,
            "Latency over gRPC, each decision synced to the disk before its answer, one after the other:\n  p50 {}, p95 {}, p99 {}, max {}; {} conversions in {:.1} s\n",
            at(0.5),
            at(0.95),
            at(0.99),
            milliseconds(self.latency_micros.max()),
            self.latency_micros.len(),
            self.took.as_secs_f64(),
        )
    }

    /// What a reviewer would type next.
    pub(super) fn commands(&self, address: SocketAddr) -> String {
        let program = self.program;
        let Some(case) = &self.case_to_try else {
            return "The queue is empty: nothing to review.".to_owned();
        };
        let as_you = "-H 'selfsame-actor: you' ";
        let call_as = |who: &str, method: &str, body: &str| {
            format!("  grpcurl -plaintext {who}-d '{body}' {address} selfsame.v1.{method}\n")
        };
        let call = |method: &str, body: &str| call_as("", method, body);
        let mut text = String::from("Work the queue\n");
        text += &call("ReviewService/ListCases", &format!(r#"{{"programId":"{program}"}}"#));
        text +=
            &call("ReviewService/GetCase", &format!(r#"{{"programId":"{program}","caseId":"{case}","view":"CASE_VIEW_BASIC"}}"#));
        for resolution in ["ACCEPT", "REJECT"] {
            let body = format!(r#"{{"programId":"{program}","caseId":"{case}","resolution":"RESOLUTION_{resolution}"}}"#);
            text += &call_as(as_you, "ReviewService/ResolveCase", &body);
        }
        text += &call_as(as_you, "ReviewService/ReopenCase", &format!(r#"{{"programId":"{program}","caseId":"{case}"}}"#));
        let reward = case.trim_start_matches("case-cv-");
        let body =
            format!(r#"{{"programId":"{program}","payouts":[{{"rewardId":"rw-{reward}-1","conversionId":"cv-{reward}"}}]}}"#);
        text + &call("PayoutService/CheckPayouts", &body)
    }
}

#[expect(clippy::cast_precision_loss, reason = "latencies are far below 2^53 microseconds")]
fn milliseconds(micros: u64) -> String {
    format!("{:.2} ms", micros as f64 / 1000.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::v1;

    fn is_taken<M: serde::de::DeserializeOwned>(body: &str) -> Result<(), serde_json::Error> {
        serde_json::from_str::<M>(body).map(drop)
    }

    #[test]
    fn every_line_that_is_ready_to_paste_is_one_that_the_contract_takes() {
        let summary = Summary {
            program: "demo",
            tally: Tally::default(),
            latency_micros: Histogram::new(3).unwrap(),
            took: Duration::from_secs(1),
            case_to_try: Some("case-cv-000007".to_owned()),
        };
        let commands = summary.commands(SocketAddr::from(([127, 0, 0, 1], 50_051)));
        let mut tried = Vec::new();
        for line in commands.lines().filter(|line| line.contains("grpcurl")) {
            let (_, method) = line.rsplit_once('/').unwrap();
            let body = line.split_once("-d '").and_then(|(_, rest)| rest.split_once('\'')).unwrap().0;
            let taken = match method {
                "ListCases" => is_taken::<v1::ListCasesRequest>(body),
                "GetCase" => is_taken::<v1::GetCaseRequest>(body),
                "ResolveCase" => is_taken::<v1::ResolveCaseRequest>(body),
                "ReopenCase" => is_taken::<v1::ReopenCaseRequest>(body),
                "CheckPayouts" => is_taken::<v1::CheckPayoutsRequest>(body),
                other => panic!("this test knows no {other}"),
            };
            assert!(taken.is_ok(), "{line}: {taken:?}");
            // Who acts is said by a header, and asked of whoever acts.
            let acts = matches!(method, "ResolveCase" | "ReopenCase");
            assert_eq!(line.contains("selfsame-actor"), acts, "{line}");
            tried.push(method.to_owned());
        }
        assert_eq!(tried, ["ListCases", "GetCase", "ResolveCase", "ResolveCase", "ReopenCase", "CheckPayouts"]);
    }
}
