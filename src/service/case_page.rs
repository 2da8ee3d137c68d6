//! A case on one page of text: what a reviewer needs to decide, in as few lines as that takes. It must never say what the case itself does not hold.
//! The review handlers call it.

use crate::book::account_file::AccountConversion;
use crate::book::records::{CaseFile, HistoryEntry, Neighbour, identifier_words};
use crate::screening::decision::{Verdict, risk_score};
use crate::screening::explanation;
use crate::vocabulary::money::Money;
use crate::vocabulary::time::{Span, Timestamp};
use crate::wire::v1::{Comparison, SideBySideRow};
use crate::wire::words;

/// Lines of each part; what is more is counted.
const REASONS_MAX: usize = 6;
const ALIKE_MAX: usize = 8;
const SHARED_MAX: usize = 5;
const HISTORY_MAX: usize = 4;

/// The page.
pub(super) fn lines(file: &CaseFile, rows: &[SideBySideRow], now: Timestamp) -> Vec<String> {
    let CaseFile { summary, record, now: known_now, referrer: _, referee: _, history, neighbours, others_of_referrer } = file;
    let mut page = vec![
        format!("risk {} of 99, {}, {}", risk_score(summary.score), at_stake(&summary.at_stake), due(summary.due_at, now)),
        format!("{} referred {}", summary.referrer, summary.referee),
    ];
    let reasons: Vec<String> = record.decision.reasons.iter().map(|reason| reason.sentence.clone()).collect();
    part(&mut page, "WHY", reasons, REASONS_MAX);
    let learned = known_now
        .evidence
        .iter()
        .filter(|(code, finding)| finding.is_hit() && finding.strength() > record.decision.evidence[*code].strength());
    let learned = learned.map(|(code, finding)| explanation::sentence(code, finding)).collect();
    part(&mut page, "LEARNED SINCE", learned, REASONS_MAX);
    let (alike, different): (Vec<&SideBySideRow>, Vec<&SideBySideRow>) =
        rows.iter().partition(|row| matches!(row.comparison(), Comparison::Same | Comparison::Similar));
    let shown = |row: &&SideBySideRow| match row.comparison() {
        Comparison::Same => format!("{}: both {}", row.label, row.referee_value),
        _ => format!("{}: {} and {}", row.label, row.referrer_value, row.referee_value),
    };
    part(&mut page, "ALIKE ON BOTH SIDES", alike.iter().map(shown).collect(), ALIKE_MAX);
    let named = |comparison: Comparison| {
        let labels: Vec<&str> =
            different.iter().filter(|row| row.comparison() == comparison).map(|row| row.label.as_str()).collect();
        labels.join(", ")
    };
    for (title, labels) in [("DIFFERENT", named(Comparison::Different)), ("ON ONE SIDE ONLY", named(Comparison::Absent))] {
        if !labels.is_empty() {
            page.push(format!("{title}: {labels}"));
        }
    }
    part(&mut page, "ALSO ON THEIR VALUES", neighbours.iter().map(shared).collect(), SHARED_MAX);
    page.extend(others(others_of_referrer));
    let newest: Vec<String> = history.iter().rev().map(happened).collect();
    part(&mut page, "HISTORY, NEWEST FIRST", newest, HISTORY_MAX);
    page
}

fn part(page: &mut Vec<String>, title: &str, mut lines: Vec<String>, most: usize) {
    if lines.is_empty() {
        return;
    }
    page.push(title.to_owned());
    let more = lines.len().saturating_sub(most);
    lines.truncate(most);
    page.extend(lines.into_iter().map(|line| format!("  {line}")));
    if more > 0 {
        page.push(format!("  and {more} more"));
    }
}

fn at_stake(amounts: &[Money]) -> String {
    if amounts.is_empty() {
        return "no known amount at stake".to_owned();
    }
    let amounts: Vec<String> = amounts.iter().map(Money::to_string).collect();
    format!("{} at stake", amounts.join(" and "))
}

fn due(due_at: Timestamp, now: Timestamp) -> String {
    let left = due_at.since(now);
    if left < Span::ZERO { format!("overdue for {}", left.abs()) } else { format!("due in {left}") }
}

fn shared(neighbour: &Neighbour) -> String {
    let Neighbour { identifier, sides: _, accounts_count, accounts, rejected_count, one_of_strangers } = neighbour;
    let named: Vec<String> = accounts.iter().take(3).map(ToString::to_string).collect();
    let rejected = if *rejected_count > 0 { format!(", {rejected_count} rejected") } else { String::new() };
    let rare = words::rarity(*one_of_strangers);
    let rare = if rare.is_empty() { rare } else { format!("; {rare} has it") };
    format!("{}: {accounts_count} more accounts ({}){rejected}{rare}", identifier_words(identifier.kind), named.join(", "))
}

/// What became of the referrer's other referrals, in one line.
fn others(others: &[AccountConversion]) -> Option<String> {
    let newest = others.first()?;
    let count = |verdict: Verdict| others.iter().filter(|other| other.verdict == verdict).count();
    Some(format!(
        "THE REFERRER'S LAST {} OTHERS: {} approved, {} in review, {} rejected; the newest on {}",
        others.len(),
        count(Verdict::Approved),
        count(Verdict::InReview),
        count(Verdict::Rejected),
        newest.occurred_at,
    ))
}

fn happened(entry: &HistoryEntry) -> String {
    let HistoryEntry { kind, actor, at, reason_code, note, previous: _, new } = entry;
    let by = actor.as_ref().map_or_else(|| "selfsame".to_owned(), ToString::to_string);
    let said: Vec<&str> = [new.as_str(), reason_code, note].into_iter().filter(|text| !text.is_empty()).collect();
    format!("{at} {by} {kind:?}: {}", said.join("; "))
}
