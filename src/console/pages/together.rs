//! One act on several cases: what it would change, the act, what it came to, and undoing it.

use axum::Form;
use axum::response::Response;
use maud::{Markup, html};

use crate::console::layout::{account_link, case_link, csrf, notice, risk};
use crate::console::server::{Failure, Visitor};
use crate::console::words::{left_alone, link, money, verdict};
use crate::wire::v1;
use crate::wire::v1::preview_cases_request::Selection;

/// A confirmed act.
#[derive(serde::Deserialize)]
pub(in crate::console) struct Confirmed {
    form_token: String,
    program: String,
    token: String,
    request: String,
    #[serde(default)]
    reason: String,
    #[serde(default)]
    note: String,
}

/// What a form of the queue or of a cluster asks for.
#[derive(Default)]
struct Wanted {
    form_token: String,
    program: String,
    act: String,
    cluster: String,
    cases: Vec<String>,
}

impl Wanted {
    /// Boxes of one name come as many fields.
    fn read(fields: Vec<(String, String)>) -> Self {
        let mut wanted = Self::default();
        for (name, value) in fields {
            match name.as_str() {
                "form_token" => wanted.form_token = value,
                "program" => wanted.program = value,
                "act" => wanted.act = value,
                "cluster" => wanted.cluster = value,
                "case" => wanted.cases.push(value),
                _ => {}
            }
        }
        wanted
    }
}

pub(in crate::console) async fn preview(
    visitor: Visitor,
    Form(fields): Form<Vec<(String, String)>>,
) -> Result<Response, Failure> {
    let Wanted { form_token, program, act, cluster, cases } = Wanted::read(fields);
    visitor.sent(&form_token)?;
    if cluster.is_empty() && cases.is_empty() {
        let main = html! {
            (notice("Nothing is selected", "Select the cases in the queue first: with their boxes, or with x on the row."))
            p { a href=(link("/queue", &[("program", &program)])) { "To the queue" } }
        };
        return Ok(visitor.page_at("Nothing is selected", &program, "Queue", &main));
    }
    let act = match act.as_str() {
        "accept" => v1::CaseAct::Accept,
        "reject" => v1::CaseAct::Reject,
        _ => v1::CaseAct::Reopen,
    };
    let selection =
        if cluster.is_empty() { Selection::Cases(v1::CaseIds { case_ids: cases }) } else { Selection::ClusterAccountId(cluster) };
    let request = v1::PreviewCasesRequest { program_id: program.clone(), act: act.into(), selection: Some(selection) };
    let preview = visitor.api.review().preview_cases(request).await?.into_inner();
    let main = shown(&visitor, &program, act, &preview);
    Ok(visitor.page_at("What would change", &program, "Queue", &main))
}

fn shown(visitor: &Visitor, program: &str, act: v1::CaseAct, preview: &v1::PreviewCasesResponse) -> Markup {
    let (title, word) = match act {
        v1::CaseAct::Accept => ("Accept these?", "Accept"),
        v1::CaseAct::Reject => ("Reject these?", "Reject"),
        v1::CaseAct::Reopen | v1::CaseAct::Unspecified => ("Put these back into review?", "Reopen"),
    };
    let paid: usize = preview.cases.iter().map(|case| case.paid_reward_ids.len()).sum();
    html! {
        h1 { (title) }
        ul .reasons {
            li { strong { (preview.changing) } " would change, " (preview.left_alone) " would be left alone" }
            @if act == v1::CaseAct::Reject { li { strong { (money(&preview.at_stake)) } " would be withheld" } }
            @if act == v1::CaseAct::Accept {
                li { strong { (money(&preview.due)) } " would be released at once, of " (money(&preview.at_stake)) " at stake" }
                li { "This trusts: " @for id in &preview.referrer_account_ids { (account_link(program, id)) " " } }
            }
            @if paid > 0 { li { (paid) " rewards were paid already; nothing takes them back" } }
            @if preview.more { li { "There are more than one act takes: do it again afterwards" } }
        }
        table {
            caption .hidden { "What would change" }
            thead {
                tr {
                    th scope="col" { "Case" } th scope="col" { "Risk" } th scope="col" { "At stake" } th scope="col" { "Referrer" }
                    th scope="col" { "Referee" } th scope="col" { "Would be" }
                }
            }
            tbody {
                @for case in &preview.cases {
                    @let line = case.summary.clone().unwrap_or_default();
                    tr {
                        th scope="row" { (case_link(program, &case.case_id)) } td { (risk(line.risk_score)) } td .number { (money(&line.at_stake)) }
                        td { (account_link(program, &line.referrer_account_id)) } td { (account_link(program, &line.referee_account_id)) }
                        td {
                            @if case.left_alone() == v1::LeftAlone::Unspecified {
                                span .verdict data-verdict=(verdict(case.verdict())) { (verdict(case.verdict())) }
                            } @else { "left alone: " (left_alone(case.left_alone())) }
                        }
                    }
                }
            }
        }
        @if preview.changing > 0 {
            form .steps method="post" action="/act" {
                (csrf(&visitor.session))
                input type="hidden" name="program" value=(program);
                input type="hidden" name="token" value=(preview.preview_token);
                // Made with the page: sent twice it is done once.
                input type="hidden" name="request" value=(uuid::Uuid::now_v7().to_string());
                label { "Reason code " input name="reason" maxlength="64" pattern="[a-z0-9._]*" placeholder="ring" autocomplete="off"; }
                label .wide { "Note, without personal data " input name="note" maxlength="2000" autocomplete="off"; }
                button .primary { (word) " " (preview.changing) " cases" }
                a href=(link("/queue", &[("program", program)])) { "Leave it" }
            }
        }
    }
}

pub(in crate::console) async fn act(visitor: Visitor, Form(confirmed): Form<Confirmed>) -> Result<Response, Failure> {
    let Confirmed { form_token, program, token, request, reason, note } = confirmed;
    visitor.sent(&form_token)?;
    let request = v1::ActOnCasesRequest {
        program_id: program.clone(),
        preview_token: token,
        reason_code: reason,
        note,
        request_id: request,
    };
    let answer = visitor.api.review().act_on_cases(request).await?.into_inner();
    let main = html! {
        h1 { (answer.changed) " changed, " (answer.left_alone) " left alone" }
        table {
            caption .hidden { "What became of each" }
            thead { tr { th scope="col" { "Case" } th scope="col" { "Now" } } }
            tbody {
                @for case in &answer.cases {
                    tr {
                        th scope="row" { (case_link(&program, &case.case_id)) }
                        td {
                            @if let Some(line) = &case.summary { (crate::console::words::case_state(line)) }
                            @else { "left alone: " (left_alone(case.left_alone())) }
                        }
                    }
                }
            }
        }
        @if !answer.undo_token.is_empty() {
            form .steps method="post" action="/act" {
                (csrf(&visitor.session))
                input type="hidden" name="program" value=(program);
                input type="hidden" name="token" value=(answer.undo_token);
                input type="hidden" name="request" value=(uuid::Uuid::now_v7().to_string());
                button data-key="u" { "Undo all of it" }
                span .hint { "as long as nothing of it is paid or decided again" }
            }
        }
        p { a href=(link("/queue", &[("program", &program)])) { "To the queue" } " · " a href=(link("/clusters", &[("program", &program)])) { "To the clusters" } }
    };
    Ok(visitor.page_at("Done", &program, "Queue", &main))
}
