//! Decisions newest first, and decisions with what became known of them.

use std::ops::ControlFlow;

use super::super::event::{ConversionScreened, Event, SignalsRecorded};
use super::super::fold::{ConversionList, list_part};
use super::super::history::{account_of, known_account};
use super::super::rows::Row;
use super::super::rows::conversion::ConversionRow;
use super::super::tables::Tables;
use super::{Direction, Records, Shelves, View, pages, record};
use crate::book::command::CaseStep;
use crate::book::query::{ChallengerFilter, DecisionFilter, Page, PageRequest};
use crate::book::records::{Cursor, DecisionRecord, LabelledConversion, RecordedSignals};
use crate::ports::ledger::LedgerError;
use crate::screening::case::{Resolution, Step};
use crate::screening::decision::Decision;
use crate::vocabulary::conversion::Side;
use crate::vocabulary::ids::AccountId;
use crate::vocabulary::label::{Label, LabelSource, Truth};
use crate::vocabulary::outcome::OutcomeKind;
use crate::vocabulary::time::Timestamp;

/// Records that one page looks at. A page that finds less in them ends early, with a token.
const RECORDS_WALKED_MAX: u64 = 20_000;
/// A part of the labelled history ends with the first conversion after so many records of signals.
const SIGNALS_READ_MAX: usize = 1_000;

impl<T: Tables, R: Records, S: Shelves> View<'_, T, R, S> {
    pub(in super::super) fn decisions(
        &self,
        filter: &DecisionFilter,
        page: &PageRequest,
    ) -> Result<Page<DecisionRecord>, LedgerError> {
        match (&filter.referrer, &filter.referee) {
            (Some(account), _) => self.decisions_of(account, Side::Referrer, filter, page),
            (None, Some(account)) => self.decisions_of(account, Side::Referee, filter, page),
            (None, None) => self.all_decisions(filter, page),
        }
    }

    fn all_decisions(&self, filter: &DecisionFilter, page: &PageRequest) -> Result<Page<DecisionRecord>, LedgerError> {
        let size = pages::size(page);
        let before = match &page.after {
            Some(token) => pages::number_of('j', token)?,
            None => self.records.last()?.saturating_add(1),
        };
        let oldest = self.records.first()?;
        let floor = before.saturating_sub(RECORDS_WALKED_MAX).max(oldest);
        let mut entries: Vec<DecisionRecord> = Vec::new();
        let mut reached = floor;
        if before > 1 {
            self.records.walk(floor..=before - 1, Direction::Backward, &mut |cursor, event| {
                if let Event::ConversionScreened(screened) = &**event
                    && let Some(found) = self.passing(screened, filter)?
                {
                    if entries.len() == size {
                        reached = cursor.0 + 1;
                        return Ok(ControlFlow::Break(()));
                    }
                    entries.push(found);
                }
                Ok(ControlFlow::Continue(()))
            })?;
        }
        let next = (reached > oldest).then(|| pages::token('j', &reached.to_be_bytes()));
        Ok(Page { entries, next, total: None })
    }

    /// Along the account's own list, from its end.
    fn decisions_of(
        &self,
        account: &AccountId,
        side: Side,
        filter: &DecisionFilter,
        page: &PageRequest,
    ) -> Result<Page<DecisionRecord>, LedgerError> {
        let size = pages::size(page);
        let Some(known) = known_account(self.tables, self.keys, account)? else {
            return Ok(Page { entries: Vec::new(), next: None, total: None });
        };
        let mut left = match &page.after {
            Some(token) => u32::try_from(pages::number_of('a', token)?).map_err(|_| LedgerError::PageToken)?,
            None => known.account.conversions,
        };
        let mut entries: Vec<DecisionRecord> = Vec::new();
        while left > 0 {
            let part = list_part(left - 1);
            let key = self.keys.account_conversions(known.number, part);
            let list = ConversionList::load(self.tables, &key)?.unwrap_or_default();
            let start = left - 1 - (left - 1) % super::super::fold::LIST_PART_ENTRIES;
            for (place, (of_side, id)) in (start..left).zip(&list.entries).rev() {
                if *of_side == side
                    && let Some(found) = self.decision(id)?.filter(|found| passes(found, filter))
                {
                    if entries.len() == size {
                        let next = pages::token('a', &u64::from(place + 1).to_be_bytes());
                        return Ok(Page { entries, next: Some(next), total: None });
                    }
                    entries.push(found);
                }
            }
            left = start;
        }
        Ok(Page { entries, next: None, total: None })
    }

    fn passing(&self, screened: &ConversionScreened, filter: &DecisionFilter) -> Result<Option<DecisionRecord>, LedgerError> {
        if !decided_as(&screened.decision, filter) {
            return Ok(None);
        }
        let Some(row) = self.row(&screened.conversion.conversion_id)? else { return Ok(None) };
        if !filter.verdicts.is_empty() && !filter.verdicts.contains(&row.verdict) {
            return Ok(None);
        }
        record(self.tables, self.keys, screened, &row).map(Some)
    }

    /// Signals go with the conversion that came next, so a part ends with a conversion: signals after it belong to the next part.
    pub(in super::super) fn labelled(
        &self,
        after: Cursor,
        limit: usize,
    ) -> Result<(Vec<LabelledConversion>, Cursor), LedgerError> {
        self.unshortened(after, |begin| self.labelled_after(begin, limit))
    }

    fn labelled_after(&self, after: Cursor, limit: usize) -> Result<(Vec<LabelledConversion>, Cursor), LedgerError> {
        let last = self.records.last()?;
        let (mut found, mut up_to) = (Vec::new(), after);
        let (mut signals_before, mut signals_read) = (Vec::new(), 0);
        if last > after.0 {
            self.records.walk(after.0 + 1..=last, Direction::Forward, &mut |cursor, event| {
                match &**event {
                    Event::SignalsRecorded(SignalsRecorded { record_id, content: _, bundles, received_at }) => {
                        signals_read += 1;
                        signals_before.push(RecordedSignals {
                            record_id: record_id.clone(),
                            bundles: bundles.clone(),
                            observed_at: *received_at,
                        });
                    }
                    Event::ConversionScreened(screened) => {
                        if let Some(row) = self.row(&screened.conversion.conversion_id)? {
                            found.push(self.with_labels(screened, &row, std::mem::take(&mut signals_before))?);
                        }
                        up_to = cursor;
                        if found.len() >= limit || signals_read >= SIGNALS_READ_MAX {
                            return Ok(ControlFlow::Break(()));
                        }
                    }
                    Event::OutcomeRecorded(_)
                    | Event::CaseStepped(_)
                    | Event::RewardPaid(_)
                    | Event::HoldChanged(_)
                    | Event::ListChanged(_) => {}
                }
                Ok(ControlFlow::Continue(()))
            })?;
        }
        Ok((found, up_to))
    }

    /// Labels are read from the records that brought them. A reviewer's word counts until the case is reopened.
    fn with_labels(
        &self,
        screened: &ConversionScreened,
        row: &ConversionRow,
        signals_before: Vec<RecordedSignals>,
    ) -> Result<LabelledConversion, LedgerError> {
        let mut by_reviewer: Option<(Label, Resolution)> = None;
        let mut resolution = None;
        let mut labels = Vec::new();
        let mut outcomes = Vec::new();
        for cursor in &row.trail {
            match self.records.read(Cursor(*cursor))?.as_deref() {
                Some(Event::CaseStepped(stepped)) => match &stepped.step {
                    CaseStep::Step(Step::Resolve(resolved)) => {
                        let label = Label { truth: truth_of(*resolved), source: LabelSource::Reviewer, labeled_at: stepped.at };
                        by_reviewer = Some((label, *resolved));
                        resolution = Some(*resolved);
                    }
                    CaseStep::Step(Step::Reopen) => by_reviewer = None,
                    CaseStep::Step(Step::Claim { .. } | Step::Release) | CaseStep::Note => {}
                },
                Some(Event::OutcomeRecorded(recorded)) if recorded.outcome.kind != OutcomeKind::AccountBanned => {
                    outcomes.push((recorded.outcome.kind, recorded.outcome.occurred_at));
                    labels.extend(label_of(recorded.outcome.kind, recorded.outcome.occurred_at));
                }
                Some(
                    Event::OutcomeRecorded(_)
                    | Event::ConversionScreened(_)
                    | Event::SignalsRecorded(_)
                    | Event::RewardPaid(_)
                    | Event::HoldChanged(_)
                    | Event::ListChanged(_),
                )
                | None => {}
            }
        }
        let bans = [row.referrer, row.referee].map(|number| account_of(self.tables, self.keys, number));
        let mut banned: Vec<Timestamp> = Vec::new();
        for account in bans {
            banned.extend(account?.banned_at);
        }
        banned.dedup();
        for at in banned {
            outcomes.push((OutcomeKind::AccountBanned, at));
            labels.extend(label_of(OutcomeKind::AccountBanned, at));
        }
        labels.extend(by_reviewer.map(|(label, _)| label));
        labels.sort_by_key(|label| label.labeled_at);
        outcomes.sort_by_key(|(_, at)| *at);
        let record = record(self.tables, self.keys, screened, row)?;
        Ok(LabelledConversion { record, labels, resolution, outcomes, signals_before })
    }
}

