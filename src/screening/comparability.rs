//! Comparability: which kinds of signal that identify somebody could be compared between the two sides. Pure; called by `observe`.
//!
//! A referral of which nothing could be compared is not known to be honest: nobody looked. E-mail domains, patterns, device attributes and ways
//! through the product identify nobody, so that they do not count.

use std::borrow::Cow;

use smallvec::SmallVec;

use super::evidence::{EvidenceCode, Finding};
use super::warning::{Warning, WarningCode};
use crate::vocabulary::bundle::SignalBundle;
use crate::vocabulary::digest::{DigestSet, KeyId};
use crate::vocabulary::sketch::Sketch;
use crate::vocabulary::time::Timestamp;

/// A kind of signal that identifies somebody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum SignalKind {
    /// Exact e-mail addresses.
    EmailExact,
    /// Mailboxes with aliases folded.
    Mailbox,
    /// The names before the @.
    LocalPart,
    /// Sketches of the names before the @.
    LocalPartSketch,
    /// Persons' names.
    Name,
    /// Sketches of persons' names.
    NameSketch,
    /// Device fingerprints.
    Device,
    /// Browser cookies.
    Browser,
    /// Network addresses.
    Address,
    /// Neighbourhoods of network addresses.
    Prefix,
    /// Payment instruments.
    Payment,
    /// Sketches of the persons whom the referrer's e-mail addresses name, beside those of the referee's names.
    EmailPersonSketch,
    /// Sketches of the referrer's names, beside those of the persons whom the referee's e-mail addresses name.
    NamePersonSketch,
}

impl SignalKind {
    /// All kinds, in the order in which they are shown.
    pub const ALL: [Self; 13] = [
        Self::EmailExact,
        Self::Mailbox,
        Self::LocalPart,
        Self::LocalPartSketch,
        Self::Name,
        Self::NameSketch,
        Self::Device,
        Self::Browser,
        Self::Address,
        Self::Prefix,
        Self::Payment,
        Self::EmailPersonSketch,
        Self::NamePersonSketch,
    ];

    /// Whether it is alike for many who are not one person: names, and neighbourhoods of network addresses. That only such were compared clears nobody.
    #[must_use]
    pub const fn is_vague(self) -> bool {
        match self {
            Self::LocalPart
            | Self::LocalPartSketch
            | Self::Name
            | Self::NameSketch
            | Self::Prefix
            | Self::EmailPersonSketch
            | Self::NamePersonSketch => true,
            Self::EmailExact | Self::Mailbox | Self::Device | Self::Browser | Self::Address | Self::Payment => false,
        }
    }

    /// What it is compared with on the referee's side: itself, but addresses with names.
    const fn of_referee(self) -> Self {
        match self {
            Self::EmailPersonSketch => Self::NamePersonSketch,
            Self::NamePersonSketch => Self::EmailPersonSketch,
            Self::EmailExact
            | Self::Mailbox
            | Self::LocalPart
            | Self::LocalPartSketch
            | Self::Name
            | Self::NameSketch
            | Self::Device
            | Self::Browser
            | Self::Address
            | Self::Prefix
            | Self::Payment => self,
        }
    }

    /// Where it stands in a bundle of the API, indexes left out; where the two sides' places differ, the referrer's, `/` and the referee's.
    #[must_use]
    pub fn fields(self) -> Cow<'static, str> {
        let (ours, theirs) = (self.field(), self.of_referee().field());
        if ours == theirs { ours.into() } else { format!("{ours}/{theirs}").into() }
    }

    /// Where it stands in the referrer's bundle.
    const fn field(self) -> &'static str {
        match self {
            Self::EmailExact => "emails.exact",
            Self::Mailbox => "emails.mailbox",
            Self::LocalPart => "emails.local_part",
            Self::LocalPartSketch => "emails.local_part_sketch",
            Self::Name => "names.exact",
            Self::NameSketch => "names.sketch",
            Self::Device => "devices.fingerprint",
            Self::Browser => "devices.browser",
            Self::Address => "networks.address",
            Self::Prefix => "networks.prefix",
            Self::Payment => "payments.instrument",
            Self::EmailPersonSketch => "emails.person_sketch",
            Self::NamePersonSketch => "names.person_sketch",
        }
    }

    /// Many of it, in a reviewer's words.
    const fn plural(self) -> &'static str {
        match self {
            Self::EmailExact => "e-mail addresses",
            Self::Mailbox => "mailboxes",
            Self::LocalPart => "names before the @",
            Self::LocalPartSketch => "sketches of the names before the @",
            Self::Name => "persons' names",
            Self::NameSketch => "sketches of the persons' names",
            Self::Device => "device fingerprints",
            Self::Browser => "browser cookies",
            Self::Address => "network addresses",
            Self::Prefix => "network prefixes",
            Self::Payment => "payment instruments",
            Self::EmailPersonSketch | Self::NamePersonSketch => "sketches of the persons' names and the names before the @",
        }
    }
}

