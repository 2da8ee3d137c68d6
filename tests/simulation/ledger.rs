//! The whole ledger over a disk that fails: sequencer, book, committer, journal, snapshots. Its committer is held before each group until the
//! scheduler says what becomes of it, so that a seed makes the same groups and the same faults each time.
//!
//! After each failure the ledger must refuse writes and say so. It is then opened again, now and then with its snapshots gone, and everything that
//! was acknowledged must be there: decision, case, payment, outcome, feed event and the answer to a retry. The journal must have no gap.

use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::task::Poll;
use std::time::Duration;

use futures::executor::block_on;
use selfsame::adapters::embedded::{self, JOURNAL_FOLDER, SNAPSHOTS_FOLDER};
use selfsame::adapters::journal::{JournalOptions, MemoryJournal, SledJournal};
use selfsame::book::Refusal;
use selfsame::book::command::{CaseCommand, CaseStep, OutcomeCommand, PaidCommand};
use selfsame::book::cursor::FeedCursor;
use selfsame::book::records::{ContentFingerprint, Cursor, FeedKind, Freshness};
use selfsame::ledger::{GroupOptions, JournaledLedger, LateFacts, LedgerOptions};
use selfsame::offline::load::generator::Dice;
use selfsame::ports::journal::{Direction, Journal, Reach};
use selfsame::ports::ledger::{Ledger, LedgerError, LedgerHealth};
use selfsame::screening::case::{Resolution, Step};
use selfsame::vocabulary::ids::{ProgramId, RecordId};
use selfsame::vocabulary::outcome::{Outcome, OutcomeKind, OutcomeSubject};

use crate::asked::Asked;
use crate::faulty::{Fault, FaultyJournal};
use crate::for_each_seed;
use crate::subject::{Draft, Probe, actor, case_id, conversion_id, draft, minute, reward, shop};

/// Commands that one seed sends.
const STEPS: u64 = 40;
const GROUP_ENTRIES: usize = 4;

/// Something that a caller wants done. All of it is a function of its numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Command {
    Screen(u64),
    Reject(u64),
    Pay(u64),
    Refund(u64),
}

fn draft_of(number: u64) -> Draft {
    let how = ["approve", "review", "reject"][usize::try_from(number % 3).unwrap()];
    let device = u32::try_from(number % 5).unwrap();
    draft(&format!("c{number}"), &format!("a{}", number % 4), &format!("b{number}"))
        .at(i64::try_from(number).unwrap())
        .decided(how)
        .referee_on_device(device)
}

/// Where a command was written, and whether it was new.
type Done = Result<(Option<FeedCursor>, Freshness), LedgerError>;
type Answer<'l> = Pin<Box<dyn Future<Output = Done> + Send + 'l>>;

impl Command {
    fn send(self, ledger: &JournaledLedger) -> Answer<'_> {
        match self {
            Self::Screen(number) => Box::pin(async move {
                let screened = ledger.screen(draft_of(number).command()).await?;
                Ok((Some(screened.record.cursor), screened.freshness))
            }),
            Self::Reject(number) => {
                let step = CaseCommand {
                    program_id: shop(),
                    case_id: case_id(&format!("c{number}")),
                    step: CaseStep::Step(Step::Resolve(Resolution::Reject)),
                    actor: actor("rita"),
                    reason_code: "seen".to_owned(),
                    note: String::new(),
                    expected_revision: None,
                    request: None,
                    at: minute(500),
                };
                Box::pin(async move { ledger.step_case(step).await.map(|_| (None, Freshness::New)) })
            }
            Self::Pay(number) => ledger.mark_paid(PaidCommand {
                program_id: shop(),
                conversion_id: conversion_id(&format!("c{number}")),
                reward_id: reward(&format!("rw-c{number}")),
                reservation_id: None,
                paid_at: minute(600),
                amount: None,
                request: None,
                received_at: minute(600),
            }),
            Self::Refund(number) => ledger.record_outcome(OutcomeCommand {
                outcome: Outcome {
                    program_id: shop(),
                    outcome_id: RecordId::new(&format!("refund-{number}")).unwrap(),
                    kind: OutcomeKind::ChargeRefunded,
                    subject: OutcomeSubject::Conversion(conversion_id(&format!("c{number}"))),
                    occurred_at: minute(700),
                    amount: None,
                    actor: None,
                    note: String::new(),
                },
                content: ContentFingerprint([7; 16]),
                received_at: minute(700),
            }),
        }
    }
}

