//! Proof by power loss: a process writes under load on a disk whose unsynced writes are dropped at the cut, again and
//! again; after each cut every acknowledged record is there, in order, whole, and the derived table agrees with it.
//! The same harness shows that sled's own flush is not enough, that a full disk loses nothing, and that a read-only
//! folder is named.
//!
//! The disk is `power_loss/interposer.c`, preloaded into the writing process, which is this test binary started once
//! more. It needs a C compiler and Linux; without them the tests say so and prove nothing.
//! `SELFSAME_POWER_CYCLES` sets the number of cuts (default 8).
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr, reason = "a test stops at once")]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, OnceLock};

use rand::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;
use selfsame::adapters::storage::check::check;
use selfsame::adapters::storage::error::StorageError;
use selfsame::adapters::storage::group::{Committer, GroupOptions};
use selfsame::adapters::storage::journal::{Journal, JournalOptions, SyncMode};
use selfsame::adapters::storage::record::{Entry, ProgrammeNumber, SideTag, SideWrite};
use selfsame::adapters::storage::table::{PointTable, TableOptions};

const NAMES: [&str; 2] = ["one", "two"];
const LAST: SideTag = SideTag(b'l');
const TABLE_KEYS: u64 = 300;
/// How many records retention keeps. Fewer than the table has keys by default, so that what only the table knows is looked at too.
const KEPT_RECORDS: &str = "POWER_KEPT_RECORDS";
/// How the writing process is told what to do.
const ROLE: &str = "SELFSAME_POWER_ROLE";

// ---------------------------------------------------------------- the process that writes

/// Not a claim: the body of the writing process. It does nothing unless the harness starts it.
#[test]
fn writing_process() {
    let Ok(role) = std::env::var(ROLE) else { return };
    let folder = PathBuf::from(std::env::var_os("POWER_FOLDER").expect("the harness names a folder"));
    let sync = if role == "unsynced" { SyncMode::Skip } else { SyncMode::Data };
    if let Err(error) = write_until_killed(&folder, sync) {
        say(&format!("refused {error}"));
    }
    std::process::exit(0);
}

fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    out.write_all(format!("{line}\n").as_bytes()).expect("the harness reads");
    out.flush().expect("the harness reads");
}

fn write_until_killed(folder: &Path, sync: SyncMode) -> Result<(), StorageError> {
    let journal = Arc::new(Journal::open(&folder.join("journal"), &JournalOptions { sync, ..JournalOptions::default() })?);
    let programmes = [journal.programme(NAMES[0])?, journal.programme(NAMES[1])?];
    let mut next = programmes.map(|programme| journal.reader().last_seq(programme).expect("readable") + 1);
    let table = open_table(&journal, &folder.join("table"));
    let committer = Committer::start(Arc::clone(&journal), GroupOptions { queue_entries: 200, ..GroupOptions::default() }, [])?;
    say("\nopen");
    let kept_records = std::env::var(KEPT_RECORDS).ok().and_then(|count| count.parse().ok()).unwrap_or(250);
    for turn in 0..200_000_u64 {
        let at = usize::from(turn % 3 == 0);
        let (programme, seq) = (programmes[at], next[at]);
        let permit = loop {
            match committer.admit() {
                Err(StorageError::Busy { .. }) => std::thread::yield_now(),
                admitted => break admitted?,
            }
        };
        next[at] += 1;
        let done = move |result: Result<(), StorageError>| {
            if result.is_ok() {
                say(&format!("ack {programme} {seq}"));
            }
        };
        committer.stage(permit, entry(programme, seq), Box::new(done));
        table.put(&table_key(programme, seq), &seq.to_be_bytes()).expect("the table takes it");
        if table.wants_checkpoint() && !table.is_checkpointing() {
            let covered = [(programmes[0], next[0] - 1), (programmes[1], next[1] - 1)];
            let durable = covered.map(|(programme, seq)| (committer.durable(programme), seq));
            let gate = move || durable.iter().try_for_each(|(durable, seq)| durable.wait_blocking(*seq));
            // When the disk is full, the journal is about to say so.
            drop(table.checkpoint(covered.into(), Box::new(gate)));
        }
        if turn % 700 == 699 {
            let keep = committer.durable(programmes[0]).get().saturating_sub(kept_records).max(1);
            say(&format!("floor {} {keep}", programmes[0]));
            journal.remove_before(programmes[0], keep)?;
        }
    }
    committer.failure().map_or(Ok(()), Err)
}

