//! Reads lines, CSV and JSONL for `selfsame digest`, and writes a pseudonym for each value or row, or says what is wrong with it.
//!
//! Messages name line and column, and never show a value. Used by the command in the parent module only.

use std::io::{self, BufRead, BufReader, Read, Write};

use anyhow::{Context as _, bail};
use serde_json::Value;

use super::mapping::{Holds, Mapping};
use super::{OnError, ValueKind};
use crate::digesting::{
    Column, Digester, PaymentLabels, PlusFolded, RawRow, RowSettings, device_json, digest_device, digest_email_by, digest_name,
    digest_networks, digest_payment_of_kind, digest_plus_folded, digest_row, email_json, name_json, network_json, payment_json,
};

pub(super) fn read_lines<W: Write>(input: impl Read, kind: ValueKind, sink: &mut Sink<'_, W>) -> anyhow::Result<()> {
    for (index, line) in BufReader::new(input).lines().enumerate() {
        let place = format!("line {}", index + 1);
        match line {
            Ok(line) if line.trim().is_empty() => {}
            Ok(line) => sink.take_value(&place, kind, &line)?,
            Err(error) if error.kind() == io::ErrorKind::InvalidData => sink.refuse(&format!("{place}: is not UTF-8"))?,
            Err(error) => return Err(error).context(place),
        }
    }
    Ok(())
}

pub(super) fn read_csv<W: Write>(input: impl Read, sink: &mut Sink<'_, W>) -> anyhow::Result<()> {
    let mut input = BufReader::new(input);
    // A reader that stands behind `\r` has not counted the `\n` that ends the line.
    let uncounted = u64::from(begins_with_crlf_line(input.fill_buf().context("cannot read the input")?));
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::Headers).from_reader(input);
    let headers = reader.headers().context("cannot read the headers")?.clone();
    let columns: Vec<Option<Column>> = headers.iter().map(Column::of_header).collect();
    let unknown: Vec<&str> =
        headers.iter().zip(&columns).filter(|(_, column)| column.is_none()).map(|(header, _)| header).collect();
    if unknown.len() == columns.len() {
        let known: Vec<&str> = Column::HEADERS.iter().filter_map(|(_, headers)| headers.first().copied()).collect();
        bail!("no column is known; the first line must name some of: {}", known.join(", "));
    }
    if !unknown.is_empty() {
        (sink.report)(&format!("left out, not known: {}", unknown.join(", ")));
    }
    let mut record = csv::StringRecord::new();
    loop {
        let line = reader.position().line() + uncounted;
        match reader.read_record(&mut record) {
            Ok(false) => return Ok(()),
            Ok(true) => {
                let mut row = RawRow::default();
                for (column, cell) in columns.iter().zip(&record) {
                    if let Some(column) = column {
                        row.add(*column, cell);
                    }
                }
                sink.take_row(&format!("line {line}"), &row)?;
            }
            Err(error) if error.is_io_error() => return Err(error).context("cannot read the input"),
            Err(error) => sink.refuse(&csv_fault(line, &error))?,
        }
    }
}

/// What is wrong with a CSV line, without a word of it.
fn csv_fault(line: u64, error: &csv::Error) -> String {
    match error.kind() {
        csv::ErrorKind::UnequalLengths { pos: _, expected_len, len } => {
            format!("line {line}: has {len} cells, the headers {expected_len}")
        }
        csv::ErrorKind::Utf8 { .. } => format!("line {line}: is not UTF-8"),
        _ => format!("line {line}: is not CSV"),
    }
}

fn begins_with_crlf_line(beginning: &[u8]) -> bool {
    let end = beginning.iter().position(|byte| *byte == b'\n');
    end.is_some_and(|end| beginning[..end].ends_with(b"\r"))
}

pub(super) fn read_jsonl<W: Write>(input: impl Read, sink: &mut Sink<'_, W>) -> anyhow::Result<()> {
    for (index, line) in BufReader::new(input).split(b'\n').enumerate() {
        let place = format!("line {}", index + 1);
        let line = line.with_context(|| place.clone())?;
        if line.trim_ascii().is_empty() {
            continue;
        }
        match serde_json::from_slice::<Value>(&line) {
            Ok(Value::Object(fields)) => match row_of_object(&fields) {
                Ok(row) => sink.take_row(&place, &row)?,
                Err(column) => sink.refuse(&format!("{place}: {column}: is neither a text, a number nor a list of them"))?,
            },
            Ok(Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_)) => {
                sink.refuse(&format!("{place}: is not a JSON object"))?;
            }
            Err(error) => sink.refuse(&format!("{place}: is not JSON, see column {}", error.column()))?,
        }
    }
    Ok(())
}

