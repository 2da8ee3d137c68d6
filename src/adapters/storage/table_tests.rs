//! Claims about point tables: they answer like an ordered map whatever is frozen, written, merged or reopened.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc;

use proptest::prelude::*;

use crate::adapters::storage::error::{StorageError, TableError};
use crate::adapters::storage::record::ProgrammeNumber;
use crate::adapters::storage::table::{Covered, PointTable, Retention, TableOptions};

fn small() -> TableOptions {
    TableOptions {
        memtable_bytes: 4_096,
        recent_bytes: 40_000,
        cache_bytes: 16 * 16_384,
        runs_per_tier: 2,
        ..TableOptions::default()
    }
}

fn covered(seq: u64) -> Covered {
    Covered::from([(ProgrammeNumber::new(1).unwrap(), seq)])
}

fn checkpoint(table: &PointTable, seq: u64) {
    table.checkpoint(covered(seq), Box::new(|| Ok(()))).unwrap();
}

#[derive(Debug, Clone)]
enum Step {
    Put(u16, Vec<u8>),
    Delete(u16),
    Checkpoint,
    Settle,
    Compact,
    Reopen,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let key = 0..300_u16;
    let step = prop_oneof![
        60 => (key.clone(), prop::collection::vec(any::<u8>(), 0..80)).prop_map(|(k, v)| Step::Put(k, v)),
        20 => key.prop_map(Step::Delete),
        6 => Just(Step::Checkpoint),
        2 => Just(Step::Settle),
        1 => Just(Step::Compact),
        2 => Just(Step::Reopen),
    ];
    prop::collection::vec(step, 1..400)
}

/// Keys of uneven length, the empty key among them.
fn key(number: u16) -> Vec<u8> {
    if number == 0 { Vec::new() } else { format!("{:0width$}", number, width = usize::from(number % 40)).into_bytes() }
}

