//! Folds: which rows fit and which test. Groups are never split; time folds never look ahead.
//!
//! Deterministic in the seed. Called by the champion's choice, by calibration and by evaluation.

use std::collections::BTreeMap;

use super::matrix::Matrix;
use crate::vocabulary::time::Timestamp;

/// Rows to fit on and rows to test on. No group stands on both sides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fold {
    /// Rows to fit on, ascending.
    pub fit: Vec<usize>,
    /// Rows to test on, ascending.
    pub test: Vec<usize>,
}

/// A number in [0, 1) for the name of a unit: the same for ever, whatever else there is.
fn draw(seed: u64, salt: &str, unit: &str) -> f64 {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&seed.to_le_bytes()).update(salt.as_bytes()).update(unit.as_bytes());
    let mut first_bytes = [0; 8];
    hasher.finalize_xof().fill(&mut first_bytes);
    #[expect(clippy::cast_precision_loss, reason = "53 bits of a hash are taken, which an f64 holds exactly")]
    let drawn = (u64::from_le_bytes(first_bytes) >> 11) as f64 / (1_u64 << 53) as f64;
    drawn
}

/// Splits units into a development part and a hold-out of about this share of all of them.
#[must_use]
pub fn hold_out(matrix: &Matrix, share: f64, seed: u64) -> Fold {
    let units = matrix.units();
    let held_out: Vec<bool> = units.names.iter().map(|name| draw(seed, "hold-out", name) < share).collect();
    let is_test = |row: &usize| held_out[units.of(*row) as usize];
    let (test, fit) = (0..matrix.len()).partition(is_test);
    Fold { fit, test }
}

/// Grouped folds with about equally many rows and abusive rows: groups from large to small, each into the fold that lacks most.
#[must_use]
pub fn grouped(matrix: &Matrix, rows: &[usize], folds: usize, seed: u64) -> Vec<Fold> {
    let units = matrix.units();
    let mut by_group: BTreeMap<u32, (usize, usize)> = BTreeMap::new();
    for row in rows {
        let (all, abusive) = by_group.entry(units.of(*row)).or_default();
        *all += 1;
        *abusive += usize::from(matrix.abusive()[*row]);
    }
    let mut groups: Vec<(u32, usize, usize)> =
        by_group.into_iter().map(|(group, (all, abusive))| (group, all, abusive)).collect();
    let drawn = |unit: u32| draw(seed, "fold", units.name(unit));
    groups.sort_by(|a, b| b.1.cmp(&a.1).then(drawn(a.0).total_cmp(&drawn(b.0))).then(a.0.cmp(&b.0)));
    let mut filled = vec![(0_usize, 0_usize); folds];
    let mut fold_of: BTreeMap<u32, usize> = BTreeMap::new();
    for (group, all, abusive) in groups {
        let least = |(a, b): &(usize, usize)| if abusive > 0 { (*b, *a) } else { (*a, *b) };
        let fold = (0..folds).min_by_key(|fold| least(&filled[*fold])).unwrap_or(0);
        filled[fold].0 += all;
        filled[fold].1 += abusive;
        fold_of.insert(group, fold);
    }
    (0..folds)
        .map(|fold| {
            let (test, fit) = rows.iter().copied().partition(|row| fold_of.get(&units.of(*row)) == Some(&fold));
            Fold { fit, test }
        })
        .collect()
}

/// Folds that walk forward in time: fitted on what happened and was labelled before a date, tested on the time after it. Groups that stand
/// on both sides are taken out of fitting.
#[must_use]
pub fn forward(matrix: &Matrix, rows: &[usize], folds: usize) -> Vec<Fold> {
    let mut times: Vec<Timestamp> = rows.iter().map(|row| matrix.occurred_at()[*row]).collect();
    times.sort_unstable();
    let at = |part: usize| times.get(times.len() * part / (folds + 1)).copied();
    (1..=folds)
        .filter_map(|part| {
            let from = at(part)?;
            let until = at(part + 1);
            let in_window = |row: &usize| {
                let time = matrix.occurred_at()[*row];
                time >= from && until.is_none_or(|until| time < until)
            };
            let test: Vec<usize> = rows.iter().copied().filter(in_window).collect();
            Some(Fold { fit: known_before(matrix, rows, from, &test), test })
        })
        .filter(|fold| !fold.fit.is_empty() && !fold.test.is_empty())
        .collect()
}

