//! Tables and the side-by-side view of the review queue, as text. Pure: answers and the present in, text out. `queue` calls it.

use std::fmt::Write as _;

use crate::cli::act::waits;
use crate::cli::table::table;
use crate::screening::decision::{logistic, risk_score};
use crate::screening::evidence::EvidenceCode;
use crate::screening::explanation;
use crate::vocabulary::money::Money;
use crate::vocabulary::time::{Span, Timestamp};
use crate::wire::v1;
use crate::wire::words::{case_state, instant, left_alone, money, rarity, verdict};

/// Characters of a value in the side-by-side view.
const VALUE_CHARS: usize = 34;

/// A table of cases.
pub(super) fn list(answer: &v1::ListCasesResponse, now: Timestamp) -> String {
    if answer.cases.is_empty() {
        return "Nothing waits.".to_owned();
    }
    let head = ["CASE", "REV", "STATE", "RISK", "AT STAKE", "DUE", "REFERRER", "REFEREE", "WHY"].map(str::to_owned).to_vec();
    let mut rows = vec![head];
    for case in &answer.cases {
        rows.push(vec![
            case.case_id.clone(),
            case.revision.to_string(),
            case_state(case),
            case.risk_score.to_string(),
            money(&case.at_stake),
            due(case, now),
            case.referrer_account_id.clone(),
            case.referee_account_id.clone(),
            case.headline.clone(),
        ]);
    }
    let mut text = table(&rows);
    let total = answer.total_size.unwrap_or_default();
    if total > answer.cases.len() as u64 {
        let _ = write!(text, "\n{} of {total} shown; --limit shows more.", answer.cases.len());
    }
    text
}

/// The queue in numbers.
pub(super) fn stats(answer: &v1::GetQueueStatsResponse) -> String {
    let v1::GetQueueStatsResponse { open_cases, claimed_cases, overdue_cases, resolved_cases, oldest_age, by_first_reason } =
        answer;
    let oldest = oldest_age.map_or_else(String::new, |age| format!(", the oldest for {}", Span::from_seconds(age.seconds)));
    let mut text =
        format!("{open_cases} open, {claimed_cases} claimed{oldest}; {overdue_cases} overdue; {resolved_cases} resolved\n");
    let rows: Vec<Vec<String>> =
        by_first_reason.iter().map(|reason| vec![reason.cases.to_string(), reason.reason_code.clone()]).collect();
    text.push_str(&table(&rows));
    text
}

/// A table of clusters.
pub(super) fn clusters(answer: &v1::ListClustersResponse) -> String {
    if answer.clusters.is_empty() {
        return "Nothing that waits belongs together.".to_owned();
    }
    let head = ["CLUSTER", "CASES", "ACCOUNTS", "REFERRERS", "RISK UP TO", "AT STAKE", "WHY"].map(str::to_owned).to_vec();
    let row = |line: &v1::ClusterSummary| {
        vec![
            line.account_id.clone(),
            line.cases.to_string(),
            line.accounts.to_string(),
            line.referrers.to_string(),
            line.risk_score_max.to_string(),
            money(&line.at_stake),
            line.headline.clone(),
        ]
    };
    let mut text = table(&std::iter::once(head).chain(answer.clusters.iter().map(row)).collect::<Vec<_>>());
    if answer.total_size > answer.clusters.len() as u64 {
        let _ = write!(text, "\n{} of {} shown; --limit shows more.", answer.clusters.len(), answer.total_size);
    }
    text
}

/// One cluster: what ties it, its accounts, its cases.
pub(super) fn cluster(cluster: &v1::Cluster, now: Timestamp) -> String {
    let v1::Cluster { summary, accounts, ties, cases, complete } = cluster;
    let line = summary.clone().unwrap_or_default();
    let mut text = format!(
        "{}: {} undecided cases of {} referrers among {} accounts, {} at stake\n",
        line.account_id,
        line.cases,
        line.referrers,
        accounts.len(),
        if line.at_stake.is_empty() { "no known amount".to_owned() } else { money(&line.at_stake) },
    );
    if !complete {
        text.push_str("Only a part of it is shown: decide this, and look again.\n");
    }
    section(&mut text, "WHAT TIES THEM", ties.iter().map(tie_row).collect());
    let role = |account: &v1::ClusterAccount| {
        let rejected = if account.stands_rejected { "stands rejected" } else { "" };
        let roles = [("refers in", account.cases_as_referrer), ("referred in", account.cases_as_referee)];
        let told = roles.into_iter().filter(|(_, cases)| *cases > 0).map(|(role, cases)| format!("{role} {cases}"));
        vec![account.account_id.clone(), told.collect::<Vec<_>>().join(", "), rejected.to_owned()]
    };
    section(&mut text, "ACCOUNTS", accounts.iter().map(role).collect());
    let cases = v1::ListCasesResponse { cases: cases.clone(), ..Default::default() };
    let _ = write!(text, "\nCASES\n{}", list(&cases, now));
    text
}

