//! Personal data that are planted in requests, accepted and refused ones, are found nowhere: not in the log, in metrics, answers, files or backups.
//!
//! A process of its own: it reads all that is logged and measured.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    dead_code,
    reason = "tests; the world is shared with other suites"
)]

#[path = "../service/world.rs"]
mod world;

use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use parking_lot::Mutex;
use selfsame::adapters::journal::{BackupFile, JOURNAL_FOLDER, JournalOptions, SledJournal};
use selfsame::ports::journal::Journal as _;
use selfsame::wire::v1;
use selfsame::wire::v1::audit_service_client::AuditServiceClient;
use selfsame::wire::v1::program_service_client::ProgramServiceClient;
use tonic::Status;
use tonic_types::StatusExt as _;
use tracing_subscriber::fmt::MakeWriter;

use crate::world::{PROGRAM, World, conversion, on_one_device, violated};

const EMAIL: &str = "jane.planted@mail.example.com";
const PHONE: &str = "+49 170 5551234";
const CARD: &str = "5555 5555 5555 4444";
const NAME: &str = "Janeplanted Doeplanted";
const ADDRESS: &str = "17 Plantedstreet, Plantedtown";
const TOKEN: &str = "selfsame_plantedplantedplantedplantedplantedplanted";

const PLANTED: [&str; 9] = [EMAIL, PHONE, "+491705551234", CARD, "5555555555554444", "5555-5555-5555-4444", NAME, ADDRESS, TOKEN];

/// A log that a test can read.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<'w> MakeWriter<'w> for Log {
    type Writer = Self;

    fn make_writer(&'w self) -> Self {
        self.clone()
    }
}

/// Where one of the planted was found.
fn found_in(what: &str, bytes: &[u8]) -> Vec<String> {
    let holds = |planted: &str| bytes.windows(planted.len()).any(|window| window == planted.as_bytes());
    PLANTED.iter().filter(|planted| holds(planted)).map(|planted| format!("{planted} in {what}")).collect()
}

fn found_below(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for item in std::fs::read_dir(folder).unwrap() {
        let path = item.unwrap().path();
        if path.is_dir() {
            found.extend(found_below(&path));
        } else {
            found.extend(found_in(&path.display().to_string(), &std::fs::read(&path).unwrap()));
        }
    }
    found
}

