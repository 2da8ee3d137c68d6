//! Claims about snapshots in the database: whole or not at all, the two newest stay, and what is damaged is told.

use selfsame::adapters::journal::postgres::{PostgresJournal, PostgresSnapshots};
use selfsame::book::records::Cursor;
use selfsame::ports::journal::{Incarnation, Journal as _, JournalError};
use selfsame::ports::snapshots::Snapshots as _;

use crate::fixture::program;
use crate::postgres::{journal, run, server};

fn write(snapshots: &PostgresSnapshots, life: Incarnation, at: u64, content: &[u8]) -> Result<(), JournalError> {
    snapshots.write(life, &program("shop"), Cursor(at), &mut |out| out.write_all(content))
}

fn read(snapshots: &PostgresSnapshots, life: Incarnation, at: u64) -> std::io::Result<Vec<u8>> {
    let mut content = Vec::new();
    let mut opened = snapshots.open(life, &program("shop"), Cursor(at)).map_err(|e| std::io::Error::other(e.to_string()))?;
    opened.read_to_end(&mut content).map(|_| content)
}

fn places(snapshots: &PostgresSnapshots, journal: &PostgresJournal) -> Vec<u64> {
    snapshots.places(journal.incarnation(), &program("shop")).unwrap().into_iter().map(|cursor| cursor.0).collect()
}

#[test]
fn a_snapshot_is_read_as_it_was_written_whatever_its_size() {
    let Some(server) = server() else { return };
    let journal = journal(&server.fresh());
    let (snapshots, life) = (PostgresSnapshots::beside(&journal).unwrap(), journal.incarnation());

    for (at, size) in [(3, 0), (5, 1), (7, 1 << 20), (9, (3 << 20) + 17)] {
        let content: Vec<u8> = (0..size).map(|at| u8::try_from(at % 251).unwrap()).collect();
        write(&snapshots, life, at, &content).unwrap();
        assert_eq!(read(&snapshots, life, at).unwrap(), content);
    }

    assert_eq!(places(&snapshots, &journal), [9, 7]);
    snapshots.remove_before(life, &program("shop"), Cursor(9)).unwrap();
    assert_eq!(places(&snapshots, &journal), [9]);
}

#[test]
fn a_snapshot_that_was_not_finished_is_not_there() {
    let Some(server) = server() else { return };
    let journal = journal(&server.fresh());
    let (snapshots, life) = (PostgresSnapshots::beside(&journal).unwrap(), journal.incarnation());

    let failed = snapshots.write(life, &program("shop"), Cursor(5), &mut |out| {
        out.write_all(&vec![7; 3 << 20])?;
        Err(std::io::Error::other("the process ends here"))
    });

    assert!(failed.is_err());
    assert!(places(&snapshots, &journal).is_empty());
    write(&snapshots, life, 5, b"again").unwrap();
    assert_eq!(read(&snapshots, life, 5).unwrap(), b"again");
}

#[test]
fn a_missing_part_is_told_and_no_shorter_snapshot_is_read() {
    let Some(server) = server() else { return };
    let url = server.fresh();
    let journal = journal(&url);
    let (snapshots, life) = (PostgresSnapshots::beside(&journal).unwrap(), journal.incarnation());
    write(&snapshots, life, 5, &vec![7; 3 << 20]).unwrap();

    run(&url, "delete from snapshot where part = 3");

    assert_eq!(read(&snapshots, life, 5).unwrap_err().kind(), std::io::ErrorKind::UnexpectedEof);
}

#[test]
fn snapshots_of_another_life_are_removed() {
    let Some(server) = server() else { return };
    let url = server.fresh();
    let first = journal(&url);
    write(&PostgresSnapshots::beside(&first).unwrap(), first.incarnation(), 5, b"before the restore").unwrap();

    run(&url, "update ledger set incarnation = incarnation + 1");
    let second = journal(&url);
    let snapshots = PostgresSnapshots::beside(&second).unwrap();

    assert_ne!(first.incarnation(), second.incarnation());
    assert_eq!((places(&snapshots, &first), places(&snapshots, &second)), (vec![], vec![]));
}