const fn truth_of(resolution: Resolution) -> Truth {
    match resolution {
        Resolution::Accept => Truth::Honest,
        Resolution::Reject => Truth::Abusive,
    }
}

/// What an outcome says of the truth. Ending a subscription says nothing.
fn label_of(kind: OutcomeKind, at: Timestamp) -> Option<Label> {
    let source = match kind {
        OutcomeKind::ChargeRefunded | OutcomeKind::Chargeback => LabelSource::Chargeback,
        OutcomeKind::AccountBanned => LabelSource::OwnerReport,
        OutcomeKind::SubscriptionCanceled => return None,
    };
    Some(Label { truth: Truth::Abusive, source, labeled_at: at })
}

/// What the decision itself tells, without a look at where it stands now.
fn decided_as(decision: &Decision, filter: &DecisionFilter) -> bool {
    let challenged = match filter.challenger {
        ChallengerFilter::Any => true,
        ChallengerFilter::Disagrees => decision.disagreement().is_some(),
    };
    challenged
        && filter.from.is_none_or(|from| decision.decided_at >= from)
        && filter.until.is_none_or(|until| decision.decided_at < until)
}

fn passes(found: &DecisionRecord, filter: &DecisionFilter) -> bool {
    let DecisionFilter { verdicts, referrer, referee, from: _, until: _, challenger: _ } = filter;
    (verdicts.is_empty() || verdicts.contains(&found.verdict))
        && referrer.as_ref().is_none_or(|id| found.conversion.referrer.account_id == *id)
        && referee.as_ref().is_none_or(|id| found.conversion.referee.account_id == *id)
        && decided_as(&found.decision, filter)
}
