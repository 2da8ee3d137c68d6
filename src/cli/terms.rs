//! `selfsame program terms | set | policy`: what a programme says for itself of policy, payout delay and retention.

use std::io::Write as _;
use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;

use super::act::waits;
use super::answer::{AnswerForm, print};
use super::client::{Client, readable};
use super::table::table;
use crate::adapters::byte_order_mark;
use crate::wire::v1;
use crate::wire::v1::program_service_client::ProgramServiceClient;

/// What is to be changed of a programme's terms; what is left out stays.
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
#[derive(Debug, Clone, Args)]
pub(super) struct SetArgs {
    /// The programme
    #[arg(value_name = "ID")]
    id: String,
    /// A policy file: it decides from now on. `selfsame policy check` reads it beforehand
    #[arg(long, value_name = "FILE", conflicts_with_all = ["policy_hash", "server_policy"])]
    policy: Option<PathBuf>,
    /// A policy that the programme had before, by its hash
    #[arg(long, value_name = "HASH", conflicts_with = "server_policy")]
    policy_hash: Option<String>,
    /// The server's policy decides
    #[arg(long)]
    server_policy: bool,
    /// Days from a conversion to the payment of its rewards
    #[arg(long, value_name = "DAYS", conflicts_with = "policy_payout_delay")]
    payout_delay_days: Option<u32>,
    /// The delay is the policy's
    #[arg(long)]
    policy_payout_delay: bool,
    /// Days for which records are kept
    #[arg(long, value_name = "DAYS", conflicts_with = "server_retention")]
    retention_days: Option<u32>,
    /// Records are kept for as long as the server is configured to
    #[arg(long)]
    server_retention: bool,
    /// What was decided before is payable as early as a shortened delay says; else it keeps what it was promised
    #[arg(long)]
    shorten_decided: bool,
    /// Why: it stands in the trail
    #[arg(long)]
    note: String,
}

/// Which policy is to be written out.
#[derive(Debug, Clone, Args)]
pub(super) struct PolicyArgs {
    /// The programme
    #[arg(value_name = "ID")]
    id: String,
    /// A policy that the programme named before, as a decision quotes it; without it the one in force
    #[arg(long, value_name = "HASH", default_value = "", hide_default_value = true)]
    hash: String,
}

fn days(days: u32) -> pbjson_types::Duration {
    pbjson_types::Duration { seconds: i64::from(days) * 86_400, nanos: 0 }
}

impl SetArgs {
    fn message(self) -> anyhow::Result<v1::SetProgramTermsRequest> {
        use v1::set_program_terms_request::Policy;

        let policy = match (self.policy, self.policy_hash, self.server_policy) {
            (Some(file), _, _) => {
                let text = byte_order_mark::read_to_string(&file).with_context(|| format!("reading {}", file.display()))?;
                Some(Policy::PolicyToml(text))
            }
            (None, Some(hash), _) => Some(Policy::PolicyHash(hash)),
            (None, None, true) => Some(Policy::ServerPolicy(true)),
            (None, None, false) => None,
        };
        Ok(v1::SetProgramTermsRequest {
            program_id: self.id,
            policy,
            payout_delay: self.payout_delay_days.map(days),
            policy_payout_delay: self.policy_payout_delay,
            retention: self.retention_days.map(days),
            server_retention: self.server_retention,
            shortens_decided: self.shorten_decided,
            note: self.note,
            request_id: String::new(),
        })
    }
}

/// Changes terms.
pub(super) async fn set(mut client: ProgramServiceClient<Client>, args: SetArgs, form: AnswerForm) -> anyhow::Result<()> {
    let answer = client.set_program_terms(args.message()?).await.map_err(readable)?.into_inner();
    print(form, &answer, |answer| match &answer.pending_act {
        Some(pending) => waits(pending),
        None => said(&answer.terms.clone().unwrap_or_default()),
    })
}

/// Shows terms.
pub(super) async fn show(mut client: ProgramServiceClient<Client>, program_id: String, form: AnswerForm) -> anyhow::Result<()> {
    let request = v1::GetProgramTermsRequest { program_id, policy_hash: String::new() };
    let answer = client.get_program_terms(request).await.map_err(readable)?.into_inner();
    print(form, &answer, described)
}

/// Writes a policy out.
pub(super) async fn policy(mut client: ProgramServiceClient<Client>, args: PolicyArgs) -> anyhow::Result<()> {
    let PolicyArgs { id, hash } = args;
    let request = v1::GetProgramTermsRequest { program_id: id.clone(), policy_hash: hash };
    let answer = client.get_program_terms(request).await.map_err(readable)?.into_inner();
    if answer.policy_toml.is_empty() {
        anyhow::bail!(
            "`{id}` names no policy of its own: the server's decides, version {} with hash {} (`selfsame policy show` prints the shipped one)",
            answer.deciding_version,
            answer.deciding_hash
        );
    }
    std::io::stdout().lock().write_all(answer.policy_toml.as_bytes()).context("writing the policy")
}

#[expect(clippy::cast_precision_loss, reason = "days for people")]
fn in_days(duration: Option<&pbjson_types::Duration>, otherwise: &str) -> String {
    duration.map_or_else(|| otherwise.to_owned(), |duration| format!("{} days", duration.seconds as f64 / 86_400.0))
}

fn said(v1::ProgramTerms { policy_version, policy_hash, payout_delay, retention }: &v1::ProgramTerms) -> String {
    let policy = if policy_hash.is_empty() { "the server's".to_owned() } else { format!("{policy_version} ({policy_hash})") };
    let (delay, kept) = (in_days(payout_delay.as_ref(), "the policy's"), in_days(retention.as_ref(), "the server's"));
    format!("policy {policy}; payout delay {delay}; retention {kept}")
}

fn described(answer: &v1::GetProgramTermsResponse) -> String {
    let terms = answer.terms.clone().unwrap_or_default();
    let mut lines = vec![said(&terms), format!("decides: policy {} ({})", answer.deciding_version, answer.deciding_hash)];
    for v1::PayoutPromise { received_by, payout_delay } in &answer.promises {
        let until = received_by.as_ref().and_then(|until| until.spelled().ok()).unwrap_or_default();
        lines.push(format!("what was received by {until} keeps a payout delay of {}", in_days(payout_delay.as_ref(), "")));
    }
    if answer.changes.is_empty() {
        return lines.join("\n");
    }
    let row = |change: &v1::ProgramTermsChange| {
        let v1::ProgramTermsChange { terms, previous, actor, note, at } = change;
        let at = at.as_ref().and_then(|at| at.spelled().ok()).unwrap_or_default();
        let said = |terms: &Option<v1::ProgramTerms>| said(&terms.clone().unwrap_or_default());
        vec![at, actor.clone(), said(terms), said(previous), note.clone()]
    };
    let head = ["when", "who", "from then on", "before", "why"].map(str::to_owned).to_vec();
    lines.push(String::new());
    lines.push(table(&std::iter::once(head).chain(answer.changes.iter().map(row)).collect::<Vec<_>>()));
    lines.join("\n")
}
