//! Holds `selfsame::digesting` to `docs/digests.md`: every vector, the table of providers, and the independent script.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use selfsame::digesting::{
    DigestKind, Digester, DomainRules, EmailAddress, IBAN_LENGTHS, InvalidEmail, InvalidIdentifier, InvalidName, InvalidPayment,
    NetworkAddress, OpaqueIdentifier, PLACEHOLDERS, PROVIDERS, PaymentInstrument, PersonName, PersonText, PlaceholderKind,
    ProgrammeKey, SketchKind, Subdomains, TEST_CARD_BEGINNING, TEST_CARDS, payment_kind_of,
};
use selfsame::vocabulary::digest::KeyId;
use selfsame::vocabulary::email::EmailDomainClass;

const DOCUMENT: &str = include_str!("../docs/digests.md");

fn digester() -> Digester {
    let bytes: Vec<u8> = (0..32).collect();
    Digester::new(&ProgrammeKey::from_bytes(KeyId::new("k1").unwrap(), &bytes).unwrap())
}

/// The rows of the table below a heading, without its head; cells without the backticks around them.
fn table(heading: &str) -> Vec<Vec<&'static str>> {
    let (_, section) = DOCUMENT.split_once(&format!("{heading}\n")).unwrap_or_else(|| panic!("no `{heading}`"));
    let section = section.split("\n#").next().unwrap();
    let rows = section.lines().filter(|line| line.starts_with('|')).skip(2);
    let rows: Vec<Vec<&str>> = rows.map(|row| row[1..row.len() - 1].split('|').map(|cell| bare(cell.trim())).collect()).collect();
    assert!(!rows.is_empty(), "no rows below `{heading}`");
    rows
}