/// Opens the table and brings it up to the journal, as the ledger does.
fn open_table(journal: &Journal, folder: &Path) -> PointTable {
    let options = TableOptions { memtable_bytes: 16_000, runs_per_tier: 3, ..TableOptions::default() };
    let table = PointTable::open(folder, options).expect("a power cut never damages a table");
    let covered = table.covered();
    for (_, programme) in journal.reader().programmes().expect("readable") {
        let after = covered.get(&programme).copied().unwrap_or(0);
        for record in journal.reader().scan(programme, after + 1..=u64::MAX) {
            let seq = record.expect("sound").seq;
            table.put(&table_key(programme, seq), &seq.to_be_bytes()).expect("the table takes it");
        }
    }
    table
}

fn table_key(programme: ProgrammeNumber, seq: u64) -> Vec<u8> {
    format!("{programme}/{}", seq % TABLE_KEYS).into_bytes()
}

/// A record whose content follows from its place; some are larger than one value.
fn entry(programme: ProgrammeNumber, seq: u64) -> Entry {
    let seed = u64::from(programme.get()) << 32 | seq;
    let mut random = Xoshiro256PlusPlus::seed_from_u64(seed);
    let length = if random.gen_ratio(1, 40) { 9_000 } else { random.gen_range(20..600) };
    let payload = (0..length).map(|_| random.r#gen()).collect();
    let side = vec![SideWrite { tag: LAST, key: b"last".to_vec(), value: Some(seq.to_be_bytes().to_vec()) }];
    Entry { programme, seq, payload, side }
}

// ---------------------------------------------------------------- the disk

/// The interposer, built once; absent without a C compiler.
fn interposer() -> Option<&'static Path> {
    static BUILT: OnceLock<Option<(tempfile::TempDir, PathBuf)>> = OnceLock::new();
    let built = BUILT.get_or_init(|| {
        let place = tempfile::tempdir().unwrap();
        let library = place.path().join("interposer.so");
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/power_loss/interposer.c");
        let compiler = std::env::var_os("CC").unwrap_or_else(|| "cc".into());
        let mut compile = Command::new(compiler);
        compile.args(["-O1", "-shared", "-fPIC", "-w", "-o"]).arg(&library).arg(source).args(["-ldl", "-lpthread"]);
        match compile.status() {
            Ok(status) if status.success() => Some((place, library)),
            outcome => {
                eprintln!("NOT PROVEN: no C compiler to build the disk that loses power ({outcome:?})");
                None
            }
        }
    });
    built.as_ref().map(|(_, library)| library.as_path())
}

/// One life of the machine: a folder, and what would be left of it.
struct Machine {
    place: tempfile::TempDir,
}

impl Machine {
    fn new() -> Machine {
        let machine = Machine { place: tempfile::tempdir().unwrap() };
        std::fs::create_dir(machine.folder()).unwrap();
        machine
    }

    fn folder(&self) -> PathBuf {
        self.place.path().join("folder")
    }

    fn shadow(&self) -> PathBuf {
        self.place.path().join("shadow")
    }

    fn start(&self, role: &str, library: &Path, settings: &[(&str, &str)]) -> Child {
        if self.shadow().exists() {
            std::fs::remove_dir_all(self.shadow()).unwrap();
        }
        std::fs::create_dir(self.shadow()).unwrap();
        Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "writing_process", "--nocapture"])
            .env(ROLE, role)
            .env("LD_PRELOAD", library)
            .env("POWER_FOLDER", self.folder())
            .env("POWER_SHADOW", self.shadow())
            .envs(settings.iter().copied())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap()
    }

    /// Replaces the folder by what the cut left of it.
    fn lose_power(&self, cut: Cut, random: &mut Xoshiro256PlusPlus) {
        let left = self.place.path().join("left");
        let root = std::fs::read_to_string(self.shadow().join("root")).unwrap();
        let id = root.trim().replace(' ', ".");
        self.rebuild(&id, &self.folder(), &left, cut, random);
        std::fs::remove_dir_all(self.folder()).unwrap();
        std::fs::rename(left, self.folder()).unwrap();
    }

    fn rebuild(&self, directory: &str, written: &Path, left: &Path, cut: Cut, random: &mut Xoshiro256PlusPlus) {
        std::fs::create_dir(left).unwrap();
        // A directory that was never synced is empty.
        let names = std::fs::read_to_string(self.shadow().join(format!("d{directory}"))).unwrap_or_default();
        for line in names.lines() {
            let [kind, inode, generation, name] = line.splitn(4, ' ').collect::<Vec<_>>()[..] else { panic!("{line}") };
            let id = format!("{inode}.{generation}");
            if kind == "d" {
                self.rebuild(&id, &written.join(name), &left.join(name), cut, random);
                continue;
            }
            let mut bytes = std::fs::read(self.shadow().join(format!("i{id}"))).unwrap_or_default();
            let path = written.join(name);
            let same_file = std::fs::metadata(&path).is_ok_and(|status| status.ino().to_string() == inode);
            if cut == Cut::KeepsSomePages && same_file {
                mix_pages(&mut bytes, &std::fs::read(&path).unwrap(), random);
            }
            std::fs::write(left.join(name), bytes).unwrap();
        }
    }
}

