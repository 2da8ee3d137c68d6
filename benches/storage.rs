//! How fast the storage is: durable appends in groups, look-ups in memory and in run files, opening a large table.
//! `cargo bench --bench storage`; `SELFSAME_BENCH_KEYS` sets the size of the large table (default 10,000,000).
#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "a benchmark prints, and stops at once when it fails")]

use std::hint::black_box;
use std::path::Path;
use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput, criterion_group};
use selfsame::adapters::storage::journal::{Journal, JournalOptions};
use selfsame::adapters::storage::record::{Entry, ProgrammeNumber};
use selfsame::adapters::storage::table::{Covered, PointTable, TableOptions};

/// Processor time of this thread, so that a busy machine does not count against code that never waits.
fn processor_time() -> Duration {
    let schedstat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    Duration::from_nanos(schedstat.split(' ').next().and_then(|n| n.parse().ok()).unwrap_or(0))
}

/// Prints the processor time of `work`. Criterion cannot: the clock of the thread ticks every few milliseconds.
fn print_processor_time(name: &str, times: u32, mut work: impl FnMut()) {
    (0..times / 10).for_each(|_| work());
    let begun = processor_time();
    (0..times).for_each(|_| work());
    println!("{name}: {:.2} us of processor time", processor_time().saturating_sub(begun).as_secs_f64() * 1e6 / f64::from(times));
}

/// As large as a key of the ledger: programme, kind, digest.
fn key(number: u64) -> [u8; 37] {
    let mut key = [0; 37];
    key[3] = 1;
    key[4] = u8::try_from(number % 6).unwrap();
    key[5..].copy_from_slice(blake3::hash(&number.to_be_bytes()).as_bytes());
    key
}

fn journal_append(criterion: &mut Criterion) {
    let folder = tempfile::tempdir().unwrap();
    let journal = Journal::open(folder.path(), &JournalOptions::default()).unwrap();
    let programme = journal.programme("bench").unwrap();
    let mut seq = 0;
    let mut group = criterion.benchmark_group("journal");
    group.sample_size(20).measurement_time(Duration::from_secs(8));
    for entries in [1_u64, 16, 128, 512] {
        group.throughput(Throughput::Elements(entries));
        group.bench_function(format!("append durably, {entries} records of 300 bytes a group"), |bencher| {
            bencher.iter(|| {
                let entry = |at| Entry { programme, seq: seq + at, payload: vec![7; 300], side: Vec::new() };
                let batch: Vec<Entry> = (1..=entries).map(entry).collect();
                journal.append_group(&batch).unwrap();
                seq += entries;
            });
        });
    }
    group.finish();
    let disk_bytes = selfsame::adapters::storage::check::stats(&journal.reader()).unwrap().disk_bytes;
    println!("journal: {seq} records of 300 bytes take {} bytes of disk each", disk_bytes / seq.max(1));
    let begun = processor_time();
    let read = journal.reader().scan(programme, 1..=seq).map(Result::unwrap).count();
    let each = processor_time().saturating_sub(begun).as_nanos() / u128::from(seq.max(1));
    println!("journal: {read} records scanned and verified, {each} ns of processor time each");
}

fn table_in_memory() {
    let folder = tempfile::tempdir().unwrap();
    let table = PointTable::open(folder.path(), TableOptions::default()).unwrap();
    let keys: Vec<[u8; 37]> = (0..200_000).map(key).collect();
    let value = [5; 40];
    for key in &keys {
        table.put(key, &value).unwrap();
    }
    let mut at = 0;
    print_processor_time("table in memory: 20 gets and 20 puts", 50_000, || {
        for _ in 0..20 {
            at = (at + 7_919) % keys.len();
            black_box(table.read(&keys[at], |value| value.map(<[u8]>::len)).unwrap());
            table.put(&keys[at], &value).unwrap();
        }
    });
}

fn nanos_each(begun: Instant, count: u64) -> f64 {
    begun.elapsed().as_secs_f64() * 1e9 / f64::from(u32::try_from(count.max(1)).unwrap())
}

/// Fills a table as the ledger would, with checkpoints and merges in the background.
fn fill(folder: &Path, count: u64) {
    let begun = Instant::now();
    let table = PointTable::open(folder, TableOptions::default()).unwrap();
    let mut slowest = Duration::ZERO;
    for number in 0..count {
        table.put(&key(number), &[5; 40]).unwrap();
        if table.wants_checkpoint() {
            let asked = Instant::now();
            table.checkpoint(covered(number), Box::new(|| Ok(()))).unwrap();
            slowest = slowest.max(asked.elapsed());
        }
    }
    table.checkpoint(covered(count), Box::new(|| Ok(()))).unwrap();
    println!("large table: {count} puts, {:.0} ns each; longest wait for a checkpoint {slowest:?}", nanos_each(begun, count));
    table.settle().unwrap();
    println!("large table: settled after {:?}, {:?}", begun.elapsed(), table.stats());
}

fn covered(seq: u64) -> Covered {
    Covered::from([(ProgrammeNumber::new(1).unwrap(), seq)])
}

fn large_table() {
    let count = std::env::var("SELFSAME_BENCH_KEYS").ok().and_then(|n| n.parse().ok()).unwrap_or(10_000_000);
    let folder = tempfile::tempdir().unwrap();
    fill(folder.path(), count);
    let begun = Instant::now();
    let table = PointTable::open(folder.path(), TableOptions::default()).unwrap();
    println!("large table: opened in {:?}, {} bytes of memory", begun.elapsed(), table.approximate_memory_bytes());
    let opened = Instant::now();
    while table.approximate_memory_bytes() < usize::try_from(count).unwrap() * 4 {
        // The filter over all runs is built in the background; the figures are those with it.
        std::thread::yield_now();
    }
    println!("large table: filter over all runs built after {:?}", opened.elapsed());
    let mut number = 0;
    print_processor_time("large table: get, present, spread over all", 200_000, || {
        number = (number + 7_919_993) % count;
        assert!(table.read(&key(number), |value| value.is_some()).unwrap());
    });
    print_processor_time("large table: get, present, 1,000 hot keys", 200_000, || {
        number = (number + 1) % 1_000;
        assert!(table.read(&key(number), |value| value.is_some()).unwrap());
    });
    let mut unseen = count;
    print_processor_time("large table: get, never seen", 200_000, || {
        unseen += 1;
        black_box(table.read(&key(unseen), |value| value.is_some()).unwrap());
    });
    print_processor_time("large table: making the key, contained in the above", 200_000, || {
        unseen += 1;
        black_box(key(unseen));
    });
    let stats = table.stats();
    println!("large table: {stats:?}");
    println!(
        "large table: false-positive rate {:?}, {} bytes of memory",
        stats.false_positive_rate(),
        table.approximate_memory_bytes()
    );
}

criterion_group!(journal, journal_append);

fn main() {
    table_in_memory();
    large_table();
    journal();
    Criterion::default().configure_from_args().final_summary();
}
