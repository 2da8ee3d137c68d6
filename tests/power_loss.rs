//! Proof by power loss: a process writes under load on a disk whose unsynced writes are dropped at the cut, again and
//! again; after each loss every acknowledged record is there, in order, whole, and what was kept of removed ones goes with where the journal begins.
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
use std::sync::OnceLock;

use bytes::Bytes;
use rand::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;
use selfsame::adapters::journal::{JournalOptions, SledJournal, SyncMode, check};
use selfsame::book::records::Cursor;
use selfsame::ports::journal::{Append, Direction, Epoch, Journal, Kept, KeptChange, Reach, Record};
use selfsame::vocabulary::ids::ProgramId;

const NAMES: [&str; 2] = ["one", "two"];
/// How many records a cut leaves.
const LEFT_RECORDS: u64 = 250;
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

fn write_until_killed(folder: &Path, sync: SyncMode) -> Result<(), Box<dyn std::error::Error>> {
    let journal = SledJournal::open(&folder.join("journal"), &JournalOptions { sync, ..JournalOptions::default() })?;
    say("\nopen");
    let mut random = Xoshiro256PlusPlus::seed_from_u64(journal.head(&program(NAMES[0]))?.last.0);
    for turn in 0..20_000_u64 {
        let mut group = Vec::new();
        for name in NAMES {
            group.extend(next_records(&journal, &program(name), random.gen_range(0..12))?);
        }
        journal.append(&group)?;
        let newest: BTreeMap<&str, u64> = group.iter().map(|append| (append.program.as_str(), append.record.cursor.0)).collect();
        for (name, last) in newest {
            say(&format!("ack {name} {last}"));
        }
        if turn % 60 == 59 {
            let one = program(NAMES[0]);
            let before = journal.head(&one)?.last.0.saturating_sub(LEFT_RECORDS).max(1);
            say(&format!("floor {one} {before}"));
            let put = (before > 1).then(|| kept(before)).into_iter().collect();
            let gone = journal.kept(&one)?.into_iter().map(|kept| kept.cursor).collect();
            journal.cut(&one, Epoch::SOLE, Cursor(before), &KeptChange { put, gone })?;
        }
    }
    Ok(())
}

fn program(name: &str) -> ProgramId {
    ProgramId::new(name).expect("a sound name")
}

fn next_records(journal: &SledJournal, program: &ProgramId, count: u64) -> Result<Vec<Append>, Box<dyn std::error::Error>> {
    let mut head = journal.head(program)?;
    let mut group = Vec::new();
    for _ in 0..count {
        head.last = Cursor(head.last.0 + 1);
        let payload = Bytes::from(payload(program.as_str(), head.last.0));
        head.chain = head.chain.then(head.last, &payload);
        let record = Record { cursor: head.last, chain: head.chain, payload };
        group.push(Append { program: program.clone(), epoch: Epoch::SOLE, record });
    }
    Ok(group)
}

/// A payload that follows from its place; some are larger than one value of the store.
fn payload(name: &str, place: u64) -> Vec<u8> {
    let mut random = Xoshiro256PlusPlus::seed_from_u64(u64::from(name == NAMES[1]) << 32 | place);
    let length = if random.gen_ratio(1, 40) { 9_000 } else { random.gen_range(20..600) };
    (0..length).map(|_| random.r#gen()).collect()
}

/// The one entry that is kept when a journal begins at a place: another cut replaces it.
fn kept(first: u64) -> Kept {
    Kept { cursor: Cursor(first - 1), payload: Bytes::from(payload("kept", first)) }
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

/// What the writing process was told is durable, and which records it may have cut.
#[derive(Default)]
struct Promises {
    acknowledged: BTreeMap<String, u64>,
    floors: BTreeMap<String, u64>,
    refusals: Vec<String>,
}

impl Promises {
    fn hear(&mut self, line: &str) {
        match line.split(' ').collect::<Vec<_>>()[..] {
            ["ack", programme, seq] => {
                self.acknowledged.insert(programme.to_owned(), seq.parse().unwrap());
            }
            ["floor", programme, seq] => {
                self.floors.insert(programme.to_owned(), seq.parse().unwrap());
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
        let journal = SledJournal::open(&folder.join("journal"), &JournalOptions::default()).map_err(|e| e.to_string())?;
        let report = check(&journal);
        if !report.is_sound() {
            return Err(format!("not sound: {report:?}"));
        }
        for (name, acknowledged) in &self.acknowledged {
            let program = program(name);
            let head = journal.head(&program).unwrap();
            if head.last.0 < *acknowledged {
                return Err(format!("programme {name}: {acknowledged} was acknowledged, {} is the last", head.last.0));
            }
            if head.first.0 > self.floors.get(name).copied().unwrap_or(1) {
                return Err(format!("programme {name}: records before {} are gone", head.first.0));
            }
            let mut from = head.first;
            while from <= head.last {
                let reach = Reach { from, to: head.last, direction: Direction::Forward, limit: 1_000 };
                for record in journal.read(&program, reach).map_err(|e| e.to_string())? {
                    if record.payload != payload(name, record.cursor.0) {
                        return Err(format!("programme {name}: record {} is another", record.cursor.0));
                    }
                    from = Cursor(record.cursor.0 + 1);
                }
            }
            // What is kept changes in the same batch as where the journal begins.
            let expected: Vec<Kept> = (head.first > Cursor(1)).then(|| kept(head.first.0)).into_iter().collect();
            if journal.kept(&program).map_err(|e| e.to_string())? != expected {
                return Err(format!("programme {name}: what is kept does not go with its beginning, {}", head.first.0));
            }
        }
        Ok(())
    }
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
        let child = machine.start("synced", library, &[]);
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
