//! The ledger over a journal: hands commands to the sequencer, joins reads, and starts and ends the threads.

use std::io::Write;
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;

use futures::future::BoxFuture;
use parking_lot::{Mutex, RwLock};
use tokio::sync::oneshot;

use super::commit::{Committer, GroupOptions, closing};
use super::cooling::{ColdAfter, Cooling};
use super::erasing;
use super::open::{self, OpenError};
use super::programme::{Programme, Programmes, Sharing};
use super::readings;
use super::reads::{Records, unavailable, waiting};
use super::rechecks::Rechecks;
use super::retention;
use super::sequencer::{Execution, Job, Reply, Sequencer, Traced};
use super::snapshotting::Snapshotter;
use crate::book::account_file::AccountFile;
use crate::book::acts::{Confirmation, PendingAct};
use crate::book::clusters::{ClusterCount, ClusterFile, ClusterSummary};
use crate::book::command::{Assessor, CaseStep, CasesStep, Command, Done, Executed, ReserveCommand, SettleCommand};
use crate::book::cursor::FeedCursor;
use crate::book::directory::Directory;
use crate::book::intake::{IntakeAnswer, IntakeQuestion};
use crate::book::models::ProgramModels;
use crate::book::plan::Previewed;
use crate::book::query::{CaseFilter, CaseOrder, DecisionFilter, Page, PageRequest};
use crate::book::records::{
    CaseFile, CaseSummary, Cursor, DecisionRecord, FeedEvent, Freshness, Hold, LabelledConversion, ListEntry, ListSubject,
    PendingOutcome, QueueStats, TakenMessage,
};
use crate::book::rekeying::KeyCount;
use crate::book::terms::ProgramTerms;
use crate::book::{Book, CaseListing, MessageKind, Progress, QueueCount, Refusal};
use crate::ports::cold::ColdStore;
use crate::ports::journal::{BackupSummary, Chain, Journal, JournalError, Reach};
use crate::ports::ledger::{Answer, KeyReport, Ledger, LedgerError, LedgerHealth, ProgramSummary, Reading, TrailPart};
use crate::ports::snapshots::Snapshots;
use crate::screening::case::Step;
use crate::screening::decision::Verdict;
use crate::screening::gate::{RewardState, Standing};
use crate::screening::history::ListKind;
use crate::screening::policy::PayoutPolicy;
use crate::vocabulary::ids::{AccountId, Actor, CaseId, ConversionId, ProgramId, RecordId, RewardId};
use crate::vocabulary::time::{Span, Timestamp};

/// How a ledger is run.
#[derive(Debug, Clone)]
pub struct LedgerOptions {
    /// How much one append covers, and how much may wait.
    pub group: GroupOptions,
    /// Records of a programme after which a snapshot is taken.
    pub snapshot_every_records: u64,
    /// Memory that all books may take; beyond it writes are refused. Unit: bytes. An estimate is held to it, measured every thousand commands.
    pub memory_bytes_max: usize,
    /// What becomes of conversions that a fact touches after their decision.
    pub late_facts: LateFacts,
    /// When what nobody meets becomes cold, where there is a place for it.
    pub cold_after: ColdAfter,
    /// Who gives programmes the key of their audit sample.
    pub audit_keys: AuditKeys,
    /// Makes the indexes of the books hard to crowd: any number that callers cannot know.
    pub seed: u64,
}

/// What becomes of conversions that a fact touches after their decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LateFacts {
    /// They are looked at again as soon as there is time.
    #[default]
    LookedAt,
    /// They wait, and the gate holds them, until somebody reserves their rewards: for tests that must know every record.
    LeftAlone,
}

/// Who gives programmes the key of their audit sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AuditKeys {
    /// The configuration: the ledger makes none.
    #[default]
    Configured,
    /// The ledger: it makes one for each programme, in a record before its first conversion.
    MadeOnce,
}

