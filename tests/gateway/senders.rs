//! What each sender's payloads become.

use selfsame::book::command::{Command, PaidCommand, RewardsChange, RewardsCommand};
use selfsame::book::directory::Stage;
use selfsame::book::records::Cursor;
use selfsame::digesting::{Digester, digest_email, digest_payment};
use selfsame::ports::clock::Clock as _;
use selfsame::ports::journal::{Direction, Journal as _, Reach};
use selfsame::screening::gate::Held;
use selfsame::vocabulary::conversion::{ConversionKind, RefereeStanding, Reward, Side};
use selfsame::vocabulary::ids::{Actor, ConversionId, RewardId};
use selfsame::vocabulary::journey::CapturedVia;
use selfsame::vocabulary::money::Money;

use crate::world::{STRIPE_LIFE, World, begin, key, payload, shop};

#[tokio::test]
async fn a_life_at_stripe_becomes_signals_conversions_and_outcomes() {
    let world = World::start(Stage::Production).await;
    world.code("ANN-1", "user-ann").await;
    for event in STRIPE_LIFE {
        let answer = world.stripe(event).await;
        assert_eq!((answer.status, &answer.body["success"]), (200, &true.into()), "{answer:?}");
        assert_eq!(answer.body["mistakes"], serde_json::json!([]), "{answer:?}");
    }
    let sign_up = world.conversion("signup.user-jenny").await;
    assert_eq!((sign_up.kind, sign_up.occurred_at), (ConversionKind::NewSignup, begin()));
    assert_eq!((sign_up.referee_standing, sign_up.attribution.captured_via), (RefereeStanding::New, CapturedVia::Api));
    let invoice = world.conversion("stripe.in_1MtHbELkdIwHu7ixl4OzzPMv").await;
    assert_eq!((invoice.kind, invoice.value), (ConversionKind::InvoicePaid, Money::new(10_000, "USD").ok()));
    assert_eq!(invoice.invoice_id.unwrap().as_str(), "in_1MtHbELkdIwHu7ixl4OzzPMv");
    assert_eq!(invoice.campaign_id.unwrap().as_str(), "spring");
    let once = world.conversion("stripe.ch_3OneTime").await;
    assert_eq!((once.kind, once.invoice_id), (ConversionKind::ChargeSucceeded, None));
    // The charge of the invoice is no conversion of its own.
    let charge = ConversionId::new("stripe.ch_3MmlLrLkdIwHu7ix0snN0B15").unwrap();
    assert!(world.ledger.decision(&shop(), &charge).await.unwrap().is_none());
    // 25.00 and 15.00 went back; the dispute was won.
    let about = [(RewardId::new("of-nobody").unwrap(), ConversionId::new("stripe.in_1MtHbELkdIwHu7ixl4OzzPMv").unwrap())];
    let back = world
        .until(async || {
            let standing = world.ledger.standings(&shop(), &about).await.unwrap().remove(0)?;
            let back = standing.refunded.map(|(back, _)| back).filter(|back| back.amount_minor() == 4_000)?;
            standing.cancelled.is_none().then_some(back)
        })
        .await;
    assert_eq!(back, Money::new(4_000, "USD").unwrap());
    // What is known of the person is what the programme's own callers would have sent.
    let digester = Digester::new(&key());
    let email = digest_email(&digester, "jenny.rosen@planted.example").unwrap().exact.unwrap();
    let card = digest_payment(&digester, "PlantedFingerprint7").unwrap();
    let reach = Reach { from: Cursor(1), to: Cursor(u64::MAX >> 1), direction: Direction::Forward, limit: 10_000 };
    let records = world.journal.read(&shop(), reach).unwrap();
    for digest in email.iter().chain(card.iter()) {
        let holds = |bytes: &[u8]| bytes.windows(32).any(|window| window == digest.value);
        assert!(records.iter().any(|record| holds(&record.payload)), "{digest:?}");
    }
}

#[tokio::test]
async fn a_warning_of_fraud_holds_the_referral_and_a_cancellation_ends_it() {
    let world = World::start(Stage::Production).await;
    world.code("ANN-1", "user-ann").await;
    for event in [payload!("stripe_early_fraud_warning"), payload!("stripe_subscription_deleted")] {
        assert_eq!(world.stripe(event).await.status, 200, "it may come before everything that it is about");
    }
    for event in &STRIPE_LIFE[..6] {
        world.stripe(event).await;
    }
    let about = [(RewardId::new("of-nobody").unwrap(), ConversionId::new("stripe.in_1MtHbELkdIwHu7ixl4OzzPMv").unwrap())];
    world
        .until(async || {
            let standing = world.ledger.standings(&shop(), &about).await.unwrap().remove(0)?;
            (standing.referral_held == Held::Yes && standing.cancelled.is_some()).then_some(())
        })
        .await;
}

