//! Proof by crash: the real server is killed with SIGKILL under load, again and again, on one folder. After each restart everything that
//! was acknowledged is there, nothing is half written, the feed has neither gap nor reorder, and repeated requests answer the same.
//!
//! `SELFSAME_CRASH_ROUNDS` sets the number of kills (default 6), `SELFSAME_CRASH_SEED` the seed; a failing run prints its seed.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::print_stdout,
    reason = "a test fails by panicking, and says what it did"
)]

#[path = "support/proving.rs"]
mod proving;
mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use proving::{as_screened, from_env};
use selfsame::book::cursor::FeedCursor;
use selfsame::offline::load::generator::{Dice, Traffic, TrafficShape, Walk};
use selfsame::wire::credentials::Credentials;
use selfsame::wire::v1;
use selfsame::wire::v1::payout_service_client::PayoutServiceClient;
use selfsame::wire::v1::review_service_client::ReviewServiceClient;
use selfsame::wire::v1::screening_service_client::ScreeningServiceClient;
use support::Server;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tonic::transport::Channel;

const PROGRAM: &str = "shop";
/// Callers that screen at the same time.
const SCREENERS: usize = 24;
/// Acknowledged conversions whose retry is checked after each restart.
const RETRIES_CHECKED: usize = 100;

/// What callers were told, and so may rely on.
#[derive(Default)]
struct Book {
    /// By conversion id.
    decided: BTreeMap<String, (u64, v1::Decision)>,
    /// Conversions that were sent; the answer may have been lost.
    sent: BTreeSet<u64>,
    /// By case id, with the resolution and the conversion.
    resolved: BTreeMap<String, (v1::Resolution, String)>,
    /// By reward id, with the conversion and the cursor.
    paid: BTreeMap<String, (String, String)>,
    /// Events that a follower saw, in order.
    watched: Vec<v1::FeedEvent>,
    /// Up to where a follower saw; empty before everything.
    watched_cursor: String,
}

struct Run {
    traffic: Traffic,
    book: Mutex<Book>,
    next_index: AtomicU64,
    acknowledged: watch::Sender<u64>,
}

impl Run {
    fn conversion(&self, index: u64) -> v1::Conversion {
        proving::conversion_of(&self.traffic, index)
    }

