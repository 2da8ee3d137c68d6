//! What every home of the journal promises; the same claims run over the one in memory, the one in sled and the one in PostgreSQL.

use proptest::prelude::*;
use selfsame::adapters::journal::MemoryJournal;
use selfsame::book::records::Cursor;
use selfsame::ports::journal::{Append, Chain, Direction, Head, Journal, JournalError, RECORD_BYTES_MAX, Reach};
use selfsame::vocabulary::ids::ProgramId;

use crate::fixture::{all, append, content, cut, fill, following, kept, open, payload, program, read_all, try_append};
use crate::postgres::{self, Sole};

/// Runs a claim over each home; over PostgreSQL where it is installed.
fn in_each_home(claim: impl Fn(&dyn Journal)) {
    claim(&MemoryJournal::new());
    let folder = tempfile::tempdir().unwrap();
    claim(&open(&folder.path().join("journal")));
    if let Some(server) = postgres::server() {
        claim(&Sole::at(server.fresh()));
    }
}

#[test]
fn records_are_read_from_either_end_within_their_reach() {
    in_each_home(|journal| {
        let one = program("one");
        fill(journal, &one, 23);
        fill(journal, &program("two"), 3);

        let read = |reach| -> Vec<u64> { journal.read(&one, reach).unwrap().into_iter().map(|record| record.cursor.0).collect() };

        assert_eq!(read(all()), (1..=23).collect::<Vec<_>>());
        assert_eq!(read(Reach { from: Cursor(4), to: Cursor(6), ..all() }), [4, 5, 6]);
        assert_eq!(read(Reach { direction: Direction::Backward, limit: 3, ..all() }), [23, 22, 21]);
        assert_eq!(read(Reach { to: Cursor(9), direction: Direction::Backward, limit: 2, ..all() }), [9, 8]);
        assert!(read(Reach { from: Cursor(24), ..all() }).is_empty());
        assert!(read(Reach { from: Cursor(9), to: Cursor(8), ..all() }).is_empty());
        assert!(read(Reach { limit: 0, ..all() }).is_empty());
        assert!(read_all(journal, &one).unwrap().iter().all(|record| record.payload == payload(record.cursor.0)));
        assert_eq!(journal.read(&program("never"), all()).unwrap(), []);
    });
}

#[test]
fn the_largest_record_is_taken_and_a_larger_one_is_harmless() {
    in_each_home(|journal| {
        let one = program("one");
        let sizes = [1_500_000, RECORD_BYTES_MAX];
        let records = sizes.map(|size| (0..size).map(|at| u8::try_from(at * 7 % 251).unwrap()).collect::<Vec<u8>>());
        append(journal, &one, &records);

        let refused = try_append(journal, &one, &[vec![0; RECORD_BYTES_MAX + 1]]);

        assert_eq!(refused, Err(JournalError::TooLarge { size_bytes: RECORD_BYTES_MAX + 1, limit_bytes: RECORD_BYTES_MAX }));
        let read = read_all(journal, &one).unwrap();
        assert_eq!(read.iter().map(|record| record.payload.to_vec()).collect::<Vec<_>>(), records);
        append(journal, &one, &[vec![1]]);
    });
}

#[test]
fn a_gap_or_repetition_is_refused_and_nothing_of_its_group_is_written() {
    in_each_home(|journal| {
        let one = program("one");
        append(journal, &one, &[vec![1]]);
        let sound = following(&one, journal.head(&one).unwrap(), &[vec![2], vec![3], vec![4]]);
        let before = content(journal);

        for (wrong, expected, found) in [
            (vec![sound[0].clone(), sound[2].clone()], 3, 4),
            (vec![sound[0].clone(), sound[0].clone()], 3, 2),
            (vec![sound[1].clone()], 2, 3),
        ] {
            let refused = journal.append(&wrong).unwrap_err();
            assert_eq!(refused, JournalError::OutOfOrder { program: "one".to_owned(), expected, found });
        }
        let other = following(&program("two"), Head { last: Cursor(3), ..journal.head(&program("two")).unwrap() }, &[vec![1]]);
        assert!(journal.append(&[&sound[..1], &other[..]].concat()).is_err());
        assert_eq!(content(journal), before, "a refused record registers no programme either");
        journal.append(&sound).unwrap();
    });
}

#[test]
fn a_group_may_hold_records_of_many_programmes() {
    in_each_home(|journal| {
        let names: Vec<ProgramId> = (0..200).map(|number| program(&format!("p{number}"))).collect();
        for _ in 0..2 {
            let group: Vec<Append> =
                names.iter().flat_map(|name| following(name, journal.head(name).unwrap(), &[vec![1], vec![2]])).collect();
            journal.append(&group).unwrap();
        }

        let heads = journal.programs().unwrap();

        assert_eq!(heads.len(), 200);
        assert!(heads.iter().all(|(name, head)| {
            head.last == Cursor(4) && head.chain == read_all(journal, name).unwrap().last().unwrap().chain
        }));
        assert!(heads.is_sorted_by_key(|(name, _)| name.clone()));
    });
}

