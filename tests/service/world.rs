//! A server to test against: memory ledger, set clock, faults on demand; and messages that say only what a test is about.

use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use parking_lot::Mutex;
use selfsame::adapters::embedded;
use selfsame::adapters::journal::{JournalOptions, MemoryJournal};
use selfsame::adapters::model_shelf::ModelShelf;
use selfsame::adapters::model_store::ModelStore;
use selfsame::adapters::policy_file::{self, SHIPPED_POLICY};
use selfsame::adapters::policy_store::FixedPolicy;
use selfsame::adapters::standing_rules::StandingRules;
use selfsame::book::MessageKind;
use selfsame::book::account_file::AccountFile;
use selfsame::book::acts::{Confirmation, PendingAct};
use selfsame::book::clusters::{ClusterFile, ClusterSummary};
use selfsame::book::command::{CasesStep, Command, Executed};
use selfsame::book::cursor::FeedCursor;
use selfsame::book::directory::{Directory, Stage};
use selfsame::book::intake::{IntakeAnswer, IntakeQuestion};
use selfsame::book::models::ProgramModels;
use selfsame::book::plan::Previewed;
use selfsame::book::query::{CaseFilter, CaseOrder, DecisionFilter, Page, PageRequest};
use selfsame::book::records::{
    CaseFile, CaseSummary, Cursor, DecisionRecord, FeedEvent, Hold, LabelledConversion, ListEntry, ListSubject, PendingOutcome,
    QueueStats, TakenMessage,
};
use selfsame::book::terms::ProgramTerms;
use selfsame::ledger::{JournaledLedger, LedgerOptions};
use selfsame::ports::clock::Clock;
use selfsame::ports::journal::{BackupSummary, Reach};
use selfsame::ports::ledger::{Answer, Answerers, KeyReport, Ledger, LedgerError, LedgerHealth};
use selfsame::ports::ledger::{ProgramSummary, Reading, TrailPart};
use selfsame::screening::audit::AuditKey;
use selfsame::screening::gate::Standing;
use selfsame::screening::history::ListKind;
use selfsame::service::first_start::register;
use selfsame::service::limits::Limits;
use selfsame::service::listener::Connections;
use selfsame::service::server::{InProcess, ServeError, ServerParts, serve};
use selfsame::vocabulary::ids::{AccountId, Actor, CaseId, ConversionId, ProgramId, RecordId, RewardId};
use selfsame::vocabulary::time::{Span, Timestamp};
use selfsame::wire::credentials::Credentials;
use selfsame::wire::v1;
use tokio::net::TcpListener;
use tokio::sync::{Notify, oneshot, watch};
use tokio::task::JoinHandle;
use tonic::Status;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Channel, Endpoint};
use tonic_types::StatusExt;

pub(crate) const PROGRAM: &str = "shop";
/// 2026-09-21, in seconds.
pub(crate) const NOON: i64 = 1_790_000_000;

/// A clock that stands until it is moved.
pub(crate) struct SetClock(AtomicI64);

impl SetClock {
    pub(crate) fn forward(&self, span: Span) {
        self.0.fetch_add(span.as_millis(), Ordering::SeqCst);
    }
}

impl Clock for SetClock {
    fn now(&self) -> Timestamp {
        Timestamp::saturating_from_millis(self.0.load(Ordering::SeqCst))
    }
}

/// What a ledger does instead of its work.
#[derive(Debug, Clone)]
pub(crate) enum Fault {
    None,
    Fails(LedgerError),
    Panics,
    NeverAnswers,
    /// Reads wait until the ledger is mended; writes go on.
    ReadsWait,
}

/// A ledger with a switch.
pub(crate) struct SwitchedLedger {
    inner: JournaledLedger,
    answerers: Answerers,
    fault: watch::Sender<Fault>,
    /// What a backup holds; empty for what a ledger in memory says.
    pub(crate) backup: Mutex<Vec<u8>>,
    /// Told when a write arrives that will never be answered.
    pub(crate) stuck: Notify,
    pub(crate) poisoned: Mutex<Option<String>>,
}

