//! The simulator does not tell: no age, tempo, amount, count or hour alone says who is abusive, while what abuse must share does. Measured
//! through the engine's own replay and features, over programmes of every kind.

use super::labeled_line::{labeled_line, simulation_digester};
use super::library::{Library, Wanted};
use super::people::People;
use super::setting::hour_of;
use crate::adapters::policy_file;
use crate::offline::learning::matrix::Matrix;
use crate::offline::learning::metrics::roc_auc;
use crate::offline::learning::parallel;
use crate::offline::replay::{LabelRule, Recorder, replay};
use crate::screening::features::{ABSENT, CATALOGUE};
use crate::vocabulary::ids::ProgramId;
use crate::wire::training;

/// A feature that reached this area under the ROC curve by itself would let a model learn the simulator instead of the abuse.
const BOUND: f64 = 0.60;
/// What accounts share reaches more than this, all of it together.
const SHARED_TELLS: f64 = 0.70;
/// Two programmes of each kind.
const PROGRAMMES: u64 = 26;
const CONVERSIONS: u64 = 26 * 320;
/// Abuse is made common, so that little chance is left in what is measured, and labels exact.
const CONFIG: &str = "abusive_share = [0.15, 0.3]\n[labels]\nhonest_as_abusive = 0\nabusive_as_honest = 0\nunlabeled = 0\n";

/// Features of how somebody came and not of what two accounts share.
const CONTEXT: [&str; 8] = [
    "value.minimum_purchase.",
    "velocity.",
    "journey.click_to_signup.",
    "journey.signup_to_conversion.",
    "journey.no_click.",
    "attribution.",
    "network.anonymised.",
    "email.disposable.",
];

/// Evidence of what two accounts share.
const SHARED: [&str; 6] = ["identity.", "device.same", "payment.", "ring.", "history.", "journey.referrer_present"];

/// The rows of each programme, after its own replay.
fn matrices() -> Vec<Matrix> {
    let (people, digester) = (People::embedded().unwrap(), simulation_digester().unwrap());
    let library = Library::embedded().unwrap().changed("test.toml", CONFIG).unwrap();
    let wanted = Wanted { programmes: PROGRAMMES, conversions: CONVERSIONS, kind: None, held_out: Vec::new(), seed: 20 };
    let program_id = ProgramId::new("simulated").unwrap();
    let numbers: Vec<usize> = (0..usize::try_from(PROGRAMMES).unwrap()).collect();
    let replayed = |number: &usize| {
        let drawn = library.draw(&wanted, &people).unwrap().remove(*number);
        let line = |simulated| training::parse(labeled_line(&simulated, &program_id, &digester).unwrap()).unwrap();
        let recorder = Recorder::new(policy_file::shipped().unwrap());
        replay(drawn.months.map(line), &*recorder, &recorder, &LabelRule::default()).unwrap()
    };
    parallel::map(&numbers, replayed, &mut |_| {})
}

/// How well the numbers tell abusive rows from honest ones, in whichever direction, over all rows that have one: pooled, and in the mean over
/// programmes. Range: 0.5 to 1.
fn told(matrices: &[Matrix], value: impl Fn(&Matrix, usize) -> f64) -> [f64; 2] {
    let of = |matrix: &Matrix| -> (Vec<f64>, Vec<bool>) {
        (0..matrix.len()).map(|row| (value(matrix, row), matrix.abusive()[row])).filter(|(value, _)| *value != ABSENT).unzip()
    };
    let apart: Vec<(Vec<f64>, Vec<bool>)> = matrices.iter().map(of).collect();
    let (values, abusive): (Vec<f64>, Vec<bool>) =
        apart.iter().cloned().fold(Default::default(), |mut all: (Vec<_>, Vec<_>), one| {
            all.0.extend(one.0);
            all.1.extend(one.1);
            all
        });
    let mut weighted = (0.0, 0.0);
    for (values, abusive) in &apart {
        let bad = f64::from(u32::try_from(abusive.iter().filter(|bad| **bad).count()).unwrap());
        let good = f64::from(u32::try_from(abusive.len()).unwrap()) - bad;
        if bad > 0.0 && good > 0.0 {
            let weight = bad * good / (bad + good);
            weighted = (weighted.0 + weight * roc_auc(values, abusive), weighted.1 + weight);
        }
    }
    let either_way = |area: f64| area.max(1.0 - area);
    [either_way(roc_auc(&values, &abusive)), either_way(weighted.0 / weighted.1.max(f64::MIN_POSITIVE))]
}

#[test]
fn no_context_alone_tells_the_abusive_from_the_honest_and_what_they_share_does() {
    let matrices = matrices();
    let rows: usize = matrices.iter().map(Matrix::len).sum();
    assert!(rows as u64 > CONVERSIONS * 9 / 10, "{rows}");
    let mut table = String::new();
    let mut telling = Vec::new();
    let mut look = |name: &str, [pooled, within]: [f64; 2]| {
        table += &format!("{name}: pooled {pooled:.3}, within {within:.3}\n");
        if pooled > BOUND || within > BOUND {
            telling.push(name.to_owned());
        }
    };
    for (place, feature) in CATALOGUE.iter().enumerate() {
        if CONTEXT.iter().any(|beginning| feature.name.starts_with(beginning)) {
            look(&feature.name, told(&matrices, |matrix, row| matrix.value(row, place)));
        }
    }
    look("hour", told(&matrices, |matrix, row| f64::from(u8::try_from(hour_of(matrix.occurred_at()[row])).unwrap())));
    assert!(telling.is_empty(), "{telling:?} tell by themselves:\n{table}");

    let shared: Vec<usize> = (0..CATALOGUE.len())
        .filter(|place| SHARED.iter().any(|beginning| CATALOGUE[*place].name.starts_with(beginning)))
        .filter(|place| CATALOGUE[*place].name.ends_with(".strength"))
        .collect();
    let [_, within] = told(&matrices, |matrix, row| shared.iter().map(|place| matrix.value(row, *place).max(0.0)).sum());
    assert!(within > SHARED_TELLS, "what accounts share tells too little: {within:.3}");
}