/// A value that accounts share, with those of them that are named.
pub(in crate::cli) fn tie_row(tie: &v1::SharedIdentifier) -> Vec<String> {
    let rare = rarity(tie.one_of_strangers);
    let rare = if rare.is_empty() { rare } else { format!("{rare} has it") };
    vec![format!("{} {}", tie.label, tie.digest_prefix), rare, tie.account_ids.join(" ")]
}

/// What an act would change.
pub(super) fn preview(preview: &v1::PreviewCasesResponse, act: v1::CaseAct) -> String {
    let head = ["CASE", "RISK", "AT STAKE", "REFERRER", "REFEREE", "WOULD BE"].map(str::to_owned).to_vec();
    let row = |case: &v1::PreviewedCase| {
        let line = case.summary.clone().unwrap_or_default();
        let would_be = match case.left_alone() {
            v1::LeftAlone::Unspecified => verdict(case.verdict()).to_owned(),
            left => format!("left alone: {}", left_alone(left)),
        };
        let stake = money(&line.at_stake);
        vec![
            case.case_id.clone(),
            line.risk_score.to_string(),
            stake,
            line.referrer_account_id,
            line.referee_account_id,
            would_be,
        ]
    };
    let mut text = table(&std::iter::once(head).chain(preview.cases.iter().map(row)).collect::<Vec<_>>());
    let paid: usize = preview.cases.iter().map(|case| case.paid_reward_ids.len()).sum();
    if paid > 0 && act == v1::CaseAct::Reject {
        let _ = writeln!(text, "{paid} rewards were paid already, and are not taken back.");
    }
    if preview.more {
        text.push_str("There are more than one act takes: do it again afterwards.\n");
    }
    text
}

/// What is asked before several cases are changed.
pub(super) fn question(preview: &v1::PreviewCasesResponse, act: v1::CaseAct) -> String {
    let amount = |amounts: &[v1::Money]| if amounts.is_empty() { "no known amount".to_owned() } else { money(amounts) };
    let cases = preview.changing;
    match act {
        v1::CaseAct::Reject => format!("Reject {cases} cases, which withholds {}?", amount(&preview.at_stake)),
        v1::CaseAct::Accept => format!(
            "Accept {cases} cases of {} referrers, which releases {} at once?",
            preview.referrer_account_ids.len(),
            amount(&preview.due)
        ),
        v1::CaseAct::Reopen | v1::CaseAct::Unspecified => format!("Put {cases} cases back into review?"),
    }
}

/// What an act came to. `unkept`: why what undoes it could not be kept.
pub(super) fn acted(answer: &v1::ActOnCasesResponse, unkept: Option<&str>) -> String {
    let v1::ActOnCasesResponse { cases, changed, left_alone: left, undo_token } = answer;
    let mut text = format!("{changed} changed, {left} left alone\n");
    let alone = cases.iter().filter(|case| case.left_alone() != v1::LeftAlone::Unspecified);
    text.push_str(&table(
        &alone.map(|case| vec![case.case_id.clone(), left_alone(case.left_alone()).to_owned()]).collect::<Vec<_>>(),
    ));
    match (undo_token.is_empty(), unkept) {
        (true, _) => {}
        (false, None) => text.push_str("`selfsame queue undo` takes it back, as long as nothing of it is paid.\n"),
        (false, Some(why)) => {
            let _ = writeln!(text, "What takes it back could not be kept ({why}); it is: {undo_token}");
        }
    }
    text
}

/// A case without what the machine thinks of it.
pub(super) fn blind(case: &v1::Case) -> String {
    let summary = case.summary.clone().unwrap_or_default();
    let rows: Vec<v1::SideBySideRow> =
        case.side_by_side.iter().map(|row| v1::SideBySideRow { note: String::new(), ..row.clone() }).collect();
    format!("{}\n{}", summary.case_id, sides(&summary, &rows))
}

