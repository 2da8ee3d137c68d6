//! A look at a running server from inside: what an operator asks when something is wrong, each finding with what to do.
//!
//! It reads what stands in the ledger and changes nothing. The operations handlers call it.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::access::Share;
use super::errors::Refusal;
use super::shared::Shared;
use crate::adapters::certificate;
use crate::book::intake::{IntakeAnswer, IntakeQuestion, Mistake};
use crate::book::query::{DecisionFilter, PageRequest};
use crate::book::records::DecisionRecord;
use crate::book::rekeying::KeyShare;
use crate::ports::diagnosis::{Finding, Subject};
use crate::ports::ledger::{KeyReport, Ledger, LedgerHealth};
use crate::screening::monitor::DriftLevel;
use crate::screening::policy::ScoreSource;
use crate::vocabulary::digest::KeyId;
use crate::vocabulary::ids::ProgramId;
use crate::vocabulary::time::Timestamp;

/// The newest decisions of a programme that are looked at for their key ids: a page.
const DECISIONS_READ: usize = 500;
/// Decisions from which on a share says something. Judgement.
const DECISIONS_MIN: usize = 20;
/// The share that cannot be compared from which on somebody should look. Judgement: as the alert.
const INCOMPARABLE_MAX_PERCENT: usize = 20;
/// Records that a start may have to replay before it takes long: about ten seconds' worth.
const REPLAY_MAX_RECORDS: f64 = 1_500_000.0;

/// Mistakes of senders that are told of a programme.
const MISTAKES_TOLD: usize = 20;

/// How a key id is used in a programme.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct KeyUse {
    pub(super) program_id: ProgramId,
    pub(super) key_id: KeyId,
    /// Of the newest decisions, those with a signal under it.
    pub(super) decisions: usize,
    /// Of these, those whose two sides could be compared.
    pub(super) compared: usize,
}

/// What was found.
pub(super) struct Diagnosis {
    pub(super) findings: Vec<Finding>,
    pub(super) keys: Vec<KeyUse>,
}

/// Looks at the server: at one programme, or at all that are answered for here.
///
/// # Errors
/// What a read of the ledger is refused with.
pub(super) async fn look(shared: &Shared, share: &Share, only: Option<&ProgramId>) -> Result<Diagnosis, Refusal> {
    let mut findings = vec![ledger(&shared.ledger.health())];
    if let Some(tls) = &shared.tls {
        findings.extend(certificate::look(&tls.source().key, tls.in_force().facts.as_ref(), shared.now()));
    }
    let readings: BTreeMap<&str, f64> = shared.ledger.readings().iter().map(|reading| (reading.name, reading.value)).collect();
    findings.extend(waiting(&readings));
    let mut keys = Vec::new();
    let known: Vec<ProgramId> = shared.ledger.programs().into_iter().map(|program| program.program_id).collect();
    for program in known.into_iter().filter(|program| only.is_none_or(|only| only == program)) {
        findings.push(model(shared, &program).await?);
        findings.extend(senders(shared, &program).await?);
        let newest = newest(shared, share, &program).await?;
        findings.push(compared(&program, &newest));
        let used = shared.look_up(shared.ledger.key_use(&program)).await?;
        findings.extend(rotating(&program, &used));
        keys.extend(keys_of(&program, &newest));
    }
    Ok(Diagnosis { findings, keys })
}

fn ledger(health: &LedgerHealth) -> Finding {
    match health {
        LedgerHealth::Serving => Finding::fine(Subject::Ledger, "the ledger takes writes"),
        LedgerHealth::Poisoned(why) => {
            let fix = "mend the disk or the database, then start the server again; callers retry with the same ids";
            Finding::wrong(Subject::Ledger, format!("the ledger refuses writes: {why}"), fix)
        }
    }
}

