//! The journal over the database. Groups are appended from one thread, the committer's; everything else may be asked from any thread that may wait.

use std::collections::{HashMap, HashSet};
use std::io::Write;
use std::sync::Arc;

use parking_lot::Mutex;

use super::append::{Fate, Group};
use super::database::{Database, Patience};
use super::error::PostgresError;
use super::url::DatabaseUrl;
use super::{cut, read, rewrite, schema};
use crate::adapters::journal::memory::refuse_what_is_not_rewritten;
use crate::book::records::Cursor;
use crate::ports::journal::{
    Append, Appended, BackupSummary, Epoch, Head, Incarnation, Journal, JournalError, Kept, KeptChange, RECORD_BYTES_MAX, Reach,
    Record,
};
use crate::ports::leases::ReplicaKey;
use crate::vocabulary::ids::ProgramId;

/// The journal in a database. Any number of processes may open it; a programme is written by the one that holds its lease.
pub struct PostgresJournal {
    database: Arc<Database>,
    incarnation: Incarnation,
    replica_key: ReplicaKey,
    known: Mutex<Known>,
}

/// What this process knows of the programmes that it writes for, so that nothing is looked up for an append.
#[derive(Default)]
struct Known {
    /// The newest record, under the epoch in which it was learned: in another epoch somebody else may have written.
    ends: HashMap<ProgramId, (Epoch, Cursor)>,
    registered: HashSet<ProgramId>,
}

impl PostgresJournal {
    /// Connects, and brings the tables to this release's version.
    ///
    /// # Errors
    /// [`PostgresError`]; the message says what to do.
    pub fn open(url: &DatabaseUrl, patience: Patience) -> Result<Self, PostgresError> {
        let database = Arc::new(Database::new(url, patience)?);
        let schema::Said { incarnation, replica_key } = schema::prepare(&database)?;
        Ok(Self { database, incarnation, replica_key, known: Mutex::default() })
    }

    /// What only the processes of this ledger know.
    #[must_use]
    pub const fn replica_key(&self) -> &ReplicaKey {
        &self.replica_key
    }

    /// The database, for what is kept beside the journal.
    pub(super) fn database(&self) -> Arc<Database> {
        Arc::clone(&self.database)
    }

    /// The place after which a programme's next record comes, in an epoch.
    fn end(&self, program: &ProgramId, epoch: Epoch) -> Result<Cursor, JournalError> {
        let known = self.known.lock().ends.get(program).copied();
        match known {
            Some((of, end)) if of == epoch => Ok(end),
            _ => Ok(self.head(program)?.last),
        }
    }

    /// Refuses a group of which a record is too large, or does not follow. Returns where the group ends.
    fn check(&self, group: &[Append]) -> Result<HashMap<(ProgramId, Epoch), Cursor>, JournalError> {
        let mut ends = HashMap::new();
        for Append { program, epoch, record } in group {
            let size_bytes = record.payload.len();
            if size_bytes > RECORD_BYTES_MAX {
                return Err(JournalError::TooLarge { size_bytes, limit_bytes: RECORD_BYTES_MAX });
            }
            let key = (program.clone(), *epoch);
            let end = match ends.get(&key) {
                Some(end) => *end,
                None => self.end(program, *epoch)?,
            };
            let expected = Cursor(end.0 + 1);
            if record.cursor != expected {
                let (program, found) = (program.to_string(), record.cursor.0);
                return Err(JournalError::OutOfOrder { program, expected: expected.0, found });
            }
            ends.insert(key, expected);
        }
        Ok(ends)
    }
}

impl Journal for PostgresJournal {
    fn incarnation(&self) -> Incarnation {
        self.incarnation
    }

    fn programs(&self) -> Result<Vec<(ProgramId, Head)>, JournalError> {
        self.database.ask(read::programs)
    }

    fn head(&self, program: &ProgramId) -> Result<Head, JournalError> {
        let program = program.clone();
        self.database.ask(move |connection| read::head(connection, program.clone()))
    }

    fn append(&self, group: &[Append]) -> Result<Appended, JournalError> {
        let ends = self.check(group)?;
        let met: Vec<ProgramId> = {
            let known = self.known.lock();
            ends.keys().map(|(program, _)| program).filter(|program| !known.registered.contains(*program)).cloned().collect()
        };
        let asked = Arc::new(Group::new(group.to_vec(), met.clone()));
        let appended = self.database.ask(move |connection| Arc::clone(&asked).attempt(connection));
        let mut known = self.known.lock();
        match appended {
            Ok(fates) => {
                let mut fenced = Vec::new();
                for (program, epoch, fate) in fates {
                    match fate {
                        Fate::Written => {
                            if let Some(end) = ends.get(&(program.clone(), epoch)) {
                                known.ends.insert(program.clone(), (epoch, *end));
                            }
                            known.registered.insert(program);
                        }
                        Fate::Fenced => fenced.push(program),
                    }
                }
                Ok(Appended { fenced })
            }
            Err(error) => {
                known.ends.retain(|program, (epoch, _)| !ends.contains_key(&(program.clone(), *epoch)));
                Err(error)
            }
        }
    }

    fn read(&self, program: &ProgramId, reach: Reach) -> Result<Vec<Record>, JournalError> {
        if reach.from > reach.to || reach.limit == 0 {
            return Ok(Vec::new());
        }
        let program = program.clone();
        self.database.ask(move |connection| read::records(connection, program.clone(), reach))
    }

    fn kept(&self, program: &ProgramId) -> Result<Vec<Kept>, JournalError> {
        let program = program.clone();
        self.database.ask(move |connection| read::kept(connection, program.clone()))
    }

    fn cut(&self, program: &ProgramId, epoch: Epoch, before: Cursor, change: &KeptChange) -> Result<u64, JournalError> {
        let asked = Arc::new(cut::Cut { program: program.clone(), epoch, before, change: change.clone() });
        self.database.ask(move |connection| Arc::clone(&asked).attempt(connection))
    }

    fn rewrite(&self, program: &ProgramId, epoch: Epoch, records: &[Record]) -> Result<(), JournalError> {
        records.iter().try_for_each(|record| refuse_what_is_not_rewritten(program, record))?;
        let asked = Arc::new(rewrite::Rewrite { program: program.clone(), epoch, records: records.to_vec() });
        self.database.ask(move |connection| Arc::clone(&asked).attempt(connection))
    }

    fn scour(&self) -> Result<(), JournalError> {
        self.database.ask(rewrite::scour)
    }

    fn failure(&self) -> Option<String> {
        None
    }

    fn back_up(&self, _out: &mut dyn Write) -> Result<BackupSummary, JournalError> {
        let instead =
            "this server keeps its ledger in a database; back that up with its own tools (`pg_dump`, or a copy with its log)";
        Err(JournalError::NotPossible(instead.to_owned()))
    }
}