impl Default for LedgerOptions {
    fn default() -> Self {
        // Judgement: 50,000 records are replayed in two seconds; four gigabytes hold some three million conversions.
        Self {
            group: GroupOptions::default(),
            snapshot_every_records: 50_000,
            memory_bytes_max: 4 << 30,
            late_facts: LateFacts::default(),
            cold_after: ColdAfter::default(),
            audit_keys: AuditKeys::default(),
            seed: 0,
        }
    }
}

/// Where a ledger keeps what it knows.
pub struct Homes {
    /// Its records: the truth.
    pub journal: Arc<dyn Journal>,
    /// Its frozen books; absent where all is replayed.
    pub snapshots: Option<Arc<dyn Snapshots>>,
    /// What nobody met for long; absent where everything stays in memory.
    pub cold: Option<Arc<dyn ColdStore>>,
}

/// What the parts of a ledger share.
pub(super) struct Shared {
    pub(super) journal: Arc<dyn Journal>,
    pub(super) snapshots: Option<Arc<dyn Snapshots>>,
    pub(super) programmes: Arc<Programmes>,
    pub(super) committer: Arc<Committer>,
    pub(super) assessor: Arc<dyn Assessor>,
    pub(super) seed: u64,
    /// Held while snapshots are taken, and while retention removes.
    pub(super) snapshotting: Arc<Mutex<()>>,
    /// Where what nobody met for long is; absent where everything stays in the books.
    pub(super) cold: Option<Arc<dyn ColdStore>>,
    /// Absent once the ledger is being closed.
    jobs: RwLock<Option<mpsc::Sender<Job>>>,
}

impl Shared {
    pub(super) fn send(&self, job: Job) -> Result<(), LedgerError> {
        self.jobs.read().as_ref().ok_or_else(closing)?.send(job).map_err(|_| closing())
    }

    fn records(&self, program: &ProgramId) -> Option<Records> {
        self.programmes.get(program).map(|programme| self.records_of(&programme))
    }

    /// When rewards of a programme may be paid.
    fn payout(&self, program: &ProgramId) -> PayoutPolicy {
        let known = self.programmes.get(program);
        known.map_or_else(
            || self.assessor.payout(program, &ProgramTerms::default()),
            |programme| programme.payout(&*self.assessor),
        )
    }

    pub(super) fn records_of(&self, programme: &Arc<Programme>) -> Records {
        let (journal, assessor) = (Arc::clone(&self.journal), Arc::clone(&self.assessor));
        Records { journal, assessor, programme: Arc::clone(programme) }
    }

    /// Whether no more commands are taken.
    pub(super) fn is_closing(&self) -> bool {
        self.jobs.read().is_none()
    }
}

/// The ledger over a journal.
pub struct JournaledLedger {
    pub(super) shared: Arc<Shared>,
    sequencer: Option<JoinHandle<()>>,
    snapshotter: Option<(mpsc::Sender<()>, JoinHandle<()>)>,
    /// Absent where facts that come late are looked at only when asked for.
    rechecks: Option<Rechecks>,
    /// Absent where nothing becomes cold by itself.
    cooling: Option<Cooling>,
}

impl JournaledLedger {
    /// Opens the ledger of a journal: reads the newest sound snapshots and replays the rest.
    ///
    /// # Errors
    /// [`OpenError`]: nothing that was acknowledged is changed; the message says what to do.
    pub fn open(
        journal: Arc<dyn Journal>,
        snapshots: Option<Arc<dyn Snapshots>>,
        options: LedgerOptions,
        assessor: Arc<dyn Assessor>,
    ) -> Result<Self, OpenError> {
        Self::open_in(Homes { journal, snapshots, cold: None }, options, assessor)
    }

    /// As [`JournaledLedger::open`], with a place for what nobody met for long.
    ///
    /// # Errors
    /// As [`JournaledLedger::open`].
    pub fn open_in(homes: Homes, options: LedgerOptions, assessor: Arc<dyn Assessor>) -> Result<Self, OpenError> {
        Self::open_shared(Sharing::Alone, homes, options, assessor)
    }

