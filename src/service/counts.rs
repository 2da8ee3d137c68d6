//! What the handlers answered, in figures: verdicts, what could be compared, the gate's answers, money, items of streams.
//!
//! Labels hold methods, codes, verdicts, reasons, currencies, programmes and key ids, the last two of a bounded number; never an id of anything else.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures::Stream;
use futures::stream::BoxStream;
use metrics::{Gauge, counter, gauge};
use tonic::{Code, Status};

use super::limits::code_name;
use super::shared::Shared;
use super::told::{self, Lines};
use crate::book::command::PayoutWanted;
use crate::book::records::{DecisionRecord, PaidAnswer, ReserveAnswer};
use crate::ports::labels;
use crate::screening::comparability::Comparability;
use crate::screening::decision::{Decision, Verdict};
use crate::screening::gate::{Gate, GateAnswer};
use crate::vocabulary::ids::ProgramId;
use crate::vocabulary::money::Money;
use crate::wire::payout::gate_reason_name;

/// Money in minor units that went a way: of the rewards of what was screened by verdict, of what a payer asked for by the gate's answer, and of what it
/// marked.
const REWARDS: &str = "selfsame_rewards_minor_total";
const RESERVED: &str = "selfsame_reserve_minor_total";
const PAID: &str = "selfsame_paid_minor_total";

/// A decision that is new: its verdict with what decided first, its rewards, and what of it could be compared, by key id.
pub(super) fn decided(program: &ProgramId, record: &DecisionRecord) {
    let DecisionRecord { conversion, decision, .. } = record;
    let program = labels::program(program);
    let verdict = verdict_name(decision.verdict);
    counter!("selfsame_verdicts_total", "program" => program.clone(), "verdict" => verdict, "reason" => first_reason(decision))
        .increment(1);
    for amount in conversion.rewards.iter().filter_map(|reward| reward.amount) {
        let (currency, minor) = labelled(amount);
        counter!(REWARDS, "program" => program.clone(), "verdict" => verdict, "currency" => currency).increment(minor);
    }
    compared(&program, &decision.comparability);
}

/// The code that stands first among the reasons; `none` when nothing spoke against it.
pub(super) fn first_reason(decision: &Decision) -> &'static str {
    decision.reasons.first().map_or("none", |reason| reason.code.dotted())
}

pub(super) const fn verdict_name(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Approved => "APPROVED",
        Verdict::InReview => "IN_REVIEW",
        Verdict::Rejected => "REJECTED",
    }
}

/// Every key id that one of the sides used counts once, with whether anything could be compared at all.
fn compared(program: &metrics::SharedString, comparability: &Comparability) {
    let could = if comparability.want().is_none() { "yes" } else { "no" };
    for key in comparability.key_ids() {
        let key = labels::key(key);
        counter!("selfsame_compared_total", "program" => program.clone(), "key_id" => key, "compared" => could).increment(1);
    }
}

/// What a caller asked the gate for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asked {
    /// It looked.
    Check,
    /// It is about to pay.
    Reserve,
}

/// An answer of the gate.
pub(super) fn gate_answered(program: &ProgramId, asked: Asked, answer: &GateAnswer) {
    let asked = match asked {
        Asked::Check => "check",
        Asked::Reserve => "reserve",
    };
    let program = labels::program(program);
    let (gate, reason) = (gate_name(answer.gate), gate_reason_name(&answer.reason));
    counter!("selfsame_gate_answers_total", "program" => program, "asked" => asked, "gate" => gate, "reason" => reason)
        .increment(1);
}

const fn gate_name(gate: Gate) -> &'static str {
    match gate {
        Gate::Release => "RELEASE",
        Gate::Hold => "HOLD",
        Gate::Deny => "DENY",
    }
}

/// What a payer's call came to: the gate's answers, with what was reserved of each, or what was asked for and is held or denied.
pub(super) fn reserve_answered(program: &ProgramId, wanted: &[PayoutWanted], answers: &[ReserveAnswer]) {
    for (wanted, answer) in wanted.iter().zip(answers) {
        gate_answered(program, Asked::Reserve, &answer.gate);
        let money = match answer.gate.gate {
            Gate::Release => answer.amount,
            Gate::Hold | Gate::Deny => wanted.amount,
        };
        if let Some(money) = money {
            let (currency, minor) = labelled(money);
            let gate = gate_name(answer.gate.gate);
            counter!(RESERVED, "program" => labels::program(program), "gate" => gate, "currency" => currency).increment(minor);
        }
    }
}

/// A payment that was marked.
pub(super) fn paid(program: &ProgramId, answer: &PaidAnswer) {
    if let Some(money) = answer.amount {
        let (currency, minor) = labelled(money);
        counter!(PAID, "program" => labels::program(program), "currency" => currency).increment(minor);
    }
}

/// The currency, and the amount in its minor unit.
fn labelled(money: Money) -> (String, u64) {
    (money.currency().as_str().to_owned(), u64::try_from(money.amount_minor()).unwrap_or(0))
}

/// One item of a stream; `code` is its own, not that of the stream.
pub(super) fn item(method: &'static str, code: Code) {
    counter!("selfsame_stream_items_total", "method" => method, "code" => code_name(code)).increment(1);
}

