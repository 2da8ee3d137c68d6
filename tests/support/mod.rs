//! The real server as a child process, on a folder and port of its own. Tests of the whole binary use it; it holds no claim itself.
#![allow(dead_code, reason = "every test binary uses its own part")]

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use selfsame::wire::credentials::Credentials;
use selfsame::wire::v1;
use selfsame::wire::v1::program_service_client::ProgramServiceClient;
use tonic::transport::{Channel, Endpoint};

/// How long a server may take to open its folder and listen.
const START_MAX: Duration = Duration::from_secs(120);

/// A running server. Killed when dropped.
pub(crate) struct Server {
    child: Child,
    address: String,
}

impl Server {
    /// Starts the binary on a data folder and waits until it answers.
    pub(crate) async fn start(folder: &Path) -> Self {
        Self::start_with(Path::new(env!("CARGO_BIN_EXE_selfsame")), folder, &[]).await
    }

    /// Starts a given binary with more arguments.
    pub(crate) async fn start_with(binary: &Path, folder: &Path, arguments: &[&str]) -> Self {
        let address = format!("127.0.0.1:{}", free_port());
        let log = std::fs::File::options().create(true).append(true).open(log_of(folder)).unwrap();
        let child = Command::new(binary)
            .args(["serve", "--metrics", "none", "--listen", &address, "--data-dir"])
            .arg(folder)
            .args(arguments)
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut server = Self { child, address };
        server.wait_until_listening(folder).await;
        server
    }

    async fn wait_until_listening(&mut self, folder: &Path) {
        let endpoint = self.endpoint();
        let answered = async {
            let mut poll = tokio::time::interval(Duration::from_millis(10));
            loop {
                poll.tick().await;
                if endpoint.connect().await.is_ok() {
                    return;
                }
                let ended = self.child.try_wait().unwrap();
                assert!(ended.is_none(), "the server ended ({ended:?}):\n{}", log_text(folder));
            }
        };
        let in_time = tokio::time::timeout(START_MAX, answered).await;
        assert!(in_time.is_ok(), "the server does not listen:\n{}", log_text(folder));
    }

    fn endpoint(&self) -> Endpoint {
        Endpoint::from_shared(format!("http://{}", self.address)).unwrap().tcp_nodelay(true)
    }

    /// A new connection.
    pub(crate) async fn channel(&self) -> Channel {
        self.endpoint().connect().await.unwrap()
    }

    /// `host:port`.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// Whether it runs, or how it ended.
    pub(crate) fn state(&mut self) -> String {
        match self.child.try_wait() {
            Ok(None) => "the server runs".to_owned(),
            Ok(Some(status)) => format!("the server ended by itself: {status}"),
            Err(error) => format!("the server's state is not known: {error}"),
        }
    }

    /// SIGKILL: no destructor, no flush, no goodbye.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Registers a programme, as an operator does before anybody calls.
pub(crate) async fn register(channel: Channel, program: &str) {
    let stage = v1::ProgramStage::Production.into();
    let program = v1::Program { program_id: program.to_owned(), stage, ..v1::Program::default() };
    let request = v1::CreateProgramRequest { program: Some(program) };
    ProgramServiceClient::with_interceptor(channel, Credentials::name("olga").unwrap()).create_program(request).await.unwrap();
}

fn log_of(folder: &Path) -> PathBuf {
    folder.with_extension("log")
}

/// What all servers on this folder wrote to their standard error.
pub(crate) fn log_text(folder: &Path) -> String {
    std::fs::read_to_string(log_of(folder)).unwrap_or_default()
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// The conversion `cv-NUMBER` of two accounts, of which `side` says what is known.
pub(crate) fn conversion(program_id: &str, number: u32, side: impl Fn(String) -> v1::SignalBundle) -> v1::Conversion {
    v1::Conversion {
        program_id: program_id.to_owned(),
        conversion_id: format!("cv-{number}"),
        kind: v1::ConversionKind::NewSignup.into(),
        occurred_at: Some(selfsame::wire::WireTimestamp { seconds: 1_767_225_600, nanos: 0 }),
        attribution: Some(v1::Attribution {
            captured_via: v1::CapturedVia::Link.into(),
            ucc: "CODE".to_owned(),
            ..Default::default()
        }),
        referrer: Some(side(format!("referrer-{number}"))),
        referee: Some(side(format!("referee-{number}"))),
        ..Default::default()
    }
}