/// What a step led to.
pub(super) fn changed(summary: Option<&v1::CaseSummary>) -> String {
    summary.map_or_else(String::new, |case| format!("{} is {} (revision {})", case.case_id, case_state(case), case.revision))
}

/// What a reviewer's decision led to, and what it came too late for.
pub(super) fn resolved(answer: &v1::ResolveCaseResponse) -> String {
    let v1::ResolveCaseResponse { summary, decision: _, paid_reward_ids, pending_act } = answer;
    if let Some(pending) = pending_act {
        return waits(pending);
    }
    let mut text = changed(summary.as_ref());
    let rejected = summary.as_ref().is_some_and(|case| case.resolution() == v1::Resolution::Reject);
    if rejected && !paid_reward_ids.is_empty() {
        let _ = write!(text, "\nAlready paid, and not taken back: {}", paid_reward_ids.join(" "));
    }
    text
}

/// One case: its line, both sides, reasons, neighbours, history.
pub(super) fn case(case: &v1::Case, now: Timestamp) -> String {
    let v1::Case {
        summary,
        decision,
        conversion_kind: _,
        occurred_at: _,
        attribution: _,
        side_by_side,
        evidence: _,
        neighbours,
        rewards,
        history,
        paid_reward_ids,
        now: known_now,
        referrer_conversions,
        page: _,
    } = case;
    let summary = summary.clone().unwrap_or_default();
    let mut text = format!(
        "{}  revision {}  {}  risk {}  due {}\nconversion {}, policy {}\n\n",
        summary.case_id,
        summary.revision,
        case_state(&summary),
        summary.risk_score,
        due(&summary, now),
        summary.conversion_id,
        decision.as_ref().map(|decision| decision.policy_version.as_str()).unwrap_or_default(),
    );
    text.push_str(&sides(&summary, side_by_side));
    if let Some(decision) = decision {
        section(&mut text, "WHY", decision.reasons.iter().map(|reason| reason_row(reason, decision)).collect());
        section(
            &mut text,
            "WHAT THE RISK OF THE DECISION IS MADE OF, IN LOG-ODDS",
            decision.score_parts.as_ref().map(score_rows).unwrap_or_default(),
        );
        section(&mut text, "RULES THAT ASK FOR IT, WHATEVER THE SCORE SAYS", rule_rows(&decision.rule_hits));
        text.push_str(&where_it_stands(decision));
    }
    if let Some(v1::SecondLook { verdict: _, score, reasons: _, learned }) = known_now {
        let title = format!("LEARNED AFTER THE DECISION; THE RISK IS {} BY NOW", risk_score(*score));
        section(&mut text, &title, learned.iter().map(learned_row).collect());
    }
    section(&mut text, "ALSO ON THESE VALUES", neighbours.iter().map(neighbour_row).collect());
    section(&mut text, "THE REFERRER'S OTHERS, NEWEST FIRST", referrer_conversions.iter().map(conversion_row).collect());
    let (paid, at_stake): (Vec<_>, Vec<_>) = rewards.iter().partition(|reward| paid_reward_ids.contains(&reward.reward_id));
    section(&mut text, "REWARDS AT STAKE", at_stake.into_iter().map(reward_row).collect());
    section(&mut text, "REWARDS PAID ALREADY, NOT TAKEN BACK", paid.into_iter().map(reward_row).collect());
    section(&mut text, "HISTORY", history.iter().map(history_row).collect());
    text
}

/// What a reviewer must know before he decides: a gate that stays closed whatever he says.
fn where_it_stands(decision: &v1::Decision) -> String {
    let sentence = decision.standing.as_ref().map(|standing| standing.sentence.as_str()).unwrap_or_default();
    let waits =
        decision.verdict() == v1::Verdict::InReview && !sentence.starts_with("Cancelled") && decision.duplicate_of.is_empty();
    if sentence.is_empty() || waits { String::new() } else { format!("\nWHERE IT STANDS\n{sentence}\n") }
}

fn learned_row(evidence: &v1::Evidence) -> Vec<String> {
    vec![evidence.code.clone(), evidence.sentence.clone()]
}

fn section(text: &mut String, title: &str, rows: Vec<Vec<String>>) {
    if !rows.is_empty() {
        let _ = write!(text, "\n{title}\n{}", table(&rows));
    }
}

