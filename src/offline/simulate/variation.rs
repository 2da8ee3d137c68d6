//! Programmes that differ from each other: parameters drawn around given ones.
//!
//! A model that learned from one programme knows that programme's rates by heart. Learned from many, it keeps what holds in all of them.
//! Shares, probabilities and speeds are moved at random, and some programmes never send some kind of signal. Labels and drift stay as they
//! are. Never reads a clock. Called by `selfsame simulate --programs`.

use toml::{Table, Value};

use super::{ParametersError, SimulationParameters};
use crate::offline::chance::Chance;

/// How likely a programme never sends a kind of signal. Judgement: nearly every programme lacks something.
const NEVER_SENT: f64 = 0.15;

/// Parameters around these. `variety`: standard deviation of each shift, in log-odds of probabilities and in the logarithm of shares and
/// times; 0 changes nothing but what is never sent.
///
/// # Errors
/// [`ParametersError`] when the parameters cannot be written and read again, which valid ones can.
pub fn varied(
    parameters: &SimulationParameters,
    variety: f64,
    chance: &mut Chance,
) -> Result<SimulationParameters, ParametersError> {
    let mut table = Table::try_from(parameters).map_err(|error| ParametersError::NotVaried(error.to_string()))?;
    if let Some(Value::Table(missing)) = table.get_mut("missing") {
        for (_, probability) in numbers(missing) {
            *probability = if chance.happens(NEVER_SENT) { 1.0 } else { shifted(*probability, variety, chance) };
        }
    }
    let personas = table.get_mut("stage").and_then(|stage| stage.get_mut("personas")).and_then(Value::as_table_mut);
    for (_, persona) in personas.into_iter().flatten() {
        let Value::Table(persona) = persona else { continue };
        vary_numbers(persona, variety, chance);
        if let Some(Value::Table(habits)) = persona.get_mut("habits") {
            vary_numbers(habits, variety, chance);
            for (_, part) in habits.iter_mut() {
                part.as_table_mut().into_iter().for_each(|part| vary_numbers(part, variety, chance));
            }
        }
    }
    let varied: SimulationParameters =
        table.try_into().map_err(|error: toml::de::Error| ParametersError::NotVaried(error.to_string()))?;
    varied.validate()?;
    Ok(varied)
}

fn numbers(table: &mut Table) -> impl Iterator<Item = (&str, &mut f64)> {
    table.iter_mut().filter_map(|(key, value)| match value {
        Value::Float(number) => Some((key.as_str(), number)),
        Value::String(_) | Value::Integer(_) | Value::Boolean(_) | Value::Datetime(_) | Value::Array(_) | Value::Table(_) => None,
    })
}

/// Names end in their unit: what is a share, a time or a mean is multiplied, a standard deviation stays, the rest are probabilities.
fn vary_numbers(table: &mut Table, variety: f64, chance: &mut Chance) {
    for (key, number) in numbers(table) {
        let is_scale = key == "share" || key.contains("_median_") || key.ends_with("_mean");
        if is_scale || *number > 1.0 {
            *number = chance.log_normal(*number, variety).min(100_000.0);
        } else if !key.ends_with("_sigma") {
            *number = shifted(*number, variety, chance);
        }
    }
}

/// A probability moved in log-odds. 0 and 1 stay what they are.
fn shifted(probability: f64, variety: f64, chance: &mut Chance) -> f64 {
    let odds = chance.log_normal(1.0, variety) * probability / (1.0 - probability);
    if probability > 0.0 && probability < 1.0 { odds / (1.0 + odds) } else { probability }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_seed_varies_in_one_way_and_two_seeds_in_two() -> Result<(), ParametersError> {
        let base = SimulationParameters::default();
        let of = |seed| varied(&base, 0.5, &mut Chance::new(seed));
        assert_eq!(of(1)?, of(1)?);
        assert_ne!(of(1)?, of(2)?);
        assert_ne!(of(1)?.stage.personas.household.habits.sharing, base.stage.personas.household.habits.sharing);
        assert_eq!((of(1)?.labels, of(1)?.drift), (base.labels, base.drift));
        Ok(())
    }

    #[test]
    fn without_variety_a_programme_differs_only_in_what_it_never_sends() -> Result<(), ParametersError> {
        let base = SimulationParameters::default();
        let mut never_sent = 0;
        for seed in 0..20 {
            let same = varied(&base, 0.0, &mut Chance::new(seed))?;
            let near = |a: f64, b: f64| (a - b).abs() < 1e-9;
            assert!(near(same.stage.personas.alias.habits.sharing.device, base.stage.personas.alias.habits.sharing.device));
            for ((_, missing), (_, usual)) in same.missing.values().into_iter().zip(base.missing.values()) {
                assert!(near(missing, usual) || near(missing, 1.0), "{missing}");
                never_sent += usize::from(near(missing, 1.0));
            }
        }
        assert!((15..50).contains(&never_sent), "{never_sent} of 200");
        Ok(())
    }
}
