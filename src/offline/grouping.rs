//! Groups: which lines of a history may be the work of one hand, and so must never be split between fitting and testing.
//!
//! A line keeps the group that it names, within its programme. Lines that name none, as an export has them, belong together when they share an account or a strong
//! identifier (mailbox, device, browser, payment instrument), however many share it: a farm on one device is one hand. Called by replay, line by
//! line: lines are not kept.

use std::collections::HashMap;

use crate::screening::history::{Identifier, identifiers};
use crate::vocabulary::ids::{AccountId, ProgramId};
use crate::wire::training::HistoryLine;

/// Gathers what ties lines together.
#[derive(Debug, Default)]
pub struct Grouping {
    sets: Sets,
    names: Vec<Option<Box<str>>>,
    /// The last line of an account.
    by_account: HashMap<(ProgramId, AccountId), usize>,
    /// The last line of a strong value.
    by_value: HashMap<(ProgramId, Identifier), usize>,
}

impl Grouping {
    /// Adds the next line.
    pub fn add(&mut self, line: &HistoryLine) {
        let place = self.sets.add();
        let program = &line.conversion.program_id;
        if !line.group_id.is_empty() {
            self.names.push(Some(format!("{}/{}", program.as_str(), line.group_id).into()));
            return;
        }
        self.names.push(None);
        for side in [&line.conversion.referrer, &line.conversion.referee] {
            let before = self.by_account.insert((program.clone(), side.account_id.clone()), place);
            self.sets.join(before.unwrap_or(place), place);
            for identifier in identifiers(side).into_iter().filter(|identifier| identifier.kind.is_strong()) {
                let before = self.by_value.insert((program.clone(), identifier), place);
                self.sets.join(before.unwrap_or(place), place);
            }
        }
    }

    /// The group of each line, in the order in which they were added.
    #[must_use]
    pub fn finish(self) -> Vec<Box<str>> {
        let Self { mut sets, names, by_account: _, by_value: _ } = self;
        let named =
            |(place, name): (usize, Option<Box<str>>)| name.unwrap_or_else(|| format!("line {}", sets.root(place)).into());
        names.into_iter().enumerate().map(named).collect()
    }
}

/// Disjoint sets; the smallest member is the root.
#[derive(Debug, Default)]
struct Sets(Vec<usize>);

impl Sets {
    fn add(&mut self) -> usize {
        self.0.push(self.0.len());
        self.0.len() - 1
    }

    /// Halves the way on the way, so that it stays short.
    fn root(&mut self, mut member: usize) -> usize {
        while self.0[member] != member {
            self.0[member] = self.0[self.0[member]];
            member = self.0[member];
        }
        member
    }

    fn join(&mut self, a: usize, b: usize) {
        let (a, b) = (self.root(a), self.root(b));
        self.0[a.max(b)] = a.min(b);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::conversion::parse;
    use crate::wire::fields::Arrival;
    use crate::wire::fixtures::{full_bundle, full_conversion};

    fn line(group: &str, referrer: (&str, u8), referee: (&str, u8)) -> HistoryLine {
        let mut message = full_conversion();
        message.referrer = Some(full_bundle(referrer.0, referrer.1));
        message.referee = Some(full_bundle(referee.0, referee.1));
        HistoryLine { group_id: group.into(), ..HistoryLine::of_conversion(parse(message, "", Arrival::Recorded).unwrap()) }
    }

    fn groups(lines: &[HistoryLine]) -> Vec<Box<str>> {
        let mut grouping = Grouping::default();
        for line in lines {
            grouping.add(line);
        }
        grouping.finish()
    }

    #[test]
    fn lines_with_one_account_or_one_device_belong_together_and_named_groups_stay() {
        let lines = [
            line("", ("ann", 1), ("bob", 2)),
            line("", ("cid", 3), ("dora", 4)),
            line("", ("ann", 5), ("eve", 6)),
            line("", ("fay", 7), ("gil", 4)),
            line("ring", ("ann", 1), ("bob", 2)),
        ];
        let found = groups(&lines);
        assert_eq!(found[..4].iter().map(|name| &**name).collect::<Vec<_>>(), ["line 0", "line 1", "line 0", "line 1"]);
        assert_eq!(&*found[4], format!("{}/ring", lines[4].conversion.program_id));
    }

    #[test]
    fn a_farm_on_one_device_is_one_group_however_large() {
        let farm = (0..100).map(|n| line("", (&format!("a{n}"), n), (&format!("b{n}"), 200)));
        let lines: Vec<_> = std::iter::once(line("", ("ann", 201), ("bob", 202))).chain(farm).collect();
        let found = groups(&lines);
        assert_eq!(&*found[0], "line 0");
        assert!(found[1..].iter().all(|name| &**name == "line 1"), "{found:?}");
    }
}
