//! Decisions with what became known of them: the rows that training reads.

use super::{Records, damaged_at, decode, waiting};
use crate::book::ConversionReading;
use crate::book::command::CaseStep;
use crate::book::cursor::{ChainMark, FeedCursor};
use crate::book::event::{ConversionScreened, Event, Rechecked, SignalsRecorded};
use crate::book::records::{Cursor, LabelledConversion, LaterVerdict, RecordedSignals};
use crate::ports::journal::Direction;
use crate::ports::ledger::LedgerError;
use crate::screening::case::{Resolution, Step};
use crate::screening::decision::Verdict;
use crate::vocabulary::ids::ConversionId;
use crate::vocabulary::label::{Label, LabelSource, Truth};
use crate::vocabulary::outcome::OutcomeKind;
use crate::vocabulary::time::Timestamp;

/// A part of the labelled history ends with the first conversion after so many records of signals.
const SIGNALS_READ_MAX: usize = 1_000;
/// Records that are read at once.
const READ_AT_ONCE: usize = 256;

/// A decision with where it stands, before its labels were read.
struct Unlabelled {
    screened: ConversionScreened,
    mark: ChainMark,
    reading: ConversionReading,
    signals_before: Vec<RecordedSignals>,
}

impl Records {
    /// Signals go with the conversion that came next, so a part ends with a conversion: signals after it belong to the next part.
    pub(in super::super) async fn labelled(
        &self,
        after: Option<FeedCursor>,
        limit: usize,
    ) -> Result<(Vec<LabelledConversion>, FeedCursor), LedgerError> {
        let records = self.clone();
        let read = move || records.unshortened(after, |begin| records.unlabelled_after(begin, limit));
        let (unlabelled, up_to) = waiting(read).await?;
        let as_of = unlabelled.iter().map(|one| one.reading.changed).fold(Cursor(0), Cursor::max);
        self.programme.wait_for(as_of).await?;
        let records = self.clone();
        let label = move || unlabelled.into_iter().map(|one| records.with_labels(one)).collect::<Result<Vec<_>, _>>();
        Ok((waiting(label).await?, up_to))
    }

    fn unlabelled_after(&self, after: FeedCursor, limit: usize) -> Result<(Vec<Unlabelled>, FeedCursor), LedgerError> {
        let last = self.programme.durable();
        let (mut found, mut up_to, mut read) = (Vec::new(), after, after.place);
        let (mut signals_before, mut signals_read) = (Vec::new(), 0);
        while read < last {
            let part = self.part(Cursor(read.0 + 1), last, Direction::Forward, READ_AT_ONCE)?;
            if part.is_empty() {
                return Err(damaged_at(Cursor(read.0 + 1), "it is missing"));
            }
            for record in part {
                read = record.cursor;
                match decode(&record)? {
                    Event::SignalsRecorded(SignalsRecorded { record_id, content: _, bundles, received_at }) => {
                        signals_read += 1;
                        let book = self.programme.book.read();
                        let bundles = bundles.into_iter().map(|bundle| book.bundle_renamed(bundle)).collect();
                        signals_before.push(RecordedSignals { record_id, bundles, observed_at: received_at });
                    }
                    Event::ConversionScreened(screened) => {
                        let reading = self.programme.book.read().conversion(&screened.conversion.conversion_id);
                        if let Some(reading) = reading {
                            let signals_before = std::mem::take(&mut signals_before);
                            let mark = record.chain.mark();
                            found.push(Unlabelled { screened: *screened, mark, reading, signals_before });
                        }
                        up_to = record.feed_cursor();
                        if found.len() >= limit || signals_read >= SIGNALS_READ_MAX {
                            return Ok((found, up_to));
                        }
                    }
                    Event::OutcomeRecorded(_)
                    | Event::OutcomeRevoked(_)
                    | Event::OutcomeSpread(_)
                    | Event::PendingExpired(_)
                    | Event::Rechecked(_)
                    | Event::CaseStepped(_)
                    | Event::CasesStepped(_)
                    | Event::RewardsReserved(_)
                    | Event::ReservationChanged(_)
                    | Event::RewardPaid(_)
                    | Event::PayoutFailed(_)
                    | Event::RewardsChanged(_)
                    | Event::HoldChanged(_)
                    | Event::ListChanged(_)
                    | Event::ModelsChanged(_)
                    | Event::TermsChanged(_)
                    | Event::ValuesRekeyed(_)
                    | Event::AuditKeyMade(_)
                    | Event::DirectoryChanged(_)
                    | Event::Looked(_)
                    | Event::AccountErased(_)
                    | Event::ErasureFinished(_)
                    | Event::ActProposed(_)
                    | Event::ActConfirmed(_)
                    | Event::ActDropped(_)
                    | Event::SourceEventTaken(_)
                    | Event::BreakerTripped(_)
                    | Event::TrailKept(_)
                    | Event::ConversionKept(_) => {}
                }
            }
        }
        Ok((found, up_to))
    }

