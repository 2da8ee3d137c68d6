//! Claims about the journal in a database that many processes share: who lost the lease writes nothing, a lost answer doubles nothing, and tables of
//! another release are not touched.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use selfsame::adapters::journal::postgres::{
    LeaseTerms, Patience, PostgresError, PostgresJournal, PostgresLeases, SCHEMA_VERSION,
};
use selfsame::adapters::system_clock::SystemClock;
use selfsame::book::records::Cursor;
use selfsame::ports::journal::{Append, Appended, Epoch, Journal, JournalError, KeptChange};
use selfsame::ports::leases::{Acquired, Leases as _};
use selfsame::vocabulary::ids::ProgramId;

use crate::fixture::{content, following, program, read_all};
use crate::postgres::{Sole, database_url, journal, run, server};

fn leases(journal: &PostgresJournal) -> PostgresLeases {
    PostgresLeases::beside(journal, "10.0.0.1:50051", LeaseTerms::default(), Arc::new(SystemClock))
}

fn acquire(leases: &PostgresLeases, program: &ProgramId) -> Epoch {
    match leases.acquire(program).unwrap() {
        Acquired::Here(lease) => lease.epoch,
        Acquired::Elsewhere { .. } => panic!("another process holds the lease"),
    }
}

/// The next records of a programme, under an epoch.
fn next(journal: &PostgresJournal, program: &ProgramId, epoch: Epoch, payloads: &[&[u8]]) -> Vec<Append> {
    let payloads: Vec<Vec<u8>> = payloads.iter().map(|payload| payload.to_vec()).collect();
    let records = following(program, journal.head(program).unwrap(), &payloads);
    records.into_iter().map(|append| Append { epoch, ..append }).collect()
}

#[test]
fn a_stale_epoch_writes_nothing_and_its_neighbours_are_written() {
    let Some(server) = server() else { return };
    let journal = journal(&server.fresh());
    let leases = leases(&journal);
    let (one, two) = (program("one"), program("two"));
    let (stale, sound) = (acquire(&leases, &one), acquire(&leases, &two));
    journal.append(&next(&journal, &one, stale, &[b"a"])).unwrap();
    let taken = acquire(&leases, &one);

    let group = [next(&journal, &one, stale, &[b"b", b"c"]), next(&journal, &two, sound, &[b"d"])].concat();

    assert!(taken > stale);
    assert_eq!(journal.append(&group), Ok(Appended { fenced: vec![one.clone()] }));
    assert_eq!((read_all(&journal, &one).unwrap().len(), read_all(&journal, &two).unwrap().len()), (1, 1));
    let refused = journal.cut(&one, stale, Cursor(2), &KeptChange::default());
    assert!(matches!(refused, Err(JournalError::Unavailable(_))), "{refused:?}");
    assert_eq!(journal.append(&next(&journal, &one, taken, &[b"e"])), Ok(Appended::default()));
    assert_eq!(journal.cut(&one, taken, Cursor(2), &KeptChange::default()), Ok(1));
}

#[test]
fn a_programme_without_a_lease_is_written_by_nobody() {
    let Some(server) = server() else { return };
    let journal = journal(&server.fresh());
    let one = program("one");

    let appended = journal.append(&next(&journal, &one, Epoch::SOLE, &[b"a"]));

    assert_eq!(appended, Ok(Appended { fenced: vec![one] }));
    assert_eq!(content(&journal), []);
}

#[test]
fn a_lease_is_not_taken_while_a_group_is_being_written_under_it() {
    let Some(server) = server() else { return };
    let url = server.fresh();
    let journal = Arc::new(journal(&url));
    let one = program("one");
    let epoch = acquire(&leases(&journal), &one);
    let group = next(&journal, &one, epoch, &[b"a"]);
    run(&url, "update lease set expires_at = clock_timestamp() - interval '1 minute'");
    // The append stands still between its fence and its end.
    run(
        &url,
        "create function wait() returns trigger language plpgsql as $$ begin perform pg_sleep(0.7); return new; end $$; \
         create trigger wait before insert on entry for each row execute function wait()",
    );
    let writing = std::thread::spawn({
        let journal = Arc::clone(&journal);
        move || journal.append(&group)
    });
    let stands_still = "select from pg_stat_activity where wait_event = 'PgSleep'";
    run(&url, &format!("do $$ begin while not exists ({stands_still}) loop perform pg_stat_clear_snapshot(); end loop; end $$"));
    let other = crate::postgres::journal(&url);

    let taken = acquire(&leases(&other), &one);
    let seen = other.head(&one).unwrap();

    assert!(taken > epoch);
    assert_eq!(seen.last, Cursor(1), "the taker reads an end that the old holder has yet to write past");
    assert_eq!(writing.join().unwrap(), Ok(Appended::default()));
}