/// Both sides next to each other; the sign before a row says how its values compare.
fn sides(summary: &v1::CaseSummary, rows: &[v1::SideBySideRow]) -> String {
    let head = ["", "", "REFERRER", "REFEREE", ""].map(str::to_owned).to_vec();
    let names = vec![
        String::new(),
        String::new(),
        summary.referrer_account_id.clone(),
        summary.referee_account_id.clone(),
        String::new(),
    ];
    let mut table_rows = vec![head, names];
    for row in rows {
        let sign = match row.comparison() {
            v1::Comparison::Same => "=",
            v1::Comparison::Similar => "~",
            v1::Comparison::Different => "≠",
            v1::Comparison::Absent | v1::Comparison::Unspecified => " ",
        };
        let value = |value: &str| if value.is_empty() { "–".to_owned() } else { cut(value) };
        table_rows.push(vec![
            sign.to_owned(),
            row.label.clone(),
            value(&row.referrer_value),
            value(&row.referee_value),
            row.note.clone(),
        ]);
    }
    table(&table_rows)
}

/// A reason, with the conversion that a repeat repeats.
fn reason_row(reason: &v1::Reason, decision: &v1::Decision) -> Vec<String> {
    let earlier = [&decision.duplicate_of, &decision.looks_like].into_iter().find(|id| !id.is_empty());
    let repeats = earlier.filter(|_| reason.code == EvidenceCode::DuplicateInvoice.dotted());
    let sentence = repeats.map_or_else(|| reason.sentence.clone(), |id| format!("{} It was `{id}`.", reason.sentence));
    vec![format!("{:+.2}", reason.contribution_log_odds), reason.code.clone(), sentence]
}

/// The sum that the risk is, so that it can be checked by eye: each row is rounded, the sum is of what is not.
fn score_rows(parts: &v1::ScoreParts) -> Vec<Vec<String>> {
    let v1::ScoreParts { base_log_odds, contributions, rest_log_odds, review_threshold, reject_threshold } = parts;
    let row = |log_odds: f64, what: String| vec![format!("{log_odds:+.2}"), what];
    let sum = base_log_odds + rest_log_odds + contributions.iter().map(|part| part.log_odds).sum::<f64>();
    let rejects = reject_threshold.map(|reject| format!(", to reject from {}", risk_score(reject))).unwrap_or_default();
    let asks =
        format!("risk {}; the score asks to review from {}{rejects}", risk_score(logistic(sum)), risk_score(*review_threshold));
    let mut rows = vec![row(*base_log_odds, "what a referral begins with".to_owned())];
    rows.extend(contributions.iter().map(|part| row(part.log_odds, part.code.clone())));
    rows.extend(
        (*rest_log_odds != 0.0).then(|| row(*rest_log_odds, "what was not found, or could not be looked for".to_owned())),
    );
    rows.push(vec![format!("= {sum:.2}"), asks]);
    rows
}

/// The rules that reject or review by themselves, the strictest first. The others only weigh, which the reasons show, or stand in the shadow.
fn rule_rows(hits: &[v1::RuleHit]) -> Vec<Vec<String>> {
    let row = |mode: &str, hit: &v1::RuleHit| vec![mode.to_owned(), hit.rule.clone(), hit.evidence_code.clone()];
    let of_mode =
        |mode: v1::RuleMode, name: &'static str| hits.iter().filter(move |hit| hit.mode() == mode).map(move |hit| row(name, hit));
    let strictest = of_mode(v1::RuleMode::Reject, "reject").chain(of_mode(v1::RuleMode::Insist, "insist"));
    strictest.chain(of_mode(v1::RuleMode::Review, "review")).collect()
}

fn neighbour_row(neighbour: &v1::SharedIdentifier) -> Vec<String> {
    let who = match neighbour.sides() {
        v1::EvidenceSides::Both => "both sides'",
        v1::EvidenceSides::Referrer => "referrer's",
        v1::EvidenceSides::Referee => "referee's",
        v1::EvidenceSides::Unspecified => "",
    };
    let rejected =
        if neighbour.rejected_accounts > 0 { format!("{} rejected", neighbour.rejected_accounts) } else { String::new() };
    vec![
        format!("{who} {} {}", neighbour.label, neighbour.digest_prefix),
        explanation::other_accounts(neighbour.accounts),
        rejected,
        neighbour.account_ids.join(" "),
    ]
}

