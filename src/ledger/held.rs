//! A ledger that many processes share: each answers for the programmes whose leases it holds, and says of the others who does.

use std::io::Write;
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;

use futures::future::BoxFuture;

use super::followed::FollowedDirectory;
use super::holding::Holding;
use super::journaled::{Homes, JournaledLedger, LedgerOptions};
use super::open::OpenError;
use super::programme::Sharing;
use super::reads::waiting;
use crate::book::MessageKind;
use crate::book::account_file::AccountFile;
use crate::book::acts::{Confirmation, PendingAct};
use crate::book::clusters::{ClusterFile, ClusterSummary};
use crate::book::command::{Assessor, CasesStep, Command, Executed};
use crate::book::cursor::FeedCursor;
use crate::book::directory::Directory;
use crate::book::intake::{IntakeAnswer, IntakeQuestion};
use crate::book::models::ProgramModels;
use crate::book::plan::Previewed;
use crate::book::query::{CaseFilter, CaseOrder, DecisionFilter, Page, PageRequest};
use crate::book::records::{
    CaseFile, CaseSummary, Cursor, DecisionRecord, FeedEvent, Hold, LabelledConversion, ListEntry, ListSubject, PendingOutcome,
    QueueStats, TakenMessage,
};
use crate::book::terms::ProgramTerms;
use crate::ports::clock::SteadyClock;
use crate::ports::journal::{BackupSummary, Journal, Reach};
use crate::ports::leases::Leases;
use crate::ports::ledger::{Answer, Answerers, KeyReport, Ledger, LedgerError, LedgerHealth, ProgramSummary, Reading, TrailPart};
use crate::ports::snapshots::Snapshots;
use crate::screening::gate::Standing;
use crate::screening::history::ListKind;
use crate::vocabulary::ids::{AccountId, Actor, CaseId, ConversionId, ProgramId, RecordId, RewardId};
use crate::vocabulary::time::{Span, Timestamp};

/// A ledger over a journal that other processes write to as well.
///
/// A programme is taken on first use. Everything that is answered was read, or refused, under a lease that still ran when the answer was made; and
/// what was written stands under its epoch.
pub struct HeldLedger {
    /// Absent while it is being closed.
    ledger: Option<JournaledLedger>,
    holding: Arc<Holding>,
    directory: Arc<FollowedDirectory>,
    renewing: Option<(mpsc::Sender<()>, JoinHandle<()>)>,
}

impl HeldLedger {
    /// Opens the ledger of a journal; no programme is read yet.
    ///
    /// # Errors
    /// [`OpenError::Thread`].
    pub fn open(
        journal: Arc<dyn Journal>,
        snapshots: Option<Arc<dyn Snapshots>>,
        leases: Arc<dyn Leases>,
        clock: Arc<dyn SteadyClock>,
        options: LedgerOptions,
        assessor: Arc<dyn Assessor>,
    ) -> Result<Self, OpenError> {
        let ledger = JournaledLedger::open_shared(Sharing::Leased, Homes { journal, snapshots, cold: None }, options, assessor)?;
        let holding = Arc::new(Holding::new(Arc::clone(&ledger.shared), leases, clock));
        let (end, ends) = mpsc::channel();
        let of = Arc::clone(&holding);
        let spawned = std::thread::Builder::new().name("ledger-leases".into()).spawn(move || of.renew_until(&ends));
        let renewing = Some((end, spawned.map_err(|error| OpenError::Thread(error.to_string()))?));
        Ok(Self { ledger: Some(ledger), holding, directory: Arc::default(), renewing })
    }

    /// Asks the ledger under the lease of a programme, and looks at the lease again before the answer is given.
    fn under_lease<'a, T: Send + 'a, F>(
        &'a self,
        program: ProgramId,
        ask: impl FnOnce(&'a JournaledLedger) -> F + Send + 'a,
    ) -> Answer<'a, T>
    where
        F: Future<Output = Result<T, LedgerError>> + Send + 'a,
    {
        Box::pin(async move {
            let programme = self.holding.hold(&program).await?;
            let answer = ask(self.inner()?).await;
            self.holding.still_holds(&programme)?;
            answer
        })
    }

    fn inner(&self) -> Result<&JournaledLedger, LedgerError> {
        self.ledger.as_ref().ok_or_else(super::commit::closing)
    }
}

impl Drop for HeldLedger {
    /// Lets what was taken finish while the leases are still prolonged, then gives them back.
    fn drop(&mut self) {
        self.ledger = None;
        if let Some((end, thread)) = self.renewing.take() {
            drop(end);
            // A panic has been printed; there is nobody left to tell.
            drop(thread.join());
        }
        self.holding.release_all();
    }
}

impl Ledger for HeldLedger {
    fn execute(&self, command: Command) -> Answer<'_, Executed> {
        self.under_lease(command.program().clone(), |ledger| ledger.execute(command))
    }

