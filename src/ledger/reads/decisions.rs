//! Decisions: one by its id, and many, newest first.

use super::{Records, decode, waiting};
use crate::book::command::DecidedBefore;
use crate::book::cursor::{ChainMark, FeedCursor};
use crate::book::event::{ConversionScreened, Event};
use crate::book::query::{ChallengerFilter, DecisionFilter, Page, PageRequest, PageToken};
use crate::book::records::{Cursor, DecisionRecord};
use crate::book::{ConversionReading, Refusal, key_of, page_size, token};
use crate::ports::journal::Direction;
use crate::ports::ledger::LedgerError;
use crate::screening::decision::Decision;
use crate::vocabulary::conversion::Side;
use crate::vocabulary::ids::{AccountId, ConversionId};

/// Records that one page looks at. A page that finds less in them ends early, with a token.
const RECORDS_WALKED_MAX: u64 = 20_000;
/// Records that are read at once.
const READ_AT_ONCE: usize = 256;
/// Parts of an account's list that one page looks at: as many records.
const PARTS_WALKED_MAX: u64 = RECORDS_WALKED_MAX.div_ceil(READ_AT_ONCE as u64);

/// Decisions of a page, with the newest record that where they stand is made of.
type Found = (Page<DecisionRecord>, Cursor);

impl Records {
    /// The decision of a conversion with where it stands; `None` when it was never screened or is not kept any more.
    pub(in super::super) async fn decision(&self, id: &ConversionId) -> Result<Option<DecisionRecord>, LedgerError> {
        let found = self.programme.book.read().kept_conversion(id)?;
        let Some(reading) = found else { return Ok(None) };
        self.programme.wait_for(reading.changed).await?;
        let records = self.clone();
        waiting(move || records.join(reading)).await
    }

    /// What a decision tells the queue; `None` when it is not kept any more.
    pub(in super::super) async fn decided_before(&self, id: &ConversionId) -> Result<Option<DecidedBefore>, LedgerError> {
        let Some(reading) = self.programme.book.read().conversion(id) else { return Ok(None) };
        self.programme.wait_for(reading.cursor).await?;
        let records = self.clone();
        let read = move || {
            let screened = records.screened(reading.cursor)?;
            Ok(screened.map(|(screened, _)| DecidedBefore::of(&screened.conversion, &screened.decision)))
        };
        waiting(read).await
    }

    fn join(&self, reading: ConversionReading) -> Result<Option<DecisionRecord>, LedgerError> {
        let screened = self.screened(reading.cursor)?;
        Ok(screened
            .map(|(ConversionScreened { conversion, decision, .. }, mark)| self.record(reading, conversion, decision, mark)))
    }

    /// Decisions, newest first.
    pub(in super::super) async fn decisions(
        &self,
        filter: DecisionFilter,
        page: PageRequest,
    ) -> Result<Page<DecisionRecord>, LedgerError> {
        let records = self.clone();
        let account = match (&filter.referrer, &filter.referee) {
            (Some(account), _) => Some((account.clone(), Side::Referrer)),
            (None, Some(account)) => Some((account.clone(), Side::Referee)),
            (None, None) => None,
        };
        if account.is_some() {
            // What the account's list names may be on its way to the journal still.
            let newest = self.programme.book.read().cursor();
            self.programme.wait_for(newest).await?;
        }
        let read = move || match account {
            Some((account, side)) => records.decisions_of(&account, side, &filter, &page),
            None => records.all_decisions(&filter, &page),
        };
        let (page, as_of) = waiting(read).await?;
        self.programme.wait_for(as_of).await?;
        Ok(page)
    }

