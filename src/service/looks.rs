//! Who looked at whom: looks are gathered for at most a second and then kept, those of one caller in one record, so that a read waits for no disk.
//! What is large or rare (exports, backups) is kept before it begins.
//!
//! A server that is killed loses the looks of its last second. One that cannot keep them for long shows nobody any more.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::access::Caller;
use super::errors::Refusal;
use super::shared::Shared;
use crate::book::command::Command;
use crate::book::looks::{LOOKS_MAX, Look, LooksCommand, Seen};
use crate::ports::ledger::LedgerError;
use crate::vocabulary::ids::{Actor, ProgramId};

/// How long a look waits at most, where the ledger takes writes.
const WITHIN: Duration = Duration::from_secs(1);
/// Looks that wait, of all callers together; then no more are shown.
const WAITING_MAX: usize = 10_000;

/// Looks that are yet to be kept.
#[derive(Default)]
pub(super) struct Looks {
    waiting: Mutex<Waiting>,
    many: Notify,
}

#[derive(Default)]
struct Waiting {
    looks: BTreeMap<(ProgramId, Actor), Vec<Look>>,
    count: usize,
}

impl Looks {
    fn add(&self, program: &ProgramId, actor: &Actor, looks: Vec<Look>) {
        let mut waiting = self.waiting.lock();
        waiting.count += looks.len();
        let of = waiting.looks.entry((program.clone(), actor.clone())).or_default();
        of.extend(looks);
        if of.len() >= LOOKS_MAX {
            self.many.notify_one();
        }
    }

    fn take(&self) -> BTreeMap<(ProgramId, Actor), Vec<Look>> {
        let mut waiting = self.waiting.lock();
        waiting.count = 0;
        std::mem::take(&mut waiting.looks)
    }
}

impl Shared {
    /// Notes that a caller is about to be shown something.
    ///
    /// # Errors
    /// Too many looks wait to be kept: nobody is shown anything that would not stand in the trail.
    pub(super) fn looked(&self, caller: &Caller, program: &ProgramId, seen: Seen) -> Result<(), Refusal> {
        if self.looks.waiting.lock().count >= WAITING_MAX {
            return Err(self.refusal(LedgerError::Busy { retry_after: WITHIN }));
        }
        self.looks.add(program, caller.who(), vec![Look { seen, at: self.now() }]);
        Ok(())
    }

    /// As [`Shared::looked`], and it is kept when this returns.
    ///
    /// # Errors
    /// It cannot be kept now.
    pub(super) async fn looked_first(&self, caller: &Caller, program: &ProgramId, seen: Seen) -> Result<(), Refusal> {
        let at = self.now();
        let looks = vec![Look { seen, at }];
        let command = LooksCommand { program_id: program.clone(), actor: caller.who().clone(), looks, at };
        let kept = self.ledger.execute(Command::KeepLooks(command)).await;
        kept.map(drop).map_err(|error| self.refusal(error))
    }
}

/// Keeps what was looked at, until the server drains.
pub(super) async fn keep(shared: Arc<Shared>) {
    loop {
        tokio::select! {
            () = shared.looks.many.notified() => {}
            () = tokio::time::sleep(WITHIN) => {}
        }
        flush(&shared).await;
    }
}

/// Keeps what waits. What cannot be kept waits on.
pub(super) async fn flush(shared: &Shared) {
    for ((program, actor), looks) in shared.looks.take() {
        let mut rest = looks.chunks(LOOKS_MAX);
        for part in rest.by_ref() {
            let (program_id, actor, looks, at) = (program.clone(), actor.clone(), part.to_vec(), shared.now());
            let command = Command::KeepLooks(LooksCommand { program_id, actor: actor.clone(), looks, at });
            if let Err(error) = shared.ledger.execute(command).await {
                tracing::warn!(%program, %error, looks = part.len(), "who looked at whom could not be kept; it is tried again");
                shared.looks.add(&program, &actor, part.to_vec());
                break;
            }
        }
        let left: Vec<Look> = rest.flatten().cloned().collect();
        if !left.is_empty() {
            shared.looks.add(&program, &actor, left);
        }
    }
}
