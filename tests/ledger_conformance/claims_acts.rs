//! Claims about acts that a second identity confirms: what waits, who may confirm it, and what is done then.

use std::collections::BTreeMap;

use selfsame::book::Refusal;
use selfsame::book::acts::{Cause, Confirmation, PendingAct};
use selfsame::book::command::{
    CaseCommand, CaseStep, Change, Command, Done, Executed, HoldCommand, HoldStep, ListCommand, ModelsCommand, ModelsStep,
    OutcomeCommand, ProposeCommand, Request, RevokeCommand, SettleCommand, Settlement,
};
use selfsame::book::models::ModelName;
use selfsame::book::records::{ContentFingerprint, Freshness, HistoryKind, HoldSubject, ListEntry, ListSubject};
use selfsame::ports::ledger::LedgerError;
use selfsame::screening::case::{Resolution, Step};
use selfsame::screening::decision::Verdict;
use selfsame::screening::gate::Gate;
use selfsame::screening::history::ListKind;
use selfsame::vocabulary::ids::{ActId, RecordId, RequestId};
use selfsame::vocabulary::money::{Currency, Money};
use selfsame::vocabulary::outcome::{Outcome, OutcomeKind, OutcomeSubject};
use selfsame::vocabulary::time::Span;

use crate::subject::{Draft, Subject, account, actor, blocked, case_id, conversion_id, draft, minute, model, page, shop};

/// More than 100.00 EUR, unbans, models; an act waits for a day.
fn everything_asked() -> Confirmation {
    let above = BTreeMap::from([(Currency::new("EUR").unwrap(), 10_000)]);
    Confirmation { above, unbans: true, models: true, terms: true, lifetime: Span::from_days(1) }
}

fn propose(subject: &Subject, by: &str, command: Command) -> Result<Executed, LedgerError> {
    let (command, proposer) = (Box::new(command), actor(by));
    subject.execute(Command::Propose(Box::new(ProposeCommand { command, proposer, confirmation: everything_asked() })))
}

/// What waits because of this command, which is not done.
fn proposed(subject: &Subject, by: &str, command: Command) -> PendingAct {
    match propose(subject, by, command).unwrap().done {
        Done::Proposed(pending) => *pending,
        done => panic!("it was done: {done:?}"),
    }
}

fn settle(subject: &Subject, id: &ActId, settlement: Settlement, by: &str, at: i64) -> Result<Executed, LedgerError> {
    settle_as(subject, id, settlement, by, at, None)
}

fn settle_as(
    subject: &Subject,
    id: &ActId,
    settlement: Settlement,
    by: &str,
    at: i64,
    request: Option<Request>,
) -> Result<Executed, LedgerError> {
    let (program_id, act_id, actor, at) = (shop(), id.clone(), actor(by), minute(at));
    let note = "looked at it too".to_owned();
    subject.execute(Command::SettleAct(SettleCommand {
        program_id,
        act_id,
        settlement,
        actor,
        note,
        request,
        prepared: None,
        at,
    }))
}

fn waiting(subject: &Subject, at: i64) -> Vec<ActId> {
    let page = subject.ledger.pending_acts(&shop(), &page(500), minute(at)).unwrap();
    page.entries.into_iter().map(|pending| pending.id).collect()
}

fn accept(id: &str, request: Option<Request>) -> Command {
    let step = CaseCommand {
        program_id: shop(),
        case_id: case_id(id),
        step: CaseStep::Step(Step::Resolve(Resolution::Accept)),
        actor: actor("rita"),
        reason_code: "same_household".to_owned(),
        note: "a couple".to_owned(),
        expected_revision: None,
        request,
        at: minute(60),
    };
    Command::StepCase(Box::new(step), None)
}

fn lift(step: HoldStep) -> Command {
    let (program_id, actor, note) = (shop(), actor("olga"), String::new());
    Command::ChangeHold(HoldCommand { program_id, step, actor, note, request: None, at: minute(80) })
}

fn list(entry: ListEntry, change: Change) -> Command {
    Command::ChangeList(ListCommand { program_id: shop(), entry, change, request: None })
}

