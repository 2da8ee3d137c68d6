//! Accounts and clusters as a whole, and what a step on several cases would come to.

use super::{Records, waiting};
use crate::book::Book;
use crate::book::account_file::AccountFile;
use crate::book::acts::Confirmation;
use crate::book::clusters::ClusterFile;
use crate::book::cold::Met;
use crate::book::command::CasesStep;
use crate::book::plan::Previewed;
use crate::book::query::PageRequest;
use crate::ports::ledger::LedgerError;
use crate::vocabulary::ids::{AccountId, Actor, CaseId};
use crate::vocabulary::time::Timestamp;

impl Records {
    /// Everything about an account; `None` when it is not known.
    pub(in super::super) async fn account(
        &self,
        account: &AccountId,
        page: &PageRequest,
        now: Timestamp,
    ) -> Result<Option<AccountFile>, LedgerError> {
        let (records, account, page) = (self.clone(), account.clone(), page.clone());
        let payout = self.programme.payout(&*self.assessor);
        let (file, as_of) = waiting(move || {
            let met = |book: &Book| Met::default().account(book, &account);
            records.programme.look(met, |book| (book.account_file(&account, &page, &payout, now), book.cursor()))
        })
        .await?;
        self.programme.wait_for(as_of).await?;
        Ok(file?)
    }

    /// The cluster that an account is in; `None` when no undecided case leads to it.
    pub(in super::super) async fn cluster(
        &self,
        account: &AccountId,
        now: Timestamp,
    ) -> Result<Option<ClusterFile>, LedgerError> {
        let (records, account) = (self.clone(), account.clone());
        let payout = self.programme.payout(&*self.assessor);
        let (file, as_of) = waiting(move || {
            let met = |book: &Book| Met::default().accounts(book.accounts_of_cluster(&account, &payout));
            records.programme.look(met, |book| (book.cluster(&account, &payout, now), book.cursor()))
        })
        .await?;
        self.programme.wait_for(as_of).await?;
        Ok(file)
    }

    /// What a step by an actor on several cases would come to.
    pub(in super::super) async fn preview(
        &self,
        act: CasesStep,
        cases: &[CaseId],
        (actor, confirmation): (&Actor, Option<&Confirmation>),
        now: Timestamp,
    ) -> Result<Vec<Previewed>, LedgerError> {
        let payout = self.programme.payout(&*self.assessor);
        let (foreseen, as_of) = {
            let book = self.programme.book.read();
            (book.preview(act, cases, actor, (&payout, confirmation), now), book.cursor())
        };
        self.programme.wait_for(as_of).await?;
        Ok(foreseen)
    }
}
