//! Holds the reading of histories to its claims: one history in three forms, wrong messages named, broken files refused.

use super::*;
use crate::wire::fixtures::full_conversion;

fn messages(count: usize) -> Vec<v1::LabeledConversion> {
    let message = |number| v1::LabeledConversion {
        conversion: Some(v1::Conversion { conversion_id: format!("cv-{number}"), ..full_conversion() }),
        group_id: "ring-1".to_owned(),
        ..Default::default()
    };
    (0..count).map(message).collect()
}

fn delimited(messages: &[v1::LabeledConversion]) -> Vec<u8> {
    messages.iter().flat_map(Message::encode_length_delimited_to_vec).collect()
}

fn json_lines(messages: &[v1::LabeledConversion]) -> Vec<u8> {
    messages.iter().flat_map(|message| [serde_json::to_vec(message).unwrap(), b"\n".to_vec()].concat()).collect()
}

fn packed_file(messages: &[v1::LabeledConversion]) -> Vec<u8> {
    let lines = messages.iter().flat_map(|message| packed::packed(message.clone()).unwrap());
    PACKED_BEGINNING.iter().copied().chain(lines).collect()
}

fn read(file: &[u8]) -> Vec<HistoryLine> {
    HistoryFile::of(file).map(|line| *line.unwrap().parsed.unwrap()).collect()
}

#[test]
fn all_forms_give_the_same_lines_and_reading_ahead_keeps_their_order() {
    let messages = messages(100);
    let lines = read(&json_lines(&messages));
    assert_eq!(lines.len(), 100);
    assert_eq!(read(&delimited(&messages)), lines);
    assert_eq!(read(&packed_file(&messages)), lines);
    let ahead = ReadAhead::of(io::Cursor::new(delimited(&messages)));
    assert_eq!(ahead.map(|line| *line.unwrap().parsed.unwrap()).collect::<Vec<_>>(), lines);
}

#[test]
fn a_first_message_of_123_bytes_is_not_taken_for_json() {
    let mut messages = messages(2);
    let first = messages[0].conversion.as_mut().unwrap();
    *first = v1::Conversion { program_id: "p".into(), ..Default::default() };
    messages[0].group_id = "g".repeat(123 - 2 - 3 - 2);
    let file = delimited(&messages);
    assert_eq!(&file[..2], b"{\n");
    let read: Vec<_> = HistoryFile::of(&*file).map(|line| line.unwrap().parsed).collect();
    assert!(read[0].as_ref().is_err_and(|problem| problem.contains("`conversion.conversion_id`")), "{read:?}");
    assert!(read[1].is_ok());
}

#[test]
fn a_message_that_is_none_is_named_and_the_next_one_is_read() {
    let messages = messages(2);
    let file = [delimited(&messages[..1]), vec![3, 0xff, 0xff, 0xff], delimited(&messages[1..])].concat();
    let read: Vec<_> = HistoryFile::of(&*file).map(Result::unwrap).collect();
    assert_eq!(
        read.iter().map(|line| (line.number, line.parsed.is_ok())).collect::<Vec<_>>(),
        [(1, true), (2, false), (3, true)]
    );
}

#[test]
fn a_line_that_is_no_text_is_named_by_the_column() {
    let file = b"{\"programId\": \"\xff\"}\n";
    let read: Vec<_> = HistoryFile::of(&file[..]).map(|line| line.unwrap().parsed.map(|_| ())).collect();
    assert_eq!(read, [Err("is not JSON (at column 16: not UTF-8)".to_owned())]);
}

#[test]
fn a_file_that_is_cut_short_or_has_no_lengths_is_refused() {
    let whole = delimited(&messages(2));
    let last = |file: &[u8]| HistoryFile::of(file).last().unwrap().unwrap_err().to_string();
    assert_eq!(last(&whole[..whole.len() - 1]), "message 2 is cut short");
    assert_eq!(last(&[&*whole, &[0xff; 20]].concat()), "message 3 has no proper length");
}

#[test]
fn a_file_that_is_no_history_is_told_from_one() {
    let csv = "user,bought,fraud\nu1,2024-01-01,1\n".repeat(9);
    for file in [csv.as_bytes(), "[limits]\nin_flight_max = 7\n".as_bytes(), "ärger,zwei\n".as_bytes(), b"[{}]", &[0xff; 20]] {
        for refused in [HistoryFile::of(file).next().unwrap().unwrap_err(), Horizon::of(file).unwrap_err()] {
            assert!(refused.to_string().contains("no history") && refused.to_string().contains("--format csv"), "{refused}");
        }
    }
    assert!(HistoryFile::of(&b""[..]).next().is_none());
}

#[test]
fn the_horizon_is_the_earliest_of_what_is_still_to_come() {
    let mut messages = messages(4);
    for (message, seconds) in messages.iter_mut().zip([1_700_000_500, 1_700_000_200, 1_700_000_900, 1_700_000_300]) {
        message.conversion.as_mut().unwrap().occurred_at = Some(crate::wire::WireTimestamp { seconds, nanos: 0 });
    }
    for file in [json_lines(&messages), delimited(&messages), packed_file(&messages)] {
        let horizon = Horizon::of(&*file).unwrap();
        let seconds = |lines| horizon.after(lines).map(|time| time.as_millis() / 1_000);
        assert_eq!(
            (0..5).map(seconds).collect::<Vec<_>>(),
            [200, 200, 300, 300].map(|s| Some(1_700_000_000 + s)).into_iter().chain([None]).collect::<Vec<_>>()
        );
        assert_eq!(horizon.lines(), 4);
    }
}

#[test]
fn a_line_in_any_spelling_of_the_mapping_is_read_and_what_is_none_is_named() {
    let usual = serde_json::to_string(&full_conversion()).unwrap();
    let other = usual
        .replace("\"amountMinor\":\"4900\"", "\"amountMinor\":4.9e3")
        .replace("\"kind\":\"CONVERSION_KIND_INVOICE_PAID\"", "\"kind\":3,\"refereeStanding\":null");
    assert_ne!(usual, other);
    let lines = read(format!("{usual}\n{other}\n").as_bytes());
    assert_eq!(lines[0].conversion, lines[1].conversion);
    let wrong = usual.replace("CONVERSION_KIND_INVOICE_PAID", "INVOICE_PAID");
    let [Err(problem)] = &HistoryFile::of(wrong.as_bytes()).map(|line| line.unwrap().parsed).collect::<Vec<_>>()[..] else {
        panic!("it was read")
    };
    assert!(problem.contains("`kind` is no `ConversionKind`; use one of"), "{problem}");
}
