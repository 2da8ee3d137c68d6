//! Claims on programmes as they go on.

use super::*;
use crate::offline::simulator::library::{Library, Wanted};

fn programme(wanted: &Wanted, config: &str) -> Vec<Simulated> {
    let people = People::embedded().unwrap();
    let library = Library::embedded().unwrap().changed("test.toml", config).unwrap();
    let mut drawn = library.draw(wanted, &people).unwrap();
    drawn.remove(0).months.collect()
}

fn abusive_share(programme: &[Simulated]) -> f64 {
    let count = |n: usize| f64::from(u32::try_from(n).unwrap());
    count(programme.iter().filter(|line| line.conversion.truth == Truth::Abusive).count()) / count(programme.len())
}

/// No attacks, no drift, and every persona there.
const STEADY: &str = "persona_absent = 0.0\n[waves]\nattacks_per_month = 0.0\n[drift]\nabuse_factor = 1.0\n";

#[test]
fn one_seed_gives_one_programme() {
    let of = |seed| programme(&Wanted::ordinary(400, seed), "");
    assert_eq!(of(4), of(4));
    assert_ne!(of(4), of(5));
}

#[test]
fn conversions_come_in_event_time_order_are_numbered_and_last_about_half_a_year_or_more() {
    let programme = programme(&Wanted::ordinary(3_000, 1), STEADY);
    assert_eq!(programme.len(), 3_000);
    assert!(programme.windows(2).all(|pair| pair[0].conversion.occurred_at <= pair[1].conversion.occurred_at));
    assert_eq!(programme[2].conversion.conversion_id, "cv-000003");
    let lasted = programme[2_999].conversion.occurred_at.since(programme[0].conversion.occurred_at);
    assert!(lasted > Span::from_days(120), "{lasted:?}");
}

#[test]
fn the_share_of_abuse_is_about_what_was_asked_for() {
    for asked in [0.02, 0.08, 0.25] {
        let shares = (0..4)
            .map(|seed| abusive_share(&programme(&Wanted::ordinary(4_000, seed), &format!("abusive_share = {asked}\n{STEADY}"))));
        let got = shares.sum::<f64>() / 4.0;
        assert!((got / asked - 1.0).abs() < 0.3, "asked {asked}, got {got}");
    }
}

#[test]
fn abuse_grows_when_it_is_told_to() {
    let config = "abusive_share = 0.05\nlength_days = 300\n[waves]\nattacks_per_month = 0.0\n[drift]\nabuse_factor = 1.3\n";
    let programme = programme(&Wanted::ordinary(9_000, 3), config);
    let (first, last) = (abusive_share(&programme[..3_000]), abusive_share(&programme[6_000..]));
    assert!(last > first * 1.5, "{first} then {last}");
}

#[test]
fn an_attack_makes_one_persona_far_more_common_for_some_days() {
    let config =
        "abusive_share = 0.05\nlength_days = 300\n[waves]\nattacks_per_month = 1.0\nattack_days = 10.0\nattack_factor = 60.0\n";
    let programme = programme(&Wanted::ordinary(6_000, 3), config);
    let mut shares: Vec<f64> = programme.chunks(100).map(abusive_share).collect();
    shares.sort_by(f64::total_cmp);
    let (usual, most) = (shares[shares.len() / 2], shares[shares.len() - 1]);
    assert!(most > 4.0 * usual && most > 0.2, "{shares:?}");
}

#[test]
fn labels_come_later_and_are_wrong_as_often_as_asked() {
    let config = "[labels]\nhonest_as_abusive = 0.1\nabusive_as_honest = 0.3\nunlabeled = 0.2\n";
    let programme = programme(&Wanted::ordinary(6_000, 6), config);
    let labeled: Vec<_> = programme.iter().filter_map(|line| line.label.map(|label| (&line.conversion, label))).collect();
    assert!((4_650..4_950).contains(&labeled.len()), "{}", labeled.len());
    assert!(labeled.iter().all(|(conversion, label)| label.labeled_at >= conversion.occurred_at));
    for (truth, rate) in [(Truth::Honest, 0.1), (Truth::Abusive, 0.3)] {
        let of = labeled.iter().filter(|(conversion, _)| conversion.truth == truth);
        let wrong = of.clone().filter(|(conversion, label)| conversion.truth != label.truth).count();
        let expected = f64::from(u32::try_from(of.count()).unwrap()) * rate;
        let wrong = f64::from(u32::try_from(wrong).unwrap());
        assert!((wrong - expected).abs() < 5.0 * expected.sqrt(), "{wrong}, expected {expected}");
    }
}

#[test]
fn the_ledger_begins_with_customers_who_were_never_in_a_referral_and_others_join() {
    let config = "[people]\nknown_per_conversion = 0.5\njoining_per_conversion = 0.3\n";
    let programme = programme(&Wanted::ordinary(1_000, 2), config);
    let first: usize = programme[0].joined_before.iter().map(|joined| joined.accounts.len()).sum();
    assert!((500..510).contains(&first), "{first}");
    let later: usize = programme[1..].iter().flat_map(|line| &line.joined_before).map(|joined| joined.accounts.len()).sum();
    assert!((200..400).contains(&later), "{later}");
    let told_before =
        |line: &Simulated| line.joined_before.iter().all(|joined| joined.observed_at <= line.conversion.occurred_at);
    assert!(programme.iter().all(told_before));
    assert!(programme.iter().flat_map(|line| &line.joined_before).all(|joined| joined.accounts.len() <= 100));
}

#[test]
fn only_the_coming_weeks_are_held_in_memory() {
    let people = People::embedded().unwrap();
    let library = Library::embedded().unwrap().changed("test.toml", "busiest_count = 100.0\n").unwrap();
    let mut months = library.draw(&Wanted::ordinary(30_000, 7), &people).unwrap().remove(0).months;
    let mut pending_max = [0, 0];
    while months.emitted < 30_000 && months.next().is_some() {
        let half = usize::from(months.emitted > 15_000);
        pending_max[half] = pending_max[half].max(months.pending.len());
    }
    assert!(pending_max[1] < pending_max[0] * 2, "{pending_max:?}");
}

#[test]
fn every_persona_plays_in_the_long_run_and_one_that_is_held_out_never() {
    let config = format!("abusive_share = 0.3\n{STEADY}");
    let all = programme(&Wanted::ordinary(12_000, 8), &config);
    let library = Library::embedded().unwrap();
    for persona in &library.personas {
        assert!(all.iter().any(|line| line.conversion.persona == persona.name), "{}", persona.name);
    }
    let held_out = Wanted { held_out: vec!["signup_farm".to_owned(), "friends".to_owned()], ..Wanted::ordinary(4_000, 8) };
    let without = programme(&held_out, &config);
    assert!(without.iter().all(|line| !held_out.held_out.iter().any(|name| name == line.conversion.persona)));
}
