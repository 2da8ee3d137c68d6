//! The queue: what waits, in the order in which it is worth being decided, with what can be done with several at once.

use axum::extract::Query;
use axum::response::Response;
use maud::{Markup, html};

use crate::console::layout::{account_link, csrf, risk};
use crate::console::server::{Failure, Visitor};
use crate::console::words::{case_state, distance, link, money};
use crate::vocabulary::time::Timestamp;
use crate::wire::v1;

/// Cases on a page.
const PAGE_CASES: u32 = 50;

/// The orders that can be chosen, as they stand in links and as they are read.
const ORDERS: [(&str, &str, v1::CaseOrder); 5] = [
    ("loss", "what would lose most", v1::CaseOrder::ExpectedLossFirst),
    ("due", "due first", v1::CaseOrder::DueFirst),
    ("score", "highest risk", v1::CaseOrder::ScoreHighestFirst),
    ("oldest", "oldest", v1::CaseOrder::OldestFirst),
    ("newest", "newest", v1::CaseOrder::NewestFirst),
];

/// What is asked for.
#[derive(serde::Deserialize, Default)]
#[serde(default)]
pub(in crate::console) struct Asked {
    program: String,
    order: String,
    reason: String,
    referrer: String,
    state: String,
    page: String,
}

pub(in crate::console) async fn show(visitor: Visitor, Query(asked): Query<Asked>) -> Result<Response, Failure> {
    let order = ORDERS.iter().find(|(name, ..)| *name == asked.order).unwrap_or(&ORDERS[0]);
    let resolved = asked.state == "resolved";
    let states: Vec<i32> = if resolved { vec![v1::CaseState::Resolved.into()] } else { Vec::new() };
    let listing = v1::ListCasesRequest {
        program_id: asked.program.clone(),
        states,
        reason_code: asked.reason.clone(),
        referrer_account_id: asked.referrer.clone(),
        order_by: Some(if resolved { v1::CaseOrder::NewestFirst } else { order.2 }.into()),
        page_size: PAGE_CASES,
        page_token: asked.page.clone(),
        ..Default::default()
    };
    let stats = v1::GetQueueStatsRequest { program_id: asked.program.clone() };
    let (mut cases, mut counts) = (visitor.api.review(), visitor.api.review());
    let (listed, stats) = tokio::join!(cases.list_cases(listing), counts.get_queue_stats(stats));
    let main = content(&visitor, &asked, order.0, &listed?.into_inner(), &stats?.into_inner());
    Ok(visitor.page_at("Queue", &asked.program, "Queue", &main))
}

fn content(
    visitor: &Visitor,
    asked: &Asked,
    order: &str,
    listed: &v1::ListCasesResponse,
    stats: &v1::GetQueueStatsResponse,
) -> Markup {
    let program = asked.program.as_str();
    let to = |page: &str| {
        link(
            "/queue",
            &[
                ("program", program),
                ("order", order),
                ("reason", &asked.reason),
                ("referrer", &asked.referrer),
                ("state", &asked.state),
                ("page", page),
            ],
        )
    };
    html! {
        h1 { "Queue" }
        p .figures {
            strong { (stats.open_cases) } " open, " strong { (stats.claimed_cases) } " claimed, "
            strong data-bad[stats.overdue_cases > 0] { (stats.overdue_cases) } " overdue, " (stats.resolved_cases) " resolved"
        }
        form .next method="post" action="/next" {
            (csrf(&visitor.session))
            input type="hidden" name="program" value=(program);
            button .primary data-key="n" { "Take the next case" }
        }
        form .filter action="/queue" {
            input type="hidden" name="program" value=(program);
            label { "Show " select name="state" {
                option value="" { "what waits" }
                option value="resolved" selected[asked.state == "resolved"] { "what is resolved" }
            } }
            label { "Order " select name="order" {
                @for (name, words, _) in ORDERS { option value=(name) selected[name == order] { (words) } }
            } }
            label { "Reason " select name="reason" {
                option value="" { "any" }
                @for reason in &stats.by_first_reason {
                    option value=(reason.reason_code) selected[reason.reason_code == asked.reason] { (reason.reason_code) " (" (reason.cases) ")" }
                }
                @if !asked.reason.is_empty() && !stats.by_first_reason.iter().any(|reason| reason.reason_code == asked.reason) {
                    option value=(asked.reason) selected { (asked.reason) }
                }
            } }
            label { "Referrer " input name="referrer" value=(asked.referrer) autocomplete="off"; }
            button { "Show" }
        }
        @if listed.cases.is_empty() {
            p .empty { "Nothing waits." }
        } @else {
            form method="post" action="/preview" {
                (csrf(&visitor.session))
                input type="hidden" name="program" value=(program);
                (table(program, &listed.cases, visitor.now()))
                p .actions {
                    span { "With the selected: " }
                    button name="act" value="accept" { "Accept…" }
                    button name="act" value="reject" { "Reject…" }
                    @if asked.state == "resolved" { button name="act" value="reopen" { "Reopen…" } }
                    span .hint { "Nothing happens before you have seen what would change." }
                }
            }
        }
        nav .pages aria-label="Pages" {
            @if !asked.page.is_empty() { a href=(to("")) { "First page" } }
            @if !listed.next_page_token.is_empty() { a rel="next" href=(to(&listed.next_page_token)) { "Next page" } }
        }
    }
}

/// Lines of the queue, each with a box to select it.
pub(super) fn table(program: &str, cases: &[v1::CaseSummary], now: Timestamp) -> Markup {
    html! {
        table .queue {
            caption .hidden { "Cases" }
            thead {
                tr {
                    th scope="col" { span .hidden { "Select" } } th scope="col" { "Case" } th scope="col" { "Risk" } th scope="col" { "At stake" }
                    th scope="col" { "Due" } th scope="col" { "Referrer" } th scope="col" { "Referee" } th scope="col" { "Why" } th scope="col" { "State" }
                }
            }
            tbody {
                @for case in cases {
                    tr data-row {
                        td { input type="checkbox" name="case" value=(case.case_id) aria-label=(format!("Select {}", case.case_id)); }
                        th scope="row" { a href=(link("/case", &[("program", program), ("id", &case.case_id)])) { (case.case_id) } }
                        td { (risk(case.risk_score)) }
                        td .number { (money(&case.at_stake)) }
                        td data-bad[case.overdue] { (distance(case.due_at.as_ref(), now)) }
                        td { (account_link(program, &case.referrer_account_id)) }
                        td { (account_link(program, &case.referee_account_id)) }
                        td { (case.headline) }
                        td { (case_state(case)) }
                    }
                }
            }
        }
    }
}
