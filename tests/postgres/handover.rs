//! Claims about a programme that changes hands: a holder that slept says nothing that may be old, the next one knows all that was acknowledged, and a
//! programme that is lost is lost alone.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar};
use std::time::Duration;

use parking_lot::Mutex;
use selfsame::adapters::journal::MemoryJournal;
use selfsame::adapters::journal::postgres::{LeaseTerms, PostgresJournal, PostgresLeases, PostgresSnapshots};
use selfsame::ledger::{HeldLedger, LedgerOptions};
use selfsame::ports::clock::{Steady, SteadyClock};
use selfsame::ports::journal::{Epoch, Journal as _, JournalError};
use selfsame::ports::leases::{Acquired, Lease, Leases};
use selfsame::ports::ledger::{LedgerError, LedgerHealth};
use selfsame::screening::case::Resolution;
use selfsame::screening::gate::Gate;
use selfsame::vocabulary::ids::ProgramId;

use crate::asked::Asked;
use crate::postgres::{Server, journal, run, server};
use crate::subject::{Probe, Subject, draft, shop};

/// A clock that is put forward, as by a machine that was suspended; either at once, or after it was read so many more times.
#[derive(Default)]
struct PutForward {
    millis: AtomicU64,
    after: Mutex<Option<(usize, Duration)>>,
}

impl PutForward {
    fn by(&self, while_: Duration) {
        self.millis.fetch_add(u64::try_from(while_.as_millis()).unwrap(), Ordering::SeqCst);
    }

    fn after_readings(&self, readings: usize, by: Duration) {
        *self.after.lock() = Some((readings, by));
    }
}

impl SteadyClock for PutForward {
    fn steady(&self) -> Steady {
        let mut after = self.after.lock();
        match after.take() {
            Some((0, by)) => self.by(by),
            Some((readings, by)) => *after = Some((readings - 1, by)),
            None => {}
        }
        Steady(Duration::from_millis(self.millis.load(Ordering::SeqCst)))
    }
}

/// Long enough that no lease is prolonged or runs out by itself during a test.
const TERMS: LeaseTerms = LeaseTerms { term: Duration::from_secs(600), margin: Duration::from_millis(500) };
const A_NIGHT: Duration = Duration::from_secs(28_800);

/// A process over the database.
struct Replica {
    subject: Subject,
    clock: Arc<PutForward>,
}

fn replica(url: &str, address: &str) -> Replica {
    let (probe, clock) = (Arc::new(Probe::default()), Arc::new(PutForward::default()));
    let journal = journal(url);
    let snapshots = Arc::new(PostgresSnapshots::beside(&journal).unwrap());
    let leases = Arc::new(PostgresLeases::beside(&journal, address, TERMS, Arc::clone(&clock) as _));
    let options = LedgerOptions::default();
    let opened =
        HeldLedger::open(Arc::new(journal), Some(snapshots), leases, Arc::clone(&clock) as _, options, Arc::clone(&probe) as _);
    Replica { subject: Subject { ledger: Asked(Box::new(opened.unwrap())), probe }, clock }
}

/// All leases are over by the database's clock.
fn let_leases_run_out(url: &str) {
    run(url, "update lease set expires_at = clock_timestamp() - interval '1 second'");
}

fn address_of<T: std::fmt::Debug>(answer: Result<T, LedgerError>) -> String {
    match answer {
        Err(LedgerError::HeldElsewhere { address, .. }) => address,
        other => panic!("{other:?}"),
    }
}

#[test]
fn another_replica_says_who_answers() {
    let Some(server) = server() else { return };
    let url = server.fresh();
    let (first, second) = (replica(&url, "10.0.0.1:1"), replica(&url, "10.0.0.2:1"));
    first.subject.screen(&draft("cv-1", "ann", "ben"));

    assert_eq!(address_of(second.subject.try_screen(&draft("cv-2", "ann", "cid"))), "10.0.0.1:1");
    assert_eq!(address_of(second.subject.ledger.standings(&shop(), &[])), "10.0.0.1:1");
    assert_eq!(second.subject.ledger.health(), LedgerHealth::Serving);
}

