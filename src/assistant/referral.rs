//! Why a referral stands as it does: its verdict with reasons, what holds its rewards, and who can change that.

use std::fmt::Write as _;

use tonic::Status;

use super::tools::Api;
use crate::wire::v1;
use crate::wire::words::{at_time, case_state, money, verdict};

/// Where a conversion and its rewards stand, as text.
pub(super) async fn why(api: &Api, program_id: &str, conversion_id: &str) -> Result<String, Status> {
    let (program_id, conversion_id) = (program_id.to_owned(), conversion_id.to_owned());
    let wanted = v1::GetDecisionRequest {
        program_id: program_id.clone(),
        conversion_id: conversion_id.clone(),
        view: Some(v1::DecisionView::Full.into()),
    };
    let answer = api.screening().get_decision(wanted).await?.into_inner();
    let decision = answer.decision.unwrap_or_default();
    let standing = decision.standing.clone().unwrap_or_default();
    let mut text = format!(
        "Conversion {conversion_id}: {} (risk {}), decided {}\n",
        verdict(decision.verdict()),
        decision.risk_score,
        at_time(decision.decided_at.as_ref())
    );
    let _ = writeln!(text, "{}", standing.sentence);
    let _ = writeln!(text, "\nWhat led to it, the weightiest first:");
    for reason in &decision.reasons {
        let _ = writeln!(text, "- {} (`{}`)", reason.sentence, reason.code);
    }
    let compared = answer.comparable.iter().filter(|signal| signal.comparison() == v1::SignalComparison::Compared).count();
    let _ =
        writeln!(text, "\n{compared} of {} kinds of signal could be compared between the two sides.", answer.comparable.len());
    for warning in &decision.warnings {
        let _ = writeln!(text, "Warning `{}` at `{}`: {}", warning.code, warning.field, warning.sentence);
    }
    gate(api, &program_id, &conversion_id, &standing, &mut text).await;
    case(api, program_id, &decision.case_id, &mut text).await;
    Ok(text)
}

/// What the gate says of each reward. Who may not ask it is told so, and the rest of the answer stays.
async fn gate(api: &Api, program_id: &str, conversion_id: &str, standing: &v1::Standing, text: &mut String) {
    let query = |reward: &v1::RewardStanding| v1::PayoutQuery {
        reward_id: reward.reward_id.clone(),
        conversion_id: conversion_id.to_owned(),
    };
    let payouts: Vec<v1::PayoutQuery> = standing.rewards.iter().map(query).collect();
    if payouts.is_empty() {
        text.push_str("\nNo reward of it is known.\n");
        return;
    }
    text.push_str("\nThe gate, reward by reward:\n");
    match api.payouts().check_payouts(v1::CheckPayoutsRequest { program_id: program_id.to_owned(), payouts }).await {
        Ok(answer) => {
            for answer in answer.into_inner().answers {
                let gate = answer.gate().as_str_name().trim_start_matches("GATE_").to_owned();
                let until =
                    answer.hold_until.as_ref().map(|at| format!(" Ask again at {}.", at_time(Some(at)))).unwrap_or_default();
                let _ = writeln!(
                    text,
                    "- {} {}: {gate}. {}{until}",
                    answer.reward_id,
                    money(answer.payable.as_slice()),
                    answer.sentence
                );
            }
        }
        Err(status) => {
            let _ = writeln!(text, "- not to be asked by you: {}", status.message());
        }
    }
}

async fn case(api: &Api, program_id: String, case_id: &str, text: &mut String) {
    if case_id.is_empty() {
        text.push_str("\nNo reviewer has to decide it.\n");
        return;
    }
    let wanted = v1::GetCaseRequest {
        program_id,
        case_id: case_id.to_owned(),
        view: Some(v1::CaseView::Basic.into()),
        ..Default::default()
    };
    match api.review().get_case(wanted).await {
        Ok(answer) => {
            let case = answer.into_inner().review_case.unwrap_or_default();
            let summary = case.summary.unwrap_or_default();
            let _ = writeln!(
                text,
                "\nCase {case_id} is {}, due {}. A reviewer decides it: `selfsame queue show {case_id}`.",
                case_state(&summary),
                at_time(summary.due_at.as_ref())
            );
        }
        Err(status) => {
            let _ = writeln!(text, "\nCase {case_id} is not to be seen by you: {}", status.message());
        }
    }
}
