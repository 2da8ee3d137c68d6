//! Calls: each sends a fact with an id of its own, asks another replica with the same id for as long as nobody answers, and notes what was told.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use selfsame::offline::load::generator::{Dice, Traffic, TrafficShape, Walk};
use selfsame::wire::credentials::Credentials;
use selfsame::wire::v1;
use selfsame::wire::v1::payout_service_client::PayoutServiceClient;
use selfsame::wire::v1::review_service_client::ReviewServiceClient;
use selfsame::wire::v1::screening_service_client::ScreeningServiceClient;
use tokio::sync::watch;
use tonic::transport::Channel;
use tonic::{Code, Response, Status};
use tonic_types::StatusExt as _;

use crate::cluster::{Cluster, REPLICAS};
use crate::proving::conversion_of;

/// How long one replica is waited for before another is asked.
const ATTEMPT_MAX: Duration = Duration::from_secs(3);
/// How long a caller asks before it gives up: what it sent is unknown then.
pub(crate) const PATIENCE: Duration = Duration::from_secs(6);

/// A request, and the cursor that was answered; absent while nobody has answered.
pub(crate) type Told<T> = (T, Option<String>);

/// What keeps a reward from being released from the moment on at which somebody was told of it.
#[derive(Clone)]
pub(crate) struct Bar {
    pub(crate) conversion_id: String,
    pub(crate) reward_id: String,
    pub(crate) why: &'static str,
    pub(crate) since: Instant,
}

/// What callers of one programme have sent, and what they were told.
#[derive(Default)]
pub(crate) struct Notes {
    pub(crate) sent: BTreeSet<u64>,
    /// By conversion.
    pub(crate) decided: BTreeMap<String, (u64, v1::Decision)>,
    pub(crate) signals: BTreeMap<String, Told<v1::RecordSignalsRequest>>,
    pub(crate) outcomes: BTreeMap<String, Told<v1::RecordOutcomeRequest>>,
    /// By request, with the conversion and whether it is done.
    pub(crate) resolved: BTreeMap<String, (v1::ResolveCaseRequest, String, bool)>,
    pub(crate) reserved: BTreeMap<String, (v1::ReservePayoutsRequest, bool)>,
    /// By reward.
    pub(crate) paid: BTreeMap<String, Told<v1::MarkPaidRequest>>,
    pub(crate) bars: Vec<Bar>,
    /// How often the gate released, and how often it was asked about what is barred.
    pub(crate) released: u64,
    pub(crate) asked_barred: u64,
    /// Calls that were asked at more than one replica, and calls that were given up.
    pub(crate) asked_again: u64,
    pub(crate) given_up: u64,
}

/// A programme, its traffic, and the notes of its callers.
pub(crate) struct Programme {
    pub(crate) id: String,
    traffic: Traffic,
    pub(crate) next_index: AtomicU64,
    pub(crate) notes: Mutex<Notes>,
}

impl Programme {
    pub(crate) fn new(id: &str, seed: u64) -> Self {
        let traffic = Traffic::new(TrafficShape::with_known_values(id, 2_000, seed), Walk::Measuring);
        Self { id: id.to_owned(), traffic, next_index: AtomicU64::new(0), notes: Mutex::default() }
    }

    pub(crate) fn conversion(&self, index: u64) -> v1::Conversion {
        conversion_of(&self.traffic, index)
    }

    pub(crate) fn reward_of(&self, index: u64) -> String {
        self.traffic.conversion(index).rewards[0].reward_id.clone()
    }

    /// One of the conversions that were decided, with its number.
    pub(crate) fn some_decision(&self, dice: &mut Dice) -> Option<(u64, v1::Decision)> {
        let notes = self.notes.lock();
        let at = usize::try_from(dice.below(notes.decided.len() as u64)).unwrap();
        notes.decided.values().nth(at).cloned()
    }

    pub(crate) fn bar(&self, index: u64, why: &'static str) {
        let conversion = self.traffic.conversion(index);
        let reward_id = conversion.rewards[0].reward_id.clone();
        let bar = Bar { conversion_id: conversion.conversion_id, reward_id, why, since: Instant::now() };
        self.notes.lock().bars.push(bar);
    }

