//! A server that is told to stop ends in its time, whatever its threads wait for, and has lost nothing.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::{CWD, FileType, Mode, mknodat};
use selfsame::adapters::system_clock::SystemClock;
use selfsame::ports::clock::Clock;

use super::server::{Server, screen};

/// What closing may take after a drain, and what the test machine may take beside it.
const CLOSING: Duration = Duration::from_secs(10);
const SLACK: Duration = Duration::from_secs(15);

/// The folders below a folder that lie so deep.
fn folders(folder: &Path, depth: usize) -> Vec<PathBuf> {
    if depth == 0 {
        return vec![folder.to_owned()];
    }
    let inner = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_dir());
    inner.flat_map(|path| folders(&path, depth - 1)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_ends_though_a_thread_waits_for_ever_and_loses_nothing() {
    let now = SystemClock.now().as_millis() / 1_000;
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("selfsame.toml"), "[limits]\ndrain_seconds = 0\n").unwrap();
    let before = Server::start(folder);
    screen(&before.api, now, 0).await;
    let (_, folder) = before.stop();
    let server = Server::start(folder);
    screen(&server.api, now, 1).await;
    // The last snapshot is written where a pipe is that nobody reads: opening that waits for ever.
    for program in folders(&server.folder().join("data/snapshots"), 2) {
        for place in 1..50 {
            let pipe = program.join(format!("{place:020}.partial"));
            mknodat(CWD, &pipe, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
        }
    }

    let began = Instant::now();
    let (log, folder) = server.stop();

    assert!(began.elapsed() < CLOSING + SLACK, "{:?}", began.elapsed());
    let told = |line: &&serde_json::Value| line["message"].as_str().is_some_and(|said| said.contains("closing took too long"));
    assert_eq!(log.iter().filter(told).count(), 1, "{log:#?}");
    let again = Server::start(folder);
    let text = again.text_with(&["selfsame_ledger_replayed_records_total"]);
    let replayed = text.lines().find(|line| line.starts_with("selfsame_ledger_replayed_records_total")).unwrap().to_owned();
    assert!(!replayed.ends_with(" 0"), "what no snapshot holds was replayed: {replayed}");
    again.stop();
}

/// A server whose log says little stops when it is told to, and not before.
#[tokio::test(flavor = "multi_thread")]
async fn what_the_log_leaves_out_changes_nothing_of_what_the_server_does() {
    for level in ["warn", "error", "off"] {
        let folder = tempfile::tempdir().unwrap();
        let address = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let mut process = std::process::Command::new(env!("CARGO_BIN_EXE_selfsame"))
            .args(["serve", "--memory", "--metrics", "none", "--log", level, "--listen", &address.to_string()])
            .current_dir(folder.path())
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap();
        let channel = reached(&format!("http://{address}")).await;
        let mut programs = selfsame::wire::v1::program_service_client::ProgramServiceClient::new(channel);
        programs.list_programs(selfsame::wire::v1::ListProgramsRequest::default()).await.unwrap();
        assert!(process.try_wait().unwrap().is_none(), "it ended by itself at level {level}");
        assert!(std::process::Command::new("kill").args(["-TERM", &process.id().to_string()]).status().unwrap().success());
        assert!(process.wait().unwrap().success());
    }
}

/// A connection, once somebody listens there.
async fn reached(url: &str) -> tonic::transport::Channel {
    let began = Instant::now();
    loop {
        match tonic::transport::Endpoint::from_shared(url.to_owned()).unwrap().connect().await {
            Ok(channel) => return channel,
            Err(error) => assert!(began.elapsed() < CLOSING + SLACK, "{error}"),
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
