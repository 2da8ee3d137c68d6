//! The feed of decisions and the export, as streams over the socket.

use futures::StreamExt;
use selfsame::adapters::embedded::JOURNAL_FOLDER;
use selfsame::adapters::journal::restore;
use selfsame::ports::ledger::Ledger as _;
use selfsame::wire::v1;
use tonic::{Code, Streaming};
use tonic_types::StatusExt;

use crate::world::{PROGRAM, World, conversion, on_one_device, reason, violated};

fn watch(after_cursor: &str, mode: v1::WatchMode) -> v1::WatchDecisionsRequest {
    let after_cursor = after_cursor.to_owned();
    v1::WatchDecisionsRequest { program_id: PROGRAM.to_owned(), after_cursor, mode: Some(mode.into()), ..Default::default() }
}

async fn to_the_end(world: &World, request: v1::WatchDecisionsRequest) -> Vec<v1::WatchDecisionsResponse> {
    let stream = world.payout().watch_decisions(request).await.unwrap().into_inner();
    stream.map(Result::unwrap).collect().await
}

fn ids(messages: &[v1::WatchDecisionsResponse]) -> Vec<String> {
    messages.iter().flat_map(|message| &message.events).map(|event| event.conversion_id.clone()).collect()
}

async fn next(stream: &mut Streaming<v1::WatchDecisionsResponse>) -> v1::WatchDecisionsResponse {
    stream.next().await.unwrap().unwrap()
}

#[tokio::test]
async fn the_feed_resumes_from_any_cursor_and_never_skips() {
    let world = World::start().await;
    for n in 0..10 {
        world.screen(conversion(&format!("cv-{n}"), "ann", &format!("new-{n}"))).await;
    }
    let all = to_the_end(&world, watch("", v1::WatchMode::StopAtEnd)).await;
    let expected: Vec<String> = (0..10).map(|n| format!("cv-{n}")).collect();
    assert_eq!(ids(&all), expected);
    assert!(all.last().unwrap().events.is_empty(), "the last message is the sign of the end");
    let cursors: Vec<&String> = all.iter().flat_map(|message| &message.events).map(|event| &event.cursor).collect();
    for (done, cursor) in cursors.iter().enumerate() {
        let rest = to_the_end(&world, watch(cursor, v1::WatchMode::StopAtEnd)).await;
        assert_eq!(ids(&rest), expected[done + 1..]);
    }
}

#[tokio::test]
async fn a_follower_hears_of_what_happens_later() {
    let world = World::start().await;
    let mut stream = world.payout().watch_decisions(watch("", v1::WatchMode::Follow)).await.unwrap().into_inner();
    world.screen(on_one_device("cv-1", "dan", "joe", 5)).await;
    let heard = next(&mut stream).await;
    assert_eq!((heard.events[0].kind(), heard.events[0].verdict()), (v1::FeedEventKind::Decided, v1::Verdict::InReview));
    let request = v1::ResolveCaseRequest {
        program_id: PROGRAM.to_owned(),
        case_id: "case-cv-1".to_owned(),
        resolution: v1::Resolution::Reject.into(),
        ..Default::default()
    };
    world.review().resolve_case(request).await.unwrap();
    let heard = next(&mut stream).await;
    let event = &heard.events[0];
    assert_eq!(
        (event.kind(), event.verdict(), event.previous_verdict()),
        (v1::FeedEventKind::CaseResolved, v1::Verdict::Rejected, v1::Verdict::InReview)
    );
}

#[tokio::test]
async fn a_filter_drops_events_and_still_moves_the_cursor() {
    let world = World::start().await;
    world.screen(conversion("cv-1", "ann", "bob")).await;
    let last = world.screen(conversion("cv-2", "zoe", "kim")).await.cursor;
    let request = v1::WatchDecisionsRequest { referrer_account_id: "ann".to_owned(), ..watch("", v1::WatchMode::StopAtEnd) };
    let seen = to_the_end(&world, request).await;
    assert_eq!(ids(&seen), ["cv-1"]);
    assert_eq!(seen.last().unwrap().cursor, last);
}

#[tokio::test(start_paused = true)]
async fn a_silent_feed_shows_signs_of_life() {
    let world = World::start().await;
    let mut stream = world.payout().watch_decisions(watch("", v1::WatchMode::Follow)).await.unwrap().into_inner();
    for _ in 0..3 {
        assert!(next(&mut stream).await.events.is_empty());
    }
}

#[tokio::test]
async fn a_cursor_past_the_end_is_refused_since_following_it_would_skip() {
    let world = World::start().await;
    world.screen(conversion("cv-1", "ann", "bob")).await;
    let ahead = "999-0123456789abcdef";
    let refused = world.payout().watch_decisions(watch(ahead, v1::WatchMode::Follow)).await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::OutOfRange, "CURSOR_OF_ANOTHER_LEDGER"));
    assert_eq!(violated(&refused), ["after_cursor"]);
    let request = v1::ExportConversionsRequest { program_id: PROGRAM.to_owned(), after_cursor: ahead.to_owned() };
    let refused = world.training().export_conversions(request).await.unwrap_err();
    assert_eq!(reason(&refused), "CURSOR_OF_ANOTHER_LEDGER");
}