/// What becomes of writes that were not synced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cut {
    /// All are dropped.
    DropsAll,
    /// Each page survives or not, as a cache writes back in any order.
    KeepsSomePages,
}

fn mix_pages(durable: &mut Vec<u8>, written: &[u8], random: &mut Xoshiro256PlusPlus) {
    for (page, content) in written.chunks(4_096).enumerate() {
        let from = page * 4_096;
        let old = durable.get(from..(from + content.len()).min(durable.len())).unwrap_or_default();
        if old != content && random.r#gen() {
            if durable.len() < from + content.len() {
                durable.resize(from + content.len(), 0);
            }
            durable[from..from + content.len()].copy_from_slice(content);
        }
    }
}

// ---------------------------------------------------------------- what was promised

/// What the writing process was told is durable, and which records it may have removed.
#[derive(Default)]
struct Promises {
    acknowledged: BTreeMap<u32, u64>,
    floors: BTreeMap<u32, u64>,
    refusals: Vec<String>,
}

impl Promises {
    fn hear(&mut self, line: &str) {
        match line.split(' ').collect::<Vec<_>>()[..] {
            ["ack", programme, seq] => {
                self.acknowledged.insert(programme.parse().unwrap(), seq.parse().unwrap());
            }
            ["floor", programme, seq] => {
                self.floors.insert(programme.parse().unwrap(), seq.parse().unwrap());
            }
            ["refused", ..] => self.refusals.push(line.to_owned()),
            _ => {}
        }
    }

    /// Listens until so many acknowledgements came, kills, and hears out what was said before.
    fn listen(&mut self, mut child: Child, acknowledgements: usize) {
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut heard = 0;
        while heard < acknowledgements {
            let Some(Ok(line)) = lines.next() else { break };
            self.hear(&line);
            heard += usize::from(line.starts_with("ack "));
        }
        child.kill().unwrap();
        for line in lines.map_while(Result::ok) {
            // The last line may be cut; an acknowledgement that nobody read was not given.
            if line.split(' ').count() == 3 {
                self.hear(&line);
            }
        }
        child.wait().unwrap();
    }

    /// Whether the folder keeps all that was promised; otherwise what is broken.
    fn kept_by(&self, folder: &Path) -> Result<(), String> {
        let journal = Journal::open(&folder.join("journal"), &JournalOptions::default()).map_err(|e| e.to_string())?;
        let reader = journal.reader();
        let report = check(&reader).map_err(|e| e.to_string())?;
        if !report.is_sound() {
            return Err(format!("not sound: {report:?}"));
        }
        for (programme, acknowledged) in &self.acknowledged {
            let programme = ProgrammeNumber::new(*programme).unwrap();
            let (first, last) = (reader.first_seq(programme).unwrap(), reader.last_seq(programme).unwrap());
            if last < *acknowledged {
                return Err(format!("programme {programme}: {acknowledged} was acknowledged, {last} is the last"));
            }
            if first > self.floors.get(&programme.get()).copied().unwrap_or(1) {
                return Err(format!("programme {programme}: records before {first} are gone"));
            }
            for record in reader.scan(programme, first..=last).map(Result::unwrap) {
                if record.payload != entry(programme, record.seq).payload {
                    return Err(format!("programme {programme}: record {} is another", record.seq));
                }
            }
            // The side entry is of the same batch as the last record.
            let side = reader.side(programme, LAST, b"last").unwrap();
            if side.as_deref() != (last > 0).then(|| last.to_be_bytes()).as_ref().map(|bytes| &bytes[..]) {
                return Err(format!("programme {programme}: the side entry does not go with record {last}"));
            }
        }
        table_agrees(&journal, &folder.join("table"))
    }
}

fn table_agrees(journal: &Journal, folder: &Path) -> Result<(), String> {
    let reader = journal.reader();
    let covered = PointTable::open(folder, TableOptions::default()).map_err(|e| e.to_string())?.covered();
    for (programme, covered) in covered {
        let last = reader.last_seq(programme).unwrap();
        if covered > last {
            return Err(format!("programme {programme}: the table covers {covered}, the journal ends at {last}"));
        }
    }
    let table = open_table(journal, folder);
    for (_, programme) in reader.programmes().unwrap() {
        let last = reader.last_seq(programme).unwrap();
        for seq in last.saturating_sub(TABLE_KEYS - 1).max(1)..=last {
            let found = table.get(&table_key(programme, seq)).map_err(|e| e.to_string())?;
            if found.as_deref() != Some(&seq.to_be_bytes()[..]) {
                return Err(format!("programme {programme}: the table holds {found:?} for record {seq}"));
            }
        }
    }
    Ok(())
}