fn row_of_object(fields: &serde_json::Map<String, Value>) -> Result<RawRow, Column> {
    let mut row = RawRow::default();
    for (header, value) in fields {
        let Some(column) = Column::of_header(header) else { continue };
        let values = value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice);
        for value in values {
            match value {
                Value::Null => {}
                Value::String(text) => row.add(column, text),
                Value::Number(number) => row.add(column, &number.to_string()),
                Value::Bool(_) | Value::Array(_) | Value::Object(_) => return Err(column),
            }
        }
    }
    Ok(row)
}

/// Where the values go: digested, written, counted; or refused.
pub(super) struct Sink<'a, W: Write> {
    pub(super) digester: &'a Digester,
    pub(super) settings: &'a RowSettings,
    pub(super) on_error: OnError,
    pub(super) output: W,
    /// Present where a mapping is written in the place of bundles.
    pub(super) mapping: Option<Mapping>,
    pub(super) written: u64,
    pub(super) refused: u64,
    pub(super) report: &'a mut dyn FnMut(&str),
}

impl<W: Write> Sink<'_, W> {
    pub(super) fn take_value(&mut self, place: &str, kind: ValueKind, typed: &str) -> anyhow::Result<()> {
        match messages_of(self.digester, self.settings, kind, typed) {
            Ok(messages) => self.write(&messages, Holds::One(kind)),
            Err(reason) => self.refuse(&format!("{place}: {reason}")),
        }
    }

    fn take_row(&mut self, place: &str, row: &RawRow) -> anyhow::Result<()> {
        match digest_row(self.digester, self.settings, row) {
            Ok(digested) => {
                for warning in &digested.warnings {
                    (self.report)(&format!("{place}: {warning}"));
                }
                self.write(&[digested.bundle], Holds::Bundle)
            }
            Err(faults) => {
                let faults: Vec<String> = faults.iter().map(ToString::to_string).collect();
                self.refuse(&format!("{place}: {}", faults.join("; ")))
            }
        }
    }

    /// Writes what one value or row gave, a message a line.
    fn write(&mut self, messages: &[Value], holds: Holds) -> anyhow::Result<()> {
        for message in messages {
            match &mut self.mapping {
                None => writeln!(self.output, "{message}")?,
                Some(mapping) => {
                    for line in mapping.lines(message, holds) {
                        writeln!(self.output, "{line}")?;
                    }
                }
            }
        }
        self.written += 1;
        Ok(())
    }

    fn refuse(&mut self, fault: &str) -> anyhow::Result<()> {
        match self.on_error {
            OnError::Stop => bail!("{fault} (--on-error skip leaves such lines out)"),
            OnError::Skip => {
                (self.report)(fault);
                self.refused += 1;
                Ok(())
            }
        }
    }
}

