//! How many pairs of one person digests and sketches find, on people that others made (`datasets/people/`), against plaintext.
//!
//! Prints the figures that `docs/digests.md` states: `cargo test --test sketch_recall -- --nocapture`.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "counts of some ten thousand pairs"
)]

use std::collections::{BTreeMap, BTreeSet};

use rand::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;
use selfsame::digesting::{
    Digester, DomainRules, EmailAddress, PersonName, ProgrammeKey, digest_email, digest_name, padded_bigrams,
};
use selfsame::vocabulary::bundle::{EmailSignals, NameSignals};
use selfsame::vocabulary::digest::{DigestSet, KeyId};
use selfsame::vocabulary::sketch::Sketch;

const NEGATIVES_PER_POSITIVE: usize = 20;
const FALSE_POSITIVE_RATE: f64 = 0.001;
/// What issue and document promise: the sketch is as good as plaintext bigrams, within this.
const TOLERANCE: f64 = 0.03;

fn digester() -> Digester {
    let bytes: Vec<u8> = (0..32).map(|byte| byte * 7 + 3).collect();
    Digester::new(&ProgrammeKey::from_bytes(KeyId::new("k1").unwrap(), &bytes).unwrap())
}

/// A person's record, in plaintext and in pseudonyms.
struct Record {
    person: u32,
    exact: String,
    bare_local_part: String,
    folded_name: String,
    email: EmailSignals,
    name: Option<NameSignals>,
}

fn splink_records() -> Vec<Record> {
    let digester = digester();
    let mut reader = csv::Reader::from_path(dataset("splink_fake_1000.csv")).unwrap();
    let headers = reader.headers().unwrap().clone();
    let column = |name: &str| headers.iter().position(|header| header == name).unwrap();
    let (given, family, email, cluster) = (column("first_name"), column("surname"), column("email"), column("cluster"));
    let rows = reader.records().map(Result::unwrap).filter_map(|row| {
        let address = EmailAddress::parse(&row[email]).ok()?;
        let typed = format!("{} {}", &row[given], &row[family]);
        Some(Record {
            person: row[cluster].parse().unwrap(),
            exact: address.exact(),
            bare_local_part: address.mailbox(&DomainRules::SHIPPED).bare_local_part(),
            folded_name: PersonName::parse(&typed).map(|name| name.folded().to_owned()).unwrap_or_default(),
            email: digest_email(&digester, &row[email]).unwrap(),
            name: digest_name(&digester, &typed).ok(),
        })
    });
    rows.collect()
}

fn dataset(file: &str) -> String {
    format!("{}/datasets/people/{file}", env!("CARGO_MANIFEST_DIR"))
}

type Pair<'a> = (&'a Record, &'a Record);

/// Pairs of one person whose addresses differ: equal addresses need no sketch.
fn positives(records: &[Record]) -> Vec<Pair<'_>> {
    let mut people: BTreeMap<u32, Vec<&Record>> = BTreeMap::new();
    for record in records {
        people.entry(record.person).or_default().push(record);
    }
    let pairs = people.values().flat_map(|own| own.iter().enumerate().flat_map(|(i, a)| own[i + 1..].iter().map(|b| (*a, *b))));
    pairs.filter(|(a, b)| a.exact != b.exact).collect()
}

fn negatives(records: &[Record], count: usize) -> Vec<Pair<'_>> {
    let mut random = Xoshiro256PlusPlus::seed_from_u64(20);
    let mut draw = || &records[random.gen_range(0..records.len())];
    std::iter::repeat_with(|| (draw(), draw())).filter(|(a, b)| a.person != b.person).take(count).collect()
}

/// Share of positives above the lowest threshold that at most the given share of negatives passes.
fn recall<T>(positives: &[T], negatives: &[T], score: impl Fn(&T) -> f64) -> f64 {
    let mut of_strangers: Vec<f64> = negatives.iter().map(&score).collect();
    of_strangers.sort_by(|a, b| b.total_cmp(a));
    let allowed = (FALSE_POSITIVE_RATE * negatives.len() as f64) as usize;
    let threshold = of_strangers[allowed];
    positives.iter().filter(|pair| score(pair) > threshold).count() as f64 / positives.len() as f64
}

fn plaintext_dice(a: &str, b: &str) -> f64 {
    let (a, b): (BTreeSet<_>, BTreeSet<_>) = (padded_bigrams(a), padded_bigrams(b));
    if a.is_empty() || b.is_empty() { 0.0 } else { 2.0 * a.intersection(&b).count() as f64 / (a.len() + b.len()) as f64 }
}

fn sketch_dice(a: &[Sketch], b: &[Sketch]) -> f64 {
    a.iter().zip(b).filter_map(|(a, b)| a.dice(b)).fold(0.0, f64::max)
}

fn equal(a: Option<&DigestSet>, b: Option<&DigestSet>) -> f64 {
    f64::from(u8::from(a.zip(b).is_some_and(|(a, b)| a.shares_value_with(b))))
}

fn mailbox((a, b): &Pair<'_>) -> f64 {
    equal(a.email.mailbox.as_ref(), b.email.mailbox.as_ref())
}

fn local_part((a, b): &Pair<'_>) -> f64 {
    equal(a.email.local_part.as_ref(), b.email.local_part.as_ref())
}

fn local_part_sketch((a, b): &Pair<'_>) -> f64 {
    sketch_dice(&a.email.local_part_sketches, &b.email.local_part_sketches)
}

