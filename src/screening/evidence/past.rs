//! Evidence against everything seen before this conversion. Called by `gather` alone.
//!
//! Uses nothing that happened after the conversion: times later than it are passed over here, counts are cut by the ledger.

use super::{Evidence, EvidenceCode, Finding};
use crate::screening::history::{AccountHistory, Banned, History, IdentifierKind, ListHit, ListKind, RING_VALUE_ACCOUNTS_MAX};
use crate::vocabulary::bundle::{DeviceSignals, PaymentPurpose, SignalBundle};
use crate::vocabulary::conversion::Conversion;
use crate::vocabulary::digest::DigestSet;
use crate::vocabulary::time::{Span, Timestamp};

/// The windows in which a referrer's new referrals are counted, with the number above which each is unusual. Judgement.
const REFERRER_WINDOWS: [(Span, u32); 4] =
    [(Span::from_hours(1), 3), (Span::from_hours(24), 8), (Span::from_days(7), 25), (Span::from_days(30), 60)];
/// The window of a burst, and the number of new referrals that make one. Judgement.
const BURST: (Span, u32) = (Span::from_minutes(10), 3);

pub(super) fn gather(
    evidence: &mut Evidence,
    conversion: &Conversion,
    referrer: &SignalBundle,
    referee: &SignalBundle,
    history: &History,
) {
    let as_of = conversion.occurred_at;
    let referring = &history.referrer;
    crowds(evidence, referrer, referee, history);
    evidence.set(EvidenceCode::SharedPayout, shared_payout(conversion, referrer, referee, history));
    evidence.set(EvidenceCode::PatternRepeats, pattern_repeats(referee, history));
    // Who was first seen with this conversion is known by the others, whichever was told first.
    let known = referring.first_seen_at.is_some() || referring.referrals_total > 0;
    let burst = referrals_within(referring, as_of, BURST.0);
    evidence.set(EvidenceCode::ReferrerBurst, counted(known, f64::from(burst), excess(burst, BURST.1)));
    evidence.set(EvidenceCode::ReferrerRate, referrer_rate(known, referring, as_of));
    evidence.set(EvidenceCode::ReferrerRejections, share_of_referrals(known, referring, referring.referrals_rejected));
    evidence.set(EvidenceCode::ReferrerRefunds, share_of_referrals(known, referring, referring.referrals_refunded));
    ring(evidence, history);
    evidence.set(EvidenceCode::KnownPerson, known_person(referee, history));
    let accepted = f64::from(referring.referrals_accepted_by_review);
    evidence.set(EvidenceCode::ReferrerAccepted, counted(known, accepted, accepted / (accepted + 2.0)));
    acquit(evidence, accepted);
    evidence.set(EvidenceCode::Blocked, blocked(history));
    evidence.set(EvidenceCode::Trusted, trusted(history));
}

/// New referrals of an account in the time up to and including `as_of`. Unit: referrals. Saturates at the times that are kept.
fn referrals_within(account: &AccountHistory, as_of: Timestamp, window: Span) -> u32 {
    let from = as_of.minus(window);
    let count = account.recent_referrals.iter().filter(|at| **at > from && **at <= as_of).count();
    u32::try_from(count).unwrap_or(u32::MAX)
}

fn crowds(evidence: &mut Evidence, referrer: &SignalBundle, referee: &SignalBundle, history: &History) {
    let addresses = referee.networks.iter().filter_map(|network| network.address.as_ref());
    let instruments = referrer.payments.iter().chain(&referee.payments).map(|payment| &payment.instrument);
    let within_30d = |kind: IdentifierKind| move |value: &DigestSet| history.crowd(kind, value).accounts_30d;
    let network = addresses.map(within_30d(IdentifierKind::Address)).max();
    let payment = instruments.map(within_30d(IdentifierKind::Payment)).max();
    // One other account on a device is a couple's tablet; on an address it is every household. What counts is how far beyond.
    evidence.set(EvidenceCode::CrowdedDevice, crowded_device(referee, history));
    evidence.set(EvidenceCode::CrowdedNetwork, crowded(network, 4, 40.0));
    evidence.set(EvidenceCode::CrowdedPayment, crowded(payment, 0, 2.0));
}

