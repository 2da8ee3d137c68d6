//! The history of a conversion: what earlier records brought, and nothing that the conversion itself brings.

use std::collections::{BTreeMap, BTreeSet};

use smallvec::SmallVec;

use super::Book;
use super::accounts::Account;
use super::apply::{patterns, tells_near};
use super::conversions::ConversionRow;
use super::records::ListSubject;
use super::slab::{AccountNumber, ConversionNumber};
use super::values::{Sightings, ValueKind};
use crate::screening::evidence::captured_after_checkout;
use crate::screening::history::{
    AccountHistory, Banned, CROWD_MAX, Crowd, History, Identifier, IdentifierKind, LOOP_STEPS_MAX, ListHit, ListKind,
    RingHistory, TiedElsewhere, visit_values,
};
use crate::screening::match_weight::{self, Weights};
use crate::vocabulary::bundle::SignalBundle;
use crate::vocabulary::conversion::{Conversion, ConversionKind, Side};
use crate::vocabulary::digest::Digest;
use crate::vocabulary::ids::ConversionId;
use crate::vocabulary::time::{Span, Timestamp};

impl Book {
    /// The history of a conversion, as of the last record that was applied.
    #[must_use]
    pub fn history(&self, conversion: &Conversion) -> History {
        self.history_before(conversion, None)
    }

    /// When the product opened an account; absent when it did not tell.
    pub(super) fn opened_at(&self, account: AccountNumber) -> Option<Timestamp> {
        self.accounts.get(account).opened_at
    }

    /// Whether an account was there before another: by when the product opened both, where that was told, else by who was known here first.
    pub(super) fn is_older(
        &self,
        account: AccountNumber,
        (other, other_opened): (Option<AccountNumber>, Option<Timestamp>),
    ) -> bool {
        match (self.opened_at(account), other_opened) {
            (Some(opened), Some(other_opened)) => opened < other_opened,
            (None, _) | (_, None) => other.is_none_or(|other| account < other),
        }
    }

    /// The history of a conversion; of what it repeats, only what came before this one counts.
    fn history_before(&self, conversion: &Conversion, before: Option<ConversionNumber>) -> History {
        let referrer = self.accounts.known(&conversion.referrer.account_id, &self.hasher);
        let referee = self.accounts.known(&conversion.referee.account_id, &self.hasher);
        let referrer_history = referrer.map(|known| self.account_history(known)).unwrap_or_default();
        let referee_history = referee.map(|known| self.account_history(known)).unwrap_or_default();
        let reading = Reading { book: self, conversion, referrer, referee, before };
        let (known_values, list_hits) = {
            let values = Values::of(conversion, &referrer_history, &referee_history);
            (reading.known_values(&values), reading.list_hits(&values))
        };
        let sides = referrer.zip(referee).map(|((referrer, _), (referee, _))| (referrer, referee));
        let loop_steps = sides.and_then(|(referrer, referee)| self.loop_steps(referrer, referee));
        let KnownValues { crowds, placeholders, payout_sharers, ring, known_person } = known_values;
        History {
            persons_known: self.accounts.in_referrals(),
            known_person,
            crowds,
            fingerprint_sharing: self.values.fingerprint_sharing(),
            placeholders,
            payout_sharers,
            ring: RingHistory { loop_steps, ..ring },
            pattern_siblings: reading.pattern_siblings(referee_history.profile.as_ref()),
            tied_to_other_referrer: reading.tied_elsewhere(),
            list_hits,
            duplicate_of: reading.duplicate_of(),
            looks_like: reading.looks_like(),
            referrer: referrer_history,
            referee: referee_history,
        }
    }

