//! The committer alone, over a disk in memory: callers keep sending until they are told that a command is durable; after each failure the
//! store is reopened from what the disk kept. Everything that was acknowledged must then be there, in order, once.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use parking_lot::Mutex;
use selfsame::adapters::storage::error::StorageError;
use selfsame::adapters::storage::faults::{Fault, FaultyDurability};
use selfsame::adapters::storage::group::{Committer, GroupOptions};
use selfsame::adapters::storage::record::{Entry, ProgrammeNumber};
use selfsame::offline::load::generator::Dice;

use crate::for_each_seed;

/// What one seed does before its last reopening.
const STEPS: u64 = 60;
/// The queue is small, so that it is full now and then.
const QUEUE_ENTRIES: usize = 12;

type Disk = Arc<Mutex<Vec<Entry>>>;
/// A command by its number, and what the committer said of it.
type Told = (u64, Result<(), StorageError>);

/// The committer with its thread held at each group until the scheduler says what happens to it.
struct Store {
    committer: Committer,
    /// A group is about to be written.
    reached: Receiver<()>,
    decide: Sender<Fault>,
    told: Receiver<Told>,
    tell: Sender<Told>,
    /// Next sequence number of each programme.
    next_seq: BTreeMap<ProgrammeNumber, u64>,
    /// Handed over and not yet told.
    open: usize,
    /// Whether a group waits for its fate.
    held: Held,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Held {
    No,
    Yes,
}

impl Store {
    /// Opens what the disk holds, as the ledger does after a restart.
    fn open(disk: &Disk) -> Self {
        let mut durable: BTreeMap<ProgrammeNumber, u64> = BTreeMap::new();
        for entry in disk.lock().iter() {
            let last = durable.entry(entry.programme).or_default();
            assert_eq!(entry.seq, *last + 1, "the disk has a gap");
            *last = entry.seq;
        }
        let (reach, reached) = channel();
        let (decide, decided) = channel();
        let script = move |_group: u64| {
            // The test may be over; then nothing is decided any more and the group fails.
            let _ = reach.send(());
            decided.recv().unwrap_or(Fault::Fail)
        };
        let options = GroupOptions {
            group_entries: 5,
            group_bytes: 1 << 16,
            queue_entries: QUEUE_ENTRIES,
            retry_after: Duration::from_millis(1),
        };
        let durability = FaultyDurability::new(Arc::clone(disk), script);
        let committer = Committer::start(durability, options, durable.clone()).unwrap();
        let (tell, told) = channel();
        let next_seq = durable.into_iter().map(|(programme, last)| (programme, last + 1)).collect();
        Self { committer, reached, decide, told, tell, next_seq, open: 0, held: Held::No }
    }

    /// Hands a command over, unless the queue is full.
    fn send(&mut self, command: u64, programme: ProgrammeNumber) -> Result<(), StorageError> {
        let permit = self.committer.admit()?;
        let next = self.next_seq.entry(programme).or_insert(1);
        let entry = Entry { programme, seq: *next, payload: command.to_be_bytes().to_vec(), side: Vec::new() };
        *next += 1;
        let tell = self.tell.clone();
        self.committer.stage(permit, entry, Box::new(move |result| drop(tell.send((command, result)))));
        self.open += 1;
        self.hold_if_any();
        Ok(())
    }

    /// Waits until the committer holds a group, if it has anything to write: from here on the step is the same in every run.
    fn hold_if_any(&mut self) {
        if self.held == Held::No && self.open > 0 {
            self.reached.recv().unwrap();
            self.held = Held::Yes;
        }
    }