    /// As [`JournaledLedger::open`], for programmes that this process writes for alone, or that it is yet to take.
    pub(super) fn open_shared(
        sharing: Sharing,
        Homes { journal, snapshots, cold }: Homes,
        options: LedgerOptions,
        assessor: Arc<dyn Assessor>,
    ) -> Result<Self, OpenError> {
        let LedgerOptions { group, snapshot_every_records, memory_bytes_max, late_facts, cold_after, audit_keys, seed } = options;
        let opened = match sharing {
            Sharing::Alone => open::sources(&journal, snapshots.as_ref(), cold.as_ref(), seed).programmes()?,
            Sharing::Leased => Vec::new(),
        };
        let programmes = Arc::new(Programmes::new(opened));
        let thread = |error: std::io::Error| OpenError::Thread(error.to_string());
        let committer = Arc::new(Committer::start(Arc::clone(&journal), group, sharing).map_err(thread)?);
        let (jobs, queue) = mpsc::channel::<Job>();
        let (wake, woken) = mpsc::sync_channel(1);
        let mut sequencer = Sequencer {
            programmes: Arc::clone(&programmes),
            sharing,
            committer: Arc::clone(&committer),
            assessor: Arc::clone(&assessor),
            seed,
            memory_bytes_max,
            cold: cold.clone(),
            cold_after,
            outbox: Vec::new(),
            unmeasured: 0,
            unfinished: Vec::new(),
            late: wake.clone(),
            audit_keys,
        };
        let run = move || sequencer.run_all(&queue);
        let running = std::thread::Builder::new().name("ledger-sequencer".into()).spawn(run).map_err(thread)?;
        let snapshotting = Arc::new(Mutex::new(()));
        let snapshotter = match &snapshots {
            None => None,
            Some(snapshots) => {
                let taking = Snapshotter {
                    journal: Arc::clone(&journal),
                    snapshots: Arc::clone(snapshots),
                    jobs: jobs.clone(),
                    every_records: snapshot_every_records.max(1),
                    alone: Arc::clone(&snapshotting),
                };
                let (end, ends) = mpsc::channel();
                let spawned = std::thread::Builder::new().name("ledger-snapshot".into()).spawn(move || taking.run(&ends));
                Some((end, spawned.map_err(thread)?))
            }
        };
        let shared = Arc::new(Shared {
            journal,
            snapshots,
            programmes,
            committer,
            assessor,
            seed,
            snapshotting,
            jobs: RwLock::new(Some(jobs)),
            cold: cold.clone(),
        });
        let cooling = match (cold, cold_after) {
            (Some(_), ColdAfter::Unmet(age)) => Some(Cooling::start(Arc::clone(&shared), age).map_err(thread)?),
            (None, _) | (Some(_), ColdAfter::Never | ColdAfter::EachCommand) => None,
        };
        let rechecks = match late_facts {
            LateFacts::LookedAt => Some(Rechecks::start(Arc::clone(&shared), wake, woken).map_err(thread)?),
            LateFacts::LeftAlone => None,
        };
        Ok(Self { shared, sequencer: Some(running), snapshotter, rechecks, cooling })
    }

    /// A ledger whose journal nobody keeps.
    ///
    /// # Errors
    /// [`OpenError::Thread`].
    pub fn over(journal: Arc<dyn Journal>, assessor: Arc<dyn Assessor>) -> Result<Self, OpenError> {
        Self::open(journal, None, LedgerOptions::default(), assessor)
    }

