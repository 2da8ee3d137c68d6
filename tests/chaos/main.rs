//! Proof by chaos: three real replicas over a real database serve load, while holders and the database are killed and stopped and the networks between
//! them are cut, at moments that a seed draws. Afterwards every acknowledged fact is there once, with what was answered; the feed has neither gap nor
//! double and begins with what its followers were told; no reward was released after a bar against it had been acknowledged; the journal of each
//! programme is one chain that one holder after the other wrote; and a killed holder was replaced within ten seconds (twenty in the bounded run).
//!
//! The run is bounded. The long one, by hand:
//!
//! ```sh
//! SELFSAME_CHAOS_SECONDS=1200 SELFSAME_CHAOS_SEED=7 cargo test --test chaos -- --nocapture
//! ```
//!
//! A failing run prints its seed and everything that it found. The seed draws the same faults and the same requests again; how they meet is up to the machine.
//! Where no PostgreSQL is installed it says so and passes.
#![cfg(target_os = "linux")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::print_stdout,
    dead_code,
    reason = "a test fails by panicking and says what it did; fixtures are shared with other suites"
)]

mod calls;
mod cluster;
mod faults;
mod followers;
mod load;
#[path = "../support/postgres.rs"]
mod postgres;
mod proof;
#[path = "../support/proving.rs"]
mod proving;

use std::sync::Arc;
use std::time::{Duration, Instant};

use calls::{Programme, Run};
use cluster::Cluster;
use parking_lot::Mutex;
use postgres::Server;
use proving::from_env;
use selfsame::offline::load::generator::Dice;
use selfsame::wire::credentials::Credentials;
use selfsame::wire::v1;
use selfsame::wire::v1::program_service_client::ProgramServiceClient;
use tokio::sync::watch;
use tokio::task::JoinSet;

const PROGRAMMES: [&str; 3] = ["chaos-one", "chaos-two", "chaos-three"];
const FOLLOWERS_OF_EACH: u64 = 2;
const FINDINGS_SHOWN: usize = 40;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_is_killed_stopped_or_cut_off_each_acknowledged_fact_is_there_once() {
    let seed = from_env("SELFSAME_CHAOS_SEED").unwrap_or(20_261_128);
    let time = Duration::from_secs(from_env("SELFSAME_CHAOS_SECONDS").unwrap_or(35));
    let Some(database) = Server::own() else { return };
    println!("seed {seed}, {time:?}; repeat with SELFSAME_CHAOS_SEED={seed} SELFSAME_CHAOS_SECONDS={}", time.as_secs());
    let scratch = tempfile::tempdir().unwrap();
    let run = Arc::new(Run {
        cluster: Cluster::start(database, scratch.path()).await,
        programmes: PROGRAMMES.iter().zip(seed..).map(|(id, seed)| Programme::new(id, seed)).collect(),
        findings: Mutex::default(),
        over: watch::Sender::new(false),
    });

    for id in PROGRAMMES {
        let program = v1::Program { program_id: id.to_owned(), stage: v1::ProgramStage::Production.into(), ..Default::default() };
        let request = v1::CreateProgramRequest { program: Some(program) };
        let olga = Credentials::name("olga").unwrap();
        ProgramServiceClient::with_interceptor(run.cluster.replicas[0].channel(), olga).create_program(request).await.unwrap();
    }
    let mut followers = JoinSet::new();
    for number in 0..FOLLOWERS_OF_EACH * PROGRAMMES.len() as u64 {
        let programme = usize::try_from(number).unwrap() % PROGRAMMES.len();
        followers.spawn(followers::follow(Arc::clone(&run), programme, Dice::new(seed, 10_000 + number)));
    }
    let mut callers = load::callers(&run, seed);
    // Until something is there to lose.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let harm = faults::harm(&run, Dice::new(seed, 20_000), time).await;
    run.over.send_replace(true);
    let (ended, phase) =
        (Instant::now(), |name: &str, since: Instant| eprintln!("{name} after {:.1} s", since.elapsed().as_secs_f64()));
    while let Some(ended) = callers.join_next().await {
        ended.unwrap();
    }
    let followed: Vec<followers::Told> = followers.join_all().await;
    phase("callers and followers have ended", ended);
    proof::settle(&run).await;
    phase("settled", ended);
    let summary = proof::verify(&run, &harm, &followed).await;

    phase("proved", ended);
    println!("{summary}");
    let findings = run.findings.lock();
    // Whoever looks for the cause needs the replicas' logs.
    let logs = if findings.is_empty() { scratch.path().to_owned() } else { scratch.keep() };
    let shown: Vec<&String> = findings.iter().take(FINDINGS_SHOWN).collect();
    assert!(
        findings.is_empty(),
        "seed {seed}: {} findings (repeat with SELFSAME_CHAOS_SEED={seed} SELFSAME_CHAOS_SECONDS={}): {shown:#?}\nlogs: {}\nfaults: {:#?}\n{summary}",
        findings.len(),
        time.as_secs(),
        logs.display(),
        harm.faults
    );
}