#[test]
fn a_holder_that_slept_answers_nothing_after_another_has_moved_on() {
    let Some(server) = server() else { return };
    let url = server.fresh();
    let (sleeper, next) = (replica(&url, "10.0.0.1:1"), replica(&url, "10.0.0.2:1"));
    sleeper.subject.screen(&draft("cv-1", "ann", "ben"));
    assert_eq!(sleeper.subject.gate("cv-1"), Gate::Release);

    let_leases_run_out(&url);
    next.subject.ban("ann");
    sleeper.clock.by(A_NIGHT);

    assert_eq!(next.subject.gate("cv-1"), Gate::Deny);
    assert_eq!(address_of(sleeper.subject.ledger.standings(&shop(), &[])), "10.0.0.2:1");
    assert_eq!(address_of(sleeper.subject.try_screen(&draft("cv-2", "ann", "cid"))), "10.0.0.2:1");
}

#[test]
fn an_answer_that_was_made_before_the_sleep_is_not_given_after_it() {
    let Some(server) = server() else { return };
    let url = server.fresh();
    let (sleeper, next) = (replica(&url, "10.0.0.1:1"), replica(&url, "10.0.0.2:1"));
    sleeper.subject.screen(&draft("cv-1", "ann", "ben"));
    let_leases_run_out(&url);
    next.subject.ban("ann");

    // It sleeps between its look at the lease and its answer.
    sleeper.clock.after_readings(1, A_NIGHT);
    let answered = sleeper.subject.ledger.standings(&shop(), &[]);

    assert!(matches!(answered, Err(LedgerError::Unavailable(_))), "{answered:?}");
}

/// Leases of which the first is told as prolonged to whoever asks for it, after the thread that prolongs all has been told that it is lost.
#[derive(Default)]
struct ToldBoth {
    taken: AtomicU64,
    asked: std::sync::Mutex<Asking>,
    let_go: Condvar,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Default)]
enum Asking {
    #[default]
    NotYet,
    UnderWay,
    LetGoMeanwhile,
}

impl ToldBoth {
    /// The first is over after a second, all later ones never.
    fn lease(epoch: Epoch) -> Lease {
        Lease { epoch, until: Steady(Duration::from_secs(if epoch == Epoch::SOLE { 1 } else { 1_000_000 })) }
    }
}

impl Leases for ToldBoth {
    fn acquire(&self, _: &ProgramId) -> Result<Acquired, JournalError> {
        Ok(Acquired::Here(Self::lease(Epoch(self.taken.fetch_add(1, Ordering::SeqCst) + 1))))
    }

    fn renew(&self, held: &[(ProgramId, Epoch)]) -> Result<Vec<Option<Lease>>, JournalError> {
        let mut asked = self.asked.lock().unwrap();
        if std::thread::current().name() == Some("ledger-leases") {
            if *asked == Asking::UnderWay && held.is_empty() {
                *asked = Asking::LetGoMeanwhile;
                self.let_go.notify_all();
            }
            let is_lost = |epoch: Epoch| *asked >= Asking::UnderWay && epoch == Epoch::SOLE;
            return Ok(held.iter().map(|(_, epoch)| (!is_lost(*epoch)).then(|| Self::lease(*epoch))).collect());
        }
        *asked = Asking::UnderWay;
        drop(self.let_go.wait_while(asked, |asked| *asked == Asking::UnderWay).unwrap());
        let prolonged = |epoch| Lease { epoch, ..Self::lease(Epoch(2)) };
        Ok(held.iter().map(|(_, epoch)| Some(prolonged(*epoch))).collect())
    }

    fn release(&self, _: &ProgramId, _: Epoch) -> Result<(), JournalError> {
        Ok(())
    }

    fn holder(&self, _: &ProgramId) -> Result<Option<String>, JournalError> {
        Ok(None)
    }

    fn term(&self) -> Duration {
        Duration::from_millis(60)
    }
}

