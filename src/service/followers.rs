//! Who follows the feed, and how far each is: the feed's lag as a figure.
//!
//! A follower that stopped reading is as far behind as the feed has grown since, which only a look from outside can tell.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use super::shared::Shared;
use crate::book::records::Cursor;
use crate::ports::labels;
use crate::vocabulary::ids::ProgramId;

/// How often the figures are set.
const EVERY: Duration = Duration::from_secs(5);

/// All that follow, each under a number of its own.
#[derive(Debug, Clone, Default)]
pub(super) struct Followers(Arc<Mutex<Known>>);

#[derive(Debug, Default)]
struct Known {
    next: u64,
    following: BTreeMap<(ProgramId, u64), Cursor>,
}

/// One that follows, until it is dropped.
#[derive(Debug)]
pub(super) struct Follower {
    all: Followers,
    at: (ProgramId, u64),
}

impl Followers {
    /// Takes one more, who has read up to a place.
    pub(super) fn begin(&self, program: &ProgramId, cursor: Cursor) -> Follower {
        let mut known = self.0.lock();
        known.next += 1;
        let at = (program.clone(), known.next);
        known.following.insert(at.clone(), cursor);
        Follower { all: self.clone(), at }
    }

    /// The followers of each programme: how many, and how far the last of them is.
    fn by_program(&self) -> BTreeMap<ProgramId, (usize, Cursor)> {
        let mut found: BTreeMap<ProgramId, (usize, Cursor)> = BTreeMap::new();
        for ((program, _), cursor) in &self.0.lock().following {
            let (count, last) = found.entry(program.clone()).or_insert((0, *cursor));
            *count += 1;
            *last = (*last).min(*cursor);
        }
        found
    }
}

impl Follower {
    /// It has read up to here.
    pub(super) fn reached(&self, cursor: Cursor) {
        self.all.0.lock().following.insert(self.at.clone(), cursor);
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.all.0.lock().following.remove(&self.at);
    }
}

/// Sets the figures again and again, until it is dropped. A programme that nobody follows any more has no lag.
pub(super) async fn report(shared: Arc<Shared>) {
    let mut told = BTreeSet::new();
    loop {
        let following = shared.followers.by_program();
        for gone in told.iter().filter(|program| !following.contains_key(program)) {
            set(gone, 0, 0);
        }
        told = following.keys().cloned().collect();
        for (program, (followers, cursor)) in following {
            // What cannot be read now is told by health, and read again in a moment.
            if let Ok(end) = shared.ledger.end(&program).await {
                set(&program, followers, end.place.0.saturating_sub(cursor.0));
            }
        }
        tokio::time::sleep(EVERY).await;
    }
}

#[expect(clippy::cast_precision_loss, reason = "gauges are floats; counts stay far below 2^53")]
fn set(program: &ProgramId, followers: usize, lag: u64) {
    let program = labels::program(program);
    metrics::gauge!("selfsame_feed_followers", "program" => program.clone()).set(followers as f64);
    metrics::gauge!("selfsame_feed_lag_records", "program" => program).set(lag as f64);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_of_a_programmes_followers_is_told_and_who_leaves_is_forgotten() {
        let followers = Followers::default();
        let [north, south] = ["north", "south"].map(|id| ProgramId::new(id).unwrap());
        let slow = followers.begin(&north, Cursor(3));
        let fast = followers.begin(&north, Cursor(3));
        let other = followers.begin(&south, Cursor(9));
        fast.reached(Cursor(40));
        assert_eq!(followers.by_program(), [(north.clone(), (2, Cursor(3))), (south, (1, Cursor(9)))].into());
        drop((slow, other));
        assert_eq!(followers.by_program(), [(north, (1, Cursor(40)))].into());
    }
}