    /// Hands a command to the sequencer, once there is a place for it, and waits for what it came to.
    async fn sequenced(&self, command: Command, by: Option<Actor>) -> Result<Executed, LedgerError> {
        let program = command.program().clone();
        let permit = self.shared.committer.admit()?;
        let (reply, answer) = oneshot::channel();
        let execution = Execution { command, by, permit, reply, traced: Traced::waiting() };
        self.shared.send(Job::Execute(Box::new(execution)))?;
        let given_up = || LedgerError::Unavailable("the command was given up; send it again with the same id".to_owned());
        match answer.await.map_err(|_| given_up())?? {
            Reply::Done(cursor, done) => Ok(Executed { cursor: Some(cursor), freshness: Freshness::New, done }),
            Reply::Answered(done, seen) => {
                self.wait_for(&program, seen).await?;
                Ok(Executed { cursor: None, freshness: Freshness::New, done })
            }
            Reply::AlreadyDone(cursor) => {
                self.wait_for(&program, cursor).await?;
                let (cursor, done) = match self.shared.records(&program) {
                    Some(records) => records.answered_before(cursor).await?,
                    None => (None, Done::Recorded),
                };
                Ok(Executed { cursor, freshness: Freshness::Replayed, done })
            }
            Reply::Refused(refusal, seen) => {
                self.wait_for(&program, seen).await?;
                Err(LedgerError::Refused(refusal))
            }
        }
    }

    /// A command with what its plan needs of the journal. A record never changes, so it may be read before the command's turn.
    async fn prepared(&self, command: Command) -> Result<Command, LedgerError> {
        let step = match command {
            Command::StepCase(step, None) => step,
            Command::Reserve(reserve) => return self.with_conversions(reserve).await.map(Command::Reserve),
            Command::SettleAct(settled) => return Ok(Command::SettleAct(self.with_what_it_does(settled))),
            other => return Ok(other),
        };
        let reopens = step.step == CaseStep::Step(Step::Reopen);
        let decided = match (step.case_id.conversion_id().filter(|_| reopens), self.shared.records(&step.program_id)) {
            (Some(id), Some(records)) => records.decided_before(&id).await?.map(Box::new),
            (None, _) | (_, None) => None,
        };
        Ok(Command::StepCase(step, decided))
    }

    /// A confirmation with what it does.
    fn with_what_it_does(&self, settled: SettleCommand) -> SettleCommand {
        let programme = self.shared.programmes.get(&settled.program_id);
        let prepared = programme.and_then(|programme| {
            let book = programme.book.read();
            let pending = book.pending_act(&settled.act_id, settled.at)?;
            Some(Box::new(pending.command(settled.program_id.clone(), settled.at)))
        });
        SettleCommand { prepared, ..settled }
    }

    /// A reservation with what it asks for as it was sent, so that it is looked at again.
    async fn with_conversions(&self, reserve: ReserveCommand) -> Result<ReserveCommand, LedgerError> {
        let Some(records) = self.shared.records(&reserve.program_id) else { return Ok(reserve) };
        let mut ids: Vec<ConversionId> = reserve.payouts.iter().map(|wanted| wanted.conversion_id.clone()).collect();
        ids.sort_unstable();
        ids.dedup();
        let conversions = records.sent(&ids).await?;
        Ok(ReserveCommand { conversions, ..reserve })
    }

    async fn wait_for(&self, program: &ProgramId, cursor: Cursor) -> Result<(), LedgerError> {
        match self.shared.programmes.get(program) {
            Some(programme) => programme.wait_for(cursor).await,
            None => Ok(()),
        }
    }

    /// Reads from one book, and waits until what was read is durable.
    async fn look<T>(
        &self,
        program: &ProgramId,
        nothing: T,
        look: impl FnOnce(&Programme) -> Result<(T, Cursor), LedgerError>,
    ) -> Result<T, LedgerError> {
        let Some(programme) = self.shared.programmes.get(program) else { return Ok(nothing) };
        let (found, as_of) = look(&programme)?;
        programme.wait_for(as_of).await?;
        Ok(found)
    }
}

