/**
 * Reserve, pay, mark: how rewards are paid so that none is paid twice, whatever breaks in between.
 *
 * Store the id of the run and its rewards before the first call. After a crash call `payRewards` again with the same id and the same rewards:
 *
 * | it broke | what the same call does next time |
 * |---|---|
 * | before or while reserving | reserves, or is told what it holds |
 * | while paying | renews the reservation, and pays under the same key: your provider answers as the first time |
 * | between paying and marking | the same; then it marks |
 * | while marking | is told that the reward is paid |
 * | and the reservation has ended since | asks `lookUp` for the key: marks what was paid, and leaves the rest alone |
 */

import { createHash } from "node:crypto";
import type { MessageInitShape } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import { Code } from "@connectrpc/connect";
import type { SelfsameClient } from "./client.js";
import { SelfsameError } from "./errors.js";
import type { Money } from "./v1/selfsame/v1/conversion_pb.js";
import { Gate, type GateAnswer, GateReason, type PayoutWantedSchema, type ReserveAnswer } from "./v1/selfsame/v1/payout_pb.js";

const MARK = { timeoutMs: 300_000, attempts: 1_000 };

/** One payment to make. `amount` is absent when the reward's worth is not known to Selfsame. */
export interface PayOrder {
  rewardId: string;
  conversionId: string;
  amount: Money | undefined;
  /** The idempotency key for your payment provider: one for a reward of a run, and the same after a crash. */
  key: string;
}

/** What was paid, as your provider tells it. Absent: now, and the amount that was reserved. */
export interface Payment {
  paidAt?: Date;
  amount?: { amountMinor: bigint; currency: string };
}

/** Throw it in `pay` when the money certainly did not leave. Throw anything else when you do not know. */
export class PaymentFailed extends Error {
  override readonly name = "PaymentFailed";

  constructor(
    readonly reasonCode = "",
    readonly note = "",
  ) {
    super(note || reasonCode);
  }
}

/**
 * What became of one reward of a run.
 *
 * - `PAID` in this call; `ALREADY_PAID` before.
 * - `HELD`: not now, ask again in another run. `DENIED`: never.
 * - `FAILED`: the payment failed and the reward is free. `LAPSED`: the reservation ended before it was paid. Another run may have it.
 * - `UNSETTLED`: not known. Call again with the same run, or look at your provider.
 */
export type PayoutOutcome = "PAID" | "ALREADY_PAID" | "HELD" | "DENIED" | "FAILED" | "LAPSED" | "UNSETTLED";

/** One reward's outcome, with the gate's answer and, where something broke, what. */
export interface Settled {
  rewardId: string;
  conversionId: string;
  outcome: PayoutOutcome;
  gate: GateAnswer;
  error?: unknown;
}

/** What to pay, and how. */
export interface PayoutRun {
  programId: string;
  /** The id of the run: it names the reservation. */
  runId: string;
  rewards: MessageInitShape<typeof PayoutWantedSchema>[];
  /** Makes one payment, under the key of its order. */
  pay: (order: PayOrder) => Promise<Payment | undefined> | Payment | undefined;
  /**
   * What your provider knows of a key: the payment, or undefined when there is none and will be none. Without it, what is left of a run whose
   * reservation ended is `UNSETTLED`.
   */
  lookUp?: (key: string) => Promise<Payment | undefined> | Payment | undefined;
  lifetimeSeconds?: number;
}

/** Reserves the rewards, pays what is released, and marks it; one answer a reward, in order. One process runs a run at a time. */
export async function payRewards(client: SelfsameClient, run: PayoutRun): Promise<Settled[]> {
  const [began, lifetimeSeconds] = [performance.now(), run.lifetimeSeconds ?? 900];
  const lifetime = { seconds: BigInt(lifetimeSeconds) };
  const reserved = await client.payouts.reservePayouts({ programId: run.programId, requestId: run.runId, payouts: run.rewards, lifetime });
  // How long a replayed reservation still lasts is told by the server's clock, not by ours: then it is renewed first.
  const renewAfter = reserved.replayed ? began : began + lifetimeSeconds * 500;
  const settler = new Settler(client, run, reserved.reservationId || run.runId, lifetime, renewAfter);
  const settled: Settled[] = [];
  for (const answer of reserved.answers) settled.push(await settler.settle(answer));
  return settled;
}

