//! Snapshots in the database, in parts, so that any process can take a programme over without replaying its whole journal. A snapshot is there once
//! its seal is: the part of number 0, which says how many others there are.

use std::io::{self, ErrorKind, Read, Write};
use std::sync::Arc;

use super::database::Database;
use super::journal::PostgresJournal;
use super::read::place;
use crate::book::records::Cursor;
use crate::ports::journal::{Incarnation, Journal as _, JournalError};
use crate::ports::snapshots::Snapshots;
use crate::vocabulary::ids::ProgramId;

/// How many snapshots of a programme stay.
const KEPT: i64 = 2;
/// Size of a part. Unit: bytes.
const PART_BYTES: usize = 1 << 20;

const PLACES: &str = "select seq from snapshot where programme = $1 and incarnation = $2 and part = 0 order by seq desc";
const PART: &str = "select data from snapshot where programme = $1 and incarnation = $2 and seq = $3 and part = $4";
const PUT: &str = "\
insert into snapshot (programme, incarnation, seq, part, data) values ($1, $2, $3, $4, $5) \
on conflict (programme, incarnation, seq, part) do update set data = excluded.data";
/// Only what is whole is sealed: another process may have cleaned up meanwhile.
const SEAL: &str = "\
insert into snapshot (programme, incarnation, seq, part, data) select $1::text, $2::bigint, $3::bigint, 0, $5::bytea \
where (select count(*) from snapshot where programme = $1 and incarnation = $2 and seq = $3 and part > 0) = $4 \
on conflict (programme, incarnation, seq, part) do update set data = excluded.data";
const CLEAR: &str = "delete from snapshot where programme = $1 and incarnation = $2 and seq = $3";
const REMOVE_BEFORE: &str = "delete from snapshot where programme = $1 and incarnation = $2 and seq < $3";
const OLDEST_KEPT: &str = "\
select seq from snapshot where programme = $1 and incarnation = $2 and part = 0 order by seq desc limit 1 offset $3";

/// Snapshots beside a journal in the same database.
#[derive(Clone)]
pub struct PostgresSnapshots {
    database: Arc<Database>,
}

/// Which snapshot.
#[derive(Clone)]
struct Name {
    program: ProgramId,
    incarnation: i64,
    seq: i64,
}

impl Name {
    fn new(incarnation: Incarnation, program: &ProgramId, at: Cursor) -> Self {
        Self { program: program.clone(), incarnation: incarnation.0.cast_signed(), seq: i64::try_from(at.0).unwrap_or(i64::MAX) }
    }
}

impl PostgresSnapshots {
    /// Those beside a journal. Removes the snapshots of other lives of the ledger.
    ///
    /// # Errors
    /// [`JournalError::Unavailable`].
    pub fn beside(journal: &PostgresJournal) -> Result<Self, JournalError> {
        let database = journal.database();
        let incarnation = journal.incarnation().0.cast_signed();
        database.ask(move |connection| async move {
            Ok(connection.execute("delete from snapshot where incarnation <> $1", &[&incarnation]).await?)
        })?;
        Ok(Self { database })
    }

    fn run(&self, statement: &'static str, name: Name) -> Result<u64, JournalError> {
        self.database.ask(move |connection| {
            let name = name.clone();
            async move {
                let statement = connection.prepare_cached(statement).await?;
                Ok(connection.execute(&statement, &[&name.program.as_str(), &name.incarnation, &name.seq]).await?)
            }
        })
    }

    fn put(&self, name: &Name, part: i64, data: Vec<u8>) -> Result<(), JournalError> {
        let asked = Arc::new((name.clone(), data));
        self.database.ask(move |connection| {
            let asked = Arc::clone(&asked);
            async move {
                let (Name { program, incarnation, seq }, data) = &*asked;
                let statement = connection.prepare_cached(PUT).await?;
                connection.execute(&statement, &[&program.as_str(), incarnation, seq, &part, data]).await?;
                Ok(())
            }
        })
    }

    fn seal(&self, name: &Name, parts: i64) -> Result<(), JournalError> {
        let asked = name.clone();
        let sealed = self.database.ask(move |connection| {
            let Name { program, incarnation, seq } = asked.clone();
            async move {
                let statement = connection.prepare_cached(SEAL).await?;
                let data: &[u8] = &parts.to_be_bytes();
                Ok(connection.execute(&statement, &[&program.as_str(), &incarnation, &seq, &parts, &data]).await?)
            }
        })?;
        if sealed == 0 {
            return Err(JournalError::Unavailable("parts of the snapshot were removed while it was written".to_owned()));
        }
        Ok(())
    }

    fn part(&self, name: &Name, part: i64) -> Result<Option<Vec<u8>>, JournalError> {
        let name = name.clone();
        self.database.ask(move |connection| {
            let Name { program, incarnation, seq } = name.clone();
            async move {
                let statement = connection.prepare_cached(PART).await?;
                let found = connection.query_opt(&statement, &[&program.as_str(), &incarnation, &seq, &part]).await?;
                Ok(found.map(|row| row.try_get(0)).transpose()?)
            }
        })
    }

