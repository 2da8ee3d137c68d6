//! Reading: where programmes stand, their records, and what outlived the records that were cut.

use std::pin::pin;

use bytes::Bytes;
use deadpool_postgres::Object;
use futures::TryStreamExt as _;
use tokio_postgres::Row;

use super::error::Failed;
use crate::book::records::Cursor;
use crate::ports::journal::{Chain, Direction, Head, JournalError, Kept, Reach, Record};
use crate::vocabulary::ids::ProgramId;

/// Records that one question asks for, at most.
const RECORDS_AT_ONCE: usize = 1_024;
/// Bytes after which no more records are taken from one question.
const BYTES_AT_ONCE: usize = 8 << 20;

const HEADS: &str = "\
select p.programme, p.first, p.base, e.seq, e.chain from programme p \
left join lateral (select n.seq, n.chain from entry n where n.programme = p.programme order by n.seq desc limit 1) e on true";
const HEAD: &str = "\
select p.programme, p.first, p.base, e.seq, e.chain from programme p \
left join lateral (select n.seq, n.chain from entry n where n.programme = p.programme order by n.seq desc limit 1) e on true \
where p.programme = $1";
const FORWARD: &str = "\
select seq, chain, payload from entry where programme = $1 and seq >= $2 and seq <= $3 \
and seq >= (select first from programme where programme = $1) order by seq limit $4";
const BACKWARD: &str = "\
select seq, chain, payload from entry where programme = $1 and seq >= $2 and seq <= $3 \
and seq >= (select first from programme where programme = $1) order by seq desc limit $4";
const KEPT: &str = "select seq, payload from kept where programme = $1 order by seq";

/// The programmes that hold something, by name.
pub(super) async fn programs(connection: Object) -> Result<Vec<(ProgramId, Head)>, Failed> {
    let statement = connection.prepare_cached(HEADS).await?;
    let mut found = Vec::new();
    for row in connection.query(&statement, &[]).await? {
        let (program, head) = standing(&row)?;
        // A programme is registered just before its first record is written.
        if head.last > Cursor(0) {
            found.push((program, head));
        }
    }
    // The database may order names by a language's rules.
    found.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
    Ok(found)
}

/// The ends of a programme's journal.
pub(super) async fn head(connection: Object, program: ProgramId) -> Result<Head, Failed> {
    let statement = connection.prepare_cached(HEAD).await?;
    if let Some(row) = connection.query_opt(&statement, &[&program.as_str()]).await? {
        return Ok(standing(&row)?.1);
    }
    let base = Chain::before_all(&program);
    Ok(Head { first: Cursor(1), base, last: Cursor(0), chain: base })
}

fn standing(row: &Row) -> Result<(ProgramId, Head), Failed> {
    let name: &str = row.try_get(0)?;
    let program = ProgramId::new(name).map_err(|invalid| JournalError::Damaged(format!("a programme's name {invalid}")))?;
    let (first, base) = (place(row.try_get(1)?), chain(name, row.try_get(2)?)?);
    let (last, chain) = match row.try_get::<_, Option<i64>>(3)? {
        Some(last) => (place(last), chain(name, row.try_get(4)?)?),
        None => (Cursor(first.0.saturating_sub(1)), base),
    };
    Ok((program, Head { first, base, last, chain }))
}

/// Records of a reach, in part.
pub(super) async fn records(connection: Object, program: ProgramId, reach: Reach) -> Result<Vec<Record>, Failed> {
    let statement = match reach.direction {
        Direction::Forward => connection.prepare_cached(FORWARD).await?,
        Direction::Backward => connection.prepare_cached(BACKWARD).await?,
    };
    let bound = |cursor: Cursor| i64::try_from(cursor.0).unwrap_or(i64::MAX);
    let (from, to) = (bound(reach.from), bound(reach.to));
    let limit = i64::try_from(reach.limit.min(RECORDS_AT_ONCE)).unwrap_or(i64::MAX);
    let name = program.as_str();
    let parameters: [&(dyn tokio_postgres::types::ToSql + Sync); 4] = [&name, &from, &to, &limit];
    let mut rows = pin!(connection.query_raw(&statement, parameters).await?);
    let (mut read, mut bytes) = (Vec::new(), 0);
    while let Some(row) = rows.try_next().await? {
        let payload = Bytes::copy_from_slice(row.try_get(2)?);
        bytes += payload.len();
        read.push(Record { cursor: place(row.try_get(0)?), chain: chain(name, row.try_get(1)?)?, payload });
        if bytes >= BYTES_AT_ONCE {
            break;
        }
    }
    Ok(read)
}

/// All kept entries.
pub(super) async fn kept(connection: Object, program: ProgramId) -> Result<Vec<Kept>, Failed> {
    let statement = connection.prepare_cached(KEPT).await?;
    let rows = connection.query(&statement, &[&program.as_str()]).await?;
    rows.iter().map(|row| Ok(Kept { cursor: place(row.try_get(0)?), payload: Bytes::copy_from_slice(row.try_get(1)?) })).collect()
}

/// A place as the database keeps it. None was ever below zero.
pub(super) fn place(stored: i64) -> Cursor {
    Cursor(stored.cast_unsigned())
}

/// A chain value as the database keeps it.
pub(super) fn chain(program: &str, stored: &[u8]) -> Result<Chain, JournalError> {
    let damaged = |_| JournalError::Damaged(format!("a chain value of programme `{program}` has {} bytes", stored.len()));
    stored.try_into().map(Chain).map_err(damaged)
}