    /// The history of a conversion that was screened before, as of now: what it brought itself is left out, what came since is in.
    pub(super) fn history_again(&self, conversion: &Conversion, number: ConversionNumber) -> History {
        let row = self.conversions.get(number);
        let mut history = self.history_before(conversion, Some(number));
        history.duplicate_of.clone_from(&row.duplicate_of);
        for side in [&mut history.referrer, &mut history.referee] {
            side.first_seen_at = side.first_seen_at.filter(|seen_at| *seen_at != row.occurred_at);
        }
        if row.duplicate_of.is_some() {
            return history;
        }
        let referrer = &mut history.referrer;
        if self.began_referral(number, row) {
            referrer.referrals_total = referrer.referrals_total.saturating_sub(1);
            if let Some(own) = referrer.recent_referrals.iter().position(|at| *at == row.occurred_at) {
                referrer.recent_referrals.remove(own);
            }
        }
        if let Some(referral) = self.conversions.referral(row.referrer, row.referee, &self.hasher) {
            let alone = |own: bool, all: u32| u32::from(own && all == 1);
            let accepted = alone(row.accepted_by_review, referral.accepted);
            let refunded = alone(row.later().taken_back, referral.refunded);
            referrer.referrals_accepted_by_review = referrer.referrals_accepted_by_review.saturating_sub(accepted);
            referrer.referrals_refunded = referrer.referrals_refunded.saturating_sub(refunded);
            let came_so = captured_after_checkout(conversion, &conversion.referee.journey) == Some(true);
            let after_checkout = u32::from(came_so && self.began_referral(number, row));
            referrer.referrals_after_checkout = referrer.referrals_after_checkout.saturating_sub(after_checkout);
        }
        history
    }

    /// As [`Book::history_again`]; `None` when the conversion is not known.
    pub(crate) fn history_now(&self, conversion: &Conversion) -> Option<History> {
        let number = self.conversions.find(&conversion.conversion_id, &self.hasher)?;
        Some(self.history_again(&self.conversion_renamed(conversion.clone()), number))
    }

    /// Walks from a referrer to whoever referred him, and so on, until the referee is met. Returns the steps of the circle that they make.
    pub(super) fn loop_steps(&self, referrer: AccountNumber, referee: AccountNumber) -> Option<u8> {
        let mut above = self.accounts.get(referrer).referred_by;
        for steps in 2..=LOOP_STEPS_MAX {
            let number = above?;
            if number == referee {
                return Some(steps);
            }
            above = self.accounts.get(number).referred_by;
        }
        None
    }

    /// Whether a conversion was the first of its referrer and referee: it counted as a new user.
    fn began_referral(&self, number: ConversionNumber, row: &ConversionRow) -> bool {
        let of_referee = self.conversions_from(row.before_of_referee, Side::Referee);
        let mut before = of_referee.filter(|(other, _)| *other != number);
        !before.any(|(_, other)| other.referrer == row.referrer && other.duplicate_of.is_none())
    }

    fn account_history(&self, (number, account): (AccountNumber, &Account)) -> AccountHistory {
        let referring = account.referring();
        AccountHistory {
            profile: self.profile(number),
            first_seen_at: account.first_seen_at,
            recent_referrals: referring.recent.clone(),
            referrals_total: referring.referrals,
            referrals_rejected: referring.referrals_rejected,
            referrals_accepted_by_review: referring.referrals_accepted,
            referrals_refunded: referring.referrals_refunded,
            referrals_after_checkout: referring.referrals_after_checkout,
            banned: if referring.banned_at.is_some() { Banned::Yes } else { Banned::No },
        }
    }
}

/// A value of one or both sides.
struct SidedValue<'a> {
    kind: IdentifierKind,
    digest: &'a Digest,
    referrer: bool,
    referee: bool,
}

impl SidedValue<'_> {
    const fn is_of(&self, side: Side) -> bool {
        match side {
            Side::Referrer => self.referrer,
            Side::Referee => self.referee,
        }
    }
}