impl SwitchedLedger {
    fn read<'a, T: Send + 'a>(&'a self, answer: Answer<'a, T>) -> Answer<'a, T> {
        async move {
            let mut changes = self.fault.subscribe();
            let fault = changes.wait_for(|fault| !matches!(fault, Fault::ReadsWait)).await.unwrap().clone();
            match fault {
                Fault::None | Fault::NeverAnswers | Fault::ReadsWait => answer.await,
                Fault::Fails(error) => Err(error),
                Fault::Panics => panic!("the ledger is broken on purpose"),
            }
        }
        .boxed()
    }

    fn write<'a, T: Send + 'a>(&'a self, answer: Answer<'a, T>) -> Answer<'a, T> {
        match self.fault.borrow().clone() {
            Fault::None | Fault::ReadsWait => answer,
            Fault::Fails(error) => std::future::ready(Err(error)).boxed(),
            Fault::Panics => panic!("the ledger is broken on purpose"),
            Fault::NeverAnswers => {
                self.stuck.notify_one();
                std::future::pending().boxed()
            }
        }
    }
}

impl Ledger for SwitchedLedger {
    fn execute(&self, command: Command) -> Answer<'_, Executed> {
        self.write(self.inner.execute(command))
    }
    fn decision<'a>(&'a self, program: &'a ProgramId, conversion: &'a ConversionId) -> Answer<'a, Option<DecisionRecord>> {
        self.read(self.inner.decision(program, conversion))
    }
    fn taken<'a>(
        &'a self,
        program: &'a ProgramId,
        kind: MessageKind,
        id: &'a RecordId,
    ) -> Answer<'a, Option<(FeedCursor, TakenMessage)>> {
        self.read(self.inner.taken(program, kind, id))
    }
    fn decisions<'a>(
        &'a self,
        program: &'a ProgramId,
        filter: &'a DecisionFilter,
        page: &'a PageRequest,
    ) -> Answer<'a, Page<DecisionRecord>> {
        self.read(self.inner.decisions(program, filter, page))
    }
    fn cases<'a>(
        &'a self,
        program: &'a ProgramId,
        filter: &'a CaseFilter,
        order: CaseOrder,
        page: &'a PageRequest,
        now: Timestamp,
    ) -> Answer<'a, Page<CaseSummary>> {
        self.read(self.inner.cases(program, filter, order, page, now))
    }
    fn case<'a>(&'a self, program: &'a ProgramId, case: &'a CaseId, now: Timestamp) -> Answer<'a, Option<CaseFile>> {
        self.read(self.inner.case(program, case, now))
    }
    fn account<'a>(
        &'a self,
        program: &'a ProgramId,
        account: &'a AccountId,
        page: &'a PageRequest,
        now: Timestamp,
    ) -> Answer<'a, Option<AccountFile>> {
        self.read(self.inner.account(program, account, page, now))
    }
    fn clusters<'a>(&'a self, program: &'a ProgramId, page: &'a PageRequest, now: Timestamp) -> Answer<'a, Page<ClusterSummary>> {
        self.read(self.inner.clusters(program, page, now))
    }
    fn cluster<'a>(&'a self, program: &'a ProgramId, account: &'a AccountId, now: Timestamp) -> Answer<'a, Option<ClusterFile>> {
        self.read(self.inner.cluster(program, account, now))
    }
    fn preview<'a>(
        &'a self,
        program: &'a ProgramId,
        act: CasesStep,
        cases: &'a [CaseId],
        (actor, confirmation): (&'a Actor, Option<&'a Confirmation>),
        now: Timestamp,
    ) -> Answer<'a, Vec<Previewed>> {
        self.read(self.inner.preview(program, act, cases, (actor, confirmation), now))
    }
    fn queue_stats<'a>(&'a self, program: &'a ProgramId, now: Timestamp) -> Answer<'a, QueueStats> {
        self.read(self.inner.queue_stats(program, now))
    }
    fn standings<'a>(
        &'a self,
        program: &'a ProgramId,
        payouts: &'a [(RewardId, ConversionId)],
    ) -> Answer<'a, Vec<Option<Standing>>> {
        self.read(self.inner.standings(program, payouts))
    }
    fn feed<'a>(
        &'a self,
        program: &'a ProgramId,
        after: Option<FeedCursor>,
        limit: usize,
    ) -> Answer<'a, (Vec<FeedEvent>, FeedCursor)> {
        self.read(self.inner.feed(program, after, limit))
    }
    fn grown_past<'a>(&'a self, program: &'a ProgramId, cursor: Cursor) -> BoxFuture<'a, ()> {
        self.inner.grown_past(program, cursor)
    }
    fn pending_outcomes<'a>(&'a self, program: &'a ProgramId, page: &'a PageRequest) -> Answer<'a, Page<PendingOutcome>> {
        self.read(self.inner.pending_outcomes(program, page))
    }
    fn holds<'a>(&'a self, program: &'a ProgramId, page: &'a PageRequest) -> Answer<'a, Page<Hold>> {
        self.read(self.inner.holds(program, page))
    }
    fn list_entries<'a>(
        &'a self,
        program: &'a ProgramId,
        list: Option<ListKind>,
        page: &'a PageRequest,
    ) -> Answer<'a, Page<ListEntry>> {
        self.read(self.inner.list_entries(program, list, page))
    }
    fn pending_acts<'a>(&'a self, program: &'a ProgramId, page: &'a PageRequest, now: Timestamp) -> Answer<'a, Page<PendingAct>> {
        self.read(self.inner.pending_acts(program, page, now))
    }

    fn list_entry<'a>(
        &'a self,
        program: &'a ProgramId,
        list: ListKind,
        subject: &'a ListSubject,
    ) -> Answer<'a, Option<ListEntry>> {
        self.read(self.inner.list_entry(program, list, subject))
    }
    fn labelled<'a>(
        &'a self,
        program: &'a ProgramId,
        after: Option<FeedCursor>,
        limit: usize,
    ) -> Answer<'a, (Vec<LabelledConversion>, FeedCursor)> {
        self.read(self.inner.labelled(program, after, limit))
    }
    fn trail<'a>(&'a self, program: &'a ProgramId, reach: Reach) -> Answer<'a, TrailPart> {
        self.read(self.inner.trail(program, reach))
    }
    fn finish_erasures(&self) -> Result<u64, LedgerError> {
        self.inner.finish_erasures()
    }
    fn directory(&self) -> Answer<'_, Arc<Directory>> {
        self.inner.directory()
    }
    fn terms<'a>(&'a self, program: &'a ProgramId) -> Answer<'a, Arc<ProgramTerms>> {
        self.inner.terms(program)
    }
    fn key_use<'a>(&'a self, program: &'a ProgramId) -> Answer<'a, KeyReport> {
        self.inner.key_use(program)
    }
    fn models<'a>(&'a self, program: &'a ProgramId) -> Answer<'a, Arc<ProgramModels>> {
        self.read(self.inner.models(program))
    }
    fn intake<'a>(&'a self, program: &'a ProgramId, question: &'a IntakeQuestion, now: Timestamp) -> Answer<'a, IntakeAnswer> {
        self.read(self.inner.intake(program, question, now))
    }
    fn end<'a>(&'a self, program: &'a ProgramId) -> Answer<'a, FeedCursor> {
        self.inner.end(program)
    }
    fn programs(&self) -> Vec<ProgramSummary> {
        self.inner.programs()
    }
    fn forget_older_than(&self, age: Option<Span>, now: Timestamp) -> Result<u64, LedgerError> {
        self.inner.forget_older_than(age, now)
    }
    fn readings(&self) -> Vec<Reading> {
        self.inner.readings()
    }
    fn back_up(&self, out: &mut dyn Write) -> Result<BackupSummary, LedgerError> {
        let bytes = self.backup.lock().clone();
        if bytes.is_empty() {
            return self.inner.back_up(out);
        }
        let refused = |error: std::io::Error| LedgerError::Unavailable(error.to_string());
        out.write_all(&bytes).and_then(|()| out.flush()).map_err(refused)?;
        Ok(BackupSummary { records: 0, kept_entries: 0, size_bytes: bytes.len() as u64, digest: String::new() })
    }
    fn answerers(&self) -> Answerers {
        self.answerers
    }
    fn health(&self) -> LedgerHealth {
        self.poisoned.lock().clone().map_or(LedgerHealth::Serving, LedgerHealth::Poisoned)
    }
}

