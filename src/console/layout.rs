//! The frame of every page, and the parts that several pages share.

use maud::{DOCTYPE, Markup, html};

use super::session::Session;
use super::words::{comparison, link, money, rarity, time, verdict};
use crate::wire::v1;

/// What the frame shows.
pub(super) struct Frame<'a> {
    /// The page's own title.
    pub(super) title: &'a str,
    /// Who signed in; absent on the page that asks.
    pub(super) session: Option<&'a Session>,
    /// The programme; empty before one is chosen.
    pub(super) program: &'a str,
    /// Which entry of the menu the page belongs to.
    pub(super) here: &'a str,
}

/// The entries of the menu, with their paths.
const MENU: [(&str, &str); 3] = [("Queue", "/queue"), ("Clusters", "/clusters"), ("Health", "/health")];

/// A whole page.
pub(super) fn page(frame: &Frame<'_>, main: &Markup) -> Markup {
    let Frame { title, session, program, here } = frame;
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) " · Selfsame" }
                link rel="stylesheet" href=(super::server::STYLE_PATH);
                link rel="icon" href="data:,";
                script src=(super::server::SCRIPT_PATH) defer {}
            }
            body {
                a .skip href="#main" { "Skip to the content" }
                header {
                    a .brand href="/" { "Selfsame" }
                    @if let Some(session) = session {
                        @if !program.is_empty() {
                            nav aria-label="Main" {
                                @for (name, path) in MENU {
                                    a href=(link(path, &[("program", program)])) aria-current=[(name == *here).then_some("page")] { (name) }
                                }
                            }
                            form .jump action="/account" role="search" {
                                input type="hidden" name="program" value=(program);
                                label .hidden for="jump" { "Account" }
                                input #jump name="id" placeholder="Account…" autocomplete="off";
                            }
                            a .program href="/" title="Change the programme" { (program) }
                        }
                        form .leave method="post" action="/logout" {
                            (csrf(session))
                            span .who { (session.name) }
                            button { "Sign out" }
                        }
                    }
                }
                main #main { (main) }
                @if session.is_some() {
                    dialog #keys aria-labelledby="keys-title" {
                        h2 #keys-title { "Keys" }
                        dl {
                            dt { "j, k" } dd { "next, previous row" }
                            dt { "Enter" } dd { "open the row" }
                            dt { "x" } dd { "select the row" }
                            dt { "a, r" } dd { "accept, reject" }
                            dt { "u" } dd { "undo: put back into review" }
                            dt { "c" } dd { "claim" }
                            dt { "n" } dd { "take the next case" }
                            dt { "g" } dd { "to the queue" }
                            dt { "/" } dd { "look up an account" }
                            dt { "?" } dd { "this list" }
                        }
                        form method="dialog" { button { "Close" } }
                    }
                }
            }
        }
    }
}

/// The hidden field that shows that a form is the session's own.
pub(super) fn csrf(session: &Session) -> Markup {
    html! { input type="hidden" name="form_token" value=(session.form_token); }
}

/// A message that something went wrong, or that nothing is there.
pub(super) fn notice(title: &str, text: &str) -> Markup {
    html! {
        section .notice role="status" {
            h1 { (title) }
            p { (text) }
        }
    }
}

/// A link to an account.
pub(super) fn account_link(program: &str, id: &str) -> Markup {
    html! { a href=(link("/account", &[("program", program), ("id", id)])) { (id) } }
}

/// A link to a case.
pub(super) fn case_link(program: &str, id: &str) -> Markup {
    html! { a href=(link("/case", &[("program", program), ("id", id)])) { (id) } }
}

/// A risk score with a bar that says the same.
pub(super) fn risk(score: u32) -> Markup {
    html! {
        span .risk data-level=(score / 34) {
            meter min="0" low="33" high="66" max="99" optimum="0" value=(score) aria-hidden="true" {}
            (score)
        }
    }
}

/// Values that accounts share, the rarest first.
pub(super) fn shared(program: &str, values: &[v1::SharedIdentifier], caption: &str) -> Markup {
    html! {
        @if !values.is_empty() {
            table {
                caption { (caption) }
                thead { tr { th scope="col" { "Value" } th scope="col" { "How rare" } th scope="col" { "Accounts" } th scope="col" { "Who" } } }
                tbody {
                    @for value in values {
                        tr {
                            th scope="row" { (value.label) " " code { (value.digest_prefix) } }
                            td { (rarity(value.one_of_strangers)) }
                            td { (value.accounts) @if value.rejected_accounts > 0 { ", " (value.rejected_accounts) " rejected" } }
                            td .ids { @for id in &value.account_ids { (account_link(program, id)) " " } }
                        }
                    }
                }
            }
        }
    }
}

/// Conversions of an account, with what became of them.
pub(super) fn conversions(program: &str, conversions: &[v1::AccountConversion], caption: &str) -> Markup {
    html! {
        @if !conversions.is_empty() {
            table {
                caption { (caption) }
                thead {
                    tr {
                        th scope="col" { "When" } th scope="col" { "Conversion" } th scope="col" { "Other side" } th scope="col" { "Paid" }
                        th scope="col" { "Verdict" } th scope="col" { "Where it stands" }
                    }
                }
                tbody {
                    @for conversion in conversions {
                        tr {
                            td { (time(conversion.occurred_at.as_ref())) }
                            th scope="row" {
                                @if conversion.case_id.is_empty() { (conversion.conversion_id) } @else { (case_link(program, &conversion.case_id)) }
                            }
                            td { (account_link(program, &conversion.other_account_id)) }
                            td .number { (money(conversion.value.as_slice())) }
                            td { span .verdict data-verdict=(verdict(conversion.verdict())) { (verdict(conversion.verdict())) } }
                            td { (conversion.standing.as_ref().map(|standing| standing.sentence.as_str()).unwrap_or_default()) }
                        }
                    }
                }
            }
        }
    }
}

/// Both sides next to each other. `blind`: without what the machine says of the rows.
pub(super) fn side_by_side(case: &v1::Case, summary: &v1::CaseSummary, program: &str, blind: bool) -> Markup {
    html! {
        table .sides {
            caption { "Both sides" }
            thead {
                tr {
                    th scope="col" { span .hidden { "How they compare" } }
                    th scope="col" { "What" }
                    th scope="col" { "Referrer " (account_link(program, &summary.referrer_account_id)) }
                    th scope="col" { "Referee " (account_link(program, &summary.referee_account_id)) }
                    @if !blind { th scope="col" { "What it says" } }
                }
            }
            tbody {
                @for row in &case.side_by_side {
                    @let (sign, words) = comparison(row.comparison());
                    tr data-comparison=(words) {
                        td { span aria-hidden="true" { (sign) } span .hidden { (words) } }
                        th scope="row" { (row.label) }
                        td { (row.referrer_value) }
                        td { (row.referee_value) }
                        @if !blind { td { (row.note) } }
                    }
                }
            }
        }
    }
}
