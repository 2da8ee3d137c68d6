//! The load: callers that screen, tell of what came later, review, reserve and pay, and others that stand at the gate.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use selfsame::offline::load::generator::Dice;
use selfsame::wire::v1;
use selfsame::wire::v1::payout_service_client::PayoutServiceClient;
use selfsame::wire::v1::review_service_client::ReviewServiceClient;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tonic::transport::Channel;

use crate::calls::{Bar, PATIENCE, Run, Said};
use crate::cluster::REPLICAS;

/// How long the gate's answer is waited for: also by whoever asked a replica that is stopped, and hears of it once that goes on.
const GATE_PATIENCE: Duration = Duration::from_secs(15);
/// Questions to the gate that one asker has open at one replica.
const GATE_OPEN_MAX: usize = 24;
const SCREENERS: u64 = 2;

/// All callers of all programmes; they end once the run is over.
pub(crate) fn callers(run: &Arc<Run>, seed: u64) -> JoinSet<()> {
    let mut callers = JoinSet::new();
    for at in 0..run.programmes.len() {
        let mut number = at as u64 * 100;
        let mut dice = || {
            number += 1;
            Dice::new(seed, number)
        };
        for _ in 0..SCREENERS {
            callers.spawn(screen(Arc::clone(run), at, dice()));
        }
        callers.spawn(learn(Arc::clone(run), at, dice()));
        callers.spawn(cancel(Arc::clone(run), at, dice()));
        callers.spawn(review(Arc::clone(run), at, dice()));
        callers.spawn(pay(Arc::clone(run), at, dice()));
        for replica in 0..REPLICAS {
            callers.spawn(stand_at_the_gate(Arc::clone(run), at, replica, dice()));
        }
    }
    callers
}

async fn pause(dice: &mut Dice, millis: u64) {
    tokio::time::sleep(Duration::from_millis(millis / 2 + dice.below(millis))).await;
}

async fn screen(run: Arc<Run>, at: usize, mut dice: Dice) {
    while !run.is_over() {
        pause(&mut dice, 80).await;
        run.screen_next(&run.programmes[at], dice.below(3)).await;
    }
}

/// Tells that an account was seen on the device of another: decisions that both are part of are looked at again.
async fn learn(run: Arc<Run>, at: usize, mut dice: Dice) {
    let programme = &run.programmes[at];
    for number in 0.. {
        pause(&mut dice, 400).await;
        if run.is_over() {
            return;
        }
        let Some(((one, _), (other, _))) = programme.some_decision(&mut dice).zip(programme.some_decision(&mut dice)) else {
            continue;
        };
        let (one, other) = (programme.conversion(one).referee.unwrap(), programme.conversion(other).referrer.unwrap());
        let bundle = v1::SignalBundle { account_id: one.account_id, devices: other.devices, ..v1::SignalBundle::default() };
        let (program_id, record_id) = (programme.id.clone(), format!("signals-{number}"));
        run.record_signals(programme, v1::RecordSignalsRequest { program_id, record_id, bundles: vec![bundle] }, dice.below(3))
            .await;
    }
}

/// Bans, charges back and refunds, also what nobody has reported yet.
async fn cancel(run: Arc<Run>, at: usize, mut dice: Dice) {
    let programme = &run.programmes[at];
    for number in 0.. {
        pause(&mut dice, 120).await;
        if run.is_over() {
            return;
        }
        let soon = programme.next_index.load(Ordering::Relaxed) + 3;
        let known = programme.some_decision(&mut dice).map(|(index, _)| index);
        let index = if dice.below(6) == 0 { soon } else { known.unwrap_or(soon) };
        let conversion = programme.conversion(index);
        let referee = conversion.referee.unwrap().account_id;
        let (why, kind, subject) = match dice.below(3) {
            0 => ("a chargeback", v1::OutcomeKind::Chargeback, v1::outcome::Subject::ConversionId(conversion.conversion_id)),
            1 => ("a ban", v1::OutcomeKind::AccountBanned, v1::outcome::Subject::AccountId(referee)),
            _ => {
                let invoice = v1::InvoiceSubject { referee_account_id: referee, invoice_id: conversion.invoice_id };
                ("a refund", v1::OutcomeKind::ChargeRefunded, v1::outcome::Subject::Invoice(invoice))
            }
        };
        let outcome = v1::Outcome {
            kind: kind.into(),
            occurred_at: conversion.occurred_at,
            subject: Some(subject),
            ..v1::Outcome::default()
        };
        let (program_id, outcome_id) = (programme.id.clone(), format!("outcome-{number}"));
        let request = v1::RecordOutcomeRequest { program_id, outcome_id, outcome: Some(outcome) };
        if run.record_outcome(programme, request, dice.below(3)).await {
            programme.bar(index, why);
        }
    }
}