fn name_sketch((a, b): &Pair<'_>) -> f64 {
    a.name.as_ref().zip(b.name.as_ref()).map_or(0.0, |(a, b)| sketch_dice(&a.sketches, &b.sketches))
}

/// How much a name counts beside a local part. From a grid of 0 to 0.5 on these people; 0.05 to 0.3 are alike. An equal local
/// part has a sketch similarity of 1, and an equal mailbox an equal local part: both are in the sum.
const NAME_WEIGHT: f64 = 0.2;

fn combined(pair: &Pair<'_>) -> f64 {
    mailbox(pair).max(local_part(pair)).max(local_part_sketch(pair)) + NAME_WEIGHT * name_sketch(pair)
}

#[test]
fn email_sketches_find_what_plaintext_bigrams_find_and_far_more_than_digests() {
    let records = splink_records();
    let positives = positives(&records);
    let negatives = negatives(&records, NEGATIVES_PER_POSITIVE * positives.len());
    let of = |score: fn(&Pair<'_>) -> f64| recall(&positives, &negatives, score);

    let digest_of_mailbox = of(mailbox);
    let digest_of_local_part = of(local_part);
    let plaintext = of(|(a, b)| plaintext_dice(&a.bare_local_part, &b.bare_local_part));
    let sketch = of(local_part_sketch);
    let together = of(combined);
    let unfolded = of(|(a, b)| f64::from(u8::from(a.exact == b.exact)));
    println!("Splink's people, {} pairs with different addresses:", positives.len());
    println!(
        "  exact digest {unfolded:.3} | mailbox digest {digest_of_mailbox:.3} | local-part digest {digest_of_local_part:.3}"
    );
    println!("  plaintext bigram Dice {plaintext:.3} | local-part sketch {sketch:.3} | all with the name sketch {together:.3}");

    assert!((sketch - plaintext).abs() <= TOLERANCE, "sketch {sketch:.3}, plaintext {plaintext:.3}");
    assert!(digest_of_local_part > digest_of_mailbox + 0.3, "{digest_of_local_part:.3} {digest_of_mailbox:.3}");
    assert!(sketch > digest_of_local_part + 0.2, "{sketch:.3} {digest_of_local_part:.3}");
    assert!(together >= sketch && together > digest_of_mailbox + 0.5, "{together:.3} {sketch:.3} {digest_of_mailbox:.3}");
}

#[test]
fn names_are_found_by_sketch_as_well_as_by_plaintext_bigrams() {
    let records = splink_records();
    let positives: Vec<Pair<'_>> =
        positives(&records).into_iter().filter(|(a, b)| a.name.is_some() && b.name.is_some()).collect();
    let negatives = negatives(&records, NEGATIVES_PER_POSITIVE * positives.len());
    let plaintext = recall(&positives, &negatives, |(a, b)| plaintext_dice(&a.folded_name, &b.folded_name));
    let sketch = recall(&positives, &negatives, name_sketch);
    println!("Splink's people, {} pairs with names: plaintext {plaintext:.3} | sketch {sketch:.3}", positives.len());
    assert!((sketch - plaintext).abs() <= TOLERANCE, "sketch {sketch:.3}, plaintext {plaintext:.3}");
}

/// A folded name with its pseudonyms.
struct Named {
    folded: String,
    signals: NameSignals,
}

#[test]
fn misspelt_names_are_found_by_sketch_as_well_as_by_plaintext_bigrams() {
    let digester = digester();
    let named = |typed: &str| {
        let folded = PersonName::parse(typed).ok()?.folded().to_owned();
        Some(Named { folded, signals: digest_name(&digester, typed).ok()? })
    };
    let mut reader = csv::Reader::from_path(dataset("febrl4.csv")).unwrap();
    let headers = reader.headers().unwrap().clone();
    let column = |name: &str| headers.iter().position(|header| header == name).unwrap();
    let columns = ["given_name", "surname", "dup_given_name", "dup_surname"].map(column);
    let people: Vec<(Named, Named)> = reader
        .records()
        .map(Result::unwrap)
        .filter_map(|row| {
            let [given, family, other_given, other_family] = columns.map(|at| &row[at]);
            named(&format!("{given} {family}")).zip(named(&format!("{other_given} {other_family}")))
        })
        .collect();
    let positives: Vec<(&Named, &Named)> = people.iter().map(|(a, b)| (a, b)).filter(|(a, b)| a.folded != b.folded).collect();
    let mut random = Xoshiro256PlusPlus::seed_from_u64(20);
    let negatives: Vec<(&Named, &Named)> =
        std::iter::repeat_with(|| (random.gen_range(0..people.len()), random.gen_range(0..people.len())))
            .filter(|(a, b)| a != b)
            .take(NEGATIVES_PER_POSITIVE * positives.len())
            .map(|(a, b)| (&people[a].0, &people[b].1))
            .collect();

    let plaintext = recall(&positives, &negatives, |(a, b)| plaintext_dice(&a.folded, &b.folded));
    let sketch = recall(&positives, &negatives, |(a, b)| sketch_dice(&a.signals.sketches, &b.signals.sketches));
    println!(
        "FEBRL 4, {} people whose folded names differ: plaintext {plaintext:.3} | sketch {sketch:.3} | digest 0",
        positives.len()
    );
    assert!((sketch - plaintext).abs() <= TOLERANCE, "sketch {sketch:.3}, plaintext {plaintext:.3}");
}