    /// Removes all but the newest.
    fn thin(&self, name: &Name) -> Result<(), JournalError> {
        let asked = name.clone();
        let oldest: Option<i64> = self.database.ask(move |connection| {
            let Name { program, incarnation, .. } = asked.clone();
            async move {
                let statement = connection.prepare_cached(OLDEST_KEPT).await?;
                let found = connection.query_opt(&statement, &[&program.as_str(), &incarnation, &(KEPT - 1)]).await?;
                Ok(found.map(|row| row.try_get(0)).transpose()?)
            }
        })?;
        match oldest {
            Some(seq) => self.run(REMOVE_BEFORE, Name { seq, ..name.clone() }).map(drop),
            None => Ok(()),
        }
    }
}

impl Snapshots for PostgresSnapshots {
    fn places(&self, incarnation: Incarnation, program: &ProgramId) -> Result<Vec<Cursor>, JournalError> {
        let (program, incarnation) = (program.clone(), incarnation.0.cast_signed());
        self.database.ask(move |connection| {
            let program = program.clone();
            async move {
                let statement = connection.prepare_cached(PLACES).await?;
                let rows = connection.query(&statement, &[&program.as_str(), &incarnation]).await?;
                rows.iter().map(|row| Ok(place(row.try_get(0)?))).collect()
            }
        })
    }

    fn open(&self, incarnation: Incarnation, program: &ProgramId, at: Cursor) -> Result<Box<dyn Read + Send>, JournalError> {
        let name = Name::new(incarnation, program, at);
        let gone = || JournalError::Unavailable(format!("the snapshot at {} is gone", at.0));
        let seal = self.part(&name, 0)?.ok_or_else(gone)?;
        let damaged = |_| JournalError::Damaged(format!("the seal of the snapshot at {} is damaged", at.0));
        let count = i64::from_be_bytes(seal.as_slice().try_into().map_err(damaged)?);
        Ok(Box::new(Parts { of: self.clone(), name, count, next: 1, data: Vec::new(), read: 0 }))
    }

    fn write(
        &self,
        incarnation: Incarnation,
        program: &ProgramId,
        at: Cursor,
        content: &mut dyn FnMut(&mut dyn Write) -> io::Result<()>,
    ) -> Result<(), JournalError> {
        let name = Name::new(incarnation, program, at);
        self.run(CLEAR, name.clone())?;
        let mut parting = Parting { of: self, name: &name, parts: 0, data: Vec::with_capacity(PART_BYTES), failed: None };
        let written = content(&mut parting).and_then(|()| parting.end());
        let Parting { parts, failed, .. } = parting;
        if let Err(error) = written {
            return Err(failed.unwrap_or_else(|| JournalError::Unavailable(error.to_string())));
        }
        self.seal(&name, parts)?;
        self.thin(&name)
    }

    fn remove_before(&self, incarnation: Incarnation, program: &ProgramId, before: Cursor) -> Result<(), JournalError> {
        self.run(REMOVE_BEFORE, Name::new(incarnation, program, before)).map(drop)
    }
}

/// A snapshot that is being written.
struct Parting<'s> {
    of: &'s PostgresSnapshots,
    name: &'s Name,
    parts: i64,
    data: Vec<u8>,
    /// What the database said, which `std::io` has no place for.
    failed: Option<JournalError>,
}

impl Parting<'_> {
    fn end(&mut self) -> io::Result<()> {
        if self.data.is_empty() {
            return Ok(());
        }
        let part = self.parts + 1;
        self.of.put(self.name, part, std::mem::take(&mut self.data)).map_err(|error| {
            let told = io::Error::other(error.to_string());
            self.failed = Some(error);
            told
        })?;
        self.parts = part;
        Ok(())
    }
}

impl Write for Parting<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = bytes.len().min(PART_BYTES - self.data.len());
        self.data.extend_from_slice(&bytes[..taken]);
        if self.data.len() == PART_BYTES {
            self.end()?;
        }
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A snapshot that is being read.
struct Parts {
    of: PostgresSnapshots,
    name: Name,
    /// How many there are.
    count: i64,
    next: i64,
    data: Vec<u8>,
    read: usize,
}

impl Read for Parts {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.read == self.data.len() && self.next <= self.count {
            let part = self.of.part(&self.name, self.next).map_err(|error| io::Error::other(error.to_string()))?;
            let missing = || io::Error::new(ErrorKind::UnexpectedEof, format!("part {} is missing", self.next));
            (self.data, self.read) = (part.ok_or_else(missing)?, 0);
            self.next += 1;
        }
        let taken = into.len().min(self.data.len() - self.read);
        into[..taken].copy_from_slice(&self.data[self.read..self.read + taken]);
        self.read += taken;
        Ok(taken)
    }
}
