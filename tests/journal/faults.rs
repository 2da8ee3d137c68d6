//! Groups that fail, tear or whose answer is lost: what was acknowledged is there, what comes after a failure is refused.

use selfsame::adapters::journal::check;
use selfsame::book::records::Cursor;
use selfsame::ports::journal::Journal;

use crate::faulty::{Fault, FaultyJournal};
use crate::fixture::{all, fill, open, payload, program, try_append};

#[test]
fn after_a_torn_failed_or_unanswered_group_the_journal_reopens_with_a_sound_beginning_of_it() {
    for (fault, left) in [(Fault::Fail, 10), (Fault::Torn { kept: 2 }, 12), (Fault::LostAnswer, 14)] {
        let place = tempfile::tempdir().unwrap();
        let folder = place.path().join("journal");
        let one = program("one");
        let faulty = FaultyJournal::new(open(&folder), move |group| if group == 3 { fault } else { Fault::None });
        for group in [1..=4, 5..=10] {
            try_append(&faulty, &one, &group.map(payload).collect::<Vec<_>>()).unwrap();
        }

        assert!(try_append(&faulty, &one, &(11..=14).map(payload).collect::<Vec<_>>()).is_err());

        assert!(faulty.failure().is_some());
        assert!(try_append(&faulty, &one, &[payload(15)]).is_err(), "{fault:?}: nothing follows what is not known");
        drop(faulty.into_inner());
        let journal = open(&folder);
        assert_eq!(journal.head(&one).unwrap().last, Cursor(left), "{fault:?}");
        assert!(journal.read(&one, all()).unwrap().iter().all(|record| record.payload == payload(record.cursor.0)));
        fill(&journal, &one, 3);
        assert!(check(&journal).is_sound());
    }
}
