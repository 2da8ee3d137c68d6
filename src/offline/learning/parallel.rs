//! Work on all cores with one result: items are taken in order by whoever is free, results stand in the order of the items, so nothing of the
//! outcome depends on how many cores there are. Called by the champion's competition.

use std::num::NonZero;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;

/// Applies `work` to each item and gives the results in the order of the items. `done` hears the place of each item as it is finished.
#[must_use]
pub fn map<T: Sync, R: Send>(items: &[T], work: impl Fn(&T) -> R + Sync, done: &mut dyn FnMut(usize)) -> Vec<R> {
    let workers = thread::available_parallelism().map_or(1, NonZero::get).min(items.len());
    let next = AtomicUsize::new(0);
    let mut results: Vec<(usize, R)> = Vec::with_capacity(items.len());
    thread::scope(|scope| {
        let (finished, results_of) = mpsc::channel();
        for _ in 0..workers {
            let (finished, next, work) = (finished.clone(), &next, &work);
            scope.spawn(move || {
                while let Some((place, item)) =
                    Some(next.fetch_add(1, Ordering::Relaxed)).and_then(|at| Some((at, items.get(at)?)))
                {
                    // The receiver lives until all workers have ended.
                    if finished.send((place, work(item))).is_err() {
                        break;
                    }
                }
            });
        }
        drop(finished);
        for (place, result) in results_of {
            done(place);
            results.push((place, result));
        }
    });
    results.sort_by_key(|(place, _)| *place);
    results.into_iter().map(|(_, result)| result).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_stand_in_the_order_of_their_items_and_each_is_heard_once() {
        let items: Vec<u64> = (0..100).collect();
        let mut heard = Vec::new();
        let squares = map(&items, |item| item * item, &mut |place| heard.push(place));
        heard.sort_unstable();
        assert_eq!(squares, items.iter().map(|item| item * item).collect::<Vec<_>>());
        assert_eq!(heard, (0..100).collect::<Vec<_>>());
    }

    #[test]
    fn no_items_give_no_results() {
        assert_eq!(map(&[0_u8; 0], |item| *item, &mut |_| {}), Vec::<u8>::new());
    }
}
