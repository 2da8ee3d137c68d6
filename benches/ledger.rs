//! How fast the ledger is: history and book at 10⁵ and 10⁶ known values, the whole screening on disk with many in flight, the feed,
//! the gate; and how many bytes a decision takes. `cargo bench --bench ledger`. What conversions take in memory, warm and cold, and what meeting a
//! cold account costs: `SELFSAME_BENCH_COLD=200000 cargo bench --bench ledger`.
#![expect(clippy::unwrap_used, clippy::print_stderr, reason = "a benchmark stops at once when it fails, and tells")]

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use criterion::{BatchSize, Criterion, Throughput, criterion_group};
use futures::executor::block_on;
use selfsame::adapters::embedded;
use selfsame::adapters::journal::JournalOptions;
use selfsame::adapters::model_shelf::ModelShelf;
use selfsame::adapters::policy_file;
use selfsame::adapters::policy_store::FixedPolicy;
use selfsame::adapters::standing_rules::StandingRules;
use selfsame::book::Books;
use selfsame::book::command::{Assessor, Command, ScreenCommand};
use selfsame::book::records::ContentFingerprint;
use selfsame::ledger::{ColdAfter, JournaledLedger, LateFacts, LedgerOptions};
use selfsame::offline::load::generator::{Traffic, TrafficShape, Walk};
use selfsame::ports::ledger::Ledger;
use selfsame::screening::audit::AuditKey;
use selfsame::vocabulary::conversion::Conversion;
use selfsame::vocabulary::ids::{ConversionId, ProgramId, RewardId};
use selfsame::vocabulary::time::Span;
use selfsame::wire::conversion::parse;
use selfsame::wire::fields::Arrival;

fn conversion(traffic: &Traffic, index: u64) -> Conversion {
    parse(traffic.conversion(index), "conversion", Arrival::Recorded).unwrap()
}

fn command(conversion: Conversion) -> ScreenCommand {
    let received_at = conversion.occurred_at;
    ScreenCommand { conversion, content: ContentFingerprint([1; 16]), received_at }
}

fn screening(conversion: Conversion) -> Command {
    Command::Screen(Box::new(command(conversion)))
}

fn assessor() -> Arc<dyn Assessor> {
    let policy = Arc::new(FixedPolicy::new(policy_file::shipped().unwrap()));
    Arc::new(StandingRules::new(policy, Arc::new(ModelShelf::default()), Some(AuditKey::new([1; 32]))))
}

/// A ledger that knows so many values, and the traffic that meets them.
fn filled(known_values: u64) -> (Books, Traffic) {
    let shape = TrafficShape::with_known_values("bench", known_values, 1);
    let filling = Traffic::new(shape.clone(), Walk::Filling);
    let mut books = Books::default();
    let assessor = assessor();
    for index in 0..shape.known_accounts {
        books.execute(screening(conversion(&filling, index)), &*assessor).unwrap();
    }
    (books, Traffic::new(shape, Walk::Measuring))
}

fn in_memory(c: &mut Criterion) {
    let assessor = assessor();
    for known_values in [100_000, 1_000_000] {
        let (mut books, traffic) = filled(known_values);
        let next = Cell::new(0);
        let draw = || {
            next.set(next.get() + 1);
            conversion(&traffic, next.get())
        };
        let mut group = c.benchmark_group(format!("in memory, {known_values} known values"));
        group.throughput(Throughput::Elements(1));
        group.bench_function("history", |b| {
            b.iter_batched_ref(draw, |conversion| books.history(conversion), BatchSize::LargeInput);
        });
        group.bench_function("history, assess, apply", |b| {
            let fresh = || screening(draw());
            b.iter_batched(fresh, |command| books.execute(command, &*assessor).unwrap(), BatchSize::LargeInput);
        });
    }
}

