//! Groups: which lines of a history may be the work of one hand, and so must never be split between fitting and testing.
//!
//! A line keeps the group that it names, within its programme. Lines that name none, as an export has them, belong together when they share an account or a strong
//! identifier (mailbox, device, browser, payment instrument) that is not a crowd's. Called by replay.

use std::collections::BTreeMap;

use crate::screening::history::{Identifier, RING_VALUE_ACCOUNTS_MAX, identifiers};
use crate::vocabulary::ids::{AccountId, ProgramId};
use crate::wire::training::HistoryLine;

/// The group of each line.
#[must_use]
pub fn groups(lines: &[HistoryLine]) -> Vec<Box<str>> {
    let mut sets = Sets((0..lines.len()).collect());
    let mut by_referrer: BTreeMap<(&ProgramId, &AccountId), Vec<usize>> = BTreeMap::new();
    let mut by_value: BTreeMap<(&ProgramId, Identifier), Vec<usize>> = BTreeMap::new();
    for (place, line) in lines.iter().enumerate().filter(|(_, line)| line.group_id.is_empty()) {
        let program = &line.conversion.program_id;
        for side in [&line.conversion.referrer, &line.conversion.referee] {
            by_referrer.entry((program, &side.account_id)).or_default().push(place);
            for identifier in identifiers(side).into_iter().filter(|identifier| identifier.kind.is_strong()) {
                by_value.entry((program, identifier)).or_default().push(place);
            }
        }
    }
    let crowd = 2 * RING_VALUE_ACCOUNTS_MAX as usize;
    for places in by_referrer.into_values().chain(by_value.into_values().filter(|places| places.len() <= crowd)) {
        places.windows(2).for_each(|pair| sets.join(pair[0], pair[1]));
    }
    let name = |place: usize, line: &HistoryLine| {
        let program = line.conversion.program_id.as_str();
        if line.group_id.is_empty() { format!("line {}", sets.root(place)) } else { format!("{program}/{}", line.group_id) }
            .into()
    };
    lines.iter().enumerate().map(|(place, line)| name(place, line)).collect()
}

/// Disjoint sets; the smallest member is the root.
struct Sets(Vec<usize>);

impl Sets {
    fn root(&self, mut member: usize) -> usize {
        while self.0[member] != member {
            member = self.0[member];
        }
        member
    }

    fn join(&mut self, a: usize, b: usize) {
        let (a, b) = (self.root(a), self.root(b));
        self.0[a.max(b)] = a.min(b);
    }
}