/// The values of both sides as they are known now, without repeats.
struct Values<'a> {
    all: SmallVec<[SidedValue<'a>; 48]>,
    /// The digests of what the sides are paid out to. Repeats are not removed.
    payouts: SmallVec<[&'a Digest; 4]>,
}

impl<'a> Values<'a> {
    fn of(conversion: &'a Conversion, referrer: &'a AccountHistory, referee: &'a AccountHistory) -> Self {
        let mut all: SmallVec<[SidedValue<'a>; 48]> = SmallVec::new();
        let mut payouts = SmallVec::new();
        let mut add = |bundle: &'a SignalBundle, side: Side| {
            payouts.extend(super::apply::payouts(bundle));
            visit_values(bundle, |kind, set, _| {
                all.extend(set.iter().map(|digest| SidedValue {
                    kind,
                    digest,
                    referrer: side == Side::Referrer,
                    referee: side == Side::Referee,
                }));
            });
        };
        add(&conversion.referrer, Side::Referrer);
        add(&conversion.referee, Side::Referee);
        for (profile, side) in [(&referrer.profile, Side::Referrer), (&referee.profile, Side::Referee)] {
            if let Some(profile) = profile {
                add(profile, side);
            }
        }
        all.sort_unstable_by(|a, b| (a.kind, a.digest).cmp(&(b.kind, b.digest)));
        all.dedup_by(|later, kept| {
            let same = later.kind == kept.kind && later.digest == kept.digest;
            kept.referrer |= same && later.referrer;
            kept.referee |= same && later.referee;
            same
        });
        Self { all, payouts }
    }

    /// Whether a side has a cookie beside its fingerprints.
    fn has_cookie(&self, side: Side) -> bool {
        self.all.iter().any(|value| value.kind == IdentifierKind::Browser && value.is_of(side))
    }
}

/// What the book knows of the values of both sides.
struct KnownValues {
    crowds: BTreeMap<Identifier, Crowd>,
    placeholders: BTreeSet<Identifier>,
    payout_sharers: u32,
    ring: RingHistory,
    known_person: Option<Weights>,
}

/// Accounts of a value whose rings are looked at to tell how many persons they are.
const PERSONS_COUNTED_MAX: usize = 64;
/// A value on more accounts than this is no one person's, and not looked through for older accounts of the referee.
const KNOWN_PERSON_ACCOUNTS_MAX: usize = 32;

/// Whether accounts on a value of a kind, so many of them, may be of one person.
pub(super) const fn may_be_one_person(kind: IdentifierKind, accounts: usize) -> bool {
    let own = match kind {
        IdentifierKind::EmailExact
        | IdentifierKind::Mailbox
        | IdentifierKind::Name
        | IdentifierKind::Device
        | IdentifierKind::Browser
        | IdentifierKind::Address
        | IdentifierKind::Payment => true,
        IdentifierKind::LocalPart | IdentifierKind::Domain | IdentifierKind::Prefix => false,
    };
    own && accounts <= KNOWN_PERSON_ACCOUNTS_MAX
}

/// Accounts that share something with the referee which is a person's own.
#[derive(Default)]
struct KnownPersons(SmallVec<[(AccountNumber, IdentifierKind, f64); 16]>);

impl KnownPersons {
    fn add(&mut self, value: &SidedValue<'_>, sightings: Sightings<'_>, crowd: Crowd, persons_known: u32) {
        if !value.referee || crowd.accounts_ever == 0 || !may_be_one_person(value.kind, sightings.len()) {
            return;
        }
        // Who is looked for is no stranger.
        let strangers = Crowd { persons_ever: crowd.persons_ever.saturating_sub(1), ..crowd };
        let bits = match_weight::of_shared(value.kind, strangers, persons_known, Span::ZERO);
        self.0.extend(sightings.iter().map(|sighting| (sighting.account, value.kind, bits)));
    }

    /// What speaks most for one of the accounts that may be meant.
    fn best(mut self, may_be_meant: impl Fn(AccountNumber) -> bool) -> Option<Weights> {
        self.0.sort_unstable_by_key(|(account, _, _)| *account);
        let mut best: Option<(f64, Weights)> = None;
        for of_one in self.0.chunk_by(|(one, _, _), (other, _, _)| one == other) {
            let mut weights = Weights::default();
            for (_, kind, bits) in of_one {
                weights.raise(*kind, *bits);
            }
            let total = weights.total();
            if weights.tell_a_person()
                && best.is_none_or(|(known, _)| total > known)
                && of_one.first().is_some_and(|(account, _, _)| may_be_meant(*account))
            {
                best = Some((total, weights));
            }
        }
        best.map(|(_, weights)| weights)
    }
}

/// Accounts around the sides, without repeats.
type Group = SmallVec<[AccountNumber; 16]>;

/// Accounts on the values of each side that are on few accounts, fingerprints left out: whoever shares a fingerprint and one of these is no stranger.
#[derive(Default)]
struct Near {
    referrer: Group,
    referee: Group,
    both: Group,
}

impl Near {
    fn add(&mut self, value: &SidedValue<'_>, sightings: Sightings<'_>) {
        if !tells_near(value.kind) {
            return;
        }
        for account in sightings.tied() {
            if value.referrer {
                self.referrer.push(account);
            }
            if value.referee {
                self.referee.push(account);
            }
        }
    }

    /// Puts the groups in order, without the sides.
    fn sort(&mut self, sides: [Option<AccountNumber>; 2]) {
        for group in [&mut self.referrer, &mut self.referee] {
            group.retain(|account| !sides.contains(&Some(*account)));
        }
        self.both.extend(self.referrer.iter().chain(&self.referee).copied());
        for group in [&mut self.referrer, &mut self.referee, &mut self.both] {
            group.sort_unstable();
            group.dedup();
        }
    }

    /// The accounts near to whoever has the value, in order.
    fn to(&self, value: &SidedValue<'_>) -> &[AccountNumber] {
        match (value.referrer, value.referee) {
            (true, true) => &self.both,
            (true, false) => &self.referrer,
            (false, _) => &self.referee,
        }
    }
}

struct Reading<'a> {
    book: &'a Book,
    conversion: &'a Conversion,
    referrer: Option<(AccountNumber, &'a Account)>,
    referee: Option<(AccountNumber, &'a Account)>,
    /// Of a conversion that was screened before: itself.
    before: Option<ConversionNumber>,
}

impl Reading<'_> {
    fn side_numbers(&self) -> [Option<AccountNumber>; 2] {
        [self.referrer, self.referee].map(|known| known.map(|(number, _)| number))
    }

    fn known_values(&self, values: &Values<'_>) -> KnownValues {
        let Book { values: known, texts, hasher, .. } = self.book;
        let sides = self.side_numbers();
        let as_of = self.conversion.occurred_at;
        let (mut crowds, mut placeholders) = (BTreeMap::new(), BTreeSet::new());
        let mut seeds: Group = sides.into_iter().flatten().collect();
        let mut has_strong = false;
        let mut fingerprints: SmallVec<[(&SidedValue<'_>, Sightings<'_>); 4]> = SmallVec::new();
        let mut near = Near::default();
        let mut known_persons = KnownPersons::default();
        for value in &values.all {
            let strong = value.kind.is_strong();
            has_strong |= strong;
            let Some(number) = known.find(ValueKind::Identifier(value.kind), value.digest, texts, hasher) else { continue };
            let sightings = known.sightings(number);
            let identifier = || Identifier { kind: value.kind, digest: value.digest.clone() };
            if known.is_placeholder(value.kind, sightings) {
                placeholders.insert(identifier());
                continue;
            }
            if value.kind == IdentifierKind::Device {
                fingerprints.push((value, sightings));
                continue;
            }
            if strong {
                seeds.extend(sightings.tied());
            }
            near.add(value, sightings);
            let crowd = self.crowd(value, sightings);
            known_persons.add(value, sightings, crowd, self.book.accounts.in_referrals());
            if crowd != Crowd::default() {
                crowds.insert(identifier(), crowd);
            }
        }
        near.sort(sides);
        for (value, sightings) in fingerprints {
            let crowd = self.crowd(value, sightings);
            known_persons.add(value, sightings, crowd, self.book.accounts.in_referrals());
            let accounts_near_30d = if crowd.accounts_30d == 0 { 0 } else { sightings.of_these_30d(near.to(value), as_of) };
            let beside_a_cookie =
                value.referrer && values.has_cookie(Side::Referrer) || value.referee && values.has_cookie(Side::Referee);
            let alone = !beside_a_cookie && !known.is_of_models(sightings);
            seeds.extend(sightings.tied().filter(|account| alone || near.to(value).binary_search(account).is_ok()));
            let crowd = Crowd { accounts_near_30d, ..crowd };
            if crowd != Crowd::default() {
                crowds.insert(Identifier { kind: value.kind, digest: value.digest.clone() }, crowd);
            }
        }
        let mut payout_sharers = 0;
        for digest in &values.payouts {
            let Some(number) = known.find(ValueKind::Payout, digest, texts, hasher) else { continue };
            let sightings = known.sightings(number);
            payout_sharers = payout_sharers.max(sightings.crowd_beside(sides, as_of).accounts_ever);
            // The others were tied to each other when they came.
            seeds.extend(sightings.tied_by_payout().next());
        }
        let ring = if has_strong { self.ring(seeds) } else { RingHistory::default() };
        let known_person = known_persons.best(|account| !sides.contains(&Some(account)) && self.is_older_than_referee(account));
        KnownValues { crowds, placeholders, payout_sharers, ring, known_person }
    }

    /// The crowd on a value: with the persons behind it where somebody is compared by it, and with when each side was seen on it where both have it.
    fn crowd(&self, value: &SidedValue<'_>, sightings: Sightings<'_>) -> Crowd {
        let sides @ [referrer, referee] = self.side_numbers();
        let crowd = sightings.crowd_beside(sides, self.conversion.occurred_at);
        let both = value.referrer && value.referee;
        let compared = both || (value.referee && may_be_one_person(value.kind, sightings.len()));
        let persons_ever = if compared { self.persons(crowd.accounts_ever, sightings) } else { 0 };
        if !both {
            return Crowd { persons_ever, ..crowd };
        }
        let seen_at = |account: Option<AccountNumber>| account.and_then(|account| sightings.last_seen(account));
        Crowd { persons_ever, referrer_seen_at: seen_at(referrer), referee_seen_at: seen_at(referee), ..crowd }
    }

    /// The persons behind so many accounts on a value beside the sides: rings count once, those of the sides not at all. Of very many, a part tells.
    fn persons(&self, accounts_beside: u32, sightings: Sightings<'_>) -> u32 {
        if accounts_beside == 0 {
            return 0;
        }
        let accounts = &self.book.accounts;
        let sides = self.side_numbers();
        let own = sides.map(|side| side.map(|number| accounts.ring_root(number)));
        let others = sightings.iter().map(|sighting| sighting.account).filter(|account| !sides.contains(&Some(*account)));
        let mut roots: SmallVec<[AccountNumber; PERSONS_COUNTED_MAX]> =
            others.take(PERSONS_COUNTED_MAX).map(|account| accounts.ring_root(account)).collect();
        let looked_at = roots.len();
        roots.sort_unstable();
        roots.dedup();
        let persons = roots.iter().filter(|root| !own.contains(&Some(**root))).count();
        let counts = |count: usize| u32::try_from(count).unwrap_or(CROWD_MAX);
        let (persons, looked_at) = (counts(persons), counts(looked_at).max(1));
        accounts_beside.saturating_mul(persons).div_ceil(looked_at)
    }

    fn is_older_than_referee(&self, account: AccountNumber) -> bool {
        let known = self.referee.map(|(number, _)| number);
        // The earliest that is known, as in a profile.
        let told = [self.conversion.referee.account_created_at, known.and_then(|number| self.book.opened_at(number))];
        let opened_at = told.into_iter().flatten().min();
        self.book.is_older(account, (known, opened_at))
    }

    /// The rings of the sides and of everybody on a strong value of theirs, taken together.
    fn ring(&self, mut seeds: Group) -> RingHistory {
        let accounts = &self.book.accounts;
        seeds.sort_unstable();
        seeds.dedup();
        let mut roots: Group = seeds.into_iter().map(|seed| accounts.ring_root(seed)).collect();
        roots.sort_unstable();
        roots.dedup();
        let nodes = || roots.iter().map(|root| accounts.get(*root).ring);
        let known_accounts: u32 = nodes().map(|node| node.accounts).sum();
        let rejected: u32 = nodes().map(|node| node.rejected).sum();
        let same_account = self.conversion.referrer.account_id == self.conversion.referee.account_id;
        let unknown_sides = u32::from(self.referrer.is_none()) + u32::from(self.referee.is_none() && !same_account);
        let referrer_rejected = u32::from(self.referrer.is_some_and(|(_, account)| account.stands_rejected()));
        RingHistory {
            loop_steps: None,
            accounts: known_accounts + unknown_sides,
            accounts_rejected: rejected.saturating_sub(referrer_rejected),
        }
    }

    fn tied_elsewhere(&self) -> TiedElsewhere {
        let first = self.referee.and_then(|(_, account)| account.referred_by);
        match (first, self.referrer) {
            (None, _) => TiedElsewhere::No,
            (Some(first), Some((referrer, _))) if first == referrer => TiedElsewhere::No,
            (Some(_), _) => TiedElsewhere::Yes,
        }
    }

    fn pattern_siblings(&self, profile: Option<&SignalBundle>) -> u32 {
        let Book { values, texts, hasher, conversions, .. } = self.book;
        let Some((referrer, _)) = self.referrer else { return 0 };
        let own = self.referee.map(|(number, _)| number);
        let mut siblings: Group = SmallVec::new();
        for bundle in [Some(&self.conversion.referee), profile].into_iter().flatten() {
            for digest in patterns(bundle) {
                let Some(pattern) = values.find(ValueKind::Pattern, digest, texts, hasher) else { continue };
                let known = conversions.of_pattern(referrer, pattern, hasher);
                siblings.extend(known.iter().copied().filter(|number| Some(*number) != own));
            }
        }
        siblings.sort_unstable();
        siblings.dedup();
        u32::try_from(siblings.len()).unwrap_or(u32::MAX)
    }

    fn list_hits(&self, values: &Values<'_>) -> Vec<ListHit> {
        let lists = &*self.book.lists;
        let mut hits = Vec::new();
        if lists.is_empty() {
            return hits;
        }
        let as_of = self.conversion.occurred_at;
        let mut look = |subject: ListSubject, sides: &[Side], identifier: Option<IdentifierKind>| {
            let mut key = (ListKind::Blocked, subject);
            for list in [ListKind::Blocked, ListKind::Trusted] {
                key.0 = list;
                let entry = lists.get(&key).filter(|(entry, _)| entry.expires_at.is_none_or(|end| as_of < end));
                if entry.is_some() {
                    hits.extend(sides.iter().map(|side| ListHit { list, side: *side, identifier }));
                }
            }
        };
        let sides = [(Side::Referrer, &self.conversion.referrer), (Side::Referee, &self.conversion.referee)];
        for (side, bundle) in sides {
            look(ListSubject::Account(bundle.account_id.clone()), &[side], None);
        }
        for value in &values.all {
            let sides: SmallVec<[Side; 2]> = [(Side::Referrer, value.referrer), (Side::Referee, value.referee)]
                .into_iter()
                .filter_map(|(side, carries)| carries.then_some(side))
                .collect();
            let identifier = Identifier { kind: value.kind, digest: value.digest.clone() };
            look(ListSubject::Identifier(identifier), &sides, Some(value.kind));
        }
        hits.sort_unstable();
        hits.dedup();
        hits
    }

    /// What it repeats beyond doubt: the same invoice, or a second sign-up of one account.
    fn duplicate_of(&self) -> Option<ConversionId> {
        let Book { conversions, hasher, .. } = self.book;
        let (referee, _) = self.referee?;
        let invoice_id = self.conversion.invoice_id.as_ref();
        let with_invoice = invoice_id.and_then(|invoice_id| conversions.with_invoice(referee, invoice_id, hasher));
        let signup = || match self.conversion.kind {
            ConversionKind::NewSignup => conversions.signup_of(referee, self.before, hasher),
            ConversionKind::DemoAttended | ConversionKind::InvoicePaid | ConversionKind::ChargeSucceeded => None,
        };
        with_invoice.or_else(signup).map(|first| conversions.get(first).id.clone())
    }

    /// What it looks like: sent again under another id, perhaps.
    fn looks_like(&self) -> Option<ConversionId> {
        let Book { conversions, hasher, .. } = self.book;
        let (referee, _) = self.referee?;
        let found = conversions.looks_like(referee, self.conversion, self.before, hasher)?;
        Some(conversions.get(found).id.clone())
    }
}
