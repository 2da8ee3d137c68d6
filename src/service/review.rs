//! The review handlers: the queue, one case with both sides next to each other, and the steps on it.
//!
//! Thin: the case's state machine judges every step, the ledger runs it. They must never change a case without an actor. The server
//! registers them.

use std::sync::Arc;

use tonic::{Request, Response, Status};

use super::access::Caller;
use super::confirmation::{asked, waiting};
use super::errors::Refusal;
use super::pages::{Sent, page as page_of};
use super::shared::Shared;
use super::{case_page, side_by_side};
use crate::book;
use crate::book::clusters::ClusterFile;
use crate::book::command::{CaseCommand, CasesCommand, Command};
use crate::book::looks::Seen;
use crate::book::query::{PageRequest, PageToken};
use crate::book::records::{CaseSummary, DecisionRecord};
use crate::ports::ledger::{Ledger, LedgerError};
use crate::vocabulary::ids::{AccountId, CaseId, ProgramId};
use crate::wire::act::{PreviewWanted, Selection};
use crate::wire::review::CaseView;
use crate::wire::v1::reopen_case_request::Target;
use crate::wire::{account, act, cluster, decision, review as requests, v1};

/// What of a case's history one answer holds: everything else of a case takes some hundred kilobytes at most. Unit: bytes.
const HISTORY_BYTES_MAX: usize = 1 << 20;

/// The handlers of `ReviewService`.
pub(super) struct ReviewHandlers(pub(super) Arc<Shared>);

impl ReviewHandlers {
    async fn step(&self, command: CaseCommand) -> Result<CaseSummary, Refusal> {
        self.0.ledger.step_case(command).await.map_err(|error| self.0.refusal(error))
    }

    /// A case as it stands.
    async fn case_now(&self, caller: &Caller, program: &ProgramId, case: &CaseId) -> Result<CaseSummary, Refusal> {
        let (program, wanted, now) = (program.clone(), case.clone(), self.0.now());
        let read = move |ledger: Arc<dyn Ledger>, _| async move { ledger.case(&program, &wanted, now).await };
        let found = self.0.read(&caller.share, read).await?;
        found.map(|file| file.summary).ok_or_else(|| Refusal::not_known("case", case.as_str()))
    }

    /// The decision behind a case that was just changed.
    async fn decision_of(&self, program: &ProgramId, case: &CaseSummary) -> Result<DecisionRecord, Refusal> {
        let found = self.0.look_up(self.0.ledger.decision(program, &case.conversion_id)).await?;
        found.ok_or_else(|| Refusal::not_known("conversion", case.conversion_id.as_str()))
    }

    async fn cluster(&self, caller: &Caller, program: ProgramId, account: AccountId) -> Result<ClusterFile, Refusal> {
        let (now, id) = (self.0.now(), account.clone());
        let read = move |ledger: Arc<dyn Ledger>, _| async move { ledger.cluster(&program, &account, now).await };
        self.0
            .read(&caller.share, read)
            .await?
            .ok_or_else(|| Refusal::not_known("cluster of undecided cases around account", id.as_str()))
    }

    /// The cases that a selection means, and whether there are more than one act takes.
    async fn selected(&self, caller: &Caller, program: &ProgramId, selection: Selection) -> Result<(Vec<CaseId>, bool), Refusal> {
        match selection {
            Selection::Cases(ids) => Ok((ids, false)),
            Selection::Cluster(account) => {
                let file = self.cluster(caller, program.clone(), account).await?;
                Ok((file.cases.into_iter().map(|case| case.case_id).collect(), !file.complete))
            }
            Selection::Filter(listing) => {
                let now = self.0.now();
                let read = move |ledger: Arc<dyn Ledger>, wanted| async move {
                    let page = PageRequest { wanted, ..listing.page };
                    ledger.cases(&listing.program_id, &listing.filter, listing.order, &page, now).await
                };
                let page = self.0.read(&caller.share, read).await?;
                Ok((page.entries.into_iter().map(|case| case.case_id).collect(), page.next.is_some()))
            }
        }
    }

