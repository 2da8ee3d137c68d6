//! The comparison of both sides for a reviewer's eye: one row for each thing that two people would not share by chance.
//!
//! It must never show more of a digest than eight digits, and never judge: strengths and sentences are those of the decision's evidence.
//! The review handlers call it.

use crate::book::records::{CaseFile, Neighbour, identifier_words};
use crate::screening::evidence::{Evidence, EvidenceCode};
use crate::screening::explanation;
use crate::screening::history::IdentifierKind;
use crate::vocabulary::bundle::{EmailSignals, NetworkFlag, PaymentKind, PaymentPurpose, PaymentSignals, SignalBundle};
use crate::vocabulary::conversion::Side;
use crate::vocabulary::digest::DigestSet;
use crate::vocabulary::email::EmailDomainClass;
use crate::vocabulary::journey::{Journey, TouchpointKind};
use crate::vocabulary::time::{Span, Timestamp};
use crate::wire::review::short_digest;
use crate::wire::v1::{Comparison, SideBySideRow};

/// Values of one side that a row shows; more are counted.
const VALUES_SHOWN: usize = 3;
/// Characters of a user agent that a row shows.
const TEXT_CHARS_SHOWN: usize = 80;
/// Steps of a journey that a row names.
const STEPS_SHOWN: usize = 6;
/// Accounts that were opened closer together than this look like one hand. Judgement.
const OPENED_TOGETHER: Span = Span::from_hours(1);

/// The rows, those that speak loudest first.
#[must_use]
pub(super) fn rows(file: &CaseFile) -> Vec<SideBySideRow> {
    let sides = Sides { file, evidence: &file.record.decision.evidence, referrer: &file.referrer, referee: &file.referee };
    let mut rows = vec![sides.accounts()];
    rows.extend(sides.identities());
    rows.extend(sides.environments());
    rows.extend(sides.networks());
    rows.extend(sides.payments());
    rows.extend(sides.journeys());
    rows.retain(|row| !(row.row.referrer_value.is_empty() && row.row.referee_value.is_empty()));
    rows.sort_by(|a, b| b.loudness.total_cmp(&a.loudness));
    rows.into_iter().map(|row| row.row).collect()
}

/// A row with how much it speaks: the strength of its evidence, and a little for being equal at all.
struct Ranked {
    loudness: f64,
    row: SideBySideRow,
}

struct Sides<'a> {
    file: &'a CaseFile,
    evidence: &'a Evidence,
    referrer: &'a SignalBundle,
    referee: &'a SignalBundle,
}

/// The values of one row, as they are shown, and how they compare.
struct Compared {
    referrer: Vec<String>,
    referee: Vec<String>,
    comparison: Comparison,
    note: String,
}