fn activate(version: &str) -> Command {
    let (step, default) = (ModelsStep::Activate(model(version)), model("shipped"));
    let (actor, note, request) = (actor("dana"), "measured".to_owned(), None);
    Command::ChangeModels(ModelsCommand { program_id: shop(), step, default, actor, note, request, at: minute(5) })
}

fn of_account(id: &str, kind: OutcomeKind, who: &str) -> Command {
    let outcome = Outcome {
        program_id: shop(),
        outcome_id: RecordId::new(id).unwrap(),
        kind,
        subject: OutcomeSubject::Account(account(who)),
        occurred_at: minute(70),
        amount: None,
        actor: None,
        note: String::new(),
    };
    Command::RecordOutcome(OutcomeCommand { outcome, content: ContentFingerprint([6; 16]), received_at: minute(71) })
}

/// In review, and worth so much of a currency; `None` when nobody said.
fn worth(id: &str, amount: Option<(i64, &str)>) -> Draft {
    let amount = amount.map(|(minor, currency)| Money::new(minor, currency).unwrap());
    draft(id, &format!("r-{id}"), &format!("e-{id}")).decided("review").change(|c| c.rewards[0].amount = amount)
}

fn call(id: &str) -> Request {
    Request { id: RequestId::new(id).unwrap(), content: ContentFingerprint([5; 16]) }
}

pub(crate) fn much_money_is_let_go_by_two_and_the_proposer_is_not_the_second(subject: &Subject) {
    subject.screen(&worth("much", Some((10_001, "EUR"))));
    let pending = proposed(subject, "rita", accept("much", Some(call("c-1"))));
    assert_eq!((pending.cause, &pending.proposer), (Cause::Amount, &actor("rita")));
    assert_eq!((waiting(subject, 61), subject.gate("much")), (vec![pending.id.clone()], Gate::Hold));
    let own = settle(subject, &pending.id, Settlement::Confirm, "rita", 62);
    assert!(matches!(own, Err(LedgerError::Refused(Refusal::OwnAct))), "{own:?}");
    assert!(matches!(settle(subject, &pending.id, Settlement::Refuse, "rita", 62), Err(LedgerError::Refused(_))));
    // Sent again, with the id of the call and without, it waits once.
    for request in [Some(call("c-1")), None] {
        let again = propose(subject, "rita", accept("much", request)).unwrap();
        assert_eq!((again.freshness, again.done.proposed().map(|act| &act.id)), (Freshness::Replayed, Some(&pending.id)));
    }
    let before = subject.feed().len();
    let confirmed = settle_as(subject, &pending.id, Settlement::Confirm, "lena", 63, Some(call("c-2"))).unwrap();
    let Done::Stepped(case) = &confirmed.done else { panic!("{:?}", confirmed.done) };
    assert_eq!(case.conversion_id, conversion_id("much"));
    assert_eq!((waiting(subject, 64), subject.feed().len()), (vec![], before + 1));
    assert_eq!(subject.standing("much").unwrap().verdict, Verdict::Approved);
    let file = subject.ledger.case(&shop(), &case_id("much"), minute(65)).unwrap().unwrap();
    let told: Vec<_> = file.history.iter().filter_map(|entry| Some((entry.kind, entry.actor.as_ref()?.to_string()))).collect();
    let of = |kind, name: &str| (kind, name.to_owned());
    let expected = [of(HistoryKind::Proposed, "rita"), of(HistoryKind::Confirmed, "lena"), of(HistoryKind::Resolved, "rita")];
    assert!(told.ends_with(&expected), "{told:?}");
    let again = settle_as(subject, &pending.id, Settlement::Confirm, "lena", 66, Some(call("c-2"))).unwrap();
    assert_eq!(again.freshness, Freshness::Replayed);
    let gone = settle(subject, &pending.id, Settlement::Confirm, "lena", 67);
    assert!(matches!(gone, Err(LedgerError::Refused(Refusal::NotFound { .. }))), "{gone:?}");
}