/// Whether a kind of signal could be compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Compared {
    /// Both sides have it under a common key.
    Yes,
    /// Both sides have it, under key ids that do not meet.
    KeysDiffer,
    /// Only the referrer has it.
    OnlyReferrer,
    /// Only the referee has it.
    OnlyReferee,
}

/// Why nothing could be compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Want {
    /// Neither side has a signal that identifies.
    OfBoth,
    /// The referrer has none.
    OfReferrer,
    /// The referee has none.
    OfReferee,
    /// Each side has some, and no kind of them in common.
    OfCommonKind,
    /// Each side has some of one kind, under key ids that never meet.
    OfCommonKey,
    /// What they have in common is alike for many strangers.
    OfDistinctKind,
}

impl Want {
    const ALL: [Self; 6] =
        [Self::OfBoth, Self::OfReferrer, Self::OfReferee, Self::OfCommonKind, Self::OfCommonKey, Self::OfDistinctKind];

    /// The measure that stands for it beside `signals.incomparable`.
    fn measure(self) -> f64 {
        f64::from(self as u8)
    }

    /// What a measure stands for; `None` when it stands for nothing.
    #[must_use]
    pub fn of_measure(measure: f64) -> Option<Self> {
        Self::ALL.into_iter().find(|want| want.measure().to_bits() == measure.to_bits())
    }

    /// The sentence for a reviewer.
    #[must_use]
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::OfBoth => "Nothing could be compared: neither side has a signal that identifies anybody.",
            Self::OfReferrer => "Nothing could be compared: the referrer has no signal that identifies anybody.",
            Self::OfReferee => "Nothing could be compared: the referee has no signal that identifies anybody.",
            Self::OfCommonKind => "Nothing could be compared: the two sides have no kind of signal in common.",
            Self::OfCommonKey => {
                "Nothing could be compared: what both sides have was digested under different keys, whose ids never meet."
            }
            Self::OfDistinctKind => {
                "Nothing that identifies anybody could be compared: only names or network prefixes, which many strangers share."
            }
        }
    }
}

/// One side's signals of a kind, as far as it matters for comparing them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SideSignals {
    /// The keys that they were digested under, without repeats. Empty when the side has none of the kind.
    pub keys: SmallVec<[KeyId; 2]>,
    /// When the newest of them was seen; absent when that was not told of any.
    pub newest_at: Option<Timestamp>,
}

/// A kind of signal, and what came of comparing it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ComparedKind {
    /// The kind.
    pub kind: SignalKind,
    /// Whether it could be compared.
    pub compared: Compared,
    /// What the referrer has of it.
    pub referrer: SideSignals,
    /// What the referee has of it.
    pub referee: SideSignals,
}

/// Which kinds of signal could be compared. Kinds that neither side has are left out.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Comparability {
    kinds: Vec<ComparedKind>,
}

/// One side's signals, by kind.
#[derive(Default)]
struct Keys([SideSignals; SignalKind::ALL.len()]);

impl Keys {
    fn add(&mut self, kind: SignalKind, key: KeyId, seen_at: Option<Timestamp>) {
        if let Some(known) = self.0.get_mut(kind as usize) {
            known.newest_at = known.newest_at.max(seen_at);
            if !known.keys.contains(&key) {
                known.keys.push(key);
            }
        }
    }

    fn add_set(&mut self, kind: SignalKind, set: Option<&DigestSet>, seen_at: Option<Timestamp>) {
        set.into_iter().flat_map(DigestSet::iter).for_each(|digest| self.add(kind, digest.key_id, seen_at));
    }

    fn add_sketches(&mut self, kind: SignalKind, sketches: &[Sketch]) {
        for sketch in sketches {
            self.add(kind, sketch.key_id, None);
        }
    }

