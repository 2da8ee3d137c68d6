//! The book: everything that one programme knows, typed and in memory. The state machine of the product. Layer 3, pure.
//!
//! A command becomes an event by [`plan`], which reads the book and changes nothing; `Book::apply` is the only mutation, deterministic in the
//! events that came before. Whoever owns a book decides where its events are kept; nothing here knows bytes, disks or clocks. Each thing carries
//! the cursor that last changed it, so that whoever shows it can wait until that is durable.

pub mod account_file;
mod accounts;
pub mod acts;
mod apply;
mod books;
mod cases;
pub mod clusters;
pub(crate) mod cold;
pub mod command;
mod conversions;
pub mod cursor;
pub mod directory;
pub mod erasures;
pub(crate) mod event;
pub(crate) mod feed;
mod frozen;
mod history;
mod index;
pub mod intake;
mod late;
mod listings;
pub mod looks;
pub mod models;
mod names;
mod neighbours;
mod outcomes;
pub mod plan;
mod profiles;
pub mod query;
mod readings;
pub mod records;
mod refusal;
pub mod rekeying;
mod rewards;
mod slab;
mod stake;
mod standing;
pub mod terms;
mod texts;
pub mod trail;
mod values;

use std::collections::BTreeMap;
use std::sync::Arc;

use self::accounts::Accounts;
use self::acts::Acts;
pub use self::apply::ReadProfiles;
pub use self::books::Books;
use self::cases::Cases;
pub use self::cases::Opened;
use self::cold::ColdTotals;
use self::conversions::Conversions;
use self::directory::Directory;
use self::erasures::Erasures;
pub(crate) use self::frozen::{Frozen, Totals};
use self::index::{Hasher, Index};
use self::intake::Intake;
use self::late::Late;
pub use self::listings::{CaseListing, Progress, QueueCount, key_of, page_size, token};
use self::models::ProgramModels;
use self::outcomes::Outcomes;
pub(crate) use self::readings::{CaseReading, ConversionReading};
use self::records::{ContentFingerprint, Cursor, Hold, ListEntry, ListSubject};
pub use self::refusal::{LeftAlone, Misfit, Refusal};
use self::rewards::Rewards;
use self::slab::MessageNumber;
pub(crate) use self::slab::{AccountNumber, Chunk, Number, Slab, ValueNumber};
pub use self::stake::SeenMark;
use self::terms::{Own, ProgramTerms};
use self::texts::Texts;
use self::values::Values;
use crate::screening::history::ListKind;
use crate::vocabulary::ids::HoldId;
use crate::vocabulary::time::Timestamp;

impl MessageKind {
    /// The field that holds the id of such a message.
    const fn field(self) -> &'static str {
        match self {
            Self::Signals => "record_id",
            Self::Outcome => "outcome_id",
            Self::Request => "request_id",
            Self::LiftedHold => "hold_id",
            Self::SourceEvent => "event_id",
        }
    }
}

/// What is kept in order under a key, with the record that wrote each.
type Ordered<K, V> = BTreeMap<K, (V, Cursor)>;

/// Everything that one programme knows.
#[derive(Debug)]
pub struct Book {
    hasher: Hasher,
    /// The last record that was applied.
    cursor: Cursor,
    /// Records before this place are removed, or about to be: what stands on them alone is not shown any more.
    floor: Cursor,
    texts: Texts,
    values: Values,
    accounts: Accounts,
    conversions: Conversions,
    cases: Cases,
    messages: Messages,
    rewards: Rewards,
    outcomes: Outcomes,
    holds: Arc<Ordered<HoldId, Hold>>,
    /// The record that last changed any hold.
    holds_changed: Cursor,
    lists: Arc<Ordered<(ListKind, ListSubject), ListEntry>>,
    /// The record that last changed any list entry.
    lists_changed: Cursor,
    late: Late,
    /// When the newest record was learned of: no command is older.
    latest: Timestamp,
    models: Arc<ProgramModels>,
    terms: Arc<ProgramTerms>,
    /// Empty in all books but the one that the directory is.
    directory: Arc<Directory>,
    /// Acts that wait for a second identity.
    acts: Arc<Acts>,
    /// Accounts whose signals are being erased.
    erasures: Erasures,
    /// What senders' own events say.
    intake: Arc<Intake>,
    /// Memory of all profiles. Unit: bytes.
    profile_bytes: usize,
    /// Accounts whose signals are here.
    profiles: usize,
    /// What is not here, and where everything else stands is.
    cold: ColdTotals,
}

/// What a message that is taken once is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub enum MessageKind {
    /// Signals of accounts.
    Signals,
    /// What happened later.
    Outcome,
    /// A call with an id of its own.
    Request,
    /// A hold that was lifted.
    LiftedHold,
    /// An event of a sender's own.
    SourceEvent,
}