impl Sides<'_> {
    fn row(&self, label: &str, code: Option<EvidenceCode>, compared: Compared) -> Ranked {
        let Compared { referrer, referee, comparison, note } = compared;
        let finding = code.map(|code| (code, &self.evidence[code])).filter(|(_, finding)| finding.is_hit());
        let comparison = match (comparison, finding) {
            (Comparison::Different, Some(_)) => Comparison::Similar,
            (comparison, Some(_) | None) => comparison,
        };
        let sentence = finding.map(|(code, finding)| explanation::sentence(code, finding));
        let notes: Vec<String> = sentence.into_iter().chain((!note.is_empty()).then_some(note)).collect();
        let nudge = match comparison {
            Comparison::Same => 0.3,
            Comparison::Similar => 0.2,
            Comparison::Different => 0.1,
            Comparison::Absent | Comparison::Unspecified => 0.0,
        };
        let row = SideBySideRow {
            label: label.to_owned(),
            referrer_value: shown(&referrer),
            referee_value: shown(&referee),
            comparison: comparison.into(),
            note: notes.join(" "),
            evidence_code: code.map(|code| code.dotted().to_owned()).unwrap_or_default(),
        };
        Ranked { loudness: nudge + finding.map_or(0.0, |(_, finding)| finding.strength()), row }
    }

    fn accounts(&self) -> Ranked {
        let (referrer, referee) = (self.referrer.account_id.to_string(), self.referee.account_id.to_string());
        let compared = compare_plain(vec![referrer], vec![referee]);
        self.row("Account", Some(EvidenceCode::SameAccount), compared)
    }

    fn identities(&self) -> Vec<Ranked> {
        let email = |label, code, kind, of: fn(&EmailSignals) -> Option<&DigestSet>| {
            let values = |bundle: &'_ SignalBundle| bundle.emails.iter().filter_map(of).cloned().collect::<Vec<DigestSet>>();
            self.digest_row(label, code, kind, &values(self.referrer), &values(self.referee))
        };
        let classes = |bundle: &SignalBundle| {
            let known = bundle.emails.iter().filter_map(|email| email.domain_class);
            distinct(known.map(|class| class_words(class).to_owned()))
        };
        let names =
            |bundle: &SignalBundle| -> Vec<DigestSet> { bundle.names.iter().filter_map(|name| name.exact.clone()).collect() };
        let mut rows = vec![
            email("E-mail address", EvidenceCode::SameEmail, IdentifierKind::EmailExact, |email| email.exact.as_ref()),
            email("Mailbox, aliases folded", EvidenceCode::SameMailbox, IdentifierKind::Mailbox, |email| email.mailbox.as_ref()),
            email("Name before the @", EvidenceCode::SameLocalPart, IdentifierKind::LocalPart, |email| email.local_part.as_ref()),
            email("E-mail domain", EvidenceCode::SharedPrivateDomain, IdentifierKind::Domain, |email| email.domain.as_ref()),
            self.digest_row(
                "Person's name",
                EvidenceCode::SimilarName,
                IdentifierKind::Name,
                &names(self.referrer),
                &names(self.referee),
            ),
            self.row(
                "Kind of e-mail provider",
                Some(EvidenceCode::DisposableEmail),
                compare_plain(classes(self.referrer), classes(self.referee)).never_similar(),
            ),
        ];
        rows.extend(self.sketch_row("Likeness of the names before the @", EvidenceCode::SimilarMailbox));
        rows.extend(self.sketch_row("Likeness of a name and the other's name before the @", EvidenceCode::NameInMailbox));
        rows
    }

    /// A row for what only sketches can tell: there is no value to show, only that both sides sent one.
    fn sketch_row(&self, label: &str, code: EvidenceCode) -> Option<Ranked> {
        if !self.evidence[code].is_hit() {
            return None;
        }
        let sent = vec!["sketch".to_owned()];
        let compared = Compared { referrer: sent.clone(), referee: sent, comparison: Comparison::Similar, note: String::new() };
        Some(self.row(label, Some(code), compared))
    }

    fn environments(&self) -> Vec<Ranked> {
        let plain = |label, of: &dyn Fn(&SignalBundle) -> Vec<String>| {
            self.row(label, None, compare_plain(of(self.referrer), of(self.referee)))
        };
        let fingerprints = |bundle: &SignalBundle| -> Vec<DigestSet> {
            bundle.devices.iter().filter_map(|device| device.fingerprint.clone()).collect()
        };
        let browsers = |bundle: &SignalBundle| -> Vec<DigestSet> {
            bundle.devices.iter().filter_map(|device| device.browser.clone()).collect()
        };
        let user_agents = |bundle: &SignalBundle| distinct(bundle.devices.iter().map(|device| cut(&device.user_agent)));
        vec![
            self.digest_row(
                "Device",
                EvidenceCode::SameDevice,
                IdentifierKind::Device,
                &fingerprints(self.referrer),
                &fingerprints(self.referee),
            ),
            self.digest_row(
                "Browser",
                EvidenceCode::SameBrowser,
                IdentifierKind::Browser,
                &browsers(self.referrer),
                &browsers(self.referee),
            ),
            self.row(
                "User agent",
                Some(EvidenceCode::SimilarEnvironment),
                compare_plain(user_agents(self.referrer), user_agents(self.referee)),
            ),
            plain("Platform", &|bundle| distinct(bundle.devices.iter().map(|device| device.platform.to_string()))),
            plain("Time zone", &|bundle| distinct(bundle.devices.iter().map(|device| device.time_zone.to_string()))),
            plain("Languages", &|bundle| distinct(bundle.devices.iter().map(|device| device.languages.join(" ")))),
            plain("Screen", &|bundle| {
                let known = bundle.devices.iter().filter_map(|device| device.screen_px);
                distinct(known.map(|(width, height)| format!("{width} × {height}")))
            }),
        ]
    }

    fn networks(&self) -> Vec<Ranked> {
        let addresses = |bundle: &SignalBundle| -> Vec<DigestSet> {
            bundle.networks.iter().filter_map(|network| network.address.clone()).collect()
        };
        let prefixes = |bundle: &SignalBundle| -> Vec<DigestSet> {
            bundle.networks.iter().filter_map(|network| network.prefix.clone()).collect()
        };
        let countries =
            |bundle: &SignalBundle| distinct(bundle.networks.iter().filter_map(|network| network.country.map(letters)));
        let systems = |bundle: &SignalBundle| {
            distinct(bundle.networks.iter().filter_map(|network| network.asn.map(|asn| format!("AS{asn}"))))
        };
        let flags = |bundle: &SignalBundle| {
            distinct(bundle.networks.iter().flat_map(|network| &network.flags).map(|flag| flag_words(*flag).to_owned()))
        };
        vec![
            self.digest_row(
                "Network address",
                EvidenceCode::SameAddress,
                IdentifierKind::Address,
                &addresses(self.referrer),
                &addresses(self.referee),
            ),
            self.digest_row(
                "Neighbouring addresses",
                EvidenceCode::SamePrefix,
                IdentifierKind::Prefix,
                &prefixes(self.referrer),
                &prefixes(self.referee),
            ),
            self.row("Country of the network", None, compare_plain(countries(self.referrer), countries(self.referee))),
            self.row("Network operator", None, compare_plain(systems(self.referrer), systems(self.referee))),
            self.row(
                "Hidden behind",
                Some(EvidenceCode::AnonymisedNetwork),
                compare_plain(flags(self.referrer), flags(self.referee)).never_similar(),
            ),
        ]
    }

    fn payments(&self) -> Vec<Ranked> {
        let all = |bundle: &SignalBundle| -> Vec<PaymentSignals> { bundle.payments.clone() };
        let for_purpose = |bundle: &SignalBundle, purpose: PaymentPurpose| -> Vec<PaymentSignals> {
            bundle.payments.iter().filter(|payment| payment.purpose == purpose).cloned().collect()
        };
        let countries =
            |bundle: &SignalBundle| distinct(bundle.payments.iter().filter_map(|payment| payment.country.map(letters)));
        let mut rows = vec![
            self.payment_row("Payment instrument", EvidenceCode::SameInstrument, &all(self.referrer), &all(self.referee)),
            self.row("Country of the instrument", None, compare_plain(countries(self.referrer), countries(self.referee))),
        ];
        if self.evidence[EvidenceCode::PayoutIsBilling].is_hit() {
            let payout = for_purpose(self.referrer, PaymentPurpose::Payout);
            let billing = for_purpose(self.referee, PaymentPurpose::Billing);
            rows.push(self.payment_row("Paid out to, and paid from", EvidenceCode::PayoutIsBilling, &payout, &billing));
        }
        rows
    }

    fn payment_row(&self, label: &str, code: EvidenceCode, ours: &[PaymentSignals], theirs: &[PaymentSignals]) -> Ranked {
        let instruments = |payments: &[PaymentSignals]| -> Vec<DigestSet> {
            payments.iter().map(|payment| payment.instrument.clone()).collect()
        };
        let (our_sets, their_sets) = (instruments(ours), instruments(theirs));
        let mut compared = compare_digests(&our_sets, &their_sets);
        let words = |payments: &[PaymentSignals], others: &[DigestSet]| {
            let mut payments: Vec<&PaymentSignals> = payments.iter().collect();
            payments.sort_by_key(|payment| !others.iter().any(|other| other.shares_value_with(&payment.instrument)));
            distinct(payments.into_iter().map(payment_words))
        };
        compared.referrer = words(ours, &their_sets);
        compared.referee = words(theirs, &our_sets);
        compared.note = self.crowd_note(IdentifierKind::Payment, compared.comparison);
        self.row(label, Some(code), compared)
    }

    fn journeys(&self) -> Vec<Ranked> {
        let as_of = self.file.record.conversion.occurred_at;
        let path = Compared {
            referrer: journey_words(&self.referrer.journey, as_of),
            referee: journey_words(&self.referee.journey, as_of),
            comparison: match (self.referrer.journey.is_empty(), self.referee.journey.is_empty()) {
                (false, false) => Comparison::Different,
                (true, _) | (_, true) => Comparison::Absent,
            },
            note: String::new(),
        };
        let mut rows = vec![self.row("Way", Some(EvidenceCode::SimilarPath), path), self.ages(as_of)];
        if self.evidence[EvidenceCode::ReferrerPresent].is_hit() {
            let compared = Compared {
                referrer: vec!["own device or browser".to_owned()],
                referee: vec!["seen in the journey".to_owned()],
                comparison: Comparison::Same,
                note: String::new(),
            };
            rows.push(self.row("Device in the referee's journey", Some(EvidenceCode::ReferrerPresent), compared));
        }
        rows
    }

    fn ages(&self, as_of: Timestamp) -> Ranked {
        let age = |bundle: &SignalBundle| bundle.account_created_at.map(|opened_at| age_words(as_of.since(opened_at)));
        let (comparison, note) = match (self.referrer.account_created_at, self.referee.account_created_at) {
            (Some(a), Some(b)) if a.since(b).abs() <= OPENED_TOGETHER => {
                (Comparison::Similar, "Both accounts were opened within one hour.")
            }
            (Some(_), Some(_)) => (Comparison::Different, ""),
            (None, _) | (_, None) => (Comparison::Absent, ""),
        };
        let compared = Compared {
            referrer: age(self.referrer).into_iter().collect(),
            referee: age(self.referee).into_iter().collect(),
            comparison,
            note: note.to_owned(),
        };
        self.row("Age of the account at the conversion", None, compared)
    }

    fn digest_row(
        &self,
        label: &str,
        code: EvidenceCode,
        kind: IdentifierKind,
        ours: &[DigestSet],
        theirs: &[DigestSet],
    ) -> Ranked {
        let mut compared = compare_digests(ours, theirs);
        if compared.note.is_empty() {
            compared.note = self.crowd_note(kind, compared.comparison);
        }
        self.row(label, Some(code), compared)
    }

    /// Who else is on a value of one side alone, now; the evidence's own sentence says who was on a value of both before the conversion.
    fn crowd_note(&self, kind: IdentifierKind, comparison: Comparison) -> String {
        let of_kind =
            self.file.neighbours.iter().filter(|neighbour| neighbour.identifier.kind == kind && neighbour.accounts_count > 0);
        let Some(neighbour) = of_kind.max_by_key(|neighbour| neighbour.accounts_count) else { return String::new() };
        let Neighbour { identifier, sides, accounts_count, accounts: _, rejected_count, one_of_strangers: _ } = neighbour;
        let whose = match (sides.contains(&Side::Referrer), sides.contains(&Side::Referee)) {
            (true, false) => "the referrer's",
            (false, true) => "the referee's",
            (true, true) | (false, false) => "the shared",
        };
        let rejected = if *rejected_count > 0 { format!(", {rejected_count} of those shown rejected") } else { String::new() };
        let others = explanation::other_accounts(u64::from(*accounts_count));
        let shared = comparison == Comparison::Same && whose == "the shared";
        if shared && *rejected_count == 0 {
            return String::new();
        }
        format!("{others} now on {whose} {} {}{rejected}.", identifier_words(kind), short_digest(&identifier.digest))
    }
}

