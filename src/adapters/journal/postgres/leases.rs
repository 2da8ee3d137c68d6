//! Leases in the database, measured against its clock; a process measures the ones that it holds against its own.

use std::sync::Arc;
use std::time::Duration;

use deadpool_postgres::Object;
use tokio_postgres::types::Type;

use super::database::{Database, Patience};
use super::error::Failed;
use super::journal::PostgresJournal;
use crate::ports::clock::{Steady, SteadyClock};
use crate::ports::journal::{Epoch, JournalError};
use crate::ports::leases::{Acquired, Lease, Leases};
use crate::vocabulary::ids::ProgramId;

/// The lease is taken when nobody has it, when it has been over for the margin, or when this process has it: then with a new epoch all the same.
/// The clock is read when the row is locked, not when the statement begins.
const ACQUIRE: &str = "\
insert into lease (programme, holder, address, epoch, expires_at) \
values ($1, $2, $3, 1, clock_timestamp() + $4 * interval '1 millisecond') \
on conflict (programme) do update set holder = excluded.holder, address = excluded.address, epoch = lease.epoch + 1, \
expires_at = clock_timestamp() + $4 * interval '1 millisecond' \
where lease.holder = excluded.holder or lease.expires_at + $5 * interval '1 millisecond' < clock_timestamp() \
returning epoch";
const HOLDER: &str = "\
select address, \
cast(greatest(0, extract(epoch from expires_at + $2 * interval '1 millisecond' - clock_timestamp()) * 1000) as bigint) \
from lease where programme = $1";
const RENEW: &str = "\
update lease l set expires_at = clock_timestamp() + $4 * interval '1 millisecond' \
from unnest($1::text[], $2::bigint[]) as g (programme, epoch) \
where l.programme = g.programme and l.epoch = g.epoch and l.holder = $3 returning l.programme";
const RELEASE: &str = "\
update lease set expires_at = clock_timestamp() - ($4 + 1) * interval '1 millisecond' \
where programme = $1 and epoch = $2 and holder = $3";

/// How long leases run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeaseTerms {
    /// From when it was asked for, unless it is renewed.
    pub term: Duration,
    /// How much longer a taker waits, for clocks that do not run alike.
    pub margin: Duration,
}

impl Default for LeaseTerms {
    fn default() -> Self {
        // Judgement: with the replay that follows, another process answers within ten seconds of a kill.
        Self { term: Duration::from_secs(5), margin: Duration::from_millis(500) }
    }
}

/// Who asks.
struct Holder {
    /// Another one in each process, and after each start.
    name: String,
    address: String,
}

/// Leases beside a journal in the same database, in the name of this process.
pub struct PostgresLeases {
    database: Arc<Database>,
    holder: Arc<Holder>,
    terms: LeaseTerms,
    clock: Arc<dyn SteadyClock>,
}

impl PostgresLeases {
    /// Those beside a journal. `address` is where other processes reach this one.
    #[must_use]
    pub fn beside(journal: &PostgresJournal, address: &str, terms: LeaseTerms, clock: Arc<dyn SteadyClock>) -> Self {
        let holder = Arc::new(Holder { name: uuid::Uuid::now_v7().to_string(), address: address.to_owned() });
        Self { database: journal.database(), holder, terms, clock }
    }

    /// Whoever waits for longer has lost the lease meanwhile.
    fn patience(&self) -> Patience {
        Patience { attempt: self.terms.term / 2, total: self.terms.term }
    }

    fn began(&self) -> Steady {
        self.clock.steady()
    }
}

fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1_000.0
}

impl Leases for PostgresLeases {
    fn acquire(&self, program: &ProgramId) -> Result<Acquired, JournalError> {
        let began = self.began();
        let (program, holder, terms) = (program.clone(), Arc::clone(&self.holder), self.terms);
        let acquired = self
            .database
            .ask_within(self.patience(), move |connection| acquire(connection, program.clone(), Arc::clone(&holder), terms))?;
        Ok(match acquired {
            Ok(epoch) => Acquired::Here(Lease { epoch, until: began.plus(self.terms.term) }),
            Err((address, retry_after)) => Acquired::Elsewhere { address, retry_after },
        })
    }

