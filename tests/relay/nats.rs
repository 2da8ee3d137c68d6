//! What streams of a real NATS server get. Where there is none the tests say so, and test nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use async_nats::jetstream;

use super::receiver::PATIENCE;
use super::world::{PROGRAM, World, log_of};

/// The server: named by `SELFSAME_NATS_SERVER`, or found on the PATH.
fn nats_server() -> Option<PathBuf> {
    let named = std::env::var_os("SELFSAME_NATS_SERVER").map(PathBuf::from);
    let on_path = std::env::var_os("PATH").unwrap_or_default();
    let found =
        named.or_else(|| std::env::split_paths(&on_path).map(|folder| folder.join("nats-server")).find(|file| file.is_file()));
    if found.is_none() {
        eprintln!("not tested: there is no nats-server; put one on the PATH, or name it in SELFSAME_NATS_SERVER");
    }
    found
}

/// A NATS server with streams. Killed when dropped.
struct Nats {
    child: Child,
    port: u16,
}

impl Nats {
    async fn start(binary: &Path, folder: &Path, port: u16) -> Self {
        let child = Command::new(binary)
            .args(["-js", "-a", "127.0.0.1", "-p", &port.to_string(), "-sd"])
            .arg(folder)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let nats = Self { child, port };
        let mut look = tokio::time::interval(Duration::from_millis(20));
        let answers = async {
            while tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_err() {
                look.tick().await;
            }
        };
        tokio::time::timeout(PATIENCE, answers).await.unwrap();
        nats
    }

    fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Everything that the stream holds: id, cursor of the header, body.
    async fn held(&self) -> Vec<(String, String, serde_json::Value)> {
        let Ok(client) = async_nats::connect(format!("nats://127.0.0.1:{}", self.port)).await else { return Vec::new() };
        let Ok(mut stream) = jetstream::new(client).get_stream("SELFSAME").await else { return Vec::new() };
        let state = stream.info().await.unwrap().state.clone();
        let mut held = Vec::new();
        for sequence in state.first_sequence..=state.last_sequence {
            let message = stream.get_raw_message(sequence).await.unwrap();
            let header = |name: &str| message.headers.get(name).unwrap().as_str().to_owned();
            let body: serde_json::Value = serde_json::from_slice(&message.payload).unwrap();
            assert_eq!(message.subject.as_str(), format!("selfsame.{PROGRAM}.{}", body["type"].as_str().unwrap()));
            held.push((header("Nats-Msg-Id"), header("Selfsame-Cursor"), body));
        }
        held
    }

    async fn until_held(&self, count: usize, world: &World) -> Vec<(String, String, serde_json::Value)> {
        let mut look = tokio::time::interval(Duration::from_millis(200));
        let waited = tokio::time::timeout(PATIENCE, async {
            loop {
                look.tick().await;
                let held = self.held().await;
                if held.len() >= count {
                    return held;
                }
            }
        });
        waited
            .await
            .unwrap_or_else(|_| panic!("{count} did not come: {:#}\n{}", world.asked(&["status"]), log_of(world.scratch.path())))
    }
}

impl Drop for Nats {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_servers_killed_relays_and_a_lost_disk_lose_nothing_and_double_nothing() {
    let Some(binary) = nats_server() else { return };
    let world = World::start().await;
    let (store, port) = (world.scratch.path().join("nats"), free_port());
    world.configure(&format!(
        "[[nats]]\nname = \"warehouse\"\nprogram = \"{PROGRAM}\"\nurl = \"nats://127.0.0.1:{port}\"\ncreate_stream = true\ntimeout_seconds = 1.0\n"
    ));
    let mut nats = Nats::start(&binary, &store, port).await;
    let mut relay = world.relay();
    world.refer(0..60).await;
    nats.until_held(90, &world).await;
    // The server in the middle of it, while more happens.
    nats.kill();
    world.refer(60..140).await;
    let mut nats = Nats::start(&binary, &store, port).await;
    nats.until_held(200, &world).await;
    // The relay and its disk.
    relay.kill();
    std::fs::remove_dir_all(world.relay_folder()).unwrap();
    world.refer(140..200).await;
    let mut relay = world.relay();
    nats.until_held(450, &world).await;
    // Both at once.
    nats.kill();
    relay.kill();
    let nats = Nats::start(&binary, &store, port).await;
    let relay = world.relay();
    world.refer(200..240).await;
    let held = nats.until_held(720, &world).await;
    assert!(relay.stop());
    let feed = world.feed().await;
    let cursors: Vec<&str> = held.iter().map(|(_, _, body)| body["data"]["cursor"].as_str().unwrap()).collect();
    assert_eq!(held.iter().map(|(id, _, _)| id).collect::<BTreeSet<_>>().len(), held.len());
    assert_eq!(cursors.iter().copied().collect::<BTreeSet<_>>(), feed.iter().map(String::as_str).collect());
    assert_eq!(held.len(), feed.len());
    let mut places: BTreeMap<String, usize> = BTreeMap::new();
    for (_, _, body) in &held {
        let place = feed.iter().position(|cursor| *cursor == body["data"]["cursor"]).unwrap();
        let before = places.insert(body["data"]["conversionId"].to_string(), place).unwrap_or(0);
        assert!(before <= place, "{body}");
    }
    // The last message says where to go on: nothing is sent again.
    assert_eq!(held.last().unwrap().1, *feed.last().unwrap());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_let_go_of_its_messages_is_gone_on_with_and_one_that_is_missing_is_told() {
    let Some(binary) = nats_server() else { return };
    let world = World::start().await;
    let (store, port) = (world.scratch.path().join("nats"), free_port());
    let section = format!("[[nats]]\nname = \"warehouse\"\nprogram = \"{PROGRAM}\"\nurl = \"nats://127.0.0.1:{port}\"\n");
    world.configure(&section);
    let nats = Nats::start(&binary, &store, port).await;
    let relay = world.relay();
    world.refer(0..5).await;
    world.until_status("what is missing", |target| target["trouble"].as_str().unwrap().contains("create_stream = true")).await;
    assert!(relay.stop());
    world.configure(&(section + "create_stream = true\n"));
    let relay = world.relay();
    nats.until_held(15, &world).await;
    assert!(relay.stop());
    let client = async_nats::connect(format!("nats://127.0.0.1:{port}")).await.unwrap();
    jetstream::new(client).get_stream("SELFSAME").await.unwrap().purge().await.unwrap();
    let relay = world.relay();
    world.refer(5..6).await;
    let held = nats.until_held(3, &world).await;
    assert!(relay.stop());
    assert!(held.iter().all(|(_, _, body)| body["data"]["conversionId"] == "cv-5"), "{held:?}");
    assert_eq!(held.len(), 3);
}
