//! The real binary, killed in the middle: what was answered is there after the next start, and what is due because of it is done.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use selfsame::adapters::system_clock::SystemClock;
use selfsame::gateway::stripe::signature;
use selfsame::ports::clock::Clock as _;

use crate::world::{SECRET, STRIPE_LIFE};

/// A port that nobody has, as far as this machine knows.
fn free() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

struct Server {
    child: Child,
    gateway: SocketAddr,
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn start(folder: &Path) -> Server {
    let (api, gateway) = (free(), free());
    let child = Command::new(env!("CARGO_BIN_EXE_selfsame"))
        .current_dir(folder)
        .args(["serve", "--data-dir", "data", "--metrics", "none", "--log", "warn"])
        .args(["--listen", &api.to_string(), "--gateway", &gateway.to_string()])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn();
    let mut server = Server { child: child.unwrap(), gateway };
    let mut lines = BufReader::new(server.child.stdout.take().unwrap()).lines();
    let serves = lines.by_ref().map_while(Result::ok).any(|line| line.starts_with("Try:"));
    assert!(serves, "it did not start");
    // The rest is read, so that it never waits for a reader.
    std::thread::spawn(move || lines.for_each(drop));
    server
}

fn call(server: &Server, method: &str, path: &str, headers: &str, body: &str) -> String {
    let mut stream = TcpStream::connect(server.gateway).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let length = body.len();
    write!(stream, "{method} {path} HTTP/1.1\r\nhost: g\r\nconnection: close\r\ncontent-length: {length}\r\n{headers}\r\n{body}")
        .unwrap();
    let mut answer = String::new();
    std::io::Read::read_to_string(&mut stream, &mut answer).unwrap();
    answer
}

fn stripe(server: &Server, body: &str) -> String {
    let header = signature::header(body.as_bytes(), SECRET, SystemClock.now());
    call(server, "POST", "/shop/stripe", &format!("stripe-signature: {header}\r\n"), body)
}

#[test]
fn what_was_answered_survives_a_kill_and_what_is_due_is_done_after_it() {
    let folder = tempfile::tempdir().unwrap();
    let key = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
    std::fs::write(folder.path().join("shop.key"), key).unwrap();
    std::fs::write(folder.path().join("shop.stripe"), format!("# the endpoint's\n{SECRET}\n")).unwrap();
    let config = "[gateway.programs.shop]\nkey_file = \"shop.key\"\nstripe_secrets_file = \"shop.stripe\"\n";
    std::fs::write(folder.path().join("selfsame.toml"), config).unwrap();
    let mut server = start(folder.path());
    for event in STRIPE_LIFE {
        assert!(stripe(&server, event).starts_with("HTTP/1.1 200"), "it is taken");
    }
    // Nobody owns the code yet, so nothing but signals is done: all of the rest is due from what was taken.
    server.child.kill().unwrap();
    server.child.wait().unwrap();
    drop(server);
    let server = start(folder.path());
    let again = stripe(&server, STRIPE_LIFE[3]);
    assert!(again.contains("\"replayed\":true"), "{again}");
    let owner = r#"{"productUserId":"user-ann","from":"2026-01-01T00:00:00Z"}"#;
    assert!(call(&server, "PUT", "/shop/referral-codes/ANN-1", "", owner).starts_with("HTTP/1.1 200"));
    drop(server);
    // Killed right after the owner was named: the next start does what is due.
    let server = start(folder.path());
    let file = folder.path().join("payloads.jsonl");
    std::fs::write(&file, STRIPE_LIFE.map(|event| event.replace('\n', " ")).join("\n")).unwrap();
    let replayed = Command::new(env!("CARGO_BIN_EXE_selfsame"))
        .args(["gateway", "replay", "--code", "ANN-1=user-ann"])
        .arg(&file)
        .output()
        .unwrap();
    let printed = String::from_utf8(replayed.stdout).unwrap();
    for call in ["signup.user-jenny", "stripe.in_1MtHbELkdIwHu7ixl4OzzPMv", "stripe.ch_3OneTime", "DisputeWon"] {
        assert!(printed.contains(call), "{call} is not in {printed}");
    }
    assert!(!printed.contains("planted"), "{printed}");
    let done = |conversion: &str| {
        let path = format!("/shop/rewards/none?conversionId={conversion}");
        let until = Instant::now() + Duration::from_secs(30);
        while !call(&server, "GET", &path, "", "").contains("has no reward") {
            assert!(Instant::now() < until, "{conversion} was never screened");
        }
    };
    for conversion in ["signup.user-jenny", "stripe.in_1MtHbELkdIwHu7ixl4OzzPMv", "stripe.ch_3OneTime"] {
        done(conversion);
    }
    // The discount knows of the payments, which the first life of the server took.
    let path = "/shop/referral-codes/ANN-1/new-user-discount?newUserId=user-jenny";
    let discount = call(&server, "GET", path, "", "");
    assert!(discount.contains("the user has paid before"), "{discount}");
    drop(server);
    let checked = Command::new(env!("CARGO_BIN_EXE_selfsame"))
        .args(["ledger", "check", "--data-dir"])
        .arg(folder.path().join("data"))
        .output()
        .unwrap();
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
}
