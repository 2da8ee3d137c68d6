//! The proof, once everything is healed: what callers and followers were told, held against what every replica says and what the database holds.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use selfsame::book::cursor::FeedCursor;
use selfsame::book::records::Cursor;
use selfsame::ports::journal::Chain;
use selfsame::vocabulary::ids::ProgramId;
use selfsame::wire::credentials::Credentials;
use selfsame::wire::v1;
use selfsame::wire::v1::payout_service_client::PayoutServiceClient;
use selfsame::wire::v1::review_service_client::ReviewServiceClient;
use selfsame::wire::v1::screening_service_client::ScreeningServiceClient;
use tonic::transport::Channel;
use tonic::{Code, Response, Status};

use crate::calls::{Notes, Programme, Run, Said};
use crate::cluster::Replica;
use crate::faults::Harm;
use crate::followers::{Told, place_of};
use crate::proving::as_screened;

/// How long a healed cluster may take to answer anything.
const HEALED_WITHIN: Duration = Duration::from_secs(30);
/// How long the ledger may take to look at what came late.
const QUIET_WITHIN: Duration = Duration::from_secs(20);
/// Facts of each kind that are sent again.
const SENT_AGAIN_MAX: usize = 400;

/// Sends again what nobody answered, with the ids of then. Now it must be answered: what was unknown is an acknowledged fact from here on.
pub(crate) async fn settle(run: &Run) {
    for programme in &run.programmes {
        let lists = {
            let notes = programme.notes.lock();
            let decided: BTreeSet<u64> = notes.decided.values().map(|(index, _)| *index).collect();
            (
                notes.sent.difference(&decided).copied().collect::<Vec<_>>(),
                notes
                    .signals
                    .values()
                    .filter(|(_, cursor)| cursor.is_none())
                    .map(|(request, _)| request.clone())
                    .collect::<Vec<_>>(),
                notes
                    .outcomes
                    .values()
                    .filter(|(_, cursor)| cursor.is_none())
                    .map(|(request, _)| request.clone())
                    .collect::<Vec<_>>(),
                notes.resolved.values().filter(|(_, _, done)| !done).cloned().collect::<Vec<_>>(),
                notes.reserved.values().filter(|(_, done)| !done).cloned().collect::<Vec<_>>(),
                notes
                    .paid
                    .values()
                    .filter(|(_, cursor)| cursor.is_none())
                    .map(|(request, _)| request.clone())
                    .collect::<Vec<_>>(),
            )
        };
        let (conversions, signals, outcomes, resolved, reserved, paid) = lists;
        let mut unanswered = 0;
        for index in conversions {
            unanswered += u32::from(!run.screen(programme, index, 0).await);
        }
        for request in signals {
            unanswered += u32::from(!run.record_signals(programme, request, 1).await);
        }
        for request in outcomes {
            unanswered += u32::from(!run.record_outcome(programme, request, 2).await);
        }
        for (request, conversion, _) in resolved {
            run.resolve(programme, request, conversion, 0).await;
        }
        for (request, _) in reserved {
            unanswered += u32::from(run.reserve(programme, request, 1).await.is_none());
        }
        for request in paid {
            unanswered += u32::from(!run.mark_paid(programme, request, 2).await);
        }
        if unanswered > 0 {
            run.found(format!("{}: {unanswered} facts are not answered by healthy replicas", programme.id));
        }
    }
}

