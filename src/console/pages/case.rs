//! One case: what speaks for and against it, who else is on its values, what the referrer did otherwise, and the steps on it.

use axum::Form;
use axum::extract::Query;
use axum::response::Response;
use maud::{Markup, html};
use tonic::Code;

use crate::console::layout::{case_link, conversions, csrf, notice, risk, shared, side_by_side};
use crate::console::server::{Failure, Visitor, see};
use crate::console::words::{case_state, distance, link, money, named, time};
use crate::screening::decision::{logistic, risk_score};
use crate::wire::v1;

/// Cases that are looked at for one that nobody else takes meanwhile.
const CANDIDATES: u32 = 20;

/// What is asked for.
#[derive(serde::Deserialize)]
pub(in crate::console) struct Asked {
    program: String,
    id: String,
    /// Without what the machine thinks of it.
    #[serde(default)]
    blind: String,
    /// Whether it was taken from the queue, so that the next follows.
    #[serde(default)]
    working: String,
}

/// A step on it.
#[derive(serde::Deserialize)]
pub(in crate::console) struct Step {
    form_token: String,
    program: String,
    id: String,
    #[serde(rename = "step")]
    what: String,
    #[serde(default)]
    reason: String,
    #[serde(default)]
    note: String,
    #[serde(default)]
    revision: Option<u32>,
    #[serde(default)]
    working: String,
}

/// A programme whose next case is wanted.
#[derive(serde::Deserialize)]
pub(in crate::console) struct Next {
    form_token: String,
    program: String,
}

pub(in crate::console) async fn show(visitor: Visitor, Query(asked): Query<Asked>) -> Result<Response, Failure> {
    let request = v1::GetCaseRequest { program_id: asked.program.clone(), case_id: asked.id.clone(), ..Default::default() };
    let case = visitor.api.review().get_case(request).await?.into_inner().review_case.unwrap_or_default();
    let main = content(&visitor, &asked, &case);
    Ok(visitor.page_at(&asked.id, &asked.program, "Queue", &main))
}

fn content(visitor: &Visitor, asked: &Asked, case: &v1::Case) -> Markup {
    let program = asked.program.as_str();
    let summary = case.summary.clone().unwrap_or_default();
    let decision = case.decision.clone().unwrap_or_default();
    let blind = !asked.blind.is_empty();
    let unsure = v1::SecondLook::default();
    let now_known = case.now.as_ref().unwrap_or(&unsure);
    let sentence = decision.standing.as_ref().map(|standing| standing.sentence.clone()).unwrap_or_default();
    html! {
        h1 { (summary.case_id) " " @if !blind { (risk(summary.risk_score)) } }
        p .figures {
            strong { (money(&summary.at_stake)) } " at stake · " (case_state(&summary)) " · due " (distance(summary.due_at.as_ref(), visitor.now()))
            " · " (named(case.conversion_kind().as_str_name(), "CONVERSION_KIND_")) " of " (money(summary.value.as_slice()))
            " on " (time(case.occurred_at.as_ref()))
            @if let Some(attribution) = &case.attribution {
                " · captured by " (named(attribution.captured_via().as_str_name(), "CAPTURED_VIA_"))
                @if !attribution.attached_by.is_empty() { " of " (attribution.attached_by) }
            }
        }
        @if !sentence.is_empty() { p .standing { (sentence) } }
        (steps(visitor, asked, &summary))
        @if !blind {
            section aria-labelledby="why" {
                h2 #why { "Why" }
                ul .reasons { @for reason in &decision.reasons { li { (reason.sentence) " " code { (reason.code) } } } }
                @if !now_known.learned.is_empty() {
                    h3 { "Learned after the decision; the risk is " (risk_score(now_known.score)) " by now" }
                    ul .reasons { @for evidence in &now_known.learned { li { (evidence.sentence) " " code { (evidence.code) } } } }
                }
                @if let Some(parts) = &decision.score_parts { (sum(parts)) }
            }
        }
        (side_by_side(case, &summary, program, blind))
        (shared(program, &case.neighbours, "Also on these values, the rarest first"))
        (conversions(program, &case.referrer_conversions, "The referrer's other referrals, the newest first"))
        p {
            a href=(link("/cluster", &[("program", program), ("id", &summary.referrer_account_id)])) { "What else waits around " (summary.referrer_account_id) }
        }
        (rewards(case))
        (history(&case.history, blind))
        p .hint {
            @if blind { a href=(link("/case", &[("program", program), ("id", &asked.id), ("working", &asked.working)])) { "Show what the machine says" } }
            @else { a href=(link("/case", &[("program", program), ("id", &asked.id), ("working", &asked.working), ("blind", "1")])) { "Hide what the machine says" } }
        }
    }
}