impl Compared {
    /// For rows whose equality says nothing: both sides at free mail providers are not alike for that.
    fn never_similar(self) -> Self {
        let comparison = match self.comparison {
            Comparison::Absent | Comparison::Unspecified => self.comparison,
            Comparison::Same | Comparison::Similar | Comparison::Different => Comparison::Different,
        };
        let comparison = if self.referrer == self.referee && !self.referrer.is_empty() { Comparison::Same } else { comparison };
        Self { comparison, ..self }
    }
}

fn compare_plain(referrer: Vec<String>, referee: Vec<String>) -> Compared {
    let comparison = if referrer.is_empty() || referee.is_empty() {
        Comparison::Absent
    } else if referrer.iter().any(|value| referee.contains(value)) {
        Comparison::Same
    } else {
        Comparison::Different
    };
    Compared {
        referrer: shared_first(referrer.clone(), &referee),
        referee: shared_first(referee, &referrer),
        comparison,
        note: String::new(),
    }
}

fn compare_digests(ours: &[DigestSet], theirs: &[DigestSet]) -> Compared {
    let pairs = || ours.iter().flat_map(|mine| theirs.iter().map(move |other| (mine, other)));
    let (comparison, note) = if ours.is_empty() || theirs.is_empty() {
        (Comparison::Absent, "")
    } else if pairs().any(|(mine, other)| mine.shares_value_with(other)) {
        (Comparison::Same, "")
    } else if pairs().any(|(mine, other)| mine.is_comparable_with(other)) {
        (Comparison::Different, "")
    } else {
        (Comparison::Absent, "Digested under different keys, so that they cannot be compared.")
    };
    let (referrer, referee) = (digest_words(ours), digest_words(theirs));
    Compared {
        referrer: shared_first(referrer.clone(), &referee),
        referee: shared_first(referee, &referrer),
        comparison,
        note: note.to_owned(),
    }
}