/// The disk as the scheduler holds it.
struct Disk {
    /// A group is about to be written.
    reached: Receiver<()>,
    decide: Sender<Fault>,
}

fn open(folder: &Path) -> (JournaledLedger, Disk) {
    let (reach, reached) = channel();
    let (decide, decided) = channel();
    let script = move |_group: u64| {
        // At the end nothing is decided any more, and all is well.
        let _ = reach.send(());
        decided.recv().unwrap_or(Fault::None)
    };
    let options = LedgerOptions {
        group: GroupOptions { group_records: GROUP_ENTRIES, ..GroupOptions::default() },
        snapshot_every_records: 5,
        // The script knows every append.
        late_facts: LateFacts::LeftAlone,
        ..LedgerOptions::default()
    };
    let faulty = |journal| Arc::new(FaultyJournal::new(journal, script)) as Arc<dyn Journal>;
    let ledger = embedded::open_through(folder, JournalOptions::default(), options, Arc::new(Probe::default()), faulty).unwrap();
    (ledger, Disk { reached, decide })
}

/// The commands of one seed, and what was promised of them.
struct Callers {
    dice: Dice,
    steps_left: u64,
    next: u64,
    acknowledged: Vec<Command>,
    /// Sent and not acknowledged: to be sent again.
    unanswered: Vec<Command>,
}

impl Callers {
    fn draw(&mut self) -> Command {
        if let Some(again) = self.unanswered.pop() {
            return again;
        }
        let screened: Vec<u64> = self.acknowledged.iter().filter_map(|command| as_screened(*command)).collect();
        let known = usize::try_from(self.dice.below(screened.len() as u64)).unwrap();
        let drawn = match (self.dice.below(8), screened.get(known)) {
            (5, Some(number)) if number % 3 == 1 => Command::Reject(*number),
            (6, Some(number)) => Command::Pay(*number),
            (7, Some(number)) => Command::Refund(*number),
            _ => {
                self.next += 1;
                Command::Screen(self.next)
            }
        };
        if self.acknowledged.contains(&drawn) {
            self.next += 1;
            return Command::Screen(self.next);
        }
        drawn
    }

    fn draw_fault(&mut self) -> Fault {
        match self.dice.below(24) {
            0 => Fault::Fail,
            1 => Fault::Torn { kept: usize::try_from(self.dice.below(GROUP_ENTRIES as u64)).unwrap() },
            2 => Fault::LostAnswer,
            _ => Fault::None,
        }
    }
}

fn as_screened(command: Command) -> Option<u64> {
    match command {
        Command::Screen(number) => Some(number),
        Command::Reject(_) | Command::Pay(_) | Command::Refund(_) => None,
    }
}

/// How a life of the ledger ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Failed,
    Done,
}

/// What is under way in one life.
struct Life<'l> {
    ledger: &'l JournaledLedger,
    disk: Disk,
    under_way: Vec<(Command, Answer<'l>)>,
    /// Entries of the group that is held before the disk; 0 when none is.
    held: usize,
}

impl<'l> Life<'l> {
    /// Sends a command as far as the committer. Returns its answer when it has one already.
    fn send(&mut self, command: Command) -> Option<Done> {
        let mut answer = command.send(self.ledger);
        let poll = |answer: &mut Answer<'l>| block_on(async { futures::poll!(answer) });
        let at_once = poll(&mut answer);
        self.wait_for_sequencer();
        if let Poll::Ready(known) = if at_once.is_ready() { at_once } else { poll(&mut answer) } {
            return Some(known);
        }
        self.under_way.push((command, answer));
        if self.held == 0 {
            self.hold();
        }
        None
    }