    /// Outcomes count as long as they stand, a reviewer's word until the case is reopened.
    fn with_labels(&self, unlabelled: Unlabelled) -> Result<LabelledConversion, LedgerError> {
        let Unlabelled { screened, mark, reading, signals_before } = unlabelled;
        let mut by_reviewer: Option<Label> = None;
        let (mut resolution, mut later_verdicts) = (None, Vec::new());
        for cursor in &reading.trail {
            let Some(event) = self.read(*cursor)?.map(Event::done) else { continue };
            let Some(stepped) = event.step_of(&screened.conversion.conversion_id) else {
                let later = later_verdict(&event, &screened.conversion.conversion_id);
                by_reviewer = by_reviewer.filter(|_| later.is_none_or(|later| later.verdict != Verdict::InReview));
                later_verdicts.extend(later);
                continue;
            };
            match &stepped.step {
                CaseStep::Step(Step::Resolve(resolved)) => {
                    let (truth, labeled_at) = (truth_of(*resolved), stepped.at);
                    by_reviewer = Some(Label { truth, source: LabelSource::Reviewer, labeled_at });
                    resolution = Some(*resolved);
                }
                CaseStep::Step(Step::Reopen) => by_reviewer = None,
                CaseStep::Step(Step::Claim { .. } | Step::Release) | CaseStep::Note => {}
            }
        }
        let outcomes = reading.outcomes.clone();
        let mut labels: Vec<Label> = outcomes.iter().filter_map(|(kind, at)| label_of(*kind, *at)).collect();
        labels.extend(by_reviewer);
        labels.sort_by_key(|label| label.labeled_at);
        let ConversionScreened { conversion, decision, .. } = screened;
        // An export speaks of a value by one name: whoever replays it knows nothing of keys.
        let conversion = self.programme.book.read().conversion_renamed(conversion);
        let record = self.record(reading, conversion, decision, mark);
        Ok(LabelledConversion { record, labels, resolution, outcomes, signals_before, later_verdicts })
    }
}

/// What another look made of a conversion, if this was one.
fn later_verdict(event: &Event, id: &ConversionId) -> Option<LaterVerdict> {
    let looked = match event {
        Event::Rechecked(looked) => looked,
        Event::RewardsReserved(reserved) => reserved.rechecked.as_ref()?,
        Event::ConversionScreened(_)
        | Event::SignalsRecorded(_)
        | Event::OutcomeRecorded(_)
        | Event::OutcomeRevoked(_)
        | Event::OutcomeSpread(_)
        | Event::PendingExpired(_)
        | Event::CaseStepped(_)
        | Event::CasesStepped(_)
        | Event::ReservationChanged(_)
        | Event::RewardPaid(_)
        | Event::PayoutFailed(_)
        | Event::RewardsChanged(_)
        | Event::HoldChanged(_)
        | Event::ListChanged(_)
        | Event::ModelsChanged(_)
        | Event::TermsChanged(_)
        | Event::ValuesRekeyed(_)
        | Event::AuditKeyMade(_)
        | Event::DirectoryChanged(_)
        | Event::Looked(_)
        | Event::AccountErased(_)
        | Event::ErasureFinished(_)
        | Event::ActProposed(_)
        | Event::ActConfirmed(_)
        | Event::ActDropped(_)
        | Event::SourceEventTaken(_)
        | Event::BreakerTripped(_)
        | Event::TrailKept(_)
        | Event::ConversionKept(_) => return None,
    };
    let Rechecked { at, as_of: _, seen: _, changed } = looked;
    let changed = changed.iter().find(|changed| changed.conversion_id == *id)?;
    Some(LaterVerdict { verdict: changed.verdict, machine: changed.decision.verdict, at: *at })
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
        OutcomeKind::SubscriptionCanceled | OutcomeKind::DisputeWon | OutcomeKind::AccountUnbanned => return None,
    };
    Some(Label { truth: Truth::Abusive, source, labeled_at: at })
}
