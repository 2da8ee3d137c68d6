//! Promise 6: the features that a server decides by are those that training sees, bit for bit. A simulated history of two programmes goes through
//! the gRPC server, event by event at its own time, and through offline replay; every feature of every conversion is compared as bits. The shipped
//! model decides on the server, so its verdicts and the reviewers' after them are part of both histories.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use parking_lot::Mutex;
use selfsame::adapters::embedded;
use selfsame::adapters::journal::JournalOptions;
use selfsame::adapters::model_shelf::ModelShelf;
use selfsame::adapters::model_store::ModelStore;
use selfsame::adapters::policy_file;
use selfsame::adapters::policy_store::FixedPolicy;
use selfsame::adapters::standing_rules::StandingRules;
use selfsame::book::command::Assessor;
use selfsame::book::directory::Stage;
use selfsame::book::terms::{Own, ProgramTerms};
use selfsame::ledger::LedgerOptions;
use selfsame::offline::replay::{LabelRule, Recorder, replay};
use selfsame::offline::simulator::labeled_line::{labeled_line, simulation_digester};
use selfsame::offline::simulator::library::{Library, Wanted};
use selfsame::offline::simulator::people::People;
use selfsame::ports::clock::Clock;
use selfsame::ports::ledger::Ledger;
use selfsame::screening::audit::AuditKey;
use selfsame::screening::decision::Decision;
use selfsame::screening::features::FEATURE_COUNT;
use selfsame::screening::history::History;
use selfsame::service::first_start::register;
use selfsame::service::limits::Limits;
use selfsame::service::listener::Connections;
use selfsame::service::server::{ServerParts, serve};
use selfsame::vocabulary::conversion::Conversion;
use selfsame::vocabulary::ids::ProgramId;
use selfsame::vocabulary::time::{Span, Timestamp};
use selfsame::wire::credentials::Credentials;
use selfsame::wire::training::parse;
use selfsame::wire::v1;
use tokio::net::TcpListener;
use tonic::transport::{Channel, Endpoint};

const PROGRAMS: [&str; 2] = ["north", "south"];
const CONVERSIONS_EACH: u64 = 250;
/// Every message arrives so long after what it tells of.
const ARRIVES_LATER_MILLIS: i64 = 5_000;

/// Programme and conversion.
type Key = (String, String);
/// The bits of each feature, in catalogue order.
type Bits = Vec<u64>;

struct SetClock(AtomicI64);

impl Clock for SetClock {
    fn now(&self) -> Timestamp {
        Timestamp::saturating_from_millis(self.0.load(Ordering::SeqCst))
    }
}

fn millis(time: &selfsame::wire::WireTimestamp) -> i64 {
    time.seconds * 1_000 + i64::from(time.nanos) / 1_000_000
}

fn key_of(conversion: &v1::Conversion) -> Key {
    (conversion.program_id.clone(), conversion.conversion_id.clone())
}

/// Months of two programmes with the same people in them; every tenth referrer was seen on the referee's device an hour before.
fn history() -> Vec<v1::LabeledConversion> {
    let (people, digester) = (People::embedded().unwrap(), simulation_digester().unwrap());
    let busy = "abusive_share = 0.3\npersona_absent = 0.0\nnever_sent = 0.0\n";
    let library = Library::embedded().unwrap().changed("parity.toml", busy).unwrap();
    let mut lines = Vec::new();
    for (program, seed) in PROGRAMS.into_iter().zip(1..) {
        let program = ProgramId::new(program).unwrap();
        let drawn = library.draw(&Wanted::ordinary(CONVERSIONS_EACH, seed), &people).unwrap();
        for simulated in drawn.into_iter().flat_map(|drawn| drawn.months) {
            lines.push(labeled_line(&simulated, &program, &digester).unwrap());
        }
    }
    for line in lines.iter_mut().step_by(10) {
        let sent = line.conversion.clone().unwrap();
        let (referrer, referee) = (sent.referrer.unwrap(), sent.referee.unwrap());
        let mut bundle = v1::SignalBundle { account_id: referrer.account_id, devices: referee.devices, ..Default::default() };
        bundle.devices.iter_mut().for_each(|device| device.seen_at = None);
        let hour_before = selfsame::wire::WireTimestamp { seconds: sent.occurred_at.unwrap().seconds - 3_600, nanos: 0 };
        line.signals_before.push(v1::RecordedSignals {
            record_id: format!("signals-{}", sent.conversion_id),
            bundles: vec![bundle],
            observed_at: Some(hour_before),
        });
    }
    lines
}