/// Holds everything to what was told. Returns what the run was worth, in words.
pub(crate) async fn verify(run: &Run, harm: &Harm, followed: &[Told]) -> String {
    let each = run.programmes.iter().enumerate().map(|(at, programme)| async move {
        let feed = whole_feeds(run, programme).await;
        let followed: Vec<&Told> = followed.iter().filter(|told| told.programme == at).collect();
        verify_followers(run, programme, &feed, &followed);
        verify_decisions(run, programme, &feed).await;
        verify_cancelled(run, programme).await;
        verify_resolutions(run, programme, &feed);
        verify_payments(run, programme, &feed).await;
        verify_repeats(run, programme).await;
        verify_journal(run, programme, &feed).await
    });
    let epochs = futures::future::join_all(each).await;
    for replica in &run.cluster.replicas {
        if let Some(ended) = replica.ended() {
            run.found(ended);
        }
        let log = replica.log_text();
        if let Some(panic) = log.lines().find(|line| line.contains("panicked")) {
            run.found(format!("replica {} panicked: {panic}", replica.name));
        }
    }
    verify_that_it_tested(run, harm, followed, &epochs);
    summary(run, harm, followed, &epochs)
}

/// Asks one healed replica until it answers; a refusal is an answer.
async fn answer<T, F>(replica: &Replica, ask: impl Fn(Channel) -> F) -> Result<T, Status>
where
    F: Future<Output = Result<Response<T>, Status>>,
{
    let answered = async {
        loop {
            match ask(replica.channel()).await {
                Err(status) if status.code() == Code::Unavailable => tokio::time::sleep(Duration::from_millis(100)).await,
                said => return said.map(Response::into_inner),
            }
        }
    };
    let late = |_| Err(Status::deadline_exceeded(format!("replica {} is healed and does not answer", replica.name)));
    tokio::time::timeout(HEALED_WITHIN, answered).await.unwrap_or_else(late)
}

