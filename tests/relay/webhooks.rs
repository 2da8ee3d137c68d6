//! What receivers of webhooks get.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::Value;

use super::receiver::{Received, Receiver};
use super::world::{World, log_of};

const SECRET: &str = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";
/// Waits that a test can wait for.
const QUICK: &str = "retry_after_seconds = [0.05, 0.05, 0.1, 0.1, 0.2, 0.2, 0.5, 0.5, 1.0, 1.0, 1.0]\ntimeout_seconds = 5.0";

fn fine(_: &Value, _: usize) -> (u16, Option<&'static str>) {
    (200, None)
}

/// Of each referral, what was accepted came in the order of the feed.
fn assert_in_order(accepted: &[Received]) {
    let mut places: BTreeMap<String, u64> = BTreeMap::new();
    for received in accepted {
        let before = places.insert(received.referral(), received.place()).unwrap_or(0);
        assert!(before <= received.place(), "{} came after {before}: {received:?}", received.place());
    }
}

fn cursors(accepted: &[Received]) -> BTreeSet<String> {
    accepted.iter().map(|received| received.body["data"]["cursor"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_receiver_gets_what_it_wants_once_and_in_order_where_nothing_goes_wrong() {
    let world = World::start().await;
    let (all, holds) = (Receiver::start(SECRET, fine).await, Receiver::start(SECRET, fine).await);
    let targets =
        world.webhook("all", &all, "") + &world.webhook("holds", &holds, "kinds = [\"hold-placed\"]\nreferrer = \"referrer-3\"");
    world.configure(&targets);
    world.refer(0..5).await;
    let relay = world.relay();
    world.refer(5..20).await;
    all.until("all 60", |receiver| receiver.accepted().len() == 60).await;
    holds.until("the hold", |receiver| receiver.accepted().len() == 1).await;
    let received = all.received();
    assert_eq!(received.len(), 60);
    assert_in_order(&received);
    assert_eq!(cursors(&received), world.feed().await.into_iter().collect());
    let first = &received[0];
    assert!(first.id.starts_with("shop_") && !first.id.contains('.'), "{}", first.id);
    assert_eq!((&first.body["type"], &first.body["version"]), (&"decided".into(), &1.into()));
    assert_eq!(holds.received()[0].body["data"]["conversionId"], "cv-3");
    world.until_status("the end of the feed", |target| target["delivered"] == 60 && target["waiting"] == 0).await;
    assert!(relay.stop());
    // Another one goes on where it was.
    let relay = world.relay();
    world.refer(20..21).await;
    all.until("three more", |receiver| receiver.received().len() == 63).await;
    assert!(relay.stop());
    assert_eq!((all.received().len(), holds.received().len()), (63, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_again_and_again_the_relay_loses_nothing_and_keeps_the_order() {
    let world = World::start().await;
    // Every third message is refused at first, by what its id comes to.
    let unsteady = |body: &Value, before: usize| {
        let place = body["data"]["cursor"].as_str().unwrap().bytes().map(u64::from).sum::<u64>();
        if place.is_multiple_of(3) && before < 2 { (503, None) } else { (200, None) }
    };
    let receiver = Receiver::start(SECRET, unsteady).await;
    world.configure(&world.webhook("billing", &receiver, QUICK));
    for round in 0..6 {
        let mut relay = world.relay();
        // While events come, and others are sent again.
        let enough = usize::try_from(round).unwrap() * 120 + 50;
        let killed = async {
            receiver.until("enough", |receiver| receiver.accepted().len() >= enough).await;
            relay.kill();
        };
        tokio::join!(world.refer(round * 40..(round + 1) * 40), killed);
    }
    let relay = world.relay();
    receiver.until("all 720", |receiver| receiver.accepted().len() == 720).await;
    world.until_status("nothing to wait for", |target| target["waiting"] == 0).await;
    assert!(relay.stop());
    let accepted = receiver.accepted();
    assert_in_order(&accepted);
    assert_eq!(cursors(&accepted), world.feed().await.into_iter().collect());
    let log = log_of(world.scratch.path());
    assert!(!log.contains("panicked"), "{log}");
    // What came twice was on its way when the relay was killed: at most eight messages each time.
    let twice = receiver.received().iter().filter(|received| received.answer == 200).count() - accepted.len();
    assert!(twice <= 6 * 8, "{twice} came twice");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_refused_to_the_end_is_dead_is_shown_and_is_sent_again_when_somebody_asks() {
    let world = World::start().await;
    let receiver =
        Receiver::start(SECRET, |body, _| if body["data"]["conversionId"] == "cv-1" { (500, None) } else { (200, None) }).await;
    world.configure(&world.webhook("billing", &receiver, "retry_after_seconds = [0.05, 0.05]"));
    let relay = world.relay();
    world.refer(0..4).await;
    // The others go on; of the one that is refused each message is tried three times, one after the other.
    world.until_status("three dead", |target| target["dead"] == 3 && target["waiting"] == 0).await;
    assert_eq!(receiver.accepted().len(), 9);
    let refused: Vec<String> =
        receiver.received().iter().filter(|received| received.answer == 500).map(|received| received.id.clone()).collect();
    assert_eq!((refused.len(), refused[0].clone(), refused[3].clone()), (9, refused[2].clone(), refused[5].clone()));
    let dead = world.asked(&["dead", "list"]);
    assert_eq!((dead["dead"].as_array().unwrap().len(), &dead["dead"][0]["why"]), (3, &"it answered 500".into()));
    let shown = world.asked(&["dead", "show", "billing", &refused[0]]);
    assert_eq!((&shown["body"]["data"]["conversionId"], &shown["attempts"]), (&"cv-1".into(), &3.into()));
    receiver.answer(fine);
    world.asked(&["dead", "retry", "billing", &refused[0]]);
    receiver.until("the tenth", |receiver| receiver.accepted().len() == 10).await;
    world.asked(&["dead", "retry", "billing"]);
    receiver.until("all", |receiver| receiver.accepted().len() == 12).await;
    world.until_status("none dead", |target| target["dead"] == 0 && target["delivered"] == 12).await;
    // The whole feed again, under the same ids.
    let before = receiver.received().len();
    world.asked(&["replay", "billing", "--from-beginning"]);
    receiver.until("all again", |receiver| receiver.received().len() == before + 12).await;
    assert_eq!(receiver.accepted().len(), 12);
    assert!(relay.stop());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receiver_is_given_the_time_that_it_asks_for_and_is_left_alone_when_it_is_gone() {
    let world = World::start().await;
    let receiver = Receiver::start(SECRET, |_, before| if before == 0 { (429, Some("2")) } else { (200, None) }).await;
    world.configure(&world.webhook("billing", &receiver, &format!("{QUICK}\nin_flight_max = 1")));
    let relay = world.relay();
    world.refer(0..1).await;
    receiver.until("one", |receiver| !receiver.accepted().is_empty()).await;
    let [first, second] = &receiver.received()[..2] else { panic!("two requests") };
    assert!(second.at - first.at >= Duration::from_millis(1_900), "{:?}", second.at - first.at);
    receiver.answer(|_, _| (410, None));
    world.refer(1..2).await;
    world.until_status("switched off", |target| target["off"].as_str().unwrap().contains("410")).await;
    let (accepted, requests) = (receiver.accepted().len(), receiver.received().len());
    world.refer(2..4).await;
    receiver.answer(fine);
    assert_eq!(receiver.received().len(), requests);
    world.asked(&["on", "billing"]);
    receiver.until("the rest", |receiver| receiver.accepted().len() == 12).await;
    assert!(accepted < 12 && relay.stop());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_relays_do_not_work_in_one_folder_and_mistakes_are_named() {
    let world = World::start().await;
    let receiver = Receiver::start(SECRET, fine).await;
    world.configure(&world.webhook("billing", &receiver, ""));
    let _relay = world.relay();
    world.until_status("a place in the feed", |target| target["trouble"] == "").await;
    world.refer(0..1).await;
    receiver.until("three", |receiver| receiver.accepted().len() == 3).await;
    let refused = |arguments: &[&str]| {
        let config = world.config();
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_selfsame"))
            .args(["relay", "--config", config.to_str().unwrap()])
            .args(arguments)
            .output()
            .unwrap();
        assert!(!output.status.success());
        String::from_utf8(output.stderr).unwrap()
    };
    assert!(refused(&["run", "--server", "http://127.0.0.1:9"]).contains("another relay works in"));
    assert!(refused(&["dead", "show", "billing", "x"]).contains("`x` is not dead for `billing`"));
    assert!(refused(&["on", "biling"]).contains("there are: billing"));
}
