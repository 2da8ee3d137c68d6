//! Refusals: every way in which a call can fail, and the one place where each becomes a `tonic::Status` with `google.rpc` details.
//!
//! It must never answer an error as if it were a decision, and never carry a signal or a message's values. Called by all handlers and by the
//! server's guard. The table of codes and reasons is API: clients branch on it.

use std::time::Duration;

use tonic::{Code, Status};
use tonic_types::{ErrorDetails, FieldViolation, PreconditionViolation, StatusExt};

use crate::adapters::model_file::ModelFileError;
use crate::adapters::model_store::ModelStoreError;
use crate::book;
use crate::book::cursor::FeedCursor;
use crate::ports::ledger::LedgerError;
use crate::screening::case::IllegalStep;
use crate::screening::model::ModelError;
use crate::vocabulary::ids::{Actor, ProgramId};
use crate::vocabulary::role::Role;
use crate::wire::codec::TAKES_TOO_MUCH;
use crate::wire::feed::AFTER_CURSOR;
use crate::wire::{Violation, v1};

/// The domain of every `google.rpc.ErrorInfo`.
pub const ERROR_DOMAIN: &str = "selfsame";

/// The metadata by which forwarding learns who holds a programme. It does not leave the server.
pub(super) const HELD_BY: &str = "selfsame-held-by";

/// Bytes of field violations that one status carries. A status travels in HTTP/2 headers in base64, and clients refuse headers of more
/// than 8 KiB (the default of gRPC's C core); the violations that do not fit are counted instead.
const VIOLATION_BYTES_MAX: usize = 4_500;

/// The field that holds a page token, in every listing.
const PAGE_TOKEN: &str = "page_token";

/// What the transport says of bytes that are no message: of their framing, of their compression, of their content.
const OF_BYTES: [&str; 6] =
    ["decode", "decoding", "Protobuf", "Missing request message", "protocol error", "Error decompressing"];

/// Bytes of field names in the message itself, for clients that do not show details.
const NAMED_BYTES_MAX: usize = 600;

/// How long a client waits before it tries an unavailable ledger again: an operator has to act first.
const UNAVAILABLE_RETRY: Duration = Duration::from_secs(5);

/// Why a call was refused, for machines. Stable: a reason never changes its name or its meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// No token or certificate was shown that lets anybody in, or both, of two callers.
    NotAuthenticated,
    /// The caller has none of the roles that the call takes, in that programme.
    NotPermitted,
    /// No such programme is registered.
    ProgramNotKnown,
    /// The programme is archived, and takes nothing more.
    ProgramArchived,
    /// Fields are malformed.
    InvalidFields,
    /// The bytes are not the method's message.
    MalformedMessage,
    /// Larger than the server takes (4 MiB, decompressed; 48 MiB once it is read).
    MessageTooLarge,
    /// The page token is of another listing, or of none.
    InvalidPageToken,
    /// The cursor is of another ledger or programme, or of this one before a backup was restored.
    CursorOfAnotherLedger,
    /// What came after the cursor was removed by age.
    CursorForgotten,
    /// The id, or the version of a model, was used before with other content.
    ContentDiffers,
    /// No such conversion, case, reward, reservation, hold, outcome or loaded model in the programme, or no such model file.
    NotKnown,
    /// It was in the programme, and retention removed its record; its ids stay taken.
    Removed,
    /// Another reviewer's lease runs.
    CaseClaimedByOther,
    /// Nothing to release.
    CaseNotClaimed,
    /// It was decided.
    CaseAlreadyResolved,
    /// Nothing to reopen.
    CaseNotResolved,
    /// The state does not allow it.
    NotPossible,
    /// The model was made for other features or another format; the message names them.
    ModelDoesNotFit,
    /// Whoever proposed an act cannot confirm it.
    OwnAct,
    /// Somebody changed the case meanwhile.
    RevisionDiffers,
    /// Too many writes wait for the disk.
    LedgerBusy,
    /// What is known takes more memory than `ledger.memory_mib`.
    LedgerFull,
    /// Too many calls in flight, too many bytes sent and not answered, or too many long reads run, those whose callers left included.
    ServerBusy,
    /// Too many open streams.
    TooManyStreams,
    /// The caller has too many calls in flight, streams open, reads running, or bytes sent and not answered, of its own.
    CallerBusy,
    /// The caller calls more often than `limits.calls_per_second_per_caller`.
    CallerTooFast,
    /// The caller asked about one person more often than `limits.asks_about_one` in ten minutes.
    AskedTooOften,
    /// The caller left before it was answered.
    CallerLeft,
    /// The ledger cannot be written; health is `NOT_SERVING`.
    LedgerUnavailable,
    /// Another replica holds the programme and could not be reached; nothing was done.
    HeldElsewhere,
    /// The model folder cannot be read or written; nothing was changed.
    ModelFolderUnavailable,
    /// A stored record cannot be read.
    RecordDamaged,
    /// The server drains.
    ShuttingDown,
    /// Your `grpc-timeout`, or the server's limit.
    DeadlineExceeded,
    /// No such method.
    UnknownMethod,
    /// The message is compressed in a way that the server does not read.
    UnknownEncoding,
    /// A fault of the server.
    Internal,
}