/// Values that the other side has too stand first, so that the eye finds them.
fn shared_first(mut values: Vec<String>, others: &[String]) -> Vec<String> {
    values.sort_by_key(|value| !others.contains(value));
    values
}

fn digest_words(sets: &[DigestSet]) -> Vec<String> {
    distinct(sets.iter().flat_map(DigestSet::iter).map(short_digest))
}

fn distinct(values: impl Iterator<Item = String>) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    for value in values.filter(|value| !value.is_empty()) {
        if !all.contains(&value) {
            all.push(value);
        }
    }
    all
}

fn shown(values: &[String]) -> String {
    let first: Vec<&str> = values.iter().take(VALUES_SHOWN).map(String::as_str).collect();
    match values.len().saturating_sub(VALUES_SHOWN) {
        0 => first.join(", "),
        more => format!("{} and {more} more", first.join(", ")),
    }
}

fn cut(text: &str) -> String {
    if text.chars().count() <= TEXT_CHARS_SHOWN {
        return text.to_owned();
    }
    text.chars().take(TEXT_CHARS_SHOWN - 1).chain(['…']).collect()
}

fn letters(country: [u8; 2]) -> String {
    country.into_iter().map(char::from).collect()
}

fn age_words(age: Span) -> String {
    if age.is_negative() { format!("opened {} after it", age.abs()) } else { age.to_string() }
}

