//! The sequencer: executes the commands of all programmes one after the other, on a thread of its own. It plans against the book, applies the
//! event, and hands the record to the committer. It never waits for the journal and never answers what is not durable.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, LazyLock, mpsc};
use std::time::{Duration, Instant};

use parking_lot::RwLockWriteGuard;
use tokio::sync::oneshot;
use tracing::Span;

use super::codec;
use super::cold::ColdTier;
use super::commit::{self, Committer, Permit};
use super::cooling::{self, ColdAfter};
use super::journaled::AuditKeys;
use super::programme::{Programme, Programmes, Sharing};
use crate::book::command::{Assessor, Command, Done};
use crate::book::cursor::FeedCursor;
use crate::book::event::{AuditKeyMade, BreakerTripped, Event};
use crate::book::plan::{Plan, next_piece, plan};
use crate::book::records::Cursor;
use crate::book::{Book, Refusal};
use crate::ports::cold::ColdStore;
use crate::ports::journal::{Append, Chain, RECORD_BYTES_MAX, Record};
use crate::ports::labels;
use crate::ports::ledger::LedgerError;
use crate::ports::spans::span;
use crate::screening::audit::AuditKey;
use crate::vocabulary::ids::{Actor, ProgramId};

/// What a command came to.
#[derive(Debug)]
pub(super) enum Reply {
    /// It was written at this place, and is durable.
    Done(FeedCursor, Done),
    /// This is the answer, of which nothing was kept; it was read up to this place, which may not be durable yet.
    Answered(Done, Cursor),
    /// It was done before, at this place, which may not be durable yet.
    AlreadyDone(Cursor),
    /// It is refused by what was read up to this place, which may not be durable yet.
    Refused(Refusal, Cursor),
}

/// Where the answer goes.
pub(super) type ReplySender = oneshot::Sender<Result<Reply, LedgerError>>;

/// A command on its way through the sequencer.
pub(super) struct Execution {
    pub(super) command: Command,
    /// Whose it is, where that was said.
    pub(super) by: Option<Actor>,
    pub(super) permit: Permit,
    pub(super) reply: ReplySender,
    pub(super) traced: Traced,
}

/// Where a command stands in a trace.
pub(super) struct Traced {
    /// The call that it is of.
    call: Span,
    /// Its wait for its turn.
    order: Span,
}

impl Traced {
    /// From now on it waits for its turn.
    pub(super) fn waiting() -> Self {
        let order = span!("order");
        let call = if order.is_disabled() { Span::none() } else { Span::current() };
        Self { call, order }
    }
}

/// What the sequencer is asked to do.
pub(super) enum Job {
    Execute(Box<Execution>),
    /// Something that must happen between two commands.
    Between(Box<dyn FnOnce(&mut Sequencer) + Send>),
}

/// Executes commands. Lives on its own thread.
pub(super) struct Sequencer {
    pub(super) programmes: Arc<Programmes>,
    pub(super) sharing: Sharing,
    pub(super) committer: Arc<Committer>,
    pub(super) assessor: Arc<dyn Assessor>,
    /// Makes the index of new books hard to crowd.
    pub(super) seed: u64,
    /// Memory that all books may take. Unit: bytes.
    pub(super) memory_bytes_max: usize,
    /// Where what nobody met for long is; absent where everything stays in the books.
    pub(super) cold: Option<Arc<dyn ColdStore>>,
    pub(super) cold_after: ColdAfter,
    /// Executed, and not yet handed over.
    pub(super) outbox: Vec<commit::Underway>,
    /// Commands until memory is measured again.
    pub(super) unmeasured: u32,
    /// Programmes with an outcome that has yet to be told of some conversions, or with some that have yet to be marked for another look.
    pub(super) unfinished: Vec<ProgramId>,
    /// Wakes whoever looks again at what a fact touched.
    pub(super) late: mpsc::SyncSender<()>,
    /// Who gives programmes the key of their audit sample.
    pub(super) audit_keys: AuditKeys,
}

/// Commands that are handed over at once, at most. Judgement: half of what a busy server has under way, so that one half is executed while
/// the other becomes durable.
const HAND_OVER_MAX: usize = 64;
/// What was executed waits for no more commands than are executed within this time.
const HAND_OVER_WITHIN: Duration = Duration::from_millis(5);
/// Commands between two measurements of memory: together they take a few megabytes.
const MEASURED_EVERY: u32 = 1_024;

/// The counter of breakers that tripped.
pub const BREAKER_TRIPS: &str = "selfsame_model_breaker_trips_total";

/// What a programme is that holds nothing.
static NOTHING: LazyLock<Book> = LazyLock::new(|| Book::new(0));

