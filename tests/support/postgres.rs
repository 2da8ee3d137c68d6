//! A PostgreSQL of its own for a test run: started on a free port from what the machine has installed, gone with the process. Where there is none,
//! tests that need it say so and pass.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use parking_lot::Mutex;
use rustix::process::{Pid, Signal, kill_process};
use secrecy::SecretString;
use selfsame::adapters::journal::postgres::{DatabaseUrl, LeaseTerms, Patience, PostgresJournal, PostgresLeases};
use selfsame::adapters::system_clock::SystemClock;
use selfsame::book::records::Cursor;
use selfsame::ports::journal::{
    Append, Appended, Epoch, Head, Incarnation, Journal, JournalError, Kept, KeptChange, Reach, Record,
};
use selfsame::ports::leases::{Acquired, Lease, Leases as _};
use selfsame::vocabulary::ids::ProgramId;

/// A server that ends with the process that started it, whatever way that ends.
pub(crate) struct Server {
    pub(crate) port: u16,
    /// Its end of the pipe is what keeps the server alive.
    watched: Mutex<Child>,
    pub(crate) data: PathBuf,
}

/// Starts the server again, once it has ended, for each line; ends it, and removes its files, once nobody holds the other end of the pipe.
const WATCH: &str = r#"serve() {
  "$0" -D "$1/data" -c port="$2" -c listen_addresses=127.0.0.1 -c unix_socket_directories="$1" -c fsync=on -c max_connections=200 & server=$!
}
serve "$@"
while read -r _; do wait $server; serve "$@"; done
kill -QUIT $server; wait $server; rm -rf "$1""#;

/// The server of this test binary; absent, with a word on why, where PostgreSQL is not installed.
pub(crate) fn server() -> Option<&'static Server> {
    static SERVER: OnceLock<Option<Server>> = OnceLock::new();
    let server = SERVER.get_or_init(|| Some(Server::start(&installed()?)));
    if server.is_none() {
        eprintln!("skipped: PostgreSQL is not installed here (on Debian: apt-get install postgresql)");
    }
    server.as_ref()
}

/// A free port below those that the system gives to connections: whoever listens there may end and listen there again.
pub(crate) fn lasting_port() -> u16 {
    let mut drawn = std::iter::repeat_with(|| 16_000 + rand::random::<u16>() % 16_000);
    drawn.find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok()).unwrap()
}

/// Where PostgreSQL's programs are.
fn installed() -> Option<PathBuf> {
    let on_path = std::env::split_paths(&std::env::var_os("PATH")?).collect::<Vec<_>>();
    let of_debian =
        std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten().map(|version| version.path().join("bin"));
    on_path.into_iter().chain(of_debian).find(|folder| folder.join("initdb").exists() && folder.join("postgres").exists())
}

/// Whom the server runs as when we are root, which it refuses: user and group.
fn somebody_else() -> Option<(u32, u32)> {
    if !rustix::process::geteuid().is_root() {
        return None;
    }
    let users = std::fs::read_to_string("/etc/passwd").unwrap();
    let ids = |name: &str| {
        let user = users.lines().find(|line| line.split(':').next() == Some(name))?;
        let mut fields = user.split(':').skip(2);
        Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
    };
    ids("postgres").or_else(|| ids("nobody"))
}

fn command(program: &Path, user: Option<(u32, u32)>) -> Command {
    let mut command = Command::new(program);
    if let Some((user, group)) = user {
        command.uid(user).gid(group);
    }
    command.current_dir("/");
    command
}

impl Server {
    fn start(programs: &Path) -> Self {
        let folder = tempfile::tempdir().unwrap().keep();
        let user = somebody_else();
        if let Some((user, group)) = user {
            std::os::unix::fs::chown(&folder, Some(user), Some(group)).unwrap();
        }
        let mut initdb = command(&programs.join("initdb"), user);
        initdb.arg("-D").arg(folder.join("data")).args([
            "-A",
            "trust",
            "-U",
            "selfsame",
            "-E",
            "UTF8",
            "--locale=C",
            "--no-sync",
        ]);
        let made = initdb.output().unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let port = lasting_port();
        let mut watch = command(Path::new("/bin/sh"), user);
        watch.arg("-c").arg(WATCH).arg(programs.join("postgres")).arg(&folder).arg(port.to_string());
        let mut watched = watch.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let mut told = BufReader::new(watched.stderr.take().unwrap()).lines().map_while(Result::ok);
        let ready = told.by_ref().any(|line| line.contains("ready to accept connections"));
        assert!(ready, "PostgreSQL ended before it was ready");
        // Somebody has to listen, or the server waits to be heard.
        std::thread::spawn(move || told.for_each(drop));
        Self { port, watched: Mutex::new(watched), data: folder.join("data") }
    }

    /// One for a test that breaks it; absent, with a word on why, where PostgreSQL is not installed.
    pub(crate) fn own() -> Option<Self> {
        server()?;
        Some(Self::start(&installed()?))
    }