impl Reason {
    /// All of them, in the order in which the code tells them apart.
    pub const ALL: [Self; 38] = [
        Self::NotAuthenticated,
        Self::NotPermitted,
        Self::ProgramNotKnown,
        Self::ProgramArchived,
        Self::InvalidFields,
        Self::MalformedMessage,
        Self::MessageTooLarge,
        Self::InvalidPageToken,
        Self::CursorOfAnotherLedger,
        Self::CursorForgotten,
        Self::ContentDiffers,
        Self::NotKnown,
        Self::Removed,
        Self::CaseClaimedByOther,
        Self::CaseNotClaimed,
        Self::CaseAlreadyResolved,
        Self::CaseNotResolved,
        Self::NotPossible,
        Self::ModelDoesNotFit,
        Self::OwnAct,
        Self::RevisionDiffers,
        Self::LedgerBusy,
        Self::LedgerFull,
        Self::ServerBusy,
        Self::TooManyStreams,
        Self::CallerBusy,
        Self::CallerTooFast,
        Self::AskedTooOften,
        Self::CallerLeft,
        Self::LedgerUnavailable,
        Self::HeldElsewhere,
        Self::ModelFolderUnavailable,
        Self::RecordDamaged,
        Self::ShuttingDown,
        Self::DeadlineExceeded,
        Self::UnknownMethod,
        Self::UnknownEncoding,
        Self::Internal,
    ];