    fn of(bundle: &SignalBundle) -> Self {
        let mut keys = Self::default();
        for email in &bundle.emails {
            keys.add_set(SignalKind::EmailExact, email.exact.as_ref(), None);
            keys.add_set(SignalKind::Mailbox, email.mailbox.as_ref(), None);
            keys.add_set(SignalKind::LocalPart, email.local_part.as_ref(), None);
            keys.add_sketches(SignalKind::LocalPartSketch, &email.local_part_sketches);
            keys.add_sketches(SignalKind::EmailPersonSketch, &email.person_sketches);
        }
        for name in &bundle.names {
            keys.add_set(SignalKind::Name, name.exact.as_ref(), None);
            keys.add_sketches(SignalKind::NameSketch, &name.sketches);
            keys.add_sketches(SignalKind::NamePersonSketch, &name.person_sketches);
        }
        for device in &bundle.devices {
            keys.add_set(SignalKind::Device, device.fingerprint.as_ref(), device.seen_at);
            keys.add_set(SignalKind::Browser, device.browser.as_ref(), device.seen_at);
        }
        for network in &bundle.networks {
            keys.add_set(SignalKind::Address, network.address.as_ref(), network.seen_at);
            keys.add_set(SignalKind::Prefix, network.prefix.as_ref(), network.seen_at);
        }
        for payment in &bundle.payments {
            keys.add_set(SignalKind::Payment, Some(&payment.instrument), payment.seen_at);
        }
        keys
    }

    /// As [`Keys::of`], with the devices of the way, which are compared with the referrer's.
    fn of_referee(bundle: &SignalBundle) -> Self {
        let mut keys = Self::of(bundle);
        for step in bundle.journey.touchpoints() {
            keys.add_set(SignalKind::Device, step.device.as_ref(), Some(step.occurred_at));
            keys.add_set(SignalKind::Browser, step.browser.as_ref(), Some(step.occurred_at));
        }
        keys
    }

    fn take(&mut self, kind: SignalKind) -> SideSignals {
        self.0.get_mut(kind as usize).map(std::mem::take).unwrap_or_default()
    }

    fn kind(&self, kind: SignalKind) -> &[KeyId] {
        self.0.get(kind as usize).map(|signals| &*signals.keys).unwrap_or_default()
    }
}

impl Comparability {
    /// What could be compared between two sides, and a warning for each kind whose key ids do not meet.
    #[must_use]
    pub fn of(referrer: &SignalBundle, referee: &SignalBundle) -> (Self, Vec<Warning>) {
        let (mut of_referrer, mut of_referee) = (Keys::of(referrer), Keys::of_referee(referee));
        let mut kinds = Vec::new();
        let mut warnings = Vec::new();
        for kind in SignalKind::ALL {
            let (referrer, referee) = (of_referrer.take(kind), of_referee.take(kind.of_referee()));
            let (ours, theirs) = (&referrer.keys, &referee.keys);
            let compared = match (ours.is_empty(), theirs.is_empty()) {
                (true, true) => continue,
                (false, true) => Compared::OnlyReferrer,
                (true, false) => Compared::OnlyReferee,
                (false, false) if ours.iter().any(|key| theirs.contains(key)) => Compared::Yes,
                (false, false) => {
                    warnings.push(keys_differ(kind, ours, theirs));
                    Compared::KeysDiffer
                }
            };
            kinds.push(ComparedKind { kind, compared, referrer, referee });
        }
        (Self { kinds }, warnings)
    }

    /// Whether a profile can be compared in more ways than the same one earlier.
    pub(crate) fn grows(earlier: &SignalBundle, later: &SignalBundle) -> bool {
        let (earlier, later) = (Keys::of_referee(earlier), Keys::of_referee(later));
        SignalKind::ALL.into_iter().any(|kind| later.kind(kind).iter().any(|key| !earlier.kind(kind).contains(key)))
    }

    /// As it was kept.
    #[must_use]
    pub const fn of_kinds(kinds: Vec<ComparedKind>) -> Self {
        Self { kinds }
    }

    /// Each kind that a side has, in the order in which they are shown.
    #[must_use]
    pub fn kinds(&self) -> &[ComparedKind] {
        &self.kinds
    }

    /// The key ids that one of the sides used, without repeats.
    #[must_use]
    pub fn key_ids(&self) -> SmallVec<[&KeyId; 4]> {
        let mut found = SmallVec::new();
        for key in self.kinds.iter().flat_map(|known| known.referrer.keys.iter().chain(&known.referee.keys)) {
            if !found.contains(&key) {
                found.push(key);
            }
        }
        found
    }