    /// Lets the held group meet its fate, and returns what was told of it.
    fn release(&mut self, fault: Fault, disk: &Disk) -> Vec<Told> {
        if self.held == Held::No {
            return Vec::new();
        }
        let before = disk.lock().len();
        self.decide.send(fault).unwrap();
        self.held = Held::No;
        let mut told = vec![self.told.recv().unwrap()];
        match fault {
            Fault::None => {
                // All of the group are told; how many they are, the disk says.
                let group = disk.lock().len() - before;
                told.extend((1..group).map(|_| self.told.recv().unwrap()));
            }
            // After a failure everything that waits is told.
            Fault::Fail | Fault::Torn { .. } | Fault::LostAnswer => {
                told.extend((1..self.open).map(|_| self.told.recv().unwrap()));
            }
        }
        self.open -= told.len();
        self.hold_if_any();
        told
    }
}

/// Callers: what they want kept, and what they were promised.
#[derive(Default)]
struct Callers {
    sent: BTreeMap<u64, ProgrammeNumber>,
    acknowledged: BTreeMap<u64, ProgrammeNumber>,
    under_way: Vec<u64>,
    next: u64,
}

fn draw_fault(dice: &mut Dice) -> Fault {
    match dice.below(40) {
        0 => Fault::Fail,
        1 => Fault::Torn { kept: usize::try_from(dice.below(5)).unwrap() },
        2 => Fault::LostAnswer,
        _ => Fault::None,
    }
}

fn simulate(seed: u64) {
    let mut dice = Dice::new(seed, 0);
    let disk: Disk = Arc::default();
    let mut callers = Callers::default();
    let mut store = Store::open(&disk);
    for _ in 0..STEPS {
        match dice.below(3) {
            0 | 1 => send_something(&mut store, &mut callers, &disk, &mut dice),
            _ => store = release(store, &mut callers, &disk, draw_fault(&mut dice)),
        }
        verify(&callers, &store, &disk);
    }
    // At the end the disk is well, and everybody repeats until told.
    while callers.acknowledged.len() < callers.sent.len() {
        if store.held == Held::No {
            send_something(&mut store, &mut callers, &disk, &mut dice);
        }
        store = release(store, &mut callers, &disk, Fault::None);
        verify(&callers, &store, &disk);
    }
    assert_eq!(disk.lock().len(), callers.sent.len(), "a command was kept twice");
}

/// Sends a new command, or repeats one whose answer was lost; one that the disk holds already is answered from there.
fn send_something(store: &mut Store, callers: &mut Callers, disk: &Disk, dice: &mut Dice) {
    let unanswered =
        callers.sent.keys().find(|id| !callers.acknowledged.contains_key(id) && !callers.under_way.contains(id)).copied();
    let command = unanswered.unwrap_or_else(|| {
        callers.next += 1;
        callers.next
    });
    let drawn = ProgrammeNumber::new(1 + u32::try_from(dice.below(3)).unwrap()).unwrap();
    let programme = *callers.sent.entry(command).or_insert(drawn);
    if is_kept(disk, command) {
        callers.acknowledged.insert(command, programme);
        return;
    }
    match store.send(command, programme) {
        Ok(()) => callers.under_way.push(command),
        Err(StorageError::Busy { .. }) => assert!(store.open >= QUEUE_ENTRIES, "refused as busy with a free place"),
        Err(other) => panic!("a sound store refused: {other}"),
    }
}

fn is_kept(disk: &Disk, command: u64) -> bool {
    disk.lock().iter().any(|entry| entry.payload == command.to_be_bytes())
}

/// Releases the held group; after a failure the store must refuse everything, and is reopened.
fn release(mut store: Store, callers: &mut Callers, disk: &Disk, fault: Fault) -> Store {
    let held = store.held;
    for (command, result) in store.release(fault, disk) {
        callers.under_way.retain(|id| *id != command);
        if result.is_ok() {
            callers.acknowledged.insert(command, callers.sent[&command]);
        }
    }
    if held == Held::No || fault == Fault::None {
        return store;
    }
    assert!(callers.under_way.is_empty(), "somebody was left without an answer");
    assert!(store.committer.failure().is_some(), "the store does not say that it failed");
    assert!(matches!(store.committer.admit(), Err(StorageError::Poisoned { .. })), "a failed store takes writes");
    drop(store);
    Store::open(disk)
}

/// What must hold after every step.
fn verify(callers: &Callers, store: &Store, disk: &Disk) {
    let disk = disk.lock();
    let mut last: BTreeMap<ProgrammeNumber, u64> = BTreeMap::new();
    for entry in disk.iter() {
        let last = last.entry(entry.programme).or_default();
        assert_eq!(entry.seq, *last + 1, "the journal of programme {} has a gap or a repeat", entry.programme);
        *last = entry.seq;
    }
    for (command, programme) in &callers.acknowledged {
        let kept = disk.iter().filter(|entry| entry.payload == command.to_be_bytes() && entry.programme == *programme).count();
        assert_eq!(kept, 1, "command {command} was acknowledged and is on the disk {kept} times");
    }
    for (programme, last) in last {
        let shown = store.committer.durable(programme).get();
        assert!(shown <= last, "programme {programme} shows record {shown}, the disk holds {last}");
    }
}

#[test]
fn no_fault_of_the_disk_loses_or_repeats_what_was_acknowledged() {
    for_each_seed(2_000, simulate);
}
