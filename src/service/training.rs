//! The training handlers: the labelled history as a stream, for export.
//!
//! It must never export another programme's line. The server registers it.

use std::sync::Arc;

use futures::stream::{self, BoxStream, StreamExt};
use tonic::{Request, Response, Status};

use super::access::{Caller, Share};
use super::counts;
use super::errors::Refusal;
use super::limits::contained;
use super::shared::{Phase, Shared};
use crate::book::cursor::FeedCursor;
use crate::book::looks::Seen;
use crate::book::records::Cursor;
use crate::vocabulary::ids::ProgramId;
use crate::wire::{training as lines, v1};

/// Conversions that are read at a time. One may be tens of kilobytes.
const CONVERSIONS_READ: usize = 64;
/// What one message of an export takes at most, but for a line that is larger without its signals. Unit: bytes.
const MESSAGE_BYTES_MAX: usize = 2 << 20;

/// The handlers of `TrainingService`.
pub(super) struct TrainingHandlers(pub(super) Arc<Shared>);

/// How far an export is.
struct Export {
    shared: Arc<Shared>,
    share: Arc<Share>,
    program_id: ProgramId,
    /// Up to here everything was read.
    cursor: FeedCursor,
    /// The end of the feed when the export began.
    end: Cursor,
}

#[tonic::async_trait]
impl v1::training_service_server::TrainingService for TrainingHandlers {
    type ExportConversionsStream = BoxStream<'static, Result<v1::ExportConversionsResponse, Status>>;

    async fn export_conversions(
        &self,
        request: Request<v1::ExportConversionsRequest>,
    ) -> Result<Response<Self::ExportConversionsStream>, Status> {
        let (caller, message) = Caller::of(request)?;
        let (program_id, after) = lines::wanted(message).map_err(Refusal::from)?;
        caller.may(&program_id).await?;
        let place = self.0.places.take(&caller)?;
        self.0.looked_first(&caller, &program_id, Seen::Export).await?;
        let end = self.0.feed_end(&program_id).await?.place;
        let cursor = self.0.feed_from(&program_id, after).await?;
        let export = Export { shared: Arc::clone(&self.0), share: Arc::clone(&caller.share), program_id, cursor, end };
        let parts = stream::unfold(Some(export), |export| async move {
            let export = export?;
            match contained(export.next_part()).await.and_then(|part| part) {
                Ok(None) => None,
                Ok(Some((lines, export))) => Some((lines.into_iter().map(Ok).collect(), Some(export))),
                Err(refusal) => Some((vec![Err(Status::from(refusal))], None)),
            }
        });
        let lines = parts.flat_map(stream::iter);
        Ok(Response::new(counts::counted(&self.0, "TrainingService/ExportConversions", place, lines, counts::fine)))
    }
}

impl Export {
    /// The next lines; `None` at the end.
    async fn next_part(mut self) -> Result<Option<(Vec<v1::ExportConversionsResponse>, Self)>, Refusal> {
        if self.cursor.place >= self.end {
            return Ok(None);
        }
        if *self.shared.phase.borrow() == Phase::Draining {
            return Err(Refusal::feed_cut_off(self.cursor));
        }
        let (program_id, after, share) = (self.program_id.clone(), self.cursor, Arc::clone(&self.share));
        let (labelled, read_up_to) = self
            .shared
            .read_in_turn(&share, move |ledger| async move { ledger.labelled(&program_id, Some(after), CONVERSIONS_READ).await })
            .await?;
        if read_up_to.place <= self.cursor.place {
            return Ok(None);
        }
        self.cursor = read_up_to;
        let messages = labelled.iter().flat_map(|labelled| lines::export_messages(labelled, MESSAGE_BYTES_MAX));
        Ok(Some((messages.collect(), self)))
    }
}
