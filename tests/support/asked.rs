//! A ledger whose reads are answered where they are asked, so that a test reads in the order in which it says things.

use std::ops::Deref;
use std::sync::Arc;

use futures::executor::block_on;
use selfsame::book::account_file::AccountFile;
use selfsame::book::acts::PendingAct;
use selfsame::book::clusters::{ClusterFile, ClusterSummary};
use selfsame::book::command::CasesStep;
use selfsame::book::cursor::FeedCursor;
use selfsame::book::directory::Directory;
use selfsame::book::models::ProgramModels;
use selfsame::book::plan::Previewed;
use selfsame::book::query::{CaseFilter, CaseOrder, DecisionFilter, Page, PageRequest};
use selfsame::book::records::{
    CaseFile, CaseSummary, DecisionRecord, FeedEvent, Hold, LabelledConversion, ListEntry, ListSubject, PendingOutcome,
    QueueStats,
};
use selfsame::ports::journal::Reach;
use selfsame::ports::ledger::{Ledger, LedgerError, TrailPart};
use selfsame::screening::gate::Standing;
use selfsame::screening::history::ListKind;
use selfsame::vocabulary::ids::{AccountId, Actor, CaseId, ConversionId, ProgramId, RewardId};
use selfsame::vocabulary::time::Timestamp;

/// The ledger. Its reads stand in the way of the port's own; everything else is the port's.
pub(crate) struct Asked<L>(pub(crate) L);

impl<L> Deref for Asked<L> {
    type Target = L;

    fn deref(&self) -> &L {
        &self.0
    }
}

type Read<T> = Result<T, LedgerError>;

#[allow(dead_code, reason = "each test asks what it needs")]
impl<L: Deref<Target: Ledger>> Asked<L> {
    pub(crate) fn decision(&self, program: &ProgramId, conversion: &ConversionId) -> Read<Option<DecisionRecord>> {
        block_on(self.0.decision(program, conversion))
    }

    pub(crate) fn decisions(
        &self,
        program: &ProgramId,
        filter: &DecisionFilter,
        page: &PageRequest,
    ) -> Read<Page<DecisionRecord>> {
        block_on(self.0.decisions(program, filter, page))
    }

    pub(crate) fn cases(
        &self,
        program: &ProgramId,
        filter: &CaseFilter,
        order: CaseOrder,
        page: &PageRequest,
        now: Timestamp,
    ) -> Read<Page<CaseSummary>> {
        block_on(self.0.cases(program, filter, order, page, now))
    }

    pub(crate) fn case(&self, program: &ProgramId, case: &CaseId, now: Timestamp) -> Read<Option<CaseFile>> {
        block_on(self.0.case(program, case, now))
    }

    pub(crate) fn account(
        &self,
        program: &ProgramId,
        account: &AccountId,
        page: &PageRequest,
        now: Timestamp,
    ) -> Read<Option<AccountFile>> {
        block_on(self.0.account(program, account, page, now))
    }

    pub(crate) fn clusters(&self, program: &ProgramId, page: &PageRequest, now: Timestamp) -> Read<Page<ClusterSummary>> {
        block_on(self.0.clusters(program, page, now))
    }

    pub(crate) fn cluster(&self, program: &ProgramId, account: &AccountId, now: Timestamp) -> Read<Option<ClusterFile>> {
        block_on(self.0.cluster(program, account, now))
    }

    pub(crate) fn preview(
        &self,
        program: &ProgramId,
        act: CasesStep,
        cases: &[CaseId],
        actor: &Actor,
        now: Timestamp,
    ) -> Read<Vec<Previewed>> {
        block_on(self.0.preview(program, act, cases, (actor, None), now))
    }

    pub(crate) fn queue_stats(&self, program: &ProgramId, now: Timestamp) -> Read<QueueStats> {
        block_on(self.0.queue_stats(program, now))
    }

    pub(crate) fn standings(&self, program: &ProgramId, payouts: &[(RewardId, ConversionId)]) -> Read<Vec<Option<Standing>>> {
        block_on(self.0.standings(program, payouts))
    }

    pub(crate) fn feed(
        &self,
        program: &ProgramId,
        after: Option<FeedCursor>,
        limit: usize,
    ) -> Read<(Vec<FeedEvent>, FeedCursor)> {
        block_on(self.0.feed(program, after, limit))
    }

    pub(crate) fn pending_outcomes(&self, program: &ProgramId, page: &PageRequest) -> Read<Page<PendingOutcome>> {
        block_on(self.0.pending_outcomes(program, page))
    }

    pub(crate) fn holds(&self, program: &ProgramId, page: &PageRequest) -> Read<Page<Hold>> {
        block_on(self.0.holds(program, page))
    }

    pub(crate) fn list_entries(&self, program: &ProgramId, list: Option<ListKind>, page: &PageRequest) -> Read<Page<ListEntry>> {
        block_on(self.0.list_entries(program, list, page))
    }

    pub(crate) fn pending_acts(&self, program: &ProgramId, page: &PageRequest, now: Timestamp) -> Read<Page<PendingAct>> {
        block_on(self.0.pending_acts(program, page, now))
    }

    pub(crate) fn list_entry(&self, program: &ProgramId, list: ListKind, subject: &ListSubject) -> Read<Option<ListEntry>> {
        block_on(self.0.list_entry(program, list, subject))
    }

    pub(crate) fn labelled(
        &self,
        program: &ProgramId,
        after: Option<FeedCursor>,
        limit: usize,
    ) -> Read<(Vec<LabelledConversion>, FeedCursor)> {
        block_on(self.0.labelled(program, after, limit))
    }

    pub(crate) fn trail(&self, program: &ProgramId, reach: Reach) -> Read<TrailPart> {
        block_on(self.0.trail(program, reach))
    }

    pub(crate) fn directory(&self) -> Read<Arc<Directory>> {
        block_on(self.0.directory())
    }

    pub(crate) fn models(&self, program: &ProgramId) -> Read<Arc<ProgramModels>> {
        block_on(self.0.models(program))
    }
}