pub(crate) fn what_is_not_known_to_be_little_is_much(subject: &Subject) {
    for (id, amount, waits) in
        [("little", Some((10_000, "EUR")), false), ("elsewhere", Some((1, "CHF")), true), ("unsaid", None, true)]
    {
        subject.screen(&worth(id, amount));
        let done = propose(subject, "rita", accept(id, None)).unwrap().done;
        assert_eq!(done.proposed().is_some(), waits, "{id}: {done:?}");
    }
    // A rejection lets nothing go.
    subject.screen(&worth("rejected", Some((90_000, "EUR"))));
    let Command::StepCase(mut reject, none) = accept("rejected", None) else { unreachable!() };
    reject.step = CaseStep::Step(Step::Resolve(Resolution::Reject));
    assert!(propose(subject, "rita", Command::StepCase(reject, none)).unwrap().done.proposed().is_none());
    // A hold on a referrer holds all that he ever earns.
    subject.change_hold(HoldSubject::Referrer(account("r-little")), Change::Place);
    let referrer = HoldStep::LiftOwn(HoldSubject::Referrer(account("r-little")));
    let pending = proposed(subject, "olga", lift(referrer));
    assert_eq!(subject.ledger.holds(&shop(), &page(10)).unwrap().entries.len(), 1);
    settle(subject, &pending.id, Settlement::Confirm, "lena", 81).unwrap();
    assert!(subject.ledger.holds(&shop(), &page(10)).unwrap().entries.is_empty());
}

pub(crate) fn whoever_was_kept_out_is_let_in_again_by_two(subject: &Subject) {
    let entry = || blocked(ListSubject::Account(account("zoe")));
    assert!(propose(subject, "olga", list(entry(), Change::Place)).unwrap().done.proposed().is_none(), "blocking needs one");
    let listed = |subject: &Subject| subject.ledger.list_entry(&shop(), ListKind::Blocked, &entry().subject).unwrap();
    let lifted = proposed(subject, "olga", list(entry(), Change::Lift));
    let shortened = ListEntry { expires_at: Some(minute(1_000)), ..entry() };
    let sooner = proposed(subject, "olga", list(shortened, Change::Place));
    assert_eq!([lifted.cause, sooner.cause], [Cause::Unban; 2]);
    assert!(listed(subject).is_some_and(|entry| entry.expires_at.is_none()));
    settle(subject, &sooner.id, Settlement::Confirm, "lena", 2).unwrap();
    assert_eq!(listed(subject).unwrap().expires_at, Some(minute(1_000)));
    settle(subject, &lifted.id, Settlement::Confirm, "lena", 3).unwrap();
    assert!(listed(subject).is_none());

    subject.screen(&draft("c", "ann", "ben").decided("review").change(|c| c.rewards.clear()));
    propose(subject, "backend", of_account("ban", OutcomeKind::AccountBanned, "ann")).unwrap();
    let banned = |subject: &Subject| subject.standing("c").unwrap().cancelled.is_some();
    assert!(banned(subject), "a ban needs one");
    let reopened = proposed(subject, "backend", of_account("unban", OutcomeKind::AccountUnbanned, "ann"));
    let (program_id, outcome_id, actor) = (shop(), RecordId::new("ban").unwrap(), actor("lena"));
    let (reason_code, note, request, at) = ("mistake".to_owned(), String::new(), None, minute(72));
    let revoke = RevokeCommand { program_id, outcome_id, actor, reason_code, note, request, at };
    let revoked = proposed(subject, "lena", Command::RevokeOutcome(revoke));
    let accepted = proposed(subject, "rita", accept("c", None));
    assert_eq!([reopened.cause, revoked.cause, accepted.cause], [Cause::Unban; 3]);
    assert!(banned(subject));
    settle(subject, &reopened.id, Settlement::Confirm, "lena", 73).unwrap();
    assert!(!banned(subject));
    assert_eq!(waiting(subject, 74), [revoked.id, accepted.id]);
    let sent_again = propose(subject, "backend", of_account("unban", OutcomeKind::AccountUnbanned, "ann")).unwrap();
    assert_eq!(sent_again.freshness, Freshness::Replayed, "an outcome is taken once, also when it was confirmed");
}