#[tokio::test]
async fn charges_that_no_longer_name_their_invoice_are_found_by_their_intent() {
    let world = World::start(Stage::Production).await;
    world.code("ANN-1", "user-ann").await;
    let created = payload!("stripe_customer_created");
    for event in [
        payload!("stripe_2025_charge_succeeded"),
        created,
        payload!("stripe_2025_invoice_paid"),
        payload!("stripe_2025_invoice_payment_paid"),
    ] {
        assert_eq!(world.stripe(event).await.status, 200);
    }
    world.conversion("stripe.in_2New").await;
    let charge = ConversionId::new("stripe.ch_2New").unwrap();
    assert!(world.ledger.decision(&shop(), &charge).await.unwrap().is_none(), "it is no purchase of its own");
    // A refund of the charge is one of the invoice.
    let refund = payload!("stripe_charge_refunded")
        .replace("ch_3MmlLrLkdIwHu7ix0snN0B15", "ch_2New")
        .replace("pi_3MtwBwLkdIwHu7ix28a3tqPa", "pi_2New")
        .replace("\"invoice\": \"in_1MtHbELkdIwHu7ixl4OzzPMv\",", "");
    assert_eq!(world.stripe(&refund).await.status, 200);
    let about = [(RewardId::new("of-nobody").unwrap(), ConversionId::new("stripe.in_2New").unwrap())];
    world.until(async || world.ledger.standings(&shop(), &about).await.unwrap().remove(0)?.refunded.map(|_| ())).await;
}

#[tokio::test]
async fn chargebee_is_taken_the_same() {
    let world = World::start(Stage::Production).await;
    world.code("ANN-1", "user-ann").await;
    for event in [
        payload!("chargebee_payment_refunded"),
        payload!("chargebee_payment_succeeded"),
        payload!("chargebee_customer_created"),
        payload!("chargebee_subscription_created"),
    ] {
        let answer = world.chargebee(event).await;
        assert_eq!((answer.status, &answer.body["taken"]), (200, &true.into()), "{answer:?}");
    }
    let invoice = world.conversion("chargebee.203").await;
    assert_eq!((invoice.kind, invoice.value), (ConversionKind::InvoicePaid, Money::new(4_900, "EUR").ok()));
    assert_eq!(invoice.referee.account_id.as_str(), "user-cb");
    world.conversion("signup.user-cb").await;
    let about = [(RewardId::new("of-nobody").unwrap(), ConversionId::new("chargebee.203").unwrap())];
    let back = world.until(async || Some(world.ledger.standings(&shop(), &about).await.unwrap().remove(0)?.refunded?.0)).await;
    assert_eq!(back, Money::new(900, "EUR").unwrap());
    assert_eq!(world.chargebee(payload!("chargebee_subscription_cancelled")).await.status, 200);
    world.until(async || world.ledger.standings(&shop(), &about).await.unwrap().remove(0)?.cancelled.map(|_| ())).await;
}

#[tokio::test]
async fn the_events_api_takes_what_is_sent_to_such_platforms() {
    let world = World::start(Stage::Sandbox).await;
    world.code("ANN-1", "user-ann").await;
    for event in [
        payload!("events_new_signup"),
        payload!("events_demo_attended"),
        payload!("events_invoice_paid"),
        payload!("events_charge_refunded"),
        payload!("events_sign_in"),
    ] {
        let answer = world.event(event).await;
        assert_eq!((answer.status, &answer.body["success"]), (200, &true.into()), "{answer:?}");
    }
    let sign_up = world.conversion("signup.user-max").await;
    assert_eq!(sign_up.occurred_at.to_string(), "2026-09-21T14:14:34Z");
    assert_eq!(world.conversion("demo.user-max").await.kind, ConversionKind::DemoAttended);
    let invoice = world.conversion("events.inv-abc").await;
    assert_eq!((invoice.value, invoice.referee_standing), (Money::new(10_000, "EUR").ok(), RefereeStanding::New));
    let about = [(RewardId::new("of-nobody").unwrap(), ConversionId::new("events.inv-abc").unwrap())];
    world.until(async || world.ledger.standings(&shop(), &about).await.unwrap().remove(0)?.refunded.map(|_| ())).await;
    // The same call again is the same event.
    let again = world.event(payload!("events_invoice_paid")).await;
    assert_eq!((again.status, &again.body["replayed"]), (200, &true.into()));
    // Somebody who had an account clicked, and buys.
    let bought = payload!("events_invoice_paid").replace("user-max", "user-old").replace("inv-abc", "inv-old");
    assert_eq!(world.event(&bought).await.status, 200);
    assert_eq!(world.conversion("events.inv-old").await.referee_standing, RefereeStanding::Existing);
}

