//! What is broken on purpose: a database, three real replicas before it, and between each and the database a network that can be cut.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use parking_lot::Mutex;
use rustix::process::{Pid, Signal, kill_process};
use selfsame::adapters::policy_file::SHIPPED_POLICY;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tonic::transport::{Channel, Endpoint};

use crate::postgres::{Server, lasting_port};

/// How many replicas there are.
pub(crate) const REPLICAS: usize = 3;
/// How long a replica may take to serve, and the database to be back.
const START_MAX: Duration = Duration::from_secs(60);
/// So few, that books are made of snapshots too.
const SNAPSHOT_EVERY: &str = "1000";

/// What a network does with what it is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Net {
    /// It carries everything.
    Open,
    /// All connections end, and new ones are refused.
    Refuses,
    /// Nothing arrives in either direction, connections stay; what was on its way arrives once the network is open again.
    Silent,
    /// What is asked arrives, what is answered does not until the network is open again.
    LosesAnswers,
}

impl Net {
    const fn carries_questions(self) -> bool {
        matches!(self, Self::Open | Self::LosesAnswers)
    }

    const fn carries_answers(self) -> bool {
        matches!(self, Self::Open)
    }
}

/// The network between one replica and the database.
struct Link {
    net: watch::Sender<Net>,
    port: u16,
}

impl Link {
    async fn to(database: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (net, state) = watch::channel(Net::Open);
        tokio::spawn(async move {
            loop {
                let (replica, _) = listener.accept().await.unwrap();
                tokio::spawn(carry(replica, database, state.clone()));
            }
        });
        Self { net, port }
    }
}

/// Carries one connection until either end or the network ends it.
async fn carry(replica: TcpStream, database: u16, mut state: watch::Receiver<Net>) {
    let speaks =
        state.wait_for(|net| *net == Net::Refuses || net.carries_questions()).await.is_ok_and(|net| *net != Net::Refuses);
    if !speaks {
        return;
    }
    let Ok(database) = TcpStream::connect(("127.0.0.1", database)).await else { return };
    drop((replica.set_nodelay(true), database.set_nodelay(true)));
    let ((asks, hears), (answers, takes)) = (replica.into_split(), database.into_split());
    let questions = pump(asks, takes, state.clone(), Net::carries_questions);
    let answers = pump(answers, hears, state.clone(), Net::carries_answers);
    tokio::select! {
        _ = async { tokio::join!(questions, answers) } => {}
        _ = state.wait_for(|net| *net == Net::Refuses) => {}
    }
}

/// Carries one direction. That it ended is carried too, and no sooner than anything else.
async fn pump(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut state: watch::Receiver<Net>, carries: fn(Net) -> bool) {
    let mut bytes = vec![0; 16 * 1024];
    loop {
        let read = from.read(&mut bytes).await.unwrap_or(0);
        if state.wait_for(|net| carries(*net)).await.is_err() || read == 0 || to.write_all(&bytes[..read]).await.is_err() {
            break;
        }
    }
    drop(to.shutdown().await);
}

/// A process of `selfsame serve` that keeps its address when it is started again.
pub(crate) struct Replica {
    pub(crate) name: String,
    /// Where it listens, and what its leases say.
    pub(crate) address: String,
    folder: PathBuf,
    url: String,
    link: Link,
    process: Mutex<Option<Child>>,
    channel: Channel,
}

impl Replica {
    /// One before a database, in a folder of its own; it does not run yet.
    async fn new(name: &str, scratch: &Path, database: &Server, url: &str) -> Self {
        let link = Link::to(database.port).await;
        let url = url.replace(&format!(":{}/", database.port), &format!(":{}/", link.port));
        let address = format!("127.0.0.1:{}", lasting_port());
        let endpoint = Endpoint::from_shared(format!("http://{address}")).unwrap();
        let channel = endpoint.tcp_nodelay(true).connect_timeout(Duration::from_secs(1)).connect_lazy();
        let folder = scratch.join(name);
        std::fs::create_dir_all(&folder).unwrap();
        Self { name: name.to_owned(), address, folder, url, link, process: Mutex::default(), channel }
    }