/// The stream of a method with its place, which is given back when the stream is dropped. `code_of` tells the code of an item that did not end it.
pub(super) fn counted<T: Send + 'static, P: Send + Unpin + 'static>(
    shared: &Shared,
    method: &'static str,
    place: P,
    stream: impl Stream<Item = Result<T, Status>> + Send + 'static,
    code_of: impl Fn(&T) -> Code + Send + Unpin + 'static,
) -> BoxStream<'static, Result<T, Status>> {
    Box::pin(Counted::new(Arc::clone(&shared.refusal_lines), method, place, stream, code_of))
}

/// As every item of a stream is that has no code of its own.
pub(super) const fn fine<T>(_: &T) -> Code {
    Code::Ok
}

struct Counted<S, F, P> {
    stream: Pin<Box<S>>,
    method: &'static str,
    code_of: F,
    open: Gauge,
    refusals: Arc<Lines>,
    _place: P,
}

impl<S, F, P> Counted<S, F, P> {
    fn new(refusals: Arc<Lines>, method: &'static str, place: P, stream: S, code_of: F) -> Self {
        let open = gauge!("selfsame_streams_open", "method" => method);
        open.increment(1.0);
        Self { stream: Box::pin(stream), method, code_of, open, refusals, _place: place }
    }
}

impl<T, S: Stream<Item = Result<T, Status>>, F: Fn(&T) -> Code + Unpin, P: Unpin> Stream for Counted<S, F, P> {
    type Item = Result<T, Status>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let next = self.stream.as_mut().poll_next(context);
        if let Poll::Ready(Some(next)) = &next {
            item(self.method, next.as_ref().map_or_else(Status::code, &self.code_of));
            if let Err(status) = next {
                told::refused(&self.refusals, self.method, status);
            }
        }
        next
    }
}

impl<S, F, P> Drop for Counted<S, F, P> {
    fn drop(&mut self) {
        self.open.decrement(1.0);
    }
}

#[cfg(test)]
mod tests {
    use futures::StreamExt;
    use metrics_exporter_prometheus::PrometheusBuilder;
    use tokio::sync::Semaphore;

    use super::*;
    use crate::screening::gate::GateReason;
    use crate::vocabulary::ids::{ConversionId, RewardId};

    fn shown(count: impl FnOnce()) -> String {
        let recorder = PrometheusBuilder::new().build_recorder();
        let shown = recorder.handle();
        metrics::with_local_recorder(&recorder, count);
        shown.render()
    }

    fn holds(shown: &str, lines: &[&str]) {
        for line in lines {
            assert!(shown.contains(line), "{line} is not in:\n{shown}");
        }
    }

    #[test]
    fn what_is_released_counts_as_reserved_and_what_is_held_as_asked_for() {
        let shop = ProgramId::new("shop").unwrap();
        let euro = |minor| Money::new(minor, "EUR").unwrap();
        let (reward_id, conversion_id) = (RewardId::new("r").unwrap(), ConversionId::new("c").unwrap());
        let wanted =
            || PayoutWanted { reward_id: reward_id.clone(), conversion_id: conversion_id.clone(), amount: Some(euro(500)) };
        let answer = |gate, reason, amount| ReserveAnswer {
            reward_id: reward_id.clone(),
            conversion_id: conversion_id.clone(),
            gate: GateAnswer { gate, reason, hold_until: None, payable: amount },
            reserved_until: None,
            amount,
        };
        let answers =
            [answer(Gate::Release, GateReason::Cleared, Some(euro(390))), answer(Gate::Hold, GateReason::DelayRunning, None)];
        let shown = shown(|| reserve_answered(&shop, &[wanted(), wanted()], &answers));
        holds(
            &shown,
            &[
                r#"selfsame_gate_answers_total{program="shop",asked="reserve",gate="HOLD",reason="DELAY_RUNNING"} 1"#,
                r#"selfsame_reserve_minor_total{program="shop",gate="RELEASE",currency="EUR"} 390"#,
                r#"selfsame_reserve_minor_total{program="shop",gate="HOLD",currency="EUR"} 500"#,
            ],
        );
    }

    #[test]
    fn items_of_a_stream_are_counted_by_their_code_and_its_place_is_given_back() {
        let places = Arc::new(Semaphore::new(1));
        let text = shown(|| {
            let place = Arc::clone(&places).try_acquire_owned().unwrap();
            let items = futures::stream::iter([Ok(Code::Ok), Ok(Code::NotFound), Err(Status::unavailable("ends"))]);
            let stream = Counted::new(Arc::new(Lines::new(0)), "X/Y", place, items, |code: &Code| *code);
            assert_eq!(places.available_permits(), 0);
            futures::executor::block_on(stream.collect::<Vec<_>>());
        });
        assert_eq!(places.available_permits(), 1);
        let line = |code| format!(r#"selfsame_stream_items_total{{method="X/Y",code="{code}"}} 1"#);
        holds(&text, &[&line("OK"), &line("NOT_FOUND"), &line("UNAVAILABLE"), r#"selfsame_streams_open{method="X/Y"} 0"#]);
    }
}
