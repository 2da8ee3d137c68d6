//! Names: which values are one under several keys. A value keeps its row and its accounts when it gets another name; what is shown and compared is its
//! newest name and the one before it, so that it can still be compared with what is known by one of them alone. Empty in a programme that never changed its
//! key.

use std::collections::{BTreeMap, BTreeSet};

use super::slab::{RenameNumber, Slab, ValueNumber};

/// The names of values.
#[derive(Debug, Default)]
pub(super) struct Names {
    /// What was taught, in order: the old name, and the new one.
    pub(super) rows: Slab<RenameNumber, (ValueNumber, ValueNumber)>,
    /// What each name that has no accounts of its own any more is a name of.
    above: BTreeMap<ValueNumber, ValueNumber>,
    /// The same the other way round.
    below: BTreeSet<(ValueNumber, ValueNumber)>,
    /// The newest name of each value that has several.
    newest: BTreeMap<ValueNumber, ValueNumber>,
    /// The one before it.
    before: BTreeMap<ValueNumber, ValueNumber>,
}

/// What a name cost: the row, and its places in three trees. Unit: bytes. An estimate.
const NAME_BYTES: usize = 64;

impl Names {
    pub(super) fn of_rows(rows: Slab<RenameNumber, (ValueNumber, ValueNumber)>) -> Self {
        let mut all = Self::default();
        for (_, (old, new)) in rows.iter() {
            all.unite(*old, *new);
        }
        Self { rows, ..all }
    }

    /// Whether nothing has several names.
    pub(super) fn is_empty(&self) -> bool {
        self.above.is_empty()
    }

    /// The row that holds the accounts of a name's value.
    pub(super) fn root(&self, name: ValueNumber) -> ValueNumber {
        let mut root = name;
        // INVARIANT: a name is put below a root of another value, so no walk ends where it began.
        while let Some(above) = self.above.get(&root) {
            root = *above;
        }
        root
    }

    /// The newest name of a name's value.
    pub(super) fn newest(&self, name: ValueNumber) -> ValueNumber {
        let root = self.root(name);
        self.newest.get(&root).copied().unwrap_or(root)
    }

    /// The names under which a name's value is shown: the newest, and the one before it where there is one.
    pub(super) fn shown(&self, name: ValueNumber) -> (ValueNumber, Option<ValueNumber>) {
        let root = self.root(name);
        (self.newest(root), self.before.get(&root).copied())
    }

    /// Whether a value has several names, or a name is one of several.
    pub(super) fn is_one_of_several(&self, name: ValueNumber) -> bool {
        self.above.contains_key(&name) || self.newest.contains_key(&name)
    }

    /// All names of a value, by the row that holds its accounts.
    pub(super) fn all_of(&self, root: ValueNumber) -> Vec<ValueNumber> {
        let mut found = vec![root];
        let mut at = 0;
        while let Some(name) = found.get(at).copied() {
            let first = (name, ValueNumber::FIRST);
            found.extend(self.below.range(first..).take_while(|(above, _)| *above == name).map(|(_, below)| *below));
            at += 1;
        }
        found
    }

    /// Notes that two names are of one value. Returns the row that holds the accounts from now on, and the one that held those of the new name; `None` when
    /// they were of one value before.
    pub(super) fn teach(&mut self, old: ValueNumber, new: ValueNumber) -> Option<(ValueNumber, ValueNumber)> {
        let united = self.unite(old, new)?;
        // A book without room for a name is refused its next command.
        self.rows.push((old, new));
        Some(united)
    }

    fn unite(&mut self, old: ValueNumber, new: ValueNumber) -> Option<(ValueNumber, ValueNumber)> {
        let (parent, child) = (self.root(old), self.root(new));
        if parent == child {
            return None;
        }
        let (newest, before) = (self.newest(new), self.newest(old));
        self.newest.remove(&child);
        self.before.remove(&child);
        self.above.insert(child, parent);
        self.below.insert((parent, child));
        self.newest.insert(parent, newest);
        self.before.insert(parent, before);
        Some((parent, child))
    }

    /// Memory that it takes. Unit: bytes.
    pub(super) fn bytes(&self) -> usize {
        self.rows.len() * NAME_BYTES
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use proptest::prelude::*;

    use super::super::slab::Number as _;
    use super::*;

    fn name(number: u32) -> ValueNumber {
        ValueNumber::of(NonZeroU32::new(number).unwrap())
    }

    #[test]
    fn a_value_is_shown_under_its_newest_name_over_several_changes_of_the_key() {
        let mut names = Names::default();
        names.teach(name(1), name(2)).unwrap();
        names.teach(name(2), name(3)).unwrap();
        assert_eq!([1, 2, 3].map(|number| names.shown(name(number))), [(name(3), Some(name(2))); 3]);
        assert_eq!(names.teach(name(1), name(3)), None, "it was known");
        names.teach(name(8), name(9)).unwrap();
        names.teach(name(3), name(8)).unwrap();
        assert_eq!(names.newest(name(1)), name(9), "what was taught of the newer name before counts");
        assert_eq!(names.all_of(name(1)).into_iter().collect::<BTreeSet<_>>(), [1, 2, 3, 8, 9].map(name).into());
    }

    proptest! {
        /// Whatever is taught in whichever order: names are of one value exactly when teachings lead from one to the other, and a book that is opened again
        /// knows the same.
        #[test]
        fn names_are_of_one_value_when_what_was_taught_ties_them(taught in proptest::collection::vec((1..20_u32, 1..20_u32), 0..30)) {
            let mut names = Names::default();
            let mut groups: Vec<u32> = (0..20).collect();
            for (old, new) in taught {
                names.teach(name(old), name(new));
                let (from, to) = (groups[new as usize], groups[old as usize]);
                groups.iter_mut().filter(|group| **group == from).for_each(|group| *group = to);
            }
            let again = Names::of_rows(names.rows.clone());
            for a in 1..20_u32 {
                for b in 1..20_u32 {
                    prop_assert_eq!(names.root(name(a)) == names.root(name(b)), groups[a as usize] == groups[b as usize]);
                }
                prop_assert_eq!(names.root(name(a)), again.root(name(a)));
                prop_assert_eq!(names.newest(name(a)), again.newest(name(a)));
                prop_assert_eq!(names.root(names.newest(name(a))), names.root(name(a)));
                prop_assert!(names.all_of(names.root(name(a))).contains(&name(a)));
            }
        }
    }
}