#[test]
fn a_book_that_was_let_go_while_its_lease_was_prolonged_is_not_answered_for_as_if_it_were_empty() {
    let (probe, clock) = (Arc::new(Probe::default()), Arc::new(PutForward::default()));
    let (journal, leases) = (Arc::new(MemoryJournal::default()), Arc::new(ToldBoth::default()));
    let options = LedgerOptions::default();
    let opened = HeldLedger::open(journal, None, leases, Arc::clone(&clock) as _, options, Arc::clone(&probe) as _).unwrap();
    let subject = Subject { ledger: Asked(Box::new(opened)), probe };
    let told = subject.screen(&draft("cv-1", "ann", "ben")).record.cursor;

    clock.by(A_NIGHT);
    let followed = subject.ledger.feed(&shop(), Some(told), 10);

    assert_eq!(followed, Ok((Vec::new(), told)));
    assert_eq!(subject.feed().len(), 1);
}

/// Leases that are given slowly, and how many were asked for at a time.
#[derive(Default)]
struct Slow {
    asked: AtomicU64,
    at_a_time: AtomicU64,
    most: AtomicU64,
}

impl Leases for Slow {
    #[expect(clippy::disallowed_methods, reason = "nothing tells that a second caller began to wait for its turn")]
    fn acquire(&self, _: &ProgramId) -> Result<Acquired, JournalError> {
        let at_a_time = self.at_a_time.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(at_a_time, Ordering::SeqCst);
        std::thread::sleep(Duration::from_millis(300));
        self.at_a_time.fetch_sub(1, Ordering::SeqCst);
        let epoch = Epoch(self.asked.fetch_add(1, Ordering::SeqCst) + 1);
        Ok(Acquired::Here(Lease { epoch, until: Steady(A_NIGHT) }))
    }

    fn renew(&self, held: &[(ProgramId, Epoch)]) -> Result<Vec<Option<Lease>>, JournalError> {
        Ok(held.iter().map(|(_, epoch)| Some(Lease { epoch: *epoch, until: Steady(A_NIGHT) })).collect())
    }

    fn release(&self, _: &ProgramId, _: Epoch) -> Result<(), JournalError> {
        Ok(())
    }

    fn holder(&self, _: &ProgramId) -> Result<Option<String>, JournalError> {
        Ok(None)
    }

    fn term(&self) -> Duration {
        TERMS.term
    }
}

#[test]
fn a_programme_that_is_being_taken_for_somebody_who_left_is_not_taken_a_second_time_meanwhile() {
    let (probe, clock) = (Arc::new(Probe::default()), Arc::new(PutForward::default()));
    let (journal, leases) = (Arc::new(MemoryJournal::default()), Arc::new(Slow::default()));
    let options = LedgerOptions::default();
    let opened = HeldLedger::open(journal, None, Arc::clone(&leases) as _, clock, options, Arc::clone(&probe) as _).unwrap();
    let subject = Subject { ledger: Asked(Box::new(opened)), probe };
    // Outside of a runtime the caller itself would take it.
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap();
    let _inside = runtime.enter();
    let of_shop = shop();
    let mut leaves = subject.ledger.0.feed(&of_shop, None, 10);
    assert!(leaves.as_mut().poll(&mut std::task::Context::from_waker(std::task::Waker::noop())).is_pending());
    while leases.at_a_time.load(Ordering::SeqCst) == 0 {
        std::thread::yield_now();
    }
    drop(leaves);

    subject.screen(&draft("cv-1", "ann", "ben"));

    let [asked, most] = [&leases.asked, &leases.most].map(|count| count.load(Ordering::SeqCst));
    assert_eq!((asked, most, subject.feed().len()), (1, 1, 1));
}

#[test]
fn a_holder_that_does_not_know_yet_that_it_lost_the_lease_writes_nothing() {
    let Some(server) = server() else { return };
    let url = server.fresh();
    let (stale, next) = (replica(&url, "10.0.0.1:1"), replica(&url, "10.0.0.2:1"));
    stale.subject.screen(&draft("cv-1", "ann", "ben"));
    let_leases_run_out(&url);
    next.subject.screen(&draft("cv-2", "ann", "cid"));

    let refused = stale.subject.try_screen(&draft("cv-3", "ann", "dan"));

    assert!(matches!(refused, Err(LedgerError::Unavailable(_))), "{refused:?}");
    assert_eq!(address_of(stale.subject.try_screen(&draft("cv-3", "ann", "dan"))), "10.0.0.2:1");
    assert_eq!(next.subject.feed().len(), 2);
    assert_eq!(stale.subject.ledger.health(), LedgerHealth::Serving);
}