class Settler {
  constructor(
    private readonly client: SelfsameClient,
    private readonly run: PayoutRun,
    private readonly reservationId: string,
    private readonly lifetime: { seconds: bigint },
    private readonly renewAfter: number,
  ) {}

  async settle(answer: ReserveAnswer): Promise<Settled> {
    const gate = answer.gate!;
    const { rewardId, conversionId } = gate;
    try {
      return { rewardId, conversionId, outcome: await this.outcome(gate, answer), gate };
    } catch (error) {
      // One reward that breaks must not keep the others from being paid; whoever called is told.
      return { rewardId, conversionId, outcome: "UNSETTLED", gate, error };
    }
  }

  private async outcome(gate: GateAnswer, answer: ReserveAnswer): Promise<PayoutOutcome> {
    if (gate.gate === Gate.RELEASE && answer.reservedUntil !== undefined) return this.paid(gate, answer.amount);
    if (gate.reason === GateReason.RESERVATION_ENDED) return this.lookedUp(gate);
    if (gate.reason === GateReason.ALREADY_PAID) return "ALREADY_PAID";
    return gate.gate === Gate.DENY ? "DENIED" : "HELD";
  }

  private async paid(gate: GateAnswer, amount: Money | undefined): Promise<PayoutOutcome> {
    if (performance.now() >= this.renewAfter && !(await this.renewed(gate.rewardId))) return this.lookedUp(gate);
    let payment: Payment | undefined;
    try {
      payment = await this.run.pay({ rewardId: gate.rewardId, conversionId: gate.conversionId, amount, key: this.key("pay", gate) });
    } catch (failed) {
      if (!(failed instanceof PaymentFailed)) throw failed;
      await this.markFailed(gate, failed);
      return "FAILED";
    }
    await this.markPaid(gate, payment);
    return "PAID";
  }

  private async renewed(rewardId: string): Promise<boolean> {
    const { programId } = this.run;
    try {
      await this.client.payouts.renewReservation({ programId, reservationId: this.reservationId, rewardIds: [rewardId], lifetime: this.lifetime });
      return true;
    } catch (error) {
      if (error instanceof SelfsameError && error.code === Code.FailedPrecondition) return false;
      throw error;
    }
  }

  private async lookedUp(gate: GateAnswer): Promise<PayoutOutcome> {
    if (this.run.lookUp === undefined) return "UNSETTLED";
    const payment = await this.run.lookUp(this.key("pay", gate));
    if (payment === undefined) return "LAPSED";
    await this.markPaid(gate, payment);
    return "PAID";
  }

  /** Money has left, and the ledger must know: this one is repeated for long. */
  private async markPaid(gate: GateAnswer, payment: Payment = {}): Promise<void> {
    const { rewardId, conversionId } = gate;
    const request = { programId: this.run.programId, rewardId, conversionId, reservationId: this.reservationId, requestId: this.key("paid", gate) };
    const amount = payment.amount === undefined ? {} : { amount: payment.amount };
    await this.client.payouts.markPaid({ ...request, ...amount, paidAt: timestampFromDate(payment.paidAt ?? new Date()) }, MARK);
  }

  private async markFailed(gate: GateAnswer, { reasonCode, note }: PaymentFailed): Promise<void> {
    const { rewardId, conversionId } = gate;
    const request = { programId: this.run.programId, rewardId, conversionId, reasonCode, note, requestId: this.key("failed", gate) };
    await this.client.payouts.markFailed({ ...request, failedAt: timestampFromDate(new Date()) });
  }

  private key(step: string, gate: GateAnswer): string {
    const named = [this.run.programId, this.reservationId, gate.conversionId, gate.rewardId].join("\0");
    return `${step}-${createHash("sha256").update(named).digest("hex").slice(0, 40)}`;
  }
}