impl Sequencer {
    /// Executes commands until no more can come.
    ///
    /// What waits already is executed before the committer hears of any of it: the busier the server, the more decisions share one append,
    /// one wake-up and one batch of answers. Nobody waits for a command that is not there yet.
    ///
    /// What an outcome does to an account with many conversions is done piece by piece, between them.
    pub(super) fn run_all(&mut self, jobs: &mpsc::Receiver<Job>) {
        let known = self.programmes.all();
        self.unfinished = known.iter().filter(|known| known.book.read().has_unfinished()).map(|known| known.id.clone()).collect();
        loop {
            let next = if self.unfinished.is_empty() {
                jobs.recv().map_err(|_| mpsc::TryRecvError::Disconnected)
            } else {
                self.do_next_piece();
                jobs.try_recv()
            };
            let first = match next {
                Ok(first) => first,
                Err(mpsc::TryRecvError::Empty) => continue,
                Err(mpsc::TryRecvError::Disconnected) => return,
            };
            let began = Instant::now();
            self.run(first);
            while self.outbox.len() < HAND_OVER_MAX
                && began.elapsed() < HAND_OVER_WITHIN
                && let Ok(next) = jobs.try_recv()
            {
                self.run(next);
            }
            self.hand_over();
        }
    }

    /// Lets the committer have what was executed.
    pub(super) fn hand_over(&mut self) {
        self.committer.hand_over(self.outbox.drain(..));
    }

    fn run(&mut self, job: Job) {
        match job {
            Job::Execute(execution) => self.execute(*execution),
            Job::Between(act) => act(self),
        }
        if self.cold_after == ColdAfter::EachCommand {
            for programme in self.programmes.all() {
                if let Err(error) = cooling::cool_all(&programme) {
                    tracing::warn!(program = programme.id.as_str(), %error, "nothing was made cold");
                }
            }
        }
    }

    fn execute(&mut self, execution: Execution) {
        let Execution { command, by, permit, reply, traced } = execution;
        let Traced { call, order } = traced;
        drop(order);
        let program = command.program().clone();
        let known = self.programmes.get(&program);
        let first = self.comes_before_the_audit_key(&command, known.as_deref()).then(|| command.clone());
        if known.is_none() && self.sharing == Sharing::Leased {
            let given_up = LedgerError::Unavailable("the lease of the programme has just ended; ask again".to_owned());
            // Nobody may be waiting any more; the command had no effect.
            drop(reply.send(Err(given_up)));
            return;
        }
        if let Some(Err(error)) = known.as_ref().map(|programme| programme.bring(|book| command.met(book))) {
            // Nobody may be waiting any more; the command had no effect.
            drop(reply.send(Err(error)));
            return;
        }
        let planning = span!(parent: &call, "plan").entered();
        // A panic of an assessor ends its command and not the ledger: nothing was changed yet.
        let planned = catch_unwind(AssertUnwindSafe(|| match &known {
            Some(programme) => {
                let book = programme.book.read();
                (plan(&book, command, &*self.assessor), book.cursor())
            }
            None => (plan(&NOTHING, command, &*self.assessor), Cursor(0)),
        }));
        let Ok((planned, seen)) = planned else { return };
        drop(planning);
        let answer = match planned {
            Ok(Plan::Commit(event, read)) => {
                let payload = codec::encode_by(&event, by.as_ref());
                let refused = self.refuse_what_cannot_be_kept(payload.len());
                let Err(error) = refused else {
                    let programme = known.unwrap_or_else(|| self.add(&program));
                    if let Some(command) = first {
                        self.make_audit_key(programme, &event);
                        return self.execute(Execution {
                            command,
                            by,
                            permit,
                            reply,
                            traced: Traced { call, order: Span::none() },
                        });
                    }
                    let cursor = Cursor(seen.0 + 1);
                    let chain = {
                        let mut chain = programme.chain.lock();
                        *chain = chain.then(cursor, &payload);
                        *chain
                    };
                    tell_of_breaker(&program, &event);
                    let mut book = programme.book.write();
                    book.apply_known(cursor, &event, *read);
                    if book.has_late() {
                        // A full channel wakes just as well, and nobody may be listening.
                        let _ = self.late.try_send(());
                    }
                    if book.has_unfinished() && !self.unfinished.contains(&program) {
                        self.unfinished.push(program.clone());
                    }
                    let record = Record { cursor, chain, payload: payload.into() };
                    let kept_at = record.feed_cursor();
                    let done = RwLockWriteGuard::downgrade(book).answer(event, kept_at.mark);
                    let append = Append { program, epoch: programme.epoch, record };
                    let commit = span!(parent: &call, "commit");
                    let tell = move |durable: Result<(), LedgerError>| {
                        drop(commit);
                        // The caller may have given up; the record is kept all the same.
                        drop(reply.send(durable.map(|()| Reply::Done(kept_at, done))));
                    };
                    self.outbox.push(commit::Underway { permit, programme, append, done: Box::new(tell) });
                    return;
                };
                Err(error)
            }
            Ok(Plan::AlreadyDone(cursor)) => Ok(Reply::AlreadyDone(cursor)),
            Ok(Plan::Answer(done)) => Ok(Reply::Answered(done, seen)),
            Err(refusal) => Ok(Reply::Refused(refusal, seen)),
        };
        // Whoever is answered may rely on all earlier commands being with the committer; simulations do.
        self.hand_over();
        // Nobody may be waiting any more; the command had no effect.
        drop(reply.send(answer));
    }