    /// The reason as it stands in `google.rpc.ErrorInfo`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotAuthenticated => "NOT_AUTHENTICATED",
            Self::NotPermitted => "NOT_PERMITTED",
            Self::ProgramNotKnown => "PROGRAM_NOT_KNOWN",
            Self::ProgramArchived => "PROGRAM_ARCHIVED",
            Self::InvalidFields => "INVALID_FIELDS",
            Self::MalformedMessage => "MALFORMED_MESSAGE",
            Self::MessageTooLarge => "MESSAGE_TOO_LARGE",
            Self::InvalidPageToken => "INVALID_PAGE_TOKEN",
            Self::CursorOfAnotherLedger => "CURSOR_OF_ANOTHER_LEDGER",
            Self::CursorForgotten => "CURSOR_FORGOTTEN",
            Self::ContentDiffers => "CONTENT_DIFFERS",
            Self::NotKnown => "NOT_KNOWN",
            Self::Removed => "REMOVED",
            Self::CaseClaimedByOther => "CASE_CLAIMED_BY_OTHER",
            Self::CaseNotClaimed => "CASE_NOT_CLAIMED",
            Self::CaseAlreadyResolved => "CASE_ALREADY_RESOLVED",
            Self::CaseNotResolved => "CASE_NOT_RESOLVED",
            Self::NotPossible => "NOT_POSSIBLE",
            Self::ModelDoesNotFit => "MODEL_DOES_NOT_FIT",
            Self::OwnAct => "OWN_ACT",
            Self::RevisionDiffers => "REVISION_DIFFERS",
            Self::LedgerBusy => "LEDGER_BUSY",
            Self::LedgerFull => "LEDGER_FULL",
            Self::ServerBusy => "SERVER_BUSY",
            Self::TooManyStreams => "TOO_MANY_STREAMS",
            Self::CallerBusy => "CALLER_BUSY",
            Self::CallerTooFast => "CALLER_TOO_FAST",
            Self::AskedTooOften => "ASKED_TOO_OFTEN",
            Self::CallerLeft => "CALLER_LEFT",
            Self::LedgerUnavailable => "LEDGER_UNAVAILABLE",
            Self::HeldElsewhere => "HELD_ELSEWHERE",
            Self::ModelFolderUnavailable => "MODEL_FOLDER_UNAVAILABLE",
            Self::RecordDamaged => "RECORD_DAMAGED",
            Self::ShuttingDown => "SHUTTING_DOWN",
            Self::DeadlineExceeded => "DEADLINE_EXCEEDED",
            Self::UnknownMethod => "UNKNOWN_METHOD",
            Self::UnknownEncoding => "UNKNOWN_ENCODING",
            Self::Internal => "INTERNAL",
        }
    }

    /// The status code that goes with it.
    ///
    /// Other content under a known id is `ALREADY_EXISTS`, not `FAILED_PRECONDITION`: nothing that the caller could change first would make
    /// the message acceptable; it needs another id. A message that is too large is `RESOURCE_EXHAUSTED`, as everywhere in gRPC.
    #[must_use]
    pub const fn code(self) -> Code {
        match self {
            Self::InvalidFields | Self::MalformedMessage | Self::InvalidPageToken => Code::InvalidArgument,
            Self::CursorOfAnotherLedger | Self::CursorForgotten => Code::OutOfRange,
            Self::ContentDiffers => Code::AlreadyExists,
            Self::NotAuthenticated => Code::Unauthenticated,
            Self::NotPermitted => Code::PermissionDenied,
            Self::ProgramNotKnown | Self::NotKnown | Self::Removed => Code::NotFound,
            Self::ProgramArchived
            | Self::CaseClaimedByOther
            | Self::CaseNotClaimed
            | Self::CaseAlreadyResolved
            | Self::CaseNotResolved
            | Self::NotPossible
            | Self::ModelDoesNotFit
            | Self::OwnAct => Code::FailedPrecondition,
            Self::RevisionDiffers => Code::Aborted,
            Self::MessageTooLarge
            | Self::LedgerBusy
            | Self::LedgerFull
            | Self::ServerBusy
            | Self::TooManyStreams
            | Self::CallerBusy
            | Self::CallerTooFast
            | Self::AskedTooOften => Code::ResourceExhausted,
            Self::CallerLeft => Code::Cancelled,
            Self::LedgerUnavailable | Self::HeldElsewhere | Self::ModelFolderUnavailable | Self::ShuttingDown => {
                Code::Unavailable
            }
            Self::RecordDamaged => Code::DataLoss,
            Self::DeadlineExceeded => Code::DeadlineExceeded,
            Self::UnknownMethod | Self::UnknownEncoding => Code::Unimplemented,
            Self::Internal => Code::Internal,
        }
    }
}

/// What a refusal says beside its reason.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Detail {
    /// Nothing.
    None,
    /// Every violated field.
    Fields(Vec<Violation>),
    /// When trying again is worth it.
    RetryAfter(Duration),
    /// Who answers instead, and when trying here again is worth it.
    Elsewhere { address: String, retry_after: Duration },
    /// On what the change failed.
    Precondition,
    /// What was looked for.
    Resource { what: &'static str, id: String },
    /// From where a stream that was cut goes on, under this name, and when trying again is worth it.
    Resume { name: &'static str, at: String, retry_after: Duration },
}

/// A call that was refused. Nothing was written unless the message says so.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Refusal {
    reason: Reason,
    message: String,
    detail: Detail,
}

impl Refusal {
    fn new(reason: Reason, message: impl Into<String>, detail: Detail) -> Self {
        Self { reason, message: message.into(), detail }
    }

    /// The same refusal of a message that stands in this field of the request.
    #[must_use]
    pub fn below(self, field: &str) -> Self {
        let Detail::Fields(violations) = self.detail else { return self };
        let named = |violation: Violation| Violation { field: format!("{field}.{}", violation.field), ..violation };
        Self::invalid(violations.into_iter().map(named).collect())
    }

    /// The request is malformed in these fields. When it is the page token alone, that is a reason of its own: beginning again mends it.
    #[must_use]
    pub fn invalid(violations: Vec<Violation>) -> Self {
        if let [Violation { field, problem }] = violations.as_slice()
            && field == PAGE_TOKEN
        {
            return Self::new(Reason::InvalidPageToken, format!("`{field}` {problem}"), Detail::Fields(violations));
        }
        let message = match violations.as_slice() {
            [only] => format!("`{}` {}", only.field, only.problem),
            several => format!("{} fields are invalid: {}; see the details", several.len(), named(several)),
        };
        Self::new(Reason::InvalidFields, message, Detail::Fields(violations))
    }

