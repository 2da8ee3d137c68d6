//! Evidence from comparing the two sides with each other.
//!
//! Every function answers absent when one side lacks the signal, clear when the values differ, and a hit whose strength is the match weight of what is
//! shared. Called by `gather` alone.

use super::{Evidence, EvidenceCode, Finding};
use crate::screening::history::{History, IdentifierKind, visit_values};
use crate::screening::match_weight::{self, Weights};
use crate::screening::similarity;
use crate::vocabulary::bundle::{PaymentPurpose, SignalBundle};
use crate::vocabulary::conversion::{Conversion, Side};
use crate::vocabulary::digest::DigestSet;
use crate::vocabulary::email::EmailDomainClass;
use crate::vocabulary::sketch::Sketch;
use crate::vocabulary::time::{Span, Timestamp};

/// What sketches of local parts say that are alike to this degree, in bits: log2 of the shares of one person's pairs and of strangers' between two degrees
/// (Splink's and FEBRL's people, the table in `docs/digests.md`). Of real people's pairs strangers are alike eight times less often.
const SIMILAR_MAILBOX: [(f64, f64); 4] = [(0.55, 6.0), (0.70, 8.5), (0.80, 11.0), (0.90, 12.5)];
/// The same for sketches of names.
const SIMILAR_NAME: [(f64, f64); 4] = [(0.60, 4.5), (0.70, 6.5), (0.80, 9.0), (0.90, 11.5)];
/// The same for a name's and a mailbox's sketches of the person. Relatives of one surname reach 0.65 one way in eight of a hundred pairs.
const NAME_IN_MAILBOX: [(f64, f64); 4] = [(0.60, 5.5), (0.70, 8.0), (0.80, 10.5), (0.90, 12.0)];
/// The same for the looks of devices: system, browser, screen, languages and time zone. Judgement: half of a country browses with the same phone.
const SIMILAR_ENVIRONMENT: [(f64, f64); 2] = [(0.80, 1.5), (1.0, 3.0)];
/// Likeness of ways from which they count as similar. Judgement.
const SIMILAR_PATH: f64 = 0.85;

pub(super) fn gather(
    evidence: &mut Evidence,
    conversion: &Conversion,
    referrer: &SignalBundle,
    referee: &SignalBundle,
    history: &History,
) {
    let as_of = conversion.occurred_at;
    let same_account = f64::from(u8::from(referrer.account_id == referee.account_id));
    evidence.set(EvidenceCode::SameAccount, Finding::of_strength(same_account));
    let shared = Shared { conversion, history };
    identities(evidence, referrer, referee, &shared);
    environments(evidence, referrer, referee, &shared);
    payments(evidence, referrer, referee, &shared);
    evidence.set(EvidenceCode::OnePerson, one_person(evidence));
    evidence.set(EvidenceCode::ReferrerPresent, referrer_present(referrer, referee, as_of));
    evidence.set(EvidenceCode::SimilarPath, similar(similarity::path(&referrer.journey, &referee.journey), SIMILAR_PATH));
}

/// What is needed to weigh a shared value.
struct Shared<'a> {
    conversion: &'a Conversion,
    history: &'a History,
}

impl Shared<'_> {
    /// How long before or after the referrer the referee was last seen on a value that both have.
    fn time_apart(&self, kind: IdentifierKind, value: &DigestSet) -> Span {
        self.last_seen(Side::Referrer, kind, value).since(self.last_seen(Side::Referee, kind, value))
    }

    /// When a side was last seen on a value, by this message or an earlier one. What a message brings without a time is of the conversion's.
    fn last_seen(&self, side: Side, kind: IdentifierKind, value: &DigestSet) -> Timestamp {
        let as_of = self.conversion.occurred_at;
        let mut last = self.history.seen_at(side, kind, value);
        let sent = match side {
            Side::Referrer => &self.conversion.referrer,
            Side::Referee => &self.conversion.referee,
        };
        visit_values(sent, |sent_kind, sent, seen_at| {
            if sent_kind == kind && sent.shares_value_with(value) {
                last = last.max(Some(seen_at.unwrap_or(as_of)));
            }
        });
        // Later than the conversion is not longer ago.
        last.map_or(as_of, |last| last.min(as_of))
    }

    /// Compares two lists of values of one kind; the shared value that says most gives the strength and, as its measure, how many other accounts use it.
    fn compare<'v>(
        &self,
        kind: IdentifierKind,
        ours: impl Iterator<Item = &'v DigestSet> + Clone,
        theirs: impl Iterator<Item = &'v DigestSet> + Clone,
    ) -> Finding {
        let mut comparable = false;
        let mut best: Option<(f64, u32)> = None;
        for mine in ours {
            for other in theirs.clone() {
                comparable = comparable || mine.is_comparable_with(other);
                if mine.shares_value_with(other) {
                    let crowd = self.history.crowd(kind, mine);
                    let bits = match_weight::of_shared(kind, crowd, self.history.persons_known, self.time_apart(kind, mine));
                    if best.is_none_or(|(known, _)| bits > known) {
                        best = Some((bits, crowd.accounts_ever));
                    }
                }
            }
        }
        match best {
            Some((bits, others)) => Finding::weighed(bits, f64::from(others)),
            None if comparable => Finding::CLEAR,
            None => Finding::Absent,
        }
    }
}

