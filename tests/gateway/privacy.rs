//! Nothing personal leaves the translators: it is planted, and looked for in the journal, the answers and the log.

use selfsame::book::directory::Stage;
use selfsame::book::records::Cursor;
use selfsame::ports::journal::{Direction, Journal as _, Reach};

use crate::world::{STRIPE_LIFE, World, log, payload, shop};

/// What stands in the payloads of a person.
const PLANTED: [&str; 8] = [
    "jenny.rosen",
    "planted.example",
    "Planted",
    "Rosen",
    "rosen",
    "PlantedFingerprint7",
    "max.mustermann",
    "plantedfingerprint7",
];

fn holds(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

#[tokio::test]
async fn what_is_planted_is_found_nowhere() {
    let world = World::start(Stage::Production).await;
    world.code("ANN-1", "user-ann").await;
    let mut answers = String::new();
    for event in STRIPE_LIFE {
        answers.push_str(&format!("{:?}", world.stripe(event).await));
        // What is wrong with a payload is told without it.
        answers
            .push_str(&format!("{:?}", world.stripe(&event.replace("cus_NffrFeUfNV2Hib", "jenny.rosen@planted.example")).await));
    }
    for event in [payload!("chargebee_customer_created"), payload!("chargebee_payment_succeeded")] {
        answers.push_str(&format!("{:?}", world.chargebee(event).await));
    }
    for event in [payload!("events_new_signup"), payload!("events_invoice_paid")] {
        answers.push_str(&format!("{:?}", world.event(event).await));
        answers.push_str(&format!("{:?}", world.event(&event.replace("max.mustermann@planted.example", "Planted")).await));
    }
    for conversion in ["stripe.in_1MtHbELkdIwHu7ixl4OzzPMv", "chargebee.203", "events.inv-abc"] {
        world.conversion(conversion).await;
    }
    let reach = Reach { from: Cursor(1), to: Cursor(u64::MAX >> 1), direction: Direction::Forward, limit: 10_000 };
    let records = world.journal.read(&shop(), reach).unwrap();
    assert!(records.len() > 20, "{}", records.len());
    let log = log().0.lock().clone();
    assert!(holds(&log, "shop"), "the log was listened to");
    for planted in PLANTED {
        assert!(!records.iter().any(|record| holds(&record.payload, planted)), "{planted} is in the journal");
        assert!(!answers.contains(planted), "{planted} is in an answer: {answers}");
        assert!(!holds(&log, planted), "{planted} is in the log");
    }
}
