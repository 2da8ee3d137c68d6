//! A proof about changing the key: a programme that rotated with a complete mapping decides as one that never did, whatever is cold, whoever sends under which
//! key, and in however many pages the mapping comes.

use std::collections::BTreeMap;
use std::io::Cursor as Bytes;

use proptest::prelude::*;

use super::tests::{cool, meeting, tier};
use super::*;
use crate::book::command::{Assessor as _, Change, Command, ListCommand, RekeyCommand, Request};
use crate::book::plan::{Plan, plan};
use crate::book::records::{ContentFingerprint, ListEntry, ListSubject};
use crate::book::rekeying::{NewSketches, Rekeyed, RekeyedKind};
use crate::ledger::tests::{Act, Rules, any_act, command, place, program, written};
use crate::ledger::{codec, snapshot};
use crate::screening::decision::Decision;
use crate::screening::history::{Identifier, IdentifierKind, ListKind};
use crate::vocabulary::bundle::SignalBundle;
use crate::vocabulary::conversion::Conversion;
use crate::vocabulary::digest::{Digest, DigestSet, KeyId};
use crate::vocabulary::ids::{Actor, RequestId};
use crate::vocabulary::sketch::{SKETCH_BYTES, Sketch};

fn key(number: u8) -> KeyId {
    KeyId::new(&format!("k{number}")).unwrap()
}

/// Under which keys somebody sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sends {
    Old,
    New,
    Both,
}

/// The same value under the new key: other bytes, in no order of the old ones.
fn renamed(old: &Digest) -> Digest {
    let mut value = old.value.map(|byte| byte.wrapping_mul(167) ^ 0x5a);
    value.reverse();
    Digest { value, key_id: key(2) }
}

/// What a text's sketch is: a part of the bits that its neighbours have too, so that some are alike.
fn sketch_of(text: &DigestSet, of_person: bool) -> Sketch {
    let first = text.iter().next().unwrap().value[0] / 2;
    let bits =
        std::array::from_fn(
            |at| if u8::try_from(at).unwrap().wrapping_add(first) % 16 < 9 { 0x37 ^ u8::from(of_person) } else { 0 },
        );
    Sketch { key_id: key(1), bits }
}

/// The same under the new key: other bits, as alike to each other.
fn sketched(old: &Sketch) -> Sketch {
    let mut bits: [u8; SKETCH_BYTES] = old.bits;
    bits.reverse();
    Sketch { key_id: key(2), bits }
}

/// Visits each digest of a bundle with its kind.
fn visit(bundle: &mut SignalBundle, mut visit: impl FnMut(RekeyedKind, &mut DigestSet)) {
    for email in &mut bundle.emails {
        for (kind, set) in [
            (RekeyedKind::EmailExact, &mut email.exact),
            (RekeyedKind::Mailbox, &mut email.mailbox),
            (RekeyedKind::Pattern, &mut email.pattern),
            (RekeyedKind::LocalPart, &mut email.local_part),
            (RekeyedKind::Domain, &mut email.domain),
        ] {
            if let Some(set) = set {
                visit(kind, set);
            }
        }
    }
    for name in &mut bundle.names {
        name.exact.iter_mut().for_each(|set| visit(RekeyedKind::Name, set));
    }
    for device in &mut bundle.devices {
        device.fingerprint.iter_mut().for_each(|set| visit(RekeyedKind::Device, set));
        device.browser.iter_mut().for_each(|set| visit(RekeyedKind::Browser, set));
    }
    for network in &mut bundle.networks {
        network.address.iter_mut().for_each(|set| visit(RekeyedKind::Address, set));
        network.prefix.iter_mut().for_each(|set| visit(RekeyedKind::Prefix, set));
    }
    bundle.payments.iter_mut().for_each(|payment| visit(RekeyedKind::Payment, &mut payment.instrument));
    bundle.journey = std::mem::take(&mut bundle.journey).with_values(|device, browser| {
        if let Some(set) = device {
            visit(RekeyedKind::Device, set);
        }
        if let Some(set) = browser {
            visit(RekeyedKind::Browser, set);
        }
    });
}

/// A bundle all of which is under the old key, and in which a text has one sketch.
fn under_the_old_key(bundle: &mut SignalBundle) {
    visit(bundle, |_, set| {
        let value = set.iter().next().unwrap().value;
        *set = DigestSet::single(Digest { value, key_id: key(1) });
    });
    for email in &mut bundle.emails {
        let sketch = |of_person| email.local_part.iter().map(|text| sketch_of(text, of_person)).collect();
        email.local_part_sketches = sketch(false);
        email.person_sketches = sketch(true);
    }
    for name in &mut bundle.names {
        let sketch = |of_person| name.exact.iter().map(|text| sketch_of(text, of_person)).collect();
        name.sketches = sketch(false);
        name.person_sketches = sketch(true);
    }
}