async fn review(run: Arc<Run>, at: usize, mut dice: Dice) {
    let programme = &run.programmes[at];
    for number in 0.. {
        pause(&mut dice, 250).await;
        if run.is_over() {
            return;
        }
        let open = v1::ListCasesRequest {
            program_id: programme.id.clone(),
            states: vec![v1::CaseState::Open.into()],
            page_size: 20,
            ..v1::ListCasesRequest::default()
        };
        let ask = |channel: Channel| {
            let (mut client, open) = (ReviewServiceClient::new(channel), open.clone());
            async move { client.list_cases(open).await }
        };
        let Said::Answer(page) = run.ask(programme, dice.below(3), PATIENCE, ask).await else { continue };
        // A case whose resolution is unknown is left alone.
        let in_doubt = |case: &v1::CaseSummary| {
            programme.notes.lock().resolved.values().any(|(request, _, done)| request.case_id == case.case_id && !done)
        };
        let Some(case) = page.cases.into_iter().find(|case| !in_doubt(case)) else { continue };
        let resolution = if dice.below(2) == 0 { v1::Resolution::Accept } else { v1::Resolution::Reject };
        let request = v1::ResolveCaseRequest {
            program_id: programme.id.clone(),
            case_id: case.case_id,
            resolution: resolution.into(),
            reason_code: "checked".to_owned(),
            request_id: format!("resolve-{number}"),
            ..v1::ResolveCaseRequest::default()
        };
        let done = run.resolve(programme, request, case.conversion_id.clone(), dice.below(3)).await;
        let index = programme.notes.lock().decided.get(&case.conversion_id).map(|(index, _)| *index);
        if let (true, v1::Resolution::Reject, Some(index)) = (done, resolution, index) {
            programme.bar(index, "a reviewer's rejection");
        }
    }
}

/// Reserves what the gate releases, and pays it.
async fn pay(run: Arc<Run>, at: usize, mut dice: Dice) {
    let programme = &run.programmes[at];
    for number in 0.. {
        pause(&mut dice, 250).await;
        if run.is_over() {
            return;
        }
        let wanted: BTreeMap<String, u64> =
            (0..4).filter_map(|_| programme.some_decision(&mut dice)).map(|(index, told)| (told.conversion_id, index)).collect();
        if wanted.is_empty() {
            continue;
        }
        let bars = programme.bars_of(&wanted.keys().cloned().collect());
        let want = |(conversion_id, index): (&String, &u64)| v1::PayoutWanted {
            reward_id: programme.reward_of(*index),
            conversion_id: conversion_id.clone(),
            amount: None,
        };
        let request_id = format!("run-{number}");
        let request = v1::ReservePayoutsRequest {
            program_id: programme.id.clone(),
            request_id: request_id.clone(),
            payouts: wanted.iter().map(want).collect(),
            lifetime: None,
        };
        let Some(answers) = run.reserve(programme, request, dice.below(3)).await else { continue };
        for answer in answers.into_iter().filter_map(|answer| answer.reserved_until.and(answer.gate)) {
            if let Some(Bar { why, .. }) = bars.get(&answer.conversion_id) {
                run.found(format!("{}: {} was reserved after {why} was acknowledged", programme.id, answer.reward_id));
            }
            programme.notes.lock().released += 1;
            let request = v1::MarkPaidRequest {
                program_id: programme.id.clone(),
                reward_id: answer.reward_id,
                conversion_id: answer.conversion_id.clone(),
                paid_at: Some(selfsame::wire::WireTimestamp { seconds: 1_790_000_000, nanos: 0 }),
                amount: None,
                reservation_id: request_id.clone(),
                request_id: format!("pay-{}", answer.conversion_id),
            };
            if run.mark_paid(programme, request, dice.below(3)).await {
                programme.bar(wanted[&answer.conversion_id], "its payment");
            }
        }
    }
}

/// Asks one replica about the newest bars again and again. Whoever is stopped meanwhile finds the questions when it goes on, and must not answer them from
/// what it knew before.
async fn stand_at_the_gate(run: Arc<Run>, at: usize, replica: usize, mut dice: Dice) {
    let open = Arc::new(Semaphore::new(GATE_OPEN_MAX));
    let mut asked = JoinSet::new();
    while !run.is_over() {
        pause(&mut dice, 250).await;
        let (run, place) = (Arc::clone(&run), Arc::clone(&open).acquire_owned().await.unwrap());
        let free = run.programmes[at].some_decision(&mut dice);
        asked.spawn(async move {
            ask_the_gate(&run, at, replica, free).await;
            drop(place);
        });
        while asked.try_join_next().is_some_and(|ended| ended.is_ok()) {}
    }
    while asked.join_next().await.is_some_and(|ended| ended.is_ok()) {}
}

async fn ask_the_gate(run: &Run, at: usize, replica: usize, free: Option<(u64, v1::Decision)>) {
    let programme = &run.programmes[at];
    // What was told of before the question was sent.
    let bars: BTreeMap<String, Bar> = {
        let notes = programme.notes.lock();
        notes.bars.iter().rev().take(40).map(|bar| (bar.reward_id.clone(), bar.clone())).collect()
    };
    let query = |reward_id: String, conversion_id: String| v1::PayoutQuery { reward_id, conversion_id };
    let free = free.map(|(index, told)| query(programme.reward_of(index), told.conversion_id));
    let free = free.filter(|query| !bars.contains_key(&query.reward_id));
    let payouts: Vec<_> = bars.values().map(|bar| query(bar.reward_id.clone(), bar.conversion_id.clone())).chain(free).collect();
    if payouts.is_empty() {
        return;
    }
    let request = v1::CheckPayoutsRequest { program_id: programme.id.clone(), payouts };
    let mut client = PayoutServiceClient::new(run.cluster.replicas[replica].channel());
    let Ok(Ok(answer)) = tokio::time::timeout(GATE_PATIENCE, client.check_payouts(request)).await else { return };
    let released: Vec<_> = answer.into_inner().answers.into_iter().filter(|answer| answer.gate() == v1::Gate::Release).collect();
    programme.notes.lock().asked_barred += bars.len() as u64;
    programme.notes.lock().released += released.len() as u64;
    for answer in released {
        if let Some(Bar { why, since, .. }) = bars.get(&answer.reward_id) {
            let (reward, name, ago) = (&answer.reward_id, &run.cluster.replicas[replica].name, since.elapsed());
            run.found(format!("{}: replica {name} released {reward}, {ago:?} after {why} was acknowledged", programme.id));
        }
    }
}