    fn summary(&self, case: &CaseSummary) -> v1::CaseSummary {
        requests::summary_message(case, self.0.now())
    }
}

#[tonic::async_trait]
impl v1::review_service_server::ReviewService for ReviewHandlers {
    async fn list_cases(&self, request: Request<v1::ListCasesRequest>) -> Result<Response<v1::ListCasesResponse>, Status> {
        let now = self.0.now();
        let (caller, message) = Caller::of(request)?;
        let listing = requests::case_listing(message, &self.0.door.page_key(), now).map_err(Refusal::from)?;
        caller.may(&listing.program_id).await?;
        let requests::CaseListing { program_id, filter, order, page, seal } = listing;
        let read = move |ledger: Arc<dyn Ledger>, page: PageRequest| {
            let (program_id, filter) = (program_id.clone(), filter.clone());
            async move { ledger.cases(&program_id, &filter, order, &page, now).await }
        };
        let Sent { entries, next, total } =
            page_of(&self.0, &caller.share, page, read, |case| Some(requests::summary_message(case, now))).await?;
        let next_page_token = seal.seal(next.as_ref());
        Ok(Response::new(v1::ListCasesResponse { cases: entries, next_page_token, total_size: total }))
    }

    async fn get_case(&self, request: Request<v1::GetCaseRequest>) -> Result<Response<v1::GetCaseResponse>, Status> {
        let (caller, message) = Caller::of(request)?;
        let requests::CaseWanted { program_id, case_id, history_before, view, seal } =
            requests::case_wanted(message, &self.0.door.page_key()).map_err(Refusal::from)?;
        caller.may(&program_id).await?;
        let now = self.0.now();
        let (wanted, of) = (case_id.clone(), program_id.clone());
        let read = move |ledger: Arc<dyn Ledger>, _| async move { ledger.case(&program_id, &wanted, now).await };
        let found = self.0.read(&caller.share, read).await?;
        let file = found.ok_or_else(|| Refusal::not_known("case", case_id.as_str()))?;
        self.0.looked(&caller, &of, Seen::Case(file.summary.conversion_id.clone()))?;
        let rows = side_by_side::rows(&file);
        let part = requests::newest_history(&file.history, history_before, HISTORY_BYTES_MAX);
        let earlier = (part.from > 0).then(|| PageToken(part.from.to_string()));
        let earlier_history_page_token = seal.seal(earlier.as_ref());
        Ok(Response::new(match view {
            CaseView::Full => {
                let review_case = Some(requests::case_message(&file, rows, part, now));
                v1::GetCaseResponse { review_case, earlier_history_page_token }
            }
            CaseView::Basic => {
                let summary = Some(requests::summary_message(&file.summary, now));
                let page = case_page::lines(&file, &rows, now);
                let review_case = Some(v1::Case { summary, page, ..v1::Case::default() });
                v1::GetCaseResponse { review_case, earlier_history_page_token: String::new() }
            }
        }))
    }

    async fn claim_case(&self, request: Request<v1::ClaimCaseRequest>) -> Result<Response<v1::ClaimCaseResponse>, Status> {
        let (caller, message) = Caller::of(request)?;
        let wanted = requests::claim(message, caller.name()?, self.0.now()).map_err(Refusal::from)?;
        caller.may(wanted.program_id()).await?;
        let terms = self.0.look_up(self.0.ledger.terms(wanted.program_id())).await?;
        let usual = self.0.policies.policy_of(wanted.program_id(), &terms).review().lease;
        let command = wanted.into_command(usual);
        let case = self.step(command).await?;
        Ok(Response::new(v1::ClaimCaseResponse { summary: Some(self.summary(&case)) }))
    }

    async fn release_case(&self, request: Request<v1::ReleaseCaseRequest>) -> Result<Response<v1::ReleaseCaseResponse>, Status> {
        let (caller, message) = Caller::of(request)?;
        let command = requests::release(message, caller.name()?, self.0.now()).map_err(Refusal::from)?;
        caller.may(&command.program_id).await?;
        let case = self.step(command).await?;
        Ok(Response::new(v1::ReleaseCaseResponse { summary: Some(self.summary(&case)) }))
    }

