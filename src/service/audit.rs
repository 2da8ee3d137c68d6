//! The handlers of the audit trail: search, export, verification.
//!
//! Thin: entries and their chain are the ledger's. Who reads the trail stands in it.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::stream::{self, BoxStream, StreamExt};
use tonic::{Request, Response, Status};

use super::access::{Caller, Share};
use super::counts;
use super::errors::Refusal;
use super::limits::contained;
use super::pages::fitting;
use super::shared::{Phase, Shared};
use crate::book::looks::Seen;
use crate::book::query::PageToken;
use crate::book::records::Cursor;
use crate::book::trail::TrailEntry;
use crate::ledger::trail::{TrailChain, TrailFile, leaf_of};
use crate::ports::journal::{Direction, Reach};
use crate::ports::ledger::{Ledger, LedgerError, TrailLine, TrailPart};
use crate::vocabulary::ids::ProgramId;
use crate::wire::{audit as requests, v1};

/// Records that are read at a time.
const PART_RECORDS: usize = 1_024;
/// Parts that one page of a search reads at most.
const PARTS_PER_PAGE: usize = 16;
/// Bytes of lines of one message, but for the line that goes over it.
const MESSAGE_BYTES: usize = 512 << 10;
/// The place after all others.
const END: Cursor = Cursor(u64::MAX >> 1);

/// The handlers of `AuditService`.
pub(super) struct AuditHandlers(pub(super) Arc<Shared>);

impl AuditHandlers {
    /// Whose trail is read: a programme's, or the directory's for the ledger as a whole. Noted before it is.
    async fn begin(&self, caller: &Caller, program: Option<ProgramId>) -> Result<ProgramId, Refusal> {
        let of = if let Some(program) = program {
            caller.may(&program).await?;
            program
        } else {
            caller.may_everywhere()?;
            ProgramId::directory()
        };
        self.0.looked_first(caller, &of, Seen::Trail).await?;
        Ok(of)
    }

    async fn part(&self, share: &Share, program: &ProgramId, reach: Reach) -> Result<TrailPart, Refusal> {
        let program = program.clone();
        let read = move |ledger: Arc<dyn Ledger>| async move { ledger.trail(&program, reach).await };
        self.0.read_in_turn(share, read).await
    }
}

