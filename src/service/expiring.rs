//! Outcomes that wait for a purchase which never comes are given up, and said: each is a refund or dispute that nobody could place.
//!
//! It must never decide which may go; the ledger does. `serve` runs it beside the server.

use std::sync::Arc;
use std::time::Duration;

use crate::book::command::{Command, Done, Executed};
use crate::ports::clock::Clock;
use crate::ports::ledger::{Ledger, LedgerError};
use crate::vocabulary::ids::ProgramId;
use crate::vocabulary::time::Span;

/// How often something may have waited too long.
const EVERY: Duration = Duration::from_secs(3_600);
/// The counter of records that gave some up.
const EXPIRED: &str = "selfsame_outcomes_expired_total";

/// Gives up what waits for longer than `age`, again and again, until it is dropped.
pub async fn expire(ledger: Arc<dyn Ledger>, clock: Arc<dyn Clock>, age: Span) {
    loop {
        for program in ledger.programs() {
            if let Err(error) = expire_in(&*ledger, &*clock, &program.program_id, age).await {
                tracing::error!(%error, program = %program.program_id, "waiting outcomes could not be given up; the next try is in an hour");
            }
        }
        tokio::time::sleep(EVERY).await;
    }
}

async fn expire_in(ledger: &dyn Ledger, clock: &dyn Clock, program: &ProgramId, age: Span) -> Result<(), LedgerError> {
    loop {
        let now = clock.now();
        let Executed { done, .. } = ledger.execute(Command::ExpirePending(program.clone(), now.minus(age), now)).await?;
        let Done::Expired(outcomes) = done else { return Ok(()) };
        metrics::counter!(EXPIRED).increment(outcomes);
        tracing::warn!(%program, outcomes, "outcomes waited too long for their purchase and were given up; why was it never reported?");
    }
}