    /// One field is malformed.
    #[must_use]
    pub fn invalid_field(field: &str, problem: impl Into<String>) -> Self {
        Self::invalid(vec![Violation { field: field.to_owned(), problem: problem.into() }])
    }

    /// There is no such thing in the programme.
    #[must_use]
    pub fn not_known(what: &'static str, id: &str) -> Self {
        let message = format!("{what} `{id}` is not known in this programme");
        Self::new(Reason::NotKnown, message, Detail::Resource { what, id: id.to_owned() })
    }

    /// The id names another message, which differs in these fields. Empty when what came first is not kept any more.
    #[must_use]
    pub fn content_differs(id: &str, differences: Vec<Violation>) -> Self {
        let told = match differences.as_slice() {
            [] => String::new(),
            [only] => format!(": `{}` {}", only.field, only.problem),
            several => format!(": {} fields differ: {}", several.len(), named(several)),
        };
        let message = format!("`{id}` was sent before with other content{told}; an id names one message for ever");
        let detail = if differences.is_empty() { Detail::None } else { Detail::Fields(differences) };
        Self::new(Reason::ContentDiffers, message, detail)
    }

    /// A fault of the server. What happened is in its log, not in the answer.
    #[must_use]
    pub fn internal() -> Self {
        let message = "the server failed to answer; nothing was decided; retry with the same id";
        Self::new(Reason::Internal, message, Detail::None)
    }

    /// The time is over. Whether a write was kept is not known; the same id makes the retry harmless.
    #[must_use]
    pub fn deadline(after: Duration) -> Self {
        let message = format!("no answer within {} ms; retry with the same id", after.as_millis());
        Self::new(Reason::DeadlineExceeded, message, Detail::None)
    }

    /// Nobody is let in by what the call shows: the same for tokens that were never issued, ended, were revoked, or are of another ledger.
    #[must_use]
    pub fn not_authenticated() -> Self {
        let message = "this server asks who calls: send a token that is in force as `authorization: Bearer selfsame_...` (SELFSAME_TOKEN for the \
                       commands), or a client certificate that it knows; access tokens end at their time, and are taken 30 seconds longer \
                       because clocks differ";
        Self::new(Reason::NotAuthenticated, message, Detail::None)
    }

    /// Token and certificate are good, and of two callers: which of them is meant is not known.
    #[must_use]
    pub fn credentials_disagree() -> Self {
        let message = "the token is of another identity than the client certificate: show one of the two, or connect with a certificate that no \
                       identity has";
        Self::new(Reason::NotAuthenticated, message, Detail::None)
    }

    /// An access token is made from a token that lasts, and the call showed none.
    #[must_use]
    pub fn needs_lasting_token() -> Self {
        let message = "an access token is made from a token that lasts: send one as `authorization: Bearer selfsame_...`; an access token, a client \
                       certificate and a name make none";
        Self::new(Reason::NotPossible, message, Detail::Precondition)
    }

    /// The caller may not. Says nothing of whether there is such a programme.
    #[must_use]
    pub fn not_permitted(caller: &Actor, method: &str, program: Option<&ProgramId>, roles: &[Role]) -> Self {
        let roles: Vec<&str> = roles.iter().map(|role| role.as_str()).collect();
        let place = program.map_or_else(|| "in all programmes".to_owned(), |program| format!("in programme `{program}`"));
        let message = format!("`{caller}` may not call {method} {place}; it takes the role {} there", roles.join(" or "));
        Self::new(Reason::NotPermitted, message, Detail::None)
    }

    /// The caller's own places are all taken.
    #[must_use]
    pub fn too_many_own_calls() -> Self {
        Self::new(Reason::CallerBusy, "you have too many calls in flight", Detail::RetryAfter(Duration::from_millis(100)))
    }

    /// The caller's own places for streams are all taken.
    #[must_use]
    pub fn too_many_own_streams() -> Self {
        Self::new(Reason::CallerBusy, "you have too many streams open; end one", Detail::RetryAfter(Duration::from_secs(1)))
    }

    /// The caller's own places for reads are all taken.
    #[must_use]
    pub fn too_many_own_reads() -> Self {
        Self::new(Reason::CallerBusy, "you have too many reads running", Detail::RetryAfter(Duration::from_millis(100)))
    }