/// Screens `count` new conversions with `in_flight` waiting at a time; how long that took.
fn flood(ledger: &Arc<JournaledLedger>, conversions: Vec<Conversion>, in_flight: usize) -> Duration {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    let queue = Arc::new(parking_lot::Mutex::new(conversions.into_iter()));
    let started = Instant::now();
    runtime.block_on(async {
        let workers: Vec<_> = (0..in_flight)
            .map(|_| {
                let (ledger, queue) = (Arc::clone(ledger), Arc::clone(&queue));
                tokio::spawn(async move {
                    loop {
                        let next = queue.lock().next();
                        let Some(conversion) = next else { return };
                        ledger.screen(command(conversion)).await.unwrap();
                    }
                })
            })
            .collect();
        for worker in workers {
            worker.await.unwrap();
        }
    });
    started.elapsed()
}

/// Conversions that the benches of reading find.
const READ: u64 = 5_000;

fn on_disk(c: &mut Criterion) {
    let folder = tempfile::tempdir_in(".").unwrap();
    let ledger =
        Arc::new(embedded::open(folder.path(), JournalOptions::default(), LedgerOptions::default(), assessor()).unwrap());
    let traffic = Traffic::new(TrafficShape::with_known_values("bench", 100_000, 1), Walk::Measuring);
    let next = AtomicU64::new(READ);
    // Whatever benches are chosen, there is something to read.
    flood(&ledger, (0..READ).map(|index| conversion(&traffic, index)).collect(), 128);
    let mut group = c.benchmark_group("on disk, durable");
    group.throughput(Throughput::Elements(1)).sample_size(10);
    for in_flight in [1, 16, 128, 512] {
        group.bench_function(format!("{in_flight} in flight"), |b| {
            b.iter_custom(|count| {
                let first = next.fetch_add(count, Ordering::Relaxed);
                flood(&ledger, (first..first + count).map(|index| conversion(&traffic, index)).collect(), in_flight)
            });
        });
    }
    group.finish();
    let program = ProgramId::new("bench").unwrap();
    let records = ledger.programs().first().map_or(0, |program| program.last_cursor.0);
    let stored: u64 = walk(&folder.path().join("journal"));
    eprintln!("journal: {records} records, {} bytes on disk each", stored / records.max(1));
    reads(c, &ledger, &program, records);
}

fn reads(c: &mut Criterion, ledger: &Arc<JournaledLedger>, program: &ProgramId, records: u64) {
    let mut group = c.benchmark_group("reads on disk");
    assert!(records >= READ);
    group.throughput(Throughput::Elements(READ));
    group.bench_function("feed", |b| {
        b.iter(|| block_on(ledger.feed(program, None, usize::try_from(READ).unwrap())).unwrap());
    });
    let feed = block_on(ledger.feed(program, None, 100)).unwrap().0;
    let ids: Vec<ConversionId> = feed.into_iter().filter_map(|event| event.conversion_id).collect();
    assert_eq!(ids.len(), 100);
    let payouts: Vec<_> = ids.iter().map(|id| (RewardId::new(id.as_str()).unwrap(), id.clone())).collect();
    group.throughput(Throughput::Elements(1));
    group.bench_function("standings of 100 conversions", |b| b.iter(|| block_on(ledger.standings(program, &payouts)).unwrap()));
    group.bench_function("a decision", |b| b.iter(|| block_on(ledger.decision(program, &ids[0])).unwrap()));
    group.bench_function("a retry", |b| {
        let again = block_on(ledger.decision(program, &ids[0])).unwrap().unwrap().conversion;
        b.iter(|| block_on(ledger.screen(command(again.clone()))).unwrap());
    });
}

fn walk(folder: &std::path::Path) -> u64 {
    let size = |entry: std::io::Result<std::fs::DirEntry>| {
        let entry = entry.unwrap();
        let metadata = entry.metadata().unwrap();
        if metadata.is_dir() { walk(&entry.path()) } else { metadata.len() }
    };
    std::fs::read_dir(folder).unwrap().map(size).sum()
}

criterion_group!(benches, in_memory, on_disk);