    /// A command that comes to nothing is answered behind all that were sent before it, and in a programme that holds nothing it waits for no disk.
    fn wait_for_sequencer(&self) {
        let unknown = PaidCommand {
            program_id: ProgramId::new("nobody").unwrap(),
            conversion_id: conversion_id("never-screened"),
            reward_id: reward("none"),
            reservation_id: None,
            paid_at: minute(0),
            amount: None,
            request: None,
            received_at: minute(0),
        };
        let refused = block_on(self.ledger.mark_paid(unknown));
        assert!(matches!(refused, Err(LedgerError::Refused(Refusal::NotFound { .. }))), "{refused:?}");
    }

    fn hold(&mut self) {
        if !self.under_way.is_empty() {
            self.disk.reached.recv_timeout(Duration::from_secs(60)).expect("the committer takes what waits");
            self.held = if self.held == 0 { 1 } else { self.under_way.len().min(GROUP_ENTRIES) };
        }
    }

    /// Lets the held group meet its fate. Returns the answers.
    fn release(&mut self, fault: Fault) -> Vec<(Command, Done)> {
        if self.held == 0 {
            return Vec::new();
        }
        self.disk.decide.send(fault).unwrap();
        let told = if fault == Fault::None { self.held } else { self.under_way.len() };
        let answers = self.under_way.drain(..told).map(|(command, answer)| (command, block_on(answer))).collect();
        if self.under_way.is_empty() || fault != Fault::None {
            self.held = 0;
        } else {
            self.hold();
        }
        answers
    }
}

fn live(ledger: &JournaledLedger, disk: Disk, callers: &mut Callers) -> End {
    let mut life = Life { ledger, disk, under_way: Vec::new(), held: 0 };
    loop {
        let over = callers.steps_left == 0;
        let all_sent = over && callers.unanswered.is_empty();
        if all_sent && life.under_way.is_empty() {
            return End::Done;
        }
        if !all_sent && callers.dice.below(3) < 2 && life.under_way.len() < 12 {
            callers.steps_left = callers.steps_left.saturating_sub(1);
            let command = callers.draw();
            if !life.under_way.iter().any(|(sent, _)| *sent == command)
                && let Some(answer) = life.send(command)
            {
                note(callers, command, answer);
            }
            continue;
        }
        let fault = if over { Fault::None } else { callers.draw_fault() };
        let was_held = life.held > 0;
        for (command, answer) in life.release(fault) {
            note(callers, command, answer);
        }
        if was_held && fault != Fault::None {
            let refused = block_on(Command::Screen(1_000_000).send(ledger));
            assert!(matches!(refused, Err(LedgerError::Unavailable(_))), "a failed ledger takes writes: {refused:?}");
            assert!(matches!(ledger.health(), LedgerHealth::Poisoned(_)), "a failed ledger says that it serves");
            return End::Failed;
        }
    }
}

fn note(callers: &mut Callers, command: Command, answer: Done) {
    match answer {
        Ok(_) if callers.acknowledged.contains(&command) => {}
        Ok(_) => callers.acknowledged.push(command),
        // The case was decided by a command whose answer was lost.
        Err(LedgerError::Refused(Refusal::IllegalStep(_))) => callers.acknowledged.push(command),
        Err(LedgerError::Unavailable(_)) => callers.unanswered.push(command),
        Err(other) => panic!("{command:?}: {other}"),
    }
}

fn simulate(seed: u64) {
    let folder = tempfile::tempdir().unwrap();
    let mut callers =
        Callers { dice: Dice::new(seed, 0), steps_left: STEPS, next: 0, acknowledged: Vec::new(), unanswered: Vec::new() };
    loop {
        let (ledger, disk) = open(folder.path());
        let end = live(&ledger, disk, &mut callers);
        drop(ledger);
        if callers.dice.below(4) == 0 {
            std::fs::remove_dir_all(folder.path().join(SNAPSHOTS_FOLDER)).unwrap();
        }
        verify(folder.path(), &callers);
        verify_journal(folder.path());
        if end == End::Done {
            return;
        }
    }
}