/// The device that speaks loudest; absent when nothing names one. A browser is told by its cookie, also when its fingerprint is another each time.
/// Phones of one model have one fingerprint: beside a cookie, only accounts count that share something else too. Without one a fingerprint says less
/// and less once it is on more accounts than a device is, and as little as crowded fingerprints are usual in the programme.
fn crowded_device(referee: &SignalBundle, history: &History) -> Finding {
    let beyond = |accounts: u32| f64::from(accounts) / (f64::from(accounts) + 4.0);
    let by_cookie = |device: &DeviceSignals| {
        let accounts = history.crowd(IdentifierKind::Browser, device.browser.as_ref()?).accounts_30d;
        Some((beyond(accounts), accounts))
    };
    let by_fingerprint = |device: &DeviceSignals| {
        let crowd = history.crowd(IdentifierKind::Device, device.fingerprint.as_ref()?);
        if device.browser.is_some() {
            return Some((beyond(crowd.accounts_near_30d), crowd.accounts_near_30d));
        }
        let a_device_has = f64::from(RING_VALUE_ACCOUNTS_MAX);
        let may_be_one = (a_device_has / f64::from(crowd.accounts_ever.max(1))).min(1.0);
        let unusual = history.fingerprint_sharing.unusual(crowd.accounts_ever);
        Some((beyond(crowd.accounts_30d) * may_be_one * unusual, crowd.accounts_30d))
    };
    let each = referee.devices.iter().flat_map(|device| [by_cookie(device), by_fingerprint(device)]).flatten();
    let loudest = each.max_by(|(one, of_one), (other, of_other)| one.total_cmp(other).then(of_one.cmp(of_other)));
    loudest.map_or(Finding::Absent, |(strength, accounts)| Finding::measured(strength, f64::from(accounts)))
}

/// A hit for more than `usual` other accounts in 30 days, half strong at `half` beyond.
fn crowded(accounts_30d: Option<u32>, usual: u32, half: f64) -> Finding {
    accounts_30d.map_or(Finding::Absent, |accounts| {
        let beyond = f64::from(accounts.saturating_sub(usual));
        Finding::measured(beyond / (beyond + half), f64::from(accounts))
    })
}

/// Other accounts that are paid where a side is paid, at any time: half strong at two others. A placeholder counts here too: money that goes where
/// sixty go is looked at, whatever the digest stands for.
fn shared_payout(conversion: &Conversion, referrer: &SignalBundle, referee: &SignalBundle, history: &History) -> Finding {
    let sides = [referrer, referee, &conversion.referrer, &conversion.referee];
    let mut payments = sides.into_iter().flat_map(|side| &side.payments);
    if history.payout_sharers == 0 && payments.all(|payment| payment.purpose != PaymentPurpose::Payout) {
        return Finding::Absent;
    }
    let others = f64::from(history.payout_sharers);
    Finding::measured(others / (others + 2.0), others)
}

fn pattern_repeats(referee: &SignalBundle, history: &History) -> Finding {
    if referee.emails.iter().all(|email| email.pattern.is_none()) {
        return Finding::Absent;
    }
    let siblings = f64::from(history.pattern_siblings);
    Finding::measured(siblings / (siblings + 1.0), siblings)
}

fn referrer_rate(known: bool, referrer: &AccountHistory, as_of: Timestamp) -> Finding {
    let rates = REFERRER_WINDOWS.map(|(window, usual)| {
        let count = referrals_within(referrer, as_of, window);
        (excess(count, usual), count)
    });
    let strength = rates.iter().map(|(strength, _)| *strength).fold(0.0, f64::max);
    let [_, (_, within_a_day), ..] = rates;
    counted(known, f64::from(within_a_day), strength)
}

/// How far a count lies beyond what is usual: 0 at or below, 1/2 at twice, towards 1.
fn excess(count: u32, usual: u32) -> f64 {
    let beyond = f64::from(count.saturating_sub(usual));
    beyond / (beyond + f64::from(usual.max(1)))
}

