//! What a look at a server finds, as messages. The operations handlers call it.

use super::enums::WireEnum;
use super::fields::optional_id;
use super::v1;
use super::violation::{At, Violation, Violations};
use crate::ports::diagnosis::{Finding, Level};
use crate::vocabulary::ids::ProgramId;

/// Reads which programme is to be looked at; absent for all.
///
/// # Errors
/// All violated fields.
pub fn wanted(message: v1::DiagnoseRequest) -> Result<Option<ProgramId>, Vec<Violation>> {
    let v1::DiagnoseRequest { program_id } = message;
    let mut found = Violations::default();
    let program_id = optional_id(&program_id, &At::path("program_id"), &mut found);
    found.into_result(Some(program_id))
}

/// Writes a finding.
#[must_use]
pub fn finding_message(finding: &Finding) -> v1::Finding {
    let Finding { subject, level, sentence, fix } = finding;
    v1::Finding { subject: subject.to_string(), level: level.to_number(), sentence: sentence.clone(), fix: fix.clone() }
}

/// Reads how much a finding matters; absent for a number that this program does not know.
#[must_use]
pub fn level_of(message: &v1::Finding) -> Option<Level> {
    v1::FindingLevel::try_from(message.level).ok().and_then(Level::from_wire)
}