/// What must hold of the folder, whatever happened.
fn verify(folder: &Path, callers: &Callers) {
    let options = LedgerOptions { late_facts: LateFacts::LeftAlone, ..LedgerOptions::default() };
    let ledger = embedded::open(folder, JournalOptions::default(), options, Arc::new(Probe::default())).unwrap();
    let ledger = Asked(&ledger);
    let Some(programme) = ledger.programs().pop() else {
        assert_eq!(callers.acknowledged, Vec::new());
        return;
    };
    let last = programme.last_cursor.0;
    let feed = ledger.feed(&shop(), None, usize::MAX).unwrap().0;
    let told = |kind: FeedKind, number: u64| {
        let id = conversion_id(&format!("c{number}"));
        feed.iter().filter(|event| event.kind == kind && event.conversion_id.as_ref() == Some(&id)).count()
    };
    for command in &callers.acknowledged {
        match *command {
            Command::Screen(number) => {
                let decision = ledger.decision(&shop(), &conversion_id(&format!("c{number}"))).unwrap();
                let decision = decision.unwrap_or_else(|| panic!("conversion {number} was acknowledged and is gone"));
                assert_eq!(told(FeedKind::Decided, number), 1, "the feed tells conversion {number} once");
                let again = block_on(ledger.screen(draft_of(number).command())).unwrap();
                assert_eq!(again.freshness, Freshness::Replayed, "conversion {number} was screened twice");
                assert_eq!(*again.record, decision);
                let case = ledger.case(&shop(), &case_id(&format!("c{number}")), minute(900)).unwrap();
                assert_eq!(case.is_some(), number % 3 == 1, "the case of conversion {number}");
            }
            Command::Reject(number) => {
                let standing = ledger
                    .standings(&shop(), &[(reward(&format!("rw-c{number}")), conversion_id(&format!("c{number}")))])
                    .unwrap()
                    .remove(0)
                    .unwrap();
                assert_eq!(standing.verdict, selfsame::screening::decision::Verdict::Rejected, "case {number} was decided");
            }
            Command::Pay(_) | Command::Refund(_) => {
                let (_, freshness) = block_on(command.send(*ledger)).unwrap();
                assert_eq!(freshness, Freshness::Replayed, "{command:?} was acknowledged and is done again");
            }
        }
    }
    assert_eq!(ledger.programs().pop().unwrap().last_cursor.0, last, "a retry wrote something");
}

/// The journal must have no gap and no repeat.
fn verify_journal(folder: &Path) {
    let journal = SledJournal::open(&folder.join(JOURNAL_FOLDER), &JournalOptions::default()).unwrap();
    for (program, head) in journal.programs().unwrap() {
        let (mut next, mut chain) = (head.first, head.base);
        while next <= head.last {
            let reach = Reach { from: next, to: head.last, direction: Direction::Forward, limit: 100 };
            for record in journal.read(&program, reach).unwrap() {
                chain = chain.then(record.cursor, &record.payload);
                assert_eq!((record.cursor, record.chain), (next, chain), "the journal has a gap or a repeat");
                next = Cursor(next.0 + 1);
            }
        }
        assert_eq!(chain, head.chain);
    }
}

#[test]
fn no_fault_of_the_disk_takes_anything_from_what_the_ledger_acknowledged() {
    for_each_seed(40, simulate);
}

#[test]
fn what_hinders_refuses_what_is_new_before_anything_is_done_and_passes_by_itself() {
    let journal = Arc::new(FaultyJournal::new(MemoryJournal::default(), |_| Fault::None));
    let ledger = JournaledLedger::over(Arc::clone(&journal) as _, Arc::new(Probe::default())).unwrap();
    block_on(Command::Screen(1).send(&ledger)).unwrap();
    *journal.hindrance.lock() = Some("the disk is nearly full".to_owned());

    let refused = block_on(Command::Screen(2).send(&ledger)).unwrap_err();

    assert_eq!(refused, LedgerError::Unavailable("the disk is nearly full".to_owned()));
    assert_eq!(ledger.health(), LedgerHealth::Poisoned("the disk is nearly full".to_owned()));
    assert_eq!(block_on(ledger.decision(&shop(), &conversion_id("c2"))).unwrap(), None, "nothing was done");
    *journal.hindrance.lock() = None;
    assert_eq!(block_on(Command::Screen(2).send(&ledger)).unwrap().1, Freshness::New);
    assert_eq!(ledger.health(), LedgerHealth::Serving);
}
