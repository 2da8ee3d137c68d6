//! Claims about replicas as their callers meet them, with the real servers: any replica answers, the kill of a holder loses and doubles nothing.

use std::path::Path;
use std::time::{Duration, Instant};

use futures::StreamExt as _;
use selfsame::wire::v1;
use selfsame::wire::v1::payout_service_client::PayoutServiceClient;
use selfsame::wire::v1::screening_service_client::ScreeningServiceClient;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use crate::postgres::server;
use crate::support::{Server, conversion, register};

const FAILOVER_MAX: Duration = Duration::from_secs(10);

async fn replica(folder: &Path, name: &str, url: &str) -> Server {
    let folder = folder.join(name);
    std::fs::create_dir_all(&folder).unwrap();
    let replica = Server::start_with(Path::new(env!("CARGO_BIN_EXE_selfsame")), &folder, &["--journal", url]).await;
    // Registering it again changes nothing.
    register(replica.channel().await, "shop").await;
    replica
}

fn of_shop(number: u32) -> v1::Conversion {
    let side = |account_id| v1::SignalBundle { account_id, ..v1::SignalBundle::default() };
    conversion("shop", number, side)
}

async fn screen(on: &Server, number: u32) -> Result<v1::ScreenConversionResponse, Status> {
    let request = v1::ScreenConversionRequest { conversion: Some(of_shop(number)) };
    let mut client = ScreeningServiceClient::new(on.channel().await);
    client.screen_conversion(request).await.map(tonic::Response::into_inner)
}

/// Screens as a caller does who goes by the retry hint.
async fn screen_until_taken(on: &Server, number: u32) -> v1::ScreenConversionResponse {
    let began = Instant::now();
    loop {
        match screen(on, number).await {
            Ok(answer) => return answer,
            Err(status) => {
                assert_eq!(status.code(), Code::Unavailable, "{status:?}");
                assert!(began.elapsed() < FAILOVER_MAX, "no answer within {FAILOVER_MAX:?}: {status:?}");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

async fn feed(on: &Server) -> Vec<(String, String)> {
    let request = v1::WatchDecisionsRequest {
        program_id: "shop".to_owned(),
        mode: Some(v1::WatchMode::StopAtEnd.into()),
        ..Default::default()
    };
    let mut client = PayoutServiceClient::new(on.channel().await);
    let mut stream = client.watch_decisions(request).await.unwrap().into_inner();
    let mut events = Vec::new();
    while let Some(message) = stream.next().await {
        events.extend(message.unwrap().events.into_iter().map(|event| (event.cursor, event.conversion_id)));
    }
    events
}

#[tokio::test(flavor = "multi_thread")]
async fn any_replica_answers_and_one_that_is_killed_is_replaced() {
    let Some(database) = server() else { return };
    let (url, folder) = (database.fresh(), tempfile::tempdir().unwrap());
    let mut holder = replica(folder.path(), "a", &url).await;
    let (second, third) = (replica(folder.path(), "b", &url).await, replica(folder.path(), "c", &url).await);

    for number in 0..20 {
        let on = [&holder, &second, &third][number as usize % 3];
        assert!(!screen(on, number).await.unwrap().replayed);
    }
    // What is refused is refused with the details that the holder gave.
    let unknown = v1::GetDecisionRequest { program_id: "shop".into(), conversion_id: "never".into(), ..Default::default() };
    let refused = ScreeningServiceClient::new(second.channel().await).get_decision(unknown).await.unwrap_err();
    assert_eq!(refused.code(), Code::NotFound);
    assert_eq!(refused.get_error_details().error_info().unwrap().reason, "NOT_KNOWN");
    assert!(refused.metadata().get("selfsame-held-by").is_none());
    // A stream of conversions is answered in its order.
    let sent: Vec<_> = (20..30).map(|number| v1::ScreenConversionsRequest { conversion: Some(of_shop(number)) }).collect();
    let answers = ScreeningServiceClient::new(third.channel().await).screen_conversions(futures::stream::iter(sent)).await;
    let answers: Vec<_> = answers.unwrap().into_inner().map(Result::unwrap).collect().await;
    assert!(answers.iter().enumerate().all(|(at, answer)| answer.position == at as u64
        && matches!(answer.result, Some(v1::screen_conversions_response::Result::Decision(_)))));
    let told = feed(&second).await;
    assert_eq!(told.len(), 30);
    assert_eq!(feed(&holder).await, told);

    holder.kill();

    assert!(!screen_until_taken(&third, 30).await.replayed);
    for number in 0..30 {
        assert!(screen_until_taken(&second, number).await.replayed, "conversion {number} was lost");
    }
    let after = feed(&second).await;
    assert_eq!((after.len(), &after[..30]), (31, &told[..]));
    assert_eq!(feed(&third).await, after);
    // The first record is the programme's audit key.
    assert!(
        after
            .iter()
            .zip(2..)
            .all(|((cursor, _), expected): (&(String, String), u64)| cursor.starts_with(&format!("{expected}-"))),
        "{after:?}"
    );
}