/// The buttons that the state of the case allows.
fn steps(visitor: &Visitor, asked: &Asked, summary: &v1::CaseSummary) -> Markup {
    let form = |content: Markup| {
        html! {
            form .steps method="post" action="/step" {
                (csrf(&visitor.session))
                input type="hidden" name="program" value=(asked.program);
                input type="hidden" name="id" value=(asked.id);
                input type="hidden" name="working" value=(asked.working);
                input type="hidden" name="revision" value=(summary.revision);
                (content)
            }
        }
    };
    let why = html! {
        label { "Reason code " input name="reason" maxlength="64" pattern="[a-z0-9._]*" placeholder="same_household" autocomplete="off"; }
        label .wide { "Note, without personal data " input name="note" maxlength="2000" autocomplete="off"; }
    };
    match summary.state() {
        v1::CaseState::Open | v1::CaseState::Claimed => form(html! {
            (why)
            button .accept name="step" value="accept" data-key="a" { "Accept" }
            button .reject name="step" value="reject" data-key="r" { "Reject" }
            @if summary.claimed_by == visitor.session.name {
                button name="step" value="release" data-key="s" { "Give back" }
            } @else {
                button name="step" value="claim" data-key="c" { "Claim" }
            }
            button name="step" value="note" { "Only note" }
        }),
        v1::CaseState::Resolved | v1::CaseState::Unspecified => form(html! {
            (why)
            button name="step" value="reopen" data-key="u" { "Undo: put back into review" }
            button name="step" value="note" { "Only note" }
        }),
    }
}

/// What the score is made of: base, contributions and rest add up to it; beside each, the risk without it.
fn sum(parts: &v1::ScoreParts) -> Markup {
    let v1::ScoreParts { base_log_odds, contributions, rest_log_odds, review_threshold, reject_threshold } = parts;
    let sum = base_log_odds + rest_log_odds + contributions.iter().map(|part| part.log_odds).sum::<f64>();
    html! {
        details {
            summary { "What the risk is made of" }
            table {
                caption { "In log-odds; the rows add up to the risk" }
                thead { tr { th scope="col" { "Part" } th scope="col" { "Adds" } th scope="col" { "Risk without it" } } }
                tbody {
                    tr { th scope="row" { "what a referral begins with" } td .number { (format!("{base_log_odds:+.2}")) } td {} }
                    @for part in contributions {
                        tr {
                            th scope="row" { code { (part.code) } }
                            td .number { (format!("{:+.2}", part.log_odds)) }
                            td .number { (risk_score(logistic(sum - part.log_odds))) }
                        }
                    }
                    @if *rest_log_odds != 0.0 {
                        tr {
                            th scope="row" { "what was not found, or could not be looked for" }
                            td .number { (format!("{rest_log_odds:+.2}")) } td {}
                        }
                    }
                    tr {
                        th scope="row" { "together" } td .number { (format!("{sum:.2}")) }
                        td .number {
                            (risk_score(logistic(sum))) "; to review from " (risk_score(*review_threshold))
                            @if let Some(reject) = reject_threshold { ", to reject from " (risk_score(*reject)) }
                        }
                    }
                }
            }
        }
    }
}

fn rewards(case: &v1::Case) -> Markup {
    html! {
        @if !case.rewards.is_empty() {
            table {
                caption { "Rewards" }
                thead { tr { th scope="col" { "Reward" } th scope="col" { "Amount" } th scope="col" { "State" } } }
                tbody {
                    @for reward in &case.rewards {
                        tr {
                            th scope="row" { (reward.reward_id) }
                            td .number { (money(reward.amount.as_slice())) }
                            td { @if case.paid_reward_ids.contains(&reward.reward_id) { "paid, and not taken back" } @else { "at stake" } }
                        }
                    }
                }
            }
        }
    }
}

