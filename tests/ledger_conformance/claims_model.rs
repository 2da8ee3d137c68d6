//! A model of the money rules, written without the book: facts in a list, and the gate's answer read off it. Random steps are played on both, and
//! after each step the gate must say of every conversion what the model says.

use std::collections::{BTreeMap, BTreeSet};

use selfsame::book::command::{
    Command, FailedCommand, HoldStep, OutcomeCommand, PaidCommand, PayoutWanted, Request, ReservationChange, ReservationCommand,
    ReserveCommand, RevokeCommand,
};
use selfsame::book::records::{ContentFingerprint, HoldSubject};
use selfsame::screening::case::{Resolution, Step};
use selfsame::screening::gate::{self, Asker, Gate};
use selfsame::screening::policy::PayoutPolicy;
use selfsame::vocabulary::ids::{HoldId, RecordId, RequestId};
use selfsame::vocabulary::money::Money;
use selfsame::vocabulary::outcome::{Outcome, OutcomeKind, OutcomeSubject};
use selfsame::vocabulary::time::{Span, Timestamp};

use crate::subject::{Subject, account, actor, conversion_id, draft, minute, reward, shop};

const CONVERSIONS: u64 = 6;
const ACCOUNTS: u64 = 4;
const STEPS: i64 = 120;
const DELAY_DAYS: i64 = 14;

/// Numbers that look random and are the same on every machine.
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reward {
    Unpaid,
    Reserved { run: u64, until: i64 },
    Paid,
}

#[derive(Debug, Clone)]
struct Told {
    id: u64,
    kind: OutcomeKind,
    /// A conversion, or an account.
    of_account: bool,
    number: u64,
    day: i64,
    part: Option<i64>,
    revoked: bool,
}

#[derive(Debug, Clone)]
struct Referral {
    received: i64,
    in_review: bool,
    rejected: bool,
    reward: Reward,
}

/// Everything that was said, and nothing that follows from it.
#[derive(Default)]
struct Model {
    referrals: BTreeMap<u64, Referral>,
    told: Vec<Told>,
    /// Hold, and the conversion or the referrer that it is on.
    holds: BTreeSet<(u64, bool, u64)>,
}

const fn sides(conversion: u64) -> (u64, u64) {
    (conversion % ACCOUNTS, (conversion + 1) % ACCOUNTS)
}

impl Model {
    fn cancelled(&self, conversion: u64) -> bool {
        let (referrer, referee) = sides(conversion);
        let standing: Vec<&Told> = self.told.iter().filter(|told| !told.revoked).collect();
        let on = |told: &Told, account: u64| told.of_account && told.number == account;
        let own = |told: &Told| !told.of_account && told.number == conversion;
        let bought = |told: &Told| own(told) || on(told, referee);
        let back: i64 = standing
            .iter()
            .filter(|told| own(told) && told.kind == OutcomeKind::ChargeRefunded)
            .filter_map(|told| told.part)
            .sum();
        let answered = |told: &Told, by: OutcomeKind, same: &dyn Fn(&Told) -> bool| {
            standing.iter().any(|other| other.kind == by && other.day >= told.day && same(other))
        };
        let cancels = |told: &&&Told| {
            let told = **told;
            let reaches = bought(told) || on(told, referrer);
            reaches
                && match told.kind {
                    OutcomeKind::SubscriptionCanceled => true,
                    OutcomeKind::ChargeRefunded => !own(told) || told.part.is_none(),
                    OutcomeKind::Chargeback if bought(told) => !answered(told, OutcomeKind::DisputeWon, &bought),
                    OutcomeKind::Chargeback => !answered(told, OutcomeKind::DisputeWon, &|other| on(other, referrer)),
                    OutcomeKind::AccountBanned => !answered(told, OutcomeKind::AccountUnbanned, &|other| on(other, told.number)),
                    OutcomeKind::DisputeWon | OutcomeKind::AccountUnbanned => false,
                }
        };
        2 * back >= 4_900 || standing.iter().filter(cancels).count() > 0
    }