#[tonic::async_trait]
impl v1::audit_service_server::AuditService for AuditHandlers {
    async fn search_audit(&self, request: Request<v1::SearchAuditRequest>) -> Result<Response<v1::SearchAuditResponse>, Status> {
        let (caller, message) = Caller::of(request)?;
        let requests::Search { program_id, filter, page, seal } =
            requests::search(message, &self.0.door.page_key()).map_err(Refusal::from)?;
        let first_page = page.after.is_none();
        let before = page.after.as_ref().and_then(|PageToken(place)| place.parse().ok());
        let program = match (program_id, first_page) {
            (program, true) => self.begin(&caller, program).await?,
            (Some(program), false) => {
                caller.may(&program).await?;
                program
            }
            (None, false) => {
                caller.may_everywhere()?;
                ProgramId::directory()
            }
        };
        let mut to = before.map_or(END, |before: u64| Cursor(before.saturating_sub(1)));
        let (mut entries, mut next): (Vec<v1::AuditEntry>, Option<u64>) = (Vec::new(), None);
        'parts: for part in 0..=PARTS_PER_PAGE {
            if part == PARTS_PER_PAGE {
                next = Some(to.0 + 1);
                break;
            }
            let reach = Reach { from: Cursor(1), to, direction: Direction::Backward, limit: PART_RECORDS };
            let TrailPart { lines, .. } = self.part(&caller.share, &program, reach).await?;
            let Some(last) = lines.last().map(|line| line.place) else { break };
            for line in lines {
                let Some((entry, text)) = line.text.and_then(|text| Some((read_entry(&text)?, text))) else { continue };
                if filter.takes(&entry) {
                    if entries.len() == page.size {
                        next = Some(line.place.0 + 1);
                        break 'parts;
                    }
                    entries.push(requests::entry_message(entry, text));
                }
            }
            if last <= Cursor(1) {
                break;
            }
            to = Cursor(last.0 - 1);
        }
        let fit = fitting(entries.iter().map(prost::Message::encoded_len));
        if fit < entries.len() {
            entries.truncate(fit);
            next = entries.last().map(|entry| entry.place);
        }
        let next_page_token = seal.seal(next.map(|place| PageToken(place.to_string())).as_ref());
        Ok(Response::new(v1::SearchAuditResponse { entries, next_page_token }))
    }

    type ExportAuditStream = BoxStream<'static, Result<v1::ExportAuditResponse, Status>>;

    async fn export_audit(&self, request: Request<v1::ExportAuditRequest>) -> Result<Response<Self::ExportAuditStream>, Status> {
        let (caller, message) = Caller::of(request)?;
        let program = requests::export(message).map_err(Refusal::from)?;
        let program = self.begin(&caller, program).await?;
        let place = self.0.places.take(&caller)?;
        let (shared, share) = (Arc::clone(&self.0), Arc::clone(&caller.share));
        let export = Export { handlers: Self(shared), share, program, file: None, next: Cursor(1), end: None };
        let parts = stream::unfold(Some(export), |export| async move {
            let export = export?;
            match contained(export.next_part()).await.and_then(|part| part) {
                Ok((messages, rest)) => Some((messages.into_iter().map(Ok).collect(), rest)),
                Err(refusal) => Some((vec![Err(Status::from(refusal))], None)),
            }
        });
        let lines = parts.flat_map(stream::iter);
        Ok(Response::new(counts::counted(&self.0, "AuditService/ExportAudit", place, lines, counts::fine)))
    }

    async fn verify_audit(&self, request: Request<v1::VerifyAuditRequest>) -> Result<Response<v1::VerifyAuditResponse>, Status> {
        let (caller, message) = Caller::of(request)?;
        let requests::VerifyWanted { program_id, expected } = requests::verify(message).map_err(Refusal::from)?;
        let program = self.begin(&caller, program_id).await?;
        let mut verifying = Verifying::new(program.clone(), expected);
        loop {
            let reach = Reach { from: verifying.next, to: END, direction: Direction::Forward, limit: PART_RECORDS };
            let of = program.clone();
            let read = move |ledger: Arc<dyn Ledger>| async move {
                match ledger.trail(&of, reach).await {
                    Err(LedgerError::Damaged(what)) => Ok(Err(what)),
                    read => read.map(Ok),
                }
            };
            if verifying.part(self.0.read_in_turn(&caller.share, read).await?) == Goes::Ended {
                return Ok(Response::new(verifying.finish()));
            }
        }
    }
}

/// Whether there is more to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Goes {
    On,
    Ended,
}

/// How far a verification is, and what it found.
struct Verifying {
    program: ProgramId,
    /// What an earlier export ended with.
    expected: Option<(Cursor, TrailChain)>,
    answer: v1::VerifyAuditResponse,
    /// Absent before the first part.
    file: Option<TrailFile>,
    next: Cursor,
    /// Where the trail ended when the verification began; absent before the first part.
    end: Option<Cursor>,
    /// Records that were rewritten, with what they hold now, and whether the end of an erasure says so.
    rewritten: BTreeMap<Cursor, ([u8; 32], bool)>,
    erasing: bool,
}

impl Verifying {
    fn new(program: ProgramId, expected: Option<(Cursor, TrailChain)>) -> Self {
        let (answer, rewritten) = (v1::VerifyAuditResponse::default(), BTreeMap::new());
        Self { program, expected, answer, file: None, next: Cursor(1), end: None, rewritten, erasing: false }
    }

    /// Takes a part, or what is damaged of it.
    fn part(&mut self, part: Result<TrailPart, String>) -> Goes {
        let TrailPart { first, end, lines, erasing } = match part {
            Ok(part) => part,
            Err(what) => {
                self.answer.findings.push(what);
                return Goes::Ended;
            }
        };
        self.erasing = erasing;
        let end = *self.end.get_or_insert(end);
        if self.file.is_none() {
            self.file = Some(TrailFile::begin(&self.program, first).0);
            (self.answer.first_place, self.next) = (first.0, first);
        }
        let is_last = lines.is_empty();
        for line in lines.into_iter().filter(|line| line.place <= end) {
            self.line(line);
        }
        if is_last || self.next > end { Goes::Ended } else { Goes::On }
    }