impl Drop for JournaledLedger {
    /// Lets what was taken finish, and takes snapshots, so that the next opening is quick.
    fn drop(&mut self) {
        if let Some((end, thread)) = self.snapshotter.take() {
            drop(end);
            // A panic has been printed; there is nobody left to tell.
            drop(thread.join());
        }
        self.shared.jobs.write().take();
        if let Some(cooling) = &mut self.cooling {
            cooling.end();
        }
        if let Some(rechecks) = &mut self.rechecks {
            rechecks.end();
        }
        if let Some(thread) = self.sequencer.take() {
            drop(thread.join());
        }
        self.shared.committer.close();
    }
}

/// Where the feed of a programme begins that holds nothing.
fn of_nothing(program: &ProgramId, after: Option<FeedCursor>) -> Result<FeedCursor, LedgerError> {
    let beginning = FeedCursor { place: Cursor(0), mark: Chain::before_all(program).mark() };
    match after {
        Some(after) if after != beginning => Err(LedgerError::CursorOfOther { after, end: 0 }),
        _ => Ok(beginning),
    }
}

/// Takes a listing in pieces, so that commands are executed between them.
fn in_pieces(programme: &Programme, mut advance: impl FnMut(&Book) -> Progress) {
    while advance(&programme.book.read()) == Progress::More {}
}

/// What the gate reads, of one moment, with the newest record that it is made of.
fn standings(programme: &Programme, payouts: &[(RewardId, ConversionId)]) -> (Vec<Option<Standing>>, Cursor) {
    let book = programme.book.read();
    let read: Vec<_> = payouts.iter().map(|(reward, conversion)| book.standing(reward, conversion)).collect();
    let as_of = read.iter().flatten().map(|(_, changed)| *changed).max().unwrap_or(Cursor(0));
    (read.into_iter().map(|read| read.map(|(standing, _)| standing)).collect(), as_of)
}

/// The same where the journal takes nothing more: what never became durable holds.
fn durable_standings(programme: &Programme, payouts: &[(RewardId, ConversionId)]) -> Vec<Option<Standing>> {
    let book = programme.book.read();
    let durable = programme.durable();
    let standing = |(reward, conversion): &(RewardId, ConversionId)| {
        let (mut standing, changed) = book.standing(reward, conversion)?;
        if changed > durable {
            standing.verdict = Verdict::InReview;
            (standing.cancelled, standing.refunded) = (None, None);
            for reward in &mut standing.rewards {
                if matches!(reward.state, RewardState::Paid { .. }) {
                    reward.state = RewardState::Unpaid;
                }
            }
        }
        Some(standing)
    };
    payouts.iter().map(standing).collect()
}