/// Takes something out of a line.
type Forget = fn(&mut v1::LabeledConversion);

fn millis_of(conversion: &v1::Conversion) -> i64 {
    millis(conversion.occurred_at.as_ref().unwrap())
}

/// What happens at a moment. In the order of one instant: signals, conversions, outcomes, reviews.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Moment {
    Signals(usize),
    Conversion,
    Outcome(usize),
    Review,
}

fn timeline(lines: &[v1::LabeledConversion]) -> Vec<(i64, Moment, usize)> {
    let mut moments = Vec::new();
    for (place, line) in lines.iter().enumerate() {
        let occurred_at = millis(line.conversion.as_ref().unwrap().occurred_at.as_ref().unwrap());
        moments.push((occurred_at, Moment::Conversion, place));
        for (entry, signals) in line.signals_before.iter().enumerate() {
            moments.push((millis(signals.observed_at.as_ref().unwrap()), Moment::Signals(entry), place));
        }
        for (entry, outcome) in line.outcomes.iter().enumerate() {
            moments.push((millis(outcome.occurred_at.as_ref().unwrap()).max(occurred_at), Moment::Outcome(entry), place));
        }
        if let Some(label) = line.labels.iter().max_by_key(|label| label.labeled_at.as_ref().map(millis)) {
            moments.push((millis(label.labeled_at.as_ref().unwrap()).max(occurred_at), Moment::Review, place));
        }
    }
    moments.sort_by_key(|(at, moment, place)| {
        let rank = match moment {
            Moment::Signals(_) => 0,
            Moment::Conversion => 1,
            Moment::Outcome(_) => 2,
            Moment::Review => 3,
        };
        (*at, rank, *place)
    });
    moments
}

struct Server {
    channel: Channel,
    clock: Arc<SetClock>,
    _folder: tempfile::TempDir,
}