    fn acknowledge(&self) {
        self.acknowledged.send_modify(|count| *count += 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_at_any_moment_the_server_keeps_all_that_it_acknowledged() {
    let rounds = from_env("SELFSAME_CRASH_ROUNDS").unwrap_or(6);
    let seed = from_env("SELFSAME_CRASH_SEED").unwrap_or(20_261_121);
    println!("seed {seed}, {rounds} rounds; repeat with SELFSAME_CRASH_SEED={seed}");
    let scratch = tempfile::tempdir().unwrap();
    let folder = scratch.path().join("ledger");
    let shape = TrafficShape::with_known_values(PROGRAM, 2_000, seed);
    let run = Arc::new(Run {
        traffic: Traffic::new(shape, Walk::Measuring),
        book: Mutex::new(Book::default()),
        next_index: AtomicU64::new(0),
        acknowledged: watch::Sender::new(0),
    });
    let mut dice = Dice::new(seed, 0);
    for round in 0..rounds {
        let mut server = Server::start(&folder).await;
        verify(&run, server.channel().await, &mut dice).await;
        work_until_killed(&run, &mut server, &mut dice).await;
        let told = run.book.lock().decided.len();
        println!("round {round}: {told} decisions acknowledged so far");
    }
    let server = Server::start(&folder).await;
    verify(&run, server.channel().await, &mut dice).await;
    assert_no_panic(&folder);
    let book = run.book.lock();
    assert!(book.decided.len() as u64 > rounds * 20, "only {} decisions: the test did not test", book.decided.len());
    assert!(!book.resolved.is_empty() && !book.paid.is_empty() && !book.watched.is_empty());
}

fn assert_no_panic(folder: &Path) {
    let log = support::log_text(folder);
    assert!(!log.contains("panicked"), "the server panicked:\n{log}");
}

/// Lets callers work and kills the server once it has acknowledged a drawn number of requests, at a drawn moment after that.
async fn work_until_killed(run: &Arc<Run>, server: &mut Server, dice: &mut Dice) {
    let mut acknowledged = run.acknowledged.subscribe();
    let enough = *acknowledged.borrow_and_update() + 50 + dice.below(1_500);
    let mut workers = JoinSet::new();
    for _ in 0..SCREENERS {
        workers.spawn(screen(Arc::clone(run), server.channel().await));
    }
    workers.spawn(review(Arc::clone(run), server.channel().await));
    workers.spawn(pay(Arc::clone(run), server.channel().await, dice.next_u64()));
    workers.spawn(follow(Arc::clone(run), server.channel().await));
    let enough = acknowledged.wait_for(|count| *count >= enough);
    let all_stopped = async { while workers.join_next().await.is_some() {} };
    tokio::select! {
        reached = enough => drop(reached.unwrap()),
        () = all_stopped => panic!("all callers were refused before the kill; {}", server.state()),
    }
    tokio::time::sleep(Duration::from_micros(dice.below(3_000))).await;
    server.kill();
    while let Some(ended) = workers.join_next().await {
        ended.unwrap();
    }
}

/// Screens new conversions until the connection breaks.
async fn screen(run: Arc<Run>, channel: Channel) {
    let mut client = ScreeningServiceClient::new(channel);
    loop {
        let index = run.next_index.fetch_add(1, Ordering::Relaxed);
        run.book.lock().sent.insert(index);
        let request = v1::ScreenConversionRequest { conversion: Some(run.conversion(index)) };
        let Ok(answer) = client.screen_conversion(request).await else { return };
        let decision = answer.into_inner().decision.unwrap();
        run.book.lock().decided.insert(decision.conversion_id.clone(), (index, decision));
        run.acknowledge();
    }
}

/// Claims and resolves open cases until the connection breaks.
async fn review(run: Arc<Run>, channel: Channel) {
    let mut client = ReviewServiceClient::with_interceptor(channel, Credentials::name("rita").unwrap());
    let mut turn = 0_u32;
    loop {
        let open = v1::ListCasesRequest {
            program_id: PROGRAM.to_owned(),
            states: vec![v1::CaseState::Open.into()],
            page_size: 1,
            ..v1::ListCasesRequest::default()
        };
        let Ok(page) = client.list_cases(open).await else { return };
        let Some(case) = page.into_inner().cases.pop() else {
            tokio::task::yield_now().await;
            continue;
        };
        turn += 1;
        let resolution = if turn.is_multiple_of(2) { v1::Resolution::Accept } else { v1::Resolution::Reject };
        let request = v1::ResolveCaseRequest {
            program_id: PROGRAM.to_owned(),
            case_id: case.case_id.clone(),
            resolution: resolution.into(),
            reason_code: "checked".to_owned(),
            note: String::new(),
            expected_revision: None,
            ..Default::default()
        };
        if client.resolve_case(request).await.is_err() {
            return;
        }
        run.book.lock().resolved.insert(case.case_id, (resolution, case.conversion_id));
        run.acknowledge();
    }
}

/// Reports rewards as paid until the connection breaks.
async fn pay(run: Arc<Run>, channel: Channel, seed: u64) {
    let mut client = PayoutServiceClient::new(channel);
    let mut dice = Dice::new(seed, 1);
    loop {
        let drawn = {
            let book = run.book.lock();
            let at = usize::try_from(dice.below(book.decided.len() as u64)).unwrap();
            book.decided.iter().nth(at).map(|(id, (index, _))| (id.clone(), *index))
        };
        let Some((conversion_id, index)) = drawn else {
            tokio::task::yield_now().await;
            continue;
        };
        let reward_id = run.conversion(index).rewards[0].reward_id.clone();
        let request = mark_paid(&reward_id, &conversion_id);
        let Ok(answer) = client.mark_paid(request).await else { return };
        let cursor = answer.into_inner().cursor;
        run.book.lock().paid.entry(reward_id).or_insert((conversion_id, cursor));
        run.acknowledge();
    }
}

fn mark_paid(reward_id: &str, conversion_id: &str) -> v1::MarkPaidRequest {
    v1::MarkPaidRequest {
        program_id: PROGRAM.to_owned(),
        reward_id: reward_id.to_owned(),
        conversion_id: conversion_id.to_owned(),
        paid_at: Some(selfsame::wire::WireTimestamp { seconds: 1_790_000_000, nanos: 0 }),
        amount: None,
        ..Default::default()
    }
}

/// Follows the feed until the connection breaks. What it shows must be durable already.
async fn follow(run: Arc<Run>, channel: Channel) {
    let mut client = PayoutServiceClient::new(channel);
    let after_cursor = run.book.lock().watched_cursor.clone();
    let mut stream = match client.watch_decisions(watch(after_cursor, v1::WatchMode::Follow)).await {
        Ok(stream) => stream.into_inner(),
        Err(status) => {
            assert_ne!(status.code(), tonic::Code::OutOfRange, "what was shown was not durable: {status}");
            return;
        }
    };
    while let Ok(Some(message)) = stream.message().await {
        let mut book = run.book.lock();
        let went_back = place_of(&message.cursor) < place_of(&book.watched_cursor);
        assert!(!went_back, "the feed went back from {} to {}", book.watched_cursor, message.cursor);
        book.watched_cursor = message.cursor;
        book.watched.extend(message.events);
    }
}

fn watch(after_cursor: String, mode: v1::WatchMode) -> v1::WatchDecisionsRequest {
    v1::WatchDecisionsRequest {
        program_id: PROGRAM.to_owned(),
        after_cursor,
        mode: Some(mode.into()),
        ..v1::WatchDecisionsRequest::default()
    }
}

/// All that must hold after a restart, before anything new is sent.
async fn verify(run: &Run, channel: Channel, dice: &mut Dice) {
    let feed = whole_feed(PayoutServiceClient::new(channel.clone())).await;
    let known = verify_decisions(run, ScreeningServiceClient::new(channel.clone()), &feed).await;
    verify_cases(run, ReviewServiceClient::new(channel.clone()), &known).await;
    verify_paid(run, PayoutServiceClient::new(channel.clone()), &feed).await;
    verify_feed(run, &feed);
    verify_retries(run, ScreeningServiceClient::new(channel), dice).await;
}

/// The place of a cursor; 0 of none.
fn place_of(cursor: &str) -> u64 {
    if cursor.is_empty() { 0 } else { cursor.parse::<FeedCursor>().unwrap().place.0 }
}

/// The feed from its beginning to its end, with strictly ascending cursors of messages.
async fn whole_feed(mut client: PayoutServiceClient<Channel>) -> Vec<v1::FeedEvent> {
    let mut stream = match client.watch_decisions(watch(String::new(), v1::WatchMode::StopAtEnd)).await {
        Ok(stream) => stream.into_inner(),
        // Before the first conversion there is no such programme.
        Err(status) if status.code() == tonic::Code::NotFound => return Vec::new(),
        Err(status) => panic!("the feed cannot be read: {status}"),
    };
    let mut events: Vec<v1::FeedEvent> = Vec::new();
    while let Some(message) = stream.message().await.unwrap() {
        for event in message.events {
            let last = events.last().map_or(0, |last| place_of(&last.cursor));
            assert!(place_of(&event.cursor) >= last, "the feed is out of order: {} after {last}", event.cursor);
            events.push(event);
        }
    }
    events
}

/// Every acknowledged decision is there as it was told, and a conversion is in the feed if and only if it is decided. Returns what is decided.
async fn verify_decisions(
    run: &Run,
    mut client: ScreeningServiceClient<Channel>,
    feed: &[v1::FeedEvent],
) -> BTreeMap<String, v1::Decision> {
    let mut in_feed = BTreeMap::new();
    for event in feed.iter().filter(|event| event.kind() == v1::FeedEventKind::Decided) {
        let twice = in_feed.insert(event.conversion_id.clone(), event.cursor.clone());
        assert_eq!(twice, None, "{} is in the feed twice", event.conversion_id);
    }
    let sent: Vec<u64> = run.book.lock().sent.iter().copied().collect();
    let mut known = BTreeMap::new();
    for index in sent {
        let conversion_id = run.conversion(index).conversion_id;
        let told = run.book.lock().decided.get(&conversion_id).map(|(_, decision)| decision.clone());
        let now = decision_of(&mut client, &conversion_id).await;
        let cursor_in_feed = in_feed.remove(&conversion_id);
        match (told, now) {
            (Some(told), Some(now)) => {
                assert_eq!(as_screened(&told), as_screened(&now));
                assert_eq!(cursor_in_feed.as_ref(), Some(&now.cursor), "{conversion_id} is missing in the feed");
                known.insert(conversion_id, now);
            }
            (Some(_), None) => panic!("{conversion_id} was acknowledged and is lost"),
            (None, Some(now)) => {
                assert_eq!(
                    cursor_in_feed.as_ref(),
                    Some(&now.cursor),
                    "{conversion_id} is half written: decided, not in the feed"
                );
                known.insert(conversion_id, now);
            }
            (None, None) => assert_eq!(cursor_in_feed, None, "{conversion_id} is half written: in the feed, not decided"),
        }
    }
    assert!(in_feed.is_empty(), "the feed tells of what nobody sent: {in_feed:?}");
    known
}

async fn decision_of(client: &mut ScreeningServiceClient<Channel>, conversion_id: &str) -> Option<v1::Decision> {
    let request = v1::GetDecisionRequest {
        program_id: PROGRAM.to_owned(),
        conversion_id: conversion_id.to_owned(),
        ..v1::GetDecisionRequest::default()
    };
    match client.get_decision(request).await {
        Ok(answer) => answer.into_inner().decision,
        Err(status) if status.code() == tonic::Code::NotFound => None,
        Err(status) => panic!("{conversion_id} cannot be read: {status}"),
    }
}

/// Every decision that went to review has its case, every case its decision, and every acknowledged resolution stands.
async fn verify_cases(run: &Run, mut client: ReviewServiceClient<Channel>, known: &BTreeMap<String, v1::Decision>) {
    let mut cases = BTreeMap::new();
    let mut page_token = String::new();
    while !known.is_empty() {
        let request = v1::ListCasesRequest {
            program_id: PROGRAM.to_owned(),
            states: vec![v1::CaseState::Open.into(), v1::CaseState::Claimed.into(), v1::CaseState::Resolved.into()],
            page_size: 200,
            page_token,
            ..v1::ListCasesRequest::default()
        };
        let page = client.list_cases(request).await.unwrap().into_inner();
        cases.extend(page.cases.into_iter().map(|case| (case.case_id.clone(), case)));
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    let with_case: BTreeMap<&String, &String> =
        known.values().filter(|decision| !decision.case_id.is_empty()).map(|d| (&d.case_id, &d.conversion_id)).collect();
    let listed: BTreeMap<&String, &String> = cases.iter().map(|(id, case)| (id, &case.conversion_id)).collect();
    assert_eq!(with_case, listed, "decisions and cases do not match");
    for decision in known.values().filter(|decision| decision.screened_verdict() == v1::Verdict::InReview) {
        assert!(!decision.case_id.is_empty(), "{} went to review without a case", decision.conversion_id);
    }
    for (case_id, (resolution, conversion_id)) in &run.book.lock().resolved {
        let case = &cases[case_id];
        assert_eq!((case.state(), case.resolution()), (v1::CaseState::Resolved, *resolution), "{conversion_id}");
        let verdict = match resolution {
            v1::Resolution::Accept => v1::Verdict::Approved,
            v1::Resolution::Reject | v1::Resolution::Unspecified => v1::Verdict::Rejected,
        };
        assert_eq!(known[conversion_id].verdict(), verdict, "{conversion_id}");
    }
}

/// Every reward that was reported as paid is paid, once, and the gate does not pay it again.
async fn verify_paid(run: &Run, mut client: PayoutServiceClient<Channel>, feed: &[v1::FeedEvent]) {
    let in_feed: BTreeMap<&str, &String> = feed
        .iter()
        .filter(|event| event.kind() == v1::FeedEventKind::Paid)
        .map(|event| (event.reward_id.as_str(), &event.cursor))
        .collect();
    let paid: Vec<(String, String, String)> = {
        let book = run.book.lock();
        let told =
            |(reward, (conversion, cursor)): (&String, &(String, String))| (reward.clone(), conversion.clone(), cursor.clone());
        book.paid.iter().map(told).collect()
    };
    for batch in paid.chunks(100) {
        for (reward_id, _, cursor) in batch {
            assert_eq!(in_feed.get(reward_id.as_str()), Some(&cursor), "{reward_id} was paid and the feed does not say so");
        }
        let query = |(reward_id, conversion_id, _): &(String, String, String)| v1::PayoutQuery {
            reward_id: reward_id.clone(),
            conversion_id: conversion_id.clone(),
        };
        let request = v1::CheckPayoutsRequest { program_id: PROGRAM.to_owned(), payouts: batch.iter().map(query).collect() };
        for answer in client.check_payouts(request).await.unwrap().into_inner().answers {
            let seen = (answer.gate(), answer.reason());
            assert_eq!(seen, (v1::Gate::Deny, v1::GateReason::AlreadyPaid), "{} would be paid twice", answer.reward_id);
        }
    }
}

/// What followers saw is the beginning of the feed, event by event: nothing shown is gone, nothing was passed over.
fn verify_feed(run: &Run, feed: &[v1::FeedEvent]) {
    let book = run.book.lock();
    assert!(feed.len() >= book.watched.len(), "a follower saw {} events, {} are there", book.watched.len(), feed.len());
    for (seen, kept) in book.watched.iter().zip(feed) {
        assert_eq!(seen, kept);
    }
}

/// Repeated requests answer the same, other content under an old id is refused, and unanswered requests can be repeated.
async fn verify_retries(run: &Run, mut client: ScreeningServiceClient<Channel>, dice: &mut Dice) {
    let told: Vec<(u64, v1::Decision)> = run.book.lock().decided.values().cloned().collect();
    for _ in 0..RETRIES_CHECKED.min(told.len()) {
        let (index, decision) = &told[usize::try_from(dice.below(told.len() as u64)).unwrap()];
        let request = v1::ScreenConversionRequest { conversion: Some(run.conversion(*index)) };
        let again = client.screen_conversion(request).await.unwrap().into_inner();
        assert!(again.replayed, "{} was decided twice", decision.conversion_id);
        assert_eq!(as_screened(&again.decision.unwrap()), as_screened(decision));
        let mut other = run.conversion(*index);
        other.invoice_id.push_str("-other");
        let refused = client.screen_conversion(v1::ScreenConversionRequest { conversion: Some(other) }).await;
        assert_eq!(refused.unwrap_err().code(), tonic::Code::AlreadyExists, "{}", decision.conversion_id);
    }
    let in_doubt: Vec<u64> = {
        let book = run.book.lock();
        let answered: BTreeSet<u64> = book.decided.values().map(|(index, _)| *index).collect();
        book.sent.difference(&answered).copied().collect()
    };
    for index in in_doubt {
        let request = v1::ScreenConversionRequest { conversion: Some(run.conversion(index)) };
        let decision = client.screen_conversion(request).await.unwrap().into_inner().decision.unwrap();
        run.book.lock().decided.insert(decision.conversion_id.clone(), (index, decision));
    }
}