/// A conversion beside others of the same account.
pub(in crate::cli) fn conversion_row(conversion: &v1::AccountConversion) -> Vec<String> {
    let at = conversion.occurred_at.as_ref().and_then(instant).map(|at| at.to_string()).unwrap_or_default();
    let sentence = conversion.standing.as_ref().map(|standing| standing.sentence.clone()).unwrap_or_default();
    vec![
        at,
        conversion.conversion_id.clone(),
        conversion.other_account_id.clone(),
        verdict(conversion.verdict()).to_owned(),
        money(conversion.value.as_slice()),
        sentence,
    ]
}

fn reward_row(reward: &v1::Reward) -> Vec<String> {
    let amount = reward.amount.as_ref().and_then(|money| Money::new(money.amount_minor, &money.currency).ok());
    vec![reward.reward_id.clone(), amount.map(|amount| amount.to_string()).unwrap_or_default()]
}

fn history_row(event: &v1::CaseEvent) -> Vec<String> {
    let what = event.kind().as_str_name().trim_start_matches("CASE_EVENT_KIND_").to_lowercase();
    let change = match (event.previous.as_str(), event.current.as_str()) {
        ("", current) => current.to_owned(),
        (previous, "") => previous.to_owned(),
        (previous, current) => format!("{previous} → {current}"),
    };
    let at = event.at.as_ref().and_then(instant).map(|at| at.to_string()).unwrap_or_default();
    let why: Vec<&str> = [event.reason_code.as_str(), event.note.as_str()].into_iter().filter(|part| !part.is_empty()).collect();
    vec![at, event.actor.clone(), what, change, why.join(": ")]
}

fn due(case: &v1::CaseSummary, now: Timestamp) -> String {
    let Some(due_at) = case.due_at.as_ref().and_then(instant) else { return String::new() };
    match (case.state(), case.overdue) {
        (v1::CaseState::Resolved, _) => "–".to_owned(),
        (_, true) => format!("{} ago", now.since(due_at).abs()),
        (_, false) => format!("in {}", due_at.since(now).abs()),
    }
}

