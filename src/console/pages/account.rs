//! An account as a whole: both of its sides, its money, what it shares, its ring, and what was said of it.

use axum::extract::Query;
use axum::response::Response;
use maud::{Markup, html};

use crate::console::layout::{account_link, conversions, shared};
use crate::console::server::{Failure, Visitor};
use crate::console::words::{link, money, named, time};
use crate::wire::v1;

/// What is asked for.
#[derive(serde::Deserialize)]
pub(in crate::console) struct Asked {
    program: String,
    id: String,
    #[serde(default)]
    page: String,
}

pub(in crate::console) async fn show(visitor: Visitor, Query(asked): Query<Asked>) -> Result<Response, Failure> {
    let request = v1::GetAccountRequest {
        program_id: asked.program.clone(),
        account_id: asked.id.trim().to_owned(),
        page_size: 50,
        page_token: asked.page.clone(),
    };
    let answer = visitor.api.review().get_account(request).await?.into_inner();
    let account = answer.account.unwrap_or_default();
    let main = content(&asked, &account, &answer.next_page_token);
    Ok(visitor.page(&account.account_id, &asked.program, &main))
}

fn content(asked: &Asked, account: &v1::Account, next: &str) -> Markup {
    let program = asked.program.as_str();
    let earned = account.earnings.clone().unwrap_or_default();
    let ring = account.ring.clone().unwrap_or_default();
    let sums = [
        ("Paid", &earned.paid),
        ("Reserved", &earned.reserved),
        ("Due", &earned.due),
        ("Held", &earned.held),
        ("Denied", &earned.denied),
    ];
    html! {
        h1 { (account.account_id) @if account.banned_at.is_some() { " " span .verdict data-verdict="rejected" { "banned" } } }
        p .figures {
            "opened " (time(account.opened_at.as_ref())) " · first seen " (time(account.first_seen_at.as_ref()))
            @if !account.referred_by_account_id.is_empty() { " · referred by " (account_link(program, &account.referred_by_account_id)) }
        }
        p .figures {
            "referred " strong { (account.referrals) } ": " (account.rejected_referrals) " rejected, " (account.accepted_referrals)
            " accepted by a reviewer, " (account.refunded_referrals) " refunded or disputed, " (account.after_checkout_referrals)
            " with a code that came at the checkout"
        }
        dl .sums {
            @for (what, amounts) in sums { div { dt { (what) } dd { (money(amounts)) } } }
        }
        @if ring.accounts > 1 {
            p {
                "Tied to " strong { (ring.accounts - 1) } " other accounts, " (ring.rejected_accounts) " of the ring rejected or banned: "
                @for id in &ring.account_ids { (account_link(program, id)) " " }
            }
        }
        p { a href=(link("/cluster", &[("program", program), ("id", &account.account_id)])) { "What waits around this account" } }
        (conversions(program, &account.as_referrer, "Referred, the newest first"))
        @if !next.is_empty() {
            nav .pages aria-label="Pages" {
                a rel="next" href=(link("/account", &[("program", program), ("id", &account.account_id), ("page", next)])) { "Older referrals" }
            }
        }
        (conversions(program, &account.as_referee, "Was referred in"))
        (shared(program, &account.shared, "Shares with others, the rarest first"))
        (said(account))
    }
}

/// Holds, lists and outcomes.
fn said(account: &v1::Account) -> Markup {
    let entry = |entry: &v1::ListEntry| {
        let on = match entry.subject.as_ref().and_then(|subject| subject.subject.as_ref()) {
            Some(v1::list_subject::Subject::AccountId(_)) | None => "the account".to_owned(),
            Some(v1::list_subject::Subject::Identifier(value)) => {
                format!("its {}", named(value.kind().as_str_name(), "IDENTIFIER_KIND_"))
            }
        };
        (named(entry.list().as_str_name(), "LIST_KIND_"), on, entry.actor.clone(), entry.note.clone(), entry.placed_at)
    };
    let hold = |hold: &v1::Hold| ("hold".to_owned(), hold.hold_id.clone(), hold.actor.clone(), hold.note.clone(), hold.placed_at);
    let outcome = |outcome: &v1::AccountOutcome| {
        (
            named(outcome.kind().as_str_name(), "OUTCOME_KIND_"),
            "the account".to_owned(),
            String::new(),
            outcome.note.clone(),
            outcome.occurred_at,
        )
    };
    let rows: Vec<_> = account
        .holds
        .iter()
        .map(hold)
        .chain(account.list_entries.iter().map(entry))
        .chain(account.outcomes.iter().map(outcome))
        .collect();
    html! {
        @if !rows.is_empty() {
            table {
                caption { "Holds, lists, and what was reported" }
                thead { tr { th scope="col" { "What" } th scope="col" { "On" } th scope="col" { "Who" } th scope="col" { "Why" } th scope="col" { "Since" } } }
                tbody {
                    @for (what, on, who, why, since) in &rows {
                        tr { th scope="row" { (what) } td { (on) } td { (who) } td { (why) } td { (time(since.as_ref())) } }
                    }
                }
            }
        }
    }
}
