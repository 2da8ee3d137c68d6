//! Changing the key of a programme: names under a new key are taken, and how far that is. They must never take a name under a key that is not taken.

use std::sync::Arc;

use super::access::Caller;
use super::errors::Refusal;
use super::screening::was_replayed;
use super::shared::Shared;
use crate::book::command::{Command, Done};
use crate::ports::ledger::Ledger;
use crate::wire::violation::Violation;
use crate::wire::{rekeying as requests, v1};

/// Teaches names.
pub(super) async fn rekey(
    shared: &Shared,
    caller: &Caller,
    message: v1::RekeyValuesRequest,
) -> Result<v1::RekeyValuesResponse, Refusal> {
    let command = requests::rekey(message, caller.name()?, shared.now())?;
    let program = caller.may(&command.program_id).await?;
    let taken = &program.settings.key_ids;
    let not_taken =
        command.values.iter().enumerate().filter(|(_, value)| !taken.is_empty() && !taken.contains(&value.new.key_id));
    let violations: Vec<Violation> = not_taken
        .map(|(index, value)| Violation {
            field: format!("values[{index}].new_digest.key_id"),
            problem: format!(
                "is `{}`, which the programme does not take: add it to its key ids first",
                value.new.key_id.as_str()
            ),
        })
        .collect();
    if !violations.is_empty() {
        return Err(violations.into());
    }
    let executed = shared.ledger.execute(Command::Rekey(command)).await.map_err(|error| shared.refusal(error))?;
    let taught = if let Done::Rekeyed(taught) = executed.done { taught } else { 0 };
    Ok(v1::RekeyValuesResponse { taught, replayed: was_replayed(executed.freshness) })
}

/// How many values are known under each key.
pub(super) async fn key_use(
    shared: &Shared,
    caller: &Caller,
    message: v1::GetKeyUseRequest,
) -> Result<v1::GetKeyUseResponse, Refusal> {
    let program_id = requests::use_wanted(message)?;
    let program = caller.may(&program_id).await?;
    let read = move |ledger: Arc<dyn Ledger>, _| async move { ledger.key_use(&program_id).await };
    let report = shared.read(&caller.share, read).await?;
    Ok(requests::use_message(&report, &program.settings))
}
