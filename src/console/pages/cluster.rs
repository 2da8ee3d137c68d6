//! Clusters: what belongs together, as a list, and one of them as a graph with its cases, to be decided at once.

use axum::extract::Query;
use axum::response::Response;
use maud::{Markup, html};
use tonic::Code;

use super::queue;
use crate::console::layout::{account_link, csrf, notice, risk, shared};
use crate::console::server::{Failure, Visitor};
use crate::console::words::{distance, link, money};
use crate::wire::v1;

/// Accounts up to which a graph can be read.
const DRAWN_MAX: usize = 60;
/// Half of the drawing's side. Unit: pixels of the drawing.
const HALF: f64 = 400.0;
/// How far from the middle the accounts stand.
const RADIUS: f64 = 290.0;

/// A page of the list.
#[derive(serde::Deserialize)]
pub(in crate::console) struct Listed {
    program: String,
    #[serde(default)]
    page: String,
}

/// A cluster that is asked for.
#[derive(serde::Deserialize)]
pub(in crate::console) struct Asked {
    program: String,
    id: String,
}

pub(in crate::console) async fn list(
    visitor: Visitor,
    Query(Listed { program, page }): Query<Listed>,
) -> Result<Response, Failure> {
    let request = v1::ListClustersRequest { program_id: program.clone(), page_size: 50, page_token: page };
    let answer = visitor.api.review().list_clusters(request).await?.into_inner();
    let main = html! {
        h1 { "Clusters" }
        p { "Undecided cases whose accounts are tied by strong values, or that are of one referrer; what would lose most first." }
        @if answer.clusters.is_empty() {
            p .empty { "Nothing that waits belongs together." }
        } @else {
            table {
                caption .hidden { "Clusters" }
                thead {
                    tr {
                        th scope="col" { "Around" } th scope="col" { "Cases" } th scope="col" { "Accounts" } th scope="col" { "Referrers" }
                        th scope="col" { "Risk up to" } th scope="col" { "At stake" } th scope="col" { "Oldest" } th scope="col" { "Why" }
                    }
                }
                tbody {
                    @for line in &answer.clusters {
                        tr data-row {
                            th scope="row" { a href=(link("/cluster", &[("program", &program), ("id", &line.account_id)])) { (line.account_id) } }
                            td .number { (line.cases) } td .number { (line.accounts) } td .number { (line.referrers) }
                            td { (risk(line.risk_score_max)) } td .number { (money(&line.at_stake)) }
                            td { (distance(line.oldest_opened_at.as_ref(), visitor.now())) } td { (line.headline) }
                        }
                    }
                }
            }
            @if !answer.next_page_token.is_empty() {
                nav .pages aria-label="Pages" {
                    a rel="next" href=(link("/clusters", &[("program", &program), ("page", &answer.next_page_token)])) { "Next page" }
                }
            }
        }
    };
    Ok(visitor.page_at("Clusters", &program, "Clusters", &main))
}

pub(in crate::console) async fn show(visitor: Visitor, Query(Asked { program, id }): Query<Asked>) -> Result<Response, Failure> {
    let request = v1::GetClusterRequest { program_id: program.clone(), account_id: id.clone() };
    let cluster = match visitor.api.review().get_cluster(request).await {
        Ok(answer) => answer.into_inner().cluster.unwrap_or_default(),
        Err(status) if status.code() == Code::NotFound => {
            let main = html! { (notice("Nothing waits here", "No undecided case leads to this account.")) p { (account_link(&program, &id)) } };
            return Ok(visitor.page_at("Cluster", &program, "Clusters", &main));
        }
        Err(status) => return Err(status.into()),
    };
    let main = content(&visitor, &program, &cluster);
    Ok(visitor.page_at("Cluster", &program, "Clusters", &main))
}

