//! Clusters of cases: from requests to what is asked for, and from clusters to messages. It must never decide anything. The review handlers call it.

use super::account::{amounts, shared_message};
use super::fields::{required_id, time_message};
use super::request::{ListingSeal, PageKey, page};
use super::review::summary_message;
use super::v1;
use super::violation::{At, Violation, Violations};
use crate::book::clusters::{ClusterAccount, ClusterFile, ClusterSummary};
use crate::book::query::{Page, PageRequest};
use crate::screening::decision::risk_score;
use crate::vocabulary::ids::{AccountId, ProgramId};
use crate::vocabulary::time::Timestamp;

/// A listing of clusters that was asked for.
#[derive(Debug, Clone)]
pub struct ClusterListing {
    /// The programme.
    pub program_id: ProgramId,
    /// Which part.
    pub page: PageRequest,
    /// What the next page's token is bound to.
    pub seal: ListingSeal,
}

/// Reads a listing request.
///
/// # Errors
/// All violated fields.
pub fn listing(message: v1::ListClustersRequest, key: &PageKey) -> Result<ClusterListing, Vec<Violation>> {
    let bare = v1::ListClustersRequest { page_size: 0, page_token: String::new(), ..message.clone() };
    let seal = ListingSeal::of(&bare, key);
    let v1::ListClustersRequest { program_id, page_size, page_token } = message;
    let mut found = Violations::default();
    let program_id = required_id(&program_id, &At::path("program_id"), &mut found);
    let page = page(page_size, &page_token, seal, &mut found);
    found.into_result(program_id.map(|program_id| ClusterListing { program_id, page, seal }))
}

/// Reads which cluster is asked for.
///
/// # Errors
/// All violated fields.
pub fn wanted(message: v1::GetClusterRequest) -> Result<(ProgramId, AccountId), Vec<Violation>> {
    let v1::GetClusterRequest { program_id, account_id } = message;
    let mut found = Violations::default();
    let program_id = required_id(&program_id, &At::path("program_id"), &mut found);
    let account_id = required_id(&account_id, &At::path("account_id"), &mut found);
    found.into_result(program_id.zip(account_id))
}

/// Writes a page of clusters.
#[must_use]
pub fn page_message(page: &Page<ClusterSummary>, seal: ListingSeal) -> v1::ListClustersResponse {
    let Page { entries, next, total } = page;
    v1::ListClustersResponse {
        clusters: entries.iter().map(line_message).collect(),
        next_page_token: seal.seal(next.as_ref()),
        total_size: total.unwrap_or_default(),
    }
}

/// Writes a cluster as it stands at `now`.
#[must_use]
pub fn message_of(file: &ClusterFile, now: Timestamp) -> v1::Cluster {
    let ClusterFile { summary, accounts, ties, cases, complete } = file;
    let account = |account: &ClusterAccount| {
        let ClusterAccount { account_id, cases_as_referrer, cases_as_referee, stands_rejected } = account;
        v1::ClusterAccount {
            account_id: account_id.to_string(),
            cases_as_referrer: *cases_as_referrer,
            cases_as_referee: *cases_as_referee,
            stands_rejected: *stands_rejected,
        }
    };
    v1::Cluster {
        summary: Some(line_message(summary)),
        accounts: accounts.iter().map(account).collect(),
        ties: ties.iter().map(shared_message).collect(),
        cases: cases.iter().map(|case| summary_message(case, now)).collect(),
        complete: *complete,
    }
}

fn line_message(line: &ClusterSummary) -> v1::ClusterSummary {
    let ClusterSummary { account_id, cases, accounts, referrers, at_stake, expected_loss, score_max, headline, oldest_opened_at } =
        line;
    v1::ClusterSummary {
        account_id: account_id.to_string(),
        cases: *cases,
        accounts: *accounts,
        referrers: *referrers,
        at_stake: amounts(at_stake),
        expected_loss: *expected_loss,
        risk_score_max: u32::from(risk_score(*score_max)),
        headline: headline.clone(),
        oldest_opened_at: Some(time_message(*oldest_opened_at)),
    }
}