#[test]
fn a_programme_that_is_lost_is_lost_alone() {
    let Some(server) = server() else { return };
    let url = server.fresh();
    let (first, second) = (replica(&url, "10.0.0.1:1"), replica(&url, "10.0.0.2:1"));
    let elsewhere = draft("cv-9", "ann", "ben").change(|conversion| conversion.program_id = ProgramId::new("other").unwrap());
    first.subject.screen(&draft("cv-1", "ann", "ben"));
    first.subject.screen(&elsewhere);
    let_leases_run_out(&url);
    second.subject.screen(&draft("cv-2", "ann", "cid"));
    assert!(first.subject.try_screen(&draft("cv-3", "ann", "dan")).is_err());

    let mut another = elsewhere.clone();
    another.0.conversion_id = selfsame::vocabulary::ids::ConversionId::new("cv-10").unwrap();
    another.0.invoice_id = None;
    another.0.rewards.clear();

    let screened = first.subject.try_screen(&another);
    assert!(screened.is_ok(), "{screened:?}");
}

#[test]
fn a_lease_that_nobody_took_is_gained_again_with_its_book() {
    let Some(server) = server() else { return };
    let url = server.fresh();
    let only = replica(&url, "10.0.0.1:1");
    only.subject.screen(&draft("cv-1", "ann", "ben"));

    let_leases_run_out(&url);
    only.clock.by(A_NIGHT);

    assert_eq!(only.subject.gate("cv-1"), Gate::Release);
    only.subject.screen(&draft("cv-2", "ann", "cid"));
    assert_eq!(only.subject.feed().len(), 2);
}

#[test]
fn a_replica_that_stops_hands_over_at_once_with_snapshots() {
    let Some(server) = server() else { return };
    let url = server.fresh();
    let (first, second) = (replica(&url, "10.0.0.1:1"), replica(&url, "10.0.0.2:1"));
    (0..50).for_each(|number| drop(first.subject.screen(&draft(&format!("cv-{number}"), "ann", &format!("ben-{number}")))));
    let told = first.subject.feed();
    assert_eq!(address_of(second.subject.try_screen(&draft("cv-x", "ann", "cid"))), "10.0.0.1:1");

    drop(first);
    second.clock.by(Duration::from_secs(700));

    assert_eq!(second.subject.feed(), told);
    let journal = journal(&url);
    let snapshots = PostgresSnapshots::beside(&journal).unwrap();
    let places = selfsame::ports::snapshots::Snapshots::places(&snapshots, journal.incarnation(), &shop()).unwrap();
    assert_eq!(places.len(), 1);
}

#[test]
fn a_lease_is_taken_only_once_it_is_over_and_the_margin_too() {
    let Some(server) = server() else { return };
    let url = server.fresh();
    let clock = Arc::new(PutForward::default());
    let journal = journal(&url);
    let of = |address: &str, journal: &PostgresJournal| PostgresLeases::beside(journal, address, TERMS, Arc::clone(&clock) as _);
    let (first, second) = (of("10.0.0.1:1", &journal), of("10.0.0.2:1", &journal));
    let Acquired::Here(lease) = first.acquire(&shop()).unwrap() else { panic!("it is free") };
    assert_eq!(lease.until, Steady(TERMS.term));

    run(&url, "update lease set expires_at = clock_timestamp() + interval '1 hour'");
    assert!(matches!(second.acquire(&shop()).unwrap(), Acquired::Elsewhere { address, .. } if address == "10.0.0.1:1"));
    assert_eq!(second.holder(&shop()).unwrap().as_deref(), Some("10.0.0.1:1"));
    run(&url, "update lease set expires_at = clock_timestamp() - interval '1 second'");
    assert_eq!(second.holder(&shop()), Ok(None));
    let Acquired::Here(taken) = second.acquire(&shop()).unwrap() else { panic!("it is over") };

    assert!(taken.epoch > lease.epoch);
    assert_eq!(first.renew(&[(shop(), lease.epoch)]), Ok(vec![None]));
    assert!(matches!(second.renew(&[(shop(), taken.epoch)]).unwrap()[..], [Some(_)]));
    second.release(&shop(), taken.epoch).unwrap();
    assert!(matches!(first.acquire(&shop()).unwrap(), Acquired::Here(_)));
}

