//! Messages beside conversions that were taken: what a retry is compared with.

use super::{Records, damaged_at, waiting};
use crate::book::MessageKind;
use crate::book::event::{Event, SignalsRecorded};
use crate::book::records::{Cursor, RecordedSignals, TakenMessage};
use crate::ports::ledger::LedgerError;
use crate::vocabulary::ids::RecordId;

impl Records {
    /// What was taken under an id, and where it stands; `None` when nothing was, or it is not kept any more.
    pub(in super::super) async fn taken(
        &self,
        kind: MessageKind,
        id: &RecordId,
    ) -> Result<Option<(Cursor, TakenMessage)>, LedgerError> {
        let Some(cursor) = self.programme.book.read().message(kind, id) else { return Ok(None) };
        self.programme.wait_for(cursor).await?;
        let records = self.clone();
        waiting(move || match records.read(cursor)? {
            None => Ok(None),
            Some(Event::SignalsRecorded(SignalsRecorded { record_id, content: _, bundles, received_at })) => {
                let signals = RecordedSignals { record_id, bundles, observed_at: received_at };
                Ok(Some((cursor, TakenMessage::Signals(signals))))
            }
            Some(Event::OutcomeRecorded(recorded)) => Ok(Some((cursor, TakenMessage::Outcome(recorded.outcome)))),
            Some(_) => Err(damaged_at(cursor, "it is no such message")),
        })
        .await
    }
}
