//! What is not taken, with the status that says why, and nothing of it kept.

use selfsame::book::directory::Stage;
use selfsame::book::intake::{IntakeAnswer, IntakeQuestion};
use selfsame::gateway::http::BODY_BYTES_MAX;
use selfsame::gateway::stripe::signature;
use selfsame::ports::clock::Clock as _;
use selfsame::vocabulary::time::Span;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use crate::world::{OTHER_SECRET, SECRET, World, payload, read, shop};

#[tokio::test]
async fn what_is_signed_wrongly_is_not_taken() {
    let world = World::start(Stage::Production).await;
    let body = payload!("stripe_customer_created");
    let now = world.clock.now();
    let send = async |header: Option<String>| {
        let headers: Vec<(&str, &str)> = header.iter().map(|header| ("stripe-signature", header.as_str())).collect();
        world.send("POST", "/shop/stripe", &headers, body.as_bytes()).await.status
    };
    let before = world.ledger.end(&shop()).await.unwrap();
    assert_eq!(send(None).await, 401);
    assert_eq!(send(Some(signature::header(body.as_bytes(), "whsec_of_another", now))).await, 401);
    assert_eq!(send(Some(signature::header(b"{}", SECRET, now))).await, 401);
    assert_eq!(send(Some(signature::header(body.as_bytes(), SECRET, now.minus(Span::from_minutes(6))))).await, 401, "too old");
    assert_eq!(
        send(Some(signature::header(body.as_bytes(), SECRET, now.plus(Span::from_minutes(6))))).await,
        401,
        "of the future"
    );
    assert_eq!(world.ledger.end(&shop()).await.unwrap(), before, "nothing was kept");
    assert_eq!(send(Some(signature::header(body.as_bytes(), OTHER_SECRET, now))).await, 200, "any of several secrets");
    let chargebee = world.send("POST", "/shop/chargebee", &[("authorization", "Basic Zm9vOmJhcg==")], b"{}").await;
    assert_eq!(chargebee.status, 401);
    assert!(chargebee.head.to_lowercase().contains("www-authenticate"), "{}", chargebee.head);
}

#[tokio::test]
async fn what_is_unreadable_too_big_or_elsewhere_is_refused_in_words() {
    let world = World::start(Stage::Production).await;
    let text = |answer: &crate::world::Answer| answer.body["error"].as_str().unwrap_or_default().to_owned();
    let answer = world.stripe("{\"id\": \"planted@example.com\" oops").await;
    assert_eq!(answer.status, 400);
    assert!(text(&answer).contains("line 1, column") && !text(&answer).contains("planted"), "{answer:?}");
    let answer = world.stripe(r#"{"id":"evt_1","type":"customer.created","created":1790000000,"livemode":true,"data":{"object":{"id":"jane@planted.example"}}}"#).await;
    assert_eq!((answer.status, &answer.body["field"]), (422, &"data.object.id".into()), "{answer:?}");
    assert!(!text(&answer).contains("jane"), "{answer:?}");
    let answer = world.stripe(&format!("\"{}\"", "x".repeat(BODY_BYTES_MAX))).await;
    assert_eq!(answer.status, 413);
    assert_eq!(world.send("POST", "/nobody/stripe", &[], b"{}").await.status, 404);
    assert_eq!(world.send("GET", "/shop/stripe", &[], b"").await.status, 405);
    assert_eq!(world.send("GET", "/shop/elsewhere", &[], b"").await.status, 404);
    let ignored = world
        .stripe(r#"{"id":"evt_2","type":"balance.available","created":1790000000,"livemode":true,"data":{"object":{}}}"#)
        .await;
    assert_eq!((ignored.status, &ignored.body["taken"]), (200, &false.into()));
    for (change, field) in [
        (("\"price\": 10000", "\"price\": 99.9"), "payload.price"),
        (("\"currency\": \"EUR\"", "\"currency\": \"euro\""), "payload.currency"),
        (("\"trigger\": \"invoice-paid\"", "\"trigger\": \"invoice\""), "context.event.trigger"),
        (("2026-09-22T10:00:00Z", "soon"), "context.event.timestamp"),
        (("2026-09-22T10:00:00Z", "2027-09-22T10:00:00Z"), "context.event.timestamp"),
        (("\"newUserId\": \"user-max\"", "\"newUserId\": \"max@planted.example\""), "payload.newUserId"),
        (("ReferralUpdated", "Referral"), "eventName"),
    ] {
        let changed = payload!("events_invoice_paid").replace(change.0, change.1);
        let answer = world.event(&changed).await;
        assert_eq!((answer.status, &answer.body["field"]), (422, &field.into()), "{answer:?}");
    }
}

#[tokio::test]
async fn a_body_that_never_ends_is_given_up() {
    let world = World::start(Stage::Production).await;
    let mut stream = TcpStream::connect(world.address).await.unwrap();
    let head = "POST /shop/events HTTP/1.1\r\nhost: gateway\r\nconnection: close\r\ncontent-length: 100\r\n\r\n{";
    stream.write_all(head.as_bytes()).await.unwrap();
    let answer = tokio::time::timeout(std::time::Duration::from_secs(25), read(stream)).await.unwrap();
    assert_eq!(answer.status, 408);
}

#[tokio::test]
async fn likely_mistakes_are_told_once_and_stand_in_the_health_check() {
    let world = World::start(Stage::Production).await;
    world.code("ANN-1", "user-ann").await;
    let first = async |payload: &str| world.event(payload).await.body["mistakes"][0].as_str().unwrap_or_default().to_owned();
    assert_eq!(first(payload!("events_new_signup")).await, "");
    assert_eq!(first(payload!("events_invoice_paid")).await, "");
    let whole = payload!("events_invoice_paid").replace("10000", "100").replace("inv-abc", "inv-whole");
    assert!(first(&whole).await.contains("100 EUR is a hundredth of what is paid otherwise"));
    let plan = payload!("events_invoice_paid").replace("10000", "499").replace("inv-abc", "inv-plan");
    assert!(first(&plan).await.contains("499 EUR"), "a hundredth of a plan's price");
    let early =
        payload!("events_invoice_paid").replace("2026-09-22T10:00:00Z", "2026-09-20T10:00:00Z").replace("inv-abc", "inv-early");
    assert!(first(&early).await.contains("`user-max` happened before the sign-up"));
    let test = world.stripe(payload!("stripe_test_mode")).await;
    assert_eq!(test.status, 200);
    assert!(
        test.body["mistakes"][0].as_str().unwrap().contains("of a test system and the programme is in production"),
        "{test:?}"
    );
    let again = world.stripe(&payload!("stripe_test_mode").replace("evt_1Test", "evt_2Test")).await;
    assert_eq!(again.body["mistakes"], serde_json::json!([]), "it is told once");
    let answer = world.ledger.intake(&shop(), &IntakeQuestion::Mistakes, world.clock.now()).await.unwrap();
    let IntakeAnswer::Mistakes(standing) = answer else { panic!("{answer:?}") };
    assert_eq!(standing.len(), 4, "{standing:?}");
}