fn payment_words(payment: &PaymentSignals) -> String {
    let PaymentSignals { instrument, kind, purpose, country: _, seen_at: _ } = payment;
    let kind = match kind {
        PaymentKind::Card => "card",
        PaymentKind::Sepa => "SEPA mandate",
        PaymentKind::Paypal => "PayPal",
        PaymentKind::BankAccount => "bank account",
        PaymentKind::Wallet => "wallet",
        PaymentKind::Other => "instrument",
    };
    let purpose = match purpose {
        PaymentPurpose::Billing => "pays with",
        PaymentPurpose::Payout => "is paid to",
    };
    let digits: Vec<String> = instrument.iter().map(short_digest).collect();
    format!("{purpose} {kind} {}", digits.join("/"))
}

/// The way up to the conversion: how many steps in how long, and the kinds of the first of them.
fn journey_words(journey: &Journey, as_of: Timestamp) -> Vec<String> {
    let steps: Vec<_> = journey.touchpoints().iter().filter(|step| step.occurred_at <= as_of).collect();
    let (Some(first), Some(last)) = (steps.first(), steps.last()) else { return Vec::new() };
    let mut kinds: Vec<&str> = Vec::new();
    for step in &steps {
        let words = step_words(step.kind);
        if kinds.last() != Some(&words) {
            kinds.push(words);
        }
    }
    let more = if kinds.len() > STEPS_SHOWN { " → …" } else { "" };
    kinds.truncate(STEPS_SHOWN);
    let span = last.occurred_at.since(first.occurred_at);
    vec![format!("{} steps in {span}: {}{more}", journey.touchpoint_count_total(), kinds.join(" → "))]
}

const fn step_words(kind: TouchpointKind) -> &'static str {
    match kind {
        TouchpointKind::LinkClick => "click",
        TouchpointKind::Landing => "landing",
        TouchpointKind::PageView => "page",
        TouchpointKind::Signup => "sign-up",
        TouchpointKind::SignIn => "sign-in",
        TouchpointKind::Share => "share",
        TouchpointKind::Checkout => "checkout",
        TouchpointKind::Purchase => "purchase",
    }
}

const fn class_words(class: EmailDomainClass) -> &'static str {
    match class {
        EmailDomainClass::FreeMail => "free mail",
        EmailDomainClass::Disposable => "throw-away mail",
        EmailDomainClass::Relay => "privacy relay",
        EmailDomainClass::Corporate => "own domain",
    }
}

const fn flag_words(flag: NetworkFlag) -> &'static str {
    match flag {
        NetworkFlag::Vpn => "VPN",
        NetworkFlag::Tor => "Tor",
        NetworkFlag::Hosting => "hosting provider",
        NetworkFlag::Relay => "privacy relay",
    }
}