fn bare(cell: &'static str) -> &'static str {
    match cell.strip_prefix('`').and_then(|rest| rest.strip_suffix('`')) {
        Some(text) if !text.contains('`') => text,
        _ => cell,
    }
}

#[test]
fn every_email_vector_of_the_document_holds() {
    for row in table("### E-mail vectors") {
        let address = EmailAddress::parse(row[0]).unwrap_or_else(|error| panic!("{}: {error}", row[0]));
        let rules = DomainRules::SHIPPED;
        let mailbox = address.mailbox(&rules);
        let class = match rules.classify(address.domain()) {
            EmailDomainClass::FreeMail => "FREE_MAIL",
            EmailDomainClass::Disposable => "DISPOSABLE",
            EmailDomainClass::Relay => "RELAY",
            EmailDomainClass::Corporate => "CORPORATE",
        };
        let pattern = mailbox.pattern().unwrap_or_else(|| "absent".to_owned());
        let found = [
            address.exact(),
            mailbox.address(),
            address.plus_folded(&rules).map_or_else(|| "absent".to_owned(), |folded| folded.address()),
            pattern,
            mailbox.bare_local_part(),
            mailbox.domain().to_owned(),
            class.to_owned(),
        ];
        assert_eq!(found.as_slice(), &row[1..], "{}", row[0]);
    }
}

#[test]
fn every_name_vector_of_the_document_holds() {
    for row in table("### Name vectors") {
        assert_eq!(PersonName::parse(row[0]).unwrap().folded(), row[1]);
    }
}

#[test]
fn every_person_vector_of_the_document_holds() {
    for row in table("### Person vectors") {
        let text = match row[0] {
            "name" => PersonText::of_name(&PersonName::parse(row[1]).unwrap()),
            "e-mail" => PersonText::of_mailbox(&EmailAddress::parse(row[1]).unwrap().mailbox(&DomainRules::SHIPPED)),
            other => panic!("no kind `{other}`"),
        };
        assert_eq!(text.as_ref().map_or("absent", PersonText::as_str), row[2], "{row:?}");
    }
}

#[test]
fn every_network_vector_of_the_document_holds() {
    for row in table("### Network vectors") {
        let address = NetworkAddress::parse(row[0]).unwrap();
        let prefixes: Vec<String> = address.prefixes().iter().map(|prefix| format!("`{prefix}`")).collect();
        assert_eq!((address.canonical().as_str(), prefixes.join(", ").trim_matches('`')), (row[1], row[2].trim_matches('`')));
    }
}

#[test]
fn every_payment_vector_of_the_document_holds() {
    for row in table("### Payment vectors") {
        let instrument = PaymentInstrument::parse(payment_kind_of(row[0]), row[1]);
        assert_eq!(instrument.as_ref().map(PaymentInstrument::canonical), Ok(row[2]), "{row:?}");
    }
}

#[test]
fn every_placeholder_vector_of_the_document_holds() {
    for row in table("### Placeholder vectors") {
        let refused = match row[0] {
            "identifier" => OpaqueIdentifier::parse(row[1]) == Err(InvalidIdentifier::Placeholder),
            "payment" => matches!(
                PaymentInstrument::parse(None, row[1]),
                Err(InvalidPayment::TestCard | InvalidPayment::Identifier(InvalidIdentifier::Placeholder))
            ),
            "name" => PersonName::parse(row[1]) == Err(InvalidName::Placeholder),
            "e-mail" => EmailAddress::parse(row[1]) == Err(InvalidEmail::Placeholder),
            other => panic!("no kind `{other}`"),
        };
        assert_eq!(if refused { "yes" } else { "no" }, row[2], "{row:?}");
    }
}

#[test]
fn the_document_prints_the_placeholders_lengths_and_test_cards_as_the_code_has_them() {
    for (kind, texts) in PLACEHOLDERS {
        let kind = match kind {
            PlaceholderKind::Any => "any",
            PlaceholderKind::Identifier => "identifier",
            PlaceholderKind::NameWord => "name, each word",
            PlaceholderKind::LocalPart => "local part",
            PlaceholderKind::MadeUpLocalPart => "made-up local part",
            PlaceholderKind::EverydayLocalPart => "everyday local part",
            PlaceholderKind::MadeUpDomain => "made-up domain",
            PlaceholderKind::NobodysDomain => "nobody's domain",
            PlaceholderKind::TopLevelDomain => "last label",
        };
        let texts = texts.iter().map(|text| format!("`{text}`")).collect::<Vec<_>>().join(", ");
        let row = format!("| {kind} | {texts} |");
        assert!(DOCUMENT.contains(&row), "docs/digests.md lacks this row:\n{row}");
    }
    let lengths = IBAN_LENGTHS.iter().map(|(country, length)| format!("{country} {length}")).collect::<Vec<_>>().join(", ");
    assert!(DOCUMENT.contains(&lengths), "docs/digests.md lacks these lengths:\n{lengths}");
    let cards = format!("Test cards: {}.\n", TEST_CARDS.join(", "));
    assert!(DOCUMENT.contains(&cards), "docs/digests.md lacks these test cards:\n{cards}");
    assert!(DOCUMENT.contains(&format!("sixteen digits that begin with `{TEST_CARD_BEGINNING}`")));
}

#[test]
fn names_of_at_least_twelve_scripts_have_vectors() {
    let scripts: std::collections::BTreeSet<&str> = table("### Name vectors").into_iter().map(|row| row[2]).collect();
    assert!(scripts.len() >= 12, "{scripts:?}");
}

#[test]
fn every_digest_vector_of_the_document_holds_and_every_kind_has_one() {
    let rows = table("### Digest vectors");
    for row in &rows {
        let kind = *DigestKind::ALL.iter().find(|kind| kind.name() == row[0]).unwrap_or_else(|| panic!("no kind `{}`", row[0]));
        let values: Vec<String> = digester().digest(kind, row[1]).iter().map(|digest| hex(&digest.value)).collect();
        assert_eq!(values, [row[2]], "{row:?}");
    }
    let kinds_of_the_api: Vec<&str> = table("## Digests").into_iter().map(|row| row[0]).collect();
    for kind in DigestKind::ALL {
        assert!(rows.iter().any(|row| row[0] == kind.name()), "no vector for `{}`", kind.name());
        assert!(kinds_of_the_api.contains(&kind.name()), "`{}` is not in the list of kinds", kind.name());
    }
}

#[test]
fn every_sketch_vector_of_the_document_holds_and_every_kind_has_one() {
    let rows = table("### Sketch vectors");
    for row in &rows {
        let kind =
            SketchKind::ALL.into_iter().find(|kind| kind.name() == row[0]).unwrap_or_else(|| panic!("no kind `{}`", row[0]));
        let bits: Vec<String> = digester().sketch(kind, row[1]).iter().map(|sketch| hex(&sketch.bits)).collect();
        assert_eq!(bits, [row[2]], "{row:?}");
    }
    for kind in SketchKind::ALL {
        assert!(rows.iter().any(|row| row[0] == kind.name()), "no vector for `{}`", kind.name());
    }
}

#[test]
fn the_document_prints_the_table_of_providers_as_the_code_has_it() {
    let marks = |chars: &[char]| chars.iter().map(|c| format!("`{c}`")).collect::<Vec<_>>().join(" ");
    for provider in PROVIDERS {
        let domains = provider.domains.iter().map(|domain| format!("`{domain}`")).collect::<Vec<_>>().join(", ");
        let canonical = provider.canonical_domain.map(|domain| format!("`{domain}`")).unwrap_or_default();
        let same = provider.equal.map(|(from, to)| marks(&[from, to])).unwrap_or_default();
        let label = match provider.subdomains {
            Subdomains::Account => "account",
            Subdomains::Unknown => "",
        };
        let row = format!(
            "| {} | {domains} | {canonical} | {} | {} | {same} | {label} | {} |",
            provider.name,
            marks(provider.tag_separators),
            marks(provider.ignored),
            provider.source
        );
        assert!(DOCUMENT.contains(&row), "docs/digests.md lacks this row:\n{row}");
    }
    assert_eq!(table("### Provider rules").len(), PROVIDERS.len());
}

/// Runs only where there is a `python3`; the vectors are held by the tests above in any case.
#[test]
fn python_agrees_with_the_document_where_there_is_python() {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/python/digest_vectors.py");
    let Ok(run) = std::process::Command::new("python3").arg(script).output() else { return };
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stdout));
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |text, byte| format!("{text}{byte:02x}"))
}