fn assert_equals_model(table: &PointTable, model: &BTreeMap<Vec<u8>, Vec<u8>>) -> Result<(), TestCaseError> {
    for number in 0..320 {
        let key = key(number);
        let found = table.get(&key).unwrap().map(|value| value.to_vec());
        prop_assert_eq!(found.as_ref(), model.get(&key), "key {}", number);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn a_table_answers_like_an_ordered_map_through_checkpoints_merges_and_reopening(steps in steps()) {
        let folder = tempfile::tempdir().unwrap();
        let mut table = PointTable::open(folder.path(), small()).unwrap();
        let mut model = BTreeMap::new();
        for (seq, step) in (1..).zip(&steps) {
            match step {
                Step::Put(number, value) => {
                    table.put(&key(*number), value).unwrap();
                    model.insert(key(*number), value.clone());
                }
                Step::Delete(number) => {
                    table.delete(&key(*number)).unwrap();
                    model.remove(&key(*number));
                }
                Step::Checkpoint => checkpoint(&table, seq),
                Step::Settle => table.settle().unwrap(),
                Step::Compact => table.compact().unwrap(),
                Step::Reopen => {
                    checkpoint(&table, seq);
                    drop(table);
                    table = PointTable::open(folder.path(), small()).unwrap();
                    prop_assert_eq!(table.covered(), covered(seq));
                    assert_equals_model(&table, &model)?;
                }
            }
        }
        assert_equals_model(&table, &model)?;
        checkpoint(&table, 1_000);
        table.compact().unwrap();
        assert_equals_model(&table, &model)?;
        prop_assert_eq!(table.stats().run_entries, model.len() as u64);
    }
}

#[test]
fn what_was_not_checkpointed_is_not_covered_after_reopening() {
    let folder = tempfile::tempdir().unwrap();
    let table = PointTable::open(folder.path(), small()).unwrap();
    table.put(b"kept", b"1").unwrap();
    checkpoint(&table, 7);
    table.put(b"lost", b"2").unwrap();
    drop(table);

    let table = PointTable::open(folder.path(), small()).unwrap();

    assert_eq!(table.covered(), covered(7));
    assert_eq!(table.get(b"kept").unwrap().as_deref(), Some(&b"1"[..]));
    assert_eq!(table.get(b"lost").unwrap(), None);
}

#[test]
fn frozen_entries_are_readable_and_not_covered_until_the_journal_is_durable() {
    let folder = tempfile::tempdir().unwrap();
    let table = PointTable::open(folder.path(), small()).unwrap();
    table.put(b"key", b"value").unwrap();
    let (durable, wait) = mpsc::channel();
    let gate = move || wait.recv().map_err(|_| StorageError::Closed);
    table.checkpoint(covered(1), Box::new(gate)).unwrap();

    assert!(table.is_checkpointing());
    assert_eq!(table.get(b"key").unwrap().as_deref(), Some(&b"value"[..]));
    assert_eq!(table.covered(), Covered::new());
    durable.send(()).unwrap();
    table.settle().unwrap();
    assert_eq!(table.covered(), covered(1));
    assert_eq!(table.get(b"key").unwrap().as_deref(), Some(&b"value"[..]));
}

#[test]
fn a_checkpoint_of_records_that_never_became_durable_is_abandoned() {
    let folder = tempfile::tempdir().unwrap();
    let table = PointTable::open(folder.path(), small()).unwrap();
    table.put(b"key", b"value").unwrap();
    table.checkpoint(covered(1), Box::new(|| Err(StorageError::Closed))).unwrap();

    assert!(matches!(table.settle(), Err(TableError::Write { .. })));
    assert_eq!(table.get(b"key").unwrap().as_deref(), Some(&b"value"[..]));
    drop(table);
    let reopened = PointTable::open(folder.path(), small()).unwrap();
    assert_eq!(reopened.covered(), Covered::new());
    assert_eq!(reopened.get(b"key").unwrap(), None);
}

#[test]
fn full_tiers_are_merged_so_that_the_number_of_runs_stays_small() {
    let folder = tempfile::tempdir().unwrap();
    let table = PointTable::open(folder.path(), small()).unwrap();
    for round in 0..32_u64 {
        for key in 0..20_u64 {
            table.put(&(round * 20 + key).to_be_bytes(), &round.to_be_bytes()).unwrap();
        }
        checkpoint(&table, round + 1);
        table.settle().unwrap();
    }

    assert!(table.stats().runs <= 6, "{} runs", table.stats().runs);
    assert_eq!(table.stats().run_entries, 640);
    let run_files = std::fs::read_dir(folder.path())
        .unwrap()
        .filter(|item| item.as_ref().unwrap().path().extension().is_some_and(|extension| extension == "run"));
    assert_eq!(run_files.count() as u64, table.stats().runs);
}

#[test]
fn the_retention_rule_drops_entries_when_all_runs_are_merged() {
    let folder = tempfile::tempdir().unwrap();
    let rule = |_key: &[u8], value: &[u8]| if value == b"old" { Retention::Drop } else { Retention::Keep };
    let table = PointTable::open(folder.path(), TableOptions { retention: Some(Arc::new(rule)), ..small() }).unwrap();
    table.put(b"a", b"old").unwrap();
    table.put(b"b", b"new").unwrap();
    checkpoint(&table, 1);
    table.put(b"c", b"old").unwrap();
    checkpoint(&table, 2);
    table.compact().unwrap();

    assert_eq!(table.get(b"a").unwrap(), None);
    assert_eq!(table.get(b"b").unwrap().as_deref(), Some(&b"new"[..]));
    assert_eq!(table.get(b"c").unwrap(), None);
}

#[test]
fn a_damaged_run_manifest_or_layout_asks_for_a_rebuild_and_discarding_starts_anew() {
    for damage in ["run", "manifest", "layout", "missing run"] {
        let (folder, run) = with_one_run();
        let mut options = small();
        match damage {
            "run" => flip_a_byte(&run, 100),
            "manifest" => flip_a_byte(&folder.path().join("manifest"), 10),
            "layout" => options.layout = 2,
            _ => std::fs::remove_file(&run).unwrap(),
        }

        let read = PointTable::open(folder.path(), options.clone()).and_then(|table| look_up_all(&table));

        assert!(matches!(read, Err(TableError::Rebuild { .. })), "{damage}: {read:?}");
        PointTable::discard(folder.path()).unwrap();
        let fresh = PointTable::open(folder.path(), options).unwrap();
        assert_eq!(fresh.covered(), Covered::new());
    }
}

#[test]
fn a_block_that_is_found_damaged_stops_the_table_and_the_next_opening_asks_for_a_rebuild() {
    let meet = |way: &str, table: &PointTable| match way {
        "look-up" => look_up_all(table),
        _ => table.compact(),
    };
    for way in ["look-up", "merge"] {
        let (folder, run) = with_one_run();
        flip_a_byte(&run, 100);
        let table = PointTable::open(folder.path(), small()).unwrap();
        assert!(table.failure().is_none(), "nobody has read the block yet");
        assert!(matches!(meet(way, &table), Err(TableError::Rebuild { .. })));
        assert!(matches!(table.failure(), Some(TableError::Rebuild { .. })));
        drop(table);
        assert!(matches!(PointTable::open(folder.path(), small()), Err(TableError::Rebuild { .. })));
        PointTable::discard(folder.path()).unwrap();
        assert!(PointTable::open(folder.path(), small()).is_ok());
    }
}

/// The folder of a table whose rows lie in one run, and that run.
fn with_one_run() -> (tempfile::TempDir, std::path::PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let table = PointTable::open(folder.path(), small()).unwrap();
    for number in 0..2_000_u32 {
        table.put(&number.to_be_bytes(), b"a value of some length").unwrap();
    }
    checkpoint(&table, 1);
    let run = folder.path().join("0000000000000001.run");
    (folder, run)
}

/// Looks up every row of [`with_one_run`].
fn look_up_all(table: &PointTable) -> Result<(), TableError> {
    (0..2_000_u32).try_for_each(|number| table.get(&number.to_be_bytes()).map(drop))
}

fn flip_a_byte(path: &std::path::Path, at: usize) {
    let mut bytes = std::fs::read(path).unwrap();
    bytes[at] ^= 1;
    std::fs::write(path, bytes).unwrap();
}

#[test]
fn never_seen_keys_cost_almost_no_reads() {
    let folder = tempfile::tempdir().unwrap();
    let table = PointTable::open(folder.path(), small()).unwrap();
    for number in 0..20_000_u64 {
        table.put(blake3::hash(&number.to_be_bytes()).as_bytes(), b"value").unwrap();
    }
    checkpoint(&table, 1);
    table.settle().unwrap();

    for number in 20_000..60_000_u64 {
        assert_eq!(table.get(blake3::hash(&number.to_be_bytes()).as_bytes()).unwrap(), None);
    }

    let rate = table.stats().false_positive_rate().unwrap();
    assert!(rate < 0.015, "{rate} instead of 0.01");
    let present = (0..20_000_u64).all(|n| table.get(blake3::hash(&n.to_be_bytes()).as_bytes()).unwrap().is_some());
    assert!(present);
    assert!(table.approximate_memory_bytes() < 1_700_000, "{}", table.approximate_memory_bytes());
}

#[test]
fn readers_see_every_key_while_checkpoints_and_merges_run() {
    let folder = tempfile::tempdir().unwrap();
    let table = PointTable::open(folder.path(), small()).unwrap();
    for key in 0..500_u32 {
        table.put(&key.to_be_bytes(), &0_u64.to_be_bytes()).unwrap();
    }
    std::thread::scope(|scope| {
        let readers: Vec<_> = (0..2)
            .map(|_| {
                scope.spawn(|| {
                    let mut newest = vec![0_u64; 500];
                    for turn in 0..20_000_usize {
                        let key = u32::try_from(turn * 7 % 500).unwrap();
                        let value = table.get(&key.to_be_bytes()).unwrap().expect("the key was put");
                        let value = u64::from_be_bytes(value.as_slice().try_into().unwrap());
                        assert!(value >= newest[key as usize], "an older value came back");
                        newest[key as usize] = value;
                    }
                })
            })
            .collect();
        for round in 1..60_u64 {
            for key in 0..500_u32 {
                table.put(&key.to_be_bytes(), &round.to_be_bytes()).unwrap();
            }
            checkpoint(&table, round);
        }
        for reader in readers {
            reader.join().unwrap();
        }
    });
}