    fn line(&mut self, TrailLine { place, leaf, text, rewritten, vouches }: TrailLine) {
        let Self { expected, answer, file, next, .. } = self;
        if place != *next {
            answer.findings.push(format!("entry {} is missing", next.0));
        }
        if text.as_ref().is_some_and(|text| leaf_of(text) != leaf) {
            answer.findings.push(format!("entry {}, which outlived its record, was changed", place.0));
        }
        answer.hashes_alone += u64::from(text.is_none());
        if let Some(file) = file {
            file.line(place, &leaf, text.as_deref());
            answer.chain = file.chain().to_string();
            if expected.as_ref().is_some_and(|(of, chain)| *of == place && *chain != file.chain()) {
                answer.findings.push(format!("the trail up to entry {} is not the one that was exported", place.0));
            }
        }
        (*next, answer.last_place) = (Cursor(place.0 + 1), place.0);
        if let Some(hash) = rewritten {
            self.rewritten.insert(place, (hash, false));
        }
        for (place, hash) in vouches {
            if let Some((known, vouched)) = self.rewritten.get_mut(&place) {
                *vouched |= *known == hash;
            }
        }
    }

    fn finish(self) -> v1::VerifyAuditResponse {
        let Self { expected, mut answer, rewritten, erasing, .. } = self;
        if let Some((place, _)) = expected.filter(|(place, _)| place.0 > answer.last_place) {
            answer.findings.push(format!("entries {} to {} are missing at the end", answer.last_place + 1, place.0));
        }
        // While one is under way, nothing vouches yet for what it rewrote.
        let unvouched = rewritten.iter().filter(|(_, (_, vouched))| !erasing && !vouched);
        answer.findings.extend(unvouched.map(|(place, _)| format!("record {} was changed, and no erasure says so", place.0)));
        answer
    }
}

fn read_entry(text: &str) -> Option<TrailEntry> {
    serde_json::from_str(text).ok()
}

/// How far an export is.
struct Export {
    handlers: AuditHandlers,
    share: Arc<Share>,
    program: ProgramId,
    /// Absent before the first part.
    file: Option<TrailFile>,
    next: Cursor,
    /// Where the trail ended when the export began; absent before the first part.
    end: Option<Cursor>,
}

impl Export {
    /// The next messages, and how far the export is then; absent at its end.
    async fn next_part(mut self) -> Result<(Vec<v1::ExportAuditResponse>, Option<Self>), Refusal> {
        if *self.handlers.0.phase.borrow() == Phase::Draining {
            return Err(Refusal::backup_cut_off());
        }
        let to = self.end.unwrap_or(END);
        let reach = Reach { from: self.next, to, direction: Direction::Forward, limit: PART_RECORDS };
        let TrailPart { first, end, lines, .. } = self.handlers.part(&self.share, &self.program, reach).await?;
        let end = *self.end.get_or_insert(end);
        let mut text = String::new();
        let file = match &mut self.file {
            Some(file) => file,
            none => {
                let (file, head) = TrailFile::begin(&self.program, first);
                text = head + "\n";
                none.insert(file)
            }
        };
        let mut messages = Vec::new();
        let is_last = lines.is_empty();
        for line in lines.into_iter().filter(|line| line.place <= end) {
            text.push_str(&file.line(line.place, &line.leaf, line.text.as_deref()));
            text.push('\n');
            self.next = Cursor(line.place.0 + 1);
            if text.len() >= MESSAGE_BYTES {
                messages.push(v1::ExportAuditResponse { lines: std::mem::take(&mut text) });
            }
        }
        let ended = is_last || self.next > end;
        if ended {
            text.push_str(&file.end());
            text.push('\n');
        }
        if !text.is_empty() {
            messages.push(v1::ExportAuditResponse { lines: text });
        }
        Ok((messages, (!ended).then_some(self)))
    }
}
