//! Requests and answers about what people may ask for: erasures.

use super::content;
use super::fields::required_id;
use super::request::{reason_code, request};
use super::v1;
use super::violation::{At, Violation, Violations};
use crate::book::command::Erasure;
use crate::book::erasures::EraseCommand;
use crate::vocabulary::ids::Actor;
use crate::vocabulary::time::Timestamp;

/// Reads an erasure.
///
/// # Errors
/// All violated fields.
pub fn erase(message: v1::EraseAccountRequest, actor: &Actor, now: Timestamp) -> Result<EraseCommand, Vec<Violation>> {
    let content = content::fingerprint(&message);
    let v1::EraseAccountRequest { program_id, account_id, reason_code: why, request_id } = message;
    let mut found = Violations::default();
    let program_id = required_id(&program_id, &At::path("program_id"), &mut found);
    let account_id = required_id(&account_id, &At::path("account_id"), &mut found);
    let reason_code = reason_code(why, &mut found);
    let request = request(&request_id, content, &mut found);
    let command = program_id.zip(account_id).map(|(program_id, account_id)| EraseCommand {
        program_id,
        account_id,
        actor: actor.clone(),
        reason_code,
        request,
        at: now,
    });
    found.into_result(command)
}

/// Writes how far an erasure is.
#[must_use]
pub const fn state_of(erasure: Erasure) -> v1::ErasureState {
    match erasure {
        Erasure::UnderWay => v1::ErasureState::UnderWay,
        Erasure::Finished => v1::ErasureState::Finished,
    }
}
