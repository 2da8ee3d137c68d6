// A reward service in forty lines: screens a purchase, pays what may be paid, and follows the feed.
//
// SELFSAME_SERVER=127.0.0.1:50051 SELFSAME_PROGRAMME_KEY=$(selfsame digest --generate-key) go run ./examples/reward_service
package main

import (
	"context"
	"fmt"
	"log"
	"os"

	"google.golang.org/protobuf/types/known/timestamppb"

	"selfsame.example/go"
	"selfsame.example/go/digest"
	v1 "selfsame.example/go/v1"
)

const program = "shop"

func main() {
	ctx := context.Background()
	client := must(selfsame.Dial(os.Getenv("SELFSAME_SERVER"), selfsame.Options{}))
	defer client.Close()
	digester := must(digest.New(must(digest.KeyFromText("k1", os.Getenv("SELFSAME_PROGRAMME_KEY")))))

	// 1. Somebody whom Ann referred has paid an invoice. Raw values become pseudonyms here; what is no value is left out and told.
	ann, leftOut := digester.Bundle(digest.Raw{AccountID: "ann", Emails: []string{"ann@mail.example"}, Names: []string{"Ann Lee"}, Addresses: []string{"203.0.113.9"}})
	ben, alsoLeftOut := digester.Bundle(digest.Raw{AccountID: "ben", Emails: []string{"ben.ode@company.example"}, Names: []string{"Ben Ode", "N/A"}, Addresses: []string{"198.51.100.7"}})
	fmt.Println("left out:", append(leftOut, alsoLeftOut...))
	screened := must(client.Screening.ScreenConversion(ctx, &v1.ScreenConversionRequest{Conversion: &v1.Conversion{
		ProgramId: program, ConversionId: "cv-in-7", CampaignId: os.Getenv("SELFSAME_CAMPAIGN"), Kind: v1.ConversionKind_CONVERSION_KIND_INVOICE_PAID,
		OccurredAt: timestamppb.Now(), InvoiceId: "in-7", Value: &v1.Money{AmountMinor: 4900, Currency: "EUR"}, Referrer: ann, Referee: ben,
		Attribution: &v1.Attribution{CapturedVia: v1.CapturedVia_CAPTURED_VIA_LINK, Ucc: "ANN-10", CodeValidity: v1.CodeValidity_CODE_VALIDITY_VALID.Enum()},
		Rewards:     []*v1.Reward{{RewardId: "rw-in-7", Beneficiary: v1.Side_SIDE_REFERRER, Amount: &v1.Money{AmountMinor: 2000, Currency: "EUR"}}},
	}}))
	fmt.Println("verdict:", screened.Decision.Verdict, screened.Decision.Reasons)

	// 2. The payout run: its id and its rewards are stored before this. After a crash it is called again with the same.
	provider := map[string]*selfsame.Payment{} // your payment provider, idempotent by key
	pay := func(_ context.Context, order selfsame.PayOrder) (selfsame.Payment, error) {
		provider[order.Key] = &selfsame.Payment{Amount: order.Amount}
		return *provider[order.Key], nil
	}
	lookUp := func(_ context.Context, key string) (*selfsame.Payment, error) { return provider[key], nil }
	wanted := []*v1.PayoutWanted{{RewardId: "rw-in-7", ConversionId: "cv-in-7"}}
	for _, settled := range must(selfsame.PayRewards(ctx, client, selfsame.Run{ProgramID: program, ID: "run-1", Rewards: wanted, Pay: pay, LookUp: lookUp})) {
		fmt.Println("payout:", settled.RewardID, settled.Outcome, settled.Gate.Sentence, settled.Err)
	}

	// 3. The feed, from the last cursor that was kept; without stopAtEnd it goes on for ever.
	for message, err := range client.Follow(ctx, program, "", true, nil) {
		for _, event := range must(message, err).Events {
			fmt.Println("feed:", event.Kind, event.ConversionId, event.RewardId)
		}
	}
}

func must[T any](value T, err error) T {
	if err != nil {
		log.Fatal(err)
	}
	return value
}