    /// The caller holds as many bytes of requests as one caller may.
    #[must_use]
    pub fn too_many_own_bytes() -> Self {
        let message = "you have sent more than is answered yet; wait for answers, or send smaller parts";
        Self::new(Reason::CallerBusy, message, Detail::RetryAfter(Duration::from_millis(100)))
    }

    /// All callers together hold as many bytes of requests as the server takes.
    #[must_use]
    pub fn too_many_bytes() -> Self {
        let message = "more was sent to this server than is answered yet";
        Self::new(Reason::ServerBusy, message, Detail::RetryAfter(Duration::from_millis(100)))
    }

    /// The caller calls more often than it may.
    #[must_use]
    pub fn caller_too_fast(retry_after: Duration) -> Self {
        let message = "you call more often than one caller may on this server (`limits.calls_per_second_per_caller`)";
        Self::new(Reason::CallerTooFast, message, Detail::RetryAfter(retry_after))
    }

    /// The caller asks about one person again and again.
    #[must_use]
    pub fn asked_too_often(retry_after: Duration) -> Self {
        let message = "you asked about this person (its account, mailbox or payment instrument) more often than one caller may \
                       (`limits.asks_about_one`); nothing was decided; follow the feed instead of asking, and screen a person once a conversion";
        Self::new(Reason::AskedTooOften, message, Detail::RetryAfter(retry_after))
    }

    /// The caller left. Nobody reads this but the metrics.
    #[must_use]
    pub fn caller_left() -> Self {
        Self::new(Reason::CallerLeft, "the caller left before it was answered", Detail::None)
    }

    /// There is no such programme, perhaps another that was meant.
    #[must_use]
    pub fn program_not_known(program: &ProgramId, meant: Option<&ProgramId>) -> Self {
        let hint = meant.map_or_else(String::new, |meant| format!("; did you mean `{meant}`?"));
        let message = format!("programme `{program}` is not registered{hint} (`selfsame program create` registers one)");
        Self::new(Reason::ProgramNotKnown, message, Detail::Resource { what: "programme", id: program.to_string() })
    }

    /// The programme takes nothing more.
    #[must_use]
    pub fn program_archived(program: &ProgramId) -> Self {
        let message = format!(
            "programme `{program}` is archived: it is read and takes nothing more; UnarchiveProgram takes it into use again"
        );
        Self::new(Reason::ProgramArchived, message, Detail::Precondition)
    }

    /// Too many calls are in flight.
    #[must_use]
    pub fn server_busy(retry_after: Duration) -> Self {
        Self::new(Reason::ServerBusy, "too many calls are in flight", Detail::RetryAfter(retry_after))
    }

    /// Too many streams are open.
    #[must_use]
    pub fn too_many_streams(retry_after: Duration) -> Self {
        Self::new(Reason::TooManyStreams, "too many streams are open", Detail::RetryAfter(retry_after))
    }

    /// The server is going down; the feed resumes elsewhere from a cursor.
    #[must_use]
    pub fn feed_cut_off(cursor: FeedCursor) -> Self {
        let message = format!("the server is shutting down; resume from the cursor {cursor}, before which everything was sent");
        Self::cut_off(message, "cursor", cursor.to_string())
    }

    /// The server is going down; requests of a stream from this position on were not taken. Answers come in order, so all before it are answered.
    #[must_use]
    pub fn stream_cut_off(position: u64) -> Self {
        let message = format!(
            "the server is shutting down; requests up to position {position} were answered, that one and all after it were not \
             taken: send them again (positions count from 0)"
        );
        Self::cut_off(message, "first_unanswered_position", position.to_string())
    }

    /// The server is going down; a backup begins again, for half of one is none.
    #[must_use]
    pub fn backup_cut_off() -> Self {
        let message = "the server is shutting down; take the backup again when it serves";
        Self::new(Reason::ShuttingDown, message, Detail::RetryAfter(Duration::from_secs(1)))
    }

    fn cut_off(message: String, name: &'static str, at: String) -> Self {
        Self::new(Reason::ShuttingDown, message, Detail::Resume { name, at, retry_after: Duration::from_secs(1) })
    }