/// `blind`: without what the machine did and said.
fn history(events: &[v1::CaseEvent], blind: bool) -> Markup {
    html! {
        table {
            caption { "History, the newest first" }
            thead { tr { th scope="col" { "When" } th scope="col" { "Who" } th scope="col" { "What" } th scope="col" { "Change" } th scope="col" { "Why" } } }
            tbody {
                @for event in events.iter().rev().filter(|event| !blind || event.actor != "selfsame") {
                    tr {
                        td { (time(event.at.as_ref())) } td { (event.actor) }
                        td { (named(event.kind().as_str_name(), "CASE_EVENT_KIND_")) }
                        td { @if !event.previous.is_empty() { (event.previous) " → " } (event.current) }
                        td { @if !event.reason_code.is_empty() { code { (event.reason_code) } " " } (event.note) }
                    }
                }
            }
        }
    }
}

pub(in crate::console) async fn step(visitor: Visitor, Form(step): Form<Step>) -> Result<Response, Failure> {
    visitor.sent(&step.form_token)?;
    let Step { form_token: _, program, id, what, reason, note, revision, working } = step;
    let mut review = visitor.api.review();
    let here = link("/case", &[("program", &program), ("id", &id), ("working", &working)]);
    let resolution = match what.as_str() {
        "accept" => Some(v1::Resolution::Accept),
        "reject" => Some(v1::Resolution::Reject),
        _ => None,
    };
    let (program_id, case_id, expected_revision) = (program.clone(), id.clone(), revision);
    let done = match (what.as_str(), resolution) {
        (_, Some(resolution)) => {
            let request = v1::ResolveCaseRequest {
                program_id,
                case_id,
                resolution: resolution.into(),
                reason_code: reason,
                note,
                expected_revision,
                request_id: String::new(),
            };
            review.resolve_case(request).await.map(|_| ())
        }
        ("claim", None) => {
            review.claim_case(v1::ClaimCaseRequest { program_id, case_id, ..Default::default() }).await.map(|_| ())
        }
        ("release", None) => {
            review.release_case(v1::ReleaseCaseRequest { program_id, case_id, note, ..Default::default() }).await.map(|_| ())
        }
        ("reopen", None) => {
            let target = Some(v1::reopen_case_request::Target::CaseId(case_id));
            let request = v1::ReopenCaseRequest {
                program_id,
                target,
                reason_code: reason,
                note,
                expected_revision,
                request_id: String::new(),
            };
            review.reopen_case(request).await.map(|_| ())
        }
        (_, None) => {
            review.add_note(v1::AddNoteRequest { program_id, case_id, note, request_id: String::new() }).await.map(|_| ())
        }
    };
    match done {
        Ok(()) if !working.is_empty() && (resolution.is_some() || what == "release") => take_next(&visitor, &program, &id).await,
        Ok(()) => Ok(see(&here)),
        Err(status) => {
            let main = html! {
                (notice("Nothing was changed", status.message()))
                p { a href=(here) { "Back to " (id) } }
            };
            Ok(visitor.page_at("Nothing was changed", &program, "Queue", &main))
        }
    }
}

pub(in crate::console) async fn next(
    visitor: Visitor,
    Form(Next { form_token, program }): Form<Next>,
) -> Result<Response, Failure> {
    visitor.sent(&form_token)?;
    take_next(&visitor, &program, "").await
}

/// Claims the first case that nobody has, and goes there. `after`: the one that was just left.
async fn take_next(visitor: &Visitor, program: &str, after: &str) -> Result<Response, Failure> {
    let mut review = visitor.api.review();
    let listing = v1::ListCasesRequest {
        program_id: program.to_owned(),
        states: vec![v1::CaseState::Open.into()],
        page_size: CANDIDATES,
        ..Default::default()
    };
    let waiting = review.list_cases(listing).await?.into_inner().cases;
    for case in waiting.into_iter().map(|case| case.case_id).filter(|case| case != after) {
        let claim = v1::ClaimCaseRequest { program_id: program.to_owned(), case_id: case.clone(), ..Default::default() };
        match review.claim_case(claim).await {
            Ok(_) => return Ok(see(&link("/case", &[("program", program), ("id", &case), ("working", "1")]))),
            // Another reviewer was faster.
            Err(status) if status.code() == Code::FailedPrecondition => {}
            Err(status) => return Err(status.into()),
        }
    }
    let main = html! {
        (notice("Nothing waits", "Every case is decided, or somebody has it."))
        p { a href=(link("/queue", &[("program", program)])) { "To the queue" } }
        @if !after.is_empty() { p { "The last one was " (case_link(program, after)) "." } }
    };
    Ok(visitor.page_at("Nothing waits", program, "Queue", &main))
}