#[test]
fn a_database_that_crashes_again_and_again_loses_and_doubles_nothing() {
    let Some(server) = Server::own() else { return };
    let url = server.fresh();
    let only = replica(&url, "10.0.0.1:1");
    only.subject.screen(&draft("cv-first", "ann", "ben"));
    let written = AtomicU64::new(0);

    std::thread::scope(|scope| {
        let (subject, written) = (&only.subject, &written);
        for caller in 0..8 {
            scope.spawn(move || {
                for number in 0..40 {
                    let conversion = draft(&format!("cv-{caller}-{number}"), "ann", &format!("ben-{caller}-{number}"));
                    // Whoever is not told sends the same again.
                    while let Err(error) = subject.try_screen(&conversion) {
                        assert!(matches!(error, LedgerError::Unavailable(_)), "{error:?}");
                    }
                    written.fetch_add(1, Ordering::SeqCst);
                }
            });
        }
        for crash in 1..=3 {
            while written.load(Ordering::SeqCst) < crash * 60 {
                std::thread::yield_now();
            }
            Server::crash(&url);
        }
    });

    let feed = only.subject.feed();
    let ids: BTreeSet<_> = feed.iter().map(|event| event.conversion_id.clone()).collect();
    assert_eq!((feed.len(), ids.len()), (321, 321));
    drop(only);
    assert_eq!(replica(&url, "10.0.0.2:1").subject.feed(), feed);
}

#[test]
fn a_follower_is_told_of_a_database_that_was_put_back_to_an_earlier_moment() {
    let Some(server) = server() else { return };
    let url = server.fresh();
    let first = replica(&url, "10.0.0.1:1");
    let kept = first.subject.screen(&draft("cv-1", "ann", "ben")).record.cursor;
    let lost = first.subject.screen(&draft("cv-2", "ann", "cid")).record.cursor;
    drop(first);

    run(&url, "delete from snapshot; delete from entry where seq >= 2");
    let next = replica(&url, "10.0.0.2:1");
    let other = next.subject.screen(&draft("cv-3", "ann", "dan")).record.cursor;

    assert_eq!(other.place, lost.place);
    let refused = next.subject.ledger.feed(&shop(), Some(lost), 10);
    assert_eq!(refused, Err(LedgerError::CursorOfOther { after: lost, end: other.place.0 }));
    let (told, end) = next.subject.ledger.feed(&shop(), Some(kept), 10).unwrap();
    assert_eq!((told.len(), told[0].cursor, end), (1, other, other));
}

#[test]
fn replicas_agree_on_what_was_chosen_and_on_what_reviewers_found() {
    let Some(server) = server() else { return };
    let url = server.fresh();
    let (first, second) = (replica(&url, "10.0.0.1:1"), replica(&url, "10.0.0.2:1"));
    first.subject.activate("m-1");
    for number in 0..12 {
        let id = format!("cv-{number}");
        first.subject.screen(&draft(&id, &format!("r{number}"), &format!("e{number}")).decided("audit"));
        first.subject.resolve(&id, Resolution::Accept);
    }
    let told = first.subject.models();
    assert!(told.audits_of("m-1").is_tripped());
    assert_eq!(address_of(second.subject.ledger.models(&shop())), "10.0.0.1:1");

    drop(first);
    let_leases_run_out(&url);
    second.clock.by(A_NIGHT);

    assert_eq!(second.subject.models(), told);
}
