//! `selfsame payout`: asks the gate, reserves, and tells what was paid, by hand. What a payer does by itself over the API, in the same calls.

use clap::{Args, Subcommand};
use uuid::Uuid;

use super::answer::{AnswerForm, print};
use super::client::{Client, DeskArgs, MoneyArg, TimeArgs, block_on, readable};
use super::named::Named as _;
use super::table::table;
use crate::wire::v1;
use crate::wire::v1::payout_service_client::PayoutServiceClient;
use crate::wire::words::{at_time, money};

const EXAMPLES: &str = "\
Examples:
  May it be paid? Nothing is changed by asking:
    selfsame payout --program shop check --conversion cv-7 reward-7

  Pay one by hand: nobody else pays what is reserved; tell what came of it:
    selfsame payout --program shop reserve --conversion cv-7 reward-7 --minutes 30
    selfsame payout --program shop paid --conversion cv-7 reward-7 --reservation RESERVATION
    selfsame payout --program shop failed --conversion cv-7 reward-7 --reason account_closed

  What happened, as JSON lines, from the beginning to now:
    selfsame payout --program shop feed";

/// Ask the gate, reserve rewards, tell what was paid
///
/// Only `release` pays. Whoever pays reserves first, pays, and then tells: what is reserved is nobody else's.
#[derive(Debug, Clone, Args)]
#[command(after_long_help = EXAMPLES, after_help = "Try --help for examples.", arg_required_else_help = true)]
pub struct PayoutArgs {
    #[command(flatten)]
    desk: DeskArgs,
    #[command(subcommand)]
    step: PayoutStep,
}

#[derive(Debug, Clone, Subcommand)]
enum PayoutStep {
    /// Ask the gate
    Check(RewardsArgs),
    /// Ask the gate, and reserve what it releases
    Reserve(ReserveArgs),
    /// Make a reservation last longer
    Renew(ReservationArgs),
    /// Give a reservation back
    Cancel(ReservationArgs),
    /// Tell that a reward was paid
    Paid(PaidArgs),
    /// Tell that a payment did not arrive
    Failed(FailedArgs),
    /// Print the feed from its beginning, or from a cursor, to its end: one JSON object a line
    Feed {
        /// What came after this
        #[arg(long, value_name = "CURSOR", default_value = "", hide_default_value = true)]
        after_cursor: String,
        /// Go on as more happens
        #[arg(long)]
        follow: bool,
    },
}

#[derive(Debug, Clone, Args)]
struct RewardsArgs {
    /// The conversion that they hang on
    #[arg(long, value_name = "ID")]
    conversion: String,
    /// The rewards
    #[arg(value_name = "REWARD", required = true)]
    rewards: Vec<String>,
}

#[derive(Debug, Clone, Args)]
struct ReserveArgs {
    #[command(flatten)]
    rewards: RewardsArgs,
    /// Your id of the reservation: again it is answered with what it holds by now; one is made without it
    #[arg(long, value_name = "ID")]
    reservation: Option<String>,
    /// How long it lasts [default: 15]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_440))]
    minutes: Option<u32>,
}

#[derive(Debug, Clone, Args)]
struct ReservationArgs {
    /// The reservation
    #[arg(value_name = "RESERVATION")]
    reservation: String,
    /// Of its rewards only these
    #[arg(value_name = "REWARD")]
    rewards: Vec<String>,
    /// How long it lasts from now on [default: 15]; for `renew`
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_440))]
    minutes: Option<u32>,
}

#[derive(Debug, Clone, Args)]
struct PaidArgs {
    /// The conversion that it hangs on
    #[arg(long, value_name = "ID")]
    conversion: String,
    /// The reward
    #[arg(value_name = "REWARD")]
    reward: String,
    /// The reservation that it settles; without one the gate is asked, and what it says against it is told
    #[arg(long, default_value = "", hide_default_value = true, value_name = "ID")]
    reservation: String,
    #[command(flatten)]
    amount: MoneyArg,
    #[command(flatten)]
    at: TimeArgs,
}