/// Passes bytes on to the server, and closes the connection instead of passing on the answer to the next statement once it is told to.
struct Cutting {
    port: u16,
    cut: Arc<AtomicBool>,
}

fn cutting(url: &str) -> (Cutting, String) {
    let port: u16 = url.split("127.0.0.1:").nth(1).unwrap().split('/').next().unwrap().parse().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let through = listener.local_addr().unwrap().port();
    let cut = Arc::new(AtomicBool::new(false));
    let told = Arc::clone(&cut);
    std::thread::spawn(move || {
        for client in listener.incoming() {
            let (client, server) = (client.unwrap(), TcpStream::connect(("127.0.0.1", port)).unwrap());
            let (mut asks, mut asked) = (client.try_clone().unwrap(), server.try_clone().unwrap());
            std::thread::spawn(move || {
                // Either end may close at any time.
                let _ = std::io::copy(&mut asks, &mut asked);
                let _ = asked.shutdown(Shutdown::Both);
            });
            let told = Arc::clone(&told);
            std::thread::spawn(move || answers(server, client, &told));
        }
    });
    (Cutting { port, cut }, url.replace(&format!("127.0.0.1:{port}"), &format!("127.0.0.1:{through}")))
}

fn answers(mut server: TcpStream, mut client: TcpStream, cut: &AtomicBool) {
    let mut bytes = [0; 16 << 10];
    while let Ok(read @ 1..) = server.read(&mut bytes) {
        // The end of a statement that wrote: its transaction is committed.
        let ended = bytes[..read].windows(6).any(|word| word == b"SELECT");
        if (ended && cut.swap(false, Ordering::SeqCst)) || client.write_all(&bytes[..read]).is_err() {
            break;
        }
    }
    let _ = client.shutdown(Shutdown::Both);
}

#[test]
fn a_group_whose_answer_was_lost_is_written_once() {
    let Some(server) = server() else { return };
    let (proxy, url) = cutting(&server.fresh());
    let journal = journal(&url);
    let leases = leases(&journal);
    let (one, two) = (program("one"), program("two"));
    let (first, second) = (acquire(&leases, &one), acquire(&leases, &two));
    journal.append(&[next(&journal, &one, first, &[b"a"]), next(&journal, &two, second, &[b"b"])].concat()).unwrap();
    let group = [next(&journal, &one, first, &[b"c", b"d"]), next(&journal, &two, second, &[b"e"])].concat();

    proxy.cut.store(true, Ordering::SeqCst);
    let appended = journal.append(&group);

    assert!(!proxy.cut.load(Ordering::SeqCst), "no answer was cut");
    assert_eq!(appended, Ok(Appended::default()));
    assert_eq!((read_all(&journal, &one).unwrap().len(), read_all(&journal, &two).unwrap().len()), (3, 2));
    journal.append(&next(&journal, &one, first, &[b"f"])).unwrap();
    assert!(proxy.port > 0);
}

#[test]
fn a_database_that_is_away_is_told_within_its_time() {
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let patience = Patience { attempt: Duration::from_millis(200), total: Duration::from_millis(300) };

    let opened = PostgresJournal::open(&database_url(&format!("postgres://u:hush@{nobody}/x")), patience);

    let Err(PostgresError::Database(JournalError::Unavailable(told))) = opened else { panic!("it opened") };
    assert!(told.contains("refused") && !told.contains("hush"), "{told}");
}

#[test]
fn tables_of_a_newer_release_are_refused_with_advice() {
    let Some(server) = server() else { return };
    let url = server.fresh();
    drop(journal(&url));
    run(&url, "insert into schema_version values (99)");

    let opened = PostgresJournal::open(&database_url(&url), Patience::default());

    let Err(refused) = opened else { panic!("it opened") };
    assert_eq!(refused, PostgresError::NewerSchema { found: 99, supported: SCHEMA_VERSION });
    assert!(refused.to_string().contains("run the release that the other replicas run"));
}

#[test]
fn processes_that_start_together_find_one_ledger() {
    let Some(server) = server() else { return };
    // Where they meet is chance, so they meet several times.
    for _ in 0..6 {
        let url = server.fresh();
        let lives: Vec<_> = std::thread::scope(|scope| {
            let started: Vec<_> = (0..6).map(|_| scope.spawn(|| journal(&url).incarnation())).collect();
            started.into_iter().map(|one| one.join().unwrap()).collect()
        });
        assert!(lives.iter().all(|life| *life == lives[0]), "{lives:?}");
    }
}

#[test]
fn what_one_process_wrote_another_reads() {
    let Some(server) = server() else { return };
    let url = server.fresh();
    let first = Sole::at(url.clone());
    crate::fixture::fill(&first, &program("one"), 2_500);

    let second = journal(&url);

    assert_eq!(content(&second), content(&first));
}
