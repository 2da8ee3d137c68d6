//! Rewriting records after an erasure: one transaction under the lease, and then the rows' old versions are cleared from the table.

use std::sync::Arc;

use deadpool_postgres::Object;
use tokio_postgres::error::SqlState;

use super::error::Failed;
use crate::adapters::journal::memory::not_there;
use crate::ports::journal::{Epoch, JournalError, Record};
use crate::vocabulary::ids::ProgramId;

/// Records on their way.
pub(super) struct Rewrite {
    pub(super) program: ProgramId,
    pub(super) epoch: Epoch,
    pub(super) records: Vec<Record>,
}

impl Rewrite {
    /// Tries to rewrite them. Trying again does the same once more.
    pub(super) async fn attempt(self: Arc<Self>, mut connection: Object) -> Result<(), Failed> {
        let name = self.program.as_str();
        let transaction = connection.transaction().await?;
        let held = transaction.query_opt("select epoch from lease where programme = $1 for share", &[&name]).await?;
        let epoch = held.map(|row| row.try_get::<_, i64>(0)).transpose()?;
        if epoch != Some(self.epoch.0.cast_signed()) {
            return Err(JournalError::Unavailable(format!("another process writes for programme `{name}` now")).into());
        }
        let update = "update entry set payload = $4 where programme = $1 and seq = $2 and chain = $3";
        let update = transaction.prepare_cached(update).await?;
        for record in &self.records {
            let (seq, chain) = (record.cursor.0.cast_signed(), record.chain.0.as_slice());
            if transaction.execute(&update, &[&name, &seq, &chain, &record.payload.as_ref()]).await? != 1 {
                return Err(not_there(&self.program, record).into());
            }
        }
        transaction.commit().await?;
        Ok(())
    }
}

/// Clears what rows were before, where the database is asked for that; others do it by themselves. Its log and its copies age out as it is set up.
pub(super) async fn scour(connection: Object) -> Result<(), Failed> {
    match connection.batch_execute("vacuum entry").await {
        Err(error) if matches!(error.code(), Some(&SqlState::SYNTAX_ERROR | &SqlState::FEATURE_NOT_SUPPORTED)) => Ok(()),
        done => Ok(done?),
    }
}