fn sent(bundle: &mut SignalBundle, sends: Sends, sketched_anew: bool) {
    let sketches = |sketches: &mut Vec<Sketch>| {
        let new: Vec<Sketch> = sketches.iter().map(sketched).collect();
        match sends {
            Sends::Old if !sketched_anew => {}
            Sends::New => *sketches = new,
            Sends::Old | Sends::Both => sketches.extend(new),
        }
    };
    visit(bundle, |_, set| {
        let old = set.iter().next().unwrap().clone();
        match sends {
            Sends::Old => {}
            Sends::New => *set = DigestSet::single(renamed(&old)),
            Sends::Both => *set = DigestSet::new([renamed(&old), old]).unwrap().unwrap(),
        }
    });
    for email in &mut bundle.emails {
        sketches(&mut email.local_part_sketches);
        sketches(&mut email.person_sketches);
    }
    for name in &mut bundle.names {
        sketches(&mut name.sketches);
        sketches(&mut name.person_sketches);
    }
}

fn each_bundle(act: &mut Act, mut change: impl FnMut(&mut SignalBundle)) {
    if let Act::Screen(conversion) | Act::Learn(conversion, _) = act {
        change(&mut conversion.referrer);
        change(&mut conversion.referee);
    }
}

/// Every value of a history, under both keys.
fn mapping(acts: &[Act]) -> Vec<Rekeyed> {
    let mut rows = BTreeMap::new();
    for act in acts {
        each_bundle(&mut act.clone(), |bundle| {
            visit(bundle, |kind, set| {
                let old = set.iter().next().unwrap().clone();
                let new_sketch = |of_person| Some(sketched(&sketch_of(set, of_person)).bits);
                let sketches = match kind {
                    RekeyedKind::LocalPart | RekeyedKind::Name => {
                        NewSketches { of_text: new_sketch(false), of_person: new_sketch(true) }
                    }
                    _ => NewSketches::NONE,
                };
                rows.insert((kind, old.clone()), Rekeyed { kind, new: renamed(&old), old, sketches });
            });
        });
    }
    rows.into_values().collect()
}

fn rekey(values: Vec<Rekeyed>, page: usize, step: usize) -> Command {
    let request = Request { id: RequestId::new(&format!("page-{page}")).unwrap(), content: ContentFingerprint([1; 16]) };
    let (program_id, actor, note) = (program(), Actor::new("lena").unwrap(), String::new());
    Command::Rekey(RekeyCommand { program_id, values, actor, note, request, at: at(step) })
}

fn at(step: usize) -> Timestamp {
    Timestamp::saturating_from_millis(1_790_000_000_000 + 60_000 * i64::try_from(step).unwrap())
}

/// Blocks or trusts a device of few, or takes that back.
fn listed(step: usize, digest: Digest) -> Command {
    let subject = ListSubject::Identifier(Identifier { kind: IdentifierKind::Device, digest });
    let (list, actor) = (if step.is_multiple_of(3) { ListKind::Trusted } else { ListKind::Blocked }, Actor::new("lena").unwrap());
    let entry = ListEntry { list, subject, actor, note: format!("{step}"), placed_at: at(step), expires_at: None };
    let change = if step % 4 == 3 { Change::Lift } else { Change::Place };
    Command::ChangeList(ListCommand { program_id: program(), entry, change, request: None })
}

/// A book that is told things, perhaps with everything cold in between.
struct World {
    book: RwLock<Book>,
    tier: Option<ColdTier>,
    records: Vec<Vec<u8>>,
}

impl World {
    fn new(tier: Option<ColdTier>) -> Self {
        Self { book: RwLock::new(Book::new(1)), tier, records: Vec::new() }
    }

    /// What is decided, and whether it was taken.
    fn told(&mut self, command: Command) -> (Option<Said>, bool) {
        if let Some(tier) = &self.tier {
            let packs = tier.wanted(&self.book.read(), &command.met(&self.book.read())).unwrap();
            tier.take_back(&mut self.book.write(), packs);
        }
        let planned = plan(&self.book.read(), command, &Rules);
        let answer = match planned {
            Ok(Plan::Commit(event, known)) => {
                let said = if let crate::book::event::Event::ConversionScreened(screened) = &event {
                    Some(said(&screened.decision))
                } else {
                    None
                };
                self.records.push(codec::encode(&event));
                self.book.write().apply_known(Cursor(self.records.len() as u64), &event, *known);
                (said, true)
            }
            Ok(Plan::AlreadyDone(_) | Plan::Answer(_)) | Err(_) => (None, false),
        };
        if let Some(tier) = &self.tier {
            cool(tier, &self.book);
        }
        answer
    }

