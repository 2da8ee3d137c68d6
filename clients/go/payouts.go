package selfsame

// Reserve, pay, mark: how rewards are paid so that none is paid twice, whatever breaks in between.

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	selfsamev1 "selfsame.example/go/v1"
)

const (
	markTime     = 5 * time.Minute
	markAttempts = 1000
)

// PayOrder is one payment to make. Amount is nil when the reward's worth is not known to Selfsame.
type PayOrder struct {
	RewardID, ConversionID string
	Amount                 *selfsamev1.Money
	// Key is the idempotency key for your payment provider: one for a reward of a run, and the same after a crash.
	Key string
}

// Payment is what was paid, as your provider tells it. Zero: now, and the amount that was reserved.
type Payment struct {
	PaidAt time.Time
	Amount *selfsamev1.Money
}

// PaymentFailed is what Pay returns when the money certainly did not leave. Return anything else when you do not know.
type PaymentFailed struct {
	ReasonCode, Note string
}

// Error is why.
func (f *PaymentFailed) Error() string { return "payment failed: " + f.ReasonCode + " " + f.Note }

// Outcome is what became of one reward of a run.
type Outcome string

// The outcomes.
const (
	Paid        Outcome = "PAID"         // in this call
	AlreadyPaid Outcome = "ALREADY_PAID" // before
	Held        Outcome = "HELD"         // not now: ask again in another run
	Denied      Outcome = "DENIED"       // never
	Failed      Outcome = "FAILED"       // the payment failed and the reward is free: another run may have it
	Lapsed      Outcome = "LAPSED"       // the reservation ended before it was paid: another run may have it
	Unsettled   Outcome = "UNSETTLED"    // not known: call again with the same run, or look at your provider
)

// Settled is one reward's outcome, with the gate's answer and, where something broke, what.
type Settled struct {
	RewardID, ConversionID string
	Outcome                Outcome
	Gate                   *selfsamev1.GateAnswer
	Err                    error
}

// Run is what to pay, and how. Store ID and Rewards before the first call. After a crash call PayRewards again with the same:
//
//   - it broke before or while reserving: it reserves, or is told what it holds;
//   - while paying: it renews the reservation, and pays under the same key, which your provider answers as the first time;
//   - between paying and marking: the same, then it marks;
//   - while marking: it is told that the reward is paid;
//   - and the reservation has ended since: it asks LookUp for the key, marks what was paid, and leaves the rest alone.
type Run struct {
	ProgramID string
	// ID names the reservation.
	ID      string
	Rewards []*selfsamev1.PayoutWanted
	// Pay makes one payment, under the key of its order.
	Pay func(context.Context, PayOrder) (Payment, error)
	// LookUp is what your provider knows of a key: the payment, or nil when there is none and will be none. Without it, what is left of a run whose
	// reservation ended is Unsettled.
	LookUp func(ctx context.Context, key string) (*Payment, error)
	// Lifetime is how long the reservation lasts. 0 means 15 minutes.
	Lifetime time.Duration
}

// PayRewards reserves the rewards, pays what is released, and marks it; one answer a reward, in order. One process runs a run at a time. The error is
// that of reserving; then nothing was paid.
func PayRewards(ctx context.Context, client *Client, run Run) ([]Settled, error) {
	began := time.Now()
	if run.Lifetime == 0 {
		run.Lifetime = 15 * time.Minute
	}
	reserved, err := client.Payouts.ReservePayouts(ctx, &selfsamev1.ReservePayoutsRequest{
		ProgramId: run.ProgramID, RequestId: run.ID, Payouts: run.Rewards, Lifetime: durationpb.New(run.Lifetime),
	})
	if err != nil {
		return nil, err
	}
	settler := settler{client: client, run: run, renewAfter: began.Add(run.Lifetime / 2)}
	if reserved.GetReplayed() {
		// How long a replayed reservation still lasts is told by the server's clock, not by ours: then it is renewed first.
		settler.renewAfter = began
	}
	var all []Settled
	for _, answer := range reserved.GetAnswers() {
		gate := answer.GetGate()
		outcome, err := settler.settle(ctx, answer)
		if err != nil {
			// One reward that breaks must not keep the others from being paid; whoever called is told.
			outcome = Unsettled
		}
		all = append(all, Settled{gate.GetRewardId(), gate.GetConversionId(), outcome, gate, err})
	}
	return all, nil
}