    fn renew(&self, held: &[(ProgramId, Epoch)]) -> Result<Vec<Option<Lease>>, JournalError> {
        let began = self.began();
        let (asked, holder, term) = (held.to_vec(), Arc::clone(&self.holder), self.terms.term);
        let renewed = self
            .database
            .ask_within(self.patience(), move |connection| renew(connection, asked.clone(), Arc::clone(&holder), term))?;
        let until = began.plus(self.terms.term);
        let lease = |(program, epoch): &(ProgramId, Epoch)| {
            renewed.iter().any(|name| name == program.as_str()).then_some(Lease { epoch: *epoch, until })
        };
        Ok(held.iter().map(lease).collect())
    }

    fn release(&self, program: &ProgramId, epoch: Epoch) -> Result<(), JournalError> {
        let asked = (program.clone(), Arc::clone(&self.holder), millis(self.terms.margin));
        self.database.ask_within(self.patience(), move |connection| {
            let (program, holder, margin) = asked.clone();
            async move {
                let types = [Type::TEXT, Type::INT8, Type::TEXT, Type::FLOAT8];
                let statement = connection.prepare_typed_cached(RELEASE, &types).await?;
                let parameters: [&(dyn tokio_postgres::types::ToSql + Sync); 4] =
                    [&program.as_str(), &epoch.0.cast_signed(), &holder.name, &margin];
                connection.execute(&statement, &parameters).await?;
                Ok(())
            }
        })
    }

    fn holder(&self, program: &ProgramId) -> Result<Option<String>, JournalError> {
        let (program, margin) = (program.clone(), self.terms.margin);
        let found = self.database.ask_within(self.patience(), move |connection| {
            let program = program.clone();
            async move { holder_of(&connection, &program, margin).await }
        })?;
        Ok(found.filter(|(_, left)| !left.is_zero()).map(|(address, _)| address))
    }

    fn term(&self) -> Duration {
        self.terms.term
    }
}

/// The epoch, or who has it and for how long.
async fn acquire(
    connection: Object,
    program: ProgramId,
    holder: Arc<Holder>,
    terms: LeaseTerms,
) -> Result<Result<Epoch, (String, Duration)>, Failed> {
    let types = [Type::TEXT, Type::TEXT, Type::TEXT, Type::FLOAT8, Type::FLOAT8];
    let statement = connection.prepare_typed_cached(ACQUIRE, &types).await?;
    let parameters: [&(dyn tokio_postgres::types::ToSql + Sync); 5] =
        [&program.as_str(), &holder.name, &holder.address, &millis(terms.term), &millis(terms.margin)];
    if let Some(row) = connection.query_opt(&statement, &parameters).await? {
        return Ok(Ok(Epoch(row.try_get::<_, i64>(0)?.cast_unsigned())));
    }
    let elsewhere = holder_of(&connection, &program, terms.margin).await?;
    Ok(Err(elsewhere.unwrap_or_default()))
}

async fn renew(
    connection: Object,
    held: Vec<(ProgramId, Epoch)>,
    holder: Arc<Holder>,
    term: Duration,
) -> Result<Vec<String>, Failed> {
    let names: Vec<&str> = held.iter().map(|(program, _)| program.as_str()).collect();
    let epochs: Vec<i64> = held.iter().map(|(_, epoch)| epoch.0.cast_signed()).collect();
    let types = [Type::TEXT_ARRAY, Type::INT8_ARRAY, Type::TEXT, Type::FLOAT8];
    let statement = connection.prepare_typed_cached(RENEW, &types).await?;
    let rows = connection.query(&statement, &[&names, &epochs, &holder.name, &millis(term)]).await?;
    rows.iter().map(|row| Ok(row.try_get(0)?)).collect()
}

async fn holder_of(connection: &Object, program: &ProgramId, margin: Duration) -> Result<Option<(String, Duration)>, Failed> {
    let statement = connection.prepare_typed_cached(HOLDER, &[Type::TEXT, Type::FLOAT8]).await?;
    let Some(row) = connection.query_opt(&statement, &[&program.as_str(), &millis(margin)]).await? else { return Ok(None) };
    let left = Duration::from_millis(row.try_get::<_, i64>(1)?.cast_unsigned());
    Ok(Some((row.try_get(0)?, left)))
}