fn identities(evidence: &mut Evidence, referrer: &SignalBundle, referee: &SignalBundle, shared: &Shared<'_>) {
    let (ours, theirs) = (&referrer.emails, &referee.emails);
    let exact = shared.compare(
        IdentifierKind::EmailExact,
        ours.iter().filter_map(|email| email.exact.as_ref()),
        theirs.iter().filter_map(|email| email.exact.as_ref()),
    );
    let mailbox = shared.compare(
        IdentifierKind::Mailbox,
        ours.iter().filter_map(|email| email.mailbox.as_ref()),
        theirs.iter().filter_map(|email| email.mailbox.as_ref()),
    );
    let local_part = shared.compare(
        IdentifierKind::LocalPart,
        ours.iter().filter_map(|email| email.local_part.as_ref()),
        theirs.iter().filter_map(|email| email.local_part.as_ref()),
    );
    let domain = shared.compare(IdentifierKind::Domain, private_domains(referrer), private_domains(referee));
    let mailbox_sketch =
        dice_of_all(ours.iter().map(|email| &*email.local_part_sketches), theirs.iter().map(|email| &*email.local_part_sketches));
    // How usual an equal local part is was counted, which a sketch cannot know.
    let similar_mailbox = match (alike(mailbox_sketch, &SIMILAR_MAILBOX), local_part) {
        (Finding::Hit { strength, measure }, Finding::Hit { strength: counted, .. }) if counted < strength => {
            Finding::Hit { strength: counted, measure }
        }
        (alike, _) => alike,
    };
    evidence.set(EvidenceCode::SameEmail, exact);
    evidence.set(EvidenceCode::SameMailbox, mailbox);
    evidence.set(EvidenceCode::SameLocalPart, local_part);
    evidence.set(EvidenceCode::SimilarMailbox, similar_mailbox);
    evidence.set(EvidenceCode::SharedPrivateDomain, domain);
    evidence.set(EvidenceCode::SimilarName, similar_name(referrer, referee, shared));
    evidence.set(EvidenceCode::NameInMailbox, name_in_mailbox(referrer, referee));
}

/// The names before the @ of each side compared with the persons' names of the other, in the form that both have.
fn name_in_mailbox(referrer: &SignalBundle, referee: &SignalBundle) -> Finding {
    let mailboxes_with_names = |ours: &SignalBundle, theirs: &SignalBundle| {
        dice_of_all(
            ours.emails.iter().map(|email| &*email.person_sketches),
            theirs.names.iter().map(|name| &*name.person_sketches),
        )
    };
    let dice = [mailboxes_with_names(referrer, referee), mailboxes_with_names(referee, referrer)];
    alike(dice.into_iter().flatten().reduce(f64::max), &NAME_IN_MAILBOX)
}

fn private_domains(bundle: &SignalBundle) -> impl Iterator<Item = &DigestSet> + Clone {
    let private = bundle.emails.iter().filter(|email| email.domain_class == Some(EmailDomainClass::Corporate));
    private.filter_map(|email| email.domain.as_ref())
}

/// The names compared: an equal digest weighs by how usual the name is, which a sketch cannot know; else a similar sketch by its likeness.
fn similar_name(referrer: &SignalBundle, referee: &SignalBundle, shared: &Shared<'_>) -> Finding {
    let sketches =
        dice_of_all(referrer.names.iter().map(|name| &*name.sketches), referee.names.iter().map(|name| &*name.sketches));
    let exact = shared.compare(
        IdentifierKind::Name,
        referrer.names.iter().filter_map(|name| name.exact.as_ref()),
        referee.names.iter().filter_map(|name| name.exact.as_ref()),
    );
    match exact {
        Finding::Hit { .. } => Finding::weighed(exact.bits(), 1.0),
        Finding::Clear { .. } | Finding::Absent => match alike(sketches, &SIMILAR_NAME) {
            Finding::Absent if !exact.is_absent() => Finding::CLEAR,
            from_sketch => from_sketch,
        },
    }
}

fn environments(evidence: &mut Evidence, referrer: &SignalBundle, referee: &SignalBundle, shared: &Shared<'_>) {
    let device = shared.compare(
        IdentifierKind::Device,
        referrer.devices.iter().filter_map(|device| device.fingerprint.as_ref()),
        referee.devices.iter().filter_map(|device| device.fingerprint.as_ref()),
    );
    let browser = shared.compare(
        IdentifierKind::Browser,
        referrer.devices.iter().filter_map(|device| device.browser.as_ref()),
        referee.devices.iter().filter_map(|device| device.browser.as_ref()),
    );
    let address = shared.compare(
        IdentifierKind::Address,
        referrer.networks.iter().filter_map(|network| network.address.as_ref()),
        referee.networks.iter().filter_map(|network| network.address.as_ref()),
    );
    let prefix = shared.compare(
        IdentifierKind::Prefix,
        referrer.networks.iter().filter_map(|network| network.prefix.as_ref()),
        referee.networks.iter().filter_map(|network| network.prefix.as_ref()),
    );
    let pairs = referrer.devices.iter().flat_map(|ours| referee.devices.iter().map(move |theirs| (ours, theirs)));
    let likeness = pairs.filter_map(|(ours, theirs)| similarity::environment(ours, theirs)).reduce(f64::max);
    evidence.set(EvidenceCode::SameDevice, device);
    evidence.set(EvidenceCode::SameBrowser, browser);
    evidence.set(EvidenceCode::SimilarEnvironment, alike(likeness, &SIMILAR_ENVIRONMENT));
    evidence.set(EvidenceCode::SameAddress, address);
    evidence.set(EvidenceCode::SamePrefix, prefix);
}