impl Server {
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = Arc::new(SetClock(AtomicI64::new(0)));
        let policies = Arc::new(FixedPolicy::new(policy_file::shipped().unwrap()));
        let shelf = Arc::new(ModelShelf::default());
        let models = Arc::new(ModelStore::open(None, Arc::clone(&shelf), clock.now()).unwrap());
        let rules = StandingRules::new(Arc::clone(&policies) as _, shelf, Some(AuditKey::new([7; 32])));
        let (journal, options) = (JournalOptions::default(), LedgerOptions::default());
        let ledger = embedded::open(folder.path(), journal, options, Arc::new(rules)).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (ledger, limits): (Arc<dyn Ledger>, _) = (Arc::new(ledger), Limits::default());
        for program in PROGRAMS {
            register(&ledger, &*clock, program, Stage::Production).await.unwrap();
        }
        let parts =
            ServerParts { ledger, policies, clock: Arc::clone(&clock) as _, models, limits, connections: Connections::default() };
        tokio::spawn(serve(listener, parts, std::future::pending(), drop));
        let channel = Endpoint::from_shared(format!("http://{address}")).unwrap().connect().await.unwrap();
        Self { channel, clock, _folder: folder }
    }

    /// Sends everything at its time. The lines learn what was decided of them.
    async fn live_through(&self, lines: &mut [v1::LabeledConversion]) {
        let mut screening = v1::screening_service_client::ScreeningServiceClient::new(self.channel.clone());
        let mut review = v1::review_service_client::ReviewServiceClient::with_interceptor(
            self.channel.clone(),
            Credentials::name("rita").unwrap(),
        );
        for (at, moment, place) in timeline(lines) {
            self.clock.0.store(at + ARRIVES_LATER_MILLIS, Ordering::SeqCst);
            let line = &mut lines[place];
            let conversion = line.conversion.clone().unwrap();
            let program_id = conversion.program_id.clone();
            match moment {
                Moment::Signals(entry) => {
                    let v1::RecordedSignals { record_id, bundles, .. } = line.signals_before[entry].clone();
                    screening.record_signals(v1::RecordSignalsRequest { program_id, record_id, bundles }).await.unwrap();
                    // What is exported says when it was learned here.
                    line.signals_before[entry].observed_at.as_mut().unwrap().seconds += ARRIVES_LATER_MILLIS / 1_000;
                }
                Moment::Conversion => {
                    let request = v1::ScreenConversionRequest { conversion: Some(conversion) };
                    line.decision = screening.screen_conversion(request).await.unwrap().into_inner().decision;
                }
                Moment::Outcome(entry) => {
                    let subject = v1::outcome::Subject::ConversionId(conversion.conversion_id.clone());
                    let v1::LaterOutcome { kind, occurred_at } = line.outcomes[entry];
                    let outcome =
                        Some(v1::Outcome { kind, subject: Some(subject), occurred_at, amount: None, ..Default::default() });
                    let outcome_id = format!("{}.{entry}", conversion.conversion_id);
                    screening.record_outcome(v1::RecordOutcomeRequest { program_id, outcome_id, outcome }).await.unwrap();
                }
                Moment::Review => {
                    let case_id = line.decision.as_ref().unwrap().case_id.clone();
                    let label = line.labels.iter().max_by_key(|label| label.labeled_at.as_ref().map(millis)).unwrap();
                    let resolution = match label.truth() {
                        v1::Truth::Honest => v1::Resolution::Accept,
                        v1::Truth::Abusive | v1::Truth::Unspecified => v1::Resolution::Reject,
                    };
                    let mut ruled = false;
                    if !case_id.is_empty() {
                        let request =
                            v1::ResolveCaseRequest { program_id, case_id, resolution: resolution.into(), ..Default::default() };
                        // The machine may have closed it by itself, because of what it learned meanwhile.
                        match review.resolve_case(request).await {
                            Ok(_) => ruled = true,
                            Err(refused) => assert_eq!(refused.code(), tonic::Code::FailedPrecondition, "{refused}"),
                        }
                    }
                    // Replay takes the simulator's label for a reviewer's ruling; here there was none.
                    if !ruled {
                        line.labels.clear();
                    }
                }
            }
        }
    }

    /// What the server exports of the programmes, as training reads it.
    async fn exported(&self) -> Vec<v1::LabeledConversion> {
        let mut training = v1::training_service_client::TrainingServiceClient::new(self.channel.clone());
        let mut lines = Vec::new();
        for program in PROGRAMS {
            let request = v1::ExportConversionsRequest { program_id: program.to_owned(), after_cursor: String::new() };
            let mut parts = training.export_conversions(request).await.unwrap().into_inner();
            while let Some(part) = parts.message().await.unwrap() {
                lines.extend(part.conversion);
            }
        }
        lines
    }

    /// The features of every conversion as the server shows them.
    async fn features(&self, lines: &[v1::LabeledConversion]) -> BTreeMap<Key, Bits> {
        let mut screening = v1::screening_service_client::ScreeningServiceClient::new(self.channel.clone());
        let mut features = BTreeMap::new();
        for line in lines {
            let (program_id, conversion_id) = key_of(line.conversion.as_ref().unwrap());
            let request = v1::GetDecisionRequest {
                program_id: program_id.clone(),
                conversion_id: conversion_id.clone(),
                view: Some(v1::DecisionView::Full.into()),
            };
            let shown = screening.get_decision(request).await.unwrap().into_inner().features;
            features.insert((program_id, conversion_id), shown.iter().map(|feature| feature.value.to_bits()).collect());
        }
        features
    }
}

/// The recorder of replay, with what it saw of every conversion, labelled or not.
struct Remembering {
    recorder: Arc<Recorder>,
    seen: Mutex<BTreeMap<Key, Bits>>,
}

impl Assessor for Remembering {
    fn assess(&self, conversion: &Conversion, history: &History, own: Own<'_>, now: Timestamp) -> Decision {
        let decision = self.recorder.assess(conversion, history, own, now);
        let bits = decision.features().values().iter().map(|value| value.to_bits()).collect();
        self.seen.lock().insert((conversion.program_id.to_string(), conversion.conversion_id.to_string()), bits);
        decision
    }

    fn assess_again(&self, conversion: &Conversion, history: &History, own: Own<'_>, now: Timestamp) -> Decision {
        self.recorder.assess_again(conversion, history, own, now)
    }

    fn due_after(&self, program: &ProgramId, terms: &ProgramTerms) -> Span {
        self.recorder.due_after(program, terms)
    }

    fn payout(&self, program: &ProgramId, terms: &ProgramTerms) -> selfsame::screening::policy::PayoutPolicy {
        self.recorder.payout(program, terms)
    }
}

