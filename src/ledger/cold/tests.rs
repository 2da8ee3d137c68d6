//! Proofs about what is cold: a book all of which is cold between two commands lives, is replayed and comes from a snapshot as one that is always warm.

use std::io::Cursor as Bytes;

use proptest::prelude::*;

use super::*;
use crate::adapters::cold::MemoryCold;
use crate::book::cold::ColdTotals;
use crate::book::command::{Command, SignalsCommand};
use crate::book::plan::{Plan, plan};
use crate::book::records::ContentFingerprint;
use crate::ledger::tests::{Act, Rules, any_act, command, lived, place, program};
use crate::ledger::{codec, snapshot};
use crate::vocabulary::bundle::SignalBundle;
use crate::vocabulary::digest::{Digest, DigestSet};
use crate::vocabulary::ids::RecordId;

/// The digests of signals, of few, so that accounts meet on them.
fn from_a_small_pool(signals: &mut SignalBundle) {
    let pooled = |set: &mut DigestSet| {
        let known = set.iter().next().cloned();
        if let Some(Digest { value, key_id }) = known {
            *set = DigestSet::single(Digest { value: [value[0] % 7; 32], key_id });
        }
    };
    for email in &mut signals.emails {
        let sets = [&mut email.exact, &mut email.mailbox, &mut email.pattern, &mut email.local_part, &mut email.domain];
        sets.into_iter().flatten().for_each(pooled);
    }
    signals.names.iter_mut().filter_map(|name| name.exact.as_mut()).for_each(pooled);
    for device in &mut signals.devices {
        [&mut device.fingerprint, &mut device.browser].into_iter().flatten().for_each(pooled);
    }
    for network in &mut signals.networks {
        [&mut network.address, &mut network.prefix].into_iter().flatten().for_each(pooled);
    }
    signals.payments.iter_mut().map(|payment| &mut payment.instrument).for_each(pooled);
}

pub(super) fn meeting(mut act: Act) -> Act {
    if let Act::Screen(conversion) | Act::Learn(conversion, _) = &mut act {
        from_a_small_pool(&mut conversion.referrer);
        from_a_small_pool(&mut conversion.referee);
    }
    act
}

fn any_acts() -> impl Strategy<Value = Vec<Act>> {
    prop::collection::vec((any_act(), any::<bool>()).prop_map(|(act, meets)| if meets { meeting(act) } else { act }), 1..60)
}

pub(super) fn tier() -> ColdTier {
    ColdTier::new(Arc::new(MemoryCold::default()), program(), 9)
}

/// Makes everything cold.
pub(super) fn cool(tier: &ColdTier, book: &RwLock<Book>) {
    let moved = tier.cool(book, None, |dormant| {
        let mut book = book.write();
        let stays = dormant.iter().filter(|(dormant, mark)| book.take_out(dormant, *mark) == Kept::Here);
        Ok(stays.map(|(dormant, mark)| (dormant.pack.account, *mark)).collect())
    });
    moved.unwrap();
    assert_eq!(book.read().warm().0, 0, "no signals are left");
}

/// Brings everything back.
fn warm(tier: &ColdTier, book: &mut Book) {
    let mut packs = Vec::new();
    let found = tier.store.walk(&program(), PACKS, &mut |key, _| {
        let (account, mark) = pack::of_key(key).unwrap();
        packs.extend((book.mark_of(account) == Some(mark)).then(|| (tier.read(account, mark).unwrap(), mark)));
        Walk::On
    });
    found.unwrap();
    tier.take_back(book, packs);
}

fn snapshot_of(book: &Book) -> Vec<u8> {
    let mut bytes = Vec::new();
    snapshot::write(book.freeze(), place(book), &mut bytes).unwrap();
    bytes
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_book_that_is_cold_between_commands_is_the_one_that_never_was(acts in any_acts(), cut in 0..60_usize) {
        let (always_warm, records) = lived(&acts);
        let (tier, book) = (tier(), RwLock::new(Book::new(1)));
        let (mut written, mut early) = (Vec::new(), None);
        for (step, act) in acts.iter().enumerate() {
            let command = command(act, step);
            let packs = tier.wanted(&book.read(), &command.met(&book.read())).unwrap();
            tier.take_back(&mut book.write(), packs);
            let planned = plan(&book.read(), command, &Rules);
            if let Ok(Plan::Commit(event, known)) = planned {
                written.push(codec::encode(&event));
                book.write().apply_known(Cursor(written.len() as u64), &event, *known);
            }
            cool(&tier, &book);
            if step == cut {
                early = Some((snapshot_of(&book.read()), place(&book.read())));
            }
        }
        prop_assert_eq!(&written, &records, "the same was decided");
        prop_assert_eq!(book.read().digest(), always_warm.digest());
        if let Some((bytes, place)) = early {
            // The store goes on after a snapshot; what the snapshot names is still there.
            let mut thawed = snapshot::read(&mut Bytes::new(&bytes), place, 5).unwrap();
            let reopened = ColdTier::new(Arc::clone(&tier.store), program(), 5);
            reopened.fit(&thawed).unwrap();
            for (cursor, record) in (1..).zip(&records).skip(usize::try_from(thawed.cursor().0).unwrap()) {
                let event = codec::decode(record).unwrap();
                let packs = reopened.wanted(&thawed, &event.met(&thawed)).unwrap();
                reopened.take_back(&mut thawed, packs);
                thawed.apply(Cursor(cursor), &event);
            }
            prop_assert_eq!(thawed.digest(), always_warm.digest());
            warm(&reopened, &mut thawed);
            prop_assert_eq!(thawed.cold(), ColdTotals::default());
            prop_assert_eq!(thawed.digest(), always_warm.digest());
        }
    }
}