#[derive(Debug, Clone, Args)]
struct FailedArgs {
    /// The conversion that it hangs on
    #[arg(long, value_name = "ID")]
    conversion: String,
    /// The reward
    #[arg(value_name = "REWARD")]
    reward: String,
    /// Why, as a code of your own, like `account_closed`
    #[arg(long, default_value = "", hide_default_value = true, value_name = "CODE")]
    reason: String,
    /// Why, in words; no personal data
    #[arg(long, default_value = "", hide_default_value = true)]
    note: String,
    #[command(flatten)]
    at: TimeArgs,
}

/// Runs the command.
///
/// # Errors
/// When nobody answers, or the server refuses.
pub fn run(args: &PayoutArgs) -> anyhow::Result<()> {
    let PayoutArgs { desk, step } = args.clone();
    block_on(async move {
        let program_id = desk.server.program()?;
        let client = PayoutServiceClient::new(desk.connect().await?);
        Payer { client, program_id, form: desk.answer.output }.run(step).await
    })
}

/// A payer's place: a connection and a programme.
struct Payer {
    client: PayoutServiceClient<Client>,
    program_id: String,
    form: AnswerForm,
}

impl Payer {
    async fn run(self, step: PayoutStep) -> anyhow::Result<()> {
        match step {
            PayoutStep::Check(args) => self.check(args).await,
            PayoutStep::Reserve(args) => self.reserve(args).await,
            PayoutStep::Renew(args) => self.renew(args).await,
            PayoutStep::Cancel(args) => self.cancel(args).await,
            PayoutStep::Paid(args) => self.paid(args).await,
            PayoutStep::Failed(args) => self.failed(args).await,
            PayoutStep::Feed { after_cursor, follow } => self.feed(after_cursor, follow).await,
        }
    }

    async fn check(mut self, RewardsArgs { conversion, rewards }: RewardsArgs) -> anyhow::Result<()> {
        let query = |reward_id| v1::PayoutQuery { reward_id, conversion_id: conversion.clone() };
        let request = v1::CheckPayoutsRequest { program_id: self.program_id, payouts: rewards.into_iter().map(query).collect() };
        let answer = self.client.check_payouts(request).await.map_err(readable)?.into_inner();
        print(self.form, &answer, |answer| gates(answer.answers.iter()))
    }

    async fn reserve(mut self, args: ReserveArgs) -> anyhow::Result<()> {
        let ReserveArgs { rewards: RewardsArgs { conversion, rewards }, reservation, minutes } = args;
        let wanted = |reward_id| v1::PayoutWanted { reward_id, conversion_id: conversion.clone(), amount: None };
        let request = v1::ReservePayoutsRequest {
            program_id: self.program_id,
            request_id: reservation.unwrap_or_else(|| format!("by-hand-{}", Uuid::now_v7())),
            payouts: rewards.into_iter().map(wanted).collect(),
            lifetime: minutes.map(lifetime),
        };
        let answer = self.client.reserve_payouts(request).await.map_err(readable)?.into_inner();
        print(self.form, &answer, |answer| {
            let until = answer.answers.iter().find_map(|answer| answer.reserved_until.as_ref());
            let gates = gates(answer.answers.iter().filter_map(|answer| answer.gate.as_ref()));
            match until {
                Some(until) => format!("{gates}reserved as {} until {}", answer.reservation_id, at_time(Some(until))),
                None => format!("{gates}nothing is reserved"),
            }
        })
    }