#[tokio::test]
async fn a_code_is_told_and_who_may_use_it() {
    let world = World::start(Stage::Sandbox).await;
    let unknown = world.send("GET", "/shop/referral-codes/ANN-1", &[], b"").await;
    assert_eq!(unknown.status, 404);
    world.code("ANN-1", "user-ann").await;
    world.event(payload!("events_new_signup")).await;
    let look = async |path: &str| world.send("GET", &format!("/shop/referral-codes/{path}"), &[], b"").await.body;
    let found = look("ANN-1").await;
    let expected = serde_json::json!({"code": "ANN-1", "productUserId": "user-ann", "valid": true, "campaignId": "spring"});
    assert_eq!(found, expected);
    assert_eq!(look("ANN-1?newUserId=user-ann").await["mayUse"], false, "nobody refers himself");
    assert_eq!(look("ANN-1?newUserId=user-max").await["mayUse"], true);
    assert_eq!(look("ANN-1/new-user-discount?newUserId=user-max").await["eligible"], true);
    // The code is changed: the old one is known, and not valid.
    let body = br#"{"productUserId":"user-ann","replaces":"ANN-1"}"#;
    assert_eq!(world.send("PUT", "/shop/referral-codes/ANN-2", &[], body).await.status, 200);
    let (old, new) = (look("ANN-1").await, look("ANN-2").await);
    assert_eq!((&old["valid"], &old["productUserId"]), (&false.into(), &"user-ann".into()));
    assert_eq!((&new["valid"], &new["campaignId"]), (&true.into(), &"".into()));
    assert_eq!(look("ANN-2?newUserId=user-max").await["why"], "the user came by another code");
    world.event(payload!("events_invoice_paid")).await;
    assert_eq!(look("ANN-2/new-user-discount?newUserId=user-new").await["eligible"], true);
    let paid =
        payload!("events_invoice_paid").replace("ANN-1", "ANN-2").replace("user-max", "user-paid").replace("inv-abc", "inv-p");
    world.event(&paid).await;
    assert_eq!(look("ANN-2/new-user-discount?newUserId=user-paid").await["why"], "the user has paid before");
}

#[tokio::test]
async fn a_reward_is_told_in_the_words_of_such_platforms() {
    let world = World::start(Stage::Production).await;
    world.code("ANN-1", "user-ann").await;
    for event in &STRIPE_LIFE[..6] {
        world.stripe(event).await;
    }
    let invoice = "stripe.in_1MtHbELkdIwHu7ixl4OzzPMv";
    world.conversion(invoice).await;
    let reward = |id: &str| Reward {
        reward_id: RewardId::new(id).unwrap(),
        beneficiary: Side::Referrer,
        amount: Money::new(1_000, "USD").ok(),
    };
    let added = RewardsCommand {
        program_id: shop(),
        conversion_id: ConversionId::new(invoice).unwrap(),
        rewards: vec![reward("month-1"), reward("month-2")],
        change: RewardsChange::Add,
        actor: Actor::new("rewards").unwrap(),
        note: String::new(),
        request: None,
        at: world.clock.now(),
    };
    world.ledger.execute(Command::ChangeRewards(added)).await.unwrap();
    let state = async |id: &str| {
        let path = format!("/shop/rewards/{id}?conversionId={invoice}");
        let answer = world.send("GET", &path, &[], b"").await;
        answer.body["state"].as_str().unwrap_or_default().to_owned()
    };
    assert_eq!((state("month-1").await.as_str(), state("month-2").await.as_str()), ("CREATED", "CREATED"));
    let paid = PaidCommand {
        program_id: shop(),
        conversion_id: ConversionId::new(invoice).unwrap(),
        reward_id: RewardId::new("month-1").unwrap(),
        reservation_id: None,
        paid_at: world.clock.now(),
        amount: None,
        request: None,
        received_at: world.clock.now(),
    };
    world.ledger.execute(Command::MarkPaid(paid)).await.unwrap();
    assert_eq!(state("month-1").await, "PROCESSED");
    // The subscription ends: what was paid stays paid, what is to come is cancelled.
    assert_eq!(world.stripe(payload!("stripe_subscription_deleted")).await.status, 200);
    let about = [(RewardId::new("month-2").unwrap(), ConversionId::new(invoice).unwrap())];
    world.until(async || world.ledger.standings(&shop(), &about).await.unwrap().remove(0)?.cancelled.map(|_| ())).await;
    assert_eq!((state("month-1").await.as_str(), state("month-2").await.as_str()), ("PROCESSED", "CANCELED"));
    assert_eq!(world.send("GET", &format!("/shop/rewards/other?conversionId={invoice}"), &[], b"").await.status, 404);
}
