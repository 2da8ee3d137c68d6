//! The pump: does what is due because of what senders said, after each event that is taken, at the start, and every few minutes for what had to wait.
//! What is due is the book's business; doing it twice is harmless, and a crash between taking and doing loses nothing.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::setup::Programs;
use crate::book::Refusal;
use crate::book::command::{Command, HoldStep};
use crate::book::directory::ProgramSettings;
use crate::book::intake::{IntakeAnswer, IntakeQuestion};
use crate::ports::clock::Clock;
use crate::ports::ledger::{Ledger, LedgerError};
use crate::vocabulary::ids::{AccountId, ProgramId};

/// Accounts that are looked at with one question.
const PAGE: usize = 200;
/// How often everything is looked at again.
const EVERY: Duration = Duration::from_secs(300);
/// How soon what failed is tried again.
const AGAIN_AFTER: Duration = Duration::from_secs(5);
/// Events whose accounts wait to be looked at. Beyond it the next look at everything finds them.
const WAITING_MAX: usize = 4_096;
/// Refusals that are remembered as told.
const TOLD_MAX: usize = 10_000;
/// The counter of what was done, by what it was.
const DONE: &str = "selfsame_gateway_calls_total";
/// The counter of what could not be done.
const REFUSED: &str = "selfsame_gateway_refused_total";

/// Where it is said that something may be due.
#[derive(Clone)]
pub struct PumpHandle(mpsc::Sender<(ProgramId, Vec<AccountId>)>);

impl PumpHandle {
    /// Says that something may be due of these accounts.
    pub fn look_at(&self, program: &ProgramId, accounts: Vec<AccountId>) {
        if !accounts.is_empty() && self.0.try_send((program.clone(), accounts)).is_err() {
            tracing::debug!(%program, "many events wait; what is due is found with the next look at everything");
        }
    }
}

/// What is done of everything.
pub struct Pump {
    ledger: Arc<dyn Ledger>,
    clock: Arc<dyn Clock>,
    programs: Arc<Programs>,
    waiting: mpsc::Receiver<(ProgramId, Vec<AccountId>)>,
    /// What was refused and said to be, which is done once.
    told: Mutex<BTreeSet<String>>,
}

impl Pump {
    /// A pump for programmes, and where it is told of something.
    #[must_use]
    pub fn new(ledger: Arc<dyn Ledger>, clock: Arc<dyn Clock>, programs: Arc<Programs>) -> (Self, PumpHandle) {
        let (sender, waiting) = mpsc::channel(WAITING_MAX);
        (Self { ledger, clock, programs, waiting, told: Mutex::default() }, PumpHandle(sender))
    }

    /// Works until it is dropped.
    pub async fn run(mut self) {
        let mut next = Instant::now() + self.everything().await;
        loop {
            match tokio::time::timeout_at(next, self.waiting.recv()).await {
                Ok(Some((program, accounts))) => {
                    if self.do_what(&program, IntakeQuestion::DueOf(accounts)).await.is_err() {
                        next = next.min(Instant::now() + AGAIN_AFTER);
                    }
                }
                Ok(None) => return,
                Err(_) => next = Instant::now() + self.everything().await,
            }
        }
    }

    /// Looks at all accounts of all programmes. Returns when to look again.
    async fn everything(&self) -> Duration {
        let mut next = EVERY;
        for program in self.programs.keys() {
            let mut after = None;
            loop {
                match self.do_what(program, IntakeQuestion::DueAfter(after, PAGE)).await {
                    Ok(Some(last)) => after = Some(last),
                    // Whichever process holds the programme does it.
                    Ok(None) | Err(LedgerError::HeldElsewhere { .. }) => break,
                    Err(error) => {
                        tracing::warn!(%program, %error, "what senders said waits to be done; it is tried again");
                        next = AGAIN_AFTER;
                        break;
                    }
                }
            }
        }
        next
    }