    fn gate(&self, conversion: u64, day: i64, run: Option<u64>) -> Gate {
        let Some(referral) = self.referrals.get(&conversion) else { return Gate::Hold };
        let referrer = sides(conversion).0;
        let held = self.holds.iter().any(
            |(_, on_referrer, number)| {
                if *on_referrer { *number == referrer } else { *number == conversion }
            },
        );
        let others = matches!(referral.reward, Reward::Reserved { run: by, until } if day < until && Some(by) != run);
        if referral.reward == Reward::Paid || self.cancelled(conversion) || referral.rejected {
            Gate::Deny
        } else if referral.in_review || held || day < referral.received + DELAY_DAYS || others {
            Gate::Hold
        } else {
            Gate::Release
        }
    }
}

fn day(day: i64) -> Timestamp {
    minute(0).plus(Span::from_days(day))
}

/// One game on a programme's own names.
struct Game<'a> {
    subject: &'a Subject,
    name: String,
    model: Model,
    dice: Dice,
    calls: u64,
}

impl Game<'_> {
    fn conversion(&self, number: u64) -> String {
        format!("{}-c{number}", self.name)
    }

    fn account(&self, number: u64) -> String {
        format!("{}-a{number}", self.name)
    }

    fn run_id(&self, run: u64) -> RequestId {
        RequestId::new(&format!("{}-run{run}", self.name)).unwrap()
    }

    fn screen(&mut self, number: u64, today: i64) {
        if self.model.referrals.contains_key(&number) {
            return;
        }
        let in_review = self.dice.below(3) == 0;
        let (referrer, referee) = sides(number);
        let drafted = draft(&self.conversion(number), &self.account(referrer), &self.account(referee)).change(|c| {
            c.occurred_at = day(today);
            c.value = Money::new(4_900, "EUR").ok();
        });
        self.subject.screen(&if in_review { drafted.decided("review") } else { drafted });
        let reward = Reward::Unpaid;
        self.model.referrals.insert(number, Referral { received: today, in_review, rejected: false, reward });
    }

    fn befall(&mut self, today: i64) {
        let kinds = [
            OutcomeKind::ChargeRefunded,
            OutcomeKind::Chargeback,
            OutcomeKind::SubscriptionCanceled,
            OutcomeKind::AccountBanned,
            OutcomeKind::DisputeWon,
            OutcomeKind::AccountUnbanned,
        ];
        let kind = kinds[usize::try_from(self.dice.below(6)).unwrap()];
        let of_accounts = matches!(kind, OutcomeKind::AccountBanned | OutcomeKind::AccountUnbanned);
        let of_account = of_accounts || self.dice.below(4) == 0;
        let number = self.dice.below(if of_account { ACCOUNTS } else { CONVERSIONS });
        let part = (kind == OutcomeKind::ChargeRefunded && !of_account && self.dice.below(2) == 0)
            .then(|| 1 + i64::try_from(self.dice.below(3_000)).unwrap());
        let happened = today - i64::try_from(self.dice.below(10)).unwrap();
        let id = self.model.told.len() as u64;
        let subject = if of_account {
            OutcomeSubject::Account(account(&self.account(number)))
        } else {
            OutcomeSubject::Conversion(conversion_id(&self.conversion(number)))
        };
        let outcome = Outcome {
            program_id: shop(),
            outcome_id: RecordId::new(&format!("{}-o{id}", self.name)).unwrap(),
            kind,
            subject,
            occurred_at: day(happened),
            amount: part.and_then(|minor| Money::new(minor, "EUR").ok()),
            actor: None,
            note: String::new(),
        };
        let (content, received_at) = (ContentFingerprint([1; 16]), day(today));
        let taken = self.subject.execute(Command::RecordOutcome(OutcomeCommand { outcome, content, received_at }));
        let back: i64 = self
            .model
            .told
            .iter()
            .filter(|told| !told.revoked && !told.of_account && told.number == number)
            .filter_map(|told| told.part)
            .sum();
        let fits = part.is_none_or(|part| !self.model.referrals.contains_key(&number) || back + part <= 4_900);
        assert_eq!(taken.is_ok(), fits, "{taken:?}");
        if fits {
            self.model.told.push(Told { id, kind, of_account, number, day: happened, part, revoked: false });
        } else {
            // Its id names nothing.
            self.model.told.push(Told { id, kind, of_account, number, day: happened, part, revoked: true });
        }
    }

    fn revoke(&mut self, today: i64) {
        if self.model.told.is_empty() {
            return;
        }
        let index = usize::try_from(self.dice.below(self.model.told.len() as u64)).unwrap();
        let id = self.model.told[index].id;
        // What was refused is not known, and what was taken back is taken back once more.
        drop(self.subject.execute(Command::RevokeOutcome(RevokeCommand {
            program_id: shop(),
            outcome_id: RecordId::new(&format!("{}-o{id}", self.name)).unwrap(),
            actor: actor("olga"),
            reason_code: String::new(),
            note: String::new(),
            request: None,
            at: day(today),
        })));
        self.model.told[index].revoked = true;
    }

    fn reserve(&mut self, number: u64, today: i64) {
        self.calls += 1;
        let run = self.calls;
        let id = self.conversion(number);
        let wanted = PayoutWanted { reward_id: reward(&format!("rw-{id}")), conversion_id: conversion_id(&id), amount: None };
        let answers = self.subject.execute(Command::Reserve(ReserveCommand {
            program_id: shop(),
            request: Request { id: self.run_id(run), content: ContentFingerprint([1; 16]) },
            payouts: vec![wanted.clone(), wanted],
            lifetime: Span::from_days(3),
            conversions: Vec::new(),
            at: day(today),
        }));
        let answers = answers.unwrap().done.reserved().unwrap();
        let gates: Vec<Gate> = answers.iter().map(|answer| answer.gate.gate).collect();
        assert_eq!(gates, [self.model.gate(number, today, Some(run)), Gate::Hold], "reserving {id}: {answers:?}");
        if gates[0] == Gate::Release {
            self.model.referrals.get_mut(&number).unwrap().reward = Reward::Reserved { run, until: today + 3 };
        }
    }

    fn pay(&mut self, number: u64, today: i64) {
        let Some(referral) = self.model.referrals.get(&number).cloned() else { return };
        let run = if let Reward::Reserved { run, .. } = referral.reward { Some(run) } else { None };
        let id = self.conversion(number);
        let paid = self.subject.execute(Command::MarkPaid(PaidCommand {
            program_id: shop(),
            conversion_id: conversion_id(&id),
            reward_id: reward(&format!("rw-{id}")),
            reservation_id: run.map(|run| self.run_id(run)),
            paid_at: day(today),
            amount: None,
            request: None,
            received_at: day(today),
        }));
        let against = paid.unwrap().done.paid().and_then(|paid| paid.against_gate);
        let own = matches!(referral.reward, Reward::Reserved { until, .. } if today < until);
        let released = own || self.model.gate(number, today, None) == Gate::Release;
        if referral.reward != Reward::Paid {
            assert_eq!(against.is_none(), released, "paying {id}: {against:?}");
        }
        self.model.referrals.get_mut(&number).unwrap().reward = Reward::Paid;
    }

    fn fail(&mut self, number: u64, today: i64) {
        let Some(referral) = self.model.referrals.get_mut(&number) else { return };
        let under_way = referral.reward != Reward::Unpaid;
        referral.reward = Reward::Unpaid;
        let id = self.conversion(number);
        let failed = self.subject.execute(Command::MarkFailed(FailedCommand {
            program_id: shop(),
            conversion_id: conversion_id(&id),
            reward_id: reward(&format!("rw-{id}")),
            failed_at: day(today),
            reason_code: String::new(),
            note: String::new(),
            request: None,
            received_at: day(today),
        }));
        assert_eq!(failed.is_ok(), under_way, "{failed:?}");
    }

    fn cancel(&mut self, number: u64, today: i64) {
        let Some(Referral { reward: Reward::Reserved { run, .. }, .. }) = self.model.referrals.get(&number).cloned() else {
            return;
        };
        let cancelled = self.subject.execute(Command::ChangeReservation(ReservationCommand {
            program_id: shop(),
            reservation_id: self.run_id(run),
            rewards: Vec::new(),
            change: ReservationChange::Cancel,
            request: None,
            at: day(today),
        }));
        assert!(cancelled.is_ok(), "{cancelled:?}");
        self.model.referrals.get_mut(&number).unwrap().reward = Reward::Unpaid;
    }

    fn hold(&mut self, number: u64) {
        let (hold, on_referrer) = (self.dice.below(3), self.dice.below(2) == 0);
        let number = if on_referrer { number % ACCOUNTS } else { number };
        let id = HoldId::new(&format!("{}-h{hold}-{on_referrer}-{number}", self.name)).unwrap();
        let key = (hold, on_referrer, number);
        if self.model.holds.remove(&key) {
            self.subject.step_hold(HoldStep::Lift(id), "olga").unwrap();
        } else if on_referrer || self.model.referrals.contains_key(&number) {
            let on = if on_referrer {
                HoldSubject::Referrer(account(&self.account(number)))
            } else {
                HoldSubject::Conversion(conversion_id(&self.conversion(number)))
            };
            self.subject.step_hold(HoldStep::Place { hold_id: Some(id), subject: on }, "olga").unwrap();
            self.model.holds.insert(key);
        }
    }

    fn review(&mut self, number: u64, today: i64) {
        let Some(referral) = self.model.referrals.get_mut(&number) else { return };
        let id = format!("{}-c{number}", self.name);
        let minutes = today * 24 * 60;
        let step = if referral.in_review {
            let reject = self.dice.below(2) == 0;
            (referral.in_review, referral.rejected) = (false, reject);
            Step::Resolve(if reject { Resolution::Reject } else { Resolution::Accept })
        } else {
            (referral.in_review, referral.rejected) = (true, false);
            Step::Reopen
        };
        self.subject.step(&id, "rita", minutes, selfsame::book::command::CaseStep::Step(step)).unwrap();
    }

    fn step(&mut self, today: i64) {
        let number = self.dice.below(CONVERSIONS);
        match self.dice.below(12) {
            0 | 1 => self.screen(number, today),
            2 | 3 => self.befall(today),
            4 => self.revoke(today),
            5 | 6 => self.reserve(number, today),
            7 => self.pay(number, today),
            8 => self.fail(number, today),
            9 => self.cancel(number, today),
            10 => self.hold(number),
            _ => self.review(number, today),
        }
    }

    fn compare(&self, today: i64) {
        let policy = PayoutPolicy::after(Span::from_days(DELAY_DAYS));
        for number in 0..CONVERSIONS {
            let id = self.conversion(number);
            self.subject.settled(&id);
            let name = reward(&format!("rw-{id}"));
            let standing = self.subject.standing(&id);
            let answer = gate::check(standing.as_ref(), &name, Asker::Anybody, &policy, day(today));
            let wanted = self.model.gate(number, today, None);
            assert_eq!(answer.gate, wanted, "{id} on day {today}: {answer:?} of {standing:?}, told {:?}", self.model.told);
        }
    }
}

pub(crate) fn random_steps_end_where_the_model_says(subject: &Subject) {
    for seed in 0..12 {
        let mut game =
            Game { subject, name: format!("g{seed}"), model: Model::default(), dice: Dice(seed * 7_919 + 1), calls: 0 };
        for today in 0..STEPS {
            // The programme's clock never steps back, and other games were played before.
            let today = i64::try_from(seed).unwrap() * STEPS + today;
            game.step(today);
            game.compare(today);
        }
    }
}
