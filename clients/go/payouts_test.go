package selfsame_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"selfsame.example/go"
	"selfsame.example/go/internal/served"
	v1 "selfsame.example/go/v1"
)

// provider is a payment provider that is idempotent by key, and a process that may end before or after it was asked.
type provider struct {
	payments map[string]*selfsame.Payment
	orders   []selfsame.PayOrder
	breaks   string
}

func (p *provider) pay(_ context.Context, order selfsame.PayOrder) (selfsame.Payment, error) {
	p.orders = append(p.orders, order)
	breaks := p.breaks
	p.breaks = ""
	if p.payments == nil {
		p.payments = map[string]*selfsame.Payment{}
	}
	if breaks != "before" && p.payments[order.Key] == nil {
		p.payments[order.Key] = &selfsame.Payment{Amount: order.Amount}
	}
	if breaks != "" {
		panic("crash")
	}
	return *p.payments[order.Key], nil
}

func (p *provider) lookUp(_ context.Context, key string) (*selfsame.Payment, error) {
	return p.payments[key], nil
}

// paying screens a conversion of its own and gives what pays its reward: the outcome, or "CRASHED".
func paying(t *testing.T, client *selfsame.Client, name string) func(run selfsame.Run) (selfsame.Outcome, error) {
	t.Helper()
	if _, err := client.Screening.ScreenConversion(context.Background(), conversion(name)); err != nil {
		t.Fatal(err)
	}
	return func(run selfsame.Run) (outcome selfsame.Outcome, err error) {
		defer func() {
			if recover() != nil {
				outcome = "CRASHED"
			}
		}()
		run.ProgramID, run.ID = "shop", run.ID+"-"+name
		run.Rewards = []*v1.PayoutWanted{{RewardId: "rw-" + name, ConversionId: "cv-" + name}}
		settled, err := selfsame.PayRewards(context.Background(), client, run)
		if err != nil {
			t.Fatal(err)
		}
		return settled[0].Outcome, settled[0].Err
	}
}

func expect(t *testing.T, found selfsame.Outcome, err error, expected selfsame.Outcome) {
	t.Helper()
	if found != expected {
		t.Errorf("%s, not %s: %v", found, expected, err)
	}
}

func TestNoRewardIsPaidTwiceWhereverItBreaks(t *testing.T) {
	client := connected(t, served.Start(t), selfsame.Options{Actor: "tests"})
	t.Run("what is released is paid once and marked", func(t *testing.T) {
		run, bank := paying(t, client, "once"), &provider{}
		for id, expected := range map[string][]selfsame.Outcome{"run": {selfsame.Paid, selfsame.AlreadyPaid}} {
			for _, each := range expected {
				found, err := run(selfsame.Run{ID: id, Pay: bank.pay})
				expect(t, found, err, each)
			}
		}
		found, err := run(selfsame.Run{ID: "another", Pay: bank.pay})
		expect(t, found, err, selfsame.AlreadyPaid)
		if len(bank.orders) != 1 || bank.orders[0].Amount.GetAmountMinor() != 2000 {
			t.Error(bank.orders)
		}
	})
	for _, where := range []string{"before", "after"} {
		t.Run(fmt.Sprintf("after a crash %s the payment the same run pays under the same key", where), func(t *testing.T) {
			run, bank := paying(t, client, "crash-"+where), &provider{breaks: where}
			for _, step := range []struct {
				id       string
				expected selfsame.Outcome
			}{{"run", "CRASHED"}, {"another", selfsame.Held}, {"run", selfsame.Paid}} {
				found, err := run(selfsame.Run{ID: step.id, Pay: bank.pay})
				expect(t, found, err, step.expected)
			}
			if len(bank.payments) != 1 || bank.orders[0].Key != bank.orders[1].Key {
				t.Error(bank.orders)
			}
		})
		t.Run(fmt.Sprintf("a run that crashed %s the payment and whose reservation ended asks the provider", where), func(t *testing.T) {
			run, bank := paying(t, client, "ended-"+where), &provider{breaks: where}
			brief := selfsame.Run{ID: "run", Pay: bank.pay, Lifetime: time.Second}
			found, err := run(brief)
			expect(t, found, err, "CRASHED")
			time.Sleep(1500 * time.Millisecond) // A reservation's end is no event that could be awaited.
			found, err = run(brief)
			expect(t, found, err, selfsame.Unsettled)
			brief.LookUp = bank.lookUp
			found, err = run(brief)
			settled, then := selfsame.Lapsed, selfsame.Paid
			if where == "after" {
				settled, then = selfsame.Paid, selfsame.AlreadyPaid
			}
			expect(t, found, err, settled)
			found, err = run(selfsame.Run{ID: "another", Pay: bank.pay})
			expect(t, found, err, then)
			if len(bank.payments) != 1 {
				t.Error(bank.payments)
			}
		})
	}
	t.Run("a payment that failed frees the reward", func(t *testing.T) {
		run, bank := paying(t, client, "failed"), &provider{}
		refuse := func(context.Context, selfsame.PayOrder) (selfsame.Payment, error) {
			return selfsame.Payment{}, &selfsame.PaymentFailed{ReasonCode: "account_closed"}
		}
		found, err := run(selfsame.Run{ID: "run", Pay: refuse})
		expect(t, found, err, selfsame.Failed)
		found, err = run(selfsame.Run{ID: "another", Pay: bank.pay})
		expect(t, found, err, selfsame.Paid)
	})
	t.Run("what broke is told and stays reserved", func(t *testing.T) {
		run, bank, broke := paying(t, client, "broke"), &provider{}, errors.New("no answer")
		found, err := run(selfsame.Run{ID: "run", Pay: func(context.Context, selfsame.PayOrder) (selfsame.Payment, error) { return selfsame.Payment{}, broke }})
		expect(t, found, err, selfsame.Unsettled)
		if !errors.Is(err, broke) {
			t.Error(err)
		}
		found, err = run(selfsame.Run{ID: "run", Pay: bank.pay})
		expect(t, found, err, selfsame.Paid)
	})
}
