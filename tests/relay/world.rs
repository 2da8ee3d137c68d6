//! A server, a relay, and events of the feed to relay.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use selfsame::wire::credentials::Credentials;
use selfsame::wire::v1;
use selfsame::wire::v1::hold_subject::Subject;
use selfsame::wire::v1::payout_service_client::PayoutServiceClient;
use selfsame::wire::v1::screening_service_client::ScreeningServiceClient;
use serde_json::Value;
use tempfile::TempDir;

use crate::receiver::PATIENCE;
use crate::support::{self, Server};

pub(crate) const PROGRAM: &str = "shop";

/// A server on a folder of its own, and where a relay works.
pub(crate) struct World {
    pub(crate) scratch: TempDir,
    pub(crate) server: Server,
}

impl World {
    pub(crate) async fn start() -> Self {
        let scratch = tempfile::tempdir().unwrap();
        let server = Server::start(&scratch.path().join("ledger")).await;
        Self { scratch, server }
    }

    /// The relay's configuration: its folder is `relay`.
    pub(crate) fn configure(&self, targets: &str) {
        let text = format!("folder = \"{}\"\n[metrics]\nlisten = \"none\"\n{targets}", self.relay_folder().display());
        std::fs::write(self.config(), text).unwrap();
    }

    /// A receiver's section.
    pub(crate) fn webhook(&self, name: &str, receiver: &crate::receiver::Receiver, more: &str) -> String {
        let secrets = self.scratch.path().join(format!("{name}.secrets"));
        // The second one is another's, or of a time to come: all sign.
        std::fs::write(&secrets, format!("{}\nwhsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n", receiver.secret)).unwrap();
        format!(
            "[[webhooks]]\nname = \"{name}\"\nprogram = \"{PROGRAM}\"\nurl = \"http://{}/hooks\"\nsecrets_file = \"{}\"\n{more}\n",
            receiver.address,
            secrets.display()
        )
    }

    pub(crate) fn config(&self) -> PathBuf {
        self.scratch.path().join("relay.toml")
    }

    pub(crate) fn relay_folder(&self) -> PathBuf {
        self.scratch.path().join("relay")
    }

    pub(crate) fn relay(&self) -> Relay {
        let log = std::fs::File::options().create(true).append(true).open(self.scratch.path().join("relay.log")).unwrap();
        let child = self.command(&["run", "--server", &format!("http://{}", self.server.address())]).stderr(log).spawn().unwrap();
        Relay(child)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_selfsame"));
        command.args(["relay", "--config"]).arg(self.config()).args(arguments).stdout(Stdio::piped());
        command
    }

    /// What a command of the relay answers, as JSON.
    pub(crate) fn asked(&self, arguments: &[&str]) -> Value {
        let output = self.command(arguments).args(["--output", "json"]).stderr(Stdio::piped()).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// Waits until the relay's status is as it should be.
    pub(crate) async fn until_status(&self, what: &str, is_so: impl Fn(&Value) -> bool) {
        let mut look = tokio::time::interval(Duration::from_millis(100));
        let waited = tokio::time::timeout(PATIENCE, async {
            while !is_so(&self.asked(&["status"])["targets"][0]) {
                look.tick().await;
            }
        });
        let log = std::fs::read_to_string(self.scratch.path().join("relay.log")).unwrap_or_default();
        assert!(waited.await.is_ok(), "{what} did not come: {:#}\n{log}", self.asked(&["status"]));
    }

    /// Three events for each of some referrals: it is decided, held, and let go again.
    pub(crate) async fn refer(&self, numbers: std::ops::Range<u32>) {
        let channel = self.server.channel().await;
        let mut screening = ScreeningServiceClient::new(channel.clone());
        let mut payouts = PayoutServiceClient::with_interceptor(channel, Credentials::name("rita").unwrap());
        for number in numbers {
            let side = |account_id: String| v1::SignalBundle { account_id, ..Default::default() };
            let conversion = support::conversion(PROGRAM, number, side);
            screening.screen_conversion(v1::ScreenConversionRequest { conversion: Some(conversion) }).await.unwrap();
            let subject = Some(v1::HoldSubject { subject: Some(Subject::ConversionId(format!("cv-{number}"))) });
            let program_id = PROGRAM.to_owned();
            let place = v1::PlaceHoldRequest { program_id: program_id.clone(), subject: subject.clone(), ..Default::default() };
            payouts.place_hold(place).await.unwrap();
            let lift = v1::LiftHoldRequest { program_id, subject, ..Default::default() };
            payouts.lift_hold(lift).await.unwrap();
        }
    }

    /// The cursors of all events, in order.
    pub(crate) async fn feed(&self) -> Vec<String> {
        let request = v1::WatchDecisionsRequest {
            program_id: PROGRAM.to_owned(),
            mode: Some(v1::WatchMode::StopAtEnd.into()),
            ..Default::default()
        };
        let mut client = PayoutServiceClient::new(self.server.channel().await);
        let mut messages = client.watch_decisions(request).await.unwrap().into_inner();
        let mut cursors = Vec::new();
        while let Some(message) = messages.message().await.unwrap() {
            cursors.extend(message.events.into_iter().map(|event| event.cursor));
        }
        cursors
    }
}

/// A relay that runs. Killed when dropped.
pub(crate) struct Relay(Child);

impl Relay {
    /// SIGKILL.
    pub(crate) fn kill(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }

    /// SIGTERM; true when it ended well.
    pub(crate) fn stop(mut self) -> bool {
        assert!(Command::new("kill").args(["-TERM", &self.0.id().to_string()]).status().unwrap().success());
        self.0.wait().unwrap().success()
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// The log of all relays of a world.
pub(crate) fn log_of(scratch: &Path) -> String {
    std::fs::read_to_string(scratch.join("relay.log")).unwrap_or_default()
}
