//! The terms of a programme: its policy is checked whole before it is taken, the book keeps it. They must never take a policy with a mistake.

use super::access::Caller;
use super::confirmation::{asked, waiting};
use super::errors::Refusal;
use super::screening::was_replayed;
use super::shared::Shared;
use crate::adapters::policy_file::{self, PolicyFileError, PolicyProblem};
use crate::book::command::{Command, TermsCommand};
use crate::book::terms::{PolicyName, ProgramPolicy, ProgramTerms, Setting, TermsStep};
use crate::wire::terms::{self as requests, PolicyWanted, TermsAsked, TermsWanted};
use crate::wire::v1;
use crate::wire::violation::Violation;

/// Changes the terms of a programme.
pub(super) async fn set(
    shared: &Shared,
    caller: &Caller,
    message: v1::SetProgramTermsRequest,
) -> Result<v1::SetProgramTermsResponse, Refusal> {
    let TermsWanted { program_id, policy, payout_delay, retention, decided, note, request } = requests::wanted(message)?;
    let program = caller.may(&program_id).await?;
    let known = shared.look_up(shared.ledger.terms(&program_id)).await?;
    let step = TermsStep { policy: named(&known, policy)?, payout_delay, retention, decided };
    let after = known.with(step.onto(known.terms()), known.promises().to_vec());
    let kept = after.terms().retention.or(shared.policies.kept_for());
    let longest = shared.policies.payout_of(&program_id, &after).longest_delay();
    if let Some(kept) = kept.filter(|kept| *kept < longest) {
        let days = |span: crate::vocabulary::time::Span| span.as_seconds() / 86_400.0;
        let problem = format!(
            "would leave records for {} days, less than the longest payout delay of {} days: what is removed before it may be paid never could be",
            days(kept),
            days(longest)
        );
        return Err(Refusal::invalid_field("retention", &problem));
    }
    let (actor, at) = (caller.name()?.clone(), shared.now());
    let command = TermsCommand { program_id: program_id.clone(), step, actor, note, request, at };
    let command = asked(&program, caller, Command::ChangeTerms(Box::new(command)))?;
    let executed = shared.ledger.execute(command).await.map_err(|error| shared.refusal(error))?;
    let terms = shared.look_up(shared.ledger.terms(&program_id)).await?;
    Ok(v1::SetProgramTermsResponse {
        terms: Some(requests::message_of(&terms.terms().summary())),
        replayed: was_replayed(executed.freshness),
        pending_act: waiting(&executed),
    })
}

/// The policy that is wanted, read and checked.
fn named(known: &ProgramTerms, wanted: PolicyWanted) -> Result<Setting<ProgramPolicy>, Refusal> {
    Ok(match wanted {
        PolicyWanted::Stays => Setting::Stays,
        PolicyWanted::Server => Setting::Default,
        PolicyWanted::Known(hash) => {
            let policy = known.named(hash).ok_or_else(|| Refusal::not_known("policy", &hash.to_string()))?;
            Setting::Is(policy.clone())
        }
        PolicyWanted::Text(text) => {
            let policy = policy_file::parse(&text, "policy_toml").map_err(|error| mistakes(&error))?;
            let name = PolicyName { version: policy.version().into(), hash: policy.hash() };
            Setting::Is(ProgramPolicy { name, text: text.into() })
        }
    })
}

/// Every mistake of a policy, each with its line.
fn mistakes(error: &PolicyFileError) -> Refusal {
    let problems = match error {
        PolicyFileError::Mistakes { origin: _, problems } => problems.as_slice(),
        PolicyFileError::Unreadable { .. } => &[],
    };
    let violation = |PolicyProblem { line, key, problem }: &PolicyProblem| {
        let key = if key.is_empty() { String::new() } else { format!("`{key}` ") };
        Violation { field: "policy_toml".to_owned(), problem: format!("has a mistake in line {line}: {key}{problem}") }
    };
    Refusal::from(problems.iter().map(violation).collect::<Vec<_>>())
}

/// The terms of a programme.
pub(super) async fn get(
    shared: &Shared,
    caller: &Caller,
    message: v1::GetProgramTermsRequest,
) -> Result<v1::GetProgramTermsResponse, Refusal> {
    let TermsAsked { program_id, policy } = requests::asked(message)?;
    caller.may(&program_id).await?;
    let terms = shared.look_up(shared.ledger.terms(&program_id)).await?;
    let named = match policy {
        Some(hash) => Some(terms.named(hash).ok_or_else(|| Refusal::not_known("policy", &hash.to_string()))?),
        None => terms.policy(),
    };
    let deciding = shared.policies.policy_of(&program_id, &terms);
    Ok(requests::answer(&terms, named.map_or("", |policy| &*policy.text), &deciding))
}
