//! From a simulated conversion to a line of labelled history, the form that replay and training read.
//!
//! Digests everything on the way; the truth goes into the label only.

use super::months::{Joined, Simulated};
use super::pseudonymise::{PseudonymiseError, bundle_of, label_of, pseudonymise};
use crate::digesting::{Digester, InvalidProgrammeKey, ProgrammeKey};
use crate::vocabulary::digest::{InvalidKeyId, KeyId};
use crate::vocabulary::ids::ProgramId;
use crate::wire::enums::WireEnum;
use crate::wire::fields::time_message;
use crate::wire::training::label_message;
use crate::wire::{bundle, conversion, v1};

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
    simulated: &Simulated,
    program_id: &ProgramId,
    digester: &Digester,
) -> Result<v1::LabeledConversion, PseudonymiseError> {
    let Simulated { joined_before, conversion: raw, label } = simulated;
    let outcomes = raw
        .outcome
        .iter()
        .map(|outcome| v1::LaterOutcome { kind: outcome.kind.to_number(), occurred_at: Some(time_message(outcome.occurred_at)) });
    let recorded = |(number, joined)| recorded(joined, &raw.conversion_id, number, digester);
    Ok(v1::LabeledConversion {
        conversion: Some(conversion::message_of(&pseudonymise(raw, program_id, digester)?)),
        labels: label.iter().map(|label| label_message(&label_of(label))).collect(),
        decision: None,
        group_id: raw.group.clone(),
        persona: raw.persona.to_owned(),
        outcomes: outcomes.collect(),
        signals_before: (1..).zip(joined_before).map(recorded).collect::<Result<_, _>>()?,
        later_verdicts: Vec::new(),
    })
}

/// What was learned of accounts before a conversion, as it was recorded.
fn recorded(
    joined: &Joined,
    conversion_id: &str,
    number: usize,
    digester: &Digester,
) -> Result<v1::RecordedSignals, PseudonymiseError> {
    let bundles = joined.accounts.iter().map(|account| Ok(bundle::message_of(&bundle_of(account, digester)?)));
    Ok(v1::RecordedSignals {
        record_id: format!("joined-{conversion_id}-{number}"),
        bundles: bundles.collect::<Result<_, PseudonymiseError>>()?,
        observed_at: Some(time_message(joined.observed_at)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::offline::simulator::library::{Library, Wanted};
    use crate::offline::simulator::people::People;
    use crate::wire::training;

    #[test]
    fn every_line_is_what_replay_accepts_also_after_json() -> Result<(), Box<dyn std::error::Error>> {
        let (library, people) = (Library::embedded()?, People::embedded()?);
        let (program_id, digester) = (ProgramId::new("simulated")?, simulation_digester()?);
        let wanted = Wanted { programmes: 13, conversions: 520, kind: None, held_out: Vec::new(), seed: 1 };
        for simulated in library.draw(&wanted, &people)?.into_iter().flat_map(|drawn| drawn.months) {
            let line = labeled_line(&simulated, &program_id, &digester)?;
            let read: v1::LabeledConversion = serde_json::from_str(&serde_json::to_string(&line)?)?;
            assert_eq!(read, line);
            let parsed = training::parse(read);
            assert!(parsed.is_ok(), "{parsed:?}");
        }
        Ok(())
    }
}