    /// Kills one of the processes that serve connections, as a machine without memory does: the server ends all others and recovers from its log.
    /// Returns once it takes connections again.
    pub(crate) fn crash(url: &str) {
        let others = "select max(pid) from pg_stat_activity where backend_type = 'client backend' and pid <> pg_backend_pid()";
        in_runtime(async || {
            let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls).await.unwrap();
            let ended = tokio::spawn(connection);
            let victim: i32 = client.query_one(others, &[]).await.unwrap().get(0);
            kill_process(Pid::from_raw(victim).unwrap(), Signal::KILL).unwrap();
            ended.await.unwrap().unwrap_err();
            while tokio_postgres::connect(url, tokio_postgres::NoTls).await.is_err() {
                tokio::task::yield_now().await;
            }
        });
    }

    /// Sends a signal to the server's first process and then to all that it started.
    pub(crate) fn signal(&self, signal: Signal) {
        let first = self.first_process();
        // Nothing is started between the two.
        let _ = kill_process(first, if signal == Signal::CONT { signal } else { Signal::STOP });
        for process in children_of(first) {
            let _ = kill_process(process, signal);
        }
        let _ = kill_process(first, signal);
    }

    /// Kills all of the server's processes at once, as a machine does that loses power, and starts it again over the same files. It takes
    /// connections some moments later.
    pub(crate) fn kill_and_restart(&self) {
        let all: Vec<Pid> = std::iter::once(self.first_process()).chain(children_of(self.first_process())).collect();
        self.signal(Signal::KILL);
        // A server refuses to start while processes of the one before have its memory.
        while all[1..].iter().any(|process| is_running(*process)) {
            std::thread::yield_now();
        }
        self.watched.lock().stdin.as_mut().unwrap().write_all(b"again\n").unwrap();
    }

    fn first_process(&self) -> Pid {
        let text = std::fs::read_to_string(self.data.join("postmaster.pid")).unwrap();
        Pid::from_raw(text.lines().next().unwrap().parse().unwrap()).unwrap()
    }

    /// A URL of the server's first database, with nothing of any other test in it.
    pub(crate) fn fresh(&self) -> String {
        static MADE: AtomicUsize = AtomicUsize::new(0);
        let schema = format!("test_{}", MADE.fetch_add(1, Ordering::Relaxed));
        let address = format!("postgres://selfsame@127.0.0.1:{}/postgres", self.port);
        run(&address, &format!("create schema {schema}"));
        format!("{address}?options=-c%20search_path%3D{schema}")
    }
}

/// State and parent of a process; absent when it is gone.
fn state_of(process: Pid) -> Option<(char, i32)> {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", process.as_raw_nonzero())).ok()?;
    // The name before may hold anything, the last bracket ends it.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    Some((fields.next()?.chars().next()?, fields.next()?.parse().ok()?))
}

fn is_running(process: Pid) -> bool {
    state_of(process).is_some_and(|(state, _)| !matches!(state, 'Z' | 'X'))
}

fn children_of(parent: Pid) -> Vec<Pid> {
    let names = std::fs::read_dir("/proc").unwrap().flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let processes = names.filter_map(Pid::from_raw);
    processes.filter(|process| state_of(*process).is_some_and(|(_, of)| of == parent.as_raw_nonzero().get())).collect()
}

/// The journal at a URL.
pub(crate) fn journal(url: &str) -> PostgresJournal {
    PostgresJournal::open(&database_url(url), Patience::default()).unwrap()
}

pub(crate) fn database_url(url: &str) -> DatabaseUrl {
    DatabaseUrl::new(SecretString::from(url.to_owned()))
}

/// Runs statements beside the journal.
pub(crate) fn run(url: &str, statements: &str) {
    in_runtime(async || {
        let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls).await.unwrap();
        tokio::spawn(connection);
        client.batch_execute(statements).await.unwrap();
    });
}

/// Works on a thread of its own, because the caller may be inside a runtime.
fn in_runtime(work: impl AsyncFnOnce() + Send) {
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    std::thread::scope(|scope| scope.spawn(move || runtime().block_on(work())).join().unwrap());
}

/// The journal for a caller that knows of no leases: it takes the lease of each programme that it meets, in the epoch of a home with one process.
pub(crate) struct Sole {
    url: String,
    journal: PostgresJournal,
    leases: PostgresLeases,
    taken: Mutex<BTreeSet<ProgramId>>,
}

impl Sole {
    pub(crate) fn at(url: String) -> Self {
        let journal = journal(&url);
        let leases = PostgresLeases::beside(&journal, "here", LeaseTerms::default(), Arc::new(SystemClock));
        Self { url, journal, leases, taken: Mutex::default() }
    }

    /// Another process, with the permissions of the one before.
    pub(crate) fn reopened(self) -> Self {
        Self { taken: self.taken, ..Self::at(self.url) }
    }

    fn take(&self, program: &ProgramId) {
        if self.taken.lock().insert(program.clone()) {
            let acquired = self.leases.acquire(program).unwrap();
            assert!(matches!(acquired, Acquired::Here(Lease { epoch: Epoch::SOLE, .. })));
        }
    }
}

impl Journal for Sole {
    fn incarnation(&self) -> Incarnation {
        self.journal.incarnation()
    }

    fn programs(&self) -> Result<Vec<(ProgramId, Head)>, JournalError> {
        self.journal.programs()
    }

    fn head(&self, program: &ProgramId) -> Result<Head, JournalError> {
        self.journal.head(program)
    }

    fn append(&self, group: &[Append]) -> Result<Appended, JournalError> {
        for append in group {
            self.take(&append.program);
        }
        self.journal.append(group)
    }

    fn read(&self, program: &ProgramId, reach: Reach) -> Result<Vec<Record>, JournalError> {
        self.journal.read(program, reach)
    }

    fn kept(&self, program: &ProgramId) -> Result<Vec<Kept>, JournalError> {
        self.journal.kept(program)
    }

    fn cut(&self, program: &ProgramId, epoch: Epoch, before: Cursor, change: &KeptChange) -> Result<u64, JournalError> {
        self.take(program);
        self.journal.cut(program, epoch, before, change)
    }

    fn rewrite(&self, program: &ProgramId, epoch: Epoch, records: &[Record]) -> Result<(), JournalError> {
        self.take(program);
        self.journal.rewrite(program, epoch, records)
    }

    fn scour(&self) -> Result<(), JournalError> {
        self.journal.scour()
    }

    fn failure(&self) -> Option<String> {
        self.journal.failure()
    }
}