    /// Does the next piece of what is unfinished, in the order in which it began.
    fn do_next_piece(&mut self) {
        let Some(program) = self.unfinished.first().cloned() else { return };
        // A programme that was given up meanwhile is finished by whoever has it.
        let planned = self.programmes.get(&program).filter(|known| known.failure().is_none()).and_then(|programme| {
            let event = {
                let book = programme.book.read();
                next_piece(&book, || self.assessor.payout(&program, book.terms()))
            };
            event.filter(|event| programme.bring(|book| event.met(book)).is_ok()).map(|event| (programme, event))
        });
        let Some((programme, event)) = planned else {
            self.unfinished.remove(0);
            return;
        };
        self.write_by_itself(programme, &event);
        self.hand_over();
    }

    /// Writes what the ledger itself decided; nobody waits for it.
    fn write_by_itself(&mut self, programme: Arc<Programme>, event: &Event) {
        let payload = codec::encode(event);
        let mut book = programme.book.write();
        let cursor = Cursor(book.cursor().0 + 1);
        let chain = {
            let mut chain = programme.chain.lock();
            *chain = chain.then(cursor, &payload);
            *chain
        };
        book.apply(cursor, event);
        if book.has_late() {
            let _ = self.late.try_send(());
        }
        drop(book);
        let record = Record { cursor, chain, payload: payload.into() };
        let append = Append { program: programme.id.clone(), epoch: programme.epoch, record };
        let permit = self.committer.place();
        self.outbox.push(commit::Underway { permit, programme, append, done: Box::new(|_| {}) });
    }

    /// Whether a command screens in a programme that has no key of its audit sample yet, and is to have one.
    fn comes_before_the_audit_key(&self, command: &Command, known: Option<&Programme>) -> bool {
        let keyed = known.is_some_and(|known| known.book.read().models().audit_key().is_some());
        matches!(command, Command::Screen(_)) && self.audit_keys == AuditKeys::MadeOnce && !keyed
    }

    /// Gives a programme the key of its audit sample, which it keeps for ever: before its first conversion, once that is sure to be kept.
    fn make_audit_key(&mut self, programme: Arc<Programme>, screened: &Event) {
        let at = screened.learned_at().unwrap_or(programme.book.read().latest());
        self.write_by_itself(programme, &Event::AuditKeyMade(AuditKeyMade { key: AuditKey::new(rand::random()), at }));
    }

    /// A programme that holds nothing yet.
    fn add(&self, program: &ProgramId) -> Arc<Programme> {
        let chain = Chain::before_all(program);
        let tier = self.cold.as_ref().map(|store| ColdTier::new(Arc::clone(store), program.clone(), self.seed));
        self.programmes.add(Programme::new(program.clone(), Book::new(self.seed), chain).beside(tier))
    }

    /// Everything that can go wrong once a plan is made, before anything is changed.
    fn refuse_what_cannot_be_kept(&mut self, payload_bytes: usize) -> Result<(), LedgerError> {
        if payload_bytes > RECORD_BYTES_MAX {
            let message = format!(
                "its record would take {payload_bytes} bytes; at most {RECORD_BYTES_MAX} are kept: send fewer signals at once"
            );
            return Err(LedgerError::Refused(Refusal::NotPossible(message)));
        }
        self.unmeasured = self.unmeasured.saturating_sub(1);
        if self.unmeasured > 0 {
            return Ok(());
        }
        let used = self.programmes.all().iter().map(|programme| memory_of(programme)).sum::<usize>();
        if used > self.memory_bytes_max {
            return Err(LedgerError::OverBudget { used_bytes: used, budget_bytes: self.memory_bytes_max });
        }
        self.unmeasured = MEASURED_EVERY;
        Ok(())
    }
}

/// Says, once, that a model rejects nothing by itself any more.
fn tell_of_breaker(program: &ProgramId, event: &Event) {
    if let Event::ActConfirmed(confirmed) = event {
        return tell_of_breaker(program, &confirmed.done);
    }
    let Some(BreakerTripped { version, honest, abusive, at: _ }) = event.trips() else { return };
    metrics::counter!(BREAKER_TRIPS, "program" => labels::program(program)).increment(1);
    tracing::error!(
        %program,
        version = &**version,
        audited = honest + abusive,
        honest,
        "the breaker tripped: what the model would reject goes to review until a model is activated"
    );
}

/// Memory that a programme takes. Unit: bytes. An estimate.
fn memory_of(programme: &Programme) -> usize {
    let filter = programme.cold.as_ref().map_or(0, |tier| tier.figures().filter_bytes);
    filter + programme.book.read().memory().into_iter().map(|(_, bytes)| bytes).sum::<usize>()
}