/// Screens so many conversions, of referees that bear a name, and gives the last place.
async fn screen_some(world: &World, name: &str, count: usize) -> String {
    let mut last = String::new();
    for n in 0..count {
        last = world.screen(conversion(&format!("{name}-{n}"), "ann", &format!("{name}-{n}"))).await.cursor;
    }
    last
}

#[tokio::test]
async fn after_a_restore_a_follower_goes_on_from_what_the_backup_holds_and_is_told_when_he_read_further() {
    let (place, restored) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let world = World::on_disk(place.path()).await;
    let before = screen_some(&world, "early", 2).await;
    let at_the_backup = screen_some(&world, "kept", 2).await;
    let file = restored.path().join("backup");
    world.ledger.back_up(&mut std::fs::File::create(&file).unwrap()).unwrap();
    let lost = screen_some(&world, "lost", 3).await;
    let page = v1::ListDecisionsRequest { program_id: PROGRAM.to_owned(), page_size: 1, ..Default::default() };
    let listed = world.screening().list_decisions(page.clone()).await.unwrap().into_inner();
    world.stop().await.unwrap().unwrap();

    restore(&file, &restored.path().join(JOURNAL_FOLDER)).unwrap();
    let world = World::on_disk(restored.path()).await;
    let newest = screen_some(&world, "new", 5).await;
    let after = |cursor: &str| {
        let (mut client, wanted) = (world.payout(), watch(cursor, v1::WatchMode::StopAtEnd));
        async move { client.watch_decisions(wanted).await }
    };
    for (cursor, first) in [(&before, "kept-0"), (&at_the_backup, "new-0")] {
        let rest: Vec<_> = after(cursor).await.unwrap().into_inner().map(Result::unwrap).collect().await;
        assert_eq!((ids(&rest)[0].as_str(), &rest.last().unwrap().cursor), (first, &newest));
    }
    let refused = after(&lost).await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::OutOfRange, "CURSOR_OF_ANOTHER_LEDGER"));
    assert!(refused.message().contains("a backup was restored"), "{}", refused.message());
    let next = v1::ListDecisionsRequest { page_token: listed.next_page_token, ..page };
    let refused = world.screening().list_decisions(next).await.unwrap_err();
    assert_eq!(reason(&refused), "INVALID_PAGE_TOKEN");
}

#[tokio::test]
async fn a_watch_that_makes_no_sense_is_refused_by_field() {
    let world = World::start().await;
    let after_cursor = "7".to_owned();
    let request = v1::WatchDecisionsRequest { kinds: vec![0], mode: Some(9), after_cursor, ..Default::default() };
    let refused = world.payout().watch_decisions(request).await.unwrap_err();
    assert_eq!(violated(&refused), ["program_id", "kinds[0]", "mode", "after_cursor"]);
}

#[tokio::test]
async fn a_drain_ends_a_follower_with_its_cursor_and_a_reason() {
    let world = World::start().await;
    let cursor = world.screen(conversion("cv-1", "ann", "bob")).await.cursor;
    let mut stream = world.payout().watch_decisions(watch(&cursor, v1::WatchMode::Follow)).await.unwrap().into_inner();
    let ended = world.stop();
    assert_eq!(next(&mut stream).await.cursor, cursor);
    let last = stream.next().await.unwrap().unwrap_err();
    assert_eq!((last.code(), reason(&last).as_str()), (Code::Unavailable, "SHUTTING_DOWN"));
    assert!(last.message().contains(&format!("cursor {cursor}")), "{}", last.message());
    assert_eq!(last.get_details_error_info().unwrap().metadata.get("cursor"), Some(&cursor));
    ended.await.unwrap().unwrap();
}

#[tokio::test]
async fn the_export_holds_every_conversion_with_its_labels_and_resumes() {
    let world = World::start().await;
    world.screen(on_one_device("cv-1", "dan", "joe", 5)).await;
    world.screen(conversion("cv-2", "ann", "bob")).await;
    let request = v1::ResolveCaseRequest {
        program_id: PROGRAM.to_owned(),
        case_id: "case-cv-1".to_owned(),
        resolution: v1::Resolution::Reject.into(),
        ..Default::default()
    };
    world.review().resolve_case(request).await.unwrap();
    let export = |after_cursor: &str| {
        let after_cursor = after_cursor.to_owned();
        let mut client = world.training();
        async move {
            let request = v1::ExportConversionsRequest { program_id: PROGRAM.to_owned(), after_cursor };
            let stream = client.export_conversions(request).await.unwrap().into_inner();
            stream.map(Result::unwrap).collect::<Vec<v1::ExportConversionsResponse>>().await
        }
    };
    let all = export("").await;
    assert_eq!(all.len(), 2);
    let first = all[0].conversion.as_ref().unwrap();
    assert_eq!(first.labels[0].truth(), v1::Truth::Abusive);
    assert_eq!(first.conversion.as_ref().unwrap(), &{
        let mut sent = on_one_device("cv-1", "dan", "joe", 5);
        sent.referee_standing = Some(v1::RefereeStanding::New.into());
        sent.referee.as_mut().unwrap().journey.as_mut().unwrap().touchpoint_count_total =
            first.conversion.as_ref().unwrap().referee.as_ref().unwrap().journey.as_ref().unwrap().touchpoint_count_total;
        sent
    });
    assert_eq!(export(&all[0].cursor).await, all[1..]);
}