pub(crate) fn a_model_decides_once_two_want_it(subject: &Subject) {
    let active = |subject: &Subject| subject.models().choices().map(|choices| choices.active.clone());
    let pending = proposed(subject, "dana", activate("m-1"));
    assert_eq!((pending.cause, active(subject)), (Cause::Model, None));
    let confirmed = settle(subject, &pending.id, Settlement::Confirm, "tom", 6).unwrap();
    let m1: ModelName = model("m-1");
    assert_eq!((confirmed.done.previous_model(), active(subject)), (Some(model("shipped")), Some(m1)));
    let changes: Vec<_> = subject.models().changes().filter_map(|change| Some(change.actor.as_ref()?.to_string())).collect();
    assert_eq!(changes, ["dana"]);
}

pub(crate) fn an_act_ends_by_itself_or_is_refused_or_withdrawn(subject: &Subject) {
    for id in ["a", "b", "c"] {
        subject.screen(&worth(id, Some((20_000, "EUR"))));
    }
    let [a, b, c] = ["a", "b", "c"].map(|id| proposed(subject, "rita", accept(id, None)).id);
    settle(subject, &a, Settlement::Refuse, "lena", 61).unwrap();
    let foreign = settle(subject, &b, Settlement::Withdraw, "lena", 62);
    assert!(matches!(foreign, Err(LedgerError::Refused(Refusal::NotPossible(_)))), "{foreign:?}");
    settle(subject, &b, Settlement::Withdraw, "rita", 62).unwrap();
    assert_eq!(waiting(subject, 63), std::slice::from_ref(&c));
    let day = 24 * 60;
    assert_eq!(waiting(subject, 60 + day), []);
    let late = settle(subject, &c, Settlement::Confirm, "lena", 60 + day);
    assert!(matches!(late, Err(LedgerError::Refused(Refusal::NotFound { .. }))), "{late:?}");
    for id in ["a", "b", "c"] {
        assert_eq!(subject.gate(id), Gate::Hold, "{id}");
    }
}

pub(crate) fn what_cannot_be_done_any_more_is_told_to_who_confirms(subject: &Subject) {
    subject.screen(&worth("much", Some((20_000, "EUR"))));
    let pending = proposed(subject, "rita", accept("much", None));
    subject.resolve("much", Resolution::Reject);
    let refused = settle(subject, &pending.id, Settlement::Confirm, "lena", 91);
    assert!(matches!(refused, Err(LedgerError::Refused(Refusal::IllegalStep(_)))), "{refused:?}");
    assert_eq!(waiting(subject, 92), std::slice::from_ref(&pending.id), "it waits on, until it is withdrawn");
    let impossible = propose(subject, "rita", accept("much", None));
    assert!(matches!(impossible, Err(LedgerError::Refused(Refusal::IllegalStep(_)))), "{impossible:?}");
    let unknown = propose(subject, "rita", accept("nothing", None));
    assert!(matches!(unknown, Err(LedgerError::Refused(Refusal::NotFound { .. }))), "{unknown:?}");
}

/// Something of every act, for suites that compare a ledger with itself.
pub(crate) fn play_with_acts(subject: &Subject) {
    for id in ["w-1", "w-2", "w-3"] {
        subject.screen(&worth(id, Some((20_000, "EUR"))).at(92));
    }
    let [first, second] = ["w-1", "w-2"].map(|id| {
        let Command::StepCase(mut step, none) = accept(id, None) else { unreachable!() };
        step.at = minute(93);
        proposed(subject, "rita", Command::StepCase(step, none)).id
    });
    settle(subject, &first, Settlement::Confirm, "lena", 94).unwrap();
    settle(subject, &second, Settlement::Refuse, "lena", 94).unwrap();
    let Command::StepCase(mut step, none) = accept("w-3", None) else { unreachable!() };
    step.at = minute(95);
    proposed(subject, "rita", Command::StepCase(step, none));
}
