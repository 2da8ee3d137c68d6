//! The catalogue as a model remembers it, and what differs from this server's. Pure; called by `Model::from_parts` and by the model file.

use std::fmt;

use crate::screening::features::{CATALOGUE, Direction, Feature};

/// One feature as the model knew it at fitting.
#[derive(Debug, Clone, PartialEq)]
pub struct FeatureSpec {
    /// Its name.
    pub name: Box<str>,
    /// Its unit.
    pub unit: Box<str>,
    /// Its smallest value when present.
    pub low: f64,
    /// Its largest value when present; infinite when there is no limit.
    pub high: f64,
    /// In which direction it speaks for abuse.
    pub direction: Direction,
}

impl FeatureSpec {
    /// The specifications of this server's catalogue, in order.
    #[must_use]
    pub fn catalogue() -> Vec<Self> {
        let spec = |feature: &Feature| {
            let Feature { name, meaning: _, unit, low, high, direction, code: _ } = feature;
            Self { name: name.as_str().into(), unit: (*unit).into(), low: *low, high: *high, direction: *direction }
        };
        CATALOGUE.iter().map(spec).collect()
    }
}

/// How a model's features differ from this server's.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SchemaDifference {
    /// Features that the server has and the model does not know.
    pub unknown_to_model: Vec<String>,
    /// Features that the model needs and the server does not have.
    pub missing_here: Vec<String>,
    /// Features of one name with another unit, range or direction.
    pub changed: Vec<String>,
    /// Same features, other order.
    pub reordered: Vec<String>,
}

const NAMED_MAX: usize = 8;

impl fmt::Display for SchemaDifference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { unknown_to_model, missing_here, changed, reordered } = self;
        let kinds =
            [("it lacks", unknown_to_model), ("it needs", missing_here), ("changed", changed), ("in another place", reordered)];
        let mut first = true;
        for (words, names) in kinds.into_iter().filter(|(_, names)| !names.is_empty()) {
            let listed: Vec<String> = names.iter().take(NAMED_MAX).map(|name| format!("`{name}`")).collect();
            let more = names.len().saturating_sub(NAMED_MAX);
            let tail = if more > 0 { format!(" and {more} more") } else { String::new() };
            write!(f, "{}{words} {}{tail}", if first { "" } else { "; " }, listed.join(", "))?;
            first = false;
        }
        Ok(())
    }
}

/// Compares a model's features with the catalogue.
pub(super) fn check(features: &[FeatureSpec]) -> Result<(), SchemaDifference> {
    let here = FeatureSpec::catalogue();
    if here == features {
        return Ok(());
    }
    let mut difference = SchemaDifference::default();
    for (place, spec) in here.iter().enumerate() {
        match features.iter().position(|theirs| theirs.name == spec.name) {
            None => difference.unknown_to_model.push(spec.name.to_string()),
            Some(at) if features[at] != *spec => difference.changed.push(describe_change(&features[at], spec)),
            Some(at) if at != place => difference.reordered.push(spec.name.to_string()),
            Some(_) => {}
        }
    }
    let gone = features.iter().filter(|theirs| here.iter().all(|spec| spec.name != theirs.name));
    difference.missing_here = gone.map(|spec| spec.name.to_string()).collect();
    if !difference.unknown_to_model.is_empty() || !difference.missing_here.is_empty() {
        difference.reordered.clear();
    }
    Err(difference)
}

fn describe_change(model: &FeatureSpec, here: &FeatureSpec) -> String {
    let FeatureSpec { name, unit, low, high, direction } = model;
    format!(
        "{name} ({unit}, {low} to {high}, {direction:?} there; {}, {} to {}, {:?} here)",
        here.unit, here.low, here.high, here.direction
    )
}
