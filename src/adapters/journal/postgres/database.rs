//! The connections to the database: a pool on a runtime of its own, so that the blocking ports can be served, and the one way to ask, which tries
//! again within bounds where two transactions met or a connection broke.

use std::sync::mpsc;
use std::time::{Duration, Instant};

use deadpool_postgres::{Manager, ManagerConfig, Object, Pool, RecyclingMethod, Runtime as PoolRuntime};
use tokio::runtime::Runtime;

use super::error::{Failed, Outlook, PostgresError};
use super::url::{DatabaseUrl, Parsed};
use crate::ports::journal::JournalError;

/// Connections that are open at a time, at most. Judgement: one appends, one renews, the others read.
const CONNECTIONS_MAX: usize = 8;
/// The first pause between two attempts, and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_millis(10), Duration::from_millis(500));

/// How long is waited for the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// For one answer, and for one connection.
    pub attempt: Duration,
    /// For all attempts together; then the caller is told.
    pub total: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        // Judgement: a database that restarts or fails over is back within half a minute.
        Self { attempt: Duration::from_secs(5), total: Duration::from_secs(30) }
    }
}

/// A database, shared by journal, snapshots and leases. Ask it from threads that may wait.
pub(super) struct Database {
    pool: Pool,
    patience: Patience,
    /// Absent while it is being dropped.
    runtime: Option<Runtime>,
}

impl Drop for Database {
    fn drop(&mut self) {
        // Whoever drops it may be on a thread that must not wait.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Database {
    /// Prepares to connect; the first question does.
    pub(super) fn new(url: &DatabaseUrl, patience: Patience) -> Result<Self, PostgresError> {
        let Parsed { mut config, tls } = url.parse()?;
        if config.get_connect_timeout().is_none() {
            config.connect_timeout(patience.attempt);
        }
        let mut runtime = tokio::runtime::Builder::new_multi_thread();
        let runtime = runtime.worker_threads(1).thread_name("journal-database").enable_all().build();
        let runtime = runtime.map_err(|error| PostgresError::Thread(error.to_string()))?;
        let manager = Manager::from_config(config, tls, ManagerConfig { recycling_method: RecyclingMethod::Fast });
        let pool = Pool::builder(manager)
            .max_size(CONNECTIONS_MAX)
            .runtime(PoolRuntime::Tokio1)
            .wait_timeout(Some(patience.attempt))
            .create_timeout(Some(patience.attempt))
            .recycle_timeout(Some(patience.attempt))
            .build()
            .map_err(|error| PostgresError::Thread(error.to_string()))?;
        Ok(Self { pool, patience, runtime: Some(runtime) })
    }

    /// Asks, and waits for the answer. What is asked may be asked again when it is not known whether it was done: it must come to the same.
    ///
    /// # Errors
    /// [`JournalError::Unavailable`] once patience is at its end, or at once where waiting cannot help; what the question itself says.
    pub(super) fn ask<T, F>(&self, question: impl Fn(Object) -> F + Send + Sync + 'static) -> Result<T, JournalError>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, Failed>> + Send + 'static,
    {
        self.ask_within(self.patience, question)
    }

    /// As [`Database::ask`], with a patience of its own.
    ///
    /// # Errors
    /// As [`Database::ask`].
    pub(super) fn ask_within<T, F>(
        &self,
        patience: Patience,
        question: impl Fn(Object) -> F + Send + Sync + 'static,
    ) -> Result<T, JournalError>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, Failed>> + Send + 'static,
    {
        let gone = || JournalError::Unavailable("the connection to the database is closing".to_owned());
        let (tell, told) = mpsc::sync_channel(1);
        let pool = self.pool.clone();
        self.runtime.as_ref().ok_or_else(gone)?.spawn(async move {
            // Who asked may have given up.
            drop(tell.send(answered(&pool, patience, question).await));
        });
        told.recv().map_err(|_| gone())?
    }
}

async fn answered<T, F>(pool: &Pool, patience: Patience, question: impl Fn(Object) -> F) -> Result<T, JournalError>
where
    F: Future<Output = Result<T, Failed>>,
{
    let began = Instant::now();
    let mut pause = PAUSES.0;
    loop {
        let failed = match attempt(pool, patience.attempt, &question).await {
            Ok(answer) => return Ok(answer),
            Err(failed) => failed,
        };
        if failed.outlook() == Outlook::Stays || began.elapsed() + pause > patience.total {
            return Err(failed.told());
        }
        metrics::counter!("selfsame_database_retries_total").increment(1);
        tracing::debug!(?failed, "the database is asked again");
        // Whoever met here must not meet again in step.
        tokio::time::sleep(pause.mul_f64(0.5 + rand::random::<f64>() / 2.0)).await;
        pause = (pause * 2).min(PAUSES.1);
    }
}

async fn attempt<T, F>(pool: &Pool, limit: Duration, question: &impl Fn(Object) -> F) -> Result<T, Failed>
where
    F: Future<Output = Result<T, Failed>>,
{
    let connection = pool.get().await.map_err(Failed::NoConnection)?;
    if let Ok(answer) = tokio::time::timeout(limit, question(connection)).await {
        return answer;
    }
    // A connection that stands still would keep the next question waiting too.
    pool.retain(|_, _| false);
    Err(Failed::Late)
}