    /// What would be made of a conversion now.
    fn again(&self, conversion: &Conversion) -> Option<Said> {
        let met = |book: &Book| {
            let met = Met::default();
            self.tier.as_ref().map(|tier| tier.wanted(book, &met.conversion(book, conversion)).unwrap())
        };
        let packs = met(&self.book.read());
        if let (Some(tier), Some(packs)) = (&self.tier, packs) {
            tier.take_back(&mut self.book.write(), packs);
        }
        let book = self.book.read();
        let history = book.history_now(conversion)?;
        let renamed = book.conversion_renamed(conversion.clone());
        Some(said(&Rules.assess_again(&renamed, &history, book.own(), book.latest())))
    }
}

/// Everything that a decision says, but under which keys.
type Said = (String, u64, Vec<u64>, Option<crate::screening::comparability::Want>);

fn said(decision: &Decision) -> Said {
    let Decision { verdict, score, reasons, rule_hits, duplicate_of, looks_like, evidence, comparability, .. } = decision;
    let said = format!("{verdict:?} {reasons:?} {rule_hits:?} {duplicate_of:?} {looks_like:?} {evidence:?}");
    let features = decision.features().values().iter().map(|value| value.to_bits()).collect();
    (said, score.to_bits(), features, comparability.want())
}

/// Where two answers begin to differ.
fn apart(plain: &impl std::fmt::Debug, other: &impl std::fmt::Debug) -> String {
    let (plain, other) = (format!("{plain:?}"), format!("{other:?}"));
    let same = plain.chars().zip(other.chars()).take_while(|(a, b)| a == b).count();
    let part = |text: &str| text.chars().skip(same.saturating_sub(120)).take(320).collect::<String>();
    format!("{}\n  and {}", part(&plain), part(&other))
}

fn any_sends() -> impl Strategy<Value = Sends> {
    prop_oneof![1 => Just(Sends::Old), 3 => Just(Sends::New), 1 => Just(Sends::Both)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn a_programme_that_rotated_with_a_complete_mapping_decides_as_one_that_never_did(
        acts in prop::collection::vec((any_act().prop_map(meeting), any_sends()), 4..50),
        taught_at in 0..20_usize,
        is_cold in any::<bool>(),
    ) {
        let acts: Vec<(Act, Sends)> = acts
            .into_iter()
            .map(|(mut act, sends)| {
                each_bundle(&mut act, under_the_old_key);
                (act, sends)
            })
            .collect();
        let plain: Vec<Act> = acts.iter().map(|(act, _)| act.clone()).collect();
        let rows = mapping(&plain);
        let mut never = World::new(None);
        let mut rotated = World::new(is_cold.then(tier));
        let mut screened: BTreeMap<_, (Conversion, Conversion)> = BTreeMap::new();
        for (step, (act, sends)) in acts.iter().enumerate() {
            if step == taught_at {
                for page in 0..2 {
                    let (_, taken) = rotated.told(rekey(rows.iter().skip(page).step_by(2).cloned().collect(), page, step));
                    prop_assert!(taken || rows.len() <= page);
                }
            }
            // Whoever sends under the new key begins when the mapping is there; of whoever goes on under the old one, sketches alone are under both.
            let sends = if step >= taught_at { *sends } else { Sends::Old };
            let mut under_other_keys = act.clone();
            each_bundle(&mut under_other_keys, |bundle| sent(bundle, sends, step >= taught_at));
            let (plain, other) = (never.told(command(act, step)), rotated.told(command(&under_other_keys, step)));
            // What was refused was not screened, and brought nothing.
            let was_screened = plain.0.is_some();
            prop_assert!(plain == other, "step {step}: {}", apart(&plain, &other));
            if let (true, Act::Screen(plain), Act::Screen(other)) = (was_screened, act, &under_other_keys) {
                screened.entry(plain.conversion_id.clone()).or_insert_with(|| ((**plain).clone(), (**other).clone()));
            }
            if step % 5 == 2 {
                let old = Digest { value: [u8::try_from(step % 7).unwrap(); 32], key_id: key(1) };
                let known = rows.iter().any(|row| row.kind == RekeyedKind::Device && row.old == old);
                let other = if sends == Sends::New && known { renamed(&old) } else { old.clone() };
                prop_assert_eq!(never.told(listed(step, old)), rotated.told(listed(step, other)), "the list at step {}", step);
            }
        }
        for (plain, other) in screened.values() {
            let (plain, other) = (never.again(plain), rotated.again(other));
            prop_assert!(plain == other, "another look: {}", apart(&plain, &other));
        }
        // What was kept is the same for whoever reads it again.
        let mut again = Book::new(77);
        for (cursor, record) in (1..).zip(&rotated.records) {
            again.apply(Cursor(cursor), &codec::decode(record).unwrap());
        }
        let book = rotated.book.read();
        prop_assert_eq!(again.digest(), book.digest());
        let thawed = snapshot::read(&mut Bytes::new(written(&book)), place(&book), 5).unwrap();
        prop_assert_eq!(thawed.digest(), book.digest());
    }
}