    /// Why nothing could be compared; absent when something could.
    #[must_use]
    pub fn want(&self) -> Option<Want> {
        if self.kinds.iter().any(|known| known.compared == Compared::Yes && !known.kind.is_vague()) {
            return None;
        }
        let has = |wanted: Compared| self.kinds.iter().any(|known| known.compared == wanted);
        let of_one_side = (has(Compared::OnlyReferrer), has(Compared::OnlyReferee));
        Some(match (has(Compared::KeysDiffer), has(Compared::Yes), of_one_side) {
            (true, _, _) => Want::OfCommonKey,
            (false, true, _) => Want::OfDistinctKind,
            (false, false, (true, true)) => Want::OfCommonKind,
            (false, false, (true, false)) => Want::OfReferee,
            (false, false, (false, true)) => Want::OfReferrer,
            (false, false, (false, false)) => Want::OfBoth,
        })
    }

    /// The evidence that it makes: `signals.comparable`, with how many kinds were compared, and `signals.incomparable`.
    pub(super) fn findings(&self) -> [(EvidenceCode, Finding); 2] {
        let compared = self.kinds.iter().filter(|known| known.compared == Compared::Yes).count();
        let count = f64::from(u8::try_from(compared).unwrap_or(u8::MAX));
        let incomparable = self.want().map_or(Finding::CLEAR, |want| Finding::measured(1.0, want.measure()));
        let share = count / f64::from(u8::try_from(SignalKind::ALL.len()).unwrap_or(u8::MAX));
        [(EvidenceCode::Comparable, Finding::measured(share, count)), (EvidenceCode::Incomparable, incomparable)]
    }
}