#[tokio::test]
async fn planted_personal_data_are_found_nowhere() {
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt().with_writer(log.clone()).with_max_level(tracing::Level::TRACE).finish();
    let logged = tracing::subscriber::set_global_default(subscriber).is_ok();
    let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
    let shown = recorder.handle();
    let measured = metrics::set_global_recorder(recorder).is_ok();
    assert!(logged && measured, "nobody else reads the log or the metrics of this process");

    let folder = tempfile::tempdir().unwrap();
    let world = World::on_disk(folder.path()).await;
    let mut said: Vec<Status> = Vec::new();
    world.screen(on_one_device("cv-1", "ann", "bob", 9)).await;

    // Taken, without what was planted.
    let mut sent = conversion("cv-2", "ann", "carl");
    let device =
        v1::DeviceSignals { user_agent: format!("Bot/1.0 (+mailto:{EMAIL})"), platform: CARD.to_owned(), ..Default::default() };
    sent.referee.as_mut().unwrap().devices = vec![v1::DeviceSignals { fingerprint: world::digest(3), ..device }];
    let request = v1::ScreenConversionRequest { conversion: Some(sent) };
    let answer = world.screening().screen_conversion(request).await.unwrap().into_inner();
    assert_eq!(answer.warnings.len(), 2, "{:?}", answer.warnings);
    assert_eq!(found_in("an answer", format!("{answer:?}").as_bytes()), Vec::<String>::new());

    // Refused: as ids, as digests that are none, as texts.
    for change in [
        |c: &mut v1::Conversion| c.referee.as_mut().unwrap().account_id = EMAIL.to_owned(),
        |c: &mut v1::Conversion| c.referee.as_mut().unwrap().account_id = NAME.to_owned(),
        |c: &mut v1::Conversion| c.conversion_id = PHONE.replace(' ', ""),
        |c: &mut v1::Conversion| c.invoice_id = CARD.replace(' ', "-"),
        |c: &mut v1::Conversion| {
            let value = format!("{NAME}, {ADDRESS}").into_bytes().into();
            c.referee.as_mut().unwrap().emails[0].mailbox[0].value = value;
        },
        |c: &mut v1::Conversion| c.referee.as_mut().unwrap().emails[0].mailbox[0].key_id = EMAIL.to_owned(),
    ] {
        let mut wrong = conversion("cv-3", "ann", "dora");
        change(&mut wrong);
        let request = v1::ScreenConversionRequest { conversion: Some(wrong) };
        said.push(world.screening().screen_conversion(request).await.unwrap_err());
    }
    let (program_id, case_id) = (PROGRAM.to_owned(), "case-cv-1".to_owned());
    for datum in [EMAIL, PHONE, CARD] {
        let note = format!("{NAME}, {ADDRESS}: {datum}");
        let add = v1::AddNoteRequest {
            program_id: program_id.clone(),
            case_id: case_id.clone(),
            note: note.clone(),
            ..Default::default()
        };
        let refused = world.review().add_note(add).await.unwrap_err();
        assert_eq!(violated(&refused), ["note"], "{refused:?}");
        assert!(refused.get_details_bad_request().unwrap().field_violations[0].description.contains("name people by the ids"));
        said.push(refused);
        let subject = v1::hold_subject::Subject::ReferrerAccountId("ann".to_owned());
        let hold = v1::PlaceHoldRequest {
            program_id: program_id.clone(),
            subject: Some(v1::HoldSubject { subject: Some(subject) }),
            note: note.clone(),
            ..Default::default()
        };
        said.push(world.payout().place_hold(hold).await.unwrap_err());
        let entry = v1::ListEntry {
            list: v1::ListKind::Blocked.into(),
            subject: Some(v1::ListSubject { subject: Some(v1::list_subject::Subject::AccountId("ann".to_owned())) }),
            note: note.clone(),
            ..Default::default()
        };
        let put = v1::PutListEntryRequest { program_id: program_id.clone(), entry: Some(entry), ..Default::default() };
        said.push(world.list().put_list_entry(put).await.unwrap_err());
        let act = v1::ActOnCasesRequest {
            program_id: program_id.clone(),
            note: note.clone(),
            request_id: "r-1".to_owned(),
            ..Default::default()
        };
        said.push(world.review().act_on_cases(act).await.unwrap_err());
        let program = v1::Program {
            program_id: "new".to_owned(),
            title: note,
            stage: v1::ProgramStage::Sandbox.into(),
            ..Default::default()
        };
        let create = v1::CreateProgramRequest { program: Some(program) };
        said.push(ProgramServiceClient::new(world.calls_of("olga")).create_program(create).await.unwrap_err());
    }
    // A token that lets nobody in, and one of the names that are looked for.
    let mut stranger = AuditServiceClient::new(world.calls_with(TOKEN));
    let asked = v1::SearchAuditRequest { program_id: PROGRAM.to_owned(), actor: EMAIL.to_owned(), ..Default::default() };
    said.extend(stranger.search_audit(asked).await.err());

    let mut found = found_in("metrics", shown.render().as_bytes());
    assert!(shown.render().contains("selfsame_"), "there are metrics");
    for status in &said {
        let details = status.get_error_details();
        found.extend(found_in("an answer", format!("{status:?} {details:?}").as_bytes()));
    }
    let request = v1::ExportAuditRequest { program_id: PROGRAM.to_owned() };
    let mut trail = AuditServiceClient::new(world.calls_of("olga")).export_audit(request).await.unwrap().into_inner();
    while let Some(part) = trail.message().await.unwrap() {
        found.extend(found_in("the trail", part.lines.as_bytes()));
    }
    let stopped = world.stop();
    stopped.await.unwrap().unwrap();
    let journal = SledJournal::open(&folder.path().join(JOURNAL_FOLDER), &JournalOptions::default());
    if let Ok(journal) = journal {
        let mut dump = BackupFile::create(&folder.path().join("dump")).unwrap();
        journal.back_up(&mut dump).unwrap();
        dump.keep().unwrap();
    }
    found.extend(found_below(folder.path()));
    let log = log.0.lock().clone();
    assert!(log.windows(8).any(|window| window == b"selfsame"), "there is a log");
    found.extend(found_in("the log", &log));
    assert_eq!(found, Vec::<String>::new());
}