/// A message that was taken: its content and its place.
#[derive(Debug, Clone, Hash, serde::Serialize, serde::Deserialize)]
pub(crate) struct Message {
    kind: MessageKind,
    id: Arc<str>,
    content: ContentFingerprint,
    cursor: Cursor,
}

/// The messages that were taken.
#[derive(Debug, Default)]
struct Messages {
    rows: Slab<MessageNumber, Message>,
    index: Index<MessageNumber>,
}

impl Messages {
    fn of_rows(rows: Slab<MessageNumber, Message>, hasher: &Hasher) -> Self {
        let mut index = Index::default();
        for (number, message) in rows.iter() {
            index.insert(hasher.hash((message.kind, &*message.id)), number);
        }
        Self { rows, index }
    }

    fn find(&self, kind: MessageKind, id: &str, hasher: &Hasher) -> Option<&Message> {
        let is_it = |number| {
            let message = self.rows.get(number);
            message.kind == kind && *message.id == *id
        };
        self.index.find(hasher.hash((kind, id)), is_it).map(|number| self.rows.get(number))
    }

    fn add(&mut self, message: Message, hasher: &Hasher) {
        if self.find(message.kind, &message.id, hasher).is_some() {
            return;
        }
        let hash = hasher.hash((message.kind, &*message.id));
        if let Some(number) = self.rows.push(message) {
            self.index.insert(hash, number);
        }
    }
}

impl Book {
    /// An empty book. The seed keeps callers from choosing values that collide; nothing that is shown depends on it.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self {
            hasher: Hasher::new(seed),
            cursor: Cursor(0),
            floor: Cursor(1),
            texts: Texts::default(),
            values: Values::default(),
            accounts: Accounts::default(),
            conversions: Conversions::default(),
            cases: Cases::default(),
            messages: Messages::default(),
            rewards: Rewards::default(),
            outcomes: Outcomes::default(),
            holds: Arc::default(),
            holds_changed: Cursor(0),
            lists: Arc::default(),
            lists_changed: Cursor(0),
            late: Late::default(),
            latest: Timestamp::saturating_from_millis(0),
            models: Arc::default(),
            terms: Arc::default(),
            directory: Arc::default(),
            acts: Arc::default(),
            erasures: Erasures::default(),
            intake: Arc::default(),
            profile_bytes: 0,
            profiles: 0,
            cold: ColdTotals::default(),
        }
    }

    /// The last record that was applied; 0 before the first.
    #[must_use]
    pub const fn cursor(&self) -> Cursor {
        self.cursor
    }

    /// When the newest record was learned of.
    #[must_use]
    pub const fn latest(&self) -> Timestamp {
        self.latest
    }

    /// The oldest record that is still there. Range: 1...
    #[must_use]
    pub const fn floor(&self) -> Cursor {
        self.floor
    }

    /// The next record is the one after this place: what was applied so far outlived the records before it.
    pub(crate) fn continue_at(&mut self, last: Cursor) {
        self.cursor = last;
    }

    /// From now on, what stands on records before this place is treated as removed.
    pub fn raise_floor(&mut self, floor: Cursor) {
        self.floor = self.floor.max(floor);
    }

    /// The models of the programme.
    #[must_use]
    pub const fn models(&self) -> &Arc<ProgramModels> {
        &self.models
    }

    /// The terms of the programme.
    #[must_use]
    pub const fn terms(&self) -> &Arc<ProgramTerms> {
        &self.terms
    }

    /// What the programme chose for itself.
    #[must_use]
    pub fn own(&self) -> Own<'_> {
        Own { models: &self.models, terms: &self.terms }
    }

    /// The directory, in the book that keeps it.
    #[must_use]
    pub const fn directory(&self) -> &Arc<Directory> {
        &self.directory
    }

    /// Accounts whose signals are being erased.
    pub(crate) const fn erasures(&self) -> &Erasures {
        &self.erasures
    }

    /// Accounts known.
    #[must_use]
    pub fn accounts_known(&self) -> u32 {
        u32::try_from(self.accounts.rows.len()).unwrap_or(u32::MAX)
    }

    /// Memory that the parts of the book take, by name, with the unit last. Unit: bytes. Estimates, cheap to ask for.
    #[must_use]
    pub fn memory(&self) -> [(&'static str, usize); 9] {
        [
            ("values_bytes", self.values.bytes()),
            ("accounts_bytes", self.accounts.bytes()),
            ("profiles_bytes", self.profile_bytes),
            ("conversions_bytes", self.conversions.bytes()),
            ("cases_bytes", self.cases.bytes()),
            ("rewards_bytes", self.rewards.bytes()),
            ("outcomes_bytes", self.outcomes.bytes()),
            ("intake_bytes", self.intake.bytes()),
            ("texts_bytes", self.texts.bytes() + self.messages.rows.len() * (size_of::<Message>() + accounts::ID_BYTES)),
        ]
    }
}