    fn decision<'a>(&'a self, program: &'a ProgramId, conversion: &'a ConversionId) -> Answer<'a, Option<DecisionRecord>> {
        self.under_lease(program.clone(), |ledger| ledger.decision(program, conversion))
    }

    fn taken<'a>(
        &'a self,
        program: &'a ProgramId,
        kind: MessageKind,
        id: &'a RecordId,
    ) -> Answer<'a, Option<(FeedCursor, TakenMessage)>> {
        self.under_lease(program.clone(), move |ledger| ledger.taken(program, kind, id))
    }

    fn decisions<'a>(
        &'a self,
        program: &'a ProgramId,
        filter: &'a DecisionFilter,
        page: &'a PageRequest,
    ) -> Answer<'a, Page<DecisionRecord>> {
        self.under_lease(program.clone(), |ledger| ledger.decisions(program, filter, page))
    }

    fn cases<'a>(
        &'a self,
        program: &'a ProgramId,
        filter: &'a CaseFilter,
        order: CaseOrder,
        page: &'a PageRequest,
        now: Timestamp,
    ) -> Answer<'a, Page<CaseSummary>> {
        self.under_lease(program.clone(), move |ledger| ledger.cases(program, filter, order, page, now))
    }

    fn case<'a>(&'a self, program: &'a ProgramId, case: &'a CaseId, now: Timestamp) -> Answer<'a, Option<CaseFile>> {
        self.under_lease(program.clone(), move |ledger| ledger.case(program, case, now))
    }

    fn account<'a>(
        &'a self,
        program: &'a ProgramId,
        account: &'a AccountId,
        page: &'a PageRequest,
        now: Timestamp,
    ) -> Answer<'a, Option<AccountFile>> {
        self.under_lease(program.clone(), move |ledger| ledger.account(program, account, page, now))
    }

    fn clusters<'a>(&'a self, program: &'a ProgramId, page: &'a PageRequest, now: Timestamp) -> Answer<'a, Page<ClusterSummary>> {
        self.under_lease(program.clone(), move |ledger| ledger.clusters(program, page, now))
    }

    fn cluster<'a>(&'a self, program: &'a ProgramId, account: &'a AccountId, now: Timestamp) -> Answer<'a, Option<ClusterFile>> {
        self.under_lease(program.clone(), move |ledger| ledger.cluster(program, account, now))
    }

    fn preview<'a>(
        &'a self,
        program: &'a ProgramId,
        act: CasesStep,
        cases: &'a [CaseId],
        (actor, confirmation): (&'a Actor, Option<&'a Confirmation>),
        now: Timestamp,
    ) -> Answer<'a, Vec<Previewed>> {
        self.under_lease(program.clone(), move |ledger| ledger.preview(program, act, cases, (actor, confirmation), now))
    }

    fn queue_stats<'a>(&'a self, program: &'a ProgramId, now: Timestamp) -> Answer<'a, QueueStats> {
        self.under_lease(program.clone(), move |ledger| ledger.queue_stats(program, now))
    }

    fn standings<'a>(
        &'a self,
        program: &'a ProgramId,
        payouts: &'a [(RewardId, ConversionId)],
    ) -> Answer<'a, Vec<Option<Standing>>> {
        self.under_lease(program.clone(), |ledger| ledger.standings(program, payouts))
    }

    fn feed<'a>(
        &'a self,
        program: &'a ProgramId,
        after: Option<FeedCursor>,
        limit: usize,
    ) -> Answer<'a, (Vec<FeedEvent>, FeedCursor)> {
        self.under_lease(program.clone(), move |ledger| ledger.feed(program, after, limit))
    }

    fn grown_past<'a>(&'a self, program: &'a ProgramId, cursor: Cursor) -> BoxFuture<'a, ()> {
        Box::pin(async move {
            // Whoever reads again is told why.
            let Ok(programme) = self.holding.hold(program).await else { return };
            tokio::select! {
                () = programme.grown_past(cursor) => {}
                () = programme.failed() => {}
            }
        })
    }

    fn pending_outcomes<'a>(&'a self, program: &'a ProgramId, page: &'a PageRequest) -> Answer<'a, Page<PendingOutcome>> {
        self.under_lease(program.clone(), |ledger| ledger.pending_outcomes(program, page))
    }

    fn holds<'a>(&'a self, program: &'a ProgramId, page: &'a PageRequest) -> Answer<'a, Page<Hold>> {
        self.under_lease(program.clone(), |ledger| ledger.holds(program, page))
    }

    fn list_entries<'a>(
        &'a self,
        program: &'a ProgramId,
        list: Option<ListKind>,
        page: &'a PageRequest,
    ) -> Answer<'a, Page<ListEntry>> {
        self.under_lease(program.clone(), move |ledger| ledger.list_entries(program, list, page))
    }

    fn pending_acts<'a>(&'a self, program: &'a ProgramId, page: &'a PageRequest, now: Timestamp) -> Answer<'a, Page<PendingAct>> {
        self.under_lease(program.clone(), move |ledger| ledger.pending_acts(program, page, now))
    }

    fn list_entry<'a>(
        &'a self,
        program: &'a ProgramId,
        list: ListKind,
        subject: &'a ListSubject,
    ) -> Answer<'a, Option<ListEntry>> {
        self.under_lease(program.clone(), move |ledger| ledger.list_entry(program, list, subject))
    }

    fn labelled<'a>(
        &'a self,
        program: &'a ProgramId,
        after: Option<FeedCursor>,
        limit: usize,
    ) -> Answer<'a, (Vec<LabelledConversion>, FeedCursor)> {
        self.under_lease(program.clone(), move |ledger| ledger.labelled(program, after, limit))
    }

    fn trail<'a>(&'a self, program: &'a ProgramId, reach: Reach) -> Answer<'a, TrailPart> {
        self.under_lease(program.clone(), move |ledger| ledger.trail(program, reach))
    }

    fn finish_erasures(&self) -> Result<u64, LedgerError> {
        self.inner()?.finish_erasures()
    }

    fn answerers(&self) -> Answerers {
        Answerers::ManyProcesses
    }

    fn models<'a>(&'a self, program: &'a ProgramId) -> Answer<'a, Arc<ProgramModels>> {
        self.under_lease(program.clone(), |ledger| ledger.models(program))
    }

    fn terms<'a>(&'a self, program: &'a ProgramId) -> Answer<'a, Arc<ProgramTerms>> {
        self.under_lease(program.clone(), |ledger| ledger.terms(program))
    }

    fn key_use<'a>(&'a self, program: &'a ProgramId) -> Answer<'a, KeyReport> {
        self.under_lease(program.clone(), |ledger| ledger.key_use(program))
    }

    fn directory(&self) -> Answer<'_, Arc<Directory>> {
        Box::pin(async move {
            let (shared, directory) = (Arc::clone(&self.inner()?.shared), Arc::clone(&self.directory));
            waiting(move || directory.now(&shared)).await
        })
    }

    fn intake<'a>(&'a self, program: &'a ProgramId, question: &'a IntakeQuestion, now: Timestamp) -> Answer<'a, IntakeAnswer> {
        self.under_lease(program.clone(), move |ledger| ledger.intake(program, question, now))
    }

    fn end<'a>(&'a self, program: &'a ProgramId) -> Answer<'a, FeedCursor> {
        self.under_lease(program.clone(), |ledger| ledger.end(program))
    }

    fn programs(&self) -> Vec<ProgramSummary> {
        self.ledger.as_ref().map(Ledger::programs).unwrap_or_default()
    }

    fn health(&self) -> LedgerHealth {
        match (&self.ledger, self.holding.trouble()) {
            (_, Some(trouble)) => LedgerHealth::Poisoned(format!("{trouble}; it is tried again until the database answers")),
            (Some(ledger), None) => ledger.health(),
            (None, None) => LedgerHealth::Poisoned("the ledger is closing".to_owned()),
        }
    }

    fn back_up(&self, out: &mut dyn Write) -> Result<BackupSummary, LedgerError> {
        self.inner()?.back_up(out)
    }

    fn forget_older_than(&self, age: Option<Span>, now: Timestamp) -> Result<u64, LedgerError> {
        self.inner()?.forget_older_than(age, now)
    }

    fn readings(&self) -> Vec<Reading> {
        self.ledger.as_ref().map(Ledger::readings).unwrap_or_default()
    }
}
