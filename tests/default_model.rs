//! Holds the shipped model to its card: it loads on this server's features, the card states its version, thresholds and promise, and the folder
//! says how to make it again.
#![expect(clippy::panic, reason = "a test stops at once where its file is not what it holds")]

use selfsame::adapters::model_file;
use selfsame::screening::features::{CATALOGUE, FEATURE_COUNT, FeatureVector, schema_hash};
use selfsame::screening::model::{Certificate, Model, Thresholds};

const FILE: &[u8] = include_bytes!("../models/default.json");
const CARD: &str = include_str!("../models/default.md");
const FOLDER: &str = include_str!("../models/README.md");

fn model() -> Model {
    let read = model_file::from_bytes(FILE);
    read.unwrap_or_else(|refused| panic!("after a change of features the shipped model is trained again: {refused}"))
}

/// The value of a row of the card's first table.
fn stated(name: &str) -> &'static str {
    let row = CARD.lines().find_map(|line| line.strip_prefix(&format!("| {name} | ")));
    row.and_then(|rest| rest.strip_suffix(" |")).unwrap_or_else(|| panic!("the card has no row `{name}`"))
}

#[test]
fn the_shipped_model_loads_on_this_catalogue() {
    assert_eq!(model().parts().features.len(), CATALOGUE.len());
    let unknown = FeatureVector::from_values([-1.0; FEATURE_COUNT]);
    let probability = model().probability(&unknown);
    let review = model().thresholds().review;
    assert!(probability < model().thresholds().reject.unwrap_or(1.0), "nothing is known: {probability}, review from {review}");
}

#[test]
fn the_card_names_this_model_its_family_and_its_features() {
    let model = model();
    assert_eq!(CARD.lines().next(), Some(format!("# Model `{}`", model.version()).as_str()));
    assert_eq!(stated("family"), &*model.parts().family);
    assert!(stated("fingerprints").contains(&format!("features {}", schema_hash())), "{}", stated("fingerprints"));
    assert_eq!(stated("newest event"), model.parts().trained_until.to_string());
}

#[test]
fn the_card_promises_what_the_model_holds() {
    let model = model();
    let Certificate { alpha, delta, rejected_samples, honest_samples, rejected_referrals, upper_bound } = model.certificate();
    let Thresholds { review, reject } = model.thresholds();
    let conjunctions = &model.parts().conjunctions;
    let promise = CARD.split("## What it promises").nth(1).and_then(|rest| rest.split("\n## ").next()).unwrap_or_default();
    assert!(promise.contains(&format!("Sends to review from {review:.4}")), "{promise}");
    if model.rejects() {
        assert!(upper_bound <= alpha);
        let by_score = reject.map(|reject| format!("from {reject:.4} upwards"));
        assert!(by_score.is_none_or(|said| promise.contains(&said)), "{promise}");
        assert!(conjunctions.iter().all(|conjunction| promise.contains(&format!("| `{conjunction}` |"))), "{promise}");
        let rings = rejected_samples - honest_samples;
        let seen = format!("{rejected_referrals} referrals, {honest_samples} of them honest, the others in {rings} rings");
        assert!(promise.contains(&seen), "{promise}");
        assert!(promise.contains(&format!("at most {:.2} % of those it rejects are honest", alpha * 100.0)), "{promise}");
    } else {
        assert!(
            promise.contains("It rejects nothing by itself") && promise.contains(&format!("α = {alpha}, δ = {delta}")),
            "{promise}"
        );
    }
}

#[test]
fn the_folder_says_how_the_default_is_made() {
    let command = stated("made by").trim_matches('`').replace("--write default.json", "--write models/default.json");
    assert!(FOLDER.contains(&command), "models/README.md does not hold `{command}`");
    let data = stated("data");
    assert!(FOLDER.contains(&format!("--write {data}")), "models/README.md does not make `{data}`");
}
