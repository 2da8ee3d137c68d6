//! From a simulated conversion to a line of labelled history, the form that replay and training read.
//!
//! Digests everything on the way; the truth goes into the label only. Called by `selfsame simulate` and by tests.

use super::pseudonymise::{PseudonymiseError, label_of, pseudonymise};
use super::simulate::LabeledRaw;
use crate::digesting::{Digester, InvalidProgrammeKey, ProgrammeKey};
use crate::vocabulary::digest::{InvalidKeyId, KeyId};
use crate::vocabulary::ids::ProgramId;
use crate::wire::enums::WireEnum;
use crate::wire::fields::time_message;
use crate::wire::training::label_message;
use crate::wire::{conversion, v1};

/// The key of simulated programmes. No secret: there is nobody behind its digests.
const SIMULATION_KEY: &[u8; 32] = b"simulated people have no secrets";

/// Why the simulation's digester cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum SimulationKeyError {
    /// Its key has no proper name.
    #[error(transparent)]
    Name(#[from] InvalidKeyId),
    /// Its key is none.
    #[error(transparent)]
    Key(#[from] InvalidProgrammeKey),
}

/// Digests as every simulated programme does.
///
/// # Errors
/// [`SimulationKeyError`] if the built-in key were refused; a test says it is not.
pub fn simulation_digester() -> Result<Digester, SimulationKeyError> {
    Ok(Digester::new(&ProgrammeKey::from_bytes(KeyId::new("simulated")?, SIMULATION_KEY)?))
}

/// The line of a simulated conversion.
///
/// # Errors
/// [`PseudonymiseError`] when the conversion holds an id or amount that is none.
pub fn labeled_line(
    simulated: &LabeledRaw,
    program_id: &ProgramId,
    digester: &Digester,
) -> Result<v1::LabeledConversion, PseudonymiseError> {
    let LabeledRaw { conversion: raw, label } = simulated;
    let outcomes = raw
        .outcome
        .iter()
        .map(|outcome| v1::LaterOutcome { kind: outcome.kind.to_number(), occurred_at: Some(time_message(outcome.occurred_at)) });
    Ok(v1::LabeledConversion {
        conversion: Some(conversion::message_of(&pseudonymise(raw, program_id, digester)?)),
        labels: label.iter().map(|label| label_message(&label_of(label))).collect(),
        decision: None,
        group_id: raw.group.clone(),
        persona: raw.persona.name().to_owned(),
        outcomes: outcomes.collect(),
        signals_before: Vec::new(),
        later_verdicts: Vec::new(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::offline::people::People;
    use crate::offline::simulate::{Simulation, SimulationParameters};
    use crate::wire::training;

    #[test]
    fn every_line_is_what_replay_accepts_also_after_json() -> Result<(), Box<dyn std::error::Error>> {
        let people = People::embedded()?;
        let parameters = SimulationParameters { conversions: 400, ..SimulationParameters::default() };
        let (program_id, digester) = (ProgramId::new("simulated")?, simulation_digester()?);
        for simulated in Simulation::new(&people, parameters, 1)? {
            let line = labeled_line(&simulated, &program_id, &digester)?;
            let read: v1::LabeledConversion = serde_json::from_str(&serde_json::to_string(&line)?)?;
            assert_eq!(read, line);
            let parsed = training::parse(read);
            assert!(parsed.is_ok(), "{parsed:?}");
        }
        Ok(())
    }
}
