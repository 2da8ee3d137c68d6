//! Appending a group: one statement writes the records of all its programmes whose leases still have the epoch under which they were made.
//!
//! The statement locks the leases against being taken until it ends: a taker that reads the head afterwards sees everything that was ever written
//! under the old lease. A group whose answer was lost is looked for before anything is written again.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use deadpool_postgres::Object;
use tokio_postgres::types::Type;

use super::error::Failed;
use crate::book::records::Cursor;
use crate::ports::journal::{Append, Chain, Epoch};
use crate::vocabulary::ids::ProgramId;

/// Writes what is not fenced, and counts it. No place is looked up: the primary key refuses one that is taken.
const APPEND: &str = "\
with held as (select l.programme, l.epoch from lease l where l.programme = any($1) order by l.programme for share), \
written as (\
insert into entry (programme, seq, epoch, chain, payload) \
select g.programme, g.seq, g.epoch, g.chain, g.payload \
from unnest($2::text[], $3::bigint[], $4::bigint[], $5::bytea[], $6::bytea[]) as g (programme, seq, epoch, chain, payload) \
join held h on h.programme = g.programme and h.epoch = g.epoch \
returning programme, epoch) \
select programme, epoch from written group by programme, epoch";

/// The first records of runs, as far as they are there.
const LOOK: &str = "\
select e.programme, e.seq, e.chain from entry e \
join unnest($1::text[], $2::bigint[]) as g (programme, seq) on e.programme = g.programme and e.seq = g.seq";

const REGISTER: &str = "\
insert into programme (programme, first, base) \
select g.programme, 1, g.base from unnest($1::text[], $2::bytea[]) as g (programme, base) on conflict (programme) do nothing";

/// What became of a programme's records in a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// They are durable.
    Written,
    /// None was written: somebody else may write now.
    Fenced,
}

/// The records of one programme and epoch in a group: they are written together or not at all.
type Run = (ProgramId, Epoch);

/// A group on its way.
pub(super) struct Group {
    records: Vec<Append>,
    /// Programmes that this process has not met yet.
    met: Vec<ProgramId>,
    tried: AtomicBool,
}

impl Group {
    pub(super) fn new(records: Vec<Append>, met: Vec<ProgramId>) -> Self {
        Self { records, met, tried: AtomicBool::new(false) }
    }

    /// Tries to write it. May be tried again whatever became of the attempt before: what is there already counts as written.
    pub(super) async fn attempt(self: Arc<Self>, connection: Object) -> Result<Vec<(ProgramId, Epoch, Fate)>, Failed> {
        let tried = self.tried.swap(true, Ordering::Relaxed);
        let mut fates = if tried { self.look(&connection).await? } else { BTreeMap::new() };
        self.register(&connection).await?;
        let waiting: Vec<&Append> = self.records.iter().filter(|append| !fates.contains_key(&run(append))).collect();
        if !waiting.is_empty() {
            let written = write(&connection, &waiting).await?;
            for append in waiting {
                let fate = if written.contains(&run(append)) { Fate::Written } else { Fate::Fenced };
                fates.insert(run(append), fate);
            }
        }
        Ok(fates.into_iter().map(|((program, epoch), fate)| (program, epoch, fate)).collect())
    }

    /// What an attempt whose answer was lost has written, and what somebody else has.
    async fn look(&self, connection: &Object) -> Result<BTreeMap<Run, Fate>, Failed> {
        let mut firsts: BTreeMap<Run, (Cursor, Chain)> = BTreeMap::new();
        for append in &self.records {
            firsts.entry(run(append)).or_insert((append.record.cursor, append.record.chain));
        }
        let names: Vec<&str> = firsts.keys().map(|(program, _)| program.as_str()).collect();
        let places: Vec<i64> = firsts.values().map(|(cursor, _)| cursor.0.cast_signed()).collect();
        let statement = connection.prepare_typed_cached(LOOK, &[Type::TEXT_ARRAY, Type::INT8_ARRAY]).await?;
        let mut found: BTreeMap<(String, u64), Vec<u8>> = BTreeMap::new();
        for row in connection.query(&statement, &[&names, &places]).await? {
            found.insert((row.try_get(0)?, row.try_get::<_, i64>(1)?.cast_unsigned()), row.try_get(2)?);
        }
        let fate = |(run, (cursor, chain)): (Run, (Cursor, Chain))| {
            let there = found.get(&(run.0.to_string(), cursor.0))?;
            Some((run, if there.as_slice() == chain.0 { Fate::Written } else { Fate::Fenced }))
        };
        Ok(firsts.into_iter().filter_map(fate).collect())
    }

    async fn register(&self, connection: &Object) -> Result<(), Failed> {
        if self.met.is_empty() {
            return Ok(());
        }
        let names: Vec<&str> = self.met.iter().map(ProgramId::as_str).collect();
        let chains: Vec<Chain> = self.met.iter().map(Chain::before_all).collect();
        let bases: Vec<&[u8]> = chains.iter().map(|chain| chain.0.as_slice()).collect();
        let statement = connection.prepare_typed_cached(REGISTER, &[Type::TEXT_ARRAY, Type::BYTEA_ARRAY]).await?;
        connection.execute(&statement, &[&names, &bases]).await?;
        Ok(())
    }
}

fn run(append: &Append) -> Run {
    (append.program.clone(), append.epoch)
}

/// Writes records in one statement. Returns the runs that were written.
async fn write(connection: &Object, records: &[&Append]) -> Result<Vec<Run>, Failed> {
    let mut programmes: Vec<&ProgramId> = records.iter().map(|append| &append.program).collect();
    programmes.sort_unstable();
    programmes.dedup();
    let held: Vec<&str> = programmes.iter().map(|program| program.as_str()).collect();
    let names: Vec<&str> = records.iter().map(|append| append.program.as_str()).collect();
    let places: Vec<i64> = records.iter().map(|append| append.record.cursor.0.cast_signed()).collect();
    let epochs: Vec<i64> = records.iter().map(|append| append.epoch.0.cast_signed()).collect();
    let chains: Vec<&[u8]> = records.iter().map(|append| append.record.chain.0.as_slice()).collect();
    let payloads: Vec<&[u8]> = records.iter().map(|append| append.record.payload.as_ref()).collect();
    let types = [Type::TEXT_ARRAY, Type::TEXT_ARRAY, Type::INT8_ARRAY, Type::INT8_ARRAY, Type::BYTEA_ARRAY, Type::BYTEA_ARRAY];
    let statement = connection.prepare_typed_cached(APPEND, &types).await?;
    let rows = connection.query(&statement, &[&held, &names, &places, &epochs, &chains, &payloads]).await?;
    let mut written = Vec::new();
    for row in rows {
        let (name, epoch): (&str, i64) = (row.try_get(0)?, row.try_get(1)?);
        let program = programmes.iter().find(|program| program.as_str() == name);
        written.extend(program.map(|program| ((*program).clone(), Epoch(epoch.cast_unsigned()))));
    }
    Ok(written)
}