/// A connection whose calls say who calls.
pub(crate) type Calls = InterceptedService<Channel, Credentials>;

/// A running server.
pub(crate) struct World {
    pub(crate) ledger: Arc<SwitchedLedger>,
    pub(crate) clock: Arc<SetClock>,
    pub(crate) channel: Channel,
    /// The API in this process, as other ports are given it.
    pub(crate) api: InProcess,
    address: String,
    stop: oneshot::Sender<()>,
    serving: JoinHandle<Result<(), ServeError>>,
}

impl World {
    pub(crate) async fn start() -> Self {
        Self::with_limits(Limits::default()).await
    }

    pub(crate) async fn with_limits(limits: Limits) -> Self {
        Self::answered_by(Answerers::ThisProcess, limits).await
    }

    /// A server with limits, alone or as one of many.
    pub(crate) async fn answered_by(answerers: Answerers, limits: Limits) -> Self {
        // The rules' weights score: what these tests claim does not hang on the shipped model.
        let policy = SHIPPED_POLICY.replace("source = \"model\"", "source = \"judgement\"");
        Self::with(answerers, limits, Connections::default(), &policy, None, None).await
    }

    /// A server whose models score, in this folder or in memory only.
    pub(crate) async fn with_models(policy: &str, folder: Option<&Path>) -> Self {
        let policy = policy.replace("source = \"judgement\"", "source = \"model\"");
        Self::with(Answerers::ThisProcess, Limits::default(), Connections::default(), &policy, folder, None).await
    }