/// A ledger in a folder in which facts that come late wait: what is measured is what is sent.
fn opened(folder: &std::path::Path, cold_after: ColdAfter) -> Arc<JournaledLedger> {
    let options = LedgerOptions { late_facts: LateFacts::LeftAlone, cold_after, ..LedgerOptions::default() };
    Arc::new(embedded::open(folder, JournalOptions::default(), options, assessor()).unwrap())
}

fn reading(ledger: &JournaledLedger, name: &str) -> f64 {
    ledger.readings().into_iter().find(|reading| reading.name == name).map_or(f64::NAN, |reading| reading.value)
}

/// Screens conversions that meet accounts of the filling, one at a time.
fn meet(ledger: &Arc<JournaledLedger>, traffic: &Traffic, first: u64, how: &str) {
    let count = 1_000;
    let fetched = reading(ledger, "cold_fetches_count");
    let took = flood(ledger, (first..first + count).map(|index| conversion(traffic, index)).collect(), 1);
    let fetched = reading(ledger, "cold_fetches_count") - fetched;
    eprintln!("{how}: {:.1} µs a conversion, {fetched} accounts brought back in {count}", took.as_secs_f64() * 1e6 / 1_000.0);
}

/// What a folder takes in a process that has just opened it.
fn tell_of_opening(folder: &std::path::Path) {
    let before = Instant::now();
    let ledger = opened(folder, ColdAfter::Never);
    let took = before.elapsed();
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let resident = status.lines().find(|line| line.starts_with("VmRSS")).unwrap_or("VmRSS: not known");
    let parts: Vec<String> =
        ["memory_bytes", "values_bytes", "accounts_bytes", "profiles_bytes", "conversions_bytes", "rewards_bytes"]
            .into_iter()
            .chain([
                "cold_filter_bytes",
                "warm_profiles_count",
                "warm_values_count",
                "cold_profiles_count",
                "cold_values_count",
                "cold_disk_bytes",
            ])
            .map(|name| format!("{name} {}", reading(&ledger, name)))
            .collect();
    eprintln!("opened in {took:?}, {resident}, {}", parts.join(", "));
}

fn tell_in_a_new_process(folder: &std::path::Path) {
    let own = std::env::current_exe().unwrap();
    assert!(std::process::Command::new(own).env(OPENS, folder).status().unwrap().success());
}

/// The folder that a process of this benchmark only opens.
const OPENS: &str = "SELFSAME_BENCH_OPENS";

fn cold(conversions: u64) {
    let folder = tempfile::tempdir_in(".").unwrap();
    let shape = TrafficShape { known_accounts: conversions, ..TrafficShape::with_known_values("bench", conversions, 1) };
    let (filling, measuring) = (Traffic::new(shape.clone(), Walk::Filling), Traffic::new(shape, Walk::Measuring));
    let ledger = opened(folder.path(), ColdAfter::Never);
    for first in (0..conversions).step_by(10_000) {
        let part = (first..conversions.min(first + 10_000)).map(|index| conversion(&filling, index)).collect();
        flood(&ledger, part, 256);
    }
    meet(&ledger, &measuring, 0, "warm");
    drop(ledger);
    tell_in_a_new_process(folder.path());
    let began = Instant::now();
    let ledger = opened(folder.path(), ColdAfter::Unmet(Span::ZERO));
    while reading(&ledger, "warm_profiles_count") > 100.0 {
        std::thread::yield_now();
    }
    eprintln!("opened, and made cold, in {:?}", began.elapsed());
    drop(ledger);
    tell_in_a_new_process(folder.path());
    meet(&opened(folder.path(), ColdAfter::Never), &measuring, 1_000, "cold");
}

fn main() {
    if let Some(folder) = std::env::var_os(OPENS) {
        return tell_of_opening(folder.as_ref());
    }
    if let Ok(conversions) = std::env::var("SELFSAME_BENCH_COLD") {
        return cold(conversions.parse().unwrap());
    }
    benches();
    Criterion::default().configure_from_args().final_summary();
}