    async fn resolve_case(&self, request: Request<v1::ResolveCaseRequest>) -> Result<Response<v1::ResolveCaseResponse>, Status> {
        let (caller, message) = Caller::of(request)?;
        let command = requests::resolve(message, caller.name()?, self.0.now()).map_err(Refusal::from)?;
        let program = caller.may(&command.program_id).await?;
        let (program_id, case_id) = (command.program_id.clone(), command.case_id.clone());
        let command = asked(&program, &caller, Command::StepCase(Box::new(command), None))?;
        let executed = self.0.ledger.execute(command).await.map_err(|error| self.0.refusal(error))?;
        let pending_act = waiting(&executed);
        let case = match (executed.done.stepped(), &pending_act) {
            (Some(case), _) => case,
            (None, Some(_)) => self.case_now(&caller, &program_id, &case_id).await?,
            (None, None) => {
                let gone = book::Refusal::NotPossible("the step was made before and was removed by retention".to_owned());
                return Err(self.0.refusal(LedgerError::Refused(gone)).into());
            }
        };
        let record = self.decision_of(&program_id, &case).await?;
        let (summary, decision) = (Some(self.summary(&case)), Some(decision::message_of(&record)));
        let paid_reward_ids = requests::paid_reward_ids(&record.standing);
        Ok(Response::new(v1::ResolveCaseResponse { summary, decision, paid_reward_ids, pending_act }))
    }

    async fn reopen_case(&self, request: Request<v1::ReopenCaseRequest>) -> Result<Response<v1::ReopenCaseResponse>, Status> {
        let (caller, message) = Caller::of(request)?;
        let named = match &message.target {
            Some(Target::ConversionId(id)) => Some(id.clone()),
            Some(Target::CaseId(_)) | None => None,
        };
        let command = requests::reopen(message, caller.name()?, self.0.now()).map_err(Refusal::from)?;
        caller.may(&command.program_id).await?;
        let program_id = command.program_id.clone();
        let answer = self.0.ledger.step_case(command).await;
        let case = answer.map_err(|error| match (error, named) {
            // Who named a conversion never heard of the case that it would have.
            (LedgerError::Refused(book::Refusal::NotFound { .. }), Some(conversion)) => {
                Refusal::not_known("conversion", &conversion)
            }
            (error, _) => self.0.refusal(error),
        })?;
        let record = self.decision_of(&program_id, &case).await?;
        let (summary, decision) = (Some(self.summary(&case)), Some(decision::message_of(&record)));
        Ok(Response::new(v1::ReopenCaseResponse { summary, decision }))
    }

    async fn add_note(&self, request: Request<v1::AddNoteRequest>) -> Result<Response<v1::AddNoteResponse>, Status> {
        let (caller, message) = Caller::of(request)?;
        let command = requests::add_note(message, caller.name()?, self.0.now()).map_err(Refusal::from)?;
        caller.may(&command.program_id).await?;
        let case = self.step(command).await?;
        Ok(Response::new(v1::AddNoteResponse { summary: Some(self.summary(&case)) }))
    }

    async fn get_account(&self, request: Request<v1::GetAccountRequest>) -> Result<Response<v1::GetAccountResponse>, Status> {
        let (caller, message) = Caller::of(request)?;
        let wanted = account::wanted(message, &self.0.door.page_key()).map_err(Refusal::from)?;
        caller.may(&wanted.program_id).await?;
        let (now, seal, id, of) = (self.0.now(), wanted.seal, wanted.account_id.clone(), wanted.program_id.clone());
        let read = move |ledger: Arc<dyn Ledger>, _| async move {
            ledger.account(&wanted.program_id, &wanted.account_id, &wanted.page, now).await
        };
        let found = self.0.read(&caller.share, read).await?;
        let file = found.ok_or_else(|| Refusal::not_known("account", id.as_str()))?;
        self.0.looked(&caller, &of, Seen::Account(id))?;
        Ok(Response::new(account::message_of(&file, seal)))
    }