    /// Asks what is due and does it. Returns the last account that was looked at, where there are more.
    async fn do_what(&self, program: &ProgramId, question: IntakeQuestion) -> Result<Option<AccountId>, LedgerError> {
        let directory = self.ledger.directory().await?;
        let settings = directory.program(program).filter(|known| known.archived_at.is_none()).map(|known| known.settings.clone());
        let Some(settings) = settings else { return Ok(None) };
        let IntakeAnswer::Due(due, last) = self.ledger.intake(program, &question, self.clock.now()).await? else {
            return Ok(None);
        };
        for command in due {
            self.do_one(&settings, command).await?;
        }
        Ok(last)
    }

    async fn do_one(&self, settings: &ProgramSettings, command: Command) -> Result<(), LedgerError> {
        let (what, id) = named(&command);
        if let Some(problem) = not_taken(settings, &command) {
            self.tell_once(what, &id, &problem);
            return Ok(());
        }
        match self.ledger.execute(command).await {
            Ok(_) => {
                metrics::counter!(DONE, "what" => what).increment(1);
                tracing::debug!(program = %settings.id, what, id, "done because of what a sender said");
                Ok(())
            }
            // Another process did it at the same moment.
            Err(LedgerError::Refused(Refusal::ContentDiffers { .. })) => Ok(()),
            Err(LedgerError::Refused(refusal)) => {
                self.tell_once(what, &id, &refusal.to_string());
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    fn tell_once(&self, what: &'static str, id: &str, problem: &str) {
        metrics::counter!(REFUSED, "what" => what).increment(1);
        let mut told = self.told.lock();
        if told.len() >= TOLD_MAX {
            told.clear();
        }
        if told.insert(format!("{what} {id}")) {
            tracing::warn!(what, id, problem, "what a sender said cannot be done");
        }
    }
}

/// What the programme does not take of a command.
fn not_taken(settings: &ProgramSettings, command: &Command) -> Option<String> {
    let Command::Screen(screen) = command else { return None };
    let currency = screen.conversion.value?.currency();
    let taken = settings.currencies.is_empty() || settings.currencies.contains(&currency);
    (!taken).then(|| format!("the programme takes no {}: `selfsame program update` adds a currency", currency.as_str()))
}

/// What a command is, and its id.
#[must_use]
pub fn named(command: &Command) -> (&'static str, String) {
    match command {
        Command::RecordSignals(signals) => ("RecordSignals", signals.record_id.to_string()),
        Command::Screen(screen) => ("ScreenConversion", screen.conversion.conversion_id.to_string()),
        Command::RecordOutcome(outcome) => ("RecordOutcome", outcome.outcome.outcome_id.to_string()),
        Command::ChangeHold(hold) => match &hold.step {
            HoldStep::Place { hold_id: Some(id), .. } | HoldStep::Lift(id) => ("PlaceHold", id.to_string()),
            HoldStep::Place { hold_id: None, .. } | HoldStep::LiftOwn(_) => ("PlaceHold", String::new()),
        },
        Command::RevokeOutcome(_)
        | Command::ExpirePending(..)
        | Command::StepCase(..)
        | Command::StepCases(_)
        | Command::Recheck(_)
        | Command::Reserve(_)
        | Command::ChangeReservation(_)
        | Command::MarkPaid(_)
        | Command::MarkFailed(_)
        | Command::ChangeRewards(_)
        | Command::ChangeList(_)
        | Command::ChangeModels(_)
        | Command::ChangeTerms(_)
        | Command::Rekey(_)
        | Command::KeepLooks(_)
        | Command::Erase(_)
        | Command::ErasuresDone(_)
        | Command::By(..)
        | Command::ChangeDirectory(_)
        | Command::Propose(_)
        | Command::SettleAct(_)
        | Command::TakeSourceEvent(_) => ("nothing that is ever due", String::new()),
    }
}