/// What waits in the ledger: snapshots, late conversions, outcomes without their purchase.
fn waiting(readings: &BTreeMap<&str, f64>) -> Vec<Finding> {
    let read = |name: &str| readings.get(name).copied().unwrap_or(0.0);
    let mut found = Vec::new();
    let lag = read("snapshot_lag_records");
    if lag > REPLAY_MAX_RECORDS {
        let fix = "lower `ledger.snapshot_every_records`, and see in the log whether snapshots fail";
        found.push(Finding::note(Subject::Ledger, format!("a start would replay {lag} records"), fix));
    }
    let late = read("late_conversions_count");
    if late > 0.0 {
        let fix = "look again in a minute; if it stands still, see `SelfsameLateFactsStand` in docs/runbook.md";
        found.push(Finding::note(Subject::Ledger, format!("{late} conversions are held until they were looked at again"), fix));
    }
    let pending = read("pending_outcomes_count");
    if pending > 0.0 {
        let fix = "`ListPendingOutcomes` names them: are ids spelt as in screening, and is every sale reported?";
        found.push(Finding::note(Subject::Ledger, format!("{pending} outcomes are about something that nobody reported"), fix));
    }
    found
}

async fn model(shared: &Shared, program: &ProgramId) -> Result<Finding, Refusal> {
    let terms = shared.look_up(shared.ledger.terms(program)).await?;
    if shared.policies.policy_of(program, &terms).score().source != ScoreSource::Model {
        return Ok(Finding::fine(Subject::Models, format!("{program}: the policy scores by its rules' weights")));
    }
    let book = shared.look_up(shared.ledger.models(program)).await?;
    let in_force = shared.models.shelf().models_of(program, &book);
    if let Some(missing) = &in_force.missing {
        let sentence = format!("{program}: the model {} was chosen, and its file is not here", missing.version);
        return Ok(Finding::wrong(Subject::Models, sentence, "put it into the model folder, or `selfsame model load` it"));
    }
    let Some(active) = &in_force.active else {
        let sentence = format!("{program}: no model is in force, and the policy asks for one");
        return Ok(Finding::wrong(Subject::Models, sentence, "`selfsame model activate` one"));
    };
    let version = active.version();
    if book.audits_of(version).is_tripped() {
        let sentence = format!("{program}: the breaker of {version} has tripped, and what it would reject goes to review");
        return Ok(Finding::wrong(Subject::Models, sentence, "train on the programme's own labels and activate that"));
    }
    let drifted = in_force.drift().map(|drift| drift.of_features().into_iter().chain([drift.of_score()]).collect::<Vec<_>>());
    let shifted: Vec<String> = drifted
        .unwrap_or_default()
        .into_iter()
        .filter(|reading| reading.level == DriftLevel::Shifted)
        .map(|reading| format!("`{}`", reading.name))
        .collect();
    Ok(match shifted.as_slice() {
        [] => Finding::fine(Subject::Models, format!("{program}: {version} decides, and its traffic looks like its training")),
        [first, rest @ ..] => {
            let sentence =
                format!("{program}: {first} and {} more have moved away from what {version} was trained on", rest.len());
            Finding::note(
                Subject::Models,
                sentence,
                "`selfsame model status` shows how far; did a caller stop or begin sending a signal?",
            )
        }
    })
}

/// What senders sent that looks like a mistake, the newest of each first.
async fn senders(shared: &Shared, program: &ProgramId) -> Result<Vec<Finding>, Refusal> {
    let answer = shared.look_up(shared.ledger.intake(program, &IntakeQuestion::Mistakes, shared.now())).await?;
    let IntakeAnswer::Mistakes(mistakes) = answer else { return Err(Refusal::internal()) };
    let told = |(at, mistake): (Timestamp, Mistake)| {
        let fix = "mend it at the sender; what it sent stays as it was taken, and docs/gateway.md says how it is sent again";
        Finding::note(Subject::Senders, format!("{program}: {} (since {at})", mistake.sentence()), fix)
    };
    Ok(mistakes.into_iter().take(MISTAKES_TOLD).map(told).collect())
}

/// The newest decisions of a programme.
async fn newest(shared: &Shared, share: &Share, program: &ProgramId) -> Result<Vec<DecisionRecord>, Refusal> {
    let (filter, page) = (DecisionFilter::default(), PageRequest { size: DECISIONS_READ, ..PageRequest::default() });
    let program = program.clone();
    let read = move |ledger: Arc<dyn Ledger>, _| async move { ledger.decisions(&program, &filter, &page).await };
    let page = shared.read(share, read).await?;
    Ok(page.entries)
}

