//! The summary of a screened file, for a person to read.
//! It must never name an account. `screen` calls it.

use std::collections::BTreeMap;
use std::io::{self, Write};

use crate::book::records::DecisionRecord;
use crate::screening::decision::Verdict;
use crate::screening::evidence::EvidenceCode;
use crate::vocabulary::label::{Label, Truth};
use crate::wire::v1;

/// How many reasons are shown.
const REASONS_SHOWN_MAX: usize = 12;

/// Verdicts of referrals of one kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Verdicts {
    approved: u64,
    in_review: u64,
    rejected: u64,
}

impl Verdicts {
    fn count(&mut self, verdict: Verdict) {
        match verdict {
            Verdict::Approved => self.approved += 1,
            Verdict::InReview => self.in_review += 1,
            Verdict::Rejected => self.rejected += 1,
        }
    }

    const fn total(self) -> u64 {
        self.approved + self.in_review + self.rejected
    }

    const fn flagged(self) -> u64 {
        self.in_review + self.rejected
    }
}

/// Counts while a file is screened.
#[derive(Debug, Default)]
pub(super) struct Summary {
    all: Verdicts,
    honest: Verdicts,
    abusive: Verdicts,
    repeated: u64,
    skipped: u64,
    warned: u64,
    warnings: BTreeMap<String, u64>,
    reasons: BTreeMap<EvidenceCode, u64>,
}

impl Summary {
    /// Counts one decision with the warnings that were answered with it. Of several labels the last one counts.
    pub(super) fn count(&mut self, record: &DecisionRecord, labels: &[Label], warnings: &[v1::Warning]) {
        self.warned += u64::from(!warnings.is_empty());
        for warning in warnings {
            *self.warnings.entry(warning.code.clone()).or_default() += 1;
        }
        let verdict = record.decision.verdict;
        self.all.count(verdict);
        match labels.last().map(|label| label.truth) {
            Some(Truth::Honest) => self.honest.count(verdict),
            Some(Truth::Abusive) => self.abusive.count(verdict),
            None => {}
        }
        if verdict != Verdict::Approved {
            for reason in &record.decision.reasons {
                *self.reasons.entry(reason.code).or_default() += 1;
            }
        }
    }

    /// Counts a line that repeats an earlier one.
    pub(super) fn repeated(&mut self) {
        self.repeated += 1;
    }

    /// Counts a line that was left out.
    pub(super) fn skipped(&mut self) {
        self.skipped += 1;
    }

    /// Writes the summary.
    pub(super) fn write(&self, out: &mut impl Write) -> io::Result<()> {
        let Self { all, honest, abusive, repeated, skipped, warned, warnings, reasons } = self;
        writeln!(out, "{} conversions screened", all.total())?;
        for (name, count) in [("approved", all.approved), ("in review", all.in_review), ("rejected", all.rejected)] {
            writeln!(out, "  {name:10} {count:>9}  {:>5.1} %", percent(count, all.total()))?;
        }
        if *repeated > 0 {
            writeln!(out, "{repeated} lines repeated an earlier one and got no second decision")?;
        }
        if *skipped > 0 {
            writeln!(out, "{skipped} lines could not be screened and were left out")?;
        }
        if *warned > 0 {
            writeln!(
                out,
                "{warned} conversions with {} warnings (`warnings` of their decisions)",
                warnings.values().sum::<u64>()
            )?;
        }
        for (code, count) in warnings {
            writeln!(out, "  {count:>7}  {code}")?;
        }
        let mut frequent: Vec<(&EvidenceCode, &u64)> = reasons.iter().collect();
        frequent.sort_by_key(|(code, count)| (std::cmp::Reverse(**count), **code));
        if !frequent.is_empty() {
            writeln!(out, "What spoke against those that were not approved")?;
        }
        for (code, count) in frequent.into_iter().take(REASONS_SHOWN_MAX) {
            writeln!(out, "  {count:>7}  {:34} {}", code.dotted(), code.meaning())?;
        }
        if honest.total() + abusive.total() > 0 {
            write_truth(out, *honest, *abusive)?;
        }
        Ok(())
    }
}

fn write_truth(out: &mut impl Write, honest: Verdicts, abusive: Verdicts) -> io::Result<()> {
    writeln!(out, "Against the labels ({} honest, {} abusive)", honest.total(), abusive.total())?;
    let precision = |caught: u64, wrong: u64| percent(caught, caught + wrong);
    writeln!(
        out,
        "  rejected              precision {:>5.1} %  recall {:>5.1} %",
        precision(abusive.rejected, honest.rejected),
        percent(abusive.rejected, abusive.total())
    )?;
    writeln!(
        out,
        "  rejected or in review precision {:>5.1} %  recall {:>5.1} %",
        precision(abusive.flagged(), honest.flagged()),
        percent(abusive.flagged(), abusive.total())
    )?;
    writeln!(
        out,
        "  honest referrals      {:.2} % in review, {:.2} % rejected",
        percent(honest.in_review, honest.total()),
        percent(honest.rejected, honest.total())
    )
}

/// 0 when there is nothing to share.
#[expect(clippy::cast_precision_loss, reason = "counts of lines are far below 2^53")]
fn percent(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { 100.0 * part as f64 / whole as f64 }
}