/// The features of every conversion as training sees them.
fn replayed(lines: &[v1::LabeledConversion]) -> BTreeMap<Key, Bits> {
    let lines = lines.iter().map(|line| parse(line.clone()).unwrap());
    let recorder = Recorder::new(policy_file::shipped().unwrap());
    let remembering = Arc::new(Remembering { recorder: Arc::clone(&recorder), seen: Mutex::default() });
    replay(lines, &*remembering, &recorder, &LabelRule::default()).unwrap();
    std::mem::take(&mut *remembering.seen.lock())
}

/// The conversions whose features differ.
fn differing<'a>(live: &'a BTreeMap<Key, Bits>, offline: &BTreeMap<Key, Bits>) -> Vec<&'a Key> {
    live.iter().filter(|(key, bits)| offline.get(*key) != Some(*bits)).map(|(key, _)| key).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn online_features_equal_offline_features_bit_for_bit_and_the_comparison_can_fail() {
    let server = Server::start().await;
    let mut lines = history();
    server.live_through(&mut lines).await;
    let live = server.features(&lines).await;
    assert_eq!(live.len() as u64, 2 * CONVERSIONS_EACH);
    assert!(live.values().all(|bits| bits.len() == FEATURE_COUNT));
    let (reviewed, outcomes) = lines.iter().fold((0, 0), |(reviewed, outcomes), line| {
        let in_review = line.decision.as_ref().unwrap().screened_verdict() == v1::Verdict::InReview;
        (reviewed + usize::from(in_review), outcomes + line.outcomes.len())
    });
    assert!(reviewed > 50 && outcomes > 5, "{reviewed} reviews and {outcomes} outcomes: too quiet a history to tell anything");

    // What the server exports leads back to the same features: a model is trained on what it will see.
    let exported = server.exported().await;
    assert_eq!(exported.len(), lines.len());
    assert_eq!(differing(&live, &replayed(&exported)), Vec::<&Key>::new());

    // What the machine said when it looked again only the server knows; with it, what was sent leads to the same features too.
    let mut later: BTreeMap<Key, Vec<v1::LaterVerdict>> =
        exported.into_iter().map(|line| (key_of(line.conversion.as_ref().unwrap()), line.later_verdicts)).collect();
    for line in &mut lines {
        line.later_verdicts = later.remove(&key_of(line.conversion.as_ref().unwrap())).unwrap();
    }
    let looked_again: usize = lines.iter().map(|line| line.later_verdicts.len()).sum();
    assert!(looked_again > 5, "{looked_again} later verdicts: too quiet a history to tell anything");
    assert_eq!(differing(&live, &replayed(&lines)), Vec::<&Key>::new());

    // The smallest purchase that earns is another for one conversion: its features differ.
    let paid = lines.iter().position(|line| line.conversion.as_ref().is_some_and(|sent| sent.value.is_some())).unwrap();
    let mut altered = lines.clone();
    let sent = altered[paid].conversion.as_mut().unwrap();
    sent.minimum_purchase = if sent.minimum_purchase.is_none() { sent.value.clone() } else { None };
    assert!(differing(&live, &replayed(&altered)).contains(&&key_of(lines[paid].conversion.as_ref().unwrap())));
    // What happened between conversions matters too: without it, later conversions look different.
    let (signals, labels): (Forget, Forget) = (|line| line.signals_before.clear(), |line| line.labels.clear());
    for forget in [signals, labels] {
        let mut altered = lines.clone();
        altered.iter_mut().for_each(forget);
        assert_ne!(differing(&live, &replayed(&altered)), Vec::<&Key>::new());
    }
    // So does a chargeback that nobody told of: who refers again is seen with it.
    let sent = |place: usize| lines[place].conversion.as_ref().unwrap();
    let brought = |place: usize| (sent(place).program_id.clone(), sent(place).referrer.as_ref().unwrap().account_id.clone());
    let again = (1..lines.len()).find_map(|later| {
        let before = (0..later)
            .find(|before| brought(*before) == brought(later) && millis_of(sent(*before)) + 60_000 < millis_of(sent(later)))?;
        (sent(before).referee != sent(later).referee).then_some((before, later))
    });
    let (before, later) = again.expect("somebody refers twice");
    let mut altered = lines.clone();
    let occurred_at = sent(before).occurred_at;
    altered[before].outcomes.push(v1::LaterOutcome { kind: v1::OutcomeKind::Chargeback.into(), occurred_at });
    assert!(differing(&live, &replayed(&altered)).contains(&&key_of(sent(later))));
}