impl Ledger for JournaledLedger {
    fn execute(&self, command: Command) -> Answer<'_, Executed> {
        Box::pin(async move {
            let program = command.program().clone();
            let (by, command) = command.split();
            let command = self.prepared(command).await?;
            let executed = self.sequenced(command, by).await?;
            Ok(match (executed.done, self.shared.records(&program)) {
                (Done::Screened(record), Some(records)) => {
                    Executed { done: Done::Screened(Box::new(records.settled(*record))), ..executed }
                }
                (done, _) => Executed { done, ..executed },
            })
        })
    }

    fn decision<'a>(&'a self, program: &'a ProgramId, conversion: &'a ConversionId) -> Answer<'a, Option<DecisionRecord>> {
        Box::pin(async move {
            match self.shared.records(program) {
                Some(records) => records.decision(conversion).await,
                None => Ok(None),
            }
        })
    }

    fn taken<'a>(
        &'a self,
        program: &'a ProgramId,
        kind: MessageKind,
        id: &'a RecordId,
    ) -> Answer<'a, Option<(FeedCursor, TakenMessage)>> {
        Box::pin(async move {
            match self.shared.records(program) {
                Some(records) => records.taken(kind, id).await,
                None => Ok(None),
            }
        })
    }

    fn decisions<'a>(
        &'a self,
        program: &'a ProgramId,
        filter: &'a DecisionFilter,
        page: &'a PageRequest,
    ) -> Answer<'a, Page<DecisionRecord>> {
        Box::pin(async move {
            match self.shared.records(program) {
                Some(records) => records.decisions(filter.clone(), page.clone()).await,
                None => Ok(Page { entries: Vec::new(), next: None, total: None }),
            }
        })
    }

    fn cases<'a>(
        &'a self,
        program: &'a ProgramId,
        filter: &'a CaseFilter,
        order: CaseOrder,
        page: &'a PageRequest,
        now: Timestamp,
    ) -> Answer<'a, Page<CaseSummary>> {
        Box::pin(async move {
            let mut listing = CaseListing::begin(filter, order, page, self.shared.payout(program), now)?;
            let Some(programme) = self.shared.programmes.get(program) else { return Ok(listing.finish().0) };
            let (of, wanted) = (Arc::clone(&programme), page.wanted.clone());
            let (page, as_of) = waiting(move || {
                in_pieces(&of, |book| if wanted.has_ended() { Progress::Finished } else { listing.advance(book) });
                Ok(listing.finish())
            })
            .await?;
            programme.wait_for(as_of).await?;
            Ok(page)
        })
    }

    fn case<'a>(&'a self, program: &'a ProgramId, case: &'a CaseId, now: Timestamp) -> Answer<'a, Option<CaseFile>> {
        Box::pin(async move {
            match self.shared.records(program) {
                Some(records) => records.case(case, now).await,
                None => Ok(None),
            }
        })
    }

    fn account<'a>(
        &'a self,
        program: &'a ProgramId,
        account: &'a AccountId,
        page: &'a PageRequest,
        now: Timestamp,
    ) -> Answer<'a, Option<AccountFile>> {
        Box::pin(async move {
            match self.shared.records(program) {
                Some(records) => records.account(account, page, now).await,
                None => Ok(None),
            }
        })
    }

    fn clusters<'a>(&'a self, program: &'a ProgramId, page: &'a PageRequest, now: Timestamp) -> Answer<'a, Page<ClusterSummary>> {
        Box::pin(async move {
            let wanted = page.wanted.clone();
            let mut count = ClusterCount::begin(page, self.shared.payout(program), now)?;
            let Some(programme) = self.shared.programmes.get(program) else { return Ok(count.finish().0) };
            let of = Arc::clone(&programme);
            let (page, as_of) = waiting(move || {
                in_pieces(&of, |book| if wanted.has_ended() { Progress::Finished } else { count.advance(book) });
                Ok(count.finish())
            })
            .await?;
            programme.wait_for(as_of).await?;
            Ok(page)
        })
    }

    fn cluster<'a>(&'a self, program: &'a ProgramId, account: &'a AccountId, now: Timestamp) -> Answer<'a, Option<ClusterFile>> {
        Box::pin(async move {
            match self.shared.records(program) {
                Some(records) => records.cluster(account, now).await,
                None => Ok(None),
            }
        })
    }

    fn preview<'a>(
        &'a self,
        program: &'a ProgramId,
        act: CasesStep,
        cases: &'a [CaseId],
        (actor, confirmation): (&'a Actor, Option<&'a Confirmation>),
        now: Timestamp,
    ) -> Answer<'a, Vec<Previewed>> {
        Box::pin(async move {
            match self.shared.records(program) {
                Some(records) => records.preview(act, cases, (actor, confirmation), now).await,
                None => Ok(Vec::new()),
            }
        })
    }

    fn queue_stats<'a>(&'a self, program: &'a ProgramId, now: Timestamp) -> Answer<'a, QueueStats> {
        Box::pin(async move {
            let Some(programme) = self.shared.programmes.get(program) else { return Ok(QueueStats::default()) };
            let of = Arc::clone(&programme);
            let payout = self.shared.payout(program);
            let (stats, as_of) = waiting(move || {
                let mut count = QueueCount::begin(payout, now);
                in_pieces(&of, |book| count.advance(book));
                Ok(count.finish())
            })
            .await?;
            programme.wait_for(as_of).await?;
            Ok(stats)
        })
    }

    fn standings<'a>(
        &'a self,
        program: &'a ProgramId,
        payouts: &'a [(RewardId, ConversionId)],
    ) -> Answer<'a, Vec<Option<Standing>>> {
        Box::pin(async move {
            let Some(programme) = self.shared.programmes.get(program) else { return Ok(vec![None; payouts.len()]) };
            let (standings, as_of) = standings(&programme, payouts);
            Ok(match programme.wait_for(as_of).await {
                Ok(()) => standings,
                Err(_) => durable_standings(&programme, payouts),
            })
        })
    }

    fn feed<'a>(
        &'a self,
        program: &'a ProgramId,
        after: Option<FeedCursor>,
        limit: usize,
    ) -> Answer<'a, (Vec<FeedEvent>, FeedCursor)> {
        Box::pin(async move {
            match self.shared.records(program) {
                Some(records) => waiting(move || records.feed(after, limit)).await,
                None => Ok((Vec::new(), of_nothing(program, after)?)),
            }
        })
    }

    fn grown_past<'a>(&'a self, program: &'a ProgramId, cursor: Cursor) -> BoxFuture<'a, ()> {
        Box::pin(async move { self.shared.programmes.registered(program).await.grown_past(cursor).await })
    }

    fn pending_outcomes<'a>(&'a self, program: &'a ProgramId, page: &'a PageRequest) -> Answer<'a, Page<PendingOutcome>> {
        let nothing = Page { entries: Vec::new(), next: None, total: None };
        Box::pin(self.look(program, nothing, move |programme| Ok(programme.book.read().pending(program, page)?)))
    }

    fn holds<'a>(&'a self, program: &'a ProgramId, page: &'a PageRequest) -> Answer<'a, Page<Hold>> {
        let nothing = Page { entries: Vec::new(), next: None, total: None };
        Box::pin(self.look(program, nothing, |programme| Ok(programme.book.read().holds(page)?)))
    }

    fn list_entries<'a>(
        &'a self,
        program: &'a ProgramId,
        list: Option<ListKind>,
        page: &'a PageRequest,
    ) -> Answer<'a, Page<ListEntry>> {
        let nothing = Page { entries: Vec::new(), next: None, total: None };
        Box::pin(self.look(program, nothing, move |programme| Ok(programme.book.read().list_entries(list, page)?)))
    }

    fn pending_acts<'a>(&'a self, program: &'a ProgramId, page: &'a PageRequest, now: Timestamp) -> Answer<'a, Page<PendingAct>> {
        let nothing = Page { entries: Vec::new(), next: None, total: None };
        Box::pin(self.look(program, nothing, move |programme| Ok(programme.book.read().pending_acts(page, now)?)))
    }

    fn list_entry<'a>(
        &'a self,
        program: &'a ProgramId,
        list: ListKind,
        subject: &'a ListSubject,
    ) -> Answer<'a, Option<ListEntry>> {
        Box::pin(self.look(program, None, move |programme| {
            let book = programme.book.read();
            Ok(match book.list_entry(list, subject) {
                Some((entry, cursor)) => (Some(entry.clone()), *cursor),
                None => (None, Cursor(0)),
            })
        }))
    }

    fn labelled<'a>(
        &'a self,
        program: &'a ProgramId,
        after: Option<FeedCursor>,
        limit: usize,
    ) -> Answer<'a, (Vec<LabelledConversion>, FeedCursor)> {
        Box::pin(async move {
            match self.shared.records(program) {
                Some(records) => records.labelled(after, limit).await,
                None => Ok((Vec::new(), of_nothing(program, after)?)),
            }
        })
    }

    fn trail<'a>(&'a self, program: &'a ProgramId, reach: Reach) -> Answer<'a, TrailPart> {
        Box::pin(async move {
            match self.shared.records(program) {
                Some(records) => records.trail(reach).await,
                None => Ok(TrailPart { first: Cursor(1), end: Cursor(0), lines: Vec::new(), erasing: false }),
            }
        })
    }

    fn finish_erasures(&self) -> Result<u64, LedgerError> {
        erasing::finish(&self.shared)
    }

    fn models<'a>(&'a self, program: &'a ProgramId) -> Answer<'a, Arc<ProgramModels>> {
        Box::pin(self.look(program, Arc::default(), |programme| {
            let models = Arc::clone(programme.book.read().models());
            let changed = models.changed();
            Ok((models, changed))
        }))
    }

    fn terms<'a>(&'a self, program: &'a ProgramId) -> Answer<'a, Arc<ProgramTerms>> {
        Box::pin(self.look(program, Arc::default(), |programme| {
            let terms = Arc::clone(programme.book.read().terms());
            let changed = terms.changed();
            Ok((terms, changed))
        }))
    }

    fn key_use<'a>(&'a self, program: &'a ProgramId) -> Answer<'a, KeyReport> {
        Box::pin(async move {
            let Some(programme) = self.shared.programmes.get(program) else { return Ok(KeyReport::default()) };
            let of = Arc::clone(&programme);
            let (keys, values_cold, as_of) = waiting(move || {
                let mut count = KeyCount::default();
                in_pieces(&of, |book| count.advance(book));
                Ok(count.finish())
            })
            .await?;
            programme.wait_for(as_of).await?;
            Ok(KeyReport { keys, values_cold })
        })
    }

    fn directory(&self) -> Answer<'_, Arc<Directory>> {
        Box::pin(async move {
            let directory = |programme: &Programme| {
                let directory = Arc::clone(programme.book.read().directory());
                let changed = directory.changed();
                Ok((directory, changed))
            };
            self.look(&ProgramId::directory(), Arc::default(), directory).await
        })
    }

    fn intake<'a>(&'a self, program: &'a ProgramId, question: &'a IntakeQuestion, now: Timestamp) -> Answer<'a, IntakeAnswer> {
        Box::pin(async move {
            let nothing = Book::new(0).intake(program, question, now).0;
            self.look(program, nothing, move |programme| Ok(programme.book.read().intake(program, question, now))).await
        })
    }

    fn end<'a>(&'a self, program: &'a ProgramId) -> Answer<'a, FeedCursor> {
        Box::pin(async move {
            match self.shared.records(program) {
                Some(records) => waiting(move || records.end()).await,
                None => of_nothing(program, None),
            }
        })
    }

    fn programs(&self) -> Vec<ProgramSummary> {
        let summary = |programme: Arc<Programme>| {
            let last_cursor = programme.durable();
            let accounts = programme.book.read().accounts_known();
            let holds_something = last_cursor > Cursor(0) && programme.id.as_str() != ProgramId::DIRECTORY;
            holds_something.then(|| ProgramSummary { program_id: programme.id.clone(), last_cursor, accounts })
        };
        self.shared.programmes.all().into_iter().filter_map(summary).collect()
    }

    fn health(&self) -> LedgerHealth {
        let failed = self.shared.committer.failure().map(|error| error.to_string());
        match failed.or_else(|| self.shared.journal.failure()) {
            Some(reason) => {
                LedgerHealth::Poisoned(format!("{reason}; stop the server, see that the disk is well, and start it again"))
            }
            None => self.shared.journal.hindrance().map_or(LedgerHealth::Serving, LedgerHealth::Poisoned),
        }
    }

    fn back_up(&self, out: &mut dyn Write) -> Result<BackupSummary, LedgerError> {
        self.shared.journal.back_up(out).map_err(|error| match error {
            JournalError::NotPossible(why) => LedgerError::Refused(Refusal::NotPossible(why)),
            other => unavailable(other),
        })
    }

    fn forget_older_than(&self, age: Option<Span>, now: Timestamp) -> Result<u64, LedgerError> {
        retention::forget(&self.shared, age, now)
    }

    fn readings(&self) -> Vec<Reading> {
        readings::of(&self.shared)
    }
}