    /// The bars by conversion of which was told before now.
    pub(crate) fn bars_of(&self, conversion_ids: &BTreeSet<String>) -> BTreeMap<String, Bar> {
        let notes = self.notes.lock();
        let of = |bar: &&Bar| conversion_ids.contains(&bar.conversion_id);
        notes.bars.iter().filter(of).map(|bar| (bar.conversion_id.clone(), bar.clone())).collect()
    }
}

/// What came of a call in the end.
pub(crate) enum Said<T> {
    Answer(T),
    Refused(Status),
    Unknown,
}

/// One run of the proof.
pub(crate) struct Run {
    pub(crate) cluster: Cluster,
    pub(crate) programmes: Vec<Programme>,
    /// What must not be.
    pub(crate) findings: Mutex<Vec<String>>,
    pub(crate) over: watch::Sender<bool>,
}

impl Run {
    pub(crate) fn found(&self, finding: String) {
        eprintln!("found: {finding}");
        self.findings.lock().push(finding);
    }

    pub(crate) fn is_over(&self) -> bool {
        *self.over.borrow()
    }

    /// Asks replicas in turn until one has said something.
    pub(crate) async fn ask<T, F>(
        &self,
        programme: &Programme,
        first: u64,
        patience: Duration,
        ask: impl Fn(Channel) -> F,
    ) -> Said<T>
    where
        F: Future<Output = Result<Response<T>, Status>>,
    {
        let (began, first) = (Instant::now(), usize::try_from(first).unwrap());
        for attempt in 0.. {
            let asked = ask(self.cluster.replicas[(first + attempt) % REPLICAS].channel());
            match tokio::time::timeout(ATTEMPT_MAX, asked).await {
                Ok(Ok(answer)) => return Said::Answer(answer.into_inner()),
                Ok(Err(status)) if !may_pass(&status) => return Said::Refused(status),
                Ok(Err(_)) | Err(_) => {}
            }
            programme.notes.lock().asked_again += u64::from(attempt == 0);
            if began.elapsed() > patience {
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        programme.notes.lock().given_up += 1;
        Said::Unknown
    }

    /// As [`Run::ask`], where no refusal is right.
    async fn ask_surely<T, F>(&self, programme: &Programme, what: &str, first: u64, ask: impl Fn(Channel) -> F) -> Option<T>
    where
        F: Future<Output = Result<Response<T>, Status>>,
    {
        match self.ask(programme, first, PATIENCE, ask).await {
            Said::Answer(answer) => Some(answer),
            Said::Refused(status) => {
                self.found(format!("{}: {what} was refused: {status}", programme.id));
                None
            }
            Said::Unknown => None,
        }
    }

    /// Screens one conversion, new or sent before. Returns whether it was answered.
    pub(crate) async fn screen(&self, programme: &Programme, index: u64, first: u64) -> bool {
        programme.notes.lock().sent.insert(index);
        let request = v1::ScreenConversionRequest { conversion: Some(programme.conversion(index)) };
        let ask = |channel| {
            screening(channel, request.clone(), |mut client, request| async move { client.screen_conversion(request).await })
        };
        let Some(answer) = self.ask_surely(programme, "a conversion", first, ask).await else { return false };
        let decision = answer.decision.unwrap();
        programme.notes.lock().decided.insert(decision.conversion_id.clone(), (index, decision));
        true
    }

    /// Screens a conversion that nobody has sent yet.
    pub(crate) async fn screen_next(&self, programme: &Programme, first: u64) -> bool {
        let index = programme.next_index.fetch_add(1, Ordering::Relaxed);
        self.screen(programme, index, first).await
    }

    pub(crate) async fn record_signals(&self, programme: &Programme, request: v1::RecordSignalsRequest, first: u64) -> bool {
        let id = request.record_id.clone();
        programme.notes.lock().signals.entry(id.clone()).or_insert_with(|| (request.clone(), None));
        let ask = |channel| {
            screening(channel, request.clone(), |mut client, request| async move { client.record_signals(request).await })
        };
        let Some(answer) = self.ask_surely(programme, "signals", first, ask).await else { return false };
        programme.notes.lock().signals.insert(id, (request, Some(answer.cursor)));
        true
    }

    pub(crate) async fn record_outcome(&self, programme: &Programme, request: v1::RecordOutcomeRequest, first: u64) -> bool {
        let id = request.outcome_id.clone();
        programme.notes.lock().outcomes.entry(id.clone()).or_insert_with(|| (request.clone(), None));
        let ask = |channel| {
            screening(channel, request.clone(), |mut client, request| async move { client.record_outcome(request).await })
        };
        let Some(answer) = self.ask_surely(programme, "an outcome", first, ask).await else { return false };
        programme.notes.lock().outcomes.insert(id, (request, Some(answer.cursor)));
        true
    }

    /// Resolves a case. Only what came in meanwhile may stand against it; what this caller did before may not.
    pub(crate) async fn resolve(
        &self,
        programme: &Programme,
        request: v1::ResolveCaseRequest,
        conversion: String,
        first: u64,
    ) -> bool {
        let id = request.request_id.clone();
        programme.notes.lock().resolved.entry(id.clone()).or_insert_with(|| (request.clone(), conversion.clone(), false));
        let ask = |channel: Channel| {
            let (mut client, request) =
                (ReviewServiceClient::with_interceptor(channel, Credentials::name("rita").unwrap()), request.clone());
            async move { client.resolve_case(request).await }
        };
        match self.ask(programme, first, PATIENCE, ask).await {
            Said::Answer(_) => {
                programme.notes.lock().resolved.insert(id, (request, conversion, true));
                true
            }
            Said::Refused(status) => {
                programme.notes.lock().resolved.remove(&id);
                if reason_of(&status) == "CASE_ALREADY_RESOLVED" || status.code() != Code::FailedPrecondition {
                    self.found(format!("{}: the only reviewer was refused at {conversion}: {status}", programme.id));
                }
                false
            }
            Said::Unknown => false,
        }
    }

    pub(crate) async fn reserve(
        &self,
        programme: &Programme,
        request: v1::ReservePayoutsRequest,
        first: u64,
    ) -> Option<Vec<v1::ReserveAnswer>> {
        let id = request.request_id.clone();
        programme.notes.lock().reserved.entry(id.clone()).or_insert_with(|| (request.clone(), false));
        let ask = |channel| {
            payout(channel, request.clone(), |mut client, request| async move { client.reserve_payouts(request).await })
        };
        let answer = self.ask_surely(programme, "a reservation", first, ask).await?;
        programme.notes.lock().reserved.insert(id, (request, true));
        Some(answer.answers)
    }

    pub(crate) async fn mark_paid(&self, programme: &Programme, request: v1::MarkPaidRequest, first: u64) -> bool {
        let id = request.reward_id.clone();
        programme.notes.lock().paid.entry(id.clone()).or_insert_with(|| (request.clone(), None));
        let ask =
            |channel| payout(channel, request.clone(), |mut client, request| async move { client.mark_paid(request).await });
        let Some(answer) = self.ask_surely(programme, "a payment", first, ask).await else { return false };
        programme.notes.lock().paid.insert(id, (request, Some(answer.cursor)));
        true
    }
}

fn screening<R, F>(channel: Channel, request: R, call: impl Fn(ScreeningServiceClient<Channel>, R) -> F) -> F {
    call(ScreeningServiceClient::new(channel), request)
}

fn payout<R, F>(channel: Channel, request: R, call: impl Fn(PayoutServiceClient<Channel>, R) -> F) -> F {
    call(PayoutServiceClient::new(channel), request)
}

fn reason_of(status: &Status) -> String {
    status.get_error_details().error_info().map(|info| info.reason.clone()).unwrap_or_default()
}

/// Whether a caller asks again: nobody has answered, or whoever did says that it may pass.
fn may_pass(status: &Status) -> bool {
    match &*reason_of(status) {
        // The connection's own words.
        "" => true,
        "LEDGER_UNAVAILABLE" | "HELD_ELSEWHERE" | "SHUTTING_DOWN" | "DEADLINE_EXCEEDED" | "LEDGER_BUSY" | "SERVER_BUSY"
        | "TOO_MANY_STREAMS" => true,
        _ => false,
    }
}
