//! Cutting the beginning of a programme's journal: what is kept, the new beginning and the removal are one transaction, under the lease.

use std::sync::Arc;

use deadpool_postgres::Object;

use super::error::Failed;
use super::read::place;
use crate::adapters::journal::memory::kept_too_early;
use crate::book::records::Cursor;
use crate::ports::journal::{Epoch, JournalError, KeptChange, RECORD_BYTES_MAX};
use crate::vocabulary::ids::ProgramId;

/// A cut on its way.
pub(super) struct Cut {
    pub(super) program: ProgramId,
    pub(super) epoch: Epoch,
    pub(super) before: Cursor,
    pub(super) change: KeptChange,
}

impl Cut {
    /// Tries to cut. Trying again finds it done.
    pub(super) async fn attempt(self: Arc<Self>, mut connection: Object) -> Result<u64, Failed> {
        let name = self.program.as_str();
        let transaction = connection.transaction().await?;
        let known = transaction.query_opt("select first from programme where programme = $1", &[&name]).await?;
        let Some(known) = known else { return Ok(0) };
        let held = transaction.query_opt("select epoch from lease where programme = $1 for share", &[&name]).await?;
        let epoch = held.map(|row| row.try_get::<_, i64>(0)).transpose()?;
        if epoch != Some(self.epoch.0.cast_signed()) {
            return Err(JournalError::Unavailable(format!("another process writes for programme `{name}` now")).into());
        }
        let newest = "select seq, chain from entry where programme = $1 and seq < $2 order by seq desc limit 1";
        let first = place(known.try_get(0)?);
        let end = transaction.query_opt(newest, &[&name, &i64::MAX]).await?;
        let last = end.map(|row| row.try_get(0)).transpose()?.map_or(Cursor(first.0 - 1), place);
        let floor = Cursor(self.before.0.clamp(first.0, last.0 + 1));
        self.check(floor)?;
        if floor > first {
            let stored = floor.0.cast_signed();
            let before = transaction.query_one(newest, &[&name, &stored]).await?;
            let base: &[u8] = before.try_get(1)?;
            let moved = "update programme set first = $2, base = $3 where programme = $1";
            transaction.execute(moved, &[&name, &stored, &base]).await?;
            transaction.execute("delete from entry where programme = $1 and seq < $2", &[&name, &stored]).await?;
        }
        let gone: Vec<i64> = self.change.gone.iter().map(|cursor| cursor.0.cast_signed()).collect();
        transaction.execute("delete from kept where programme = $1 and seq = any($2)", &[&name, &gone]).await?;
        let put = transaction
            .prepare_cached(
                "insert into kept (programme, seq, payload) values ($1, $2, $3) \
                 on conflict (programme, seq) do update set payload = excluded.payload",
            )
            .await?;
        for kept in &self.change.put {
            transaction.execute(&put, &[&name, &kept.cursor.0.cast_signed(), &kept.payload.as_ref()]).await?;
        }
        transaction.commit().await?;
        Ok(floor.0 - first.0)
    }

    fn check(&self, floor: Cursor) -> Result<(), JournalError> {
        for kept in &self.change.put {
            if kept.cursor >= floor {
                return Err(kept_too_early(kept.cursor));
            }
            if kept.payload.len() > RECORD_BYTES_MAX {
                return Err(JournalError::TooLarge { size_bytes: kept.payload.len(), limit_bytes: RECORD_BYTES_MAX });
            }
        }
        Ok(())
    }
}
