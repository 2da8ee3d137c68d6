//! Any order of a sender's own payloads ends in the same conversions and outcomes.

use std::collections::BTreeSet;

use selfsame::book::directory::Stage;
use selfsame::vocabulary::ids::{ConversionId, RewardId};
use serde_json::Value;

use crate::world::{STRIPE_LIFE, World, shop};

/// Everything that stands in the end, in words.
async fn ends_in(order: &[usize]) -> BTreeSet<String> {
    let world = World::start(Stage::Production).await;
    world.code("ANN-1", "user-ann").await;
    for place in order {
        assert_eq!(world.stripe(STRIPE_LIFE[*place]).await.status, 200);
    }
    let ids = ["signup.user-jenny", "stripe.in_1MtHbELkdIwHu7ixl4OzzPMv", "stripe.ch_3OneTime"];
    let mut found = BTreeSet::new();
    for id in ids {
        let conversion = world.conversion(id).await;
        found.insert(format!(
            "{:?} {:?} {:?} {:?}",
            conversion.kind, conversion.value, conversion.occurred_at, conversion.attribution
        ));
    }
    // Three decisions, two refunds; a dispute and its end cancel each other in every order.
    let about = [(RewardId::new("of-nobody").unwrap(), ConversionId::new(ids[1]).unwrap())];
    let standing = world
        .until(async || {
            let standing = world.ledger.standings(&shop(), &about).await.unwrap().remove(0)?;
            let settled = standing.refunded.is_some_and(|(back, _)| back.amount_minor() == 4_000) && standing.cancelled.is_none();
            settled.then(|| format!("{:?} {:?}", standing.refunded, standing.cancelled))
        })
        .await;
    found.insert(standing);
    found
}

#[tokio::test]
async fn any_order_and_any_number_of_times_ends_the_same() {
    let forward: Vec<usize> = (0..STRIPE_LIFE.len()).collect();
    let expected = ends_in(&forward).await;
    let backward: Vec<usize> = forward.iter().rev().copied().collect();
    assert_eq!(ends_in(&backward).await, expected);
    let mut seed = 7_u64;
    for _ in 0..6 {
        let mut order = forward.clone();
        order.extend([3, 5, 7]);
        for place in (1..order.len()).rev() {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            order.swap(place, usize::try_from(seed >> 33).unwrap() % (place + 1));
        }
        assert_eq!(ends_in(&order).await, expected, "{order:?}");
    }
}

#[tokio::test]
async fn an_event_is_answered_as_the_first_time_and_other_content_is_refused() {
    let world = World::start(Stage::Production).await;
    let first = world.stripe(STRIPE_LIFE[5]).await;
    let mistakes = first.body["mistakes"].as_array().unwrap().clone();
    assert!(mistakes[0].as_str().unwrap().contains("nobody said whose the code `ANN-1` is"), "{mistakes:?}");
    let again = world.stripe(STRIPE_LIFE[5]).await;
    assert_eq!((again.status, &again.body["replayed"], &again.body["mistakes"]), (200, &true.into(), &Value::from(mistakes)));
    let other = world.stripe(&STRIPE_LIFE[5].replace("user-jenny", "user-eve")).await;
    assert_eq!(other.status, 409, "{other:?}");
}