/// A book that lived a little, all of it cold.
fn some_cold() -> (ColdTier, RwLock<Book>) {
    use proptest::strategy::ValueTree as _;
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let acts = prop::collection::vec(any_act(), 40).new_tree(&mut runner).unwrap().current();
    let (tier, book) = (tier(), RwLock::new(lived(&acts).0));
    cool(&tier, &book);
    (tier, book)
}

#[test]
fn a_pack_that_is_missing_or_changed_is_noticed_at_opening_and_when_it_is_met() {
    let (tier, book) = some_cold();
    let book = book.into_inner();
    tier.fit(&book).unwrap();
    let mut all = Vec::new();
    let visit = &mut |key: &[u8], bytes: &[u8]| {
        all.push((key.to_vec(), bytes.to_vec()));
        Walk::On
    };
    tier.store.walk(&program(), PACKS, visit).unwrap();
    let expected = book.cold().accounts;
    assert_eq!(all.len() as u64, expected);
    for (key, bytes) in &all {
        let mut changed = bytes.clone();
        changed[bytes.len() / 2] ^= 1;
        let (account, mark) = pack::of_key(key).unwrap();
        for lost in [None, Some(changed)] {
            tier.store.remove(&program(), std::slice::from_ref(key)).unwrap();
            tier.store.put(&program(), &lost.map(|bytes| (key.clone(), bytes)).into_iter().collect::<Vec<_>>()).unwrap();
            let unfit = tier.fit(&book);
            assert!(matches!(unfit, Err(Unfit::Missing { found, .. }) if found == expected - 1), "{unfit:?}");
            assert!(matches!(tier.read(account, mark), Err(LedgerError::Damaged(_))));
        }
        tier.store.put(&program(), &[(key.clone(), bytes.clone())]).unwrap();
    }
    tier.fit(&book).unwrap();
}

#[test]
fn what_changed_since_it_was_copied_stays() {
    let (tier, book) = some_cold();
    warm(&tier, &mut book.write());
    let (dormant, _) = book.read().dormant(0, 1_000, None);
    let Dormant { pack, .. } = &dormant[0];
    let act = {
        let mut more = pack.signals.clone();
        more.account_created_at = Some(Timestamp::saturating_from_millis(1_000));
        SignalsCommand {
            program_id: program(),
            record_id: RecordId::new("more").unwrap(),
            content: ContentFingerprint([1; 16]),
            bundles: vec![more],
            received_at: book.read().latest(),
        }
    };
    let planned = plan(&book.read(), Command::RecordSignals(act), &Rules);
    let Ok(Plan::Commit(event, known)) = planned else { unreachable!("signals are taken") };
    let cursor = Cursor(book.read().cursor().0 + 1);
    book.write().apply_known(cursor, &event, *known);
    let digest = book.read().digest();
    assert_eq!(book.write().take_out(&dormant[0], Mark(1)), Kept::Here);
    assert_eq!(book.read().digest(), digest);
}

#[test]
fn a_filter_that_is_full_is_made_again_and_forgets_nothing() {
    let (tier, book) = some_cold();
    tier.fit(&book.read()).unwrap();
    tier.make_room(&book, 10).unwrap();
    assert_eq!(tier.filter.read().generation(), 2);
    let mut found = 0;
    let visit = &mut |key: &[u8], bytes: &[u8]| {
        let (account, _) = pack::of_key(key).unwrap();
        for seen in pack::decode(account, bytes).unwrap().alone {
            let hash = tier.hashing.of(seen.kind, &seen.digest);
            let filter = tier.filter.read();
            assert!(filter.may_hold(hash) && filter.suspects(&*tier.store, &program(), hash).unwrap().contains(&account));
            found += 1;
        }
        Walk::On
    };
    tier.store.walk(&program(), PACKS, visit).unwrap();
    assert!(found > 20, "{found} values are cold");
}

#[test]
fn packs_that_came_back_go_once_the_two_newest_snapshots_are_younger() {
    let (tier, book) = some_cold();
    let packs = || {
        let mut found = 0;
        tier.store
            .walk(&program(), PACKS, &mut |_, _| {
                found += 1;
                Walk::On
            })
            .unwrap();
        found
    };
    let all = packs();
    warm(&tier, &mut book.write());
    let at = book.read().cursor();
    for (snapshot, left) in [(Cursor(at.0), all), (Cursor(at.0 + 1), all), (Cursor(at.0 + 1), all), (Cursor(at.0 + 2), 0)] {
        tier.snapshot_written(snapshot, &book).unwrap();
        assert_eq!(packs(), left, "after the snapshot at {}", snapshot.0);
    }
}