    /// Starts it, unless it runs.
    pub(crate) fn start(&self) {
        let mut process = self.process.lock();
        if process.is_some() {
            return;
        }
        let log = std::fs::File::options().create(true).append(true).open(self.log_file()).unwrap();
        let policy = self.folder.with_file_name("policy.toml");
        let mut serve = Command::new(env!("CARGO_BIN_EXE_selfsame"));
        serve.args(["serve", "--metrics", "none", "--listen", &self.address, "--journal", &self.url, "--data-dir"]);
        serve.arg(&self.folder).arg("--policy").arg(policy);
        serve.env("SELFSAME_AUDIT__KEY", "the same on all replicas, as it is to be");
        serve.env("SELFSAME_LEDGER__SNAPSHOT_EVERY_RECORDS", SNAPSHOT_EVERY);
        *process = Some(serve.stdout(Stdio::null()).stderr(log).spawn().unwrap());
    }

    /// SIGKILL: no destructor, no flush, no goodbye.
    pub(crate) fn kill(&self) {
        if let Some(mut process) = self.process.lock().take() {
            process.kill().unwrap();
            process.wait().unwrap();
        }
    }

    /// Sends a signal, if it runs.
    pub(crate) fn signal(&self, signal: Signal) {
        if let Some(process) = &*self.process.lock() {
            kill_process(Pid::from_child(process), signal).unwrap();
        }
    }

    /// How it ended without being told to; absent while it runs.
    pub(crate) fn ended(&self) -> Option<String> {
        let status = self.process.lock().as_mut()?.try_wait().unwrap()?;
        Some(format!("replica {} ended by itself ({status}):\n{}", self.name, self.log_text()))
    }

    pub(crate) fn cut(&self, net: Net) {
        self.link.net.send_replace(net);
    }

    /// A connection that is made again when it breaks.
    pub(crate) fn channel(&self) -> Channel {
        self.channel.clone()
    }

    fn log_file(&self) -> PathBuf {
        self.folder.with_extension("log")
    }

    pub(crate) fn log_text(&self) -> String {
        std::fs::read_to_string(self.log_file()).unwrap_or_default()
    }

    async fn serves(&self) {
        let listens = async {
            while TcpStream::connect(&self.address).await.is_err() {
                let ended = self.ended();
                assert!(ended.is_none(), "{}", ended.unwrap_or_default());
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let in_time = tokio::time::timeout(START_MAX, listens).await;
        assert!(in_time.is_ok(), "replica {} does not listen:\n{}", self.name, self.log_text());
    }
}

impl Drop for Replica {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The database, and who serves before it.
pub(crate) struct Cluster {
    pub(crate) database: Server,
    /// The database itself, past every network that is cut.
    pub(crate) url: String,
    pub(crate) replicas: Vec<Replica>,
}

impl Cluster {
    /// Three replicas that serve.
    pub(crate) async fn start(database: Server, scratch: &Path) -> Self {
        let url = database.fresh();
        // The weights of rules score, and what is approved may be paid at once: claims about money need money that moves.
        let policy = SHIPPED_POLICY.replace("source = \"model\"", "source = \"judgement\"");
        let policy = policy.replace("delay_days = 14", "delay_days = 0");
        std::fs::write(scratch.join("policy.toml"), policy).unwrap();
        let mut replicas = Vec::new();
        for name in ["a", "b", "c"] {
            replicas.push(Replica::new(name, scratch, &database, &url).await);
        }
        let cluster = Self { database, url, replicas };
        cluster.heal().await;
        cluster
    }

    /// Ends all faults, and returns once the database and all replicas are back.
    pub(crate) async fn heal(&self) {
        self.database.signal(Signal::CONT);
        let back = async {
            while tokio_postgres::connect(&self.url, tokio_postgres::NoTls).await.is_err() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        assert!(tokio::time::timeout(START_MAX, back).await.is_ok(), "the database does not come back");
        for replica in &self.replicas {
            replica.cut(Net::Open);
            replica.signal(Signal::CONT);
            replica.start();
        }
        for replica in &self.replicas {
            replica.serves().await;
        }
    }

    /// Asks the database itself.
    pub(crate) async fn query(&self, statement: &str) -> Vec<tokio_postgres::Row> {
        let (client, connection) = tokio_postgres::connect(&self.url, tokio_postgres::NoTls).await.unwrap();
        tokio::spawn(connection);
        client.query(statement, &[]).await.unwrap()
    }

    /// The programmes whose leases run, each with the place of the replica that holds it.
    pub(crate) async fn holders(&self) -> Vec<(String, usize)> {
        let rows = self.query("select programme, address from lease where expires_at > clock_timestamp()").await;
        let place = |address: &str| self.replicas.iter().position(|replica| replica.address == address);
        rows.iter().filter_map(|row| Some((row.get(0), place(row.get(1))?))).collect()
    }
}