    /// A server whose ledger is in a folder.
    pub(crate) async fn on_disk(folder: &Path) -> Self {
        let policy = SHIPPED_POLICY.replace("source = \"model\"", "source = \"judgement\"");
        Self::with(Answerers::ThisProcess, Limits::default(), Connections::default(), &policy, None, Some(folder)).await
    }

    /// The same, whose models score, in a folder of their own.
    pub(crate) async fn on_disk_with_models(policy: &str, ledger: &Path, models: &Path) -> Self {
        Self::with(Answerers::ThisProcess, Limits::default(), Connections::default(), policy, Some(models), Some(ledger)).await
    }

    /// A server whose connections are taken, protected and kept like this.
    pub(crate) async fn with_connections(connections: Connections) -> Self {
        let policy = SHIPPED_POLICY.replace("source = \"model\"", "source = \"judgement\"");
        Self::with(
            Answerers::ThisProcess,
            Limits { drain_max: Duration::from_secs(60), ..Limits::default() },
            connections,
            &policy,
            None,
            None,
        )
        .await
    }

    async fn with(
        answerers: Answerers,
        limits: Limits,
        connections: Connections,
        policy: &str,
        models: Option<&Path>,
        ledger: Option<&Path>,
    ) -> Self {
        let clock = Arc::new(SetClock(AtomicI64::new(NOON * 1_000)));
        let policies = Arc::new(FixedPolicy::new(policy_file::parse(policy, "test").unwrap()));
        let shelf = Arc::new(ModelShelf::default());
        let models = Arc::new(ModelStore::open(models, Arc::clone(&shelf), clock.now()).unwrap());
        let rules = Arc::new(StandingRules::new(Arc::clone(&policies) as _, shelf, Some(AuditKey::new([7; 32]))));
        let inner = match ledger {
            Some(folder) => embedded::open(folder, JournalOptions::default(), LedgerOptions::default(), rules).unwrap(),
            None => JournaledLedger::over(Arc::new(MemoryJournal::default()), rules).unwrap(),
        };
        let ledger = Arc::new(SwitchedLedger {
            inner,
            answerers,
            fault: watch::Sender::new(Fault::None),
            backup: Mutex::new(Vec::new()),
            stuck: Notify::new(),
            poisoned: Mutex::new(None),
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let shared: Arc<dyn Ledger> = Arc::clone(&ledger) as _;
        for program in [PROGRAM, "other", "sandbox"] {
            register(&shared, &*clock, program, Stage::Production).await.unwrap();
        }
        let is_plain = connections.tls.is_none();
        let parts = ServerParts { ledger: shared, policies, clock: Arc::clone(&clock) as _, models, limits, connections };
        let (mounted, api) = oneshot::channel();
        let serving = tokio::spawn(serve(listener, parts, stopped.map(|_| ()), |api| drop(mounted.send(api))));
        let api = api.await.unwrap();
        let endpoint = Endpoint::from_shared(format!("http://{address}")).unwrap();
        // Where TLS is spoken tests have connections of their own.
        let channel = if is_plain { endpoint.connect().await.unwrap() } else { endpoint.connect_lazy() };
        Self { ledger, clock, channel, api, address: format!("http://{address}"), stop, serving }
    }

    /// Where the server is, for connections of a test's own.
    pub(crate) fn address(&self) -> String {
        self.address.clone()
    }

    /// Calls of somebody who says who it is.
    pub(crate) fn calls_of(&self, name: &str) -> Calls {
        Calls::new(self.channel.clone(), Credentials::name(name).unwrap())
    }

    /// Calls of whoever has a token.
    pub(crate) fn calls_with(&self, token: &str) -> Calls {
        Calls::new(self.channel.clone(), Credentials::token(token).unwrap())
    }

    pub(crate) fn screening(&self) -> v1::screening_service_client::ScreeningServiceClient<Calls> {
        v1::screening_service_client::ScreeningServiceClient::new(self.calls_of("rita"))
    }

    pub(crate) fn review(&self) -> v1::review_service_client::ReviewServiceClient<Calls> {
        self.review_of("rita")
    }

    pub(crate) fn review_of(&self, name: &str) -> v1::review_service_client::ReviewServiceClient<Calls> {
        v1::review_service_client::ReviewServiceClient::new(self.calls_of(name))
    }

    pub(crate) fn payout(&self) -> v1::payout_service_client::PayoutServiceClient<Calls> {
        v1::payout_service_client::PayoutServiceClient::new(self.calls_of("rita"))
    }

    pub(crate) fn list(&self) -> v1::list_service_client::ListServiceClient<Calls> {
        v1::list_service_client::ListServiceClient::new(self.calls_of("rita"))
    }

    pub(crate) fn training(&self) -> v1::training_service_client::TrainingServiceClient<Calls> {
        v1::training_service_client::TrainingServiceClient::new(self.calls_of("rita"))
    }

    pub(crate) fn model(&self) -> v1::model_service_client::ModelServiceClient<Calls> {
        v1::model_service_client::ModelServiceClient::new(self.calls_of("dana"))
    }

    /// How many records the ledger holds, the directory's included.
    pub(crate) async fn ledger_records(&self) -> u64 {
        let mut records = 0;
        for program in [PROGRAM, ProgramId::DIRECTORY] {
            records += self.ledger.inner.end(&ProgramId::new(program).unwrap()).await.unwrap().place.0;
        }
        records
    }

    pub(crate) fn break_ledger(&self, fault: Fault) {
        self.ledger.fault.send_replace(fault);
    }

    /// Screens a conversion and gives its decision.
    pub(crate) async fn screen(&self, conversion: v1::Conversion) -> v1::Decision {
        let request = v1::ScreenConversionRequest { conversion: Some(conversion) };
        self.screening().screen_conversion(request).await.unwrap().into_inner().decision.unwrap()
    }

    /// Asks the gate about one reward.
    pub(crate) async fn gate(&self, reward: &str, conversion: &str) -> v1::GateAnswer {
        let payouts = vec![v1::PayoutQuery { reward_id: reward.to_owned(), conversion_id: conversion.to_owned() }];
        let request = v1::CheckPayoutsRequest { program_id: PROGRAM.to_owned(), payouts };
        self.payout().check_payouts(request).await.unwrap().into_inner().answers.remove(0)
    }

    /// Begins a drain; `ended` completes with it.
    pub(crate) fn stop(self) -> JoinHandle<Result<(), ServeError>> {
        self.stop.send(()).unwrap();
        self.serving
    }
}

pub(crate) fn at(seconds: i64) -> selfsame::wire::WireTimestamp {
    selfsame::wire::WireTimestamp { seconds, nanos: 0 }
}

pub(crate) fn digest(byte: u8) -> Vec<v1::Digest> {
    vec![v1::Digest { key_id: "k1".to_owned(), value: vec![byte; 32].into() }]
}

/// A mailbox that no other account has: two sides with one can be compared.
fn own_mailbox(account: &str) -> v1::EmailSignals {
    let value: Vec<u8> = account.bytes().chain([0xff; 32]).take(32).collect();
    v1::EmailSignals { mailbox: vec![v1::Digest { key_id: "k1".to_owned(), value: value.into() }], ..Default::default() }
}

/// An honest conversion of `referee`, brought by `referrer`, with one reward `r-<id>`.
pub(crate) fn conversion(id: &str, referrer: &str, referee: &str) -> v1::Conversion {
    let step = |kind: v1::TouchpointKind, seconds: i64| v1::Touchpoint {
        kind: kind.into(),
        occurred_at: Some(at(NOON - seconds)),
        ..Default::default()
    };
    v1::Conversion {
        program_id: PROGRAM.to_owned(),
        conversion_id: id.to_owned(),
        kind: v1::ConversionKind::NewSignup.into(),
        occurred_at: Some(at(NOON)),
        attribution: Some(v1::Attribution {
            captured_via: v1::CapturedVia::Link.into(),
            ucc: "CODE".to_owned(),
            code_validity: Some(v1::CodeValidity::Valid.into()),
            ..Default::default()
        }),
        referrer: Some(v1::SignalBundle {
            account_id: referrer.to_owned(),
            emails: vec![own_mailbox(referrer)],
            ..Default::default()
        }),
        referee: Some(v1::SignalBundle {
            account_id: referee.to_owned(),
            emails: vec![own_mailbox(referee)],
            journey: Some(v1::Journey {
                touchpoints: vec![step(v1::TouchpointKind::LinkClick, 4_000), step(v1::TouchpointKind::Signup, 3_000)],
                touchpoint_count_total: None,
            }),
            ..Default::default()
        }),
        rewards: vec![v1::Reward { reward_id: format!("r-{id}"), beneficiary: v1::Side::Referrer.into(), amount: None }],
        ..Default::default()
    }
}

/// The same with both sides on one device, which sends it to review.
pub(crate) fn on_one_device(id: &str, referrer: &str, referee: &str, device: u8) -> v1::Conversion {
    let mut sent = conversion(id, referrer, referee);
    let devices = vec![v1::DeviceSignals { fingerprint: digest(device), ..Default::default() }];
    sent.referrer.as_mut().unwrap().devices.clone_from(&devices);
    sent.referee.as_mut().unwrap().devices = devices;
    sent
}

/// The stable reason of a refusal.
pub(crate) fn reason(status: &Status) -> String {
    status.get_details_error_info().map(|info| info.reason).unwrap_or_default()
}

/// The violated fields of a refusal.
pub(crate) fn violated(status: &Status) -> Vec<String> {
    let violations = status.get_details_bad_request().map(|bad| bad.field_violations).unwrap_or_default();
    violations.into_iter().map(|violation| violation.field).collect()
}

/// When to try again.
pub(crate) fn retry_after(status: &Status) -> Option<Duration> {
    status.get_details_retry_info().and_then(|info| info.retry_delay)
}