fn counted(known: bool, count: f64, strength: f64) -> Finding {
    if known { Finding::measured(strength, count) } else { Finding::Absent }
}

/// Bad referrals weighed against all: three of three speak, three of three hundred do not.
fn share_of_referrals(known: bool, referrer: &AccountHistory, bad: u32) -> Finding {
    if !known || referrer.referrals_total == 0 {
        return Finding::Absent;
    }
    // Shrunk by two good referrals that nobody saw: one bad of one gives 1/3, three of three 3/5, three of three hundred 1/100.
    let share = f64::from(bad) / (f64::from(referrer.referrals_total) + 2.0);
    Finding::measured(share, f64::from(bad))
}

fn ring(evidence: &mut Evidence, history: &History) {
    let ring = &history.ring;
    let of_loop = |steps: u8| Finding::measured((2.0 / f64::from(steps.max(2))).sqrt(), f64::from(steps));
    evidence.set(EvidenceCode::RingLoop, ring.loop_steps.map_or(Finding::CLEAR, of_loop));
    if ring.accounts == 0 {
        return;
    }
    let beyond_a_couple = f64::from(ring.accounts.saturating_sub(2));
    evidence.set(EvidenceCode::RingSize, Finding::measured(beyond_a_couple / (beyond_a_couple + 3.0), f64::from(ring.accounts)));
    let banned = f64::from(u8::from(history.referrer.banned == Banned::Yes || history.referee.banned == Banned::Yes));
    let rejected = f64::from(ring.accounts_rejected) + banned;
    evidence.set(EvidenceCode::RingTouchesRejected, Finding::measured(rejected / (rejected + 1.0), rejected));
}

/// An older account of anybody that looks like the referee's own. A mailbox is enough; of all else two kinds have to agree.
fn known_person(referee: &SignalBundle, history: &History) -> Finding {
    let says_who =
        !(referee.emails.is_empty() && referee.names.is_empty() && referee.devices.is_empty() && referee.payments.is_empty());
    match &history.known_person {
        Some(weights) if weights.tell_a_person() => Finding::together(weights),
        Some(_) | None if says_who => Finding::Clear { measure: Some(0.0) },
        Some(_) | None => Finding::Absent,
    }
}

/// What crowds and groups around a referrer say is less when reviewers looked at his referrals and accepted them: an office, an agency, a family. Two
/// acquittals halve it.
fn acquit(evidence: &mut Evidence, accepted: f64) {
    let weighs = 2.0 / (2.0 + accepted);
    let crowds = [
        EvidenceCode::CrowdedDevice,
        EvidenceCode::CrowdedNetwork,
        EvidenceCode::CrowdedPayment,
        EvidenceCode::SharedPayout,
        EvidenceCode::RingSize,
    ];
    for code in crowds {
        if let Finding::Hit { strength, measure: Some(measure) } = evidence[code] {
            evidence.set(code, Finding::measured(strength.value() * weighs, measure));
        }
    }
}

/// Fully for an account, and for a value that is one person's; half for what strangers share too, which must not condemn a household, an office or a model of
/// phone.
fn blocked(history: &History) -> Finding {
    let of_hit = |hit: &ListHit| match hit.identifier {
        None | Some(IdentifierKind::EmailExact | IdentifierKind::Mailbox | IdentifierKind::Browser | IdentifierKind::Payment) => {
            1.0
        }
        Some(
            IdentifierKind::LocalPart
            | IdentifierKind::Domain
            | IdentifierKind::Name
            | IdentifierKind::Device
            | IdentifierKind::Address
            | IdentifierKind::Prefix,
        ) => 0.5,
    };
    let hits = history.list_hits.iter().filter(|hit| hit.list == ListKind::Blocked);
    Finding::of_strength(hits.map(of_hit).fold(0.0, f64::max))
}

fn trusted(history: &History) -> Finding {
    let stands = history.list_hits.iter().any(|hit| hit.list == ListKind::Trusted);
    Finding::of_strength(f64::from(u8::from(stands)))
}