/// Whether the sides of the newest decisions could be compared.
fn compared(program: &ProgramId, newest: &[DecisionRecord]) -> Finding {
    let wants: Vec<_> = newest.iter().filter_map(|record| record.decision.comparability.want()).collect();
    let sentence = format!("{program}: {} of the newest {} conversions could not be compared", wants.len(), newest.len());
    match wants.first() {
        Some(want) if newest.len() >= DECISIONS_MIN && wants.len() * 100 > newest.len() * INCOMPARABLE_MAX_PERCENT => {
            let fix = "send the other side's signals (`RecordSignals`), or both digests while keys rotate";
            Finding::wrong(Subject::Keys, format!("{sentence}; of the newest of them: {}", want.sentence()), fix)
        }
        Some(_) | None => Finding::fine(Subject::Keys, sentence),
    }
}

/// How far a change of the key is; nothing where no key was changed.
fn rotating(program: &ProgramId, KeyReport { keys, values_cold: _ }: &KeyReport) -> Vec<Finding> {
    let changed = keys.iter().filter(|(_, known)| known.under_newer > 0);
    let finding = |(key, known): (&KeyId, &KeyShare)| {
        let (key, KeyShare { values, under_newer }) = (key.as_str(), known);
        if under_newer == values {
            let sentence = format!("{program}: all {values} values that are known under `{key}` are known under a newer key too");
            return Finding::fine(Subject::Keys, sentence);
        }
        let sentence =
            format!("{program}: {under_newer} of {values} values that are known under `{key}` are known under a newer key too");
        let fix = "teach the rest (`selfsame digest --rekey`, `selfsame program rekey`) before the old key is taken out of the programme's key ids";
        Finding::note(Subject::Keys, sentence, fix)
    };
    changed.map(finding).collect()
}

/// The key ids of decisions, each with how many have it and how many of these could be compared.
fn keys_of(program: &ProgramId, newest: &[DecisionRecord]) -> Vec<KeyUse> {
    let mut uses: BTreeMap<KeyId, (usize, usize)> = BTreeMap::new();
    for DecisionRecord { decision, .. } in newest {
        let comparability = &decision.comparability;
        let could = usize::from(comparability.want().is_none());
        for key in comparability.key_ids() {
            let (decisions, compared) = uses.entry(*key).or_default();
            *decisions += 1;
            *compared += could;
        }
    }
    let with_program = |(key_id, (decisions, compared))| KeyUse { program_id: program.clone(), key_id, decisions, compared };
    uses.into_iter().map(with_program).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ports::diagnosis::Level;

    #[test]
    fn how_far_a_change_of_the_key_is_is_told_only_where_there_is_one() {
        let key = |text: &str| KeyId::new(text).unwrap();
        let report = |under_newer| {
            let keys = [(key("k1"), KeyShare { values: 10, under_newer }), (key("k2"), KeyShare { values: 9, under_newer: 0 })];
            KeyReport { keys: keys.into(), values_cold: 0 }
        };
        let levels = |under_newer| {
            rotating(&ProgramId::new("shop").unwrap(), &report(under_newer)).iter().map(|found| found.level).collect::<Vec<_>>()
        };
        assert_eq!((levels(0), levels(9), levels(10)), (vec![], vec![Level::Note], vec![Level::Fine]));
    }

    #[test]
    fn what_waits_is_told_with_its_number_and_nothing_else_is() {
        assert_eq!(waiting(&BTreeMap::from([("late_conversions_count", 0.0), ("snapshot_lag_records", 1_000.0)])), []);
        let found = waiting(&BTreeMap::from([("late_conversions_count", 3.0), ("snapshot_lag_records", 2e6)]));
        assert_eq!(found.iter().map(|finding| finding.level).collect::<Vec<_>>(), [Level::Note, Level::Note]);
        assert!(found[0].sentence.contains("2000000 records") && found[1].sentence.starts_with("3 conversions"), "{found:#?}");
    }

    #[test]
    fn a_ledger_that_refuses_writes_is_wrong_and_says_why() {
        let found = ledger(&LedgerHealth::Poisoned("the disk is full".to_owned()));
        assert!(found.level == Level::Wrong && found.sentence.contains("the disk is full") && !found.fix.is_empty());
    }
}
