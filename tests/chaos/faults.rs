//! What goes wrong, and when: a deck of faults that the seed shuffles, one or two at a time, each healed before the next.

use std::time::{Duration, Instant};

use rustix::process::Signal;
use selfsame::offline::load::generator::Dice;

use crate::calls::Run;
use crate::cluster::{Net, REPLICAS};

/// How long after the kill of a holder another replica may take to answer, while the database is up: the ten seconds that are promised where a
/// run is asked for by hand, twice that where the machine may be busy with anything.
fn failover_max() -> Duration {
    Duration::from_secs(if std::env::var_os("SELFSAME_CHAOS_SECONDS").is_some() { 10 } else { 20 })
}

/// How long it is waited for at all, so that what is late is told with its time.
const FAILOVER_WAITED_FOR: Duration = Duration::from_secs(40);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    /// SIGKILL of a replica, which is started again once another one answers.
    Kill,
    /// SIGSTOP of a replica for longer than a lease, then SIGCONT.
    Stop,
    /// The network between one replica and the database.
    Cut(Net),
    /// SIGSTOP of the database, then SIGCONT.
    StopDatabase,
    /// SIGKILL of the database, which is started again over its files.
    KillDatabase,
}

const DECK: [Fault; 7] = [
    Fault::Kill,
    Fault::Stop,
    Fault::StopDatabase,
    Fault::KillDatabase,
    Fault::Cut(Net::Refuses),
    Fault::Cut(Net::Silent),
    Fault::Cut(Net::LosesAnswers),
];

impl Fault {
    const fn is_of_the_database(self) -> bool {
        matches!(self, Self::StopDatabase | Self::KillDatabase)
    }
}

/// What was done, and how long failovers took.
#[derive(Default)]
pub(crate) struct Harm {
    pub(crate) faults: Vec<String>,
    /// From a kill to the first answer of another replica about a programme that the killed one held, while nothing else was wrong.
    pub(crate) failovers: Vec<Duration>,
}

/// Breaks things until the time is over; everything is healed then.
pub(crate) async fn harm(run: &Run, mut dice: Dice, time: Duration) -> Harm {
    let (began, mut harm) = (Instant::now(), Harm::default());
    // What is measured is measured alone, and first of all.
    let mut deck = shuffled(&mut dice);
    deck.retain(|fault| *fault != Fault::Kill);
    let mut next = vec![Fault::Kill];
    while began.elapsed() < time {
        let targets = targets(run, &mut dice).await;
        let what: Vec<String> = next.iter().zip(&targets).map(|(fault, target)| told(*fault, run, *target)).collect();
        eprintln!("{:>5.1} s: {}", began.elapsed().as_secs_f64(), what.join(" and "));
        harm.faults.extend(what);
        match next[..] {
            [Fault::Kill] => harm.failovers.extend(kill_and_measure(run, targets[0], &mut dice).await),
            [one] => inflict(run, one, targets[0], dice.clone()).await,
            [one, other, ..] => {
                let late = Dice::new(dice.next_u64(), 1);
                tokio::join!(inflict(run, one, targets[0], dice.clone()), inflict(run, other, targets[1], late));
            }
            [] => {}
        }
        dice.next_u64();
        run.cluster.heal().await;
        tokio::time::sleep(Duration::from_millis(500 + dice.below(1_500))).await;
        next = drawn(&mut deck, &mut dice);
    }
    harm
}

/// One fault, or two that do not undo each other.
fn drawn(deck: &mut Vec<Fault>, dice: &mut Dice) -> Vec<Fault> {
    if deck.is_empty() {
        *deck = shuffled(dice);
    }
    let mut next: Vec<Fault> = deck.pop().into_iter().collect();
    let beside = |fault: &Fault| !(next[0].is_of_the_database() && fault.is_of_the_database());
    if let (0, Some(at)) = (dice.below(2), deck.iter().rposition(beside)) {
        next.push(deck.remove(at));
    }
    next
}

fn shuffled(dice: &mut Dice) -> Vec<Fault> {
    let mut keyed: Vec<(u64, Fault)> = DECK.iter().map(|fault| (dice.next_u64(), *fault)).collect();
    keyed.sort_unstable_by_key(|(key, _)| *key);
    keyed.into_iter().map(|(_, fault)| fault).collect()
}

/// Two different replicas; the first holds something, if anybody does.
async fn targets(run: &Run, dice: &mut Dice) -> [usize; 2] {
    let holders = run.cluster.holders().await;
    let draw = dice.below(u64::MAX);
    let held = usize::try_from(draw % holders.len().max(1) as u64).unwrap();
    let first = holders.get(held).map_or(0, |(_, place)| *place);
    [first, (first + 1 + usize::from(draw & 1 == 0)) % REPLICAS]
}

fn told(fault: Fault, run: &Run, target: usize) -> String {
    let name = &run.cluster.replicas[target].name;
    match fault {
        Fault::Kill => format!("SIGKILL of {name}"),
        Fault::Stop => format!("SIGSTOP of {name}"),
        Fault::Cut(net) => format!("network of {name} {net:?}"),
        Fault::StopDatabase => "SIGSTOP of the database".to_owned(),
        Fault::KillDatabase => "SIGKILL of the database".to_owned(),
    }
}

/// Does it for a time, which mostly is longer than a lease runs; what it leaves is healed later.
async fn inflict(run: &Run, fault: Fault, target: usize, mut dice: Dice) {
    let replica = &run.cluster.replicas[target];
    tokio::time::sleep(Duration::from_millis(dice.below(400))).await;
    let lasts = |least: u64, more: u64, dice: &mut Dice| tokio::time::sleep(Duration::from_millis(least + dice.below(more)));
    match fault {
        Fault::Kill => {
            replica.kill();
            lasts(1_000, 5_000, &mut dice).await;
        }
        Fault::Stop => {
            replica.signal(Signal::STOP);
            lasts(8_000, 2_500, &mut dice).await;
            replica.signal(Signal::CONT);
        }
        Fault::Cut(net) => {
            replica.cut(net);
            lasts(7_500, 2_500, &mut dice).await;
            replica.cut(Net::Open);
        }
        Fault::StopDatabase => {
            run.cluster.database.signal(Signal::STOP);
            lasts(1_000, 6_000, &mut dice).await;
            run.cluster.database.signal(Signal::CONT);
        }
        Fault::KillDatabase => {
            run.cluster.database.kill_and_restart();
            lasts(500, 1_500, &mut dice).await;
        }
    }
}

/// Kills a replica and waits until others write for what it held.
async fn kill_and_measure(run: &Run, target: usize, dice: &mut Dice) -> Vec<Duration> {
    let holders = run.cluster.holders().await;
    let held = |id: &str| holders.iter().any(|(programme, place)| programme == id && *place == target);
    run.cluster.replicas[target].kill();
    let began = Instant::now();
    let first = dice.below(2);
    let taken_over = run.programmes.iter().filter(|programme| held(&programme.id)).map(|programme| async move {
        while began.elapsed() < FAILOVER_WAITED_FOR
            && !run.screen_next(programme, (target as u64 + 1 + first) % REPLICAS as u64).await
        {}
        let took = began.elapsed();
        if took > failover_max() {
            run.found(format!("{}: another replica answered {took:?} after the kill of its holder", programme.id));
        }
        took
    });
    futures::future::join_all(taken_over).await
}