fn keys_differ(kind: SignalKind, ours: &[KeyId], theirs: &[KeyId]) -> Warning {
    let names = |keys: &[KeyId]| keys.iter().map(|key| format!("`{}`", key.as_str())).collect::<Vec<_>>().join(" and ");
    Warning {
        code: WarningCode::KeysDiffer,
        field: format!("conversion.referee.{}", kind.of_referee().field()).into(),
        sentence: format!(
            "The {} of the two sides could not be compared: the referrer's were made under {}, the referee's under {}.",
            kind.plural(),
            names(ours),
            names(theirs)
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::screening::fixtures::{bundle, card, device, email, name, network, noon, person};
    use crate::vocabulary::bundle::{EmailSignals, NameSignals, PaymentPurpose};
    use crate::vocabulary::digest::Digest;
    use crate::vocabulary::email::EmailDomainClass;
    use crate::vocabulary::time::Span;

    fn with(change: impl FnOnce(&mut SignalBundle)) -> SignalBundle {
        let mut side = bundle("ann");
        change(&mut side);
        side
    }

    fn under(key: &str, keys: &[&str]) -> DigestSet {
        let digest = |key: &str| Digest { value: [9; 32], key_id: KeyId::new(key).unwrap() };
        DigestSet::new([digest(key)].into_iter().chain(keys.iter().map(|key| digest(key)))).unwrap().unwrap()
    }

    fn want(referrer: &SignalBundle, referee: &SignalBundle) -> Option<Want> {
        Comparability::of(referrer, referee).0.want()
    }

    #[test]
    fn one_common_kind_is_comparable_and_what_is_wanting_is_named() {
        let (bare, on_device) = (bundle("ann"), with(|side| side.devices.push(device(1))));
        let on_network = with(|side| side.networks.push(network(1)));
        assert_eq!(want(&on_device, &on_device), None);
        assert_eq!(want(&bare, &bare), Some(Want::OfBoth));
        assert_eq!(want(&bare, &on_device), Some(Want::OfReferrer));
        assert_eq!(want(&on_device, &bare), Some(Want::OfReferee));
        assert_eq!(want(&on_device, &on_network), Some(Want::OfCommonKind));
        let mut named = with(|side| side.names.push(name(1)));
        assert_eq!(want(&named, &named), Some(Want::OfDistinctKind), "a name clears nobody");
        named.devices.push(device(1));
        assert_eq!((want(&named, &named), want(&named, &on_device)), (None, None));
    }

    #[test]
    fn keys_that_never_meet_are_incomparable_and_a_rotation_meets() {
        let paid = |set: DigestSet| {
            let mut instrument = card(1, PaymentPurpose::Billing);
            instrument.instrument = set;
            with(|side| side.payments.push(instrument))
        };
        let (old, new, both) = (paid(under("k1", &[])), paid(under("k2", &[])), paid(under("k1", &["k2"])));
        assert_eq!(want(&old, &new), Some(Want::OfCommonKey));
        assert_eq!((want(&old, &both), want(&both, &new)), (None, None));
    }

    #[test]
    fn a_kind_whose_keys_do_not_meet_is_warned_of_even_where_another_kind_was_compared() {
        let side = |key: &str| {
            with(|side| {
                side.devices.push(device(1));
                let mut line = network(1);
                line.address = Some(under(key, &[]));
                side.networks.push(line);
            })
        };
        let (comparability, warnings) = Comparability::of(&side("k1"), &side("k2"));
        let kinds: Vec<_> = comparability.kinds().iter().map(|known| (known.kind, known.compared)).collect();
        assert_eq!(kinds, [(SignalKind::Device, Compared::Yes), (SignalKind::Address, Compared::KeysDiffer)]);
        assert_eq!(comparability.want(), None);
        let [warning] = &*warnings else { panic!("{warnings:?}") };
        assert_eq!(&*warning.field, "conversion.referee.networks.address");
        assert_eq!(
            warning.sentence,
            "The network addresses of the two sides could not be compared: the referrer's were made under `k1`, the referee's under `k2`."
        );
    }

    #[test]
    fn the_keys_and_the_newest_time_of_each_side_are_told() {
        let seen = |days: Option<i64>| {
            let mut seen = device(1);
            seen.seen_at = days.map(|days| noon().minus(Span::from_days(days)));
            seen
        };
        let referrer = with(|side| side.devices.extend([seen(Some(40)), seen(Some(3)), seen(None)]));
        let referee = with(|side| side.devices.push(seen(None)));
        let (comparability, _) = Comparability::of(&referrer, &referee);
        let [ComparedKind { kind: SignalKind::Device, compared: Compared::Yes, referrer, referee }] = comparability.kinds()
        else {
            panic!("{comparability:?}")
        };
        let keys = |side: &SideSignals| side.keys.iter().map(|key| key.as_str().to_owned()).collect::<Vec<_>>();
        assert_eq!((keys(referrer), referrer.newest_at), (vec!["k1".to_owned()], Some(noon().minus(Span::from_days(3)))));
        assert_eq!((keys(referee), referee.newest_at), (vec!["k1".to_owned()], None));
    }

    #[test]
    fn what_identifies_nobody_is_not_comparable() {
        let vague = with(|side| {
            let mut phone = device(1);
            phone.fingerprint = None;
            (phone.platform, phone.time_zone) = ("iOS".into(), "Europe/Berlin".into());
            side.devices.push(phone);
        });
        assert_eq!(want(&vague, &vague), Some(Want::OfBoth));
    }

    #[test]
    fn an_address_is_compared_with_a_name_and_clears_nobody() {
        let addressed = with(|side| {
            let address = EmailSignals { exact: None, mailbox: None, ..email(1, 1, EmailDomainClass::FreeMail) };
            side.emails.push(EmailSignals { local_part: None, person_sketches: vec![person(1)], ..address });
        });
        let named = with(|side| side.names.push(NameSignals { exact: None, person_sketches: vec![person(2)], ..name(1) }));
        let told = |referrer: &SignalBundle, referee: &SignalBundle| {
            let (comparability, _) = Comparability::of(referrer, referee);
            let kinds = comparability.kinds().iter().map(|known| (known.kind.fields().into_owned(), known.compared));
            (kinds.collect::<Vec<_>>(), comparability.want())
        };
        let (one, other) =
            ("emails.person_sketch/names.person_sketch".to_owned(), "names.person_sketch/emails.person_sketch".to_owned());
        assert_eq!(told(&addressed, &named), (vec![(one.clone(), Compared::Yes)], Some(Want::OfDistinctKind)));
        assert_eq!(told(&named, &addressed), (vec![(other.clone(), Compared::Yes)], Some(Want::OfDistinctKind)));
        let apart = vec![(one, Compared::OnlyReferrer), (other, Compared::OnlyReferee)];
        assert_eq!(told(&addressed, &addressed), (apart, Some(Want::OfCommonKind)), "no name to compare with");
    }

    #[test]
    fn every_want_comes_back_from_its_measure() {
        assert!(Want::ALL.into_iter().all(|want| Want::of_measure(want.measure()) == Some(want)));
        assert_eq!(Want::of_measure(6.0), None);
    }
}