fn cut(text: &str) -> String {
    if text.chars().count() <= VALUE_CHARS {
        return text.to_owned();
    }
    text.chars().take(VALUE_CHARS - 1).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> Timestamp {
        Timestamp::saturating_from_millis(1_790_000_000_000)
    }

    fn summary() -> v1::CaseSummary {
        v1::CaseSummary {
            case_id: "case-cv-3".to_owned(),
            state: v1::CaseState::Open.into(),
            revision: 2,
            risk_score: 78,
            referrer_account_id: "dan".to_owned(),
            referee_account_id: "joe".to_owned(),
            headline: "Both sides were seen on one device.".to_owned(),
            at_stake: vec![v1::Money { amount_minor: 2_000, currency: "EUR".to_owned() }],
            due_at: Some(crate::wire::WireTimestamp { seconds: 1_790_000_000 + 7_200, nanos: 0 }),
            ..Default::default()
        }
    }

    #[test]
    fn a_list_reads_like_a_table() {
        let answer = v1::ListCasesResponse { cases: vec![summary()], ..Default::default() };
        let expected = "\
CASE       REV  STATE  RISK  AT STAKE   DUE     REFERRER  REFEREE  WHY
case-cv-3  2    open   78    20.00 EUR  in 2 h  dan       joe      Both sides were seen on one device.
";
        assert_eq!(list(&answer, now()), expected);
    }

    #[test]
    fn a_case_shows_its_revision_and_the_rules_that_ask_for_it() {
        let hit = |rule: &str, mode: v1::RuleMode| v1::RuleHit {
            rule: rule.to_owned(),
            mode: mode.into(),
            evidence_code: "attribution.manual".to_owned(),
            ..Default::default()
        };
        let rule_hits = vec![
            hit("only_weighs", v1::RuleMode::Weigh),
            hit("by_hand", v1::RuleMode::Review),
            hit("certain", v1::RuleMode::Reject),
        ];
        let decision = v1::Decision { rule_hits, ..Default::default() };
        let shown = case(&v1::Case { summary: Some(summary()), decision: Some(decision), ..Default::default() }, now());
        assert!(shown.starts_with("case-cv-3  revision 2  open"), "{shown}");
        let rules = "WHATEVER THE SCORE SAYS\nreject  certain  attribution.manual\nreview  by_hand  attribution.manual\n";
        assert!(shown.contains(rules) && !shown.contains("only_weighs"), "{shown}");
    }

    #[test]
    fn what_the_risk_is_made_of_adds_up_to_it() {
        let part = |code: &str, log_odds| v1::ScoreContribution { code: code.to_owned(), log_odds };
        let parts = v1::ScoreParts {
            base_log_odds: -3.0,
            contributions: vec![part("device.same_device", 2.25), part("list.trusted", -1.0)],
            rest_log_odds: 0.5,
            review_threshold: 0.2,
            reject_threshold: Some(0.97),
        };
        let decision = v1::Decision { score_parts: Some(parts), ..Default::default() };
        let shown = case(&v1::Case { summary: Some(summary()), decision: Some(decision), ..Default::default() }, now());
        let expected = "\
WHAT THE RISK OF THE DECISION IS MADE OF, IN LOG-ODDS
-3.00    what a referral begins with
+2.25    device.same_device
-1.00    list.trusted
+0.50    what was not found, or could not be looked for
= -1.25  risk 22; the score asks to review from 20, to reject from 97
";
        assert!(shown.contains(expected), "{shown}");
    }

    #[test]
    fn a_repeat_names_what_it_repeats_and_accounts_and_amounts_are_words() {
        let reason = |code: &str| v1::Reason { code: code.to_owned(), sentence: "It may be.".to_owned(), ..Default::default() };
        let decision = v1::Decision {
            reasons: vec![reason("value.duplicate_invoice"), reason("device.same_device")],
            looks_like: "cv-1".to_owned(),
            ..Default::default()
        };
        let on = |accounts| v1::SharedIdentifier { accounts, ..Default::default() };
        let amount = Some(v1::Money { amount_minor: 2_000, currency: "EUR".to_owned() });
        let shown = v1::Case {
            summary: Some(summary()),
            decision: Some(decision),
            neighbours: vec![on(1), on(7), on(1_024)],
            rewards: vec![v1::Reward { reward_id: "rw-1".to_owned(), amount, ..Default::default() }],
            ..Default::default()
        };
        let shown = case(&shown, now());
        assert_eq!(shown.matches("It was `cv-1`.").count(), 1, "{shown}");
        for words in ["1 other account\n", "7 other accounts\n", "1,024 or more other accounts\n", "rw-1  20.00 EUR\n"] {
            assert!(shown.contains(words), "{words}: {shown}");
        }
    }

    #[test]
    fn a_reward_that_was_paid_is_not_at_stake_and_a_rejection_says_that_it_came_too_late() {
        let reward = |id: &str| v1::Reward { reward_id: id.to_owned(), ..Default::default() };
        let paid_reward_ids = vec!["rw-1".to_owned()];
        let rewards = vec![reward("rw-1"), reward("rw-2")];
        let shown =
            v1::Case { summary: Some(summary()), rewards, paid_reward_ids: paid_reward_ids.clone(), ..Default::default() };
        let shown = case(&shown, now());
        assert!(shown.contains("AT STAKE\nrw-2\n") && shown.contains("NOT TAKEN BACK\nrw-1\n"), "{shown}");
        let decided = |resolution: v1::Resolution| {
            let summary = v1::CaseSummary { resolution: resolution.into(), ..summary() };
            resolved(&v1::ResolveCaseResponse {
                summary: Some(summary),
                decision: None,
                paid_reward_ids: paid_reward_ids.clone(),
                pending_act: None,
            })
        };
        assert!(decided(v1::Resolution::Reject).ends_with("not taken back: rw-1"));
        assert!(!decided(v1::Resolution::Accept).contains("rw-1"));
    }

    #[test]
    fn equal_values_of_both_sides_stand_next_to_each_other_with_a_sign() {
        let row = v1::SideBySideRow {
            label: "Device".to_owned(),
            referrer_value: "64646464".to_owned(),
            referee_value: "64646464".to_owned(),
            comparison: v1::Comparison::Same.into(),
            ..Default::default()
        };
        let shown = case(&v1::Case { summary: Some(summary()), side_by_side: vec![row], ..Default::default() }, now());
        assert!(shown.contains("=  Device  64646464  64646464"), "{shown}");
    }
}