    async fn renew(mut self, args: ReservationArgs) -> anyhow::Result<()> {
        let ReservationArgs { reservation: reservation_id, rewards: reward_ids, minutes } = args;
        let (program_id, request_id, lifetime) = (self.program_id, String::new(), minutes.map(lifetime));
        let request = v1::RenewReservationRequest { program_id, reservation_id, reward_ids, lifetime, request_id };
        let answer = self.client.renew_reservation(request).await.map_err(readable)?.into_inner();
        print(self.form, &answer, |_| "it lasts longer".to_owned())
    }

    async fn cancel(mut self, args: ReservationArgs) -> anyhow::Result<()> {
        let ReservationArgs { reservation: reservation_id, rewards: reward_ids, minutes: _ } = args;
        let request =
            v1::CancelReservationRequest { program_id: self.program_id, reservation_id, reward_ids, request_id: String::new() };
        let answer = self.client.cancel_reservation(request).await.map_err(readable)?.into_inner();
        print(self.form, &answer, |answer| {
            if answer.replayed { "nothing was left in it" } else { "its rewards are unpaid and free" }.to_owned()
        })
    }

    async fn paid(mut self, args: PaidArgs) -> anyhow::Result<()> {
        let PaidArgs { conversion: conversion_id, reward: reward_id, reservation: reservation_id, amount, at } = args;
        let request = v1::MarkPaidRequest {
            program_id: self.program_id,
            reward_id,
            conversion_id,
            paid_at: Some(at.message()),
            amount: amount.message(),
            reservation_id,
            request_id: String::new(),
        };
        let answer = self.client.mark_paid(request).await.map_err(readable)?.into_inner();
        print(self.form, &answer, |answer| {
            let v1::MarkPaidResponse { replayed, amount, sentence, warnings, .. } = answer;
            let again = if *replayed { ", as was told before" } else { "" };
            let against = if sentence.is_empty() { String::new() } else { format!("\nAGAINST THE GATE: {sentence}") };
            let mut text = format!("paid {}{again}{against}", money(amount.as_slice()));
            for warning in warnings {
                text += &format!("\nnote: {warning}");
            }
            text
        })
    }

    async fn failed(mut self, args: FailedArgs) -> anyhow::Result<()> {
        let FailedArgs { conversion: conversion_id, reward: reward_id, reason: reason_code, note, at } = args;
        let (program_id, failed_at, request_id) = (self.program_id, Some(at.message()), String::new());
        let request = v1::MarkFailedRequest { program_id, reward_id, conversion_id, failed_at, reason_code, note, request_id };
        let answer = self.client.mark_failed(request).await.map_err(readable)?.into_inner();
        print(self.form, &answer, |_| "the reward is unpaid again".to_owned())
    }

    async fn feed(mut self, after_cursor: String, follow: bool) -> anyhow::Result<()> {
        let mode = if follow { v1::WatchMode::Follow } else { v1::WatchMode::StopAtEnd };
        let request = v1::WatchDecisionsRequest {
            program_id: self.program_id,
            after_cursor,
            mode: Some(mode.into()),
            ..Default::default()
        };
        let mut messages = self.client.watch_decisions(request).await.map_err(readable)?.into_inner();
        while let Some(message) = messages.message().await.map_err(readable)? {
            for event in &message.events {
                print(AnswerForm::Json, event, |_| String::new())?;
            }
        }
        Ok(())
    }
}

fn lifetime(minutes: u32) -> pbjson_types::Duration {
    pbjson_types::Duration { seconds: i64::from(minutes) * 60, nanos: 0 }
}

fn gates<'a>(answers: impl Iterator<Item = &'a v1::GateAnswer>) -> String {
    let row = |answer: &v1::GateAnswer| {
        let v1::GateAnswer { reward_id, sentence, hold_until, payable, .. } = answer;
        let again = hold_until.as_ref().map(|at| format!("ask again at {}", at_time(Some(at)))).unwrap_or_default();
        vec![reward_id.clone(), answer.gate().word().to_uppercase(), money(payable.as_slice()), sentence.clone(), again]
    };
    table(&answers.map(row).collect::<Vec<_>>())
}