#[test]
fn a_cut_moves_the_beginning_and_keeps_what_it_is_told() {
    in_each_home(|journal| {
        let one = program("one");
        fill(journal, &one, 20);
        let chain = |place: usize| read_all(journal, &one).unwrap()[place - 1].chain;
        let (tenth, newest) = (chain(10), chain(20));

        assert_eq!(cut(journal, &one, 11, vec![kept(2, b"two"), kept(9, b"nine"), kept(5, b"five")], &[]), Ok(10));

        assert_eq!(journal.head(&one), Ok(Head { first: Cursor(11), base: tenth, last: Cursor(20), chain: newest }));
        assert_eq!(read_all(journal, &one).unwrap().first().unwrap().cursor, Cursor(11));
        assert_eq!(journal.kept(&one).unwrap(), [kept(2, b"two"), kept(5, b"five"), kept(9, b"nine")]);
        assert_eq!(cut(journal, &one, 15, vec![kept(9, b"again"), kept(12, &[7; 10_000])], &[2, 12]), Ok(4));
        assert_eq!(journal.kept(&one).unwrap(), [kept(5, b"five"), kept(9, b"again"), kept(12, &[7; 10_000])]);
        assert_eq!(cut(journal, &one, 15, vec![], &[]), Ok(0));
        assert_eq!(cut(journal, &one, 99, vec![], &[9]), Ok(6));
        assert_eq!(journal.head(&one), Ok(Head { first: Cursor(21), base: newest, last: Cursor(20), chain: newest }));
        fill(journal, &one, 2);
        assert_eq!(read_all(journal, &one).unwrap().len(), 2);
        assert_eq!(journal.kept(&one).unwrap(), [kept(5, b"five"), kept(12, &[7; 10_000])]);
    });
}

#[test]
fn nothing_is_kept_of_a_record_that_stays() {
    in_each_home(|journal| {
        let one = program("one");
        fill(journal, &one, 9);
        let before = content(journal);

        for place in [5, 9, 10] {
            assert!(matches!(cut(journal, &one, 5, vec![kept(place, b"x")], &[]), Err(JournalError::NotPossible(_))));
        }
        assert_eq!(content(journal), before);
    });
}

#[test]
fn a_programme_that_holds_nothing_begins_at_one() {
    in_each_home(|journal| {
        let chain = Chain::before_all(&program("one"));

        assert_eq!(journal.head(&program("one")), Ok(Head { first: Cursor(1), base: chain, last: Cursor(0), chain }));
        assert_eq!((journal.programs(), journal.kept(&program("one"))), (Ok(vec![]), Ok(vec![])));
        assert_eq!(cut(journal, &program("one"), 9, vec![], &[]), Ok(0));
    });
}

/// One thing done to a journal.
#[derive(Debug, Clone)]
enum Step {
    Append { program: u8, sizes: Vec<usize> },
    Cut { program: u8, before: u64, keep: Vec<u64>, gone: Vec<u64> },
    Reopen,
}

fn step() -> impl Strategy<Value = Step> {
    let size = prop_oneof![8 => 0..900_usize, 1 => 4_000..20_000_usize];
    prop_oneof![
        6 => (0..3_u8, proptest::collection::vec(size, 1..6)).prop_map(|(program, sizes)| Step::Append { program, sizes }),
        2 => (0..3_u8, 0..40_u64, proptest::collection::vec(1..40_u64, 0..4), proptest::collection::vec(1..40_u64, 0..3))
            .prop_map(|(program, before, keep, gone)| Step::Cut { program, before, keep, gone }),
        1 => Just(Step::Reopen),
    ]
}

fn take(journal: &dyn Journal, step: &Step, turn: usize) -> Result<(), JournalError> {
    match step {
        Step::Append { program: number, sizes } => {
            let payloads: Vec<Vec<u8>> = sizes.iter().map(|size| vec![u8::try_from(turn % 251).unwrap(); *size]).collect();
            try_append(journal, &program(&format!("p{number}")), &payloads)
        }
        Step::Cut { program: number, before, keep, gone } => {
            let put = keep.iter().map(|place| kept(*place, &place.to_be_bytes()[..turn % 8])).collect();
            cut(journal, &program(&format!("p{number}")), *before, put, gone).map(drop)
        }
        Step::Reopen => Ok(()),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn all_homes_hold_the_same_after_any_steps(steps in proptest::collection::vec(step(), 1..25)) {
        let folder = tempfile::tempdir().unwrap();
        let memory = MemoryJournal::new();
        let mut sled = open(&folder.path().join("journal"));
        let mut database = postgres::server().map(|server| Sole::at(server.fresh()));
        for (turn, step) in steps.iter().enumerate() {
            if matches!(step, Step::Reopen) {
                drop(sled);
                sled = open(&folder.path().join("journal"));
                prop_assert_eq!(sled.doubt(), None);
                database = database.map(Sole::reopened);
            }
            prop_assert_eq!(take(&sled, step, turn), take(&memory, step, turn));
            prop_assert_eq!(content(&sled), content(&memory));
            if let Some(database) = &database {
                take(database, step, turn).ok();
                prop_assert_eq!(content(database), content(&memory));
            }
        }
        prop_assert!(selfsame::adapters::journal::check(&sled).is_sound());
    }
}