fn cycles() -> u64 {
    std::env::var("SELFSAME_POWER_CYCLES").ok().and_then(|n| n.parse().ok()).unwrap_or(8)
}

/// Cuts the power again and again; the machine goes on with what was left. Gives what was broken, by cycle.
fn cut_again_and_again(role: &str, cut: Cut, cycles: u64, library: &Path) -> Vec<String> {
    let mut random = Xoshiro256PlusPlus::seed_from_u64(cycles);
    let mut machine = Machine::new();
    let mut promises = Promises::default();
    let mut broken = Vec::new();
    for cycle in 0..cycles {
        let child = machine.start(role, library, &[]);
        promises.listen(child, random.gen_range(20..1_500));
        assert_eq!(promises.refusals, Vec::<String>::new(), "cycle {cycle}");
        machine.lose_power(cut, &mut random);
        if let Err(reason) = promises.kept_by(&machine.folder()) {
            broken.push(format!("cycle {cycle}: {reason}"));
            (machine, promises) = (Machine::new(), Promises::default());
        }
    }
    broken
}

#[test]
fn every_acknowledged_record_survives_power_loss_when_unsynced_writes_are_dropped() {
    let Some(library) = interposer() else { return };

    let broken = cut_again_and_again("synced", Cut::DropsAll, cycles(), library);

    assert_eq!(broken, Vec::<String>::new());
}

#[test]
fn every_acknowledged_record_survives_power_loss_when_some_unsynced_pages_are_kept() {
    let Some(library) = interposer() else { return };

    let broken = cut_again_and_again("synced", Cut::KeepsSomePages, cycles(), library);

    assert_eq!(broken, Vec::<String>::new());
}

#[test]
fn without_the_sync_power_loss_loses_acknowledged_records() {
    let Some(library) = interposer() else { return };

    let broken = cut_again_and_again("unsynced", Cut::DropsAll, 3, library);

    assert_eq!(broken.len(), 3, "{broken:?}");
}

#[test]
fn a_full_disk_refuses_writes_and_loses_nothing_that_was_acknowledged() {
    let Some(library) = interposer() else { return };
    let machine = Machine::new();
    let mut promises = Promises::default();

    let child = machine.start("synced", library, &[("POWER_ROOM_BYTES", "3000000")]);
    promises.listen(child, usize::MAX);

    assert!(promises.acknowledged.values().sum::<u64>() > 100, "{:?}", promises.acknowledged);
    assert!(promises.refusals.iter().any(|line| line.contains("the disk is full")), "{:?}", promises.refusals);
    promises.kept_by(&machine.folder()).unwrap();
    // With room again, the same folder goes on.
    let child = machine.start("synced", library, &[]);
    promises.listen(child, 200);
    promises.kept_by(&machine.folder()).unwrap();
}

#[test]
fn a_read_only_folder_is_named_as_such() {
    let Some(library) = interposer() else { return };
    let machine = Machine::new();
    let mut promises = Promises::default();

    let child = machine.start("synced", library, &[("POWER_READ_ONLY", "1")]);
    promises.listen(child, usize::MAX);

    assert!(promises.refusals.iter().any(|line| line.contains("cannot be written")), "{:?}", promises.refusals);
}

#[test]
#[expect(clippy::disallowed_methods, reason = "the cut comes at any moment, not at an event")]
fn a_power_cut_during_the_very_first_opening_leaves_a_folder_that_opens() {
    let Some(library) = interposer() else { return };
    let mut random = Xoshiro256PlusPlus::seed_from_u64(1);
    let mut never_opened = 0;
    for cut in (0..12).map(|number| if number % 2 == 0 { Cut::DropsAll } else { Cut::KeepsSomePages }) {
        let machine = Machine::new();
        let mut promises = Promises::default();
        // The table may be gone with its folder, so the journal keeps all that it knows.
        let child = machine.start("synced", library, &[(KEPT_RECORDS, "400")]);
        std::thread::sleep(std::time::Duration::from_millis(random.gen_range(5..60)));
        promises.listen(child, 0);
        if machine.shadow().join("root").exists() {
            machine.lose_power(cut, &mut random);
        }
        never_opened += usize::from(!machine.folder().join("journal").exists());
        promises.kept_by(&machine.folder()).unwrap();
    }
    eprintln!("{never_opened} of 12 cuts came before there was a store");
}
