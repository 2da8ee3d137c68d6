//! Labels of figures whose values callers choose: programmes and key ids. They are bounded, so that a mistake or a stranger cannot flood the metrics.

use std::collections::BTreeMap;
use std::sync::Arc;

use metrics::SharedString;
use parking_lot::RwLock;

use crate::vocabulary::digest::KeyId;
use crate::vocabulary::ids::ProgramId;

/// What stands in a label for all that came after it was full. No id holds a parenthesis of this kind alone, and operators read it as it is meant.
pub const OTHERS: &str = "(others)";

/// Programmes that have a label of their own. Judgement: a company has a handful, twice that with sandboxes.
static PROGRAMMES: Labels = Labels::new(100);
/// Key ids that have a label of their own, over all programmes. Judgement: one or two a programme, and those that were rotated away.
static KEYS: Labels = Labels::new(64);

/// The label of a programme: its id, or [`OTHERS`] for one that came after a hundred others.
#[must_use]
pub fn program(program: &ProgramId) -> SharedString {
    PROGRAMMES.of(program.as_str())
}

/// The label of a key id: itself, or [`OTHERS`].
#[must_use]
pub fn key(key: &KeyId) -> SharedString {
    KEYS.of(key.as_str())
}

/// The first values that were seen, up to a number.
struct Labels {
    most: usize,
    known: RwLock<BTreeMap<Arc<str>, SharedString>>,
}

impl Labels {
    const fn new(most: usize) -> Self {
        Self { most, known: RwLock::new(BTreeMap::new()) }
    }

    fn of(&self, value: &str) -> SharedString {
        if let Some(label) = self.known.read().get(value) {
            return label.clone();
        }
        let mut known = self.known.write();
        if known.len() >= self.most && !known.contains_key(value) {
            return SharedString::const_str(OTHERS);
        }
        let value: Arc<str> = Arc::from(value);
        known.entry(Arc::clone(&value)).or_insert_with(|| SharedString::from_shared(value)).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_after_a_label_is_full_is_told_together() {
        let labels = Labels::new(2);
        let shown = ["north", "south", "east", "north", "west"].map(|value| labels.of(value).to_string());
        assert_eq!(shown, ["north", "south", OTHERS, "north", OTHERS]);
    }
}
