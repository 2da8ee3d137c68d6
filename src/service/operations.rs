//! The operations handlers: a backup of a running server as a stream, and a look at how it is.
//!
//! It must never hold a backup in memory, and never hold up a write: a slow reader slows its own stream. The server registers it.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::stream::{self, BoxStream};
use tokio::sync::mpsc;
use tonic::{Request, Response, Status};

use super::access::Caller;
use super::counts;
use super::diagnosis::{self, Diagnosis, KeyUse};
use super::errors::Refusal;
use super::shared::{Phase, Shared};
use crate::book::looks::Seen;
use crate::ports::journal::BackupSummary;
use crate::vocabulary::ids::ProgramId;
use crate::wire::fields::time_message;
use crate::wire::v1::stream_backup_response::Part;
use crate::wire::{self, v1};

/// Bytes of one message.
const PART_BYTES: usize = 256 * 1_024;
/// How long a backup waits until it is noted who takes it.
const NOTED_WITHIN: Duration = Duration::from_secs(1);
/// Messages that wait for a slow reader.
const PARTS_WAITING: usize = 4;

/// The handlers of `OperationsService`.
pub(super) struct OperationsHandlers(pub(super) Arc<Shared>);

type Answer = Result<v1::StreamBackupResponse, Status>;

#[tonic::async_trait]
impl v1::operations_service_server::OperationsService for OperationsHandlers {
    type StreamBackupStream = BoxStream<'static, Answer>;

    async fn stream_backup(
        &self,
        request: Request<v1::StreamBackupRequest>,
    ) -> Result<Response<Self::StreamBackupStream>, Status> {
        let (caller, v1::StreamBackupRequest {}) = Caller::of(request)?;
        caller.may_everywhere()?;
        let place = self.0.places.take(&caller)?;
        // A ledger that takes no writes is backed up all the same; it is noted as soon as it takes some.
        let directory = ProgramId::directory();
        let noted = self.0.looked_first(&caller, &directory, Seen::Backup);
        if !matches!(tokio::time::timeout(NOTED_WITHIN, noted).await, Ok(Ok(()))) {
            self.0.looked(&caller, &directory, Seen::Backup)?;
        }
        let (sender, receiver) = mpsc::channel(PARTS_WAITING);
        let shared = Arc::clone(&self.0);
        tokio::spawn(async move {
            let mut parts = Parts { sender: sender.clone(), shared: Arc::clone(&shared), part: Vec::new(), ended: None };
            let written = shared
                // The place of the stream is given back when the backup ends, and not when its reader leaves. It takes none of the reads: it lasts.
                .work_at(place, move |ledger| match (ledger.back_up(&mut parts), parts.ended) {
                    // That nobody reads on is no fault of the ledger.
                    (_, Some(ended)) => Ok(Err(ended)),
                    (written, None) => written.map(Ok),
                })
                .await;
            let last = match written {
                Ok(Ok(summary)) => Ok(summary_message(summary)),
                Ok(Err(Ended::ReaderLeft)) => return,
                Ok(Err(Ended::Draining)) => Err(Refusal::backup_cut_off().into()),
                Err(refusal) => Err(refusal.into()),
            };
            // A reader that left needs no summary.
            let _ = sender.send(last).await;
        });
        let answers = stream::unfold(receiver, |mut receiver| async { receiver.recv().await.map(|answer| (answer, receiver)) });
        Ok(Response::new(counts::counted(&self.0, "OperationsService/StreamBackup", (), answers, counts::fine)))
    }

    async fn diagnose(&self, request: Request<v1::DiagnoseRequest>) -> Result<Response<v1::DiagnoseResponse>, Status> {
        let (caller, message) = Caller::of(request)?;
        let only = wire::diagnosis::wanted(message).map_err(Refusal::from)?;
        match &only {
            Some(program) => drop(caller.may(program).await?),
            None => caller.may_everywhere()?,
        }
        let Diagnosis { findings, keys } = diagnosis::look(&self.0, &caller.share, only.as_ref()).await?;
        Ok(Response::new(v1::DiagnoseResponse {
            findings: findings.iter().map(wire::diagnosis::finding_message).collect(),
            keys: keys.iter().map(key_message).collect(),
            server_time: Some(time_message(self.0.now())),
            version: env!("CARGO_PKG_VERSION").to_owned(),
        }))
    }
}

fn key_message(key: &KeyUse) -> v1::KeyUse {
    let KeyUse { program_id, key_id, decisions, compared } = key;
    let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    v1::KeyUse {
        program_id: program_id.to_string(),
        key_id: key_id.as_str().to_owned(),
        decisions: count(*decisions),
        compared: count(*compared),
    }
}

fn summary_message(summary: BackupSummary) -> v1::StreamBackupResponse {
    let BackupSummary { records, kept_entries, size_bytes, digest } = summary;
    v1::StreamBackupResponse { part: Some(Part::Summary(v1::BackupSummary { records, kept_entries, size_bytes, digest })) }
}

/// Why a backup ends before its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ended {
    ReaderLeft,
    Draining,
}

/// Where a backup is written: messages of some size. Used on a thread that may wait.
struct Parts {
    sender: mpsc::Sender<Answer>,
    shared: Arc<Shared>,
    part: Vec<u8>,
    ended: Option<Ended>,
}

impl io::Write for Parts {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.part.len() == PART_BYTES {
            self.flush()?;
        }
        let room = PART_BYTES - self.part.len();
        let taken = bytes.get(..room).unwrap_or(bytes);
        self.part.extend_from_slice(taken);
        Ok(taken.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.part.is_empty() {
            return Ok(());
        }
        let content = Bytes::from(std::mem::take(&mut self.part));
        let message = v1::StreamBackupResponse { part: Some(Part::Content(content)) };
        self.ended = if *self.shared.phase.borrow() == Phase::Draining {
            Some(Ended::Draining)
        } else {
            self.sender.blocking_send(Ok(message)).err().map(|_| Ended::ReaderLeft)
        };
        if self.ended.is_some() { Err(io::ErrorKind::BrokenPipe.into()) } else { Ok(()) }
    }
}