    /// What the transport refused before a handler saw it, in this API's words.
    #[must_use]
    pub fn of_transport(status: &Status) -> Self {
        let text = status.message();
        match status.code() {
            Code::Unimplemented if text.is_empty() => {
                Self::new(Reason::UnknownMethod, "there is no such method; server reflection lists all", Detail::None)
            }
            Code::Unimplemented if text.contains("compressed with") => {
                let message = "the message is compressed in a way that this server does not read; it reads gzip, and what is not compressed";
                Self::new(Reason::UnknownEncoding, message, Detail::None)
            }
            Code::Unimplemented => Self::new(Reason::UnknownMethod, text, Detail::None),
            Code::OutOfRange if text.contains("message length too large") => {
                Self::new(Reason::MessageTooLarge, too_large_sentence(text), Detail::None)
            }
            Code::ResourceExhausted if text.starts_with(TAKES_TOO_MUCH) => Self::new(Reason::MessageTooLarge, text, Detail::None),
            Code::ResourceExhausted if text.contains("decompressing") => {
                let message = "the message is larger than this server takes once it is decompressed; send fewer or smaller parts";
                Self::new(Reason::MessageTooLarge, message, Detail::None)
            }
            Code::Internal if OF_BYTES.iter().any(|words| text.contains(words)) => {
                let message = "the bytes are not one message of this method in the framing of gRPC (none at all, wrong wire type, cut off, a flag \
                               of compression that is none, or text that is not UTF-8)";
                Self::new(Reason::MalformedMessage, message, Detail::None)
            }
            Code::Cancelled => Self::caller_left(),
            Code::Ok
            | Code::Unknown
            | Code::InvalidArgument
            | Code::DeadlineExceeded
            | Code::NotFound
            | Code::AlreadyExists
            | Code::PermissionDenied
            | Code::ResourceExhausted
            | Code::FailedPrecondition
            | Code::Aborted
            | Code::OutOfRange
            | Code::Internal
            | Code::Unavailable
            | Code::DataLoss
            | Code::Unauthenticated => Self::internal(),
        }
    }

    /// A message of more bytes than the server takes.
    #[must_use]
    pub fn message_too_large(limit_bytes: usize) -> Self {
        let message =
            format!("the message has more bytes than the {limit_bytes} that this server takes; send fewer or smaller parts");
        Self::new(Reason::MessageTooLarge, message, Detail::None)
    }

    /// Why, for machines.
    #[must_use]
    pub const fn reason(&self) -> Reason {
        self.reason
    }

    /// When trying again is worth it; absent when it never is, or needs no waiting.
    #[must_use]
    pub const fn retry_after(&self) -> Option<Duration> {
        match &self.detail {
            Detail::RetryAfter(after)
            | Detail::Elsewhere { address: _, retry_after: after }
            | Detail::Resume { name: _, at: _, retry_after: after } => Some(*after),
            Detail::None | Detail::Fields(_) | Detail::Precondition | Detail::Resource { .. } => None,
        }
    }

    /// Which replica answers instead; absent when this one does.
    #[must_use]
    pub fn held_by(&self) -> Option<&str> {
        match &self.detail {
            Detail::Elsewhere { address, retry_after: _ } => Some(address),
            Detail::None
            | Detail::Fields(_)
            | Detail::RetryAfter(_)
            | Detail::Precondition
            | Detail::Resource { .. }
            | Detail::Resume { .. } => None,
        }
    }

    /// The refusal of one item of a stream, which does not end the stream.
    #[must_use]
    pub fn into_screening_error(self) -> v1::ScreeningError {
        let retry_after = self.retry_after().map(pbjson_types::Duration::from);
        let Self { reason, message, detail } = self;
        let violations = match detail {
            Detail::Fields(violations) => violations,
            Detail::None
            | Detail::RetryAfter(_)
            | Detail::Elsewhere { .. }
            | Detail::Precondition
            | Detail::Resource { .. }
            | Detail::Resume { .. } => Vec::new(),
        };
        let violation = |Violation { field, problem }: Violation| v1::FieldViolation { field, description: problem };
        v1::ScreeningError {
            code: reason.code() as i32,
            message,
            reason: reason.as_str().to_owned(),
            violations: violations.into_iter().map(violation).collect(),
            retry_after,
        }
    }
}

/// The names of violated fields, as many as a message in a header carries beside the details.
fn named(violations: &[Violation]) -> String {
    let mut names = String::new();
    for Violation { field, problem: _ } in violations {
        if names.len() + field.len() > NAMED_BYTES_MAX {
            names.push_str(", …");
            break;
        }
        if !names.is_empty() {
            names.push_str(", ");
        }
        names.push_str(field);
    }
    names
}