    async fn list_clusters(
        &self,
        request: Request<v1::ListClustersRequest>,
    ) -> Result<Response<v1::ListClustersResponse>, Status> {
        let (caller, message) = Caller::of(request)?;
        let listing = cluster::listing(message, &self.0.door.page_key()).map_err(Refusal::from)?;
        caller.may(&listing.program_id).await?;
        let (now, seal) = (self.0.now(), listing.seal);
        let read = move |ledger: Arc<dyn Ledger>, wanted| async move {
            let page = PageRequest { wanted, ..listing.page };
            ledger.clusters(&listing.program_id, &page, now).await
        };
        Ok(Response::new(cluster::page_message(&self.0.read(&caller.share, read).await?, seal)))
    }

    async fn get_cluster(&self, request: Request<v1::GetClusterRequest>) -> Result<Response<v1::GetClusterResponse>, Status> {
        let (caller, message) = Caller::of(request)?;
        let (program_id, account_id) = cluster::wanted(message).map_err(Refusal::from)?;
        caller.may(&program_id).await?;
        let now = self.0.now();
        let (of, around) = (program_id.clone(), account_id.clone());
        let file = self.cluster(&caller, program_id, account_id).await?;
        self.0.looked(&caller, &of, Seen::Cluster(around))?;
        Ok(Response::new(v1::GetClusterResponse { cluster: Some(cluster::message_of(&file, now)) }))
    }

    async fn preview_cases(
        &self,
        request: Request<v1::PreviewCasesRequest>,
    ) -> Result<Response<v1::PreviewCasesResponse>, Status> {
        let (caller, message) = Caller::of(request)?;
        let now = self.0.now();
        let wanted = act::preview(message, &self.0.door.page_key(), now).map_err(Refusal::from)?;
        let program = caller.may(&wanted.program_id).await?;
        let actor = caller.name()?.clone();
        let PreviewWanted { program_id, act: step, selection } = wanted;
        let (cases, more) = self.selected(&caller, &program_id, selection).await?;
        let of = program_id.clone();
        let read = move |ledger: Arc<dyn Ledger>, _| async move {
            ledger.preview(&of, step, &cases, (&actor, program.settings.confirmation.as_ref()), now).await
        };
        let previewed = self.0.read(&caller.share, read).await?;
        Ok(Response::new(act::preview_message(&program_id, step, &previewed, more, now)))
    }

    async fn act_on_cases(&self, request: Request<v1::ActOnCasesRequest>) -> Result<Response<v1::ActOnCasesResponse>, Status> {
        let (caller, message) = Caller::of(request)?;
        let program = caller.may(&act::program_of(&message).map_err(Refusal::from)?).await?;
        let command = act::act(message, caller.name()?, self.0.now()).map_err(Refusal::from)?;
        let command = CasesCommand { confirmation: program.settings.confirmation.clone(), ..command };
        let (program_id, undoes) = (command.program_id.clone(), act::undoing(command.act));
        let acted = self.0.ledger.step_cases(command).await.map_err(|error| self.0.refusal(error))?;
        Ok(Response::new(act::acted_message(&program_id, &acted, undoes, self.0.now())))
    }

    async fn get_queue_stats(
        &self,
        request: Request<v1::GetQueueStatsRequest>,
    ) -> Result<Response<v1::GetQueueStatsResponse>, Status> {
        let (caller, message) = Caller::of(request)?;
        let program_id = requests::queue_wanted(message).map_err(Refusal::from)?;
        caller.may(&program_id).await?;
        let now = self.0.now();
        let read = move |ledger: Arc<dyn Ledger>, _| async move { ledger.queue_stats(&program_id, now).await };
        let stats = self.0.read(&caller.share, read).await?;
        Ok(Response::new(requests::queue_message(&stats, now)))
    }
}