/// The feed as each replica tells it to a new follower, once nothing late is left to look at and it grows no more.
async fn whole_feeds(run: &Run, programme: &Programme) -> Vec<v1::FeedEvent> {
    let mut longest: Vec<v1::FeedEvent> = Vec::new();
    for _ in 0..QUIET_WITHIN.as_secs() {
        let before = std::mem::replace(&mut longest, whole_feed(run, programme, &run.cluster.replicas[0]).await);
        if before.len() == longest.len() {
            break;
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    for replica in &run.cluster.replicas {
        let told = whole_feed(run, programme, replica).await;
        if told.len() < longest.len() || told[..longest.len()] != longest {
            run.found(format!("{}: replica {} tells another feed than the one before it", programme.id, replica.name));
        }
        longest = if told.len() < longest.len() { longest } else { told };
    }
    let mut seen: BTreeSet<(u64, String, i32, String)> = BTreeSet::new();
    let mut last = 0;
    for event in &longest {
        let place = place_of(&event.cursor);
        if place < last {
            run.found(format!("{}: the feed is out of order: {} after {last}", programme.id, event.cursor));
        }
        last = place;
        if !seen.insert((place, event.conversion_id.clone(), event.kind, event.reward_id.clone())) {
            run.found(format!("{}: {} is in the feed twice", programme.id, event.cursor));
        }
    }
    longest
}

async fn whole_feed(run: &Run, programme: &Programme, replica: &Replica) -> Vec<v1::FeedEvent> {
    let request = v1::WatchDecisionsRequest {
        program_id: programme.id.clone(),
        mode: Some(v1::WatchMode::StopAtEnd.into()),
        ..v1::WatchDecisionsRequest::default()
    };
    let ask = |channel: Channel| {
        let (mut client, request) = (PayoutServiceClient::new(channel), request.clone());
        async move {
            let mut stream = client.watch_decisions(request).await?.into_inner();
            let mut events = Vec::new();
            while let Some(message) = stream.message().await? {
                events.extend(message.events);
            }
            Ok(Response::new(events))
        }
    };
    answer(replica, ask).await.unwrap_or_else(|status| {
        run.found(format!("{}: replica {} does not tell the feed: {status}", programme.id, replica.name));
        Vec::new()
    })
}

/// What followers were told through the faults is how the feed begins.
fn verify_followers(run: &Run, programme: &Programme, feed: &[v1::FeedEvent], followed: &[&Told]) {
    for told in followed {
        let differs = told.events.iter().zip(feed).position(|(told, kept)| told != kept);
        if let Some(at) = differs {
            let (told, kept) = (&told.events[at], &feed[at]);
            run.found(format!("{}: a follower was told {told:?}, and the feed has {kept:?} there", programme.id));
        }
        if told.events.len() > feed.len() {
            run.found(format!("{}: a follower was told {} events, the feed has {}", programme.id, told.events.len(), feed.len()));
        }
    }
}

async fn decision_of(replica: &Replica, programme: &Programme, conversion_id: &str) -> Result<v1::Decision, Status> {
    let request = v1::GetDecisionRequest {
        program_id: programme.id.clone(),
        conversion_id: conversion_id.to_owned(),
        ..v1::GetDecisionRequest::default()
    };
    let ask = |channel: Channel| {
        let (mut client, request) = (ScreeningServiceClient::new(channel), request.clone());
        async move { client.get_decision(request).await }
    };
    answer(replica, ask).await.map(|answer| answer.decision.unwrap())
}

/// Every acknowledged conversion is decided once, as it was told; its verdict of now is the one that the feed's later events lead to.
async fn verify_decisions(run: &Run, programme: &Programme, feed: &[v1::FeedEvent]) {
    let mut of: BTreeMap<&str, Vec<&v1::FeedEvent>> = BTreeMap::new();
    for event in feed.iter().filter(|event| !event.conversion_id.is_empty()) {
        of.entry(&event.conversion_id).or_default().push(event);
    }
    let decided = programme.notes.lock().decided.clone();
    let unsent = of.keys().find(|id| !decided.contains_key(**id));
    if let Some(id) = unsent {
        run.found(format!("{}: the feed tells of {id}, which nobody sent", programme.id));
    }
    for (number, (id, (_, told))) in decided.iter().enumerate() {
        let replica = &run.cluster.replicas[number % run.cluster.replicas.len()];
        let now = match decision_of(replica, programme, id).await {
            Ok(now) => now,
            Err(status) => {
                run.found(format!("{}: {id} was acknowledged at {} and is lost: {status}", programme.id, told.cursor));
                continue;
            }
        };
        if as_screened(&now) != as_screened(told) {
            run.found(format!("{}: {id} was told as {:?} and is {:?}", programme.id, as_screened(told), as_screened(&now)));
        }
        let events = of.remove(id.as_str()).unwrap_or_default();
        let first: Vec<_> = events.iter().filter(|event| event.kind() == v1::FeedEventKind::Decided).collect();
        let is_told = matches!(first[..], [one] if one.cursor == told.cursor && one.verdict() == told.screened_verdict());
        if !is_told {
            run.found(format!("{}: {id} was acknowledged at {}, and the feed says {first:?}", programme.id, told.cursor));
        }
        if let Err(unexplained) = follows(&events, now.verdict()) {
            run.found(format!("{}: the verdict of {id}: {unexplained}", programme.id));
        }
    }
}

/// Whether each verdict of a conversion's events follows from the one before, up to this one.
fn follows(events: &[&v1::FeedEvent], now: v1::Verdict) -> Result<(), String> {
    let mut verdict = v1::Verdict::Unspecified;
    for event in events {
        let may_change = matches!(
            event.kind(),
            v1::FeedEventKind::Decided
                | v1::FeedEventKind::CaseResolved
                | v1::FeedEventKind::CaseReopened
                | v1::FeedEventKind::Reassessed
        );
        let before = if may_change { event.previous_verdict() } else { event.verdict() };
        if before != verdict {
            return Err(format!("{:?} at {} does not follow {verdict:?}", event.kind(), event.cursor));
        }
        verdict = event.verdict();
    }
    if verdict == now { Ok(()) } else { Err(format!("it is {now:?}, and its events lead to {verdict:?}")) }
}

/// What an acknowledged chargeback, refund or ban is about is cancelled, on whichever side the banned account stands.
async fn verify_cancelled(run: &Run, programme: &Programme) {
    let (banned, barred) = {
        let notes = programme.notes.lock();
        let banned = notes.outcomes.values().filter_map(|(request, _)| match request.outcome.as_ref()?.subject.as_ref()? {
            v1::outcome::Subject::AccountId(account) => Some(account.clone()),
            _ => None,
        });
        let cancels = |why: &str| matches!(why, "a chargeback" | "a ban" | "a refund");
        let barred = notes.bars.iter().filter(|bar| cancels(bar.why)).map(|bar| bar.conversion_id.clone());
        (banned.collect::<BTreeSet<_>>(), barred.collect::<BTreeSet<_>>())
    };
    let decided = programme.notes.lock().decided.clone();
    let replica = &run.cluster.replicas[0];
    for (id, (_, told)) in decided {
        let concerned =
            barred.contains(&id) || banned.contains(&told.referrer_account_id) || banned.contains(&told.referee_account_id);
        if concerned && !decision_of(replica, programme, &id).await.is_ok_and(|now| now.cancelled_at.is_some()) {
            run.found(format!("{}: {id} is not cancelled, and an outcome that cancels it was acknowledged", programme.id));
        }
    }
}

/// Each acknowledged resolution is in the feed once, and no other is.
fn verify_resolutions(run: &Run, programme: &Programme, feed: &[v1::FeedEvent]) {
    let mut acknowledged: Vec<(String, v1::Verdict)> = Vec::new();
    for (request, conversion, _) in programme.notes.lock().resolved.values() {
        let verdict = if request.resolution() == v1::Resolution::Accept { v1::Verdict::Approved } else { v1::Verdict::Rejected };
        acknowledged.push((conversion.clone(), verdict));
    }
    let resolved = feed.iter().filter(|event| event.kind() == v1::FeedEventKind::CaseResolved);
    let mut told: Vec<_> = resolved.map(|event| (event.conversion_id.clone(), event.verdict())).collect();
    acknowledged.sort_unstable();
    told.sort_unstable();
    if acknowledged != told {
        let (one, other): (BTreeSet<_>, BTreeSet<_>) = (acknowledged.iter().collect(), told.iter().collect());
        let differ: Vec<_> = one.symmetric_difference(&other).take(5).collect();
        run.found(format!(
            "{}: {} resolutions were acknowledged, {} are there: {differ:?}",
            programme.id,
            acknowledged.len(),
            told.len()
        ));
    }
}

/// Each acknowledged payment is in the feed once, at its place, and the gate does not pay it again.
async fn verify_payments(run: &Run, programme: &Programme, feed: &[v1::FeedEvent]) {
    let paid: Vec<(v1::MarkPaidRequest, Option<String>)> = programme.notes.lock().paid.values().cloned().collect();
    let mut in_feed: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for event in feed.iter().filter(|event| event.kind() == v1::FeedEventKind::Paid) {
        in_feed.entry(&event.reward_id).or_default().push(&event.cursor);
    }
    for (request, cursor) in &paid {
        let there = in_feed.remove(request.reward_id.as_str()).unwrap_or_default();
        if !matches!(there[..], [one] if Some(one) == cursor.as_deref()) {
            run.found(format!("{}: {} was paid at {cursor:?}, and the feed says {there:?}", programme.id, request.reward_id));
        }
    }
    if !in_feed.is_empty() {
        run.found(format!("{}: the feed tells of payments that nobody sent: {in_feed:?}", programme.id));
    }
    for (number, batch) in paid.chunks(100).enumerate() {
        let query = |(request, _): &(v1::MarkPaidRequest, _)| v1::PayoutQuery {
            reward_id: request.reward_id.clone(),
            conversion_id: request.conversion_id.clone(),
        };
        let request = v1::CheckPayoutsRequest { program_id: programme.id.clone(), payouts: batch.iter().map(query).collect() };
        let ask = |channel: Channel| {
            let (mut client, request) = (PayoutServiceClient::new(channel), request.clone());
            async move { client.check_payouts(request).await }
        };
        match answer(&run.cluster.replicas[number % run.cluster.replicas.len()], ask).await {
            Ok(checked) => {
                for one in checked.answers.iter().filter(|one| one.reason() != v1::GateReason::AlreadyPaid) {
                    run.found(format!("{}: {} was paid, and the gate says {:?}", programme.id, one.reward_id, one.reason()));
                }
            }
            Err(status) => run.found(format!("{}: the gate does not answer: {status}", programme.id)),
        }
    }
}

/// What is sent again is answered as the first time, by any replica.
async fn verify_repeats(run: &Run, programme: &Programme) {
    let cut = |notes: &Notes| {
        let every = |count: usize| count.div_ceil(SENT_AGAIN_MAX).max(1);
        (
            notes.decided.values().step_by(every(notes.decided.len())).cloned().collect::<Vec<_>>(),
            notes.signals.values().step_by(every(notes.signals.len())).cloned().collect::<Vec<_>>(),
            notes.outcomes.values().step_by(every(notes.outcomes.len())).cloned().collect::<Vec<_>>(),
            notes.resolved.values().step_by(every(notes.resolved.len())).cloned().collect::<Vec<_>>(),
            notes.paid.values().step_by(every(notes.paid.len())).cloned().collect::<Vec<_>>(),
        )
    };
    let (decided, signals, outcomes, resolved, paid) = cut(&programme.notes.lock());
    let mut first = 0;
    let mut turn = || {
        first += 1;
        first
    };
    for (index, told) in decided {
        let request = v1::ScreenConversionRequest { conversion: Some(programme.conversion(index)) };
        let ask = |channel| async { ScreeningServiceClient::new(channel).screen_conversion(request.clone()).await };
        let again = run.ask(programme, turn(), HEALED_WITHIN, ask).await;
        let same = |said: &v1::ScreenConversionResponse| {
            said.replayed && as_screened(said.decision.as_ref().unwrap()) == as_screened(&told)
        };
        repeated(run, programme, &told.conversion_id, again, same);
    }
    for (request, cursor) in signals {
        let ask = |channel| async { ScreeningServiceClient::new(channel).record_signals(request.clone()).await };
        let again = run.ask(programme, turn(), HEALED_WITHIN, ask).await;
        repeated(run, programme, &request.record_id, again, |said| said.replayed && Some(&said.cursor) == cursor.as_ref());
    }
    for (request, cursor) in outcomes {
        let ask = |channel| async { ScreeningServiceClient::new(channel).record_outcome(request.clone()).await };
        let again = run.ask(programme, turn(), HEALED_WITHIN, ask).await;
        repeated(run, programme, &request.outcome_id, again, |said| said.replayed && Some(&said.cursor) == cursor.as_ref());
    }
    for (request, _, _) in resolved {
        let ask = |channel| async {
            ReviewServiceClient::with_interceptor(channel, Credentials::name("rita").unwrap()).resolve_case(request.clone()).await
        };
        let again = run.ask(programme, turn(), HEALED_WITHIN, ask).await;
        repeated(run, programme, &request.request_id, again, |_| true);
    }
    for (request, cursor) in paid {
        let ask = |channel| async { PayoutServiceClient::new(channel).mark_paid(request.clone()).await };
        let again = run.ask(programme, turn(), HEALED_WITHIN, ask).await;
        repeated(run, programme, &request.reward_id, again, |said| said.replayed && Some(&said.cursor) == cursor.as_ref());
    }
}

fn repeated<T: std::fmt::Debug>(run: &Run, programme: &Programme, id: &str, again: Said<T>, same: impl Fn(&T) -> bool) {
    match again {
        Said::Answer(answer) if same(&answer) => {}
        Said::Answer(answer) => run.found(format!("{}: {id} was sent again and answered otherwise: {answer:?}", programme.id)),
        Said::Refused(status) => run.found(format!("{}: {id} was sent again and refused: {status}", programme.id)),
        Said::Unknown => run.found(format!("{}: {id} was sent again and not answered", programme.id)),
    }
}

/// The records of a programme are one chain without a gap, each holder's after those of the one before; what the feed tells stands in it.
/// Returns how many holders wrote.
async fn verify_journal(run: &Run, programme: &Programme, feed: &[v1::FeedEvent]) -> usize {
    let statement = format!("select seq, epoch, chain, payload from entry where programme = '{}' order by seq", programme.id);
    let mut chain = Chain::before_all(&ProgramId::new(&programme.id).unwrap());
    let (mut marks, mut epochs) = (BTreeMap::new(), Vec::new());
    for (row, place) in run.cluster.query(&statement).await.iter().zip(1_u64..) {
        let (seq, epoch): (i64, i64) = (row.get(0), row.get(1));
        let (written, payload): (&[u8], &[u8]) = (row.get(2), row.get(3));
        if seq.cast_unsigned() != place {
            run.found(format!("{}: the journal has {seq} where {place} belongs", programme.id));
            break;
        }
        if epochs.last().is_some_and(|last| epoch < *last) {
            run.found(format!("{}: record {seq} was written under epoch {epoch} after {epochs:?}", programme.id));
        }
        if epochs.last() != Some(&epoch) {
            epochs.push(epoch);
        }
        chain = chain.then(Cursor(place), payload);
        if written != chain.0 {
            run.found(format!("{}: record {seq} continues another chain", programme.id));
            break;
        }
        marks.insert(place, chain.mark());
    }
    for event in feed {
        let FeedCursor { place, mark } = event.cursor.parse().unwrap();
        if marks.get(&place.0) != Some(&mark) {
            run.found(format!("{}: {} is told and is not what the journal has there", programme.id, event.cursor));
        }
    }
    epochs.len()
}

/// A proof of nothing is none.
fn verify_that_it_tested(run: &Run, harm: &Harm, followed: &[Told], epochs: &[usize]) {
    let mut counts = [0; 7];
    for programme in &run.programmes {
        let notes = programme.notes.lock();
        let facts = [notes.decided.len(), notes.signals.len(), notes.outcomes.len(), notes.resolved.len(), notes.paid.len()];
        let money = [notes.released, notes.asked_barred].map(|count| usize::try_from(count).unwrap());
        for (sum, count) in counts.iter_mut().zip(facts.into_iter().chain(money)) {
            *sum += count;
        }
    }
    if counts.contains(&0) || epochs.iter().all(|holders| *holders < 2) {
        run.found(format!(
            "the test did not test: {counts:?} facts, releases and questions about what is barred, {epochs:?} holders"
        ));
    }
    if harm.failovers.is_empty() || followed.iter().any(|told| told.events.is_empty() || told.times < 2) {
        run.found("the test did not test: no failover was measured, or a follower was told nothing".to_owned());
    }
}

fn summary(run: &Run, harm: &Harm, followed: &[Told], epochs: &[usize]) -> String {
    let sum = |of: fn(&Notes) -> u64| run.programmes.iter().map(|programme| of(&programme.notes.lock())).sum::<u64>();
    let worst = harm.failovers.iter().max().copied().unwrap_or_default();
    format!(
        "{} conversions, {} signals, {} outcomes, {} resolutions, {} payments acknowledged; {} calls went to another replica, {} were given up; \
         {} questions about what is barred, {} releases; {} followers followed {} times and were told {} events; {} faults, {} failovers measured, \
         the worst {worst:?}; holders of each programme: {epochs:?}",
        sum(|notes| notes.decided.len() as u64),
        sum(|notes| notes.signals.len() as u64),
        sum(|notes| notes.outcomes.len() as u64),
        sum(|notes| notes.resolved.len() as u64),
        sum(|notes| notes.paid.len() as u64),
        sum(|notes| notes.asked_again),
        sum(|notes| notes.given_up),
        sum(|notes| notes.asked_barred),
        sum(|notes| notes.released),
        followed.len(),
        followed.iter().map(|told| told.times).sum::<u64>(),
        followed.iter().map(|told| told.events.len()).sum::<usize>(),
        harm.faults.len(),
        harm.failovers.len(),
    )
}