/// The numbers of the transport's sentence, in ours.
fn too_large_sentence(text: &str) -> String {
    let mut numbers = text.split(|c: char| !c.is_ascii_digit()).filter(|part| !part.is_empty());
    match (numbers.next(), numbers.next()) {
        (Some(found), Some(limit)) => {
            format!("the message has {found} bytes; this server takes at most {limit}; send fewer or smaller parts")
        }
        _ => "the message is larger than this server takes; send fewer or smaller parts".to_owned(),
    }
}

/// The one mapping from what a ledger refuses to what a caller reads.
impl From<LedgerError> for Refusal {
    fn from(error: LedgerError) -> Self {
        let message = error.to_string();
        match error {
            LedgerError::Refused(refused) => of_book(refused, message),
            LedgerError::OverBudget { .. } => Self::new(Reason::LedgerFull, message, Detail::RetryAfter(UNAVAILABLE_RETRY)),
            LedgerError::CursorForgotten { .. } => of_cursor(Reason::CursorForgotten, message),
            LedgerError::CursorOfOther { .. } => of_cursor(Reason::CursorOfAnotherLedger, message),
            LedgerError::Busy { retry_after } => Self::new(Reason::LedgerBusy, message, Detail::RetryAfter(retry_after)),
            LedgerError::Unavailable(_) => Self::new(Reason::LedgerUnavailable, message, Detail::RetryAfter(UNAVAILABLE_RETRY)),
            LedgerError::HeldElsewhere { address, retry_after } => {
                Self::new(Reason::HeldElsewhere, message, Detail::Elsewhere { address, retry_after })
            }
            LedgerError::Damaged(_) => Self::new(Reason::RecordDamaged, message, Detail::None),
        }
    }
}

/// A cursor from which nobody can go on here.
fn of_cursor(reason: Reason, message: String) -> Refusal {
    let problem = "does not lead on from here: leave it out to begin again, or send one that this ledger gave".to_owned();
    Refusal::new(reason, message, Detail::Fields(vec![Violation { field: AFTER_CURSOR.to_owned(), problem }]))
}

/// What a book refuses.
fn of_book(refused: book::Refusal, message: String) -> Refusal {
    match refused {
        book::Refusal::ContentDiffers { field, .. } => id_taken(field, message),
        book::Refusal::Invalid(misfits) => {
            let violation = |book::Misfit { field, problem }| Violation { field, problem };
            Refusal::invalid(misfits.into_iter().map(violation).collect())
        }
        book::Refusal::Removed { what, id } => Refusal::new(Reason::Removed, message, Detail::Resource { what, id }),
        book::Refusal::NotFound { what, id } => Refusal::new(Reason::NotKnown, message, Detail::Resource { what, id }),
        book::Refusal::IllegalStep(step) => of_illegal_step(&step),
        book::Refusal::RevisionDiffers { .. } => Refusal::new(Reason::RevisionDiffers, message, Detail::Precondition),
        book::Refusal::OwnAct => Refusal::new(Reason::OwnAct, message, Detail::Precondition),
        book::Refusal::NotPossible(_) => Refusal::new(Reason::NotPossible, message, Detail::Precondition),
        book::Refusal::PageToken => {
            let violation = Violation { field: PAGE_TOKEN.to_owned(), problem: "is not valid for this listing".to_owned() };
            Refusal::new(Reason::InvalidPageToken, message, Detail::Fields(vec![violation]))
        }
    }
}

fn id_taken(field: &str, message: String) -> Refusal {
    let problem = "names another message, with other content; give each message an id of its own".to_owned();
    Refusal::new(Reason::ContentDiffers, message, Detail::Fields(vec![Violation { field: field.to_owned(), problem }]))
}

/// The one mapping from what the model store refuses to what a caller reads.
impl From<ModelStoreError> for Refusal {
    fn from(error: ModelStoreError) -> Self {
        let message = error.to_string();
        let field = |name: &str| Self::invalid_field(name, message.clone());
        match error {
            ModelStoreError::File(cause) => of_model_file(&cause, message),
            ModelStoreError::NotLoaded(version) => {
                Self::new(Reason::NotKnown, message, Detail::Resource { what: "model", id: version })
            }
            ModelStoreError::TooMany | ModelStoreError::NoFolder => Self::new(Reason::NotPossible, message, Detail::Precondition),
            ModelStoreError::VersionTaken(_) => Self::new(Reason::ContentDiffers, message, Detail::None),
            ModelStoreError::Name(_) => field("file_name"),
            ModelStoreError::Default { .. } => {
                Self::new(Reason::ModelFolderUnavailable, message, Detail::RetryAfter(UNAVAILABLE_RETRY))
            }
        }
    }
}

