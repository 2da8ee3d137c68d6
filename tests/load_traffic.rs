//! Holds the traffic that load is measured with to what a programme looks like: most of it is approved, some is for people to see, a little is
//! rejected. A stream that all lands in review would measure the cost of cases.

use std::sync::Arc;

use selfsame::adapters::model_file;
use selfsame::adapters::model_shelf::ModelShelf;
use selfsame::adapters::model_store::SHIPPED_MODEL;
use selfsame::adapters::policy_file;
use selfsame::adapters::policy_store::FixedPolicy;
use selfsame::adapters::standing_rules::StandingRules;
use selfsame::book::Books;
use selfsame::book::command::{Assessor, Command, Done, ScreenCommand};
use selfsame::book::records::ContentFingerprint;
use selfsame::offline::load::generator::{Traffic, TrafficShape, Walk};
use selfsame::screening::audit::AuditKey;
use selfsame::screening::decision::Verdict;
use selfsame::wire::conversion::parse;
use selfsame::wire::fields::Arrival;

const MEASURED: usize = 2_000;

#[test]
fn by_the_shipped_rules_and_model_load_traffic_is_mostly_approved() {
    let shelf = ModelShelf::default();
    shelf.set_default(Arc::new(model_file::from_bytes(SHIPPED_MODEL).unwrap()));
    let policy = FixedPolicy::new(policy_file::shipped().unwrap());
    let assessor: Arc<dyn Assessor> =
        Arc::new(StandingRules::new(Arc::new(policy), Arc::new(shelf), Some(AuditKey::new([1; 32]))));
    let mut books = Books::default();
    let shape = TrafficShape::with_known_values("load-test", 16_000, 3);
    let mut screen = |traffic: &Traffic, index| {
        let conversion = parse(traffic.conversion(index), "conversion", Arrival::Recorded).unwrap();
        let received_at = conversion.occurred_at;
        let command = ScreenCommand { conversion, content: ContentFingerprint([1; 16]), received_at };
        match books.execute(Command::Screen(Box::new(command)), &*assessor).unwrap().done {
            Done::Screened(record) => record.decision,
            other => panic!("{other:?}"),
        }
    };
    let filling = Traffic::new(shape.clone(), Walk::Filling);
    for index in 0..shape.known_accounts {
        screen(&filling, index);
    }
    let measuring = Traffic::new(shape, Walk::Measuring);
    let decisions: Vec<_> = (0..MEASURED as u64).map(|index| screen(&measuring, index)).collect();
    let percent = |verdict| 100 * decisions.iter().filter(|decision| decision.verdict == verdict).count() / MEASURED;
    let shares = [Verdict::Approved, Verdict::InReview, Verdict::Rejected].map(percent);
    assert!(
        (65..=80).contains(&shares[0]) && (20..=35).contains(&shares[1]),
        "percent approved, in review, rejected: {shares:?}"
    );
}
