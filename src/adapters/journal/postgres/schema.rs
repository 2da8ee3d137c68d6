//! The tables, in versions: each is reached from the one before by one migration, at the start of whichever process comes first.

use deadpool_postgres::Object;
use tokio_postgres::error::SqlState;

use super::database::Database;
use super::error::{Failed, PostgresError};
use crate::ports::journal::{Incarnation, JournalError};

/// The version of the tables that this release makes and uses.
pub const SCHEMA_VERSION: i64 = 1;

/// From each version to the next. Every statement may be repeated.
///
/// All tables of records are keyed by the programme first: it is what a database that spreads over machines shards by.
const MIGRATIONS: [&[&str]; 1] = [&[
    "create table if not exists ledger (id integer primary key, incarnation bigint not null)",
    "create table if not exists programme (programme text primary key, first bigint not null, base bytea not null)",
    "create table if not exists lease (programme text primary key, holder text not null, address text not null, epoch bigint not null, \
     expires_at timestamptz not null)",
    "create table if not exists entry (programme text not null, seq bigint not null, epoch bigint not null, chain bytea not null, \
     payload bytea not null, primary key (programme, seq))",
    "create table if not exists kept (programme text not null, seq bigint not null, payload bytea not null, primary key (programme, seq))",
    "create table if not exists snapshot (programme text not null, incarnation bigint not null, seq bigint not null, part bigint not null, \
     data bytea not null, primary key (programme, incarnation, seq, part))",
]];

/// Brings the tables to this release's version, and tells which life of the ledger they hold; a new one where there was none.
///
/// # Errors
/// [`PostgresError::NewerSchema`], [`PostgresError::Database`].
pub(super) fn prepare(database: &Database) -> Result<Incarnation, PostgresError> {
    let drawn = Incarnation(rand::random::<u64>().max(1));
    match database.ask(move |connection| migrated(connection, drawn))? {
        Ok(incarnation) => Ok(incarnation),
        Err(found) => Err(PostgresError::NewerSchema { found, supported: SCHEMA_VERSION }),
    }
}

/// The life of the ledger, or the version that is too new.
async fn migrated(mut connection: Object, drawn: Incarnation) -> Result<Result<Incarnation, i64>, Failed> {
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
    let row = connection.query_opt("select incarnation from ledger where id = 1", &[]).await?;
    let damaged = || JournalError::Damaged("the table `ledger` does not say which life of the ledger this is".to_owned());
    let incarnation: i64 = row.ok_or_else(damaged)?.try_get(0)?;
    Ok(Ok(Incarnation(incarnation.cast_unsigned())))
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