fn of_model_file(cause: &ModelFileError, message: String) -> Refusal {
    match cause {
        ModelFileError::Io { path, source } if source.kind() == std::io::ErrorKind::NotFound => {
            let id = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let message = format!("there is no file `{id}` in the server's model folder");
            Refusal::new(Reason::NotKnown, message, Detail::Resource { what: "model file", id })
        }
        ModelFileError::Io { .. } => Refusal::new(Reason::ModelFolderUnavailable, message, Detail::RetryAfter(UNAVAILABLE_RETRY)),
        ModelFileError::OtherFormat { .. } | ModelFileError::Model(ModelError::OtherFeatures(_)) => {
            Refusal::new(Reason::ModelDoesNotFit, message, Detail::Precondition)
        }
        ModelFileError::TooLarge { .. }
        | ModelFileError::NotAModel(_)
        | ModelFileError::Checksum { .. }
        | ModelFileError::Model(ModelError::NotUsable { .. }) => {
            Refusal::invalid(vec![Violation { field: "source".to_owned(), problem: format!("is no usable model: {message}") }])
        }
    }
}

fn of_illegal_step(step: &IllegalStep) -> Refusal {
    let message = step.to_string();
    match step {
        IllegalStep::ClaimedByOther { .. } => Refusal::new(Reason::CaseClaimedByOther, message, Detail::Precondition),
        IllegalStep::NotClaimed { .. } => Refusal::new(Reason::CaseNotClaimed, message, Detail::Precondition),
        IllegalStep::AlreadyResolved { .. } => Refusal::new(Reason::CaseAlreadyResolved, message, Detail::Precondition),
        IllegalStep::NotResolved => Refusal::new(Reason::CaseNotResolved, message, Detail::Precondition),
        IllegalStep::Lease => Refusal::invalid_field("lease", "must be above zero and at most 24 hours"),
    }
}

impl From<Vec<Violation>> for Refusal {
    fn from(violations: Vec<Violation>) -> Self {
        Self::invalid(violations)
    }
}

impl From<Refusal> for Status {
    fn from(refusal: Refusal) -> Self {
        let held_by = refusal.held_by().and_then(|address| address.parse().ok());
        let Refusal { reason, message, detail } = refusal;
        let mut details = ErrorDetails::new();
        details.set_error_info(reason.as_str(), ERROR_DOMAIN, []);
        match detail {
            Detail::None => {}
            Detail::Fields(violations) => {
                details.set_bad_request(field_violations(violations));
            }
            Detail::RetryAfter(after) => {
                details.set_retry_info(Some(after));
            }
            Detail::Elsewhere { address, retry_after } => {
                details.set_error_info(reason.as_str(), ERROR_DOMAIN, [("address".to_owned(), address)]);
                details.set_retry_info(Some(retry_after));
            }
            Detail::Resume { name, at, retry_after } => {
                details.set_error_info(reason.as_str(), ERROR_DOMAIN, [(name.to_owned(), at)]);
                details.set_retry_info(Some(retry_after));
            }
            Detail::Precondition => {
                details.set_precondition_failure(vec![PreconditionViolation::new(reason.as_str(), "state", message.as_str())]);
            }
            Detail::Resource { what, id } => {
                details.set_resource_info(what, id, "", message.as_str());
            }
        }
        let mut status = Self::with_error_details(reason.code(), message, details);
        if let Some(address) = held_by {
            status.metadata_mut().insert(HELD_BY, address);
        }
        status
    }
}

/// As many violations as a status carries, in order; the last one counts those that were left out.
fn field_violations(violations: Vec<Violation>) -> Vec<FieldViolation> {
    let total = violations.len();
    let mut bytes = 0;
    let mut shown: Vec<FieldViolation> = Vec::with_capacity(total.min(64));
    for Violation { field, problem } in violations {
        bytes += field.len() + problem.len() + 8;
        if bytes > VIOLATION_BYTES_MAX && !shown.is_empty() {
            break;
        }
        shown.push(FieldViolation::new(field, problem));
    }
    let left_out = total - shown.len();
    if left_out > 0 {
        shown.push(FieldViolation::new("", format!("and {left_out} more fields; see to these first")));
    }
    shown
}

#[cfg(test)]
#[path = "errors_tests.rs"]
mod tests;
