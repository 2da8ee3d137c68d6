//! Messages beside conversions that were taken: what a retry is compared with.

use super::{Records, damaged_at, waiting};
use crate::book::MessageKind;
use crate::book::cursor::FeedCursor;
use crate::book::event::{Event, SignalsRecorded};
use crate::book::records::{RecordedSignals, TakenMessage};
use crate::ports::ledger::LedgerError;
use crate::vocabulary::ids::RecordId;

impl Records {
    /// What was taken under an id, and where it stands; `None` when nothing was, or it is not kept any more.
    pub(in super::super) async fn taken(
        &self,
        kind: MessageKind,
        id: &RecordId,
    ) -> Result<Option<(FeedCursor, TakenMessage)>, LedgerError> {
        let Some(place) = self.programme.book.read().message(kind, id) else { return Ok(None) };
        self.programme.wait_for(place).await?;
        let records = self.clone();
        waiting(move || {
            let Some((event, mark)) = records.read_marked(place)? else { return Ok(None) };
            let taken = match event.done() {
                Event::SignalsRecorded(SignalsRecorded { record_id, content: _, bundles, received_at }) => {
                    TakenMessage::Signals(RecordedSignals { record_id, bundles, observed_at: received_at })
                }
                Event::OutcomeRecorded(recorded) => TakenMessage::Outcome(recorded.outcome),
                _ => return Err(damaged_at(place, "it is no such message")),
            };
            Ok(Some((FeedCursor { place, mark }, taken)))
        })
        .await
    }
}
