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
    Digester, DomainRules, EmailAddress, PersonName, PersonText, ProgrammeKey, digest_email, digest_name, padded_bigrams,
    ring_bigrams,
};
use selfsame::offline::simulator::chance::Chance;
use selfsame::offline::simulator::mailbox::MailboxHabit;
use selfsame::offline::simulator::people::{People, PeopleSource, Person, PersonNumber};
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
    dice(&padded_bigrams(a), &padded_bigrams(b))
}

fn dice(a: &BTreeSet<[char; 2]>, b: &BTreeSet<[char; 2]>) -> f64 {
    if a.is_empty() || b.is_empty() { 0.0 } else { 2.0 * a.intersection(b).count() as f64 / (a.len() + b.len()) as f64 }
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

/// What is known of one record of a person: an address, a name, or both.
struct Sketched {
    person: PersonNumber,
    address: String,
    email: Option<EmailSignals>,
    name: Option<NameSignals>,
    /// The texts behind the persons' sketches; empty where there is none.
    texts: [String; 2],
}

fn full_name(person: &Person) -> String {
    format!("{} {}", person.given_name, person.surname)
}

fn sketched(digester: &Digester, person: PersonNumber, address: &str, name: &str) -> Sketched {
    let text = |text: Option<PersonText>| text.map(|text| text.as_str().to_owned()).unwrap_or_default();
    let mailbox = EmailAddress::parse(address).map(|parsed| parsed.mailbox(&DomainRules::SHIPPED)).ok();
    Sketched {
        person,
        address: address.to_owned(),
        email: digest_email(digester, address).ok(),
        name: digest_name(digester, name).ok(),
        texts: [
            text(mailbox.and_then(|mailbox| PersonText::of_mailbox(&mailbox))),
            text(PersonName::parse(name).ok().and_then(|name| PersonText::of_name(&name))),
        ],
    }
}

fn sketched_people(people: &People, source: PeopleSource) -> Vec<Sketched> {
    let digester = digester();
    let records = people.records().iter().filter(|person| person.source == source);
    records
        .map(|record| sketched(&digester, record.person, record.email.as_deref().unwrap_or_default(), &full_name(record)))
        .collect()
}

/// Pairs of one person, whose records follow each other, with two addresses that differ.
fn of_one_person(records: &[Sketched]) -> Vec<(&Sketched, &Sketched)> {
    let mut pairs = Vec::new();
    for own in records.chunk_by(|a, b| a.person == b.person) {
        pairs.extend(own.iter().enumerate().flat_map(|(at, a)| own[at + 1..].iter().map(move |b| (a, b))));
    }
    pairs.retain(|(a, b)| a.email.is_some() && b.email.is_some() && a.address != b.address);
    pairs
}

fn of_two_persons(records: &[Sketched], count: usize) -> Vec<(&Sketched, &Sketched)> {
    let mut random = Xoshiro256PlusPlus::seed_from_u64(20);
    let mut draw = || &records[random.gen_range(0..records.len())];
    std::iter::repeat_with(|| (draw(), draw())).filter(|(a, b)| a.person != b.person).take(count).collect()
}

/// The similarity of two records by one kind of sketch; absent where it cannot be told.
type Likeness = fn(&Sketched, &Sketched) -> Option<f64>;

fn by_local_part(a: &Sketched, b: &Sketched) -> Option<f64> {
    a.email.as_ref()?.local_part_sketches[0].dice(&b.email.as_ref()?.local_part_sketches[0])
}

fn by_name(a: &Sketched, b: &Sketched) -> Option<f64> {
    a.name.as_ref()?.sketches[0].dice(&b.name.as_ref()?.sketches[0])
}

/// The one's address with the other's name, and the other way round: what `identity.name_in_mailbox` measures.
fn crosswise(a: &Sketched, b: &Sketched) -> Option<f64> {
    [(a, b), (b, a)].into_iter().filter_map(|(a, b)| address_with_name(a, b)).reduce(f64::max)
}

fn address_with_name(a: &Sketched, b: &Sketched) -> Option<f64> {
    a.email.as_ref()?.person_sketches.first()?.dice(b.name.as_ref()?.person_sketches.first()?)
}

fn crosswise_in_plaintext(a: &Sketched, b: &Sketched, bigrams: impl Fn(&str) -> BTreeSet<[char; 2]>) -> Option<f64> {
    let pairs = [(&a.texts[0], &b.texts[1]), (&b.texts[0], &a.texts[1])].into_iter();
    let known = pairs.filter(|(address, name)| !address.is_empty() && !name.is_empty());
    known.map(|(address, name)| dice(&bigrams(address), &bigrams(name))).reduce(f64::max)
}

/// The letters joined and padded at both ends: what a ring is measured against.
fn padded_ends(text: &str) -> BTreeSet<[char; 2]> {
    padded_bigrams(&text.replace(' ', ""))
}

const STRANGERS: usize = 200_000;
const THRESHOLDS: [f64; 10] = [0.50, 0.55, 0.60, 0.65, 0.70, 0.75, 0.80, 0.85, 0.90, 0.95];

/// The shares of one person's pairs and of strangers' that a likeness reaches, among those where it can be told.
struct Shares {
    of_one_person: Vec<f64>,
    of_strangers: Vec<f64>,
}

impl Shares {
    fn of(pairs: &[(&Sketched, &Sketched)], strangers: &[(&Sketched, &Sketched)], likeness: Likeness) -> Self {
        let told = |pairs: &[(&Sketched, &Sketched)]| pairs.iter().filter_map(|(a, b)| likeness(a, b)).collect();
        Self { of_one_person: told(pairs), of_strangers: told(strangers) }
    }

    fn recall(&self) -> f64 {
        recall(&self.of_one_person, &self.of_strangers, |likeness| *likeness)
    }

    /// The share of one person's pairs from a threshold on, and of 100,000 pairs of strangers.
    fn from(&self, threshold: f64) -> (f64, f64) {
        let share = |told: &[f64]| told.iter().filter(|likeness| **likeness >= threshold).count() as f64 / told.len() as f64;
        (share(&self.of_one_person), 100_000.0 * share(&self.of_strangers))
    }
}

/// The table of `docs/digests.md`.
fn table(columns: [(&str, &Shares); 3]) -> String {
    let mut lines = Vec::new();
    for (name, shares) in columns {
        let (pairs, strangers) = (shares.of_one_person.len(), shares.of_strangers.len());
        lines.push(format!("{name}: {pairs} pairs, {strangers} of strangers, recall at 0.1 % {:.3}", shares.recall()));
    }
    lines.push("| similarity | local parts | names | address with name |".to_owned());
    for threshold in THRESHOLDS {
        let cells = columns.map(|(_, shares)| shares.from(threshold)).map(|(m, u)| format!("{m:.3} / {u:.0}"));
        lines.push(format!("| {threshold:.2} | {} |", cells.join(" | ")));
    }
    lines.join("\n  ")
}

/// What `screening::evidence` takes for a hit of `identity.name_in_mailbox`.
const NAME_IN_MAILBOX: f64 = 0.75;

#[test]
fn an_address_finds_the_name_of_its_owner_and_few_of_strangers() {
    let people = People::embedded().unwrap();
    for (source, called, recall_min, hits_min) in
        [(PeopleSource::SplinkFake1000, "Splink's people", 0.45, 0.28), (PeopleSource::Febrl4, "FEBRL 4", 0.63, 0.48)]
    {
        let records = sketched_people(&people, source);
        let (pairs, strangers) = (of_one_person(&records), of_two_persons(&records, STRANGERS));
        let of = |likeness| Shares::of(&pairs, &strangers, likeness);
        let (local_parts, names, crossed) = (of(by_local_part), of(by_name), of(crosswise));
        let table = table([("local parts", &local_parts), ("names", &names), ("address with name", &crossed)]);
        println!(
            "{called}: share of one person's pairs, and of 100,000 pairs of strangers, from a Dice similarity on\n  {table}"
        );
        let (hits, of_strangers) = crossed.from(NAME_IN_MAILBOX);
        assert!(crossed.recall() > recall_min, "{called}: {:.3}", crossed.recall());
        assert!(hits > hits_min && of_strangers < 50.0, "{called}: {hits:.3} {of_strangers:.0}");

        let fewer = &strangers[..NEGATIVES_PER_POSITIVE * pairs.len().min(2_000)];
        let in_plaintext = |bigrams: fn(&str) -> BTreeSet<[char; 2]>| {
            let told = |pairs: &[(&Sketched, &Sketched)]| -> Vec<f64> {
                pairs.iter().filter_map(|(a, b)| crosswise_in_plaintext(a, b, bigrams)).collect()
            };
            recall(&told(&pairs), &told(fewer), |likeness| *likeness)
        };
        let (ring, padded) = (in_plaintext(ring_bigrams), in_plaintext(padded_ends));
        let sketch = Shares::of(&pairs, fewer, crosswise).recall();
        println!("  at 0.1 % of {} strangers: ring {ring:.3} | padded ends {padded:.3} | sketch {sketch:.3}", fewer.len());
        assert!((sketch - ring).abs() <= TOLERANCE && ring > padded, "{called}: {sketch:.3} {ring:.3} {padded:.3}");
    }
}

#[test]
fn a_name_written_the_other_way_round_is_found_as_well() {
    let people = People::embedded().unwrap();
    let digester = digester();
    let turned: Vec<Sketched> = people
        .records()
        .iter()
        .filter(|record| record.source == PeopleSource::SplinkFake1000)
        .map(|record| {
            let name = format!("{}, {}", record.surname, record.given_name);
            sketched(&digester, record.person, record.email.as_deref().unwrap_or_default(), &name)
        })
        .collect();
    let usual = sketched_people(&people, PeopleSource::SplinkFake1000);
    let likenesses = |records: &[Sketched], likeness: &dyn Fn(&Sketched, &Sketched) -> Option<f64>| -> Vec<Option<f64>> {
        of_one_person(records).into_iter().map(|(a, b)| likeness(a, b)).collect()
    };
    assert_eq!(likenesses(&turned, &crosswise), likenesses(&usual, &crosswise), "on a ring it is one name");
    let padded = |a: &Sketched, b: &Sketched| crosswise_in_plaintext(a, b, padded_ends);
    let mean = |told: Vec<Option<f64>>| {
        let told: Vec<f64> = told.into_iter().flatten().collect();
        told.iter().sum::<f64>() / told.len() as f64
    };
    let (lost, kept) = (mean(likenesses(&turned, &padded)), mean(likenesses(&usual, &padded)));
    assert!(lost < kept - 0.05, "padded ends: {lost:.3} {kept:.3}");
}

/// Somebody whose second address is made otherwise than the first, and whose name is spelled as in the other record.
#[test]
fn a_second_address_of_another_making_is_found_by_the_name() {
    let people = People::embedded().unwrap();
    let digester = digester();
    let mut chance = Chance::new(21);
    let records: Vec<Sketched> = people
        .records()
        .iter()
        .filter(|record| record.source == PeopleSource::Febrl4)
        .map(|record| {
            let anew =
                format!("{}@gmx.de", MailboxHabit::draw(&mut chance, 1990).local_part(&record.given_name, &record.surname));
            let address = record.email.as_deref().filter(|_| record.variant == 0).unwrap_or(&anew);
            sketched(&digester, record.person, address, &full_name(record))
        })
        .collect();
    let (pairs, strangers) = (of_one_person(&records), of_two_persons(&records, STRANGERS / 2));
    let of = |likeness| Shares::of(&pairs, &strangers, likeness).recall();
    let (local_parts, crossed) = (of(by_local_part), of(crosswise));
    let either = of(|a, b| by_local_part(a, b).into_iter().chain(crosswise(a, b)).reduce(f64::max));
    println!(
        "FEBRL 4, {} people with a second address of another making: local parts {local_parts:.3} | address with name {crossed:.3} | either {either:.3}",
        pairs.len()
    );
    assert!(crossed > local_parts && either > local_parts + 0.05, "{local_parts:.3} {crossed:.3} {either:.3}");
}

#[test]
fn relatives_are_few_among_those_whose_name_is_before_the_others_at() {
    let people = People::embedded().unwrap();
    let digester = digester();
    let febrl: Vec<&Person> =
        people.records().iter().filter(|record| record.source == PeopleSource::Febrl4 && !record.surname.is_empty()).collect();
    let mut random = Xoshiro256PlusPlus::seed_from_u64(20);
    let mut draw = || febrl[random.gen_range(0..febrl.len())];
    // One has the given name of somebody else, and the surname and so half of the address of the other.
    let relatives = std::iter::repeat_with(|| (draw(), draw())).filter(|(a, b)| a.given_name != b.given_name).take(10_000);
    let told: Vec<f64> = relatives
        .filter_map(|(owner, other)| {
            let address = sketched(&digester, owner.person, owner.email.as_deref()?, "");
            let name = sketched(&digester, other.person, "", &format!("{} {}", other.given_name, owner.surname));
            address_with_name(&address, &name)
        })
        .collect();
    let from = |threshold| told.iter().filter(|likeness| **likeness >= threshold).count() as f64 / told.len() as f64;
    let shares = THRESHOLDS.map(|threshold| format!("{threshold:.2} {:.4}", from(threshold)));
    println!("FEBRL 4, {} relatives, address of the one with name of the other: {}", told.len(), shares.join(" | "));
    assert!(from(NAME_IN_MAILBOX) < 0.02, "{:.4}", from(NAME_IN_MAILBOX));
}