fn payments(evidence: &mut Evidence, referrer: &SignalBundle, referee: &SignalBundle, shared: &Shared<'_>) {
    let same = shared.compare(
        IdentifierKind::Payment,
        referrer.payments.iter().map(|payment| &payment.instrument),
        referee.payments.iter().map(|payment| &payment.instrument),
    );
    let payout_is_billing = shared.compare(
        IdentifierKind::Payment,
        instruments(referrer, PaymentPurpose::Payout),
        instruments(referee, PaymentPurpose::Billing),
    );
    evidence.set(EvidenceCode::SameInstrument, same);
    evidence.set(EvidenceCode::PayoutIsBilling, payout_is_billing);
}

fn instruments(bundle: &SignalBundle, purpose: PaymentPurpose) -> impl Iterator<Item = &DigestSet> + Clone {
    bundle.payments.iter().filter(move |payment| payment.purpose == purpose).map(|payment| &payment.instrument)
}

/// What all kinds say together of one person on both sides. The measure is how many kinds say anything; one alone stands under its own code.
fn one_person(evidence: &Evidence) -> Finding {
    let bits = |code: EvidenceCode| evidence[code].bits();
    let weights = Weights {
        mailbox: bits(EvidenceCode::SameEmail).max(bits(EvidenceCode::SameMailbox)),
        local_part: bits(EvidenceCode::SameLocalPart)
            .max(bits(EvidenceCode::SimilarMailbox))
            .max(bits(EvidenceCode::NameInMailbox)),
        name: bits(EvidenceCode::SimilarName),
        machine: bits(EvidenceCode::SameDevice).max(bits(EvidenceCode::SameBrowser)),
        network: bits(EvidenceCode::SameAddress).max(bits(EvidenceCode::SamePrefix)),
        payment: bits(EvidenceCode::SameInstrument).max(bits(EvidenceCode::PayoutIsBilling)),
    };
    match weights.kinds() {
        0 => Finding::CLEAR,
        1 => Finding::Clear { measure: Some(1.0) },
        _ => Finding::together(&weights),
    }
}

/// Touchpoints of the referee, up to the conversion, on a device or browser of the referrer.
#[expect(clippy::cast_precision_loss, reason = "at most a few hundred touchpoints")]
fn referrer_present(referrer: &SignalBundle, referee: &SignalBundle, as_of: Timestamp) -> Finding {
    let theirs: Vec<&DigestSet> =
        referrer.devices.iter().flat_map(|device| device.fingerprint.iter().chain(device.browser.iter())).collect();
    let mut steps_with_device = 0_usize;
    let mut present = 0_usize;
    for step in referee.journey.touchpoints().iter().filter(|step| step.occurred_at <= as_of) {
        let mut used = step.device.iter().chain(step.browser.iter()).peekable();
        if used.peek().is_some() {
            steps_with_device += 1;
            present += usize::from(used.any(|value| theirs.iter().any(|other| other.shares_value_with(value))));
        }
    }
    if theirs.is_empty() || steps_with_device == 0 {
        return Finding::Absent;
    }
    // One step on the other's device may be a shown page at a kitchen table; three are not.
    Finding::measured((present as f64 / 3.0).min(1.0), present as f64)
}

/// The largest similarity of any two sketches of the two sides; absent when none can be compared.
fn dice_of_all<'a>(ours: impl Iterator<Item = &'a [Sketch]>, theirs: impl Iterator<Item = &'a [Sketch]> + Clone) -> Option<f64> {
    let pairs = ours.flatten().flat_map(|mine| theirs.clone().flatten().map(move |other| (mine, other)));
    pairs.filter_map(|(mine, other)| mine.dice(other)).reduce(f64::max)
}

/// A hit with the weight of a likeness; absent when there is none.
fn alike(likeness: Option<f64>, steps: &[(f64, f64)]) -> Finding {
    likeness.map_or(Finding::Absent, |likeness| Finding::weighed(match_weight::of_likeness(likeness, steps), likeness))
}

/// A hit from a threshold upwards, as strong as the similarity lies between just below the threshold and 1.
fn similar(similarity: Option<f64>, threshold: f64) -> Finding {
    match similarity {
        None => Finding::Absent,
        Some(value) if value >= threshold => Finding::measured(0.5 + 0.5 * (value - threshold) / (1.0 - threshold), value),
        Some(value) => Finding::measured(0.0, value),
    }
}
