//! The journal in a database that speaks PostgreSQL's protocol, for any number of processes: groups are fenced by leases, in plain SQL that
//! PostgreSQL, YugabyteDB and CockroachDB share. Snapshots and leases are kept beside it.

mod append;
mod cut;
mod database;
mod error;
mod journal;
mod leases;
mod read;
mod rewrite;
mod schema;
mod snapshots;
mod url;

pub use database::Patience;
pub use error::PostgresError;
pub use journal::PostgresJournal;
pub use leases::{LeaseTerms, PostgresLeases};
pub use schema::SCHEMA_VERSION;
pub use snapshots::PostgresSnapshots;
pub use url::DatabaseUrl;
