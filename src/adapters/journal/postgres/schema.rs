//! The tables, in versions: each is reached from the one before by one migration, at the start of whichever process comes first.

use deadpool_postgres::Object;
use tokio_postgres::error::SqlState;

use super::database::Database;
use super::error::{Failed, PostgresError};
use crate::ports::journal::{Incarnation, JournalError};
use crate::ports::leases::ReplicaKey;

/// The version of the tables that this release makes and uses.
pub const SCHEMA_VERSION: i64 = 2;

/// From each version to the next. Every statement may be repeated.
///
/// All tables of records are keyed by the programme first: it is what a database that spreads over machines shards by.
const MIGRATIONS: [&[&str]; 2] = [
    &[
        "create table if not exists ledger (id integer primary key, incarnation bigint not null)",
        "create table if not exists programme (programme text primary key, first bigint not null, base bytea not null)",
        "create table if not exists lease (programme text primary key, holder text not null, address text not null, epoch bigint not null, \
     expires_at timestamptz not null)",
        "create table if not exists entry (programme text not null, seq bigint not null, epoch bigint not null, chain bytea not null, \
     payload bytea not null, primary key (programme, seq))",
        "create table if not exists kept (programme text not null, seq bigint not null, payload bytea not null, primary key (programme, seq))",
        "create table if not exists snapshot (programme text not null, incarnation bigint not null, seq bigint not null, part bigint not null, \
     data bytea not null, primary key (programme, incarnation, seq, part))",
    ],
    &["alter table ledger add column if not exists replica_key bytea"],
];
/// Drawn by whichever process comes first; emptied, by whichever comes next.
const DRAW_KEY: &str = "update ledger set replica_key = $1 where id = 1 and replica_key is null";

/// What the tables say of the ledger that they hold.
pub(super) struct Said {
    /// Which life of it this is.
    pub(super) incarnation: Incarnation,
    /// What only its processes know.
    pub(super) replica_key: ReplicaKey,
}

/// Brings the tables to this release's version, and tells what they say of the ledger; of a new one where there was none.
///
/// # Errors
/// [`PostgresError::NewerSchema`], [`PostgresError::Database`].
pub(super) fn prepare(database: &Database) -> Result<Said, PostgresError> {
    let (incarnation, key) = (Incarnation(rand::random::<u64>().max(1)), rand::random::<[u8; 32]>());
    match database.ask(move |connection| migrated(connection, incarnation, key))? {
        Ok(said) => Ok(said),
        Err(found) => Err(PostgresError::NewerSchema { found, supported: SCHEMA_VERSION }),
    }
}

/// What the tables say, or the version that is too new.
async fn migrated(mut connection: Object, drawn: Incarnation, key: [u8; 32]) -> Result<Result<Said, i64>, Failed> {
    make_version_table(&connection).await?;
    let mut found = version(&connection).await?;
    if found > SCHEMA_VERSION {
        return Ok(Err(found));
    }
    for migration in MIGRATIONS.iter().skip(usize::try_from(found).unwrap_or_default()) {
        found += 1;
        let transaction = connection.transaction().await?;
        // Of two processes that start, one takes the version; the other meets it and looks again.
        transaction.execute("insert into schema_version (version) values ($1)", &[&found]).await?;
        for statement in *migration {
            transaction.batch_execute(statement).await?;
        }
        let incarnation = drawn.0.cast_signed();
        let first = "insert into ledger (id, incarnation) values (1, $1) on conflict (id) do nothing";
        transaction.execute(first, &[&incarnation]).await?;
        transaction.commit().await?;
        tracing::info!(version = found, "the tables in the database were brought to a new version");
    }
    connection.execute(DRAW_KEY, &[&key.as_slice()]).await?;
    let row = connection.query_opt("select incarnation, replica_key from ledger where id = 1", &[]).await?;
    let damaged = |what: &str| JournalError::Damaged(format!("the table `ledger` does not say {what}"));
    let row = row.ok_or_else(|| damaged("which life of the ledger this is"))?;
    let (incarnation, key): (i64, Vec<u8>) = (row.try_get(0)?, row.try_get(1)?);
    let key = key.try_into().map_err(|_| damaged("a key of 32 bytes for its replicas"))?;
    Ok(Ok(Said { incarnation: Incarnation(incarnation.cast_unsigned()), replica_key: ReplicaKey(key) }))
}

async fn version(connection: &Object) -> Result<i64, Failed> {
    Ok(connection.query_one("select coalesce(max(version), 0) from schema_version", &[]).await?.try_get(0)?)
}

async fn make_version_table(connection: &Object) -> Result<(), Failed> {
    let made = connection.batch_execute("create table if not exists schema_version (version bigint primary key)").await;
    // As a table, as the type of its rows, or as either in the catalogue: where the two meet is chance.
    let there = [SqlState::DUPLICATE_TABLE, SqlState::DUPLICATE_OBJECT, SqlState::UNIQUE_VIOLATION];
    match made {
        // Two processes made it at the same time; it is there.
        Err(error) if error.code().is_some_and(|code| there.contains(code)) => Ok(()),
        made => Ok(made?),
    }
}