fn content(visitor: &Visitor, program: &str, cluster: &v1::Cluster) -> Markup {
    let line = cluster.summary.clone().unwrap_or_default();
    html! {
        h1 { "Around " (line.account_id) }
        p .figures {
            strong { (line.cases) } " undecided cases of " (line.referrers) " referrers among " (cluster.accounts.len()) " accounts · "
            strong { (money(&line.at_stake)) } " at stake · risk up to " (risk(line.risk_score_max))
        }
        @if !cluster.complete { p .standing { "Only a part of it is shown: decide this, and look again." } }
        (graph(cluster))
        form method="post" action="/preview" {
            (csrf(&visitor.session))
            input type="hidden" name="program" value=(program);
            input type="hidden" name="cluster" value=(line.account_id);
            p .actions {
                button name="act" value="accept" { "Accept all…" } button name="act" value="reject" { "Reject all…" }
                span .hint { "or select some below; nothing happens before you have seen what would change." }
            }
        }
        form method="post" action="/preview" {
            (csrf(&visitor.session))
            input type="hidden" name="program" value=(program);
            (queue::table(program, &cluster.cases, visitor.now()))
            p .actions {
                span { "With the selected: " }
                button name="act" value="accept" { "Accept…" } button name="act" value="reject" { "Reject…" }
            }
        }
        (shared(program, &cluster.ties, "What ties them, the rarest first"))
    }
}

/// The accounts on a circle, referrals as arrows, shared values as lines; the tables below say the same in words.
fn graph(cluster: &v1::Cluster) -> Markup {
    let accounts: Vec<&str> = cluster.accounts.iter().map(|account| account.account_id.as_str()).collect();
    if accounts.len() < 2 || accounts.len() > DRAWN_MAX {
        return html! {};
    }
    #[expect(clippy::cast_precision_loss, reason = "at most sixty")]
    let angle = |index: usize| std::f64::consts::TAU * index as f64 / accounts.len() as f64 - std::f64::consts::FRAC_PI_2;
    let place = |index: usize| (HALF + RADIUS * angle(index).cos(), HALF + RADIUS * angle(index).sin());
    let of = |id: &str| accounts.iter().position(|account| *account == id).map(place);
    let ties = cluster.ties.iter().flat_map(|tie| {
        // Around a value each account is joined to the next: who shares it stands on one chain.
        tie.account_ids.windows(2).map(move |pair| (tie, &pair[0], &pair[1]))
    });
    let arrows =
        cluster.cases.iter().filter_map(|case| Some((case, of(&case.referrer_account_id)?, of(&case.referee_account_id)?)));
    html! {
        figure .graph {
            svg viewBox="-140 70 1080 660" role="img" aria-label=(format!(
                "{} accounts on a circle, {} referrals as arrows, {} shared values as dashed lines; the tables below list them",
                accounts.len(), cluster.cases.len(), cluster.ties.len()
            )) {
                defs {
                    marker #arrow viewBox="0 0 10 10" refX="19" refY="5" markerWidth="7" markerHeight="7" orient="auto" {
                        path d="M 0 0 L 10 5 L 0 10 z" {}
                    }
                }
                @for (tie, a, b) in ties {
                    @if let (Some((x1, y1)), Some((x2, y2))) = (of(a), of(b)) {
                        line .tie data-rare[tie.one_of_strangers >= 1_000.0] x1=(at(x1)) y1=(at(y1)) x2=(at(x2)) y2=(at(y2)) {
                            title { (tie.label) " of " (a) " and " (b) }
                        }
                    }
                }
                @for (case, (x1, y1), (x2, y2)) in arrows {
                    line .referral data-level=(case.risk_score / 34) x1=(at(x1)) y1=(at(y1)) x2=(at(x2)) y2=(at(y2)) marker-end="url(#arrow)" {
                        title { (case.referrer_account_id) " referred " (case.referee_account_id) ", risk " (case.risk_score) }
                    }
                }
                @for (index, account) in cluster.accounts.iter().enumerate() {
                    @let (x, y) = place(index);
                    @let left = angle(index).cos() < 0.0;
                    circle data-rejected[account.stands_rejected] data-referrer[account.cases_as_referrer > 0] cx=(at(x)) cy=(at(y)) r="9" {
                        title { (account.account_id) }
                    }
                    text x=(at(x + if left { -14.0 } else { 14.0 })) y=(at(y + 4.0)) text-anchor=(if left { "end" } else { "start" }) {
                        (short(&account.account_id))
                    }
                }
            }
            figcaption {
                "Filled: refers somebody. Crossed out: stands rejected or banned. Arrows: referrals that wait, the darker the riskier. Dashed: a shared value, \
                 bold where fewer than 1 of 1,000 strangers has it."
            }
        }
    }
}

/// A place in the drawing, as it is written.
fn at(place: f64) -> String {
    format!("{place:.0}")
}

/// An id that fits beside its circle.
fn short(id: &str) -> String {
    if id.chars().count() <= 14 { id.to_owned() } else { id.chars().take(13).chain(['…']).collect() }
}