    fn all_decisions(&self, filter: &DecisionFilter, page: &PageRequest) -> Result<Found, LedgerError> {
        let size = page_size(page);
        let nothing = Page { entries: Vec::new(), next: None, total: None };
        let before = match &page.after {
            None => self.programme.durable().0.saturating_add(1),
            Some(after) => {
                let shown = place_of(&key_of('j', after)?)?;
                match self.leads_here(shown)? {
                    Some(true) => shown.place.0,
                    Some(false) => return Err(Refusal::PageToken.into()),
                    // What came before it is not kept any more either.
                    None => return Ok((nothing, Cursor(0))),
                }
            }
        };
        let oldest = self.first().0;
        let floor = before.saturating_sub(RECORDS_WALKED_MAX).max(oldest);
        let (mut entries, mut as_of): (Vec<DecisionRecord>, _) = (Vec::new(), Cursor(0));
        let (mut reached, mut shown) = (before, None);
        while reached > floor && !page.wanted.has_ended() {
            let part = self.part(Cursor(floor), Cursor(reached - 1), Direction::Backward, READ_AT_ONCE)?;
            if part.is_empty() {
                // Retention removed what is left of it meanwhile.
                return Ok((Page { entries, ..nothing }, as_of));
            }
            for record in part {
                if let Event::ConversionScreened(screened) = decode(&record)?
                    && let Some((found, changed)) = self.passing(*screened, record.chain.mark(), filter)
                {
                    if entries.len() == size {
                        return Ok((Page { entries, next: shown.map(token_after), total: None }, as_of));
                    }
                    as_of = as_of.max(changed);
                    entries.push(found);
                }
                reached = record.cursor.0;
                shown = Some(record.feed_cursor());
            }
        }
        let next = shown.filter(|_| reached > oldest).map(token_after);
        Ok((Page { entries, next, total: None }, as_of))
    }

    /// Along the account's own list, from its end.
    fn decisions_of(
        &self,
        account: &AccountId,
        side: Side,
        filter: &DecisionFilter,
        page: &PageRequest,
    ) -> Result<Found, LedgerError> {
        let size = page_size(page);
        let mut after = page.after.as_ref().map(|after| key_of('a', after).and_then(|key| conversion_of(&key))).transpose()?;
        let (mut entries, mut as_of): (Vec<DecisionRecord>, _) = (Vec::new(), Cursor(0));
        for _ in 0..PARTS_WALKED_MAX {
            if page.wanted.has_ended() {
                break;
            }
            let readings = self.programme.book.read().conversions_of_account(account, side, after.as_ref(), READ_AT_ONCE);
            let readings = readings.ok_or(Refusal::PageToken)?;
            let ends = readings.len() < READ_AT_ONCE;
            for reading in readings {
                let changed = reading.changed;
                let id = reading.conversion_id.clone();
                if let Some(found) = self.join(reading)?.filter(|found| passes(found, filter)) {
                    if entries.len() == size {
                        let next = after.as_ref().map(|shown| token('a', shown.as_str().as_bytes()));
                        return Ok((Page { entries, next, total: None }, as_of));
                    }
                    as_of = as_of.max(changed);
                    entries.push(found);
                }
                after = Some(id);
            }
            if ends {
                return Ok((Page { entries, next: None, total: None }, as_of));
            }
        }
        let next = after.as_ref().map(|shown| token('a', shown.as_str().as_bytes()));
        Ok((Page { entries, next, total: None }, as_of))
    }

    fn passing(
        &self,
        screened: ConversionScreened,
        mark: ChainMark,
        filter: &DecisionFilter,
    ) -> Option<(DecisionRecord, Cursor)> {
        let ConversionScreened { conversion, decision, .. } = screened;
        if !decided_as(&decision, filter) {
            return None;
        }
        let reading = self.programme.book.read().conversion(&conversion.conversion_id)?;
        if !filter.verdicts.is_empty() && !filter.verdicts.contains(&reading.verdict) {
            return None;
        }
        let changed = reading.changed;
        Some((reading.record(conversion, decision, mark), changed))
    }
}

/// The token of the page that goes on before a record.
fn token_after(shown: FeedCursor) -> PageToken {
    let FeedCursor { place: Cursor(place), mark: ChainMark(mark) } = shown;
    token('j', &[place.to_be_bytes(), mark].concat())
}

fn place_of(key: &[u8]) -> Result<FeedCursor, Refusal> {
    let (place, mark) = key.split_first_chunk::<8>().ok_or(Refusal::PageToken)?;
    let mark = ChainMark(mark.try_into().map_err(|_| Refusal::PageToken)?);
    Ok(FeedCursor { place: Cursor(u64::from_be_bytes(*place)), mark })
}

fn conversion_of(key: &[u8]) -> Result<ConversionId, Refusal> {
    std::str::from_utf8(key).ok().and_then(|text| ConversionId::new(text).ok()).ok_or(Refusal::PageToken)
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