/// Rows that had happened and were labelled before a date, without the groups of `test`.
#[must_use]
pub fn known_before(matrix: &Matrix, rows: &[usize], date: Timestamp, test: &[usize]) -> Vec<usize> {
    // A programme lives on: of it the past may be fitted on. Groups may not.
    let tested: std::collections::BTreeSet<u32> = test.iter().map(|row| matrix.groups()[*row]).collect();
    let known = |row: &usize| {
        matrix.occurred_at()[*row] < date && matrix.labeled_at()[*row] < date && !tested.contains(&matrix.groups()[*row])
    };
    rows.iter().copied().filter(known).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::offline::learning::matrix::{Row, UnitKind};
    use crate::offline::learning::synthetic::{self, matrix};

    fn groups_of(matrix: &Matrix, rows: &[usize]) -> BTreeSet<u32> {
        rows.iter().map(|row| matrix.groups()[*row]).collect()
    }

    #[test]
    fn no_group_is_ever_split() {
        let matrix = matrix(3_000, 7);
        let rows: Vec<usize> = (0..matrix.len()).collect();
        let folds =
            grouped(&matrix, &rows, 5, 1).into_iter().chain(forward(&matrix, &rows, 3)).chain([hold_out(&matrix, 0.3, 1)]);
        for Fold { fit, test } in folds {
            assert!(groups_of(&matrix, &fit).is_disjoint(&groups_of(&matrix, &test)));
            assert!(!fit.is_empty() && !test.is_empty());
        }
    }

    #[test]
    fn what_is_held_out_is_drawn_by_name_and_moved_by_no_other_row() {
        let all = matrix(3_000, 7);
        let name = |matrix: &Matrix, row: usize| matrix.units().name(matrix.units().of(row)).to_owned();
        let held_out: BTreeSet<String> = hold_out(&all, 0.3, 1).test.iter().map(|row| name(&all, *row)).collect();
        let fewer: Matrix = synthetic::rows(3_000, 7).into_iter().skip(100).collect();
        for (rows, held) in [(hold_out(&fewer, 0.3, 1).test, true), (hold_out(&fewer, 0.3, 1).fit, false)] {
            assert!(rows.iter().all(|row| held_out.contains(&name(&fewer, *row)) == held));
        }
    }

    #[test]
    fn of_many_programmes_whole_ones_are_held_out() {
        let rows = synthetic::rows(3_000, 7).into_iter().enumerate();
        let many: Matrix = rows.map(|(place, row)| Row { programme: format!("p{}", place % 12).into(), ..row }).collect();
        let Fold { fit, test } = hold_out(&many, 0.4, 1);
        let programmes = |rows: &[usize]| rows.iter().map(|row| row % 12).collect::<BTreeSet<_>>();
        assert!(programmes(&fit).is_disjoint(&programmes(&test)) && !test.is_empty());
        assert_eq!(many.units().kind, UnitKind::Programme);
    }

    #[test]
    fn grouped_folds_hold_all_rows_once_and_alike() {
        let matrix = matrix(3_000, 7);
        let rows: Vec<usize> = (0..matrix.len()).collect();
        let folds = grouped(&matrix, &rows, 5, 1);
        let mut tested: Vec<usize> = folds.iter().flat_map(|fold| fold.test.clone()).collect();
        tested.sort_unstable();
        assert_eq!(tested, rows);
        assert!(folds.iter().all(|fold| (550..650).contains(&fold.test.len())));
    }

    #[test]
    fn forward_folds_fit_only_on_what_was_known() {
        let matrix = matrix(3_000, 7);
        let rows: Vec<usize> = (0..matrix.len()).collect();
        for Fold { fit, test } in forward(&matrix, &rows, 3) {
            let from = test.iter().map(|row| matrix.occurred_at()[*row]).min().unwrap();
            assert!(fit.iter().all(|row| matrix.occurred_at()[*row] < from && matrix.labeled_at()[*row] < from));
        }
    }
}