type settler struct {
	client     *Client
	run        Run
	renewAfter time.Time
}

func (s settler) settle(ctx context.Context, answer *selfsamev1.ReserveAnswer) (Outcome, error) {
	gate := answer.GetGate()
	switch {
	case gate.GetGate() == selfsamev1.Gate_GATE_RELEASE && answer.GetReservedUntil() != nil:
		return s.paid(ctx, gate, answer.GetAmount())
	case gate.GetReason() == selfsamev1.GateReason_GATE_REASON_RESERVATION_ENDED:
		return s.lookedUp(ctx, gate)
	case gate.GetReason() == selfsamev1.GateReason_GATE_REASON_ALREADY_PAID:
		return AlreadyPaid, nil
	case gate.GetGate() == selfsamev1.Gate_GATE_DENY:
		return Denied, nil
	default:
		return Held, nil
	}
}

func (s settler) paid(ctx context.Context, gate *selfsamev1.GateAnswer, amount *selfsamev1.Money) (Outcome, error) {
	if !time.Now().Before(s.renewAfter) {
		isReserved, err := s.renewed(ctx, gate)
		if err != nil {
			return Unsettled, err
		}
		if !isReserved {
			return s.lookedUp(ctx, gate)
		}
	}
	payment, err := s.run.Pay(ctx, PayOrder{gate.GetRewardId(), gate.GetConversionId(), amount, s.key("pay", gate)})
	var failed *PaymentFailed
	switch {
	case errors.As(err, &failed):
		return Failed, s.markFailed(ctx, gate, failed)
	case err != nil:
		return Unsettled, err
	}
	return Paid, s.markPaid(ctx, gate, payment)
}

func (s settler) renewed(ctx context.Context, gate *selfsamev1.GateAnswer) (bool, error) {
	_, err := s.client.Payouts.RenewReservation(ctx, &selfsamev1.RenewReservationRequest{
		ProgramId: s.run.ProgramID, ReservationId: s.run.ID, RewardIds: []string{gate.GetRewardId()}, Lifetime: durationpb.New(s.run.Lifetime),
	})
	var refused *Error
	if errors.As(err, &refused) && refused.Code == codes.FailedPrecondition {
		return false, nil
	}
	return err == nil, err
}

func (s settler) lookedUp(ctx context.Context, gate *selfsamev1.GateAnswer) (Outcome, error) {
	if s.run.LookUp == nil {
		return Unsettled, nil
	}
	payment, err := s.run.LookUp(ctx, s.key("pay", gate))
	switch {
	case err != nil:
		return Unsettled, err
	case payment == nil:
		return Lapsed, nil
	}
	return Paid, s.markPaid(ctx, gate, *payment)
}

// markPaid tells that money has left. The ledger must know, so it is repeated for long, also when whoever called has left.
func (s settler) markPaid(ctx context.Context, gate *selfsamev1.GateAnswer, payment Payment) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), markTime)
	defer cancel()
	if payment.PaidAt.IsZero() {
		payment.PaidAt = time.Now()
	}
	_, err := s.client.Payouts.MarkPaid(ctx, &selfsamev1.MarkPaidRequest{
		ProgramId: s.run.ProgramID, RewardId: gate.GetRewardId(), ConversionId: gate.GetConversionId(), PaidAt: timestamppb.New(payment.PaidAt),
		Amount: payment.Amount, ReservationId: s.run.ID, RequestId: s.key("paid", gate),
	}, Attempts(markAttempts))
	return err
}

func (s settler) markFailed(ctx context.Context, gate *selfsamev1.GateAnswer, failed *PaymentFailed) error {
	_, err := s.client.Payouts.MarkFailed(ctx, &selfsamev1.MarkFailedRequest{
		ProgramId: s.run.ProgramID, RewardId: gate.GetRewardId(), ConversionId: gate.GetConversionId(), FailedAt: timestamppb.Now(),
		ReasonCode: failed.ReasonCode, Note: failed.Note, RequestId: s.key("failed", gate),
	})
	return err
}

func (s settler) key(step string, gate *selfsamev1.GateAnswer) string {
	sum := sha256.Sum256([]byte(strings.Join([]string{s.run.ProgramID, s.run.ID, gate.GetConversionId(), gate.GetRewardId()}, "\x00")))
	return step + "-" + hex.EncodeToString(sum[:])[:40]
}