/// The messages of one value: one, but for an IPv6 address, which gives an entry for each of its prefixes.
fn messages_of(digester: &Digester, settings: &RowSettings, kind: ValueKind, typed: &str) -> anyhow::Result<Vec<Value>> {
    Ok(match kind {
        ValueKind::Email => {
            let email = digest_email_by(digester, &settings.domains, typed)?;
            let plus_folded = match settings.plus_folded {
                PlusFolded::LeftOut => None,
                PlusFolded::Written => digest_plus_folded(digester, &settings.domains, typed)?,
            };
            vec![email_json(&email, plus_folded.as_ref())]
        }
        ValueKind::Name => vec![name_json(&digest_name(digester, typed)?)],
        ValueKind::Device => vec![device_json(&digest_device(digester, Some(typed), None)?)],
        ValueKind::Browser => vec![device_json(&digest_device(digester, None, Some(typed))?)],
        ValueKind::Ip => digest_networks(digester, typed)?.iter().map(network_json).collect(),
        ValueKind::Payment => {
            let instrument = digest_payment_of_kind(digester, settings.payment_kind, typed)?;
            let labels = PaymentLabels { kind: settings.payment_kind, purpose: settings.payment_purpose, country: None };
            vec![payment_json(&instrument, &labels)]
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digesting::{AccountIds, ProgrammeKey};
    use crate::vocabulary::digest::KeyId;

    /// What is written for an input, and what is said about it.
    fn digested(
        on_error: OnError,
        read: impl FnOnce(&mut Sink<'_, &mut Vec<u8>>) -> anyhow::Result<()>,
    ) -> (Vec<Value>, Vec<String>, anyhow::Result<()>) {
        let bytes: Vec<u8> = (0..32).collect();
        let digester = Digester::new(&ProgrammeKey::from_bytes(KeyId::new("k1").unwrap(), &bytes).unwrap());
        let (mut output, mut said) = (Vec::new(), Vec::new());
        let mut report = |line: &str| said.push(line.to_owned());
        let settings = RowSettings { account_ids: AccountIds::AddedLater, ..RowSettings::default() };
        let mut sink = Sink {
            digester: &digester,
            settings: &settings,
            on_error,
            output: &mut output,
            mapping: None,
            written: 0,
            refused: 0,
            report: &mut report,
        };
        let outcome = read(&mut sink);
        let lines = String::from_utf8(output).unwrap();
        (lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect(), said, outcome)
    }

    #[test]
    fn a_table_gives_one_bundle_for_each_row_and_says_what_it_left_out() {
        let csv = "\u{feff}account_id,email,city\na1,jane@example.com,Rome\na2,,Oslo\n";
        let (bundles, said, outcome) = digested(OnError::Stop, |sink| read_csv(csv.as_bytes(), sink));
        outcome.unwrap();
        assert_eq!(bundles.len(), 2);
        assert_eq!(bundles[0]["emails"][0]["exact"][0]["keyId"], "k1");
        assert_eq!(bundles[1], serde_json::json!({ "accountId": "a2" }));
        assert_eq!(said, ["left out, not known: city"]);
    }

    #[test]
    fn what_is_written_is_the_apis_own_json_form() {
        let csv = "account_id,email,name,device,ip,card,payment_kind,payment_purpose\n\
                   a1,jane@gmail.com,Jane Doe,fp-1,203.0.113.9,card-1,card,billing\n";
        let (bundles, _, outcome) = digested(OnError::Stop, |sink| read_csv(csv.as_bytes(), sink));
        outcome.unwrap();
        let bundle: crate::wire::v1::SignalBundle = serde_json::from_value(bundles[0].clone()).unwrap();
        assert_eq!(bundle.account_id, "a1");
        let email = &bundle.emails[0];
        for digests in [&email.exact, &email.mailbox, &email.pattern, &email.local_part, &email.domain] {
            assert_eq!((digests[0].key_id.as_str(), digests[0].value.len()), ("k1", 32));
        }
        assert_eq!(email.local_part_sketch[0].bits.len(), 128);
        assert_eq!(email.domain_class(), crate::wire::v1::EmailDomainClass::FreeMail);
        assert_eq!(bundle.names[0].sketch.len(), 1);
        assert_eq!(bundle.payments[0].kind(), crate::wire::v1::PaymentKind::Card);
        let read = crate::wire::bundle::parse(bundle.clone(), "referee", crate::wire::fields::Arrival::Recorded);
        assert!(read.is_ok(), "{read:?}");
        // Written back by the generated code, nothing is lost and nothing is added.
        assert_eq!(serde_json::to_value(&bundle).unwrap(), bundles[0]);
    }

    #[test]
    fn placeholders_are_refused_with_line_and_column() {
        let csv = "account_id,payment,payment_kind,payment_purpose\na1,N/A,card,billing\na2,fp-12,card,billing\n";
        let (bundles, said, outcome) = digested(OnError::Skip, |sink| read_csv(csv.as_bytes(), sink));
        outcome.unwrap();
        assert_eq!(bundles.len(), 1);
        assert!(said[0].starts_with("line 2: payment: is a placeholder"), "{said:?}");
        let (bundles, said, _) = digested(OnError::Skip, |sink| {
            read_lines("null\nunknown\n00000000-0000-0000-0000-000000000000\nfp-12\n".as_bytes(), ValueKind::Device, sink)
        });
        assert_eq!((bundles.len(), said.len()), (1, 3));
    }

    #[test]
    fn roles_and_dynamic_dns_are_values_and_test_cards_are_refused_with_line_and_column() {
        let csv = "account_id,email\na1,admin@bar.de\na2,info@abc.com\na3,jane@foo.duckdns.org\na4,admin@bar.duckdns.org\na5,test@test.com\n";
        let (bundles, said, outcome) = digested(OnError::Skip, |sink| read_csv(csv.as_bytes(), sink));
        outcome.unwrap();
        assert_eq!(bundles.len(), 4);
        assert_eq!(said.len(), 1);
        assert!(said[0].starts_with("line 6: email: is a placeholder"), "{said:?}");
        for bundle in &bundles {
            assert_eq!(bundle["emails"][0]["domainClass"], "EMAIL_DOMAIN_CLASS_CORPORATE");
        }
        let csv = "account_id,card,payment_purpose\na1,4242 4242 4242 4242,billing\na2,card_fp_1,billing\n";
        let (bundles, said, _) = digested(OnError::Skip, |sink| read_csv(csv.as_bytes(), sink));
        assert_eq!(bundles.len(), 1);
        assert!(said[0].starts_with("line 2: card: is a test card"), "{said:?}");
    }

    #[test]
    fn an_ipv6_address_gives_an_entry_for_each_prefix() {
        let (messages, _, _) =
            digested(OnError::Stop, |sink| read_lines("2001:db8::1\n203.0.113.9\n".as_bytes(), ValueKind::Ip, sink));
        let with_address: Vec<bool> = messages.iter().map(|message| message.get("address").is_some()).collect();
        assert_eq!(with_address, [true, false, false, true]);
        assert!(messages.iter().all(|message| message.get("prefix").is_some()));
    }

    #[test]
    fn a_user_agent_that_is_cut_is_told_with_its_line() {
        let csv = format!("account_id,user_agent\na1,{}\n", "x1".repeat(300));
        let (bundles, said, outcome) = digested(OnError::Stop, |sink| read_csv(csv.as_bytes(), sink));
        outcome.unwrap();
        assert_eq!(bundles[0]["devices"][0]["userAgent"].as_str().unwrap().len(), 512);
        assert_eq!(said, ["line 2: user_agent: is 600 bytes long, cut to 512"]);
    }

    #[test]
    fn a_fault_names_line_and_column_and_never_the_value() {
        let csv = "email,ip\nsecret.example.com,nowhere\njane@example.com,203.0.113.9\nonly-one-cell\n";
        for csv in [csv.to_owned(), csv.replace('\n', "\r\n")] {
            let (bundles, said, outcome) = digested(OnError::Skip, |sink| read_csv(csv.as_bytes(), sink));
            outcome.unwrap();
            assert_eq!(bundles.len(), 1);
            assert_eq!(said.len(), 2);
            assert!(said[0].starts_with("line 2: email: the e-mail address has no `@`; ip: "), "{said:?}");
            assert_eq!(said[1], "line 4: has 1 cells, the headers 2");
            assert!(!said.concat().contains("secret"));
        }
    }

    #[test]
    fn stopping_keeps_what_was_written_before_the_fault() {
        let (messages, _, outcome) = digested(OnError::Stop, |sink| {
            read_lines("jane@example.com\n\nnobody\njoe@example.com\n".as_bytes(), ValueKind::Email, sink)
        });
        assert_eq!(messages.len(), 1);
        assert!(outcome.unwrap_err().to_string().starts_with("line 3: the e-mail address has no `@`"));
    }

    #[test]
    fn json_lines_may_hold_lists_and_nothing_deeper() {
        let jsonl = "{\"accountId\":7,\"email\":[\"jane@example.com\",\"j@example.org\"],\"born\":{}}\n[]\n{\"email\":{\"a\":1}}\n{oops\n";
        let (bundles, said, outcome) = digested(OnError::Skip, |sink| read_jsonl(jsonl.as_bytes(), sink));
        outcome.unwrap();
        assert_eq!(bundles.len(), 1);
        assert_eq!(bundles[0]["accountId"], "7");
        assert_eq!(bundles[0]["emails"].as_array().unwrap().len(), 2);
        assert_eq!(said[0], "line 2: is not a JSON object");
        assert_eq!(said[1], "line 3: email: is neither a text, a number nor a list of them");
        assert!(said[2].starts_with("line 4: is not JSON"), "{said:?}");
    }

    #[test]
    fn a_table_without_a_known_column_is_refused_with_the_headers_to_use() {
        let (_, _, outcome) = digested(OnError::Skip, |sink| read_csv("a,b\n1,2\n".as_bytes(), sink));
        assert!(outcome.unwrap_err().to_string().contains("account_id, email"));
    }
}
